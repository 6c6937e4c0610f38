"""The pure book: what orders do to positions, wallets and each other, without a server."""

from __future__ import annotations

from decimal import Decimal

import pytest

from relay.paper.exchange import Book
from relay.paper.orders import ZERO, Ask, Exits, Order, OrderType, Refusal, Side, Status, StopKind, TimeInForce
from relay.paper.state import Quote, State, load

INSTRUMENTS = load()


@pytest.fixture
def book() -> Book:
    return Book(State(INSTRUMENTS))


def ask(side: Side, qty: str, price: str | None = None, **more: object) -> Ask:
    fields: dict[str, object] = {
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": side,
        "order_type": OrderType.LIMIT if price else OrderType.MARKET,
        "qty": Decimal(qty),
        "price": Decimal(price) if price else None,
        **more,
    }
    return Ask(**fields)  # type: ignore[arg-type]


def place(book: Book, side: Side, qty: str, price: str | None = None, **more: object) -> Order:
    placed = book.place(ask(side, qty, price, **more), 1)
    assert isinstance(placed, Order), placed
    return placed


def move(book: Book, price: str, *, depth: str | None = None, symbol: str = "BTCUSDT") -> None:
    book.move(symbol, Quote.flat(Decimal(price), depth=Decimal(depth) if depth is not None else None), 2)


def size(book: Book) -> Decimal:
    return book.state.position("BTCUSDT", 0).size


def test_a_limit_that_does_not_cross_rests_and_fills_at_its_own_price_as_maker(book: Book) -> None:
    order = place(book, Side.BUY, "1", "99000")
    assert (order.status, size(book)) == (Status.NEW, ZERO)
    move(book, "98000")
    assert (order.status, order.cum_value) == (Status.FILLED, Decimal(99000))
    fill = book.state.changes.executions[-1]
    assert (fill.is_maker, fill.fee) == (True, Decimal("19.8"))


def test_a_limit_that_crosses_fills_as_taker_at_the_market(book: Book) -> None:
    order = place(book, Side.BUY, "1", "101000")
    assert (order.status, order.cum_value) == (Status.FILLED, Decimal(100000))
    assert not book.state.changes.executions[-1].is_maker


def test_a_spread_is_paid_by_takers(book: Book) -> None:
    price = Decimal(100000)
    book.move("BTCUSDT", Quote(last=price, mark=price, index=price, bid=price - 10, ask=price + 10), 1)
    assert place(book, Side.BUY, "1").cum_value == 100010
    assert place(book, Side.SELL, "1").cum_value == 99990


@pytest.mark.parametrize(
    ("force", "price", "reason"),
    [
        (TimeInForce.POST_ONLY, "101000", "EC_PostOnlyWillTakeLiquidity"),
        (TimeInForce.IOC, "99000", "EC_NoImmediateQtyToFill"),
        (TimeInForce.FOK, "99000", "EC_CancelForNoFullFill"),
    ],
)
def test_an_order_that_may_not_rest_or_not_take_is_cancelled(
    book: Book, force: TimeInForce, price: str, reason: str
) -> None:
    order = place(book, Side.BUY, "1", price, time_in_force=force)
    assert (order.status, order.reject_reason, order.cum_qty) == (Status.CANCELLED, reason, ZERO)


def test_a_market_order_takes_what_there_is_and_the_rest_is_cancelled(book: Book) -> None:
    move(book, "100000", depth="0.4")
    order = place(book, Side.BUY, "1")
    assert (order.status, order.cum_qty, size(book)) == (Status.CANCELLED, Decimal("0.4"), Decimal("0.4"))


def test_fill_or_kill_wants_all_or_nothing(book: Book) -> None:
    move(book, "100000", depth="0.4")
    order = place(book, Side.BUY, "1", "100000", time_in_force=TimeInForce.FOK)
    assert (order.status, order.cum_qty) == (Status.CANCELLED, ZERO)


def test_a_limit_that_took_what_there_was_rests_with_the_remainder(book: Book) -> None:
    move(book, "100000", depth="0.4")
    order = place(book, Side.BUY, "1", "100000")
    assert (order.status, order.leaves) == (Status.PARTIALLY_FILLED, Decimal("0.6"))
    move(book, "100000")
    assert order.status is Status.FILLED


def test_one_order_flips_a_position(book: Book) -> None:
    place(book, Side.BUY, "1")
    place(book, Side.SELL, "3")
    assert size(book) == -2


def test_a_reduce_only_order_is_cut_to_the_position(book: Book) -> None:
    place(book, Side.BUY, "1")
    order = place(book, Side.SELL, "5", reduce_only=True)
    assert (order.qty, order.status, size(book)) == (Decimal(1), Status.FILLED, ZERO)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (None, "current position is zero, cannot fix reduce-only order qty"),
        (Side.SELL, "Reduce-only rule not satisfied"),
    ],
)
def test_reduce_only_without_anything_to_reduce_is_refused(book: Book, held: Side | None, words: str) -> None:
    if held:
        place(book, held, "1")
    assert book.place(ask(Side.SELL, "1", reduce_only=True), 1) == Refusal(code=110017, message=words)


def test_resting_reduce_only_orders_never_sum_to_more_than_the_position(book: Book) -> None:
    place(book, Side.BUY, "1")
    first = place(book, Side.SELL, "0.7", "110000", reduce_only=True)
    second = place(book, Side.SELL, "0.7", "120000", reduce_only=True)
    assert (first.qty, second.qty) == (Decimal("0.7"), Decimal("0.3"))
    third = book.place(ask(Side.SELL, "0.7", "130000", reduce_only=True), 1)
    assert third == Refusal(code=110017, message="orderQty will be truncated to zero.")


def test_a_reduce_only_market_order_executes_and_the_resting_ones_shrink_farthest_first(book: Book) -> None:
    place(book, Side.BUY, "1")
    near = place(book, Side.SELL, "0.5", "110000", reduce_only=True)
    far = place(book, Side.SELL, "0.5", "120000", reduce_only=True)
    place(book, Side.SELL, "0.7", reduce_only=True)
    assert size(book) == Decimal("0.3")
    assert (near.status, near.qty) == (Status.NEW, Decimal("0.3"))
    assert (far.status, far.cancel_type) == (Status.CANCELLED, "CancelByReduceOnly")


def test_closing_takes_every_resting_reduce_only_order_with_it(book: Book) -> None:
    place(book, Side.BUY, "1")
    resting = place(book, Side.SELL, "1", "110000", reduce_only=True)
    place(book, Side.SELL, "1", reduce_only=True)
    assert (resting.status, resting.cancel_type) == (Status.CANCELLED, "CancelByReduceOnly")


def test_quantity_zero_with_both_closing_flags_closes_everything(book: Book) -> None:
    place(book, Side.SELL, "2.5")
    order = place(book, Side.BUY, "0", reduce_only=True, close_on_trigger=True)
    assert (order.qty, size(book)) == (Decimal("2.5"), ZERO)


def test_a_conditional_order_waits_for_its_price_and_then_fills_at_the_market(book: Book) -> None:
    order = place(book, Side.BUY, "1", trigger_price=Decimal(105000), trigger_direction=1)
    move(book, "104999")
    assert (order.status, order.stop_kind) == (Status.UNTRIGGERED, StopKind.STOP)
    move(book, "106000")
    assert (order.status, order.cum_value) == (Status.FILLED, Decimal(106000))


def test_a_triggered_limit_rests_when_the_market_has_passed_it(book: Book) -> None:
    order = place(book, Side.BUY, "1", "104000", trigger_price=Decimal(105000), trigger_direction=1)
    move(book, "106000")
    assert order.status is Status.NEW
    move(book, "104000")
    assert (order.status, order.cum_value) == (Status.FILLED, Decimal(104000))


def test_a_conditional_order_that_cannot_be_paid_for_is_cancelled_when_it_triggers(book: Book) -> None:
    book.state.wallets["USDT"].balance = Decimal(100)
    order = place(book, Side.BUY, "1", trigger_price=Decimal(105000), trigger_direction=1)
    move(book, "106000")
    assert (order.status, size(book)) == (Status.CANCELLED, ZERO)


def test_a_resting_order_ties_up_margin_and_its_cancellation_frees_it(book: Book) -> None:
    book.state.wallets["USDT"].balance = Decimal(11000)
    first = place(book, Side.BUY, "1", "99000")
    assert isinstance(book.place(ask(Side.BUY, "1", "99000"), 1), Refusal)
    book.cancel(lambda order: order is first, 1)
    place(book, Side.BUY, "1", "99000")


def test_closing_is_never_refused_for_want_of_balance(book: Book) -> None:
    place(book, Side.BUY, "9")
    book.state.wallets["USDT"].balance = Decimal(0)
    place(book, Side.SELL, "9")
    assert size(book) == 0


def test_an_amended_limit_that_now_crosses_fills(book: Book) -> None:
    order = place(book, Side.BUY, "1", "99000")
    no_levels = Exits()
    refusal = book.amend(order, qty=None, price=Decimal(100000), trigger=None, exits=no_levels, now_ms=2)
    assert (refusal, order.status) == (None, Status.FILLED)


def test_prices_are_met_in_the_order_of_the_move(book: Book) -> None:
    """A gap through a limit entry and its deeper neighbour fills the nearer first."""
    far = place(book, Side.BUY, "1", "97000")
    near = place(book, Side.BUY, "1", "99000")
    move(book, "96000")
    fills = [fill.order.id for fill in book.state.changes.executions]
    assert fills == [near.id, far.id]


def test_hedge_mode_keeps_two_positions_and_refuses_index_zero(book: Book) -> None:
    assert book.switch_mode(INSTRUMENTS["BTCUSDT"], hedge=True) is None
    assert book.place(ask(Side.BUY, "1"), 1) == Refusal(code=10001, message="position idx not match position mode")
    place(book, Side.BUY, "1", position_idx=1)
    place(book, Side.SELL, "2", position_idx=2)
    place(book, Side.SELL, "0.5", position_idx=1)
    sizes = [book.state.position("BTCUSDT", idx).size for idx in (1, 2)]
    assert sizes == [Decimal("0.5"), Decimal(-2)]


def test_listeners_are_told_of_published_changes(book: Book) -> None:
    seen: list[str] = []
    book.listeners.append(lambda changes: seen.extend(changes.orders))
    order = place(book, Side.BUY, "1")
    book.publish(book.state.take_changes())
    assert seen == [order.id]


@pytest.mark.parametrize("side", list(Side))
def test_margin_is_wanted_on_either_side_and_not_for_the_cheaper_one(book: Book, side: Side) -> None:
    book.state.wallets["USDT"].balance = Decimal(11000)
    place(book, side, "1")
    refusal = book.place(ask(side, "0.2"), 1)
    assert refusal == Refusal(code=110007, message="ab not enough for new order")
    place(book, side.opposite, "1.5")
