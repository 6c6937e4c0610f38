"""An account that has vanished from the configuration with something open, and how it gets its new name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from relay.app.account_checks import check_target_for
from relay.app.accounts import exchanges_of
from relay.execution.bookkeeping import JournalOwnership
from relay.journal.opening import open_journal
from relay.settings.settings import load_settings
from tests.flow.cli_support import run
from tests.paper_server import KEY, SECRET, PaperServer
from tests.relay_server import ADMIN_TOKEN, WEBHOOK_SECRET, running_relay, settings_for
from tests.unit.journal_builders import accepted, new_signal

pytestmark = pytest.mark.slow

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}


def _config(url: str, *names: str) -> str:
    return "\n".join(
        f'[accounts.{name}]\nenvironment = "paper"\nurl = "{url}"\n'
        f'stream_url = "{url.replace("http", "ws", 1)}"\n'
        f'api_key_env = "KEY_{name.upper()}"\napi_secret_env = "SECRET_OF"\n'
        for name in names
    )


def _environment(folder: Path, paper: PaperServer, *names: str) -> dict[str, str]:
    keys = {f"KEY_{name.upper()}": KEY for name in names}
    return {
        "RELAY_CONFIG": _config(paper.url, *names),
        "SECRET_OF": SECRET,
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "BYBIT_URL": "",
        "BYBIT_API_KEY": "",
        "BYBIT_API_SECRET": "",
        **keys,
    }


def _run(folder: Path, environment: dict[str, str], *arguments: str) -> Result:
    given = {name: value for name, value in environment.items() if value}
    return run({**given, "DATABASE_URL": f"sqlite:///{folder}/relay.db"}, *arguments)


def test_a_renamed_account_opens_nothing_until_it_is_said_and_loses_nothing(
    tmp_path: Path, paper: PaperServer, caplog: pytest.LogCaptureFixture
) -> None:
    paper.control.reset()
    before, after = (_environment(tmp_path, paper, name) for name in ("first", "second"))
    with running_relay(tmp_path, paper.url, **before) as relay:
        levels = {"take_profit": [{"at": "+5%", "share": "50"}, {"at": "+9%", "share": "50"}]}
        opened = relay.done(BUY | levels)
        assert opened["status"] == "done", opened
    with running_relay(tmp_path, paper.url, **after) as relay:
        assert "the account first is not configured any more, and the journal has open: BTCUSDT 0.01" in caplog.text
        denied = relay.done(BUY | {"ticker": "ETHUSDT.P", "qty": "0.1"})
        assert (denied["status"], denied["reason"]["code"]) == ("denied", "ACCOUNT_RENAMED")
        part = relay.done({"action": "close", "ticker": "BTCUSDT.P", "qty": "0.004"})
        assert part["status"] == "done", "exits are never withheld"
        busy = _run(tmp_path, after, "rename-account", "first", "second")
        assert busy.exit_code == 1 and "relay" in busy.output
        checks = relay.relay.services.checkup
        checks.look_now()
        report = checks.latest("second")
        assert report is not None and report.check("accounts").state == "red" and not report.is_ok
        assert "rename-account first second" in (report.check("accounts").fix or "")
    for wrong, said in (
        (("first",), "give either NEW"),
        (("first", "third"), "not configured; it should be one of second"),
        (("second", "second"), "OLD: second is configured"),
        (("nobody", "second"), "knows no account nobody"),
    ):
        ran = _run(tmp_path, after, "rename-account", *wrong)
        assert ran.exit_code != 0 and said in ran.output, ran.output
    ran = _run(tmp_path, after, "rename-account", "first", "second")
    assert ran.exit_code == 0 and "first is second now" in ran.output, ran.output
    caplog.clear()
    with running_relay(tmp_path, paper.url, **after) as relay:
        assert "not configured any more" not in caplog.text
        assert {each["account"] for each in relay.api("orders")["orders"]} == {"second"}
        assert {each["account"] for each in relay.api("trades")["trades"]} == {"second"}
        (bracket,) = relay.relay.services.journal.live_brackets("second")
        assert bracket.signal_id == opened["id"]
        assert relay.done(BUY | {"ticker": "ETHUSDT.P", "qty": "0.1", "comment": "again"})["status"] == "done"


def test_what_is_given_up_is_not_named_again_until_it_is_configured(
    tmp_path: Path, paper: PaperServer, caplog: pytest.LogCaptureFixture
) -> None:
    paper.control.reset()
    both, one = _environment(tmp_path, paper, "kept", "gone"), _environment(tmp_path, paper, "kept")
    journal = open_journal(f"sqlite:///{tmp_path}/relay.db")
    waiting = accepted(journal, new_signal(accounts=("gone",)))
    journal.close()
    one["KEY_KEPT"] = "another-key-0123"
    paper_key_differs = {**one, "BYBIT_ENV": "paper"}
    ran = _run(tmp_path, paper_key_differs, "rename-account", "--forget", "gone")
    assert ran.exit_code == 0 and "gone is forgotten" in ran.output, ran.output
    one["KEY_KEPT"] = KEY
    with running_relay(tmp_path, paper.url, **one) as relay:
        assert "not configured any more" not in caplog.text
        assert relay.api(f"signals/{waiting}")["reason"]["code"] == "ACCOUNT_FORGOTTEN"
        assert relay.done(BUY)["status"] == "done"
    with running_relay(tmp_path, paper.url, **both) as relay:
        forgotten = relay.relay.services.journal.switch("gone", "forgotten")
        assert forgotten is not None and forgotten.value == ""


def test_an_account_without_an_heir_is_named_and_holds_up_nobody(
    tmp_path: Path, paper: PaperServer, caplog: pytest.LogCaptureFixture
) -> None:
    paper.control.reset()
    journal = open_journal(f"sqlite:///{tmp_path}/relay.db")
    accepted(journal, new_signal(accounts=("gone",)))
    journal.close()
    told: list[str] = []
    with running_relay(tmp_path, paper.url) as relay:
        relay.relay.services.announcer.add_receiver(lambda _, text: told.append(text))
        assert (
            "the account gone is not configured any more, and the journal has open: 1 unfinished signal" in caplog.text
        )
        assert relay.done(BUY)["status"] == "done"
    settings = settings_for(tmp_path, paper.url)
    exchange = exchanges_of(settings, has_streams=False)["default"]
    journal = open_journal(settings.database_url, lock=False)
    report_of = check_target_for(settings, settings.accounts[0], exchange, JournalOwnership(journal, "default")).run()
    assert report_of.check("accounts").state == "red" and "gone" in report_of.check("accounts").message
    journal.close()
    exchange.close()


def test_of_two_secrets_the_new_one_is_printed_and_both_are_taken(own: Any) -> None:
    given: dict[str, str] = {"WEBHOOK_SECRET": "the-old-secret-0123 the-new-secret-0123", "BYBIT_ENV": "paper"}
    settings = load_settings(given, dotenv=None)
    first, *others = settings.secrets_of(settings.strategies[0])
    assert first.reveal() == "the-new-secret-0123" and [each.reveal() for each in others] == ["the-old-secret-0123"]
    shown = run(given, "alert", "--with-secret")
    assert "the-new-secret-0123" in shown.stdout and "the-old-secret" not in shown.output
