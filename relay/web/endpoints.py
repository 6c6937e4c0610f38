"""The addresses for programs, one row each: from it come route, door, what is read of the query, and the description.

A new endpoint is a view and a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flask import Blueprint, Response

from relay.domain.order import OrderStatus, SignalStatus
from relay.web import api, metrics
from relay.web.access import require_admin
from relay.web.api import Parameter, choice, flag, limit, read_query, symbol, text
from relay.web.webhook import take_alert, webhook

View = Callable[..., Response]
Answers = Mapping[int, str | None]

PLAIN: Final = "text/plain"
"""In place of a form: an answer that is no JSON."""
PREFER: Final = "Prefer"
_CREDENTIALS: Final = ("X-Webhook-Secret", "webhook-id", "webhook-timestamp", "webhook-signature")
_PLACE: Final = re.compile(r"<(?:[a-z]+:)?([a-z_]+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`answers`: status to form, None for the error's. `query`: parameters by name."""

    method: str
    rule: str
    """Flask's, with its names in `<>`."""
    view: View
    summary: str
    answers: Answers
    query: Mapping[str, Parameter] = field(default_factory=dict)
    reads_query: bool = True
    """Whatever else stands in the query is refused, and the view is given the parameters; else the query is its own."""
    body: str | None = None
    is_closed: bool = True
    """Whoever asks must bring the admin token."""
    headers: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The rule as OpenAPI spells it."""
        return _PLACE.sub(r"{\1}", self.rule)

    @property
    def names_in_path(self) -> list[str]:
        return _PLACE.findall(self.rule)

    def route(self) -> View:
        """The view behind its door, with what is read of the query."""
        if not self.is_closed and not self.reads_query:
            return self.view

        def view(**in_path: str) -> Response:
            if self.is_closed and (refused := require_admin()) is not None:
                return refused
            return self.view(**in_path, **(read_query(self.query) if self.reads_query else {}))

        return view


def _errors(*codes: int) -> Answers:
    return dict.fromkeys(codes)


def _alert(rule: str, summary: str) -> Endpoint:
    return Endpoint(
        method="post",
        rule=rule,
        view=take_alert,
        summary=summary,
        answers={200: "Receipt", 202: "Receipt", **_errors(400, 401, 403, 404, 409, 413, 422, 429, 503)},
        query={"format": text()},
        reads_query=False,
        body="Alert",
        is_closed=False,
        headers=(PREFER, *_CREDENTIALS),
    )


ENDPOINTS: Final = (
    _alert("/webhook", "An alert of the strategy `default`; the secret in the body, a header or a signature."),
    _alert("/webhook/<strategy>", "An alert of a strategy."),
    _alert("/webhook/<strategy>/<path:secret>", "An alert with its secret in the path."),
    Endpoint(
        method="get",
        rule="/api/signals",
        view=api.list_signals,
        summary="Signals, the latest first.",
        answers={200: "Signals", **_errors(400, 401, 429, 503)},
        query={
            "strategy": text(),
            "account": text(),
            "symbol": symbol(),
            "cursor": text(),
            "limit": limit(50),
            "status": choice(SignalStatus),
            "attention_first": flag(),
        },
    ),
    Endpoint(
        method="get",
        rule="/api/signals/<signal_id>",
        view=api.show_signal,
        summary="One signal with its orders and every step.",
        answers={200: "Signal", **_errors(401, 404, 429, 503)},
        reads_query=False,
        headers=(PREFER,),
    ),
    Endpoint(
        method="get",
        rule="/api/signals/<signal_id>/retry",
        view=api.show_retry,
        summary="What opening a signal again would meet: the entry's age, the price then and now.",
        answers={200: "RetryOutlook", **_errors(400, 401, 404, 409, 429, 503)},
    ),
    Endpoint(
        method="post",
        rule="/api/signals/<signal_id>/retry",
        view=api.retry_signal,
        summary="Open a signal again, where nothing of it can have had an effect.",
        answers={200: "Receipt", 202: "Receipt", **_errors(400, 401, 404, 409, 413, 429, 503)},
        reads_query=False,
        headers=(PREFER,),
    ),
    Endpoint(
        method="post",
        rule="/api/signals/<signal_id>/seen",
        view=api.mark_seen,
        summary="A person has looked at a signal in attention.",
        answers={200: "Signal", **_errors(400, 401, 404, 409, 413, 429, 503)},
    ),
    Endpoint(
        method="post",
        rule="/api/plan",
        view=api.plan_alert,
        summary="What an alert would do now, without doing it.",
        answers={200: "Plan", **_errors(400, 401, 404, 413, 422, 429, 502, 503)},
        query={"strategy": text(), "format": text(argument="named")},
        body="Alert",
    ),
    Endpoint(
        method="get",
        rule="/api/orders",
        view=api.list_orders,
        summary="The relay's orders, the latest first; `open=1`: what rests just now, whoever placed it.",
        answers={200: "Orders", **_errors(400, 401, 429, 503)},
        query={
            "account": text(),
            "symbol": symbol(),
            "limit": limit(100),
            "open": flag(argument="open_only"),
            "status": choice(OrderStatus),
        },
    ),
    Endpoint(
        method="post",
        rule="/api/orders/<client_order_id>/cancel",
        view=api.cancel_order,
        summary="Cancel one of the relay's own orders that rest.",
        answers={200: "Canceled", **_errors(400, 401, 404, 409, 413, 429, 503)},
    ),
    Endpoint(
        method="post",
        rule="/api/positions/close",
        view=api.close_position,
        summary="Close one position, or a part of it, halted or not.",
        answers={200: "Receipt", 202: "Receipt", **_errors(400, 401, 413, 429, 503)},
        reads_query=False,
        headers=(PREFER,),
    ),
    Endpoint(
        method="post",
        rule="/api/positions/breakeven",
        view=api.move_stop_to_entry,
        summary="Move the stop loss of one position to its average entry.",
        answers={200: "Receipt", 202: "Receipt", **_errors(400, 401, 409, 413, 429, 502, 503)},
        reads_query=False,
        headers=(PREFER,),
    ),
    Endpoint(
        method="get",
        rule="/api/positions",
        view=api.list_positions,
        summary="What is open, whoever opened it.",
        answers={200: "Positions", **_errors(400, 401, 429, 502, 503)},
        query={"account": text(), "symbol": symbol()},
    ),
    Endpoint(
        method="get",
        rule="/api/accounts",
        view=api.list_accounts,
        summary="The accounts, their checks and their equity.",
        answers={200: "Accounts", **_errors(400, 401, 429, 502, 503)},
    ),
    Endpoint(
        method="get",
        rule="/api/accounts/<name>/equity",
        view=api.show_equity,
        summary="An account's equity over time, and what each day came to.",
        answers={200: "Equity", **_errors(400, 401, 404, 429, 503)},
        query={"days": limit(30)},
    ),
    Endpoint(
        method="get",
        rule="/api/trades",
        view=api.list_trades,
        summary="Round trips of positions with what they earned, the latest begun first; `format=csv` as a file.",
        answers={200: "Trades", **_errors(400, 401, 429, 503)},
        query={
            "account": text(),
            "strategy": text(),
            "symbol": symbol(),
            "days": limit(None),
            "limit": limit(None),
            "cursor": text(),
            "format": text(argument="form"),
        },
    ),
    Endpoint(
        method="post",
        rule="/api/compare",
        view=api.compare_exports,
        summary="TradingView's alerts log and list of trades, held against what arrived and what was earned.",
        answers={200: "Comparison", **_errors(400, 401, 413, 429, 503)},
        query={"zone": text(), "strategy": text(), "account": text(), "symbol": symbol()},
        body="Exports",
    ),
    Endpoint(
        method="get",
        rule="/api/performance",
        view=api.show_performance,
        summary="What the strategies' trades came to, and whether that is what the exchange booked.",
        answers={200: "Performance", **_errors(400, 401, 429, 503)},
        query={"days": limit(30)},
    ),
    Endpoint(
        method="get",
        rule="/api/strategies",
        view=api.list_strategies,
        summary="The strategies, and whether their alerts arrive.",
        answers={200: "Strategies", **_errors(400, 401, 429, 503)},
    ),
    Endpoint(
        method="post",
        rule="/api/halt",
        view=api.halt,
        summary="No new entries, restarts included; exits go on.",
        answers={200: "Halted", **_errors(400, 401, 429, 503)},
    ),
    Endpoint(
        method="post",
        rule="/api/resume",
        view=api.resume,
        summary="Allow new entries again.",
        answers={200: "Halted", **_errors(400, 401, 409, 429, 503)},
    ),
    Endpoint(
        method="post",
        rule="/api/flatten",
        view=api.flatten,
        summary="Halt, cancel and close what the relay traded.",
        answers={200: "Flattened", **_errors(400, 401, 413, 429, 503)},
        query={"all": flag(argument="everything")},
    ),
    Endpoint(
        method="get",
        rule="/healthz",
        view=metrics.alive,
        summary="The process lives.",
        answers={200: "Alive"},
        reads_query=False,
        is_closed=False,
    ),
    Endpoint(
        method="get",
        rule="/readyz",
        view=metrics.ready,
        summary="Whether alerts of one account at least are executed at once, which those are, and what is missing.",
        answers={200: "Ready", 503: "Ready"},
        reads_query=False,
        is_closed=False,
    ),
    Endpoint(
        method="get",
        rule="/metrics",
        view=metrics.show_metrics,
        summary="What was counted and timed, in Prometheus' text format.",
        answers={200: PLAIN, **_errors(401, 429)},
        reads_query=False,
    ),
)

programs: Final = Blueprint("api", __name__)
"""All of them but the webhook's, which has answers of its own to what goes wrong."""
for _each in ENDPOINTS:
    _home: Any = webhook if _each.view is take_alert else programs
    _home.add_url_rule(_each.rule, _each.view.__name__, _each.route(), methods=[_each.method.upper()])
