"""What a signal came to as a whole, from what it came to on each of its accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relay.domain.order import Reason
from relay.domain.status import SignalStatus

_WORST_FIRST = (
    SignalStatus.ATTENTION,
    SignalStatus.FAILED,
    SignalStatus.DONE,
    SignalStatus.DENIED,
    SignalStatus.EXPIRED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    account: str
    status: SignalStatus
    reason: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    status: SignalStatus
    reason: Reason | None
    notes: tuple[str, ...]


def summary(parts: Sequence[Ended]) -> Summary:
    """Any account's `attention`, else any `failed`, else any `done`, else `denied`, else `expired`.

    `done` goes before `denied` and `expired` because something was executed; the accounts that did otherwise than the
    whole are named in the notes, so that they are not overlooked.
    """
    status = next(each for each in _WORST_FIRST if any(part.status is each for part in parts))
    reason = next((part.reason for part in parts if part.status is status and part.reason), None)
    notes = tuple(_note(part) for part in parts if part.status is not status)
    return Summary(status=status, reason=reason, notes=notes)


def _note(part: Ended) -> str:
    why = f": {part.reason.message}" if part.reason else ""
    return f"on account {part.account}: {part.status}{why}"
