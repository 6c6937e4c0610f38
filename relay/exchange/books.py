"""What happened to an account's money while no stream told of it: asked for, a day at a time."""

from __future__ import annotations

from dataclasses import dataclass

from relay.domain.booking import Booking
from relay.domain.instrument import Category
from relay.exchange.calls import Calls
from relay.exchange.session import Session
from relay.exchange.wire.bookings import booking_from, closed_order_from
from relay.exchange.wire.numbers import Row

EXECUTIONS = "/v5/execution/list"
CLOSED_PNL = "/v5/position/closed-pnl"
_BEFORE_MS = 86_400_000
"""An order that closed within the time asked for may have been placed so long before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksRead:
    """`open_at_ms`: of the first execution whose result the exchange does not tell yet; None: all are told."""

    bookings: tuple[Booking, ...]
    open_at_ms: int | None


class BooksDesk:
    """Questions about the past. They raise ExchangeUnreachable or ExchangeAnswered, as `Exchange`'s do."""

    def __init__(self, session: Session, calls: Calls) -> None:
        self._session = session
        self._calls = calls

    def read(self, since_ms: int, until_ms: int) -> BooksRead:
        """All executions of perpetuals between two moments, which are at most 6 days apart."""
        rows: list[Row] = []
        untold: dict[str, Category] = {}
        for category in Category:
            found = self._calls.pages(
                self._session.get_executions,
                EXECUTIONS,
                category=category.value,
                startTime=since_ms,
                endTime=until_ms,
                limit=100,
            )
            for row in found:
                rows.append(row)
                if booking_from(row) is None:
                    untold[row["orderId"]] = category
        closed = {
            each.order_id: each
            for category in sorted(set(untold.values()))
            for row in self._calls.pages(
                self._session.get_closed_pnl,
                CLOSED_PNL,
                category=category.value,
                startTime=since_ms - _BEFORE_MS,
                limit=100,
            )
            if (each := closed_order_from(row)) is not None
        }
        booked = [(row, booking_from(row, closed=closed.get(row["orderId"]))) for row in rows]
        return BooksRead(
            bookings=tuple(booking for _, booking in booked if booking is not None),
            open_at_ms=min((int(row["execTime"]) for row, booking in booked if booking is None), default=None),
        )
