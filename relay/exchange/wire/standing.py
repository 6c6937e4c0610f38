"""What an account and its key are set up to, from Bybit's spelling."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum

from relay.domain.instrument import Category
from relay.exchange.wire.numbers import Row
from relay.exchange.wire.orders import open_order_from

_EVERYWHERE = "*"
_NEVER_YEAR = 1970
_WITHDRAW = "Withdraw"


class MarginMode(StrEnum):
    """How positions share the wallet. Source: docs/v5/enum.mdx, marginMode."""

    ISOLATED = "isolated margin"
    CROSS = "cross margin"
    PORTFOLIO = "portfolio margin"


class AccountType(IntEnum):
    """The generations of the exchange's accounts."""

    CLASSIC = 0
    UNIFIED_1 = 1
    UNIFIED_2 = 2


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
    addresses: tuple[str, ...]
    """Empty: from anywhere."""
    expires_at: datetime | None
    """None: the exchange names no day."""
    days_left: int | None
    """As the exchange counts them, where it does."""

    @property
    def may_withdraw(self) -> bool:
        return _WITHDRAW in self.wallet_permissions

    @property
    def transfers(self) -> tuple[str, ...]:
        """The permissions that move money between wallets or accounts."""
        return tuple(sorted(self.wallet_permissions - {_WITHDRAW}))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingOrder:
    """An order that rests somewhere in the account."""

    category: Category
    symbol: str
    client_order_id: str
    """Empty where whoever placed it gave none."""
    is_stop: bool
    """A take profit, stop loss or trailing stop of the position."""


def key_rights_from(result: Row) -> KeyRights:
    """From the result of `GET /v5/user/query-api`. Source: docs/v5/user/apikey-info.mdx.

    A key that is bound to addresses has no last day: the exchange says 1970 then, and zero or less days.
    """
    permissions = result["permissions"]
    addresses = tuple(str(address) for address in result.get("ips") or () if address != _EVERYWHERE)
    at = _moment(result.get("expiredAt"))
    days = int(result.get("deadlineDay") or 0)
    counted = days if days > 0 or (days < 0 and at is None and not addresses) else None
    return KeyRights(
        read_only=int(result["readOnly"]) != 0,
        contract_permissions=frozenset(permissions.get("ContractTrade") or ()),
        wallet_permissions=frozenset(permissions.get("Wallet") or ()),
        addresses=addresses,
        expires_at=at,
        days_left=counted,
    )


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str) or not text:
        return None
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return None if at.year == _NEVER_YEAR else at


def account_mode_from(result: Row) -> AccountMode:
    """From the result of `GET /v5/account/info`. Source: docs/v5/enum.mdx, unifiedMarginStatus."""
    return AccountMode(
        type=_ACCOUNT_TYPES[int(result["unifiedMarginStatus"])], margin=_MARGIN_MODES[result["marginMode"]]
    )


def fee_rate_from(row: Row) -> FeeRate:
    """From a row of `GET /v5/account/fee-rate`."""
    return FeeRate(taker=Decimal(row["takerFeeRate"]), maker=Decimal(row["makerFeeRate"]))


def standing_order_from(row: Row, *, category: Category) -> StandingOrder:
    """From a row of `GET /v5/order/realtime`."""
    order = open_order_from(row)
    return StandingOrder(
        category=category, symbol=row["symbol"], client_order_id=order.client_order_id, is_stop=order.is_stop
    )
