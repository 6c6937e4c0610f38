"""Positions, instruments, balances and executions, from Bybit's spelling. Source: Bybit V5 documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from relay.domain.instrument import PERPETUALS, Category, Instrument
from relay.domain.order import EXCHANGE_RESTRICTED, FACTS_UNREADABLE, Reason, Side
from relay.domain.position import Position
from relay.domain.trades import ExitReason, LedgerEntry, valued_in_coins

T = TypeVar("T")
Row = Mapping[str, Any]
"""One object of an answer's `list`, or of a stream message's `data`."""


class RowUnreadable(ValueError):
    """A row that cannot be read. The message names the field and what stands there."""


NOT_UNDERSTOOD = (KeyError, TypeError, ValueError, ArithmeticError, IndexError, AttributeError, AssertionError)
"""What the readers below raise for a row of another shape than the documented one."""


def problem_of(error: Exception) -> str:
    """What is wrong with the row, for people."""
    if isinstance(error, KeyError):
        return f"`{error.args[0]}` is missing"
    return str(error) if isinstance(error, RowUnreadable) else f"it has another form ({type(error).__name__})"


def name_of(row: object) -> str:
    """Which of a list's rows it is: its symbol or coin, or what else it goes by."""
    known = row if isinstance(row, Mapping) else {}
    named = (known.get(each) for each in ("symbol", "coin", "orderId", "execId", "id"))
    return str(next(filter(None, named), "a row without a symbol"))[:40]


def number(row: Row, key: str) -> Decimal | None:
    """The field as a decimal; None where it is absent or empty. RowUnreadable for what is no finite number."""
    text = row.get(key)
    if text is None or text == "":
        return None
    try:
        value = Decimal("nan") if isinstance(text, bool) else Decimal(text)
    except (ArithmeticError, TypeError, ValueError):
        raise RowUnreadable(f"`{key}` is {str(text)[:40]!r}") from None
    if not value.is_finite():
        raise RowUnreadable(f"`{key}` is {str(text)[:40]!r}")
    return value


def required(row: Row, key: str) -> Decimal:
    """The same where it has to be there."""
    value = number(row, key)
    if value is None:
        raise RowUnreadable(f"`{key}` is {'empty' if key in row else 'missing'}")
    return value


def number_or_zero(row: Row, key: str) -> Decimal:
    return number(row, key) or Decimal(0)


def number_but_zero(row: Row, key: str) -> Decimal | None:
    """For prices that Bybit sends as `"0"` or `"0.00"` where there is none."""
    return number(row, key) or None


class Lenient:
    """Reads what a row can be used without; `problems` says what could not be read."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def read(self, read: Callable[..., T], *given: Any, instead: T) -> T:
        """What `read` returns of what is given; `instead` where that cannot be read."""
        try:
            return read(*given)
        except NOT_UNDERSTOOD as error:
            self.problems.append(problem_of(error))
            return instead


# Positions, instruments and balances, from Bybit's spelling.


_ROUNDED = Decimal("1E-7")
_PERPETUAL = frozenset({"LinearPerpetual", "InversePerpetual"})
_FUTURES = frozenset({"LinearFutures", "InverseFutures"})
_FINEST, _NO_BOUND = Decimal("0.00000001"), Decimal(10**12)
_IN_TROUBLE = {"Liq": "being liquidated", "Adl": "being reduced by auto-deleveraging"}
_ONE_WAY = 0
_STOP_LOSSES = frozenset({"StopLoss", "PartialStopLoss", "TrailingStop", "tpslOrder"})
"""Of coins, the relay's own stop loss: its take profits are limit orders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinBalance:
    """One coin of the unified wallet, in that coin. `equity`: the balance less debt, open PnL and options."""

    coin: str
    equity: Decimal
    wallet_balance: Decimal
    unrealised_pnl: Decimal
    usd: Decimal | None = None
    """What the equity is worth, where the exchange says it."""
    borrowed: Decimal = Decimal(0)
    locked: Decimal = Decimal(0)
    """By open spot orders."""
    pledged: Decimal = Decimal(0)
    """As margin of positions and orders."""

    @property
    def owned(self) -> Decimal:
        """What is there and not borrowed."""
        return self.wallet_balance - self.borrowed

    @property
    def free(self) -> Decimal:
        """What can be sold or spent. Source: docs/v5/account/wallet-balance.mdx, `availableToWithdraw`."""
        return max(self.owned - self.locked - self.pledged, Decimal(0))

    def funds(self, category: Category) -> Decimal:
        """What sizes in percent are a share of: of a perpetual the equity, of coins what is free to be spent."""
        return self.equity if category.has_positions else self.free

    @property
    def beside_balance(self) -> Decimal | None:
        """What the equity has beside balance and open PnL: a debt that is in the balance. None: something else, too,
        as options, whose value moves by itself. Source: docs/v5/account/wallet-balance.mdx, `equity`."""
        rest = self.equity - self.wallet_balance - self.unrealised_pnl
        return -self.borrowed if abs(rest + self.borrowed) <= _ROUNDED * max(abs(self.equity), Decimal(1)) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """The unified wallet. Totals are in USD; None where the margin mode knows none (isolated margin)."""

    total_equity: Decimal | None
    total_available: Decimal | None
    coins: tuple[CoinBalance, ...]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with the rows of the coins that cannot be read."""

    def balance(self, coin: str) -> CoinBalance:
        """Of zeros where the exchange lists none, as it does of coins never held."""
        zero = Decimal(0)
        nothing = CoinBalance(coin=coin, equity=zero, wallet_balance=zero, unrealised_pnl=zero)
        return next((balance for balance in self.coins if balance.coin == coin), nothing)

    def equity(self, coin: str) -> Decimal:
        """The coin's equity; zero where the exchange lists none."""
        return self.balance(coin).equity


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedPnl:
    """What an order realised by closing, net of the fees of opening and closing, in the settle coin."""

    category: Category
    symbol: str
    amount: Decimal


_DATED_INVERSE = re.compile(r"USD([FGHJKMNQUVXZ]\d\d)?$")


def is_dated(symbol: str) -> bool:
    """A future that expires: `BTCUSDZ26`, `BTCUSDT-25DEC26`, `BTC-25DEC26`. Source: docs/v5/enum.mdx, symbol."""
    return "-" in symbol or symbol[-2:].isdigit()


def settle_coin_of(symbol: str) -> str:
    """What it is settled in, by its name: `BTCUSDT`, `BTCPERP` and `BTC-25DEC26` (USDC), `BTCUSD` (BTC)."""
    name, _, expires = symbol.partition("-")
    if name.endswith("USDT"):
        return "USDT"
    if expires or name.endswith(("PERP", "USDC")):
        return "USDC"
    return _DATED_INVERSE.sub("", name)


_PAIRS: dict[str, tuple[str, str]] = {}
"""Base and quote coin of each spot pair, as the exchange listed them last: its symbol does not tell them apart."""
_QUOTES = ("USDT", "USDC", "USDE", "USD1", "EUR", "BRL", "TRY", "PLN", "BTC", "ETH", "DAI", "MNT")


def coins_of(category: Category, symbol: str) -> tuple[str, str]:
    """The coin that is traded, empty of a perpetual, and the one it is settled in.

    Of a pair that is not listed (yet) by the usual names.
    """
    if category.has_positions:
        return "", settle_coin_of(symbol)
    quote = next((each for each in _QUOTES if symbol.endswith(each) and symbol != each), symbol[-4:])
    return _PAIRS.get(symbol) or (symbol.removesuffix(quote), quote)


def category_of_symbol(symbol: str) -> Category:
    """By the exchange's own names: what is settled in its own coin is inverse."""
    return Category.LINEAR if settle_coin_of(symbol) in ("USDT", "USDC") else Category.INVERSE


def position_from(rows: Sequence[Row], *, category: Category, symbol: str) -> Position:
    """The one signed position, from all rows of `/v5/position/list` for one symbol; none of them: nothing is open.

    Source: docs/v5/position/position.mdx. In hedge mode there are two rows (`positionIdx` 1 and 2), and `size` is
    their net. Raises RowUnreadable where that cannot be told; whatever else cannot be read forbids entries only.
    """
    if any("size" not in row for row in rows):
        raise RowUnreadable("`size` is missing")
    open_rows = [row for row in rows if number_or_zero(row, "size") != 0]
    shown: Row = next(iter(open_rows or rows), {})
    lenient, for_people = Lenient(), Lenient()

    price = partial(lenient.read, number_but_zero, shown, instead=None)
    read_shown = partial(for_people.read, number_but_zero, shown, instead=None)

    return Position(
        category=category,
        symbol=symbol,
        size=sum((_signed_size(row) for row in open_rows), Decimal(0)),
        avg_price=price("avgPrice") or price("entryPrice"),
        mark_price=price("markPrice"),
        unrealised_pnl=lenient.read(number, shown, "unrealisedPnl", instead=None),
        leverage=price("leverage"),
        take_profit=price("takeProfit"),
        stop_loss=price("stopLoss"),
        trailing_stop=price("trailingStop"),
        liq_price=read_shown("liqPrice"),
        margin=read_shown("positionIM"),
        adl_rank=for_people.read(lambda: int(shown.get("adlRankIndicator") or 0) or None, instead=None),
        opened_at_ms=for_people.read(lambda: int(shown.get("openTime") or 0) or None, instead=None),
        changed_at_ms=lenient.read(_changed_at_ms, rows, instead=None),
        is_hedge=any(int(row.get("positionIdx") or _ONE_WAY) != _ONE_WAY for row in rows),
        no_entry=_unreadable("position", symbol, lenient) or _restricted(rows, symbol),
    )


def _unreadable(what: str, symbol: str, lenient: Lenient) -> Reason | None:
    if not lenient.problems:
        return None
    problems = "; ".join(dict.fromkeys(lenient.problems))
    return Reason(code=FACTS_UNREADABLE, message=f"the exchange's {what} of {symbol} cannot be read: {problems}")


def _restricted(rows: Sequence[Row], symbol: str) -> Reason | None:
    """Source: docs/v5/position/position.mdx, `isReduceOnly` and `positionStatus`."""
    if any(row.get("isReduceOnly") is True for row in rows):
        message = f"the exchange lets the position of {symbol} only be reduced, because it lowered its limits"
        return Reason(code=EXCHANGE_RESTRICTED, message=message)
    status = next((word for row in rows if (word := row.get("positionStatus")) in _IN_TROUBLE), None)
    return None if status is None else Reason(code=EXCHANGE_RESTRICTED, message=f"{symbol} is {_IN_TROUBLE[status]}")


def _changed_at_ms(rows: Sequence[Row]) -> int | None:
    return max((int(row.get("updatedTime") or 0) for row in rows), default=0) or None


def _signed_size(row: Row) -> Decimal:
    size, side = required(row, "size"), row.get("side")
    if side not in ("Buy", "Sell"):
        raise RowUnreadable(f"`side` is {str(side)[:40]!r}")
    return -size if side == "Sell" else size


def instrument_from(row: Row, *, category: Category) -> Instrument | None:
    """From a row of `/v5/market/instruments-info`; None for what is no perpetual: futures sit in the same lists.

    Raises RowUnreadable where nothing can be made of it. A rule that cannot be read forbids entries only, so that what
    is open can be closed: an exit goes by rules that hold back nothing.
    """
    if category is Category.SPOT:
        return _pair_from(row)
    kind = row.get("contractType")
    if kind in _FUTURES:
        return None
    if kind not in _PERPETUAL:
        raise RowUnreadable(f"`contractType` is {str(kind)[:40]!r}")
    price, lot, leverage = (_section(row, name) for name in ("priceFilter", "lotSizeFilter", "leverageFilter"))
    lenient = Lenient()

    def rule(section: Row, key: str, instead: Decimal) -> Decimal:
        return lenient.read(_positive, section, key, instead=instead)

    tick = rule(price, "tickSize", _FINEST)
    step = rule(lot, "qtyStep", _FINEST)
    most = rule(lot, "maxOrderQty", _NO_BOUND)
    made = Instrument(
        category=category,
        symbol=row["symbol"],
        base_coin=row["baseCoin"],
        quote_coin=row["quoteCoin"],
        settle_coin=row["settleCoin"],
        is_trading=row.get("status") == "Trading",
        tick_size=tick,
        price_min=lenient.read(required, price, "minPrice", instead=tick),
        price_max=rule(price, "maxPrice", _NO_BOUND),
        qty_step=step,
        qty_min=rule(lot, "minOrderQty", step),
        qty_max=most,
        qty_max_market=rule(lot, "maxMktOrderQty", most),
        notional_min=lenient.read(number_or_zero, lot, "minNotionalValue", instead=Decimal(0)),
        leverage_max=rule(leverage, "maxLeverage", Decimal(1)),
        status=str(row.get("status")),
        delivery_at=lenient.read(_delivery, row, instead=None),
        kind=str(row.get("symbolType") or ""),
    )
    unreadable = _unreadable("rules", made.symbol, lenient)
    return replace(made, unreadable=unreadable.message) if unreadable else made


def _pair_from(row: Row) -> Instrument:
    """Of spot, which names no least and greatest price. Source: docs/v5/market/instrument.mdx."""
    price, lot, lenient = _section(row, "priceFilter"), _section(row, "lotSizeFilter"), Lenient()

    def rule(key: str, instead: Decimal) -> Decimal:
        return lenient.read(_positive, lot, key, instead=instead)

    def maximum(key: str) -> Decimal:
        return lenient.read(number_but_zero, lot, key, instead=None) or most

    tick, step = lenient.read(_positive, price, "tickSize", instead=_FINEST), rule("basePrecision", _FINEST)
    most = lenient.read(number_but_zero, lot, "maxOrderQty", instead=None) or _NO_BOUND
    _PAIRS[row["symbol"]] = row["baseCoin"], row["quoteCoin"]
    made = Instrument(
        category=Category.SPOT,
        symbol=row["symbol"],
        base_coin=row["baseCoin"],
        quote_coin=row["quoteCoin"],
        settle_coin=row["quoteCoin"],
        is_trading=row.get("status") == "Trading",
        tick_size=tick,
        price_min=tick,
        price_max=_NO_BOUND,
        qty_step=step,
        qty_min=max(lenient.read(number_or_zero, lot, "minOrderQty", instead=step), step),
        qty_max=maximum("maxLimitOrderQty"),
        qty_max_market=maximum("maxMarketOrderQty"),
        notional_min=lenient.read(number_or_zero, lot, "minOrderAmt", instead=Decimal(0)),
        leverage_max=Decimal(1),
        status=str(row.get("status")),
        kind=str(row.get("symbolType") or ""),
        money_step=rule("quotePrecision", Decimal("0.01")),
    )
    unreadable = _unreadable("rules", made.symbol, lenient)
    return replace(made, unreadable=unreadable.message) if unreadable else made


def _section(row: Row, name: str) -> Row:
    found = row.get(name)
    return found if isinstance(found, Mapping) else {}


def _positive(row: Row, key: str) -> Decimal:
    value = required(row, key)
    if value <= 0:
        raise RowUnreadable(f"`{key}` is {value}")
    return value


def _delivery(row: Row) -> datetime | None:
    at_ms = int(row.get("deliveryTime") or 0)
    return datetime.fromtimestamp(at_ms / 1000, UTC) if at_ms else None


def mark_price_from(row: Row, category: Category = Category.LINEAR) -> Decimal | None:
    """From a row of `/v5/market/tickers`; None while the exchange names none. Coins have the last price only."""
    return number_but_zero(row, "markPrice" if category.has_positions else "lastPrice")


def moves_prices(settings: Row, category: Category) -> bool | None:
    """Whether a limit price beyond the bounds is moved to them; of spot the flag's sense is the opposite.

    Source: docs/v5/account/set-price-limit.mdx.
    """
    flag = settings.get("lpaPerp" if category.has_positions else "lpaSpot")
    return (not flag if category.has_positions else flag) if isinstance(flag, bool) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """What the price did from `at_ms` on, for the length of the interval that was asked for."""

    at_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


def candle_from(row: Any) -> Candle:
    """From a row of `/v5/market/kline`, which has no names: time, open, high, low, close, and two of volume."""
    at, *prices = row
    first, high, low, close = (required({"price": each}, "price") for each in prices[:4])
    return Candle(at_ms=int(at), open=first, high=high, low=low, close=close)


def wallet_from(row: Row) -> Wallet:
    """From the row of `/v5/account/wallet-balance` whose `accountType` is UNIFIED, or the `wallet` stream."""
    coins, unreadable, lenient = list[CoinBalance](), dict[str, str](), Lenient()
    for each in row["coin"]:
        try:
            coins.append(_coin_from(each))
        except NOT_UNDERSTOOD as error:
            unreadable[name_of(each)] = problem_of(error)
    return Wallet(
        total_equity=lenient.read(number, row, "totalEquity", instead=None),
        total_available=lenient.read(number, row, "totalAvailableBalance", instead=None),
        coins=tuple(coins),
        unreadable=unreadable,
    )


def _coin_from(row: Row) -> CoinBalance:
    return CoinBalance(
        coin=row["coin"],
        equity=number_or_zero(row, "equity"),
        wallet_balance=number_or_zero(row, "walletBalance"),
        unrealised_pnl=number_or_zero(row, "unrealisedPnl"),
        usd=Lenient().read(number, row, "usdValue", instead=None),
        borrowed=number_or_zero(row, "spotBorrow"),
        locked=number_or_zero(row, "locked"),
        pledged=sum((number_or_zero(row, each) for each in ("totalOrderIM", "totalPositionIM")), Decimal(0)),
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


# Executions as what they did to the money, and the transaction log beside them, from Bybit's spelling.
#
# Source: docs/v5/websocket/private/execution.mdx and docs/v5/order/execution.mdx; only the stream documents `execPnl`.


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


def order_fee(row: Row, category: Category) -> Decimal:
    """On linear `cumFeeDetail` has taken the place of `cumExecFee`; of several coins the settle coin's counts."""
    by_coin = row.get("cumFeeDetail") or {}
    coin = next(iter(by_coin)) if len(by_coin) == 1 else coins_of(category, row["symbol"])[1]
    return number_or_zero(by_coin, coin) if coin in by_coin else number_or_zero(row, "cumExecFee")


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
    fees = _fees(row, fee_coin_of(row, category))
    if category.has_positions:
        return {coin: (_realised(row) or Decimal(0)) - fees.get(coin, Decimal(0))}
    sign, qty = (1 if row.get("side") == "Buy" else -1), number_or_zero(row, "execQty")
    worth = number(row, "execValue") or qty * number_or_zero(row, "execPrice")
    changes = {base: sign * qty, coin: -sign * worth}
    for name, fee in fees.items():
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
    found = [*words, str(row.get("createType")).removeprefix("CreateBy")]
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
    execution = {"execId": exec_id, "execType": _FUNDING, "execTime": row["transactionTime"], "symbol": row["symbol"]}
    return replace(ledger_entry_from(execution, Category(row["category"])), realised=paid)
