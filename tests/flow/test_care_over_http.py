"""What protects a position, from the alert to what the exchange has: stops, ladders, trailing, later levels."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.rounding import plain
from tests.flow.desk import Desk, Market

LADDER = [{"at": "1%", "share": 50, "then": "breakeven"}, {"at": "2%", "share": 30}, {"at": "3%", "share": 20}]
STOPS, AMEND = "/v5/position/trading-stop", "/v5/order/amend"


@pytest.fixture
def desk(running: Desk) -> Desk:
    """With faults and calls forgotten. The guards of the tests have a symbol each."""
    running.control.clear_faults()
    running.control.clear_calls()
    return running


def usdt(coin: str, price: str) -> Market:
    return Market(ticker=f"{coin}USDT.P", symbol=f"{coin}USDT", lot="1", price=price)


SOL, LINK, LTC, XRP = usdt("SOL", "200"), usdt("LINK", "20"), usdt("LTC", "100"), usdt("XRP", "2")


def priced(desk: Desk, market: Market, price: str) -> None:
    desk.control.prices(**{market.symbol: price})


def rests(desk: Desk, market: Market) -> dict[str, str]:
    """The take profits that rest: what is left of each, by its price."""
    rows = desk.resting(market)
    return {
        plain(Decimal(row["price"])): plain(Decimal(row["leavesQty"]))
        for row in rows
        if row["orderType"] == "Limit" and row["reduceOnly"]
    }


def stops(desk: Desk, market: Market) -> tuple[str, str]:
    """Take profit and stop loss of the position."""
    row = desk.position_row(market)
    return plain(Decimal(row["takeProfit"] or 0)), plain(Decimal(row["stopLoss"] or 0))


def until(condition: Callable[[], bool], told: Callable[[], object], deadline_s: float = 25) -> None:
    give_up_at = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < give_up_at, told()
        time.sleep(0.05)


def eventually(desk: Desk, market: Market, wanted: dict[str, str]) -> None:
    until(lambda: rests(desk, market) == wanted, lambda: (rests(desk, market), wanted))


def signal_now(desk: Desk, signal: dict[str, Any]) -> dict[str, Any]:
    return desk.relay.signal(signal["id"])


def test_a_ladder_rests_when_the_signal_is_done_and_follows_the_position(desk: Desk) -> None:
    priced(desk, SOL, "200")
    signal = desk.send(SOL, "buy", qty="10", stop_loss="5%", take_profit=LADDER)
    assert signal["status"] == "done", signal
    assert rests(desk, SOL) == {"202": "5", "204": "3", "206": "2"}
    assert stops(desk, SOL) == ("0", "190")
    assert desk.send(SOL, "buy", qty="10")["status"] == "done"
    assert rests(desk, SOL) == {"202": "10", "204": "6", "206": "4"}
    assert desk.send(SOL, "sell", qty="10")["status"] == "done"
    assert rests(desk, SOL) == {"202": "5", "204": "3", "206": "2"}
    priced(desk, SOL, "202")
    until(lambda: stops(desk, SOL) == ("0", "200"), lambda: stops(desk, SOL))
    assert rests(desk, SOL) == {"204": "3", "206": "2"}
    closed = desk.send(SOL, "close")
    assert (closed["status"], desk.held(SOL), desk.resting(SOL)) == ("done", "0", [])
    assert signal_now(desk, signal)["status"] == "done"


def test_distances_are_moved_to_the_average_fill(desk: Desk) -> None:
    desk.control.prices(LINKUSDT={"mark": "20", "last": "20.4", "bid": "20.4", "ask": "20.4", "index": "20"})
    signal = desk.send(LINK, "buy", qty="10", stop_loss="10%", take_profit="+2")
    assert signal["status"] == "done", signal
    assert stops(desk, LINK) == ("22.4", "18.36")
    assert [event["name"] for event in signal["events"]].count("stops_set") == 1
    priced(desk, LINK, "20")
    assert desk.send(LINK, "close")["status"] == "done"


def test_prices_are_not_touched_after_the_fill(desk: Desk) -> None:
    priced(desk, LINK, "20")
    desk.send(LINK, "buy", qty="10", stop_loss="15", take_profit="30")
    assert stops(desk, LINK) == ("30", "15")
    assert desk.control.calls(STOPS) == []
    desk.send(LINK, "close")


def test_a_trailing_stop_is_set_from_the_fill_and_waits_for_its_start(desk: Desk) -> None:
    priced(desk, LINK, "20")
    signal = desk.send(LINK, "sell", qty="10", stop_loss="10%", trailing_stop="5%", trailing_start="10%")
    row = desk.position_row(LINK)
    assert (signal["status"], Decimal(row["trailingStop"]), stops(desk, LINK)) == ("done", Decimal(1), ("0", "22"))
    for price in ("17", "18.01"):
        assert desk.held(LINK) == "-10"
        priced(desk, LINK, price)
    assert desk.held(LINK) == "0"


def test_stops_set_levels_on_what_is_open_and_replace_what_they_name(desk: Desk) -> None:
    priced(desk, LTC, "100")
    nothing = desk.send(LTC, "stops", stop_loss="90")
    assert (nothing["status"], nothing["reason"]["code"]) == ("denied", "POSITION_NONE")
    desk.hold(LTC, "-4")
    wrong = desk.send(LTC, "stops", stop_loss="99")
    assert (wrong["status"], wrong["reason"]["code"]) == ("denied", "STOP_WRONG_SIDE")
    first = desk.send(LTC, "stops", stop_loss="2%", take_profit="+10")
    assert (first["status"], stops(desk, LTC), first["orders"]) == ("done", ("90", "102"), [])
    second = desk.send(LTC, "stops", take_profit=[{"at": "95", "share": 50}, {"at": "90", "share": 50}])
    assert second["status"] == "done", second
    assert (stops(desk, LTC), rests(desk, LTC)) == (("0", "102"), {"95": "2", "90": "2"})
    third = desk.send(LTC, "stops", stop_loss="105")
    assert (third["status"], stops(desk, LTC), rests(desk, LTC)) == ("done", ("0", "105"), {"95": "2", "90": "2"})
    fourth = desk.send(LTC, "stops", take_profit="80")
    assert (fourth["status"], stops(desk, LTC), rests(desk, LTC)) == ("done", ("80", "105"), {})
    desk.control.fault(STOPS, "code", retCode=10001, retMsg="no such luck", times=2)
    refused = desk.send(LTC, "stops", stop_loss="106")
    assert (refused["status"], stops(desk, LTC)) == ("failed", ("80", "105"))
    assert "no such luck" in refused["reason"]["message"]
    assert desk.send(LTC, "close")["status"] == "done"


def test_a_flip_carries_its_own_levels_and_the_old_ladder_is_gone(desk: Desk) -> None:
    priced(desk, LTC, "100")
    desk.send(LTC, "buy", qty="4", stop_loss="5%", take_profit=LADDER)
    assert rests(desk, LTC) == {"101": "2", "102": "1.2", "103": "0.8"}
    flip = desk.send(LTC, "sell", qty="6", stop_loss="3%", take_profit="6%")
    assert (flip["status"], desk.held(LTC), desk.resting(LTC)[0]["side"]) == ("done", "-2", "Buy")
    assert (stops(desk, LTC), rests(desk, LTC)) == (("94", "103"), {})
    bare = desk.send(LTC, "buy", qty="4")
    assert (bare["status"], desk.held(LTC), desk.resting(LTC)) == ("done", "2", [])
    desk.send(LTC, "close")


def test_a_plain_order_that_closes_leaves_no_take_profit_behind(desk: Desk) -> None:
    priced(desk, LTC, "100")
    desk.send(LTC, "buy", qty="4", take_profit=LADDER)
    assert desk.send(LTC, "sell", qty="4")["status"] == "done"
    assert (desk.held(LTC), desk.resting(LTC)) == ("0", [])


def test_the_levels_of_a_later_entry_replace_and_silence_keeps(desk: Desk) -> None:
    priced(desk, LTC, "100")
    desk.send(LTC, "buy", qty="4", stop_loss="90", take_profit=LADDER)
    desk.send(LTC, "buy", qty="4", stop_loss="95")
    assert (stops(desk, LTC), rests(desk, LTC)) == (("0", "95"), {"101": "4", "102": "2.4", "103": "1.6"})
    desk.send(LTC, "buy", qty="2", take_profit=[{"at": "110", "share": 50}, {"at": "120", "share": 50}])
    assert (stops(desk, LTC), rests(desk, LTC)) == (("0", "95"), {"110": "5", "120": "5"})
    desk.send(LTC, "close")


def test_a_limit_entrys_ladder_begins_with_its_first_fill(desk: Desk) -> None:
    priced(desk, LTC, "100")
    entry = desk.send(LTC, "buy", type="limit", price="90", qty="4", stop_loss="10%", take_profit=LADDER)
    assert (entry["status"], rests(desk, LTC)) == ("done", {})
    desk.control.prices(LTCUSDT={"price": "90", "depth": "1"})
    eventually(desk, LTC, {"90.9": "0.5", "91.8": "0.3", "92.7": "0.2"})
    priced(desk, LTC, "90")
    eventually(desk, LTC, {"90.9": "2", "91.8": "1.2", "92.7": "0.8"})
    assert stops(desk, LTC) == ("0", "81")
    desk.hold(LTC, "2")
    eventually(desk, LTC, {"90.9": "1", "91.8": "0.6", "92.7": "0.4"})
    desk.hold(LTC, "0")
    until(lambda: desk.resting(LTC) == [], lambda: desk.resting(LTC))
    assert signal_now(desk, entry)["status"] == "done"


def test_an_entry_whose_time_is_over_is_cancelled(desk: Desk) -> None:
    priced(desk, XRP, "2")
    entry = desk.send(XRP, "buy", type="limit", price="1", qty="10", valid_for=1)
    assert entry["status"] == "done"
    until(lambda: desk.resting(XRP) == [], lambda: desk.resting(XRP))
    until(lambda: signal_now(desk, entry)["orders"][0]["status"] == "canceled", lambda: signal_now(desk, entry))
    assert "order_time_over" in [event["name"] for event in signal_now(desk, entry)["events"]]


def test_a_rung_under_the_minimum_is_merged_into_its_neighbour(desk: Desk) -> None:
    priced(desk, LTC, "100")
    signal = desk.send(LTC, "buy", qty="0.3", take_profit=LADDER)
    assert signal["status"] == "done", signal
    assert sum(Decimal(each) for each in rests(desk, LTC).values()) == Decimal("0.3")
    desk.send(LTC, "close")


@pytest.mark.parametrize("path", [STOPS, AMEND])
def test_a_lost_reply_changes_nothing_in_the_end(desk: Desk, path: str) -> None:
    desk.control.prices(LTCUSDT={"mark": "100", "last": "101", "bid": "101", "ask": "101", "index": "100"})
    desk.control.fault(path, "drop_reply")
    desk.send(LTC, "buy", qty="4", stop_loss="10%", take_profit=LADDER)
    signal = desk.send(LTC, "buy", qty="4")
    assert signal["status"] == "done", signal
    assert stops(desk, LTC) == ("0", "90.9")
    assert rests(desk, LTC) == {"102.01": "4", "103.02": "2.4", "104.03": "1.6"}
    priced(desk, LTC, "100")
    desk.send(LTC, "close")


def test_a_ladder_that_is_refused_calls_for_a_person(desk: Desk) -> None:
    priced(desk, XRP, "2")
    desk.control.fault(
        "/v5/order/create", "code", retCode=110003, retMsg="no such price", match={"reduceOnly": "True"}, times=3
    )
    signal = desk.send(XRP, "buy", qty="100", stop_loss="10%", take_profit=[{"at": "5%", "share": 50}])
    assert (signal["status"], signal["reason"]["code"]) == ("attention", "STOPS_INCOMPLETE")
    assert stops(desk, XRP) == ("0", "1.8")
    desk.control.clear_faults()
    desk.send(XRP, "close")


def test_alerts_that_empty_the_book_one_after_the_other_are_no_refusals_of_the_ladder(desk: Desk) -> None:
    priced(desk, SOL, "200")
    signal = desk.send(SOL, "long", qty="10", take_profit=LADDER)
    for _ in range(6):
        assert desk.send(SOL, "long", qty="10")["status"] == "done"
    eventually(desk, SOL, {"202": "5", "204": "3", "206": "2"})
    assert signal_now(desk, signal)["status"] == "done"
    desk.send(SOL, "close")
