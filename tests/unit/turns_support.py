"""Clients that take turns over one Postgres, each a process of its own as far as that can tell, and what it keeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg

from relay.journal.opening import open_journal
from relay.journal.postgres import PostgresStore
from relay.journal.turns import SharedTurns

CREATE = "/v5/order/create"
WINDOW_S = 1.005
EXIT, ENTRY = 0, 1
DEADLINE_S = 60


class Client:
    """One process, as far as the database can tell."""

    def __init__(self, url: str) -> None:
        self._journal = open_journal(url)
        assert isinstance(self._journal.store, PostgresStore)
        self.store = self._journal.store
        self.turns = SharedTurns(self.store, "default")

    def take(
        self, turn: str, *, limit: int = 1, priority: int = ENTRY, endpoint: str = CREATE, window_s: float = WINDOW_S
    ) -> int:
        """Of a request that waits under the turn's name."""
        return self.turns.take(
            turn,
            endpoint=endpoint,
            waiter=f"waits {turn}",
            priority=priority,
            limit=limit,
            window_s=window_s,
            timeout_s=10,
        )

    def end(self, turn: str, *, spent: int | None = None, window_s: float = WINDOW_S) -> None:
        self.turns.end(turn, endpoint=CREATE, spent=spent, window_s=window_s)

    def close(self) -> None:
        self._journal.close()


class Database:
    """The turns as they are kept."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def ask(self, question: str) -> list[tuple[object, ...]]:
        return self._connection.execute(question.encode()).fetchall()

    def pass_time(self, seconds: float) -> None:
        """As if everything had happened so much earlier."""
        self._connection.execute(
            "UPDATE turns SET asked_us = asked_us - %(us)s, until_us = until_us - %(us)s",
            {"us": round(seconds * 1_000_000)},
        )

    def left_s(self, turn: str) -> float:
        """For how long a turn will count; -1: it is gone."""
        found = self._connection.execute(
            "SELECT until_us / 1e6 - extract(epoch FROM clock_timestamp()) FROM turns WHERE name = %s", (turn,)
        ).fetchone()
        return float(found[0]) if found else -1

    def close(self) -> None:
        self._connection.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        threading.Event().wait(0.002)
