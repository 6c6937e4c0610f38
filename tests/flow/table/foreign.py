"""Messages of other services, their published examples first: what the exchange has of them afterwards."""

from __future__ import annotations

from tests.flow.table.rows import BTC, INV, Place, Row, Table
from tests.unit.dialect_messages import (
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

_btc, _inv = Table(place=BTC), Table(place=INV)
_doge = Table(place=Place(ticker="DOGEUSDT.P", symbol="DOGEUSDT"))
_eth_usd = Table(place=Place(ticker="ETHUSD.P", symbol="ETHUSD", category="inverse"))

# The published examples, word for word but for their times.
_btc.row("3Commas strategy", "-0.2", STRATEGY, "buy 0.5 market", "0.3")
_btc.row(
    "3Commas custom with four steps and a stop",
    "0",
    with_fields(CUSTOM, order={"amount": 10050, "currency_type": "quote", "order_type": "market"}),
    "buy 0.1 market sl 99000; sell 0.025 limit@101000 reduce-only; sell 0.025 limit@102000 reduce-only; "
    "sell 0.025 limit@103000 reduce-only; sell 0.025 limit@104000 reduce-only",
    "0.1 sl 99000",
)
_btc.row("3Commas custom exit", "0.1", EXIT, "sell 0.1 market reduce-only", "0")
_btc.row("OKX exit by the strategy's words", "0.012", OKX_A, "sell 0.012 market reduce-only", "0")
_btc.row("OKX exit by percent", "0.1", OKX_EXIT, "sell 0.1 market reduce-only", "0")
_btc.row(
    "WunderTrading with six take profits and a stop",
    "0",
    with_fields(WUNDER, amountPerTrade=10050),
    "buy 0.1 market sl 99000; sell 0.025 limit@101000 reduce-only; sell 0.025 limit@102000 reduce-only; "
    "sell 0.025 limit@103000 reduce-only; sell 0.015 limit@104000 reduce-only; sell 0.007 limit@105000 reduce-only; "
    "sell 0.003 limit@106000 reduce-only",
    "0.1 sl 99000",
)
_doge.row("the passphrase bot's fill of ten thousand", "0", FILLED, "buy 10000 market", "10000")
_eth_usd.row(
    "a GitHub bot's order with both percentages",
    "0",
    with_fields(GNOME, cancel_orders="False"),
    "buy 1 market sl 3980 tp 4040",
    "1 sl 3980 tp 4040",
)
_btc.row("a GitHub bot's limit", "0", ROBSWC, "buy 0.1 limit@90000", "0")
_btc.row("the passphrase bot's short form", "0.2", SHORT_FORM, "sell 0.5 market", "-0.3")

# TradersPost
_tp = {"ticker": "BTCUSDT.P", "signalPrice": 100000}
_btc.row("TradersPost buy closes a short", "-0.1", {**_tp, "action": "buy", "quantity": 0.2}, "buy 0.3 market", "0.2")
_btc.row(
    "TradersPost reversal by sentiment, nobody has said whether its quantity holds the exit",
    "0.1",
    {**_tp, "action": "sell", "sentiment": "short", "quantity": 0.3},
    "sell 0.1 market reduce-only",
    "0",
    reason="ENTRY_WITHHELD",
)
_btc.row("TradersPost reverse", "0.1", {**_tp, "action": "reverse", "quantity": 0.2}, "sell 0.3 market", "-0.2")
_btc.row(
    "TradersPost buy with percent stops",
    "0",
    {**_tp, "action": "buy", "quantity": 0.1, "takeProfit": {"percent": 2}, "stopLoss": {"type": "stop", "percent": 1}},
    "buy 0.1 market sl 99000 tp 102000",
    "0.1 sl 99000 tp 102000",
)
_btc.row(
    "TradersPost limit",
    "0",
    {**_tp, "action": "buy", "quantity": 0.1, "orderType": "limit", "limitPrice": 99000},
    "buy 0.1 limit@99000",
    "0",
)
_btc.row(
    "TradersPost dollars",
    "0",
    {**_tp, "action": "sell", "quantityType": "dollar_amount", "quantity": 10050},
    "sell 0.1 market",
    "-0.1",
)
_btc.row(
    "TradersPost exit of a part",
    "0.5",
    {**_tp, "action": "exit", "quantity": 0.2},
    "sell 0.2 market reduce-only",
    "0.3",
)
_btc.row(
    "TradersPost sentiment flat",
    "0.1",
    {**_tp, "action": "sell", "sentiment": "flat", "quantity": 0.05},
    "sell 0.1 market reduce-only",
    "0",
)
_btc.row(
    "TradersPost bearish buy only reduces",
    "-0.1",
    {**_tp, "action": "buy", "sentiment": "bearish", "quantity": 0.05},
    "buy 0.05 market reduce-only",
    "-0.05",
)

# The others' further forms
_enter = with_fields(CUSTOM, order={"amount": 0.2, "currency_type": "base"}, take_profit=None, stop_loss=None)
_btc.row("3Commas entry on the other side", "0.1", with_fields(_enter, action="enter_short"), "sell 0.3 market", "-0.2")
_btc.row("3Commas half an exit", "0.1", with_fields(EXIT, order__amount=50), "sell 0.05 market reduce-only", "0.05")
_okx = with_fields(OKX_B, investmentType="base", amount="0.1")
_btc.row("OKX entry", "0", _okx, "buy 0.1 market", "0.1")
_btc.row("OKX entry on the other side", "-0.1", _okx, "buy 0.2 market", "0.1")
_btc.row("OKX half an exit", "0.1", with_fields(OKX_EXIT, amount="50"), "sell 0.05 market reduce-only", "0.05")
_wunder = {"code": "EXIT-ALL_Bybit_BTCUSDT_x_15M_8e34479cfe49027eda195457"}
_btc.row("WunderTrading leaves all", "-0.1", _wunder, "buy 0.1 market reduce-only", "0")
_btc.row(
    "a GitHub bot closes",
    "0.1",
    {"key": "678777", "symbol": "BTCUSDT", "close_position": "True"},
    "sell 0.1 market reduce-only",
    "0",
)
_filled = with_fields(
    FILLED,
    ticker="BTCUSDT",
    strategy__order_contracts=0.5,
    strategy__order_price=100000,
    strategy__market_position_size=0.5,
    strategy__prev_market_position="short",
    strategy__prev_market_position_size=0.2,
)
_btc.row("the passphrase bot's reversal", "-0.2", _filled, "buy 0.7 market", "0.5")
_btc.row(
    "the passphrase bot's exit",
    "0.5",
    with_fields(_filled, strategy__order_action="sell", strategy__market_position="flat"),
    "sell 0.5 market reduce-only",
    "0",
)

FOREIGN: list[Row] = [row for table in (_btc, _inv, _doge, _eth_usd) for row in table.rows]
