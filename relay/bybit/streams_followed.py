"""A stream that another process keeps, heard over the board."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from relay.bybit.stream import LinkState, Message
from relay.bybit.streams_board import Board
from relay.domain.shared_stream import StreamSnapshot
from relay.errors import ExchangeAnswered, ExchangeUnreachable


class Following:
    """What is heard of a stream that another process keeps. `see` and `lose` belong to one thread."""

    def __init__(
        self, *, received: Callable[[Message], None], opened: Callable[[], None], closed: Callable[[], None]
    ) -> None:
        self._received, self._opened, self._closed = received, opened, closed
        self._changed = threading.Condition()
        self._place: tuple[int, int] | None = None
        """Epoch and generation of what was opened here."""
        self._seq = 0
        self._since = time.monotonic()
        self._problem = "not opened yet"
        self._openings = 0

    @property
    def is_live(self) -> bool:
        return self._place is not None

    def has_reached(self, snapshot: StreamSnapshot, timeout_s: float) -> bool:
        """Whether all that the board showed then is heeded here, waiting for it so long."""

        def reached() -> bool:
            return self._place == _place_of(snapshot) and self._seq >= snapshot.seq

        with self._changed:
            return self._changed.wait_for(reached, timeout_s)

    def wait_live(self, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._place is not None, timeout_s)

    def state(self) -> LinkState:
        return LinkState(
            is_live=self.is_live,
            since_s=time.monotonic() - self._since,
            generation=self._openings,
            problem="" if self.is_live else self._problem,
        )

    def see(self, snapshot: StreamSnapshot, board: Board) -> None:
        """Heed what the board shows; read everything anew where it was not followed without a gap."""
        if not snapshot.is_live:
            self.lose(snapshot.standing.problem or "its keeper has not told anything yet")
            return
        if self._place != _place_of(snapshot):
            self.lose("it was opened anew")
            self._open(snapshot)
        if self._place is not None and not self._catch_up(snapshot, board):
            self.lose("something it told is missing")

    def lose(self, problem: str) -> None:
        self._problem = problem
        if self._place is not None:
            self._turn(None)
            self._closed()

    def _open(self, snapshot: StreamSnapshot) -> None:
        """From here on every fact is heard; what was before, is read."""
        try:
            self._opened()
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            self._problem = f"what it had missed could not be read: {error}"
            self._closed()
            return
        self._openings += 1
        with self._changed:
            self._seq = snapshot.seq
        self._turn(_place_of(snapshot))

    def _catch_up(self, snapshot: StreamSnapshot, board: Board) -> bool:
        """Returns False if a fact is gone."""
        while self._seq < snapshot.seq:
            facts = board.after(snapshot.epoch, self._seq)
            if not facts:
                return False
            for fact in facts:
                if fact.seq != self._seq + 1:
                    return False
                self._received(fact.message)
                with self._changed:
                    self._seq = fact.seq
                    self._changed.notify_all()
        return True

    def _turn(self, place: tuple[int, int] | None) -> None:
        with self._changed:
            if (place is None) != (self._place is None):
                self._since = time.monotonic()
            self._place = place
            self._changed.notify_all()


def _place_of(snapshot: StreamSnapshot) -> tuple[int, int]:
    return (snapshot.epoch, snapshot.standing.generation)
