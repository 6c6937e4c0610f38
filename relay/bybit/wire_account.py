"""Positions, instruments, balances and account settings, from Bybit's spelling. Source: Bybit V5 documentation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from functools import partial
from typing import Any, TypeVar

from relay.domain.instrument import Category, Instrument
from relay.domain.order import EXCHANGE_RESTRICTED, FACTS_UNREADABLE, Reason
from relay.domain.position import Position

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


_FUTURES_TRADING, _PLAY_ENV = 1, 2
_UNDER_WAY = frozenset({"scheduled", "ongoing"})
_SERVICES = {1: "trading", 2: "trading by HTTP", 3: "trading by WebSocket", 4: "private streams", 5: "market data"}
_MAINTENANCE = {1: "planned maintenance", 2: "maintenance at short notice", 3: "an incident"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """What the exchange announces of its own state. `end`: as it is expected."""

    id: str
    state: str
    is_demo: bool
    begin: datetime
    end: datetime
    what: str
    """For people."""


def maintenance_from(row: Row) -> Maintenance | None:
    """From a row of `GET /v5/system/status`; None for what is over, or has no part in futures.

    Source: docs/v5/system-status.mdx.
    """
    products = [int(each) for each in row.get("product") or (_FUTURES_TRADING,)]
    if row["state"] not in _UNDER_WAY or _FUTURES_TRADING not in products:
        return None
    services = [_SERVICES.get(int(each), "another service") for each in row.get("serviceTypes") or ()]
    digits = ", ".join(str(each) for each in row.get("uidSuffix") or ())
    kind = _MAINTENANCE.get(int(row.get("maintainType") or 0), "maintenance")
    whose = f"; only accounts whose number ends in {digits}" if digits else ""
    return Maintenance(
        id=str(row["id"]),
        state=row["state"],
        is_demo=int(row.get("env") or 0) == _PLAY_ENV,
        begin=datetime.fromtimestamp(int(row["begin"]) / 1000, UTC),
        end=datetime.fromtimestamp(int(row["end"]) / 1000, UTC),
        what=f"{kind} of {', '.join(services) or 'the exchange'} ({str(row.get('title') or '')[:80]}){whose}",
    )


# What an account and its key are set up to, from Bybit's spelling.


_EVERYWHERE = "*"
_NEVER_YEAR = 1970
_SECONDS_DIGITS = 10
_WITHDRAW = "Withdraw"


class MarginMode(StrEnum):
    """How positions share the wallet. Source: docs/v5/enum.mdx, marginMode."""

    ISOLATED = "isolated margin"
    CROSS = "cross margin"
    PORTFOLIO = "portfolio margin"
    OTHER = "a margin mode that this relay does not know"


class AccountType(IntEnum):
    """The generations of the exchange's accounts."""

    CLASSIC = 0
    UNIFIED_1 = 1
    UNIFIED_2 = 2
    OTHER = 3
    """One that is not documented."""


_MARGIN_MODES = {
    "ISOLATED_MARGIN": MarginMode.ISOLATED,
    "REGULAR_MARGIN": MarginMode.CROSS,
    "PORTFOLIO_MARGIN": MarginMode.PORTFOLIO,
}
_ACCOUNT_TYPES = {
    1: AccountType.CLASSIC,
    3: AccountType.UNIFIED_1,
    4: AccountType.UNIFIED_1,
    5: AccountType.UNIFIED_2,
    6: AccountType.UNIFIED_2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRights:
    """What a key may do, from where, and until when. Permissions are in the exchange's words."""

    read_only: bool
    contract_permissions: frozenset[str]
    wallet_permissions: frozenset[str]
    other_permissions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By set, those of all sets but `ContractTrade` and `Wallet`; a set of which nothing is allowed is not in it."""
    addresses: tuple[str, ...]
    """Empty: from anywhere."""
    expires_at: datetime | None
    """None if the exchange names no day."""
    days_left: int | None
    """As the exchange counts them, where it does."""

    @property
    def may_withdraw(self) -> bool:
        return _WITHDRAW in self.wallet_permissions

    @property
    def transfers(self) -> tuple[str, ...]:
        """The permissions that move money between wallets or accounts."""
        return tuple(sorted(self.wallet_permissions - {_WITHDRAW}))

    @property
    def trades_usdc(self) -> bool:
        """Whether it may trade USDC perpetuals. Source: docs/v5/user/apikey-info.mdx, `Options` and `Derivatives`."""
        return any(self.other_permissions.get(each) for each in ("Options", "Derivatives"))


def time_left(key: KeyRights, now: datetime) -> timedelta | None:
    """Until the key's last moment, below zero once that is past; None if no end is named.

    Of a date and a count of days that disagree the earlier one holds; the count is of whole days.
    """
    by_date = None if key.expires_at is None else key.expires_at - now
    if key.days_left is None:
        return by_date
    counted = timedelta(days=key.days_left)
    return by_date if by_date is not None and by_date <= counted + timedelta(days=1) else counted


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMode:
    """The account's generation and its margin mode."""

    type: AccountType
    margin: MarginMode


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRate:
    """Shares of the notional, not percents."""

    taker: Decimal
    maker: Decimal


def key_rights_from(result: Row) -> KeyRights:
    """From the result of `GET /v5/user/query-api`. Source: docs/v5/user/apikey-info.mdx.

    A key that is bound to addresses has no last day: the exchange says 1970 then, and zero or less days.
    """
    permissions = {str(name): _words(words) for name, words in (result["permissions"] or {}).items()}
    addresses = tuple(sorted(_words(result.get("ips")) - {_EVERYWHERE}))
    at = _moment(result.get("expiredAt"))
    days = Lenient().read(int, result.get("deadlineDay") or 0, instead=0)
    counted = days if days > 0 or (days < 0 and at is None and not addresses) else None
    return KeyRights(
        read_only=int(result["readOnly"]) != 0,
        contract_permissions=permissions.pop("ContractTrade", frozenset()),
        wallet_permissions=permissions.pop("Wallet", frozenset()),
        other_permissions={name: words for name, words in permissions.items() if words},
        addresses=addresses,
        expires_at=at,
        days_left=counted,
    )


def _words(found: object) -> frozenset[str]:
    """A list, or one text with commas."""
    if isinstance(found, Mapping):
        return frozenset(str(name) for name, value in found.items() if value)
    each = found.split(",") if isinstance(found, str) else found if isinstance(found, Sequence) else ()
    return frozenset(word for one in each if (word := str(one).strip()))


def _moment(found: object) -> datetime | None:
    """A date as text, or milliseconds. What stands for no date is 1970, or the year 1; what is no date is none."""
    text = str(found or "").strip()
    try:
        if text.isdigit():
            at = datetime.fromtimestamp(int(text) / (1000 if len(text) > _SECONDS_DIGITS else 1), UTC)
        else:
            at = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return None if at.year <= _NEVER_YEAR else at


def account_mode_from(result: Row) -> AccountMode:
    """From the result of `GET /v5/account/info`. Source: docs/v5/enum.mdx, unifiedMarginStatus."""
    return AccountMode(
        type=_ACCOUNT_TYPES.get(int(result["unifiedMarginStatus"]), AccountType.OTHER),
        margin=_MARGIN_MODES.get(result["marginMode"], MarginMode.OTHER),
    )


def fee_rate_from(row: Row) -> FeeRate:
    """From a row of `GET /v5/account/fee-rate`."""
    return FeeRate(taker=required(row, "takerFeeRate"), maker=required(row, "makerFeeRate"))
