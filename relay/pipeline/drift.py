"""Once a signal's orders are done: does the account stand where the strategy does? What differs is told."""

from __future__ import annotations

from decimal import Decimal

from relay.domain.instrument import Category
from relay.domain.notice import NoticeKind
from relay.domain.rounding import plain
from relay.journal.journal import Journal
from relay.pipeline.announce import Announcer
from relay.pipeline.work import Work

DRIFT = "drift"


class DriftWatch:
    """It orders nothing: a drift is mended, where that is wished, by the plan of a later alert.

    Each signal that finds one is noted; people are told once, and again when it has changed or come back. A restart
    forgets what was told.
    """

    def __init__(self, *, journal: Journal, announcer: Announcer) -> None:
        self._journal = journal
        self._announcer = announcer
        self._told: dict[tuple[str, str, Category, str], str] = {}
        """By strategy, account and instrument; a lane has it to itself."""

    def notes(self, work: Work, *, now_ms: int) -> tuple[str, ...]:
        """For a signal that is done: the difference in words, which is also kept as an event and announced."""
        signal, expected, position = work.signal, work.expected, position_after(work)
        assert signal.category is not None and signal.symbol is not None
        instrument = work.account.market.instrument(signal.category, signal.symbol)
        if expected is None or position is None or instrument is None:
            return ()
        key = signal.strategy, work.account.name, signal.category, signal.symbol
        if not expected.differs(position, instrument):
            self._told.pop(key, None)
            return ()
        if self._journal.strategies.is_overtaken(signal.id):
            return ()
        note = f"the account is not where the strategy is: {expected} is expected, and it holds {plain(position)}"
        detail = {"account": work.account.name, "expected": str(expected), "position": plain(position)}
        self._journal.event(signal.id, DRIFT, detail, now_ms=now_ms)
        if self._told.get(key) != (gap := expected.gap(position)):
            self._told[key] = gap
            where = f"strategy {signal.strategy}, {signal.symbol} on {work.account.name}"
            self._announcer.tell(NoticeKind.DRIFT, f"{where}: {note} (signal {signal.id})")
        return (note,)


def position_after(work: Work) -> Decimal | None:
    """The position that was read for the plan and what the signal's orders did to it; None where that is not known.

    What rests may be filled without being known yet, so then nothing is said.
    """
    if work.seen is None or work.seen.has_resting or any(not order.status.is_ended for order in work.orders.values()):
        return None
    moved = (order.planned.side.sign * order.filled_qty for order in work.orders.values())
    return work.seen.position.size + sum(moved, Decimal(0))
