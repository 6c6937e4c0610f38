"""Tells people what happens: reads it from the journal, and delivers it, each in threads of their own.

Nothing here is in the way of an order: what is told has been committed before anybody looks, and a service that hangs
holds up its own thread only.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from relay import measures
from relay.domain.notice import Notice, NoticeKind
from relay.errors import JournalUnavailable
from relay.journal.notices import EVENTS, SUMMARY, SWITCHES, Notices, PendingNotice
from relay.pipeline.clock import Now, to_ms, utc_now
from relay.pipeline.notice_words import halt_notice, message_of, notice_of, summary_notice
from relay.settings_notify import NotifyTarget

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.5
_DROP_EVERY_S: Final = 600.0
_HEARD_MAX: Final = 1000


class Service(Protocol):
    """An address where a person reads."""

    target: NotifyTarget
    name: str

    def send(self, text: str) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds: how long a message gathers, how far apart messages are, the pauses after failures, the last moment."""

    gather_s: float = 1.5
    apart_s: float = 15.0
    again_s: tuple[float, ...] = (5.0, 15.0, 60.0, 300.0)
    at_stop_s: float = 1.0


class Notifier:
    """Reads the journal's events and what it is told; a thread for each service delivers."""

    def __init__(
        self, *, notices: Notices, services: Iterable[Service], pace: Pace | None = None, now: Now = utc_now
    ) -> None:
        self._notices = notices
        self._services = tuple(services)
        self._targets = tuple(service.target for service in self._services)
        self._now = now
        self._heard: deque[Notice] = deque(maxlen=_HEARD_MAX)
        self._pace = pace or Pace()
        self._has_begun = False
        self._stop = threading.Event()
        self._read_out = threading.Event()
        self._reader = threading.Thread(target=self._read, name="notices", daemon=True)
        ends = (self._stop, self._read_out)
        self._posts = [_Post(service, notices, self._pace, now, ends) for service in self._services]
        self._drop_at = 0.0

    def start(self) -> None:
        """Does nothing where nobody is to be told."""
        if self._services and not self._reader.is_alive():
            self._guarded(self._begin)  # before any alert comes: what comes is news
            self._guarded(lambda: self._drop_old(to_ms(self._now())))  # before anything is delivered
            self._reader.start()
            for post in self._posts:
                post.thread.start()

    def hear(self, kind: NoticeKind, text: str) -> None:
        """At once: what it is told is written down by the next look."""
        if self._services:
            self._heard.append(Notice(kind=kind, text=text, at_ms=to_ms(self._now())))

    def stop(self) -> None:
        """A last look, and a moment for a last delivery; what is not delivered then is after the next start."""
        self._stop.set()
        self._wake()
        until = time.monotonic() + self._pace.at_stop_s
        for thread in (self._reader, *(post.thread for post in self._posts)):
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    def _read(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(_LOOK_S)
            self._guarded(self.look)
        self._read_out.set()

    def _guarded(self, do: Callable[[], None]) -> None:
        try:
            do()
        except JournalUnavailable as error:
            log.warning("notices wait for the journal: %s", error)
        except Exception:
            log.exception("notices could not be made just now")

    def _begin(self) -> None:
        if not self._has_begun:
            self._notices.begin(to_ms(self._now()))
            self._has_begun = True

    def look(self) -> None:
        """Everything new becomes notices, and who delivers them is woken. Raises JournalUnavailable."""
        self._begin()
        now_ms = to_ms(self._now())
        while self._look_at_events(now_ms):
            pass
        after, upto, changed = self._notices.changed_switches()
        if changed:
            self._keep(map(halt_notice, changed), mark=SWITCHES, after=after, upto=upto)
        if (over := self._notices.day_before(now_ms)) is not None:
            after, upto, day = over
            self._keep([summary_notice(day, until_ms=upto)], mark=SUMMARY, after=after, upto=upto)
        self._keep_heard()
        self._drop_old(now_ms)

    def _look_at_events(self, now_ms: int) -> bool:
        """Whether there may be more."""
        after, upto, events = self._notices.unread(now_ms)
        if upto == after:
            return False
        return self._keep(map(notice_of, events), mark=EVENTS, after=after, upto=upto)

    def _keep(self, notices: Iterable[Notice | None], *, mark: str, after: int, upto: int) -> bool:
        kept = self._notices.save(self._addressed(notices), mark=mark, after=after, upto=upto)
        self._wake()
        return kept

    def _keep_heard(self) -> None:
        heard = [self._heard.popleft() for _ in range(len(self._heard))]
        if not heard:
            return
        try:
            self._notices.add(self._addressed(heard))
        except JournalUnavailable:
            self._heard.extendleft(reversed(heard))
            raise
        self._wake()

    def _addressed(self, notices: Iterable[Notice | None]) -> list[tuple[str, Notice]]:
        return [
            (target.fingerprint, notice)
            for notice in notices
            for target in self._targets
            if notice is not None and notice.kind in target.kinds
        ]

    def _drop_old(self, now_ms: int) -> None:
        if time.monotonic() >= self._drop_at:
            self._drop_at = time.monotonic() + _DROP_EVERY_S
            for count in self._notices.drop_old(now_ms).values():
                log.error("%d notices could not be delivered for a day and were dropped", count)

    def _wake(self) -> None:
        for post in self._posts:
            post.news.set()


class _Post:
    """Delivers to one service: gathers for a moment, sends one message of all there is, and pauses."""

    def __init__(
        self, service: Service, notices: Notices, pace: Pace, now: Now, ends: tuple[threading.Event, threading.Event]
    ) -> None:
        """`ends`: the relay stops; all that will be told has been written down."""
        self.news = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"notify {service.name}", daemon=True)
        self._service = service
        self._notices = notices
        self._pace = pace
        self._now = now
        self._stop, self._read_out = ends
        self._failures = 0
        self.news.set()  # what an earlier run left

    def _run(self) -> None:
        while not self._stop.is_set():
            # Awake now and then: another process may have left something.
            self.news.wait(self._pace.apart_s)
            self._stop.wait(self._pace.gather_s)
            self.news.clear()
            if not self._stop.is_set():
                self._stop.wait(self._next())
        if not self._failures:
            self._read_out.wait()
            self._next()

    def _next(self) -> float:
        """Deliver, and how many seconds to pause."""
        try:
            came_to = self.deliver()
        except JournalUnavailable as error:
            log.warning("notices to %s wait for the journal: %s", self._service.name, error)
            came_to = False
        except Exception:
            log.exception("notices could not be sent to %s", self._service.name)
            came_to = False
        if came_to is None:
            return 0.0
        self._failures = 0 if came_to else self._failures + 1
        if came_to:
            return self._pace.apart_s
        self.news.set()
        return self._pace.again_s[min(self._failures, len(self._pace.again_s)) - 1]

    def deliver(self) -> bool | None:
        """None: there was nothing to deliver. Raises JournalUnavailable."""
        waiting = self._notices.claim(self._service.target.fingerprint, to_ms(self._now()))
        if not waiting:
            return None
        taken = self._sent(waiting)
        measures.told.labels(self._service.name, "yes" if taken else "no").inc()
        if taken:
            self._notices.delivered(waiting)
            return True
        log.warning("%s did not take a message of %d notices; it is sent again", self._service.name, len(waiting))
        self._notices.give_back(waiting)
        return False

    def _sent(self, waiting: tuple[PendingNotice, ...]) -> bool:
        try:
            return self._service.send(message_of(waiting))
        except Exception:
            log.exception("the service %s failed", self._service.name)
            return False
