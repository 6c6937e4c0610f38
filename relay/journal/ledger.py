"""The accounts' money as the exchange reported it: transactions, their totals by day, and equity over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Delete, delete, func, insert, select, tuple_, update

from relay.domain.performance import DayTotal, Equity, LedgerEntry
from relay.journal.store import Store, hold, locks_on
from relay.journal.tables import booked_until, bookings, day_totals, equity_points

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
BOOKABLE_MS: Final = 30 * DAY_MS
"""What is older is not booked any more, so that nothing counts again once its execution is forgotten."""
_STORED_MS: Final = 90 * DAY_MS
_ALL_MS: Final = 7 * DAY_MS
"""Every point is kept for so long, then the last of each hour, and after `_KEPT_MS` the last of each day."""
_BATCH: Final = 500
_DEADLINE_S: Final = 10.0


class Ledger:
    """All methods may be called from any thread. Times are Unix milliseconds. Raises JournalUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def book(self, account: str, reported: Sequence[LedgerEntry], *, until_ms: int | None = None, now_ms: int) -> int:
        """How many of them are new: each counts once. `until_ms`: everything before that is booked with these."""

        def work(connection: Connection) -> int:
            _hold(connection, account)
            new = _new_of(connection, account, [each for each in reported if each.at_ms > now_ms - BOOKABLE_MS])
            if new:
                connection.execute(insert(bookings), [_ledger_entry_row(account, each) for each in new])
                _add_up(connection, account, new)
            if until_ms is not None:
                _keep_until(connection, account, until_ms)
            return len(new)

        return self._store.submit(work, deadline_s=_DEADLINE_S)

    def booked_until(self, account: str) -> int | None:
        """Returns None if nothing was ever read."""
        with self._store.read() as connection:
            return _until(connection, account)

    def add_equity(self, account: str, points: Sequence[Equity], *, apart_ms: int) -> bool:
        """Returns False if there is a point less than `apart_ms` before these, of another process or an earlier run."""

        def work(connection: Connection) -> bool:
            _hold(connection, account)
            last = select(func.max(equity_points.c.at)).where(equity_points.c.account == account)
            before: int | None = connection.execute(last).scalar()
            if not points or (before is not None and points[0].at_ms - before < apart_ms):
                return False
            connection.execute(insert(equity_points), [_equity_row(account, each) for each in points])
            return True

        return self._store.submit(work, deadline_s=_DEADLINE_S)

    def equity(self, account: str, since_ms: int) -> list[Equity]:
        """The oldest first."""
        which = (equity_points.c.account == account) & (equity_points.c.at >= since_ms)
        with self._store.read() as connection:
            statement = select(equity_points).where(which).order_by(equity_points.c.at, equity_points.c.coin)
            return [
                Equity(coin=row.coin, equity=row.equity, unrealised=row.unrealised, usd=row.usd, at_ms=row.at)
                for row in connection.execute(statement)
            ]

    def days(self, account: str, since_ms: int) -> list[DayTotal]:
        """The oldest first, from the day of that moment on."""
        which = (day_totals.c.account == account) & (day_totals.c.day >= _day(since_ms))
        with self._store.read() as connection:
            statement = select(day_totals).where(which).order_by(day_totals.c.day, day_totals.c.coin)
            return [
                DayTotal(day=row.day, coin=row.coin, realised=row.realised, fees=row.fees, funding=row.funding)
                for row in connection.execute(statement)
            ]

    def thin(self, now_ms: int) -> int:
        """Forget what is finer than it is of use; the totals of the days stay. How many rows went."""
        gone = self._thin(now_ms - _STORED_MS, now_ms - _ALL_MS, HOUR_MS) + self._thin(0, now_ms - _STORED_MS, DAY_MS)
        old = delete(bookings).where(bookings.c.at < now_ms - _STORED_MS)
        return gone + self._store.submit(partial(_execute, statement=old), deadline_s=_DEADLINE_S)

    def _thin(self, from_ms: int, until_ms: int, every_ms: int) -> int:
        columns = (equity_points.c.account, equity_points.c.coin, equity_points.c.at)
        which = (equity_points.c.at >= from_ms) & (equity_points.c.at < until_ms)
        with self._store.read() as connection:
            rows = connection.execute(select(*columns).where(which).order_by(equity_points.c.at)).all()
        last = {(row.account, row.coin, row.at // every_ms): row.at for row in rows}
        spare = [tuple(row) for row in rows if last[row.account, row.coin, row.at // every_ms] != row.at]
        for first in range(0, len(spare), _BATCH):
            gone = delete(equity_points).where(tuple_(*columns).in_(spare[first : first + _BATCH]))
            self._store.submit(partial(_execute, statement=gone), deadline_s=_DEADLINE_S)
        return len(spare)


def _execute(connection: Connection, statement: Delete) -> int:
    return connection.execute(statement).rowcount


def _hold(connection: Connection, account: str) -> None:
    """Several processes add to the same totals; SQLite has one writer anyway."""
    if connection.dialect.name != "sqlite":
        hold(connection, locks_on(f"ledger {account}"))


def _new_of(connection: Connection, account: str, reported: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    by_id = {each.exec_id: each for each in reported}
    ids, known = list(by_id), set[str]()
    for first in range(0, len(ids), _BATCH):
        which = (bookings.c.account == account) & bookings.c.exec_id.in_(ids[first : first + _BATCH])
        known |= set(connection.scalars(select(bookings.c.exec_id).where(which)))
    return [each for exec_id, each in by_id.items() if exec_id not in known]


def _add_up(connection: Connection, account: str, new: Iterable[LedgerEntry]) -> None:
    sums: dict[tuple[str, str], list[Decimal]] = {}
    for each in new:
        total = sums.setdefault((_day(each.at_ms), each.coin), [Decimal(0)] * 3)
        total[:] = (total[0] + each.realised, total[1] + each.fee, total[2] + each.funding)
    for (day, coin), (realised, fees, funding) in sums.items():
        which = _total(account, day, coin)
        known = connection.execute(select(day_totals).where(which)).first()
        if known is None:
            row = {"account": account, "day": day, "coin": coin, "realised": realised, "fees": fees, "funding": funding}
            connection.execute(insert(day_totals), row)
        else:
            sum_of: dict[str, Any] = {
                "realised": known.realised + realised,
                "fees": known.fees + fees,
                "funding": known.funding + funding,
            }
            connection.execute(update(day_totals).where(which).values(sum_of))


def _total(account: str, day: str, coin: str) -> ColumnElement[bool]:
    return (day_totals.c.account == account) & (day_totals.c.day == day) & (day_totals.c.coin == coin)


def _until(connection: Connection, account: str) -> int | None:
    at: int | None = connection.execute(select(booked_until.c.at).where(booked_until.c.account == account)).scalar()
    return at


def _keep_until(connection: Connection, account: str, until_ms: int) -> None:
    known = _until(connection, account)
    if known is None:
        connection.execute(insert(booked_until), {"account": account, "at": until_ms})
    elif until_ms > known:
        connection.execute(update(booked_until).where(booked_until.c.account == account).values(at=until_ms))


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).date().isoformat()


def _ledger_entry_row(account: str, each: LedgerEntry) -> dict[str, Any]:
    return {
        "account": account,
        "exec_id": each.exec_id,
        "coin": each.coin,
        "realised": each.realised,
        "fee": each.fee,
        "funding": each.funding,
        "at": each.at_ms,
    }


def _equity_row(account: str, each: Equity) -> dict[str, Any]:
    return {
        "account": account,
        "at": each.at_ms,
        "coin": each.coin,
        "equity": each.equity,
        "unrealised": each.unrealised,
        "usd": each.usd,
    }
