"""What one account's part of a signal comes to, from what became of each of its orders."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from relay.domain.instrument import Category
from relay.domain.order import (
    ErrorKind,
    NotSent,
    OrderRejected,
    OrderStatus,
    OrderType,
    PlannedOrder,
    Purpose,
    Reason,
    RequestSignature,
    Side,
    SignalStatus,
    TimeInForce,
    Unknown,
)
from relay.domain.order_lifecycle import (
    Bounds,
    Drop,
    GiveUp,
    LookUp,
    OrderState,
    Send,
    Wait,
    after_outcome,
    denied,
    next_step,
    sent,
)
from relay.domain.progress import AddOrders, Advance, DenyRest, Finish, LookAtPosition, progress
from tests.builders import linear

TOO_OLD = Reason(code="TIME_TOO_OLD", message="too old")
AWAY = Reason(code="EXCHANGE_UNREACHABLE", message="away")
BALANCE = OrderRejected(code=110007, words="not enough", reason_code="EXCHANGE_BALANCE")
GONE = OrderRejected(code=110017, words="nothing to reduce", refusal=ErrorKind.NOTHING_TO_REDUCE)
NOW_MS = 1_700_000_000_000
SIGNATURE = RequestSignature(timestamp_ms=NOW_MS, recv_window_ms=1000)


def order(leg: int, purpose: Purpose, *, exit_qty: str = "0", qty: str = "1", **more: object) -> OrderState:
    planned = PlannedOrder(
        leg=leg,
        category=Category.LINEAR,
        symbol="BTCUSDT",
        side=Side.SELL,
        type=OrderType.MARKET,
        qty=Decimal(qty),
        purpose=purpose,
        exit_qty=Decimal(exit_qty),
        reduce_only=purpose is Purpose.EXIT,
    )
    planned = replace(planned, **more)  # type: ignore[arg-type]
    return OrderState(client_order_id=f"o{leg}", planned=planned)


def refused(state: OrderState, outcome: OrderRejected = BALANCE) -> OrderState:
    return after_outcome(sent(state, SIGNATURE), outcome)


def ended(state: OrderState, status: OrderStatus, filled: str) -> OrderState:
    return replace(sent(state, SIGNATURE), status=status, filled_qty=Decimal(filled))


def finish(*orders: OrderState, size: str | None = None) -> Finish:
    came_to = progress(orders, size=None if size is None else Decimal(size))
    assert isinstance(came_to, Finish), came_to
    return came_to


FLIP = order(0, Purpose.FLIP, exit_qty="1", qty="2", fallback_qty=Decimal(1))
STAND_IN = order(1, Purpose.EXIT, exit_qty="1", replaces_leg=0)


def test_a_flip_whose_entry_may_not_go_is_followed_by_its_exit_alone() -> None:
    added = progress((denied(FLIP, TOO_OLD),))
    assert isinstance(added, AddOrders)
    assert added.planned[0].reduce_only and added.planned[0].qty == 1 and added.planned[0].purpose is Purpose.EXIT


def test_an_exit_that_was_dropped_needs_a_person_whatever_became_of_the_entry() -> None:
    for flip in (denied(FLIP, TOO_OLD), refused(FLIP)):
        came_to = finish(flip, denied(STAND_IN, AWAY))
        assert came_to.status is SignalStatus.ATTENTION and came_to.reason == AWAY


def test_a_refused_flip_whose_exit_was_done_only_failed() -> None:
    came_to = finish(refused(FLIP), ended(STAND_IN, OrderStatus.FILLED, "1"))
    assert came_to.status is SignalStatus.FAILED and came_to.reason and came_to.reason.code == "EXCHANGE_BALANCE"


def test_an_exit_with_nothing_left_to_reduce_is_done_once_the_position_says_so() -> None:
    gone = refused(order(0, Purpose.EXIT, exit_qty="1"), GONE)
    assert isinstance(progress((gone,)), LookAtPosition)
    for size in ("0", "-3"):
        assert finish(gone, size=size).status is SignalStatus.DONE


def test_what_is_open_all_the_same_is_closed_by_the_exchange_itself_and_then_needs_a_person() -> None:
    gone = refused(order(0, Purpose.EXIT, exit_qty="1"), GONE)
    added = progress((gone,), size=Decimal("0.7"))
    assert isinstance(added, AddOrders)
    assert (added.planned[0].closes_all, added.planned[0].qty, added.planned[0].exit_qty) == (
        True,
        Decimal(0),
        Decimal("0.7"),
    )
    closing = OrderState(client_order_id="o1", planned=added.planned[0])
    assert finish(gone, ended(closing, OrderStatus.FILLED, "0.7")).status is SignalStatus.DONE
    again = refused(closing, GONE)
    assert isinstance(progress((gone, again)), LookAtPosition)
    assert finish(gone, again, size="0").status is SignalStatus.DONE
    came_to = finish(gone, again, size="0.7")
    assert came_to.status is SignalStatus.ATTENTION and came_to.reason and came_to.reason.code == "POSITION_REMAINS"


def test_a_refused_order_of_which_nothing_was_to_stand_in_needs_no_look_at_the_position() -> None:
    plain = order(0, Purpose.ENTRY)
    unread = replace(plain, planned=replace(plain.planned, exit_qty=None))
    assert finish(refused(unread)).status is SignalStatus.FAILED


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("NOTIONAL_BELOW_MIN", SignalStatus.DONE),
        ("QTY_BELOW_MIN", SignalStatus.DONE),
        ("EXCHANGE_REFUSED", SignalStatus.ATTENTION),
    ],
)
def test_coins_stay_without_a_person_only_where_they_are_too_few_to_be_sold(code: str, status: SignalStatus) -> None:
    sale = order(0, Purpose.EXIT, exit_qty="1", category=Category.SPOT)
    no = OrderRejected(code=170140, words="no", reason_code=code)
    assert finish(refused(sale, no), size="1").status is status


def test_an_exit_in_part_is_never_made_a_close_of_all() -> None:
    came_to = finish(refused(order(0, Purpose.EXIT, exit_qty="1"), GONE), size="1.5")
    assert came_to.status is SignalStatus.ATTENTION and came_to.reason and came_to.reason.code == "POSITION_REMAINS"


def blind_entry() -> OrderState:
    """The position was not read for it."""
    entry = order(0, Purpose.ENTRY, type=OrderType.LIMIT, price=Decimal(9), fallback_qty=Decimal(1))
    return replace(entry, planned=replace(entry.planned, exit_qty=None))


def test_an_entry_that_may_not_go_has_an_exit_part_only_where_something_is_open_against_it() -> None:
    for gone, status in (
        (denied(blind_entry(), TOO_OLD), SignalStatus.EXPIRED),
        (refused(blind_entry()), SignalStatus.FAILED),
    ):
        assert isinstance(progress((gone,)), LookAtPosition)
        for size in ("0", "-2"):
            came_to = finish(gone, size=size)
            assert came_to.status is status and came_to.reason == gone.reason
        for size, qty in (("0.4", "0.4"), ("3", "1")):
            added = progress((gone,), size=Decimal(size))
            assert (
                isinstance(added, AddOrders) and added.planned[0].qty == Decimal(qty) and added.planned[0].reduce_only
            )


def test_the_exit_of_a_flip_that_was_refused_goes_at_the_market_and_of_one_held_back_as_it_was_asked_for() -> None:
    flip = replace(FLIP, planned=replace(FLIP.planned, type=OrderType.LIMIT, price=Decimal(9)))
    for gone, kind in ((refused(flip), OrderType.MARKET), (denied(flip, TOO_OLD), OrderType.LIMIT)):
        added = progress((gone,))
        assert isinstance(added, AddOrders) and added.planned[0].type is kind


def test_a_limit_exit_that_is_refused_needs_a_person_as_others_may_hold_the_position() -> None:
    exit_order = order(0, Purpose.EXIT, exit_qty="1", type=OrderType.LIMIT, price=Decimal(9))
    assert finish(refused(exit_order, GONE), size="1").status is SignalStatus.ATTENTION


@pytest.mark.parametrize(("kind", "is_told"), [(OrderType.LIMIT, True), (OrderType.MARKET, False)])
def test_an_exit_that_is_refused_for_its_price_says_how_to_close_at_the_market(kind: OrderType, is_told: bool) -> None:
    exit_order = order(0, Purpose.EXIT, exit_qty="1", type=kind, price=Decimal(9) if is_told else None)
    band = OrderRejected(code=110003, words="out of range", reason_code="EXCHANGE_PRICE")
    came_to = finish(refused(exit_order, band), size="1")
    assert came_to.status is SignalStatus.ATTENTION
    assert ("without `price`" in came_to.notes[-1]) is is_told


def test_a_limit_exit_that_ends_unfilled_needs_a_person() -> None:
    exit_order = order(
        0,
        Purpose.EXIT,
        exit_qty="1",
        type=OrderType.LIMIT,
        price=Decimal(9),
        time_in_force=TimeInForce.IOC,
    )
    came_to = finish(ended(exit_order, OrderStatus.EXPIRED, "0.4"))
    assert came_to.status is SignalStatus.ATTENTION and came_to.reason and came_to.reason.code == "POSITION_REMAINS"


def test_a_refused_exit_leg_holds_back_entries_and_no_other_exit() -> None:
    first = refused(order(0, Purpose.EXIT, exit_qty="1"))
    second, entry = order(1, Purpose.EXIT, exit_qty="1"), order(2, Purpose.ENTRY)
    went_on = progress((first, second, entry))
    assert isinstance(went_on, Advance) and went_on.order is second
    stopped = progress((first, ended(second, OrderStatus.FILLED, "1"), entry))
    assert isinstance(stopped, DenyRest)


def limit_exit(leg: int) -> OrderState:
    return order(leg, Purpose.EXIT, exit_qty="1", type=OrderType.LIMIT, price=Decimal(9), time_in_force=TimeInForce.IOC)


@pytest.mark.parametrize("filled", ["0", "0.9"])
def test_an_entry_does_not_follow_an_exit_that_ended_before_it_was_whole(filled: str) -> None:
    short = ended(limit_exit(0), OrderStatus.EXPIRED, filled)
    stopped = progress((short, order(1, Purpose.ENTRY)))
    assert isinstance(stopped, DenyRest) and stopped.reason.code == "LEG_FAILED"
    assert isinstance(progress((ended(limit_exit(0), OrderStatus.FILLED, "1"), order(1, Purpose.ENTRY))), Advance)


def test_a_signal_ends_with_what_went_wrong_and_not_with_what_was_held_back_for_it() -> None:
    """`LEG_FAILED` is the reason of an order; of the signal it is never told."""
    first, second = order(0, Purpose.ENTRY), order(1, Purpose.ENTRY)
    for failed, status, code in (
        (refused(first), SignalStatus.FAILED, "EXCHANGE_BALANCE"),
        (denied(first, TOO_OLD), SignalStatus.EXPIRED, "TIME_TOO_OLD"),
        (ended(limit_exit(0), OrderStatus.EXPIRED, "0"), SignalStatus.ATTENTION, "POSITION_REMAINS"),
    ):
        stopped = progress((failed, second))
        assert isinstance(stopped, DenyRest) and stopped.reason.code == "LEG_FAILED"
        assert failed.reason is None or failed.reason.message in stopped.reason.message
        came_to = finish(failed, denied(second, stopped.reason))
        assert came_to.status is status and came_to.reason is not None and came_to.reason.code == code


def test_an_entry_that_a_halt_held_back_is_denied_and_an_old_one_expires() -> None:
    entry = order(0, Purpose.ENTRY)
    assert finish(denied(entry, Reason(code="HALTED", message="halted"))).status is SignalStatus.DENIED
    assert finish(denied(entry, TOO_OLD)).status is SignalStatus.EXPIRED
    assert finish(denied(entry, AWAY)).status is SignalStatus.FAILED


def test_time_that_the_relay_was_not_there_does_not_count_against_an_exit() -> None:
    later_ms = NOW_MS + 3_600_000
    exit_order = order(0, Purpose.EXIT, exit_qty="1")
    for outcome in (NotSent(why="refused"), Unknown(why="cut")):
        taken_up = replace(after_outcome(sent(exit_order, SIGNATURE), outcome), taken_up_at_ms=later_ms)
        absent = replace(taken_up, look_ups=1, absent_at_ms=later_ms + 1)
        step = next_step(absent, now_ms=later_ms + 5, bounds=Bounds(max_seconds=300), held_back=None, jitter=0)
        assert isinstance(step, Send)
        unanswered = replace(taken_up, look_ups=1)
        step = next_step(unanswered, now_ms=later_ms + 5, bounds=Bounds(max_seconds=300), held_back=None, jitter=0)
        assert not isinstance(step, Drop | GiveUp)


def test_look_ups_after_a_restart_are_paced_like_any_other() -> None:
    later_ms = NOW_MS + 600_000
    state = replace(sent(order(0, Purpose.ENTRY), SIGNATURE), taken_up_at_ms=later_ms)
    requested = 0
    for now_ms in range(later_ms, later_ms + 10_000):
        step = next_step(state, now_ms=now_ms, bounds=Bounds(), held_back=None, jitter=0)
        if isinstance(step, LookUp):
            state, requested = replace(state, look_ups=state.look_ups + 1), requested + 1
        else:
            assert isinstance(step, Wait)
    assert requested < 15


def test_look_ups_that_were_not_answered_do_not_prove_that_a_known_order_is_not_shown() -> None:
    known = OrderRejected(code=110072, words="duplicate", refusal=ErrorKind.ALREADY_THERE)
    state = replace(after_outcome(sent(order(0, Purpose.ENTRY), SIGNATURE), known), look_ups=50)
    step = next_step(state, now_ms=NOW_MS + 60_000, bounds=Bounds(), held_back=None, jitter=0)
    assert not isinstance(step, GiveUp)


def test_a_flip_that_was_refused_after_a_send_that_got_lost_failed_as_one_that_was_refused_at_once() -> None:
    lost = after_outcome(sent(FLIP, SIGNATURE), Unknown(why="no answer"))
    again = refused(lost)
    assert not again.status.is_ended
    dropped = denied(again, Reason(code="EXCHANGE_BALANCE", message="not enough"))
    exit_alone = ended(order(1, Purpose.EXIT, exit_qty="1", replaces_leg=0), OrderStatus.FILLED, "1")
    came_to = progress((dropped, exit_alone))
    assert isinstance(came_to, Finish) and came_to.status is SignalStatus.FAILED
    too_old = after_outcome(sent(FLIP, SIGNATURE), OrderRejected(code=10006, words="too many", refusal=ErrorKind.RATE))
    came_to = progress((denied(too_old, TOO_OLD), exit_alone))
    assert isinstance(came_to, Finish) and came_to.status is SignalStatus.DONE


STALE = OrderRejected(code=10001, words="Qty invalid", refusal=ErrorKind.RULES)
COARSE = linear(qty_step=1, qty_min=1, qty_max_market=5)


def outdated(leg: int, exit_qty: str, **more: object) -> OrderState:
    return refused(order(leg, Purpose.EXIT, exit_qty=exit_qty, qty=exit_qty, **more), STALE)


@pytest.mark.parametrize("outcome", [STALE, GONE])
def test_an_exit_that_was_never_there_and_finds_nothing_open_is_done(outcome: OrderRejected) -> None:
    """Its first send was in doubt, so that its refusal alone was no proof."""
    in_doubt = after_outcome(sent(order(0, Purpose.EXIT, exit_qty="2"), SIGNATURE), Unknown(why="no answer"))
    refusal = Reason(code="SYMBOL_NOT_TRADING", message="it is not live")
    never_was = denied(after_outcome(sent(in_doubt, SIGNATURE), outcome), refusal)
    came_to = finish(never_was, size="0")
    assert (came_to.status, came_to.reason) == (SignalStatus.DONE, None)


def test_an_exit_that_was_refused_by_other_rules_is_planned_anew_once_the_position_is_read() -> None:
    gone = outdated(0, "12.3")
    assert isinstance(progress((gone,), instrument=COARSE), LookAtPosition)
    added = progress((gone,), size=Decimal("12.3"), instrument=COARSE)
    assert isinstance(added, AddOrders)
    assert [(each.qty, each.closes_all, each.exit_qty) for each in added.planned] == [
        (Decimal(4), False, Decimal(4)),
        (Decimal(4), False, Decimal(4)),
        (Decimal(0), True, Decimal("4.3")),
    ]
    assert {each.replaces_leg for each in added.planned} == {0} and [each.leg for each in added.planned] == [1, 2, 3]


@pytest.mark.parametrize(
    ("size", "sent", "closes_all"), [("1.5", "0", True), ("9", "1", False)], ids=["all that is open", "a part"]
)
def test_legs_that_would_each_be_rounded_to_nothing_go_together(size: str, sent: str, closes_all: bool) -> None:
    legs = outdated(0, "0.75"), outdated(1, "0.75")
    added = progress(legs, size=Decimal(size), instrument=COARSE)
    assert isinstance(added, AddOrders)
    (anew,) = added.planned
    assert (anew.qty, anew.closes_all, anew.replaces_leg) == (Decimal(sent), closes_all, 1)
    closing = OrderState(client_order_id="o2", planned=anew)
    done = (*legs, ended(closing, OrderStatus.FILLED, sent if sent != "0" else size))
    left = Decimal(size) - done[2].filled_qty
    came_to = progress(done, size=left, instrument=COARSE)
    assert isinstance(came_to, Finish) and came_to.status is SignalStatus.DONE
    assert came_to.carried == 0


def test_a_part_of_a_position_is_never_closed_by_the_close_of_all() -> None:
    added = progress((outdated(0, "3.7"),), size=Decimal("12.3"), instrument=COARSE)
    assert isinstance(added, AddOrders)
    assert [(each.qty, each.closes_all) for each in added.planned] == [(Decimal(3), False)]


@pytest.mark.parametrize(("side", "size"), [(Side.SELL, "12.3"), (Side.BUY, "-12.3")])
def test_a_part_that_is_less_than_the_exchange_takes_by_now_is_carried_into_the_next_exit(
    side: Side, size: str
) -> None:
    came_to = progress((outdated(0, "0.7", side=side),), size=Decimal(size), instrument=COARSE)
    assert isinstance(came_to, Finish) and came_to.status is SignalStatus.DONE
    assert came_to.carried == Decimal("0.7").copy_sign(Decimal(size))
    assert "0.7 is less than the exchange takes by now" in came_to.notes[-1]
    beside_it = refused(order(1, Purpose.ENTRY, side=side))
    for_a_person = progress((outdated(0, "0.7", side=side), beside_it), size=Decimal(size), instrument=COARSE)
    assert isinstance(for_a_person, Finish)
    assert (for_a_person.status, for_a_person.carried) == (SignalStatus.ATTENTION, Decimal(0))


def test_what_was_planned_anew_is_not_planned_a_second_time() -> None:
    again = outdated(1, "12.3", replaces_leg=0, closes_all=True)
    assert isinstance(progress((outdated(0, "12.3"), again), instrument=COARSE), LookAtPosition)
    came_to = progress((outdated(0, "12.3"), again), size=Decimal("12.3"), instrument=COARSE)
    assert isinstance(came_to, Finish) and came_to.status is SignalStatus.ATTENTION


def test_nothing_is_planned_anew_where_the_position_is_gone_or_the_rules_are_the_same() -> None:
    for gone in (
        progress((outdated(0, "12.3"),), size=Decimal(0), instrument=COARSE),
        progress((outdated(0, "12.3"), outdated(1, "12.3", replaces_leg=0)), size=Decimal(0), instrument=COARSE),
    ):
        assert gone == Finish(status=SignalStatus.DONE, notes=("nothing was open any more when the exit arrived",))
    part = progress((outdated(0, "3"),), size=Decimal(12), instrument=COARSE)
    assert isinstance(part, Finish) and part.status is SignalStatus.ATTENTION


@pytest.mark.parametrize(
    ("side", "price", "mark", "goes"),
    [
        (Side.SELL, "90", "100", True),
        (Side.SELL, "100", "100", True),
        (Side.SELL, "101", "100", False),
        (Side.BUY, "110", "100", True),
        (Side.BUY, "99", "100", False),
        (Side.SELL, "90", None, False),
    ],
)
def test_an_exit_whose_limit_the_exchange_refused_goes_at_the_market_once_where_it_would_not_rest(
    side: Side, price: str, mark: str | None, goes: bool
) -> None:
    size, at = Decimal(-12 * side.sign), None if mark is None else Decimal(mark)
    limit = outdated(0, "3", side=side, type=OrderType.LIMIT, price=Decimal(price))
    came_to = progress((limit,), size=size, mark=at, instrument=COARSE)
    if not goes:
        assert isinstance(came_to, Finish) and came_to.status is SignalStatus.ATTENTION
        return
    assert isinstance(came_to, AddOrders)
    (anew,) = came_to.planned
    assert (anew.type, anew.price, anew.qty, anew.side) == (OrderType.MARKET, None, Decimal(3), side)
    assert anew.reduce_only and anew.replaces_leg == 0
    again = refused(OrderState(client_order_id="o1", planned=anew), STALE)
    ended_so = progress((limit, again), size=size, mark=at, instrument=COARSE)
    assert isinstance(ended_so, Finish) and ended_so.status is SignalStatus.ATTENTION


def test_a_conditional_exit_that_was_refused_for_its_price_does_not_go_before_its_trigger() -> None:
    stop = outdated(0, "3", type=OrderType.STOP_LIMIT, price=Decimal(90), trigger_price=Decimal(95))
    came_to = progress((stop,), size=Decimal(12), mark=Decimal(100), instrument=COARSE)
    assert isinstance(came_to, Finish) and came_to.status is SignalStatus.ATTENTION


def test_the_close_of_all_that_closed_less_than_was_open_is_repeated_three_times_at_most() -> None:
    orders: tuple[OrderState, ...] = ()
    left = Decimal("12.3")
    for leg in range(4):
        cut = order(
            leg, Purpose.EXIT, qty="0", exit_qty=str(left), closes_all=True, replaces_leg=leg - 1 if leg else None
        )
        orders, left = (*orders, ended(cut, OrderStatus.FILLED, "2")), left - 2
        assert isinstance(progress(orders), LookAtPosition)
        came_to = progress(orders, size=left)
        if leg < 3:
            assert isinstance(came_to, AddOrders) and came_to.planned[0].closes_all
            assert came_to.planned[0].exit_qty == left
    assert isinstance(came_to, Finish) and came_to.reason is not None
    assert (came_to.status, came_to.reason.code) == (SignalStatus.ATTENTION, "POSITION_REMAINS")


def test_what_a_market_exit_left_is_sent_again_and_what_a_limit_exit_left_is_not() -> None:
    left = ended(order(0, Purpose.EXIT, exit_qty="1"), OrderStatus.CANCELED, "0.4")
    again = progress((left,))
    assert isinstance(again, AddOrders)
    assert [(each.qty, each.reduce_only) for each in again.planned] == [(Decimal("0.6"), True)]
    resting = order(0, Purpose.EXIT, exit_qty="1", type=OrderType.LIMIT, price=Decimal(50_000))
    assert not isinstance(progress((ended(resting, OrderStatus.CANCELED, "0.4"),), size=Decimal(1)), AddOrders)


def test_an_entry_that_the_exchange_ended_says_how_much_of_it_filled() -> None:
    notes = finish(ended(order(0, Purpose.ENTRY), OrderStatus.CANCELED, "0.4")).notes
    assert notes == ("the exchange ended the order with 0.4 of 1 filled",)
    assert finish(ended(order(0, Purpose.ENTRY), OrderStatus.FILLED, "1")).notes == ()


@pytest.mark.parametrize("code", ["EXCHANGE_KEY", "EXCHANGE_REGION", "POSITION_MODE_HEDGE"])
def test_what_was_refused_for_what_the_account_is_has_no_exit_in_its_stead(code: str) -> None:
    hopeless = refused(FLIP, OrderRejected(code=1, words="no", reason_code=code))
    assert isinstance(progress((hopeless,)), Finish)
    assert isinstance(progress((refused(FLIP),)), AddOrders)
    plain_entry = refused(order(0, Purpose.ENTRY))
    assert isinstance(progress((plain_entry,)), Finish)


def test_an_exit_that_is_planned_anew_says_whether_rules_or_the_balance_were_its_bound() -> None:
    by_rules = progress((outdated(0, "12.3"),), size=Decimal("12.3"), instrument=COARSE)
    assert isinstance(by_rules, AddOrders) and "planned anew by the new ones" in by_rules.note
    lacking = replace(outdated(0, "12.3"), reason=Reason(code="EXCHANGE_BALANCE", message="not enough"))
    by_balance = progress((lacking,), size=Decimal("12.3"), instrument=COARSE)
    assert isinstance(by_balance, AddOrders) and "only 12.3 are free, and they are sold" in by_balance.note
