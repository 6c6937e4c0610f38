"""`/openapi.json`, what the relay takes and answers for programs, and `/docs`, the same for people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from flask import Blueprint, Response, render_template

from relay.domain.order import OrderStatus
from relay.domain.status import SignalStatus
from relay.web.answers import answer
from relay.web.asked import LIMIT_MAX
from relay.web.openapi_forms import Form, new_spec

openapi = Blueprint("openapi", __name__)

_WORDS: Final = {
    200: "It is so.",
    202: "On disk; it will be executed.",
    400: "The request or the alert cannot be read.",
    401: "Who sent it is not proven.",
    403: "Alerts are not taken from this address.",
    404: "There is no such thing.",
    409: "It contradicts what is there.",
    413: "More than 64 KiB.",
    422: "It was read, and says something that cannot be done.",
    429: "This source has brought a wrong secret or token too often; never with a right one.",
    500: "The relay failed; its log says why.",
    502: "The exchange does not answer, or refuses.",
    503: "Not ready, or the journal cannot be written.",
}
_WAIT: Final[Form] = {
    "name": "Prefer",
    "in": "header",
    "schema": {"type": "string"},
    "description": "`wait=SECONDS`, at most 10: answer once the signal is finished.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`answers`: status to form, None for the error's. `query`: parameters by name."""

    method: str
    path: str
    summary: str
    answers: dict[int, str | None]
    query: dict[str, Form]
    body: str | None = None
    is_closed: bool = True
    headers: tuple[Form, ...] = ()


_TEXT: Final[Form] = {"type": "string"}
_LIMIT: Final[Form] = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}
_FLAG: Final[Form] = {"type": "string", "enum": ["1", "0"]}
_ALERT_ANSWERS: Final[dict[int, str | None]] = {
    **{200: "Receipt", 202: "Receipt"},
    **dict.fromkeys((400, 401, 403, 404, 409, 413, 422, 429, 503)),
}
_CLOSED: Final[dict[int, str | None]] = dict.fromkeys((400, 401, 429, 503))
_ASKS: Final[dict[int, str | None]] = {**_CLOSED, 502: None}


def _alert(path: str, summary: str) -> Operation:
    return Operation(
        method="post",
        path=path,
        summary=summary,
        answers=_ALERT_ANSWERS,
        query={"format": _TEXT},
        body="Alert",
        is_closed=False,
        headers=(_WAIT, *({"name": name, "in": "header", "schema": _TEXT} for name in _PROOFS)),
    )


def _control(path: str, summary: str, *, query: dict[str, Form] | None = None, asks: bool = False) -> Operation:
    answers = {200: "Halted", **(_ASKS | {413: None} if asks else _CLOSED)}
    return Operation(method="post", path=path, summary=summary, answers=answers, query=query or {})


def _list(path: str, summary: str, form: str, query: dict[str, Form], *, asks: bool = False) -> Operation:
    answers = {200: form, **(_ASKS if asks else _CLOSED)}
    return Operation(method="get", path=path, summary=summary, answers=answers, query=query)


_PROOFS: Final = ("X-Webhook-Secret", "webhook-id", "webhook-timestamp", "webhook-signature")
_SIGNALS: Final = {
    **{"strategy": _TEXT, "account": _TEXT, "symbol": _TEXT, "cursor": _TEXT, "limit": _LIMIT},
    "status": {"type": "string", "enum": [status.value for status in SignalStatus]},
    "attention_first": _FLAG,
}
_ORDERS: Final = {
    **{"account": _TEXT, "symbol": _TEXT, "limit": _LIMIT, "open": _FLAG},
    "status": {"type": "string", "enum": [status.value for status in OrderStatus]},
}
_OPERATIONS: Final = (
    _alert("/webhook", "An alert of the strategy `default`; the secret in the body, a header or a signature."),
    _alert("/webhook/{strategy}", "An alert of a strategy."),
    _alert("/webhook/{strategy}/{secret}", "An alert with its secret in the path."),
    _list("/api/signals", "Signals, the latest first.", "Signals", _SIGNALS),
    Operation(
        method="get",
        path="/api/signals/{signal_id}",
        summary="One signal with its orders and every step.",
        answers={200: "Signal", **dict.fromkeys((401, 404, 429, 503))},
        query={},
        headers=(_WAIT,),
    ),
    Operation(
        method="post",
        path="/api/signals/{signal_id}/retry",
        summary="Open a signal again, where nothing of it can have had an effect.",
        answers={200: "Receipt", 202: "Receipt", **dict.fromkeys((401, 404, 409, 429, 503))},
        query={},
        headers=(_WAIT,),
    ),
    Operation(
        method="post",
        path="/api/plan",
        summary="What an alert would do now, without doing it.",
        answers={200: "Plan", **dict.fromkeys((400, 401, 404, 413, 422, 429, 502, 503))},
        query={"strategy": _TEXT, "format": _TEXT},
        body="Alert",
    ),
    _list("/api/orders", "The relay's orders, the latest first.", "Orders", _ORDERS),
    _list(
        "/api/positions",
        "What is open, whoever opened it.",
        "Positions",
        {"account": _TEXT, "symbol": _TEXT},
        asks=True,
    ),
    _list("/api/accounts", "The accounts, their checks and their equity.", "Accounts", {}, asks=True),
    Operation(
        method="get",
        path="/api/accounts/{name}/equity",
        summary="An account's equity over time, and what each day came to.",
        answers={200: "Equity", **dict.fromkeys((400, 401, 404, 429, 503))},
        query={"days": _LIMIT},
    ),
    _list("/api/strategies", "The strategies, and whether their alerts arrive.", "Strategies", {}),
    _control("/api/halt", "No new entries, restarts included; exits go on."),
    _control("/api/resume", "Allow new entries again."),
    _control("/api/flatten", "Halt, cancel and close what the relay traded.", query={"all": _FLAG}, asks=True),
    Operation(
        method="get", path="/healthz", summary="The process lives.", answers={200: "Alive"}, query={}, is_closed=False
    ),
    Operation(
        method="get",
        path="/readyz",
        summary="Whether alerts are executed at once; else what is missing.",
        answers={200: "Ready", 503: "Ready"},
        query={},
        is_closed=False,
    ),
)


@cache
def description() -> dict[str, Any]:
    """The whole document. Made once: nothing in it depends on the settings."""
    spec = new_spec()
    for operation in _OPERATIONS:
        spec.path(operation.path, operations={operation.method: _described(operation)})
    spec.path("/metrics", operations={"get": _metrics()})
    document: dict[str, Any] = spec.to_dict()
    return document


def _described(operation: Operation) -> dict[str, Any]:
    in_path = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in in_path]
    parameters += [{"name": name, "in": "query", "schema": form} for name, form in operation.query.items()]
    described = {
        "summary": operation.summary,
        "parameters": [*parameters, *operation.headers],
        "responses": {str(code): _answered(code, form) for code, form in sorted(operation.answers.items())},
        "security": [{"admin": []}] if operation.is_closed else [],
    }
    if operation.body:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _named(operation.body)}},
        }
    return described


def _metrics() -> dict[str, Any]:
    text = {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": _TEXT}}}
    return {
        "summary": "What was counted and timed.",
        "responses": {"200": text, **{str(code): _answered(code, None) for code in (401, 429)}},
        "security": [{"admin": []}],
    }


def _answered(code: int, form: str | None) -> dict[str, Any]:
    return {"description": _WORDS[code], "content": {"application/json": {"schema": _named(form or "Error")}}}


def _named(form: str) -> Form:
    return {"$ref": f"#/components/schemas/{form}"}


@openapi.get("/openapi.json")
def document() -> Response:
    return answer(description())


@openapi.get("/docs")
def docs() -> str:
    """Rendered here: nothing of it comes from elsewhere."""
    return render_template("docs.html", document=description())
