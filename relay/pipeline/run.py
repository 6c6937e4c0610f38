"""From the journal's admission to the lanes: in the order of acceptance, whoever's thread comes first."""

from __future__ import annotations

from typing import Protocol

from relay.domain.signal import Signal
from relay.engine.engine import Engine
from relay.journal.journal import Journal
from relay.journal.records import Admission, ExecutionRecord, New, Reopened
from relay.pipeline.items import Items


class Feeder(Protocol):
    """What becomes of signals once they are accepted, whichever engine executes them."""

    @property
    def is_open(self) -> bool:
        """Whether what is accepted is executed at once."""

    def admitted(self, admission: Admission, signal: Signal, accounts: tuple[str, ...]) -> None:
        """Called right after the commit; it only reads."""

    def opened_again(self, reopened: Reopened) -> None:
        """The same for a signal that was opened again, with what the transaction that did it had of it."""


class Runner:
    """Feeds an engine. Until `recover` has put in what the journal holds, what is admitted waits in the journal."""

    def __init__(self, *, journal: Journal, engine: Engine, items: Items) -> None:
        self._journal = journal
        self._engine = engine
        self._items = items
        self._is_open = False

    @property
    def is_open(self) -> bool:
        return self._is_open

    def admitted(self, admission: Admission, signal: Signal, accounts: tuple[str, ...]) -> None:
        """In the journal's writer, so in the order of acceptance."""
        match admission:
            case New() if self._is_open:
                for name in accounts:
                    self._engine.submit(*self._items.of_new(signal, name))
            case Reopened():
                self.opened_again(admission)

    def opened_again(self, reopened: Reopened) -> None:
        if self._is_open:
            for assignment in reopened.assignments:
                self._resume(assignment)

    def recover(self) -> int:
        """Put everything unfinished into its lanes, oldest first, and open the way for what comes. How many there were.

        Happens between two transactions of the journal's writer: what is accepted later is not among it, and is
        submitted behind it. Raises JournalUnavailable; then nothing was submitted.
        """
        return len(self._journal.hand_over(self._take_up))

    def _take_up(self, unfinished: tuple[ExecutionRecord, ...]) -> None:
        for assignment in unfinished:
            self._resume(assignment)
        self._is_open = True

    def _resume(self, assignment: ExecutionRecord) -> None:
        placed = self._items.of_kept(assignment)
        if placed is not None:
            self._engine.submit(*placed)
