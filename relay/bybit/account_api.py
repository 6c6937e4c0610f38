"""What is asked of an account beside its orders: its settings and key, how they are spelled, and what happened to its
money."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from functools import partial
from typing import TypeVar

from relay.bybit.calls import Ask, Calls, listed
from relay.bybit.http import Answer, BybitSession
from relay.bybit.limiter import Priority
from relay.bybit.wire_account import (
    NOT_UNDERSTOOD,
    Lenient,
    LogEntry,
    Row,
    ledger_entry_from,
    log_entry_from,
    problem_of,
    required,
)
from relay.bybit.wire_orders import OpenOrder, open_order_from
from relay.domain.instrument import Category
from relay.domain.order import (
    ErrorKind,
    NotSent,
    OrderRejected,
    Unknown,
)
from relay.domain.trades import LedgerEntry
from relay.errors import ExchangeAnswered, ExchangeUnreachable, FactsUnreadable

T = TypeVar("T")

# What happened to an account's money: its executions, and the transaction log of the exchange beside them.


EXECUTIONS = "/v5/execution/list"
TRANSACTION_LOG = "/v5/account/transaction-log"


class TransactionLogApi:
    """Questions about the past. They raise ExchangeUnreachable or ExchangeAnswered, as `Exchange`'s do."""

    def __init__(self, session: BybitSession, calls: Calls) -> None:
        self._session = session
        self._calls = calls

    def read(self, since_ms: int, until_ms: int) -> list[LedgerEntry]:
        """All executions of perpetuals and futures between two moments, which are at most 7 days apart."""
        return [
            entry
            for category in Category
            for entry in self._read(
                "execution",
                partial(ledger_entry_from, category=category),
                self._session.get_executions,
                EXECUTIONS,
                category=category.value,
                startTime=since_ms,
                endTime=until_ms,
                limit=100,
            )
        ]

    def log(self, since_ms: int, until_ms: int) -> list[LogEntry]:
        """What the exchange booked between two moments, which are at most 7 days apart, in trade and for it."""
        found = self._read(
            "transaction",
            log_entry_from,
            self._session.get_transaction_log,
            TRANSACTION_LOG,
            accountType="UNIFIED",
            startTime=since_ms,
            endTime=until_ms,
            limit=50,
        )
        return [entry for entry in found if entry is not None]

    def _read(self, what: str, read: Callable[[Row], T], ask: Ask, endpoint: str, **params: object) -> list[T]:
        """All rows; one that cannot be read is left out, and told."""
        return self._calls.odd_rows.read(what, self._calls.pages(ask, endpoint, **params), read)[0]


# What the exchange tells of an account and its key: the questions behind the checklist, and its one repair.


KEY = "/v5/user/query-api"
MODE = "/v5/account/info"
FEE_RATE = "/v5/account/fee-rate"
SWITCH_MODE = "/v5/position/switch-mode"
REALTIME = "/v5/order/realtime"
LINEAR_SETTLE_COINS = ("USDT", "USDC")
_ONE_WAY = 0
_SWITCH_WAIT_S = 2.0


class AccountApi:
    """One account's own settings. Questions raise ExchangeUnreachable or ExchangeAnswered, as `Exchange`'s do."""

    def __init__(self, session: BybitSession, calls: Calls) -> None:
        self._session = session
        self._calls = calls
        self.transaction_log = TransactionLogApi(session, calls)

    def key(self) -> KeyRights:
        """What the key may do. Raises FactsUnreadable as well."""
        return self._one("key", key_rights_from, self._calls.ask(self._session.get_api_key_information, KEY).result)

    def mode(self) -> AccountMode:
        """Raises FactsUnreadable as well."""
        return self._one("account", account_mode_from, self._calls.ask(self._session.get_account_info, MODE).result)

    def _one(self, what: str, read: Callable[[Row], T], result: Row) -> T:
        try:
            return read(result)
        except NOT_UNDERSTOOD as error:
            words = f"what the exchange tells of the {what} cannot be read: {problem_of(error)}"
            raise FactsUnreadable(words) from None

    def fee_rate(self, category: Category, symbol: str) -> FeeRate | None:
        """Returns None if the exchange names none for the symbol. The demo environment has no answer to this."""
        rows = listed(
            self._calls.ask(self._session.get_fee_rates, FEE_RATE, category=category.value, symbol=symbol).result
        )
        return self._one("fees", fee_rate_from, rows[0]) if rows else None

    def taker_fee(self, category: Category, symbol: str) -> Decimal | None:
        """Which share of its notional an order costs that takes; None where the exchange does not say."""
        with suppress(ExchangeUnreachable, ExchangeAnswered, FactsUnreadable):
            rate = self.fee_rate(category, symbol)
            return rate.taker if rate else None
        return None

    def open_orders(self) -> tuple[OpenOrder, ...]:
        """All perpetual orders that rest in the account, whoever placed them; coins are the owner's business."""
        found = [order for coin in LINEAR_SETTLE_COINS for order in self._orders(Category.LINEAR, settleCoin=coin)]
        return (*found, *self._orders(Category.INVERSE))

    def _orders(self, category: Category, **which: object) -> tuple[OpenOrder, ...]:
        rows = self._calls.pages(
            self._session.get_open_orders, REALTIME, category=category.value, openOnly=0, limit=50, **which
        )
        return tuple(self._calls.odd_rows.read("order", rows, partial(open_order_from, category=category))[0])

    def switch_to_one_way(self, category: Category, symbol: str) -> str | None:
        """Put one symbol into one-way mode. Returns None if it is so now, else why not.

        The exchange itself refuses where a position (110024) or an order (110028) of the symbol is open.
        Source: docs/v5/position/position-mode.mdx.
        """
        came_to = self._calls.change(
            self._session.switch_position_mode,
            SWITCH_MODE,
            {"category": category.value, "symbol": symbol, "mode": _ONE_WAY},
            priority=Priority.ENTRY,
            wait_s=_SWITCH_WAIT_S,
        )
        match came_to:
            case Answer() | OrderRejected(refusal=ErrorKind.UNCHANGED):
                return None
            case OrderRejected():
                return f"the exchange answered {came_to.code}: {came_to.words}"
            case Unknown() | NotSent():
                return came_to.why


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


# What the exchange announces of its own state.


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
