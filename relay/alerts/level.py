"""Take profits and stop losses as an alert spells them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from relay.alerts.number import number_text, read_number
from relay.alerts.wording import nearest, placeholder_in, shown
from relay.domain.signal import Level, LevelKind, TakeProfit

RUNGS_MAX = 20
_PERCENT = re.compile(r"(.*\S)\s*%", re.DOTALL)
_RUNG_FIELDS = ("at", "share", "then")
_BREAKEVEN = "breakeven"
_RIGHT = 'a price such as 65000, or a distance such as "1.5%", "+40" or "-1%"'


def read_level(value: object) -> Level:
    """A price (a plain number), a percentage, or a distance (a number with a sign). ValueError says what is right."""
    text = level_text(value, _RIGHT)
    percent = _PERCENT.fullmatch(text)
    number = read_number(percent.group(1) if percent else text)
    sign_given = text[0] in "+-"
    if number == 0 and not sign_given:
        raise ValueError(f"must be {_RIGHT}; zero is none of them (leave the field out instead)")
    kind = LevelKind.PERCENT if percent else LevelKind.DISTANCE if sign_given else LevelKind.PRICE
    return Level(kind=kind, value=number if number else Decimal(0), sign_given=sign_given)


def read_trail(value: object) -> Level:
    """How far a trailing stop follows: a distance in price or in percent, above zero."""
    right = 'a distance in price such as 40, or "1%"'
    text = level_text(value, right)
    percent = _PERCENT.fullmatch(text)
    number = read_number(percent.group(1) if percent else text)
    if number <= 0:
        raise ValueError(f"must be {right}, above zero, not {shown(text)}")
    return Level(kind=LevelKind.PERCENT if percent else LevelKind.DISTANCE, value=number)


def read_ladder(value: object) -> tuple[TakeProfit, ...]:
    """One take profit, or several as a list of `{"at", "share", "then"}`. ValueError names the rung that is wrong."""
    if not isinstance(value, list | Mapping):
        return (TakeProfit(at=read_level(value)),)
    rungs = value if isinstance(value, list) else [value]
    if not 0 < len(rungs) <= RUNGS_MAX:
        raise ValueError(f"must be a list of 1 to {RUNGS_MAX} take profits, not of {len(rungs)}")
    ladder = tuple(_rung(rung, number, alone=len(rungs) == 1) for number, rung in enumerate(rungs, 1))
    total = sum(rung.share_pct for rung in ladder)
    if total > 100:
        raise ValueError(f"has shares of {shown(total)} percent together; they may be 100 at most")
    return ladder


def level_text(value: object, right: str) -> str:
    """`value` as text, where it is a number or text at all."""
    if isinstance(value, Decimal):
        return number_text(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"must be {right}, not {shown(value)}")
    text = str(value).strip()
    if problem := placeholder_in(text):
        raise ValueError(problem)
    if not text:
        raise ValueError(f"is empty; it must be {right}")
    return text


def _rung(value: object, number: int, *, alone: bool) -> TakeProfit:
    try:
        members = value if isinstance(value, Mapping) else {"at": value}
        _refuse_unknown(members)
        if members.get("at") is None:
            raise ValueError(f"needs `at`: {_RIGHT}")
        return TakeProfit(
            at=read_level(members["at"]),
            share_pct=_share(members.get("share"), alone=alone),
            moves_stop_to_entry=_moves_stop(members.get("then")),
        )
    except ValueError as error:
        raise ValueError(f"take profit {number} {error}") from None


def _refuse_unknown(members: Mapping[str, object]) -> None:
    for name in members:
        if name not in _RUNG_FIELDS:
            likely = nearest(name, _RUNG_FIELDS)
            hint = f"; the nearest is `{likely}`" if likely else ""
            raise ValueError(f'has an unknown field {shown(name)}{hint}; it may have "at", "share" and "then"')


def _share(value: object, *, alone: bool) -> Decimal:
    if value is None:
        if alone:
            return Decimal(100)
        raise ValueError("needs `share`: the percent of the position that it closes, such as 50")
    text = level_text(value, "a `share` in percent such as 50")
    percent = _PERCENT.fullmatch(text)
    try:
        share = read_number(percent.group(1) if percent else text)
    except ValueError as error:
        raise ValueError(f"has a `share` that {error}") from None
    if not 0 < share <= 100:
        raise ValueError(f"must have a `share` above 0 and up to 100 percent, not {shown(text)}")
    return share


def _moves_stop(value: object) -> bool:
    if value is None or value == "":
        return False
    if isinstance(value, str) and value.strip().lower() == _BREAKEVEN:
        return True
    raise ValueError(f'has a `then` that must be "{_BREAKEVEN}", not {shown(value)}')
