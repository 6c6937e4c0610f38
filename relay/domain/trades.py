"""The ledger of trades: every execution of an account goes to the strategy that it belongs to. Pure.

A trade is a round trip of one strategy's part of a position. Money is in the settle coin unless a name says otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from typing import Final

from relay.domain.instrument import Category
from relay.domain.order import Side

BY_HAND: Final = "by hand"
"""The strategy of whatever no strategy did."""
_ZERO: Final = Decimal(0)
_CENT: Final = Decimal("1E-8")
"""The smallest unit in which the exchange keeps money."""
_ROUNDING: Final = Decimal("1E-6")
"""What roundings of the exchange and of the ledger can add up to over a trade's executions."""
_EXACT: Final = Context(prec=40)
_BEFORE: Final = "before:"


class ExitReason(StrEnum):
    """What closed a trade, or would close one."""

    ALERT = "alert"
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"
    TRAILING_STOP = "trailing_stop"
    LIQUIDATION = "liquidation"
    ADL = "adl"
    DELIVERY = "delivery"
    HAND = "hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One execution as the exchange tells it. `qty` zero: it moved money and no position, as funding does.

    `fee` and `funding` are above zero where they were paid; `fees_other`: fees in other coins, by coin.
    """

    exec_id: str
    category: Category
    symbol: str
    coin: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    funding: Decimal
    at_ms: int
    seq: int = 0
    """The exchange's own order among the symbol's executions; those of one moment have the same."""
    leaves: Decimal = _ZERO
    """What of its order was not filled after it, which puts an order's executions of one moment in order."""
    realised: Decimal | None = _ZERO
    """Before fees; None where the exchange does not say it: then it is reckoned by average cost."""
    closed_qty: Decimal | None = None
    """How much of the position it closed, where the exchange says it."""
    fees_other: Mapping[str, Decimal] = field(default_factory=dict)
    fees_other_usd: Decimal | None = _ZERO
    """Their worth at the fill; None if that is not known."""
    reason: ExitReason = ExitReason.HAND
    """Why it was made, if no order of the relay's made it."""
    client_order_id: str = ""

    @property
    def place(self) -> tuple[int, int, Decimal, str]:
        """Entries of a symbol are applied in this order. Source: docs/v5/order/execution.mdx, `seq`, `leavesQty`."""
        return self.at_ms, self.seq, -self.leaves, self.exec_id

    @property
    def coin_usd(self) -> Decimal:
        """What the settle coin was worth; stable coins count as a dollar."""
        return self.price if self.category is Category.INVERSE else Decimal(1)


def with_result(entry: LedgerEntry, results: Mapping[tuple[str, str], Decimal]) -> LedgerEntry:
    """With what it gained, where it did not say so itself. `results`: by execution and coin."""
    result = results.get((entry.exec_id, entry.coin))
    return replace(entry, realised=result) if entry.realised is None and result is not None else entry


def valued_in_coins(entry: LedgerEntry, base: str) -> LedgerEntry:
    """An execution of coins by what it changed the holding by: a fee in the coins themselves is valued at the fill."""
    others = dict(entry.fees_other)
    taken = others.pop(base, _ZERO)
    moved = entry.side.sign * entry.qty - taken
    return replace(entry, qty=abs(moved), fee=entry.fee + taken * entry.price, fees_other=others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Whose order made a fill: one of the relay's own."""

    strategy: str
    signal_id: str
    reduce_only: bool
    is_take_profit: bool = False
    is_stop: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """`side`: BUY is long. `open_qty` without sign; `…_value`: quote coins on linear, coins on inverse.

    `open_value`: where profits are settled in sessions (USDC), as of the last one that paid.
    `netting`: what the exchange has realised more than the trades that are open side by side, because it knows one
    position with one average price; zero once the position is closed.
    """

    id: str
    account: str
    strategy: str
    category: Category
    symbol: str
    settle_coin: str
    side: Side
    first_at_ms: int
    opened_at_ms: int | None
    """None: it was open before anything is known of it."""
    closed_at_ms: int | None = None
    open_qty: Decimal = _ZERO
    open_value: Decimal = _ZERO
    size: Decimal = _ZERO
    """The largest it was."""
    entry_qty: Decimal = _ZERO
    entry_value: Decimal = _ZERO
    exit_qty: Decimal = _ZERO
    exit_value: Decimal = _ZERO
    exit_reason: ExitReason | None = None
    realised: Decimal = _ZERO
    netting: Decimal = _ZERO
    fees: Decimal = _ZERO
    funding: Decimal = _ZERO
    fees_other: Mapping[str, Decimal] = field(default_factory=dict)
    net_usd: Decimal | None = _ZERO
    signals: tuple[str, ...] = ()

    @property
    def net(self) -> Decimal:
        return self.realised - self.fees - self.funding

    @property
    def entry_price(self) -> Decimal | None:
        return _average(self.category, self.entry_qty, self.entry_value)

    @property
    def exit_price(self) -> Decimal | None:
        return _average(self.category, self.exit_qty, self.exit_value)

    @property
    def signed_qty(self) -> Decimal:
        return self.open_qty * self.side.sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """`trades`: all that the entry changed. `realised`: before fees, as the exchange says it or as it was reckoned."""

    trades: tuple[Trade, ...]
    realised: Decimal


def trade_id(account: str, strategy: str, began_with: str) -> str:
    """The same whenever the trade is worked out anew. `began_with`: the execution that opened it."""
    return hashlib.sha256("\0".join((account, strategy, began_with)).encode()).hexdigest()[:20]


def older_trade(account: str, like: LedgerEntry, *, side: Side, qty: Decimal, price: Decimal, strategy: str) -> Trade:
    """A position that was open before the first execution of it that is known: at its average price, of unknown age."""
    value = _value(like.category, qty, price)
    return Trade(
        id=trade_id(account, strategy, f"before {like.exec_id}"),
        account=account,
        strategy=strategy,
        category=like.category,
        symbol=like.symbol,
        settle_coin=like.coin,
        side=side,
        first_at_ms=like.at_ms,
        opened_at_ms=None,
        open_qty=qty,
        open_value=value,
        size=qty,
        entry_qty=qty,
        entry_value=value,
    )


def before_the_first(
    *, category: Category, symbol: str, coin: str, signed: Decimal, price: Decimal, at_ms: int
) -> LedgerEntry:
    """In place of what opened a position before the first execution that is known: it moves no money."""
    return LedgerEntry(
        exec_id=f"{_BEFORE}{category.value}:{symbol}",
        category=category,
        symbol=symbol,
        coin=coin,
        side=Side.towards(signed),
        qty=abs(signed),
        price=price,
        fee=_ZERO,
        funding=_ZERO,
        at_ms=at_ms,
        seq=-1,
    )


def apply(open_trades: Iterable[Trade], entry: LedgerEntry, maker: Maker | None, *, account: str) -> Applied:
    """What one execution makes of the open trades of its account and symbol. `maker` None: no order of the relay's."""
    held = list(open_trades)
    if not entry.qty:
        return _cash(held, entry, account)
    before = _unknown_before(held, entry, account)
    held += before
    closing = _closing(held, entry, maker)
    left = entry.qty - sum((qty for _, qty in closing), _ZERO)
    strategy = maker.strategy if maker is not None else BY_HAND
    opened = _opened(held, entry, strategy, left, account) if left else None
    applied = _Fill(held, entry, maker, closing, opened, left).settle()
    known = {trade.id for trade in applied.trades}
    return replace(applied, trades=(*applied.trades, *(trade for trade in before if trade.id not in known)))


# Whose holdings a fill closes.


def _closing(held: Sequence[Trade], entry: LedgerEntry, maker: Maker | None) -> list[tuple[Trade, Decimal]]:
    against = [trade for trade in held if trade.side is not entry.side and trade.open_qty]
    first = maker.strategy if maker is not None else BY_HAND if entry.reason is ExitReason.HAND else None
    own = [trade for trade in against if trade.strategy == first]
    others = [trade for trade in against if trade.strategy != first]
    taken = _shared(own, entry.qty)
    left = entry.qty - sum((qty for _, qty in taken), _ZERO)
    if maker is not None:
        if not maker.reduce_only:
            return taken
        by_hand = [trade for trade in others if trade.strategy == BY_HAND]
        more = _shared(by_hand, left)
        left -= sum((qty for _, qty in more), _ZERO)
        return [*taken, *more, *_shared([trade for trade in others if trade.strategy != BY_HAND], left)]
    if first is not None:
        # A hand's order closes a strategy's holding only where it brings the account's position towards zero.
        left = min(left, max(_reducible(held, entry.side) - entry.qty + left, _ZERO))
    return [*taken, *_shared(others, left)]


def _reducible(held: Iterable[Trade], side: Side) -> Decimal:
    net = sum((trade.signed_qty for trade in held), _ZERO)
    return max(-net * side.sign, _ZERO)


def _shared(trades: Sequence[Trade], qty: Decimal) -> list[tuple[Trade, Decimal]]:
    """`qty` over the holdings in proportion; at most all of them."""
    if not trades or qty <= 0:
        return []
    sizes = [trade.open_qty for trade in trades]
    parts = sizes if qty >= sum(sizes) else split(qty, sizes)
    return [(trade, part) for trade, part in zip(trades, parts, strict=True) if part]


def split(amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """In proportion, to the smallest unit; what rounding leaves goes to the largest. The parts add up exactly."""
    total = sum(weights, _ZERO)
    parts = [_EXACT.divide(_EXACT.multiply(amount, weight), total).quantize(_CENT, ROUND_DOWN) for weight in weights]
    largest = max(range(len(weights)), key=lambda index: weights[index])
    parts[largest] += amount - sum(parts, _ZERO)
    return parts


def opening_of(size: Decimal, price: Decimal | None, entries: Sequence[LedgerEntry]) -> tuple[Decimal, Decimal]:
    """The position before the first of one symbol's entries, given what it is after the last: signed, and its average
    price. `price`: today's; a position that was closed on the way had the price that its close tells."""
    value = _ZERO
    if size and entries and price is not None:
        value = _value(entries[0].category, abs(size), price)
    for entry in sorted(entries, key=lambda each: each.place, reverse=True):
        signed = entry.qty * entry.side.sign
        before = size - signed
        if before * size > 0:
            if signed * size > 0:
                value = max(_EXACT.subtract(value, _value(entry.category, entry.qty, entry.price)), _ZERO)
            else:
                value = _EXACT.divide(_EXACT.multiply(value, abs(before)), abs(size))
        elif before:
            side = Side.towards(before)
            value = _value(entry.category, abs(before), _reported_price(entry, side, abs(before)))
        size = before
    average = _average(entries[0].category, abs(size), value) if entries else price
    return size, average or price or _ZERO


def _reported_price(entry: LedgerEntry, side: Side, qty: Decimal) -> Decimal:
    """The average price of the position on `side` that the entry closed so much of, by what that came to."""
    share = _EXACT.divide(entry.realised or _ZERO, qty) * side.sign
    if entry.category is Category.INVERSE:
        return _EXACT.divide(Decimal(1), share + _EXACT.divide(Decimal(1), entry.price))
    return entry.price - share


def _unknown_before(held: Sequence[Trade], entry: LedgerEntry, account: str) -> list[Trade]:
    """The exchange closed more than is known to be open: that much was there before. Its result tells the average price
    of all, and so, with what is known, its own."""
    closed, side = entry.closed_qty or _ZERO, entry.side.opposite
    missing = closed - _reducible(held, entry.side)
    if missing <= 0 or closed > entry.qty or len({trade.side for trade in held}) > 1:
        return []
    price = _reported_price(entry, side, closed)
    if entry.realised is not None:
        known = sum((trade.open_value for trade in held if trade.side is side), _ZERO)
        value = _EXACT.subtract(_value(entry.category, closed, price), known)
        price = (_average(entry.category, missing, value) if value > 0 else None) or price
    return [older_trade(account, entry, side=side, qty=missing, price=price, strategy=BY_HAND)]


# What a fill makes of the trades that it closes, and of the one that it opens.


def _opened(held: Iterable[Trade], entry: LedgerEntry, strategy: str, qty: Decimal, account: str) -> Trade:
    same = (trade for trade in held if trade.strategy == strategy and trade.side is entry.side)
    trade = next(same, None) or Trade(
        id=trade_id(account, strategy, entry.exec_id),
        account=account,
        strategy=strategy,
        category=entry.category,
        symbol=entry.symbol,
        settle_coin=entry.coin,
        side=entry.side,
        first_at_ms=entry.at_ms,
        opened_at_ms=None if entry.exec_id.startswith(_BEFORE) else entry.at_ms,
    )
    value = _value(entry.category, qty, entry.price)
    if not trade.category.has_positions and trade.open_qty and _is_worth_nothing(trade, entry):
        trade = replace(trade, opened_at_ms=entry.at_ms)  # of dust alone no trade is made
    return replace(
        trade,
        open_qty=trade.open_qty + qty,
        open_value=_EXACT.add(trade.open_value, value),
        size=max(trade.size, trade.open_qty + qty),
        entry_qty=trade.entry_qty + qty,
        entry_value=_EXACT.add(trade.entry_value, value),
    )


_DUST_USD: Final = Decimal(1)
_DUST_SHARE: Final = Decimal("0.05")


def is_dust(trade: Trade, entry: LedgerEntry) -> bool:
    """Whether what is held of coins is too little to be sold: under a dollar, and next to nothing of what it was."""
    if trade.category.has_positions or not trade.open_qty:
        return False
    return _is_worth_nothing(trade, entry) and trade.open_qty <= trade.entry_qty * _DUST_SHARE


def _is_worth_nothing(trade: Trade, entry: LedgerEntry) -> bool:
    return trade.open_qty * entry.price * entry.coin_usd < _DUST_USD


def _closed(trade: Trade, entry: LedgerEntry, qty: Decimal, reason: ExitReason) -> tuple[Trade, Decimal]:
    """The trade after `qty` of it was closed at the entry's price, and what that gained by its own average cost."""
    whole = qty == trade.open_qty
    share = trade.open_value if whole else _EXACT.divide(_EXACT.multiply(trade.open_value, qty), trade.open_qty)
    value = _value(entry.category, qty, entry.price)
    gain = (share - value if entry.category is Category.INVERSE else value - share) * trade.side.sign
    after = replace(
        trade,
        open_qty=trade.open_qty - qty,
        open_value=_ZERO if whole else _EXACT.subtract(trade.open_value, share),
        exit_qty=trade.exit_qty + qty,
        exit_value=_EXACT.add(trade.exit_value, value),
        exit_reason=reason if whole else trade.exit_reason,
        closed_at_ms=entry.at_ms if whole else None,
    )
    return after, gain.quantize(_CENT, ROUND_HALF_EVEN)


@dataclass(slots=True)
class _Fill:
    """One fill's parts while they are settled."""

    held: Sequence[Trade]
    entry: LedgerEntry
    maker: Maker | None
    closing: Sequence[tuple[Trade, Decimal]]
    opened: Trade | None
    opened_qty: Decimal

    def settle(self) -> Applied:
        entry, reason = self.entry, self._reason
        changed: dict[str, Trade] = {}
        gains: dict[str, Decimal] = {}
        weights: dict[str, Decimal] = {}
        for trade, qty in self.closing:
            changed[trade.id], gains[trade.id] = _closed(trade, entry, qty, reason)
            weights[trade.id] = qty
        if self.opened is not None:
            changed[self.opened.id], weights[self.opened.id] = self.opened, self.opened_qty
        rest = [changed.get(trade.id, trade) for trade in self.held]
        if self.opened is not None and all(trade.id != self.opened.id for trade in rest):
            rest.append(self.opened)
        if self._may_only_close and sum((trade.signed_qty for trade in rest), _ZERO) == 0:
            # The position is gone: what strategies held against each other ends with it, at the same price.
            for trade in rest:
                if trade.open_qty:
                    changed[trade.id], gain = _closed(trade, entry, trade.open_qty, reason)
                    gains[trade.id] = gains.get(trade.id, _ZERO) + gain
        realised, touched = self._realised(changed, gains)
        signal = (self.maker.signal_id,) if self.maker is not None else ()
        paid = _paid(entry, [touched[each] for each in weights], list(weights.values()), signal)
        touched |= {trade.id: trade for trade in paid}
        sold = {trade.id for trade, _ in self.closing}
        trades = [part for trade in touched.values() for part in (self._parted(trade) if trade.id in sold else [trade])]
        return Applied(trades=tuple(trades), realised=realised)

    def _parted(self, trade: Trade) -> list[Trade]:
        """A round trip whose coins were sold but for dust is over: the dust is the beginning of the next one."""
        if not is_dust(trade, self.entry) or trade.closed_at_ms is not None:
            return [trade]
        dust = Trade(
            id=trade_id(trade.account, trade.strategy, f"{self.entry.exec_id} dust"),
            account=trade.account,
            strategy=trade.strategy,
            category=trade.category,
            symbol=trade.symbol,
            settle_coin=trade.settle_coin,
            side=trade.side,
            first_at_ms=self.entry.at_ms,
            opened_at_ms=self.entry.at_ms,
            open_qty=trade.open_qty,
            open_value=trade.open_value,
            size=trade.open_qty,
            entry_qty=trade.open_qty,
            entry_value=trade.open_value,
        )
        over = replace(
            trade,
            open_qty=_ZERO,
            open_value=_ZERO,
            entry_qty=trade.entry_qty - trade.open_qty,
            entry_value=_EXACT.subtract(trade.entry_value, trade.open_value),
            exit_reason=self._reason,
            closed_at_ms=self.entry.at_ms,
        )
        return [over, dust]

    @property
    def _reason(self) -> ExitReason:
        if self.maker is None:
            return self.entry.reason
        stopped = ExitReason.STOP_LOSS if self.maker.is_stop else ExitReason.ALERT
        return ExitReason.TAKE_PROFIT if self.maker.is_take_profit else stopped

    @property
    def _may_only_close(self) -> bool:
        return self.maker is None or self.maker.reduce_only

    def _realised(self, changed: Mapping[str, Trade], gains: Mapping[str, Decimal]) -> tuple[Decimal, dict[str, Trade]]:
        """The exchange's result over the trades: each by its own average cost, and the rest by `netting`."""
        netting = sum((trade.netting for trade in self.held), _ZERO)
        reckoned = sum(gains.values(), _ZERO)
        result = reckoned if self.entry.realised is None else self.entry.realised
        gains = dict(gains)
        if len(self.held) == 1 == len(gains) and not netting:
            gains = dict.fromkeys(gains, result)
        else:
            netting += result - reckoned
        touched = {trade.id: trade for trade in self.held if trade.netting} | dict(changed)
        still_open = [trade for trade in ({t.id: t for t in self.held} | touched).values() if trade.open_qty]
        if not still_open and gains and abs(netting) <= _ROUNDING:
            largest = max(gains, key=lambda each: touched[each].exit_qty)
            gains[largest] += netting
            netting = _ZERO
        touched = {each: _earned(trade, gains.get(each, _ZERO), self.entry.coin_usd) for each, trade in touched.items()}
        if netting:
            bearer = min(still_open or touched.values(), key=lambda trade: (trade.first_at_ms, trade.id))
            touched[bearer.id] = replace(touched.get(bearer.id, bearer), netting=netting)
        return result, touched


def _earned(trade: Trade, gain: Decimal, coin_usd: Decimal) -> Trade:
    """`netting` is given out anew with each fill."""
    usd = None if trade.net_usd is None else trade.net_usd + gain * coin_usd
    return replace(trade, realised=trade.realised + gain, netting=_ZERO, net_usd=usd)


def _paid(
    entry: LedgerEntry, trades: Sequence[Trade], weights: Sequence[Decimal], signals: tuple[str, ...] = ()
) -> list[Trade]:
    """Fees and funding over the trades that an entry touched."""
    fees, funding = split(entry.fee, weights), split(entry.funding, weights)
    others = {coin: split(fee, weights) for coin, fee in entry.fees_other.items()}
    worth = None if entry.fees_other_usd is None else split(entry.fees_other_usd, weights)
    paid = []
    for index, trade in enumerate(trades):
        more = {coin: trade.fees_other.get(coin, _ZERO) + fee[index] for coin, fee in others.items()}
        usd = None
        if trade.net_usd is not None and worth is not None:
            usd = trade.net_usd - (fees[index] + funding[index]) * entry.coin_usd - worth[index]
        paid.append(
            replace(
                trade,
                fees=trade.fees + fees[index],
                funding=trade.funding + funding[index],
                fees_other={**trade.fees_other, **more},
                net_usd=usd,
                signals=trade.signals + tuple(each for each in signals if each not in trade.signals),
            )
        )
    return paid


def _cash(held: Sequence[Trade], entry: LedgerEntry, account: str) -> Applied:
    """Money that moved for the position as it is: over the holdings on its side, in proportion."""
    net = sum((trade.signed_qty for trade in held), _ZERO)
    bearers = [trade for trade in held if trade.signed_qty * net > 0] or [trade for trade in held if trade.open_qty]
    if not bearers:
        nothing = older_trade(account, entry, side=entry.side, qty=_ZERO, price=entry.price, strategy=BY_HAND)
        bearers = [replace(nothing, closed_at_ms=entry.at_ms)]
    weights = [trade.open_qty or Decimal(1) for trade in bearers]
    result = entry.realised or _ZERO
    gains = split(result, weights)
    earned = [
        replace(_earned(trade, gain, entry.coin_usd), netting=trade.netting, open_value=_settled(trade, gain))
        for trade, gain in zip(bearers, gains, strict=True)
    ]
    return Applied(trades=tuple(_paid(entry, earned, weights)), realised=result)


def _settled(trade: Trade, gain: Decimal) -> Decimal:
    """What a settlement has paid out already, the rest of the trade does not gain again: it counts from there on."""
    towards = -trade.side.sign if trade.category is Category.INVERSE else trade.side.sign
    return _EXACT.add(trade.open_value, gain * towards) if trade.open_qty else trade.open_value


def _value(category: Category, qty: Decimal, price: Decimal) -> Decimal:
    """Contracts of inverse are worth a dollar each, so what averages there is the coins behind them."""
    return _EXACT.divide(qty, price) if category is Category.INVERSE else _EXACT.multiply(qty, price)


def _average(category: Category, qty: Decimal, value: Decimal) -> Decimal | None:
    if not qty or not value:
        return None
    return _EXACT.divide(qty, value) if category is Category.INVERSE else _EXACT.divide(value, qty)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayStep:
    """One entry in its place. `before`: the trades that were open then; `applied`: what it made of them."""

    entry: LedgerEntry
    maker: Maker | None
    before: tuple[Trade, ...]
    applied: Applied


def replay(
    trades: Iterable[Trade], entries: Iterable[tuple[LedgerEntry, Maker | None]], *, account: str
) -> list[ReplayStep]:
    """All entries of one symbol in their order, from these open trades on."""
    every = {trade.id: trade for trade in trades}
    steps = []
    for entry, maker in sorted(entries, key=lambda each: each[0].place):
        before = tuple(trade for trade in every.values() if trade.open_qty)
        applied = apply(before, entry, maker, account=account)
        every = {trade.id: trade for trade in (*before, *applied.trades)}
        steps.append(ReplayStep(entry=entry, maker=maker, before=before, applied=applied))
    return steps


def after(trades: Iterable[Trade], steps: Iterable[ReplayStep]) -> dict[str, Trade]:
    """Every trade after the steps, by id, those that were closed on the way among them."""
    every = {trade.id: trade for trade in trades}
    for step in steps:
        every |= {trade.id: trade for trade in step.applied.trades}
    return every
