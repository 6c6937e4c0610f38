"""`/`: is all well, what is open, what needs a person."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from relay.domain.status import SignalStatus
from relay.pipeline.clock import to_ms, utc_now
from relay.pipeline.gather import HALT
from relay.web.forms import refused_form
from relay.web.pages.access import require_login
from relay.web.pages.equity import equity_lines
from relay.web.pages.glance import all_positions, equities
from relay.web.pages.performance import profit_line
from relay.web.runtime import current_looks, current_parts, current_relay
from relay.web.strategy_api import strategies_now

overview = Blueprint("overview", __name__)
overview.before_request(require_login)

_LATEST = 8


@overview.get("/")
def show() -> ResponseReturnValue:
    return render_template("overview.html", live=_live())


@overview.get("/live/overview")
def live() -> ResponseReturnValue:
    """What moves on the page, for its script; 204 while it is as it was."""
    return unless_seen("_overview.html", _live())


@overview.get("/live/equity")
def equity() -> Response:
    """What the accounts were worth in the last 30 days."""
    return equity_lines(30)


@overview.get("/live/profit")
def profit() -> Response:
    """Realised profit after fees of the last 30 days, summed up."""
    return profit_line(30)


def unless_seen(template: str, values: dict[str, Any]) -> ResponseReturnValue:
    """The fragment with a mark of itself; 204 where the request brings that very mark, so nothing is swapped."""
    text = render_template(template, live=values, mark="")
    mark = hashlib.sha256(text.encode()).hexdigest()[:16]
    if request.args.get("mark") == mark:
        return Response(status=204)
    return render_template(template, live=values, mark=mark)


def _live() -> dict[str, Any]:
    relay, journal = current_relay(), current_parts().journal
    positions, problems = all_positions()
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "missing": relay.missing(),
        "accounts": [_account(name, wallet) for name, wallet in equities().items()],
        "positions": positions,
        "problems": problems,
        "attention": journal.signals(status=SignalStatus.ATTENTION, limit=20).signals,
        "today": {status.value: count for status, count in current_looks().counts_since(to_ms(midnight)).items()},
        "latest": journal.signals(limit=_LATEST).signals,
        "strategies": strategies_now(),
        "refused": [refused_form(posts) for posts in journal.refused()],
    }


def _account(name: str, wallet: Any) -> dict[str, Any]:
    switch = current_parts().journal.switch(name, HALT)
    return {
        "name": name,
        "halted_by": switch.by if switch is not None and switch.value == "on" else None,
        "equity": wallet.value or {},
        "problem": wallet.problem,
        "environment": current_relay().environment_of(name),
        "checks": _checks(name),
        "stream": current_parts().streams.state().get(name),
    }


def _checks(name: str) -> dict[str, int]:
    """How many points of the last checklist are in each state; empty before the first."""
    report = current_parts().checkup.latest(name)
    return dict(Counter(point.state.value for point in report.points)) if report else {}
