"""`serve` with several paper accounts: it brings a paper exchange for each, and the commands know them all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import warm
from tests.relay_process import RelayProcess

pytestmark = pytest.mark.slow

TREND = "a-secret-of-the-trend-0123"
CONFIG = """
[accounts.one]
[accounts.two]
[strategies.trend]
secret_env = "TREND_SECRET"
accounts = ["one", "two"]
default_size = "0.01"
"""


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    (tmp_path / "relay.toml").write_text(CONFIG)
    environment = {"RELAY_CONFIG": "relay.toml", "TREND_SECRET": TREND}
    process = RelayProcess(tmp_path, None, environment=environment)
    yield process
    process.stop()


def run(relay: RelayProcess, *arguments: str, code: int = 0) -> str:
    ended, out, errors = warm.run(["relay", *arguments], relay.folder, relay.environment)
    assert ended == code, errors
    return out


def test_each_paper_account_has_an_exchange_of_its_own_and_the_commands_know_them_all(relay: RelayProcess) -> None:
    relay.start()
    alert = relay.folder / "alert.json"
    alert.write_text('{"ticker": "BTCUSDT.P", "action": "buy", "id": "both"}')
    signal = json.loads(run(relay, "send", "--strategy", "trend", "--json", str(alert)))
    assert [(each["account"], each["status"]) for each in signal["orders"]] == [("one", "filled"), ("two", "filled")]
    held = json.loads(run(relay, "positions", "--json"))["positions"]
    assert [(each["account"], each["size"]) for each in held] == [("one", "0.01"), ("two", "0.01")]
    assert {"paper-one.db", "paper-two.db"} <= {each.name for each in relay.folder.iterdir()}
    message = json.loads(run(relay, "alert", "--strategy", "trend", "--kind", "long", "--with-secret"))
    assert message["secret"] == TREND and "qty" not in message
    relay.stop()
    run(relay, "halt")
    relay.start()
    alert.write_text('{"ticker": "BTCUSDT.P", "action": "buy", "id": "halted"}')
    refused = json.loads(run(relay, "send", "--strategy", "trend", "--json", str(alert), code=1))
    assert refused["reason"]["code"] == "HALTED"
    run(relay, "flatten")
    assert json.loads(run(relay, "positions", "--json"))["positions"] == []
