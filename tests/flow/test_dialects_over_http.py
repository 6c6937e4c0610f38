"""Messages of other services, posted as they are to the relay's URL: what the paper exchange has of them afterwards."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
import requests
from pybit.unified_trading import HTTP

from relay.domain.instrument import plain
from tests.paper_server import PaperServer
from tests.relay_server import WEBHOOK_SECRET, RelayServer, error_of
from tests.unit.dialect_cases import Message
from tests.unit.dialect_messages import (
    CODE,
    CUSTOM,
    EXIT,
    FILLED,
    GNOME,
    OKX_A,
    OKX_B,
    OKX_EXIT,
    ROBSWC,
    SHORT_FORM,
    STRATEGY,
    WUNDER,
    with_fields,
)

URL = f"/webhook/default/{quote(WEBHOOK_SECRET)}"
"""Where a service's own URL stood in the alert."""
BTC = ("linear", "BTCUSDT")
ETH_INVERSE = ("inverse", "ETHUSD")
NO_STOPS: Message = {"take_profit": None, "stop_loss": None, "takeProfits": None, "stopLoss": None}


@pytest.fixture
def exchange(paper: PaperServer) -> Iterator[HTTP]:
    """Nothing is open."""
    paper.control.reset()
    yield paper.session()


def position(exchange: HTTP, market: tuple[str, str]) -> Decimal:
    """Signed."""
    row = exchange.get_positions(category=market[0], symbol=market[1])["result"]["list"][0]
    return Decimal(row["size"]) * (-1 if row["side"] == "Sell" else 1)


def hold(exchange: HTTP, market: tuple[str, str], size: str) -> None:
    """Somebody's own order brings the position to `size`."""
    if size != "0":
        side = "Sell" if size.startswith("-") else "Buy"
        exchange.place_order(
            category=market[0], symbol=market[1], side=side, orderType="Market", qty=size.lstrip("-"), positionIdx=0
        )


def as_sent(message: Message) -> bytes:
    """With what TradingView puts in for `{{timenow}}`, and a note that makes it another alert than the last one."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    times = {name: now for name in ("time", "timestamp") if name in message}
    return json.dumps({**message, **times, "x_note": uuid.uuid4().hex}).encode()


def post(relay: RelayServer, message: Message, *, named: str | None = None, path: str = URL) -> requests.Response:
    return relay.post(as_sent(message), path=f"{path}?format={named}" if named else path, wait_s=10)


def done(relay: RelayServer, message: Message, *, named: str | None = None) -> dict[str, Any]:
    answer = post(relay, message, named=named)
    assert answer.status_code == 200, answer.text
    signal: dict[str, Any] = answer.json()
    return signal


def shown(signal: dict[str, Any]) -> list[str]:
    return [
        f"{each['side']} {plain(Decimal(each['qty']))}{' reduce-only' if each['reduce_only'] else ''}"
        for each in signal["orders"]
    ]


def traderspost(action: str, **fields: Any) -> Message:
    return {"ticker": "BTCUSDT.P", "action": action, **fields}


def okx(action: str, **fields: Any) -> Message:
    return with_fields(OKX_B, action=action, investmentType="base", **fields)


FILL = with_fields(
    FILLED,
    ticker="BTCUSDT",
    strategy__order_contracts=0.5,
    strategy__order_price=100000,
    strategy__market_position_size=0.5,
)
FLAT = with_fields(FILL, strategy__order_action="sell", strategy__market_position="flat")
ENTER = with_fields(CUSTOM, **NO_STOPS, order={"amount": 0.2, "currency_type": "base"})
GNOME_ORDER = with_fields(GNOME, cancel_orders="False", order_mode="None")

CASES: list[tuple[str, Message, list[str], str]] = [
    # the strategy's fill of the passphrase bots
    ("0", FILL, ["buy 0.5"], "0.5"),
    ("-0.2", with_fields(FILL, strategy__prev_market_position="short"), ["buy 0.7"], "0.5"),
    ("0.5", FLAT, ["sell 0.5 reduce-only"], "0"),
    ("0", FLAT, [], "0"),
    ("0.2", SHORT_FORM, ["sell 0.5"], "-0.3"),
    # 3Commas
    ("-0.2", STRATEGY, ["buy 0.5"], "0.3"),
    ("0", with_fields(CUSTOM, **NO_STOPS), ["buy 0.001"], "0.001"),
    ("0.1", ENTER, ["buy 0.2"], "0.3"),
    ("-0.1", ENTER, ["buy 0.3"], "0.2"),
    ("0.1", with_fields(ENTER, action="enter_short"), ["sell 0.3"], "-0.2"),
    ("0.1", EXIT, ["sell 0.1 reduce-only"], "0"),
    ("0.1", with_fields(EXIT, order__amount=50), ["sell 0.05 reduce-only"], "0.05"),
    ("-0.1", EXIT, [], "-0.1"),
    # OKX
    ("0.012", OKX_A, ["sell 0.012 reduce-only"], "0"),
    ("-0.1", OKX_A, ["buy 0.1 reduce-only"], "0"),
    ("0", okx("ENTER_LONG", amount="0.1"), ["buy 0.1"], "0.1"),
    ("0.1", okx("ENTER_LONG", amount="0.1"), ["buy 0.1"], "0.2"),
    ("0.1", okx("ENTER_SHORT", amount="0.1"), ["sell 0.2"], "-0.1"),
    ("0.1", OKX_EXIT, ["sell 0.1 reduce-only"], "0"),
    ("0.1", with_fields(OKX_EXIT, amount="50"), ["sell 0.05 reduce-only"], "0.05"),
    ("-0.1", OKX_EXIT, [], "-0.1"),
    ("0", with_fields(OKX_B, investmentType="margin", amount="500"), ["buy 0.05"], "0.05"),
    # WunderTrading
    ("0", with_fields(WUNDER, **NO_STOPS), ["buy 0.001"], "0.001"),
    ("0.1", with_fields(WUNDER, **NO_STOPS), [], "0.1"),
    ("-0.1", with_fields(WUNDER, **NO_STOPS), ["buy 0.101"], "0.001"),
    ("-0.1", {"code": "EXIT-ALL_Bybit_BTCUSDT_x_15M_8e34479cfe49027eda195457"}, ["buy 0.1 reduce-only"], "0"),
    ("0.1", {"code": "Exit-Long", "ticker": "BTCUSDT.P", "reduceOnly": True}, ["sell 0.1 reduce-only"], "0"),
    ("-0.1", {"code": "Exit-Long", "ticker": "BTCUSDT.P", "reduceOnly": True}, [], "-0.1"),
    # TradersPost
    ("0", traderspost("buy", quantity=0.1, sentiment="long", price="100000", interval="60"), ["buy 0.1"], "0.1"),
    ("-0.1", traderspost("buy", quantity=0.2, signalPrice=100000), ["buy 0.3"], "0.2"),
    ("0.2", traderspost("buy", quantity=0.2, signalPrice=100000), [], "0.2"),
    ("0.1", traderspost("buy", quantityType="dollar_amount", quantity=50000), [], "0.1"),
    ("0", traderspost("sell", quantityType="dollar_amount", quantity=50000), ["sell 0.5"], "-0.5"),
    ("-0.1", traderspost("buy", sentiment="bearish", quantity=0.05), ["buy 0.05 reduce-only"], "-0.05"),
    ("0.1", traderspost("sell", sentiment="flat", quantity=0.05), ["sell 0.1 reduce-only"], "0"),
    ("0.1", traderspost("exit", cancel=True), ["sell 0.1 reduce-only"], "0"),
    ("-0.1", traderspost("exit", cancel=False), ["buy 0.1 reduce-only"], "0"),
    ("0.5", traderspost("exit", quantity=0.2), ["sell 0.2 reduce-only"], "0.3"),
    ("0.5", traderspost("exit", quantityType="percent_of_position", quantity=50), ["sell 0.25 reduce-only"], "0.25"),
    ("0.2", traderspost("buy", quantity=0.5, signalPrice=100000), [], "0.2"),
    ("0.2", traderspost("add", quantity=0.1), ["buy 0.1"], "0.3"),
    ("-0.2", traderspost("add", quantity=0.1), ["sell 0.1"], "-0.3"),
    ("-0.2", traderspost("add", quantityType="percent_of_position", quantity=50), ["sell 0.1"], "-0.3"),
    ("0", traderspost("add", quantity=0.1), [], "0"),
    # the bots on GitHub
    ("0", with_fields(ROBSWC, type="market"), ["buy 0.1"], "0.1"),
    ("0.1", with_fields(ROBSWC, type="market"), ["buy 0.1"], "0.2"),
    ("0.1", {"key": "678777", "symbol": "BTCUSDT", "close_position": "True"}, ["sell 0.1 reduce-only"], "0"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "message", "orders", "after"), CASES, ids=lambda value: str(value)[:70])
def test_a_message_does_what_its_service_does(
    relay: RelayServer, exchange: HTTP, before: str, message: Message, orders: list[str], after: str
) -> None:
    hold(exchange, BTC, before)
    signal = done(relay, message)
    assert shown(signal) == orders, signal
    assert position(exchange, BTC) == Decimal(after)


def test_an_order_of_an_inverse_perpetual_counts_the_exchanges_contracts(relay: RelayServer, exchange: HTTP) -> None:
    assert shown(done(relay, GNOME_ORDER)) == ["buy 1"]
    assert position(exchange, ETH_INVERSE) == 1


def test_a_limit_order_rests_and_is_cancelled(relay: RelayServer, exchange: HTTP) -> None:
    placed = done(relay, with_fields(ROBSWC, price="99000"))["orders"]
    assert [(each["type"], each["price"], each["status"]) for each in placed] == [("limit", "99000", "accepted")]
    done(relay, {"key": "678777", "symbol": "BTCUSDT", "cancel_orders": "True"})
    assert exchange.get_open_orders(category="linear", symbol="BTCUSDT")["result"]["list"] == []


def test_a_bots_order_cancels_what_rests_first_and_leaves_the_exits(relay: RelayServer, exchange: HTTP) -> None:
    hold(exchange, BTC, "0.1")
    resting = with_fields(ROBSWC, price="90000")
    done(relay, resting)
    done(
        relay, {"ticker": "BTCUSDT.P", "action": "close", "type": "limit", "price": "190000", "secret": WEBHOOK_SECRET}
    )
    done(relay, resting)
    done(relay, with_fields(ROBSWC, type="market", amount="0.01", cancel_orders="True"))
    left = exchange.get_open_orders(category="linear", symbol="BTCUSDT")["result"]["list"]
    assert [(Decimal(each["price"]), each["reduceOnly"]) for each in left] == [(Decimal(190000), True)]
    assert position(exchange, BTC) == Decimal("0.11")


def test_a_lag_of_the_message_is_stricter_than_the_relays(relay: RelayServer, exchange: HTTP) -> None:
    old = (datetime.now(UTC) - timedelta(seconds=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    hold(exchange, BTC, "0.1")
    for message, status in ((okx("ENTER_LONG", amount="0.1"), "expired"), (OKX_EXIT, "done")):
        body = json.dumps({**message, "maxLag": "10", "timestamp": old, "x_note": uuid.uuid4().hex}).encode()
        assert relay.done(body, path=URL)["status"] == status
    assert position(exchange, BTC) == 0


@pytest.mark.parametrize(
    ("message", "tp_legs"),
    [(CUSTOM | {"order": {"amount": 0.4, "currency_type": "base"}}, 4), (WUNDER | {"amountPerTrade": 50000}, 6)],
    ids=["3commas", "wundertrading"],
)
def test_the_steps_of_a_bot_become_a_ladder_and_its_stop_rides_on_the_entry(
    relay: RelayServer, exchange: HTTP, message: Message, tp_legs: int
) -> None:
    done(relay, message)
    held = exchange.get_positions(category="linear", symbol="BTCUSDT")["result"]["list"][0]
    assert Decimal(held["size"]) > 0 and Decimal(held["stopLoss"]) == Decimal(held["avgPrice"]) * Decimal("0.99")
    deadline = time.monotonic() + 30
    while True:
        rows = exchange.get_open_orders(category="linear", symbol="BTCUSDT")["result"]["list"]
        ladder = [each for each in rows if each["reduceOnly"] and each["orderType"] == "Limit"]
        if len(ladder) == tp_legs or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert len(ladder) == tp_legs, rows
    # What rests would be gone with the exchange's next start from nothing, and be searched for in vain.
    assert done(relay, {"ticker": "BTCUSDT.P", "action": "close"})["status"] == "done"


def test_the_format_may_be_named(relay: RelayServer, exchange: HTTP) -> None:
    """`buy` with a short open is a delta in a native alert, and closes it first for TradersPost."""
    hold(exchange, BTC, "-0.1")
    plain_message = traderspost("exit")
    assert done(relay, plain_message)["alert"].get("format") is None
    signal = done(relay, traderspost("sell", quantity=0.1), named="traderspost")
    assert signal["alert"]["format"] == "traderspost" and position(exchange, BTC) == Decimal("-0.1")


def test_a_name_of_no_format_is_refused(relay: RelayServer) -> None:
    error = error_of(post(relay, traderspost("buy", quantity=1), named="nobody"), 422, "ALERT_INVALID")
    assert "`traderspost`" in error["fields"]["format"][0]


def test_what_cannot_be_done_is_refused_by_the_senders_name_and_stored(relay: RelayServer) -> None:
    answer = post(relay, traderspost("buy", optionType="call", strikesAway=2))
    error = error_of(answer, 422, "ALERT_INVALID")
    assert set(error["fields"]) == {"optionType", "strikesAway"}
    stored = relay.api(f"signals/{answer.json()['signal_id']}")
    assert stored["status"] == "rejected" and stored["alert"]["format"] == "traderspost"
    assert stored["alert"]["optiontype"] == "call"


@pytest.mark.parametrize(
    ("message", "field"),
    [(FILL, "passphrase"), (GNOME_ORDER, "key"), (okx("EXIT_LONG", amount="0.1"), "signalToken"), (STRATEGY, "secret")],
    ids=["passphrase", "key", "signalToken", "secret"],
)
def test_the_formats_own_secret_authenticates_the_sender(
    relay: RelayServer, exchange: HTTP, message: Message, field: str
) -> None:
    error_of(post(relay, message, path="/webhook"), 401, "AUTH_FAILED")
    answer = post(relay, {**message, field: WEBHOOK_SECRET}, path="/webhook")
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "done"
    assert field.lower() not in answer.json()["alert"] and WEBHOOK_SECRET not in answer.text


def test_another_services_token_is_not_stored_either(relay: RelayServer, exchange: HTTP) -> None:
    for message, token in ((okx("ENTER_LONG", amount="0.1"), "an-okx-signal-token"), (FILL, "abcdefgh")):
        assert token not in json.dumps(done(relay, message))
    code = done(relay, {"code": CODE, "amountPerTrade": "0.01", "amountPerTradeType": "percents"})
    assert "8e34479cfe49027eda195457" not in json.dumps(code)


def test_an_entry_that_left_long_ago_is_not_placed(relay: RelayServer, exchange: HTTP) -> None:
    """The published message says 2020."""
    answer = relay.post(json.dumps({**FILLED, "x_note": uuid.uuid4().hex}).encode(), path=URL, wait_s=10)
    assert (answer.json()["status"], answer.json()["reason"]["code"]) == ("expired", "TIME_TOO_OLD")


def test_the_published_fill_of_ten_thousand_doge(relay: RelayServer, exchange: HTTP) -> None:
    assert shown(done(relay, FILLED)) == ["buy 10000"]
    assert position(exchange, ("linear", "DOGEUSDT")) == 10000
