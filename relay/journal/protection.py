"""What protects open positions: writing it, and finding it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from relay.domain.bracket import Bracket
from relay.domain.instrument import Category
from relay.journal.codec import from_json, to_json
from relay.journal.statements import fetch_all
from relay.journal.tables import IS_LIVE, guards

_LIVE = select(guards).where(IS_LIVE)
_LIVE_OF_LANE = _LIVE.where(
    guards.c.account == bindparam("of_account"),
    guards.c.category == bindparam("of_category"),
    guards.c.symbol == bindparam("of_symbol"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketRecord:
    """A guard as it is stored. `signal_id`, `generation`: whose orders its take profits are."""

    seq: int
    signal_id: str
    account: str
    generation: int
    category: Category
    symbol: str
    bracket: Bracket


class Protection:
    """The guards, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self,
        *,
        signal_id: str,
        account: str,
        generation: int,
        category: Category,
        symbol: str,
        bracket: Bracket,
        now_ms: int,
    ) -> None:
        """A new guard; with the plan that it belongs to."""
        row = {
            "signal_id": signal_id,
            "account": account,
            "generation": generation,
            "category": category,
            "symbol": symbol,
            **_columns(bracket, now_ms),
        }
        self._connection.execute(insert(guards), row)

    def save(self, seq: int, bracket: Bracket, *, now_ms: int) -> None:
        """How a guard stands now."""
        self._connection.execute(update(guards).where(guards.c.seq == seq).values(_columns(bracket, now_ms)))


def live_brackets(connection: Connection) -> tuple[BracketRecord, ...]:
    """Those of all accounts that wait or are active, oldest first."""
    return _records(fetch_all(connection, _LIVE, {}))


def live_brackets_of(
    connection: Connection, account: str, category: Category, symbol: str
) -> tuple[BracketRecord, ...]:
    """Those of one account and instrument, oldest first."""
    of_lane = {"of_account": account, "of_category": category, "of_symbol": symbol}
    return _records(fetch_all(connection, _LIVE_OF_LANE, of_lane))


def _columns(bracket: Bracket, now_ms: int) -> dict[str, Any]:
    return {"status": bracket.status, "guard": to_json(bracket), "updated_at": now_ms}


def _records(rows: Sequence[Any]) -> tuple[BracketRecord, ...]:
    """Sorted here, since for ORDER BY SQLite would pass over a partial index."""
    return tuple(
        BracketRecord(
            seq=row.seq,
            signal_id=row.signal_id,
            account=row.account,
            generation=row.generation,
            category=row.category,
            symbol=row.symbol,
            bracket=from_json(Bracket, row.guard),
        )
        for row in sorted(rows, key=lambda row: row.seq)
    )
