"""What a signal is at: the one question that is asked again and again."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from relay.domain.status import SignalStatus
from relay.journal.prepared import first_of
from relay.journal.store import Store
from relay.journal.tables import signals

_STATUS = select(signals.c.status).where(signals.c.id == bindparam("of_signal"))


def status_of(store: Store, signal_id: str) -> SignalStatus | None:
    """None: there is no such signal."""
    with store.read() as connection:
        found = first_of(connection, _STATUS, {"of_signal": signal_id})
    return None if found is None else found.status
