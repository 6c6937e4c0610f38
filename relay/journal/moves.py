"""How far each order of an instrument has moved its position, as far as the journal knows."""

from __future__ import annotations

from sqlalchemy import and_, bindparam, select

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus
from relay.domain.position import Moved
from relay.journal.prepared import all_of
from relay.journal.store import Store
from relay.journal.tables import orders

_ASKED = select(orders.c.client_order_id, orders.c.filled_qty, orders.c.status, orders.c.rests).where(
    orders.c.account == bindparam("of_account"),
    orders.c.category == bindparam("of_category"),
    orders.c.symbol == bindparam("of_symbol"),
    orders.c.updated_at >= bindparam("since"),
    and_(*(orders.c.status != each for each in (OrderStatus.PLANNED, OrderStatus.DENIED))),
)


class Moves:
    """Thread-safe. Raises JournalUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def since(self, account: str, category: Category, symbol: str, since_ms: int) -> tuple[Moved, ...]:
        """Of every order that may have been sent, and of which anything was written down since then."""
        of = {"of_account": account, "of_category": category, "of_symbol": symbol, "since": since_ms}
        with self._store.read() as connection:
            rows = all_of(connection, _ASKED, of)
        return tuple(
            Moved(
                client_order_id=row.client_order_id,
                filled_qty=row.filled_qty,
                is_settled=row.rests or row.status.is_ended,
            )
            for row in rows
        )
