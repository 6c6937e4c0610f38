"""Look at what a guard's next step is decided by: the position, and what rests for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from relay.domain.care_steps import OnBook, Sight
from relay.domain.history import reported
from relay.domain.instrument import Instrument
from relay.domain.position import Position
from relay.domain.reconciliation import OrderState
from relay.journal.journal import Journal
from relay.journal.protection import GuardRecord
from relay.pipeline.ask import report_of
from relay.pipeline.ports import Account
from relay.pipeline.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What the exchange showed: good until something is sent."""

    instrument: Instrument
    position: Position
    book: Mapping[str, OnBook]

    def sight(self, journal: Journal, record: GuardRecord, known: Mapping[str, OrderState], *, now_ms: int) -> Sight:
        """With the guard's orders as they are known by now."""
        return Sight(
            instrument=self.instrument,
            now_ms=now_ms,
            position=self.position,
            orders=_orders(journal, (*record.guard.entries, *record.guard.order_ids), known),
            book=self.book,
        )


def entry_sight(account: Account, journal: Journal, record: GuardRecord, instrument: Instrument, now_ms: int) -> Sight:
    """For a guard that waits: its entries, as the journal has them; the position where there are none."""
    position = None
    if not record.guard.entries:
        position = _position(account, record)
    orders = _orders(journal, record.guard.entries, {})
    return Sight(instrument=instrument, now_ms=now_ms, position=position, orders=orders)


def look(
    account: Account,
    journal: Journal,
    record: GuardRecord,
    instrument: Instrument,
    known: dict[str, OrderState],
    *,
    now_ms: int,
) -> Looked | None:
    """None: an order has filled meanwhile, so that the position that was read may be older or newer than the fill.

    Raises ExchangeUnreachable or ExchangeAnswered. What is news goes into the journal and into `known`.
    """
    exchange, category, symbol = account.exchange, record.category, record.symbol
    position = _position(account, record)
    orders = _orders(journal, record.guard.order_ids, known)
    resting = {name: each for name, each in orders.items() if each.rests and not each.status.is_ended}
    if not resting:
        return Looked(instrument=instrument, position=position, book={})
    shown = {each.client_order_id: each for each in exchange.open_orders(category=category, symbol=symbol)}
    is_news = False
    book = {}
    for name, order in resting.items():
        on_book = shown.get(name)
        if on_book is not None and on_book.filled_qty == order.filled_qty:
            book[name] = OnBook(qty=on_book.qty, price=on_book.price)
            continue
        report, fills = report_of(exchange, order)
        is_news = True
        if report is not None:
            journal.record_report(name, report, fills, now_ms=now_ms)
            known[name] = reported(order, report)
    return None if is_news else Looked(instrument=instrument, position=position, book=book)


def _position(account: Account, record: GuardRecord) -> Position:
    """As the streams have told it where that is proven to be current, with the price of now; else as it is read."""
    source = Source(account)
    position, _ = source.position(record.category, record.symbol)
    mark = account.live.price_now(record.category, record.symbol) if account.live else None
    return position if mark is None else replace(position, mark_price=mark)


def _orders(journal: Journal, names: tuple[str, ...], known: Mapping[str, OrderState]) -> dict[str, OrderState]:
    found = {}
    for name in names:
        kept = known.get(name)
        if kept is None:
            record = journal.order(name)
            assert record is not None, f"the guard names {name}, which is no order"
            kept = record.state
        found[name] = kept
    return found
