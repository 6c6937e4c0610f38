"""`backup` and `export`, beside a relay that takes alerts meanwhile."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli.main import cli
from relay.journal import maintenance
from relay.journal.journal import Journal
from relay.journal.maintenance import BackupFailed, back_up
from relay.journal.opening import open_journal
from relay.settings.environment import Secret, database_password
from tests.paper_server import PaperServer
from tests.relay_server import running_relay
from tests.unit.journal_builders import NOW_MS, accepted

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}


def _run(folder: Path, *arguments: str) -> Result:
    environment = {"DATABASE_URL": f"sqlite:///{folder}/relay.db", "BYBIT_ENV": "paper"}
    return CliRunner().invoke(cli, list(arguments), env=environment, catch_exceptions=False)


def test_a_backup_beside_a_running_relay_is_a_whole_journal_of_all_that_was_accepted_before(
    tmp_path: Path, paper: PaperServer
) -> None:
    target = tmp_path / "copy.db"
    with running_relay(tmp_path, paper.url) as relay:
        before = relay.done(BUY | {"id": "before"})
        arriving = threading.Thread(target=lambda: [relay.post(BUY | {"id": f"meanwhile {n}"}) for n in range(20)])
        arriving.start()
        ran = _run(tmp_path, "backup", str(target))
        arriving.join(60)
    assert ran.exit_code == 0 and str(target) in ran.output
    assert target.stat().st_mode & 0o077 == 0
    assert [each.name for each in tmp_path.glob("*copy.db*")] == ["copy.db"], "one file, and nothing half done"
    journal = open_journal(f"sqlite:///{target}", lock=False)
    copied = journal.signal(before["id"])
    journal.close()
    assert copied is not None and copied["status"] == "done"


def test_a_backup_never_writes_over_a_file_and_says_what_is_wrong(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    for target, said in ((there, "is there already"), (tmp_path / "no" / "x", "cannot be written")):
        open_journal(f"sqlite:///{tmp_path}/relay.db").close()
        ran = _run(tmp_path, "backup", str(target))
        assert ran.exit_code == 1 and said in ran.output
    assert there.read_text() == "mine"
    with pytest.raises(BackupFailed, match="there is no journal"):
        back_up(f"sqlite:///{tmp_path}/nowhere.db", tmp_path / "copy")
    (tmp_path / "broken.db").write_bytes(b"no database" * 500)
    with pytest.raises(BackupFailed, match="cannot be copied"):
        back_up(f"sqlite:///{tmp_path}/broken.db", tmp_path / "copy")
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*.part"))


def test_postgres_is_copied_by_pg_dump_where_that_is(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BackupFailed, match="pg_dump is not there"):
        back_up(postgres_url, tmp_path / "dump")
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\nfor word; do case $word in --file=*) echo "$@" >"${word#--file=}";; esac; done\n')
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    back_up(postgres_url, tmp_path / "dump")
    said = (tmp_path / "dump").read_text()
    program.write_text("#!/bin/sh\necho 'pg_dump: error: aborting because of server version mismatch' >&2; exit 1\n")
    with pytest.raises(BackupFailed, match="mismatch; install the client .* put its pg_dump first"):
        back_up(postgres_url, tmp_path / "other")
    assert "--format=custom" in said and "--dbname=postgresql://" in said and "+psycopg" not in said


@pytest.mark.parametrize(
    "address", ["u:hush-hush@127.0.0.1:1/x?sslmode=prefer", "127.0.0.1:1/x?user=u&password=hush-hush"]
)
def test_pg_dump_is_given_the_password_where_no_list_of_processes_shows_it(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pg_dump"
    program.write_text(
        '#!/bin/sh\nfor word; do case $word in --file=*) echo "$PGPASSWORD $@" >"${word#--file=}";; esac; done\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    back_up(f"postgresql+psycopg://{address}", tmp_path / "dump")
    password, *shown = (tmp_path / "dump").read_text().split()
    assert password == "hush-hush" and not any("hush" in each for each in shown)
    assert any("127.0.0.1:1/x" in each for each in shown)
    assert database_password(f"postgresql+psycopg://{address}") == Secret("hush-hush")


def test_what_the_journal_holds_of_some_days_is_exported_and_no_word_is_a_formula(
    tmp_path: Path, paper: PaperServer
) -> None:
    with running_relay(tmp_path, paper.url) as relay:
        done = relay.done(BUY | {"id": "exported"})
        relay.post(BUY | {"ticker": "=1+1", "id": "formula"})
        day = done["received_at"][:10]
        rows = {
            kind: list(csv.DictReader(io.StringIO(_run(tmp_path, "export", kind, "--from", day, "--to", day).stdout)))
            for kind in ("signals", "orders", "fills", "trades")
        }
        (trade,) = rows["trades"]
        assert (trade["strategy"], trade["size"], trade["status"]) == ("default", "0.01", "open")
        assert (trade["signals"], trade["id"]) == (done["id"], relay.api("trades")["trades"][0]["id"])
        assert [each["status"] for each in rows["signals"]] == ["done", "rejected"]
        assert rows["signals"][1]["ticker"] == "'=1+1"
        (order,), (fill,) = rows["orders"], rows["fills"]
        assert (order["signal_id"], order["status"], order["fee_coin"]) == (done["id"], "filled", "USDT")
        assert (
            fill["qty"] == "0.01" and fill["at"].startswith(day) and fill["client_order_id"] == order["client_order_id"]
        )
        lines = _run(tmp_path, "export", "orders", "--json").stdout.splitlines()
        assert json.loads(lines[0])["reduce_only"] is False
        assert _run(tmp_path, "export", "orders", "--to", "2020-01-01").stdout.count("\n") == 1
        bad = _run(tmp_path, "export", "orders", "--from", "yesterday")
        assert bad.exit_code == 2 and "--from" in bad.output


def test_many_rows_are_exported_once_each_and_in_order_from_both_databases(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_AT_ONCE", 3)
    times = [1, 1, 1, 1, 2, 3, 3, 9, 9, 9]
    made = [accepted(journal, at_ms=NOW_MS + each) for each in times]
    found = list(maintenance.export(journal.store, maintenance.ExportKind.SIGNALS, NOW_MS, NOW_MS + 9))
    assert [each["id"] for each in found] == made[:7]


def test_a_journal_of_an_earlier_schema_that_lacks_a_table_goes_on(tmp_path: Path) -> None:
    """A journal that was made while migration 0005 had no table `booked_until`, and was migrated further since."""
    journal = open_journal(f"sqlite:///{tmp_path}/relay.db")
    signal_id = accepted(journal)
    journal.close()
    with closing(sqlite3.connect(tmp_path / "relay.db")) as connection, connection:
        connection.execute("DROP TABLE booked_until")
    journal = open_journal(f"sqlite:///{tmp_path}/relay.db")
    assert journal.signal(signal_id) is not None
    with journal.store.read() as found:
        assert found.exec_driver_sql("SELECT count(*) FROM booked_until").scalar() == 0
    journal.close()
