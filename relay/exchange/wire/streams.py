"""What the streams tell, from Bybit's spelling. Source: docs/v5/websocket/private/ and public/ticker.mdx."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relay.domain.instrument import Category
from relay.domain.position import Fill, OrderReport, Position
from relay.exchange.wire.account import position_from, settle_coin_of
from relay.exchange.wire.numbers import Row, number_but_zero, number_or_zero
from relay.exchange.wire.orders import fill_from, report_from

_ONE_WAY = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldOrder:
    """`key`: the client order id, or the exchange's own where whoever placed the order gave none."""

    category: Category
    symbol: str
    key: str
    report: OrderReport


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldExecution:
    """`moved`: the signed change of the position. `earned`: the change of the settle coin's balance."""

    category: Category
    symbol: str
    key: str
    exec_id: str
    seq: int
    at_ms: int
    moved: Decimal
    earned: Decimal
    fill: Fill | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldPosition:
    """`seq` orders it among the symbol's executions; settings such as leverage keep it and renew `at_ms`.

    `pnl_price`: what open PnL counts from: the session's price where profits are settled in sessions (USDC).
    """

    position: Position
    seq: int
    at_ms: int
    pnl_price: Decimal | None
    is_one_way: bool


def category_of(row: Row) -> Category | None:
    """None for what the relay has nothing to do with: spot, options."""
    spelled = row.get("category")
    return Category(spelled) if spelled in (Category.LINEAR.value, Category.INVERSE.value) else None


def told_order(row: Row, category: Category) -> ToldOrder:
    key = row["orderLinkId"] or row["orderId"]
    return ToldOrder(category=category, symbol=row["symbol"], key=key, report=report_from(row))


def told_execution(row: Row, category: Category) -> ToldExecution:
    """Funding moves the wallet and no position; its fee is positive where it was paid."""
    fill, coin = fill_from(row), settle_coin_of(row["symbol"])
    moved = Decimal(0)
    if fill is not None:
        moved = -fill.qty if row["side"] == "Sell" else fill.qty
    fee = number_or_zero(row, "execFee") if (row.get("feeCurrency") or coin) == coin else Decimal(0)
    return ToldExecution(
        category=category,
        symbol=row["symbol"],
        key=row["orderLinkId"] or row["orderId"],
        exec_id=row["execId"],
        seq=int(row["seq"]),
        at_ms=int(row["execTime"]),
        moved=moved,
        earned=number_or_zero(row, "execPnl") - fee,
        fill=fill,
    )


def told_position(rows: tuple[Row, ...], category: Category, symbol: str) -> ToldPosition:
    """From all rows of one symbol: of `/v5/position/list`, or of one message."""
    row: Row = rows[0] if rows else {}
    position = position_from(rows, category=category, symbol=symbol)
    return ToldPosition(
        position=position,
        seq=int(row.get("seq") or -1),
        at_ms=int(row.get("updatedTime") or 0),
        pnl_price=number_but_zero(row, "sessionAvgPrice") or position.avg_price,
        is_one_way=len(rows) <= 1 and int(row.get("positionIdx") or _ONE_WAY) == _ONE_WAY,
    )
