"""What the journal needs of a database: units of work that are durable once they return, and reads beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from relay.journal.locks import Lock

T = TypeVar("T")
Work = Callable[[Connection], T]
Undo = Callable[[Connection, T], None]


class Store(Protocol):
    def submit(
        self,
        work: Work[T],
        *,
        holding: Sequence[Lock] = (),
        deadline_s: float = 2.0,
        on_withdrawn: Undo[T] | None = None,
        on_committed: Callable[[T], None] | None = None,
        is_urgent: bool = False,
    ) -> T:
        """Run `work` in a transaction and return once that is durable.

        `work` may be run more than once, of which one run counts. What it raises is raised here, and undone.
        JournalUnavailable: it did not become durable within `deadline_s` and takes no effect any more. Where the commit
        was under way by then: with `on_withdrawn` that undoes it before anything else is written, given what
        `work` returned; without, this waits on until the commit has come to its end.

        `holding`: the locks (`journal.locks`) that are taken first, where several processes write.

        `on_committed` is given what `work` returned, once that is durable and stays so: in the order of the commits
        where there is one writer, and before anything else is written. It must be quick and may only read.
        `is_urgent`: it goes before all that waits, where not all of that is written together.
        """
        ...

    def post(self, work: Work[object], then: Callable[[Exception | None], None]) -> None:
        """Run `work` with the next transaction, without waiting for it; `then` is told what went wrong, if anything."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """A connection that sees all that is durable and can change nothing. JournalUnavailable if there is none."""
        ...

    def probe(self) -> None:
        """JournalUnavailable if the journal cannot be written just now."""
        ...

    def close(self) -> None:
        """Finish what was submitted, then let go of the database."""
        ...
