"""Accepting where several processes write: who has the locks of an alert and of its lanes is the next in line."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from relay.journal.accept import Admitting, reopen_by_hand
from relay.journal.records import Admission, New, NewSignal, Reopened
from relay.journal.store import Lock, hold, lane_name, locks_on
from relay.journal.tables import assignments, events, signals


def locks_of(new: NewSignal) -> tuple[Lock, ...]:
    """The alert's and its lanes': who has them is the next in line, and is committed before anybody else.

    An alert whose instrument is not known may belong to any lane of its accounts: nobody else accepts for them then.
    """
    lanes = lane_names(new)
    accounts = [f"account {each}" for each in new.accounts]
    if new.category is None:
        return locks_on(_alert_name(new), *accounts, lanes=lanes)
    return locks_on(_alert_name(new), lanes=lanes, shared=accounts)


def take_back(admitting: Admitting, connection: Connection, admission: Admission) -> None:
    """As if it had never come; unless its resend, which another process may have had, was told that it is there."""
    hold(connection, locks_on(_alert_name(admitting.new)))
    if isinstance(admission, New | Reopened) and not _is_vouched_for(connection, admission.signal_id):
        admitting.undo(connection, admission)


def _alert_name(new: NewSignal) -> str:
    return f"alert {new.strategy} {new.identity.kind.value} {new.identity.key}"


def _is_vouched_for(connection: Connection, signal_id: str) -> bool:
    """Since it was opened last."""
    of_signal = select(events.c.name).where(events.c.signal_id == signal_id)
    reported = of_signal.where(events.c.name.in_(("accepted", "reopened", "duplicate"))).order_by(events.c.id.desc())
    return connection.execute(reported.limit(1)).scalar() == "duplicate"


def reopen(connection: Connection, signal_id: str, now_ms: int, *, is_fresh: bool = False) -> Reopened:
    """Where several processes write: its place among its lanes' alerts is given while nobody else has their locks."""
    of_signal = select(
        assignments.c.account,
        assignments.c.category,
        func.coalesce(assignments.c.symbol, signals.c.ticker, "").label("symbol"),
    ).join(signals, signals.c.id == assignments.c.signal_id)
    rows = connection.execute(of_signal.where(assignments.c.signal_id == signal_id)).all()
    if rows:
        hold(connection, locks_on(lanes=[lane_name(row.account, row.category, row.symbol) for row in rows]))
    return reopen_by_hand(connection, signal_id, now_ms, is_fresh=is_fresh)


def lane_names(new: NewSignal) -> list[str]:
    symbol = new.symbol if new.category else new.ticker
    return [lane_name(each, new.category, symbol or "") for each in sorted(new.accounts)]
