"""Stops, take profits, ladders, trailing stops and leverage: on the order, on the position, and on a flip."""

from __future__ import annotations

from tests.flow.table.orders import fill
from tests.flow.table.rows import BTC, ETH, INV, USDC, Row, Table, a

_btc, _eth, _usdc, _inv = (Table(place=place) for place in (BTC, ETH, USDC, INV))

LADDER = [{"at": "1%", "share": "50"}, {"at": "2%", "share": "30"}, {"at": "+4000", "share": "20", "then": "breakeven"}]

_btc.row(
    "prices ride on the order",
    "0",
    a("buy", "0.1", stop_loss="98000", take_profit="103000"),
    "buy 0.1 market sl 98000 tp 103000",
    "0.1 sl 98000 tp 103000",
)
_btc.row(
    "a stop rounds away from a long",
    "0",
    a("buy", "0.1", stop_loss="98000.19"),
    "buy 0.1 market sl 98000.1",
    "0.1 sl 98000.1",
)
_btc.row(
    "a stop rounds away from a short",
    "0",
    a("sell", "0.1", stop_loss="102000.11"),
    "sell 0.1 market sl 102000.2",
    "-0.1 sl 102000.2",
)
_btc.row(
    "percent on the natural sides of a long",
    "0",
    a("buy", "0.1", stop_loss="1%", take_profit="2%"),
    "buy 0.1 market sl 99000 tp 102000",
    "0.1 sl 99000 tp 102000",
)
_btc.row(
    "percent on the natural sides of a short",
    "0",
    a("sell", "0.1", stop_loss="1%", take_profit="2%"),
    "sell 0.1 market sl 101000 tp 98000",
    "-0.1 sl 101000 tp 98000",
)
_btc.row(
    "signed distances of a short",
    "0",
    a("sell", "0.1", stop_loss="-400", take_profit="+800"),
    "sell 0.1 market sl 100400 tp 99200",
    "-0.1 sl 100400 tp 99200",
)
_btc.row(
    "a stop on the wrong side",
    "0",
    a("buy", "0.1", stop_loss="101000"),
    "",
    "0",
    status="denied",
    reason="STOP_WRONG_SIDE",
)
_btc.row(
    "a take profit on the losing side",
    "0",
    a("buy", "0.1", take_profit="99000"),
    "",
    "0",
    status="denied",
    reason="STOP_WRONG_SIDE",
)
_btc.row(
    "a flip carries the new position's stops",
    "-0.2",
    a("buy", "0.3", stop_loss="1%", take_profit="2%"),
    "buy 0.3 market sl 99000 tp 102000",
    "0.1 sl 99000 tp 102000",
)
_btc.row(
    "a reversal carries the new position's stops",
    "-0.7",
    fill("buy", "1.4", "long", "0.7", "short", "0.7", stop_loss="1%"),
    "buy 1.4 market sl 99000",
    "0.7 sl 99000",
)
_btc.row(
    "a mere reduction carries none",
    "0.3",
    fill("sell", "0.1", "long", "0.2", "long", "0.3", stop_loss="1%"),
    "sell 0.1 market reduce-only",
    "0.2",
)
_btc.row(
    "a ladder rests behind the entry",
    "0",
    a("buy", "0.1", stop_loss="1%", take_profit=LADDER),
    "buy 0.1 market sl 99000; sell 0.05 limit@101000 reduce-only; sell 0.03 limit@102000 reduce-only; "
    "sell 0.02 limit@104000 reduce-only",
    "0.1 sl 99000",
)
_btc.row(
    "a ladder of a short",
    "0",
    a("sell", "0.1", take_profit=[{"at": "1%", "share": "50"}, {"at": "2%", "share": "50"}]),
    "sell 0.1 market; buy 0.05 limit@99000 reduce-only; buy 0.05 limit@98000 reduce-only",
    "-0.1",
)
_btc.row(
    "a ladder of a part",
    "0",
    a("buy", "0.1", take_profit=[{"at": "103000", "share": "40"}]),
    "buy 0.1 market; sell 0.04 limit@103000 reduce-only",
    "0.1",
)
_btc.row("a trailing stop", "0", a("buy", "0.1", trailing_stop="500"), "buy 0.1 market", "0.1 trail 500")
_btc.row(
    "a trailing stop in percent beside a stop loss",
    "0",
    a("sell", "0.1", trailing_stop="1%", stop_loss="2%"),
    "sell 0.1 market sl 102000",
    "-0.1 sl 102000 trail 1000",
)
_btc.row(
    "stops on what is open", "0.1", a("stops", stop_loss="97000", take_profit="105000"), "", "0.1 sl 97000 tp 105000"
)
_btc.row("stops count from the entry", "-0.1", a("stops", stop_loss="1%"), "", "-0.1 sl 101000")
_btc.row(
    "stops with nothing open", "0", a("stops", stop_loss="97000"), "", "0", status="denied", reason="POSITION_NONE"
)
_btc.row(
    "stops on the wrong side",
    "0.1",
    a("stops", stop_loss="103000"),
    "",
    "0.1",
    status="denied",
    reason="STOP_WRONG_SIDE",
)
_btc.row(
    "a ladder on what is open",
    "0.1",
    a("stops", take_profit=[{"at": "1%", "share": "50"}, {"at": "2%", "share": "50"}]),
    "sell 0.05 limit@101000 reduce-only; sell 0.05 limit@102000 reduce-only",
    "0.1",
)
_eth.row(
    "a limit counts from its own price",
    "0",
    a("buy", "1", type="limit", price="3900", stop_loss="1%", take_profit="2%"),
    "buy 1 limit@3900 sl 3861 tp 3978",
    "0",
)
_eth.row(
    "the stop of a buy limit above the market counts from the market, where it fills",
    "0",
    a("buy", "1", type="limit", price="4030", stop_loss="1%", take_profit="2%"),
    "buy 1 limit@4030 sl 3960 tp 4110.6",
    "1 sl 3960 tp 4080",
)
_eth.row(
    "the stop of a sell limit below the market counts from the market, where it fills",
    "0",
    a("sell", "1", type="limit", price="3970", stop_loss="1%"),
    "sell 1 limit@3970 sl 4040",
    "-1 sl 4040",
)
_eth.row(
    "a stop between the market and the limit of a buy above it",
    "0",
    a("buy", "1", type="limit", price="4400", stop_loss="4200"),
    "",
    "0",
    status="denied",
    reason="STOP_WRONG_SIDE",
)
_eth.row(
    "the stop of a buy stop limit counts from its trigger, where it fills",
    "0",
    a("buy", "1", type="stop_limit", trigger_price="4100", price="4300", stop_loss="1%"),
    "buy 1 limit@4300 above 4100 sl 4059",
    "0",
)
_eth.row(
    "a size by risk of a buy limit above the market is what its stop costs from the market",
    "0",
    a("buy", "80", qty_unit="risk_quote", type="limit", price="4030", stop_loss="1%"),
    "buy 2 limit@4030 sl 3960",
    "2 sl 3960",
)
_eth.row(
    "a stop order counts from its trigger",
    "0",
    a("buy", "1", type="stop_market", trigger_price="4100", stop_loss="1%"),
    "buy 1 market above 4100 sl 4059",
    "0",
)
_eth.row("too much leverage", "0", a("buy", "1", leverage="101"), "", "0", status="denied", reason="LIMIT_LEVERAGE")
_eth.row("leverage first", "0", a("buy", "1", leverage="7"), "buy 1 market", "1")
_usdc.row(
    "stops of a short",
    "0",
    a("sell", "0.1", stop_loss="1%", take_profit="1%"),
    "sell 0.1 market sl 101000 tp 99000",
    "-0.1 sl 101000 tp 99000",
)
_inv.row(
    "stops of an inverse long",
    "0",
    a("buy", "1000", qty_unit="contracts", stop_loss="1%", take_profit="2%"),
    "buy 1000 market sl 99000 tp 102000",
    "1000 sl 99000 tp 102000",
)
_inv.row(
    "a ladder of an inverse short",
    "0",
    a("sell", "1001", qty_unit="contracts", take_profit=[{"at": "1%", "share": "50"}, {"at": "2%", "share": "50"}]),
    "sell 1001 market; buy 500 limit@99000 reduce-only; buy 501 limit@98000 reduce-only",
    "-1001",
)

PROTECTED: list[Row] = [row for table in (_btc, _eth, _usdc, _inv) for row in table.rows]
