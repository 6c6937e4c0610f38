"""What the writes about signals and about orders have in common."""

from __future__ import annotations

from sqlalchemy import Connection

from relay.journal.admission import add_event


class Writes:
    """Operations within one transaction; `now_ms` is the relay's clock, Unix milliseconds."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def event(self, signal_id: str, name: str, detail: object, *, now_ms: int) -> None:
        """Events are only ever added."""
        add_event(self.connection, signal_id, name, detail, now_ms)
