"""The chart of what the accounts were worth: a line for each account and coin."""

from __future__ import annotations

from decimal import Decimal

from flask import Response

from relay.domain.booking import Equity
from relay.journal.ledger import DAY_MS
from relay.pipeline.clock import to_ms, utc_now
from relay.web.answers import answer
from relay.web.runtime import current_parts

_STABLE = ("USDT", "USDC")
_POINTS_MAX = 800


def equity_lines(days: int) -> Response:
    """Stable coins in themselves, others in what the exchange said they were worth in USD; unknown worth: no point."""
    parts, since_ms = current_parts(), to_ms(utc_now()) - days * DAY_MS
    ledger = parts.streams.books.ledger
    lines: dict[str, dict[int, float]] = {}
    for account in parts.accounts:
        for point in ledger.equity(account, since_ms):
            worth = _worth(point)
            if worth is not None:
                lines.setdefault(_name(account, point.coin, len(parts.accounts)), {})[point.at_ms] = float(worth)
    moments = sorted({at for line in lines.values() for at in line})
    kept = moments[:: -(-len(moments) // _POINTS_MAX) or 1]
    series = [{"name": name, "y": _drawn(line, kept)} for name, line in sorted(lines.items())]
    return answer({"x": [at / 1000 for at in kept], "series": series})


def _worth(point: Equity) -> Decimal | None:
    return point.equity if point.coin in _STABLE else point.usd


def _name(account: str, coin: str, accounts: int) -> str:
    named = coin if coin in _STABLE else f"{coin} in USD"
    return named if accounts == 1 else f"{account}: {named}"


def _drawn(line: dict[int, float], moments: list[int]) -> list[float | None]:
    """At each moment the line's last value until then: other accounts are looked at at other moments."""
    drawn: list[float | None] = []
    known, last = sorted(line.items()), None
    place = 0
    for moment in moments:
        while place < len(known) and known[place][0] <= moment:
            last, place = known[place][1], place + 1
        drawn.append(last)
    return drawn
