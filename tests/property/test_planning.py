"""Whatever is asked and whatever is open: the plan goes where the table says, and never past the rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.instrument import Instrument, is_on_grid, plain
from relay.domain.order import PlannedOrder, Purpose, Reason
from relay.domain.plan import Facts, Need, Plan, PlanStatus, Residual
from relay.domain.rules import Rules
from relay.domain.signal import Action, Signal
from tests.builders import NOW, entry_needs, facts, needs, plan, position, rules
from tests.property.cases import (
    INSTRUMENTS,
    PRICES,
    SIZES,
    ZERO,
    Case,
    any_rules,
    any_signal,
    cases,
    executed,
    limit_facts,
    moved,
    parts,
    path_length,
    positions,
    sendable_entry,
    sendable_exit,
    wanted,
)

_CLOSES = [each for each in Action if each.is_close]
_search = settings(max_examples=83, deadline=None, derandomize=True)


def _planned(case: Case, limits: Rules | None = None, *, halted: str | None = None, residual: Decimal = ZERO) -> Plan:
    carried = Residual(size=residual) if residual else None
    known = facts(case.instrument, p=case.p, price=case.price, halted=halted, residual=carried)
    return plan(case.signal, limits or rules(), known)


def _end(case: Case, made: Plan) -> Decimal:
    return executed(case.p, made.orders, case.instrument)[-1]


def _exit_only(case: Case) -> Decimal:
    """Where the exit part alone leaves the position."""
    exit_qty, _ = parts(case.p, wanted(case.signal, case.p))
    return moved(case.p, -1 if case.p > 0 else 1, sendable_exit(case.p, exit_qty, case.instrument), ZERO)


@_search
@given(case=cases())
def test_the_orders_bring_the_position_to_where_the_action_says(case: Case) -> None:
    end = wanted(case.signal, case.p)
    exit_qty, entry_qty = parts(case.p, end)
    sent_exit = sendable_exit(case.p, exit_qty, case.instrument)
    sent_entry = sendable_entry(entry_qty, case)
    move = 1 if end > case.p else -1
    made = _planned(case)
    assert _end(case, made) == moved(case.p, move, sent_exit, sent_entry)
    if sent_exit + sent_entry > 0 and (sent_entry > 0) == (entry_qty > 0):
        assert path_length(_end(case, made), end) < case.instrument.qty_step


@_search
@given(case=cases())
def test_a_plan_has_orders_exactly_if_it_says_so_and_otherwise_says_why(case: Case) -> None:
    made = _planned(case)
    assert bool(made.orders) is (made.status is PlanStatus.PLANNED)
    assert made.orders or made.reason is not None or made.notes
    assert [each.leg for each in made.orders] == list(range(len(made.orders)))


@_search
@given(case=cases())
def test_reduce_only_orders_never_grow_or_flip_a_position_and_are_sized_to_it(case: Case) -> None:
    path = executed(case.p, made.orders, case.instrument) if (made := _planned(case)).orders else []
    for order, before, after in zip(made.orders, path, path[1:], strict=False):
        assert order.reduce_only is (order.purpose is Purpose.EXIT)
        if order.reduce_only:
            assert abs(after) < abs(before) and after * before >= 0
            assert order.exit_qty == abs(after - before)
            assert order.closes_all or order.qty == order.exit_qty
            assert order.take_profit is None and order.stop_loss is None


@_search
@given(case=cases(), halted=st.booleans())
def test_of_every_order_the_exit_part_is_what_it_brings_towards_zero(case: Case, halted: bool) -> None:
    made = _planned(case, halted="by the test" if halted else None)
    path = executed(case.p, made.orders, case.instrument)
    for order, before, after in zip(made.orders, path, path[1:], strict=False):
        towards, away = parts(before, after)
        assert order.exit_qty == towards
        assert order.purpose is _purpose(towards, away)
        assert order.fallback_qty == (towards if order.purpose is Purpose.FLIP else None)


def _purpose(towards: Decimal, away: Decimal) -> Purpose:
    if towards and away:
        return Purpose.FLIP
    return Purpose.EXIT if towards else Purpose.ENTRY


@_search
@given(case=cases(_CLOSES))
def test_an_exit_never_opens_and_a_whole_one_ends_flat(case: Case) -> None:
    end = _end(case, _planned(case, halted="by the test"))
    assert abs(end) <= abs(case.p) and end * case.p >= 0
    of_this_side = case.p > 0 and case.signal.action is not Action.CLOSE_SHORT
    of_this_side |= case.p < 0 and case.signal.action is not Action.CLOSE_LONG
    if of_this_side and (case.signal.qty is None or case.signal.action in (Action.FLAT, Action.EXIT)):
        assert end == 0


@_search
@given(case=cases())
def test_no_leg_is_off_the_grid_over_the_maximum_or_under_the_minimum(case: Case) -> None:
    instrument = case.instrument
    for order in _planned(case).orders:
        most = instrument.largest_order(has_limit=order.type.has_limit)
        if order.closes_all:
            assert order.qty == 0 and order.exit_qty is not None and order.exit_qty <= most
        else:
            assert instrument.qty_min <= order.qty <= most
            assert is_on_grid(order.qty, instrument.qty_step)


@_search
@given(case=cases())
def test_no_more_is_ordered_than_was_asked_for(case: Case) -> None:
    made = _planned(case)
    requested = path_length(case.p, wanted(case.signal, case.p))
    assert sum(each.exit_qty or ZERO if each.closes_all else each.qty for each in made.orders) <= requested


@_search
@given(
    case=cases(),
    why=st.sampled_from(
        [{"halted": "by the test"}, {"now": NOW + timedelta(hours=1)}, {"allowed": frozenset[str]()}, {"most": ZERO}]
    ),
)
def test_a_withheld_entry_never_changes_the_exit(case: Case, why: dict[str, object]) -> None:
    known = facts(case.instrument, p=case.p, price=case.price)
    limits = rules()
    match why:
        case {"halted": str(halted)}:
            known = replace(known, halted=halted)
        case {"now": now}:
            known = replace(known, now=now)  # type: ignore[arg-type]
        case {"allowed": allowed}:
            limits = rules(allowed_symbols=allowed)
        case _:
            limits = rules(max_order_notional=ZERO)
    made = plan(case.signal, limits, known)
    assert _end(case, made) == _exit_only(case)
    assert all(each.reduce_only and each.purpose is Purpose.EXIT for each in made.orders)


@_search
@given(case=cases(), most=SIZES.map(lambda size: size * 500), kind=st.sampled_from(["order", "position", "both"]))
def test_no_entry_passes_a_limit_by_flipping_or_rounding_and_it_goes_out_whole_or_not_at_all(
    case: Case, most: Decimal, kind: str
) -> None:
    limits = rules(
        max_order_notional=most if kind != "position" else None,
        max_position_notional=most if kind != "order" else None,
    )
    end, free = _end(case, _planned(case, limits)), _end(case, _planned(case))
    assert end in (free, _exit_only(case))
    _, entered = parts(case.p, end)
    if entered and kind != "position":
        assert case.instrument.notional(entered, case.price) <= most
    if entered and kind != "order":
        assert case.instrument.notional(abs(end), case.price) <= most


@_search
@given(case=cases(), steps=st.integers(1, 5000))
def test_what_is_carried_is_sent_or_kept_and_never_takes_more_than_the_position(case: Case, steps: int) -> None:
    residual = (case.instrument.qty_min * steps / 5000).copy_sign(case.p) if case.p else ZERO
    made = _planned(case, residual=residual)
    end = _end(case, made)
    plain_end = _end(case, _planned(case))
    assert end == plain_end or (end * case.p >= 0 and abs(end) < abs(plain_end))
    exit_qty, entry_qty = parts(case.p, wanted(case.signal, case.p))
    is_small_exit = 0 < exit_qty < abs(case.p) and not entry_qty and case.signal.action is not Action.TARGET
    if not is_small_exit or end == 0:
        return
    left = abs(made.residual.size) if made.residual else ZERO
    requested, sent = exit_qty + abs(residual), abs(case.p) - abs(end)
    assert sent <= requested
    if left == 0:
        assert requested - sent < case.instrument.qty_step + abs(residual)
    assert left <= requested - sent


@_search
@given(
    requested=any_signal(),
    limits=any_rules(),
    instrument=INSTRUMENTS,
    price=PRICES,
    reference=st.none() | PRICES,
    halted=st.sampled_from([None, None, "by the test"]),
    given_=st.data(),
)
def test_the_facts_that_are_named_are_enough_and_the_plan_can_be_sent(
    requested: Signal,
    limits: Rules,
    instrument: Instrument,
    price: Decimal,
    reference: Decimal | None,
    halted: str | None,
    given_: st.DataObject,
) -> None:
    p = given_.draw(positions(instrument))
    residual = given_.draw(st.none() | st.just(Residual(size=instrument.qty_step / 2)))
    named = needs(requested, limits, instrument, now=NOW, halted=halted, reference_price=reference, residual=residual)
    known = Facts(
        instrument=instrument,
        now=NOW,
        position=position(p, instrument) if Need.POSITION in named else None,
        price=price if Need.PRICE in named else None,
        reference_price=reference,
        equity=Decimal(-5) if p < 0 else Decimal(1234) if Need.EQUITY in named else None,
        residual=residual,
        halted=halted,
    )
    counted = entry_needs(requested, limits, known)
    if counted:
        known = replace(known, limits=given_.draw(limit_facts(counted)))
    made = plan(requested, limits, known)
    assert (made.status is PlanStatus.PLANNED) is (bool(made.orders) or made.bracket is not None)
    for order in made.orders:
        _assert_spelled_plainly(order)
    if Need.POSITION not in named:
        _assert_needs_no_position(requested, made)


def _assert_spelled_plainly(order: PlannedOrder) -> None:
    numbers = (order.qty, order.price, order.trigger_price, order.stop_loss, order.take_profit, order.exit_qty)
    for number in numbers:
        if number is not None:
            assert number >= 0 and set(plain(number)) <= set("0123456789.") and Decimal(plain(number)) == number


def _assert_needs_no_position(requested: Signal, made: Plan) -> None:
    """Without the position nothing may be held back, because an exit could be held back with it."""
    if made.orders:
        assert made.reason is None and requested.action in (Action.BUY, Action.SELL)
        (order,) = made.orders
        assert order.fallback_qty == order.qty and order.exit_qty is None
    elif made.reason is not None:
        assert made.reason.code in ("QTY_MISSING", "QTY_UNIT_NEEDED", "NOT_SUPPORTED")


@_search
@given(case=cases(), limits=any_rules(), given_=st.data())
def test_no_rules_and_no_facts_of_theirs_ever_deny_or_change_an_exit(
    case: Case, limits: Rules, given_: st.DataObject
) -> None:
    limits = replace(limits, size_scale_pct=Decimal(100), default_size=None, default_leverage=None)
    held = position(case.p, case.instrument, leverage=given_.draw(st.none() | st.just(Decimal(10))))
    known = replace(facts(case.instrument, price=case.price, equity=1000), position=held)
    counted = entry_needs(case.signal, limits, known)
    if counted:
        known = replace(known, limits=given_.draw(limit_facts(counted)))
    made = plan(case.signal, limits, known)
    assert _end(case, made) in (_end(case, _planned(case)), _exit_only(case))


@_search
@given(requested=any_signal(), limits=any_rules(), instrument=INSTRUMENTS, price=PRICES, given_=st.data())
def test_a_plan_that_was_denied_or_has_expired_sends_nothing_and_says_why(
    requested: Signal, limits: Rules, instrument: Instrument, price: Decimal, given_: st.DataObject
) -> None:
    p = given_.draw(positions(instrument))
    made = plan(requested, limits, facts(instrument, p=p, price=price, equity=1000))
    if made.status in (PlanStatus.DENIED, PlanStatus.EXPIRED):
        assert made.orders == () and made.reason is not None
    if made.reason is not None and made.status is PlanStatus.PLANNED:
        assert made.reason.code == "ENTRY_WITHHELD"
        assert all(each.reduce_only for each in made.orders)


@_search
@given(
    requested=any_signal(),
    limits=any_rules(),
    instrument=INSTRUMENTS,
    price=PRICES,
    lost=st.sets(st.sampled_from([Need.PRICE, Need.EQUITY]), min_size=1),
    given_=st.data(),
)
def test_facts_that_cannot_be_read_open_nothing_and_withhold_no_exit_that_is_known_without_them(
    requested: Signal, limits: Rules, instrument: Instrument, price: Decimal, lost: set[Need], given_: st.DataObject
) -> None:
    held = position(given_.draw(positions(instrument)), instrument, leverage=10)
    whole = Facts(instrument=instrument, now=NOW, position=held, price=price, equity=Decimal(1234))
    named = needs(requested, limits, instrument, now=NOW, halted=None, reference_price=None, residual=None)
    unread = {need: Reason(code="EXCHANGE_KEY", message="refused") for need in sorted(lost & named)}
    known = replace(
        whole,
        price=price if Need.PRICE in named - lost else None,
        equity=Decimal(1234) if Need.EQUITY in named - lost else None,
        unread=unread,
    )
    counted = entry_needs(requested, limits, known)
    assert not (counted and unread)
    made = plan(requested, limits, replace(known, limits=given_.draw(limit_facts(counted))) if counted else known)
    if not unread:
        return
    assert all(each.reduce_only and each.purpose is Purpose.EXIT for each in made.orders)
    assert made.bracket is None
    if made.status is PlanStatus.DENIED and made.reason in unread.values():
        return
    alone = plan(requested, limits, replace(whole, halted="by the test"))
    if not requested.type.is_conditional:
        assert [each.qty for each in made.orders] == [each.qty for each in alone.orders] or not alone.orders


@_search
@given(case=cases(), lost=st.sampled_from([Need.PRICE, Need.EQUITY]))
def test_of_what_is_sized_without_it_an_unread_fact_never_changes_the_exit(case: Case, lost: Need) -> None:
    unread = {lost: Reason(code="EXCHANGE_KEY", message="refused")}
    made = plan(case.signal, rules(), facts(case.instrument, p=case.p, price=None, unread=unread))
    assert _end(case, made) == _exit_only(case)
    assert all(each.reduce_only and each.purpose is Purpose.EXIT for each in made.orders)
