"""The relay's own clock, passed in wherever it matters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Now = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def to_ms(moment: datetime) -> int:
    """Unix milliseconds."""
    return int(moment.timestamp() * 1000)


def from_ms(unix_ms: int) -> datetime:
    """Aware UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
