"""What is wrong with broken JSON, in words of the person who typed the message, and what to do about it."""

from __future__ import annotations

import json
import re

from relay.alerts.wording import EMPTY_HINT, placeholder_in

_CURLY = "“”„‟«»‘’‚‛"
_ODD_SPACES = "\u00a0\u200b\u200c\u200d\u2060\ufeff\u2007\u202f"
_KEY_BEFORE = re.compile(r'"([A-Za-z_][\w.\-]{0,40})"\s*:', re.ASCII)
_NO_VALUE = re.compile(r"n/a|na\b|nan\b|none\b|undefined\b", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z_]")
_DECIMAL_COMMA = re.compile(r":\s*-?\d+,\s*\Z")


def what_is_wrong(text: str, error: json.JSONDecodeError) -> tuple[str | None, str]:
    """The field in which `text` breaks, where it can be told, and the problem with its remedy.

    Nothing of the text itself is repeated but names of fields and placeholders: the secret may stand anywhere in it.
    """
    place = _Place(text, error)
    for look in (_curly_quote, _odd_space, _trailing_comma, _placeholder, _decimal_comma, _by_kind):
        if problem := look(place):
            return place.field if f"`{place.field}`" in problem else None, problem
    return None, f"{error.msg[:1].lower()}{error.msg[1:]}; check the message with any JSON checker"


class _Place:
    """Where the reader stopped."""

    def __init__(self, text: str, error: json.JSONDecodeError) -> None:
        self.said = error.msg
        self.before = text[: error.pos]
        self.at = text[error.pos : error.pos + 200]
        self.here = self.at[:1]
        keys = _KEY_BEFORE.findall(self.before)
        self.field = str(keys[-1]).lower() if keys else None
        self.of_field = f" of `{self.field}`" if self.field else ""
        self.inside_field = f" inside `{self.field}`" if self.field else ""
        self.behind_field = f" behind `{self.field}`" if self.field else ""


def _curly_quote(place: _Place) -> str | None:
    if place.here and place.here in _CURLY:
        where = f" around the value{place.of_field}" if place.before.rstrip().endswith(":") else ""
        return f'a curly quote ({place.here}){where} where JSON needs a straight one; retype it as "'
    return None


def _odd_space(place: _Place) -> str | None:
    if place.here and place.here in _ODD_SPACES:
        return f"an invisible character (U+{ord(place.here):04X}); delete it and type a plain space"
    return None


def _trailing_comma(place: _Place) -> str | None:
    is_before_end = place.here in ("}", "]") and place.before.rstrip().endswith(",")
    if is_before_end or place.said.startswith("Illegal trailing comma"):
        return f"a trailing comma{place.behind_field} before the closing bracket; delete the comma"
    if place.here == "," and place.before.rstrip()[-1:] in (",", "{", "["):
        return f"a comma too many{place.behind_field}; delete it"
    return None


def _placeholder(place: _Place) -> str | None:
    inner = place.before.endswith("{") and place.here == "{"
    text = "{" + place.at if inner else place.at
    if not text.startswith("{{"):
        return None
    said = None if place.field == "secret" else placeholder_in(text)
    return f"the value{place.of_field} {said or 'holds an unfinished placeholder'}"


def _decimal_comma(place: _Place) -> str | None:
    if place.here.isdigit() and _DECIMAL_COMMA.search(place.before[-60:]):
        return f"the number{place.of_field} has a decimal comma; write a decimal point"
    return None


def _by_kind(place: _Place) -> str | None:
    said = place.said
    if said.startswith("Invalid control character"):
        return f"a line break or tab inside the text{place.of_field}; take it out or write it as \\n"
    if said.startswith("Invalid \\"):
        return f"a backslash inside the text{place.of_field}; take it out or write two"
    if said.startswith("Unterminated string"):
        return f"the text{place.of_field} has no closing quote"
    if said.startswith("Extra data"):
        return "something stands behind the closing bracket; send one object and nothing else"
    if said.startswith("Expecting property name"):
        return 'a field\'s name must stand in straight double quotes, such as "action"'
    if said.startswith("Expecting ':'"):
        return f'a colon is missing between a name and its value, or a quote{place.inside_field} is not escaped as \\"'
    if said.startswith("Expecting ','"):
        return _missing_comma(place)
    return _missing_value(place) if said.startswith("Expecting value") else None


def _missing_comma(place: _Place) -> str:
    if not place.here:
        return "the closing bracket } is missing"
    if place.before.endswith('"'):
        return f'an unescaped quote inside the text{place.of_field}; take it out or write it as \\"'
    if place.here == '"':
        return f"a comma is missing{place.behind_field}"
    if place.before[-1:].isdigit():
        return (
            f"the number{place.of_field} is not spelled as JSON spells numbers; write such as 0.5, or put it in quotes"
        )
    return f"unexpected text behind the value{place.of_field}; put text in quotes and a comma between fields"


def _missing_value(place: _Place) -> str:
    if not place.here:
        return "the message ends too early; a value and the closing bracket are missing"
    if place.here in ",}":
        return f"the value{place.of_field} is empty: {EMPTY_HINT}; put the placeholder in quotes or leave the field out"
    if place.here == "'":
        return f"the value{place.of_field} stands in single quotes; use double quotes"
    if _NO_VALUE.match(place.at):
        return f"the value{place.of_field} is no number: a plot without a value gives this; leave the field out"
    if _WORD.match(place.here):
        return f"the text{place.of_field} must stand in double quotes"
    if place.here in "+.":
        return f"the number{place.of_field} must stand in quotes to begin with {place.here}"
    return f"the value{place.of_field} is neither a number nor text in double quotes"
