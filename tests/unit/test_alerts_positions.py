"""Which market, where the strategy stands, and how an order may rest, under other people's names."""

from __future__ import annotations

from decimal import Decimal

import pytest

from relay.domain.instrument import TradedMarket
from relay.domain.order import TimeInForce
from relay.domain.signal import Action
from tests.unit.test_alerts_names import refused, taken


@pytest.mark.parametrize(
    ("name", "kind"), [("postOnly", "limit"), ("maker_only", "LIMIT"), ("post-only", "stop_limit")]
)
def test_an_order_that_may_only_rest_is_one(name: str, kind: str) -> None:
    order = {"action": "buy", "qty": "0.1", "type": kind, "price": "3000"} | (
        {"trigger_price": "2990"} if kind == "stop_limit" else {}
    )
    assert taken(**order, **{name: True}, tif="GTC").time_in_force is TimeInForce.POST_ONLY
    assert taken(**order, **{name: "false"}).time_in_force is TimeInForce.GTC
    assert list(refused(**order, **{name: "perhaps"}).fields) == [name]
    assert list(refused(action="buy", qty="0.1", **{name: True}).fields) == [name]


@pytest.mark.parametrize(
    ("fields", "market"),
    [
        ({"category": "linear"}, TradedMarket.PERPETUAL),
        ({"productType": "USDT-FUTURES"}, TradedMarket.PERPETUAL),
        ({"category": "spot"}, TradedMarket.SPOT),
        ({"market_type": "Spot"}, TradedMarket.SPOT),
        ({"exchange": "BYBIT_SPOT"}, TradedMarket.SPOT),
        ({"exchange": "BYBIT"}, None),
    ],
)
def test_the_market_under_another_name(fields: dict[str, str], market: TradedMarket | None) -> None:
    for action in ("buy", "close"):
        assert taken(action=action, **fields).market is market


def test_what_is_no_market_of_ours_opens_nothing() -> None:
    for fields in ({"category": "option"}, {"exchange": "bybit-testnet"}, {"exchange": "Binance Demo"}):
        assert list(refused(action="buy", **fields).fields) == list(fields)
        assert taken(action="close", **fields).action is Action.CLOSE


@pytest.mark.parametrize("name", ["position", "targetPosition", "pos"])
def test_a_position_with_a_number_is_the_strategys_with_its_sign(name: str) -> None:
    for action, value, side in (("buy", "0.4", "long"), ("buy", -0.2, "short"), ("sell", "-0.4", "short")):
        assert taken(action=action, qty="0.1", **{name: value}).market_position == side
    assert taken(action="sell", qty="0.1", **{name: 0}).only_exits
    # Without its sign it would be a long.
    assert list(refused(action="sell", qty="0.1", **{name: "0.4"}).fields) == [name]
    assert taken(action="sell", qty="0.1", market_position="short", **{name: "0.4"}).market_position == "short"
    for score in ("-0.3", "0", 0.8):
        assert list(refused(action="buy", qty="0.1", sentiment=score).fields) == ["sentiment"]


def test_where_the_strategy_stood_has_other_names() -> None:
    signal = taken(action="sell", qty="0.3", sentiment="short", oldPosition="long", old_position_size="0.1")
    assert (signal.prev_market_position, signal.prev_market_position_size) == ("long", Decimal("0.1"))
    nested = {"side": "short", "size": "0.2"}
    signal = taken(action="sell", qty="0.3", sentiment="long", prev_position=nested, position={"side": "long"})
    assert (signal.prev_market_position, signal.market_position) == ("short", "long")


def test_a_ticker_with_its_exchange_in_front_and_a_coin_are_no_others() -> None:
    assert taken(action="buy", tickerid="BYBIT:ETHUSDT.P", coin="ETH").ticker == "BYBIT:ETHUSDT.P"
    assert refused(action="buy", tickerid="BYBIT:SOLUSDT.P").fields
    assert refused(action="buy", coin="SOL").fields


@pytest.mark.parametrize("size", ["5%", "% 50"])
def test_a_size_in_percent_is_asked_of_what(size: str) -> None:
    for fields in ({"qty": size}, {"amount": size}):
        error = refused(action="buy", **fields)
        assert list(error.fields) == list(fields)
        assert "of what it is a percentage" in error.message
        assert "corrected alert" not in error.message
