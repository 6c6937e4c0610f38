"""An account's stream as the processes that share it see it: one of them keeps it and tells the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStanding:
    """How the stream stands at its keeper. `generation` counts the times that it was opened; `problem`: in words."""

    generation: int = 0
    is_live: bool = False
    problem: str = "not opened yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One message of the stream. `seq` counts those of one keeper from 1, without a gap."""

    seq: int
    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSnapshot:
    """What the keeper wrote last, at one moment.

    `epoch`: of the right by which it was written. `seq`: of its last fact. `left_ms`: how long the present keeper's
    right still lasts, 0 where nobody has it. `is_keepers`: whether it is the present keeper that wrote.
    """

    epoch: int = 0
    seq: int = 0
    standing: StreamStanding = StreamStanding()
    left_ms: int = 0
    is_keepers: bool = False

    @property
    def is_live(self) -> bool:
        """Whether somebody tells what happens."""
        return self.standing.is_live and self.is_keepers and self.left_ms > 0
