"""A copy of the journal while it is in use."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from relay.errors import RelayError
from relay.settings.environment import database_password


class BackupFailed(RelayError):
    """The journal could not be copied."""


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
    where = make_url(url)
    program = shutil.which("pg_dump")
    if program is None:
        raise BackupFailed("pg_dump is not there; install the client of your Postgres' version (postgresql-client)")
    password = database_password(url)
    # Built anew: `set(password=None)` would leave the password in the address, which every process may read.
    shown = URL.create("postgresql", where.username, None, where.host, where.port, where.database, where.query)
    address = str(shown.difference_update_query(["password"]))
    environment = {**os.environ, **({"PGPASSWORD": password.reveal()} if password else {})}
    command = [program, "--format=custom", "--no-owner", f"--file={target}", f"--dbname={address}"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if ran.returncode != 0:
        raise BackupFailed(f"pg_dump failed: {ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else '?'}")
