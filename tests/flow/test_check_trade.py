"""`check --trade` and `check --fix` against the paper exchange."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flow.cli_support import environment, run, run_process
from tests.paper_server import KEY, SECRET, PaperServer
from tests.relay_process import RelayProcess

CREATE = "/v5/order/create"
STEPS = ["entry with stops", "flip with stops", "exit in part", "close"]


@pytest.fixture(autouse=True)
def fresh(paper: PaperServer) -> Iterator[None]:
    paper.control.clear_faults()
    paper.control.reset()
    yield
    paper.control.clear_faults()


def check(folder: Path, paper: PaperServer, *options: str, given: str = "", **environ: str) -> tuple[int, str, str]:
    """The exit code, stdout and stderr."""
    where = {"BYBIT_URL": paper.url, "BYBIT_API_KEY": KEY, "BYBIT_API_SECRET": SECRET, **environ}
    result = run(environment(folder, None, **where), "check", *options, given=given)
    return result.exit_code, result.stdout, result.stderr


def held(paper: PaperServer, category: str, symbol: str) -> tuple[str, list[Any]]:
    session = paper.session()
    (row,) = session.get_positions(category=category, symbol=symbol)["result"]["list"]
    orders = session.get_open_orders(category=category, symbol=symbol)["result"]["list"]
    return row["size"], orders


@pytest.mark.parametrize(
    ("category", "symbol"), [("linear", "BTCUSDT"), ("linear", "BTCPERP"), ("inverse", "BTCUSD"), ("linear", "XRPUSDT")]
)
def test_the_whole_way_is_proved_and_nothing_is_left_open(
    category: str, symbol: str, paper: PaperServer, tmp_path: Path
) -> None:
    code, out, _ = check(tmp_path, paper, "--trade", "--symbol", symbol)
    assert code == 0, out
    reported = [line.strip() for line in out.splitlines() if line.endswith(": as asked")]
    assert [line.removeprefix("ok").strip().partition(":")[0] for line in reported] == STEPS
    assert held(paper, category, symbol) == ("0", [])
    assert all(call["orderLinkId"].startswith("check-") for call in paper.control.calls(CREATE))


def test_the_first_allowed_symbol_is_taken_and_the_steps_are_in_the_json(paper: PaperServer, tmp_path: Path) -> None:
    code, out, _ = check(tmp_path, paper, "--trade", "--json", ALLOWED_SYMBOLS="SOLUSDT,ETHUSDT")
    said = json.loads(out)
    assert (code, said["ok"]) == (0, True)
    assert [(step["name"], step["passed"]) for step in said["trade"]] == [(name, True) for name in STEPS]
    assert {call["symbol"] for call in paper.control.calls(CREATE)} == {"ETHUSDT"}


def test_a_step_that_fails_ends_it_and_what_was_opened_is_closed(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.fault(CREATE, "code", retCode=110007, retMsg="ab not enough for new order", match={"side": "Sell"})
    code, out, _ = check(tmp_path, paper, "--trade")
    assert code == 1
    assert "FAILED flip with stops: the exchange answered 110007" in out
    assert "ok     clean up: nothing is open any more" in out
    assert held(paper, "linear", "BTCUSDT") == ("0", [])


def test_an_order_whose_answer_is_lost_is_looked_up_and_not_sent_again(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.fault(CREATE, "drop_reply")
    code, out, _ = check(tmp_path, paper, "--trade")
    assert code == 0, out
    assert len(paper.control.calls(CREATE)) == len(STEPS)


def test_nothing_is_ordered_where_something_is_open_already(paper: PaperServer, tmp_path: Path) -> None:
    paper.session().place_order(
        category="linear", symbol="BTCUSDT", side="Buy", orderType="Limit", qty="0.01", price="50000", positionIdx=0
    )
    paper.control.clear_calls()
    code, out, _ = check(tmp_path, paper, "--trade")
    assert code == 1
    assert "a position or an order of BTCUSDT is open" in out
    assert paper.control.calls(CREATE) == []


def test_nothing_is_ordered_with_a_key_that_does_not_work(paper: PaperServer, tmp_path: Path) -> None:
    code, out, _ = check(tmp_path, paper, "--trade", BYBIT_API_SECRET="of-another-key-0123456789")
    assert code == 1
    assert "nothing was ordered: signature is red" in out
    assert paper.control.calls(CREATE) == []


def test_a_symbol_that_is_not_traded_is_refused(paper: PaperServer, tmp_path: Path) -> None:
    code, _, err = check(tmp_path, paper, "--trade", "--symbol", "NOSUCH")
    assert code == 2
    assert "--symbol: NOSUCH is not traded there" in err


@pytest.mark.parametrize(("said", "code", "orders"), [("yes\n", 0, 4), ("no\n", 1, 0), ("", 1, 0)])
def test_real_money_moves_only_after_a_typed_yes(
    said: str, code: int, orders: int, paper: PaperServer, tmp_path: Path
) -> None:
    mainnet = {"BYBIT_ENV": "mainnet", "MAX_POSITION_NOTIONAL": "none"}
    found, out, err = check(tmp_path, paper, "--trade", given=said, **mainnet)
    assert found == code, out + err
    assert len(paper.control.calls(CREATE)) == orders


def test_hedge_mode_is_repaired_where_nothing_is_open(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.account(positionMode={"BTCUSDT": 3, "ETHUSDT": 3})
    paper.session().place_order(
        category="linear", symbol="ETHUSDT", side="Buy", orderType="Market", qty="0.1", positionIdx=1
    )
    code, out, _ = check(tmp_path, paper, "--fix")
    assert code == 1
    assert "BTCUSDT is in one-way mode now" in out
    assert "ETHUSDT stays in hedge mode: a position is open" in out
    assert "not ok: position_mode is red" in out
    assert [call["symbol"] for call in paper.control.calls("/v5/position/switch-mode")] == ["BTCUSDT"]


def test_a_symbol_that_is_named_is_looked_at_too(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.account(positionMode={"SOLUSDT": 3})
    assert check(tmp_path, paper)[0] == 0
    code, out, _ = check(tmp_path, paper, "--fix", "--symbol", "solusdt")
    assert code == 0
    assert "SOLUSDT is in one-way mode now" in out


def test_nothing_is_switched_where_nothing_is_wrong(paper: PaperServer, tmp_path: Path) -> None:
    code, out, _ = check(tmp_path, paper, "--fix")
    assert code == 0
    assert "nothing to fix" in out
    assert paper.control.calls("/v5/position/switch-mode") == []


def test_the_way_is_proved_beside_a_running_serve_at_the_exchange_that_it_brought(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, None)
    try:
        relay.start()
        (way,) = tmp_path.glob("*.way")
        assert way.stat().st_mode & 0o077 == 0
        code, out, _ = run_process({**relay.environment}, tmp_path, "check", "--trade", "--symbol", "ETHUSDT", "--json")
        assert code == 0, out
        assert [each["name"] for each in json.loads(out)["trade"]] == STEPS
        assert relay.done({"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"})["status"] == "done"
        assert relay.stop() == 0
    finally:
        relay.kill()
    assert not list(tmp_path.glob("*.way"))
