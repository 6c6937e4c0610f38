"""What the writes about signals and about orders have in common."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table

from relay.journal.adding import Rows, add
from relay.journal.admission import event_row
from relay.journal.tables import events


class Writes:
    """Operations within one transaction; `now_ms` is the relay's clock, Unix milliseconds."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._events: list[dict[str, Any]] = []

    def event(self, signal_id: str, name: str, detail: object, *, now_ms: int) -> None:
        """Events are only ever added: in their order, with what is added next or at the end."""
        self._events.append(event_row(signal_id, name, detail, now_ms))

    def add(self, *wanted: tuple[Table, Rows]) -> None:
        """New rows, and the events so far."""
        told, self._events = self._events, []
        add(self.connection, *wanted, (events, told))

    def close(self) -> None:
        """Nothing else is written in this transaction."""
        if self._events:
            self.add()
