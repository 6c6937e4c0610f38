"""`backup` and `export`, beside a relay that takes alerts meanwhile."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from click.testing import CliRunner, Result

from relay.cli.main import cli
from relay.journal.opening import open_journal
from tests.faults.stage import until
from tests.paper_server import PaperServer
from tests.relay_server import running_relay
from tests.unit.journal_builders import accepted

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


def test_what_the_journal_holds_of_some_days_is_exported_and_no_word_is_a_formula(
    tmp_path: Path, paper: PaperServer
) -> None:
    paper.control.reset()
    with running_relay(tmp_path, paper.url) as relay:
        done = relay.done(BUY | {"id": "exported"})
        until(lambda: [each["signals"] for each in relay.api("trades")["trades"]] == [[done["id"]]])
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
