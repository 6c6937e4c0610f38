"""JSON, read strictly: no key twice, no NaN, no endless number, no endless nesting; and told where it breaks."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal

from relay.alerts.hints import what_is_wrong
from relay.alerts.number import read_number
from relay.alerts.wording import SHOWN_LENGTH_MAX, shown
from relay.errors import AlertMalformed

DEPTH_MAX = 16
VALUES_MAX = 1000
_IN_QUOTES = r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)'
_STRING = re.compile(_IN_QUOTES, re.DOTALL)
_STRING_OR_BRACKET = re.compile(rf"{_IN_QUOTES}|[\[\]{{}}]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Refused:
    """A number that is none, kept until the field that it stands in is known."""

    problem: str


def parse_json(text: str) -> object:
    """What `text` holds: names in lower case, numbers as Decimal. AlertMalformed says where it breaks."""
    if text.count("[") + text.count("{") > DEPTH_MAX:
        _refuse_depth(text)
    if text.count(",") > VALUES_MAX and _STRING.sub("", text).count(",") > VALUES_MAX:
        # Before they are read: each is worth some microseconds, and 64 KiB hold thirty thousand.
        raise AlertMalformed(f"the JSON holds more than {VALUES_MAX:,} values; send one flat object")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        name, problem = what_is_wrong(text, error)
        message = f"broken JSON at line {error.lineno}, column {error.colno}: {problem}"
        raise AlertMalformed(message, fields={name: [problem]} if name else None) from None
    if refused := _refused_in(value):
        raise AlertMalformed(f"a number {refused.problem}")
    return value


def _number(text: str) -> Decimal | _Refused:
    try:
        return read_number(text)
    except ValueError as error:
        return _Refused(str(error))


def _constant(text: str) -> _Refused:
    try:
        read_number(text)
    except ValueError as error:
        return _Refused(str(error))
    raise AssertionError(f"JSON's only constants are NaN and Infinity, not {text}")


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for spelled, value in pairs:
        name = spelled.strip().lower()
        if name in members:
            problem = "stands twice (upper and lower case count as the same); name each field once"
            raise AlertMalformed(f"{_named(spelled)} {problem}", fields={name: [problem]})
        if isinstance(value, _Refused | list) and (refused := _refused_in(value)):
            problem = "must be quoted text" if name == "secret" else refused.problem
            raise AlertMalformed(f"{_named(spelled)} {problem}", fields={name: [problem]})
        members[name] = value
    return members


def _named(spelled: str) -> str:
    """A name is shown whole or not at all: a part of it might be a part of a secret."""
    return shown(spelled) if len(spelled) <= SHOWN_LENGTH_MAX else f"a field with a name of {len(spelled):,} letters"


def _refused_in(value: object) -> _Refused | None:
    if isinstance(value, _Refused):
        return value
    if isinstance(value, list):
        return next(filter(None, map(_refused_in, value)), None)
    return None


def _refuse_depth(text: str) -> None:
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token.group(), 0)
        if depth > DEPTH_MAX:
            raise AlertMalformed(f"the JSON is nested more than {DEPTH_MAX} deep; send one flat object")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_number, parse_float=_number, parse_constant=_constant
)
