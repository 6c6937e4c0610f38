"""What the private and public topics carry, from what an action changed (docs/v5/websocket/). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from relay.paper import account_api, positions_api, wire
from relay.paper.instruments import Instrument
from relay.paper.orders import Execution, Order
from relay.paper.state import Changes, State

PRIVATE_TOPICS = ("order", "execution", "position", "wallet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Rows of one topic of one category; `wallet` has none."""

    topic: str
    category: str
    rows: list[dict[str, Any]]


def events(state: State, changes: Changes) -> Iterator[Event]:
    """In the order in which they are told: fills, orders, positions, then what became of the wallet."""
    yield from _split("execution", state, ((each.order.symbol, _execution(state, each)) for each in changes.executions))
    yield from _split("order", state, ((each.symbol, _order(state, each)) for each in changes.orders.values()))
    yield from _split("position", state, ((symbol, _position(state, symbol, idx)) for symbol, idx in _moved(changes)))
    if changes.wallets:
        yield Event(topic="wallet", category="", rows=[account_api.unified(state, tuple(changes.wallets))])


def _split(topic: str, state: State, rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[Event]:
    """A message has rows of one category only."""
    found: dict[str, list[dict[str, Any]]] = {}
    for symbol, row in rows:
        category = state.instruments[symbol].category
        found.setdefault(category, []).append({"category": category, **row})
    for category, listed in found.items():
        yield Event(topic=topic, category=category, rows=listed)


def _moved(changes: Changes) -> list[tuple[str, int]]:
    """position.mdx: each new, amended or cancelled order brings a message too, whether anything moved or not."""
    beside = ((order.symbol, order.position_idx) for order in changes.orders.values())
    return list(dict.fromkeys((*changes.positions, *beside)))


def _execution(state: State, fill: Execution) -> dict[str, Any]:
    return {**wire.execution(fill, state.instruments[fill.order.symbol]), "isLeverage": "0"}


def _order(state: State, order: Order) -> dict[str, Any]:
    row = wire.order(order, state.instruments[order.symbol])
    return {**row, "closedPnl": wire.plain(order.closed_pnl), "feeCurrency": ""}


def _position(state: State, symbol: str, idx: int) -> dict[str, Any]:
    row = positions_api.row(state, state.instruments[symbol], idx)
    row["entryPrice"] = row.pop("avgPrice")
    return row


def ticker(state: State, instrument: Instrument, next_funding_ms: int) -> dict[str, Any]:
    row = wire.ticker(instrument, state.quotes[instrument.symbol], next_funding_ms)
    return {**row, "tickDirection": "ZeroPlusTick"}
