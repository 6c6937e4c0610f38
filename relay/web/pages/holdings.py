"""`/positions`, `/orders`, `/trades/<id>`: what is open and what rests, whose it is, and what can be done about it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from flask import Blueprint, Response, abort, render_template, request
from flask.typing import ResponseReturnValue

from relay.bybit.wire_account import Candle
from relay.domain.instrument import Category, symbol_of_filter
from relay.domain.order import Side
from relay.domain.trades import Trade
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.execution.ports import to_ms, utc_now
from relay.journal.trades import shown_trade
from relay.web.access import require_login
from relay.web.answers import answer, current_queries, current_services
from relay.web.pages.overview import all_positions, resting_orders, unless_seen, written_down

holdings = Blueprint("holdings", __name__)
holdings.before_request(require_login)


@holdings.get("/positions")
def show_positions() -> str:
    return render_template("positions.html", live=_positions())


@holdings.get("/live/positions")
def live_positions() -> ResponseReturnValue:
    """What moves on the page, for its script; 204 while it is as it was."""
    return unless_seen("_holdings.html", _positions())


def _positions() -> dict[str, Any]:
    positions, problems = all_positions()
    return {"positions": positions, "problems": problems, "written": written_down()}


@holdings.get("/live/chart/position")
def chart_position() -> Response:
    """The price of an open position, with its fills and levels."""
    where = [request.args.get(name, "") for name in ("account", "category", "symbol")]
    found = [each for each in all_positions()[0] if [each["account"], each["category"], each["symbol"]] == where]
    return position_chart(found[0]) if found else answer({"x": [], "series": []})


@holdings.get("/trades/<trade_id>")
def show_trade(trade_id: str) -> ResponseReturnValue:
    """One round trip, with its chart."""
    trade = current_services().streams.bookkeeper.ledger.trade(trade_id)
    if trade is None:
        message = "There is no such trade. All trades are at /trades."
        return render_template("problem.html", title="No such trade", message=message), 404
    opened, closed = trade.opened_at_ms, trade.closed_at_ms
    held = None if opened is None or closed is None else str(timedelta(seconds=(closed - opened) // 1000))
    return render_template("trade.html", t=shown_trade(trade), held=held)


@holdings.get("/live/chart/trade/<trade_id>")
def chart_trade(trade_id: str) -> Response:
    """The price while it was open, with its fills and levels."""
    return trade_chart(_trade(trade_id))


def _trade(trade_id: str) -> Trade:
    trade = current_services().streams.bookkeeper.ledger.trade(trade_id)
    if trade is None:
        abort(404)
    return trade


@holdings.get("/orders")
def show_orders() -> str:
    return render_template("orders.html", live=_orders(), query=_given())


@holdings.get("/live/orders")
def live_orders() -> ResponseReturnValue:
    """What moves on the page, for its script; 204 while it is as it was."""
    return unless_seen("_orders.html", _orders())


def _given() -> dict[str, str]:
    """The filter, by what it is of."""
    given = {name: request.args.get(name, "").strip() for name in ("account", "strategy", "symbol")}
    given["symbol"] = symbol_of_filter(given["symbol"])
    return {name: value for name, value in given.items() if value}


def _orders() -> dict[str, Any]:
    found, given = resting_orders(), _given()
    shown = [each for each in found["orders"] if all(each[name] == value for name, value in given.items())]
    return {
        "orders": shown,
        "unreadable": found["unreadable"],
        "given": given,
        "all": len(found["orders"]),
        "written": written_down(),
    }


# The chart of a trade, and of an open position: the price, where it was entered and left, its stop and its ladder.


_MINUTE_MS: Final = 60_000
_INTERVALS: Final = (1, 3, 5, 15, 30, 60, 120, 240, 360, 720, 1440)
"""In minutes, as the exchange has them; the last is its `D`."""
_CANDLES_MAX: Final = 240
_LEAST_MS: Final = 5 * _MINUTE_MS
"""So much is shown before and after, at least."""
_FILLS_MAX: Final = 500

Level = tuple[str, Sequence[tuple[int, Decimal | None]]]
"""What it is, and where it stands from each moment on; None: nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A fill. `is_entry`: on the side of the position."""

    at_ms: int
    price: Decimal
    is_entry: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What of which market is drawn. `until_ms` None: it is still open."""

    account: str
    category: Category
    symbol: str
    since_ms: int
    until_ms: int | None


def trade_chart(trade: Trade) -> Response:
    """With the levels as the journal remembers them; marks at its averages where its fills are no longer stored."""
    span = Span(
        account=trade.account,
        category=trade.category,
        symbol=trade.symbol,
        since_ms=trade.opened_at_ms or trade.first_at_ms,
        until_ms=trade.closed_at_ms,
    )
    end_ms = span.until_ms or to_ms(utc_now())
    marks = _marks(span, trade.side, trade=trade.id) or _averages(trade, span.since_ms, end_ms)
    history = current_queries().level_history(
        span.account, span.category, span.symbol, span.since_ms - _MINUTE_MS, end_ms
    )
    levels: list[Level] = [("Stop loss", [*history.stops, (end_ms, None)] if history.stops else [])]
    levels.append(("Take profit", [*history.profits, (end_ms, None)] if history.profits else []))
    for number, (begun, ended, price) in enumerate(history.tp_legs, start=1):
        levels.append((f"Rung {number}", [(begun, price), (min(ended or end_ms, end_ms), None)]))
    return _drawn(span, marks, levels)


def position_chart(position: dict[str, Any]) -> Response:
    """`position`: in the API's form. Its levels are those of now."""
    opened_at, now_ms = position["opened_at"], to_ms(utc_now())
    since_ms = to_ms(datetime.fromisoformat(opened_at)) if opened_at else now_ms - 1440 * _MINUTE_MS
    span = Span(
        account=position["account"],
        category=Category(position["category"]),
        symbol=position["symbol"],
        since_ms=since_ms,
        until_ms=None,
    )
    levels: list[Level] = []
    if position["stop_loss"] is not None:
        levels.append(("Stop loss", [(since_ms, Decimal(position["stop_loss"]))]))
    for number, tp_leg in enumerate(position["take_profits"] or (), start=1):
        name = f"Take profit {number}" if len(position["take_profits"]) > 1 else "Take profit"
        levels.append((name, [(since_ms, Decimal(tp_leg["price"]))]))
    if position["liq_price"] is not None:
        levels.append(("Liquidation", [(since_ms, Decimal(position["liq_price"]))]))
    return _drawn(span, _marks(span, Side.BUY if position["side"] == "long" else Side.SELL), levels)


def _marks(span: Span, side: Side, *, trade: str | None = None) -> list[Mark]:
    until_ms = to_ms(utc_now()) if span.until_ms is None else span.until_ms
    ledger = current_services().streams.bookkeeper.ledger
    found = ledger.executions(span.account, span.category, span.symbol, span.since_ms, until_ms, limit=_FILLS_MAX)
    return [
        Mark(at_ms=entry.at_ms, price=entry.price, is_entry=entry.side is side)
        for entry, touched in found
        if trade is None or trade in touched
    ]


def _averages(trade: Trade, since_ms: int, end_ms: int) -> list[Mark]:
    sides = ((since_ms, trade.entry_price, True), (end_ms, trade.exit_price, False))
    return [Mark(at_ms=at, price=price, is_entry=is_entry) for at, price, is_entry in sides if price is not None]


def _drawn(span: Span, marks: Sequence[Mark], levels: Sequence[Level]) -> Response:
    now_ms = to_ms(utc_now())
    end_ms = now_ms if span.until_ms is None else span.until_ms
    around_ms = max((end_ms - span.since_ms) // 10, _LEAST_MS)
    from_ms, until_ms = span.since_ms - around_ms, min(end_ms + around_ms, max(now_ms, end_ms))
    price = {at: candle.close for at, candle in _candles(span, from_ms, until_ms)}
    moments = {at for _, steps in levels for at, _ in steps} | {each.at_ms for each in marks} | price.keys()
    x = sorted(at for at in {*moments, end_ms} if from_ms <= at <= until_ms)
    series = [{"name": "Price", "y": [_number(price.get(at)) for at in x]}]
    for name, is_entry in (("Entries", True), ("Exits", False)):
        at_price = {each.at_ms: each.price for each in marks if each.is_entry is is_entry}
        if at_price:
            series.append({"name": name, "kind": "marks", "y": [_number(at_price.get(at)) for at in x]})
    series += [{"name": name, "kind": "level", "y": _steps(steps, x)} for name, steps in levels if steps]
    shown = {"x": [at / 1000 for at in x], "series": series, "from": from_ms / 1000, "until": until_ms / 1000}
    return answer({**shown, "places": _places(span)})


def _candles(span: Span, from_ms: int, until_ms: int) -> Iterable[tuple[int, Candle]]:
    """Each with the moment of its close; none where the exchange cannot be asked."""
    minutes = next((each for each in _INTERVALS if (until_ms - from_ms) <= each * _MINUTE_MS * _CANDLES_MAX), 1440)
    exchange = current_services().exchanges.get(span.account)
    found: tuple[Candle, ...] = ()
    if exchange is not None:
        with suppress(ExchangeUnreachable, ExchangeAnswered):
            found = exchange.klines(
                category=span.category,
                symbol=span.symbol,
                interval="D" if minutes == _INTERVALS[-1] else str(minutes),
                start_ms=from_ms,
                end_ms=until_ms,
            )
    return [(min(each.at_ms + minutes * _MINUTE_MS, until_ms), each) for each in found]


def _steps(steps: Sequence[tuple[int, Decimal | None]], x: Sequence[int]) -> list[float | None]:
    begins = [at for at, _ in steps]
    places = [bisect_right(begins, at) - 1 for at in x]
    return [_number(steps[place][1]) if place >= 0 else None for place in places]


def _number(price: Decimal | None) -> float | None:
    return None if price is None else float(price)


def _places(span: Span) -> int:
    """Decimals of a price."""
    instrument = current_services().market_of(span.account) if span.account in current_services().accounts else None
    found = instrument.instrument(span.category, span.symbol) if instrument is not None else None
    exponent = found.tick_size.normalize().as_tuple().exponent if found is not None else 0
    return max(-exponent, 0) if isinstance(exponent, int) else 0
