"""Positions, instruments and balances, from Bybit's spelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from relay.domain.instrument import Category, Instrument
from relay.domain.position import Position
from relay.exchange.wire.numbers import Row, number, number_but_zero, number_or_zero

_PERPETUAL = frozenset({"LinearPerpetual", "InversePerpetual"})
_ONE_WAY = 0
_STOP_LOSSES = frozenset({"StopLoss", "PartialStopLoss", "TrailingStop"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinBalance:
    """One coin of the unified wallet, in that coin. `equity` is the balance and the open PnL."""

    coin: str
    equity: Decimal
    wallet_balance: Decimal
    unrealised_pnl: Decimal
    usd: Decimal | None = None
    """What the equity is worth, where the exchange says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """The unified wallet. Totals are in USD; None where the margin mode knows none (isolated margin)."""

    total_equity: Decimal | None
    total_available: Decimal | None
    coins: tuple[CoinBalance, ...]

    def equity(self, coin: str) -> Decimal:
        """The coin's equity; zero where the exchange lists none, as it does of coins never held."""
        return next((balance.equity for balance in self.coins if balance.coin == coin), Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedPnl:
    """What an order realised by closing, net of the fees of opening and closing, in the settle coin."""

    category: Category
    symbol: str
    amount: Decimal


def settle_coin_of(symbol: str) -> str:
    """What a perpetual is settled in, by its name: `BTCUSDT`, `BTCPERP` (USDC), `BTCUSD` (BTC)."""
    if symbol.endswith("USDT"):
        return "USDT"
    if symbol.endswith(("PERP", "USDC")):
        return "USDC"
    return symbol.removesuffix("USD")


def position_from(rows: Sequence[Row], *, category: Category, symbol: str) -> Position:
    """The one signed position, from all rows of `/v5/position/list` for one symbol; none of them: nothing is open.

    Source: docs/v5/position/position.mdx. In hedge mode there are two rows (`positionIdx` 1 and 2), and `size` is
    their net.
    """
    open_rows = [row for row in rows if number_or_zero(row, "size") != 0]
    shown: Row = next(iter(open_rows or rows), {})
    return Position(
        category=category,
        symbol=symbol,
        size=sum((_signed_size(row) for row in open_rows), Decimal(0)),
        avg_price=number_but_zero(shown, "avgPrice") or number_but_zero(shown, "entryPrice"),
        mark_price=number_but_zero(shown, "markPrice"),
        unrealised_pnl=number(shown, "unrealisedPnl"),
        leverage=number_but_zero(shown, "leverage"),
        take_profit=number_but_zero(shown, "takeProfit"),
        stop_loss=number_but_zero(shown, "stopLoss"),
        trailing_stop=number_but_zero(shown, "trailingStop"),
        changed_at_ms=max((int(row.get("updatedTime") or 0) for row in rows), default=0) or None,
        is_hedge=any(row["positionIdx"] != _ONE_WAY for row in rows),
    )


def _signed_size(row: Row) -> Decimal:
    size = Decimal(row["size"])
    return -size if row["side"] == "Sell" else size


def instrument_from(row: Row, *, category: Category) -> Instrument | None:
    """From a row of `/v5/market/instruments-info`; None for what is no perpetual: futures sit in the same lists."""
    if row["contractType"] not in _PERPETUAL:
        return None
    price, lot, leverage = row["priceFilter"], row["lotSizeFilter"], row["leverageFilter"]
    return Instrument(
        category=category,
        symbol=row["symbol"],
        base_coin=row["baseCoin"],
        quote_coin=row["quoteCoin"],
        settle_coin=row["settleCoin"],
        is_trading=row["status"] == "Trading",
        tick_size=Decimal(price["tickSize"]),
        price_min=Decimal(price["minPrice"]),
        price_max=Decimal(price["maxPrice"]),
        qty_step=Decimal(lot["qtyStep"]),
        qty_min=Decimal(lot["minOrderQty"]),
        qty_max=Decimal(lot["maxOrderQty"]),
        qty_max_market=Decimal(lot["maxMktOrderQty"]),
        notional_min=number_or_zero(lot, "minNotionalValue"),
        leverage_max=Decimal(leverage["maxLeverage"]),
    )


def mark_price_from(row: Row) -> Decimal | None:
    """From a row of `/v5/market/tickers`; None while the exchange names none."""
    return number_but_zero(row, "markPrice")


def wallet_from(row: Row) -> Wallet:
    """From the row of `/v5/account/wallet-balance` whose `accountType` is UNIFIED, or the `wallet` stream."""
    return Wallet(
        total_equity=number(row, "totalEquity"),
        total_available=number(row, "totalAvailableBalance"),
        coins=tuple(
            CoinBalance(
                coin=coin["coin"],
                equity=number_or_zero(coin, "equity"),
                wallet_balance=number_or_zero(coin, "walletBalance"),
                unrealised_pnl=number_or_zero(coin, "unrealisedPnl"),
                usd=number(coin, "usdValue"),
            )
            for coin in row["coin"]
        ),
    )


def closed_pnl_from(row: Row, *, category: Category) -> ClosedPnl:
    """From a row of `/v5/position/closed-pnl`. Source: docs/v5/position/close-pnl.mdx."""
    return ClosedPnl(category=category, symbol=row["symbol"], amount=number_or_zero(row, "closedPnl"))


def stopped_at_ms_from(row: Row) -> int | None:
    """When a stop loss filled, from a row of `/v5/execution/list`; None for any other execution.

    Source: docs/v5/enum.mdx, `stopOrderType` and `execType`.
    """
    is_stop = row.get("stopOrderType") in _STOP_LOSSES and row.get("execType") == "Trade"
    return int(row["execTime"]) if is_stop else None
