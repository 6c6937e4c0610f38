"""Writing down how a signal is executed on its accounts, from taking it up to what it came to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_, update

from relay.domain.guard import Guard
from relay.domain.instrument import Category
from relay.domain.order import Purpose, Reason
from relay.domain.outcome import Stamp
from relay.domain.plan import Carry, Plan, PlanStatus
from relay.domain.status import SignalStatus
from relay.journal import beliefs, guards
from relay.journal.coding import planned_to_json, reason_columns
from relay.journal.prepared import all_of, first_of, run, sole_of
from relay.journal.records import HALT
from relay.journal.reports import ReportWrites
from relay.journal.store import T
from relay.journal.summary import Ended, summary
from relay.journal.tables import assignments, carries, plans, signals, switches

_this_signal = signals.c.id == bindparam("of_signal")
_this_assignment = (assignments.c.signal_id == bindparam("of_signal")) & (
    assignments.c.account == bindparam("of_account")
)
_BEGIN = update(assignments).where(_this_assignment & (assignments.c.status == SignalStatus.ACCEPTED))
_BEGIN_SIGNAL = (
    update(signals).where(_this_signal & (signals.c.status == SignalStatus.ACCEPTED)).returning(signals.c.notes)
)
_CHANGE = update(assignments).where(_this_assignment)
_CHANGE_SIGNAL = update(signals).where(_this_signal)
_SIGNAL = select(signals.c.status, signals.c.notes).where(_this_signal)
_HELD_SIGNAL = _SIGNAL.with_for_update()
"""Of two accounts that finish at the same moment the second must see the first; SQLite has one writer anyway."""
_ASSIGNMENTS = (
    select(assignments).where(assignments.c.signal_id == bindparam("of_signal")).order_by(assignments.c.account)
)
_ASSIGNMENT = select(assignments).where(_this_assignment)
_HALT = select(switches.c.value, switches.c.by).where(
    switches.c.account == bindparam("of_account"), switches.c.name == HALT
)
_ADD_CARRY = insert(carries)
_lane = select(assignments.c.account, assignments.c.category, assignments.c.symbol).where(_this_assignment)
_FORGET_CARRY = delete(carries).where(tuple_(carries.c.account, carries.c.category, carries.c.symbol).in_(_lane))


class Batch(ReportWrites):
    """Everything the pipeline writes while it executes; see `Journal.write`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._notes: dict[str, list[str]] = {}
        """Of signals that nobody else can change now, since this transaction has."""

    def begin(self, signal_id: str, account: str, *, now_ms: int) -> None:
        """The signal's turn on this account has come. Once it has begun, or has finished, this changes nothing."""
        executing = {"status": SignalStatus.EXECUTING, "of_signal": signal_id}
        if run(self.connection, _BEGIN, executing | {"of_account": account}).rowcount:
            if (begun := first_of(self.connection, _BEGIN_SIGNAL, executing)) is not None:
                self._notes[signal_id] = begun.notes
            self.event(signal_id, SignalStatus.EXECUTING, {"account": account}, now_ms=now_ms)

    def record_plan(
        self,
        *,
        signal_id: str,
        account: str,
        generation: int,
        plan: Plan,
        first_attempt: tuple[str, Stamp] | None = None,
        is_carried: bool = True,
        now_ms: int,
    ) -> tuple[str, ...]:
        """The plan and its orders, before anything is sent; written once for a generation. Returns the orders' ids.

        `first_attempt`: the client order id that is about to be sent, and what it will be signed with. What the plan
        carries replaces what was carried for the instrument, unless the plan is a refusal. `is_carried`: whether
        anything may have been.
        """
        made = {
            "signal_id": signal_id,
            "account": account,
            "generation": generation,
            "inputs": dict(plan.inputs),
            "orders": [planned_to_json(order) for order in plan.orders],
            "notes": list(plan.notes),
            **reason_columns(plan.reason),
            "at": now_ms,
        }
        detail = {"account": account, "orders": len(plan.orders), "inputs": dict(plan.inputs)}
        # Not named after the plan's own status: `done` and `denied` are what a signal comes to, once.
        self.event(signal_id, PlanStatus.PLANNED, detail, now_ms=now_ms)
        ids, wanted = self._new_orders(signal_id, account, generation, plan.orders, first_attempt, now_ms)
        self.add((plans, [made]), *wanted)
        if plan.guard is not None:
            self._guard_for(signal_id, account, generation, replace(plan.guard, entries=_entries(plan, ids)), now_ms)
        if plan.status in (PlanStatus.PLANNED, PlanStatus.DONE) and (is_carried or plan.carry is not None):
            self._carry_for(signal_id, account, plan.carry)
        return ids

    def finish(
        self,
        signal_id: str,
        account: str,
        status: SignalStatus,
        reason: Reason | None = None,
        notes: Sequence[str] = (),
        *,
        is_better_known: bool = False,
        now_ms: int,
    ) -> SignalStatus:
        """What the signal came to on this account. Returns what the signal as a whole is at now.

        It is finished once all accounts are (`summary`). A finished account stays as it is, except that `attention` can
        still be called for, and where it `is_better_known`: what it had come to was not known for certain.
        """
        assert status.is_finished and status is not SignalStatus.REJECTED, f"{status} is not the end of an execution"
        held = sole_of(self.connection, _HELD_SIGNAL, {"of_signal": signal_id})
        self._notes.setdefault(signal_id, held.notes)
        parts = {each.account: each for each in all_of(self.connection, _ASSIGNMENTS, {"of_signal": signal_id})}
        known: SignalStatus = parts[account].status
        is_kept = known.is_finished and status is not SignalStatus.ATTENTION and not is_better_known
        if known is status or is_kept:
            return self._status_of(signal_id)
        of_assignment = {"of_signal": signal_id, "of_account": account}
        run(self.connection, _CHANGE, {"status": status, **reason_columns(reason), **of_assignment})
        detail = {"account": account, "reason": reason.code if reason else None}
        self.event(signal_id, status, {k: v for k, v in detail.items() if v is not None}, now_ms=now_ms)
        ended = [_ended(each) for each in parts.values() if each.account != account]
        ended.append(Ended(account=account, status=status, reason=reason))
        return self._finish_signal(signal_id, ended, notes, now_ms)

    def keep_guard(self, seq: int, guard: Guard, *, now_ms: int) -> None:
        """How a guard stands now."""
        guards.keep_guard(self.connection, seq, guard, now_ms=now_ms)

    def resolve(self, signal_id: str, category: Category, symbol: str) -> None:
        """Name the signal's instrument, on every account."""
        lane = {"category": category, "symbol": symbol}
        self.connection.execute(_CHANGE_SIGNAL, lane | {"of_signal": signal_id})
        of_signal = assignments.c.signal_id == signal_id
        self.connection.execute(update(assignments).where(of_signal).values(lane))

    def add_notes(self, signal_id: str, notes: Sequence[str]) -> None:
        """Each note is kept once."""
        if not notes:
            return
        known = self._notes.get(signal_id)
        if known is None:
            known = sole_of(self.connection, _HELD_SIGNAL, {"of_signal": signal_id}).notes
        if new := [note for note in dict.fromkeys(notes) if note not in known]:
            self._notes[signal_id] = [*known, *new]
            run(self.connection, _CHANGE_SIGNAL, {"notes": [*known, *new], "of_signal": signal_id})

    def observe(self, account: str, category: Category, symbol: str, size: Decimal, *, at_ms: int) -> Decimal | None:
        """The exchange's word on a position, asked for at `at_ms` of its clock: what was believed, if it differs."""
        return beliefs.observe(self.connection, account, category, symbol, size, at_ms=at_ms)

    def observe_all(
        self,
        account: str,
        held: Mapping[beliefs.Lane, Decimal],
        *,
        busy: Collection[beliefs.Lane],
        at_ms: int,
    ) -> dict[beliefs.Lane, Decimal]:
        """The same of all positions of the account, as they are `held`, but for those of `busy` instruments."""
        return beliefs.observe_all(self.connection, account, held, busy=busy, at_ms=at_ms)

    def halted(self, account: str) -> str | None:
        """Who halted new entries; None: nobody. Read here, so that none leaves once a halt was answered."""
        row = first_of(self.connection, _HALT, {"of_account": account})
        return None if row is None or row.value != "on" else str(row.by)

    def set_switch(self, account: str, name: str, value: str, *, by: str, now_ms: int) -> None:
        """A setting that survives restarts, such as `halt`. `account` empty: of every account."""
        which = (switches.c.account == account) & (switches.c.name == name)
        self.connection.execute(delete(switches).where(which))
        self.connection.execute(
            insert(switches), {"account": account, "name": name, "value": value, "at": now_ms, "by": by}
        )

    def _finish_signal(self, signal_id: str, ended: list[Ended], notes: Sequence[str], now_ms: int) -> SignalStatus:
        if not all(each.status.is_finished for each in ended):
            self.add_notes(signal_id, notes)
            return self._status_of(signal_id)
        came_to = summary(ended)
        self.add_notes(signal_id, (*notes, *came_to.notes))
        finished = {"status": came_to.status, **reason_columns(came_to.reason), "finished_at": now_ms}
        run(self.connection, _CHANGE_SIGNAL, finished | {"of_signal": signal_id})
        return came_to.status

    def _status_of(self, signal_id: str) -> SignalStatus:
        status: SignalStatus = sole_of(self.connection, _SIGNAL, {"of_signal": signal_id}).status
        return status

    def _guard_for(self, signal_id: str, account: str, generation: int, guard: Guard, now_ms: int) -> None:
        of_assignment = {"of_signal": signal_id, "of_account": account}
        lane = sole_of(self.connection, _ASSIGNMENT, of_assignment)
        guards.add_guard(
            self.connection,
            signal_id=signal_id,
            account=account,
            generation=generation,
            category=lane.category,
            symbol=lane.symbol,
            guard=guard,
            now_ms=now_ms,
        )

    def _carry_for(self, signal_id: str, account: str, carry: Carry | None) -> None:
        of_assignment = {"of_signal": signal_id, "of_account": account}
        run(self.connection, _FORGET_CARRY, of_assignment)
        if carry is not None and carry.size:
            lane = sole_of(self.connection, _ASSIGNMENT, of_assignment)
            carried = {"account": account, "category": lane.category, "symbol": lane.symbol, "size": carry.size}
            run(self.connection, _ADD_CARRY, carried)


def written(connection: Connection, operations: Callable[[Batch], T]) -> T:
    """What `operations` comes to, with all that it wrote."""
    batch = Batch(connection)
    came_to = operations(batch)
    batch.close()
    return came_to


def _entries(plan: Plan, ids: tuple[str, ...]) -> tuple[str, ...]:
    """The orders that open what the plan's guard protects."""
    pairs = zip(plan.orders, ids, strict=True)
    return tuple(each_id for order, each_id in pairs if order.purpose is not Purpose.EXIT)


def _ended(part: Any) -> Ended:
    reason = Reason(code=part.reason_code, message=part.reason_message) if part.reason_code else None
    return Ended(account=part.account, status=part.status, reason=reason)
