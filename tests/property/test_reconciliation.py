"""One order against an exchange that loses, delays and refuses: whatever happens, what the relay believes is true."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from decimal import Decimal

from hypothesis import event, given, settings
from hypothesis import strategies as st

from relay.domain.instrument import Category
from relay.domain.order import (
    Accepted,
    ErrorKind,
    NotSent,
    OrderRejected,
    OrderStatus,
    OrderType,
    Outcome,
    PlannedOrder,
    Purpose,
    Reason,
    RequestSignature,
    Side,
    Unknown,
)
from relay.domain.order_lifecycle import (
    Bounds,
    Drop,
    GiveUp,
    LookUp,
    OrderState,
    Send,
    Settled,
    Step,
    Wait,
    after_outcome,
    denied,
    looked_up,
    next_step,
    sent,
)
from relay.domain.position import OrderReport

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
    on_the_way: list[tuple[int, RequestSignature]] = field(default_factory=list)
    created: int = 0
    arrived_at_ms: int = 0
    hidden_ms: int = 0
    """For so long after it arrived nothing that is asked by its id shows the order; the position does."""

    def pass_time(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        due = [each for each in self.on_the_way if each[0] <= self.now_ms]
        self.on_the_way = [each for each in self.on_the_way if each[0] > self.now_ms]
        for at_ms, signature in due:
            self.arrive(signature, at_ms)

    def arrive(self, signature: RequestSignature, at_ms: int) -> Outcome:
        if at_ms - signature.recv_window_ms > signature.timestamp_ms:
            return OrderRejected(code=10002, words="timestamp outside the window", refusal=ErrorKind.CLOCK)
        if IDENTITY in self.orders:
            return OrderRejected(code=110072, words="duplicate", refusal=ErrorKind.ALREADY_THERE)
        self.orders[IDENTITY] = OrderStatus.FILLED
        self.created += 1
        self.arrived_at_ms = at_ms
        return Accepted(venue_order_id="v")

    def place(self, signature: RequestSignature, fault: str, delay_ms: int) -> Outcome:
        match fault:
            case "reply_lost":
                self.arrive(signature, self.now_ms)
                return Unknown(why="the reply was lost")
            case "request_lost":
                return Unknown(why="the request was lost")
            case "delayed":
                self.on_the_way.append((self.now_ms + delay_ms, signature))
                return Unknown(why="no answer in time")
            case "refused_connection":
                return NotSent(why="connection refused")
            case "rate":
                return OrderRejected(
                    code=10006, words="too many", refusal=ErrorKind.RATE, retry_at_ms=self.now_ms + 700
                )
            case "clock":
                return OrderRejected(code=10002, words="timestamp", refusal=ErrorKind.CLOCK)
            case "uncertain_with_effect":
                self.arrive(signature, self.now_ms)
                return Unknown(why="10016")
            case "uncertain_without_effect":
                return Unknown(why="10000")
            case "refused":
                # The first send may have spent the balance that the second one lacks.
                return OrderRejected(code=110007, words="balance", reason_code="EXCHANGE_BALANCE")
        return self.arrive(signature, self.now_ms)

    def look_up(self) -> OrderReport | None:
        status = self.orders.get(IDENTITY)
        if status is None or self.now_ms < self.arrived_at_ms + self.hidden_ms:
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


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32),
    purpose=st.sampled_from((Purpose.ENTRY, Purpose.EXIT)),
    faults=st.lists(st.sampled_from(FAULTS), max_size=6),
    old_after_ms=st.sampled_from((500, 3_000, 20_000, 100_000)),
    hidden_ms=st.sampled_from((0, 0, 8_000, 25_000, 60_000)),
)
def test_whatever_the_exchange_does_the_relay_believes_what_is_true(
    seed: int, purpose: Purpose, faults: list[str], old_after_ms: int, hidden_ms: int
) -> None:
    exchange, remaining, chance = Exchange(hidden_ms=hidden_ms), list(faults), random.Random(seed)
    order = OrderState(client_order_id=IDENTITY, planned=planned(purpose))
    bounds = Bounds(max_attempts=8, max_seconds=30)
    for _ in range(400):
        is_old = exchange.now_ms - START_MS > old_after_ms
        step = next_step(
            order,
            now_ms=exchange.now_ms,
            bounds=bounds,
            held_back=TOO_OLD if is_old else None,
            jitter=chance.random(),
        )
        match step:
            case Send():
                assert not (is_old and purpose is Purpose.ENTRY), "an old entry must not be sent"
                signature = RequestSignature(timestamp_ms=exchange.now_ms, recv_window_ms=WINDOW_MS)
                order = sent(order, signature)
                fault = remaining.pop(0) if remaining else "none"
                outcome = exchange.place(signature, fault, chance.randint(1, 2 * WINDOW_MS))
                if chance.random() < 0.5:
                    # Killed before the answer is written down.
                    continue
                order = after_outcome(order, outcome)
            case LookUp(is_thorough=is_thorough):
                begun_at_ms = exchange.now_ms
                exchange.pass_time(chance.randint(0, 50))
                if chance.randrange(4) == 0:
                    order = replace(order, look_ups=order.look_ups + 1)
                else:
                    is_moved = exchange.created > 0 if is_thorough else None
                    order = looked_up(
                        order, exchange.look_up(), begun_at_ms=begun_at_ms, bounds=bounds, is_moved=is_moved
                    )
            case Wait(until_ms=until_ms):
                assert until_ms > exchange.now_ms, "waiting must take time"
                exchange.pass_time(until_ms - exchange.now_ms)
            case Drop(reason=reason):
                order = denied(order, reason)
            case GiveUp() | Settled():
                break
        exchange.pass_time(chance.randint(0, 20))
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
        RequestSignature(timestamp_ms=START_MS, recv_window_ms=WINDOW_MS),
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
    refused = OrderRejected(code=10002, words="timestamp", refusal=ErrorKind.CLOCK)
    order = state(refused)
    step = next_step(order, now_ms=START_MS + 1, bounds=Bounds(), held_back=None, jitter=0)
    assert step == Send(measure_clock=True)
    order = after_outcome(sent(order, RequestSignature(timestamp_ms=START_MS + 2, recv_window_ms=WINDOW_MS)), refused)
    assert order.status is OrderStatus.REJECTED


def test_an_order_whose_id_the_exchange_knows_is_looked_up_until_its_time_is_over_and_then_given_up() -> None:
    order = replace(
        state(OrderRejected(code=110072, words="duplicate", refusal=ErrorKind.ALREADY_THERE), look_ups=50),
        absent_at_ms=START_MS + 90_000,
    )
    for now_ms, kind in ((START_MS + 500_000, LookUp), (START_MS + 901_000, GiveUp)):
        step = next_step(order, now_ms=now_ms, bounds=Bounds(), held_back=TOO_OLD, jitter=0)
        assert isinstance(step, kind), step


def test_an_entry_that_may_not_go_again_is_dropped_after_half_a_minute_of_finding_nothing_at_all() -> None:
    order, thorough = state(Unknown(why="cut")), []
    now_ms, dead_at_ms = START_MS, START_MS + WINDOW_MS + 1000
    while not isinstance(step := step_of(order, now_ms), Drop):
        if isinstance(step, Wait):
            now_ms = step.until_ms
            continue
        assert isinstance(step, LookUp), step
        thorough += [now_ms] if step.is_thorough else []
        order = looked_up(
            order, None, begun_at_ms=now_ms, bounds=Bounds(), is_moved=False if step.is_thorough else None
        )
        now_ms += 1
    assert step.reason == TOO_OLD
    assert 3 <= len(thorough) <= 12 and thorough[0] > dead_at_ms
    assert 30_000 <= now_ms - dead_at_ms <= 40_000


def test_where_the_position_moved_meanwhile_half_a_minute_authenticates_nothing() -> None:
    order = state(Unknown(why="cut"))
    begun_ms = START_MS + WINDOW_MS + 1001
    for after_ms in (0, 15_000, 40_000, 300_000):
        order = looked_up(order, None, begun_at_ms=begun_ms + after_ms, bounds=Bounds(), is_moved=after_ms == 15_000)
        assert not isinstance(step_of(order, begun_ms + after_ms + 1), Drop)
    order = looked_up(order, None, begun_at_ms=begun_ms + 600_000, bounds=Bounds(), is_moved=False)
    assert isinstance(step_of(order, begun_ms + 600_001), Drop)


def test_a_send_that_is_refused_for_good_says_nothing_of_the_one_before_it_that_may_have_arrived() -> None:
    again = sent(state(Unknown(why="cut")), RequestSignature(timestamp_ms=START_MS + 9_000, recv_window_ms=WINDOW_MS))
    order = after_outcome(again, OrderRejected(code=110007, words="no balance", reason_code="EXCHANGE_BALANCE"))
    assert order.status is OrderStatus.SUBMITTED
    assert isinstance(step_of(order, START_MS + 20_000, held_back=None), LookUp)
    for after_ms in (12_000, 25_000, 43_000):
        order = looked_up(order, None, begun_at_ms=START_MS + after_ms, bounds=Bounds(), is_moved=False)
    step = step_of(order, START_MS + 43_001, held_back=None)
    assert isinstance(step, Drop) and step.reason.code == "EXCHANGE_BALANCE"


def test_an_exit_with_nothing_left_to_reduce_is_over_whichever_of_its_sends_did_it() -> None:
    order = replace(state(Unknown(why="cut")), planned=planned(Purpose.EXIT))
    again = sent(order, RequestSignature(timestamp_ms=START_MS + 9_000, recv_window_ms=WINDOW_MS))
    spent = OrderRejected(code=110017, words="nothing to reduce", refusal=ErrorKind.NOTHING_TO_REDUCE)
    assert after_outcome(again, spent).status is OrderStatus.REJECTED


def step_of(order: OrderState, now_ms: int, held_back: Reason | None = TOO_OLD) -> Step:
    return next_step(order, now_ms=now_ms, bounds=Bounds(), held_back=held_back, jitter=0)


def test_reports_in_the_wrong_order_take_no_fill_back_and_reopen_nothing() -> None:
    filled = OrderReport(
        client_order_id=IDENTITY,
        venue_order_id="v",
        status=OrderStatus.FILLED,
        filled_qty=Decimal(1),
        avg_price=Decimal(100),
        fee=Decimal(0),
    )
    order = looked_up(state(Accepted(venue_order_id="v")), filled, begun_at_ms=START_MS, bounds=Bounds())
    late = replace(filled, status=OrderStatus.PARTIALLY_FILLED, filled_qty=Decimal("0.5"))
    assert looked_up(order, late, begun_at_ms=START_MS, bounds=Bounds()).status is OrderStatus.FILLED
    assert looked_up(order, late, begun_at_ms=START_MS, bounds=Bounds()).filled_qty == 1
