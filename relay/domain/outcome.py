"""What one request that changes something came to: certain or not, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Refusal(StrEnum):
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
    GONE = "gone"
    """The order to cancel does not exist or has ended."""
    UNCHANGED = "unchanged"
    """It already was as it was asked to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
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
class Rejected:
    """The exchange certainly refused it. `code` and `words` are Bybit's own; `reason_code` is the relay's."""

    code: int
    words: str
    refusal: Refusal = Refusal.FINAL
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


Outcome = Accepted | Rejected | Unknown | NotSent
