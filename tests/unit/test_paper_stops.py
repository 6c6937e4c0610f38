"""Take profit, stop loss and trailing stop in the pure book."""

from __future__ import annotations

from decimal import Decimal

import pytest

from relay.paper.exchange import Book
from relay.paper.orders import Ask, Exits, Order, OrderType, Refusal, Side, Status, StopKind
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


def stops_of(book: Book) -> dict[StopKind, Order]:
    return {o.stop_kind: o for o in book.state.orders_of("BTCUSDT") if o.is_position_stop}


def test_stops_on_an_order_come_to_life_with_its_fill_and_follow_the_position(book: Book) -> None:
    levels = Exits(take_profit=Decimal(110000), stop_loss=Decimal(95000))
    order = place(book, Side.BUY, "1", "99000", exits=levels)
    assert stops_of(book) == {}
    move(book, "99000")
    assert order.status is Status.FILLED
    place(book, Side.BUY, "1")
    found = stops_of(book)
    assert {kind: (stop.trigger_price, stop.qty) for kind, stop in found.items()} == {
        StopKind.TAKE_PROFIT: (Decimal(110000), Decimal(2)),
        StopKind.STOP_LOSS: (Decimal(95000), Decimal(2)),
    }


def test_a_stop_loss_closes_the_position_and_takes_the_take_profit_with_it(book: Book) -> None:
    place(book, Side.BUY, "1", exits=Exits(take_profit=Decimal(110000), stop_loss=Decimal(95000)))
    profit = stops_of(book)[StopKind.TAKE_PROFIT]
    move(book, "94000")
    assert size(book) == 0
    assert (profit.status, profit.cancel_type) == (Status.DEACTIVATED, "CancelByTpSlTsClear")
    assert book.state.changes.executions[-1].price == 94000


def test_a_flip_replaces_the_old_sides_stops_by_its_own(book: Book) -> None:
    place(book, Side.BUY, "1", exits=Exits(stop_loss=Decimal(95000)))
    place(book, Side.SELL, "2", exits=Exits(stop_loss=Decimal(105000)))
    stop = stops_of(book)[StopKind.STOP_LOSS]
    assert (stop.side, stop.trigger_price, stop.qty) == (Side.BUY, Decimal(105000), Decimal(1))


def test_a_stop_that_is_already_passed_when_its_order_fills_triggers_at_once(book: Book) -> None:
    place(book, Side.BUY, "1", "99000", exits=Exits(stop_loss=Decimal(95000)))
    move(book, "90000")
    assert size(book) == 0


def test_a_trailing_stop_follows_the_best_price(book: Book) -> None:
    place(book, Side.BUY, "1")
    assert book.set_stops(INSTRUMENTS["BTCUSDT"], 0, Exits(trailing_stop=Decimal(1000)), 1) is None
    move(book, "105000")
    move(book, "104100")
    assert size(book) == 1
    move(book, "104000")
    assert size(book) == 0


def test_a_trailing_stop_of_a_short_starts_at_its_activation_price(book: Book) -> None:
    place(book, Side.SELL, "1")
    levels = Exits(trailing_stop=Decimal(1000), active_price=Decimal(95000))
    book.set_stops(INSTRUMENTS["BTCUSDT"], 0, levels, 1)
    move(book, "101500")
    assert size(book) == -1
    move(book, "94000")
    move(book, "95000")
    assert size(book) == 0


def test_partial_stops_come_in_pairs_of_which_one_cancels_the_other(book: Book) -> None:
    place(book, Side.BUY, "2")
    levels = Exits(
        take_profit=Decimal(110000),
        stop_loss=Decimal(95000),
        partial=True,
        tp_size=Decimal("0.5"),
        sl_size=Decimal("0.5"),
    )
    assert book.set_stops(INSTRUMENTS["BTCUSDT"], 0, levels, 1) is None
    loss = stops_of(book)[StopKind.PARTIAL_STOP_LOSS]
    move(book, "110000")
    assert size(book) == Decimal("1.5")
    assert (loss.status, loss.cancel_type) == (Status.DEACTIVATED, "CancelByOCOSlCanceledByTpTriggered")


def test_stops_without_a_position_and_stops_on_the_wrong_side_are_refused(book: Book) -> None:
    instrument = INSTRUMENTS["BTCUSDT"]
    levels = Exits(stop_loss=Decimal(105000))
    assert book.set_stops(instrument, 0, levels, 1) == Refusal(
        code=10001, message="can not set tp/sl/ts for zero position"
    )
    place(book, Side.BUY, "1")
    refusal = book.set_stops(instrument, 0, levels, 1)
    assert refusal is not None
    assert refusal.message == (
        "StopLoss:1050000000 set for Buy position should be lower than base_price:1000000000??LastPrice"
    )


def test_setting_the_same_stop_again_is_not_modified(book: Book) -> None:
    place(book, Side.BUY, "1")
    for wanted in (None, Refusal(code=34040, message="not modified")):
        assert book.set_stops(INSTRUMENTS["BTCUSDT"], 0, Exits(stop_loss=Decimal(95000)), 1) == wanted
