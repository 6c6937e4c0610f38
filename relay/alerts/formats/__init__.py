"""Alerts that were written for another service, read as that service reads them.

A message that fits the native schema is native. Else it is recognised by its shape, or by the name of its format.
What it says is kept as it came, with the format's name; it is translated into native fields each time it is read, so
that the same rules judge it. What cannot be done here is refused by the sender's own name of the field."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from relay.alerts.formats.base import AlertFormat, Translation
from relay.alerts.formats.bots import BOT, STRATEGY_BOT, TVBIT
from relay.alerts.formats.platforms import ALTRADY, AUTOVIEW, FINANDY, MIZAR, SIGNALBEE, TVHUB
from relay.alerts.formats.refused import REFUSED
from relay.alerts.formats.signal_bots import OKX, PIONEX, THREECOMMAS, THREECOMMAS_DCA, TICKERLY, WUNDERTRADING
from relay.alerts.formats.traderspost import TRADERSPOST

NATIVE = "native"


def _places(words: Mapping[str, Collection[str]]) -> dict[str, tuple[int, ...]]:
    """Each word to where in `words` the names stand that have it."""
    every = {word for each in words.values() for word in each}
    return {word: tuple(at for at, each in enumerate(words.values()) if word in each) for word in every}


READ: Final = (
    *(STRATEGY_BOT, THREECOMMAS, THREECOMMAS_DCA, OKX, WUNDERTRADING, TVHUB, ALTRADY, MIZAR, FINANDY, SIGNALBEE),
    *(PIONEX, TICKERLY, TVBIT, BOT, TRADERSPOST, AUTOVIEW),
)
ALERT_FORMATS = (*READ, *REFUSED)
FORMATS = (NATIVE, *(alert_format.name for alert_format in READ))
"""Those that a sender may name."""
_OF_WORD: Final = _places({each.name: each.words for each in ALERT_FORMATS})
_OF_ACTION: Final = _places({each.name: each.own_actions | each.action_marks.keys() for each in ALERT_FORMATS})
"""Names of fields, and actions, to the places of the formats that they may make a message of."""
_BY_NAME: Final = {alert_format.name: alert_format for alert_format in ALERT_FORMATS}
_TEXTS: Final = tuple((each.pattern, each.text_words, each) for each in ALERT_FORMATS if each.pattern is not None)
_TEXT_LENGTH_MAX: Final = 2000
_OR: Final = "|"
_TEMPLATE: Final = frozenset({"ticker", "action", "price"})


def alert_format_of(name: str) -> AlertFormat | None:
    """The format of this name; None for the native one, and for a name of no format."""
    found = _BY_NAME.get(name)
    if found is None and _OR in name:
        several = tuple(_BY_NAME[each] for each in name.split(_OR) if each in _BY_NAME)
        secrets = tuple(secret for each in several for secret in each.secrets)
        split = next((each.split_secret for each in several if each.split_secret), None)
        if len(several) > 1:
            return AlertFormat(name=name, service="", several=several, secrets=secrets, split_secret=split)
    return found


def recognise(fields: Mapping[str, object], named: str | None) -> AlertFormat | None:
    """In which format `fields` are written; None means the native one. Of several shapes it is one that asks.

    `fields`: names in lower case, inside of objects too. `named`: what the sender said, if anything; it is taken at its
    word. No shape fits what the native schema takes: each has a name, or a value, that is not a native one.
    """
    if named is not None:
        return alert_format_of(named)
    action = str(fields.get("action")).strip().lower()
    if fields.keys().isdisjoint(_OF_WORD.keys()) and action not in _OF_ACTION:
        return None
    message = {name: value for name, value in fields.items() if name not in ("secret", "format")}
    places = set(_OF_ACTION.get(action, ()))
    for name in message:
        places.update(_OF_WORD.get(name, ()))
    marked = (ALERT_FORMATS[place] for place in sorted(places))
    found = [each for each in marked if each.mark_in(message) and (each.is_shape is None or each.is_shape(message))]
    return alert_format_of(_OR.join(each.name for each in found)) if found else None


def doubt(fields: Mapping[str, object]) -> str | None:
    """What to tell the sender of a native alert that looks like TradersPost's template for indicators."""
    if not _TEMPLATE <= fields.keys() <= _TEMPLATE | {"time", "interval"}:
        return None
    action = str(fields["action"]).strip().lower()
    if action not in ("buy", "sell"):
        return None
    return (
        f"read as relay's own `{action}`, which adds to what is open; where it was written for TradersPost, "
        "whose `buy` and `sell` leave a position of their own side as it is, add `?format=traderspost`"
    )


def fields_of_text(body: bytes) -> dict[str, object] | None:
    """The fields of a message that is another service's plain text; None where it is none that is known."""
    start = body.lstrip()[:1]
    if start in (b"{", b"[", b"") or len(body) > _TEXT_LENGTH_MAX:
        return None
    text = body.decode(errors="replace").replace("\0", "").lstrip("\ufeff").strip()
    lowered = text.lower()
    for pattern, words, each in _TEXTS:
        if words and not any(word in lowered for word in words):
            continue
        if pattern.fullmatch(text):
            return {each.text_field: text, "format": each.name}
    return None


__all__ = [
    "ALERT_FORMATS",
    "FORMATS",
    "NATIVE",
    "READ",
    "REFUSED",
    "AlertFormat",
    "Translation",
    "alert_format_of",
    "doubt",
    "fields_of_text",
    "recognise",
]
