"""Questions of the engine: what is to be done, what is out at the exchange, and what the limits count."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    select,
    union,
    update,
)

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, PlannedOrder, Purpose, Reason, SignalStatus
from relay.domain.plan import Residual, Working
from relay.domain.signal import first_id_at
from relay.domain.trades import LedgerEntry, Trade
from relay.journal.records import (
    CANCEL_ANSWERED,
    CANCEL_REQUESTED,
    HALT,
    RETRY_NOW,
    AttemptOutcome,
    Circumstances,
    ExecutionRecord,
    OrderRecord,
    PlanRecord,
    Switch,
    from_json,
    order_of,
    signal_of,
    switch_of,
)
from relay.journal.statements import ask, fetch_all, pipelined
from relay.journal.store import Store
from relay.journal.tables import (
    IS_LIVE,
    IS_OPEN,
    IS_UNFINISHED,
    WITH_ATTEMPTS,
    assignments,
    attempts,
    carries,
    day_marks,
    events,
    fills,
    guards,
    orders,
    plans,
    signals,
    switches,
)
from relay.journal.trades import coins_since, open_trades

_CHUNK = 500
_ATTENTION_MAX = 100
"""So many signals that need a person are looked at again."""
_of_plan = and_(
    plans.c.signal_id == assignments.c.signal_id,
    plans.c.account == assignments.c.account,
    plans.c.generation == assignments.c.generation,
)


def unfinished(connection: Connection) -> tuple[ExecutionRecord, ...]:
    """All that is accepted and not finished, in the order in which it is to be executed."""
    return _executions(connection, IS_UNFINISHED)


def unfinished_of_account(connection: Connection, account: str) -> tuple[ExecutionRecord, ...]:
    return _executions(connection, IS_UNFINISHED & (assignments.c.account == account))


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneNews:
    """What a lane's owner asks. `category` None: of what of the account has no instrument yet."""

    account: str
    category: Category | None
    symbol: str
    behind: int
    """The `seq` of the last that it knows of there."""


Behind = tuple[Callable[[], tuple[ExecutionRecord, ...]], Callable[[], Circumstances] | None]


def unfinished_behind(connection: Connection, lanes: Sequence[LaneNews]) -> list[Behind]:
    """For each lane what was accepted there after `behind`, and the circumstances, each read when it is called.

    With it all of the account whose instrument is not known, since that may belong in the lane. All questions leave
    before the first answer is waited for.
    """
    with pipelined(connection):
        return [(_ask_behind(connection, each), _ask_around(connection, each)) for each in lanes]


def _ask_behind(connection: Connection, of: LaneNews) -> Callable[[], tuple[ExecutionRecord, ...]]:
    lane = {"of_account": of.account, "of_category": of.category, "of_symbol": of.symbol, "of_seq": of.behind}
    rows = ask(connection, _BEHIND, lane)
    return lambda: _read(connection, rows())


def _ask_around(connection: Connection, of: LaneNews) -> Callable[[], Circumstances] | None:
    return None if of.category is None else _ask_circumstances(connection, of.account, of.category, of.symbol)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedKey:
    """Which work there is, and in which lane. `category` None: its instrument is not known."""

    account: str
    signal_id: str
    generation: int
    category: Category | None
    symbol: str


def unfinished_keys(connection: Connection, accounts: Collection[str]) -> tuple[UnfinishedKey, ...]:
    """Of these accounts, in the order of acceptance. Reads no alert: there may be thousands."""
    rows = fetch_all(connection, _KEYS, {"of_accounts": list(accounts)})
    return tuple(
        UnfinishedKey(
            account=row.account,
            signal_id=row.signal_id,
            generation=row.generation,
            category=row.category,
            symbol=row.symbol or "",
        )
        for row in rows
    )


def unfinished_of(connection: Connection, account: str, category: Category, symbol: str) -> tuple[ExecutionRecord, ...]:
    of_lane = (assignments.c.category == category) & (assignments.c.symbol == symbol)
    return _executions(connection, IS_UNFINISHED & (assignments.c.account == account) & of_lane)


def in_attention(connection: Connection, account: str) -> tuple[ExecutionRecord, ...]:
    """The newest of the account's, the oldest first."""
    own = (assignments.c.account == account) & (assignments.c.status == SignalStatus.ATTENTION)
    newest = select(signals.c.id).join(assignments, (assignments.c.signal_id == signals.c.id) & own)
    newest = newest.where(signals.c.status == SignalStatus.ATTENTION)
    ids = newest.order_by(signals.c.seq.desc()).limit(_ATTENTION_MAX)
    return _executions(connection, assignments.c.signal_id.in_(ids) & own)


_IN_ATTENTION = (
    select(assignments.c.account)
    .join(signals, signals.c.id == assignments.c.signal_id)
    .where(signals.c.status == SignalStatus.ATTENTION, assignments.c.status == SignalStatus.ATTENTION)
    .distinct()
)


def accounts_in_attention(connection: Connection) -> frozenset[str]:
    return frozenset(row.account for row in fetch_all(connection, _IN_ATTENTION, {}))


def execution(connection: Connection, signal_id: str, account: str) -> ExecutionRecord | None:
    which = (assignments.c.signal_id == signal_id) & (assignments.c.account == account)
    return next(iter(_executions(connection, which)), None)


def executions_of(connection: Connection, signal_id: str) -> tuple[ExecutionRecord, ...]:
    return _executions(connection, assignments.c.signal_id == signal_id)


_OF_EXECUTION = [each.label(f"execution_{each.key}") for each in assignments.c]
_OF_PLAN = [each.label(f"plan_{each.key}") for each in plans.c]
_WHOLE = select(*signals.c, *_OF_EXECUTION, *_OF_PLAN).select_from(
    assignments.join(signals, signals.c.id == assignments.c.signal_id).outerjoin(plans, _of_plan)
)


_OLDEST_FIRST = (assignments.c.seq, assignments.c.account)
_is_unresolved = assignments.c.category.is_(None)
_of_lane = (assignments.c.category == bindparam("of_category")) & (assignments.c.symbol == bindparam("of_symbol"))
_BEHIND = _WHOLE.where(
    IS_UNFINISHED,
    assignments.c.account == bindparam("of_account"),
    (_of_lane & (assignments.c.seq > bindparam("of_seq"))) | _is_unresolved,
).order_by(*_OLDEST_FIRST)
_KEYS = (
    select(
        assignments.c.account,
        assignments.c.signal_id,
        assignments.c.generation,
        assignments.c.category,
        assignments.c.symbol,
    )
    .where(IS_UNFINISHED, assignments.c.account == any_(bindparam("of_accounts", type_=ARRAY(Text))))
    .order_by(assignments.c.seq)
)


def _executions(connection: Connection, which: ColumnElement[bool]) -> tuple[ExecutionRecord, ...]:
    """In the order in which they are to be executed."""
    return _read(connection, connection.execute(_WHOLE.where(which).order_by(*_OLDEST_FIRST)).all())


def _read(connection: Connection, rows: Sequence[Any]) -> tuple[ExecutionRecord, ...]:
    """What has no plan yet has no orders either."""
    orders_of: defaultdict[tuple[str, str, int], list[OrderRecord]] = defaultdict(list)
    ids = list({row.id for row in rows if row.plan_at is not None})
    for start in range(0, len(ids), _CHUNK):
        of_signals = WITH_ATTEMPTS.where(orders.c.signal_id.in_(ids[start : start + _CHUNK]))
        for order in _records(connection.execute(of_signals).all()):
            orders_of[order.signal_id, order.account, order.generation].append(order)
    fresh = _fresh(connection, [row for row in rows if row.execution_generation])
    return tuple(
        ExecutionRecord(
            is_fresh=(row.id, row.execution_generation) in fresh,
            signal=signal_of(row),
            account=row.execution_account,
            seq=row.execution_seq,
            generation=row.execution_generation,
            status=row.execution_status,
            opened_at_ms=row.execution_opened_at,
            plan=None if row.plan_at is None else _plan(row),
            orders=tuple(orders_of[row.id, row.execution_account, row.execution_generation]),
            reason_code=row.execution_reason_code,
            reason_message=row.execution_reason_message,
        )
        for row in rows
    )


def _fresh(connection: Connection, rows: Sequence[Any]) -> set[tuple[str, int]]:
    """The generations that a person opened to be as old as their opening."""
    if not rows:
        return set()
    opened = _in_chunks(connection, select(events), events.c.signal_id, list({row.id for row in rows}))
    return {
        (each.signal_id, each.detail["generation"])
        for of_signal in opened.values()
        for each in of_signal
        if each.name == "reopened" and each.detail["why"] == RETRY_NOW
    }


def _plan(row: Row[Any]) -> PlanRecord:
    reason = Reason(code=row.plan_reason_code, message=row.plan_reason_message) if row.plan_reason_code else None
    return PlanRecord(
        inputs=row.plan_inputs,
        orders=tuple(from_json(PlannedOrder, each) for each in row.plan_orders),
        notes=tuple(row.plan_notes),
        reason=reason,
        at_ms=row.plan_at,
    )


@cache
def select_orders(*columns: str, open_only: bool = False, with_attempts: bool = False) -> Select[Any]:
    """All orders whose `columns` are what the parameters `of_…` say. `open_only`: that may be at the exchange, and have
    not ended."""
    matching = [orders.c[name] == bindparam(f"of_{name}") for name in columns]
    return (WITH_ATTEMPTS if with_attempts else select(orders)).where(*([IS_OPEN] if open_only else []), *matching)


def open_orders(connection: Connection, **of: Any) -> tuple[OrderRecord, ...]:
    """All that may be at the exchange and has not ended; `of`: of this `account`, `category` and `symbol`."""
    values = {f"of_{name}": value for name, value in of.items()}
    return _records(fetch_all(connection, select_orders(*of, open_only=True, with_attempts=True), values))


_WITH_WORK = union(select(orders.c.account).where(IS_OPEN), select(guards.c.account).where(IS_LIVE))


def accounts_with_work(connection: Connection) -> frozenset[str]:
    return frozenset(row.account for row in fetch_all(connection, _WITH_WORK, {}))


_REQUESTED_OR_ANSWERED = (
    select(events.c.name, events.c.detail)
    .where((events.c.name == CANCEL_REQUESTED) | (events.c.name == CANCEL_ANSWERED))
    .where(
        events.c.signal_id.in_(select(orders.c.signal_id).where(IS_OPEN, orders.c.account == bindparam("of_account")))
    )
    .order_by(events.c.id)
)


_CANCEL_REQUESTS = (
    select(events.c.detail)
    .join(orders, orders.c.signal_id == events.c.signal_id)
    .where(orders.c.client_order_id == bindparam("of_client_order_id"), events.c.name == CANCEL_REQUESTED)
)


def is_unwanted(connection: Connection, client_order_id: str) -> bool:
    """Whether a person has asked for the order's end."""
    rows = fetch_all(connection, _CANCEL_REQUESTS, {"of_client_order_id": client_order_id})
    return any(row.detail["client_order_id"] == client_order_id for row in rows)


def cancels_wanted(connection: Connection, account: str) -> tuple[OrderRecord, ...]:
    """Open orders of which a person wants the end, and the exchange has not answered since."""
    wanted: dict[str, None] = {}
    for row in fetch_all(connection, _REQUESTED_OR_ANSWERED, {"of_account": account}):
        if row.name == CANCEL_REQUESTED:
            wanted[row.detail["client_order_id"]] = None
        else:
            wanted.pop(row.detail["client_order_id"], None)
    found = (order(connection, each) for each in wanted)
    return tuple(each for each in found if each and each.account == account and not each.state.status.is_ended)


_FILLED_HERE = WITH_ATTEMPTS.where(
    orders.c.account == bindparam("of_account"),
    orders.c.symbol == bindparam("of_symbol"),
    orders.c.filled_qty != Decimal(0),
)


def uncounted_orders(connection: Connection, account: str, symbol: str) -> tuple[OrderRecord, ...]:
    """Orders for coins of which more has filled than their known fills come to."""
    rows = fetch_all(connection, _FILLED_HERE, {"of_account": account, "of_symbol": symbol})
    found = _records([row for row in rows if not row.category.has_positions])
    names = [each.state.client_order_id for each in found]
    known = _in_chunks(connection, select(fills), fills.c.client_order_id, names)
    return tuple(
        each
        for each in found
        if each.state.filled_qty > sum((fill.qty for fill in known[each.state.client_order_id]), Decimal(0))
    )


_doubtful = attempts.alias()
_DENIED_IN_DOUBT = WITH_ATTEMPTS.where(
    orders.c.client_order_id >= bindparam("of_id"),
    orders.c.status == OrderStatus.DENIED,
    orders.c.updated_at >= bindparam("of_time"),
    select(_doubtful.c.number)
    .where(
        _doubtful.c.client_order_id == orders.c.client_order_id,
        _doubtful.c.outcome.is_(None) | (_doubtful.c.outcome == AttemptOutcome.UNKNOWN),
    )
    .exists(),
)


def denied_in_doubt(connection: Connection, *, since_ms: int, of_signals_since_ms: int) -> tuple[OrderRecord, ...]:
    """Orders denied since then that may once have been sent: held to be absent, on the best evidence there was."""
    of = {"of_id": first_id_at(of_signals_since_ms), "of_time": since_ms}
    return _records(fetch_all(connection, _DENIED_IN_DOUBT, of))


_ONE_ORDER = select_orders("client_order_id", with_attempts=True)


def order(connection: Connection, client_order_id: str) -> OrderRecord | None:
    of_order = {"of_client_order_id": client_order_id}
    return next(iter(_records(fetch_all(connection, _ONE_ORDER, of_order))), None)


def _records(found: Sequence[Any]) -> tuple[OrderRecord, ...]:
    """By signal, account and leg. Sorted here, since for ORDER BY SQLite would pass over a partial index."""
    rows = sorted(found, key=lambda row: (row.client_order_id, row.attempt_number or 0))
    return tuple(order_of(list(of_order)) for _, of_order in groupby(rows, key=lambda row: row.client_order_id))


def _in_chunks(
    connection: Connection, statement: Select[Any], column: Column[Any], values: Sequence[str]
) -> defaultdict[str, list[Row[Any]]]:
    """The rows of each value; a statement takes only so many parameters."""
    found: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for start in range(0, len(values), _CHUNK):
        for row in connection.execute(statement.where(column.in_(values[start : start + _CHUNK]))):
            found[getattr(row, column.key)].append(row)
    return found


_NOBODY = select(literal(1).label("one")).subquery()
_CIRCUMSTANCES = select(
    carries.c.size.label("carried"), switches.c.account, switches.c.name, switches.c.value, switches.c.at, switches.c.by
).select_from(
    _NOBODY.outerjoin(
        carries,
        (carries.c.account == bindparam("of_account"))
        & (carries.c.category == bindparam("of_category"))
        & (carries.c.symbol == bindparam("of_symbol")),
    ).outerjoin(switches, (switches.c.account == bindparam("of_account")) & (switches.c.name == HALT))
)
"""In one statement, since it runs before every order."""


def circumstances(connection: Connection, account: str, category: Category, symbol: str) -> Circumstances:
    return _ask_circumstances(connection, account, category, symbol)()


def _ask_circumstances(
    connection: Connection, account: str, category: Category, symbol: str
) -> Callable[[], Circumstances]:
    read_at = time.monotonic()
    rows = ask(connection, _CIRCUMSTANCES, {"of_account": account, "of_category": category, "of_symbol": symbol})

    def read() -> Circumstances:
        (row,) = rows()
        return Circumstances(
            halt=None if row.name is None else switch_of(row),
            residual=None if row.carried is None else Residual(size=row.carried),
            read_at=read_at,
        )

    return read


def all_switches(connection: Connection) -> tuple[Switch, ...]:
    return tuple(
        switch_of(row) for row in connection.execute(select(switches).order_by(switches.c.account, switches.c.name))
    )


_ORDERED = (
    select(orders.c.client_order_id)
    .join(signals, signals.c.id == orders.c.signal_id)
    .where(
        signals.c.symbol == bindparam("of_symbol"),
        orders.c.account == bindparam("of_account"),
        orders.c.category == bindparam("of_category"),
        orders.c.symbol == bindparam("of_symbol"),
        orders.c.status.not_in((OrderStatus.PLANNED, OrderStatus.DENIED)),
    )
    .limit(1)
)
"""By way of the signals, which are found by their symbol: a long journal need not be read through."""


def ordered_among(
    connection: Connection, account: str, lanes: Iterable[tuple[Category, str]]
) -> frozenset[tuple[Category, str]]:
    """Those of the instruments where something of the relay's may be open, so far as the relay is its author."""
    of = {"of_account": account}
    return frozenset(
        lane
        for lane in lanes
        if connection.execute(_ORDERED, of | {"of_category": lane[0], "of_symbol": lane[1]}).first() is not None
    )


_OPENING = (Purpose.ENTRY, Purpose.FLIP)


class LimitQueries:
    """What the limits have to know of the journal. Thread-safe. Raises JournalUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def working_orders(self, account: str) -> tuple[Working, ...]:
        """What the account's own orders may still open or add, of all instruments."""
        with self._store.read() as connection:
            return _working_orders(connection, account)

    def entries_since(self, account: str, strategy: str, since_ms: int) -> int:
        """How many of the strategy's plans for the account had an entry in them."""
        with self._store.read() as connection:
            return _entries_since(connection, account, strategy, since_ms)

    def is_planned(self, signal_id: str, account: str, generation: int) -> bool:
        which = and_(plans.c.signal_id == signal_id, plans.c.account == account, plans.c.generation == generation)
        with self._store.read() as connection:
            return connection.execute(select(plans.c.at).where(which)).first() is not None

    def coins_since(self, account: str, since_ms: int) -> tuple[list[LedgerEntry], list[Row[Any]], list[Trade]]:
        """Executions of coins with what they gained, fills of such orders that are not booked yet, and open trades."""
        with self._store.read() as connection:
            booked, unbooked = coins_since(connection, account, since_ms)
            return booked, unbooked, open_trades(connection, account) if unbooked else []

    def day_mark(self, account: str, day: str) -> tuple[Decimal, Decimal] | None:
        """The open profit at the day's first reading, and the day's worst result; None before the first reading."""
        with self._store.read() as connection:
            return _day_mark(connection, account, day)

    def mark_day(self, account: str, day: str, *, unrealised: Decimal, result: Decimal) -> None:
        """The first reading of the day sets its mark; a later one keeps it, and the worst result of all."""
        self._store.submit(
            lambda connection: _mark_day(connection, account, day, unrealised=unrealised, result=result), deadline_s=10
        )


_TO_COME = (
    select(orders)
    .join_from(
        assignments,
        orders,
        and_(
            orders.c.signal_id == assignments.c.signal_id,
            orders.c.account == assignments.c.account,
            orders.c.generation == assignments.c.generation,
        ),
    )
    .where(IS_UNFINISHED, assignments.c.account == bindparam("of_account"), orders.c.status == OrderStatus.PLANNED)
)


def _working_orders(connection: Connection, account: str) -> tuple[Working, ...]:
    """What is out at the exchange, and what an unfinished signal has yet to send."""
    of_account = {"of_account": account}
    out = fetch_all(connection, select_orders("account", open_only=True), of_account)
    found = [_working(row) for row in (*out, *fetch_all(connection, _TO_COME, of_account)) if row.purpose in _OPENING]
    return tuple(each for each in found if each.qty > 0)


def _working(row: Any) -> Working:
    planned = from_json(PlannedOrder, row.planned)
    price = max((each for each in (planned.price, planned.trigger_price) if each is not None), default=None)
    return Working(category=row.category, symbol=row.symbol, side=row.side, qty=row.qty - row.filled_qty, price=price)


def _entries_since(connection: Connection, account: str, strategy: str, since_ms: int) -> int:
    has_entry = exists().where(
        orders.c.signal_id == plans.c.signal_id,
        orders.c.account == plans.c.account,
        orders.c.generation == plans.c.generation,
        orders.c.purpose.in_(_OPENING),
    )
    counted = (
        select(func.count())
        .select_from(plans.join(signals, signals.c.id == plans.c.signal_id))
        .where(plans.c.account == account, plans.c.at > since_ms, signals.c.strategy == strategy, has_entry)
    )
    return int(connection.execute(counted).scalar_one())


def _day_mark(connection: Connection, account: str, day: str) -> tuple[Decimal, Decimal] | None:
    row = connection.execute(select(day_marks).where(_which(account, day))).first()
    return None if row is None else (row.unrealised, row.worst)


def _mark_day(connection: Connection, account: str, day: str, *, unrealised: Decimal, result: Decimal) -> None:
    known = _day_mark(connection, account, day)
    if known is None:
        row = {"account": account, "day": day, "unrealised": unrealised, "worst": result}
        connection.execute(insert(day_marks), row)
    elif result < known[1]:
        connection.execute(update(day_marks).where(_which(account, day)).values(worst=result))


def _which(account: str, day: str) -> ColumnElement[bool]:
    return and_(day_marks.c.account == account, day_marks.c.day == day)
