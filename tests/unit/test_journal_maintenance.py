"""What people do to the whole journal: copies, a backup that is brought back, exports, accounts by other names."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Table, insert, select

from relay.domain.bracket import Bracket, BracketStatus
from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, Side, SignalStatus
from relay.domain.signal import Level, LevelKind
from relay.errors import JournalBusy
from relay.journal import maintenance, tables
from relay.journal.copies import Mailboxes, ReadUpTo
from relay.journal.journal import Journal
from relay.journal.maintenance import BackupFailed, ExportKind, NotRenamed, Suspended, back_up, restore
from relay.journal.opening import open_journal
from relay.journal.records import HALT
from relay.journal.sqlite import FileLock
from relay.journal.statements import Enumerated, ExactDecimal, Json
from relay.settings.environment import Secret, database_password
from tests.unit.journal_builders import (
    NOW_MS,
    accepted,
    events_of,
    fill,
    limit,
    new_signal,
    order_id,
    plan,
    planned,
    report,
    sent_order,
    url_of,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """A journal in a file, of the folder of this test."""
    opened = open_journal(url_of(tmp_path))
    yield opened
    opened.close()


# Copies.


def _rows(path: Path, table: str, columns: str = "*") -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608


def test_a_backup_of_an_open_journal_is_one_private_file_with_all_of_it(made: Journal, tmp_path: Path) -> None:
    ids = [accepted(made) for _ in range(3)]
    target = tmp_path / "copy.db"
    back_up(url_of(tmp_path), target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in tmp_path.glob("*copy*")) == ["copy.db"]
    assert sorted(_rows(target, "signals", "id")) == sorted((each,) for each in ids)
    assert _rows(target, "pragma_journal_mode") == [("delete",)]


def test_no_backup_is_made_over_a_file_or_of_what_is_no_journal(tmp_path: Path) -> None:
    open_journal(url_of(tmp_path)).close()
    (tmp_path / "there").write_text("mine")
    (tmp_path / "broken.db").write_bytes(b"no database" * 500)
    for source, target, said in (
        ("relay.db", tmp_path / "there", "there is there already; name another file"),
        ("relay.db", tmp_path / "no" / "copy", "cannot be written: No such file"),
        ("nowhere.db", tmp_path / "copy", "there is no journal .*nowhere.db"),
        ("broken.db", tmp_path / "copy", "broken.db cannot be copied: file is not a database"),
    ):
        with pytest.raises(BackupFailed, match=said):
            back_up(f"sqlite:///{tmp_path / source}", target)
    assert (tmp_path / "there").read_text() == "mine"
    assert not (tmp_path / "copy").exists() and not (tmp_path / "nowhere.db").exists()
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*.part"))


def test_a_backup_that_came_to_be_meanwhile_is_not_written_over(
    made: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = maintenance._copy

    def copy(journal: Path, target: Path) -> None:
        copied(journal, target)
        (tmp_path / "copy").write_text("another's")

    monkeypatch.setattr(maintenance, "_copy", copy)
    with pytest.raises(BackupFailed, match="copy cannot be written: File exists"):
        back_up(url_of(tmp_path), tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "another's"


def test_what_is_not_sound_is_no_copy(made: Journal, tmp_path: Path) -> None:
    for _ in range(40):
        accepted(made)
    made.close()
    whole = tmp_path / "relay.db"
    with closing(sqlite3.connect(whole)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        change = "UPDATE sqlite_master SET sql = replace(sql, 'sent_at BIGINT', 'sent_at BIGINT NOT NULL')"
        connection.execute(f"{change} WHERE name = 'signals'")
    with pytest.raises(BackupFailed, match="the copy of .*relay.db is not sound"):
        back_up(url_of(tmp_path), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


_WRITES = '#!/bin/sh\nfor word; do case $word in --file=*) echo "$PGPASSWORD|$@" >"${word#--file=}";; esac; done\n'


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of every program of another database's."""
    made = tmp_path / "a program"
    made.write_text(_WRITES)
    made.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(made))
    return made


@pytest.mark.parametrize(
    "address", ["u:hush-hush@127.0.0.1:1/x?sslmode=prefer", "127.0.0.1:1/x?user=u&password=hush-hush"]
)
def test_pg_dump_is_given_the_password_where_no_list_of_processes_shows_it(
    address: str, tmp_path: Path, program: Path
) -> None:
    back_up(f"postgresql+psycopg://{address}", tmp_path / "dump")
    password, shown = (tmp_path / "dump").read_text().split("|")
    assert password == "hush-hush" and "hush" not in shown
    assert "--format=custom" in shown and "--no-owner" in shown and "+psycopg" not in shown
    assert "--dbname=postgresql://" in shown and "127.0.0.1:1/x" in shown
    assert database_password(f"postgresql+psycopg://{address}") == Secret("hush-hush")


def test_without_a_password_none_is_given_and_pg_restore_names_no_database(tmp_path: Path, program: Path) -> None:
    back_up("postgresql+psycopg://u@127.0.0.1:1/x", tmp_path / "dump")
    assert (tmp_path / "dump").read_text().startswith("|")
    maintenance._run("pg_restore", "postgresql+psycopg://u@127.0.0.1:1/x", f"--file={tmp_path / 'list'}")
    assert "dbname" not in (tmp_path / "list").read_text()
    program.write_text("#!/bin/sh\necho what it lists\n")
    assert maintenance._run("pg_restore", "postgresql+psycopg://u@127.0.0.1:1/x") == "what it lists\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'first'>&2; echo 'connection refused'>&2; exit 1", "pg_dump failed: connection refused$"),
        ("exit 3", r"pg_dump failed: \?$"),
        ("echo 'server version mismatch' >&2; exit 1", "mismatch; install the client .* put its pg_dump first in PATH"),
        ("echo 'unsupported version (1.16)' >&2; exit 1", "1.16.; install the client .* put its pg_dump first in PATH"),
    ],
)
def test_a_program_of_the_database_s_that_fails_is_told_with_its_last_words(
    script: str, said: str, tmp_path: Path, program: Path
) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(BackupFailed, match=said):
        back_up("postgresql+psycopg://u@127.0.0.1:1/x", tmp_path / "dump")
    assert not (tmp_path / "dump").exists()


def test_a_program_of_the_database_s_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BackupFailed, match="pg_dump is not there; install the client"):
        back_up("postgresql+psycopg://u@127.0.0.1:1/x", tmp_path / "dump")


# A backup that is brought back.


def _backup(folder: Path, *, signals: int) -> Path:
    """Of a journal with so many signals, from a folder of its own."""
    folder.mkdir()
    journal = open_journal(url_of(folder))
    for _ in range(signals):
        accepted(journal)
    journal.set_switch("", "restored", "begun", by="an earlier one", now_ms=1)
    journal.close()
    back_up(url_of(folder), folder / "copy")
    return folder / "copy"


def test_a_backup_takes_the_place_of_a_journal_which_is_kept_beside_it(made: Journal, tmp_path: Path) -> None:
    source = _backup(tmp_path / "elsewhere", signals=2)
    there = accepted(made)
    with pytest.raises(JournalBusy):
        restore(url_of(tmp_path), source, is_replacing=True, now=NOW)
    made.close()
    with pytest.raises(BackupFailed, match="relay.db holds a journal with 1 signals; --replace puts"):
        restore(url_of(tmp_path), source, is_replacing=False, now=NOW)
    former = restore(url_of(tmp_path), source, is_replacing=True, now=NOW)
    assert former == tmp_path / "relay.db.replaced-20260304-050607"
    assert _rows(former, "signals", "id") == [(there,)]
    assert len(_rows(tmp_path / "relay.db", "signals")) == 2
    assert _rows(tmp_path / "relay.db", "switches", "account, name, value, at, by") == [
        ("", "restored", "new", int(NOW.timestamp()) * 1000, "restore")
    ]
    assert (tmp_path / "relay.db").stat().st_mode & 0o777 == 0o600
    assert _rows(tmp_path / "relay.db", "pragma_journal_mode") == [("delete",)]
    assert not list(tmp_path.glob(".restore-*"))
    FileLock(tmp_path / "relay.db.lock").release()


@pytest.mark.parametrize("there", [None, b"", b"broken" * 1000])
def test_a_journal_that_is_not_there_or_cannot_be_read_needs_no_leave_to_be_replaced(
    there: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _backup(tmp_path / "elsewhere", signals=1)
    journal, connect = tmp_path / "relay.db", sqlite3.connect

    def connected(place: object, **options: Any) -> sqlite3.Connection:
        if there and place == journal and not list(tmp_path.glob("relay.db.replaced*")):
            raise sqlite3.DatabaseError("the disk cannot be read there")
        made: sqlite3.Connection = connect(str(place), **options)
        return made

    if there is not None:
        journal.write_bytes(there)
        for suffix in ("-wal",) if there else ():
            (tmp_path / f"relay.db{suffix}").write_bytes(b"its log")
    monkeypatch.setattr(sqlite3, "connect", connected)
    former = restore(url_of(tmp_path), source, is_replacing=False, now=NOW)
    assert len(_rows(journal, "signals")) == 1
    assert (former is None) == (there is None)
    if former is not None:
        assert former.read_bytes() == there
        log = Path(f"{former}-wal")
        assert (log.read_bytes() if there else log.exists()) == (b"its log" if there else False), "what came last"
    assert not (tmp_path / "relay.db-wal").exists()


def test_what_was_committed_last_to_the_journal_that_goes_is_in_the_file_that_is_kept(tmp_path: Path) -> None:
    """Of a relay that was killed, whose log was not written back."""
    source = _backup(tmp_path / "elsewhere", signals=0)
    (tmp_path / "killed").mkdir()
    journal = open_journal(url_of(tmp_path / "killed"))
    there = accepted(journal)
    for name in ("relay.db", "relay.db-wal"):
        shutil.copy(tmp_path / "killed" / name, tmp_path / name)
    journal.close()
    former = restore(url_of(tmp_path), source, is_replacing=True, now=NOW)
    assert former is not None
    (tmp_path / "alone").mkdir()
    shutil.copy(former, tmp_path / "alone" / "relay.db")
    assert _rows(tmp_path / "alone" / "relay.db", "signals", "id") == [(there,)]


def test_what_is_no_backup_of_such_a_journal_changes_nothing(tmp_path: Path) -> None:
    source = _backup(tmp_path / "elsewhere", signals=1)
    open_journal(url_of(tmp_path)).close()
    before = (tmp_path / "relay.db").read_bytes()
    (tmp_path / "text").write_text("nothing of a journal")
    (tmp_path / "cut").write_bytes(source.read_bytes()[:5000])
    (tmp_path / "dump").write_bytes(b"PGDMP and more")
    with closing(sqlite3.connect(tmp_path / "of another program")) as other, other:
        other.execute("CREATE TABLE signals (id TEXT)")
    for name, said in (
        ("text", "text is no backup of a SQLite journal"),
        ("dump", "dump is no backup of a SQLite journal"),
        ("cut", "cut cannot be copied"),
        ("none", "none cannot be read: No such file"),
        ("of another program", "of another program is no journal of a relay"),
    ):
        with pytest.raises(BackupFailed, match=said):
            restore(url_of(tmp_path), tmp_path / name, is_replacing=True, now=NOW)
        assert (tmp_path / "relay.db").read_bytes() == before
        assert not list(tmp_path.glob("relay.db.replaced*")) and not list(tmp_path.glob(".restore-*"))
        FileLock(tmp_path / "relay.db.lock").release()
    with pytest.raises(BackupFailed, match="copy is no backup of a dump of Postgres"):
        restore("postgresql+psycopg://u@127.0.0.1:1/x", source, is_replacing=True, now=NOW)


# The first start on it, until the resume.


def _guarded(journal: Journal, account: str, symbol: str, **changes: Any) -> int:
    """Its entry is filled and its bracket lives: the bracket's place."""
    signal = new_signal(accounts=(account,), symbol=symbol)
    signal_id = accepted(journal, signal)
    bracket = Bracket(side=Side.BUY, stop_loss=Level(kind=LevelKind.PERCENT, value=Decimal(3)), **changes)
    order = planned(symbol=symbol)
    journal.write(lambda uow: uow.signals.begin(signal_id, account, now_ms=NOW_MS))
    journal.write(
        lambda uow: uow.plans.record(
            signal_id=signal_id, account=account, generation=0, plan=plan(order, bracket=bracket), now_ms=NOW_MS
        )
    )
    client_id = order_id(signal_id, account=account)
    journal.record_report(client_id, report(client_id), [fill(client_id, exec_id=client_id)], now_ms=NOW_MS)
    (record,) = (each for each in journal.live_brackets(account) if each.signal_id == signal_id)
    journal.save_bracket(record.seq, replace(record.bracket, status=BracketStatus.ACTIVE), now_ms=NOW_MS)
    return record.seq


def _tell(journal: Journal, text: str) -> None:
    row = {"target": "t", "kind": "k", "text": text, "at": 1, "lost": 0, "claimed_until": 0}
    journal.store.submit(lambda connection: connection.execute(insert(tables.notices), row), deadline_s=10)


def _notices(journal: Journal) -> int:
    with journal.store.read() as connection:
        return len(connection.execute(select(tables.notices)).all())


def _value(journal: Journal, account: str, name: str) -> str | None:
    found = journal.switch(account, name)
    return None if found is None else found.value


@pytest.mark.parametrize("mark", [None, "begun", "new"])
def test_only_a_journal_that_was_just_brought_back_begins_anew(mark: str | None, made: Journal) -> None:
    seq = _guarded(made, "main", "BTCUSDT")
    _tell(made, "something")
    Mailboxes(made.store).save("a folder", ReadUpTo(uid_validity=1, uid=7, at_ms=1))
    if mark is not None:
        made.set_switch("", "restored", mark, by="restore", now_ms=1)
    was = mark == "new"
    assert maintenance.awaits_resume(made) is was
    assert maintenance.begin(made, ["main", "idle"], now_ms=NOW_MS) is was
    assert maintenance.begin(made, ["main", "idle"], now_ms=NOW_MS) is False
    assert maintenance.awaits_resume(made) is was
    assert _value(made, "", "restored") == ("begun" if was else mark)
    assert [_value(made, each, HALT) for each in ("main", "idle", "other")] == (
        ["on", "on", None] if was else 3 * [None]
    )
    assert [each.seq for each in made.live_brackets()] == ([] if was else [seq])
    assert _notices(made) == (0 if was else 1)
    assert (Mailboxes(made.store).read_up_to("a folder") is None) is was
    state = maintenance.restored(made, "main")
    assert (state is not None) is was
    if state is not None:
        known = made.unfinished()
        assert state == maintenance.Restored(
            until=known[-1].seq,
            brackets=(Suspended(seq=seq, status=BracketStatus.ACTIVE, category=Category.LINEAR, symbol="BTCUSDT"),),
        )
        assert maintenance.restored(made, "idle") == maintenance.Restored(until=known[-1].seq)


def test_accounts_that_only_the_journal_knows_are_halted_too_and_the_last_place_is_of_all(made: Journal) -> None:
    first = accepted(made, new_signal(accounts=("gone",)))
    accepted(made)
    made.finish(first, "gone", SignalStatus.FAILED, now_ms=NOW_MS)
    made.set_switch("", "restored", "new", by="restore", now_ms=1)
    maintenance.begin(made, [], now_ms=NOW_MS)
    last = max(each.seq for each in made.unfinished())
    for account in ("gone", "main"):
        assert maintenance.restored(made, account) == maintenance.Restored(until=last)
        assert _value(made, account, HALT) == "on"
    assert last > 1


def test_of_an_empty_journal_nothing_is_past(made: Journal) -> None:
    made.set_switch("", "restored", "new", by="restore", now_ms=1)
    assert maintenance.begin(made, ["main"], now_ms=NOW_MS)
    assert maintenance.restored(made, "main") == maintenance.Restored(until=0)


def test_a_person_sees_what_differs_before_entries_go_out_again(made: Journal) -> None:
    state = maintenance.Restored(until=3)
    assert maintenance.release(made, "main", now_ms=1) == (), "it was not brought back"
    assert maintenance.restored(made, "main") is None and not maintenance.awaits_resume(made)
    maintenance.save(made, "main", state, now_ms=1)
    for _ in range(2):
        assert maintenance.release(made, "main", now_ms=1) == (
            "main: its positions and orders have not been compared with the exchange yet",
        )
    assert maintenance.awaits_resume(made)
    maintenance.save(made, "main", replace(state, differences=("a", "b")), now_ms=2)
    assert maintenance.release(made, "main", now_ms=3) == ("main: a", "main: b")
    assert maintenance.restored(made, "main") == replace(state, differences=("a", "b"), is_shown=True)
    assert maintenance.release(made, "main", now_ms=4) == ()
    assert maintenance.restored(made, "main") is None and not maintenance.awaits_resume(made)
    maintenance.save(made, "other", replace(state, differences=()), now_ms=5)
    assert maintenance.awaits_resume(made), "one of several"
    assert maintenance.release(made, "other", now_ms=6) == (), "nothing differs, so nothing is to be seen"
    assert not maintenance.awaits_resume(made)


def test_brackets_are_followed_again_as_they_stood_but_not_beside_a_later_one(made: Journal) -> None:
    kept = _guarded(made, "main", "BTCUSDT")
    _guarded(made, "main", "ETHUSDT")
    foreign = _guarded(made, "other", "BTCUSDT")
    made.set_switch("", "restored", "new", by="restore", now_ms=1)
    maintenance.begin(made, ["main", "other"], now_ms=NOW_MS)
    state = maintenance.restored(made, "main")
    assert state is not None and len(state.brackets) == 2
    later = _guarded(made, "main", "ETHUSDT")
    waits = Suspended(seq=10_000, status=BracketStatus.ACTIVE, category=Category.LINEAR, symbol="BTCUSDT")
    maintenance.save(made, "main", replace(state, differences=(), brackets=(*state.brackets, waits)), now_ms=2)
    assert maintenance.release(made, "main", now_ms=3) == (), "one that is not there is left out"
    assert {each.seq: each.bracket.status for each in made.live_brackets()} == {
        kept: BracketStatus.ACTIVE,
        later: BracketStatus.ACTIVE,
    }
    assert foreign not in {each.seq for each in made.live_brackets()}


# Rows for other programs.


def test_an_order_its_signal_and_its_fills_are_exported_in_every_column(made: Journal) -> None:
    signal_id, client_id = sent_order(made, limit(price="60000.50"))
    fills = [
        fill(client_id, qty="0.006"),
        replace(fill(client_id, exec_id="e-2", qty="0.004", fee="0.1"), fee_coin="MNT"),
    ]
    made.record_report(client_id, report(client_id), fills, now_ms=NOW_MS + 5)
    rows = {kind: list(maintenance.export(made.store, kind, 0, NOW_MS + 1)) for kind in ExportKind}
    at = "2026-01-01T00:00:00.000Z"
    assert rows[ExportKind.SIGNALS] == [
        {
            **{"id": signal_id, "strategy": "default", "action": "buy", "ticker": "BTCUSDT.P", "category": "linear"},
            **{"symbol": "BTCUSDT", "status": "executing", "reason_code": None, "reason_message": None},
            **{"received_at": at, "sent_at": None, "finished_at": None},
        }
    ]
    assert rows[ExportKind.ORDERS] == [
        {
            **{"signal_id": signal_id, "client_order_id": client_id, "venue_order_id": "v-1", "account": "main"},
            **{"category": "linear", "symbol": "BTCUSDT", "side": "buy", "type": "limit", "qty": "0.01"},
            **{"price": "60000.5", "reduce_only": False, "status": "filled", "reason_code": None},
            **{"reason_message": None, "filled_qty": "0.01", "avg_price": "60000", "fee": "0.33"},
            **{"fee_coin": "USDT", "created_at": at, "fees_other": "0.1 MNT"},
        }
    ]
    common: dict[str, Any] = {
        "signal_id": signal_id,
        "client_order_id": client_id,
        "account": "main",
        "category": "linear",
    }
    common |= {"symbol": "BTCUSDT", "side": "buy", "price": "60000", "is_maker": False, "at": at}
    assert rows[ExportKind.FILLS] == [
        common | {"exec_id": "e-1", "qty": "0.006", "fee": "0.33", "fee_coin": "USDT"},
        common | {"exec_id": "e-2", "qty": "0.004", "fee": "0.1", "fee_coin": "MNT"},
    ]
    assert rows[ExportKind.TRADES] == [], "none was booked"
    for kind in (ExportKind.SIGNALS, ExportKind.ORDERS, ExportKind.FILLS):
        assert list(rows[kind][0]) == list(maintenance.COLUMNS[kind])


@pytest.mark.parametrize("at_once", [1, 3, 7, 8])
def test_many_rows_are_exported_once_each_and_in_order_of_time(
    at_once: int, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_AT_ONCE", at_once)
    ids = [accepted(journal, at_ms=NOW_MS + each) for each in (0, 1, 1, 1, 1, 2, 3, 3, 9, 9)]
    found = list(maintenance.export(journal.store, ExportKind.SIGNALS, NOW_MS + 1, NOW_MS + 9))
    assert [each["id"] for each in found] == ids[1:8], "from the first moment on, without the last one"
    orders = sorted(sent_order(journal)[1] for _ in range(7))
    found = list(maintenance.export(journal.store, ExportKind.ORDERS, 0, NOW_MS + 1))
    assert [each["client_order_id"] for each in found] == orders


# Accounts by other names.


def _cell(column: Any, number: int) -> Any:
    if isinstance(column.type, Enumerated):
        return next(iter(column.type.kind))
    if isinstance(column.type, Json):
        return {"n": number}
    if isinstance(column.type, Boolean):
        return number > 9
    return Decimal(number) if isinstance(column.type, ExactDecimal) else number


def _row(table: Table, account: str, place: int, number: int) -> dict[str, Any]:
    """`place` tells its key but for the account; `number` stands in every other column."""
    keys = [each.name for each in table.primary_key.columns]
    row = {each.name: _cell(each, place if each.name in keys else number) for each in table.c} | {"account": account}
    texts = [each.name for each in table.c if each.name != "account" and str(each.type) in ("TEXT", "VARCHAR")]
    texts = [each for each in texts if not isinstance(row[each], dict | Decimal) and not hasattr(row[each], "value")]
    return row | {each: str(row[each]) for each in texts}


_APART = {"assignments", "plans", "orders", "fills", "guards"}
"""They hang together, and no two accounts have one of them."""
_NEWS = {"beliefs", "carries", "switches", "account_owner", "account_reports"}
"""Of what is known now, the new name's is the later; of what was counted, the old name's knows more."""
_SUMS = {
    "day_totals": ("realised", "fees", "funding"),
    "trade_totals": ("trades", "won", "realised", "fees", "funding"),
}
_WITH_ACCOUNT = [each for each in tables.metadata.sorted_tables if "account" in each.c and each.name not in _APART]


def _of_three_accounts(table: Table) -> list[dict[str, Any]]:
    """Of the old name and of another account the places 1 to 3, of the new name 1 and 4, or one each."""
    keys = table.primary_key.columns.keys()
    places = [1] if keys == ["account"] else [1, 2, 3]
    given = [("old", each, 100) for each in places] + [("other", each, 9) for each in places]
    given += [("new", place, 7) for place in ([1] if len(places) == 1 else [1, 4])]
    rows = [_row(table, *each[:2], each[2]) for each in given]
    if "account" not in keys:
        rows = [_row(table, account, at, number) for at, (account, _, number) in enumerate(given, start=1)]
    return [each | {"body": {"account": each["account"]}} for each in rows] if table.name == "trades" else rows


def _expected(table: Table, stored: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    keys = table.primary_key.columns.keys()
    for row in stored:
        moved = row | ({"account": "new"} if row["account"] == "old" else {})
        if table.name == "trades":
            moved["body"] = {"account": moved["account"]}
        key = tuple(moved[each] for each in keys)
        before = found.get(key)
        if before is None or table.name in _NEWS:
            found[key] = moved
        elif table.name in _SUMS:
            found[key] = moved | {each: moved[each] + before[each] for each in _SUMS[table.name]}
            if table.name == "day_totals":
                found[key]["fees_other"] = {"n": "107"}
        # else the old name's row stays, which was there first
    return list(found.values())


def test_of_every_table_what_was_the_old_name_s_is_the_new_one_s(journal: Journal) -> None:
    stored = {table: _of_three_accounts(table) for table in _WITH_ACCOUNT}
    for table, rows in stored.items():
        journal.store.submit(lambda connection, t=table, r=rows: connection.execute(insert(t), r), deadline_s=10)  # type: ignore[misc]
    maintenance.rename(journal, "old", "new")
    with journal.store.read() as connection:
        for table, rows in stored.items():
            found = [dict(each._mapping) for each in connection.execute(select(table))]
            assert sorted(map(str, found)) == sorted(map(str, _expected(table, rows))), table.name


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("on", "off", "on"),
        ("on", None, "on"),
        ("off", "on", "on"),
        (None, "on", "on"),
        ("off", "off", "off"),
        (None, "off", "off"),
        ("off", None, "off"),
    ],
)
def test_no_halt_is_lifted_by_a_name(old: str | None, new: str | None, expected: str, made: Journal) -> None:
    for account, value in (("old", old), ("new", new), ("other", "on")):
        if value is not None:
            made.set_switch(account, HALT, value, by=account, now_ms=1)
    made.set_switch("old", "terms", "on", by="old", now_ms=1)
    made.set_switch("new", "terms", "off", by="new", now_ms=1)
    maintenance.rename(made, "old", "new")
    assert _value(made, "new", HALT) == expected
    assert (_value(made, "old", HALT), _value(made, "other", HALT)) == (None, "on")
    assert _value(made, "new", "terms") == "off"


def test_signals_orders_fills_and_brackets_go_along_and_an_alert_to_both_forbids_it(journal: Journal) -> None:
    seq = _guarded(journal, "old", "BTCUSDT")
    of_new, _ = sent_order(journal, account="new", signal=new_signal(accounts=("new",)))
    of_other, _ = sent_order(journal, account="other", signal=new_signal(accounts=("other",)))
    waiting = accepted(journal, new_signal(accounts=("old", "other")))
    before = {each.signal.id: each for each in journal.unfinished() if each.account == "old"}
    maintenance.rename(journal, "old", "new")
    assert maintenance.known_accounts(journal) == ("new", "other")
    after = {(each.signal.id, each.account): each for each in journal.unfinished()}
    assert set(after) == {(waiting, "new"), (waiting, "other"), (of_new, "new"), (of_other, "other")} | {
        (each, "new") for each in before
    }
    for signal_id, record in before.items():
        moved = tuple(replace(each, account="new") for each in record.orders)
        assert after[signal_id, "new"] == replace(record, account="new", orders=moved)
    assert [each.seq for each in journal.live_brackets("new")] == [seq]
    assert len(journal.orders(account="new")) == 2 and not journal.orders(account="old")
    with journal.store.read() as connection:
        assert {*connection.scalars(select(tables.fills.c.account))} == {"new"}
        assert sorted(connection.scalars(select(tables.plans.c.account))) == ["new", "new", "other"]
    with pytest.raises(NotRenamed, match=f"signal {waiting} went to other and to new: they are two accounts"):
        maintenance.rename(journal, "other", "new")
    assert maintenance.known_accounts(journal) == ("new", "other")


def test_an_account_that_is_given_up_has_nothing_unfinished_and_no_bracket(made: Journal) -> None:
    _guarded(made, "gone", "BTCUSDT")
    kept = _guarded(made, "kept", "BTCUSDT")
    both = accepted(made, new_signal(accounts=("gone", "kept")))
    alone = accepted(made, new_signal(accounts=("gone",)))
    maintenance.forget(made, "gone", now_ms=NOW_MS)
    assert {each.account for each in made.unfinished()} == {"kept"}
    assert [each.seq for each in made.live_brackets()] == [kept]
    shown = made.signal(alone)
    assert shown is not None
    assert (shown["status"], shown["reason"]["code"]) == ("failed", "ACCOUNT_FORGOTTEN")
    assert events_of(made, alone)[-1] == "failed" and "failed" in events_of(made, both)
    assert _value(made, "gone", maintenance.FORGOTTEN) == "on" and _value(made, "kept", maintenance.FORGOTTEN) is None


def test_what_is_open_on_an_account_is_an_unfinished_signal_an_order_a_bracket_or_a_position(made: Journal) -> None:
    accepted(made, new_signal(accounts=("waits",)))
    for account, status in (("rests", OrderStatus.ACCEPTED), ("over", OrderStatus.FILLED)):
        signal_id, client_id = sent_order(made, account=account, signal=new_signal(accounts=(account,)))
        made.record_report(client_id, report(client_id, status, rests=account == "rests"), (), now_ms=NOW_MS)
        made.finish(signal_id, account, SignalStatus.DONE, now_ms=NOW_MS)
    _guarded(made, "guards", "BTCUSDT")
    made.write(lambda uow: uow.positions.check("held", Category.LINEAR, "BTCUSDT", Decimal(1), at_ms=1))
    assert maintenance.accounts_with_open(made) >= {"waits", "rests", "guards", "held"}
    assert "over" in maintenance.known_accounts(made) and "held" in maintenance.known_accounts(made)
