"""`key=value` pairs: a line each, or comma-separated; and the form data that some front ends make of them.

A line or a comma begins a new pair; a comma does so only where `key=` follows, so that values may hold commas. A
value may hold `=` too. In double quotes a value may hold anything but a double quote.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from relay.alerts.wording import shown
from relay.errors import AlertMalformed

FIELDS_MAX = 100
_KEY = r"[A-Za-z_][A-Za-z0-9_.\-]*"
_PAIR = re.compile(rf"({_KEY})[ \t]*=[ \t]*", re.ASCII)
_QUOTED = re.compile(r'"([^"\r\n]*)"[ \t]*(?=[,\r\n]|\Z)')
_END = re.compile(rf"\r\n|\r|\n|,(?=\s*{_KEY}[ \t]*=)|\Z", re.ASCII)
_COMMA_PAIR = re.compile(rf",\s*{_KEY}[ \t]*=", re.ASCII)
_BETWEEN = re.compile(r"[\s,]*")
_FORM = re.compile(rf"{_KEY}=[^&\s]*(?:&{_KEY}=[^&\s]*)+", re.ASCII)


def parse_pairs(text: str) -> dict[str, object]:
    """The pairs of `text`, names in lower case, values as text. AlertMalformed names the line that is none."""
    if _FORM.fullmatch(text.strip()) and not _COMMA_PAIR.search(text):
        _refuse_too_many(text.count("&") + 1)
        pairs = [(key, unquote_plus(value)) for key, _, value in (p.partition("=") for p in text.strip().split("&"))]
    else:
        pairs = _pairs_of(text)
    members: dict[str, object] = {}
    for key, value in pairs:
        name = key.lower()
        if name in members:
            problem = "stands twice; name each field once"
            raise AlertMalformed(f"{shown(name)} {problem}", fields={name: [problem]})
        members[name] = value
    return members


def _pairs_of(text: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    position = _after_gap(text, 0)
    while position < len(text):
        key = _PAIR.match(text, position)
        if key is None:
            raise AlertMalformed(_no_pair(text, position, pairs))
        value, position = _value_at(text, key.end())
        pairs.append((key.group(1), value))
        _refuse_too_many(len(pairs))
        position = _after_gap(text, position)
    return pairs


def _refuse_too_many(count: int) -> None:
    """As soon as there are: reading on would take longer than it is worth."""
    if count > FIELDS_MAX:
        raise AlertMalformed(f"the alert has more than {FIELDS_MAX} fields; at most {FIELDS_MAX} are taken")


def _value_at(text: str, start: int) -> tuple[str, int]:
    if quoted := _QUOTED.match(text, start):
        return quoted.group(1), quoted.end()
    end = _END.search(text, start)
    assert end is not None, "the end of the text ends a value"
    return text[start : end.start()].strip().rstrip(",").rstrip(), end.start()


def _after_gap(text: str, position: int) -> int:
    gap = _BETWEEN.match(text, position)
    assert gap is not None, "an empty gap is a gap"
    return gap.end()


def _no_pair(text: str, position: int, pairs: list[tuple[str, str]]) -> str:
    line = len(text[:position].splitlines()) + (1 if not position or text[position - 1] in "\r\n" else 0)
    belongs = f"; if it belongs to `{pairs[-1][0]}`, write that value in one line" if pairs else ""
    return f"line {line} is no key=value pair; write it as a name, `=` and a value{belongs}"
