"""Executions as what they did to the money, from Bybit's spelling.

Source: docs/v5/websocket/private/execution.mdx and docs/v5/order/execution.mdx; only the stream documents `execPnl`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relay.domain.booking import Booking
from relay.exchange.wire.account import settle_coin_of
from relay.exchange.wire.numbers import Row, number, number_or_zero

_FUNDING = "Funding"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedOrder:
    """What one order realised by closing so much, before fees."""

    order_id: str
    closed_qty: Decimal
    realised: Decimal

    def share_of(self, row: Row) -> Decimal:
        """One execution's share, by the quantity that it closed: exact for the order as a whole."""
        return self.realised * number_or_zero(row, "closedSize") / self.closed_qty


def booking_from(row: Row, *, closed: ClosedOrder | None = None) -> Booking | None:
    """None where the row does not say what was realised, and `closed` is not there to say it."""
    coin = settle_coin_of(row["symbol"])
    fee = number_or_zero(row, "execFee") if (row.get("feeCurrency") or coin) == coin else Decimal(0)
    is_funding = row.get("execType") == _FUNDING
    realised = Decimal(0) if is_funding else _realised(row, closed)
    if realised is None:
        return None
    return Booking(
        exec_id=row["execId"],
        coin=coin,
        realised=realised,
        fee=Decimal(0) if is_funding else fee,
        funding=fee if is_funding else Decimal(0),
        at_ms=int(row["execTime"]),
    )


def _realised(row: Row, closed: ClosedOrder | None) -> Decimal | None:
    told = number(row, "execPnl")
    if told is not None or not number_or_zero(row, "closedSize"):
        return told or Decimal(0)
    return closed.share_of(row) if closed is not None else None


def closed_order_from(row: Row) -> ClosedOrder | None:
    """From a row of `/v5/position/closed-pnl`, which is net of both fees; None where they or the size are missing."""
    net, open_fee, close_fee = (number(row, name) for name in ("closedPnl", "openFee", "closeFee"))
    size = number_or_zero(row, "closedSize")
    if net is None or open_fee is None or close_fee is None or not size:
        return None
    return ClosedOrder(order_id=row["orderId"], closed_qty=size, realised=net + open_fee + close_fee)
