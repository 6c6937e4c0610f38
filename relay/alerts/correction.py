"""What would be right: a refused alert with what is wrong in it mended, where only one thing can have been meant."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from relay.alerts.fields import EPOCH, meant_word, money_in
from relay.alerts.formats import NATIVE
from relay.alerts.names import is_number_like, meaning_of
from relay.alerts.native import in_equal_shares
from relay.alerts.parse import THOUSANDS, read_leniently, read_number
from relay.alerts.signal import ParsedAlert, signal_from_stored, stored_of, translated
from relay.alerts.wording import STAND_IN
from relay.errors import AlertInvalid, AlertMalformed

_LENGTH_MAX: Final = 2000
_REPLACED: Final = {"{{ticker}}": "BTCUSDT.P", "{{timenow}}": "2025-01-31T12:00:00Z"}
"""What is put for a placeholder of the corrected alert while it is tried."""
_DECIMAL_COMMA: Final = re.compile(r"[+-]?(0,\d+|\d+,(\d{1,2}|\d{4,}))", re.ASCII)
_TIMES: Final = re.compile(r"(\d+(\.\d+)?) ?x", re.ASCII | re.IGNORECASE)

_Fields = dict[str, object]


def with_correction(parsed: ParsedAlert, error: AlertInvalid) -> AlertInvalid:
    """`error`, with the corrected alert, ready to paste, at the end of its message where one can be made."""
    fixed = _corrected(parsed.fields, error)
    text = _as_text(fixed, has_secret=bool(parsed.secrets)) if fixed else None
    if text is None:
        return error
    return AlertInvalid(f"{error.message}{text}", fields=error.fields, only_exits=error.only_exits)


def with_readable(body: bytes, error: AlertMalformed, secrets: tuple[str, ...]) -> AlertMalformed:
    """`error`, with the same alert as JSON that can be read, where it says one thing only."""
    fields = read_leniently(body)
    parsed = stored_of(fields, body, secrets) if fields else None
    if parsed is None or "format" in parsed.fields or not _is_taken(parsed.fields):
        return error
    text = _as_text(parsed.fields, has_secret=bool(parsed.secrets))
    return AlertMalformed(f"{error.message}{text}", fields=error.fields) if text else error


def _as_text(fixed: Mapping[str, object], *, has_secret: bool) -> str | None:
    own = {"secret": STAND_IN} if has_secret else {}
    text = json.dumps({**own, **fixed}, ensure_ascii=False)
    return f"; corrected alert: {text}" if len(text) <= _LENGTH_MAX else None


def _corrected(stored: Mapping[str, object], error: AlertInvalid) -> _Fields | None:
    """None where something that is wrong can be mended in more ways than one, or in none."""
    if stored.get("format") not in (None, NATIVE):
        return None
    try:
        translation = translated(stored)
    except AlertInvalid:
        return None
    fixes = dict(translation.fixes) if translation else {}
    fixed = dict(stored)
    for name in error.fields:
        if name not in fixes and not any(_names(change, name) for change in fixes.values()):
            sure = _sure_fix(name, stored)
            if sure is None:
                return None
            fixes[name] = sure
    for name, change in fixes.items():
        replaced = _replaced(fixed, name, change)
        if replaced is None:
            return None
        fixed = replaced
    return fixed if _is_taken(fixed) else None


def _names(change: _Fields, name: str) -> bool:
    return any(meaning_of(each) == name for each in change)


def _replaced(fields: _Fields, name: str, change: _Fields) -> _Fields | None:
    """`fields` with `change` in the place of `name`, or at the end where that is missing."""
    if name not in fields:
        return {**fields, **change} if "." not in name else None
    result: _Fields = {}
    for own, value in fields.items():
        result.update(change if own == name else {own: value})
    return result


def _sure_fix(name: str, stored: Mapping[str, object]) -> _Fields | None:
    native, value = meaning_of(name), stored.get(name)
    if value is None:
        return {"ticker": "{{ticker}}"} if native == "ticker" else None
    if native == "time":
        return {name: "{{timenow}}"}
    if isinstance(value, list) and value and native == "take_profit" and all(map(is_number_like, value)):
        return {name: in_equal_shares(value)}
    if not isinstance(value, str):
        return None
    text = value.strip()
    if native == "qty" and (money := money_in(text)):
        return {name: money, "qty_unit": "quote"}
    if native == "type" and text.lower() == "stop" and any(meaning_of(each) == "price" for each in stored):
        return None  # a stop limit, to some
    if word := meant_word(native, text):
        return {name: word}
    for pattern, mend in _MENDED:
        if pattern.fullmatch(text):
            return {name: mend(text)}
    return None


_MENDED: Final[tuple[tuple[re.Pattern[str], Callable[[str], str]], ...]] = (
    (THOUSANDS, lambda text: text.replace(",", "")),
    (_DECIMAL_COMMA, lambda text: text.replace(",", ".")),
    (_TIMES, lambda text: str(read_number(text.rstrip("xX ")))),
)


def _is_taken(fields: Mapping[str, object]) -> bool:
    """Whether nothing is wrong with the corrected alert any more."""
    tried = {name: _REPLACED.get(value, value) if isinstance(value, str) else value for name, value in fields.items()}
    try:
        signal_from_stored(tried, id="", strategy="", received_at=EPOCH)
    except AlertInvalid:
        return False
    return True
