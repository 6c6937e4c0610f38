"""The paper exchange misbehaving on order, and surviving kill -9."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from pybit.exceptions import FailedRequestError, InvalidRequestError
from pybit.unified_trading import HTTP

from tests.paper_server import ROOT, PaperServer

LINEAR = {"category": "linear", "symbol": "BTCUSDT"}
GOOD = {**LINEAR, "side": "Buy", "orderType": "Market", "qty": "0.1"}
CREATE = "/v5/order/create"


@pytest.fixture
def session(paper: PaperServer) -> HTTP:
    return paper.session()


def size(session: HTTP) -> str:
    return str(session.get_positions(**LINEAR)["result"]["list"][0]["size"])


def eventually(check: Callable[[], bool]) -> None:
    """Waits for what another thread of the server is about to do."""
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline
        os.sched_yield()


@pytest.mark.parametrize(("kind", "effect"), [("drop_reply", "0.100"), ("drop_request", "0")])
def test_a_cut_connection_has_its_effect_or_not(paper: PaperServer, session: HTTP, kind: str, effect: str) -> None:
    paper.control.fault(CREATE, kind)
    with pytest.raises(requests.ConnectionError):
        session.place_order(**GOOD)
    assert size(session) == effect


@pytest.mark.parametrize(("kind", "effect"), [("delay_after", "0.100"), ("delay_before", "0")])
def test_a_delay_comes_before_or_after_the_effect(paper: PaperServer, kind: str, effect: str) -> None:
    paper.control.fault(CREATE, kind, ms=700)
    hasty = paper.session(timeout=0.25)
    with pytest.raises(requests.ReadTimeout):
        hasty.place_order(**GOOD)
    session = paper.session()
    assert size(session) == effect
    eventually(lambda: size(session) == "0.100")


def test_a_request_delayed_past_its_window_never_takes_effect(paper: PaperServer) -> None:
    paper.control.fault(CREATE, "delay_before", ms=300)
    with pytest.raises(InvalidRequestError) as caught:
        paper.session(recv_window=200).place_order(**GOOD)
    assert int(caught.value.status_code) == 10002


@pytest.mark.parametrize(("after", "effect"), [(False, "0"), (True, "0.100")])
@pytest.mark.parametrize(("kind", "status"), [("http", 502), ("html", 409)])
def test_a_bad_gateway_and_a_page_instead_of_json(
    paper: PaperServer, session: HTTP, kind: str, status: int, after: bool, effect: str
) -> None:
    paper.control.fault(CREATE, kind, after_effect=after)
    with pytest.raises(FailedRequestError) as caught:
        session.place_order(**GOOD)
    assert int(caught.value.status_code) == status
    assert size(session) == effect


def test_a_code_can_be_answered_with_headers_before_the_effect(paper: PaperServer, session: HTTP) -> None:
    reset = {"X-Bapi-Limit-Reset-Timestamp": "1"}
    paper.control.fault(CREATE, "code", retCode=10006, retMsg="Too many visits!", headers=reset)
    with pytest.raises(InvalidRequestError) as caught:
        session.place_order(**GOOD)
    assert (int(caught.value.status_code), caught.value.message) == (10006, "Too many visits!")
    assert caught.value.resp_headers["X-Bapi-Limit-Reset-Timestamp"] == "1"
    assert size(session) == "0"


def codes(session: HTTP, count: int) -> list[int]:
    found = []
    for _ in range(count):
        try:
            session.place_order(**GOOD)
            found.append(0)
        except InvalidRequestError as error:
            found.append(int(error.status_code))
    return found


def test_faults_are_used_up_in_the_order_in_which_they_were_added(paper: PaperServer, session: HTTP) -> None:
    paper.control.fault(CREATE, "code", retCode=10000, times=2)
    paper.control.fault(CREATE, "code", retCode=10016)
    assert codes(session, 4) == [10000, 10000, 10016, 0]


def test_a_fault_for_ever_lasts_until_it_is_cleared(paper: PaperServer, session: HTTP) -> None:
    paper.control.fault("*", "code", retCode=10016, times=None)
    assert codes(session, 3) == [10016] * 3
    paper.control.clear_faults()
    assert codes(session, 1) == [0]


def test_a_fault_can_be_meant_for_one_order(paper: PaperServer, session: HTTP) -> None:
    paper.control.fault(CREATE, "code", match={"orderLinkId": "that-one"})
    session.place_order(**GOOD, orderLinkId="another")
    with pytest.raises(InvalidRequestError):
        session.place_order(**GOOD, orderLinkId="that-one")


def test_dice_with_a_seed_fall_the_same_every_time(paper: PaperServer, session: HTTP) -> None:
    rounds = []
    for _ in range(2):
        paper.control.clear_faults()
        paper.control.fault(CREATE, "code", times=None, probability=0.5, seed=7)
        rounds.append(codes(session, 12))
    assert rounds[0] == rounds[1]
    assert set(rounds[0]) == {0, 10016}


def test_an_unreadable_fault_is_refused(paper: PaperServer) -> None:
    answer = requests.post(f"{paper.url}/paper/faults", json={"path": CREATE, "kind": "explode"}, timeout=60)
    assert answer.status_code == 400


def test_calls_are_logged_with_their_arrival_and_code(paper: PaperServer, session: HTTP) -> None:
    before = time.time_ns()
    session.place_order(**GOOD, orderLinkId="seen-1")
    with pytest.raises(InvalidRequestError):
        session.place_order(**GOOD, orderLinkId="seen-1")
    first, second = paper.control.calls(CREATE)
    assert before < first["at_ns"] < second["at_ns"] < time.time_ns()
    assert (first["method"], first["symbol"], first["orderLinkId"]) == ("POST", "BTCUSDT", "seen-1")
    assert (first["retCode"], second["retCode"]) == (0, 110072)
    paper.control.clear_calls()
    assert paper.control.calls() == []


def snapshot(session: HTTP) -> dict[str, Any]:
    """All that a client can see of the account."""
    return {
        "positions": session.get_positions(category="linear", settleCoin="USDT")["result"]["list"],
        "inverse": session.get_positions(category="inverse")["result"]["list"],
        "wallet": session.get_wallet_balance(accountType="UNIFIED")["result"]["list"],
        "open": session.get_open_orders(category="linear", settleCoin="USDT")["result"]["list"],
        "history": session.get_order_history(category="linear")["result"]["list"],
        "executions": session.get_executions(category="linear")["result"]["list"],
        "closed": session.get_closed_pnl(category="linear")["result"]["list"],
        "price": session.get_tickers(category="linear", symbol="BTCUSDT")["result"]["list"][0]["lastPrice"],
        "account": session.get_account_info()["result"],
        "key": session.get_api_key_information()["result"]["note"],
    }


def test_kill_9_loses_nothing_that_was_answered(paper: PaperServer, session: HTTP) -> None:
    session.set_leverage(**LINEAR, buyLeverage="20", sellLeverage="20")
    session.place_order(**GOOD, orderLinkId="kept-1", takeProfit="120000", stopLoss="90000")
    paper.control.prices(BTCUSDT="101000")
    session.place_order(**{**GOOD, "side": "Sell", "qty": "0.05"}, reduceOnly=True)
    session.place_order(**{**GOOD, "orderType": "Limit", "price": "95000"}, orderLinkId="resting-1")
    session.place_order(category="inverse", symbol="BTCUSD", side="Sell", orderType="Market", qty="1000")
    paper.control.account(marginMode="ISOLATED_MARGIN", key={"note": "changed"}, positionMode={"ETHUSDT": 3})
    before = snapshot(session)
    paper.kill()
    paper.restart()
    assert snapshot(session) == before
    assert len(session.get_positions(category="linear", symbol="ETHUSDT")["result"]["list"]) == 2
    with pytest.raises(InvalidRequestError) as caught:
        session.place_order(**GOOD, orderLinkId="kept-1")
    assert int(caught.value.status_code) == 110072
    paper.control.prices(BTCUSDT="89000")
    assert session.get_positions(**LINEAR)["result"]["list"][0]["size"] == "0"
    assert session.get_order_history(category="linear", orderLinkId="resting-1")["result"]["list"][0]["avgPrice"] == (
        "95000"
    )


def test_closed_orders_are_only_in_the_history_after_a_restart(paper: PaperServer, session: HTTP) -> None:
    """open-order.mdx: "After a server release or restart" they are queried through order history."""
    session.place_order(**GOOD, orderLinkId="gone-1")
    paper.kill()
    paper.restart()
    assert session.get_open_orders(**LINEAR, orderLinkId="gone-1")["result"]["list"] == []
    assert len(session.get_order_history(category="linear", orderLinkId="gone-1")["result"]["list"]) == 1


def test_sigterm_ends_it_at_once_and_cleanly(paper: PaperServer) -> None:
    assert paper.stop() == 0
    paper.restart()


def test_it_ends_with_its_parents_pipe(paper: PaperServer) -> None:
    paper.close_parent_pipe()
    assert paper.process.wait(60) == 0
    paper.restart()


def test_half_a_pair_of_keys_is_refused_in_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BYBIT_API_KEY": "half", "BYBIT_API_SECRET": ""}
    command = [sys.executable, "-m", "relay.paper", "--port", "0", "--market", "off"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "paper exchange cannot start: Of BYBIT_API_KEY and BYBIT_API_SECRET only one is set; set both or neither.\n"
    )


def test_a_second_process_does_not_open_the_same_file(paper: PaperServer) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "relay.paper", "--port", "0", "--market", "off"]
    ended = subprocess.run(command, cwd=paper.folder, env=environment, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (2, "paper exchange cannot start: database is locked\n")


def test_orders_from_many_connections_all_count(paper: PaperServer, session: HTTP) -> None:
    def place_ten(_: int) -> None:
        own = paper.session()
        for _ in range(10):
            own.place_order(**{**GOOD, "qty": "0.001"})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(place_ten, range(8)))
    assert size(session) == "0.080"
    assert len(paper.control.calls(CREATE)) == 80


def test_prices_follow_another_host_except_those_set_by_hand(
    paper: PaperServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    follower = PaperServer(tmp_path_factory.mktemp("follower"), arguments=("--market", paper.url))
    try:
        follower.control.prices(ETHUSDT="1234")
        paper.control.spot_prices(BTCUSDT={"price": "87600", "bid": "87599", "ask": "87601"}, ETHBTC="0.05")
        paper.control.prices(ETHUSDT="4321", BTCUSDT={"price": "87654.3", "mark": "87000"}, BTCUSD="77777.7")
        eventually(lambda: follower.control.prices()["BTCUSDT"] == "87654.30")
        assert follower.control.prices()["ETHUSDT"] == "1234.00"
        eventually(lambda: follower.control.prices()["BTCUSD"] == "77777.70")
        (row,) = follower.session().get_tickers(category="linear", symbol="BTCUSDT")["result"]["list"]
        assert row["markPrice"] == "87000.00"
        eventually(lambda: follower.control.prices()["spot:ETHBTC"] == "0.050000")
        (row,) = follower.session().get_tickers(category="spot", symbol="BTCUSDT")["result"]["list"]
        assert (row["lastPrice"], row["bid1Price"], row["ask1Price"]) == ("87600.0", "87599.0", "87601.0")
    finally:
        follower.close()
