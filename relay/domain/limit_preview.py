"""Which limits an entry was held against, for people: what each came to, its bound, and whether the entry passes.

The verdicts come from the very checks that withhold entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Context, Decimal, localcontext

from relay.domain.account import Direction, Rules
from relay.domain.drift import needs_healing
from relay.domain.entry import entry_of
from relay.domain.intent import Move, intent_of
from relay.domain.legs import rounded
from relay.domain.limit_checks import Candidate
from relay.domain.limits import LIMITS, Limit, Stage, direction_refusal, too_old, unread
from relay.domain.mode import as_target
from relay.domain.order import Side
from relay.domain.plan import Facts
from relay.domain.signal import Action, Signal
from relay.domain.sizing import sizes_of

_WIDE = Context(prec=100)
_ORDERS_NOTHING = (Action.CANCEL, Action.HEARTBEAT, Action.STOPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCheck:
    """`number`: what it came to, if anything. `passes` None: it was not looked at, because another rule came first."""

    limit: str
    bound: str
    passes: bool | None
    number: str | None = None


def limit_checks(signal: Signal, rules: Rules, facts: Facts) -> tuple[LimitCheck, ...]:
    """Each limit that is set, for what the signal would open; nothing where it opens nothing, or is withheld unread."""
    if signal.action in _ORDERS_NOTHING or facts.position is None or facts.position.is_hedge:
        return ()
    if facts.unread:
        return ()
    with localcontext(_WIDE):
        asked = as_target(signal, rules) if needs_healing(signal, rules, facts) is not None else signal
        intent = intent_of(asked, sizes_of(asked, rules, facts), facts.size)
        if not isinstance(intent, Move) or intent.entry_qty <= 0:
            return ()
        move = rounded(intent, facts, carried=facts.carry.size if facts.carry else Decimal(0))
        candidate = Candidate(signal=asked, rules=rules, facts=facts, entry=entry_of(move, asked, facts))
        return (
            _age(asked, rules, facts),
            *_direction(move.side, rules),
            *(made for limit in LIMITS if (made := _held_against(limit, candidate)) is not None),
        )


def _age(signal: Signal, rules: Rules, facts: Facts) -> LimitCheck:
    age_s = (facts.now - signal.dated_at) // timedelta(seconds=1)
    return LimitCheck(
        limit="SIGNAL_MAX_AGE",
        number=f"{age_s} s",
        bound=f"{rules.signal_max_age_s} s",
        passes=too_old(signal, rules, facts.now) is None,
    )


def _direction(side: Side, rules: Rules) -> Iterator[LimitCheck]:
    if rules.direction is not Direction.BOTH:
        passes = direction_refusal(side, rules) is None
        yield LimitCheck(limit="direction", number=side.value, bound=rules.direction.value, passes=passes)


def _held_against(limit: Limit, candidate: Candidate) -> LimitCheck | None:
    """None: it is not set, or does not apply."""
    bound, known = limit.bound(candidate.rules), candidate.facts.limits
    if bound is None:
        return None
    shown = limit.shown(bound)
    if limit.stage is Stage.ACCOUNT and (known is None or unread(limit.counts, known) is not None):
        return LimitCheck(limit=limit.name, bound=shown, passes=None if known is None else False)
    check = limit.check(bound, candidate)
    if check is None:
        return None
    return LimitCheck(limit=limit.name, number=check.number, bound=shown, passes=check.refused is None)
