"""A copy of the journal while it is in use, and a journal brought back from one."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import inspect, text
from sqlalchemy.engine import URL, make_url

from relay.errors import RelayError
from relay.journal.opening import migrate
from relay.journal.restored import NEW, RESTORED
from relay.journal.sqlite import FileLock, JournalFile
from relay.journal.tables import metadata
from relay.settings.environment import database_password

_MARK: Final = (
    f"INSERT INTO switches (account, name, value, at, by) VALUES ('', '{RESTORED}', '{NEW}', {{at_ms}}, 'restore')"  # noqa: S608
)
"""Whatever the schema that the backup is of: the next start on it finds it."""
_UNMARK: Final = f"DELETE FROM switches WHERE name = '{RESTORED}'"  # noqa: S608
_FUNCTIONS: Final = ("take_turn", "end_turn")
"""Those that migrations have made."""
_DUMPED: Final = re.compile(r"^\d+; \d+ \d+ TABLE (\w+) (\w+) ", re.MULTILINE)


class BackupFailed(RelayError):
    """The journal could not be copied, or brought back."""


def back_up(url: str, target: Path) -> None:
    """Copy the journal of `url` to `target`, which must not be there yet; it is whole or is not there at all.

    SQLite: by its own online backup, beside a running relay. Postgres: by `pg_dump`, in its custom format. The file is
    private: it holds what the journal does. Raises BackupFailed.
    """
    if target.exists():
        raise BackupFailed(f"{target} is there already; name another file")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        unfinished.touch(mode=0o600)
        if make_url(url).get_backend_name() == "sqlite":
            _copy(Path(str(make_url(url).database)), unfinished)
        else:
            _dump(url, unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        # Never over a file that came meanwhile.
        os.link(unfinished, target)
    except OSError as error:
        raise BackupFailed(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _copy(journal: Path, target: Path) -> None:
    if not journal.is_file():
        raise BackupFailed(f"there is no journal {journal}")
    try:
        source = sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)
        with closing(source), closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
            found = copy.execute("PRAGMA integrity_check").fetchone()[0]
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, which can be moved about
    except sqlite3.Error as error:
        raise BackupFailed(f"the journal {journal} cannot be copied: {error}") from error
    if found != "ok":
        raise BackupFailed(f"the copy of {journal} is not sound: {found}")


def _dump(url: str, target: Path) -> None:
    _run("pg_dump", url, "--format=custom", "--no-owner", f"--file={target}")


def _run(name: str, url: str, *arguments: str) -> str:
    """One of Postgres' own programs on the database of `url`, and what it writes. Raises BackupFailed."""
    program = shutil.which(name)
    if program is None:
        raise BackupFailed(f"{name} is not there; install the client of your Postgres' version (postgresql-client)")
    where, password = make_url(url), database_password(url)
    # Built anew: `set(password=None)` would leave the password in the address, which every process may read.
    shown = URL.create("postgresql", where.username, None, where.host, where.port, where.database, where.query)
    address = str(shown.difference_update_query(["password"]))
    environment = {**os.environ, **({"PGPASSWORD": password.reveal()} if password else {})}
    command = [program, *arguments, *([f"--dbname={address}"] if name != "pg_restore" else [])]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if ran.returncode != 0:
        words = ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else "?"
        is_older = "version mismatch" in ran.stderr or "unsupported version" in ran.stderr
        remedy = f"; install the client of your Postgres' version and put its {name} first in PATH" if is_older else ""
        raise BackupFailed(f"{name} failed: {words}{remedy}")
    return ran.stdout


def restore(url: str, source: Path, *, is_replacing: bool, now: datetime) -> Path | None:
    """Make the journal of `url` what `back_up` has put into `source`, marked so that the next start knows it.

    `is_replacing`: whether a journal with signals in it may be replaced. Of SQLite that one is kept beside it: its
    path. No relay may run on it. Raises BackupFailed; then all is as it was.
    """
    try:
        with source.open("rb") as file:
            begins = file.read(16)
    except OSError as error:
        raise BackupFailed(f"{source} cannot be read: {error.strerror or error}") from error
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    if not begins.startswith(b"SQLite format 3" if is_sqlite else b"PGDMP"):
        what = "a SQLite journal" if is_sqlite else "a dump of Postgres"
        raise BackupFailed(
            f"{source} is no backup of {what}, which DATABASE_URL is; it should be one that `backup` made"
        )
    if is_sqlite:
        return _bring_back(JournalFile(make_url(url)), source, is_replacing=is_replacing, now=now)
    _load(url, source, is_replacing=is_replacing, now=now)
    return None


def _bring_back(file: JournalFile, source: Path, *, is_replacing: bool, now: datetime) -> Path | None:
    held = FileLock(file.lock_path)
    try:
        if file.path.exists() and not is_replacing:
            _require_empty(_signals_in(file.path), str(file.path))
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=file.path.parent) as folder:
            made = Path(folder) / file.path.name
            made.touch(mode=0o600)
            _copy(source, made)
            with closing(sqlite3.connect(made)) as copy, copy:
                if copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_meta'").fetchone() is None:
                    raise BackupFailed(f"{source} is no journal of a relay")
                copy.execute(_UNMARK)
                copy.execute(_MARK.format(at_ms=int(now.timestamp() * 1000)))
            migrate(f"sqlite:///{made}")
            with closing(sqlite3.connect(made)) as copy:
                copy.execute("PRAGMA journal_mode = DELETE")
            with made.open("rb") as written:
                os.fsync(written.fileno())
            former = _put_aside(file.path, now)
            os.replace(made, file.path)
        return former
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"the journal {file.path} cannot be brought back: {error}") from error
    finally:
        held.release()


def _signals_in(journal: Path) -> int:
    """What cannot be read counts as none: a broken journal is what one brings a backup back for."""
    try:
        with closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)) as there:
            return int(there.execute("SELECT count(*) FROM signals").fetchone()[0])
    except sqlite3.Error:
        return 0


def _require_empty(signals: int, where: str) -> None:
    if signals:
        raise BackupFailed(f"{where} holds a journal with {signals} signals; --replace puts the backup in its place")


def _put_aside(journal: Path, now: datetime) -> Path | None:
    """What was committed last may stand in the file's log: it is written back first, else the log goes along."""
    if not journal.exists():
        return None
    former = journal.with_name(f"{journal.name}.replaced-{now:%Y%m%d-%H%M%S}")
    try:
        with closing(sqlite3.connect(journal)) as there:
            there.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error:
        for suffix in ("-wal", "-shm"):
            if (log := Path(f"{journal}{suffix}")).exists():
                log.rename(f"{former}{suffix}")
    os.link(journal, former)
    return former


def _load(url: str, source: Path, *, is_replacing: bool, now: datetime) -> None:
    """In one transaction of `psql`, the mark included."""
    from relay.journal.postgres import postgres_engine

    engine = postgres_engine(make_url(url))
    try:
        with engine.begin() as connection:
            there = set(inspect(connection).get_table_names())
            if "process" in there:
                living = "SELECT count(*) FROM process WHERE expires_at > extract(epoch from now()) * 1000"
                if connection.execute(text(living)).scalar():
                    raise BackupFailed("a process of the relay runs on this database; stop all of them first")
            if "signals" in there and not is_replacing:
                _require_empty(connection.execute(text("SELECT count(*) FROM signals")).scalar() or 0, "the database")
    finally:
        engine.dispose()
    dumped = {table for schema, table in _DUMPED.findall(_run("pg_restore", url, "--list", str(source)))}
    if "schema_meta" not in dumped:
        raise BackupFailed(f"{source} is no journal of a relay")
    dropped = sorted({*dumped, *metadata.tables, "alembic_version"})
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "journal.sql"
        _run("pg_restore", url, "--no-owner", "--no-privileges", f"--file={script}", str(source))
        tables = [f'DROP TABLE IF EXISTS public."{each}" CASCADE' for each in dropped]
        drops = "; ".join([*tables, *(f"DROP FUNCTION IF EXISTS public.{each}" for each in _FUNCTIONS)])
        mark = _MARK.format(at_ms=int(now.timestamp() * 1000)).replace("INTO switches", "INTO public.switches")
        marked = f"{_UNMARK.replace('FROM switches', 'FROM public.switches')}; {mark}"
        flags = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1")
        _run("psql", url, *flags, "--command", drops, f"--file={script}", "--command", marked)
    migrate(url)
