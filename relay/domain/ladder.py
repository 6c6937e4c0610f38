"""How large each rung of a ladder of take profits is, given the position as it is now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from relay.domain.rounding import floor_to

_ZERO = Decimal(0)
_ALL = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A rung, the nearest first. `filled`: all that it has taken; `held`: of that, by the order that rests now.

    `is_off`: nothing may be placed for it.
    """

    share_pct: Decimal
    filled: Decimal = _ZERO
    held: Decimal = _ZERO
    is_done: bool = False
    is_off: bool = False


def remaining(parts: Sequence[Part], size: Decimal, *, step: Decimal, least: Decimal) -> tuple[Decimal, ...]:
    """What each part is still to take of a position of `size` (without sign), together never more than that.

    Shares count of the position with what the open parts have taken of it added back, so that a fill changes nothing
    for the others. Where the shares make up all of it, the last open one takes the rest. What the exchange would
    not take as an order (`least`) goes to its neighbour.
    """
    spoken_for = sum((each.share_pct for each in parts if each.is_done), _ZERO)
    open_ones = [place for place, each in enumerate(parts) if not each.is_done and not each.is_off]
    covers_all = sum((each.share_pct for each in parts), _ZERO) == _ALL
    whole = size + sum((parts[place].filled for place in open_ones), _ZERO)
    taken = dict.fromkeys(range(len(parts)), _ZERO)
    left = floor_to(size, step)
    for place in open_ones:
        part = parts[place]
        wanted = floor_to(whole * part.share_pct / (_ALL - spoken_for), step) - part.filled
        if covers_all and place == open_ones[-1]:
            wanted = left
        taken[place] = min(max(wanted, _ZERO), left)
        left -= taken[place]
    _merge(taken, parts, open_ones, least)
    return tuple(taken[place] for place in range(len(parts)))


def _merge(taken: dict[int, Decimal], parts: Sequence[Part], open_ones: list[int], least: Decimal) -> None:
    """Towards the farther neighbour first: what is taken later is not taken for less."""

    def is_small(place: int) -> bool:
        return taken[place] > _ZERO and taken[place] + parts[place].held < least

    for place, farther in zip(open_ones, open_ones[1:], strict=False):
        if is_small(place):
            taken[farther] += taken[place]
            taken[place] = _ZERO
    for place, nearer in zip(reversed(open_ones), list(reversed(open_ones))[1:], strict=False):
        if is_small(place):
            taken[nearer] += taken[place]
            taken[place] = _ZERO
    for place in open_ones:
        if is_small(place):
            taken[place] = _ZERO
