"""Each action against each position, and each order type."""

from __future__ import annotations

from typing import Any

from tests.flow.table.rows import BTC, ETH, INV, Row, Table, a

_btc, _eth, _inv = (Table(place=place) for place in (BTC, ETH, INV))


def fill(action: str, qty: str, now: str, size: str, before: str, before_size: str, **more: Any) -> dict[str, Any]:
    """A strategy's fill, with where it stood and where it stands."""
    return a(
        action,
        qty,
        market_position=now,
        market_position_size=size,
        prev_market_position=before,
        prev_market_position_size=before_size,
        **more,
    )


# A plain delta: it adds, reduces or flips, whatever is open.
_btc.row("buy adds", "0.1", a("buy", "0.05"), "buy 0.05 market", "0.15")
_btc.row("sell reduces", "0.1", a("sell", "0.04"), "sell 0.04 market", "0.06")
_btc.row("sell flips", "0.1", a("sell", "0.3"), "sell 0.3 market", "-0.2")
_btc.row("buy against a short of the same size", "-0.1", a("buy", "0.1"), "buy 0.1 market", "0")
_btc.row(
    "reduce-only is cut to the position", "0.1", a("sell", "0.3", reduce_only=True), "sell 0.1 market reduce-only", "0"
)
_btc.row("reduce-only with nothing open", "0", a("sell", "0.3", reduce_only=True), "", "0")

# The strategy's fill.
_btc.row("fill: first entry", "0", fill("buy", "0.1", "long", "0.1", "flat", "0"), "buy 0.1 market", "0.1")
_btc.row("fill: pyramiding", "0.1", fill("buy", "0.1", "long", "0.2", "long", "0.1"), "buy 0.1 market", "0.2")
_btc.row(
    "fill: partial exit",
    "0.2",
    fill("sell", "0.05", "long", "0.15", "long", "0.2"),
    "sell 0.05 market reduce-only",
    "0.15",
)
_btc.row("fill: partial exit with nothing open", "0", fill("sell", "0.05", "long", "0.15", "long", "0.2"), "", "0")
_btc.row(
    "fill: flat closes all, whatever is said",
    "0.37",
    fill("sell", "0.1", "flat", "0", "long", "0.1"),
    "sell 0.37 market reduce-only",
    "0",
)
_btc.row(
    "fill: flat on the other side closes it, too",
    "-0.1",
    fill("sell", "0.1", "flat", "0", "long", "0.1"),
    "buy 0.1 market reduce-only",
    "0",
)
_btc.row("fill: flat with nothing open", "0", fill("sell", "0.1", "flat", "0", "long", "0.1"), "", "0")
_btc.row(
    "fill: reversal is one order", "-0.7", fill("buy", "1.4", "long", "0.7", "short", "0.7"), "buy 1.4 market", "0.7"
)
_btc.row(
    "fill: reversal that finds nothing open",
    "0",
    fill("buy", "1.4", "long", "0.7", "short", "0.7"),
    "buy 0.7 market",
    "0.7",
)
_btc.row("fill: reversal that was done already", "0.7", fill("buy", "1.4", "long", "0.7", "short", "0.7"), "", "0.7")
_btc.row(
    "fill: own size on a reversal",
    "-0.2",
    fill("buy", "5.05", "long", "0.7", "short", "0.7", qty_unit="equity_pct"),
    "buy 0.25 market",
    "0.05",
)
_btc.row(
    "fill: own size exits by the strategy's share",
    "0.4",
    fill("sell", "1", "long", "3", "long", "4", qty_unit="equity_pct"),
    "sell 0.1 market reduce-only",
    "0.3",
)

# long, short, target.
_btc.row("long from flat", "0", a("long", "0.1"), "buy 0.1 market", "0.1")
_btc.row("long flips a short", "-0.3", a("long", "0.1"), "buy 0.4 market", "0.1")
_btc.row("long tops up", "0.04", a("long", "0.1"), "buy 0.06 market", "0.1")
_btc.row("long never sells", "0.4", a("long", "0.1"), "", "0.4")
_btc.row("long in money while long", "0.04", a("long", "10050", qty_unit="quote"), "", "0.04")
_btc.row("short flips a long", "0.3", a("short", "0.1"), "sell 0.4 market", "-0.1")
_btc.row("short tops up", "-0.02", a("short", "0.1"), "sell 0.08 market", "-0.1")
_btc.row(
    "target: the strategy's size",
    "0",
    a("target", market_position="long", market_position_size="0.2"),
    "buy 0.2 market",
    "0.2",
)
_btc.row(
    "target: less",
    "0.5",
    a("target", market_position="long", market_position_size="0.2"),
    "sell 0.3 market reduce-only",
    "0.2",
)
_btc.row(
    "target: other side",
    "0.5",
    a("target", market_position="short", market_position_size="0.2"),
    "sell 0.7 market",
    "-0.2",
)
_btc.row("target: there already", "0.2", a("target", market_position="long", market_position_size="0.2"), "", "0.2")
_btc.row(
    "target: there to within the minimum",
    "0.2",
    a("target", market_position="long", market_position_size="0.2004"),
    "",
    "0.2",
)
_btc.row("target: flat", "-0.2", a("target", market_position="flat"), "buy 0.2 market reduce-only", "0")
_btc.row("target: signed size", "0", a("target", position_size="-0.3"), "sell 0.3 market", "-0.3")
_btc.row(
    "target: its side, my size",
    "0",
    a("target", "10050", qty_unit="quote", market_position="short"),
    "sell 0.1 market",
    "-0.1",
)

# Exits.
_btc.row("close a long", "0.123", a("close"), "sell 0.123 market reduce-only", "0")
_btc.row("close a short", "-0.123", a("close"), "buy 0.123 market reduce-only", "0")
_btc.row("close with nothing open", "0", a("close"), "", "0")
_btc.row("close so much", "0.3", a("close", "0.1"), "sell 0.1 market reduce-only", "0.2")
_btc.row("close more than there is", "0.3", a("close", "1"), "sell 0.3 market reduce-only", "0")
_btc.row("flat", "0.3", a("flat"), "sell 0.3 market reduce-only", "0")
_btc.row("exit", "-0.3", a("exit"), "buy 0.3 market reduce-only", "0")
_btc.row("close_long closes a long", "0.3", a("close_long"), "sell 0.3 market reduce-only", "0")
_btc.row("close_long leaves a short", "-0.3", a("close_long"), "", "-0.3")
_btc.row("close_short closes a short", "-0.3", a("close_short"), "buy 0.3 market reduce-only", "0")
_btc.row("close_short leaves a long", "0.3", a("close_short"), "", "0.3")
_btc.row("reverse", "0.3", a("reverse"), "sell 0.6 market", "-0.3")
_btc.row("reverse into another size", "-0.3", a("reverse", "0.1"), "buy 0.4 market", "0.1")
_btc.row("reverse nothing", "0", a("reverse"), "", "0", status="denied", reason="POSITION_NONE")
_btc.row("cancel with nothing resting", "0.1", a("cancel"), "", "0.1")

# Order types. ETH is at 4000.
_eth.row("limit buy rounds down", "0", a("buy", "1", type="limit", price="3900.019"), "buy 1 limit@3900.01", "0")
_eth.row("limit sell rounds up", "0", a("sell", "1", type="limit", price="4100.011"), "sell 1 limit@4100.02", "0")
_eth.row(
    "limit as a maker only",
    "0",
    a("buy", "1", type="limit", price="3900", time_in_force="PostOnly"),
    "buy 1 limit@3900 PostOnly",
    "0",
)
_eth.row(
    "limit IOC that takes",
    "0",
    a("buy", "1", type="limit", price="4030", time_in_force="IOC"),
    "buy 1 limit@4030 IOC",
    "1",
)
_eth.row(
    "limit FOK that takes",
    "0",
    a("buy", "1", type="limit", price="4030", time_in_force="FOK"),
    "buy 1 limit@4030 FOK",
    "1",
)
_eth.row("limit exit", "1", a("close", type="limit", price="4200"), "sell 1 limit@4200 reduce-only", "1")
_eth.row(
    "stop above the price", "0", a("buy", "1", type="stop_market", trigger_price="4200"), "buy 1 market above 4200", "0"
)
_eth.row(
    "stop below the price",
    "0",
    a("sell", "1", type="stop_market", trigger_price="3800"),
    "sell 1 market below 3800",
    "0",
)
_eth.row(
    "a buy that waits for a fall",
    "0",
    a("buy", "1", type="market_if_touched", trigger_price="3700"),
    "buy 1 market below 3700",
    "0",
)
_eth.row(
    "a buy stop below the price is passed already",
    "0",
    a("buy", "1", type="stop_market", trigger_price="3700"),
    "",
    "0",
    status="denied",
    reason="TRIGGER_PASSED",
)
_eth.row(
    "its exit part goes at once",
    "-1",
    a("buy", "2", type="stop_market", trigger_price="3700"),
    "buy 1 market reduce-only",
    "0",
    reason="ENTRY_WITHHELD",
)
_eth.row(
    "stop limit",
    "0",
    a("buy", "1", type="stop_limit", trigger_price="4200", price="4210"),
    "buy 1 limit@4210 above 4200",
    "0",
)
_eth.row(
    "stop by the mark price",
    "0",
    a("sell", "1", type="stop_market", trigger_price="3800", trigger_by="mark"),
    "sell 1 market below 3800",
    "0",
)
_eth.row("market within a slippage", "0", a("buy", "1", slippage_pct="0.5"), "buy 1 market", "1")

_inv.row(
    "fill: reversal",
    "-700",
    fill("buy", "1400", "long", "700", "short", "700", qty_unit="contracts"),
    "buy 1400 market",
    "700",
)
_inv.row(
    "target in coins",
    "0",
    a("target", market_position="long", market_position_size="0.01", qty_unit="base"),
    "buy 1000 market",
    "1000",
)
_inv.row("long in contracts tops up", "400", a("long", "1000", qty_unit="contracts"), "buy 600 market", "1000")
_inv.row(
    "limit", "0", a("buy", "100", qty_unit="contracts", type="limit", price="95000.07"), "buy 100 limit@95000", "0"
)

ORDERS: list[Row] = [row for table in (_btc, _eth, _inv) for row in table.rows]
