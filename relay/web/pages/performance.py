"""`/performance` and `/trades`: what each strategy's trades came to, and what the accounts were worth."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from relay.domain.instrument import symbol_of_filter
from relay.domain.performance import FillRow, Tally, equity_curve, percentile, tallies
from relay.domain.trades import Trade
from relay.execution.ports import to_ms, utc_now
from relay.journal.ledger import DAY_MS, HOUR_MS, start_of_day
from relay.journal.trades import StrategyResult, TradeFilter, shown_trade
from relay.web.access import require_login
from relay.web.answers import (
    Problem,
    account_result_form,
    answer,
    current_queries,
    current_services,
    strategy_result_form,
)
from relay.web.api import CSV_ROWS_MAX, UPLOAD_BYTES_MAX, compared, csv_answer

performance = Blueprint("performance", __name__)


@performance.before_request
def bound_uploads() -> None:
    """What is posted here are files."""
    request.max_content_length = UPLOAD_BYTES_MAX


performance.before_request(require_login)

_DAYS = (1, 7, 30, 90)
_POINTS_MAX = 800
_SHARES = (50, 99)
_MINUTE_MS = 60_000
_FINE_MS = 2 * DAY_MS
"""Of so short a time each look is drawn, of a longer one the last of each hour."""
_TRADES = 50
_FILLS = 1000
"""Slippage and delay are told of so many of the latest: a page must be as quick in a long journal."""


@performance.get("/performance")
def show() -> str:
    """Sums over the trades that were closed, and whether all of it is what the exchange booked."""
    days = _days()
    ledger, since_ms = current_services().streams.bookkeeper.ledger, _since(days)
    followed = tallies(_fill_rows(days))
    return render_template(
        "performance.html",
        rows=[_row(each, followed.get(each.strategy, Tally())) for each in ledger.strategy_results(since_ms)],
        comparison=[account_result_form(each) for each in ledger.account_results(since_ms)],
        daily=ledger.daily_results(since_ms),
        **{"days": days, "choices": _DAYS},
    )


@performance.get("/trades")
def show_trades() -> ResponseReturnValue:
    """Round trips, the latest begun first; all of them with `format=csv`."""
    given = {name: request.args.get(name, "").strip() for name in ("account", "strategy", "symbol", "day")}
    account, strategy, symbol, day = (each or None for each in given.values())
    ledger, is_csv = current_services().streams.bookkeeper.ledger, request.args.get("format") == "csv"
    try:
        which = TradeFilter(
            account=account,
            strategy=strategy,
            symbol=symbol and symbol_of_filter(symbol),
            closed_on=day and date.fromisoformat(day).isoformat(),
        )
        found, following = ledger.trades(
            which, limit=CSV_ROWS_MAX if is_csv else _TRADES, cursor=request.args.get("cursor")
        )
    except ValueError:
        message = "This address is not one of the list's pages. All trades are at /trades."
        return render_template("problem.html", title="No such list", message=message), 400
    if is_csv:
        return csv_answer([shown_trade(each) for each in found])
    return render_template(
        "trades.html",
        trades=[_trade(each) for each in found],
        given=given,
        more=f"/trades?{urlencode({**given, 'cursor': following})}" if following else None,
        csv=urlencode({**given, "format": "csv"}),
        has_accounts=len(current_services().accounts) > 1,
    )


@performance.get("/compare")
def ask_compare() -> str:
    """What TradingView lets people download can be held against the journal and the ledger."""
    return _compare_page({}, None)


@performance.post("/compare")
def show_compare() -> str:
    """The files are read and forgotten."""
    given = {name: request.form.get(name, "").strip() for name in ("zone", "strategy", "account", "symbol")}
    files = [(each.filename or "a file", each.read()) for each in request.files.getlist("files") if each.filename]
    if not files:
        return _compare_page(given, None, "Choose a file first.")
    try:
        which = given | {"symbol": symbol_of_filter(given["symbol"])}
        found = compared(files, **{name: text or None for name, text in which.items()})
    except Problem as problem:
        return _compare_page(given, None, *(sentence for each in problem.fields.values() for sentence in each))
    return _compare_page(given, found)


def _compare_page(given: dict[str, str], found: object, *problems: str) -> str:
    services = current_services()
    names = {"strategies": sorted(services.strategies), "accounts": sorted(services.accounts)}
    return render_template("compare.html", given=given, found=found, problems=problems, **names)


def _trade(trade: Trade) -> dict[str, Any]:
    begun, ended = trade.opened_at_ms, trade.closed_at_ms
    held = None if begun is None or ended is None else str(timedelta(seconds=max(0, ended - begun) // 1000))
    return shown_trade(trade) | {"held": held}


@performance.get("/live/performance/profit")
def profit() -> Response:
    """What closed trades came to, summed up over time, a line for each strategy and coin."""
    return profit_line(_days())


def profit_line(days: int) -> Response:
    """The chart of so many days: its last steps are the trades themselves, what was before them is their start."""
    ledger, since_ms, now_ms = current_services().streams.bookkeeper.ledger, _since(days), to_ms(utc_now())
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for each in ledger.strategy_results(since_ms):
        sums[each.strategy, each.coin] += each.net
    made = ledger.closed_trades(since_ms, limit=_POINTS_MAX)
    for trade in made:
        for coin, net in _nets(trade):
            sums[trade.strategy, coin] -= net
    lines = {line: [float(start)] for line, start in sums.items()}
    x = [since_ms / 1000]
    for trade in reversed(made):
        for coin, net in _nets(trade):
            sums[trade.strategy, coin] += net
        x.append((trade.closed_at_ms or 0) / 1000)
        for line, y in lines.items():
            y.append(float(sums[line]))
    drawn = [
        {"name": f"{strategy}, {coin}", "unit": coin, "steps": True, "y": [*y, y[-1]]}
        for (strategy, coin), y in sorted(lines.items())
    ]
    return answer({"x": [*x, now_ms / 1000], "series": drawn if made else [], **_period(since_ms, now_ms)})


def _nets(trade: Trade) -> list[tuple[str, Decimal]]:
    """By coin: what was paid in another one stands for itself."""
    return [(trade.settle_coin, trade.net), *((coin, -fee) for coin, fee in trade.fees_other.items())]


def _since(days: int) -> int:
    return start_of_day(to_ms(utc_now()) - days * DAY_MS)


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


def _row(result: StrategyResult, tally: Tally) -> dict[str, Any]:
    """`rate`: of closed trades those with a net above zero, in percent."""
    return strategy_result_form(result) | {
        "rate": (Decimal(100) * result.won / result.trades).quantize(Decimal("0.1")) if result.trades else None,
        "latency": [percentile(tally.latencies_ms, share) for share in _SHARES],
        "slippage": [_rounded(percentile(tally.slippages_pct, share)) for share in _SHARES],
    }


def _rounded(value: Decimal | None) -> Decimal | None:
    return None if value is None else value.quantize(Decimal("0.001")) + 0  # no zero with a sign


def _fill_rows(days: int) -> list[FillRow]:
    return current_queries().fill_rows(None, _since(days), limit=_FILLS)


def _days() -> int:
    requested = request.args.get("days", "")
    return int(requested) if requested in map(str, _DAYS) else 30


# The chart of what the accounts were worth.


def equity_line(days: int) -> Response:
    """One line: all accounts together, in USD."""
    parts, now_ms = current_services(), to_ms(utc_now())
    since_ms, ledger = now_ms - days * DAY_MS, parts.streams.bookkeeper.ledger
    points = {account: ledger.equity(account, since_ms) for account in parts.accounts}
    first_ms = min((each[0].at_ms for each in points.values() if each), default=now_ms)
    curve = equity_curve(points, every_ms=_MINUTE_MS if now_ms - first_ms < _FINE_MS else HOUR_MS)
    line = {"name": "Equity", "unit": "USD", "y": [float(worth) for _, worth in curve]}
    x = [at_ms / 1000 for at_ms, _ in curve]
    return answer({"x": x, "series": [line] if x else [], **_period(since_ms, now_ms)})


def _period(since_ms: int, now_ms: int) -> dict[str, float]:
    """What the chart's axis shows, whatever there is to be drawn."""
    return {"from": since_ms / 1000, "until": now_ms / 1000}
