"""docs/operations.md, "Step by step", followed word for word: its commands, and its stops and starts."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from tests import postgres
from tests.flow.cli_support import run_process
from tests.paper_server import KEY, SECRET, PaperServer
from tests.relay_process import ROOT, RelayProcess
from tests.relay_server import WEBHOOK_SECRET

NEW_SECRET = "another-secret-of-the-tests-9876"
BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}


def _steps() -> list[list[str]]:
    """The lines of each block, in the order of the page."""
    section = (ROOT / "docs" / "operations.md").read_text().partition("### Step by step")[2].partition("\n### ")[0]
    return [block.strip().splitlines() for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)]


def _follow(lines: list[str], relay: RelayProcess, change: dict[str, str]) -> str:
    """What the last command printed. `change`: what is set while the relay is stopped."""
    said = ""
    for line in lines:
        if line.startswith("# stop relay"):
            assert relay.stop() == 0
            relay.environment |= change
        elif line == "# start relay":
            relay.start()
        else:
            words = shlex.split(line)
            assert words[:3] == ["python", "-m", "relay"], line
            code, said, errors = run_process(relay.environment, relay.folder, *words[3:])
            assert code == 0, f"{line}\n{said}{errors}"
    return said


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_each_step_of_the_operations_does_what_it_says(tmp_path: Path, paper: PaperServer) -> None:
    paper.control.reset()
    back_up, update, restore, rotate, rename, move = _steps()
    relay = RelayProcess(tmp_path, paper.url)
    try:
        relay.start()
        first = relay.done(BUY)
        _follow(back_up, relay, {})
        assert (tmp_path / "relay-today.db").exists()
        _follow(update, relay, {})
        _follow(restore, relay, {})
        assert [each["id"] for each in relay.all_signals()] == [first["id"]]
        assert relay.done(BUY | {"comment": "resumed"})["status"] == "done"
        printed = _follow(rotate, relay, {"WEBHOOK_SECRET": f"{WEBHOOK_SECRET} {NEW_SECRET}"})
        assert NEW_SECRET in printed and WEBHOOK_SECRET not in printed
        assert relay.done(BUY | {"secret": NEW_SECRET})["status"] == "done"
        assert relay.done(BUY | {"comment": "by the old one"})["status"] == "done"
        named = [each.replace("OLD", "default").replace("NEW", "main") for each in rename]
        config = (
            f'[accounts.main]\nenvironment = "paper"\nurl = "{paper.url}"\n'
            f'stream_url = "{paper.url.replace("http", "ws", 1)}"\n'
            'api_key_env = "KEY_OF_MAIN"\napi_secret_env = "SECRET_OF_MAIN"\n'
        )
        own = {"RELAY_CONFIG": config, "KEY_OF_MAIN": KEY, "SECRET_OF_MAIN": SECRET}
        for name in ("BYBIT_URL", "BYBIT_API_KEY", "BYBIT_API_SECRET"):
            relay.environment.pop(name)
        _follow(named, relay, own)
        assert {each["account"] for each in relay.api("orders")["orders"]} == {"main"}
        assert relay.done(BUY | {"comment": "renamed"})["status"] == "done"
        home = postgres.own_server(f"upkeep-{os.getpid()}", is_safe=True)
        url = postgres.Server(postgres.address_of(home)).empty()
        _follow(move, relay, {"DATABASE_URL": url, "RELAY_WORKER": "inline"})
        assert relay.all_signals() == [] and (tmp_path / "relay.db").exists()
        assert relay.done(BUY | {"comment": "moved"})["status"] == "done"
        assert relay.stop() == 0
    finally:
        relay.kill()
