"""Tell whoever waits that a signal is finished, and whoever listens what became of it. Never in the way of an order."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from relay import measures
from relay.domain.notice import NoticeKind
from relay.domain.progress import Finish
from relay.domain.signal import Signal
from relay.domain.status import SignalStatus
from relay.pipeline.clock import utc_now

log = logging.getLogger(__name__)

Listener = Callable[[Signal, str, Finish], None]
Hearer = Callable[[NoticeKind, str], None]


class Announcer:
    """Thread-safe. A waiter is a request that asked for the outcome; a listener must be quick."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: dict[str, list[threading.Event]] = {}
        self._listeners: list[Listener] = []
        self._hearers: list[Hearer] = []
        self.is_released = False
        """The relay is stopping: nobody waits any more."""

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def hear(self, hearer: Hearer) -> None:
        """`hearer` is given what `tell` is; it must be quick and must not raise."""
        self._hearers.append(hearer)

    def tell(self, kind: NoticeKind, text: str) -> None:
        """Something that a person should know and that is no signal's outcome: a line, without secrets.

        What the journal's events say (outcomes, fills, halts) is told from there and needs no call.
        """
        log.log(logging.INFO if kind is NoticeKind.RUN else logging.WARNING, "%s: %s", kind.value, text)
        for hearer in self._hearers:
            hearer(kind, text)

    def finished(self, signal: Signal, account: str, finish: Finish) -> None:
        """One account's part of the signal has come to its end; it is in the journal already."""
        level = logging.WARNING if finish.status is SignalStatus.ATTENTION else logging.INFO
        reason = f" {finish.reason.code}: {finish.reason.message}" if finish.reason else ""
        log.log(level, "signal %s on %s: %s%s", signal.id, account, finish.status.value, reason)
        measures.outcomes.labels(finish.status.value, finish.reason.code if finish.reason else "").inc()
        measures.took(measures.Stage.FINISH, (utc_now() - signal.received_at).total_seconds())
        with self._lock:
            waiters = self._waiters.pop(signal.id, [])
        for waiter in waiters:
            waiter.set()
        for listener in self._listeners:
            listener(signal, account, finish)

    def expect(self, signal_id: str) -> threading.Event:
        """An event that is set at the next news of the signal. Take it before looking, then wait; then `forget` it."""
        event = threading.Event()
        with self._lock:
            self._waiters.setdefault(signal_id, []).append(event)
        return event

    def forget(self, signal_id: str, event: threading.Event) -> None:
        with self._lock:
            waiters = self._waiters.get(signal_id, [])
            if event in waiters:
                waiters.remove(event)
            if not waiters:
                self._waiters.pop(signal_id, None)

    def release(self) -> None:
        """Let all waiters go: the relay is stopping."""
        with self._lock:
            self.is_released = True
            waiters = [event for events in self._waiters.values() for event in events]
            self._waiters.clear()
        for event in waiters:
            event.set()
