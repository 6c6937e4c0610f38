"""The decision: which orders an intent comes to, given the facts. Pure, and the same for every engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Context, Decimal, localcontext

from relay.domain.account import Mode
from relay.domain.crossing import crossing_note
from relay.domain.drift import Expected, expected_after, needs_healing, target_sizes
from relay.domain.entry import entry_refusal
from relay.domain.guard import guard_of
from relay.domain.instrument import Instrument
from relay.domain.intent import ORDERS_NOTHING, Intent
from relay.domain.legs import orders_of, rounded
from relay.domain.levels import wrong_side
from relay.domain.leverage import with_leverage
from relay.domain.limit_facts import LimitFacts, LimitNeed
from relay.domain.move import Asked, Move, Nothing, move_of
from relay.domain.order import Reason, Side
from relay.domain.plan import Carry, Facts, Need, Plan, PlanStatus
from relay.domain.risk import References, references_of
from relay.domain.rounding import plain
from relay.domain.signal import Action, Signal
from relay.domain.sizing import sizes_of

_BESIDE_IT = "the exit was sent beside a resting order of the relay's, which may fill behind it"
_NO_REFERENCES = References(for_stop=None, for_profit=None)
_WIDE = Context(prec=100, rounding=ROUND_DOWN)
"""Sums and products of an alert's longest numbers are exact in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What an intent comes to with the facts, before the limits and any rounding: one more step to the plan."""

    intent: Intent
    """What is planned: the strategy's own target where a drift is mended."""
    facts: Facts
    asked: Asked | None
    """None: there is nothing that could be sized, or it is hedged."""
    inputs: Mapping[str, str]
    """What the size was worked out from."""
    notes: tuple[str, ...] = ()
    limit_needs: frozenset[LimitNeed] = frozenset()
    """What the limits want to know before it is planned: nothing, where it opens nothing."""
    expected: Expected | None = None
    """Where the account should stand once the signal is done, as far as the strategy says."""

    def with_limits(self, limits: LimitFacts) -> Proposal:
        """The same with what the limits count."""
        return replace(self, facts=replace(self.facts, limits=limits))


def proposal_of(intent: Intent, facts: Facts) -> Proposal:
    """Facts named by `intent.needs` must be there; that is the caller's contract."""
    if intent.sizes_nothing:
        return Proposal(intent=intent, facts=facts, asked=None, inputs={})
    with localcontext(_WIDE):
        sizes, target = sizes_of(intent, facts), target_sizes(intent, facts)
        bare = Proposal(
            intent=intent, facts=facts, asked=None, inputs=sizes.inputs, expected=expected_after(intent, target)
        )
        if facts.position is not None and facts.position.is_hedge:
            return bare
        notes: tuple[str, ...] = ()
        drifted_from = needs_healing(intent, facts, target)
        if drifted_from is not None:
            # The strategy's order on a position that is not the strategy's: be where the strategy is afterwards.
            assert intent.target is not None and facts.size is not None
            intent = intent.target
            sizes = target or sizes_of(intent, facts)
            notes = (f"drift healed: the strategy came from {drifted_from} and the account from {plain(facts.size)}",)
        asked = move_of(intent.signal, sizes, facts.size)
        return replace(bare, intent=intent, asked=asked, notes=notes, limit_needs=_limit_needs(intent, facts, asked))


def _limit_needs(intent: Intent, facts: Facts, asked: Asked) -> frozenset[LimitNeed]:
    """So no exit waits for what only a limit asks, and no entry that is withheld whatever the limits count."""
    if not isinstance(asked, Move) or asked.entry_qty <= 0 or facts.position is None:
        return frozenset()
    is_withheld = facts.unread or facts.uncleared or intent.refused is not None
    return frozenset() if is_withheld else intent.limit_needs


def plan_of(proposal: Proposal) -> Plan:
    """What to send. What the limits count must be there, where the proposal says that they want to know it."""
    facts = proposal.facts
    with localcontext(_WIDE):
        made = _plan(proposal, facts)
        notes, reason = (*proposal.notes, *made.notes), made.reason
        if facts.uncleared is not None and made.orders:
            # Kept with the plan, so that no restart forgets that a person must look.
            notes, reason = (*notes, _BESIDE_IT), facts.uncleared
        return replace(made, reason=reason, notes=notes, inputs={**facts.as_inputs(), **proposal.inputs})


def _plan(proposal: Proposal, facts: Facts) -> Plan:
    intent, asked = proposal.intent, proposal.asked
    action = intent.signal.action
    if action in ORDERS_NOTHING:
        return Plan(status=PlanStatus.DONE, carry=facts.carry)
    if facts.position is not None and facts.position.is_hedge:
        return _denied(_hedge(facts.instrument), facts.carry)
    if action is Action.STOPS:
        return _plan_stops(intent, facts)
    carry = facts.carry if facts.carry and _is_same_side(facts.carry.size, facts.size) else None
    if facts.is_overtaken and intent.rules.mode is Mode.POSITION and action is Action.TARGET:
        return Plan(status=PlanStatus.DONE, notes=("nothing is ordered: the later alert counts",), carry=carry)
    match asked:
        case Reason():
            return _denied(asked, carry)
        case Nothing(note=note):
            return Plan(status=PlanStatus.DONE, notes=(note,), carry=carry)
        case Move():
            return _plan_move(asked, intent, facts, carry)
        case None:
            raise AssertionError("what is neither hedged nor orderless was sized")


def _plan_stops(intent: Intent, facts: Facts) -> Plan:
    """New levels for the position that is open; they count from its average entry. They pass like any exit."""
    position, carry = facts.position, facts.carry
    assert position is not None, "`stops` needs the position"
    if position.size == 0:
        message = f"`stops` sets levels on an open position, and none is open on {position.symbol}"
        return _denied(Reason(code="POSITION_NONE", message=message), carry)
    if not intent.has_levels:
        return Plan(status=PlanStatus.DONE, notes=("no level is named",), carry=carry)
    side, levels, entry = Side.towards(position.size), intent.levels, position.avg_price
    assert entry is not None, "an open position has an average entry"
    tick = facts.instrument.tick_size
    refused = wrong_side(levels, side=side, reference=entry, tick=tick, price=position.mark_price)
    if refused is not None:
        return _denied(refused, carry)
    return Plan(status=PlanStatus.PLANNED, carry=carry, guard=guard_of(levels, side, reference=entry))


def _plan_move(asked: Move, intent: Intent, facts: Facts, carry: Carry | None) -> Plan:
    signal = intent.signal
    if signal.type.is_conditional and facts.market_price is None:
        return _denied(facts.unread[Need.PRICE], carry)
    move = rounded(asked, facts, carried=carry.size if carry else Decimal(0))
    references = references_of(intent, facts, asked.side) if intent.has_levels else _NO_REFERENCES
    notes = (*asked.notes, *_pure_delta_note(signal, asked))
    refused = asked.entry_refused
    if asked.entry_qty > 0:
        refused = entry_refusal(move, intent, facts, references)
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
    orders, leverage_notes = with_leverage(orders_of(move, intent, facts, references), intent.leverage, facts)
    has_guard = intent.has_levels and move.entry_qty > 0
    guard = guard_of(intent.levels, move.side, reference=references.for_stop) if has_guard else None
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
