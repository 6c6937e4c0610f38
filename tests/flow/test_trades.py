"""What was earned: round trips over the API, whoever closed them, and that they come to what the exchange booked."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
import uuid
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.faults.stage import until
from tests.paper_server import PaperServer
from tests.relay_server import ADMIN_TOKEN, RelayServer, error_of, running_relay

pytestmark = pytest.mark.slow

D = Decimal


def send(relay: RelayServer, action: str, **fields: Any) -> dict[str, Any]:
    return relay.done({"ticker": "BTCUSDT.P", "action": action, "id": uuid.uuid4().hex, **fields})


def trades(relay: RelayServer, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = relay.api(f"trades{query}")["trades"]
    return found


def proven(relay: RelayServer) -> dict[str, dict[str, Any]]:
    """Once everything is booked, and comes to what the exchange booked: each coin's row."""

    def rows() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = relay.api("performance")["accounts"]
        return found

    until(lambda: bool(rows()) and all(each["difference"] == "0" for each in rows()))
    return {each["settle_coin"]: each for each in rows()}


def closed(relay: RelayServer, count: int) -> list[dict[str, Any]]:
    until(lambda: sum(each["status"] == "closed" for each in trades(relay)) == count)
    return [each for each in trades(relay) if each["status"] == "closed"]


def hand(paper: PaperServer, side: str, qty: str) -> None:
    paper.session().place_order(
        category="linear", symbol="BTCUSDT", side=side, orderType="Market", qty=qty, positionIdx=0
    )


def test_a_stop_loss_of_the_exchange_is_the_strategy_s_loss(own: RelayServer, paper: PaperServer) -> None:
    signal = send(own, "buy", qty="0.1", stop_loss="98000")
    paper.control.prices(BTCUSDT="97900")
    (trade,) = closed(own, 1)
    fees = (D("0.1") * 100000 + D("0.1") * 97900) * D("0.00055")
    assert trade == {
        "id": trade["id"],
        "account": "default",
        "strategy": signal["strategy"],
        "symbol": "BTCUSDT",
        "category": "linear",
        "side": "long",
        "status": "closed",
        "opened_at": trade["opened_at"],
        "closed_at": trade["closed_at"],
        "size": "0.1",
        "entry_price": "100000",
        "exit_price": "97900",
        "exit_reason": "stop_loss",
        "realised": "-210",
        "fees": str(fees.normalize()),
        "fees_other": {},
        "funding": "0",
        "net": str((-210 - fees).normalize()),
        "net_usd": trade["net"],
        "settle_coin": "USDT",
        "signals": [signal["id"]],
    }
    assert proven(own)["USDT"]["net"] == trade["net"]
    (row,) = own.api("performance")["strategies"]
    assert (row["strategy"], row["trades"], row["won"], row["net"]) == (signal["strategy"], 1, 0, trade["net"])


def test_each_way_out_is_told_by_its_name(own: RelayServer, paper: PaperServer) -> None:
    told = []
    for way in ("alert", "take_profit", "trailing_stop", "hand", "liquidation", "adl", "delivery"):
        paper.control.prices(BTCUSDT="100000")
        levels = {"take_profit": {"take_profit": "101000"}, "trailing_stop": {"trailing_stop": "500"}}
        send(own, "buy", qty="0.1", **levels.get(way, {}))
        match way:
            case "alert":
                send(own, "close")
            case "take_profit":
                paper.control.prices(BTCUSDT="101500")
            case "trailing_stop":
                paper.control.prices(BTCUSDT="102000")
                paper.control.prices(BTCUSDT="101400")
            case "hand":
                hand(paper, "Sell", "0.1")
            case _:
                kind = {"liquidation": "BustTrade", "adl": "AdlTrade", "delivery": "Delivery"}[way]
                paper.control.takeover("BTCUSDT", kind)
        told.append(way)
        assert [each["exit_reason"] for each in reversed(closed(own, len(told)))] == told
    proven(own)
    (row,) = own.api("performance")["strategies"]
    assert (row["trades"], row["won"]) == (7, 2)


def test_a_ladder_leaves_in_parts_and_its_last_part_says_why(own: RelayServer, paper: PaperServer) -> None:
    steps = [{"at": "101000", "share": 50}, {"at": "102000", "share": 50}]
    send(own, "buy", qty="0.1", take_profit=steps)
    until(lambda: len(own.api("orders?open=1")["orders"]) == 2)
    paper.control.prices(BTCUSDT="101000")
    until(lambda: [each["realised"] for each in trades(own)] == ["50"])
    assert trades(own)[0]["status"] == "open" and trades(own)[0]["exit_price"] == "101000"
    proven(own)
    paper.control.prices(BTCUSDT="102000")
    (trade,) = closed(own, 1)
    assert (trade["exit_reason"], trade["realised"], trade["exit_price"]) == ("take_profit", "150", "101500")
    proven(own)


def test_a_flip_ends_one_trade_and_begins_the_next(own: RelayServer, paper: PaperServer) -> None:
    send(own, "buy", qty="0.1")
    paper.control.prices(BTCUSDT="101000")
    send(own, "short", qty="0.2")
    until(lambda: len(trades(own)) == 2)
    new, old = trades(own)
    assert (old["status"], old["realised"], new["status"], new["side"], new["size"]) == (
        *("closed", "100", "open", "short", "0.2"),
    )
    assert old["closed_at"] == new["opened_at"]
    proven(own)


def test_what_a_hand_did_is_by_hand_and_fees_in_another_coin_are_kept_in_it(
    own: RelayServer, paper: PaperServer
) -> None:
    paper.control.fees("MNT", price="1.25", taxRate="0.18")
    hand(paper, "Buy", "0.2")
    paper.control.prices(BTCUSDT="101000")
    hand(paper, "Sell", "0.2")
    (trade,) = closed(own, 1)
    worth = (D("0.2") * 100000 + D("0.2") * 101000) * D("0.00055")
    assert (trade["strategy"], trade["exit_reason"], trade["realised"], trade["signals"]) == (
        "by hand",
        "hand",
        "200",
        [],
    )
    assert trade["fees_other"] == {"MNT": str((worth / D("1.25")).normalize())}
    assert D(trade["net_usd"]) == D(trade["net"]) - worth
    rows = proven(own)
    assert rows["MNT"]["net"] == str((-worth / D("1.25")).normalize())
    assert rows["USDT"]["net"] == trade["net"] != trade["realised"]
    by_coin = {each["settle_coin"]: each for each in own.api("performance")["strategies"]}
    assert (by_coin["MNT"]["trades"], by_coin["USDT"]["trades"], by_coin["USDT"]["won"]) == (0, 1, 1)
    (day,) = own.api("accounts/default/equity")["days"]
    assert day["fees_other"] == trade["fees_other"]


@pytest.mark.parametrize("streams", ["on", "off"])
def test_a_relay_that_comes_later_knows_what_was_before(streams: str, paper: PaperServer, tmp_path: Path) -> None:
    paper.control.reset()
    environment = {"BYBIT_STREAM_URL": "off"} if streams == "off" else {}
    hand(paper, "Buy", "0.3")
    paper.control.prices(BTCUSDT="100500")
    with running_relay(tmp_path, paper.url, **environment) as relay:
        assert [(each["strategy"], each["size"], each["status"]) for each in trades(relay)] == [
            ("by hand", "0.3", "open")
        ]
        proven(relay)
        hand(paper, "Sell", "0.1")
        send(relay, "close")
    hand(paper, "Buy", "0.4")
    with running_relay(tmp_path, paper.url, **environment) as relay:
        until(lambda: len(trades(relay)) == 2)
        new, old = trades(relay)
        assert (old["status"], old["realised"], old["exit_reason"], new["size"]) == ("closed", "150", "alert", "0.4")
        proven(relay)


def test_an_execution_that_nobody_told_of_shows_as_a_difference(own: RelayServer, paper: PaperServer) -> None:
    proven_before = own.api("performance")["accounts"]
    assert proven_before == []
    send(own, "buy", qty="0.1")
    proven(own)
    ledger = own.relay.services.streams.bookkeeper.ledger
    (open_trade,) = ledger.open_trades()
    with own.relay.services.journal.store.read() as connection:
        days = connection.exec_driver_sql("SELECT fees FROM day_totals").scalar()
    assert D(str(days)) == open_trade.fees
    own.relay.services.journal.store.submit(
        lambda connection: connection.exec_driver_sql("UPDATE day_totals SET fees = '0'")
    )
    (row,) = own.api("performance")["accounts"]
    assert row["difference"] == str(open_trade.fees.normalize())


def test_a_log_that_cannot_be_read_is_no_zero(own: RelayServer, paper: PaperServer) -> None:
    send(own, "buy", qty="0.1")
    proven(own)
    paper.control.fault("/v5/account/transaction-log", "http", status=502, times=None)
    try:
        send(own, "buy", qty="0.1")
        until(lambda: [each["size"] for each in trades(own)] == ["0.2"])
        (row,) = own.api("performance")["accounts"]
        assert (row["booked"], row["difference"]) == (None, None) and D(row["net"]) < 0
    finally:
        paper.control.clear_faults()


def test_trades_are_found_by_what_is_asked_and_come_in_pages_and_as_a_file(
    own: RelayServer, paper: PaperServer
) -> None:
    for _ in range(3):
        send(own, "buy", qty="0.1")
        send(own, "close")
    send(own, "buy", ticker="ETHUSDT.P", qty="1")
    until(lambda: len(trades(own)) == 4)
    first = own.api("trades?limit=3")
    second = own.api(f"trades?limit=3&cursor={first['next_cursor']}")
    assert (len(first["trades"]), len(second["trades"]), second["next_cursor"]) == (3, 1, None)
    assert [each["symbol"] for each in trades(own, "?symbol=ethusdt")] == ["ETHUSDT"]
    assert len(trades(own, "?days=1")) == 4 and trades(own, "?strategy=nobody") == []
    rows = list(csv.DictReader(io.StringIO(own.ask("trades?format=csv").text)))
    assert [row["id"] for row in rows] == [each["id"] for each in trades(own)]
    assert list(rows[0]) == list(trades(own)[0])
    assert own.ask("trades?format=csv&strategy=nobody").text.split(",")[0] == "id", "a table of nothing has its head"
    error_of(own.ask("trades?cursor=x"), 400, "REQUEST_INVALID")
    error_of(own.ask("trades?format=xml"), 400, "REQUEST_INVALID")


def test_the_pages_show_trades_their_proof_and_what_tradingview_lists(own: RelayServer, paper: PaperServer) -> None:
    send(own, "buy", qty="0.1")
    paper.control.prices(BTCUSDT="101000")
    send(own, "close")
    proven(own)
    browser = requests.Session()
    token = re.findall(r'name="csrf_token" value="([^"]+)"', browser.get(f"{own.url}/login", timeout=60).text)[0]
    browser.post(f"{own.url}/login", data={"csrf_token": token, "password": ADMIN_TOKEN}, timeout=60)
    shown = {path: browser.get(f"{own.url}{path}", timeout=60).text for path in ("/trades", "/performance", "/compare")}
    assert "BTCUSDT" in shown["/trades"] and "+88." in shown["/trades"]
    assert "100.0 %" in shown["/performance"] and 'class="tag good">none<' in shown["/performance"]
    link = re.findall(r'href="(/trades[?][^"]*format=csv)"', shown["/trades"])[0].replace("&amp;", "&")
    listed = browser.get(f"{own.url}{link}", timeout=60)
    assert listed.headers["Content-Type"].startswith("text/csv") and len(listed.text.splitlines()) == 2
    assert "clear the filter" in browser.get(f"{own.url}/trades?symbol=NOSUCH", timeout=60).text.lower()
    token = re.findall(r'name="csrf_token" value="([^"]+)"', shown["/compare"])[-1]
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    log = f"Alert ID,Ticker,Name,Description,Time\n1,BYBIT:BTCUSDT.P,cross,lost,{at}\n".encode()
    answered = browser.post(
        f"{own.url}/compare", data={"csrf_token": token}, files={"files": ("log.csv", log)}, timeout=60
    )
    assert answered.status_code == 200 and "1 never arrived" in answered.text
    minute = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    titles = "Trade #,Type,Date and time,Signal,Price USDT,Size (qty),Size (value),Net P&L USDT"
    trade = (f"1,{kind} long,{minute},x,{price},0.1,1,99" for kind, price in (("Entry", 100000), ("Exit", 101000)))
    answered = browser.post(
        f"{own.url}/compare",
        data={"csrf_token": token, "symbol": "btcusdt.p", "zone": "UTC"},
        files={"files": ("trades.csv", "\n".join([titles, *trade]).encode())},
        timeout=60,
    )
    assert "1 matched, 0 missed" in answered.text
    points = browser.get(f"{own.url}/live/performance/profit", timeout=60).json()
    assert [len(points["x"]), len(points["series"])] == [3, 1], "the period's start, the trade, now"


def test_a_paper_exchange_of_before_logs_what_it_did_until_then(tmp_path: Path) -> None:
    older = PaperServer(tmp_path)
    try:
        hand(older, "Buy", "0.2")
        older.control.funding("BTCUSDT", "0.0001")
        hand(older, "Sell", "0.2")
        older.kill()
        with closing(sqlite3.connect(tmp_path / "paper.db")) as file, file:
            file.execute("DROP TABLE transactions")
        older.restart()
        with running_relay(tmp_path, older.url) as relay:
            rows = proven(relay)
            assert D(rows["USDT"]["net"]) < -2
    finally:
        older.close()
