"""The commands against a running relay and a paper exchange."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import Result

from relay.cli import client
from tests.faults.stage import until
from tests.flow.cli_support import environment, run
from tests.paper_server import PaperServer
from tests.relay_server import RelayServer


class Shell:
    """Runs commands for the relay of these tests."""

    def __init__(self, relay: RelayServer, folder: Path) -> None:
        self.relay = relay
        self.folder = folder
        self.environ = environment(folder, relay.url)

    def run(self, *arguments: str, given: str | bytes = "", **environ: str) -> Result:
        return run(self.environ | environ, *arguments, given=given)

    def send(self, **alert: object) -> Result:
        return self.run("send", "-", given=json.dumps(alert))


@pytest.fixture
def shell(relay: RelayServer, tmp_path: Path) -> Shell:
    return Shell(relay, tmp_path)


def first_signal(shell: Shell) -> str:
    found: str = shell.relay.api("signals")["signals"][0]["id"]
    return found


def test_an_alert_without_a_secret_is_sent_with_the_relays_own_and_reported_in_plain_words(shell: Shell) -> None:
    result = shell.send(ticker="BTCUSDT.P", action="buy", qty="0.001", id="plain")
    assert result.exit_code == 0
    first, order = result.stdout.splitlines()[:2]
    assert first == f"done: buy BTCUSDT (signal {first_signal(shell)})"
    assert order.startswith("  buy 0.001: filled 0.001 at ")
    assert result.stderr == ""


def test_an_alert_comes_from_a_file_too(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "alert.txt"
    file.write_text("ticker=ETHUSDT.P\naction=close\nid=from-file\n")
    result = shell.run("send", str(file))
    assert result.exit_code == 0
    assert "nothing is open" in result.stdout


def test_the_word_that_stands_for_the_secret_is_no_secret(shell: Shell) -> None:
    result = shell.send(ticker="ETHUSDT.P", action="close", id="stands-for", secret="YOUR-WEBHOOK-SECRET")
    assert result.exit_code == 0
    assert result.stderr.startswith("YOUR-WEBHOOK-SECRET still stands in the alert")


def test_a_secret_that_the_alert_residuals_is_the_one_that_counts(shell: Shell) -> None:
    result = shell.send(ticker="ETHUSDT.P", action="close", id="own-secret", secret="not-the-secret-of-anybody")
    assert result.exit_code == 1
    assert result.stdout.startswith("not taken: AUTH_FAILED: ")


def test_the_same_alert_again_is_answered_as_a_duplicate_with_what_became_of_the_first(shell: Shell) -> None:
    alert = {"ticker": "SOLUSDT.P", "action": "close", "id": "twice"}
    shell.send(**alert)
    result = shell.send(**alert)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].startswith("duplicate: ")
    assert result.stdout.splitlines()[1].startswith("done: close SOLUSDT")


def test_a_denied_alert_exits_with_1_and_says_why(shell: Shell) -> None:
    result = shell.send(ticker="ETHUSDT.P", action="reverse", id="denied")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0].startswith("denied: reverse ETHUSDT ")
    assert result.stdout.splitlines()[1] == "  reason  POSITION_NONE: there is no position to reverse"


def test_a_rejected_alert_names_the_field_and_where_it_is_stored(shell: Shell) -> None:
    result = shell.send(ticker="BTCUSDT.P", action="buy", qty="-2")
    assert result.exit_code == 1
    first, last = result.stdout.splitlines()
    assert first.startswith("rejected: ALERT_INVALID: `qty` ")
    assert last == f"  kept as signal {first_signal(shell)}"


def test_broken_json_is_proven_by_the_header_and_reported_as_broken(shell: Shell) -> None:
    result = shell.run("send", "-", given='{"ticker": "BTCUSDT.P", ')
    assert result.exit_code == 1
    assert result.stdout.startswith("rejected: ALERT_MALFORMED: ")


def test_an_alert_of_an_unknown_strategy_is_not_taken(shell: Shell) -> None:
    result = shell.run("send", "-", "--strategy", "no/such", given="{}")
    assert result.exit_code == 1
    assert result.stdout.startswith("not taken: STRATEGY_UNKNOWN: ") or "NOT_FOUND" in result.stdout


def test_signals_are_a_table_and_one_of_them_is_shown_with_every_step(shell: Shell) -> None:
    shell.send(ticker="XRPUSDT.P", action="buy", qty="10", id="steps")
    signal_id = first_signal(shell)
    listed = shell.run("signals", "--symbol", "xrpusdt").stdout.splitlines()
    assert listed[0].split() == ["RECEIVED", "ID", "STATUS", "ACTION", "SYMBOL", "RESULT"]
    assert listed[1].split()[2:7] == [signal_id[:12], "done", "buy", "XRPUSDT", "10"]
    wide = shell.run("signals", "--symbol", "BYBIT:xrpusdt.p", "--wide").stdout.splitlines()
    assert wide[0].split() == ["RECEIVED", "ID", "STATUS", "ACTION", "SYMBOL", "ORDERED", "FILLED"]
    assert wide[1].split()[2:8] == [signal_id, "done", "buy", "XRPUSDT", "buy", "10"]

    shown = shell.run("signals", signal_id).stdout
    names = [event["name"] for event in shell.relay.api(f"signals/{signal_id}")["events"]]
    assert names[0] == "accepted" and names[-1] == "done"
    steps = shown[shown.index("\nsteps\n") :].splitlines()[3:]
    assert len(steps) == len(names)
    for name, step in zip(names, steps, strict=True):
        assert name in step
    assert all(" ms " in step for step in steps[1:])
    order = shell.relay.api(f"signals/{signal_id}")["orders"][0]
    assert f"  {order['client_order_id']}  default  XRPUSDT  buy   market  10 " in shown


def test_the_first_letters_of_an_id_are_enough_where_they_are_of_one_signal(shell: Shell) -> None:
    for name in ("prefix-1", "prefix-2"):
        shell.send(action="heartbeat", id=name)
    signal_id = first_signal(shell)
    assert f"signal {signal_id}:" in shell.run("signals", signal_id[:13].upper()).stdout
    several = shell.run("signals", signal_id[:1])
    assert several.exit_code == 1 and "several signals begin with" in several.stderr
    assert "there is no signal" in shell.run("signals", "zzzz").stderr


@pytest.mark.parametrize("command", ["signals", "orders", "positions", "trades"])
def test_a_misspelt_account_is_told_with_those_that_there_are(shell: Shell, command: str) -> None:
    wrong = shell.run(command, "--account", "defualt")
    assert wrong.exit_code == 2 and "'defualt'; there are default" in wrong.stderr


def test_tables_fit_eighty_columns(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.send(ticker="XRPUSDT.P", action="buy", qty="10", id="narrow")
    shell.send(ticker="1000PEPEUSDT.P", action="close_short", id="narrow-2")
    until(lambda: any(each["symbol"] == "XRPUSDT" for each in shell.relay.api("trades")["trades"]))
    monkeypatch.setattr(client, "_terminal_width", lambda: 80)
    for command in ("signals", "orders", "positions", "trades"):
        lines = shell.run(command).stdout.splitlines()
        assert len(lines) > 1 and max(map(len, lines)) <= 80
    open_trade = next(line.split() for line in lines if "XRPUSDT" in line)
    assert open_trade[:4] == ["open", "default", "XRPUSDT", "long"]
    assert "ENTRY" in shell.run("trades", "--wide").stdout


def test_json_is_what_the_api_answers(shell: Shell) -> None:
    shell.send(ticker="XRPUSDT.P", action="buy", qty="10", id="as-json")
    for command, path in (
        (("signals",), "signals?attention_first=1&limit=50"),
        (("signals", first_signal(shell)), f"signals/{first_signal(shell)}"),
        (("orders",), "orders"),
        (("positions",), "positions"),
    ):
        assert json.loads(shell.run(*command, "--json").stdout) == shell.relay.api(path)


def test_orders_and_positions_are_tables_that_filters_narrow(shell: Shell) -> None:
    shell.send(ticker="ADAUSDT.P", action="buy", qty="20", id="ada")
    price = str(Decimal(shell.relay.api("positions?symbol=ADAUSDT")["positions"][0]["mark_price"]) * Decimal("0.9"))
    shell.send(ticker="ADAUSDT.P", action="buy", qty="20", id="ada-limit", type="limit", price=price)
    positions = shell.run("positions", "--symbol", "ADAUSDT").stdout.splitlines()
    assert len(positions) == 2
    assert positions[1].split()[:4] == ["default", "ADAUSDT", "long", "20"]
    resting = shell.run("orders", "--symbol", "ADAUSDT", "--open").stdout.splitlines()
    assert len(resting) == 2
    assert resting[0].split() == ["ID", "SYMBOL", "SIDE", "TYPE", "QTY", "PRICE", "AWAY", "BY", "AGE"]
    assert resting[1].split()[1:8] == ["ADAUSDT", "buy", "limit", "20", price[:8], "-10%", "default"]
    wide = shell.run("orders", "--symbol", "ADAUSDT", "--open", "--wide").stdout
    assert "accepted" in wide and " entry " in wide
    assert shell.run("orders", "--symbol", "ADAUSDT", "--status", "rejected").stdout == "no orders\n"


def test_pages_of_signals_follow_each_other(shell: Shell) -> None:
    for number in range(3):
        shell.send(action="heartbeat", id=f"page-{number}")
    first = shell.run("signals", "--limit", "1")
    cursor = first.stderr.splitlines()[0].removeprefix("there are more: --cursor ")
    second = shell.run("signals", "--limit", "1", "--cursor", cursor)
    assert first.stdout.splitlines()[1] != second.stdout.splitlines()[1]
    wrong = shell.run("signals", "--cursor", "nonsense")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith("REQUEST_INVALID: cursor: ")


def test_refused_posts_are_counted_below_the_signals(shell: Shell) -> None:
    shell.send(action="heartbeat", secret="not-the-secret-of-anybody")
    shell.send(action="heartbeat", id="after-refused")
    assert " x AUTH_FAILED from 127.0.0.1, last 2" in shell.run("signals").stderr


def test_a_plan_shows_the_format_the_fields_and_the_orders_and_does_nothing(shell: Shell) -> None:
    shell.send(ticker="LINKUSDT.P", action="close", id="before-plan")
    before = first_signal(shell)
    result = shell.run("plan", "-", given="ticker=LINKUSDT.P, action=buy, qty=5, type=limit, price=3, id=planned")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "read as key=value pairs"
    assert "  price   3" in lines
    assert "planned: these orders would go out" in lines
    assert "  buy 5 limit at 3, LINKUSDT on account default" in lines
    assert any(", worth " in line and ", margin " in line and ", fee " in line for line in lines)
    assert first_signal(shell) == before
    as_json = shell.run("plan", "-", "--json", given='{"ticker": "LINKUSDT.P", "action": "buy", "qty": 5, "id": "p"}')
    assert json.loads(as_json.stdout)["status"] == "planned"


def test_a_plan_that_would_be_denied_says_why_and_exits_with_1(shell: Shell) -> None:
    denied = shell.run("plan", "-", given='{"ticker": "ETHUSDT.P", "action": "reverse", "id": "p"}')
    assert denied.exit_code == 1
    assert denied.stdout.splitlines()[0] == "read as JSON"
    assert "  reason  POSITION_NONE: there is no position to reverse" in denied.stdout.splitlines()
    invalid = shell.run("plan", "-", given='{"ticker": "NOSUCHUSDT.P", "action": "buy", "qty": 1}')
    assert invalid.exit_code == 1
    assert invalid.stderr.startswith("ALERT_INVALID: ticker: ")
    broken = shell.run("plan", "-", given="{")
    assert broken.exit_code == 1
    assert broken.stdout.startswith("not readable: broken JSON ")


def test_a_halt_holds_entries_back_until_resume_and_a_retry_then_places_them(shell: Shell) -> None:
    assert shell.run("halt").stdout.startswith("halted: ")
    alert = {"ticker": "DOGEUSDT.P", "action": "buy", "qty": "100", "id": "halted"}
    assert "HALTED: " in shell.send(**alert).stdout
    signal_id = first_signal(shell)
    assert shell.run("retry", signal_id).exit_code == 1
    assert json.loads(shell.run("resume", "--json").stdout) == {"halted": False}
    retried = shell.run("retry", signal_id)
    assert retried.exit_code == 0
    assert retried.stdout.startswith(f"done: buy DOGEUSDT (signal {signal_id})")
    again = shell.run("retry", signal_id)
    assert again.exit_code == 1
    assert again.stderr.startswith("SIGNAL_NOT_RETRYABLE: ")


def test_an_unknown_signal_is_named_and_exits_with_1(shell: Shell) -> None:
    for command in ("signals", "retry"):
        result = shell.run(command, "../no such\x1b[31m")
        assert result.exit_code == 1
        assert "\x1b" not in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_another_admin_token_is_not_taken_and_the_journal_is_not_written_behind_a_running_relay(shell: Shell) -> None:
    result = shell.run("halt", ADMIN_TOKEN="another-token-of-nobody-0123")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"ADMIN_TOKEN: the relay on {shell.relay.url} does not take ")
    assert shell.relay.api("accounts")["accounts"][0]["halted"] is False


def test_what_serve_made_up_is_found_beside_the_journal(shell: Shell) -> None:
    lines = [f"{name}_PAPER={shell.environ[name]}\n" for name in ("WEBHOOK_SECRET", "ADMIN_TOKEN")]
    (shell.folder / "relay.db.secrets").write_text("".join(lines))
    unset = {"WEBHOOK_SECRET": "", "ADMIN_TOKEN": ""}
    sent = shell.run("send", "-", given='{"action": "heartbeat", "id": "made-up"}', **unset)
    assert sent.exit_code == 0
    assert shell.run("positions", **unset).exit_code == 0


def test_without_any_secret_the_one_that_is_missing_is_named(shell: Shell) -> None:
    unset = {"WEBHOOK_SECRET": "", "ADMIN_TOKEN": ""}
    sent = shell.run("send", "-", given='{"action": "heartbeat", "id": "no-secret"}', **unset)
    assert sent.exit_code == 1
    assert "WEBHOOK_SECRET" in sent.stderr
    requested = shell.run("positions", **unset)
    assert requested.exit_code == 2
    assert requested.stderr.startswith("ADMIN_TOKEN: it is not set here")


def test_flatten_closes_what_the_relay_traded_and_with_all_everything(shell: Shell, paper: PaperServer) -> None:
    shell.send(ticker="BTCUSDT.P", action="buy", qty="0.002", id="to-flatten")
    paper.session().place_order(category="linear", symbol="LTCUSDT", side="Buy", orderType="Market", qty="1")
    own = shell.run("flatten")
    assert own.exit_code == 0
    assert own.stdout.startswith("halted: ")
    assert "done: close BTCUSDT" in own.stdout
    left = shell.run("positions").stdout
    assert "LTCUSDT" in left and "BTCUSDT" not in left
    everything = json.loads(shell.run("flatten", "--all", "--json").stdout)
    assert [signal["symbol"] for signal in everything["signals"]] == ["LTCUSDT"]
    assert shell.run("positions").stdout == "no open positions\n"
    assert shell.run("flatten").stdout.endswith("default: nothing is open that the relay has ordered\n")
    assert shell.run("resume").exit_code == 0
