"""Writing down and finding what protects open positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, insert, select, update

from relay.domain.guard import Guard
from relay.domain.instrument import Category
from relay.journal.codec import from_json, to_json
from relay.journal.prepared import all_of
from relay.journal.store import Store
from relay.journal.tables import IS_LIVE, guards


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRecord:
    """A guard as it is kept. `signal_id`, `generation`: whose orders its take profits are."""

    seq: int
    signal_id: str
    account: str
    generation: int
    category: Category
    symbol: str
    guard: Guard


def add_guard(
    connection: Connection,
    *,
    signal_id: str,
    account: str,
    generation: int,
    category: Category,
    symbol: str,
    guard: Guard,
    now_ms: int,
) -> None:
    """A new guard; with the plan that it belongs to."""
    row = {
        "signal_id": signal_id,
        "account": account,
        "generation": generation,
        "category": category,
        "symbol": symbol,
        "status": guard.status,
        "guard": to_json(guard),
        "updated_at": now_ms,
    }
    connection.execute(insert(guards), row)


def keep_guard(connection: Connection, seq: int, guard: Guard, *, now_ms: int) -> None:
    """How it stands now."""
    row = {"status": guard.status, "guard": to_json(guard), "updated_at": now_ms}
    connection.execute(update(guards).where(guards.c.seq == seq).values(row))


_LIVE_OF = select(guards).where(
    IS_LIVE
    & (guards.c.account == bindparam("of_account"))
    & (guards.c.category == bindparam("of_category"))
    & (guards.c.symbol == bindparam("of_symbol"))
)


class GuardReads:
    """The journal's questions about guards."""

    store: Store

    def live_guards(self) -> tuple[GuardRecord, ...]:
        """Those of all accounts that wait or are active, oldest first."""
        with self.store.read() as connection:
            return _find(connection, IS_LIVE)

    def live_guards_of(self, account: str, category: Category, symbol: str) -> tuple[GuardRecord, ...]:
        """Those of one account and instrument, oldest first."""
        of_lane = {"of_account": account, "of_category": category, "of_symbol": symbol}
        with self.store.read() as connection:
            return _records(all_of(connection, _LIVE_OF, of_lane))


def _find(connection: Connection, which: ColumnElement[bool]) -> tuple[GuardRecord, ...]:
    return _records(connection.execute(select(guards).where(which)).all())


def _records(rows: Sequence[Any]) -> tuple[GuardRecord, ...]:
    """Sorted here, since for ORDER BY SQLite would pass over a partial index."""
    return tuple(_record(row) for row in sorted(rows, key=lambda row: row.seq))


def _record(row: Row[Any]) -> GuardRecord:
    return GuardRecord(
        seq=row.seq,
        signal_id=row.signal_id,
        account=row.account,
        generation=row.generation,
        category=row.category,
        symbol=row.symbol,
        guard=from_json(Guard, row.guard),
    )
