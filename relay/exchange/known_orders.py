"""The orders that rest at the exchange, as streams and readings tell of them. Pure.

For what is only said, never for what is done: an order event that was lost leaves an order standing here until the
next connection. Source: docs/v5/websocket/private/order.mdx.
"""

from __future__ import annotations

from collections import OrderedDict

from relay.domain.instrument import Category
from relay.exchange.wire import OpenOrder
from relay.exchange.wire.numbers import Row
from relay.exchange.wire.orders import open_order_from

_OPEN = frozenset({"New", "PartiallyFilled", "Untriggered"})
_ENDED_KEPT = 2000


class KnownOrders:
    """All of one account's."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, tuple[Category, str], OpenOrder]] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()

    def told(self, row: Row, category: Category) -> None:
        """A row of the `order` stream or of `/v5/order/realtime`; what has ended stays ended."""
        order_id, at_ms = row["orderId"], int(row["updatedTime"])
        if row["orderStatus"] not in _OPEN:
            self._open.pop(order_id, None)
            self._ended[order_id] = None
            if len(self._ended) > _ENDED_KEPT:
                self._ended.popitem(last=False)
            return
        known = self._open.get(order_id)
        if order_id not in self._ended and (known is None or known[0] <= at_ms):
            self._open[order_id] = (at_ms, (category, row["symbol"]), open_order_from(row))

    def forget(self) -> None:
        self._open.clear()

    def at(self, category: Category, symbol: str) -> tuple[OpenOrder, ...]:
        return tuple(order for _, where, order in self._open.values() if where == (category, symbol))
