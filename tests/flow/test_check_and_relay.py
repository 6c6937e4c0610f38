"""What the checklist means for a relay that runs: hedge mode end to end, and keys that mainnet does not start with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.cli_support import environment, run
from tests.paper_server import KEY, SECRET, PaperServer
from tests.relay_process import RelayProcess
from tests.relay_server import RelayServer, running_relay

pytestmark = pytest.mark.slow

CREATE = "/v5/order/create"
MAINNET = {"BYBIT_ENV": "mainnet", "MAX_POSITION_NOTIONAL": "none"}
WIDE = {"permissions": {"ContractTrade": ["Order", "Position"], "Wallet": ["AccountTransfer", "Withdraw"]}}


def test_hedge_mode_is_refused_in_words_repaired_and_then_the_alert_works(
    own: RelayServer, paper: PaperServer, tmp_path: Path
) -> None:
    alert = {"ticker": "ETHUSDT.P", "action": "buy", "qty": "0.1"}
    paper.control.account(positionMode={"ETHUSDT": 3})
    refused = own.done({**alert, "id": "hedged"})
    assert refused["reason"]["code"] == "POSITION_MODE_HEDGE"
    assert "one-way" in refused["reason"]["message"]
    sent = len(paper.control.calls(CREATE))
    assert sent <= 1
    environ = environment(tmp_path, None, BYBIT_URL=paper.url, BYBIT_API_KEY=KEY, BYBIT_API_SECRET=SECRET)
    result = run(environ | {"ALLOWED_SYMBOLS": "ETHUSDT"}, "check", "--fix")
    assert result.exit_code == 0, result.output
    assert "ETHUSDT is in one-way mode now" in result.stdout
    assert own.done({**alert, "id": "one-way"})["status"] == "done"
    assert len(paper.control.calls(CREATE)) == sent + 1


def test_what_the_relay_itself_has_open_is_not_foreign(own: RelayServer, paper: PaperServer, tmp_path: Path) -> None:
    own.done({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01", "id": "mine"})
    own.done({"ticker": "ETHUSDT.P", "action": "buy", "type": "limit", "price": "1000", "qty": "0.1", "id": "rests"})
    environ = environment(tmp_path, None, BYBIT_URL=paper.url, BYBIT_API_KEY=KEY, BYBIT_API_SECRET=SECRET)
    result = run(environ, "check")
    assert "green   foreign_positions" in result.stdout, result.output


@pytest.fixture
def wide(paper: PaperServer) -> PaperServer:
    paper.control.clear_faults()
    paper.control.reset()
    paper.control.account(key=WIDE)
    return paper


def on_mainnet(folder: Path, paper: PaperServer, **environ: str) -> RelayProcess:
    keys = {"BYBIT_URL": paper.url, "BYBIT_API_KEY": KEY, "BYBIT_API_SECRET": SECRET}
    return RelayProcess(folder, None, environment={**MAINNET, **keys, **environ})


def test_mainnet_does_not_start_with_a_key_that_may_withdraw(wide: PaperServer, tmp_path: Path) -> None:
    relay = on_mainnet(tmp_path, wide)
    relay.start(wait=False)
    relay.wait_until_gone()
    assert relay.process.returncode not in (0, None)
    assert "BYBIT_API_KEY: the key …aper may withdraw and transfer" in relay.tail()
    assert "ALLOW_WIDE_KEY=1" in relay.tail() and SECRET not in relay.tail()


def test_mainnet_starts_with_it_where_that_is_allowed_and_says_that_money_is_real(
    wide: PaperServer, tmp_path: Path
) -> None:
    relay = on_mainnet(tmp_path, wide, ALLOW_WIDE_KEY="1")
    try:
        relay.start()
        (account,) = relay.api("accounts")["accounts"]
        states = {check["name"]: check["state"] for check in account["checks"]}
        assert (states["withdraw_permission"], states["transfer_permission"]) == ("amber", "amber")
    finally:
        relay.stop()
    said = relay.log.read_text(errors="replace")
    assert "MAINNET - real money" in said and "withdraw_permission amber: the key may withdraw" in said


def test_an_update_leaves_what_is_open_to_nobody_though_the_key_is_wide(wide: PaperServer, tmp_path: Path) -> None:
    with running_relay(tmp_path, wide.url, **MAINNET, ALLOW_WIDE_KEY="1") as relay:
        assert relay.done({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01", "id": "open"})["status"] == "done"
    with running_relay(tmp_path, wide.url, **MAINNET) as relay:
        more = relay.done({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01", "id": "more"})
        assert (more["status"], more["reason"]["code"]) == ("denied", "EXCHANGE_KEY")
        assert relay.done({"ticker": "BTCUSDT.P", "action": "close", "id": "close"})["status"] == "done"


def test_a_key_that_can_spend_otherwise_opens_nothing_until_it_cannot(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.clear_faults()
    paper.control.reset()
    wide = {"ContractTrade": ["Order", "Position"], "Wallet": [], "BitCard": ["BitCard"]}
    paper.control.account(key={"permissions": wide})
    with running_relay(tmp_path, paper.url, **MAINNET) as relay:
        buy = {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01"}
        refused = relay.done({**buy, "id": "refused"})
        assert (refused["status"], refused["reason"]["code"]) == ("denied", "EXCHANGE_KEY")
        assert "BitCard" in refused["reason"]["message"]
        paper.control.account(key={"permissions": {**wide, "BitCard": []}})
        relay.relay.services.checkup.look_now()
        assert relay.done({**buy, "id": "taken"})["status"] == "done"
        paper.control.account(key={"permissions": wide})
        relay.relay.services.checkup.look_now()
        flip = relay.done({"ticker": "BTCUSDT.P", "action": "sell", "qty": "0.03", "id": "flip"})
        assert (flip["status"], flip["reason"]["code"]) == ("done", "ENTRY_WITHHELD")
        assert relay.api("positions")["positions"] == []


def test_while_it_is_not_known_what_the_key_may_do_nothing_real_is_executed(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.clear_faults()
    paper.control.reset()
    paper.control.fault("/v5/user/query-api", "http", status=502, times=6)
    with running_relay(tmp_path, paper.url, **MAINNET) as relay:
        calls = [call for call in paper.control.calls("/v5/user/query-api") if call["retCode"] == 0]
        assert calls and relay.done({"ticker": "BTCUSDT.P", "action": "close", "id": "late"})["status"] == "done"


def test_the_checks_of_a_running_relay_are_renewed(own: RelayServer, paper: PaperServer) -> None:
    assert state_of(own, "position_mode") == "green"
    paper.control.account(positionMode={"BTCUSDT": 3})
    own.relay.services.checkup.look_now()
    assert state_of(own, "position_mode") == "red"


def state_of(relay: RelayServer, name: str) -> str:
    (account,) = relay.api("accounts")["accounts"]
    return str({check["name"]: check["state"] for check in account["checks"]}[name])
