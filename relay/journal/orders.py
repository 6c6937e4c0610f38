"""Orders and the positions that they move, as the journal has them, written within one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, bindparam, insert, select, true, tuple_, update

from relay.domain.bracket import Bracket
from relay.domain.instrument import PERPETUALS, Category, plain
from relay.domain.order import (
    Accepted,
    OrderStatus,
    Outcome,
    PlannedOrder,
    Reason,
    RequestSignature,
    Side,
    Unknown,
    client_order_id,
)
from relay.domain.order_lifecycle import Attempt, OrderState, after_outcome, judged
from relay.domain.position import Fill, OrderReport
from relay.domain.spot import SETTLED_MS, OwnCoins
from relay.journal.records import PRICE_MOVED, from_json, outcome_columns, reason_columns, state_of, to_json
from relay.journal.statements import EventLog, Rows, fetch_all, fetch_first, insert_if_new, insert_rows, run
from relay.journal.tables import IS_LIVE, WITH_ATTEMPTS, attempts, beliefs, fills, guards, orders

_this_order = orders.c.client_order_id == bindparam("of_order")
_these_attempts = attempts.c.client_order_id == bindparam("of_order")
_FIND = WITH_ATTEMPTS.where(_this_order).order_by(attempts.c.number).with_for_update(of=orders)
"""A row an attempt. Locked, for what is written next builds on it; SQLite has one writer, and ignores it."""
_CHANGE = update(orders).where(_this_order)
_CHANGE_ATTEMPT = update(attempts).where(_these_attempts & (attempts.c.number == bindparam("of_number")))
_FILLS = select(fills).where(fills.c.client_order_id == bindparam("of_order"))
_FORWARD = (OrderStatus.PLANNED, OrderStatus.SUBMITTED, OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)


def moves_on(old: OrderStatus, new: OrderStatus) -> bool:
    """An order only goes forward, and an ended one nowhere."""
    if old.is_ended:
        return False
    return new.is_ended or _FORWARD.index(new) > _FORWARD.index(old)


@dataclass(slots=True, eq=False)
class _Loaded:
    """An order as this transaction has it. `changed`: columns that are still to be written."""

    row: Row[Any]
    state: OrderState
    changed: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Orders:
    """The orders, their attempts and fills, within one transaction. `now_ms`: the relay's clock, Unix milliseconds.

    An order is read once and written once, by `flush`.
    """

    _connection: Connection
    _events: EventLog
    _positions: Positions
    _loaded: dict[str, _Loaded] = field(default_factory=dict)

    def add(
        self,
        *,
        signal_id: str,
        account: str,
        generation: int,
        orders: Sequence[PlannedOrder],
        first_attempt: tuple[str, RequestSignature] | None = None,
        now_ms: int,
    ) -> tuple[str, ...]:
        """Returns their client order ids. An order with `replaces_leg` points to the order of that leg.

        `first_attempt`: the client order id of the one that is about to be sent, and what it will be signed with.
        """
        ids, wanted = self.new_rows(signal_id, account, generation, orders, first_attempt, now_ms)
        self._events.insert(*wanted)
        return ids

    def new_rows(
        self,
        signal_id: str,
        account: str,
        generation: int,
        planned: Sequence[PlannedOrder],
        first_attempt: tuple[str, RequestSignature] | None,
        now_ms: int,
    ) -> tuple[tuple[str, ...], tuple[tuple[Table, Rows], ...]]:
        """Their ids, and the rows that are to be inserted."""
        sent_id = first_attempt[0] if first_attempt else None
        rows = [_order_row(signal_id, account, generation, each, sent_id, now_ms) for each in planned]
        ids = tuple(row["client_order_id"] for row in rows)
        assert sent_id is None or sent_id in ids, f"{sent_id} is none of the orders {ids}"
        first = (
            [] if first_attempt is None else [self._attempt(signal_id, first_attempt[0], 1, first_attempt[1], now_ms)]
        )
        return ids, ((orders, rows), (attempts, first))

    def ended(self, client_order_id: str) -> OrderState | None:
        """The order as it is known, if it has ended."""
        state = self._load(client_order_id).state
        return state if state.status.is_ended else None

    def record_attempt(self, client_order_id: str, signature: RequestSignature, *, now_ms: int) -> int:
        """Before the request leaves; returns the attempt's number, from 1. The order is `submitted` from now on.

        Repeated with the same signature while its outcome is open, it is the same attempt.
        """
        loaded = self._load(client_order_id)
        row, state = loaded.row, loaded.state
        assert not state.status.is_ended, f"{client_order_id} is {state.status}; nothing of it may be sent"
        last = state.last
        if last is not None and last.outcome is None and last.signature == signature:
            return last.number
        number = last.number + 1 if last else 1
        self._events.insert((attempts, [self._attempt(row.signal_id, client_order_id, number, signature, now_ms)]))
        attempt = Attempt(number=number, signature=signature)
        loaded.state = replace(state, attempts=(*state.attempts, attempt), absent_at_ms=None)
        if moves_on(state.status, OrderStatus.SUBMITTED):
            self._change(loaded, now_ms, status=OrderStatus.SUBMITTED)
        return number

    def record_outcome(self, client_order_id: str, number: int, outcome: Outcome, *, now_ms: int) -> None:
        """What became of an attempt. One that is known for certain already is not changed.

        The order is `accepted`, or `rejected` where the refusal is final (`order_lifecycle.after_outcome`).
        """
        loaded = self._load(client_order_id)
        row, state = loaded.row, loaded.state
        said = outcome_columns(outcome)
        known = _outcome_of(state, number)
        if known is not None and not (isinstance(known, Unknown) and not isinstance(outcome, Unknown)):
            return
        of_attempt = {"of_order": client_order_id, "of_number": number}
        run(self._connection, _CHANGE_ATTEMPT, said | {"answered_at": now_ms} | of_attempt)
        self._apply_outcome(loaded, number, outcome, now_ms)
        judged_attempts = (replace(each, outcome=outcome) if each.number == number else each for each in state.attempts)
        loaded.state = replace(loaded.state, attempts=tuple(judged_attempts))
        detail = {"client_order_id": client_order_id, "attempt": number, "code": said["code"], "words": said["words"]}
        known_detail = {name: value for name, value in detail.items() if value is not None}
        self._events.add(row.signal_id, f"order_{said['outcome']}", known_detail, now_ms=now_ms)

    def record_absence(self, client_order_id: str, number: int, *, begun_at_ms: int) -> None:
        """This attempt and those before it certainly never arrived (`order_lifecycle.Absence`).

        `begun_at_ms`: when the last of the look-ups that show it was begun, by the exchange's clock.
        """
        of_attempt = {"of_order": client_order_id, "of_number": number}
        later = attempts.c.absent_at_ms.is_(None) | (attempts.c.absent_at_ms < begun_at_ms)
        self._connection.execute(_CHANGE_ATTEMPT.where(later), {"absent_at_ms": begun_at_ms} | of_attempt)
        self._forget(client_order_id)

    def record_report(
        self, client_order_id: str, report: OrderReport | None, fills: Sequence[Fill] = (), *, now_ms: int
    ) -> bool:
        """What the exchange says of the order, and executions of it, each of which counts once.

        An older report takes no filled quantity back and reopens no ended order, but for one that the relay only held
        to be absent. Returns whether anything is new; False also for an order that is not the journal's.
        """
        found = self._find(client_order_id)
        if found is None:
            return False
        row, state = found.row, found.state
        report = judged(state.planned, report) if report is not None else None
        new_fills = self._add_fills(row, client_order_id, fills)
        # A fill that is known has been counted: of an order without any these are all there are.
        is_first = not state.filled_qty
        executions = new_fills if is_first else fetch_all(self._connection, _FILLS, {"of_order": client_order_id})
        merged = _merge(state, report, executions)
        ahead = merged["filled_qty"] - state.filled_qty - sum((each.qty for each in new_fills), Decimal(0))
        self._positions.count(row.account, row.category, row.symbol, row.side.sign * ahead)
        changed = _difference(state, merged)
        if not changed:
            return bool(new_fills)
        self._change(found, now_ms, **changed)
        if "status" in changed or "filled_qty" in changed:
            self._add_report_event(row.signal_id, state, changed, now_ms)
        sent = state.planned.price
        now = report.price if report is not None else None
        if changed.get("rests") and sent is not None and now is not None and sent != now:
            detail = {"client_order_id": client_order_id, "sent": plain(sent), "price": plain(now)}
            self._events.add(row.signal_id, PRICE_MOVED, detail, now_ms=now_ms)
        return True

    def amended(self, client_order_id: str, *, qty: Decimal, price: Decimal, now_ms: int) -> None:
        """The exchange has taken other terms, which are shown from now on; what was sent first stays in the plan."""
        loaded = self._load(client_order_id)
        loaded.changed |= {"qty": qty, "price": price, "updated_at": now_ms}
        detail = {"client_order_id": client_order_id, "qty": plain(qty), "price": plain(price)}
        self._events.add(loaded.row.signal_id, "order_amended", detail, now_ms=now_ms)

    def settle(self, client_order_id: str, status: OrderStatus, reason: Reason | None, *, now_ms: int) -> bool:
        """End an order, or move it on, by the relay's own knowledge.

        Returns False if it had ended already, or was further.
        """
        loaded = self._load(client_order_id)
        state = loaded.state
        if not moves_on(state.status, status):
            return False
        self._change(loaded, now_ms, status=status, rests=state.rests and not status.is_ended, reason=reason)
        detail = {"client_order_id": client_order_id, "reason": reason.code if reason else None}
        self._events.add(loaded.row.signal_id, f"order_{status}", detail, now_ms=now_ms)
        return True

    def flush(self) -> None:
        """Write what has changed, at the end of the transaction."""
        for name, loaded in self._loaded.items():
            if loaded.changed:
                run(self._connection, _CHANGE, loaded.changed | {"of_order": name})
                loaded.changed = {}

    def _apply_outcome(self, loaded: _Loaded, number: int, outcome: Outcome, now_ms: int) -> None:
        state = loaded.state
        last = state.last
        assert last is not None
        if last.number != number and not isinstance(outcome, Accepted):
            return
        after = after_outcome(state, outcome)
        changed: dict[str, Any] = {}
        if moves_on(state.status, after.status):
            changed = {"status": after.status, "reason": after.reason}
        if after.venue_order_id != state.venue_order_id:
            changed["venue_order_id"] = after.venue_order_id
        if changed:
            self._change(loaded, now_ms, **changed)

    def _add_fills(self, order: Row[Any], client_order_id: str, executions: Sequence[Fill]) -> list[Fill]:
        """Those that are new."""
        account: str = order.account
        new = []
        for fill in executions:
            assert fill.client_order_id == client_order_id, f"{fill.exec_id} is no execution of {client_order_id}"
            if insert_if_new(self._connection, (fills, _fill_row(account, fill))):
                new.append(fill)
        if new:
            self._positions.add_fills(account, order.category, order.symbol, order.side, new)
        return new

    def _add_report_event(self, signal_id: str, state: OrderState, changed: dict[str, Any], now_ms: int) -> None:
        reason = changed.get("reason")
        detail = {
            "client_order_id": state.client_order_id,
            "filled_qty": plain(changed.get("filled_qty", state.filled_qty)),
            "avg_price": changed.get("avg_price", state.avg_price),
            "reason": reason.message if reason else None,
        }
        known = {name: value for name, value in detail.items() if value is not None}
        self._events.add(signal_id, f"order_{changed.get('status', state.status)}", known, now_ms=now_ms)

    def _attempt(
        self, signal_id: str, client_order_id: str, number: int, signature: RequestSignature, now_ms: int
    ) -> dict[str, Any]:
        """Its row, which is to be inserted; the event that it is sent is added."""
        self._events.add(
            signal_id, "order_submitted", {"client_order_id": client_order_id, "attempt": number}, now_ms=now_ms
        )
        return {
            "client_order_id": client_order_id,
            "number": number,
            "timestamp_ms": signature.timestamp_ms,
            "recv_window_ms": signature.recv_window_ms,
            "sent_at": now_ms,
        }

    def _find(self, client_order_id: str) -> _Loaded | None:
        loaded = self._loaded.get(client_order_id)
        if loaded is not None:
            return loaded
        rows = fetch_all(self._connection, _FIND, {"of_order": client_order_id})
        if not rows:
            return None
        loaded = self._loaded[client_order_id] = _Loaded(rows[0], state_of(rows))
        return loaded

    def _load(self, client_order_id: str) -> _Loaded:
        found = self._find(client_order_id)
        assert found is not None, f"there is no order {client_order_id}"
        return found

    def _forget(self, client_order_id: str) -> None:
        """It was written past what is loaded of it."""
        self.flush()
        self._loaded.pop(client_order_id, None)

    def _change(self, loaded: _Loaded, now_ms: int, **changed: Any) -> None:
        loaded.state = replace(loaded.state, **changed)
        if "reason" in changed:
            changed |= reason_columns(changed.pop("reason"))
        loaded.changed |= changed | {"updated_at": now_ms}


def _outcome_of(state: OrderState, number: int) -> Outcome | None:
    for attempt in state.attempts:
        if attempt.number == number:
            return attempt.outcome
    raise AssertionError(f"{state.client_order_id} has no attempt {number}")


def _order_row(
    signal_id: str, account: str, generation: int, planned: PlannedOrder, sent_id: str | None, now_ms: int
) -> dict[str, Any]:
    def id_of(leg: int) -> str:
        return client_order_id(signal_id=signal_id, account=account, leg=leg, generation=generation)

    own_id = id_of(planned.leg)
    return {
        "client_order_id": own_id,
        "signal_id": signal_id,
        "account": account,
        "generation": generation,
        "leg": planned.leg,
        "category": planned.category,
        "symbol": planned.symbol,
        "side": planned.side,
        "type": planned.type,
        "qty": planned.qty,
        "price": planned.price,
        "reduce_only": planned.reduce_only,
        "purpose": planned.purpose,
        "planned": to_json(planned),
        "status": OrderStatus.SUBMITTED if own_id == sent_id else OrderStatus.PLANNED,
        "filled_qty": Decimal(0),
        "fee": Decimal(0),
        "rests": False,
        "replaces": None if planned.replaces_leg is None else id_of(planned.replaces_leg),
        "created_at": now_ms,
        "updated_at": now_ms,
    }


def _merge(state: OrderState, report: OrderReport | None, executions: Sequence[Row[Any] | Fill]) -> dict[str, Any]:
    """The order's columns by all that is known. Executions are exact, so they decide as soon as they are complete."""
    executed = sum((each.qty for each in executions), Decimal(0))
    reported = report.filled_qty if report else Decimal(0)
    filled = max(state.filled_qty, reported, executed)
    merged: dict[str, Any] = {"filled_qty": filled}
    if report is not None:
        merged |= _progress(state, report)
        if reported == filled:
            merged |= {"avg_price": report.avg_price or state.avg_price, "fee": report.fee or state.fee}
    status = merged.get("status", state.status)
    if filled > 0 and moves_on(status, OrderStatus.PARTIALLY_FILLED):
        merged["status"] = OrderStatus.PARTIALLY_FILLED
    if executed == filled > 0:
        merged["fee"] = sum((each.fee for each in executions), Decimal(0))
    return merged


def _progress(state: OrderState, report: OrderReport) -> dict[str, Any]:
    moved: dict[str, Any] = {"venue_order_id": report.venue_order_id or state.venue_order_id}
    filled_after_all = state.status.is_ended and report.status.is_ended and report.filled_qty > state.filled_qty
    if moves_on(state.status, report.status) or filled_after_all or state.status is OrderStatus.DENIED:
        # Why it was held to be absent is no reason any more.
        earlier = None if state.status is OrderStatus.DENIED else state.reason
        moved |= {"status": report.status, "reason": _report_reason(report) or earlier}
    status = moved.get("status", state.status)
    if report.filled_qty >= state.filled_qty:
        moved["rests"] = report.rests and not status.is_ended
    return moved


def _report_reason(report: OrderReport) -> Reason | None:
    if report.status is OrderStatus.REJECTED:
        return Reason(code="EXCHANGE_REFUSED", message=report.reason or "the exchange gave no reason")
    if report.reason and report.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED):
        return Reason(code="EXCHANGE_ENDED", message=report.reason)
    return None


def _difference(state: OrderState, merged: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in merged.items() if value != getattr(state, name)}


def _fill_row(account: str, fill: Fill) -> dict[str, Any]:
    return {
        "account": account,
        "exec_id": fill.exec_id,
        "client_order_id": fill.client_order_id,
        "qty": fill.qty,
        "price": fill.price,
        "fee": fill.fee,
        "fee_coin": fill.fee_coin,
        "is_maker": fill.is_maker,
        "at": fill.at_ms,
    }


# Positions: what the relay expects each to be (the exchange's last report and its own fills since), and the brackets
# that protect them.


Lane = tuple[Category, str]
"""Of one account."""

_this = and_(
    beliefs.c.account == bindparam("of_account"),
    beliefs.c.category == bindparam("of_category"),
    beliefs.c.symbol == bindparam("of_symbol"),
)
_EXPECTED = select(beliefs).where(_this).with_for_update()
_ADD_POSITION, _CHANGE_POSITION = insert(beliefs), update(beliefs).where(_this)


@dataclass(slots=True, eq=False)
class Positions:
    """The expected positions, within one transaction."""

    _connection: Connection

    def add_fills(self, account: str, category: Category, symbol: str, side: Side, fills: Sequence[Fill]) -> None:
        """Fills older than the last check were part of the position already. Of coins that are held all count."""
        if not category.has_positions:
            return self._hold(account, category, symbol, lambda before: before.after(fills, side))
        which = _of_lane(account, category, symbol)
        expected = fetch_first(self._connection, _EXPECTED, which)
        checked_until_ms = expected.at if expected else 0
        moved = side.sign * sum((fill.qty for fill in fills if fill.at_ms > checked_until_ms), Decimal(0))
        if expected is None:
            row = {"account": account, "category": category, "symbol": symbol, "size": moved, "at": 0}
            run(self._connection, _ADD_POSITION, row)
        elif moved:
            run(self._connection, _CHANGE_POSITION, {"size": expected.size + moved, **which})

    def count(self, account: str, category: Category, symbol: str, signed: Decimal) -> None:
        """So much more, or less, of the coins that are held is told of orders than their known fills come to."""
        if signed and not category.has_positions:
            self._hold(account, category, symbol, lambda old: replace(old, uncounted=old.uncounted + signed))

    def _hold(self, account: str, category: Category, symbol: str, change: Callable[[OwnCoins], OwnCoins]) -> None:
        which = _of_lane(account, category, symbol)
        row = fetch_first(self._connection, _EXPECTED, which)
        now = change(OwnCoins(symbol=symbol) if row is None else _holding(row))
        columns = {"size": now.size, "at": now.moved_at_ms, "fees": now.fees, "uncounted": now.uncounted}
        columns["avg_price"] = now.avg_price
        if row is None:
            run(
                self._connection, _ADD_POSITION, {"account": account, "category": category, "symbol": symbol, **columns}
            )
        else:
            run(self._connection, _CHANGE_POSITION, {**columns, **which})

    def check(self, account: str, category: Category, symbol: str, size: Decimal, *, at_ms: int) -> Decimal | None:
        """Take the exchange's `size`, requested at `at_ms` of its clock. Returns what was expected, if it differs.

        Of coins that are held it only ever takes away, and only what is certainly gone: they are known by their fills.
        """
        if not category.has_positions:
            return self._check_held(account, category, symbol, size, at_ms)
        which = _of_lane(account, category, symbol)
        expected = fetch_first(self._connection, _EXPECTED, which)
        if expected is None:
            row = {"account": account, "category": category, "symbol": symbol, "size": size, "at": at_ms}
            run(self._connection, _ADD_POSITION, row)
            return None
        run(self._connection, _CHANGE_POSITION, {"size": size, "at": at_ms, **which})
        return None if expected.size == size else expected.size

    def _check_held(self, account: str, category: Category, symbol: str, size: Decimal, at_ms: int) -> Decimal | None:
        row = fetch_first(self._connection, _EXPECTED, _of_lane(account, category, symbol))
        if row is None or size >= row.size or at_ms <= row.at + SETTLED_MS or row.uncounted:
            return None
        self._hold(account, category, symbol, lambda before: replace(before, size=size))
        return Decimal(row.size)

    def check_all(
        self, account: str, held: Mapping[Lane, Decimal], *, busy: Collection[Lane], at_ms: int
    ) -> dict[Lane, Decimal]:
        """The same of all the account's positions at once, but for those of `busy`; what is not in `held` is flat.

        Returns what was expected of each that differs. In a few statements, however many instruments there are.
        """
        has_position = beliefs.c.category.in_(PERPETUALS)
        of_account = select(beliefs).where((beliefs.c.account == account) & has_position).with_for_update()
        expected = {(row.category, row.symbol): row.size for row in self._connection.execute(of_account)}
        sizes = {lane: held.get(lane, Decimal(0)) for lane in held.keys() | expected.keys() if lane not in busy}
        differing = {lane: size for lane, size in sizes.items() if expected.get(lane) != size}
        others = [*differing, *busy]
        lane_of = tuple_(beliefs.c.category, beliefs.c.symbol)
        same = and_(beliefs.c.account == account, has_position, lane_of.not_in(others) if others else true())
        self._connection.execute(update(beliefs).where(same).values(at=at_ms))
        checked = {lane: self.check(account, lane[0], lane[1], size, at_ms=at_ms) for lane, size in differing.items()}
        return {lane: before for lane, before in checked.items() if before is not None}


def expected_positions(connection: Connection, account: str) -> dict[Lane, Decimal]:
    """Every instrument whose position the relay knows, flat ones included; signed."""
    rows = connection.execute(select(beliefs).where(beliefs.c.account == account))
    return {(row.category, row.symbol): row.size for row in rows}


def holdings(connection: Connection, account: str) -> dict[str, OwnCoins]:
    """By symbol, the coins that are the relay's own, or are not certain."""
    rows = connection.execute(select(beliefs).where(beliefs.c.account == account))
    found = {row.symbol: _holding(row) for row in rows if not row.category.has_positions}
    return {symbol: each for symbol, each in found.items() if each.size or each.uncounted}


def _holding(row: Any) -> OwnCoins:
    return OwnCoins(
        symbol=row.symbol,
        size=row.size,
        fees=row.fees or Decimal(0),
        avg_price=row.avg_price,
        moved_at_ms=row.at,
        uncounted=row.uncounted or Decimal(0),
    )


def _of_lane(account: str, category: Category, symbol: str) -> dict[str, object]:
    return {"of_account": account, "of_category": category, "of_symbol": symbol}


# The brackets of positions: stored, and found again.


_LIVE = select(guards).where(IS_LIVE)
_CHANGE_BRACKET = update(guards).where(guards.c.seq == bindparam("of_seq"))
_LIVE_OF_ACCOUNT = _LIVE.where(guards.c.account == bindparam("of_account"))
_LIVE_OF_LANE = _LIVE_OF_ACCOUNT.where(
    guards.c.category == bindparam("of_category"),
    guards.c.symbol == bindparam("of_symbol"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketRecord:
    """A bracket as it is stored. `signal_id`, `generation`: whose orders its take profits are."""

    seq: int
    signal_id: str
    account: str
    generation: int
    category: Category
    symbol: str
    bracket: Bracket


@dataclass(slots=True, eq=False)
class Protection:
    """The brackets, within one transaction."""

    _connection: Connection

    def add(
        self,
        *,
        signal_id: str,
        account: str,
        generation: int,
        category: Category,
        symbol: str,
        bracket: Bracket,
        now_ms: int,
    ) -> None:
        """A new bracket; with the plan that it belongs to."""
        row = {
            "signal_id": signal_id,
            "account": account,
            "generation": generation,
            "category": category,
            "symbol": symbol,
            **_bracket_columns(bracket, now_ms),
        }
        insert_rows(self._connection, (guards, [row]))

    def save(self, seq: int, bracket: Bracket, *, now_ms: int) -> None:
        """How a bracket stands now."""
        run(self._connection, _CHANGE_BRACKET, {**_bracket_columns(bracket, now_ms), "of_seq": seq})


def live_brackets(connection: Connection, account: str | None = None) -> tuple[BracketRecord, ...]:
    """Those that wait or are active, oldest first, of one account or of all."""
    if account is None:
        return _records(fetch_all(connection, _LIVE, {}))
    return _records(fetch_all(connection, _LIVE_OF_ACCOUNT, {"of_account": account}))


def live_brackets_of(
    connection: Connection, account: str, category: Category, symbol: str
) -> tuple[BracketRecord, ...]:
    """Those of one account and instrument, oldest first."""
    of_lane = {"of_account": account, "of_category": category, "of_symbol": symbol}
    return _records(fetch_all(connection, _LIVE_OF_LANE, of_lane))


def _bracket_columns(bracket: Bracket, now_ms: int) -> dict[str, Any]:
    return {"status": bracket.status, "guard": to_json(bracket), "updated_at": now_ms}


def _records(rows: Sequence[Any]) -> tuple[BracketRecord, ...]:
    """Sorted here, since for ORDER BY SQLite would pass over a partial index."""
    return tuple(
        BracketRecord(
            seq=row.seq,
            signal_id=row.signal_id,
            account=row.account,
            generation=row.generation,
            category=row.category,
            symbol=row.symbol,
            bracket=from_json(Bracket, row.guard),
        )
        for row in sorted(rows, key=lambda row: row.seq)
    )
