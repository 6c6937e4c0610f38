"""Market lists, account, key, signatures, clock and limits of the paper exchange."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from typing import Any

import pytest
import requests
from Crypto.PublicKey import RSA
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP

from relay.app.accounts import paper_hint
from relay.bybit.client import CREATE
from relay.domain.instrument import Category
from relay.paper.account import Account, Limiter
from tests.paper_server import SECRET, PaperServer

GOOD = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.1"}


@pytest.fixture
def session(paper: PaperServer) -> HTTP:
    return paper.session()


def code(call: Any, **fields: Any) -> int:
    with pytest.raises(InvalidRequestError) as caught:
        call(**fields)
    return int(caught.value.status_code)


def test_the_server_tells_its_time(session: HTTP) -> None:
    before = time.time_ns()
    reported = session.get_server_time()["result"]
    assert before <= int(reported["timeNano"]) <= time.time_ns()
    assert reported["timeNano"].startswith(reported["timeSecond"])


def test_instruments_page_and_only_trading_ones_are_listed(session: HTTP) -> None:
    whole = session.get_instruments_info(category="linear")["result"]
    assert whole["nextPageCursor"] == ""
    listed = [row["symbol"] for row in whole["list"]]
    assert "FTTUSDT" not in listed
    paged: list[str] = []
    cursor = ""
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = session.get_instruments_info(category="linear", limit=7, **more)["result"]
        paged += [row["symbol"] for row in page["list"]]
        cursor = page["nextPageCursor"]
        if not cursor:
            break
    assert paged == listed


def test_an_instrument_shows_its_rules(session: HTTP) -> None:
    (row,) = session.get_instruments_info(category="linear", symbol="BTCUSDT")["result"]["list"]
    assert row["priceFilter"]["tickSize"] == "0.10"
    assert row["lotSizeFilter"]["maxMktOrderQty"] == "119.000"
    (closed,) = session.get_instruments_info(category="linear", status="Closed")["result"]["list"]
    assert closed["symbol"] == "FTTUSDT"


def test_tickers_have_the_price_that_was_set_and_no_spread(paper: PaperServer, session: HTTP) -> None:
    paper.control.prices(BTCUSD="99999.5")
    (row,) = session.get_tickers(category="inverse", symbol="BTCUSD")["result"]["list"]
    prices = {row[name] for name in ("lastPrice", "markPrice", "indexPrice", "bid1Price", "ask1Price")}
    assert prices == {"99999.50"}
    assert code(session.get_tickers, category="linear", symbol="NOPE") == 10001


def test_the_wallet_shows_coins_equity_and_dollar_totals(paper: PaperServer, session: HTTP) -> None:
    session.place_order(**GOOD)
    paper.control.prices(BTCUSDT="101000")
    (account,) = session.get_wallet_balance(accountType="UNIFIED")["result"]["list"]
    usdt = next(row for row in account["coin"] if row["coin"] == "USDT")
    assert (usdt["walletBalance"], usdt["unrealisedPnl"], usdt["equity"]) == ("99994.5", "100", "100094.5")
    assert usdt["totalPositionIM"] == "1010"
    assert float(account["totalEquity"]) > 500_000
    (requested,) = session.get_wallet_balance(accountType="UNIFIED", coin="DOGE")["result"]["list"]
    assert [(row["coin"], row["equity"]) for row in requested["coin"]] == [("DOGE", "0")]
    assert code(session.get_wallet_balance, accountType="CONTRACT") == 10001


def test_the_account_and_the_key_can_be_changed_to_what_a_check_must_find(paper: PaperServer, session: HTTP) -> None:
    assert session.get_account_info()["result"]["unifiedMarginStatus"] == 5
    shown = session.get_api_key_information()["result"]
    assert (shown["apiKey"], shown["secret"], shown["permissions"]["Wallet"]) == ("paper", "", [])
    paper.control.account(
        marginMode="ISOLATED_MARGIN",
        unifiedMarginStatus=3,
        key={"permissions": {"ContractTrade": ["Order"], "Wallet": ["Withdraw"]}, "ips": [], "type": 2},
        balances={"USDT": "50"},
        positionMode={"ETHUSDT": 3},
    )
    assert session.get_account_info()["result"]["marginMode"] == "ISOLATED_MARGIN"
    shown = session.get_api_key_information()["result"]
    assert (shown["permissions"]["Wallet"], shown["ips"], shown["type"]) == (["Withdraw"], [], 2)
    assert len(session.get_positions(category="linear", symbol="ETHUSDT")["result"]["list"]) == 2
    assert code(session.place_order, **GOOD) == 110007
    assert code(session.set_leverage, category="linear", symbol="BTCUSDT", buyLeverage="5", sellLeverage="5") == 10005


def test_a_read_only_an_expired_and_a_foreign_key_are_refused(paper: PaperServer, session: HTTP) -> None:
    paper.control.account(key={"readOnly": 1})
    assert code(session.place_order, **GOOD) == 10005
    assert session.get_api_key_information()["result"]["readOnly"] == 1
    paper.control.account(ipCheck=True, key={"ips": ["203.0.113.7"]})
    assert code(session.get_api_key_information) == 10010
    paper.control.account(expired=True)
    assert code(session.get_api_key_information) == 33004


def test_fee_rates_are_the_ones_charged(session: HTTP) -> None:
    (row,) = session.get_fee_rates(category="linear", symbol="BTCUSDT")["result"]["list"]
    assert row == {"symbol": "BTCUSDT", "takerFeeRate": "0.00055", "makerFeeRate": "0.0002"}


def test_wrong_keys_signatures_and_missing_headers_are_told_apart(paper: PaperServer) -> None:
    assert code(paper.session(api_key="other").get_account_info) == 10003
    assert code(paper.session(api_secret="wrong").place_order, **GOOD) == 10004
    bare = requests.get(f"{paper.url}/v5/account/info", timeout=60).json()
    assert (bare["retCode"], bare["retMsg"]) == (10001, "empty value: apiTimestamp[] apiKey[] apiSignature[]")


def test_a_body_that_was_altered_on_the_way_is_no_longer_signed(paper: PaperServer, session: HTTP) -> None:
    payload = session.prepare_payload("POST", dict(GOOD))
    headers = session._prepare_headers(payload, 5000)
    altered = payload.replace('"0.1"', '"0.2"')
    answer = requests.post(f"{paper.url}/v5/order/create", data=altered, headers=headers, timeout=60).json()
    assert answer["retCode"] == 10004
    honest = requests.post(f"{paper.url}/v5/order/create", data=payload, headers=headers, timeout=60).json()
    assert honest["retCode"] == 0


@pytest.mark.parametrize(("offset_ms", "accepted"), [(4000, True), (6000, False), (-800, True), (-1500, False)])
def test_the_timestamp_must_lie_in_the_window(
    paper: PaperServer, session: HTTP, offset_ms: int, accepted: bool
) -> None:
    paper.control.clock(offset_ms)
    if accepted:
        assert session.get_account_info()["retCode"] == 0
    else:
        assert code(session.get_account_info) == 10002


def test_the_window_is_the_one_asked_for(paper: PaperServer) -> None:
    paper.control.clock(6000)
    assert paper.session(recv_window=8000).get_account_info()["retCode"] == 0


def test_the_limiter_sends_headers_and_refuses_the_eleventh_order_of_a_second(paper: PaperServer) -> None:
    session = paper.session(return_response_headers=True)
    assert "X-Bapi-Limit" not in session.get_account_info()[2]
    paper.control.account(limiter={"on": True, "rate": 10})
    left: list[int] = []
    with pytest.raises(InvalidRequestError) as caught:
        while len(left) < 500:
            left.append(int(session.place_order(**{**GOOD, "qty": "0.001"})[2]["X-Bapi-Limit-Status"]))
    # On a machine that stands still for a moment, what is older than a second counts no more.
    assert left[:2] == [9, 8] and left[-1] == 0 and len(left) >= 10
    assert int(caught.value.status_code) == 10006
    headers = caught.value.resp_headers
    assert headers["X-Bapi-Limit"] == "10"
    assert int(headers["X-Bapi-Limit-Reset-Timestamp"]) > time.time() * 1000 - 2000


def test_a_call_counts_for_the_second_that_its_answer_names_whatever_was_counted_beside_it() -> None:
    limiter, account = Limiter(), Account(limiter_on=True, creates_per_second=2)
    reads, counted = threading.Event(), threading.Event()

    def slow_clock() -> int:
        reads.set()
        counted.wait(0.2)  # in vain, where nothing is counted while a time is read
        return 1_000

    def other() -> None:
        reads.wait(60)
        limiter.admit(account, CREATE, lambda: 1_050, "linear")
        counted.set()

    beside = threading.Thread(target=other)
    beside.start()
    first = limiter.admit(account, CREATE, slow_clock, "linear")
    beside.join(60)
    assert first is not None
    assert first.headers["X-Bapi-Limit-Reset-Timestamp"] == "1000"
    after_a_second = limiter.admit(account, CREATE, lambda: 2_001, "linear")
    assert after_a_second is not None
    assert not after_a_second.exceeded


def test_an_unknown_path_is_a_404_and_a_broken_body_a_parameter_error(paper: PaperServer, session: HTTP) -> None:
    assert requests.get(f"{paper.url}/v5/nothing", timeout=60).status_code == 404
    headers = session._prepare_headers("{", 5000)
    answer = requests.post(f"{paper.url}/v5/order/create", data="{", headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["retCode"]) == (200, 10001)


def test_connections_are_kept_alive(paper: PaperServer) -> None:
    with requests.Session() as session:
        for _ in range(3):
            answer = session.get(f"{paper.url}/v5/market/time", timeout=60)
            assert answer.headers.get("Connection") is None
        pools = session.get_adapter(paper.url).poolmanager.pools  # type: ignore[attr-defined]
        pool = pools[next(iter(pools.keys()))]
        assert (pool.num_connections, pool.num_requests) == (1, 3)


def test_the_controls_are_for_this_machine_and_json_only(paper: PaperServer) -> None:
    url = f"{paper.url}/paper/prices"
    assert requests.get(url, headers={"Host": "evil.example"}, timeout=60).status_code == 403
    assert requests.put(url, data='{"BTCUSDT": "1"}', timeout=60).status_code == 415
    assert requests.put(url, json={"NOPE": "1"}, timeout=60).status_code == 400
    assert requests.put(url, json={"BTCUSDT": "-1"}, timeout=60).status_code == 400


def test_an_rsa_key_is_verified_with_its_public_part(tmp_path_factory: pytest.TempPathFactory) -> None:
    pem = RSA.generate(2048).export_key().decode()
    other = RSA.generate(2048).export_key().decode()
    environment = {"BYBIT_API_KEY": "rsa-key", "BYBIT_API_SECRET": pem}
    running = PaperServer(tmp_path_factory.mktemp("rsa"), environment=environment)
    try:
        assert running.lines[1] == "accepts the RSA API key rsa-key (BYBIT_API_KEY)"
        mine = running.session(api_key="rsa-key", api_secret=pem, rsa_authentication=True)
        assert mine.place_order(**GOOD)["retCode"] == 0
        assert mine.get_api_key_information()["result"]["rsaPublicKey"].startswith("-----BEGIN PUBLIC KEY")
        theirs = running.session(api_key="rsa-key", api_secret=other, rsa_authentication=True)
        assert code(theirs.get_account_info) == 10004
    finally:
        running.close()


def test_keys_are_read_from_the_env_file_and_the_secret_is_not_printed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("env")
    (folder / ".env").write_text("BYBIT_API_KEY=mine\nBYBIT_API_SECRET=its-secret\n", encoding="utf-8")
    running = PaperServer(folder)
    try:
        assert "mine" in running.lines[1]
        assert "its-secret" not in "".join(running.lines)
        session = running.session(api_key="mine", api_secret="its-secret")
        assert session.get_account_info()["retCode"] == 0
        assert code(running.session(api_secret=SECRET).get_account_info) == 10003
    finally:
        running.close()


def test_the_prices_of_alerts_move_what_was_not_set_by_hand_each_in_its_own_market(paper: PaperServer) -> None:
    hint = paper_hint(f"{paper.url}/paper/hints")
    hint(Category.LINEAR, "BTCUSDT", Decimal("91000"))
    prices = paper.control.prices()
    assert (prices["BTCUSDT"], prices["spot:BTCUSDT"]) == ("91000.00", "100000.0")
    body = {"spot": {"BTCUSDT": "92000"}}
    assert requests.put(f"{paper.url}/paper/hints", json=body, timeout=60).json() == {"taken": 1}
    prices = paper.control.prices()
    assert (prices["BTCUSDT"], prices["spot:BTCUSDT"]) == ("91000.00", "92000.0")
    paper.control.prices(BTCUSDT="90000")
    hint(Category.LINEAR, "BTCUSDT", Decimal("95000"))
    assert paper.control.prices()["BTCUSDT"] == "90000.00"
    body = {"linear": {"NOPE": "1"}}
    assert requests.put(f"{paper.url}/paper/hints", json=body, timeout=60).status_code == 400
