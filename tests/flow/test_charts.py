"""What the charts of a trade and of a position are made of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.paper_server import PaperServer
from tests.relay_server import ADMIN_TOKEN, DEADLINE_S, RelayServer

pytestmark = pytest.mark.slow

BUY = {"action": "buy", "ticker": "BTCUSDT.P"}
LADDER = [{"at": "103000", "share": 50}, {"at": "110000", "share": 50}]


@pytest.fixture
def own(own: RelayServer, paper: PaperServer) -> RelayServer:
    paper.control.prices(BTCUSDT="100000")
    return own


@pytest.fixture
def reader(own: RelayServer) -> Iterator[requests.Session]:
    """Somebody who is logged in."""
    with requests.Session() as session:
        form = session.get(f"{own.url}/login", timeout=DEADLINE_S).text
        token = form.partition('name="csrf_token" value="')[2].partition('"')[0]
        data = {"csrf_token": token, "password": ADMIN_TOKEN}
        assert session.post(f"{own.url}/login", data=data, timeout=DEADLINE_S).status_code == 200
        yield session


def chart(relay: RelayServer, reader: requests.Session, path: str) -> dict[str, Any]:
    answer = reader.get(f"{relay.url}/live/chart/{path}", timeout=DEADLINE_S)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert all(len(each["y"]) == len(found["x"]) for each in found["series"])
    assert found["x"] == sorted(found["x"])
    return found


def values(found: dict[str, Any]) -> dict[str, list[float]]:
    """By series, what differs from the value before."""
    made: dict[str, list[float]] = {}
    for each in found["series"]:
        shown = [value for value in each["y"] if value is not None]
        made[each["name"]] = [value for value, before in zip(shown, [None, *shown], strict=False) if value != before]
    return made


def trades_once(relay: RelayServer, count: int, status: str = "closed") -> list[dict[str, Any]]:
    until = time.monotonic() + DEADLINE_S
    while True:
        found: list[dict[str, Any]] = [each for each in relay.api("trades")["trades"] if each["status"] == status]
        if len(found) == count:
            return found
        assert time.monotonic() < until, found
        time.sleep(0.02)


def test_an_open_position_is_drawn_with_its_fills_and_the_levels_of_now(
    own: RelayServer, reader: requests.Session, paper: PaperServer
) -> None:
    own.done(BUY | {"qty": "0.1", "stop_loss": "97000", "take_profit": LADDER, "id": "a"})
    paper.control.prices(BTCUSDT="101500")
    own.done(BUY | {"qty": "0.1", "id": "more"})
    trades_once(own, 1, "open")
    until = time.monotonic() + DEADLINE_S
    while len(values(found := chart(own, reader, "position?account=default&category=linear&symbol=BTCUSDT"))) < 5:
        assert time.monotonic() < until, found
        time.sleep(0.02)
    drawn = values(found)
    assert (drawn["Price"][-1], drawn["Stop loss"]) == (101_500, [97_000])
    assert (drawn["Take profit 1"], drawn["Take profit 2"]) == ([103_000], [110_000])
    assert drawn["Entries"] == [100_000, 101_500] and "Exits" not in drawn
    assert found["from"] < found["x"][0] <= found["until"] and found["places"] == 1
    nowhere = chart(own, reader, "position?account=default&category=linear&symbol=ETHUSDT")
    assert (nowhere["x"], nowhere["series"]) == ([], [])


def test_a_trade_is_drawn_with_its_own_fills_and_where_its_stop_went(
    own: RelayServer, reader: requests.Session, paper: PaperServer
) -> None:
    own.done(BUY | {"qty": "0.1", "stop_loss": "97000", "id": "a"})
    own.done({"action": "stops", "ticker": "BTCUSDT.P", "stop_loss": "99000", "id": "nearer"})
    paper.control.prices(BTCUSDT="98500")
    trades_once(own, 1)
    own.done({"action": "sell", "ticker": "BTCUSDT.P", "qty": "0.2", "id": "another"})
    (first,) = trades_once(own, 1)
    drawn = values(chart(own, reader, f"trade/{first['id']}"))
    assert drawn["Stop loss"] == [97_000, 99_000]
    assert (drawn["Entries"], drawn["Exits"]) == ([100_000], [98_500])
    assert reader.get(f"{own.url}/trades/nothing", timeout=DEADLINE_S).status_code == 404
    page = reader.get(f"{own.url}/trades/{first['id']}", timeout=DEADLINE_S)
    assert page.status_code == 200 and "stop loss" in page.text


def test_without_the_exchange_a_trade_is_drawn_by_what_the_ledger_knows(
    own: RelayServer, reader: requests.Session, paper: PaperServer
) -> None:
    own.done(BUY | {"qty": "0.1", "id": "a"})
    own.done({"action": "close", "ticker": "BTCUSDT.P", "id": "b"})
    (trade,) = trades_once(own, 1)
    paper.control.fault("/v5/market/kline", "http", status=502, times=None)
    drawn = values(chart(own, reader, f"trade/{trade['id']}"))
    assert drawn == {"Price": [], "Entries": [100_000], "Exits": [100_000]}


def test_each_days_net_leads_to_the_trades_that_were_closed_on_it(
    own: RelayServer, reader: requests.Session, paper: PaperServer
) -> None:
    own.done(BUY | {"qty": "0.2", "id": "a"})
    paper.control.prices(BTCUSDT="101000")
    own.done({"action": "close", "ticker": "BTCUSDT.P", "id": "b"})
    own.done({"action": "buy", "ticker": "ETHUSDT.P", "qty": "1", "id": "still open"})
    (trade,) = trades_once(own, 1)
    day = trade["closed_at"][:10]
    table = reader.get(f"{own.url}/performance", timeout=DEADLINE_S).text.partition('id="daily-title"')[2]
    assert f'<a href="/trades?day={day}">{day}</a>' in table and "+177.89 USDT" in table.partition("</table>")[0]
    shown = reader.get(f"{own.url}/trades?day={day}", timeout=DEADLINE_S).text
    assert f'/trades/{trade["id"]}"' in shown and "ETHUSDT" not in shown
    other = reader.get(f"{own.url}/trades?day=2020-02-29", timeout=DEADLINE_S)
    assert other.status_code == 200 and "Clear the filter" in other.text
    for nonsense in ("2026-02-30", "yesterday", "2026-11-30T00:00"):
        assert reader.get(f"{own.url}/trades", params={"day": nonsense}, timeout=DEADLINE_S).status_code == 400
