"""The stop loss and the take profit of entries that bring none: distances on which an entry can go out at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from environs import ValidationError

from relay.domain.account import Direction
from relay.domain.signal import Level, LevelKind
from relay.settings_fields import NUMBER, shown

_LEVEL = re.compile(r"(?P<sign>[+-]?)(?P<number>[0-9.]+)(?P<percent>%?)")
_WHOLE = Decimal(100)


def stop_loss(direction: Direction = Direction.BOTH) -> Callable[[str], Level]:
    """`2%`, `-2%`, `-40`. With `+` it would lie in profit, and each entry would be denied."""

    def parse(text: str) -> Level:
        level = _distance(text)
        if level.sign_given and level.value > 0:
            raise ValidationError(f'{shown(text)} lies towards profit; it should be like "2%" or "-40", towards loss')
        if _is_beyond_zero(level) and direction is not Direction.SHORT_ONLY:
            raise ValidationError(f"{shown(text)} below the price of a long is no price; it should be under 100%")
        return level

    return parse


def take_profit(direction: Direction = Direction.BOTH) -> Callable[[str], Level]:
    """`4%`, `+4%`, `+40`. With `-` it would lie in loss, and each entry would be denied."""

    def parse(text: str) -> Level:
        level = _distance(text)
        if level.sign_given and level.value < 0:
            raise ValidationError(f'{shown(text)} lies towards loss; it should be like "4%" or "+40", towards profit')
        if _is_beyond_zero(level) and direction is not Direction.LONG_ONLY:
            raise ValidationError(f"{shown(text)} below the price of a short is no price; it should be under 100%")
        return level

    return parse


def _is_beyond_zero(level: Level) -> bool:
    return level.kind is LevelKind.PERCENT and abs(level.value) >= _WHOLE


def _distance(text: str) -> Level:
    """From the entry. A price would fit one moment only, so a bare number is refused."""
    match = _LEVEL.fullmatch(text)
    if (
        match is None
        or not (match["sign"] or match["percent"])
        or not NUMBER.fullmatch(match["number"])
        or not Decimal(match["number"])
    ):
        raise ValidationError(f'{shown(text)} is no distance; it should be like "2%" or, with a sign, "+40"')
    value = Decimal(match["number"])
    kind = LevelKind.PERCENT if match["percent"] else LevelKind.DISTANCE
    return Level(kind=kind, value=-value if match["sign"] == "-" else value, sign_given=bool(match["sign"]))
