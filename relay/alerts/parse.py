"""Bytes to fields: strict JSON whatever the request says it is, or `key=value` pairs; and what is wrong with them in
the sender's words."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import unquote_plus

from relay.alerts.wording import EMPTY_HINT, SHOWN_LENGTH_MAX, placeholder_in, shown
from relay.errors import AlertMalformed

# What is wrong with broken JSON, in words of the person who typed the message, and what to do about it.


_CURLY = "“”„‟«»‘’‚‛"
_ODD_SPACES = "\u00a0\u200b\u200c\u200d\u2060\ufeff\u2007\u202f"
_KEY_BEFORE = re.compile(r'"([A-Za-z_][\w.\-]{0,40})"\s*:', re.ASCII)
_NO_VALUE = re.compile(r"n/a|na\b|nan\b|none\b|undefined\b", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z_]")
_COMMA_IN_NUMBER = re.compile(r":\s*-?(\d+),\s*\Z")
_THOUSANDS_REST = re.compile(r"\d{3}(?!\d)", re.ASCII)


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
    before = _COMMA_IN_NUMBER.search(place.before[-60:])
    if not place.here.isdigit() or before is None:
        return None
    if before[1] != "0" and _THOUSANDS_REST.match(place.at):
        return f"the number{place.of_field} has a comma between the thousands; {WITHOUT_COMMAS}"
    return f"the number{place.of_field} has a decimal comma; write a decimal point"


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


# Numbers of an alert: decimal, from their text, never through binary floating point.


WITHOUT_COMMAS = "write it without, such as 98000 (Pine: `str.tostring(x)`, or `{0,number,#.########}` in `str.format`)"
DIGITS_MAX = 40
EXPONENT_MAX = 30
_LENGTH_MAX = 90  # every number within the limits above, spelled without an exponent, is shorter
_NUMBER = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d+))?", re.ASCII)
_NOT_A_NUMBER = frozenset({"nan", "n/a", "na", "null", "none", "undefined"})
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?", re.ASCII)
_CALCULATION = re.compile(r"=?[\d.,%\s()*/+-]+", re.ASCII)
_OPERATOR = re.compile(r"[*/]|\d[\s)%]*\+|\s-\s", re.ASCII)
_INFINITE = frozenset({"inf", "infinity", "∞"})


def read_number(text: str) -> Decimal:
    """The number that `text` spells, exactly. ValueError's words continue a sentence that begins with its name."""
    if len(text) > _LENGTH_MAX:
        digits = sum(letter.isdigit() for letter in text)
        raise ValueError(
            f"is {len(text):,} characters long ({digits:,} digits); a number has at most {DIGITS_MAX} digits"
        )
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(_what_it_is_instead(text))
    mantissa, exponent = found.groups()
    if len(mantissa.lstrip("0.").replace(".", "")) > DIGITS_MAX:
        raise ValueError(f"has more than the {DIGITS_MAX} digits that a number may have")
    if exponent is not None and abs(int(exponent)) > EXPONENT_MAX:
        raise ValueError(f"has an exponent beyond ±{EXPONENT_MAX}; write a number such as 0.01")
    value = Decimal(text)
    if not -DIGITS_MAX <= value.adjusted() < DIGITS_MAX:
        raise ValueError("is too large or too small for a number of an order")
    return value


def number_text(value: Decimal) -> str:
    """`value` as `read_number` reads it back: the same number, spelled without an exponent."""
    return format(value, "f") if value else "0"


def _what_it_is_instead(text: str) -> str:
    bare = text.lstrip("+-").lower()
    if bare in _NOT_A_NUMBER:
        return f"is {shown(text)}, which is no number: a plot without a value gives this; leave the field out instead"
    if bare in _INFINITE:
        return f"is {shown(text)}, which is no number; write a finite one"
    if not text:
        return "is empty; it must be a number"
    if THOUSANDS.fullmatch(text):
        return f"has a comma between the thousands, {shown(text)}; {WITHOUT_COMMAS}"
    if _CALCULATION.fullmatch(text) and _OPERATOR.search(text):
        return f"is a calculation, {shown(text)}: TradingView does not calculate; send the result, as Pine can"
    if "," in text:
        return f"must be a number with a decimal point and no commas, such as 1800.5, not {shown(text)}"
    if text.endswith("%"):
        return f"must be a plain number without `%`, not {shown(text)}"
    return f"must be a number such as 0.01, not {shown(text)}"


# JSON, read strictly: no key twice, no NaN, no endless number, no endless nesting; and told where it breaks.


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
    """What `text` holds: names as they are spelled, numbers as Decimal. AlertMalformed says where it breaks."""
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
    names: set[str] = set()
    for spelled, value in pairs:
        own = spelled.strip()
        name = own.lower()
        if name in names:
            problem = "stands twice (upper and lower case count as the same); name each field once"
            raise AlertMalformed(f"{_named(spelled)} {problem}", fields={name: [problem]})
        if isinstance(value, _Refused | list) and (refused := _refused_in(value)):
            problem = "must be quoted text" if name == "secret" else refused.problem
            raise AlertMalformed(f"{_named(spelled)} {problem}", fields={name: [problem]})
        names.add(name)
        members[own] = value
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


# An alert that can only exit, read past what is broken where it does not look.


_BARE = r"\{\{[^{}]*\}\}|[^\s\"{}\[\],][^\"{}\[\],]*?|"
_LENIENT = re.compile(
    rf"({_IN_QUOTES})|:\s*({_BARE})\s*(?=[,}}\]])|,\s*(?=[}}\]])|([\[,])\s*({_BARE})\s*(?=[,\]])", re.DOTALL
)
_PLAIN = frozenset({"true", "false", "null"})
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_TWICE = "named twice"


def read_leniently(body: bytes) -> dict[str, object] | None:
    """The fields of broken JSON or pairs, what is unreadable in it left as the text that stands there; else None.

    For alerts that can only exit: each of the texts is judged by the rules, and refuses only where it is needed.
    """
    text = legible(body).lstrip("\ufeff")
    if text.lstrip()[:1] not in ("{", "["):
        return _read_pairs_leniently(text)
    text = _LENIENT.sub(_mended, text)
    if text.count("[") + text.count("{") > VALUES_MAX or text.count(",") > VALUES_MAX:
        return None
    try:
        value = _LENIENT_DECODER.decode(text)
    except (json.JSONDecodeError, RecursionError):
        return None
    if not isinstance(value, dict) or len(value) > FIELDS_MAX:
        return None
    return {_keepable(name): _keepable_value(member) for name, member in value.items()}


def _mended(found: re.Match[str]) -> str:
    """Bare words and nothing at all in quotes; a comma before a closing bracket taken out."""
    whole, (quoted, value, before, member) = found.group(), found.groups()
    bare = member if value is None else value
    if quoted is not None:
        return whole
    if bare is None:
        return ""
    is_empty_list = before == "[" and not bare and found.string[found.end()] == "]"
    is_plain = bare in _PLAIN or _JSON_NUMBER.fullmatch(bare) is not None
    return whole if is_plain or is_empty_list else f"{before or ':'} {json.dumps(bare)} "


def _number_or_text(text: str) -> Decimal | str:
    try:
        return read_number(text)
    except ValueError:
        return text


def _lenient_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    names: dict[str, str] = {}
    for spelled, value in pairs:
        own = names.setdefault(spelled.strip().lower(), spelled.strip())
        members[own] = value if members.get(own, value) == value else _TWICE
    return members


def _keepable(text: str) -> str:
    return "".join("\ufffd" if letter == "\0" or "\ud800" <= letter <= "\udfff" else letter for letter in text)


def _keepable_value(value: object) -> object:
    if isinstance(value, str):
        return _keepable(value)
    if isinstance(value, list):
        return [_keepable_value(member) for member in value]
    if isinstance(value, dict):
        return {_keepable(name): _keepable_value(member) for name, member in value.items()}
    return value


_LENIENT_DECODER = json.JSONDecoder(
    object_pairs_hook=_lenient_members,
    parse_int=_number_or_text,
    parse_float=_number_or_text,
    parse_constant=str,
    strict=False,
)


# `key=value` pairs: a line each, or with a comma, semicolon or bar between them; and the form data that some front ends
# make of them.
#
# A line, or one of `,;|`, begins a new pair; a sign does so only where `key=` follows, so that values may hold it. A
# value may hold `=` too. In double quotes a value may hold anything but a double quote.


FIELDS_MAX = 100
_KEY = r"[A-Za-z_][A-Za-z0-9_.\-]*"
_PAIR = re.compile(rf"(?u:[\s,;|]*)({_KEY})[ \t]*=[ \t]*", re.ASCII)
_QUOTED = re.compile(r'"([^"\r\n]*)"[ \t]*(?=[,;|\r\n]|\Z)')
_END = re.compile(rf"\r\n|\r|\n|[,;|](?=\s*{_KEY}[ \t]*=)|\Z", re.ASCII)
_COMMA_PAIR = re.compile(rf",\s*{_KEY}[ \t]*=", re.ASCII)
_INNER_PAIR = re.compile(r"[\s;|](action|side|qty|quantity|ticker|symbol)[ \t]*=", re.ASCII | re.IGNORECASE)
"""What separates pairs elsewhere: `;`, `|` and blanks."""
_BETWEEN = re.compile(r"[\s,;|]*")
_DECIDING_LINE = re.compile(
    r"\W*(action|side|qty|quantity|size|amount|contracts|percent|account|ticker|symbol|reduce|close|position)",
    re.ASCII | re.IGNORECASE,
)
"""It may be meant as a pair, of what an exit closes."""
_FORM = re.compile(rf"{_KEY}=[^&\s]*(?:&{_KEY}=[^&\s]*)+", re.ASCII)


def parse_pairs(text: str) -> dict[str, object]:
    """The pairs of `text`, names as they are spelled, values as text. AlertMalformed names the line that is none."""
    pairs = _pairs_of(text)
    members: dict[str, object] = {}
    names: set[str] = set()
    for key, value in pairs:
        name = key.lower()
        if name in names:
            problem = "stands twice; name each field once"
            raise AlertMalformed(f"{shown(name)} {problem}", fields={name: [problem]})
        names.add(name)
        members[key] = value
    for key, value in members.items():
        if (inner := _INNER_PAIR.search(str(value))) and inner.group(1).lower() not in names:
            problem = (
                f"holds a pair of its own, {shown(inner.group().strip())}: write a pair a line, or commas between them"
            )
            raise AlertMalformed(f"{shown(key)} {problem}", fields={key.lower(): [problem]})
    return members


def _read_pairs_leniently(text: str) -> dict[str, object] | None:
    """A line that is no pair counts to the value before it: what that is needed for can then not be read."""
    try:
        pairs = _pairs_of(text, is_lenient=True)
    except AlertMalformed:
        return None
    return {_keepable(name): _keepable_value(value) for name, value in _lenient_members(list(pairs)).items()}


def _pairs_of(text: str, *, is_lenient: bool = False) -> Sequence[tuple[str, object]]:
    if _FORM.fullmatch(text.strip()) and not _COMMA_PAIR.search(text):
        _refuse_too_many(text.count("&") + 1)
        return [(key, unquote_plus(value)) for key, _, value in (p.partition("=") for p in text.strip().split("&"))]
    pairs: list[tuple[str, str]] = []
    position = 0
    while (key := _PAIR.match(text, position)) or (position := _after_gap(text, position)) < len(text):
        if key is not None:
            value, position = _value_at(text, key.end())
            pairs.append((key.group(1), value))
        elif is_lenient and pairs and not _DECIDING_LINE.match(text, position):
            value, position = _value_at(text, position)
            pairs[-1] = pairs[-1][0], f"{pairs[-1][1]} {value}"
        else:
            raise AlertMalformed(_no_pair(text, position, [name for name, _ in pairs]))
        _refuse_too_many(len(pairs))
    return pairs


def _refuse_too_many(count: int) -> None:
    """As soon as there are: reading on would take longer than it is worth."""
    if count > FIELDS_MAX:
        raise AlertMalformed(f"the alert has more than {FIELDS_MAX} fields; at most {FIELDS_MAX} are taken")


def _value_at(text: str, start: int) -> tuple[str, int]:
    if text.startswith('"', start) and (quoted := _QUOTED.match(text, start)):
        return quoted.group(1), quoted.end()
    end = _END.search(text, start)
    assert end is not None, "the end of the text ends a value"
    return text[start : end.start()].strip().rstrip(",;|").rstrip(), end.start()


def _after_gap(text: str, position: int) -> int:
    gap = _BETWEEN.match(text, position)
    assert gap is not None, "an empty gap is a gap"
    return gap.end()


def _no_pair(text: str, position: int, names: list[str]) -> str:
    line = len(text[:position].splitlines()) + (1 if not position or text[position - 1] in "\r\n" else 0)
    belongs = f"; if it belongs to `{names[-1]}`, write that value in one line" if names else ""
    return f"line {line} is no key=value pair; write it as a name, `=` and a value{belongs}"


_BLANK = " \t\r\n"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def parse(body: bytes) -> dict[str, object]:
    """The fields of an alert, their names as they are spelled, their numbers as Decimal. AlertMalformed says where it
    breaks.

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
        fields, may_be_unkeepable = _object_of(parse_json(_without_form_mark(text))), "\\u" in text
    elif "=" in start:
        fields, may_be_unkeepable = parse_pairs(text), "%" in text
    else:
        raise AlertMalformed(_neither(start))
    if len(fields) > FIELDS_MAX:
        raise AlertMalformed(f"the alert has {len(fields)} fields; at most {FIELDS_MAX} are taken")
    if may_be_unkeepable:
        _refuse_unkeepable(fields, None)
    return fields


def lowered(value: object) -> object:
    """The same with all names in lower case, inside of lists and objects, too."""
    if isinstance(value, dict):
        return {name.lower(): lowered(member) for name, member in value.items()}
    return [lowered(member) for member in value] if isinstance(value, list) else value


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


_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")


def _refuse_unkeepable(value: object, name: str | None) -> None:
    """Half a surrogate pair and NUL can be written in JSON, but no database keeps them as text."""
    if isinstance(value, dict):
        for key, member in value.items():
            _refuse_unkeepable(key, name)
            _refuse_unkeepable(member, name or key)
    elif isinstance(value, list):
        for member in value:
            _refuse_unkeepable(member, name)
    elif isinstance(value, str) and _UNKEEPABLE.search(value):
        problem = "holds an escaped NUL or half a letter (`\\u0000`, `\\ud800`); write plain text"
        if name is None:
            raise AlertMalformed(f"a field's name {problem}")
        raise AlertMalformed(f"{shown(name)} {problem}", fields={name: [problem]})
