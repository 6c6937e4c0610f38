"""What makes two alerts the same one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class IdentityKind(StrEnum):
    """By what an alert is told from others, and thereby for how long.

    `id_time`: the sender's `id` and `time` together, for good. `id`: the sender's `id` alone, for ten minutes.
    `body`: the bytes themselves, for the strategy's deduplication window.
    """

    ID_TIME = "id_time"
    ID = "id"
    BODY = "body"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An alert's identity within its strategy. Equal keys of one kind are the same alert, or a clash to be refused."""

    kind: IdentityKind
    key: str
