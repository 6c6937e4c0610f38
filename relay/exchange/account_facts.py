"""What the checklist is judged by: what the account is to be, and what was read of it. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeAlias, TypeVar

from relay.domain.instrument import Category
from relay.domain.position import Position
from relay.exchange.wire.account import Wallet
from relay.exchange.wire.standing import AccountMode, FeeRate, KeyRights
from relay.settings import Environment

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """A question that was not answered. `code`: of the exchange's refusal; None where there was no answer at all."""

    code: int | None
    words: str


Told: TypeAlias = T | Untold


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One account as its settings want it. Holds no secret: of the key its last four characters."""

    environment: Environment
    host: str
    recv_window_ms: int
    allow_wide_key: bool
    key_end: str
    symbols: frozenset[str] | None
    """What alerts may trade; None: anything."""
    max_leverage: Decimal | None
    also: str | None = None
    """One more symbol to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The perpetuals that the exchange lists, and of the allowed symbols those that it does not trade."""

    count: int
    absent: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """What is open in the account and was not placed by the relay: symbols, each once."""

    positions: tuple[str, ...]
    orders: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What came of opening the private stream. `refusal`: the exchange's words, where it did not take the key."""

    connected: bool
    refusal: str | None = None
    why: str | None = None
    """Why there was no connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that was read, at `now_ms` of the exchange's clock. Each part stands by itself."""

    now_ms: int
    own_address: str | None
    """Of this machine, as it sees itself; behind a router the exchange sees another one."""
    clock_ahead_ms: Told[int]
    """By how much the exchange's clock is ahead of this machine's."""
    listed: Told[Listed]
    key: Told[KeyRights]
    mode: Told[AccountMode]
    wallet: Told[Wallet]
    positions: tuple[tuple[str, Told[Position]], ...]
    """Of each symbol that was looked at, flat ones included."""
    foreign: Told[Foreign]
    fees: Told[FeeRate | None]
    stream: Stream | None
    """None: nobody looked."""


class Ownership(Protocol):
    """What the relay itself has ordered. Raises JournalUnavailable where that cannot be read."""

    def ordered(self, among: Iterable[tuple[Category, str]]) -> frozenset[tuple[Category, str]]:
        """Those of the instruments that the relay has ever sent an order for."""

    def believed(self) -> dict[tuple[Category, str], Decimal]:
        """What the relay believes each position to be, signed."""

    def moving(self) -> frozenset[tuple[Category, str]]:
        """Where an order of the relay's is under way: a position may differ from the belief for a moment."""

    def has_placed(self, client_order_id: str) -> bool: ...
