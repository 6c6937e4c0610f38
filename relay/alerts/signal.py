"""From a parsed alert to a Signal: what is stored of it, how it was read, how the same alert is recognised; and a wrong
alert as it should have been."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any, Final

from relay.alerts import rules
from relay.alerts.authenticate import (
    REMOVED,
    SECRET_FIELDS,
    is_secret_name,
    masked_text,
    may_hold_secret,
    may_name_secret,
    without_secrets,
)
from relay.alerts.fields import EPOCH, KNOWN, SHOWN_ONLY, meant_word, money_in, unix_ms
from relay.alerts.formats import FORMATS, NATIVE, alert_format_of, doubt, fields_of_text, recognise
from relay.alerts.formats.base import AlertFormat, Translation
from relay.alerts.names import is_number_like, meaning_of
from relay.alerts.native import in_equal_shares, is_plain, named
from relay.alerts.parse import THOUSANDS, legible, lowered, number_text, parse, read_leniently, read_number
from relay.alerts.rules import Draft
from relay.alerts.wording import SHOWN_LENGTH_MAX, STAND_IN, joined, shown
from relay.domain.signal import Identity, IdentityKind, Signal
from relay.errors import AlertInvalid, AlertMalformed

_FUTURE_TOLERATED = timedelta(seconds=5)
_STRATEGYS_SIZES = ("qty", "market_position_size", "prev_market_position_size", "position_size")
_NOISY_DIGITS = 15
"""No size that somebody wrote has so many; the noise of a float begins at the 16th."""
_CLEAN = Context(prec=12)
_NO_IDENTITY = (
    "the message has neither `id` nor `time`: the same text again within the deduplication window counts as a resend; "
    'add "time": "{{timenow}}"'
)


def signal_from_stored(stored: Mapping[str, object], *, id: str, strategy: str, received_at: datetime) -> Signal:
    """The Signal that an alert's kept fields ask for; the same fields make the same Signal at any later time.

    `received_at` is aware UTC. Symbols are not resolved. AlertInvalid names every field that is wrong and what would be
    right.
    """
    translation = translated(stored)
    try:
        draft = _judged(stored, translation)
    except AlertInvalid as error:
        raise translation.respelled(error) if translation else error from None
    _note_time(draft, received_at)
    if draft.values.get("market_position") is not None:
        _drop_noise(draft)
    notes = tuple(draft.notes)
    if translation:
        notes = (*translation.notes, *map(translation.in_senders_words, notes))
    internal: dict[str, Any] = {"names_type": "type" in draft.values}
    if translation:
        internal.update(translation.internal)
    return Signal(id=id, strategy=strategy, received_at=received_at, notes=notes, **{**draft.values, **internal})


def respelled(stored: Mapping[str, object], error: AlertInvalid) -> AlertInvalid:
    """`error`, which speaks of native fields, in the words of the alert's own format."""
    translation = translated(stored)
    return translation.respelled(error) if translation else error


def translated(stored: Mapping[str, object]) -> Translation | None:
    """The alert's fields out of its own format's; None where that is the native one. Raises AlertInvalid."""
    named = stored.get("format")
    if named is None or named == NATIVE:
        return _named(stored)
    alert_format = alert_format_of(named) if isinstance(named, str) else None
    if alert_format is None and _draft(stored, natural := _named(stored)).only_exits:
        return natural
    if alert_format is None:
        problem = f"cannot be {shown(named)}; it must be one of {joined(FORMATS)}"
        raise AlertInvalid(f"`format` {problem}", fields={"format": [problem]})
    return alert_format.translate(_without_format(stored))


def _named(stored: Mapping[str, object]) -> Translation | None:
    """Native fields under other names; None where all of them have their own."""
    if is_plain(stored):
        return None
    found = named(_without_format(stored))
    return Translation(
        fields=found.fields,
        names=found.names,
        notes=tuple(found.notes),
        internal=found.internal,
        problems=found.problems,
        deciding=frozenset(found.deciding),
        fixes=found.fixes,
    )


def _draft(stored: Mapping[str, object], translation: Translation | None) -> Draft:
    if translation is None:
        return rules.draft_of(_without_format(stored))
    return rules.draft_of(_without_format(translation.fields), translation.problems, translation.deciding)


def _without_format(stored: Mapping[str, object]) -> Mapping[str, object]:
    return stored if "format" not in stored else {name: value for name, value in stored.items() if name != "format"}


def _judged(stored: Mapping[str, object], translation: Translation | None) -> Draft:
    """The alert's native fields, after every rule. AlertInvalid if one is broken."""
    draft = _draft(stored, translation)
    if (said := stored.get("format")) is not None and said not in FORMATS:
        draft.notes.append(f"`format` ignored: it cannot be {shown(said)}; the alert is read as it stands")
    rules.need_action_and_ticker(draft)
    if draft.values.get("action") is not None:
        rules.check(draft)
    draft.raise_problems()
    draft.note_blanks()
    if (doubted := doubt(stored)) is not None:
        draft.notes.append(doubted)
    return draft


def _drop_noise(draft: Draft) -> None:
    """TradingView adds a strategy's sizes up as floats: 0.29999999999999993 means 0.3, and not a lot less."""
    for name in _STRATEGYS_SIZES:
        value: Decimal | None = draft.values.get(name)
        if value is not None and len(value.normalize().as_tuple().digits) >= _NOISY_DIGITS:
            draft.values[name] = _CLEAN.plus(value)


def _note_time(draft: Draft, received_at: datetime) -> None:
    sent_at = draft.values.get("sent_at")
    if sent_at is None and draft.values.get("sender_id") is None:
        draft.notes.append(_NO_IDENTITY)
    if sent_at is not None and sent_at > received_at + _FUTURE_TOLERATED:
        ahead_s = (sent_at - received_at) // timedelta(seconds=1)
        draft.notes.append(f"`time` is {ahead_s:,} s in the future: the sender's clock or this one is wrong")


# How the same alert is recognised again.


def digest(body: bytes) -> str:
    """SHA-256 of the raw bytes, in hex."""
    return hashlib.sha256(body).hexdigest()


def text_digest(fields: Mapping[str, object]) -> str:
    """Of what an alert says: the same by webhook and by mail, which changes blanks and line ends.

    `fields`: without the secret, which may stand elsewhere.
    """
    said = json.dumps(fields, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(re.sub(r"(?:\s|\\[nrt]|\\u00a0)+", "", said).encode()).hexdigest()


def identity_key(signal: Signal, *, body_digest: str, signed_id: str | None = None) -> Identity:
    """The alert's identity within its strategy: `id` and time together, else the `id`, else the body.

    The key of `id` and time is the time in Unix milliseconds, a colon, and the `id`: however the time was spelled.
    `signed_id`: the `webhook-id` that a valid signature covers; it stands in for an `id`, for good, so that what was
    signed once has one effect, however often it is sent again. Source: Standard Webhooks, "Preventing replay attacks".
    """
    if signal.sender_id is None and signed_id is not None:
        return Identity(kind=IdentityKind.ID_TIME, key=f"webhook-id:{signed_id}")
    if signal.sender_id is None:
        return Identity(kind=IdentityKind.BODY, key=body_digest)
    if signal.sent_at is None:
        return Identity(kind=IdentityKind.ID, key=signal.sender_id)
    return Identity(kind=IdentityKind.ID_TIME, key=f"{unix_ms(signal.sent_at)}:{signal.sender_id}")


# What is kept of an alert: its fields as JSON can hold them, without the secret. A Signal is made of nothing else.


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedAlert:
    """An alert that is neither proven nor valid yet.

    `fields`: under lower-case names, without the secret; text, true, false, null, lists and objects only, a number as
    its exact text; with them, of a foreign alert, the name of its `format`. `body_digest`: SHA-256 of the bytes, in
    hex.
    """

    fields: dict[str, object]
    body_digest: str
    secrets: tuple[str, ...] = field(repr=False)
    """What the body brings to prove its sender, under each of SECRET_FIELDS; nothing else holds it."""

    @property
    def secret(self) -> str | None:
        """The first of them, for whoever sends it on."""
        return next(iter(self.secrets), None)

    @property
    def format(self) -> str:
        """The name of the format that the alert was recognised as."""
        named = self.fields.get("format")
        return named if isinstance(named, str) else NATIVE


def read(
    body: bytes, *, secrets: tuple[str, ...] = (), named: str | None = None, usual: str | None = None
) -> ParsedAlert:
    """Parse an alert. `secrets`: what must not be found in its fields. AlertMalformed carries none of them either.

    `named`: the format that the sender said it is in, if any; `signal_from_stored` refuses a name of no format.
    `usual`: the format of the strategy's alerts that name none themselves; None means that they are recognised by their
    shape.
    """
    try:
        return _parsed(fields_of_text(body) or parse(body), body, secrets, named, usual)
    except AlertMalformed as error:
        fields = read_leniently(body)
        parsed = _parsed(fields, body, secrets, named, usual) if fields else None
        if parsed is not None and _can_only_exit(parsed.fields):
            return parsed
        raise _cleaned(error, secrets) from None


def stored_of(fields: dict[str, object], body: bytes, secrets: tuple[str, ...]) -> ParsedAlert:
    """What is kept of an alert with these fields, as `read` would keep it."""
    return _parsed(fields, body, secrets, None, None)


def _can_only_exit(stored: Mapping[str, object]) -> bool:
    """Whether the alert opens nothing, be it refused or not."""
    try:
        return signal_from_stored(stored, id="", strategy="", received_at=EPOCH).only_exits
    except AlertInvalid as error:
        return error.only_exits


def _parsed(
    spelled: dict[str, object], body: bytes, secrets: tuple[str, ...], named: str | None, usual: str | None
) -> ParsedAlert:
    fields = {name.lower(): value if isinstance(value, str) else lowered(value) for name, value in spelled.items()}
    given = [fields.pop("secret", None)]
    alert_format = _settle_format(fields, named, usual)
    if alert_format is not None:
        given.append(alert_format.take_secret(fields))
    given += [fields.pop(name, None) for name in SECRET_FIELDS]
    texts = [number_text(each) if isinstance(each, Decimal) else each for each in given if each]
    if fields.get("format") in (None, NATIVE):
        fields = _as_spelled(fields, spelled)
    stored = {name: value if isinstance(value, str) else _keepable(value) for name, value in fields.items()}
    return ParsedAlert(
        fields=_redacted(stored, secrets),
        body_digest=digest(body),
        secrets=tuple(text for text in texts if isinstance(text, str)),
    )


def _as_spelled(fields: dict[str, object], spelled: Mapping[str, object]) -> dict[str, object]:
    """What is no native name as its sender spells it: where its words begin is told by its capitals."""
    own = {
        name.lower(): name
        for name, value in spelled.items()
        if (isinstance(value, dict | list) or not name.islower()) and not _is_lower(name.lower())
    }
    if not own:
        return fields
    return {own.get(name, name): spelled[own[name]] if name in own else value for name, value in fields.items()}


def _is_lower(name: str) -> bool:
    return name in KNOWN or name == "format" or name.startswith("x_")


def _settle_format(fields: dict[str, object], named: str | None, usual: str | None) -> AlertFormat | None:
    """Write down the format of `fields`; the one that may hold a secret of its own is returned.

    The alert may name its format itself. Under a wrong name, too, no secret of the format that it looks like is kept.
    """
    own = fields.get("format")
    named = named or (own if isinstance(own, str) else "")
    named = named if named.strip() else usual or ""
    if named.strip():
        fields["format"] = named = shown(named.strip().lower()).strip("`")
    elif isinstance(own, str):
        del fields["format"]
    alert_format = recognise(fields, named or None)
    if alert_format is not None:
        fields["format"] = alert_format.name
    return alert_format if alert_format is not None or not named else recognise(fields, None)


def redacted_text(body: bytes, secrets: tuple[str, ...]) -> str:
    """A body that could not be parsed, as people can read it, without its secret and without what is named like one."""
    return masked_text(without_secrets(legible(body), secrets))


# No more of an alert is stored than a disk can hold of many: whoever has the secret can post 64 KiB at a time.


STORED_BYTES_MAX: Final = 8 * 1024
_LENGTHS: Final = (4000, 1000, 250)
"""To which texts are cut, until all of it fits. Nothing that an order is made of is longer than the first."""
_NOTES_MAX: Final = 30
_NOTE_LENGTH_MAX: Final = 1000


def bounded(stored: Mapping[str, object], *, is_accepted: bool) -> dict[str, object]:
    """`stored` in at most STORED_BYTES_MAX of JSON. What an accepted alert's orders are made of is always in it.

    Texts without effect are cut first, then their fields left out; of the rest only blanks, and texts that are longer
    than any that can be read.
    """
    short = dict(stored)
    if _fits(short):
        return short
    needed = _deciding(short) if is_accepted else frozenset()
    spare = [name for name in short if name not in needed]
    for length in _LENGTHS:
        short |= {name: _cut(stored[name], length) for name in spare}
        if _fits(short):
            return short
    for name in sorted(spare, key=lambda name: _size({name: short[name]}), reverse=True):
        del short[name]
        if _fits(short):
            return short
    legible = {name: _without_blanks(value) for name, value in short.items()}
    forms = (legible, *({name: _cut(value, length) for name, value in legible.items()} for length in _LENGTHS))
    return next(filter(_fits, forms), forms[-1])


def bounded_notes(notes: Sequence[str]) -> tuple[str, ...]:
    """As many as anybody reads, none longer than a screen."""
    more = len(notes) - _NOTES_MAX
    lines = [str(_cut(note, _NOTE_LENGTH_MAX)) for note in notes[:_NOTES_MAX]]
    return (*lines, f"and {more} more") if more > 0 else tuple(lines)


def _deciding(stored: Mapping[str, object]) -> frozenset[str]:
    """The fields that the alert's orders are made of, by the names that it has for them."""
    said = stored.get("format")
    alert_format = alert_format_of(said) if isinstance(said, str) else None
    of_format = alert_format.fields if alert_format is not None else ()
    tops = {name.lower().partition(".")[0].removesuffix("[]") for name in of_format}
    of_orders = KNOWN - SHOWN_ONLY - {"comment"}
    named = {name for name, value in stored.items() if isinstance(value, dict) or meaning_of(name) in of_orders}
    return frozenset(of_orders | named | tops | {"format"})


def _fits(stored: Mapping[str, object]) -> bool:
    return _size(stored) <= STORED_BYTES_MAX


def _size(stored: Mapping[str, object]) -> int:
    return len(json.dumps(stored))


def _cut(value: object, length: int) -> object:
    if isinstance(value, str):
        return value if len(value) <= length else f"{value[:length]}… ({len(value):,} characters)"
    if isinstance(value, list):
        return [_cut(member, length) for member in value]
    if isinstance(value, dict):
        return {name: _cut(member, length) for name, member in value.items()}
    return value


def _without_blanks(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value


def _keepable(value: object) -> object:
    if isinstance(value, Decimal):
        return number_text(value)
    if isinstance(value, list):
        return [_keepable(member) for member in value]
    if isinstance(value, dict):
        return {name: _keepable(member) for name, member in value.items()}
    return value


def _redacted(stored: dict[str, object], secrets: tuple[str, ...]) -> dict[str, object]:
    """`stored` itself where no secret is in it: one look at all of it spares one at each of its texts."""
    spelled = repr(stored)
    if not may_hold_secret(spelled, secrets) and not may_name_secret(spelled):
        return stored
    return {without_secrets(name, secrets): _without(name, value, secrets) for name, value in stored.items()}


def _without(name: str, value: object, secrets: tuple[str, ...]) -> object:
    """`value`, which has this name, without the relay's secrets and without what is a secret by its name."""
    if value not in (None, "", True, False) and is_secret_name(name):
        return REMOVED
    if isinstance(value, str):
        plain = without_secrets(value, secrets)
        cleaned = masked_text(plain)
        # An `id` is what an alert is known by: with something masked in it, it must not become another's.
        return f"{cleaned}#{digest(plain.encode())[:12]}" if name == "id" and cleaned != plain else cleaned
    if isinstance(value, list):
        return [_without("", member, secrets) for member in value]
    if isinstance(value, dict):
        names_secret = any(isinstance(each := value.get(key), str) and is_secret_name(each) for key in _NAMING)
        return {
            without_secrets(key, secrets): REMOVED
            if names_secret and key in _NAMED_SO
            else _without(key, member, secrets)
            for key, member in value.items()
        }
    return value


_NAMING: Final = ("name", "key", "field", "header")
_NAMED_SO: Final = frozenset({"value", "val", "content"})
"""Of an object such as `{"name": "X-API-KEY", "value": "…"}`."""


def _cleaned(error: AlertMalformed, secrets: tuple[str, ...]) -> AlertMalformed:
    fields = {
        without_secrets(name, secrets): [without_secrets(problem, secrets) for problem in problems]
        for name, problems in error.fields.items()
    }
    return AlertMalformed(without_secrets(error.message, secrets), fields=fields)


# What an alert was read as: its format, and each of the sender's fields with what it means here.


_UNAVAILABLE = frozenset({"format", "has_synthetic_position"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRead:
    """`field`: the sender's name; `native`: the relay's own; `value`: as it was understood."""

    field: str
    native: str
    value: str


def fields_read(stored: Mapping[str, object]) -> tuple[FieldRead, ...]:
    """Raises AlertInvalid where the alert cannot be translated."""
    translation = translated(stored)
    native = {**translation.fields, **translation.internal} if translation else stored
    names = translation.names if translation else {}
    return tuple(
        FieldRead(field=names.get(name, name), native=name, value=_text(value))
        for name, value in native.items()
        if name not in _UNAVAILABLE and value is not None and value is not False
    )


def native_fields(stored: Mapping[str, object]) -> dict[str, object]:
    """The alert in the relay's own fields; those that no alert can set are left out. Raises AlertInvalid."""
    translation = translated(stored)
    fields = translation.fields if translation else _without_format(stored)
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN_LENGTH_MAX else f"{text[:SHOWN_LENGTH_MAX]}…"


# What would be right: a refused alert with what is wrong in it mended, where only one thing can have been meant.


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
