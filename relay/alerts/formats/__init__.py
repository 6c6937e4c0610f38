"""Alerts that were written for another service, read as that service reads them.

A message that fits the native schema is native. Else it is recognised by its shape, or by the name of its format.
What it says is kept as it came, with the format's name; it is translated into native fields each time it is read, so
that the same rules judge it. What cannot be done here is refused by the sender's own name of the field."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from relay.alerts.formats.base import AlertFormat, Translation
from relay.alerts.formats.bots import BOT, STRATEGY_BOT, TVBIT
from relay.alerts.formats.platforms import ALTRADY, AUTOVIEW, FINANDY, MIZAR, SIGNALBEE, TVHUB
from relay.alerts.formats.signal_bots import OKX, PIONEX, THREECOMMAS, THREECOMMAS_DCA, TICKERLY, WUNDERTRADING
from relay.alerts.formats.traderspost import TRADERSPOST
from relay.alerts.wording import Kind

# Services whose messages are known and not read: each is named, with a native message to send instead.
#
# Sources: https://alertatron.com/docs/automated-trading/basic-concepts and LinkMyTrading's core concepts (scripts),
# https://docs.pineconnector.com/syntax (license, command, symbol, others; risk, stops and prices count what its EA is
# set to), https://gainium.io/help/webhooks, https://docs.goodcrypto.app/dex-trading-spot/webhooks (any body triggers
# what the address says), https://docs.tradeadapter.com/docs/bitget-guide, TradingView's own default message, and the
# messages that users of the others have published. A service whose fields are not published is known where a field is
# called after it.


_PLACEHOLDER = (
    "whose text holds placeholders that TradingView replaced; as it is it names no size, side or price for sure"
)
_DEFAULT = re.compile(r"order (buy|sell) @ \S+ filled on \S", re.IGNORECASE)
_TEXT_FIELDS = frozenset({"message", "text", "content", "msg", "alert", "body"})
_METALS = "XAU|XAG|XPT|XPD|USOIL|UKOIL|NAS|US30|US500|SPX|GER|DAX|JPN|UK100"
_CURRENCIES = "USD|EUR|GBP|JPY|CHF|AUD|NZD|CAD|SEK|NOK|SGD|HKD|TRY|ZAR|MXN|CNH"
_FOREX = rf"(?:(?:{_CURRENCIES})/?(?:{_CURRENCIES})|(?:{_METALS})\w*)"
_BULLET = r"[^\w\n]*"


def _called_after(word: str) -> frozenset[str]:
    """Names of fields that hold a service's own name."""
    tails = ("key", "token", "secret", "bot", "bot_id", "api_key", "passphrase", "signal", "signal_id", "webhook", "id")
    return frozenset(
        {word, *(f"{word}_{tail}" for tail in tails), *(f"{word}{tail.replace('_', '')}" for tail in tails)}
    )


def _is_default(fields: Mapping[str, object]) -> bool:
    """No field says what to do, and the text of one is TradingView's own."""
    texts = [value for name, value in fields.items() if name in _TEXT_FIELDS and isinstance(value, str)]
    return "action" not in fields and "side" not in fields and any(map(_DEFAULT.search, texts))


def _is_gainium(fields: Mapping[str, object]) -> bool:
    return "uuid" in fields or not fields.keys().isdisjoint(_called_after("gainium"))


_BOTS = "whose bot holds side, size and stops itself, so that the message alone says no order"

REFUSED = (
    AlertFormat(
        name="tradingview",
        service="TradingView itself, its default text",
        refused=_PLACEHOLDER,
        text_words=("filled on",),
        pattern=re.compile(r"[^{}]{0,200}" + _DEFAULT.pattern + r"[^{}]*", re.IGNORECASE | re.DOTALL),
        marks=_TEXT_FIELDS,
        is_shape=_is_default,
    ),
    AlertFormat(
        name="pineconnector_forex",
        service="PineConnector or TradeSgnl",
        refused="for a currency, metal or index, which Bybit's perpetuals are not traded by",
        pattern=re.compile(rf"\d{{6,}}\s*,(?:\s*\w+\s*,)?\s*{_FOREX}(?![A-Z]).*", re.IGNORECASE | re.DOTALL),
        instead=Kind.STRATEGY,
    ),
    AlertFormat(
        name="pineconnector",
        service="PineConnector or TradeSgnl",
        refused="whose lots, `risk`, `sl` and `tp` count what its EA is set to",
        pattern=re.compile(r"\d{6,}\s*,\s*[A-Za-z].*", re.DOTALL),
    ),
    AlertFormat(
        name="alertatron",
        service="Alertatron or LinkMyTrading",
        refused="whose scripts of several orders are not run here",
        pattern=re.compile(r"[\w \-,]{1,80}\([\w:./\-]{1,40}\)\s*\{.*", re.DOTALL),
        marks=_called_after("alertatron"),
    ),
    AlertFormat(
        name="crosstrade",
        service="CrossTrade",
        refused="which is for futures at NinjaTrader",
        pattern=re.compile(r"key\s*=[^;]*;\s*command\s*=.*", re.IGNORECASE | re.DOTALL),
    ),
    AlertFormat(
        name="zignaly",
        service="Zignaly",
        refused="whose percentages, sizes and targets count what its service is set to",
        pattern=re.compile(r"(?=key\s*=)(?=.*\bsignalId\s*=).*", re.IGNORECASE | re.DOTALL),
        marks=_called_after("zignaly") | {"takeprofitpercentage1", "takeprofitprice1"},
    ),
    AlertFormat(
        name="cornix",
        service="Cornix",
        refused=_BOTS,
        text_words=("signal", "entry", "target"),
        pattern=re.compile(
            rf"(?=.*^{_BULLET}(?:pair|coin|symbol|exchanges?)[ \t]*:)"
            rf"(?=.*^{_BULLET}(?:signal(?: type)?|entry(?: targets?)?)[ \t]*:).*|"
            rf"{_BULLET}\w+/\w[^\n]*\n.*(?:entry|take.profit) targets?[ \t]*:.*",
            re.IGNORECASE | re.DOTALL | re.MULTILINE,
        ),
        marks=_called_after("cornix") | {"alertname"},
        is_shape=lambda fields: "alertname" not in fields or "uuid" in fields,
    ),
    AlertFormat(
        name="gainium",
        service="Gainium",
        refused=_BOTS,
        marks=_called_after("gainium"),
        own_actions=frozenset({"startdeal", "closedeal", "closealldeals", "addfunds", "startbot", "stopbot"}),
        is_shape=_is_gainium,
    ),
    AlertFormat(
        name="cryptohopper",
        service="Cryptohopper",
        refused=_BOTS,
        marks=_called_after("cryptohopper") | {"hopper_id"},
    ),
    *(
        AlertFormat(name=name, service=service, refused=_BOTS, marks=_called_after(name))
        for name, service in (
            *(("bitsgap", "Bitsgap"), ("goodcrypto", "GoodCrypto"), ("veles", "Veles")),
            *(("bitget", "Bitget's signal bots"), ("binance", "Binance's signal trading")),
        )
    ),
    AlertFormat(
        name="words",
        service="TradingView.to, a mobile webhook or another service of words",
        refused="which relay does not take apart",
        pattern=re.compile(
            r"(?:\S{1,100}+[ \t]*+\r?\n)?(?:buy|sell|long|short|flat|close)\s+[A-Z0-9:/._\-]{3,30}(?:\s[^{}]*)?",
            re.IGNORECASE,
        ),
        instead=Kind.LONG,
    ),
)
"""In the order in which their shapes are tried."""


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
