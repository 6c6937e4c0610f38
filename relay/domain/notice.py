"""What a person is told of as it happens, by kind: whoever is told chooses the kinds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class NoticeKind(StrEnum):
    """The names are those of the tags in NOTIFY_URLS."""

    FILL = "fill"
    REFUSED = "refused"
    """An alert that was denied, failed, expired or rejected, or an order that the exchange refused later."""
    ATTENTION = "attention"
    HALT = "halt"
    """Entries were halted or allowed again, by whomever."""
    DRIFT = "drift"
    """A position is not what it was expected to be, or not what the strategy says."""
    CHAIN = "chain"
    """An alert of a strategy was lost, or came out of order."""
    HEARTBEAT = "heartbeat"
    """Alerts that should have come have not, or too many come."""
    DUPLICATE = "duplicate"
    """The same `id` with another body, or a repeat that cannot be TradingView's."""
    STREAM = "stream"
    EXCHANGE = "exchange"
    """What the exchange announced or did by itself: maintenance, a delisting, a liquidation, an answer that cannot be
    read."""
    KEY = "key"
    """The API key expires soon."""
    RUN = "run"
    """The relay started or stopped."""
    SUMMARY = "summary"
    """What the day came to."""
    WEEKLY = "weekly"
    """The same of a week, for who wishes it."""


DEFAULT_KINDS: Final = frozenset(NoticeKind) - {NoticeKind.FILL, NoticeKind.WEEKLY}
"""A message for each fill would bury those that matter, and the exchange's own app tells of fills."""


NEVER_COUNTED: Final = frozenset(
    {NoticeKind.ATTENTION, NoticeKind.DRIFT, NoticeKind.CHAIN, NoticeKind.HEARTBEAT, NoticeKind.KEY, NoticeKind.HALT}
    | {NoticeKind.EXCHANGE, NoticeKind.SUMMARY, NoticeKind.WEEKLY, "lost"}
)
"""A flood of other kinds becomes a count; each of these is said, however many there are. `lost`: what was dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """`text`: a line for people, without secrets. `at_ms`: when it happened, Unix milliseconds.

    Of a signal `text` is what it asks for, ": ", and what became of it; `account`: where, empty on the only one.
    """

    kind: NoticeKind
    text: str
    at_ms: int
    signal_id: str = ""
    account: str = ""
