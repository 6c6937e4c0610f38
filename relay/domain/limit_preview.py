"""Which limits an entry was held against, for people: what each came to, its bound, and whether the entry passes.

The verdicts come from the very checks that withhold entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Context, Decimal, localcontext

from relay.domain.account import Direction, Rules
from relay.domain.entry import entry_of
from relay.domain.legs import rounded
from relay.domain.limit_checks import Candidate
from relay.domain.limits import LIMITS, Limit, Stage, direction_refusal, too_old, unread
from relay.domain.move import Move
from relay.domain.order import Side
from relay.domain.plan import Facts
from relay.domain.planning import Proposal
from relay.domain.signal import Signal

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
        signal, rules = intent.signal, intent.rules
        candidate = Candidate(signal=signal, rules=rules, facts=facts, entry=entry_of(move, intent, facts))
        return (
            _age(signal, rules, facts),
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
