"""Signals, plans, orders and reports for the tests of the journal."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, OrderType, PlannedOrder, Purpose, RequestSignature, Side, client_order_id
from relay.domain.plan import Plan, PlanStatus
from relay.domain.position import Fill, OrderReport
from relay.domain.signal import Action, Identity, IdentityKind, new_signal_id
from relay.journal.journal import Journal
from relay.journal.records import Admission, New, NewSignal

NOW_MS = 1_767_225_600_000
WINDOW_MS = 30_000
SIGNATURE = RequestSignature(timestamp_ms=NOW_MS, recv_window_ms=5000)


def body(key: str) -> Identity:
    return Identity(kind=IdentityKind.BODY, key=key)


def by_id(key: str) -> Identity:
    return Identity(kind=IdentityKind.ID, key=key)


def by_id_and_time(key: str) -> Identity:
    return Identity(kind=IdentityKind.ID_TIME, key=key)


def new_signal(identity: Identity | None = None, **changes: Any) -> NewSignal:
    """Unlike every other, unless told otherwise."""
    signal_id = new_signal_id(NOW_MS)
    signal = NewSignal(
        id=signal_id,
        strategy="default",
        action=Action.BUY,
        ticker="BTCUSDT.P",
        category=Category.LINEAR,
        symbol="BTCUSDT",
        alert={"action": "buy", "symbol": "BTCUSDT.P", "qty": "0.01"},
        digest=signal_id,
        identity=identity or body(signal_id),
        accounts=("main",),
    )
    return replace(signal, **changes)


def accept(journal: Journal, signal: NewSignal | None = None, *, at_ms: int = NOW_MS, **options: Any) -> Admission:
    return journal.accept(signal or new_signal(), now_ms=at_ms, **{"dedup_window_ms": WINDOW_MS, **options})


def accepted(journal: Journal, signal: NewSignal | None = None, **options: Any) -> str:
    """The id of a signal that was new."""
    admission = accept(journal, signal, **options)
    assert isinstance(admission, New)
    return admission.signal_id


def planned(leg: int = 0, **changes: Any) -> PlannedOrder:
    order = PlannedOrder(
        leg=leg,
        category=Category.LINEAR,
        symbol="BTCUSDT",
        side=Side.BUY,
        type=OrderType.MARKET,
        qty=Decimal("0.010"),
        purpose=Purpose.ENTRY,
    )
    return replace(order, **changes)


def limit(leg: int = 0, price: str = "60000.5") -> PlannedOrder:
    return planned(leg, type=OrderType.LIMIT, price=Decimal(price))


def plan(*orders: PlannedOrder, **changes: Any) -> Plan:
    made = Plan(status=PlanStatus.PLANNED, orders=orders or (planned(),), inputs={"position": "0", "price": "60000"})
    return replace(made, **changes)


def order_id(signal_id: str, *, leg: int = 0, generation: int = 0, account: str = "main") -> str:
    return client_order_id(signal_id=signal_id, account=account, leg=leg, generation=generation)


def sent_order(journal: Journal, *orders: PlannedOrder, signal: NewSignal | None = None) -> tuple[str, str]:
    """The ids of a new signal and of its first order, which is about to leave."""
    signal_id = accepted(journal, signal)
    first = order_id(signal_id)
    journal.write(lambda uow: uow.signals.begin(signal_id, "main", now_ms=NOW_MS))
    journal.write(
        lambda uow: uow.plans.record(
            signal_id=signal_id,
            account="main",
            generation=0,
            plan=plan(*orders),
            first_attempt=(first, SIGNATURE),
            now_ms=NOW_MS,
        )
    )
    return signal_id, first


def report(
    client_id: str,
    status: OrderStatus = OrderStatus.FILLED,
    filled: str = "0.010",
    *,
    rests: bool = False,
    reason: str | None = None,
    fee: str = "0.33",
) -> OrderReport:
    has_fills = Decimal(filled) > 0
    return OrderReport(
        client_order_id=client_id,
        venue_order_id="v-1",
        status=status,
        filled_qty=Decimal(filled),
        avg_price=Decimal("60000") if has_fills else None,
        fee=Decimal(fee) if has_fills else Decimal(0),
        reason=reason,
        rests=rests,
    )


def fill(client_id: str, exec_id: str = "e-1", qty: str = "0.010", fee: str = "0.33") -> Fill:
    return Fill(
        exec_id=exec_id,
        client_order_id=client_id,
        qty=Decimal(qty),
        price=Decimal("60000"),
        fee=Decimal(fee),
        fee_coin="USDT",
        is_maker=False,
        at_ms=NOW_MS,
    )


def events_of(journal: Journal, signal_id: str) -> list[str]:
    shown = journal.signal(signal_id)
    assert shown is not None
    return [event["name"] for event in shown["events"]]


def url_of(path: object) -> str:
    return f"sqlite:///{path}/relay.db"
