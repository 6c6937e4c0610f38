"""Spot on the pure book: whatever happens in whatever order, no coin appears, none is spent twice."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.paper import margin
from relay.paper.exchange import Book
from relay.paper.orders import (
    NO_EXITS,
    QUOTE_COIN,
    SPOT,
    ZERO,
    Ask,
    Exits,
    Order,
    OrderType,
    Refusal,
    Side,
    Status,
    StopKind,
    TimeInForce,
)
from relay.paper.state import Quote, State, load

INSTRUMENTS = load()
KEY = "spot:BTCUSDT"
PAIR = INSTRUMENTS[KEY]
COINS = (PAIR.base_coin, PAIR.quote_coin)
LEVELS = Exits(take_profit=Decimal(102_000), stop_loss=Decimal(98_000))


@pytest.fixture
def book() -> Book:
    return Book(State(INSTRUMENTS))


def ask(side: Side, qty: str | Decimal, price: str | Decimal | None = None, **more: object) -> Ask:
    fields: dict[str, object] = {
        "category": SPOT,
        "symbol": "BTCUSDT",
        "side": side,
        "order_type": OrderType.LIMIT if price else OrderType.MARKET,
        "qty": Decimal(qty),
        "price": Decimal(price) if price else None,
        "time_in_force": TimeInForce.GTC if price else TimeInForce.IOC,
        **more,
    }
    return Ask(**fields)  # type: ignore[arg-type]


def place(book: Book, side: Side, qty: str, price: str | None = None, **more: object) -> Order:
    placed = book.place(ask(side, qty, price, **more), 1)
    assert isinstance(placed, Order), placed
    return placed


def move(book: Book, price: str | Decimal, depth: str | None = None) -> None:
    book.move(KEY, Quote.flat(Decimal(price), depth=None if depth is None else Decimal(depth)), 2)


def waiting(book: Book) -> list[Order]:
    return [order for order in book.state.orders_of(KEY) if order.status is Status.UNTRIGGERED]


def test_levels_come_with_the_last_fill_or_with_the_end_of_a_part_filled_entry(book: Book) -> None:
    entry = place(book, Side.BUY, "0.1", "99000", exits=LEVELS)
    move(book, "98900", depth="0.04")
    assert (entry.status, waiting(book)) == (Status.PARTIALLY_FILLED, [])
    book.cancel(lambda order: order is entry, 3)
    assert entry.status is Status.PARTIALLY_FILLED_CANCELED
    assert [leg.qty for leg in waiting(book)] == [Decimal("0.03996")] * 2


def test_a_stop_that_is_passed_when_it_comes_sells_at_once(book: Book) -> None:
    place(book, Side.BUY, "0.1", "99000", exits=LEVELS)
    move(book, "97000")
    assert waiting(book) == []
    assert [(fill.order.side, fill.price) for fill in book.state.changes.executions] == [
        (Side.BUY, Decimal(99_000)),
        (Side.SELL, Decimal(97_000)),
    ]


def test_one_level_alone_is_a_tpsl_order_and_cancelling_one_of_two_ends_both(book: Book) -> None:
    place(book, Side.BUY, "0.1", "100000", exits=Exits(stop_loss=Decimal(98_000)))
    (only,) = waiting(book)
    assert only.stop_kind is StopKind.TPSL
    place(book, Side.BUY, "0.1", "100000", exits=LEVELS)
    one, other = (leg for leg in waiting(book) if leg is not only)
    book.cancel(lambda order: order is one, 3)
    assert {one.status, other.status} == {Status.DEACTIVATED}


def test_a_limit_level_rests_at_its_own_price(book: Book) -> None:
    exits = Exits(take_profit=Decimal(102_000), tp_limit_price=Decimal(102_100))
    place(book, Side.BUY, "0.1", "100000", exits=exits)
    (leg,) = waiting(book)
    move(book, "102050")
    assert (leg.status, leg.price) == (Status.NEW, Decimal(102_100))
    move(book, "102100")
    assert leg.status is Status.FILLED


def test_a_stop_limit_beyond_the_bound_at_its_trigger_is_cancelled(book: Book) -> None:
    stop = place(
        book, Side.SELL, "0.1", "94000", trigger_price=Decimal(95_000), time_in_force=TimeInForce.GTC
    )  # the floor is 0.5 % under the index
    move(book, "95000")
    assert stop.status is Status.CANCELLED


def test_there_is_an_end_to_how_many_orders_may_wait(book: Book) -> None:
    trigger = Decimal(95_000)
    for _ in range(30):
        place(book, Side.SELL, "0.001", trigger_price=trigger)
        place(book, Side.SELL, "0.001", stop_kind=StopKind.TPSL, trigger_price=trigger)
    for kind in (StopKind.STOP, StopKind.TPSL):
        refused = book.place(ask(Side.SELL, "0.001", stop_kind=kind, trigger_price=trigger), 1)
        assert isinstance(refused, Refusal) and refused.code == 170810
    for _ in range(440):
        place(book, Side.BUY, "0.0001", "60000")
    refused = book.place(ask(Side.BUY, "0.0001", "60000"), 1)
    assert isinstance(refused, Refusal) and refused.code == 170810


def test_a_market_far_from_its_last_price_takes_nothing(book: Book) -> None:
    price = Decimal(100_000)
    book.move(KEY, Quote(last=price, mark=price, index=price, bid=price, ask=Decimal(101_100)), 1)
    order = place(book, Side.BUY, "0.1")
    assert (order.status, order.reject_reason) == (Status.CANCELLED, "EC_ReachRiskPriceLimit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happens: an order; without `side` a new price or, where `kind` says so, an end or new terms."""

    side: Side | None
    thousandths: int
    offset: int
    limit: bool
    by_value: bool
    kind: StopKind
    force: TimeInForce
    levels: bool
    depth: int | None


steps = st.builds(
    Step,
    side=st.sampled_from([Side.BUY, Side.SELL, None]),
    thousandths=st.integers(1, 1500),
    offset=st.integers(-40, 40),
    limit=st.booleans(),
    by_value=st.booleans(),
    kind=st.sampled_from([StopKind.NONE, StopKind.NONE, StopKind.STOP, StopKind.TPSL]),
    force=st.sampled_from(list(TimeInForce)),
    levels=st.booleans(),
    depth=st.sampled_from([None, None, 3, 700]),
)


def play(book: Book, step: Step, number: int) -> None:
    price = PAIR.start_price * (1 + Decimal(step.offset) / 1000)
    qty = Decimal(step.thousandths) / 1000
    if step.side is not None:
        book.place(_ask(step, step.side, qty, price), number)
    elif step.kind is StopKind.NONE:
        move(book, price, None if step.depth is None else str(Decimal(step.depth) / 1000))
    else:
        found = book.state.orders_of(KEY)
        chosen = list(found)[step.thousandths % len(list(found))] if found else None
        if chosen is None:
            return
        if step.kind is StopKind.STOP:
            book.cancel(lambda order: order is chosen, number)
        else:
            book.amend(chosen, qty=qty, price=price, trigger=None, exits=NO_EXITS, now_ms=number)


def _ask(step: Step, side: Side, qty: Decimal, price: Decimal) -> Ask:
    waits = step.kind is not StopKind.NONE
    levels = LEVELS if step.levels and step.limit and not waits and side is Side.BUY else NO_EXITS
    by_value = step.by_value and not step.limit
    return ask(
        side,
        qty * 50_000 if by_value else qty,
        price if step.limit else None,
        time_in_force=step.force if step.limit else TimeInForce.IOC,
        trigger_price=price + 100 if waits else None,
        stop_kind=step.kind if waits else StopKind.STOP,
        market_unit="" if step.limit else QUOTE_COIN if by_value else "baseCoin",
        exits=levels,
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, min_size=1, max_size=30))
def test_no_coin_appears_is_spent_twice_or_stays_locked(story: list[Step]) -> None:
    book = Book(State(INSTRUMENTS, balances={"USDT": Decimal(60_000), "BTC": Decimal("0.5")}))
    state = book.state
    start = {coin: state.wallets[coin].balance for coin in COINS}
    for number, step in enumerate(story):
        play(book, step, number)
        moved = dict.fromkeys(COINS, ZERO)
        for fill in state.changes.executions:
            moved[PAIR.base_coin] += fill.qty * fill.order.side.sign
            moved[PAIR.quote_coin] -= fill.value * fill.order.side.sign
            moved[fill.fee_coin] -= fill.fee
        for coin in COINS:
            balance = state.wallets[coin].balance
            assert balance - start[coin] == moved[coin]
            assert 0 <= margin.locked(state, coin) <= balance
    while state.open_orders[KEY]:  # the end of an entry that was filled in part brings its levels
        book.cancel(lambda order: True, len(story))
    assert [margin.locked(state, coin) for coin in COINS] == [ZERO, ZERO]
    for order in state.recent[SPOT].values():
        assert order.cum_qty % PAIR.qty_step == 0
        assert order.leaves >= 0
