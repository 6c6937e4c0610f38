"""What protects a position, from the alert to what the exchange has: stops, ladders, trailing, later levels."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import plain
from tests.flow.desk import AccountApi, Market

LADDER = [{"at": "1%", "share": 50, "then": "breakeven"}, {"at": "2%", "share": 30}, {"at": "3%", "share": 20}]
STOPS, AMEND = "/v5/position/trading-stop", "/v5/order/amend"


@pytest.fixture
def account_api(running: AccountApi) -> AccountApi:
    """With faults and calls forgotten. The guards of the tests have a symbol each."""
    running.control.clear_faults()
    running.control.clear_calls()
    return running


def usdt(coin: str, price: str) -> Market:
    return Market(ticker=f"{coin}USDT.P", symbol=f"{coin}USDT", lot="1", price=price)


SOL, LINK, LTC, XRP = usdt("SOL", "200"), usdt("LINK", "20"), usdt("LTC", "100"), usdt("XRP", "2")


def priced(account_api: AccountApi, market: Market, price: str) -> None:
    account_api.control.prices(**{market.symbol: price})


def rests(account_api: AccountApi, market: Market) -> dict[str, str]:
    """The take profits that rest: what is left of each, by its price."""
    rows = account_api.resting(market)
    return {
        plain(Decimal(row["price"])): plain(Decimal(row["leavesQty"]))
        for row in rows
        if row["orderType"] == "Limit" and row["reduceOnly"]
    }


def stops(account_api: AccountApi, market: Market) -> tuple[str, str]:
    """Take profit and stop loss of the position."""
    row = account_api.position_row(market)
    return plain(Decimal(row["takeProfit"] or 0)), plain(Decimal(row["stopLoss"] or 0))


def until(condition: Callable[[], bool], reported: Callable[[], object], deadline_s: float = 25) -> None:
    give_up_at = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < give_up_at, reported()
        time.sleep(0.05)


def eventually(account_api: AccountApi, market: Market, wanted: dict[str, str]) -> None:
    until(lambda: rests(account_api, market) == wanted, lambda: (rests(account_api, market), wanted))


def signal_now(account_api: AccountApi, signal: dict[str, Any]) -> dict[str, Any]:
    return account_api.relay.signal(signal["id"])


def test_a_ladder_rests_when_the_signal_is_done_and_follows_the_position(account_api: AccountApi) -> None:
    priced(account_api, SOL, "200")
    signal = account_api.send(SOL, "buy", qty="10", stop_loss="5%", take_profit=LADDER)
    assert signal["status"] == "done", signal
    assert rests(account_api, SOL) == {"202": "5", "204": "3", "206": "2"}
    assert stops(account_api, SOL) == ("0", "190")
    assert account_api.send(SOL, "buy", qty="10")["status"] == "done"
    assert rests(account_api, SOL) == {"202": "10", "204": "6", "206": "4"}
    assert account_api.send(SOL, "sell", qty="10")["status"] == "done"
    assert rests(account_api, SOL) == {"202": "5", "204": "3", "206": "2"}
    priced(account_api, SOL, "202")
    until(lambda: stops(account_api, SOL) == ("0", "200"), lambda: stops(account_api, SOL))
    assert rests(account_api, SOL) == {"204": "3", "206": "2"}
    closed = account_api.send(SOL, "close")
    assert (closed["status"], account_api.held(SOL), account_api.resting(SOL)) == ("done", "0", [])
    assert signal_now(account_api, signal)["status"] == "done"


def test_distances_are_moved_to_the_average_fill(account_api: AccountApi) -> None:
    account_api.control.prices(LINKUSDT={"mark": "20", "last": "20.4", "bid": "20.4", "ask": "20.4", "index": "20"})
    signal = account_api.send(LINK, "buy", qty="10", stop_loss="10%", take_profit="+2")
    assert signal["status"] == "done", signal
    assert stops(account_api, LINK) == ("22.4", "18.36")
    assert [event["name"] for event in signal["events"]].count("stops_set") == 1
    priced(account_api, LINK, "20")
    assert account_api.send(LINK, "close")["status"] == "done"


def test_prices_are_not_touched_after_the_fill(account_api: AccountApi) -> None:
    priced(account_api, LINK, "20")
    account_api.send(LINK, "buy", qty="10", stop_loss="15", take_profit="30")
    assert stops(account_api, LINK) == ("30", "15")
    assert account_api.control.calls(STOPS) == []
    account_api.send(LINK, "close")


def test_a_trailing_stop_is_set_from_the_fill_and_waits_for_its_start(account_api: AccountApi) -> None:
    priced(account_api, LINK, "20")
    signal = account_api.send(LINK, "sell", qty="10", stop_loss="10%", trailing_stop="5%", trailing_start="10%")
    row = account_api.position_row(LINK)
    assert (signal["status"], Decimal(row["trailingStop"]), stops(account_api, LINK)) == (
        "done",
        Decimal(1),
        ("0", "22"),
    )
    for price in ("17", "18.01"):
        assert account_api.held(LINK) == "-10"
        priced(account_api, LINK, price)
    assert account_api.held(LINK) == "0"


def test_stops_set_levels_on_what_is_open_and_replace_what_they_name(account_api: AccountApi) -> None:
    priced(account_api, LTC, "100")
    nothing = account_api.send(LTC, "stops", stop_loss="90")
    assert (nothing["status"], nothing["reason"]["code"]) == ("denied", "POSITION_NONE")
    account_api.hold(LTC, "-4")
    wrong = account_api.send(LTC, "stops", stop_loss="99")
    assert (wrong["status"], wrong["reason"]["code"]) == ("denied", "STOP_WRONG_SIDE")
    first = account_api.send(LTC, "stops", stop_loss="2%", take_profit="+10")
    assert (first["status"], stops(account_api, LTC), first["orders"]) == ("done", ("90", "102"), [])
    second = account_api.send(LTC, "stops", take_profit=[{"at": "95", "share": 50}, {"at": "90", "share": 50}])
    assert second["status"] == "done", second
    assert (stops(account_api, LTC), rests(account_api, LTC)) == (("0", "102"), {"95": "2", "90": "2"})
    third = account_api.send(LTC, "stops", stop_loss="105")
    assert (third["status"], stops(account_api, LTC), rests(account_api, LTC)) == (
        "done",
        ("0", "105"),
        {"95": "2", "90": "2"},
    )
    fourth = account_api.send(LTC, "stops", take_profit="80")
    assert (fourth["status"], stops(account_api, LTC), rests(account_api, LTC)) == ("done", ("80", "105"), {})
    account_api.control.fault(STOPS, "code", retCode=10001, retMsg="no such luck", times=2)
    refused = account_api.send(LTC, "stops", stop_loss="106")
    assert (refused["status"], stops(account_api, LTC)) == ("failed", ("80", "105"))
    assert "no such luck" in refused["reason"]["message"]
    assert account_api.send(LTC, "close")["status"] == "done"


def test_a_flip_has_its_own_levels_and_the_old_ladder_is_gone(account_api: AccountApi) -> None:
    priced(account_api, LTC, "100")
    account_api.send(LTC, "buy", qty="4", stop_loss="5%", take_profit=LADDER)
    assert rests(account_api, LTC) == {"101": "2", "102": "1.2", "103": "0.8"}
    flip = account_api.send(LTC, "sell", qty="6", stop_loss="3%", take_profit="6%")
    assert (flip["status"], account_api.held(LTC), account_api.resting(LTC)[0]["side"]) == ("done", "-2", "Buy")
    assert (stops(account_api, LTC), rests(account_api, LTC)) == (("94", "103"), {})
    bare = account_api.send(LTC, "buy", qty="4")
    assert (bare["status"], account_api.held(LTC), account_api.resting(LTC)) == ("done", "2", [])
    account_api.send(LTC, "close")


def test_a_plain_order_that_closes_leaves_no_take_profit_behind(account_api: AccountApi) -> None:
    priced(account_api, LTC, "100")
    account_api.send(LTC, "buy", qty="4", take_profit=LADDER)
    assert account_api.send(LTC, "sell", qty="4")["status"] == "done"
    assert (account_api.held(LTC), account_api.resting(LTC)) == ("0", [])


def test_the_levels_of_a_later_entry_replace_and_silence_keeps(account_api: AccountApi) -> None:
    priced(account_api, LTC, "100")
    account_api.send(LTC, "buy", qty="4", stop_loss="90", take_profit=LADDER)
    account_api.send(LTC, "buy", qty="4", stop_loss="95")
    assert (stops(account_api, LTC), rests(account_api, LTC)) == (("0", "95"), {"101": "4", "102": "2.4", "103": "1.6"})
    account_api.send(LTC, "buy", qty="2", take_profit=[{"at": "110", "share": 50}, {"at": "120", "share": 50}])
    assert (stops(account_api, LTC), rests(account_api, LTC)) == (("0", "95"), {"110": "5", "120": "5"})
    account_api.send(LTC, "close")


@pytest.mark.slow
def test_a_limit_entrys_ladder_begins_with_its_first_fill(account_api: AccountApi) -> None:
    priced(account_api, LTC, "100")
    entry = account_api.send(LTC, "buy", type="limit", price="90", qty="4", stop_loss="10%", take_profit=LADDER)
    assert (entry["status"], rests(account_api, LTC)) == ("done", {})
    account_api.control.prices(LTCUSDT={"price": "90", "depth": "1"})
    eventually(account_api, LTC, {"90.9": "0.5", "91.8": "0.3", "92.7": "0.2"})
    priced(account_api, LTC, "90")
    eventually(account_api, LTC, {"90.9": "2", "91.8": "1.2", "92.7": "0.8"})
    assert stops(account_api, LTC) == ("0", "81")
    account_api.hold(LTC, "2")
    eventually(account_api, LTC, {"90.9": "1", "91.8": "0.6", "92.7": "0.4"})
    account_api.hold(LTC, "0")
    until(lambda: account_api.resting(LTC) == [], lambda: account_api.resting(LTC))
    assert signal_now(account_api, entry)["status"] == "done"


def test_an_entry_whose_time_is_over_is_cancelled(account_api: AccountApi) -> None:
    priced(account_api, XRP, "2")
    entry = account_api.send(XRP, "buy", type="limit", price="1", qty="10", valid_for=1)
    assert entry["status"] == "done"
    until(lambda: account_api.resting(XRP) == [], lambda: account_api.resting(XRP))
    until(
        lambda: signal_now(account_api, entry)["orders"][0]["status"] == "canceled",
        lambda: signal_now(account_api, entry),
    )
    assert "order_time_over" in [event["name"] for event in signal_now(account_api, entry)["events"]]


def test_a_tp_leg_under_the_minimum_is_merged_into_its_neighbour(account_api: AccountApi) -> None:
    priced(account_api, LTC, "100")
    signal = account_api.send(LTC, "buy", qty="0.3", take_profit=LADDER)
    assert signal["status"] == "done", signal
    assert sum(Decimal(each) for each in rests(account_api, LTC).values()) == Decimal("0.3")
    account_api.send(LTC, "close")


@pytest.mark.parametrize("path", [STOPS, AMEND])
def test_a_lost_reply_changes_nothing_in_the_end(account_api: AccountApi, path: str) -> None:
    account_api.control.prices(LTCUSDT={"mark": "100", "last": "101", "bid": "101", "ask": "101", "index": "100"})
    account_api.control.fault(path, "drop_reply")
    account_api.send(LTC, "buy", qty="4", stop_loss="10%", take_profit=LADDER)
    signal = account_api.send(LTC, "buy", qty="4")
    assert signal["status"] == "done", signal
    assert stops(account_api, LTC) == ("0", "90.9")
    assert rests(account_api, LTC) == {"102.01": "4", "103.02": "2.4", "104.03": "1.6"}
    priced(account_api, LTC, "100")
    account_api.send(LTC, "close")


def test_a_ladder_that_is_refused_calls_for_a_person(account_api: AccountApi) -> None:
    priced(account_api, XRP, "2")
    account_api.control.fault(
        "/v5/order/create", "code", retCode=110003, retMsg="no such price", match={"reduceOnly": "True"}, times=3
    )
    signal = account_api.send(XRP, "buy", qty="100", stop_loss="10%", take_profit=[{"at": "5%", "share": 50}])
    assert (signal["status"], signal["reason"]["code"]) == ("attention", "STOPS_INCOMPLETE")
    assert stops(account_api, XRP) == ("0", "1.8")
    account_api.control.clear_faults()
    account_api.send(XRP, "close")


@pytest.mark.slow
def test_alerts_that_empty_the_book_one_after_the_other_are_no_refusals_of_the_ladder(account_api: AccountApi) -> None:
    priced(account_api, SOL, "200")
    signal = account_api.send(SOL, "long", qty="10", take_profit=LADDER)
    for _ in range(6):
        # Only what rests can be taken back.
        eventually(account_api, SOL, {"202": "5", "204": "3", "206": "2"})
        assert account_api.send(SOL, "long", qty="10")["status"] == "done"
    eventually(account_api, SOL, {"202": "5", "204": "3", "206": "2"})
    assert signal_now(account_api, signal)["status"] == "done"
    account_api.send(SOL, "close")
