"""What every view needs: the relay that it serves, answers in JSON, errors of one form, and headers of every answer."""

from __future__ import annotations

import gzip
import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from relay.app import metrics
from relay.app.telemetry import about
from relay.app.wiring import Relay, Services
from relay.bybit.client import Exchange
from relay.bybit.wire_orders import OpenOrder, refusal_of
from relay.domain.instrument import Category, plain
from relay.domain.order import FACTS_UNREADABLE, OrderStatus, PlannedOrder, Reason
from relay.domain.performance import DayTotal, Equity
from relay.domain.trades import BY_HAND
from relay.errors import (
    AlertError,
    ExchangeAnswered,
    ExchangeUnreachable,
    FactsUnreadable,
    JournalUnavailable,
    RelayError,
)
from relay.execution.accept import Receipt
from relay.execution.controls import Flattened, Played, Preview, Previewed
from relay.execution.holdings import Holding, OrdersAtRest
from relay.execution.ports import from_ms
from relay.journal.api_queries import DashboardQueries
from relay.journal.ledger import AccountResult
from relay.journal.records import RefusedPosts, rfc3339
from relay.journal.trades import StrategyResult, plain_by_coin

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

T = TypeVar("T")
Fields = Mapping[str, list[str]]
TOO_MANY: Final = "TOO_MANY_REQUESTS"


def of_each(exchanges: Mapping[str, Exchange], ask: Callable[[str, Exchange], T]) -> dict[str, T]:
    """What `ask` returns of each account, all asked at once: one that hangs keeps no other waiting."""
    with ThreadPoolExecutor(max(1, len(exchanges)), thread_name_prefix="asked") as threads:
        return dict(zip(exchanges, threads.map(ask, exchanges, exchanges.values()), strict=True))


def answer(body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body` holds what JSON can: numbers of money and size are text already."""
    text = json.dumps(body, ensure_ascii=False) + "\n"
    return Response(text, status=status, headers=headers, content_type="application/json")


def refusal(
    code: str,
    message: str,
    *,
    status: int,
    fields: Fields | None = None,
    signal_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The one form of every error. `signal_id`: under which the alert is kept, where it is."""
    body: dict[str, object] = {"error": {"code": code, "message": message, "fields": dict(fields or {})}}
    if signal_id is not None:
        body["signal_id"] = signal_id
    return answer(body, status, headers)


def too_many(what: str, again_s: float) -> Response:
    """429 for a source that has failed too often. `what`: of what there was too much."""
    seconds = math.ceil(again_s)
    message = f"{what}; try again in {seconds} s"
    return refusal(TOO_MANY, message, status=429, headers={"Retry-After": str(seconds)})


# What goes wrong, as answers: every error has the same form, and none shows a traceback.


log = logging.getLogger(__name__)

_JOURNAL_AGAIN_S = "2"


class Problem(RelayError):
    """The request cannot be answered as it was meant."""

    def __init__(self, code: str, message: str, *, status: int, fields: Fields | None = None) -> None:
        """`fields`: for each parameter that is wrong, the problems it has."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields or {}


def request_invalid(fields: Fields) -> Problem:
    """What is wrong with the request's parameters, by name."""
    message = "; ".join(f"{name}: {problem}" for name, problems in fields.items() for problem in problems)
    return Problem("REQUEST_INVALID", message, status=400, fields=fields)


def init_problems(app: Flask) -> None:
    """Registers an answer for each kind of error."""
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(AlertError, _alert_error)
    app.register_error_handler(JournalUnavailable, _journal_unavailable)
    app.register_error_handler(ExchangeUnreachable, _exchange_unreachable)
    app.register_error_handler(ExchangeAnswered, _exchange_answered)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _problem(error: Problem) -> Response:
    return refusal(error.code, error.message, status=error.status, fields=error.fields)


def _alert_error(error: AlertError) -> Response:
    return refusal(error.code, error.message, status=error.http_status, fields=error.fields)


def _journal_unavailable(error: JournalUnavailable) -> Response:
    if request.blueprint == "webhook":
        metrics.alerts.labels("JOURNAL_UNAVAILABLE").inc()
    log.error("503 for %s: %s", request.endpoint, error)
    return refusal("JOURNAL_UNAVAILABLE", str(error), status=503, headers={"Retry-After": _JOURNAL_AGAIN_S})


def _exchange_unreachable(error: ExchangeUnreachable) -> Response:
    return refusal("EXCHANGE_UNREACHABLE", str(error), status=502)


def _exchange_answered(error: ExchangeAnswered) -> Response:
    """With the exchange's own code and words in the message."""
    if isinstance(error, FactsUnreadable):
        return refusal(FACTS_UNREADABLE, str(error), status=502)
    return refusal(refusal_of(error.code, error.words).reason_code, str(error), status=502)


def _http(error: HTTPException) -> Response:
    """What the framework itself refuses: unknown addresses, wrong methods, broken requests."""
    status = error.code or 500
    if isinstance(error, NotFound):
        return refusal("NOT_FOUND", "there is nothing at this address; alerts are posted to /webhook", status=404)
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        message = f"{request.method} does not work here; {allowed} does"
        return refusal("METHOD_NOT_ALLOWED", message, status=405, headers={"Allow": allowed})
    code = re.sub(r"[^A-Z]+", "_", error.name.upper())
    return refusal(code, error.description or error.name, status=status)


def _unexpected(error: Exception) -> Response:
    """The rule that was matched is logged, never the path: it may hold the secret."""
    log.error("500 for %s %s", request.method, request.url_rule, exc_info=error)
    return refusal("INTERNAL", "the relay failed at this; its log says why", status=500)


# Our values as the JSON that the API promises: numbers of money and size as text, times RFC 3339 with milliseconds.


_HEARTBEAT = "a heartbeat orders nothing"


def number(value: Decimal | None) -> str | None:
    """In plain digits."""
    return None if value is None else plain(value)


def reason_form(reason: Reason | None) -> dict[str, str] | None:
    return {"code": reason.code, "message": reason.message} if reason else None


def receipt_form(receipt: Receipt) -> dict[str, object]:
    return {"signal_id": receipt.signal_id, "status": receipt.status.value, "duplicate": receipt.is_duplicate}


def flattened_form(row: Flattened) -> dict[str, str | None]:
    return {
        "account": row.account,
        "symbol": row.symbol,
        "outcome": row.outcome.value,
        "message": row.message,
        "signal_id": row.signal_id,
    }


def position_form(account: str, holding: Holding) -> dict[str, Any]:
    """`size` without sign: the side tells. What is not known is null."""
    position, levels, since = holding.position, holding.take_profits, holding.opened_at_ms
    return {
        "account": account,
        "category": position.category.value,
        "symbol": position.symbol,
        "side": "long" if position.size > 0 else "short",
        "size": plain(abs(position.size)),
        "avg_price": number(position.avg_price),
        "mark_price": number(position.mark_price),
        "unrealised_pnl": number(position.unrealised_pnl),
        "leverage": number(position.leverage),
        "take_profit": number(position.take_profit),
        "stop_loss": number(position.stop_loss),
        "take_profits": None
        if levels is None
        else [{"price": plain(each.price), "qty": plain(each.qty)} for each in levels],
        "trailing_stop": number(position.trailing_stop),
        "liq_price": number(position.liq_price),
        "margin": number(position.margin),
        "roe_pct": number(position.roe_pct),
        "adl_rank": position.adl_rank,
        "strategy": holding.strategy,
        "opened_at": None if since is None else rfc3339(since),
    }


def resting_form(row: dict[str, Any], order: OpenOrder | None, at_rest: OrdersAtRest) -> dict[str, Any]:
    """`order`: as the exchange has it, whose terms may have been amended since it was sent."""
    if order is not None:
        row = row | {"qty": plain(order.qty), "filled_qty": plain(order.filled_qty), "price": number(order.price)}
    at = row["trigger_price"] or row["price"]
    away = at_rest.distance_pct(Category(row["category"]), row["symbol"], None if at is None else Decimal(at))
    return row | {"distance_pct": number(away)}


def foreign_form(account: str, order: OpenOrder) -> dict[str, Any]:
    """An order that the relay did not place, in the form of those that it did; what is not known is null."""
    kind = "take_profit" if order.is_profit else "stop_loss" if order.is_stop else "exit" if order.reduce_only else None
    status = OrderStatus.PARTIALLY_FILLED if order.filled_qty else OrderStatus.ACCEPTED
    return {
        "client_order_id": order.client_order_id or None,
        "venue_order_id": order.venue_order_id,
        "account": account,
        "category": order.category.value,
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.type.value,
        "qty": plain(order.qty),
        "price": number(order.price),
        "reduce_only": order.reduce_only,
        "status": status.value,
        "reason": None,
        "filled_qty": plain(order.filled_qty),
        "avg_price": None,
        "fee": None,
        "fee_coin": None,
        "purpose": kind,
        "trigger_price": number(order.trigger_price),
        "strategy": BY_HAND,
        "signal_id": None,
        "created_at": None if order.created_at_ms is None else rfc3339(order.created_at_ms),
    }


def equity_form(point: Equity) -> dict[str, Any]:
    return {
        "at": rfc3339(point.at_ms),
        "coin": point.coin,
        "equity": plain(point.equity),
        "unrealised": plain(point.unrealised),
        "usd": number(point.usd),
    }


def day_form(total: DayTotal) -> dict[str, Any]:
    return {
        "day": total.day,
        "coin": total.coin,
        "realised": plain(total.realised),
        "fees": plain(total.fees),
        "fees_other": plain_by_coin(total.fees_other),
        "funding": plain(total.funding),
    }


def strategy_result_form(result: StrategyResult) -> dict[str, Any]:
    return {
        "strategy": result.strategy,
        "account": result.account,
        "settle_coin": result.coin,
        "trades": result.trades,
        "won": result.won,
        "realised": plain(result.realised),
        "fees": plain(result.fees),
        "funding": plain(result.funding),
        "net": plain(result.net),
    }


def account_result_form(result: AccountResult) -> dict[str, Any]:
    """`difference` is zero where the ledger comes to what the exchange booked; null where that is not known."""
    return {
        "account": result.account,
        "settle_coin": result.coin,
        "net": plain(result.net),
        "booked": number(result.booked),
        "difference": number(None if result.booked is None else result.net - result.booked),
    }


def refused_form(posts: RefusedPosts) -> dict[str, Any]:
    """How many posts of one kind from one source did not prove their sender."""
    last_at = from_ms(posts.last_at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"kind": posts.kind, "source": posts.source, "count": posts.count, "last_at": last_at}


def preview_form(previewed: Previewed) -> dict[str, Any]:
    """Several accounts' plans as one: `planned` if any of them is, with the reason of the first that is held back."""
    made = list(previewed.accounts)
    planned = not made or any(each.status == "planned" for each in made)
    return {
        "status": "planned" if planned else "denied",
        "reason": reason_form(next((each.reason for each in made if each.reason), None)),
        "notes": _notes(made),
        "orders": [_planned_form(each.account, order) for each in made for _, order in each.orders],
        "format": previewed.format,
        "checks": [
            {
                "account": each.account,
                "limit": check.limit,
                "number": check.number,
                "bound": check.bound,
                "passes": check.passes,
            }
            for each in made
            for check in each.checks
        ],
        "positions": [_position_change(each) for each in made if each.before is not None],
        "native": previewed.native,
        "scenarios": [_scenario_form(each) for each in previewed.scenarios],
        "fields": [{"field": each.field, "native": each.native, "value": each.value} for each in previewed.fields],
    }


def _position_change(made: Preview) -> dict[str, Any]:
    return {
        "account": made.account,
        "before": number(made.before),
        "after": number(made.after),
        "notional": number(made.notional),
        "margin": number(made.margin),
        "fee": number(made.fee),
    }


def _scenario_form(played: Played) -> dict[str, Any]:
    made, refused = played.accounts, played.refused
    reason = next((each.reason for each in made if each.reason), None)
    if refused is not None:
        reason = Reason(code=refused.code, message=refused.message)
    return {
        "scenario": played.scenario.value,
        "status": "rejected" if refused else "denied" if all(each.status == "denied" for each in made) else "planned",
        "reason": reason_form(reason),
        "orders": [_planned_form(each.account, order) for each in made for _, order in each.orders],
        "positions": [_position_change(each) for each in made],
    }


def _notes(made: list[Preview]) -> list[str]:
    """A note that not every account has says whose it is; so does a denial that is not everybody's."""
    if len(made) <= 1:
        return list(made[0].notes) if made else [_HEARTBEAT]
    shared = [note for note in made[0].notes if all(note in each.notes for each in made)]
    own = [f"on account {each.account}: {note}" for each in made for note in each.notes if note not in shared]
    held = [f"on account {each.account}: {each.reason.message}" for each in made if each.reason]
    return [*shared, *own, *held]


def _planned_form(account: str, order: PlannedOrder) -> dict[str, Any]:
    """An order as it would be sent. It has no identity yet: the alert that this was asked for would give it one."""
    return {
        "client_order_id": None,
        "venue_order_id": None,
        "account": account,
        "category": order.category.value,
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.type.value,
        "qty": plain(order.qty),
        "price": number(order.price),
        "trigger_price": number(order.trigger_price),
        "time_in_force": order.time_in_force.value,
        "reduce_only": order.reduce_only,
        "take_profit": number(order.take_profit),
        "stop_loss": number(order.stop_loss),
        "purpose": order.purpose.value,
        "status": OrderStatus.PLANNED.value,
        "reason": None,
        "filled_qty": "0",
        "avg_price": None,
        "fee": "0",
        "fee_coin": None,
    }


# The relay that an application serves.


EXTENSION: Final = "relay"


def current_relay() -> Relay:
    """The relay of the application that answers this request."""
    relay = current_app.extensions[EXTENSION]
    assert isinstance(relay, Relay), "create_app puts it there"
    return relay


def current_services() -> Services:
    return current_relay().services


def current_queries() -> DashboardQueries:
    """What the pages read of the journal."""
    return DashboardQueries(current_services().journal.store)


# Answers are compressed, where that betrays nothing.
#
# Whoever can see how long a compressed answer is, and can put words into it, can guess the secrets that stand beside
# them, letter by letter (BREACH). So nothing is compressed that repeats what was asked for: a page whose query says
# something, an error, an answer to an alert. The API's answers are asked for with a token that no browser sends by
# itself. A form's token, the one secret that pages hold, is another text in each of them (`access.form_token`).


_LEAST_BYTES: Final = 1000
_COMPRESSIBLE: Final = re.compile(r"text/|application/(json|manifest\+json|javascript)|image/svg")
_NOT_REPEATED: Final = frozenset({"mark", "days", "v"})


def init_compression(app: Flask) -> None:
    app.after_request(_compressed)


def _compressed(response: Response) -> Response:
    is_fit = response.status_code == 200 and not response.is_streamed and _COMPRESSIBLE.match(response.mimetype or "")
    if not is_fit or request.blueprint == "webhook" or not _repeats_nothing():
        return response
    body = response.get_data()
    if len(body) >= _LEAST_BYTES:
        response.vary.add("Accept-Encoding")
        if request.accept_encodings["gzip"] > 0:
            response.set_data(gzip.compress(body, 6, mtime=0))
            response.content_encoding = "gzip"
    return response


def _repeats_nothing() -> bool:
    if request.blueprint == "api":
        return True
    is_plain = request.method in ("GET", "HEAD")
    return is_plain and not any(value for name, value in request.args.items() if name not in _NOT_REPEATED)


# What every request and every answer has: an id, and headers that keep browsers from misusing it.
#
# It is around the application and not in it: there it would cost an alert as much as to read it does.


REQUEST_ID: Final = "X-Request-ID"
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ALWAYS: Final = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
_FOR_PROGRAMS: Final = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("Referrer-Policy", "no-referrer"),
    *_ALWAYS,
)
_FOR_PAGES: Final = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; worker-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("Referrer-Policy", "same-origin"),
    *_ALWAYS,
)


class Envelope:
    """A WSGI application around another one: log lines of a request carry its id, and so does its answer.

    The id is the front end's, where that has given one. A header that the application has set stays as it is.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _PLAIN.fullmatch(given) else os.urandom(16).hex()

        def start(status: str, fields: list[tuple[str, str]], *more: Any) -> Any:
            named = {name.lower(): value for name, value in fields}
            is_page = named.get("content-type", "").startswith("text/html")
            usual = _FOR_PAGES if is_page else _FOR_PROGRAMS
            added = [each for each in usual if each[0].lower() not in named]
            return start_response(status, [*fields, *added, (REQUEST_ID, request_id)], *more)

        with about(request_id=request_id):
            return self._application(environ, start)
