"""How values look on a page: numbers that people can read, times in the reader's zone, colours by what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from flask import Flask
from markupsafe import Markup, escape

from relay.domain.instrument import plain, shown_symbol
from relay.domain.performance import DOLLARS
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
        amount=amount,
        money=money,
        tone=tone,
        tone_of=tone_of,
        advice=advice,
        words=words,
        sign=sign,
        prose=prose,
        in_market=shown_symbol,
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


def amount(value: Any, coin: str | None = None) -> str:
    """Money, rounded for people: to cents of a dollar (and hundredths of `%`), to eight places of another coin, with
    two at least: `12.50`. Where the coin is not known, cents count from one on."""
    try:
        given = Decimal(str(value))
    except InvalidOperation:
        return ""
    has_cents = abs(given) >= 1 if coin is None else coin in DOLLARS or coin == "%"
    places = 2 if has_cents else 8
    whole, _, part = number(given.quantize(Decimal(1).scaleb(-places))).partition(".")
    return f"{whole}.{part:0<2}"


def money(value: Any, coin: str | None = None) -> str:
    """What was gained or lost, with its sign: `+12.50`. What rounds to nothing has none."""
    shown = amount(value, coin)
    return f"+{shown}" if shown.strip("0.") and not shown.startswith("\u2212") else shown


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


_TABLE: Final = re.compile(r"<table.*?</table>", re.DOTALL)
_TITLE: Final = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_ROW: Final = re.compile(r"<tr\b.*?</tr>", re.DOTALL)


def labelled(html: str) -> str:
    """Each cell of a table with the title of its column: on a phone a row is a card, and its cells name themselves."""
    return _TABLE.sub(lambda table: _labelled_table(table.group()), html)


def _labelled_table(table: str) -> str:
    head, end, body = table.partition("</thead>")
    titles = ["" if "visually-hidden" in each else escape(Markup(each).striptags()) for each in _TITLE.findall(head)]  # noqa: S704 - our own templates' titles

    def row(found: re.Match[str]) -> str:
        first, *cells = found.group().split("<td")
        given = zip(cells, [*titles, *("" for _ in cells)], strict=False)
        return first + "".join(f'<td data-label="{title}"{cell}' for cell, title in given)

    return head + end + _ROW.sub(row, body) if end else table
