"""`/performance`: what each strategy's fills came to, and what the accounts were worth."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, render_template, request

from relay.domain.performance import Equity, FillRow, Tally, percentile, results, tallies
from relay.execution.ports import to_ms, utc_now
from relay.journal.ledger import DAY_MS
from relay.web.access import require_login
from relay.web.answers import answer, current_queries, current_services

performance = Blueprint("performance", __name__)
performance.before_request(require_login)

_DAY_MS = 86_400_000
_DAYS = (1, 7, 30, 90)
_POINTS_MAX = 800
_SHARES = (50, 90, 99)


@performance.get("/performance")
def show() -> str:
    days = _days()
    found = tallies(_fill_rows(days))
    rows = [_row(name, tally) for name, tally in sorted(found.items())]
    return render_template("performance.html", rows=rows, days=days, choices=_DAYS, shares=_SHARES)


@performance.get("/live/performance/profit")
def profit() -> Response:
    """Realised profit after fees, summed up over time, a line for each strategy."""
    return profit_line(_days())


def profit_line(days: int) -> Response:
    """The chart of so many days."""
    made = results(_fill_rows(days))
    names = sorted({each.strategy for each in made})
    sums = dict.fromkeys(names, Decimal(0))
    x: list[float] = []
    lines: dict[str, list[float]] = {name: [] for name in names}
    for each in made:
        sums[each.strategy] += each.realised - each.fee
        x.append(each.at_ms / 1000)
        for name in names:
            lines[name].append(float(sums[name]))
    keep = _stored(len(x))
    series = [{"name": name or "–", "y": [lines[name][i] for i in keep]} for name in names]
    return answer({"x": [x[i] for i in keep], "series": series})


@performance.get("/live/performance/<what>")
def percentiles(what: str) -> Response:
    """`latency` in ms, or `slippage` in hundredths of a percent: a curve over the percentiles for each strategy."""
    found = tallies(_fill_rows(_days()))
    shares = range(1, 101)
    series: list[dict[str, Any]] = []
    for name, tally in sorted(found.items()):
        values = [_share_of(tally, what, share) for share in shares]
        if values[0] is not None:
            series.append({"name": name or "–", "y": [None if each is None else float(each) for each in values]})
    x = [0, *shares] if series else []
    drawn = [{**each, "y": [None, *each["y"]]} for each in series]
    return answer({"x": x, "labels": [f"{share} %" for share in x], "series": drawn})


def _share_of(tally: Tally, what: str, share: int) -> Decimal | None:
    if what == "latency":
        return percentile(tally.latencies_ms, share)
    found = percentile(tally.slippages_pct, share)
    return None if found is None else found * 100


def _row(name: str, tally: Tally) -> dict[str, Any]:
    return {
        "name": name or "–",
        "tally": tally,
        "net": tally.realised - tally.fees,
        "fees": tally.fees.quantize(Decimal("0.01")),
        "latency": [percentile(tally.latencies_ms, share) for share in _SHARES],
        "slippage": [_rounded(percentile(tally.slippages_pct, share)) for share in _SHARES],
    }


def _rounded(value: Decimal | None) -> Decimal | None:
    return None if value is None else value.quantize(Decimal("0.001"))


def _fill_rows(days: int) -> list[FillRow]:
    return current_queries().fill_rows(None, to_ms(utc_now()) - days * _DAY_MS)


def _days() -> int:
    requested = request.args.get("days", "")
    return int(requested) if requested in map(str, _DAYS) else 30


def _stored(count: int) -> Sequence[int]:
    """The numbers of the points that are shown: all of a few, evenly some of many, the last one always."""
    if count <= _POINTS_MAX:
        return range(count)
    return sorted({round(i * (count - 1) / (_POINTS_MAX - 1)) for i in range(_POINTS_MAX)})


# The chart of what the accounts were worth: a line for each account and coin.


_STABLE = ("USDT", "USDC")


def equity_lines(days: int) -> Response:
    """Stable coins in themselves, others in what the exchange said they were worth in USD; unknown worth: no point."""
    parts, since_ms = current_services(), to_ms(utc_now()) - days * DAY_MS
    ledger = parts.streams.bookkeeper.ledger
    lines: dict[str, dict[int, float]] = {}
    for account in parts.accounts:
        for point in ledger.equity(account, since_ms):
            worth = _worth(point)
            if worth is not None:
                lines.setdefault(_name(account, point.coin, len(parts.accounts)), {})[point.at_ms] = float(worth)
    moments = sorted({at for line in lines.values() for at in line})
    stored = moments[:: -(-len(moments) // _POINTS_MAX) or 1]
    series = [{"name": name, "y": _drawn(line, stored)} for name, line in sorted(lines.items())]
    return answer({"x": [at / 1000 for at in stored], "series": series})


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
