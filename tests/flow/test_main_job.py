"""The main job, as a user meets it: start it with nothing configured, run the line it prints, kill it, start again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from tests import warm
from tests.faults.stage import until
from tests.flow.desk import MARKETS, AccountApi, Market
from tests.paper_server import KEY, SECRET, PaperServer
from tests.relay_process import DEADLINE_S, ROOT, WEBHOOK_SECRET, RelayProcess

pytestmark = pytest.mark.slow

NOTHING_SET = dict.fromkeys(("BYBIT_ENV", "BYBIT_RECV_WINDOW", "WEBHOOK_SECRET", "ADMIN_TOKEN", "DATABASE_URL"), "")
BESIDE = ("/v5/market/time", "/v5/account/transaction-log")
"""Asked in threads of their own: to keep connections warm, and for the books, soon after an execution."""
CREATE = "/v5/order/create"
CHANGES = (CREATE, "/v5/order/cancel", "/v5/order/amend", "/v5/position/trading-stop", "/v5/position/set-leverage")
ALERT = {"ticker": "ETHUSDT.P", "action": "buy", "qty": "0.01", "id": "the-very-same"}


class Home:
    """`python -m relay serve` in an empty folder, with nothing set but a port that is free."""

    def __init__(self, folder: Path, *, as_from_a_shell: bool = False) -> None:
        self.folder = folder
        self.relay = RelayProcess(folder, None, environment=NOTHING_SET, as_from_a_shell=as_from_a_shell)

    def start(self) -> list[str]:
        """Starts it; the lines it prints once it listens."""
        self.relay.log.write_bytes(b"")
        self.relay.start()
        until = time.monotonic() + DEADLINE_S
        while "curl" not in self.relay.tail():
            assert time.monotonic() < until, self.relay.tail()
            time.sleep(0.01)
        self.relay.admin_token = str(dotenv_values(self.folder / "relay.db.secrets")["ADMIN_TOKEN_PAPER"])
        return self.relay.tail().splitlines()

    def run(self, *command: str) -> str:
        """What the command prints, as a user runs it in the same folder."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.relay.environment, capture_output=True, text=True, timeout=DEADLINE_S
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def relay_command(self, *arguments: str) -> str:
        """What a command of the relay prints in the same folder."""
        code, out, errors = warm.run(["relay", *arguments], self.folder, self.relay.environment)
        assert (code, errors) == (0, "")
        return out

    def send(self, alert: dict[str, str]) -> dict[str, Any]:
        """The finished signal."""
        secret = dotenv_values(self.folder / "relay.db.secrets")["WEBHOOK_SECRET_PAPER"]
        answer = self.relay.post({"secret": secret, **alert}, wait_s=10)
        assert answer.status_code == 200, answer.text
        signal: dict[str, Any] = answer.json()
        return signal

    def position(self, symbol: str) -> str | None:
        rows = self.relay.api(f"positions?symbol={symbol}")["positions"]
        return rows[0]["size"] if rows else None


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("home"))
    home.start()
    yield home
    home.relay.stop()


@pytest.fixture
def home(lived_in: Home) -> Home:
    """Running, whatever the test before did to it."""
    if lived_in.relay.process.poll() is not None:
        lived_in.start()
    return lived_in


def test_with_nothing_configured_the_line_it_prints_places_a_paper_order(tmp_path: Path) -> None:
    home = Home(tmp_path, as_from_a_shell=True)
    try:
        lines = home.start()
        secret = dotenv_values(tmp_path / "relay.db.secrets")["WEBHOOK_SECRET_PAPER"]
        assert any(f"listens on {home.relay.url} (paper" in line for line in lines), lines
        assert any(line.split() == ["webhook", "secret", secret] for line in lines), lines
        (curl,) = [line for line in lines if line.strip().startswith("curl ")]
        accepted = json.loads(home.run("bash", "-c", curl))
        assert (accepted["status"], accepted["duplicate"]) == ("accepted", False)
        signal = home.relay.wait_for(accepted["signal_id"])
        (order,) = signal["orders"]
        assert (signal["status"], order["status"], order["filled_qty"]) == ("done", "filled", order["qty"])
        assert home.position(order["symbol"]) == order["qty"]
        assert stat_mode(tmp_path / "relay.db.secrets") == 0o600
    finally:
        home.relay.stop()


def stat_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_command_and_the_api_show_every_step_with_its_time(home: Home) -> None:
    sent = home.send({"ticker": "SOLUSDT.P", "action": "buy", "qty": "1", "id": "steps"})
    signal = home.relay.signal(sent["id"])
    names = [event["name"] for event in signal["events"]]
    steps = ["accepted", "executing", "planned", "order_submitted", "order_accepted", "order_filled", "done"]
    assert names == steps
    assert all(re.fullmatch(r"[0-9T:-]{19}\.[0-9]{3}Z", event["at"]) for event in signal["events"])
    times = [datetime.fromisoformat(event["at"]) for event in signal["events"]]
    assert times == sorted(times)
    assert signal["id"] in home.relay_command("signals", "--wide")
    in_full = home.relay_command("signals", signal["id"])
    assert [line for line in in_full.splitlines() if "filled" in line]
    shown = json.loads(home.relay_command("signals", signal["id"], "--json"))
    assert shown == signal


def test_the_same_alert_twice_is_one_order(home: Home) -> None:
    first = home.send(ALERT)
    again = home.send(ALERT)
    assert (again["duplicate"], again["signal_id"]) == (True, first["signal_id"])
    orders = home.relay.api("orders?symbol=ETHUSDT")["orders"]
    assert [order["qty"] for order in orders] == ["0.01"]
    assert home.position("ETHUSDT") == "0.01"


def test_after_kill_9_of_everything_the_position_and_all_signals_are_there(home: Home) -> None:
    alert = {"ticker": "XRPUSDT.P", "action": "sell", "qty": "100", "id": "before-the-kill"}
    first = home.send(alert)
    before, position = home.relay.all_signals(), held(home.relay)
    assert len(home.relay.pids()) >= 3, "the relay, its worker and the paper exchange"
    home.relay.kill()
    home.relay.wait_until_gone()
    home.start()
    assert home.relay.all_signals() == before
    assert held(home.relay) == position
    again = home.send(alert)
    assert (again["duplicate"], again["orders"]) == (True, first["orders"])
    closed = home.send({"ticker": "XRPUSDT.P", "action": "close", "id": "after-the-kill"})
    assert [order["filled_qty"] for order in closed["orders"]] == ["100"]


def test_when_only_the_parent_is_killed_everything_else_ends_too(home: Home) -> None:
    os.kill(home.relay.process.pid, signal.SIGKILL)
    home.relay.wait_until_gone()
    home.start()
    assert home.relay.api("accounts")["accounts"][0]["environment"] == "paper"


def test_ctrl_c_ends_everything(home: Home) -> None:
    assert len(home.relay.pids()) >= 3, "the relay, its worker and the paper exchange"
    os.killpg(home.relay.process.pid, signal.SIGINT)
    home.relay.wait_until_gone()
    assert home.relay.process.returncode in (0, 130)
    assert "Traceback" not in home.relay.tail()


def test_the_procfiles_web_alone_brings_the_paper_exchange(tmp_path: Path) -> None:
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    relay = RelayProcess(tmp_path, None, command=("bash", "-c", lines["web"]))
    relay.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        relay.start()
        done = relay.done({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001"})
        assert (done["status"], done["orders"][0]["status"]) == ("done", "filled")
        assert relay.stop() == 0
        relay.wait_until_gone()
    finally:
        relay.kill()


# A paper exchange that was started on its own


@pytest.fixture(scope="module")
def warm_relay(paper: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccountApi]:
    relay = RelayProcess(tmp_path_factory.mktemp("warm"), paper.url)
    try:
        relay.start()
        # The account's worth is read once soon after the start, and then every few minutes.
        until(lambda: relay.api("accounts/default/equity")["points"])
        yield AccountApi(paper, relay)
    finally:
        relay.stop()


def calls_up_to_the_order(account_api: AccountApi) -> list[str]:
    calls = [call["path"] for call in account_api.control.calls() if call["path"] not in BESIDE]
    return calls[: calls.index(CREATE) + 1]


@pytest.mark.parametrize("market", MARKETS, ids=lambda each: each.symbol)
def test_a_warm_order_makes_no_call_before_it(warm_relay: AccountApi, market: Market) -> None:
    size = {"qty": market.lot, "qty_unit": "contracts"}
    assert warm_relay.send(market, "long", **size)["status"] == "done"
    for action in ("buy", "sell", "sell", "long", "close"):
        warm_relay.control.clear_calls()
        assert warm_relay.send(market, action, **({} if action == "close" else size))["status"] == "done"
        assert calls_up_to_the_order(warm_relay) == [CREATE], action


STORY = (
    {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.0109"},
    {
        "action": "sell",
        "ticker": "BTCUSDT.P",
        "qty": "0.03",
        "market_position": "short",
        "market_position_size": "0.02",
    },
    {"action": "buy", "ticker": "BTCUSDC.P", "qty": "500", "qty_unit": "quote"},
    {"action": "long", "ticker": "BTCUSD.P", "qty": "1000", "qty_unit": "contracts"},
    {"action": "buy", "ticker": "ETHUSDT.P", "qty": "1", "type": "limit", "price": "3000"},
    {"action": "buy", "ticker": "ETHUSDT.P", "qty": "1000"},
    {"action": "cancel", "ticker": "ETHUSDT.P"},
    {"action": "reverse", "ticker": "BTCUSD.P"},
    {"action": "buy", "ticker": "ETHUSDT.P", "qty": "0.001"},
    {"action": "close", "ticker": "BTCUSDT.P"},
)
_BY_THE_BOOKS = {"strategy", "opened_at"}
"""Of a position: what the ledger says, which is read beside the alerts."""
_OF_ITS_OWN = {"id", "signal_id", "received_at", "at", "client_order_id", "venue_order_id", "timing", "sent"}


def reported(value: Any) -> Any:
    """What does not differ from run to run."""
    if isinstance(value, dict):
        return {name: reported(inner) for name, inner in value.items() if name not in _OF_ITS_OWN}
    return [reported(inner) for inner in value] if isinstance(value, list) else value


def held(relay: Any) -> list[dict[str, Any]]:
    """What is open, without what comes to be known a moment later."""
    found: list[dict[str, Any]] = relay.api("positions")["positions"]
    return [{name: value for name, value in each.items() if name not in _BY_THE_BOOKS} for each in found]


def played(folder: Path, environment: dict[str, str]) -> list[Any]:
    """The story on a paper exchange of its own: every signal, every call it took, and what is held at the end.

    Without streams, because what these make unnecessary to ask differs from run to run.
    """
    paper = PaperServer(folder)
    hosts = {"BYBIT_URL": paper.url, "BYBIT_STREAM_URL": "off"}
    relay = RelayProcess(folder, None, environment=hosts | environment)
    try:
        relay.start()
        paper.control.clear_calls()  # the start's own look at the account goes beside it, in no fixed order
        signals = [relay.done({**alert, "id": str(i)}) for i, alert in enumerate(STORY)]
        # What only reads may be the account's own affairs, which run beside the alerts: its checks, its books.
        calls = [(call["path"], call["symbol"]) for call in paper.control.calls() if call["path"] in CHANGES]
        return [reported(signals), calls, held(relay), relay.api("accounts")["accounts"][0]["equity"]]
    finally:
        relay.stop()
        paper.close()


def test_mainnet_at_another_host_does_what_paper_does(tmp_path_factory: pytest.TempPathFactory) -> None:
    mainnet = {
        "BYBIT_ENV": "mainnet",
        "BYBIT_API_KEY": KEY,
        "BYBIT_API_SECRET": SECRET,
        "MAX_POSITION_NOTIONAL": "none",
    }
    real = played(tmp_path_factory.mktemp("mainnet"), mainnet)
    assert [signal["status"] for signal in real[0]] == ["done"] * 5 + ["failed"] + ["done"] * 2 + ["denied", "done"]
    assert real == played(tmp_path_factory.mktemp("paper"), {})


def test_mainnet_without_a_limit_of_positions_refuses_in_one_line(tmp_path: Path) -> None:
    keys = {"BYBIT_ENV": "mainnet", "BYBIT_API_KEY": KEY, "BYBIT_API_SECRET": SECRET}
    relay = RelayProcess(tmp_path, None, environment={**keys, "BYBIT_URL": "http://127.0.0.1:9"})
    relay.start(wait=False)
    relay.wait_until_gone()
    (line,) = relay.tail().splitlines()
    assert line.startswith("MAX_POSITION_NOTIONAL: ")
    assert relay.process.returncode not in (0, None)
    assert WEBHOOK_SECRET not in line and SECRET not in line
