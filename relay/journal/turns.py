"""An account's turns at the exchange, counted in the database for all processes that send for it. On Postgres only.

Each question is one round trip, and the lock that orders the processes is held only while the database works out the
answer: one that is frozen holds nobody up. The functions are those of revisions 0009 and 0011. Times are by the
database's clock."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from typing import Final

from sqlalchemy import bindparam, delete, func, select

from relay.errors import JournalUnavailable
from relay.journal.postgres import PostgresStore
from relay.journal.statements import Statement
from relay.journal.store import WHERE, Store
from relay.journal.tables import turns

log = logging.getLogger(__name__)

FLIGHT_S: Final = 2.0
"""For so long, and a window, counts a turn whose end nobody tells: less than the lease of a dead process's lanes (4 s).

A request may reach the exchange later than that; what is then sent too much, the exchange certainly refuses.
"""
GRACE_S: Final = 0.5
"""By how much a waiter may come later than it was told before others have its turn. Of a dead one's."""
FAR_S: Final = 5.0
"""Nobody is told to come later than this, so no waiter that has died is waited for much longer either."""


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


_TAKE = select(
    func.take_turn(
        *(bindparam(name) for name in ("account", "endpoint", "turn", "waiter", "priority", "limit", "window_us")),
        _us(FLIGHT_S),
        _us(GRACE_S),
        _us(FAR_S),
    )
)
_END = select(func.end_turn(*(bindparam(name) for name in ("account", "endpoint", "turn", "spent", "window_us"))))
_GIVE_BACK = (
    delete(turns)
    .where(
        (turns.c.account == bindparam("of_account"))
        & (turns.c.endpoint == bindparam("of_endpoint"))
        & (turns.c.name == bindparam("of_turn"))
    )
    .returning(turns.c.name)
)


class SharedTurns:
    """Of one account. Thread-safe."""

    def __init__(self, store: Store, account: str) -> None:
        """`store`: of a journal in Postgres."""
        assert isinstance(store, PostgresStore), "turns are shared over Postgres"
        self._store = store
        self._account = account

    def take(
        self,
        turn: str,
        *,
        endpoint: str,
        waiter: str,
        priority: int,
        limit: int,
        window_s: float,
        timeout_s: float,
    ) -> int:
        """0: the turn is granted and counts from now on. Else in how many milliseconds it is worth asking again.

        Of those who wait the lowest `priority` goes first, then who asked first. `waiter` keeps its place until it
        should have asked again. JournalUnavailable: it was not granted, or nobody knows; then it counts for a while.
        """
        values = {
            "account": self._account,
            "endpoint": endpoint,
            "turn": turn,
            "waiter": waiter,
            "priority": priority,
            "limit": limit,
            "window_us": _us(window_s),
        }
        requested = self._store.at_once(_TAKE, values)
        try:
            again_ms: int = requested.result(timeout_s)
        except NotInTime:
            requested.cancel()
            raise JournalUnavailable(f"{WHERE} did not say within {timeout_s:g} s whose turn it is") from None
        return again_ms

    def end(self, turn: str, *, endpoint: str, spent: int | None, window_s: float) -> None:
        """It was answered, or never will be: it counts for a window from now on. Returns at once.

        `spent`: how much of the limit the exchange said was spent, by whomever; None if it did not say.
        """
        values = {
            "account": self._account,
            "endpoint": endpoint,
            "turn": turn,
            "spent": spent,
            "window_us": _us(window_s),
        }
        self._tell(_END, values)

    def give_back(self, turn: str, *, endpoint: str) -> None:
        """The request never left, so it does not count. Returns at once."""
        self._tell(_GIVE_BACK, {"of_account": self._account, "of_endpoint": endpoint, "of_turn": turn})

    def _tell(self, statement: Statement, values: Mapping[str, object]) -> None:
        """What is not told ends by itself, somewhat later."""
        try:
            self._store.at_once(statement, values).add_done_callback(_note)
        except JournalUnavailable as error:
            log.info("the end of a turn was not told: %s", error)


def _note(reported: Future[object]) -> None:
    error = reported.exception()
    if error is not None:
        log.info("the end of a turn was not told: %s", error)
