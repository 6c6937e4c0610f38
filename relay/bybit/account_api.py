"""What is asked of an account beside its orders: its settings and key, and what happened to its money."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import TypeVar

from relay.bybit.calls import Ask, Calls, listed
from relay.bybit.http import Answer, BybitSession
from relay.bybit.limiter import Priority
from relay.bybit.wire_account import (
    NOT_UNDERSTOOD,
    AccountMode,
    FeeRate,
    KeyRights,
    Row,
    account_mode_from,
    fee_rate_from,
    key_rights_from,
    problem_of,
)
from relay.bybit.wire_ledger import LogEntry, ledger_entry_from, log_entry_from
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
