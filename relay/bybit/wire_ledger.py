"""Executions as what they did to the money, and the transaction log beside them, from Bybit's spelling.

Source: docs/v5/websocket/private/execution.mdx and docs/v5/order/execution.mdx; only the stream documents `execPnl`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from relay.bybit.wire_account import Row, coins_of, is_dated, number, number_or_zero
from relay.domain.instrument import PERPETUALS, Category
from relay.domain.order import Side
from relay.domain.trades import ExitReason, LedgerEntry, valued_in_coins

_FUNDING = "Funding"
_MOVING = frozenset({"Trade", "AdlTrade", "BustTrade", "BlockTrade", "MovePosition", "FutureSpread", "Delivery"})
_SETTLED = "Settle"
_SESSIONS_COIN = "USDC"
"""Contracts in it pay out what is open every 8 hours, which the transaction log alone tells, beside the funding: so of
what a position gains it alone is believed. Source: docs/v5/account/transaction-log.mdx, `cashFlow`, `funding`."""
_REASONS = {
    "BustTrade": ExitReason.LIQUIDATION,
    "AdlTrade": ExitReason.ADL,
    "Delivery": ExitReason.DELIVERY,
    "Settle": ExitReason.DELIVERY,
    "CreateByLiq": ExitReason.LIQUIDATION,
    "CreateByTakeOver_PassThrough": ExitReason.LIQUIDATION,
    "CreateByAdl_PassThrough": ExitReason.ADL,
    "CreateBySettle": ExitReason.DELIVERY,
    "TakeProfit": ExitReason.TAKE_PROFIT,
    "PartialTakeProfit": ExitReason.TAKE_PROFIT,
    "StopLoss": ExitReason.STOP_LOSS,
    "PartialStopLoss": ExitReason.STOP_LOSS,
    "TrailingStop": ExitReason.TRAILING_STOP,
    "CreateByTrailingProfit": ExitReason.TRAILING_STOP,
}
"""By `execType`, `createType` and `stopOrderType`; `createType` has the latter's words behind `CreateBy`, too."""


def ledger_entry_from(row: Row, category: Category) -> LedgerEntry:
    """From a row of `/v5/execution/list` or of the `execution` stream."""
    base, coin = coins_of(category, row["symbol"])
    moves = row.get("execType", "Trade") in _MOVING or (row.get("execType") == _SETTLED and is_dated(row["symbol"]))
    is_funding = row.get("execType") == _FUNDING
    paid = _fees(row, fee_coin_of(row, category))
    fee = paid.pop(coin, Decimal(0))
    entry = LedgerEntry(
        exec_id=row["execId"],
        category=category,
        symbol=row["symbol"],
        coin=coin,
        side=Side.SELL if row.get("side") == "Sell" else Side.BUY,
        qty=number_or_zero(row, "execQty") if moves else Decimal(0),
        price=number_or_zero(row, "execPrice"),
        fee=Decimal(0) if is_funding else fee,
        funding=fee if is_funding else Decimal(0),
        at_ms=int(row["execTime"]),
        seq=int(row.get("seq") or 0),
        leaves=number_or_zero(row, "leavesQty"),
        realised=_realised_after_sessions(row, coin) if category.has_positions else None,
        closed_qty=number(row, "closedSize") if moves and category.has_positions else None,
        fees_other=paid,
        reason=_exit_reason(row),
        client_order_id=row.get("orderLinkId") or "",
    )
    if not category.has_positions:
        entry = valued_in_coins(entry, base)
    return replace(entry, fees_other_usd=_worth(row, entry.coin_usd, base)) if entry.fees_other else entry


def own_entry(row: Any) -> LedgerEntry:
    """From a fill as the journal has it, with its order's instrument and side: what it came to is reckoned."""
    base, coin = coins_of(row.category, row.symbol)
    is_other = row.fee_coin != coin
    entry = LedgerEntry(
        exec_id=row.exec_id,
        category=row.category,
        symbol=row.symbol,
        coin=coin,
        side=row.side,
        qty=row.qty,
        price=row.price,
        fee=Decimal(0) if is_other else row.fee,
        funding=Decimal(0),
        at_ms=row.at,
        realised=None,
        fees_other={row.fee_coin: row.fee} if is_other else {},
        fees_other_usd=None if is_other and row.fee_coin != base else Decimal(0),
        client_order_id=row.client_order_id,
    )
    return valued_in_coins(entry, base) if base else entry


def fee_coin_of(row: Row, category: Category) -> str:
    """As the row names it; else of coins that were bought in those, of coins that were sold in what was paid for them.

    Source: docs/v5/enum.mdx, "Spot Fee Currency Instruction": the other way round where a maker is paid.
    """
    base, quote = coins_of(category, row["symbol"])
    is_paid = bool(row.get("isMaker")) and number_or_zero(row, "feeRate") < 0
    in_base = base and (row.get("side") == "Buy") is not is_paid
    return row.get("feeCurrency") or (base if in_base else quote)


def balance_changes(row: Row, category: Category) -> dict[str, Decimal]:
    """What an execution changes the wallet by, by coin."""
    base, coin = coins_of(category, row["symbol"])
    if category.has_positions:
        entry = ledger_entry_from(row, category)
        return {coin: (_realised(row) or Decimal(0)) - entry.fee - entry.funding}
    sign, qty = (1 if row.get("side") == "Buy" else -1), number_or_zero(row, "execQty")
    worth = number(row, "execValue") or qty * number_or_zero(row, "execPrice")
    changes = {base: sign * qty, coin: -sign * worth}
    for name, fee in _fees(row, fee_coin_of(row, category)).items():
        changes[name] = changes.get(name, Decimal(0)) - fee
    return changes


def _realised(row: Row) -> Decimal | None:
    """The stream alone documents it; where nothing was closed it is nothing."""
    reported = number(row, "execPnl")
    return Decimal(0) if reported is None and not number_or_zero(row, "closedSize") else reported


def _realised_after_sessions(row: Row, coin: str) -> Decimal | None:
    """Of a contract that is settled in sessions the log has to say what a close gained since the last of them."""
    reported = _realised(row)
    if coin != _SESSIONS_COIN or reported == 0:
        return reported
    return None if row.get("execType", "Trade") in _MOVING else Decimal(0)


def _fees(row: Row, coin: str) -> dict[str, Decimal]:
    """By coin, taxes among them. `extraFees` is a list in the stream and text elsewhere."""
    paid = {row.get("feeCurrency") or coin: number_or_zero(row, "execFee")}
    for each in _extra_fees(row):
        extra = each.get("feeCoin") or coin
        paid[extra] = paid.get(extra, Decimal(0)) + number_or_zero(each, "fee")
    return {name: fee for name, fee in paid.items() if fee}


def _extra_fees(row: Row) -> Sequence[Row]:
    found = row.get("extraFees") or ()
    return json.loads(found) if isinstance(found, str) else found


def _worth(row: Row, coin_usd: Decimal, base: str) -> Decimal | None:
    """Of the fees in other coins, in USD: the rate says what they would be in the settle coin."""
    coin, worth = coins_of(Category.SPOT if base else Category.LINEAR, row["symbol"])[1], Decimal(0)
    for each in ({"feeCoin": row.get("feeCurrency"), "fee": row.get("execFee"), "feeRate": row.get("feeRate")},
                 *_extra_fees(row)):  # fmt: skip
        fee, rate = number_or_zero(each, "fee"), number_or_zero(each, "feeRate")
        if (each.get("feeCoin") or coin) in (coin, base) or not fee:
            continue
        if not rate or not number_or_zero(row, "execValue"):
            return None
        worth += (abs(rate) * number_or_zero(row, "execValue") * coin_usd).copy_sign(fee)
    return worth


def _exit_reason(row: Row) -> ExitReason:
    words = (row.get("execType"), row.get("createType"), row.get("stopOrderType"))
    found = [*words, str(row.get("createType") or "").removeprefix("CreateBy")]
    return next((_REASONS[word] for word in found if word in _REASONS), ExitReason.HAND)


# The account's transaction log. Source: docs/v5/account/transaction-log.mdx and docs/v5/enum.mdx.


_PROVING = frozenset({"TRADE", "SETTLEMENT", "DELIVERY", "LIQUIDATION", "ADL", "FEE_REFUND"})
"""Not transfers, interest, bonuses; nor what options and spot came to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """What one row of the transaction log changed a coin's balance by; `flow` without fees and funding.

    `exec_id`: of the execution, whose `execPnl` is the same as `flow`. Source: docs/v5/websocket/private/execution.mdx.
    """

    id: str
    coin: str
    change: Decimal
    flow: Decimal
    exec_id: str
    at_ms: int
    session: LedgerEntry | None = None
    """What a session paid out for the position as it was."""


def log_entry_from(row: Row) -> LogEntry | None:
    """None for what is no business of the ledger."""
    if row.get("type") not in _PROVING or row.get("category") not in PERPETUALS:
        return None
    # Its `id` alone is not one row's: rows of one moment have the same in the documentation's own example.
    found = " ".join(str(row.get(name)) for name in ("id", "type", "tradeId", "currency", "symbol", "cashBalance"))
    return LogEntry(
        id=found,
        coin=row["currency"],
        change=number_or_zero(row, "change"),
        flow=number_or_zero(row, "cashFlow"),
        exec_id=row.get("tradeId") or "",
        at_ms=int(row["transactionTime"]),
        session=_session(row, f"session {found}"),
    )


def _session(row: Row, exec_id: str) -> LedgerEntry | None:
    paid = number_or_zero(row, "cashFlow")
    if row["type"] != "SETTLEMENT" or row["currency"] != _SESSIONS_COIN or not paid:
        return None
    return LedgerEntry(
        exec_id=exec_id,
        category=Category(row["category"]),
        symbol=row["symbol"],
        coin=row["currency"],
        side=Side.SELL if row.get("side") == "Sell" else Side.BUY,
        qty=Decimal(0),
        price=number_or_zero(row, "tradePrice"),
        fee=Decimal(0),
        funding=Decimal(0),
        at_ms=int(row["transactionTime"]),
        realised=paid,
    )
