"""The stricter of several sets of limits: what passes all of them, and nothing else, passes the one they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from relay.domain.account import Rules


def strictest(strategy: Rules, *others: Rules) -> Rules:
    """The strategy's rules with each limit the strictest of all. What is no limit stays the strategy's."""
    every = (strategy, *others)
    symbols = [each.allowed_symbols for each in every if each.allowed_symbols is not None]
    hours = tuple(group for each in every for group in (each.hours, *each.also_hours) if group)
    return replace(
        strategy,
        allowed_symbols=frozenset.intersection(*symbols) if symbols else None,
        max_order_notional=_least(each.max_order_notional for each in every),
        max_position_notional=_least(each.max_position_notional for each in every),
        max_exposure=_least(each.max_exposure for each in every),
        max_positions=_fewest(each.max_positions for each in every),
        max_leverage=_least(each.max_leverage for each in every),
        max_entries_per_minute=_fewest(each.max_entries_per_minute for each in every),
        daily_loss_limit=_least(each.daily_loss_limit for each in every),
        hours=hours[0] if hours else (),
        also_hours=hours[1:],
        cooldown_s=max((each.cooldown_s for each in every if each.cooldown_s is not None), default=None),
        max_distance_pct=_least(each.max_distance_pct for each in every),
    )


def _least(limits: Iterable[Decimal | None]) -> Decimal | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _fewest(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
