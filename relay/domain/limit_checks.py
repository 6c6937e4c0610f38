"""Which limits an entry was held against, for people: what each came to, its bound, and whether the entry passes.

The verdicts come from the very functions that withhold entries, each asked with one limit alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

from relay.domain.account import Direction, Rules
from relay.domain.entry import entry_of
from relay.domain.instrument import Category
from relay.domain.legs import rounded
from relay.domain.leverage import asked_leverage, leverage_refusal
from relay.domain.limit_facts import LimitFacts
from relay.domain.limits import Entry, resulting_worth, sized_refusal, too_old
from relay.domain.limits_account import account_refusal, exposure_elsewhere
from relay.domain.limits_entry import hours_refusal, manner_refusal
from relay.domain.move import Move
from relay.domain.order import Side
from relay.domain.plan import Facts
from relay.domain.planning import Proposal
from relay.domain.rounding import plain
from relay.domain.signal import Signal

_CENT = Decimal("0.01")
_WIDE = Context(prec=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCheck:
    """`number`: what it came to, if anything. `passes` None: it was not looked at, because another rule came first."""

    limit: str
    bound: str
    passes: bool | None
    number: str | None = None


def limit_checks(proposal: Proposal) -> tuple[LimitCheck, ...]:
    """Each limit that is set, for what the signal would open; nothing where it opens nothing, or is withheld unread."""
    intent, facts, asked = proposal.intent, proposal.facts, proposal.asked
    if facts.position is None or facts.unread or not isinstance(asked, Move) or asked.entry_qty <= 0:
        return ()
    with localcontext(_WIDE):
        move = rounded(asked, facts, carried=facts.carry.size if facts.carry else Decimal(0))
        entry = entry_of(move, intent, facts)
        return (
            *_of_the_alert(intent.signal, intent.rules, facts),
            *_of_the_manner(move.side, intent.signal, intent.rules, facts),
            *_of_the_size(entry, intent.rules, facts),
            *_of_the_account(entry, intent.rules, facts),
        )


def _of_the_alert(signal: Signal, rules: Rules, facts: Facts) -> Iterator[LimitCheck]:
    age_s = (facts.now - signal.dated_at) // timedelta(seconds=1)
    yield LimitCheck(
        limit="SIGNAL_MAX_AGE",
        number=f"{age_s} s",
        bound=f"{rules.signal_max_age_s} s",
        passes=too_old(signal, rules, facts.now) is None,
    )
    if rules.allowed_symbols is not None:
        symbol, allowed = facts.instrument.symbol, rules.allowed_symbols
        yield LimitCheck(
            limit="ALLOWED_SYMBOLS", number=symbol, bound=", ".join(sorted(allowed)), passes=symbol in allowed
        )
    if rules.hours:
        refused = hours_refusal(rules.hours, facts.now)
        yield LimitCheck(limit="hours", bound="open" if refused is None else refused.message, passes=refused is None)


def _of_the_manner(side: Side, signal: Signal, rules: Rules, facts: Facts) -> Iterator[LimitCheck]:
    def passes(only: Rules) -> bool:
        of_leverage = leverage_refusal(signal, only, facts.instrument) if only.max_leverage is not None else None
        return of_leverage is None and manner_refusal(side, signal, only, facts) is None

    if rules.direction is not Direction.BOTH:
        only = Rules(direction=rules.direction)
        yield LimitCheck(limit="direction", number=side.value, bound=rules.direction.value, passes=passes(only))
    if rules.max_leverage is not None:
        stands = None if facts.position is None else facts.position.leverage
        asked = asked_leverage(signal, rules)
        number = stands if asked is None or facts.size else asked
        only = Rules(max_leverage=rules.max_leverage, default_leverage=rules.default_leverage)
        yield LimitCheck(
            limit="MAX_LEVERAGE",
            number=plain(number) if number is not None else None,
            bound=plain(rules.max_leverage),
            passes=passes(only),
        )
    if rules.max_distance_pct is not None and signal.signal_price and facts.price is not None:
        away = abs(facts.price - signal.signal_price) * 100 / signal.signal_price
        yield LimitCheck(
            limit="max_distance",
            number=f"{_cents(away)} %",
            bound=f"{plain(rules.max_distance_pct)} %",
            passes=passes(Rules(max_distance_pct=rules.max_distance_pct)),
        )


def _of_the_size(entry: Entry, rules: Rules, facts: Facts) -> Iterator[LimitCheck]:
    instrument = facts.instrument
    if rules.max_order_notional is not None:
        dearest = max(filter(None, (entry.price, entry.dearest_price)), default=Decimal(0))
        refused = sized_refusal(entry, Rules(max_order_notional=rules.max_order_notional), instrument)
        yield LimitCheck(
            limit="MAX_ORDER_NOTIONAL",
            number=f"{_cents(instrument.notional(entry.qty, dearest))} {instrument.quote_coin}",
            bound=plain(rules.max_order_notional),
            passes=refused is None or refused.code != "LIMIT_ORDER_NOTIONAL",
        )
    if rules.max_position_notional is not None:
        worth = resulting_worth(entry, instrument)
        refused = sized_refusal(entry, Rules(max_position_notional=rules.max_position_notional), instrument)
        yield LimitCheck(
            limit="MAX_POSITION_NOTIONAL",
            number=f"{_cents(worth)} {instrument.quote_coin}" if worth is not None else None,
            bound=plain(rules.max_position_notional),
            passes=refused is None or refused.code != "LIMIT_POSITION_NOTIONAL",
        )


def _of_the_account(entry: Entry, rules: Rules, facts: Facts) -> Iterator[LimitCheck]:
    key, known = (facts.instrument.category, facts.instrument.symbol), facts.limits
    worth = resulting_worth(entry, facts.instrument)
    numbers = _counted(rules, known, key, worth) if known is not None else {}
    for name, limit in _ACCOUNTS.items():
        bound = getattr(rules, name)
        if bound is None:
            continue
        only = replace(Rules(), **{name: bound})
        refused = account_refusal(only, known, key=key, worth=worth, now=facts.now) if known is not None else None
        yield LimitCheck(
            limit=limit,
            number=numbers.get(name),
            bound=plain(Decimal(bound)),
            passes=None if known is None else refused is None,
        )


_ACCOUNTS = {
    "max_exposure": "max_exposure",
    "max_positions": "max_positions",
    "max_entries_per_minute": "entries_per_minute",
    "daily_loss_limit": "DAILY_LOSS_LIMIT",
    "cooldown_s": "cooldown",
}
"""The fields of Rules that count the whole account, to what traders call them."""


def _counted(rules: Rules, known: LimitFacts, key: tuple[Category, str], worth: Decimal | None) -> dict[str, str]:
    open_now = {(each.category, each.symbol) for each in known.positions or () if each.size}
    open_now |= {(each.category, each.symbol) for each in known.working}
    told = {"max_positions": str(len(open_now | {key}))} if known.positions is not None else {}
    if worth is not None and known.positions is not None and rules.max_exposure is not None:
        told["max_exposure"] = f"{_cents(worth + exposure_elsewhere(known, key))} USD"
    if known.entries_last_minute is not None:
        told["max_entries_per_minute"] = str(known.entries_last_minute)
    if known.day is not None:
        told["daily_loss_limit"] = f"{_cents(-known.day.worst)} USD"
    if rules.cooldown_s is not None:
        at = known.stopped_at
        told["cooldown_s"] = f"stopped at {at:%H:%M:%S} UTC" if at else "no stop"
    return told


def _cents(amount: Decimal) -> str:
    return plain(amount.quantize(_CENT, rounding=ROUND_HALF_UP))
