"""What the journal knows of strategies, whatever the account."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select

from relay.domain.signal import Action
from relay.journal import chains
from relay.journal.chains import ChainRecord
from relay.journal.store import Store
from relay.journal.tables import signals

_LOOKED_BACK: Final = 10_000


class StrategyReads:
    """Questions only; all may be asked from any thread. Raises JournalUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def chains(self) -> tuple[ChainRecord, ...]:
        """Where each strategy said it stood, at each of its instruments."""
        with self._store.read() as connection:
            return chains.all_chains(connection)

    def is_overtaken(self, signal_id: str) -> bool:
        """Whether a later alert of its strategy was accepted before this one."""
        with self._store.read() as connection:
            return chains.is_overtaken(connection, signal_id)

    def last_alerts(self, strategy: str) -> tuple[int | None, int | None]:
        """When the last alert came, rejected ones included, and the last heartbeat: Unix milliseconds.

        None: never, or not among the newest signals, for a long journal is not read through.
        """
        newest = select(signals.c.received_at).where(signals.c.strategy == strategy).order_by(signals.c.seq.desc())
        with self._store.read() as connection:
            alert_ms: int | None = connection.execute(newest.limit(1)).scalar()
            latest = select(func.max(signals.c.seq)).scalar_subquery()
            beats = newest.where(signals.c.action == Action.HEARTBEAT, signals.c.seq > latest - _LOOKED_BACK).limit(1)
            beat_ms: int | None = connection.execute(beats).scalar()
        return alert_ms, beat_ms
