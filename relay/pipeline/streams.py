"""The accounts' streams, joined with what waits for them: lanes, the journal, the follower."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from relay.domain.instrument import Category
from relay.engine.engine import Lane
from relay.errors import JournalUnavailable
from relay.exchange.live import Wake
from relay.exchange.streamed import StreamedExchange
from relay.exchange.streams_link import LinkState
from relay.journal.journal import Journal
from relay.journal.ledger import Ledger
from relay.pipeline.bookkeeping import BookedExchange, Bookkeeper
from relay.pipeline.follow import Follower
from relay.pipeline.reports import Reports

log = logging.getLogger(__name__)

SEED_MAX_S = 10.0
"""A stream that is not there by then keeps the relay from nothing: everything is asked for instead."""
_KEPT_MAX = 50
"""How many of an account's symbols are kept known from the start; the others from their first alert on."""


class Boards(Protocol):
    """What is listened to where several processes share the streams."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Streams:
    """All of a relay's streams. Empty where they are turned off."""

    def __init__(
        self,
        exchanges: Mapping[str, StreamedExchange],
        *,
        journal: Journal,
        wake: Callable[[Lane], None],
        follower: Follower,
        books_of: Mapping[str, BookedExchange] | None = None,
        boards: Boards | None = None,
    ) -> None:
        """`wake`: a lane's next step is due. `books_of`: every account's exchange, with a stream or without."""
        self._boards = boards
        self._exchanges = dict(exchanges)
        self._journal = journal
        self._wake = wake
        self._follower = follower
        self.reports = Reports(journal=journal)
        self.reports.on_change = follower.learned
        self.books = Bookkeeper(books_of or {}, ledger=Ledger(journal.store), stream=self._connection)
        self._is_started = False
        self._is_settled = not self._exchanges

    def start(self) -> None:
        """Open them, in the background; again does nothing."""
        if self._is_started:
            return
        self._is_started = True
        self.reports.start()
        if self._boards is not None:
            self._boards.start()
        for name, exchange in self._exchanges.items():
            self._keep_known(name, exchange)
            exchange.on_opened = self._follower.wake
            exchange.book_to(self.books.hears(name))
            exchange.listen(on_wake=self._waker(name), on_overheard=self.reports.hear)

    def _connection(self, name: str) -> int | None:
        exchange = self._exchanges.get(name)
        return exchange.stream_state().generation if exchange is not None and exchange.is_listening else None

    def _keep_known(self, name: str, exchange: StreamedExchange) -> None:
        with suppress(JournalUnavailable):
            for category, symbol in sorted(self._journal.expected_positions(name))[:_KEPT_MAX]:
                exchange.use(category, symbol)

    def _waker(self, account: str) -> Wake:
        def wake(category: Category, symbol: str) -> None:
            self._wake(Lane(account=account, category=category, symbol=symbol))

        return wake

    def settle(self, timeout_s: float = SEED_MAX_S) -> bool:
        """Wait until each account's stream is there, or for so long; whether they all are."""
        until = time.monotonic() + timeout_s
        missing = [
            name
            for name, exchange in self._exchanges.items()
            if not exchange.link.wait_live(max(0.0, until - time.monotonic()))
        ]
        for name in missing:
            problem = self._exchanges[name].stream_state().problem
            log.warning("%s trades without its stream (%s): everything is asked for until it is there", name, problem)
        self._is_settled = True
        self.books.start()
        return not missing

    @property
    def is_settled(self) -> bool:
        """Whether the streams are there, or have been waited for long enough."""
        return self._is_settled

    def state(self) -> dict[str, LinkState]:
        """Each account's private stream: whether it is live, since when, and what is wrong."""
        return {name: exchange.stream_state() for name, exchange in self._exchanges.items()}

    def stop(self) -> None:
        """Quick; what was heard is written down first."""
        for exchange in self._exchanges.values():
            exchange.link.stop()
            exchange.marks.stop()
        if self._is_started:
            self.reports.stop()
            self.books.stop()
            if self._boards is not None:
                self._boards.stop()
