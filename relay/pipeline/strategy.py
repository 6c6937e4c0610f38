"""A strategy: who may send alerts in its name, to which accounts they go, and how repeats are told."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """`dedup_window_ms`: how long the same body without an `id` is the same alert; 0: never."""

    name: str
    accounts: tuple[str, ...]
    secrets: tuple[str, ...] = field(repr=False)
    dedup_window_ms: int = 30_000
    heartbeat_s: int | None = None
    heartbeat_any: bool = False
