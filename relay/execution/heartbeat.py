"""Whether a strategy's alerts still arrive, and whether they come so fast that TradingView stops sending them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from relay.domain.notice import NoticeKind
from relay.domain.signal import Action
from relay.execution.notices import Announcer
from relay.execution.ports import Now, to_ms, utc_now
from relay.execution.work import Strategy
from relay.journal.journal import Journal

STORM_WINDOW_MS: Final = 3 * 60 * 1000
STORM_ALERTS: Final = 12
"""TradingView stops an alert that fires more than 15 times in 3 minutes: said before that. Source: its help pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A sign of life at least every `every_s` seconds: a `heartbeat`, or with `is_any` any alert."""

    every_s: int
    is_any: bool = False

    @property
    def what(self) -> str:
        return "alert" if self.is_any else "heartbeat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What is known of one strategy's alerts; Unix milliseconds, None means never."""

    last_alert_at_ms: int | None
    last_sign_at_ms: int | None
    """The last one that counts as a sign of life."""
    is_missed: bool
    expectation: Expectation | None


@dataclass(slots=True)
class _Watched:
    expectation: Expectation | None
    last_alert_ms: int | None = None
    last_sign_ms: int | None = None
    is_missed: bool = False
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=STORM_ALERTS + 1))
    is_storm: bool = False


def expectations(strategies: Mapping[str, Strategy]) -> dict[str, Expectation | None]:
    """What each strategy was configured to send."""
    return {
        name: None if each.heartbeat_s is None else Expectation(every_s=each.heartbeat_s, is_any=each.heartbeat_any)
        for name, each in strategies.items()
    }


class Heartbeats:
    """Thread-safe. Silence counts from the last sign of life, and not while this relay was not running."""

    def __init__(
        self,
        *,
        journal: Journal,
        announcer: Announcer,
        expected: Mapping[str, Expectation | None],
        now: Now = utc_now,
    ) -> None:
        self._journal = journal
        self._announcer = announcer
        self._now = now
        self._lock = threading.Lock()
        self._watched = {name: _Watched(expectation) for name, expectation in expected.items()}
        self._since_ms: int | None = None

    def start(self) -> None:
        """Alerts are executed from now on: the silence before does not count. Raises JournalUnavailable."""
        stored = {name: self._journal.strategies.last_alerts(name) for name in self._watched}
        with self._lock:
            self._since_ms = self._since_ms or to_ms(self._now())
            for name, watched in self._watched.items():
                last_ms, beat_ms = stored[name]
                sign_ms = last_ms if watched.expectation and watched.expectation.is_any else beat_ms
                watched.last_alert_ms = watched.last_alert_ms or last_ms
                watched.last_sign_ms = watched.last_sign_ms or sign_ms

    def received(self, strategy: str, action: Action | None, *, now_ms: int, is_repeat: bool = False) -> None:
        """An alert of a proven sender has come; `action` None: it was bad. Only counts, and seldom tells."""
        with self._lock:
            watched = self._watched.get(strategy)
            if watched is None:
                return
            watched.last_alert_ms = now_ms
            is_back = self._is_sign(watched, action) and self._take_sign(watched, now_ms)
            is_storm = not is_repeat and _is_new_storm(watched, now_ms)
            what = watched.expectation.what if watched.expectation else ""
        if is_back:
            self._announcer.tell(NoticeKind.HEARTBEAT, f"strategy {strategy}: its {what}s arrive again")
        if is_storm:
            self._announcer.tell(NoticeKind.HEARTBEAT, _storm_text(strategy))

    def check(self) -> None:
        """Tell of each strategy that has become silent, once."""
        for text in self._newly_silent(to_ms(self._now())):
            self._announcer.tell(NoticeKind.HEARTBEAT, text)

    def pulses(self) -> dict[str, Pulse]:
        with self._lock:
            return {
                name: Pulse(
                    last_alert_at_ms=watched.last_alert_ms,
                    last_sign_at_ms=watched.last_sign_ms,
                    is_missed=watched.is_missed,
                    expectation=watched.expectation,
                )
                for name, watched in self._watched.items()
            }

    def silent(self) -> list[str]:
        """For people: a line for each strategy whose sign of life is missing."""
        return [
            _silent_text(name, pulse.expectation)
            for name, pulse in self.pulses().items()
            if pulse.is_missed and pulse.expectation
        ]

    def _newly_silent(self, now_ms: int) -> list[str]:
        found = []
        with self._lock:
            for name, watched in self._watched.items():
                expected = watched.expectation
                if expected is None or self._since_ms is None or watched.is_missed:
                    continue
                if now_ms - max(watched.last_sign_ms or 0, self._since_ms) > expected.every_s * 1000:
                    watched.is_missed = True
                    found.append(_silent_text(name, expected))
        return found

    def _is_sign(self, watched: _Watched, action: Action | None) -> bool:
        return action is Action.HEARTBEAT or (watched.expectation is not None and watched.expectation.is_any)

    def _take_sign(self, watched: _Watched, now_ms: int) -> bool:
        """Whether it had been missed."""
        watched.last_sign_ms = now_ms
        was_missed, watched.is_missed = watched.is_missed, False
        return was_missed


def _is_new_storm(watched: _Watched, now_ms: int) -> bool:
    watched.recent.append(now_ms)
    is_storm = len(watched.recent) > STORM_ALERTS and now_ms - watched.recent[0] <= STORM_WINDOW_MS
    was_storm, watched.is_storm = watched.is_storm, is_storm
    return is_storm and not was_storm


def _silent_text(strategy: str, expectation: Expectation) -> str:
    every = timedelta(seconds=expectation.every_s)
    return (
        f"strategy {strategy}: no {expectation.what} for more than {every // timedelta(minutes=1)} minutes; "
        "look whether its alert still runs at TradingView"
    )


def _storm_text(strategy: str) -> str:
    return (
        f"strategy {strategy}: more than {STORM_ALERTS} alerts in 3 minutes; "
        "TradingView stops an alert that fires more than 15 times in 3 minutes, and does not say so here"
    )
