"""Accepting where several processes do, and a commit that came too late for its answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from relay.errors import JournalUnavailable
from relay.journal.journal import Journal
from relay.journal.opening import open_journal
from relay.journal.postgres import PostgresStore
from relay.journal.records import Duplicate, New, NewSignal
from relay.journal.store import Job, JobStage
from tests.unit.journal_builders import accept, body, new_signal

DEADLINE_S = 60


@pytest.fixture
def journal(postgres_url: str) -> Iterator[Journal]:
    opened = open_journal(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def other(postgres_url: str) -> Iterator[Journal]:
    """Another web process's."""
    opened = open_journal(postgres_url)
    yield opened
    opened.close()


@contextmanager
def stored_too_late(journal: Journal, signal: NewSignal) -> Iterator[threading.Event]:
    """It is answered as not kept, then committed all the same, and not taken back before the end of the block. The
    event: it has been."""
    store = journal.store
    assert isinstance(store, PostgresStore)
    step_to, undo = store._step_to, store._undo
    withdrawn, committed, may_undo, undone = (threading.Event() for _ in range(4))

    def commit_late(job: Job, stage: JobStage) -> bool:
        may_go_on = step_to(job, stage)
        assert stage is not JobStage.COMMITTING or withdrawn.wait(DEADLINE_S)
        return may_go_on

    def undo_late(job: Job, deadline: float) -> None:
        committed.set()
        assert may_undo.wait(DEADLINE_S)
        undo(job, deadline)
        undone.set()

    with patch.object(store, "_step_to", commit_late), patch.object(store, "_undo", undo_late):
        with pytest.raises(JournalUnavailable, match="not written within"):
            accept(journal, signal, deadline_s=2.0)
        withdrawn.set()
        assert committed.wait(DEADLINE_S)
        yield undone
        may_undo.set()
        assert undone.wait(DEADLINE_S)


def test_what_was_stored_too_late_is_taken_back_so_that_its_resend_is_new(journal: Journal, other: Journal) -> None:
    with stored_too_late(journal, new_signal(body("late"), digest="d")):
        assert len(other.unfinished()) == 1
    assert other.unfinished() == ()
    assert isinstance(accept(other, new_signal(body("late"), digest="d")), New)


def test_what_was_stored_too_late_stays_once_a_resend_was_told_that_it_is_there(
    journal: Journal, other: Journal
) -> None:
    signal = new_signal(body("late"), digest="d")
    with stored_too_late(journal, signal):
        assert isinstance(accept(other, new_signal(body("late"), digest="d")), Duplicate)
    assert [each.signal.id for each in other.unfinished()] == [signal.id]
