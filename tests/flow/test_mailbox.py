"""Alerts by mail, from a real Dovecot, beside those by webhook."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

import pytest

from relay.app.account_checks import MailboxLook
from relay.errors import SettingsInvalid
from relay.execution import mailbox
from relay.execution.mailbox import read_mail
from relay.settings.settings import load_settings
from tests.mail_server import HAS_DOVECOT, PASSWORD, MailServer, mail
from tests.paper_server import PaperServer
from tests.relay_server import WEBHOOK_SECRET, RelayServer, running_relay

DEADLINE_S = 60
BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}
CLOSE = {"action": "close", "ticker": "BTCUSDT.P"}

needs_dovecot = pytest.mark.skipif(
    not HAS_DOVECOT and os.environ.get("RELAY_DOVECOT") != "required", reason="apt-get install dovecot-imapd"
)
pytestmark = [needs_dovecot, pytest.mark.slow]


@pytest.fixture
def dovecot(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    monkeypatch.setattr(mailbox, "_AGAIN_S", (0.05, 0.2))
    home = Path(tempfile.mkdtemp(prefix="relay-dovecot-"))
    made = MailServer(home)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def relay(tmp_path: Path, own_paper: PaperServer, dovecot: MailServer) -> Iterator[RelayServer]:
    # What is delivered to a busy machine may be late; tests about lateness have a relay of their own.
    with running_relay(tmp_path, own_paper.url, MAILBOX_URL=dovecot.url, SIGNAL_MAX_AGE="600") as running:
        _until(lambda: _watch(running).is_reading)
        yield running


@pytest.fixture
def own_paper(paper: PaperServer) -> PaperServer:
    paper.control.clear_faults()
    paper.control.reset()
    return paper


def _watch(relay: RelayServer) -> mailbox.MailboxWatch:
    found = relay.relay.services.mailbox
    assert found is not None
    return found


def _until(is_so: Callable[[], object]) -> None:
    """Of what has no event to be awaited: another process's files, and a thread's next look."""
    until = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


def _text(alert: dict[str, str]) -> str:
    return json.dumps({"secret": WEBHOOK_SECRET, **alert})


def _signals(relay: RelayServer) -> list[dict[str, Any]]:
    """The oldest first."""
    listed: list[dict[str, Any]] = relay.api("signals?limit=500")["signals"]
    return listed[::-1]


def _after(relay: RelayServer, count: int) -> list[dict[str, Any]]:
    """Once there are so many signals, and all of them are finished."""
    _until(lambda: len(_signals(relay)) >= count)
    return [relay.wait_for(each["id"]) for each in _signals(relay)]


def test_a_mail_is_executed_as_a_webhook_is_and_is_marked_seen_once_it_is_durable(
    relay: RelayServer, dovecot: MailServer
) -> None:
    dovecot.deliver(mail("dear reader, nothing for you"))
    dovecot.deliver(mail(_text(BUY)))
    (signal,) = _after(relay, 1)
    assert (signal["status"], signal["orders"][0]["status"]) == ("done", "filled")
    assert signal["notes"][0] == (
        "by mail, from tradingview.com (dkim=pass for tradingview.com, as the mailbox's server says)"
    )
    assert WEBHOOK_SECRET not in json.dumps(signal)
    _until(lambda: dovecot.seen() == 1)


def test_a_mail_at_the_same_instant_as_its_webhook_is_one_order(relay: RelayServer, dovecot: MailServer) -> None:
    for number in range(6):
        alert = BUY | {"comment": f"number {number}"}
        posting = threading.Thread(target=relay.post, args=(alert,))
        posting.start()
        dovecot.deliver(mail(_text(alert), kind="html"))
        posting.join(DEADLINE_S)
    _until(lambda: dovecot.seen() == 6)
    assert [each["status"] for each in _after(relay, 6)] == ["done"] * 6
    assert relay.api("positions")["positions"][0]["size"] == "0.06"


def test_old_mails_of_the_first_start_are_not_executed_and_those_of_an_absence_are_by_their_age(
    tmp_path: Path, own_paper: PaperServer, dovecot: MailServer
) -> None:
    for number in range(1000):
        dovecot.deliver(mail(_text(BUY | {"id": f"old {number}"})))
    with running_relay(tmp_path, own_paper.url, MAILBOX_URL=dovecot.url) as relay:
        _until(lambda: _watch(relay).is_reading)
        dovecot.deliver(mail(_text(BUY | {"comment": "first"})))
        _after(relay, 1)
    old = datetime.now(UTC) - timedelta(minutes=5)
    dovecot.deliver(mail(_text(BUY | {"ticker": "ETHUSDT.P", "comment": "too old"}), at=old))
    dovecot.deliver(mail(_text(CLOSE | {"comment": "late"}), at=datetime.now(UTC) - timedelta(minutes=10)))
    dovecot.deliver(mail(_text(BUY | {"comment": "in time"})))
    with running_relay(tmp_path, own_paper.url, MAILBOX_URL=dovecot.url) as relay:
        found = {each["alert"]["comment"]: each for each in _after(relay, 4)}
        assert len(found) == 4
        assert (found["too old"]["status"], found["too old"]["reason"]["code"]) == ("expired", "TIME_TOO_OLD")
        assert (found["late"]["status"], found["late"]["reason"]["code"]) == ("rejected", "LATE_BY_MAIL")
        assert found["in time"]["status"] == "done"


def test_cut_connections_and_a_server_that_starts_again_lose_and_double_nothing(
    relay: RelayServer, dovecot: MailServer
) -> None:
    for number in range(4):
        dovecot.deliver(mail(_text(BUY | {"comment": f"before {number}"})))
        dovecot.cut()
        dovecot.deliver(mail(_text(BUY | {"comment": f"after {number}"})))
    found = _after(relay, 8)
    _until(lambda: dovecot.seen() == 8)
    assert [each["status"] for each in found] == ["done"] * 8 and len(_signals(relay)) == 8


def test_a_folder_that_is_made_anew_is_read_by_its_mails_moments(relay: RelayServer, dovecot: MailServer) -> None:
    dovecot.deliver(mail(_text(BUY | {"comment": "known"})))
    _after(relay, 1)
    _until(lambda: dovecot.seen() == 1)
    dovecot.stop()
    dovecot.made_anew()
    dovecot.deliver(mail(_text(BUY | {"comment": "new"})))
    dovecot.deliver(mail(_text(CLOSE | {"comment": "ancient"}), at=datetime.now(UTC) - timedelta(days=3)))
    dovecot.start()
    found = _after(relay, 2)
    assert [each["alert"]["comment"] for each in found] == ["known", "new"]


def test_a_webhook_that_is_lost_is_told(relay: RelayServer, dovecot: MailServer) -> None:
    told: list[str] = []
    relay.relay.services.announcer.add_receiver(lambda _, text: told.append(text))
    dovecot.deliver(mail(_text(CLOSE), at=datetime.now(UTC) - timedelta(minutes=3)))
    _until(lambda: any("BTCUSDT close of default came only by mail, its webhook was lost" in each for each in told))


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_what_fired_and_came_by_mail_only_is_told_so_when_it_is_compared(
    relay: RelayServer, dovecot: MailServer, kind: str
) -> None:
    fired = json.dumps({"secret": WEBHOOK_SECRET, **CLOSE, "comment": "over  and   out"}, indent=2)
    shown = fired if kind == "plain" else f"<div>{escape(fired)}</div>".replace("\n", "<br>\n").replace("  ", "&nbsp; ")
    dovecot.deliver(mail(shown, kind=kind))
    _after(relay, 1)
    lines, at = io.StringIO(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    titles = ("Alert ID", "Ticker", "Name", "Description", "Time")
    csv.writer(lines).writerows([titles, ("1", "BYBIT:BTCUSDT.P", "out", fired, at)])
    sent = [{"name": "log.csv", "content": base64.b64encode(lines.getvalue().encode()).decode()}]
    found = relay.ask("compare", "POST", data=json.dumps({"files": sent})).json()
    assert found["alerts"]["counts"] == {"arrived by mail only": 1}


def test_a_mail_on_which_the_reading_fails_keeps_none_behind_it_and_is_told(
    relay: RelayServer, dovecot: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def failing(raw: bytes, **more: Any) -> Any:
        assert b"poison" not in raw
        return read_mail(raw, **more)

    monkeypatch.setattr(mailbox, "read_mail", failing)
    relay.relay.services.announcer.add_receiver(lambda _, text: told.append(text))
    dovecot.deliver(mail("poison"))
    dovecot.deliver(mail(_text(BUY)))
    assert _after(relay, 1)[0]["status"] == "done"
    assert any("could not be read (number 1)" in each for each in told)


def test_what_does_not_prove_its_sender_is_nothing_and_what_is_wrong_is_kept(
    relay: RelayServer, dovecot: MailServer
) -> None:
    dovecot.deliver(mail(json.dumps(BUY | {"secret": "a wrong secret of some length"})))
    dovecot.deliver(mail(f'{{"secret": "{WEBHOOK_SECRET}", "action": "buy" "qty"}}'))
    dovecot.deliver(mail(_text(BUY | {"qty": "many"})))
    found = _after(relay, 2)
    assert [each["reason"]["code"] for each in found] == ["ALERT_MALFORMED", "ALERT_INVALID"]
    assert WEBHOOK_SECRET not in json.dumps(found)


def test_a_strategy_may_want_its_exits_only_and_is_found_by_its_secret_or_its_name(
    tmp_path: Path, own_paper: PaperServer, dovecot: MailServer
) -> None:
    tables = """
[strategies.careful]
mailbox = "only_exits"
secret_env = "CAREFUL"
symbols = ["ETHUSDT"]
[strategies.trend]
symbols = ["BTCUSDT"]
[strategies.silent]
symbols = ["SOLUSDT"]
mailbox = "off"
"""
    own = "the-careful-ones-secret-0123"
    more = {"RELAY_CONFIG": tables, "CAREFUL": own, "MAILBOX_URL": dovecot.url}
    with running_relay(tmp_path, own_paper.url, **more) as relay:
        _until(lambda: _watch(relay).is_reading)
        dovecot.deliver(mail(json.dumps(BUY | {"secret": own, "ticker": "ETHUSDT.P"})))
        dovecot.deliver(mail(_text(BUY), subject="Alert: silent"))
        dovecot.deliver(mail(json.dumps(CLOSE | {"secret": own, "ticker": "ETHUSDT.P"})))
        dovecot.deliver(mail(_text(BUY | {"comment": "named"}), subject="Fwd: Alert: trend on BTC"))
        dovecot.deliver(mail(_text(BUY), subject="Alert: whatever"))
        found = [(each["strategy"], each["action"]) for each in _after(relay, 3)]
    assert found == [("careful", "close"), ("trend", "buy"), ("default", "buy")]


def test_a_wrong_password_is_said_without_it(
    tmp_path: Path, own_paper: PaperServer, dovecot: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = dovecot.url.replace("pass%2Fword%2B1", "another-password-of-it")
    with running_relay(tmp_path, own_paper.url, MAILBOX_URL=url) as relay:
        _until(lambda: "refuses the user or the password" in (_watch(relay).problem or ""))
    assert "another-password" not in caplog.text


def test_check_tells_whether_the_mailbox_is_read(relay: RelayServer, dovecot: MailServer, tmp_path: Path) -> None:
    checkup = relay.relay.services.checkup
    checkup.look_now()
    report = checkup.latest("default")
    assert report is not None and report.check("mailbox").state == "green"
    for url, state in ((dovecot.url, "green"), (dovecot.url.replace("pass%2Fword", "another-word"), "red")):
        (point,) = MailboxLook(load_settings({"MAILBOX_URL": url}, dotenv=None).mailbox)()
        assert (point.name, point.state) == ("mailbox", state) and "another-word" not in f"{point.message}{point.fix}"
    dovecot.stop()
    _until(lambda: _watch(relay).problem)
    checkup.look_now()
    report = checkup.latest("default")
    assert report is not None and report.check("mailbox").state == "red" and not report.is_ok
    assert MailboxLook(None)() == ()


@pytest.mark.parametrize(
    ("url", "more", "said"),
    [
        ("imap://u:p@mail.example.org/INBOX", {}, "unencrypted"),
        ("pop3://u:p@127.0.0.1", {}, "no address of a mailbox"),
        ("imaps://mail.example.org/INBOX", {}, "names no user"),
        ("imaps://u@mail.example.org", {}, "MAILBOX_PASSWORD: it is missing"),
        ("imaps://u@mail.example.org", {"MAILBOX_PASSWORD_FILE": "/nowhere"}, "MAILBOX_PASSWORD_FILE: /nowhere"),
    ],
)
def test_a_bad_address_stops_the_start_with_a_sentence(url: str, more: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsInvalid, match=said):
        load_settings({"MAILBOX_URL": url, **more}, dotenv=None)


def test_the_password_may_stand_in_a_file_or_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    for more in ({"MAILBOX_PASSWORD": PASSWORD}, {"MAILBOX_PASSWORD_FILE": str(file)}):
        settings = load_settings({"MAILBOX_URL": "imaps://me%40example.org@imap.example.org", **more}, dotenv=None)
        assert settings.mailbox is not None and settings.mailbox.password is not None
        assert settings.mailbox.password.reveal() == PASSWORD and settings.mailbox.user == "me@example.org"
        assert settings.mailbox.password in settings.secrets and PASSWORD not in repr(settings)
