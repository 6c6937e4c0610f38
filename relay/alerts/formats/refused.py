"""Services whose messages are known and not read: each is named, with a native message to send instead.

Sources: https://alertatron.com/docs/automated-trading/basic-concepts and LinkMyTrading's core concepts (scripts),
https://docs.pineconnector.com/syntax (license, command, symbol, others; risk, stops and prices count what its EA is set
to), https://gainium.io/help/webhooks, https://docs.goodcrypto.app/dex-trading-spot/webhooks (any body triggers what the
address says), https://docs.tradeadapter.com/docs/bitget-guide, TradingView's own default message, and the messages
that users of the others have published. A service whose fields are not published is known where a field is called after
it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from relay.alerts.formats.base import AlertFormat
from relay.alerts.wording import Kind

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
