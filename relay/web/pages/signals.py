"""`/signals`: the list with its filters, and one signal with all that is known of it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from relay.domain.instrument import symbol_of_filter
from relay.domain.order import SignalStatus
from relay.web.access import require_login
from relay.web.answers import current_queries, current_services
from relay.web.pages.overview import unless_seen

signals = Blueprint("signals", __name__)
signals.before_request(require_login)

_PAGE = 40
_FILTERS = ("strategy", "account", "symbol", "status", "text")


@signals.get("/signals")
def show_all() -> ResponseReturnValue:
    return render_template("signals.html", live=_found(), strategies=_strategies(), accounts=_accounts())


@signals.get("/live/signals")
def live() -> ResponseReturnValue:
    return unless_seen("_signals.html", _found())


@signals.get("/signals/<signal_id>")
def show_one(signal_id: str) -> ResponseReturnValue:
    found = _whole(signal_id)
    if found is None:
        message = "There is no such signal. It may have been pruned: see KEEP_DAYS."
        return render_template("problem.html", title="No such signal", message=message), 404
    return render_template("signal.html", live=found)


@signals.get("/live/signals/<signal_id>")
def live_one(signal_id: str) -> ResponseReturnValue:
    found = _whole(signal_id)
    return unless_seen("_signal.html", found) if found is not None else ("", 204)


def _found() -> dict[str, Any]:
    requested = {name: request.args.get(name, "").strip() for name in _FILTERS}
    problem, page, status = "", None, requested["status"] or None
    if status is not None and status not in tuple(SignalStatus):
        problem = "There is no such status; choose one of the list."
    try:
        page = (
            None
            if problem
            else current_services().journal.signals(
                strategy=requested["strategy"] or None,
                account=requested["account"] or None,
                symbol=symbol_of_filter(requested["symbol"]) or None,
                status=SignalStatus(status) if status else None,
                text=requested["text"] or None,
                limit=_PAGE,
                cursor=request.args.get("cursor") or None,
            )
        )
    except ValueError:
        problem = "This address is not one of the list's pages; go back to its start."
    return {
        "requested": requested,
        "signals": page.signals if page else [],
        "next_cursor": page.next_cursor if page else None,
        "is_first": not request.args.get("cursor"),
        "problem": problem,
        "statuses": [each.value for each in SignalStatus],
    }


def _strategies() -> list[str]:
    return sorted(current_services().strategies)


def _accounts() -> list[str]:
    return sorted(current_services().accounts)


def _whole(signal_id: str) -> dict[str, Any] | None:
    journal = current_services().journal
    signal = journal.signal(signal_id)
    if signal is None:
        return None
    return {
        "signal": signal,
        "alert": json.dumps(signal["alert"], indent=2, ensure_ascii=False),
        "plans": current_queries().plans_of(signal_id),
        "fills": current_queries().fills_of(signal),
        "steps": _steps(signal),
        "may_retry": signal["status"] in ("failed", "denied", "expired"),
    }


def _steps(signal: dict[str, Any]) -> list[dict[str, Any]]:
    """From the alert's own time to the last event, each with the milliseconds since the one before."""
    steps = [{"at": each["at"], "name": each["name"], "detail": _detail(each["detail"])} for each in signal["events"]]
    if signal["sent_at"]:
        steps.insert(0, {"at": signal["sent_at"], "name": "sent by TradingView", "detail": None})
    before: datetime | None = None
    for step in steps:
        at = datetime.fromisoformat(step["at"])
        step["after_ms"] = None if before is None else max(0, int((at - before).total_seconds() * 1000))
        before = at
    return steps


def _detail(detail: Any) -> str:
    """In a line; what is long stands elsewhere on the page."""
    if not isinstance(detail, dict):
        return "" if detail is None else str(detail)
    short = {name: value for name, value in detail.items() if not isinstance(value, dict | list)}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in short.items() if value not in (None, ""))
