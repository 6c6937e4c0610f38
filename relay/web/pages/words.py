"""How values look on a page: numbers that people can read, times in the reader's zone, colours by what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from flask import Flask
from markupsafe import Markup, escape

from relay.domain.instrument import plain
from relay.domain.progress import NOTHING_FILLED

_GOOD: Final = frozenset({"done", "filled", "green", "planned"})
_BAD: Final = frozenset({"failed", "attention", "red", "rejected"})
_WARN: Final = frozenset({"denied", "expired", "amber"})
_ADVICE: Final = {
    "attention": "Look at the account at the exchange now: the relay could not bring this to a certain end by itself.",
    "failed": "The exchange refused it. Mend the cause, then retry it if it is still wanted.",
    "denied": "The relay's own rules held it back. Change the alert or the rule if that was not meant.",
    "expired": "It came too late to be placed. Put {{timenow}} into the alert's `time`, and look at what delayed it.",
    "rejected": "The alert itself was wrong. Mend its message in TradingView; above is what would be right.",
}


def init_app(app: Flask) -> None:
    app.jinja_env.filters.update(
        moment=moment,
        number=number,
        money=money,
        tone=tone,
        tone_of=tone_of,
        advice=advice,
        words=words,
        sign=sign,
        prose=prose,
    )


def moment(text: str | None) -> Markup:
    """An RFC 3339 time as `<time>`; the page's script turns it into the reader's zone, UTC stays in the tooltip."""
    if not text:
        return Markup("")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return escape(text)
    utc = at.strftime("%Y-%m-%d %H:%M:%S")
    return Markup('<time datetime="{0}" title="{1} UTC">{1} UTC</time>').format(text, utc)


def number(value: Any) -> str:
    """With thin groups of three before the point: `98 000.5`; empty for nothing."""
    try:
        given = Decimal(str(value))
    except InvalidOperation:
        return "" if value is None else str(value)
    whole, _, part = plain(given or Decimal(0)).partition(".")
    sign_, digits = ("−", whole[1:]) if whole.startswith("-") else ("", whole)
    grouped = f"{int(digits):,}".replace(",", "\u202f")
    return sign_ + grouped + (f".{part}" if part else "")


def money(value: Any, places: int = 2) -> str:
    """Rounded for people, with a sign: `+12.50`."""
    try:
        given = Decimal(str(value))
    except InvalidOperation:
        return ""
    rounded = given.quantize(Decimal(1).scaleb(-places))
    shown = number(abs(rounded)) if rounded != rounded.to_integral() else f"{number(abs(rounded))}.{'0' * places}"
    whole, _, part = shown.partition(".")
    return f"{'−' if rounded < 0 else '+' if rounded > 0 else ''}{whole}.{part:0<{places}}"


def sign(value: Any) -> str:
    """`gain`, `loss` or nothing: the class of a number."""
    try:
        given = Decimal(str(value))
    except InvalidOperation:
        return ""
    return "gain" if given > 0 else "loss" if given < 0 else ""


def tone(status: str | None) -> str:
    """The class of a status: its word says the same, so colour is never all there is."""
    for name, members in (("good", _GOOD), ("bad", _BAD), ("warn", _WARN)):
        if status in members:
            return name
    return "calm"


def tone_of(signal: Mapping[str, Any]) -> str:
    """The class of a signal: done without a fill is nothing to be glad of, and what was looked at no alarm."""
    status, reason = signal["status"], signal.get("reason")
    if (status == "done" and reason and reason["code"] == NOTHING_FILLED) or (
        status == "attention" and "seen" in signal
    ):
        return "warn"
    return tone(status)


def advice(status: str) -> str:
    return _ADVICE.get(status, "")


def words(value: Any) -> str:
    """A name of the journal as words: `order_unknown` → `order unknown`."""
    return str(value).replace("_", " ")


def prose(text: str | None) -> Markup:
    """A sentence of the relay's: what stands in backticks is set as code. Everything in it is escaped."""
    parts = re.split(r"`([^`]+)`", text or "")
    shown = [Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts)]
    return Markup("").join(shown)
