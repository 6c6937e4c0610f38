"""What processes that share an account need: a board on which one of them writes what the stream tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from relay.domain.shared_stream import Fact, StreamSnapshot, StreamStanding


class Board(Protocol):
    """One account's. All but `wait` and `wake` raise JournalUnavailable."""

    def look(self) -> StreamSnapshot: ...

    def after(self, epoch: int, seq: int) -> list[Fact]:
        """That keeper's facts after `seq`, oldest first; perhaps not all at once."""

    def take(self) -> int | None:
        """Become the keeper for a few seconds: the epoch. Returns None if another process is."""

    def write(self, epoch: int, standing: StreamStanding, facts: Sequence[Fact], seq: int) -> bool:
        """By the right of `epoch`, which then lasts for some seconds more. `seq`: of the last fact there was.

        Returns False if it is another's by now, and nothing was written.
        """

    def give_up(self, epoch: int) -> None:
        """Let another keep it at once."""

    def wait(self, timeout_s: float) -> None:
        """Until something may be new, or for so long."""

    def wake(self) -> None:
        """End a `wait`, from any thread."""
