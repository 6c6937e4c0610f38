"""What the pipeline expects of an engine, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from relay.domain.instrument import Category


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Lane:
    """The effects of one account on one *resolved* instrument happen one after the other."""

    account: str
    category: Category
    symbol: str


class Item(Protocol):
    """One signal's work in one lane."""

    def step(self) -> float | None:
        """Do the next thing. None: finished. Else: seconds after which there is more to do; the lane waits with it."""

    def failed(self, error: Exception) -> float | None:
        """A step raised `error`. None: the lane goes on without the item. Else: seconds until it is tried again."""


class Engine(Protocol):
    """Runs each lane's items in the order in which they were submitted, different lanes in parallel."""

    def submit(self, lane: Lane, item: Item) -> None:
        """Put an item behind those that the lane has. Never blocks."""

    def depth(self) -> int:
        """How many items are not finished."""

    def close(self, timeout_s: float) -> bool:
        """Start no further step, and wait for those that run. False: some still do; the journal has their work."""
