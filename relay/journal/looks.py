"""What the pages ask of a journal, in one place of its own: reads only."""

from __future__ import annotations

from typing import Any

from relay.domain.performance import Stroke
from relay.domain.status import SignalStatus
from relay.journal import pages
from relay.journal.journal import Journal


class Looks:
    """All methods may be called from any thread. Times are Unix milliseconds."""

    def __init__(self, journal: Journal) -> None:
        self._store = journal.store

    def counts_since(self, since_ms: int) -> dict[SignalStatus, int]:
        """How many signals of each status came since."""
        with self._store.read() as connection:
            return pages.counts_since(connection, since_ms)

    def plans_of(self, signal_id: str) -> list[dict[str, Any]]:
        """What each plan of the signal was computed from, the latest first."""
        with self._store.read() as connection:
            return pages.plans_of(connection, signal_id)

    def fills_of(self, signal: dict[str, Any]) -> list[dict[str, Any]]:
        """The fills of a signal in the contract's form, the earliest first, with their slippage."""
        with self._store.read() as connection:
            return pages.fills_of(connection, signal["id"], pages.signal_price(signal["alert"]))

    def strokes(self, strategy: str | None, since_ms: int) -> list[Stroke]:
        """Every fill since, of one strategy or of all."""
        with self._store.read() as connection:
            return pages.strokes(connection, strategy, since_ms)
