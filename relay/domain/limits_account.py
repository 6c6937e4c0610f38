"""Limits that count the whole account: its exposure, its positions, its losses, how often it enters."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal

from relay.domain.account import Rules
from relay.domain.instrument import Category
from relay.domain.limit_facts import LimitFacts, LimitNeed, Working, limit_needs
from relay.domain.order import Reason, Side
from relay.domain.position import Position
from relay.domain.rounding import plain

_ZERO = Decimal(0)
_CENT = Decimal("0.01")
_Key = tuple[Category, str]
_CODES = {
    LimitNeed.WORKING: "LIMIT_POSITION_NOTIONAL",
    LimitNeed.POSITIONS: "LIMIT_EXPOSURE",
    LimitNeed.RATE: "LIMIT_RATE",
    LimitNeed.DAY: "LIMIT_DAILY_LOSS",
    LimitNeed.STOPS: "LIMIT_COOLDOWN",
}


def unread_refusal(rules: Rules, facts: LimitFacts) -> Reason | None:
    """A limit that cannot be checked is not passed."""
    known = {
        LimitNeed.WORKING: True,
        LimitNeed.POSITIONS: facts.positions is not None,
        LimitNeed.RATE: facts.entries_last_minute is not None,
        LimitNeed.DAY: facts.day is not None,
        LimitNeed.STOPS: True,
    }
    for need in sorted(limit_needs(rules)):
        if need in facts.unread or not known[need]:
            why = facts.unread.get(need, "it was not asked for")
            return Reason(code=_CODES[need], message=f"{need.value} could not be read, so no entry is placed: {why}")
    return None


def account_refusal(
    rules: Rules, facts: LimitFacts, *, key: tuple[Category, str], worth: Decimal | None, now: datetime
) -> Reason | None:
    """`key`: the instrument. `worth`: what its position may come to with this entry, in USD."""
    return (
        unread_refusal(rules, facts)
        or _too_many_entries(rules, facts)
        or _cooling_down(rules, facts, now)
        or _lost_too_much(rules, facts)
        or _too_many_positions(rules, facts, key)
        or _too_exposed(rules, facts, key, worth)
    )


def _too_many_entries(rules: Rules, facts: LimitFacts) -> Reason | None:
    most, count = rules.max_entries_per_minute, facts.entries_last_minute
    if most is None or (count is not None and count < most):
        return None
    return Reason(
        code="LIMIT_RATE", message=f"{count} entries went out in the last minute, and entries_per_minute is {most}"
    )


def _cooling_down(rules: Rules, facts: LimitFacts, now: datetime) -> Reason | None:
    if rules.cooldown_s is None or facts.stopped_at is None:
        return None
    until = facts.stopped_at + timedelta(seconds=rules.cooldown_s)
    if now >= until:
        return None
    return Reason(
        code="LIMIT_COOLDOWN",
        message=f"a stop loss closed the position at {facts.stopped_at:%H:%M:%S} UTC, "
        f"and cooldown is {rules.cooldown_s} s: no entry until {until:%H:%M:%S} UTC",
    )


def _lost_too_much(rules: Rules, facts: LimitFacts) -> Reason | None:
    most = rules.daily_loss_limit
    if most is None or (facts.day is not None and -facts.day.worst < most):
        return None
    assert facts.day is not None, "a daily loss limit needs the day's result"
    day = facts.day
    return Reason(
        code="LIMIT_DAILY_LOSS",
        message=f"the day's loss came to {_money(-day.worst)} USD (realised {_money(day.realised)}, open "
        f"{_money(day.unrealised)}), and DAILY_LOSS_LIMIT is {plain(most)}: no entry until 00:00 UTC",
    )


def _too_many_positions(rules: Rules, facts: LimitFacts, key: _Key) -> Reason | None:
    most = rules.max_positions
    if most is None:
        return None
    open_now = {(each.category, each.symbol) for each in facts.positions or () if each.size}
    open_now |= {(each.category, each.symbol) for each in facts.working}
    if key in open_now or len(open_now) < most:
        return None
    return Reason(
        code="LIMIT_POSITIONS",
        message=f"{len(open_now)} symbols are open or have entries at the exchange, and max_positions is {most}",
    )


def _too_exposed(rules: Rules, facts: LimitFacts, key: _Key, worth: Decimal | None) -> Reason | None:
    most = rules.max_exposure
    if most is None:
        return None
    assert worth is not None, "an exposure limit needs a price"
    elsewhere = exposure_elsewhere(facts, key)
    if worth + elsewhere <= most:
        return None
    return Reason(
        code="LIMIT_EXPOSURE",
        message=f"the account would hold {_money(worth + elsewhere)} USD ({_money(elsewhere)} of it in other symbols), "
        f"over max_exposure {plain(most)}",
    )


def exposure_elsewhere(facts: LimitFacts, key: _Key) -> Decimal:
    """What all other symbols may come to, in USD: each as large as its own orders can still make it."""
    held = {(each.category, each.symbol): each for each in facts.positions or () if each.size}
    keys = set(held) | {(each.category, each.symbol) for each in facts.working}
    return sum((_worst(each, held.get(each), facts.working) for each in keys - {key}), _ZERO)


def _worst(key: _Key, held: Position | None, working: tuple[Working, ...]) -> Decimal:
    of_key = [each for each in working if (each.category, each.symbol) == key]
    prices = [each.price for each in of_key] + ([held.mark_price or held.avg_price] if held else [])
    price = max((each for each in prices if each is not None), default=_ZERO)
    size = held.size if held else _ZERO
    qty = max(largest_size(size, side, of_key) for side in Side)
    return qty if key[0] is Category.INVERSE else qty * price


def largest_size(size: Decimal, side: Side, working: list[Working]) -> Decimal:
    """How large a position of that side may become once every one of its orders has filled, and nothing else."""
    return max(size * side.sign, _ZERO) + sum((each.qty for each in working if each.side is side), _ZERO)


def _money(amount: Decimal) -> str:
    return plain(amount.quantize(_CENT, rounding=ROUND_UP))
