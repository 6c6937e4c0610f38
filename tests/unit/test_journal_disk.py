"""Trouble with the file: nothing is accepted that is not on disk, and it all goes on once the trouble is over."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

from relay.errors import JournalUnavailable
from relay.journal.journal import Journal
from relay.journal.opening import open_journal
from relay.journal.records import New
from tests.unit.journal_builders import accept, accepted, body, new_signal, url_of

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


FULL_DISK = """
import subprocess, sys
from pathlib import Path
from relay.errors import JournalUnavailable
from relay.journal import open_journal
from tests.unit.journal_builders import accept, accepted, body, new_signal, url_of

small_disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small_disk], check=True)
journal = open_journal(url_of(small_disk))
kept = [accepted(journal)]
ballast = small_disk / "ballast"
refused = new_signal(body("refused"), digest="d", notes=("x" * 50_000,))
with ballast.open("wb", buffering=0) as file:
    try:
        while file.write(bytes(4096)):
            pass
    except OSError:
        pass
for _ in range(3):
    try:
        accept(journal, refused)
    except JournalUnavailable as error:
        print(str(error).rpartition(": ")[2])
assert [each.signal.id for each in journal.unfinished()] == kept, "it can still be read"
ballast.unlink()
journal.check()
kept.append(accepted(journal, refused))
journal.close()
again = open_journal(url_of(small_disk))
assert [each.signal.id for each in again.unfinished()] == kept
again.close()
"""


def test_a_full_disk_is_reported_and_survived_without_a_restart(tmp_path: Path) -> None:
    """On a file system of one megabyte of its own, which is gone with the child."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root only; the limit on a file's size is tried in any case")
    with _child(FULL_DISK, tmp_path, before=["unshare", "--mount"]) as child:
        said, _ = child.communicate()
    assert (child.returncode, said) == (0, "the disk is full\n" * 3)


FILE_LIMIT = """
import resource, sys
from relay.errors import JournalUnavailable
from relay.journal import New, open_journal
from tests.unit.journal_builders import accept, accepted, body, new_signal, url_of

journal = open_journal(url_of(sys.argv[1]))
kept = [accepted(journal)]
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
said = set()
for _ in range(3):
    try:
        accept(journal, new_signal(body("refused"), digest="d"))
    except JournalUnavailable as error:
        said.add(str(error).rpartition(": ")[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
kept.append(accepted(journal, new_signal(body("refused"), digest="d")))
assert [each.signal.id for each in journal.unfinished()] == kept, kept
journal.close()
print(sorted(said))
"""


def test_a_disk_that_takes_no_more_bytes_is_reported_and_survived_without_a_restart(tmp_path: Path) -> None:
    with _child(FILE_LIMIT, tmp_path) as child:
        said, _ = child.communicate()
    assert (child.returncode, said) == (0, "['reading or writing the disk failed']\n")


ACCEPT_FOREVER = """
import sys, threading
from relay.journal import open_journal
from tests.unit.journal_builders import accepted, url_of

journal = open_journal(url_of(sys.argv[1]))
said = threading.Lock()

def post():
    while True:
        signal_id = accepted(journal)
        with said:
            print(signal_id, flush=True)

for _ in range(4):
    threading.Thread(target=post).start()
"""


def test_what_was_accepted_is_there_after_a_kill(tmp_path: Path) -> None:
    with _child(ACCEPT_FOREVER, tmp_path) as child:
        assert child.stdout is not None
        reported = [child.stdout.readline().strip() for _ in range(200)]
        child.kill()
        reported += child.stdout.read().split("\n")[:-1]
    journal = open_journal(url_of(tmp_path))
    stored = [each.signal.id for each in journal.unfinished()]
    journal.close()
    assert len(reported) >= 200
    assert set(reported) <= set(stored)
    assert len(stored) <= len(reported) + 4, "at most one of each thread was kept and not told"


READ_ONLY = """
import os, sys
from relay.errors import JournalUnavailable
from relay.journal import migrate, open_journal

if os.geteuid() == 0:
    os.chown(sys.argv[1], 65534, 65534)
    os.setuid(65534)
for attempt in (open_journal, migrate):
    try:
        attempt("sqlite:///" + sys.argv[1] + "/relay.db")
    except JournalUnavailable as error:
        print(error)
"""


def test_a_read_only_directory_is_reported() -> None:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o500)
        with _child(READ_ONLY, directory) as child:
            said, _ = child.communicate()
        os.chmod(directory, 0o700)
    sentence = f"the journal cannot be locked: {directory}/relay.db.lock: Permission denied\n"
    assert said == sentence * 2


def test_a_missing_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="No such file or directory"):
        open_journal(url_of(tmp_path / "nowhere"))


def test_a_file_that_is_no_journal_is_reported_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    file.write_bytes(b"not a database, but somebody's notes\n" * 100)
    for lock in (True, False):
        with pytest.raises(JournalUnavailable, match="not a journal of the relay, or is damaged"):
            open_journal(url_of(tmp_path), lock=lock)
    assert file.read_bytes().startswith(b"not a database")


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    open_journal(url_of(tmp_path)).close()
    file = tmp_path / "relay.db"
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(content)
    with pytest.raises(JournalUnavailable, match="damaged"):
        open_journal(url_of(tmp_path))


def test_the_log_goes_into_the_file_while_nothing_is_being_written(journal: Journal, tmp_path: Path) -> None:
    for _ in range(60):
        accepted(journal)
    until, copied, found = time.monotonic() + 20, tmp_path / "copied.db", 0
    while found < 40 and time.monotonic() < until:
        time.sleep(0.01)
        copied.write_bytes((tmp_path / "relay.db").read_bytes())
        with closing(sqlite3.connect(f"{copied.as_uri()}?immutable=1", uri=True)) as alone, suppress(sqlite3.Error):
            (found,) = alone.execute("SELECT count(*) FROM signals").fetchone()
    assert found >= 40


def test_a_file_damaged_while_it_runs_is_reported(journal: Journal, tmp_path: Path) -> None:
    accepted(journal)
    file, aside = tmp_path / "relay.db", tmp_path / "aside"
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # Out of reach for a moment, so that nothing of it is still remembered.
    file.rename(aside)
    with pytest.raises(JournalUnavailable):
        accept(journal)
    with aside.open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(b"\xff" * (aside.stat().st_size - 4096))
    aside.rename(file)
    with pytest.raises(JournalUnavailable, match="the file is damaged; restore it from a backup"):
        accept(journal)


def test_a_locked_file_is_reported_within_the_deadline_and_survived(journal: Journal, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "relay.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnavailable, match="not written within 2.5 s: .* another program keeps it locked"):
            accept(journal, new_signal(body("refused"), digest="d"), deadline_s=2.5)
        other.execute("ROLLBACK")
    assert isinstance(accept(journal, new_signal(body("refused"), digest="d")), New)
    assert len(journal.unfinished()) == 1
    journal.check()


def test_a_short_lock_is_waited_out(journal: Journal, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "relay.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnavailable):
            accept(journal, deadline_s=0.05)
        other.execute("COMMIT")
    accepted(journal, deadline_s=20.0)


def test_a_deleted_file_takes_no_more_and_goes_on_when_it_is_back(journal: Journal, tmp_path: Path) -> None:
    file, aside = tmp_path / "relay.db", tmp_path / "aside"
    file.rename(aside)
    with pytest.raises(JournalUnavailable, match="there is no journal at"):
        accept(journal)
    file.write_bytes(b"")
    with pytest.raises(JournalUnavailable, match="was replaced by another file; start the relay again"):
        accept(journal)
    aside.rename(file)
    accepted(journal)


def test_the_files_are_their_owners_alone(journal: Journal, tmp_path: Path) -> None:
    accepted(journal)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert set(modes) == {"relay.db", "relay.db-wal", "relay.db-shm", "relay.db.lock"}
    assert set(modes.values()) == {0o600}


def test_every_commit_is_synced_to_the_disk(journal: Journal) -> None:
    def pragmas(name: str) -> object:
        return journal.store.submit(lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar())

    assert [pragmas(name) for name in ("journal_mode", "synchronous", "foreign_keys")] == ["wal", 2, 1]
