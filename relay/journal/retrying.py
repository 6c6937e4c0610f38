"""Opening a signal again because a person asked for it."""

from __future__ import annotations

from sqlalchemy import Connection, select

from relay.domain.status import SignalStatus
from relay.errors import SignalNotRetryable
from relay.journal.admission import reopen
from relay.journal.certainty import MAX_GENERATION, is_without_effect
from relay.journal.records import Reopened
from relay.journal.tables import signals

_RETRYABLE = (SignalStatus.FAILED, SignalStatus.DENIED, SignalStatus.EXPIRED, SignalStatus.ATTENTION)


def reopen_by_hand(connection: Connection, signal_id: str, now_ms: int) -> Reopened:
    """Opens the next generation. SignalNotRetryable unless nothing of it can have had an effect."""
    which = select(signals.c.status, signals.c.generation).where(signals.c.id == signal_id)
    known = connection.execute(which).first()
    if known is None:
        raise SignalNotRetryable(f"there is no signal {signal_id}")
    if known.status not in _RETRYABLE:
        raise SignalNotRetryable(f"a signal that is {known.status} cannot be opened again")
    if known.generation >= MAX_GENERATION:
        raise SignalNotRetryable(f"a signal is opened again at most {MAX_GENERATION} times")
    if not is_without_effect(connection, signal_id):
        raise SignalNotRetryable("an order of this signal may have reached the exchange; look there first")
    return reopen(connection, signal_id, now_ms=now_ms, why="retry")
