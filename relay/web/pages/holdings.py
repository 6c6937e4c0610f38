"""`/positions` and `/orders`: what is open and what rests, whose it is, and what can be done about it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from relay.domain.instrument import symbol_of_filter
from relay.web.access import require_login
from relay.web.pages.overview import all_positions, resting_orders, unless_seen

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
    return {"positions": positions, "problems": problems}


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
    return {"orders": shown, "unreadable": found["unreadable"], "given": given, "all": len(found["orders"])}
