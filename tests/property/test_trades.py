"""The ledger of trades against an exchange that knows one position, and against a reckoning of its own."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.instrument import Category
from relay.domain.order import Side
from relay.domain.trades import BY_HAND, ExitReason, LedgerEntry, Maker, Trade, after, opening_of, replay, split

D = Decimal
_STRATEGIES = ("trend", "grid")


@dataclass
class Netted:
    """An exchange's one position: realises by its average price, to eight decimals."""

    category: Category
    size: Decimal = D(0)
    price: Decimal = D(0)
    realised: Decimal = D(0)
    entries: list[tuple[LedgerEntry, Maker | None]] = field(default_factory=list)

    def fill(self, side: Side, qty: Decimal, price: Decimal, maker: Maker | None, reason: ExitReason) -> None:
        signed = qty * side.sign
        closing = min(qty, abs(self.size)) if self.size * signed < 0 else D(0)
        result = self._gain(closing, price)
        before, self.size = self.size, self.size + signed
        if before * self.size < 0 or not before:
            self.price = price
        elif not closing:
            self.price = self._average(abs(before), self.price, qty, price)
        self.realised += result
        fee = (qty * D("0.00055")).quantize(D("1E-8"))
        told = self._told(side=side, qty=qty, price=price, fee=fee)
        self.entries.append((replace(told, realised=result, closed_qty=closing, reason=reason), maker))

    def pay(self, amount: Decimal) -> None:
        paid = self._told(side=Side.BUY, qty=D(0), price=D(100), fee=D(0))
        self.entries.append((replace(paid, funding=amount), None))

    def settle(self, price: Decimal) -> None:
        """What is open is paid out, and counts from this price on."""
        paid = self._told(side=Side.BUY, qty=D(0), price=price, fee=D(0))
        result = self._gain(abs(self.size), price)
        self.price, self.realised = price, self.realised + result
        self.entries.append((replace(paid, realised=result), None))

    def _gain(self, qty: Decimal, price: Decimal) -> Decimal:
        if not qty:
            return D(0)
        signed = qty.copy_sign(self.size)
        raw = (
            signed * (1 / self.price - 1 / price)
            if self.category is Category.INVERSE
            else signed * (price - self.price)
        )
        return raw.quantize(D("1E-8"))

    def _average(self, held: Decimal, at: Decimal, qty: Decimal, price: Decimal) -> Decimal:
        if self.category is Category.INVERSE:
            return (held + qty) / (held / at + qty / price)
        return (held * at + qty * price) / (held + qty)

    def _told(self, *, side: Side, qty: Decimal, price: Decimal, fee: Decimal) -> LedgerEntry:
        number = len(self.entries)
        return LedgerEntry(
            exec_id=f"e{number:04}",
            category=self.category,
            symbol="BTCUSDT",
            coin="USDT",
            side=side,
            qty=qty,
            price=price,
            fee=fee,
            funding=D(0),
            at_ms=number,
        )

    def trades(self) -> list[Trade]:
        steps = replay((), self.entries, account="main")
        assert sum(step.applied.realised for step in steps) == self.realised
        return list(after((), steps).values())


def _maker(strategy: str, number: int, *, reduce_only: bool = False) -> Maker:
    return Maker(strategy=strategy, signal_id=f"s{number}", reduce_only=reduce_only)


Played = tuple[str, str, Side, Decimal, Decimal]
STEP = st.tuples(
    st.sampled_from(("own", "own", "own", "reduce", "stop", "hand", "funding", "session")),
    st.sampled_from(_STRATEGIES),
    st.sampled_from(Side),
    st.integers(1, 40).map(lambda number: D(number) / 10),
    st.integers(50, 150).map(D),
)


def played(category: Category, steps: list[Played]) -> Netted:
    exchange = Netted(category=category)
    for number, (what, strategy, side, qty, price) in enumerate(steps):
        closes = Side.SELL if exchange.size > 0 else Side.BUY
        some = min(qty, abs(exchange.size))
        match what:
            case "own":
                exchange.fill(side, qty, price, _maker(strategy, number), ExitReason.HAND)
            case "hand":
                exchange.fill(side, qty, price, None, ExitReason.HAND)
            case "reduce" if some:
                exchange.fill(closes, some, price, _maker(strategy, number, reduce_only=True), ExitReason.HAND)
            case "stop" if some:
                exchange.fill(closes, some, price, None, ExitReason.STOP_LOSS)
            case "funding":
                exchange.pay(qty / 1000 * side.sign)
            case "session" if category is Category.LINEAR:
                exchange.settle(price)
    return exchange


@given(st.sampled_from(Category), st.lists(STEP, max_size=40))
def test_the_trades_together_hold_what_the_exchange_holds_to_the_smallest_unit(
    category: Category, steps: list[Played]
) -> None:
    exchange = played(category, steps)
    trades = exchange.trades()
    assert sum((each.realised + each.netting for each in trades), D(0)) == exchange.realised
    entries = [entry for entry, _ in exchange.entries]
    assert sum((each.fees for each in trades), D(0)) == sum((each.fee for each in entries), D(0))
    assert sum((each.funding for each in trades), D(0)) == sum((each.funding for each in entries), D(0))
    assert sum((each.signed_qty for each in trades), D(0)) == exchange.size
    open_ones = [each for each in trades if each.open_qty]
    assert len({(each.strategy, each.side) for each in open_ones}) == len(open_ones)
    assert all((each.closed_at_ms is None) == bool(each.open_qty) for each in trades)
    if not open_ones:
        assert not any(each.netting for each in trades)


@given(st.lists(STEP, max_size=40))
def test_one_strategy_alone_earns_what_the_position_earned_between_two_times_flat(
    steps: list[Played],
) -> None:
    exchange = played(
        Category.LINEAR,
        [("stop" if what == "hand" else what, "trend", side, qty, price) for what, _, side, qty, price in steps],
    )
    held, begun = D(0), False
    earned: list[Decimal] = []
    for entry, _ in exchange.entries:
        if entry.qty and not held:
            earned.append(D(0))
            begun = True
        if not begun:
            continue
        before, held = held, held + entry.qty * entry.side.sign
        earned[-1] += entry.realised or D(0)
        if before * held < 0:
            earned.append(D(0))
    trades = sorted((each for each in exchange.trades() if each.size), key=lambda each: each.first_at_ms)
    assert [each.realised for each in trades] == earned


@given(st.lists(STEP, max_size=40))
def test_strategies_side_by_side_each_earn_by_their_own_average_price(
    steps: list[Played],
) -> None:
    exchange = played(Category.LINEAR, [step if step[0] == "session" else ("own", *step[1:]) for step in steps])
    earned: defaultdict[str, Fraction] = defaultdict(Fraction)
    held: defaultdict[str, tuple[Fraction, Fraction]] = defaultdict(lambda: (Fraction(0), Fraction(0)))
    for entry, maker in exchange.entries:
        if maker is None:
            continue  # a session: it pays out what was open, and changes nobody's result
        size, cost = held[maker.strategy]
        signed, price = Fraction(entry.qty) * entry.side.sign, Fraction(entry.price)
        if size * signed < 0:
            part = max(-abs(signed), -abs(size)) * (1 if size > 0 else -1)
            earned[maker.strategy] += -part * price - cost * (-part / size)
            size, cost, signed = size + part, cost * (1 + part / size), signed - part
        held[maker.strategy] = (size + signed, cost + signed * price)
    trades = exchange.trades()
    for strategy, (size, cost) in held.items():
        own = [each for each in trades if each.strategy == strategy]
        assert sum((each.signed_qty for each in own), D(0)) == D(size.numerator) / size.denominator
        came_to = sum((each.realised - each.open_value * each.side.sign for each in own), D(0))
        assert abs(Fraction(came_to) - (earned[strategy] - cost)) < Fraction(1, 10**5)


@given(
    st.integers(-(10**12), 10**12).map(lambda each: D(each) / 10**9),
    st.lists(st.integers(1, 10**6).map(D), min_size=1, max_size=6),
)
def test_what_is_split_adds_up_and_only_the_largest_bears_the_rounding(amount: Decimal, weights: list[Decimal]) -> None:
    parts = split(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        off = abs(part - amount * weight / sum(weights))
        assert off < D("1E-8") * (1 if weight != max(weights) else len(weights) + 1)


def test_a_stop_of_the_exchange_is_split_over_the_holdings_and_the_hand_s_own_goes_first() -> None:
    exchange = Netted(category=Category.LINEAR)
    exchange.fill(Side.BUY, D(3), D(100), _maker("trend", 1), ExitReason.HAND)
    exchange.fill(Side.BUY, D(1), D(100), _maker("grid", 2), ExitReason.HAND)
    exchange.fill(Side.BUY, D(1), D(100), None, ExitReason.HAND)
    exchange.fill(Side.SELL, D(2), D(90), None, ExitReason.HAND)
    held = {each.strategy: each.open_qty for each in exchange.trades()}
    assert held == {"trend": D("2.25"), "grid": D("0.75"), BY_HAND: 0}
    exchange.fill(Side.SELL, D(3), D(80), None, ExitReason.STOP_LOSS)
    by_name = {each.strategy: each for each in exchange.trades()}
    assert {name: each.exit_reason for name, each in by_name.items()} == {
        "trend": ExitReason.STOP_LOSS,
        "grid": ExitReason.STOP_LOSS,
        BY_HAND: ExitReason.HAND,
    }
    assert {name: each.realised for name, each in by_name.items()} == {
        "trend": D("-52.5"),
        "grid": D("-17.5"),
        BY_HAND: -10,
    }


def test_executions_of_one_moment_are_put_in_order_by_what_their_order_had_left() -> None:
    exchange = Netted(category=Category.LINEAR)
    exchange.fill(Side.BUY, D(1), D(100), _maker("trend", 1), ExitReason.HAND)
    turn = _maker("trend", 2)
    for qty in (1, 1, 1):
        exchange.fill(Side.SELL, D(qty), D(110), turn, ExitReason.HAND)
    told = [(replace(entry, at_ms=9, seq=9, exec_id=f"e{9 - number}", leaves=D(3 - number)), maker)
            for number, (entry, maker) in enumerate(exchange.entries)]  # fmt: skip
    exchange.entries = [exchange.entries[0], *told[1:]]
    was, now = sorted(exchange.trades(), key=lambda each: each.first_at_ms)
    assert (was.realised, was.closed_at_ms) == (D(10), 9)
    assert (now.side, now.open_qty, now.realised) == (Side.SELL, D(2), D(0))


def test_what_was_open_before_anything_is_known_has_the_price_that_its_close_tells() -> None:
    exchange = Netted(category=Category.INVERSE)
    exchange.fill(Side.SELL, D(100), D(50), _maker("trend", 1), ExitReason.HAND)
    exchange.fill(Side.BUY, D(100), D(40), None, ExitReason.TAKE_PROFIT)
    exchange.entries.pop(0)
    (trade,) = exchange.trades()
    assert (trade.strategy, trade.side, trade.opened_at_ms, trade.realised) == (BY_HAND, Side.SELL, None, D("0.5"))
    assert trade.entry_price is not None and abs(trade.entry_price - 50) < D("1E-20")


def test_an_exit_that_ends_the_position_ends_what_strategies_held_against_each_other() -> None:
    exchange = Netted(category=Category.LINEAR)
    exchange.fill(Side.BUY, D(1), D(100), _maker("trend", 1), ExitReason.HAND)
    exchange.fill(Side.SELL, D(2), D(110), _maker("grid", 2), ExitReason.HAND)
    exchange.fill(Side.BUY, D(1), D(90), _maker("grid", 3, reduce_only=True), ExitReason.HAND)
    trades = exchange.trades()
    assert not any(each.open_qty or each.netting for each in trades)
    assert {each.strategy: each.realised for each in trades} == {"trend": -10, "grid": 40}
    assert exchange.realised == 30


def test_coins_sold_but_for_dust_end_the_trade_and_the_dust_goes_into_the_next_at_its_cost() -> None:
    exchange = Netted(category=Category.SPOT)
    qty, sold = D("0.03997"), D("0.0399")
    exchange.fill(Side.BUY, qty, D(2000), _maker("trend", 1), ExitReason.HAND)
    exchange.fill(Side.SELL, sold, D(2100), _maker("trend", 2), ExitReason.HAND)
    first, dust = sorted(exchange.trades(), key=lambda each: each.first_at_ms)
    assert (first.exit_reason, first.closed_at_ms, first.realised) == (ExitReason.ALERT, 1, D("3.99"))
    assert first.open_qty == 0
    assert first.entry_price == 2000 and first.entry_qty == sold and first.size == qty
    assert (dust.open_qty, dust.open_value, dust.closed_at_ms) == (qty - sold, (qty - sold) * 2000, None)
    exchange.fill(Side.BUY, D("0.02"), D(3000), _maker("trend", 3), ExitReason.HAND)
    exchange.fill(Side.SELL, D("0.02007"), D(3000), _maker("trend", 4), ExitReason.HAND)
    second = max(exchange.trades(), key=lambda each: each.first_at_ms)
    assert (second.opened_at_ms, second.closed_at_ms, second.open_qty) == (2, 3, D(0))
    assert second.realised == (qty - sold) * 1000


def test_a_part_of_coins_that_is_worth_something_is_no_dust() -> None:
    exchange = Netted(category=Category.SPOT)
    exchange.fill(Side.BUY, D("0.04"), D(2000), _maker("trend", 1), ExitReason.HAND)
    exchange.fill(Side.SELL, D("0.039"), D(2000), _maker("trend", 2), ExitReason.HAND)
    (held,) = exchange.trades()
    assert (held.open_qty, held.closed_at_ms) == (D("0.001"), None)


@pytest.mark.parametrize("category", [Category.LINEAR, Category.INVERSE])
def test_of_a_close_that_is_larger_than_what_is_known_the_rest_was_there_before(category: Category) -> None:
    exchange = Netted(category=category)
    exchange.fill(Side.BUY, D(2), D(80), None, ExitReason.HAND)
    exchange.fill(Side.BUY, D(1), D(125), _maker("trend", 1), ExitReason.HAND)
    exchange.fill(Side.SELL, D(3), D(100), _maker("trend", 2, reduce_only=True), ExitReason.HAND)
    exchange.entries.pop(0)
    trades = {each.strategy: each for each in exchange.trades()}
    assert {name: each.exit_qty for name, each in trades.items()} == {"trend": 1, BY_HAND: 2}
    prices = {name: each.entry_price for name, each in trades.items()}
    assert prices["trend"] == 125 and abs((prices[BY_HAND] or D(0)) - 80) < D("1E-20")
    assert not any(each.open_qty or abs(each.netting) > D("1E-20") for each in trades.values())
    assert abs(sum((each.realised for each in trades.values()), -exchange.realised)) < D("1E-20")


def test_what_the_exchange_says_it_came_to_counts_more_than_what_was_reckoned() -> None:
    exchange = Netted(category=Category.LINEAR)
    exchange.fill(Side.BUY, D(3), D(100), _maker("trend", 1), ExitReason.HAND)
    exchange.fill(Side.SELL, D(1), D(110), _maker("trend", 2), ExitReason.HAND)
    entry, maker = exchange.entries[-1]
    exchange.entries[-1] = replace(entry, realised=D("10.00000001"), fee=D(2), funding=D("0.5")), maker
    exchange.realised = D("10.00000001")
    (trade,) = exchange.trades()
    assert (trade.realised, trade.netting) == (D("10.00000001"), D(0))
    assert trade.net == trade.realised - trade.fees - trade.funding
    assert trade.fees > 2 and trade.funding == D("0.5")


def test_a_trade_whose_worth_is_not_known_stays_so_whatever_fills_later() -> None:
    exchange = Netted(category=Category.LINEAR)
    exchange.fill(Side.BUY, D(2), D(100), _maker("trend", 1), ExitReason.HAND)
    entry, maker = exchange.entries[-1]
    exchange.entries[-1] = replace(entry, fees_other={"MNT": D(1)}, fees_other_usd=None), maker
    exchange.fill(Side.SELL, D(2), D(110), _maker("trend", 2), ExitReason.HAND)
    (trade,) = exchange.trades()
    assert (trade.net_usd, trade.realised, dict(trade.fees_other)) == (None, D(20), {"MNT": D(1)})


@given(
    st.sampled_from((Category.LINEAR, Category.INVERSE)),
    st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 40).map(D), st.integers(50, 150).map(D)), max_size=12),
    st.integers(0, 12),
)
def test_what_was_open_before_a_list_of_executions_is_found_from_what_is_open_after_it(
    category: Category, fills: list[tuple[Side, Decimal, Decimal]], known_from: int
) -> None:
    exchange, before = Netted(category=category), (D(0), D(0))
    for number, (side, qty, price) in enumerate(fills):
        if number == known_from:
            before = exchange.size, exchange.price
        exchange.fill(side, qty, price, None, ExitReason.HAND)
    listed = [entry for entry, _ in exchange.entries[known_from:]]
    if not listed:
        return
    size, average = opening_of(exchange.size, exchange.price or None, listed)
    assert size == before[0]
    if size:
        assert abs(average - before[1]) < D("1E-4") * before[1]


def test_without_an_entry_the_opening_is_what_there_is() -> None:
    assert opening_of(D(2), D(100), ()) == (D(2), D(100))
    assert opening_of(D(0), None, ()) == (D(0), D(0))
