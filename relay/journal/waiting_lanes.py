"""What several processes ask for instead of being handed it: which lanes have work, and the next piece of one."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass, replace

from sqlalchemy import ARRAY, Connection, Text, any_, bindparam, cast, func, select

from relay.domain.instrument import Category
from relay.engine import lease_guard
from relay.engine.lease_guard import Lease
from relay.journal import engine_queries, leases
from relay.journal.records import ExecutionRecord
from relay.journal.store import Store, lane_name, locks_on
from relay.journal.tables import IS_UNFINISHED, assignments, signals

_AT_ONCE_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LaneKey:
    """A lane as the journal knows it. `category` is None where the instrument of an alert is not known yet."""

    account: str
    category: Category | None
    symbol: str
    """Or the ticker, where the instrument is not known."""

    @property
    def name(self) -> str:
        return lane_name(self.account, self.category, self.symbol)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A lane that this process works in, and what is to be done next there."""

    lease: Lease
    execution: ExecutionRecord | None
    """None if there is nothing. One without a category may belong in this lane; it must be given its name
    first."""


class WaitingLanes:
    """Thread-safe. Raises JournalUnavailable."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner

    def next(
        self, lane: LaneKey, lease: Lease | None, *, keep: bool = False, unresolved_until: int | None = None
    ) -> Turn | None:
        """The lane's oldest unfinished work, by the right of `lease` or else of a new one.

        Returns None if another process is at it, or there is none, and the lease is given back, unless it is to `keep`.
        Whoever accepts an alert holds the lane's lock until it is there to be seen: so either this sees it, or a job
        follows. An older one of the account whose instrument is not known comes before it, unless it is looked past
        those that were accepted up to `unresolved_until`.
        """

        def work(connection: Connection) -> Turn | None:
            held = lease or leases.take(connection, lane.name, self._owner)
            if held is None:
                return None
            found = engine_queries.first_of_lane(
                connection, lane.account, lane.category, lane.symbol, unresolved_until=unresolved_until
            )
            if found is None and not keep:
                leases.release(connection, held)
                return None
            if found is not None and found.plan is None and lane.category is not None:
                known = engine_queries.circumstances(connection, lane.account, lane.category, lane.symbol)
                found = replace(found, circumstances=known)
            return Turn(lease=held, execution=found)

        with nullcontext() if lease is None else lease_guard.holding(lease):
            return self._store.submit(work, holding=locks_on(lanes=[lane.name]), deadline_s=10)

    def unresolved(self, account: str) -> tuple[ExecutionRecord, ...]:
        """What was accepted before any instrument was known, oldest first."""
        with self._store.read() as connection:
            return engine_queries.unresolved(connection, account)

    def unattended(self, accounts: Collection[str]) -> tuple[list[LaneKey], int | None]:
        """Lanes with work and nobody at it, not all at once; and the milliseconds until the next lease ends."""
        with self._store.read() as connection:
            rows = connection.execute(_UNATTENDED, {"of_accounts": list(accounts)}).all()
            ends_in_ms = leases.next_end_ms(connection)
        return [LaneKey(account=each.account, category=each.category, symbol=each.symbol) for each in rows], ends_in_ms


_symbol = func.coalesce(assignments.c.symbol, signals.c.ticker, "")
_name = assignments.c.account + "/" + func.coalesce(cast(assignments.c.category, Text), "?") + "/" + _symbol
"""See `lane_name`."""
_UNATTENDED = (
    select(assignments.c.account, assignments.c.category, _symbol.label("symbol"))
    .join(signals, signals.c.id == assignments.c.signal_id)
    .where(IS_UNFINISHED, assignments.c.account == any_(bindparam("of_accounts", type_=ARRAY(Text))))
    .where(~leases.is_held(_name))
    .group_by(assignments.c.account, assignments.c.category, _symbol)
    .order_by(func.min(assignments.c.seq))
    .limit(_AT_ONCE_MAX)
)
"""All of it in the database, for thousands of lanes may be waiting."""
