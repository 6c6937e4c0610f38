"""An order: what is asked of the exchange, how far it has come, and what one request about it came to."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Final

from relay.domain.instrument import Category


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    def __init__(self, word: str) -> None:
        self.sign = 1 if word == "buy" else -1

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY

    @classmethod
    def towards(cls, signed: Decimal) -> Side:
        """The side that moves a position by `signed`, which is not zero."""
        assert signed != 0, "no side moves a position by nothing"
        return cls.BUY if signed > 0 else cls.SELL


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP_MARKET = "stop_market"
    STOP_LIMIT = "stop_limit"
    MARKET_IF_TOUCHED = "market_if_touched"
    LIMIT_IF_TOUCHED = "limit_if_touched"

    def __init__(self, word: str) -> None:
        self.has_limit = "limit" in word
        self.is_touch = word.endswith("touched")
        self.is_conditional = self.is_touch or word.startswith("stop")

    def rises_to_trigger(self, side: Side) -> bool:
        """Whether the price must rise to the trigger: a stop buys a rise, an order that is touched buys a dip."""
        return (side is Side.BUY) is not self.is_touch


class IfPassed(StrEnum):
    """What becomes of an entry whose trigger the price has passed already."""

    DENY = "deny"
    MARKET = "market"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    POST_ONLY = "PostOnly"


class TriggerBy(StrEnum):
    LAST = "last"
    MARK = "mark"
    INDEX = "index"


class OrderStatus(StrEnum):
    """`denied`: refused by the relay's rules. `rejected`: refused by the exchange.

    An order whose outcome is unknown stays `submitted` until the exchange has told.
    """

    PLANNED = "planned"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    DENIED = "denied"

    def __init__(self, word: str) -> None:
        self.is_ended = word in ("filled", "canceled", "expired", "rejected", "denied")
        """Nothing more can happen to the order."""


class Purpose(StrEnum):
    """What an order does to the position: bring it towards zero, open or add, or both at once."""

    ENTRY = "entry"
    EXIT = "exit"
    FLIP = "flip"

    def __init__(self, word: str) -> None:
        self.is_exit = word == "exit"
        """It opens nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOrder:
    """One order as it will be sent: quantities and prices are rounded already.

    `exit_qty` is the part that brings the position towards zero, where it is known; the rest is the entry.
    `fallback_qty`: if the exchange certainly refuses the order, this much is sent reduce-only in its stead.
    """

    leg: int
    category: Category
    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    purpose: Purpose
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_rises: bool | None = None
    trigger_by: TriggerBy = TriggerBy.LAST
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    closes_all: bool = False
    """Sent with quantity zero: the exchange closes whatever is open, on the grid or not."""
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    slippage_pct: Decimal | None = None
    valid_for_s: int | None = None
    leverage: Decimal | None = None
    """What the symbol's leverage is set to before the order leaves; None if it stays as it is."""
    spend: Decimal | None = None
    """What a market buy may cost in the quote coin, sent instead of `qty`, which is what that buys at today's price."""
    spend_rest: Decimal = Decimal(0)
    """So much of it may stay unspent: it buys no step more."""
    locks: bool = False
    """Of spot: the exchange sets the coins aside at once, not only when the order triggers."""
    exit_qty: Decimal | None = None
    fallback_qty: Decimal | None = None
    replaces_leg: int | None = None
    """This order is the fallback, or the remainder, of that leg."""

    @property
    def rests(self) -> bool:
        """Whether the exchange may keep the order open after it was accepted."""
        if self.type.is_conditional:
            return True
        return self.type is OrderType.LIMIT and self.time_in_force in (TimeInForce.GTC, TimeInForce.POST_ONLY)

    def is_filled_by(self, qty: Decimal, avg_price: Decimal | None) -> bool:
        """Whether nothing more of it can be filled."""
        if self.spend is None:
            return qty >= self.qty
        return bool(qty) and avg_price is not None and self.spend - qty * avg_price <= self.spend_rest


def is_marketable(side: Side, price: Decimal, market: Decimal) -> bool:
    """Whether a limit order at `price` fills at once where the market is at `market`."""
    return price >= market if side is Side.BUY else price <= market


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something is not as it was asked: a code of the form CATEGORY_CONDITION and a sentence for people."""

    code: str
    message: str


FACTS_UNREADABLE: Final = "FACTS_UNREADABLE"
EXCHANGE_RESTRICTED: Final = "EXCHANGE_RESTRICTED"
EXCHANGE_TERMS: Final = "EXCHANGE_TERMS"


def client_order_id(*, signal_id: str, account: str, leg: int, generation: int) -> str:
    """The order's identity for good: a pure function, so that a repeated send can never become a second order.

    At most 36 of letters, digits and `-`, as the exchange's `orderLinkId` allows. `signal_id` has 26 characters.
    """
    assert len(signal_id) == 26, f"a signal's id has 26 characters: {signal_id!r}"
    assert 0 <= leg < 1000 and 0 <= generation < 100, f"leg {leg}, generation {generation}"
    return f"{signal_id}-{_account_mark(account)}{leg:03d}{generation:02d}"


@lru_cache(maxsize=256)
def _account_mark(account: str) -> str:
    mark = 0
    for byte in account.encode():
        mark = (mark * 131 + byte) % 32**4
    return "".join("0123456789abcdefghjkmnpqrstvwxyz"[(mark >> shift) & 31] for shift in (15, 10, 5, 0))


# What one request that changes something came to: certain or not, and what to do about it.


class ErrorKind(StrEnum):
    """What a certain refusal means for the relay; told by the exchange's code, never by its words."""

    FINAL = "final"
    """Refused for good; sending the same again changes nothing."""
    RATE = "rate"
    """Refused because of the rate limit; worth repeating after the reset."""
    CLOCK = "clock"
    """The timestamp was outside the window; worth repeating once after measuring the clock."""
    ALREADY_THERE = "already_there"
    """The client order id is known: the first send arrived."""
    NOTHING_TO_REDUCE = "nothing_to_reduce"
    RULES = "rules"
    """Refused for its quantity, price or symbol: the instrument's rules may not be the ones that are known here."""
    GONE = "gone"
    """The order to cancel does not exist or has ended."""
    UNCHANGED = "unchanged"
    """It already was as it was asked to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSignature:
    """What a request is signed with: Unix milliseconds on the exchange's clock, and how long it stays valid."""

    timestamp_ms: int
    recv_window_ms: int

    @property
    def dead_at_ms(self) -> int:
        """From here on, by the exchange's clock, a request that has not shown up never will.

        The window itself plus a second of margin. Source: V5 integration guide, "Authentication".
        """
        return self.timestamp_ms + self.recv_window_ms + 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The exchange has it: an acknowledgement, not a fill."""

    venue_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRejected:
    """The exchange certainly refused it. `code` and `words` are Bybit's own; `reason_code` is the relay's."""

    code: int
    words: str
    refusal: ErrorKind = ErrorKind.FINAL
    reason_code: str = "EXCHANGE_REFUSED"
    retry_at_ms: int | None = None
    """Exchange clock, where the exchange named a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nothing certain is known: it may be live. `why` is for people and carries no secret."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Certain that nothing left: the connection was refused, or the relay itself is holding requests back."""

    why: str
    retry_at_ms: int | None = None


Outcome = Accepted | OrderRejected | Unknown | NotSent


# What a signal, or one account's part of it, has come to.


class SignalStatus(StrEnum):
    """`rejected`: the alert itself was bad. `denied`: the relay's rules said no. `failed`: the exchange did."""

    ACCEPTED = "accepted"
    EXECUTING = "executing"
    DONE = "done"
    DENIED = "denied"
    FAILED = "failed"
    EXPIRED = "expired"
    ATTENTION = "attention"
    REJECTED = "rejected"

    @property
    def is_finished(self) -> bool:
        return self not in UNFINISHED


UNFINISHED: Final = frozenset({SignalStatus.ACCEPTED, SignalStatus.EXECUTING})
