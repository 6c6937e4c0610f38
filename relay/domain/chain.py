"""The chain of a strategy's positions: each alert says where the strategy stood and stands, so a lost one shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from relay.domain.rounding import plain
from relay.domain.signal import MarketSide, Signal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOISE = Decimal("1e-9")
"""Sizes that differ by no more than this share are the same: TradingView reckons in binary floating point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a strategy stands. `size`: without sign and in its own unit; None where only the side was said."""

    side: MarketSide
    size: Decimal | None = None

    def is_like(self, other: Standing) -> bool:
        """Whether both may be one and the same position."""
        if self.side is not other.side:
            return False
        if self.side is MarketSide.FLAT or self.size is None or other.size is None:
            return True
        return abs(self.size - other.size) <= _NOISE * max(self.size, other.size)

    def __str__(self) -> str:
        return self.side.value if self.side is MarketSide.FLAT or not self.size else f"{self.side} {plain(self.size)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One alert's part of the chain. `sent_at_ms`: when it left the sender, Unix milliseconds, if it says so."""

    before: Standing
    after: Standing
    sent_at_ms: int | None = None


class Fit(StrEnum):
    """How an alert fits to the one before it."""

    FIRST = "first"
    FITS = "fits"
    MISSING = "missing"
    """At least one alert between the two did not come."""
    OVERTAKEN = "overtaken"
    """It belongs before the last one, and came after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """What is known of a strategy's chain. `open_from`: where a gap before `link` begins; None: no gap is open."""

    link: Link
    fit: Fit
    open_from: Standing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An alert in its chain: what the chain is now, and a note for people where it does not fit."""

    last: Last
    fit: Fit
    note: str | None = None


def link_of(signal: Signal) -> Link | None:
    """None where the alert says too little, or where its format made its position up."""
    after, before = signal.market_position, signal.prev_market_position
    if after is None or before is None or signal.has_synthetic_position:
        return None
    return Link(
        before=Standing(side=before, size=signal.prev_market_position_size),
        after=Standing(side=after, size=signal.market_position_size),
        sent_at_ms=(signal.sent_at - _EPOCH) // timedelta(milliseconds=1) if signal.sent_at else None,
    )


def judged(link: Link, last: Last | None) -> Judged:
    """`link`, the next to be accepted, after all that came before it."""
    if last is None:
        return Judged(last=Last(link=link, fit=Fit.FIRST), fit=Fit.FIRST)
    if link.before.is_like(last.link.after):
        return Judged(last=Last(link=link, fit=Fit.FITS), fit=Fit.FITS)
    if _belongs_before(link, last):
        return _overtaken(link, last)
    note = (
        f"at least one alert of the strategy is missing: it stood at {last.link.after} after its last alert here, "
        f"and this one begins at {link.before}"
    )
    return Judged(
        last=Last(link=link, fit=Fit.MISSING, open_from=last.open_from or last.link.after), fit=Fit.MISSING, note=note
    )


def _belongs_before(link: Link, last: Last) -> bool:
    """Only where something was missing there, and only where the times allow it.

    A strategy passes the same size more than once, so the sizes alone do not tell a late alert from a loss; taken for
    late, an exit would not be followed.
    """
    if link.sent_at_ms is None or last.link.sent_at_ms is None or not link.after.is_like(last.link.before):
        return False
    if last.open_from is None:
        return last.fit is Fit.FIRST and link.sent_at_ms < last.link.sent_at_ms
    return link.sent_at_ms <= last.link.sent_at_ms


def _overtaken(link: Link, last: Last) -> Judged:
    """The chain ends where it ended; what is before its last alert has grown by this one."""
    grown = Link(before=link.before, after=last.link.after, sent_at_ms=last.link.sent_at_ms)
    is_whole = last.open_from is None or link.before.is_like(last.open_from)
    note = (
        f"this alert came after the one that follows it: it leads from {link.before} to {link.after}, "
        f"and the strategy stands at {last.link.after} already"
    )
    fit = last.fit if last.fit is Fit.FIRST else Fit.FITS if is_whole else Fit.MISSING
    return Judged(
        last=Last(link=grown, fit=fit, open_from=None if is_whole else last.open_from), fit=Fit.OVERTAKEN, note=note
    )
