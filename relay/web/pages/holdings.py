"""`/positions`, `/orders`, `/trades/<id>`: what is open and what rests, whose it is, and what can be done about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, abort, render_template, request
from flask.typing import ResponseReturnValue

from relay.domain.instrument import symbol_of_filter
from relay.domain.trades import Trade
from relay.journal.trades import shown_trade
from relay.web.access import require_login
from relay.web.answers import answer, current_services
from relay.web.pages.charts import position_chart, trade_chart
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
def show_trade(trade_id: str) -> str:
    """One round trip, with its chart."""
    trade = _trade(trade_id)
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
