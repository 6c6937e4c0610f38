"""The decision: which orders a signal asks for, given the facts. Pure, and the same for every engine."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import ROUND_DOWN, Context, Decimal, localcontext

from relay.domain.account import Mode, Rules
from relay.domain.crossing import crossing_note
from relay.domain.drift import Expected, healing_needs, needs_healing
from relay.domain.entry import entry_refusal
from relay.domain.guard import guard_of
from relay.domain.instrument import Instrument
from relay.domain.intent import Intent, Move, Nothing, intent_of, only_exits
from relay.domain.legs import orders_of, rounded
from relay.domain.levels import levels_of, wrong_side
from relay.domain.leverage import asked_leverage, with_leverage
from relay.domain.limit_facts import LimitNeed
from relay.domain.limits import limit_needs, limits_by_price, limits_entries, standing_refusal
from relay.domain.mode import as_target, mode_refusal
from relay.domain.order import Reason, Side
from relay.domain.plan import Carry, Facts, Need, Plan, PlanStatus
from relay.domain.risk import order_price, stop_reference
from relay.domain.rounding import floor_to, plain
from relay.domain.signal import Action, QtyUnit, Signal
from relay.domain.sizing import size_inputs, size_needs, size_of, sizes_of

_ORDERS_NOTHING = (Action.CANCEL, Action.HEARTBEAT)
_SIZES_NOTHING = (*_ORDERS_NOTHING, Action.STOPS)
_FAR_FROM_MIN = 2
"""A notional of so many times the minimum at the last price heard of needs no fresh price to be sure."""
_BESIDE_IT = "the exit was sent beside a resting order of the relay's, which may fill behind it"
_WIDE = Context(prec=100, rounding=ROUND_DOWN)
"""Sums and products of an alert's longest numbers are exact in it."""


def needs(
    signal: Signal,
    rules: Rules,
    instrument: Instrument,
    *,
    now: datetime,
    halted: str | None,
    reference_price: Decimal | None,
    carry: Carry | None = None,
) -> frozenset[Need]:
    """The facts that `plan` will want, given the same `now`, `halted`, `reference_price` and `carry`.

    A plain buy of an amount in coins wants none, so it costs no reading. Whatever might hold back an entry wants the
    position, because the exit part of the order goes out even so.
    """
    if signal.action in _ORDERS_NOTHING:
        return frozenset()
    if signal.action is Action.STOPS:
        return frozenset({Need.POSITION})
    wanted = size_needs(signal, rules, instrument) | healing_needs(signal, rules, instrument)
    has_limits = limits_entries(rules)
    opens = not only_exits(signal)
    has_levels = opens and not levels_of(signal, rules).is_empty
    has_leverage = opens and asked_leverage(signal, rules) is not None
    if (
        signal.action not in (Action.BUY, Action.SELL)
        or signal.market_position is not None
        or has_levels
        or has_leverage
        or has_limits
        or carry is not None
        or mode_refusal(signal, rules) is not None
        or standing_refusal(signal, rules, instrument, now=now, halted=halted) is not None
    ):
        wanted.add(Need.POSITION)
    else:
        wanted |= _near_a_bound(signal, rules, instrument, reference_price)
    checks_price = has_levels or limits_by_price(signal, rules, instrument)
    if signal.type.is_conditional or (checks_price and opens):
        wanted.add(Need.PRICE)
    return frozenset(wanted)


def entry_needs(signal: Signal, rules: Rules, facts: Facts) -> frozenset[LimitNeed]:
    """What the limits want to know besides, given all facts that `needs` named: nothing, if nothing would be opened.

    So no exit waits for what only a limit asks.
    """
    wanted = limit_needs(rules)
    if not wanted or signal.action in _SIZES_NOTHING or facts.position is None or facts.position.is_hedge:
        return frozenset()
    if (
        facts.unread
        or facts.uncleared
        or standing_refusal(signal, rules, facts.instrument, now=facts.now, halted=facts.halted) is not None
    ):
        return frozenset()
    with localcontext(_WIDE):
        asked = as_target(signal, rules) if needs_healing(signal, rules, facts) is not None else signal
        intent = intent_of(asked, sizes_of(asked, rules, facts), facts.size)
    return wanted if isinstance(intent, Move) and intent.entry_qty > 0 else frozenset()


def _near_a_bound(signal: Signal, rules: Rules, instrument: Instrument, reference: Decimal | None) -> set[Need]:
    """What a plain order needs because its size might be under the exchange's minima or over its maximum."""
    size = size_of(signal, rules, is_inverse=instrument.is_inverse)
    if isinstance(size, Reason):
        return set()
    if not size.unit.is_absolute or (instrument.is_inverse and size.unit is QtyUnit.BASE):
        return {Need.POSITION}
    most = instrument.largest_order(has_limit=signal.type.has_limit)
    if floor_to(size.qty, instrument.qty_step) < instrument.qty_min or size.qty > most:
        return {Need.POSITION}
    price = order_price(signal) or reference
    if instrument.is_inverse or (
        price is not None and instrument.notional(size.qty, price) >= instrument.notional_min * _FAR_FROM_MIN
    ):
        return set()
    return {Need.POSITION} if order_price(signal) is not None else {Need.POSITION, Need.PRICE}


def plan(signal: Signal, rules: Rules, facts: Facts) -> Plan:
    """What to send for `signal`. Facts named by `needs` must be there; that is the caller's contract."""
    with localcontext(_WIDE):
        made = _plan(signal, rules, facts)
        sized = {} if signal.action in _SIZES_NOTHING else size_inputs(signal, rules, facts)
        if facts.uncleared is not None and made.orders:
            # Kept with the plan, so that no restart forgets that a person must look.
            made = replace(made, reason=facts.uncleared, notes=(*made.notes, _BESIDE_IT))
        return replace(made, inputs=facts.as_inputs() | sized)


def _plan(signal: Signal, rules: Rules, facts: Facts) -> Plan:
    if signal.action in _ORDERS_NOTHING:
        return Plan(status=PlanStatus.DONE, carry=facts.carry)
    if facts.position is not None and facts.position.is_hedge:
        return _denied(_hedge(facts.instrument), facts.carry)
    if signal.action is Action.STOPS:
        return _plan_stops(signal, facts)
    carry = facts.carry if facts.carry and _is_same_side(facts.carry.size, facts.size) else None
    if facts.is_overtaken and rules.mode is Mode.POSITION and signal.action is Action.TARGET:
        return Plan(status=PlanStatus.DONE, notes=("nothing is ordered: the later alert counts",), carry=carry)
    if (expected := needs_healing(signal, rules, facts)) is not None:
        return _healed(signal, rules, facts, expected, carry)
    return _of_intent(intent_of(signal, sizes_of(signal, rules, facts), facts.size), signal, rules, facts, carry)


def _healed(signal: Signal, rules: Rules, facts: Facts, expected: Expected, carry: Carry | None) -> Plan:
    """The strategy's order on a position that is not the strategy's: be where the strategy is afterwards."""
    target = as_target(signal, rules)
    made = _of_intent(intent_of(target, sizes_of(target, rules, facts), facts.size), target, rules, facts, carry)
    assert facts.size is not None
    note = f"drift healed: the strategy came from {expected} and the account from {plain(facts.size)}"
    return replace(made, notes=(note, *made.notes))


def _of_intent(intent: Intent, signal: Signal, rules: Rules, facts: Facts, carry: Carry | None) -> Plan:
    if isinstance(intent, Reason):
        return _denied(intent, carry)
    if isinstance(intent, Nothing):
        return Plan(status=PlanStatus.DONE, notes=(intent.note,), carry=carry)
    return _plan_move(intent, signal, rules, facts, carry)


def _plan_stops(signal: Signal, facts: Facts) -> Plan:
    """New levels for the position that is open; they count from its average entry. They pass like any exit."""
    position, carry = facts.position, facts.carry
    assert position is not None, "`stops` needs the position"
    if position.size == 0:
        message = f"`stops` sets levels on an open position, and none is open on {position.symbol}"
        return _denied(Reason(code="POSITION_NONE", message=message), carry)
    if levels_of(signal, Rules()).is_empty:
        return Plan(status=PlanStatus.DONE, notes=("no level is named",), carry=carry)
    side, levels, entry = Side.towards(position.size), levels_of(signal, Rules()), position.avg_price
    assert entry is not None, "an open position has an average entry"
    tick = facts.instrument.tick_size
    refused = wrong_side(levels, side=side, reference=entry, tick=tick, price=position.mark_price)
    if refused is not None:
        return _denied(refused, carry)
    return Plan(status=PlanStatus.PLANNED, carry=carry, guard=guard_of(levels, side, reference=entry))


def _plan_move(asked: Move, signal: Signal, rules: Rules, facts: Facts, carry: Carry | None) -> Plan:
    if signal.type.is_conditional and facts.market_price is None:
        return _denied(facts.unread[Need.PRICE], carry)
    move = rounded(asked, facts, carried=carry.size if carry else Decimal(0))
    notes = (*asked.notes, *_pure_delta_note(signal, asked))
    refused = asked.entry_refused
    if asked.entry_qty > 0:
        refused = entry_refusal(move, signal, rules, facts)
        if refused and asked.is_target and refused.code in ("QTY_BELOW_MIN", "NOTIONAL_BELOW_MIN"):
            notes, refused = (*notes, f"already there to within the minimum: {refused.message}"), None
            move = replace(move, entry_qty=Decimal(0))
    if refused:
        move = replace(move, entry_qty=Decimal(0))
    if move.exit_qty == 0 and move.entry_qty == 0 and not move.closes_all:
        return _nothing_left(asked, refused, notes, facts, carry)
    if refused:
        notes = (*notes, f"ENTRY_WITHHELD: {refused.message}")
        refused = Reason(code="ENTRY_WITHHELD", message=f"only the exit was sent: {refused.message}")
    levels = levels_of(signal, rules)
    orders, leverage_notes = with_leverage(orders_of(move, signal, facts, levels), signal, rules, facts)
    reference = stop_reference(signal, facts, move.side)
    guard = guard_of(levels, move.side, reference=reference) if move.entry_qty > 0 else None
    notes = (*notes, *leverage_notes, *crossing_note(move, signal, facts))
    left = _still_carried(asked, move, carry)
    return Plan(status=PlanStatus.PLANNED, orders=orders, notes=notes, reason=refused, carry=left, guard=guard)


def _still_carried(asked: Move, move: Move, carry: Carry | None) -> Carry | None:
    """Of what was carried, what this exit was rounded down by stays carried; the rest of it is sent."""
    if carry is None or move.exit_qty == 0 or not move.position_known:
        return carry
    left = min(asked.exit_qty + abs(carry.size) - move.exit_qty, abs(carry.size))
    return Carry(size=-move.side.sign * left) if left > 0 and not move.closes_all else None


def _nothing_left(
    asked: Move, refused: Reason | None, notes: tuple[str, ...], facts: Facts, carry: Carry | None
) -> Plan:
    """Rounding and rules left nothing to send: an exit is carried, an entry is denied, a target is near enough."""
    if asked.exit_qty > 0 and not asked.is_target:
        carried = (carry.size if carry else Decimal(0)) - asked.side.sign * asked.exit_qty
        note = f"{plain(asked.exit_qty)} is less than the exchange takes; it is added to the next exit"
        return Plan(status=PlanStatus.DONE, notes=(*notes, note), carry=Carry(size=carried), reason=refused)
    if refused is None:
        return Plan(status=PlanStatus.DONE, notes=notes or ("already there to within the minimum",), carry=carry)
    status = PlanStatus.EXPIRED if refused.code == "TIME_TOO_OLD" else PlanStatus.DENIED
    return Plan(status=status, notes=notes, reason=refused, carry=carry)


def _pure_delta_note(signal: Signal, asked: Move) -> tuple[str, ...]:
    if signal.action not in (Action.BUY, Action.SELL) or signal.market_position is not None or signal.reduce_only:
        return ()
    if asked.position_known and asked.exit_qty > 0 and asked.entry_qty > 0:
        return ("a pure delta: without the strategy's position this order flips the one that is open",)
    return ("a pure delta: it adds, reduces or flips, whatever is open",)


def _is_same_side(carried: Decimal, position: Decimal | None) -> bool:
    """What was carried belongs to a position; it is gone when that is. Unread, it stays."""
    return position is None or carried * position > 0


def _hedge(instrument: Instrument) -> Reason:
    return Reason(
        code="POSITION_MODE_HEDGE",
        message=f"{instrument.symbol} is in hedge mode and the relay trades in one-way mode only: "
        "close its positions and orders, then switch the position mode to one-way",
    )


def _denied(reason: Reason, carry: Carry | None) -> Plan:
    return Plan(status=PlanStatus.DENIED, reason=reason, carry=carry)
