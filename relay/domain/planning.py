"""The decision: which orders a signal asks for, given the facts. Pure, and the same for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import ROUND_DOWN, Context, Decimal, localcontext

from relay.domain.bracket import bracket_of, too_far, wrong_side
from relay.domain.instrument import Instrument, plain
from relay.domain.intent import ORDERS_NOTHING, Intent, References, Sizes, references_of, size_needs, sizes_of
from relay.domain.limit_checks import (
    QTY_BELOW_MIN,
    Candidate,
    Entry,
    largest_size,
    leverage_refusal,
    size_refusal,
    with_leverage,
)
from relay.domain.limits import (
    LIMITS,
    Limit,
    LimitStage,
    age_by,
    direction_refusal,
    over_limit,
    too_old,
    unread,
    unread_refusal,
)
from relay.domain.move import Move, Nothing, Requested, move_of, orders_of, rounded
from relay.domain.order import IfPassed, OrderType, Reason, Side, TimeInForce, is_marketable
from relay.domain.plan import Facts, LimitFacts, LimitNeed, Need, Plan, PlanStatus, Residual, Working
from relay.domain.rules import BreakevenPassed, Direction, Rules
from relay.domain.signal import Action, Signal
from relay.domain.spot import short_refusal

# The strategy's position against the account's.


_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Where the account should stand. `size`: signed, in the exchange's unit; None means that only the side counts."""

    sign: int
    size: Decimal | None

    def differs(self, position: Decimal, instrument: Instrument) -> bool:
        """By more than the exchange's minimum, or on another side; what rounding leaves is no difference."""
        least = max(instrument.qty_min, instrument.qty_step)
        if self.size is not None:
            return abs(self.size - position) > least
        return self.sign != _side_of(position, least)

    def gap(self, position: Decimal) -> str:
        """What the difference is, the same for as long as it lasts: the strategy's orders move both sides alike."""
        return plain(position - self.size) if self.size is not None else f"{self} {(position > 0) - (position < 0)}"

    def __str__(self) -> str:
        if self.size is not None:
            return plain(self.size)
        return {1: "long", -1: "short", 0: "flat"}[self.sign]


def expected_after(intent: Intent, target: Sizes | None) -> Expected | None:
    """Where the account should stand once the signal is done; None where the alert does not say, or cannot be sized.

    `target`: the sizes of `intent.target`, where they can be worked out.
    """
    sign = intent.signal.strategy_sign
    if sign is None or not intent.is_strategys:
        return None
    return _expected(sign, intent, target, target.strategy if target else None)


def expected_before(intent: Intent, target: Sizes | None) -> Expected | None:
    """The same from before the strategy's order."""
    before = intent.signal.prev_market_position
    if before is None or not intent.is_strategys:
        return None
    sign = max(before.sign, 0) if intent.instrument.is_held else before.sign
    return _expected(sign, intent, target, target.prev_strategy if target else None)


def needs_healing(intent: Intent, facts: Facts, target: Sizes | None) -> Expected | None:
    """Where the account should stand now and does not, if that is to be mended with this signal.

    Never while resting orders of the relay may explain the difference, nor for an alert that a later one overtook.
    """
    if not intent.heals or facts.position is None or facts.has_resting or facts.is_overtaken:
        return None
    expected = expected_before(intent, target)
    return expected if expected and expected.differs(facts.position.nominal, facts.instrument) else None


def target_sizes(intent: Intent, facts: Facts) -> Sizes | None:
    """Those with which it stands where the strategy does; None if they cannot be known, or are not the strategy's."""
    target = intent.target
    if (
        target is None
        or intent.compares_sides_only
        or (Need.PRICE in size_needs(target) and not (facts.price or intent.order_price))
    ):
        return None
    return sizes_of(target, facts)


def _expected(sign: int, intent: Intent, target: Sizes | None, size: Decimal | Reason | None) -> Expected | None:
    if sign == 0:
        return Expected(sign=0, size=_ZERO)
    if intent.compares_sides_only:
        return Expected(sign=sign, size=None)
    if target is None or isinstance(size, Reason):
        return None
    return Expected(sign=sign, size=None if size is None else sign * size)


def _side_of(position: Decimal, least: Decimal) -> int:
    """A rest under the minimum is flat."""
    if abs(position) < least:
        return 0
    return 1 if position > 0 else -1


# A limit price on the market's far side: the order fills at once, and its price bounds nothing that was meant.


def marketable_limit_note(move: Move, signal: Signal, facts: Facts) -> tuple[str, ...]:
    """For a limit exit that would not rest, where a price is known. It is sent all the same: it does exit."""
    if signal.type is not OrderType.LIMIT or signal.price is None or move.entry_qty > 0:
        return ()
    market = facts.market_price
    if market is None or not is_marketable(move.side, signal.price, market):
        return ()
    where = f"the limit price {plain(signal.price)} of this {move.side.value} is on the taker's side of the market"
    if signal.time_in_force is TimeInForce.POST_ONLY:
        return (f"{where} ({plain(market)}), so as `PostOnly` it is likely not to rest but to be cancelled at once",)
    return (f"{where} ({plain(market)}), so it fills at once, at the market's price",)


# Whether the part of a move that opens or adds may go out: every rule and limit, from the cheapest on.


def entry_refusal(move: Move, intent: Intent, facts: Facts, references: References) -> Reason | None:
    """Why the entry of this rounded move is withheld, or None. `references`: what its levels count from."""
    signal, rules = intent.signal, intent.rules
    entry = entry_of(move, intent, facts)
    requested = Candidate(signal=signal, rules=rules, facts=facts, entry=entry)
    return (
        intent.refused
        or facts.uncleared
        or (facts.position.no_entry if facts.position else None)
        or next(iter(facts.unread.values()), None)
        or leverage_refusal(signal, rules, facts.instrument)
        or direction_refusal(move.side, rules)
        or short_refusal(move.side, facts.instrument)
        or over_limit(LimitStage.FACTS, requested)
        or _far_refusal(move.side, intent, facts, references)
        or size_refusal(entry, facts.instrument)
        or over_limit(LimitStage.SIZE, requested)
        or _level_refusal(move.side, intent, facts, references)
        or unread_refusal(rules, requested.counted)
        or over_limit(LimitStage.ACCOUNT, requested)
    )


def entry_of(move: Move, intent: Intent, facts: Facts) -> Entry:
    """What of a rounded move opens or adds, as the limits see it."""
    market_price = facts.price or facts.reference_price
    working = _own_orders(move.side, facts)
    prices = [each.price for each in working if each.price is not None]
    if market_price is not None:
        prices.append(market_price)
    return Entry(
        qty=move.entry_qty,
        money=move.money,
        resulting_size=_resulting(move, intent, facts, working),
        price=intent.order_price or market_price,
        dearest_price=_dearest(move.side, intent.signal, market_price),
        market_price=max(prices, default=None),
        counts_resting=bool(working) or (intent.rests and move.exit_qty > 0),
        order_max=intent.order_max,
    )


def _own_orders(side: Side, facts: Facts) -> list[Working]:
    if facts.limits is None:
        return []
    key = (facts.instrument.category, facts.instrument.symbol)
    return [each for each in facts.limits.working if (each.category, each.symbol) == key and each.side is side]


def _resulting(move: Move, intent: Intent, facts: Facts, working: list[Working]) -> Decimal | None:
    """How large the position may become.

    A flip that rests may find nothing to exit any more once it fills, because a stop was faster: then it opens whole.
    """
    total, held = move.exit_qty + move.entry_qty, facts.size
    if held is None:
        return None
    if intent.rests:
        return largest_size(held, move.side, working) + total
    return largest_size(held + move.side.sign * total, move.side, working)


def _dearest(side: Side, signal: Signal, market_price: Decimal | None) -> Decimal | None:
    """A sell's limit price is only its worst: it fills at what the market pays, or pays once it is triggered."""
    if side is Side.BUY or not signal.type.has_limit:
        return None
    return signal.trigger_price if signal.type.is_conditional else market_price


def _far_refusal(side: Side, intent: Intent, facts: Facts, references: References) -> Reason | None:
    """Of the alert's own levels; the strategy's default ones are percentages."""
    if not intent.has_levels or intent.rules.levels_any_distance:
        return None
    near = [price for price in (facts.market_price, references.for_profit) if price]
    return too_far(intent.levels, side=side, near=near) if near else None


def _level_refusal(side: Side, intent: Intent, facts: Facts, references: References) -> Reason | None:
    """A stop loss on the losing side of the price only, take profits on the winning one."""
    for_stop, for_profit = references.for_stop, references.for_profit
    if for_stop is None or for_profit is None or not intent.has_levels:
        return None
    levels, tick = intent.levels, facts.instrument.tick_size
    stop, profits = replace(levels, take_profits=()), replace(levels, stop_loss=None)
    return wrong_side(stop, side=side, reference=for_stop, tick=tick) or wrong_side(
        profits, side=side, reference=for_profit, tick=tick
    )


def _at_once(intent: Intent, facts: Facts, requested: Requested) -> Intent | None:
    """The same without its trigger, where the price has passed that already; None where it has not.

    The exit goes at the market; the entry goes too, if alert or strategy say so, at its own price if it has one.
    """
    signal = intent.signal
    if not isinstance(requested, Move) or signal.trigger_price is None or (market := facts.market_price) is None:
        return None
    rises = signal.type.rises_to_trigger(requested.side)
    if not signal.type.is_conditional or (signal.trigger_price > market if rises else signal.trigger_price < market):
        return None
    enters = (signal.if_passed or intent.rules.if_passed) is IfPassed.MARKET
    kind = OrderType.LIMIT if enters and signal.type.has_limit and not signal.only_exits else OrderType.MARKET
    price = signal.price if kind is OrderType.LIMIT else None
    message = f"the trigger {plain(signal.trigger_price)} is passed already, the price is {plain(market)}"
    denied = Reason(code="TRIGGER_PASSED", message=f'{message}; "if_passed": "market" enters at once')
    tif = signal.time_in_force if kind is OrderType.LIMIT else TimeInForce.GTC
    return replace(
        intent,
        signal=replace(signal, type=kind, price=price, trigger_price=None, time_in_force=tif),
        order_price=price,
        rests=kind is OrderType.LIMIT and tif in (TimeInForce.GTC, TimeInForce.POST_ONLY),
        order_max=intent.instrument.largest_order(has_limit=kind.has_limit),
        refused=intent.refused or (None if enters else denied),
    )


_PASSED = "the price has passed the trigger already: what goes out goes at once"
_LATE = "it came late, so the account is only brought to where the strategy stands"
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
    requested: Requested | None
    """None if there is nothing that could be sized, or it is hedged."""
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
        return Proposal(intent=intent, facts=facts, requested=None, inputs={})
    with localcontext(_WIDE):
        sizes, target = sizes_of(intent, facts), target_sizes(intent, facts)
        bare = Proposal(
            intent=intent, facts=facts, requested=None, inputs=sizes.inputs, expected=expected_after(intent, target)
        )
        if facts.position is not None and facts.position.is_hedge:
            return bare
        notes: tuple[str, ...] = (_LATE,) if facts.is_overtaken else ()
        drifted_from = needs_healing(intent, facts, target)
        if drifted_from is not None:
            # The strategy's order on a position that is not the strategy's: be where the strategy is afterwards.
            assert intent.target is not None and facts.size is not None
            intent = intent.target
            sizes = target or sizes_of(intent, facts)
            notes = (f"drift healed: the strategy came from {drifted_from} and the account from {plain(facts.size)}",)
        requested = _requested(intent, sizes, facts)
        passed = _at_once(intent, facts, requested)
        if passed is not None:
            notes, intent = (*notes, _PASSED), passed
            requested = _requested(intent, sizes_of(intent, facts), facts)
        return replace(
            bare, intent=intent, requested=requested, notes=notes, limit_needs=_limit_needs(intent, facts, requested)
        )


def _requested(intent: Intent, sizes: Sizes, facts: Facts) -> Requested:
    """Coins too few to be sold count as none, and those that fees took as held: neither is bought again, nor chased."""
    size, instrument = facts.size, facts.instrument
    if facts.position is not None and instrument.is_held and not intent.only_exits:
        size = _ZERO if instrument.is_dust(facts.position.size, facts.market_price) else facts.position.nominal
    requested = move_of(intent.signal, sizes, size)
    if not isinstance(requested, Move):
        return requested
    if sizes.money is not None and requested.entry_qty == sizes.qty:
        return replace(requested, money=sizes.money)
    signal, sold = intent.signal, requested.exit_qty
    is_sale = instrument.is_held and requested.closes_all and signal.qty is not None and signal.strategy_sign != 0
    if is_sale and isinstance(sizes.qty, Decimal) and sizes.qty > sold:
        words = f"{plain(sizes.qty)} {instrument.base_coin} were to be sold, and {plain(sold)} is held: no more is sold"
        return replace(requested, notes=(*requested.notes, words))
    return requested


def _limit_needs(intent: Intent, facts: Facts, requested: Requested) -> frozenset[LimitNeed]:
    """So no exit waits for what only a limit asks, and no entry that is withheld whatever the limits count."""
    if not isinstance(requested, Move) or requested.entry_qty <= 0 or facts.position is None:
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
    intent, requested = proposal.intent, proposal.requested
    action = intent.signal.action
    if action in ORDERS_NOTHING:
        return Plan(status=PlanStatus.DONE, residual=facts.residual)
    if facts.position is not None and facts.position.is_hedge:
        return _denied(_hedge(facts.instrument), facts.residual)
    if action is Action.STOPS:
        return _plan_stops(intent, facts)
    residual = facts.residual if facts.residual and _is_same_side(facts.residual.size, facts.size) else None
    match requested:
        case Reason():
            return _denied(requested, residual)
        case Nothing(note=note):
            return Plan(status=PlanStatus.DONE, notes=(note,), residual=residual)
        case Move():
            return _plan_move(requested, intent, facts, residual)
        case None:
            raise AssertionError("what is neither hedged nor orderless was sized")


def _plan_stops(intent: Intent, facts: Facts) -> Plan:
    """New levels for the position that is open; they count from its average entry. They pass like any exit."""
    position, residual = facts.position, facts.residual
    assert position is not None, "`stops` needs the position"
    if position.size == 0 or facts.instrument.is_dust(position.size, facts.market_price):
        message = f"`stops` sets levels on an open position, and none is open on {position.symbol}"
        return _denied(Reason(code="POSITION_NONE", message=message), residual)
    if not intent.has_levels:
        return Plan(status=PlanStatus.DONE, notes=("no level is named",), residual=residual)
    side, levels, entry = Side.towards(position.size), intent.levels, position.avg_price
    assert entry is not None, "an open position has an average entry"
    tick, mark = facts.instrument.tick_size, position.mark_price
    closes = intent.rules.breakeven_passed is BreakevenPassed.CLOSE
    refused = wrong_side(levels, side=side, reference=entry, tick=tick, price=mark)
    if refused is None and not intent.rules.levels_any_distance:
        refused = too_far(levels, side=side, near=(mark or entry, entry))
    if refused is not None:
        return _denied(refused, residual)
    return Plan(
        status=PlanStatus.PLANNED,
        residual=residual,
        bracket=bracket_of(levels, side, reference=entry, closes_if_passed=closes, is_held=facts.instrument.is_held),
    )


def _plan_move(requested: Move, intent: Intent, facts: Facts, residual: Residual | None) -> Plan:
    signal = intent.signal
    if requested.is_target:
        residual = None  # It says where to be: what earlier exits lacked is in that.
    move = rounded(requested, facts, carried=residual.size if residual else Decimal(0))
    references = references_of(intent, facts, requested.side) if intent.has_levels else _NO_REFERENCES
    notes = (*requested.notes, *_pure_delta_note(signal, requested, facts.instrument), *_dust_note(move, facts))
    refused = requested.entry_refused
    if requested.entry_qty > 0:
        refused = entry_refusal(move, intent, facts, references)
        if refused and refused.code == QTY_BELOW_MIN and requested.entry_qty != move.entry_qty:
            wanted = f"{plain(requested.entry_qty)} was asked for; rounded down to the step"
            refused = replace(refused, message=f"{wanted}, {refused.message}")
        if refused and requested.is_target and refused.code in (QTY_BELOW_MIN, "NOTIONAL_BELOW_MIN"):
            notes, refused = (*notes, f"already there to within the minimum: {refused.message}"), None
            move = replace(move, entry_qty=Decimal(0))
    if refused:
        move = replace(move, entry_qty=Decimal(0))
    if move.exit_qty == 0 and move.entry_qty == 0 and not move.closes_all:
        return _nothing_left(requested, refused, notes, residual, held=facts.size)
    if refused:
        notes = (*notes, f"ENTRY_WITHHELD: {refused.message}")
        refused = Reason(code="ENTRY_WITHHELD", message=f"only the exit was sent: {refused.message}")
    orders, leverage_notes = with_leverage(orders_of(move, intent, facts, references), intent.leverage, facts)
    has_bracket = intent.has_levels and move.entry_qty > 0
    closes = intent.rules.breakeven_passed is BreakevenPassed.CLOSE
    reference = references.for_stop
    bracket = None
    if has_bracket:
        is_held = facts.instrument.is_held
        bracket = bracket_of(intent.levels, move.side, reference=reference, closes_if_passed=closes, is_held=is_held)
    notes = (*notes, *leverage_notes, *marketable_limit_note(move, signal, facts))
    left = _still_carried(requested, move, residual)
    return Plan(status=PlanStatus.PLANNED, orders=orders, notes=notes, reason=refused, residual=left, bracket=bracket)


def _still_carried(requested: Move, move: Move, residual: Residual | None) -> Residual | None:
    """Of what was carried, what this exit was rounded down by stays carried; the rest of it is sent."""
    if residual is None or move.exit_qty == 0 or not move.position_known:
        return residual
    left = min(requested.exit_qty + abs(residual.size) - move.exit_qty, abs(residual.size))
    return Residual(size=-move.side.sign * left) if left > 0 and not move.closes_all else None


def _nothing_left(
    requested: Move, refused: Reason | None, notes: tuple[str, ...], residual: Residual | None, *, held: Decimal | None
) -> Plan:
    """Rounding and rules left nothing to send: an exit is carried, an entry is denied, a target is near enough."""
    if requested.exit_qty > 0 and not requested.is_target:
        carried = (residual.size if residual else Decimal(0)) - requested.side.sign * requested.exit_qty
        if held is not None and abs(carried) > abs(held):
            # Exits that were repeated: what is held goes only once, and nothing that is bought after them.
            carried = held
        note = f"{plain(requested.exit_qty)} is less than the exchange takes; it is added to the next exit"
        return Plan(status=PlanStatus.DONE, notes=(*notes, note), residual=Residual(size=carried), reason=refused)
    if refused is None:
        return Plan(status=PlanStatus.DONE, notes=notes or ("already there to within the minimum",), residual=residual)
    status = PlanStatus.EXPIRED if refused.code == "TIME_TOO_OLD" else PlanStatus.DENIED
    return Plan(status=status, notes=notes, reason=refused, residual=residual)


def _dust_note(move: Move, facts: Facts) -> tuple[str, ...]:
    """What of a whole holding is too little to be sold."""
    if not facts.instrument.is_held or not move.closes_all:
        return ()
    left = (facts.size or _ZERO) - move.exit_qty
    if left <= 0:
        return ()
    return (f"{plain(left)} {facts.instrument.base_coin} is less than the exchange sells: it goes with the next exit",)


def _pure_delta_note(signal: Signal, requested: Move, instrument: Instrument) -> tuple[str, ...]:
    if signal.action not in (Action.BUY, Action.SELL) or signal.market_position is not None or signal.reduce_only:
        return ()
    if instrument.is_held:
        return ()
    if requested.position_known and requested.exit_qty > 0 and requested.entry_qty > 0:
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


def _denied(reason: Reason, residual: Residual | None) -> Plan:
    return Plan(status=PlanStatus.DENIED, reason=reason, residual=residual)


# Which limits an entry was held against, for people: what each came to, its bound, and whether the entry passes.
#
# The verdicts come from the very checks that withhold entries.


_EXACT = Context(prec=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCheck:
    """`number`: what it came to, if anything. `passes` None: it was not looked at, because another rule came first."""

    limit: str
    bound: str
    passes: bool | None
    number: str | None = None


def limit_checks(proposal: Proposal) -> tuple[LimitCheck, ...]:
    """Each limit that is set, for what the signal would open; nothing where it opens nothing, or is withheld unread."""
    intent, facts, requested = proposal.intent, proposal.facts, proposal.requested
    if facts.position is None or facts.unread or not isinstance(requested, Move) or requested.entry_qty <= 0:
        return ()
    with localcontext(_EXACT):
        move = rounded(requested, facts, carried=facts.residual.size if facts.residual else Decimal(0))
        signal, rules = intent.signal, intent.rules
        candidate = Candidate(signal=signal, rules=rules, facts=facts, entry=entry_of(move, intent, facts))
        return (
            _age(signal, rules, facts),
            *_direction(move.side, rules),
            *(made for limit in LIMITS if (made := _held_against(limit, candidate)) is not None),
        )


def _age(signal: Signal, rules: Rules, facts: Facts) -> LimitCheck:
    age = facts.age or age_by(signal, facts.now)
    return LimitCheck(
        limit="SIGNAL_MAX_AGE",
        number=f"{age.age // timedelta(seconds=1)} s",
        bound=f"{rules.signal_max_age_s} s",
        passes=too_old(signal, rules, age) is None,
    )


def _direction(side: Side, rules: Rules) -> Iterator[LimitCheck]:
    if rules.direction is not Direction.BOTH:
        passes = direction_refusal(side, rules) is None
        yield LimitCheck(limit="direction", number=side.value, bound=rules.direction.value, passes=passes)


def _held_against(limit: Limit, candidate: Candidate) -> LimitCheck | None:
    """Returns None if it is not set, or does not apply."""
    bound, known = limit.bound(candidate.rules), candidate.facts.limits
    if bound is None:
        return None
    shown = limit.shown(bound)
    if limit.stage is LimitStage.ACCOUNT and (known is None or unread(limit.counts, known) is not None):
        return LimitCheck(limit=limit.name, bound=shown, passes=None if known is None else False)
    check = limit.check(bound, candidate)
    if check is None:
        return None
    return LimitCheck(limit=limit.name, number=check.number, bound=shown, passes=check.refused is None)
