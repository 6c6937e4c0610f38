"""The boards of one process: one for each account, and one connection that listens for news of them all."""

from __future__ import annotations

from relay.journal.listening import Listener
from relay.journal.store import Store
from relay.journal.stream_board import StreamBoard


class StreamBoards:
    """Nothing is listened to before `start`."""

    def __init__(self, store: Store, url: str, owner: str) -> None:
        """`url`: of the database, for psycopg. `owner`: names this process among all that use the journal."""
        self._store = store
        self._owner = owner
        self._listener = Listener(url)

    def of(self, account: str) -> StreamBoard:
        """Before `start`."""
        return StreamBoard(self._store, account, self._owner, self._listener.news_of(account))

    def start(self) -> None:
        self._listener.start()

    def stop(self) -> None:
        self._listener.stop()
