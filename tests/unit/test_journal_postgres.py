"""The journal on Postgres where it is not as on SQLite: several writers, and a server that may be gone."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from relay.domain.order import Reason, SignalStatus
from relay.domain.signal import new_signal_id
from relay.errors import JournalUnavailable, SchemaOutdated, SettingsInvalid
from relay.journal import postgres as journal_postgres
from relay.journal import rejected
from relay.journal.journal import Journal
from relay.journal.maintenance import DAY_MS
from relay.journal.opening import migrate, open_journal
from relay.journal.postgres import PostgresStore
from relay.journal.records import HALT, Duplicate, New
from relay.journal.store import JobStage
from relay.journal.tables import metadata
from relay.journal.unit_of_work import UnitOfWork
from tests import postgres
from tests.faults.stage import until
from tests.ports import free_port
from tests.unit.journal_builders import NOW_MS, accept, accepted, body, fill, new_signal, report, sent_order

DEADLINE_S = 60


@pytest.fixture
def journal(postgres_url: str) -> Iterator[Journal]:
    opened = open_journal(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def other(postgres_url: str) -> Iterator[Journal]:
    """The same journal in another process, as far as the database can tell."""
    opened = open_journal(postgres_url)
    yield opened
    opened.close()


def test_the_migrated_schema_is_the_one_of_the_tables_on_postgres_too(journal: Journal) -> None:
    assert isinstance(journal.store, PostgresStore)

    with journal.store.engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_a_postgres_that_was_never_migrated_is_not_run_on() -> None:
    url = postgres.server().empty()
    with pytest.raises(SchemaOutdated, match="python -m relay migrate"):
        open_journal(url)
    migrate(url)
    migrate(url)
    open_journal(url).close()
    postgres.server().drop(url)


@pytest.mark.parametrize(
    ("mark", "is_run_on"),
    [("INSERT INTO schema_meta SELECT '9999', max(revision) FROM schema_meta", True), ("", False)],
)
def test_old_code_runs_on_a_newer_schema_only_if_that_is_marked_compatible(mark: str, is_run_on: bool) -> None:
    url = postgres.server().empty()
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute(mark.encode())
    if is_run_on:
        open_journal(url).close()
    else:
        with pytest.raises(JournalUnavailable, match="9999 is newer than this relay"):
            open_journal(url)
    postgres.server().drop(url)


def test_each_way_not_to_reach_the_database_is_one_line_without_the_password(postgres_url: str) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    wrong = {
        f"postgres://relay:hunter2@{nobody}/relay": "nothing listens",
        "postgres://relay:hunter2@relay.invalid/relay": "has no address",
        postgres.server().url_of("nowhere"): "no database",
        postgres_url.replace("postgres@", "nobody_of_this_name@"): "no user",
    }
    for url, said in wrong.items():
        for attempt in (open_journal, migrate):
            with pytest.raises(JournalUnavailable, match=said) as refused:
                attempt(url)
            assert "hunter2" not in str(refused.value)
            assert "\n" not in str(refused.value)


def test_connections_that_were_cut_are_replaced_unseen(journal: Journal) -> None:
    first = accepted(journal)
    assert isinstance(journal.store, PostgresStore)
    with journal.store.engine.connect() as connection:
        connection.execute(text(postgres.END_OTHERS))
        connection.invalidate()
    second = accepted(journal)
    assert [each.signal.id for each in journal.unfinished()] == [first, second]


def test_what_was_answered_as_not_stored_takes_no_effect_later(journal: Journal) -> None:
    signal = new_signal(body("slow"))
    assert isinstance(journal.store, PostgresStore)
    held = journal.store.engine.connect()
    held.execute(text("BEGIN; LOCK TABLE identities IN EXCLUSIVE MODE"))
    with pytest.raises(JournalUnavailable, match=r"not written within 0\.2 s"):
        accept(journal, signal, deadline_s=0.2)
    held.rollback()
    held.close()
    assert isinstance(accept(journal, new_signal(body("slow"), digest=signal.digest)), New)
    assert len(journal.unfinished()) == 1


def test_a_commit_that_nobody_waited_for_is_taken_back(journal: Journal) -> None:
    """Withdrawn while it is committing: the caller was told 503, so its resend must be new."""
    assert isinstance(journal.store, PostgresStore)
    committing, withdrawn, undone = (threading.Event() for _ in range(3))
    step_to = journal.store._step_to

    def hold(job: object, stage: object) -> bool:
        stored: bool = step_to(job, stage)  # type: ignore[arg-type]
        if stage is JobStage.COMMITTING:
            committing.set()
            assert withdrawn.wait(DEADLINE_S)
        return stored

    journal.store._step_to = hold  # type: ignore[method-assign]

    def add(connection: Connection) -> None:
        connection.execute(text("INSERT INTO switches VALUES ('', 'kept', 'on', 1, 'test')"))

    def undo(connection: Connection, _: None) -> None:
        connection.execute(text("DELETE FROM switches"))
        undone.set()

    with pytest.raises(JournalUnavailable):
        journal.store.submit(add, deadline_s=0.2, on_withdrawn=undo)
    assert committing.is_set()
    withdrawn.set()
    assert undone.wait(DEADLINE_S)
    journal.store._step_to = step_to  # type: ignore[method-assign]
    journal.close()


def test_the_same_alert_to_many_processes_at_once_is_accepted_once(journal: Journal, other: Journal) -> None:
    with ThreadPoolExecutor(16) as threads:
        for number in range(10):
            same = body(f"same {number}")
            tries = [
                threads.submit(accept, each, new_signal(same, digest="d"), deadline_s=DEADLINE_S)
                for each in (journal, other) * 4
            ]
            reported = [each.result() for each in tries]
            assert sum(isinstance(each, New) for each in reported) == 1
            assert sum(isinstance(each, Duplicate) for each in reported) == 7
    assert len(journal.unfinished()) == 10


def test_two_accounts_that_finish_at_the_same_moment_finish_the_signal(journal: Journal, other: Journal) -> None:
    with ThreadPoolExecutor(2) as threads:
        for _ in range(20):
            signal_id = accepted(journal, new_signal(accounts=("a", "b")))
            ends = [
                threads.submit(each.finish, signal_id, account, SignalStatus.DONE, None, (account,), now_ms=NOW_MS)
                for each, account in ((journal, "a"), (other, "b"))
            ]
            for each in ends:
                each.result()
            shown = journal.signal(signal_id)
            assert shown is not None
            assert (shown["status"], sorted(shown["notes"])) == ("done", ["a", "b"])


def test_the_same_fills_reported_by_two_processes_count_once(journal: Journal, other: Journal) -> None:
    with ThreadPoolExecutor(2) as threads:
        for number in range(20):
            _, client_id = sent_order(journal)
            executed = [fill(client_id, exec_id=f"e{number}")]
            reported = report(client_id)
            tells = [
                threads.submit(each.record_report, client_id, reported, executed, now_ms=NOW_MS)
                for each in (journal, other)
            ]
            for each in tells:
                each.result()
            record = journal.order(client_id)
            assert record is not None
            assert str(record.state.filled_qty) == "0.010"


def test_a_session_that_ended_in_one_process_has_ended_in_all(journal: Journal, other: Journal) -> None:
    assert not other.is_session_ended("a")
    journal.end_session("a", now_ms=NOW_MS, forget_before_ms=NOW_MS - 1000)
    assert other.is_session_ended("a") and not other.is_session_ended("b")
    other.end_session("b", now_ms=NOW_MS + 5000, forget_before_ms=NOW_MS + 4000)
    assert journal.is_session_ended("b") and not journal.is_session_ended("a"), "its time is over, and so is it"


def test_what_another_process_has_kept_of_rejected_alerts_today_counts(
    journal: Journal, other: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejected, "DAY_BYTES_MAX", 6000)

    def reject(where: Journal, strategy: str, now_ms: int = NOW_MS) -> bool:
        return where.reject(
            signal_id=new_signal_id(now_ms),
            strategy=strategy,
            alert="x" * 4000,
            digest="d",
            reason=Reason(code="ALERT_MALFORMED", message="line 1"),
            now_ms=now_ms,
        )

    assert reject(journal, "noisy")
    assert not reject(other, "noisy") and reject(other, "quiet")
    assert reject(other, "noisy", NOW_MS + DAY_MS)


def test_the_embedded_relay_loads_nothing_of_postgres() -> None:
    script = """
import sys
import relay.web, relay.app.wiring, relay.app.serve
print(sorted({name.partition(".")[0] for name in sys.modules} & {"psycopg"}))
"""
    reported = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert reported.stdout.strip() == "[]"


def test_a_halt_is_written_after_the_entries_that_were_let_pass_and_seen_by_the_next(
    journal: Journal, other: Journal, postgres_url: str
) -> None:
    """Whoever is answered that entries are halted knows that none is about to be written down as sent."""
    is_read, may_end = threading.Event(), threading.Event()

    def enter(uow: UnitOfWork) -> str | None:
        halted = uow.halted("main")
        is_read.set()
        assert may_end.wait(DEADLINE_S)
        return halted

    with ThreadPoolExecutor(2) as threads:
        entry = threads.submit(journal.write, enter)
        assert is_read.wait(DEADLINE_S)
        halt = threads.submit(other.set_switch, "main", HALT, "on", by="a test", now_ms=NOW_MS)
        until(lambda: halt.done() or is_locked_out(postgres_url))
        assert not halt.done()
        may_end.set()
        assert entry.result(DEADLINE_S) is None
        halt.result(DEADLINE_S)
    assert journal.write(lambda uow: uow.halted("main")) == "a test"
    assert journal.write(lambda uow: uow.halted("another")) is None


def is_locked_out(url: str) -> bool:
    """Whether somebody waits for an advisory lock."""
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone()
    return row is not None and row[0] > 0


def test_limits_that_the_database_has_for_its_own_do_not_reach_the_relay(postgres_url: str) -> None:
    odd = {
        "statement_timeout": "5s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "5s",
        "synchronous_commit": "off",
        "default_transaction_isolation": "serializable",
    }
    name = make_url(postgres_url).database
    with psycopg.connect(postgres.server().url_of("postgres"), autocommit=True) as connection:
        for setting, value in odd.items():
            connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())
    opened = open_journal(postgres_url)
    try:
        found = opened.store.submit(
            lambda connection: [
                connection.execute(text(f"SHOW {each.removeprefix('default_')}")).scalar_one() for each in odd
            ],
            deadline_s=10,
        )
        assert found[0].endswith("s") and found[0] != "5s"
        assert found[1:] == ["0", "2s", "on", "read committed"]
        assert isinstance(accept(opened), New)
    finally:
        opened.close()


def test_a_pooler_that_gives_sessions_away_is_refused_in_a_sentence(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_postgres, "_SESSION", text("SELECT 7"))  # as if both had the same session
    with pytest.raises(SettingsInvalid, match="DATABASE_URL: there is a pooler"):
        open_journal(postgres_url)
