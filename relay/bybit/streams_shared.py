"""A stream that several processes share: one keeps it and tells the others over a board; any of them can take over.

It is used like a `StreamLink`: its messages, when it was opened and that everything was heeded mean the same, whichever
process keeps it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from relay.bybit.stream import LinkState, Message, StreamLink
from relay.bybit.streams_board import Board
from relay.bybit.streams_followed import Following
from relay.bybit.streams_outbox import Outbox
from relay.domain.shared_stream import StreamStanding
from relay.errors import JournalUnavailable

log = logging.getLogger(__name__)

RENEW_S: Final = 1.0
_AGAIN_S: Final = 0.5
_AFTER_END_S: Final = 0.05
"""A right that has just ended is asked for a little later, when it certainly has."""
_CATCH_UP_S: Final = 0.25
_LOOKED_S: Final = 0.01
"""The facts of one plan are asked for within it: one look at the board serves them all."""


class SharedLink:
    """One thread, in which it is heard while another process keeps the stream; else in the stream's own."""

    def __init__(
        self,
        *,
        name: str,
        board: Board,
        keep: Callable[[Callable[[Message], None], Callable[[], None], Callable[[], None]], StreamLink],
        received: Callable[[Message], None],
        opened: Callable[[], None],
        closed: Callable[[], None],
    ) -> None:
        """`keep` makes the stream itself, given what to call for each message, when it is opened, and closed.

        `received`, `opened`, `closed`: as for a `StreamLink`.
        """
        self.name = name
        self._board = board
        self._keep = keep
        self._received, self._opened, self._closed = received, opened, closed
        self._stored: StreamLink | None = None
        self._followed = Following(received=received, opened=opened, closed=closed)
        self._outbox = Outbox()
        self._looked_at = float("-inf")
        self._is_troubled = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"stream {name}", daemon=True)

    def start(self) -> None:
        if not self._thread.is_alive() and not self._stop.is_set():
            self._thread.start()

    def stop(self) -> None:
        """Quick; another process can take over at once."""
        self._stop.set()
        self._board.wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(2)

    @property
    def is_keeper(self) -> bool:
        """Whether it is this process that keeps the stream."""
        return self._stored is not None

    @property
    def is_live(self) -> bool:
        stored = self._stored
        return stored.is_live if stored is not None else self._followed.is_live

    def is_current(self) -> bool:
        """Live, and everything that the keeper has written is heeded."""
        stored = self._stored
        if stored is not None:
            return stored.is_current()
        if time.monotonic() - self._looked_at < _LOOKED_S:
            return self.is_live
        try:
            snapshot = self._board.look()
        except JournalUnavailable:
            return False
        if not snapshot.is_live:
            return False
        self._board.wake()
        if not self._followed.has_reached(snapshot, _CATCH_UP_S):
            return False
        self._looked_at = time.monotonic()
        return True

    def is_fresh(self) -> bool:
        """Current, and heard lately; what another process keeps is as fresh as its right to it."""
        stored = self._stored
        return stored.is_fresh() if stored is not None else self.is_current()

    def hurry(self, seconds: float) -> None:
        """It always is: another process's alerts are not known here."""

    def state(self) -> LinkState:
        stored = self._stored
        return stored.state() if stored is not None else self._followed.state()

    def wait_live(self, timeout_s: float) -> bool:
        until = time.monotonic() + timeout_s
        while not self._stop.is_set() and (left_s := until - time.monotonic()) > 0:
            stored = self._stored
            wait_s = min(left_s, _AGAIN_S)
            if stored.wait_live(wait_s) if stored is not None else self._followed.wait_live(wait_s):
                return True
        return False

    def _run(self) -> None:
        epoch: int | None = None
        while not self._stop.is_set():
            try:
                epoch = self._keep_on(epoch) if epoch is not None else self._follow()
                self._is_troubled = False
            except JournalUnavailable as error:
                if not self._is_troubled:
                    log.warning("the stream %s cannot be shared just now: %s", self.name, error)
                self._is_troubled = True
                self._stop.wait(_AGAIN_S)
            except Exception:
                log.exception("the stream %s cannot be shared just now", self.name)
                self._stop.wait(_AGAIN_S)
        self._end(epoch)

    def _follow(self) -> int | None:
        """A look at the board. The epoch, where nobody keeps the stream and this process does from now on."""
        snapshot = self._board.look()
        if snapshot.left_ms <= 0:
            self._followed.lose("nobody keeps it just now")
            epoch = self._board.take()
            if epoch is not None:
                self._begin_to_keep()
                return epoch
        else:
            self._followed.see(snapshot, self._board)
        self._board.wait(min(RENEW_S, max(0, snapshot.left_ms) / 1000 + _AFTER_END_S))
        return None

    def _begin_to_keep(self) -> None:
        log.info("the stream %s is kept by this process", self.name)
        self._outbox = Outbox()
        self._stored = link = self._keep(self._hear_and_tell, self._open_and_tell, self._close_and_tell)
        link.hurry(float("inf"))
        link.start()

    # What the kept stream calls. Once it is let go, what it still does is nobody's concern.

    def _hear_and_tell(self, message: Message) -> None:
        if self._stored is None:
            return
        self._received(message)
        self._outbox.add(message)
        self._board.wake()

    def _open_and_tell(self) -> None:
        if self._stored is None:
            return
        self._opened()
        self._outbox.stands(is_live=True, problem="")
        self._board.wake()

    def _close_and_tell(self) -> None:
        if self._stored is None:
            return
        self._closed()
        self._outbox.stands(is_live=False, problem="its connection is cut")
        self._board.wake()

    def _keep_on(self, epoch: int) -> int | None:
        """Tell what there is; None if another process keeps the stream by now."""
        standing, facts, seq = self._outbox.next()
        if self._board.write(epoch, standing, facts, seq):
            self._outbox.written(facts)
            self._wait_for_more(standing)
            return epoch
        log.warning("the stream %s is kept by another process by now", self.name)
        self._let_go()
        return None

    def _wait_for_more(self, reported: StreamStanding) -> None:
        """Until there is more to tell, or the right to the stream is to be renewed.

        It is woken by its own writing too, as every process is that looks at the board.
        """
        until = time.monotonic() + RENEW_S
        while not (self._stop.is_set() or self._outbox.has_more(reported)) and (left_s := until - time.monotonic()) > 0:
            self._board.wait(left_s)

    def _let_go(self) -> None:
        stored, self._stored = self._stored, None
        if stored is not None:
            stored.stop()
            self._closed()

    def _end(self, epoch: int | None) -> None:
        self._let_go()
        if epoch is None:
            return
        try:
            self._board.give_up(epoch)
        except JournalUnavailable as error:
            log.warning("the stream %s is free only in a few seconds: %s", self.name, error)
