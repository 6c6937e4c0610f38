"""Writing down what is about to happen to an order, and what happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Table, bindparam, select, update

from relay.domain.order import OrderStatus, PlannedOrder, Reason, client_order_id
from relay.domain.outcome import Accepted, Outcome, Stamp, Unknown
from relay.domain.reconciliation import OrderState, after_outcome
from relay.journal.adding import Rows
from relay.journal.coding import outcome_columns, planned_to_json, reason_columns, state_of
from relay.journal.prepared import all_of, first_of, run
from relay.journal.tables import attempts, orders
from relay.journal.writes import Writes

_this_order = orders.c.client_order_id == bindparam("of_order")
_these_attempts = attempts.c.client_order_id == bindparam("of_order")
_FIND = select(orders).where(_this_order).with_for_update()
"""Locked, for what is written next builds on it; SQLite has one writer, and ignores it."""
_ATTEMPTS = select(attempts).where(_these_attempts).order_by(attempts.c.number)
_CHANGE = update(orders).where(_this_order)
_CHANGE_ATTEMPT = update(attempts).where(_these_attempts & (attempts.c.number == bindparam("of_number")))
_FORWARD = (OrderStatus.PLANNED, OrderStatus.SUBMITTED, OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)


def moves_on(old: OrderStatus, new: OrderStatus) -> bool:
    """An order only goes forward, and an ended one nowhere."""
    if old.is_ended:
        return False
    return new.is_ended or _FORWARD.index(new) > _FORWARD.index(old)


class OrderWrites(Writes):
    def add_orders(
        self,
        *,
        signal_id: str,
        account: str,
        generation: int,
        orders: Sequence[PlannedOrder],
        first_attempt: tuple[str, Stamp] | None = None,
        now_ms: int,
    ) -> tuple[str, ...]:
        """Returns their client order ids. An order with `replaces_leg` points to the order of that leg.

        `first_attempt`: the client order id of the one that is about to be sent, and what it will be signed with.
        """
        ids, wanted = self._new_orders(signal_id, account, generation, orders, first_attempt, now_ms)
        self.add(*wanted)
        return ids

    def _new_orders(
        self,
        signal_id: str,
        account: str,
        generation: int,
        planned: Sequence[PlannedOrder],
        first_attempt: tuple[str, Stamp] | None,
        now_ms: int,
    ) -> tuple[tuple[str, ...], tuple[tuple[Table, Rows], ...]]:
        """Their ids, and the rows that are to be added."""
        sent_id = first_attempt[0] if first_attempt else None
        rows = [_row(signal_id, account, generation, each, sent_id, now_ms) for each in planned]
        ids = tuple(row["client_order_id"] for row in rows)
        assert sent_id is None or sent_id in ids, f"{sent_id} is none of the orders {ids}"
        first = (
            [] if first_attempt is None else [self._attempt(signal_id, first_attempt[0], 1, first_attempt[1], now_ms)]
        )
        return ids, ((orders, rows), (attempts, first))

    def record_attempt(self, client_order_id: str, stamp: Stamp, *, now_ms: int) -> int:
        """Before the request leaves; returns the attempt's number, from 1. The order is `submitted` from now on.

        Repeated with the same stamp while its outcome is open, it is the same attempt.
        """
        row, state = self._load(client_order_id)
        assert not state.status.is_ended, f"{client_order_id} is {state.status}; nothing of it may be sent"
        last = state.last
        if last is not None and last.outcome is None and last.stamp == stamp:
            return last.number
        number = last.number + 1 if last else 1
        self.add((attempts, [self._attempt(row.signal_id, client_order_id, number, stamp, now_ms)]))
        if moves_on(state.status, OrderStatus.SUBMITTED):
            self._change(client_order_id, now_ms, status=OrderStatus.SUBMITTED)
        return number

    def record_outcome(self, client_order_id: str, number: int, outcome: Outcome, *, now_ms: int) -> None:
        """What became of an attempt. One that is known for certain already is not changed.

        The order is `accepted`, or `rejected` where the refusal is final (`domain.reconciliation.after_outcome`).
        """
        row, state = self._load(client_order_id)
        said = outcome_columns(outcome)
        known = _outcome_of(state, number)
        if known is not None and not (isinstance(known, Unknown) and not isinstance(outcome, Unknown)):
            return
        of_attempt = {"of_order": client_order_id, "of_number": number}
        run(self.connection, _CHANGE_ATTEMPT, said | {"answered_at": now_ms} | of_attempt)
        self._apply_outcome(state, number, outcome, now_ms)
        detail = {"client_order_id": client_order_id, "attempt": number, "code": said["code"], "words": said["words"]}
        told = {name: value for name, value in detail.items() if value is not None}
        self.event(row.signal_id, f"order_{said['outcome']}", told, now_ms=now_ms)

    def record_absence(self, client_order_id: str, number: int, *, begun_at_ms: int) -> None:
        """This attempt and those before it certainly never arrived (`domain.reconciliation.Absence`).

        `begun_at_ms`: when the last of the look-ups that prove it was begun, by the exchange's clock.
        """
        of_attempt = {"of_order": client_order_id, "of_number": number}
        later = attempts.c.absent_at_ms.is_(None) | (attempts.c.absent_at_ms < begun_at_ms)
        self.connection.execute(_CHANGE_ATTEMPT.where(later), {"absent_at_ms": begun_at_ms} | of_attempt)

    def settle_order(self, client_order_id: str, status: OrderStatus, reason: Reason | None, *, now_ms: int) -> bool:
        """End an order, or move it on, by the relay's own knowledge. False: it had ended already, or was further."""
        row, state = self._load(client_order_id)
        if not moves_on(state.status, status):
            return False
        self._change(client_order_id, now_ms, status=status, rests=state.rests and not status.is_ended, reason=reason)
        detail = {"client_order_id": client_order_id, "reason": reason.code if reason else None}
        self.event(row.signal_id, f"order_{status}", detail, now_ms=now_ms)
        return True

    def _apply_outcome(self, state: OrderState, number: int, outcome: Outcome, now_ms: int) -> None:
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
            self._change(state.client_order_id, now_ms, **changed)

    def _attempt(self, signal_id: str, client_order_id: str, number: int, stamp: Stamp, now_ms: int) -> dict[str, Any]:
        """Its row, which is to be added; that it is sent is told."""
        self.event(signal_id, "order_submitted", {"client_order_id": client_order_id, "attempt": number}, now_ms=now_ms)
        return {
            "client_order_id": client_order_id,
            "number": number,
            "timestamp_ms": stamp.timestamp_ms,
            "recv_window_ms": stamp.recv_window_ms,
            "sent_at": now_ms,
        }

    def _find(self, client_order_id: str) -> tuple[Row[Any], OrderState] | None:
        found = first_of(self.connection, _FIND, {"of_order": client_order_id})
        if found is None:
            return None
        return found, state_of(found, all_of(self.connection, _ATTEMPTS, {"of_order": client_order_id}))

    def _load(self, client_order_id: str) -> tuple[Row[Any], OrderState]:
        found = self._find(client_order_id)
        assert found is not None, f"there is no order {client_order_id}"
        return found

    def _change(self, client_order_id: str, now_ms: int, **changed: Any) -> None:
        if "reason" in changed:
            changed |= reason_columns(changed.pop("reason"))
        run(self.connection, _CHANGE, changed | {"updated_at": now_ms, "of_order": client_order_id})


def _outcome_of(state: OrderState, number: int) -> Outcome | None:
    for attempt in state.attempts:
        if attempt.number == number:
            return attempt.outcome
    raise AssertionError(f"{state.client_order_id} has no attempt {number}")


def _row(
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
        "planned": planned_to_json(planned),
        "status": OrderStatus.SUBMITTED if own_id == sent_id else OrderStatus.PLANNED,
        "filled_qty": Decimal(0),
        "fee": Decimal(0),
        "rests": False,
        "replaces": None if planned.replaces_leg is None else id_of(planned.replaces_leg),
        "created_at": now_ms,
        "updated_at": now_ms,
    }
