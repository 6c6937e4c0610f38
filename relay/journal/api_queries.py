"""Questions of people: what the API and the pages show of signals and orders, in the contract's form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    bindparam,
    case,
    cast,
    exists,
    func,
    or_,
    select,
)

from relay.domain.bracket import FIRST_TAKE_PROFIT_LEG
from relay.domain.instrument import Category, plain
from relay.domain.order import OrderStatus, Side, SignalStatus
from relay.domain.performance import Arrival, FillRow, PricedFill, slippage_pct
from relay.domain.signal import Action, first_id_at
from relay.journal.engine_queries import select_orders
from relay.journal.records import AttemptOutcome, SignalPage, Way, reason_of, rfc3339
from relay.journal.statements import fetch_all, fetch_among, fetch_first, fetch_one
from relay.journal.store import Store
from relay.journal.tables import OPEN_STATUSES, assignments, attempts, copies, events, fills, orders, plans, signals
from relay.journal.trades import in_batches

FEE_COIN: Final = (
    select(case((func.min(fills.c.fee_coin) == func.max(fills.c.fee_coin), func.min(fills.c.fee_coin))))
    .where(fills.c.client_order_id == orders.c.client_order_id)
    .correlate(orders)
    .scalar_subquery()
    .label("fee_coin")
)
"""Which coin an order's fee was taken in; NULL before a fill is known, and where it was several: see `shown_orders`."""


def shown_order(row: Row[Any]) -> dict[str, Any]:
    return {
        "client_order_id": row.client_order_id,
        "venue_order_id": row.venue_order_id,
        "account": row.account,
        "category": row.category.value,
        "symbol": row.symbol,
        "side": row.side.value,
        "type": row.type.value,
        "qty": plain(row.qty),
        "price": None if row.price is None else plain(row.price),
        "reduce_only": row.reduce_only,
        "status": row.status.value,
        "reason": _shown_reason(row),
        "filled_qty": plain(row.filled_qty),
        "avg_price": None if row.avg_price is None else plain(row.avg_price),
        "fee": plain(row.fee),
        "fee_coin": row.fee_coin,
    }


def shown_orders(connection: Connection, rows: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    """With `FEE_COIN`. A fee that was taken in several coins is the first one's, and `fees_other` has the others."""
    found = list(rows)
    several = [row.client_order_id for row in found if row.fee_coin is None and row.filled_qty]
    paid: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
    of_several = fetch_among(connection, select(fills), fills.c.client_order_id, several, {}) if several else []
    for fill in sorted(of_several, key=lambda fill: (fill.at, fill.exec_id)):
        by_coin = paid[fill.client_order_id]
        by_coin[fill.fee_coin] = by_coin.get(fill.fee_coin, Decimal(0)) + fill.fee
    return [shown_order(row) | _shown_fees(paid[row.client_order_id]) for row in found]


def _shown_fees(by_coin: Mapping[str, Decimal]) -> dict[str, Any]:
    if not by_coin:
        return {}
    coin, *others = by_coin
    return {
        "fee": plain(by_coin[coin]),
        "fee_coin": coin,
        "fees_other": {each: plain(by_coin[each]) for each in others},
    }


def shown_event(row: Row[Any]) -> dict[str, Any]:
    return {"at": rfc3339(row.at), "name": row.name, "detail": row.detail}


def shown_signal(
    row: Row[Any], *, plan_notes: Iterable[str], orders: list[dict[str, Any]], events: Sequence[Row[Any]]
) -> dict[str, Any]:
    """`plan_notes`: those of its plans, which come before what was noted at the end."""
    alert: Mapping[str, Any] = row.alert
    return {
        "id": row.id,
        "strategy": row.strategy,
        "action": row.action,
        "symbol": row.symbol,
        "status": row.status.value,
        "reason": _shown_reason(row),
        "notes": list(dict.fromkeys([*row.notes, *plan_notes])),
        "received_at": rfc3339(row.received_at),
        "sent_at": None if row.sent_at is None else rfc3339(row.sent_at),
        "alert": dict(alert),
        "orders": orders,
        "events": [shown_event(each) for each in events],
        **_shown_seen(events),
    }


def _shown_seen(events: Sequence[Row[Any]]) -> dict[str, Any]:
    """Who has looked at it since it last needed a person; empty if nobody has."""
    last = next((each for each in reversed(events) if each.name in (SIGNAL_SEEN, *_NEEDS_ANEW)), None)
    if last is None or last.name != SIGNAL_SEEN:
        return {}
    return {"seen": {"at": rfc3339(last.at), "by": last.detail["by"], "note": last.detail["note"]}}


def _shown_reason(row: Row[Any]) -> dict[str, str] | None:
    reason = reason_of(row)
    return {"code": reason.code, "message": reason.message} if reason else None


_COUNTED_MAX = 5_000_000
_TEXT_SEARCHED = 10_000
"""A search by text reads so many of the newest signals: it must stay quick in a long journal."""
_FILL_ROWS_MAX = 50_000


def counts_since(connection: Connection, since_ms: int) -> dict[SignalStatus, int]:
    """Of each status that occurs among the signals received since. Ids are in the order of time and have an index."""
    # The bound keeps the two steps apart: in one, SQLite would walk the index of all statuses there ever were.
    since = select(signals.c.status).where(signals.c.id >= first_id_at(since_ms)).limit(_COUNTED_MAX).subquery()
    statement = select(since.c.status, func.count()).group_by(since.c.status)
    found = {row[0]: row[1] for row in connection.execute(statement)}
    return {status: found[status] for status in SignalStatus if status in found}


def has_text(connection: Connection, text: str) -> ColumnElement[bool]:
    """Whether the id, ticker, reason or the alert itself holds `text`, among the newest signals."""
    newest = connection.execute(select(func.max(signals.c.seq))).scalar() or 0
    places = (signals.c.id, signals.c.ticker, signals.c.reason_message, cast(signals.c.alert, Text))
    # SQLite's own LIKE tells no letters' case apart: to lower what each row holds would cost three times as much.
    is_sqlite = connection.dialect.name == "sqlite"
    holds = [(each.contains if is_sqlite else each.icontains)(text, autoescape=True) for each in places]
    return (signals.c.seq > newest - _TEXT_SEARCHED) & or_(*holds)


def plans_of(connection: Connection, signal_id: str) -> list[dict[str, Any]]:
    """What each plan of a signal was computed from, the latest first."""
    rows = connection.execute(select(plans).where(plans.c.signal_id == signal_id).order_by(plans.c.at.desc()))
    return [
        {"account": row.account, "generation": row.generation, "inputs": row.inputs, "at": rfc3339(row.at)}
        for row in rows
    ]


def fills_of(connection: Connection, signal_id: str, signal_price: Decimal | None) -> list[dict[str, Any]]:
    """A signal's fills, the earliest first; slippage in percent of the alert's price, above zero where it cost."""
    joined = select(fills, orders.c.side).join(orders, orders.c.client_order_id == fills.c.client_order_id)
    rows = connection.execute(joined.where(orders.c.signal_id == signal_id).order_by(fills.c.at))
    shown = []
    for row in rows:
        slippage = None
        if signal_price:
            slippage = plain(
                ((row.price - signal_price) / signal_price * 100 * row.side.sign).quantize(Decimal("0.0001"))
            )
        shown.append(
            {
                "at": rfc3339(row.at),
                "account": row.account,
                "qty": plain(row.qty),
                "price": plain(row.price),
                "fee": plain(row.fee),
                "fee_coin": row.fee_coin,
                "is_maker": row.is_maker,
                "slippage_pct": slippage,
            }
        )
    return shown


def fill_rows(
    connection: Connection,
    strategy: str | None,
    since_ms: int,
    until_ms: int | None = None,
    *,
    limit: int = _FILL_ROWS_MAX,
) -> list[FillRow]:
    """The latest fills of signals that came in that time, in their order."""
    statement = (
        select(
            *(fills.c.price, orders.c.side),
            *(signals.c.id, signals.c.strategy, signals.c.alert, signals.c.received_at),
            select(func.min(attempts.c.sent_at))
            .where(attempts.c.client_order_id == orders.c.client_order_id)
            .scalar_subquery()
            .label("submitted_at"),
        )
        .join(orders, orders.c.client_order_id == fills.c.client_order_id)
        .join(signals, signals.c.id == orders.c.signal_id)
        # An order's id begins with its signal's, which is in the order of time and has an index here, too.
        .where(fills.c.client_order_id >= first_id_at(since_ms))
    )
    if strategy is not None:
        statement = statement.where(signals.c.strategy == strategy)
    if until_ms is not None:
        statement = statement.where(fills.c.client_order_id < first_id_at(until_ms))
    rows = connection.execute(statement.order_by(fills.c.client_order_id.desc()).limit(limit)).all()
    return [_fill_row(row) for row in reversed(rows)]


def _fill_row(row: Any) -> FillRow:
    return FillRow(
        signal_id=row.id,
        strategy=row.strategy or "",
        side=row.side,
        price=row.price,
        signal_price=signal_price(row.alert),
        submitted_after_ms=None if row.submitted_at is None else max(0, row.submitted_at - row.received_at),
    )


def signal_price(alert: Any) -> Decimal | None:
    """The alert's own price, as its sender wrote it; None where it brings none that can be read."""
    try:
        price = Decimal(str(alert.get("signal_price", "")).strip())
    except (ArithmeticError, AttributeError):
        return None
    return price if price.is_finite() and price > 0 else None


STAGES = ("sent", "received", "durable", "submitted", "acknowledged", "filled")

_this = bindparam("of_signal", type_=Text)
_latest = select(func.max(orders.c.generation)).where(orders.c.signal_id == _this).scalar_subquery()
_is_own = (orders.c.signal_id == _this) & (orders.c.leg < FIRST_TAKE_PROFIT_LEG) & (orders.c.generation == _latest)
_FILLED = (
    select(fills.c.qty, fills.c.price, fills.c.at, orders.c.category, orders.c.side)
    .join(orders, orders.c.client_order_id == fills.c.client_order_id)
    .where(_is_own)
)
_TRIED = (
    select(attempts.c.sent_at, attempts.c.answered_at, attempts.c.outcome)
    .join(orders, orders.c.client_order_id == attempts.c.client_order_id)
    .where(_is_own)
)
_MOMENTS = select(signals.c.sent_at, signals.c.received_at, signals.c.alert).where(signals.c.id == _this)
_TAKEN_UP = select(func.min(events.c.at).label("at")).where(
    (events.c.signal_id == _this) & (events.c.name == SignalStatus.EXECUTING)
)


def derived(connection: Connection, signal_id: str) -> dict[str, Any]:
    """`timing` and `slippage` of a signal that is there. Take profits that rest afterwards are no part of it."""
    of_signal = {"of_signal": signal_id}
    filled, tried = fetch_all(connection, _FILLED, of_signal), fetch_all(connection, _TRIED, of_signal)
    signal = fetch_one(connection, _MOMENTS, of_signal)
    answered = [row.answered_at for row in tried if row.outcome is AttemptOutcome.ACCEPTED]
    timing = shown_timing(
        {
            "sent": signal.sent_at,
            "received": signal.received_at,
            # The first moment of which it is known that the alert was on disk: work on it began.
            "durable": fetch_one(connection, _TAKEN_UP, of_signal).at,
            "submitted": min((row.sent_at for row in tried), default=None),
            "acknowledged": min((at for at in answered if at is not None), default=None),
            "filled": max((row.at for row in filled), default=None),
        }
    )
    slip = slippage_pct(map(_fill, filled), signal_price(signal.alert))
    return {"timing": timing, "slippage": None if slip is None else plain(slip)}


def shown_timing(moments: Mapping[str, int | None]) -> dict[str, Any]:
    """Each stage's time, and in `ms` how long after the last known stage before it; null where it never came.

    `sent` is by the sender's clock and `filled` by the exchange's: what would be below zero by that is zero.
    """
    between: dict[str, int | None] = {}
    before: int | None = None
    for stage in STAGES:
        at = moments[stage]
        if stage != STAGES[0]:
            between[stage] = None if at is None or before is None else max(0, at - before)
        before = before if at is None else at
    times = {f"{stage}_at": None if (at := moments[stage]) is None else rfc3339(at) for stage in STAGES}
    return {**times, "ms": between}


def _fill(row: Any) -> PricedFill:
    return PricedFill(category=row.category, side=row.side, qty=row.qty, price=row.price)


MAX_LIMIT = 500
_ATTENTION = "attention-"
SIGNAL_SEEN = "signal_seen"
_NEEDS_ANEW = ("attention", "reopened")
_later = events.alias()
_WAS_SEEN = exists().where(
    events.c.signal_id == signals.c.id,
    events.c.name == SIGNAL_SEEN,
    ~exists().where(_later.c.signal_id == signals.c.id, _later.c.name.in_(_NEEDS_ANEW), _later.c.id > events.c.id),
)
NEEDS_A_PERSON = (signals.c.status == SignalStatus.ATTENTION) & ~_WAS_SEEN


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalFilter:
    """None means any."""

    strategy: str | None = None
    account: str | None = None
    symbol: str | None = None
    status: SignalStatus | None = None
    text: str | None = None
    """Somewhere in the alert, the ticker, the id or the reason, among the newest signals."""
    needs_a_person: bool = False
    """Only what is in `attention` and nobody has looked at since."""


def find_signals(
    connection: Connection, which: SignalFilter, *, limit: int, cursor: str | None, attention_first: bool
) -> SignalPage:
    """The latest first. `cursor` is the `next_cursor` of the page before; ValueError if it is not one."""
    limit = max(1, min(limit, MAX_LIMIT))
    in_attention, before_seq = _read_cursor(cursor)
    statement = _matching(which)
    if which.text is not None:
        statement = statement.where(has_text(connection, which.text))
    if not attention_first or which.status is not None:
        rows = connection.execute(_page(statement, before_seq, limit + 1)).all()
        return _as_page(connection, rows, limit)
    attention: list[Row[Any]] = []
    if cursor is None or in_attention:
        needed = statement.where(NEEDS_A_PERSON)
        attention = list(connection.execute(_page(needed, before_seq, limit + 1)))
        before_seq = None
    others = statement.where((signals.c.status != SignalStatus.ATTENTION) | _WAS_SEEN)
    missing = limit + 1 - len(attention)
    rest = connection.execute(_page(others, before_seq, missing)).all() if missing > 0 else []
    return _as_page(connection, [*attention, *rest], limit, needing=len(attention))


def _read_cursor(cursor: str | None) -> tuple[bool, int | None]:
    if cursor is None:
        return False, None
    number = cursor.removeprefix(_ATTENTION)
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise ValueError("this is not a cursor of a list of signals")
    return number != cursor, int(number)


def _matching(which: SignalFilter) -> Select[Any]:
    statement = select(signals)
    if which.strategy is not None:
        statement = statement.where(signals.c.strategy == which.strategy)
    if which.symbol is not None:
        statement = statement.where(signals.c.symbol == which.symbol)
    if which.status is not None:
        statement = statement.where(signals.c.status == which.status)
    if which.needs_a_person:
        statement = statement.where(NEEDS_A_PERSON)
    if which.account is not None:
        on_account = exists().where(assignments.c.signal_id == signals.c.id, assignments.c.account == which.account)
        statement = statement.where(on_account)
    return statement


def _page(statement: Select[Any], before_seq: int | None, limit: int) -> Select[Any]:
    if before_seq is not None:
        statement = statement.where(signals.c.seq < before_seq)
    return statement.order_by(signals.c.seq.desc()).limit(limit)


def _as_page(connection: Connection, rows: Iterable[Row[Any]], limit: int, needing: int = 0) -> SignalPage:
    """`rows` has one more than the page where there is a next one; `needing` of them come first since they need a
    person."""
    found = list(rows)
    shown, next_cursor = found[:limit], None
    if len(found) > limit:
        last = shown[-1]
        next_cursor = f"{_ATTENTION if limit <= needing else ''}{last.seq}"
    return SignalPage(signals=_show(connection, shown), next_cursor=next_cursor)


_AFTER_LETTERS = "\x7f"


def ids_beginning(connection: Connection, text: str) -> tuple[str, ...]:
    """At most two. By a range and not by LIKE, which would read every id."""
    if not (text.isascii() and text.isalnum()):
        return ()
    found = select(signals.c.id).where(signals.c.id >= text, signals.c.id < text + _AFTER_LETTERS)
    ids = tuple(connection.execute(found.order_by(signals.c.id).limit(2)).scalars())
    return ids[:1] if ids and ids[0] == text else ids


def find_signal(connection: Connection, signal_id: str) -> dict[str, Any] | None:
    """In full, with what is derived from it."""
    of_signal = {"of_signal": signal_id}
    row = fetch_first(connection, _SIGNAL, of_signal)
    if row is None:
        return None
    of_orders, of_events, of_plans = (fetch_all(connection, each, of_signal) for each in (_ORDERS, _EVENTS, _PLANS))
    notes = [note for plan in of_plans for note in plan.notes]
    shown = shown_orders(connection, of_orders)
    return shown_signal(row, plan_notes=notes, orders=shown, events=of_events) | derived(connection, signal_id)


_SIGNAL = select(signals).where(signals.c.id == _this)
_ORDERS = select(orders, FEE_COIN).where(orders.c.signal_id == _this).order_by(orders.c.client_order_id)
_EVENTS = select(events).where(events.c.signal_id == _this).order_by(events.c.id)
_PLANS = select(plans).where(plans.c.signal_id == _this).order_by(plans.c.at)


def _show(connection: Connection, rows: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    found = list(rows)
    ids = [row.id for row in found]
    of_orders = _by_signal(
        connection, select(orders, FEE_COIN).order_by(orders.c.client_order_id), orders.c.signal_id, ids
    )
    every = shown_orders(connection, (each for of_signal in of_orders.values() for each in of_signal))
    shown = {each["client_order_id"]: each for each in every}
    of_events = _by_signal(connection, select(events).order_by(events.c.id), events.c.signal_id, ids)
    of_plans = _by_signal(connection, select(plans).order_by(plans.c.at), plans.c.signal_id, ids)
    return [
        shown_signal(
            row,
            plan_notes=[note for plan in of_plans[row.id] for note in plan.notes],
            orders=[shown[each.client_order_id] for each in of_orders[row.id]],
            events=of_events[row.id],
        )
        for row in found
    ]


def _by_signal(
    connection: Connection, statement: Select[Any], signal_id: Column[Any], ids: list[str]
) -> defaultdict[str, list[Row[Any]]]:
    rows: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    if ids:
        for row in connection.execute(statement.where(signal_id.in_(ids))):
            rows[row.signal_id].append(row)
    return rows


def find_orders(
    connection: Connection,
    *,
    account: str | None,
    symbol: str | None,
    status: OrderStatus | None,
    open_only: bool,
    limit: int,
) -> list[dict[str, Any]]:
    """The latest first: client order ids begin with the signal's, which are in order of time."""
    wanted = {"account": account, "symbol": symbol, "status": status}
    of = {name: value for name, value in wanted.items() if value is not None}
    values = {f"of_{name}": value for name, value in of.items()}
    limit = max(1, min(limit, MAX_LIMIT))
    if open_only or status in OPEN_STATUSES:
        # These are few and have their own index, which SQLite would pass over for ORDER BY.
        rows = fetch_all(connection, select_orders(*of, open_only=True).add_columns(FEE_COIN), values)
        found = sorted(rows, key=lambda row: row.client_order_id, reverse=True)[:limit]
    else:
        latest = select_orders(*of).add_columns(FEE_COIN).order_by(orders.c.client_order_id.desc()).limit(limit)
        found = list(connection.execute(latest, values))
    return shown_orders(connection, found)


def order_owners(connection: Connection, client_order_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Of those that are the relay's: their terms, whose they are, what for and since when, in the API's form."""
    statement = select(orders, signals.c.strategy).join(signals, signals.c.id == orders.c.signal_id)
    return {
        row.client_order_id: {
            "qty": plain(row.qty),
            "price": None if row.price is None else plain(row.price),
            "purpose": _purpose(row),
            "trigger_price": row.planned.get("trigger_price"),
            "strategy": row.strategy,
            "signal_id": row.signal_id,
            "created_at": rfc3339(row.created_at),
        }
        for ids in in_batches(sorted(set(client_order_ids)))
        for row in connection.execute(statement.where(orders.c.client_order_id.in_(ids)))
    }


def _purpose(row: Any) -> str:
    """A leg without a limit price is the stop loss of coins that are held."""
    if row.leg < FIRST_TAKE_PROFIT_LEG:
        return str(row.purpose.value)
    return "take_profit" if row.price is not None else "stop_loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelHistory:
    """Where a symbol's protection stood: `stops` and `profits` of the whole position from each moment on; `tp_legs`
    from when to when, None for what still rests."""

    stops: tuple[tuple[int, Decimal], ...] = ()
    profits: tuple[tuple[int, Decimal], ...] = ()
    tp_legs: tuple[tuple[int, int | None, Decimal], ...] = ()


_STOPS_MAX = 200


def level_history(
    connection: Connection, account: str, category: Category, symbol: str, since_ms: int, until_ms: int
) -> LevelHistory:
    """By orders that carried levels, the ladder's, and what was set at the position, as far as the journal has it."""
    which = (orders.c.account == account) & (orders.c.category == category) & (orders.c.symbol == symbol)
    in_time = (orders.c.updated_at >= since_ms) & (orders.c.created_at <= until_ms)
    rows = connection.execute(select(orders).where(which, in_time)).all()
    ids = (signals.c.id >= first_id_at(since_ms), signals.c.id < first_id_at(until_ms + 1))
    setting = select(signals.c.id).where(signals.c.symbol == symbol, signals.c.action == "stops", *ids)
    of_signals = {row.signal_id for row in rows} | set(connection.scalars(setting.limit(_STOPS_MAX)))
    said = [(row.created_at, row.planned) for row in rows if row.leg < FIRST_TAKE_PROFIT_LEG and row.filled_qty]
    for some in in_batches(sorted(of_signals)):
        found = select(events).where(events.c.signal_id.in_(some), events.c.name == "stops_set")
        said += [(row.at, row.detail) for row in connection.execute(found)]
    said.sort(key=lambda each: each[0])
    tp_legs = [row for row in rows if row.leg >= FIRST_TAKE_PROFIT_LEG and row.price is not None]
    return LevelHistory(
        stops=tuple((at, Decimal(each["stop_loss"])) for at, each in said if each.get("stop_loss")),
        profits=tuple((at, Decimal(each["take_profit"])) for at, each in said if each.get("take_profit")),
        tp_legs=tuple(
            (row.created_at, row.updated_at if row.status.is_ended else None, row.price)
            for row in sorted(tp_legs, key=lambda row: row.price)
        ),
    )


def count_signals(connection: Connection) -> dict[SignalStatus, int]:
    """Of each status that occurs."""
    counted = select(signals.c.status, func.count()).group_by(signals.c.status)
    return {row[0]: row[1] for row in connection.execute(counted)}


def arrivals(connection: Connection, since_ms: int, until_ms: int, *, limit: int) -> list[Arrival]:
    """Every signal that came in that time, rejected ones, too, the earliest first."""
    repeats = (
        select(func.count())
        .where(events.c.signal_id == signals.c.id, events.c.name == "duplicate")
        .correlate(signals)
        .scalar_subquery()
    )
    came = select(func.min(case((copies.c.way == Way.MAIL, 1), else_=0))).where(copies.c.signal_id == signals.c.id)
    text = select(func.max(copies.c.text)).where(copies.c.signal_id == signals.c.id).correlate(signals)
    columns = (
        text.scalar_subquery().label("text"),
        *(signals.c.id, signals.c.strategy, signals.c.symbol, signals.c.body_digest, signals.c.received_at),
        *(signals.c.status, signals.c.reason_code, signals.c.reason_message, repeats.label("repeats")),
        *(signals.c.action, came.correlate(signals).scalar_subquery().label("is_by_mail")),
    )
    statement = select(*columns).where(signals.c.id >= first_id_at(since_ms), signals.c.id < first_id_at(until_ms))
    return [
        Arrival(
            signal_id=row.id,
            strategy=row.strategy,
            symbol=row.symbol,
            digest=row.body_digest,
            received_ms=row.received_at,
            status=row.status,
            reason=None if row.reason_code is None else f"{row.reason_code}: {row.reason_message}",
            repeats=row.repeats,
            is_by_mail=row.is_by_mail == 1,
            text=row.text,
            may_open=_MAY_OPEN.get(row.action, _EITHER),
        )
        for row in connection.execute(statement.order_by(signals.c.id).limit(limit))
    ]


def _may_open(action: Action) -> frozenset[Side]:
    if action.side is not None and not action.is_close:
        return frozenset([action.side])
    return _EITHER if action in (Action.REVERSE, Action.TARGET, Action.ADD) else frozenset()


_EITHER: Final = frozenset(Side)
_MAY_OPEN: Final = {action.value: _may_open(action) for action in Action}


class DashboardQueries:
    """What the pages show. All methods may be called from any thread. Times are Unix milliseconds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def counts_since(self, since_ms: int) -> dict[SignalStatus, int]:
        """How many signals of each status came since."""
        with self._store.read() as connection:
            return counts_since(connection, since_ms)

    def plans_of(self, signal_id: str) -> list[dict[str, Any]]:
        """What each plan of the signal was computed from, the latest first."""
        with self._store.read() as connection:
            return plans_of(connection, signal_id)

    def fills_of(self, signal: dict[str, Any]) -> list[dict[str, Any]]:
        """The fills of a signal in the contract's form, the earliest first, with their slippage."""
        with self._store.read() as connection:
            return fills_of(connection, signal["id"], signal_price(signal["alert"]))

    def order_owners(self, client_order_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Of those that are the relay's: their terms, whose they are, what for and since when, in the API's form."""
        with self._store.read() as connection:
            return order_owners(connection, client_order_ids)

    def level_history(
        self, account: str, category: Category, symbol: str, since_ms: int, until_ms: int
    ) -> LevelHistory:
        """Where the protection of the symbol's position stood in that time."""
        with self._store.read() as connection:
            return level_history(connection, account, category, symbol, since_ms, until_ms)

    def arrivals(self, since_ms: int, until_ms: int, *, limit: int) -> list[Arrival]:
        """Every signal that came in that time, rejected ones, too, the earliest first."""
        with self._store.read() as connection:
            return arrivals(connection, since_ms, until_ms, limit=limit)

    def first_arrival_ms(self) -> int | None:
        """When the oldest signal came that is stored; None where there is none."""
        with self._store.read() as connection:
            oldest = select(signals.c.received_at).order_by(signals.c.seq).limit(1)
            found: int | None = connection.execute(oldest).scalar()
        return found

    def fill_rows(self, strategy: str | None, since_ms: int, *, limit: int) -> list[FillRow]:
        """The latest fills since, of one strategy or of all, in the order of their signals."""
        with self._store.read() as connection:
            return fill_rows(connection, strategy, since_ms, limit=limit)


_STATUS = select(signals.c.status).where(signals.c.id == bindparam("of_signal"))


def status_of(store: Store, signal_id: str) -> SignalStatus | None:
    """Returns None if there is no such signal."""
    with store.read() as connection:
        found = fetch_first(connection, _STATUS, {"of_signal": signal_id})
    return None if found is None else found.status
