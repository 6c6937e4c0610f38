"""One relay for each journal; readers beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from relay.domain.order import SignalStatus
from relay.errors import JournalBusy, JournalUnavailable
from relay.journal.journal import Journal
from relay.journal.opening import open_journal
from tests.unit.journal_builders import NOW_MS, accept, accepted, url_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = open_journal(url_of(tmp_path))
    yield opened
    opened.close()


def _child(script: str, *arguments: object, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*before, sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_second_relay_is_refused_and_told_who_has_the_journal(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(JournalBusy, match=f"process {os.getpid()}"):
        open_journal(url_of(tmp_path))


def test_the_lock_is_free_again_after_closing(tmp_path: Path) -> None:
    open_journal(url_of(tmp_path)).close()
    open_journal(url_of(tmp_path)).close()


HOLD = """
import sys
from relay.journal import open_journal
journal = open_journal("sqlite:///" + sys.argv[1] + "/relay.db")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_reloaded_relay_waits_for_the_lock_of_the_one_before(tmp_path: Path) -> None:
    with _child(HOLD, tmp_path) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(JournalBusy, match=f"process {child.pid}"):
            open_journal(url_of(tmp_path), wait_for_lock_s=0.1)
        child.kill()
        open_journal(url_of(tmp_path), wait_for_lock_s=20).close()


def test_reading_needs_no_lock_and_can_change_nothing(journal: Journal, tmp_path: Path) -> None:
    signal_id = accepted(journal)
    reader = open_journal(url_of(tmp_path), lock=False)
    assert [each.signal.id for each in reader.unfinished()] == [signal_id]
    with pytest.raises(JournalUnavailable, match="for reading only"):
        accept(reader)
    reader.note_refused("AUTH_FAILED", "192.0.2.1", now_ms=NOW_MS)
    with reader.store.read() as connection, pytest.raises(Exception, match="readonly"):
        connection.exec_driver_sql("DELETE FROM events")
    reader.close()
    assert journal.counts() == {SignalStatus.ACCEPTED: 1}


def test_reading_a_journal_that_is_not_there_makes_none(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="there is no journal at"):
        open_journal(url_of(tmp_path), lock=False)
    assert list(tmp_path.iterdir()) == []
