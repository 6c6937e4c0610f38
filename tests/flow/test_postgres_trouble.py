"""A database that cannot be used, as the command line tells it: one line, without a traceback and the password."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests import postgres
from tests.flow.cli_support import ROOT, environment, run, run_process
from tests.ports import free_port
from tests.unit.serving_support import run_gunicorn

pytestmark = pytest.mark.slow

PASSWORD = "hunter2-of-the-tests"
WEB = (sys.executable, "-m", "gunicorn", "-c", "python:relay.web.gunicorn", "relay.web:create_app()")


def url_with_password(host: str, database: str = "relay") -> str:
    return f"postgres://relay:{PASSWORD}@{host}/{database}"


def unreachable() -> str:
    return url_with_password(f"127.0.0.1:{free_port()}")


def wrong_database() -> str:
    return postgres.server().url_of("nowhere").replace("postgres@", f"postgres:{PASSWORD}@")


def revised(revision: str) -> str:
    url = postgres.server().migrated()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", (revision,))
    return url


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield url_with_password(f"127.0.0.1:{listener.getsockname()[1]}")


@pytest.fixture(scope="module")
def wrong_password() -> str:
    """Of a user of whom the server asks one, which it does of nobody else."""
    home = postgres.own_server(f"locked-{os.getpid()}")
    rules = home / "pg_hba.conf"
    rules.write_text(f"local all relay scram-sha-256\n{rules.read_text()}")
    with psycopg.connect(postgres.address_of(home).render_as_string(), autocommit=True) as connection:
        connection.execute("CREATE ROLE relay LOGIN PASSWORD 'another'")
        connection.execute("SELECT pg_reload_conf()")
    address = postgres.address_of(home).set(username="relay", password=PASSWORD)
    return make_url(address).render_as_string(hide_password=False)


def reported_by_migrate(folder: Path, url: str) -> str:
    result = run(environment(folder, DATABASE_URL=url), "migrate")
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr


def test_migrate_tells_what_is_wrong_with_the_address(tmp_path: Path, silent: str, wrong_password: str) -> None:
    wrong = {
        unreachable(): "nothing listens at the host and port of DATABASE_URL",
        silent: "the host of DATABASE_URL does not answer",
        url_with_password("relay.invalid"): "the host of DATABASE_URL has no address",
        wrong_password: "it refuses the password of DATABASE_URL",
        wrong_database(): "it has no database or no user of the name in DATABASE_URL",
    }
    for url, sentence in wrong.items():
        assert reported_by_migrate(tmp_path, url) == f"the journal in Postgres cannot be used: {sentence}\n"


def test_migrate_leaves_a_newer_schema_alone(tmp_path: Path) -> None:
    url = revised("9999")
    assert "schema 9999 is newer than this relay" in reported_by_migrate(tmp_path, url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO schema_meta SELECT '9999', max(revision) FROM schema_meta")
    again = run(environment(tmp_path, DATABASE_URL=url), "migrate")
    assert (again.exit_code, again.stderr) == (0, "")
    postgres.server().drop(url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    url: Callable[[], str]
    sentence: str


OLDER = Case(
    url=lambda: revised("0001"),
    sentence="The journal's schema is older than this relay; run `python -m relay migrate`.",
)
NEWER = Case(url=lambda: revised("9999"), sentence="the journal's schema 9999 is newer than this relay")
UNREACHABLE = Case(url=unreachable, sentence="nothing listens at the host and port of DATABASE_URL")


def test_a_worker_tells_what_is_wrong_and_ends(tmp_path: Path) -> None:
    cases = (OLDER, NEWER, UNREACHABLE)

    def start(url: str) -> tuple[int, str, str]:
        return run_process(environment(tmp_path, DATABASE_URL=url), tmp_path, "worker")

    urls = [case.url() for case in cases]
    with ThreadPoolExecutor(2) as threads:
        for case, (code, out, err) in zip(cases, threads.map(start, urls), strict=True):
            assert (code, out) == (1, ""), err
            (line,) = _without_log(err)
            assert case.sentence in line


def test_a_web_process_tells_what_is_wrong_and_ends(tmp_path: Path) -> None:
    cases = (OLDER, UNREACHABLE)

    def start(url: str) -> subprocess.CompletedProcess[str]:
        environ = environment(tmp_path, DATABASE_URL=url, PORT=str(free_port()))
        return subprocess.run(
            WEB,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    urls = [case.url() for case in cases]
    with ThreadPoolExecutor(2) as threads:
        for case, ended in zip(cases, threads.map(start, urls), strict=True):
            assert (ended.returncode, ended.stdout) == (3, ""), ended.stderr
            (line,) = _without_log(ended.stderr)
            assert case.sentence in line


def test_a_sqlite_file_on_a_platform_that_throws_files_away_is_warned_of_with_postgres_for_an_answer(
    tmp_path: Path,
) -> None:
    with run_gunicorn(tmp_path, DYNO="web.1", DATABASE_URL="sqlite:///relay.db") as program:
        reported = program.await_line(r"WARNING.*DATABASE_URL: (.*)")[1]
    assert "throws files away at each restart" in reported
    assert "add a Postgres (`heroku addons:create heroku-postgresql`)" in reported


def _without_log(err: str) -> list[str]:
    """What is for a person: the rest begins with its time."""
    assert "Traceback" not in err
    assert PASSWORD not in err
    return [line for line in err.splitlines() if not line[:2].isdigit()]
