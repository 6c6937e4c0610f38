"""One connection that listens for news of the accounts' streams. A notification only wakes: facts are in rows."""

from __future__ import annotations

import logging
import threading
from typing import Final

import psycopg

from relay.journal.stream_board import CHANNEL

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.5
"""How often it is looked whether to stop."""
_AGAIN_S: Final = 1.0


class Listener:
    """A daemon thread, begun with `start`. While it has no connection, whoever waits looks by himself now and then."""

    def __init__(self, url: str) -> None:
        """`url`: of the database, for psycopg."""
        self._url = url
        self._news: dict[str, threading.Event] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def news_of(self, account: str) -> threading.Event:
        """Set whenever something of the account's may be new. Before `start`."""
        return self._news.setdefault(account, threading.Event())

    def start(self) -> None:
        if not self._thread.is_alive() and not self._stop.is_set():
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except psycopg.Error as error:
                log.warning("news of the streams come late just now (%s)", type(error).__name__)
                self._stop.wait(_AGAIN_S)

    def _listen(self) -> None:
        options = {"connect_timeout": 2, "application_name": "relay streams", "tcp_user_timeout": 5000}
        with psycopg.connect(self._url, autocommit=True, **options) as connection:  # type: ignore[arg-type]
            connection.execute(f"LISTEN {CHANNEL}".encode())
            for event in self._news.values():
                event.set()  # what came before it listened
            while not self._stop.is_set():
                for reported in connection.notifies(timeout=_LOOK_S):
                    if reported.payload in self._news:
                        self._news[reported.payload].set()
                    if self._stop.is_set():
                        return
