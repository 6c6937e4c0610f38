"""The unit of work: all that is written in one transaction while a signal is executed, by what it is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, tuple_, update

from relay.domain.instrument import Category
from relay.domain.order import UNFINISHED, Purpose, Reason, RequestSignature, SignalStatus
from relay.domain.plan import Plan, PlanStatus, Residual
from relay.journal.engine_queries import circumstances
from relay.journal.orders import Orders, Positions, Protection
from relay.journal.records import HALT, LOGGED_OUT, REASON_KNOWN, Circumstances, reason_columns
from relay.journal.statements import Arriving, EventLog, ask, fetch_all, fetch_first, fetch_one, run
from relay.journal.store import T, hold, locks_on
from relay.journal.tables import assignments, carries, events, plans, signals, switches

_this_signal = signals.c.id == bindparam("of_signal")
_this_execution = (assignments.c.signal_id == bindparam("of_signal")) & (
    assignments.c.account == bindparam("of_account")
)
_BEGIN = (
    update(assignments)
    .where(_this_execution & (assignments.c.status == SignalStatus.ACCEPTED))
    .returning(assignments.c.account)
)
_has_begun = exists().where(_this_execution & (assignments.c.status == SignalStatus.EXECUTING))
_BEGIN_SIGNAL = (
    update(signals)
    .where(_this_signal & (signals.c.status == SignalStatus.ACCEPTED) & _has_begun)
    .returning(signals.c.notes)
)
_CHANGE = update(assignments).where(_this_execution)
_CHANGE_SIGNAL = update(signals).where(_this_signal)
_SIGNAL = select(signals.c.status, signals.c.notes).where(_this_signal)
_HELD_SIGNAL = _SIGNAL.with_for_update()
"""Of two accounts that finish at the same moment the second must see the first; SQLite has one writer anyway."""
_EXECUTIONS = (
    select(assignments).where(assignments.c.signal_id == bindparam("of_signal")).order_by(assignments.c.account)
)
_EXECUTION = select(assignments).where(_this_execution)
_HALT = select(switches.c.value, switches.c.by).where(
    switches.c.account == bindparam("of_account"), switches.c.name == HALT
)
_ADD_RESIDUAL = insert(carries)
_lane = select(assignments.c.account, assignments.c.category, assignments.c.symbol).where(_this_execution)
_of_lane = tuple_(carries.c.account, carries.c.category, carries.c.symbol).in_(_lane)
_FORGET_RESIDUAL = delete(carries).where(_of_lane)
_RESIDUAL = select(carries.c.size).where(_of_lane)
_WORST_FIRST = (
    SignalStatus.ATTENTION,
    SignalStatus.FAILED,
    SignalStatus.DONE,
    SignalStatus.DENIED,
    SignalStatus.EXPIRED,
)


class UnitOfWork:
    """Operations that become durable together; see `Journal.write`. `now_ms`: the relay's clock, Unix milliseconds."""

    def __init__(self, connection: Connection, arriving: Arriving | None = None) -> None:
        self._connection = connection
        self.events = EventLog(connection, events, arriving)
        self.positions = Positions(connection)
        self.protection = Protection(connection)
        self.orders = Orders(connection, self.events, self.positions)
        self.signals = Signals(connection, self.events)
        self.plans = Plans(connection, self.events, self.orders, self.protection)

    def circumstances(self, account: str, category: Category, symbol: str) -> Circumstances:
        """See `Journal.circumstances`."""
        return circumstances(self._connection, account, category, symbol)

    def halted(self, account: str) -> str | None:
        """Who halted new entries; None if nobody did. Read here, so that none leaves once a halt was answered.

        A halt that is being written is waited for, and one that begins now waits until this transaction has ended.
        """
        return self.ask_halted(account)()

    def ask_halted(self, account: str) -> Callable[[], str | None]:
        """The same in two steps: see `ask`."""
        self._hold(shared=(f"halt {account}",))
        rows = ask(self._connection, _HALT, {"of_account": account})
        return lambda: next((str(row.by) for row in rows() if row.value == "on"), None)

    def set_switch(self, account: str, name: str, value: str, *, by: str, now_ms: int) -> None:
        """A setting that survives restarts, such as `halt`. `account` empty: of every account."""
        if name == HALT:
            self._hold(f"halt {account}")
        which = (switches.c.account == account) & (switches.c.name == name)
        self._connection.execute(delete(switches).where(which))
        self._connection.execute(
            insert(switches), {"account": account, "name": name, "value": value, "at": now_ms, "by": by}
        )

    def end_session(self, key: str, *, now_ms: int, forget_before_ms: int) -> None:
        """Nobody is logged in by it any more. Those that ended before `forget_before_ms` are past their time anyway."""
        is_past = (switches.c.name == LOGGED_OUT) & (switches.c.at < forget_before_ms)
        self._connection.execute(delete(switches).where(is_past))
        self.set_switch(key, LOGGED_OUT, "on", by="its owner", now_ms=now_ms)

    def _hold(self, *names: str, shared: tuple[str, ...] = ()) -> None:
        """Several processes write at once; SQLite has one writer anyway."""
        if self._connection.dialect.name != "sqlite":
            hold(self._connection, locks_on(*names, shared=shared))


@dataclass(slots=True, eq=False)
class Signals:
    """What a signal is at, on each of its accounts and as a whole."""

    _connection: Connection
    _events: EventLog
    _notes: dict[str, list[str]] = field(default_factory=dict)
    """Of signals that nobody else can change now, since this transaction has."""

    def begin(self, signal_id: str, account: str, *, now_ms: int) -> None:
        """The signal's turn on this account has come. Once it has begun, or has finished, this changes nothing."""
        if (arriving := self._events.arriving) is not None:
            for row in (*arriving.signals[1], *arriving.executions[1]):
                row["status"] = SignalStatus.EXECUTING
            self._events.add(signal_id, SignalStatus.EXECUTING, {"account": account}, now_ms=now_ms)
            return
        executing = {"status": SignalStatus.EXECUTING, "of_signal": signal_id}
        executing["of_account"] = account
        begun, signal = (ask(self._connection, each, executing) for each in (_BEGIN, _BEGIN_SIGNAL))
        if begun():
            self._notes.update((signal_id, row.notes) for row in signal())
            self._events.add(signal_id, SignalStatus.EXECUTING, {"account": account}, now_ms=now_ms)

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
        assert status not in UNFINISHED and status is not SignalStatus.REJECTED, (
            f"{status} is not the end of an execution"
        )
        held = fetch_one(self._connection, _HELD_SIGNAL, {"of_signal": signal_id})
        self._notes.setdefault(signal_id, held.notes)
        parts = {each.account: each for each in fetch_all(self._connection, _EXECUTIONS, {"of_signal": signal_id})}
        known: SignalStatus = parts[account].status
        is_final = known not in UNFINISHED and status is not SignalStatus.ATTENTION and not is_better_known
        may_be_new = is_better_known or status is SignalStatus.ATTENTION
        is_new_reason = may_be_new and parts[account].reason_code != (reason.code if reason else None)
        if (known is status and not is_new_reason) or is_final:
            return self._status_of(signal_id)
        of_execution = {"of_signal": signal_id, "of_account": account}
        run(self._connection, _CHANGE, {"status": status, **reason_columns(reason), **of_execution})
        detail = {"account": account, "reason": reason.code if reason else None}
        # Only what calls for a person is said again where its reason is another one: an end is written down once.
        name = REASON_KNOWN if known is status and status is not SignalStatus.ATTENTION else status
        self._events.add(signal_id, name, {k: v for k, v in detail.items() if v is not None}, now_ms=now_ms)
        ended = [_ended(each) for each in parts.values() if each.account != account]
        ended.append(Ended(account=account, status=status, reason=reason))
        return self._finish_signal(signal_id, ended, notes, now_ms)

    def resolve(self, signal_id: str, category: Category, symbol: str) -> None:
        """Name the signal's instrument, on every account."""
        lane = {"category": category, "symbol": symbol}
        self._connection.execute(_CHANGE_SIGNAL, lane | {"of_signal": signal_id})
        of_signal = assignments.c.signal_id == signal_id
        self._connection.execute(update(assignments).where(of_signal).values(lane))

    def add_notes(self, signal_id: str, notes: Sequence[str]) -> None:
        """Each note is stored once."""
        if (arriving := self._events.arriving) is not None:
            (row,) = arriving.signals[1]
            row["notes"] = list(dict.fromkeys([*row["notes"], *notes]))
        elif changed := self._with_notes(signal_id, notes):
            run(self._connection, _CHANGE_SIGNAL, changed | {"of_signal": signal_id})

    def _with_notes(self, signal_id: str, notes: Sequence[str]) -> dict[str, Any]:
        """The column that holds them, where any of them is new."""
        if not notes:
            return {}
        known = self._notes.get(signal_id)
        if known is None:
            known = fetch_one(self._connection, _HELD_SIGNAL, {"of_signal": signal_id}).notes
        new = [note for note in dict.fromkeys(notes) if note not in known]
        self._notes[signal_id] = [*known, *new]
        return {"notes": self._notes[signal_id]} if new else {}

    def _finish_signal(self, signal_id: str, ended: list[Ended], notes: Sequence[str], now_ms: int) -> SignalStatus:
        if any(each.status in UNFINISHED for each in ended):
            self.add_notes(signal_id, notes)
            return self._status_of(signal_id)
        came_to = summary(ended)
        finished = {"status": came_to.status, **reason_columns(came_to.reason), "finished_at": now_ms}
        finished |= self._with_notes(signal_id, (*notes, *came_to.notes))
        run(self._connection, _CHANGE_SIGNAL, finished | {"of_signal": signal_id})
        return came_to.status

    def _status_of(self, signal_id: str) -> SignalStatus:
        status: SignalStatus = fetch_one(self._connection, _SIGNAL, {"of_signal": signal_id}).status
        return status


@dataclass(slots=True, eq=False)
class Plans:
    """What a signal's orders are to be."""

    _connection: Connection
    _events: EventLog
    _orders: Orders
    _protection: Protection

    def record(
        self,
        *,
        signal_id: str,
        account: str,
        generation: int,
        plan: Plan,
        first_attempt: tuple[str, RequestSignature] | None = None,
        is_carried: bool = True,
        now_ms: int,
    ) -> tuple[str, ...]:
        """The plan and its orders, before anything is sent; written once for a generation. Returns the orders' ids.

        `first_attempt`: the client order id that is about to be sent, and what it will be signed with. What the plan
        carries replaces what was carried for the instrument, unless the plan is a refusal. `is_carried`: whether
        anything may have been.
        """
        detail = {"account": account, "orders": len(plan.orders), "inputs": dict(plan.inputs)}
        # Not named after the plan's own status: `done` and `denied` are what a signal comes to, once.
        self._events.add(signal_id, PlanStatus.PLANNED, detail, now_ms=now_ms)
        ids, wanted = self._orders.new_rows(signal_id, account, generation, plan.orders, first_attempt, now_ms)
        made = {
            "signal_id": signal_id,
            "account": account,
            "generation": generation,
            "inputs": dict(plan.inputs),
            "orders": [row["planned"] for row in wanted[0][1]],
            "notes": list(plan.notes),
            **reason_columns(plan.reason),
            "at": now_ms,
        }
        self._events.insert((plans, [made]), *wanted)
        if plan.bracket is not None:
            bracket = replace(plan.bracket, entries=_entries(plan, ids))
            of_execution = {"of_signal": signal_id, "of_account": account}
            lane: Any = plan.orders[0] if plan.orders else fetch_one(self._connection, _EXECUTION, of_execution)
            self._protection.add(
                signal_id=signal_id,
                account=account,
                generation=generation,
                category=lane.category,
                symbol=lane.symbol,
                bracket=bracket,
                now_ms=now_ms,
            )
        if plan.status in (PlanStatus.PLANNED, PlanStatus.DONE) and (is_carried or plan.residual is not None):
            self._save_residual(signal_id, account, plan.residual)
        return ids

    def carry(self, signal_id: str, account: str, size: Decimal) -> None:
        """Add to what is carried for the instrument what an exit had to leave."""
        known = fetch_first(self._connection, _RESIDUAL, {"of_signal": signal_id, "of_account": account})
        self._save_residual(signal_id, account, Residual(size=size + (known.size if known else 0)))

    def _save_residual(self, signal_id: str, account: str, residual: Residual | None) -> None:
        of_execution = {"of_signal": signal_id, "of_account": account}
        run(self._connection, _FORGET_RESIDUAL, of_execution)
        if residual is not None and residual.size:
            lane = fetch_one(self._connection, _EXECUTION, of_execution)
            carried = {"account": account, "category": lane.category, "symbol": lane.symbol, "size": residual.size}
            run(self._connection, _ADD_RESIDUAL, carried)


def run_in(operations: Callable[[UnitOfWork], T], connection: Connection, arriving: Arriving | None = None) -> T:
    """What `operations` returns, with all that it wrote. `arriving`: of the signal that it begins, if that is new."""
    uow = UnitOfWork(connection, arriving)
    returned = operations(uow)
    uow.orders.flush()
    uow.events.flush()
    return returned


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


def _entries(plan: Plan, ids: tuple[str, ...]) -> tuple[str, ...]:
    """The orders that open what the plan's bracket protects."""
    pairs = zip(plan.orders, ids, strict=True)
    return tuple(each_id for order, each_id in pairs if order.purpose is not Purpose.EXIT)


def _ended(part: Any) -> Ended:
    reason = Reason(code=part.reason_code, message=part.reason_message) if part.reason_code else None
    return Ended(account=part.account, status=part.status, reason=reason)
