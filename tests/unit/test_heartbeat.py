"""Silence is told once, its end too, and a storm of alerts before TradingView stops them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.domain.notice import NoticeKind
from relay.domain.signal import Action
from relay.execution.accept import Expectation, Heartbeats
from relay.execution.notices import Announcer
from relay.journal.journal import Journal
from relay.journal.opening import open_journal
from relay.journal.records import to_ms
from tests.unit.journal_builders import accepted, url_of

BEGAN = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


class Watch:
    """The heartbeats of one strategy, with a clock that is set by hand."""

    def __init__(self, journal: Journal, expectation: Expectation | None) -> None:
        self.now = BEGAN
        self.reported: list[str] = []
        announcer = Announcer()
        announcer.add_receiver(self._hear)
        self.heartbeats = Heartbeats(
            journal=journal, announcer=announcer, expected={"default": expectation}, now=lambda: self.now
        )

    def _hear(self, kind: NoticeKind, text: str) -> None:
        assert kind is NoticeKind.HEARTBEAT
        self.reported.append(text)

    def after(self, seconds: float) -> Watch:
        self.now += timedelta(seconds=seconds)
        return self

    def received(self, action: Action | None, *, is_repeat: bool = False) -> None:
        self.heartbeats.received("default", action, now_ms=to_ms(self.now), is_repeat=is_repeat)

    def check(self) -> int:
        """How many lines were told so far."""
        self.heartbeats.check()
        return len(self.reported)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = open_journal(url_of(tmp_path))
    yield opened
    opened.close()


def test_silence_is_reported_once_and_its_end_too(journal: Journal) -> None:
    watch = Watch(journal, Expectation(every_s=60))
    watch.heartbeats.start()
    assert watch.after(60).check() == 0
    assert watch.after(1).check() == 1
    assert watch.after(600).check() == 1
    assert watch.heartbeats.silent() == watch.reported
    watch.received(Action.BUY)
    assert len(watch.reported) == 1
    watch.received(Action.HEARTBEAT)
    assert len(watch.reported) == 2 and "again" in watch.reported[1]
    assert watch.heartbeats.silent() == []
    assert watch.after(61).check() == 3


def test_any_alert_is_a_sign_of_life_where_that_is_wished_even_a_bad_one(journal: Journal) -> None:
    watch = Watch(journal, Expectation(every_s=60, is_any=True))
    watch.heartbeats.start()
    watch.after(50).received(None)
    assert watch.after(50).check() == 0


def test_nothing_is_missed_before_the_start_nor_where_nothing_is_expected(journal: Journal) -> None:
    watch = Watch(journal, Expectation(every_s=60))
    assert watch.after(600).check() == 0
    watch.heartbeats.start()
    assert watch.after(60).check() == 0
    careless = Watch(journal, None)
    careless.heartbeats.start()
    assert careless.after(9_999_999).check() == 0


def test_the_last_alert_is_known_after_a_restart(journal: Journal) -> None:
    accepted(journal)
    watch = Watch(journal, Expectation(every_s=60, is_any=True))
    watch.heartbeats.start()
    pulse = watch.heartbeats.pulses()["default"]
    assert pulse.last_alert_at_ms is not None and pulse.last_sign_at_ms == pulse.last_alert_at_ms


def test_a_storm_is_reported_once_and_again_only_after_a_lull(journal: Journal) -> None:
    watch = Watch(journal, None)
    for _ in range(30):
        watch.after(10).received(Action.BUY)
    assert len(watch.reported) == 1 and "15 times" in watch.reported[0]
    for _ in range(30):
        watch.after(20).received(Action.BUY)
    assert len(watch.reported) == 1
    for _ in range(13):
        watch.after(1).received(Action.BUY)
    assert len(watch.reported) == 2


def test_resends_are_no_storm(journal: Journal) -> None:
    watch = Watch(journal, None)
    for _ in range(30):
        watch.after(1).received(Action.BUY, is_repeat=True)
    assert watch.reported == []
