"""Whether the part of a move that opens or adds may go out: every rule and limit, from the cheapest on."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from relay.domain.intent import Intent
from relay.domain.levels import wrong_side
from relay.domain.leverage import leverage_refusal
from relay.domain.limit_checks import Candidate, Entry, largest_size, size_refusal
from relay.domain.limit_facts import Working
from relay.domain.limits import Stage, direction_refusal, over_limit, unread_refusal
from relay.domain.move import Move
from relay.domain.order import Reason, Side
from relay.domain.plan import Facts
from relay.domain.risk import References
from relay.domain.signal import Signal


def entry_refusal(move: Move, intent: Intent, facts: Facts, references: References) -> Reason | None:
    """Why the entry of this rounded move is withheld, or None. `references`: what its levels count from."""
    signal, rules = intent.signal, intent.rules
    entry = entry_of(move, intent, facts)
    asked = Candidate(signal=signal, rules=rules, facts=facts, entry=entry)
    return (
        intent.refused
        or facts.uncleared
        or next(iter(facts.unread.values()), None)
        or leverage_refusal(signal, rules, facts.instrument)
        or direction_refusal(move.side, rules)
        or over_limit(Stage.FACTS, asked)
        or size_refusal(entry, facts.instrument)
        or over_limit(Stage.SIZE, asked)
        or _level_refusal(move.side, intent, facts, references)
        or unread_refusal(rules, asked.counted)
        or over_limit(Stage.ACCOUNT, asked)
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
    if facts.size is None:
        return None
    total, held = move.exit_qty + move.entry_qty, facts.size
    if intent.rests:
        return largest_size(held, move.side, working) + total
    return largest_size(held + move.side.sign * total, move.side, working)


def _dearest(side: Side, signal: Signal, market_price: Decimal | None) -> Decimal | None:
    """A sell's limit price is only its worst: it fills at what the market pays, or pays once it is triggered."""
    if side is Side.BUY or not signal.type.has_limit:
        return None
    return signal.trigger_price if signal.type.is_conditional else market_price


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
