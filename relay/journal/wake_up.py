"""What wakes other processes: a notification, which only says where to look. Facts are in rows."""

from __future__ import annotations

import logging
import select
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from sqlalchemy import ARRAY, Connection, Engine, Text, bindparam, text
from sqlalchemy.exc import SQLAlchemyError

from relay.journal.statements import run, run_text

log = logging.getLogger(__name__)

CHANNEL: Final = "relay_woken"
_NOTIFY: Final = text(
    f"SELECT pg_notify('{CHANNEL}', said) FROM unnest(CAST(:said AS text[])) AS words (said)"  # noqa: S608
).bindparams(bindparam("said", type_=ARRAY(Text)))
_LOOK_S: Final = 0.5
"""How often it is looked whether to stop."""
_AGAIN_S: Final = 1.0
_CLOSE_S: Final = 2.0


def notify(connection: Connection, words: Collection[str]) -> None:
    """Within this transaction, which then has to wait for every other that notifies: only for what is rare."""
    run(connection, _NOTIFY, {"said": list(words)})


def _notified_alone(words: Collection[str]) -> str:
    """A transaction of its own, in one message. Should a crash lose it, nothing is lost but a word."""
    # Where there is no Postgres, its client is not loaded.
    from psycopg import sql

    reported = ", ".join(f"pg_notify('{CHANNEL}', {sql.Literal(each).as_string()})" for each in words)
    return f"BEGIN; SET LOCAL synchronous_commit = off; SELECT {reported}; COMMIT"


class WakeUps:
    """Tells other processes, after the commit and beside it: one thread, and one transaction for all that came
    together meanwhile. What it could not tell, they find when they look by themselves."""

    def __init__(self, engine: Engine) -> None:
        """`engine`: on which nothing begins a transaction by itself."""
        self._engine = engine
        self._changed = threading.Condition()
        self._words: dict[str, None] = {}
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def tell(self, words: Iterable[str]) -> None:
        """Returns at once."""
        with self._changed:
            if self._is_closed:
                return
            self._words.update(dict.fromkeys(words))
            if self._thread is None:
                # Not before it is needed: a process may fork after it was built.
                self._thread = threading.Thread(target=self._run, name="wake-ups", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """What was to be told is told first, in so far as that succeeds at once."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while words := self._next():
            try:
                with self._engine.connect() as connection:
                    run_text(connection, _notified_alone(words))
            except SQLAlchemyError as error:
                log.info("nobody could be woken just now (%s)", type(error).__name__)

    def _next(self) -> list[str]:
        """Empty: it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._words or self._is_closed)
            words, self._words = list(self._words), {}
            return words


class WakeListener:
    """A daemon thread, begun with `start`, and a connection that listens. Without one, whoever waits looks by itself.

    `received` is called with each word in that thread and must be quick; with None where words may have been missed.
    """

    def __init__(self, url: str, received: Callable[[str | None], None]) -> None:
        """`url`: of the database, for psycopg."""
        self._url = url
        self._received = received
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        if not self._thread.is_alive() and not self._stop.is_set():
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        # Where there is no Postgres, its client is not loaded.
        import psycopg

        while not self._stop.is_set():
            try:
                self._listen(psycopg.connect)
            except psycopg.Error as error:
                log.warning("wake-ups come late just now (%s)", type(error).__name__)
                self._stop.wait(_AGAIN_S)

    def _listen(self, connect: Callable[..., Any]) -> None:
        options: dict[str, Any] = {"connect_timeout": 2, "application_name": "relay listener", "tcp_user_timeout": 5000}
        with connect(self._url, autocommit=True, **options) as connection:
            connection.execute(f"LISTEN {CHANNEL}".encode())
            self._received(None)
            # Not by `notifies(timeout=…)`: psycopg looks around ten times a second while it waits.
            readable = select.poll()
            readable.register(connection.fileno(), select.POLLIN)
            while not self._stop.is_set():
                readable.poll(_LOOK_S * 1000)
                for reported in connection.notifies(timeout=0):
                    self._received(reported.payload)
                    if self._stop.is_set():
                        return
