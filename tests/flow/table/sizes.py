"""Each unit of size, on each kind of instrument. 100,000 USDT and USDC and 2 BTC are in the wallet, less some fees."""

from __future__ import annotations

from tests.flow.table.rows import BTC, ETH, ETH_INV, INV, PEPE, USDC, Row, Table, a

_btc, _eth, _pepe, _usdc, _inv, _eth_inv = (Table(place=place) for place in (BTC, ETH, PEPE, USDC, INV, ETH_INV))

_btc.row("coins", "0", a("buy", "0.1"), "buy 0.1 market", "0.1")
_btc.row("coins, said so", "0", a("sell", "0.1", qty_unit="base"), "sell 0.1 market", "-0.1")
_btc.row("contracts are coins on linear", "0", a("buy", "0.1", qty_unit="contracts"), "buy 0.1 market", "0.1")
_btc.row("float noise rounds down to the step", "0", a("buy", "0.10199999999999999"), "buy 0.101 market", "0.101")
_btc.row("money", "0", a("buy", "10050", qty_unit="quote"), "buy 0.1 market", "0.1")
_btc.row("a share of equity as notional", "0", a("buy", "10.5", qty_unit="equity_pct"), "buy 0.105 market", "0.105")
_btc.row(
    "a share of equity as margin, times leverage",
    "0",
    a("buy", "1.05", qty_unit="margin_pct", leverage="5"),
    "buy 0.052 market",
    "0.052",
)
_btc.row(
    "what the stop may cost in percent of equity",
    "0",
    a("buy", "0.105", qty_unit="risk_pct", stop_loss="99000"),
    "buy 0.105 market sl 99000",
    "0.105 sl 99000",
)
_btc.row(
    "what the stop may cost in money",
    "0",
    a("sell", "105", qty_unit="risk_quote", stop_loss="101000"),
    "sell 0.105 market sl 101000",
    "-0.105 sl 101000",
)
_btc.row(
    "risk by a stop at a distance",
    "0",
    a("buy", "105", qty_unit="risk_quote", stop_loss="1%"),
    "buy 0.105 market sl 99000",
    "0.105 sl 99000",
)
_btc.row(
    "half of the position", "0.1", a("close", "50", qty_unit="position_pct"), "sell 0.05 market reduce-only", "0.05"
)
_btc.row(
    "a third rounds down", "0.1", a("close", "33.4", qty_unit="position_pct"), "sell 0.033 market reduce-only", "0.067"
)
_btc.row("under the minimum", "0", a("buy", "0.0009"), "", "0", status="denied", reason="QTY_BELOW_MIN")
_btc.row("no size", "0", a("buy"), "", "0", status="denied", reason="QTY_MISSING")
_btc.row("more than the account can pay for", "0", a("buy", "120"), "", "0", status="failed", reason="EXCHANGE_BALANCE")

_eth.row("coins by BYBIT: name", "0", a("buy", "1.239"), "buy 1.23 market", "1.23")
_eth.row("notional under 5", "0", a("buy", "4.9", qty_unit="quote"), "", "0", status="denied", reason="QTY_BELOW_MIN")
_eth.row(
    "limit sizes from its own price",
    "0",
    a("buy", "2000", qty_unit="quote", type="limit", price="2000"),
    "buy 1 limit@2000",
    "0",
)
_pepe.row("the multiplier's own coins", "0", a("buy", "12345"), "buy 12300 market", "12300")
_pepe.row("an exit under the step is carried", "12300", a("close", "50"), "", "12300")

_usdc.row("coins", "0", a("buy", "0.2"), "buy 0.2 market", "0.2")
_usdc.row("equity is the USDC's", "0", a("sell", "10.5", qty_unit="equity_pct"), "sell 0.105 market", "-0.105")
_usdc.row("money", "0", a("buy", "5050", qty_unit="quote"), "buy 0.05 market", "0.05")
_usdc.row("reverse", "0.1", a("reverse"), "sell 0.2 market", "-0.1")
_usdc.row("close", "-0.1", a("close"), "buy 0.1 market reduce-only", "0")

_inv.row("contracts", "0", a("buy", "1000", qty_unit="contracts"), "buy 1000 market", "1000")
_inv.row("coins at the price", "0", a("sell", "0.0105", qty_unit="base"), "sell 1050 market", "-1050")
_inv.row("money is contracts", "0", a("buy", "500.9", qty_unit="quote"), "buy 500 market", "500")
_inv.row("a share of the coin's equity", "0", a("buy", "1.00001", qty_unit="equity_pct"), "buy 2000 market", "2000")
_inv.row("no unit", "0", a("buy", "100"), "", "0", status="denied", reason="QTY_UNIT_NEEDED")
_inv.row(
    "what the stop may cost in money",
    "0",
    a("buy", "10.3", qty_unit="risk_quote", stop_loss="99000"),
    "buy 1019 market sl 99000",
    "1019 sl 99000",
)
_inv.row(
    "half of the position", "1001", a("close", "50", qty_unit="position_pct"), "sell 500 market reduce-only", "501"
)
_inv.row("flip", "1000", a("sell", "1500", qty_unit="contracts"), "sell 1500 market", "-500")
_inv.row("reverse", "-700", a("reverse"), "buy 1400 market", "700")
_inv.row("close", "333", a("close"), "sell 333 market reduce-only", "0")
_eth_inv.row("contracts", "0", a("sell", "4000", qty_unit="contracts"), "sell 4000 market", "-4000")
_eth_inv.row("coins", "0", a("buy", "0.5001", qty_unit="base"), "buy 2000 market", "2000")

SIZES: list[Row] = [row for table in (_btc, _eth, _pepe, _usdc, _inv, _eth_inv) for row in table.rows]
