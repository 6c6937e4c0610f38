"""What the exchange tells of an account and its key: the questions behind the checklist, and its one repair."""

from __future__ import annotations

from relay.domain.instrument import Category
from relay.domain.outcome import NotSent, Refusal, Rejected, Unknown
from relay.exchange.books import BooksDesk
from relay.exchange.calls import Calls
from relay.exchange.limiter import Priority
from relay.exchange.session import Answer, Session
from relay.exchange.wire.standing import (
    AccountMode,
    FeeRate,
    KeyRights,
    StandingOrder,
    account_mode_from,
    fee_rate_from,
    key_rights_from,
    standing_order_from,
)

KEY = "/v5/user/query-api"
MODE = "/v5/account/info"
FEE_RATE = "/v5/account/fee-rate"
SWITCH_MODE = "/v5/position/switch-mode"
OPEN_ORDERS = "/v5/order/realtime"

_ONE_WAY = 0
_SETTLE_COINS = ("USDT", "USDC")
_SWITCH_WAIT_S = 2.0


class AccountDesk:
    """One account's own settings. Questions raise ExchangeUnreachable or ExchangeAnswered, as `Exchange`'s do."""

    def __init__(self, session: Session, calls: Calls) -> None:
        self._session = session
        self._calls = calls
        self.books = BooksDesk(session, calls)

    def key(self) -> KeyRights:
        """What the key may do. The demo environment has no answer to this."""
        return key_rights_from(self._calls.ask(self._session.get_api_key_information, KEY).result)

    def mode(self) -> AccountMode:
        return account_mode_from(self._calls.ask(self._session.get_account_info, MODE).result)

    def fee_rate(self, category: Category, symbol: str) -> FeeRate | None:
        """None: the exchange names none for the symbol. The demo environment has no answer to this."""
        rows = self._calls.ask(
            self._session.get_fee_rates, FEE_RATE, category=category.value, symbol=symbol
        ).result.get("list")
        return fee_rate_from(rows[0]) if rows else None

    def open_orders(self) -> tuple[StandingOrder, ...]:
        """All perpetual orders that rest in the account, whoever placed them."""
        found = [order for coin in _SETTLE_COINS for order in self._orders(Category.LINEAR, settleCoin=coin)]
        return (*found, *self._orders(Category.INVERSE))

    def _orders(self, category: Category, **which: object) -> tuple[StandingOrder, ...]:
        rows = self._calls.pages(
            self._session.get_open_orders, OPEN_ORDERS, category=category.value, openOnly=0, limit=50, **which
        )
        return tuple(standing_order_from(row, category=category) for row in rows)

    def switch_to_one_way(self, category: Category, symbol: str) -> str | None:
        """Put one symbol into one-way mode; None: it is so now, else why not.

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
            case Answer() | Rejected(refusal=Refusal.UNCHANGED):
                return None
            case Rejected():
                return f"the exchange answered {came_to.code}: {came_to.words}"
            case Unknown() | NotSent():
                return came_to.why
