"""Bytes to fields: JSON whatever the request says it is, or `key=value` pairs."""

from __future__ import annotations

import codecs
from urllib.parse import unquote_plus

from relay.alerts.jsontext import parse_json
from relay.alerts.pairs import FIELDS_MAX, parse_pairs
from relay.alerts.wording import placeholder_in, shown
from relay.errors import AlertMalformed

_BLANK = " \t\r\n"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def parse(body: bytes) -> dict[str, object]:
    """The fields of an alert, their names in lower case, their numbers as Decimal. AlertMalformed says where it breaks.

    Values are text, Decimal, bool, None, lists and objects; nothing is said yet about which fields there should be.
    """
    text = _decoded(body)
    start = text.lstrip(_BLANK)
    if not start:
        raise AlertMalformed(
            'the body is empty; send JSON such as {"ticker": "BTCUSDT.P", "action": "buy", "qty": 0.01}'
        )
    if start[:3].lower() == "%7b":
        text = start = _decoded(unquote_plus(start).encode(errors="replace"))
    if start[0] in '{["“”' and not start.startswith("{{"):
        fields = _object_of(parse_json(_without_form_mark(text)))
    elif "=" in start:
        fields = parse_pairs(text)
    else:
        raise AlertMalformed(_neither(start))
    if len(fields) > FIELDS_MAX:
        raise AlertMalformed(f"the alert has {len(fields)} fields; at most {FIELDS_MAX} are taken")
    if "\\u" in text or "%" in text:
        _refuse_unkeepable(fields, None)
    return fields


def legible(body: bytes) -> str:
    """A body as people can read it, however broken: what is kept, without its secret, of one that cannot be parsed."""
    encoding = "utf-16" if body.startswith(_UTF16_MARKS) else "utf-8"
    return body.decode(encoding, errors="replace").replace("\0", "")


def _decoded(body: bytes) -> str:
    nul = body.find(b"\0")
    if body.startswith(_UTF16_MARKS) or (nul >= 0 and body.count(b"\0") * 3 >= len(body)):
        raise AlertMalformed("the body is UTF-16; send it as UTF-8")
    if nul >= 0:
        raise AlertMalformed(f"the body has a NUL at byte {nul + 1}; send plain UTF-8 text without NULs")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AlertMalformed(
            f"the body is not UTF-8: byte {error.start + 1} fits no letter; send it as UTF-8"
        ) from None


def _without_form_mark(text: str) -> str:
    """A front end that takes JSON for a form's only key puts an `=` behind it."""
    end = text.rstrip(_BLANK)
    return end[:-1] if end.endswith("}=") else text


def _object_of(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        raise AlertMalformed('the body is a JSON array; send one object, such as {"action": "buy"}, for each alert')
    raise AlertMalformed('the body is a piece of JSON text; send an object, such as {"action": "buy"}')


def _neither(text: str) -> str:
    if placeholder := placeholder_in(text.rstrip(_BLANK)):
        return f"the whole message {placeholder}"
    return (
        'the body is neither JSON nor key=value pairs; send JSON such as {"ticker": "BTCUSDT.P", "action": "buy"}, '
        "or a line each of ticker=BTCUSDT.P, action=buy"
    )


def _refuse_unkeepable(value: object, name: str | None) -> None:
    """Half a surrogate pair and NUL can be written in JSON, but no database keeps them as text."""
    if isinstance(value, dict):
        for key, member in value.items():
            _refuse_unkeepable(key, name)
            _refuse_unkeepable(member, name or key)
    elif isinstance(value, list):
        for member in value:
            _refuse_unkeepable(member, name)
    elif isinstance(value, str) and any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value):
        problem = "holds an escaped NUL or half a letter (`\\u0000`, `\\ud800`); write plain text"
        if name is None:
            raise AlertMalformed(f"a field's name {problem}")
        raise AlertMalformed(f"{shown(name)} {problem}", fields={name: [problem]})
