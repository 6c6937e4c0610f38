"""What 3Commas, OKX and WunderTrading can be asked for and cannot be done here, refused by the sender's own names."""

from __future__ import annotations

import pytest

from tests.unit.dialect_cases import Message, refusal_of
from tests.unit.dialect_messages import CUSTOM, EXIT, OKX_A, OKX_B, OKX_EXIT, STRATEGY, WUNDER, with_fields


@pytest.mark.parametrize(
    ("message", "field", "problem"),
    [
        (with_fields(CUSTOM, action="disable"), "action", "`disable` switches a bot"),
        (with_fields(CUSTOM, action="enable"), "action", "switches a bot"),
        (with_fields(CUSTOM, action="enter"), "action", "must be one of"),
        (with_fields(CUSTOM, action=None), "action", "is missing"),
        (with_fields(CUSTOM, tv_instrument=None), "tv_instrument", "is missing"),
        (with_fields(CUSTOM, positions_sub_action="cancel"), "positions_sub_action", "goes with the action `disable`"),
        (with_fields(CUSTOM, strategy_info={"market_position": "long"}), "strategy_info", "goes with the actions"),
        (with_fields(CUSTOM, order__price_percent=1), "order.price_percent", "relative to the market"),
        (
            with_fields(CUSTOM, order__price_percent_ref_type="x"),
            "order.price_percent_ref_type",
            "relative to the market",
        ),
        (with_fields(CUSTOM, order__order_type="limit"), "order.price", "needs its limit price"),
        (with_fields(CUSTOM, order__currency_type="position_percent"), "order.currency_type", "is for exits"),
        (with_fields(CUSTOM, order__currency_type=None), "order.currency_type", "is missing"),
        (with_fields(CUSTOM, order__amount="much"), "order.amount", "must be a number"),
        (with_fields(CUSTOM, take_profit__steps=[]), "take_profit.steps", "at least one"),
        (with_fields(CUSTOM, take_profit__steps=[1]), "take_profit.steps[0]", "must be an object"),
        (
            with_fields(CUSTOM, take_profit__steps=[{"price_percent": 1}]),
            "take_profit.steps[0].volume_percent",
            "is missing",
        ),
        (
            with_fields(CUSTOM, take_profit__steps=[{"price_percent": 1, "volume_percent": 60}] * 2),
            "take_profit.steps",
            "has shares of `120`",
        ),
        (
            with_fields(
                CUSTOM, take_profit__steps=[{"price_percent": 1, "volume_percent": 9, "trailing": {"enabled": True}}]
            ),
            "take_profit.steps[0].trailing",
            "follows the price",
        ),
        (with_fields(CUSTOM, stop_loss__trailing={"enabled": True, "percent": 0.5}), "stop_loss.trailing", "follows"),
        (with_fields(CUSTOM, stop_loss__breakeven=True), "stop_loss.breakeven", "not certain"),
        (with_fields(CUSTOM, stop_loss__order_type="limit"), "stop_loss.order_type", "market order"),
        (with_fields(CUSTOM, stop_loss={"enabled": True}), "stop_loss.trigger_price_percent", "is missing"),
        (with_fields(CUSTOM, leverage=5), "leverage", "is no field of 3Commas"),
        (with_fields(EXIT, order__currency_type="margin_percent"), "order.currency_type", "is for entries"),
        (with_fields(STRATEGY, strategy_info=None), "strategy_info.market_position", "is missing"),
        (with_fields(STRATEGY, strategy_info__market_position=""), "strategy_info.market_position", "is empty"),
        (with_fields(STRATEGY, order__currency_type="position_percent"), "order.currency_type", "is for exits"),
        (with_fields(STRATEGY, timestamp="soon"), "timestamp", "must be"),
        (with_fields(STRATEGY, max_lag="soon"), "max_lag", "must be a number"),
        (with_fields(OKX_B, orderType="limit", orderPriceOffset="0.05"), "orderType", "offset from the market"),
        (with_fields(OKX_B, investmentType="contract"), "investmentType", "contracts of OKX"),
        (with_fields(OKX_B, investmentType="percentage_investment"), "investmentType", "what a bot was given"),
        (with_fields(OKX_B, investmentType="percentage_position"), "investmentType", "is for exits"),
        (with_fields(OKX_B, investmentType=None), "investmentType", "is missing"),
        (with_fields(OKX_B, investmentType="pounds"), "investmentType", "must be one of"),
        (with_fields(OKX_B, marketPosition="long"), "marketPosition", "goes with the actions"),
        (with_fields(OKX_B, amount="-5"), "amount", "must be 0 or more"),
        (with_fields(OKX_B, leverage="5"), "leverage", "is no field of OKX"),
        (with_fields(OKX_EXIT, investmentType="percentage_balance"), "investmentType", "is for entries"),
        (with_fields(OKX_A, marketPosition=None), "marketPosition", "is missing"),
        (
            with_fields(OKX_A, action="buy", marketPosition="long", investmentType="percentage_position"),
            "investmentType",
            "opens or adds",
        ),
        (with_fields(WUNDER, code="HOLD"), "code", "begins with none of"),
        (with_fields(WUNDER, code="ENTER-LONG"), "code", "names no pair"),
        (with_fields(WUNDER, code="ENTER-LONG_Bybit_NONE_x_15M_8e34479cfe49027eda195457"), "code", "names no pair"),
        (with_fields(WUNDER, amountPerTradeType=None), "amountPerTradeType", "is missing"),
        (
            with_fields(
                WUNDER, code="ENTER-LONG_OKX_BTCUSDT_x_15M_8e34479cfe49027eda195457", amountPerTradeType="contracts"
            ),
            "amountPerTradeType",
            "of another size",
        ),
        (with_fields(WUNDER, moveToBreakeven={"a": 1}), "moveToBreakeven", "managed by the bot"),
        (with_fields(WUNDER, trailingStop={"a": 1}), "trailingStop", "managed by the bot"),
        (with_fields(WUNDER, dca=[]), "dca", "managed by the bot"),
        (with_fields(WUNDER, orderType="limit"), "price", "needs its limit price"),
        (with_fields(WUNDER, reduceOnly="maybe"), "reduceOnly", "true or false"),
        (with_fields(WUNDER, leverage="0.5"), "leverage", "must be 1 or more"),
        (with_fields(WUNDER, stopLoss={}), "stopLoss", "needs `priceDeviation`"),
        (with_fields(WUNDER, takeProfits=[{"priceDeviation": 0.01}]), "takeProfits[0].portfolio", "is missing"),
        (
            with_fields(WUNDER, takeProfits=[{"priceDeviation": "1%", "portfolio": 1}]),
            "takeProfits[0].priceDeviation",
            "without `%`",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_cannot_be_honoured_is_refused_by_its_name(message: Message, field: str, problem: str) -> None:
    named = "wundertrading" if "code" in message else None
    error = refusal_of(message, named)
    assert field in error.fields, error.fields
    assert problem in " ".join(error.fields[field])
    assert f"`{field}`" in error.message
