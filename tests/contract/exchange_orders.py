"""Orders for tests that place them at the paper exchange."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from relay.bybit.client import Exchange
from relay.domain.instrument import Category
from relay.domain.order import Accepted, OrderRejected, OrderType, Outcome, PlannedOrder, Purpose, Side
from relay.domain.position import OrderReport

BTC: dict[str, Any] = {"category": Category.LINEAR, "symbol": "BTCUSDT"}
INVERSE: dict[str, Any] = {"category": Category.INVERSE, "symbol": "BTCUSD"}
PRICE = Decimal(100_000)


def clean_up(exchange: Exchange) -> None:
    for where in (BTC, INVERSE):
        for order in exchange.open_orders(**where):
            if not order.is_stop:
                exchange.cancel(**where, client_order_id=order.client_order_id)
    for position in exchange.positions():
        closing = planned(
            category=position.category,
            symbol=position.symbol,
            side=Side.towards(-position.size),
            closes_all=True,
            reduce_only=True,
        )
        assert isinstance(place(exchange, closing), Accepted)


_numbers = iter(range(1_000_000))


def fresh_id() -> str:
    return f"id-{next(_numbers)}"


def planned(**changes: Any) -> PlannedOrder:
    fields: dict[str, Any] = {
        **BTC,
        "leg": 0,
        "side": Side.BUY,
        "type": OrderType.MARKET,
        "qty": Decimal("0.01"),
        "purpose": Purpose.ENTRY,
    }
    return PlannedOrder(**{**fields, **changes})


def place(exchange: Exchange, order: PlannedOrder, client_order_id: str | None = None) -> Outcome:
    return exchange.place(
        order, client_order_id=client_order_id or fresh_id(), signature=exchange.signature(), is_exit=order.reduce_only
    )


def placed(exchange: Exchange, **changes: Any) -> OrderReport:
    """Place an order that is accepted; what the exchange says of it."""
    order, client_order_id = planned(**changes), fresh_id()
    outcome = place(exchange, order, client_order_id)
    assert isinstance(outcome, Accepted), outcome
    report = exchange.look_up(category=order.category, symbol=order.symbol, client_order_id=client_order_id)
    assert report is not None
    assert (report.client_order_id, report.venue_order_id) == (client_order_id, outcome.venue_order_id)
    return report


def rejected(exchange: Exchange, **changes: Any) -> OrderRejected:
    outcome = place(exchange, planned(**changes))
    assert isinstance(outcome, OrderRejected), outcome
    return outcome
