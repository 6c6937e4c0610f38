"""One order against an exchange that loses, delays and refuses: whatever happens, what the relay believes is true."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from hypothesis import event, given, settings
from hypothesis import strategies as st

from relay.domain.history import denied, looked_up, sent
from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, OrderType, PlannedOrder, Purpose, Reason, Side
from relay.domain.outcome import Accepted, NotSent, Outcome, Refusal, Rejected, Stamp, Unknown
from relay.domain.position import OrderReport
from relay.domain.reconciliation import (
    Bounds,
    Drop,
    GiveUp,
    LookUp,
    OrderState,
    Send,
    Settled,
    Wait,
    after_outcome,
    next_step,
)

WINDOW_MS = 1000
START_MS = 1_700_000_000_000
IDENTITY = "order-1"
TOO_OLD = Reason(code="TIME_TOO_OLD", message="too old")

FAULTS = (
    "none",
    "reply_lost",
    "request_lost",
    "delayed",
    "refused_connection",
    "rate",
    "clock",
    "uncertain_with_effect",
    "uncertain_without_effect",
    "refused",
)


@dataclass
class Exchange:
    """Knows each client order id once and for good; takes a request only within its window, as the real one does."""

    now_ms: int = START_MS
    orders: dict[str, OrderStatus] = field(default_factory=dict)
    on_the_way: list[tuple[int, Stamp]] = field(default_factory=list)
    created: int = 0

    def pass_time(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        due = [each for each in self.on_the_way if each[0] <= self.now_ms]
        self.on_the_way = [each for each in self.on_the_way if each[0] > self.now_ms]
        for at_ms, stamp in due:
            self.arrive(stamp, at_ms)

    def arrive(self, stamp: Stamp, at_ms: int) -> Outcome:
        if at_ms - stamp.recv_window_ms > stamp.timestamp_ms:
            return Rejected(code=10002, words="timestamp outside the window", refusal=Refusal.CLOCK)
        if IDENTITY in self.orders:
            return Rejected(code=110072, words="duplicate", refusal=Refusal.ALREADY_THERE)
        self.orders[IDENTITY] = OrderStatus.FILLED
        self.created += 1
        return Accepted(venue_order_id="v")

    def place(self, stamp: Stamp, fault: str, delay_ms: int) -> Outcome:
        match fault:
            case "reply_lost":
                self.arrive(stamp, self.now_ms)
                return Unknown(why="the reply was lost")
            case "request_lost":
                return Unknown(why="the request was lost")
            case "delayed":
                self.on_the_way.append((self.now_ms + delay_ms, stamp))
                return Unknown(why="no answer in time")
            case "refused_connection":
                return NotSent(why="connection refused")
            case "rate":
                return Rejected(code=10006, words="too many", refusal=Refusal.RATE, retry_at_ms=self.now_ms + 700)
            case "clock":
                return Rejected(code=10002, words="timestamp", refusal=Refusal.CLOCK)
            case "uncertain_with_effect":
                self.arrive(stamp, self.now_ms)
                return Unknown(why="10016")
            case "uncertain_without_effect":
                return Unknown(why="10000")
            case "refused":
                if IDENTITY not in self.orders:
                    return Rejected(code=110007, words="insufficient balance", reason_code="EXCHANGE_BALANCE")
        return self.arrive(stamp, self.now_ms)

    def look_up(self) -> OrderReport | None:
        status = self.orders.get(IDENTITY)
        if status is None:
            return None
        return OrderReport(
            client_order_id=IDENTITY,
            venue_order_id="v",
            status=status,
            filled_qty=Decimal(1),
            avg_price=Decimal(100),
            fee=Decimal(0),
        )


def planned(purpose: Purpose) -> PlannedOrder:
    return PlannedOrder(
        leg=0,
        category=Category.LINEAR,
        symbol="BTCUSDT",
        side=Side.BUY,
        type=OrderType.MARKET,
        qty=Decimal(1),
        purpose=purpose,
        reduce_only=purpose is Purpose.EXIT,
    )


@settings(max_examples=600)
@given(
    data=st.data(),
    purpose=st.sampled_from((Purpose.ENTRY, Purpose.EXIT)),
    faults=st.lists(st.sampled_from(FAULTS), max_size=6),
    old_after_ms=st.sampled_from((500, 3_000, 20_000, 100_000)),
)
def test_whatever_the_exchange_does_the_relay_believes_what_is_true(
    data: st.DataObject, purpose: Purpose, faults: list[str], old_after_ms: int
) -> None:
    exchange, remaining = Exchange(), list(faults)
    order = OrderState(client_order_id=IDENTITY, planned=planned(purpose))
    bounds = Bounds(max_attempts=8, max_seconds=30)
    for _ in range(400):
        is_old = exchange.now_ms - START_MS > old_after_ms
        step = next_step(
            order,
            now_ms=exchange.now_ms,
            bounds=bounds,
            held_back=TOO_OLD if is_old else None,
            jitter=data.draw(st.floats(0, 1), label="jitter"),
        )
        match step:
            case Send():
                assert not (is_old and purpose is Purpose.ENTRY), "an old entry must not be sent"
                stamp = Stamp(timestamp_ms=exchange.now_ms, recv_window_ms=WINDOW_MS)
                order = sent(order, stamp)
                fault = remaining.pop(0) if remaining else "none"
                outcome = exchange.place(stamp, fault, data.draw(st.integers(1, 2 * WINDOW_MS), label="delay"))
                if data.draw(st.booleans(), label="killed before the answer is written down"):
                    continue
                order = after_outcome(order, outcome)
            case LookUp():
                begun_at_ms = exchange.now_ms
                exchange.pass_time(data.draw(st.integers(0, 50), label="look-up takes"))
                if data.draw(st.integers(0, 3), label="look-up fails") == 0:
                    order = replace(order, look_ups=order.look_ups + 1)
                else:
                    order = looked_up(order, exchange.look_up(), begun_at_ms=begun_at_ms)
            case Wait(until_ms=until_ms):
                assert until_ms > exchange.now_ms, "waiting must take time"
                exchange.pass_time(until_ms - exchange.now_ms)
            case Drop(reason=reason):
                order = denied(order, reason)
            case GiveUp() | Settled():
                break
        exchange.pass_time(data.draw(st.integers(0, 20), label="time passes"))
    else:
        raise AssertionError(f"it never comes to an end: {order}")

    exchange.pass_time(10 * WINDOW_MS)
    event(order.status.value)
    assert exchange.created <= 1
    if order.status in (OrderStatus.DENIED, OrderStatus.REJECTED):
        assert exchange.created == 0, "what is believed to be without effect took effect"
    if order.status is OrderStatus.FILLED:
        assert exchange.created == 1


def state(outcome: Outcome | None, *, look_ups: int = 0, absent_at_ms: int | None = None) -> OrderState:
    order = sent(
        OrderState(client_order_id=IDENTITY, planned=planned(Purpose.ENTRY)),
        Stamp(timestamp_ms=START_MS, recv_window_ms=WINDOW_MS),
    )
    if outcome is not None:
        order = after_outcome(order, outcome)
    return replace(order, look_ups=look_ups, absent_at_ms=absent_at_ms)


def test_an_unknown_outcome_is_never_sent_again_on_a_look_up_begun_within_the_window_and_its_margin() -> None:
    dead_at_ms = START_MS + WINDOW_MS + 1000
    for absent_at_ms in (START_MS, START_MS + WINDOW_MS + 1, dead_at_ms):
        order = state(Unknown(why="cut"), look_ups=9, absent_at_ms=absent_at_ms)
        for now_ms in range(START_MS, dead_at_ms + 60_000, 250):
            step = next_step(order, now_ms=now_ms, bounds=Bounds(), held_back=None, jitter=0.5)
            assert isinstance(step, LookUp | Wait)
    order = state(Unknown(why="cut"), look_ups=9, absent_at_ms=dead_at_ms + 1)
    assert isinstance(next_step(order, now_ms=dead_at_ms + 2, bounds=Bounds(), held_back=None, jitter=0.5), Send)


def test_a_process_killed_while_sending_is_as_unknown_as_a_lost_reply() -> None:
    order = state(None)
    assert isinstance(next_step(order, now_ms=START_MS + 1, bounds=Bounds(), held_back=None, jitter=0), LookUp)


def test_a_refused_timestamp_is_measured_and_sent_again_once_and_then_it_is_final() -> None:
    refused = Rejected(code=10002, words="timestamp", refusal=Refusal.CLOCK)
    order = state(refused)
    step = next_step(order, now_ms=START_MS + 1, bounds=Bounds(), held_back=None, jitter=0)
    assert step == Send(measure_clock=True)
    order = after_outcome(sent(order, Stamp(timestamp_ms=START_MS + 2, recv_window_ms=WINDOW_MS)), refused)
    assert order.status is OrderStatus.REJECTED


def test_an_order_that_the_exchange_knows_but_never_shows_is_given_up_as_unknown() -> None:
    order = replace(
        state(Rejected(code=110072, words="duplicate", refusal=Refusal.ALREADY_THERE), look_ups=50), absences=50
    )
    step = next_step(order, now_ms=START_MS + 500_000, bounds=Bounds(), held_back=TOO_OLD, jitter=0)
    assert isinstance(step, GiveUp) and step.reason.code == "OUTCOME_UNKNOWN"


def test_reports_in_the_wrong_order_take_no_fill_back_and_reopen_nothing() -> None:
    filled = OrderReport(
        client_order_id=IDENTITY,
        venue_order_id="v",
        status=OrderStatus.FILLED,
        filled_qty=Decimal(1),
        avg_price=Decimal(100),
        fee=Decimal(0),
    )
    order = looked_up(state(Accepted(venue_order_id="v")), filled, begun_at_ms=START_MS)
    late = replace(filled, status=OrderStatus.PARTIALLY_FILLED, filled_qty=Decimal("0.5"))
    assert looked_up(order, late, begun_at_ms=START_MS).status is OrderStatus.FILLED
    assert looked_up(order, late, begun_at_ms=START_MS).filled_qty == 1
