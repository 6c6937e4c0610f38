"""`/openapi.json` and `/docs`: what the relay takes and answers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, render_template

from relay import __version__
from relay.alerts.fields import Accounts, AlertSchema, Choice, Flag, Ladder, Moment, Number, Read, Scalar, Text, Whole
from relay.alerts.wording import Scenario
from relay.domain.order import OrderStatus, OrderType, Side, SignalStatus
from relay.domain.trades import ExitReason
from relay.execution.controls import FlattenOutcome
from relay.journal.api_queries import STAGES
from relay.web.answers import answer
from relay.web.endpoints import ENDPOINTS, PLAIN, PREFER, Endpoint

if TYPE_CHECKING:
    from apispec import APISpec

# The forms of the API's bodies: the alert's from the very schema that validates it, the answers' from the contract.


Form = dict[str, Any]

_NUMBER: Final[Form] = {"type": "string", "description": "A number, exactly, as text."}
_TIME: Final[Form] = {"type": "string", "description": "RFC 3339, UTC, with milliseconds."}
_TEXT: Final[Form] = {"type": "string"}
_FLAG: Final[Form] = {"type": "boolean"}
_SLIPPAGE: Final[Form] = {
    "type": "string",
    "description": "Percent from `signal_price` to the fills' average; above zero where it cost.",
}


def new_spec() -> APISpec:
    """With all forms, and no operation yet."""
    # Imported once somebody asks.
    from apispec import APISpec
    from apispec.ext.marshmallow import MarshmallowPlugin

    plugin = MarshmallowPlugin()
    about = "TradingView alerts to Bybit perpetual orders. Times are RFC 3339 UTC; numbers of money and size are text."
    spec = APISpec(
        title="relay", version=__version__, openapi_version="3.1.0", plugins=[plugin], info={"description": about}
    )
    assert plugin.converter is not None
    plugin.converter.add_attribute_function(_kind)  # type: ignore[no-untyped-call]
    spec.components.schema("Alert", schema=AlertSchema)
    alert = spec.components.schemas["Alert"]
    alert["properties"]["secret"] = {
        "type": "string",
        "description": "The webhook secret; never kept, shown or logged.",
    }
    alert["patternProperties"] = {"^x_": {"type": ["string", "number", "boolean", "null"]}}
    alert["description"] = "Names in any case. Fields that are not here are refused by name; `key=value` text does too."
    for name, form in _forms().items():
        spec.components.schema(name, form)
    spec.components.security_scheme("admin", {"type": "http", "scheme": "bearer", "description": "ADMIN_TOKEN"})
    return spec


def _kind(converter: object, field: object, **_: object) -> Form:
    """What marshmallow's own plugin cannot know: the fields' kinds are the relay's own."""
    match field:
        case Choice():
            return {"type": "string", "enum": list(field.values), "description": "In any case."}
        case Number():
            return _number(field)
        case Flag():
            return {"type": ["boolean", "string"]}
        case Ladder():
            return {"type": ["string", "number", "array"], "items": {"type": "object"}, "description": _LEVELS}
        case Accounts():
            return {"type": ["string", "array"], "items": _TEXT}
        case Moment():
            return {"type": ["string", "number"], "description": "RFC 3339, or Unix seconds or milliseconds."}
        case Read():
            return {"type": ["string", "number"], "description": "A price, or a distance such as `1.5%` or `-40`."}
        case Scalar():
            return {"type": ["string", "number", "boolean", "null"], "description": "Shown, without effect."}
        case Text():
            length = {} if field.length_max is None else {"maxLength": field.length_max}
            return {"type": ["string", "number"], **length}
        case _:
            raise AssertionError(f"{type(field).__name__} has no place in the description yet")


_LEVELS: Final = 'A price or a distance; or several: `[{"at": "2%", "share": 50, "then": "breakeven"}]`.'


def _number(field: Number) -> Form:
    bounds = {"exclusiveMinimum": field.above, "minimum": field.at_least, "maximum": field.at_most}
    kind = "integer" if isinstance(field, Whole) else "number"
    hint = field.hint.strip(" ()")
    return {
        "type": [kind, "string"],
        **{name: bound for name, bound in bounds.items() if bound is not None},
        **({"description": hint} if hint else {}),
    }


def _forms() -> dict[str, Form]:
    return {**_forms_of_signals(), **_forms_of_accounts(), **_forms_of_controls(), **_forms_of_health()}


def _forms_of_signals() -> dict[str, Form]:
    problem = {"code": _TEXT, "message": _TEXT, "fields": {"type": "object", "additionalProperties": _list(_TEXT)}}
    return {
        "Error": _object({"error": _object(problem)}, signal_id=_TEXT),
        "Reason": _object({"code": _TEXT, "message": _TEXT}),
        "Receipt": _object({"signal_id": _TEXT, "status": _one_of(SignalStatus), "duplicate": _FLAG}),
        "Order": _order(),
        "Event": _object({"at": _TIME, "name": _TEXT, "detail": {}}),
        "Signal": _signal(),
        "RetryOutlook": _object(
            {
                **dict.fromkeys(("age_s", "max_age_s"), {"type": "integer"}),
                **dict.fromkeys(("expires", "real_money"), _FLAG),
                **dict.fromkeys(("price_then", "price_now"), _or_null(_NUMBER)),
            }
        ),
        "Signals": _object(
            {"signals": _list(_ref("Signal")), "next_cursor": _or_null(_TEXT)}, refused=_list({"type": "object"})
        ),
        "Orders": _object(
            {"orders": _list(_ref("Order"))}, unreadable=_list(_object({"account": _TEXT, "message": _TEXT}))
        ),
        "Plan": _plan(),
    }


def _forms_of_accounts() -> dict[str, Form]:
    unreadable = _list(_object({"account": _TEXT, "message": _TEXT}))
    return {
        "Position": _position(),
        "Positions": _object({"positions": _list(_ref("Position")), "unreadable": unreadable}),
        "Accounts": _object({"accounts": _list(_account())}),
        "Equity": _equity(),
        "Trades": _object({"trades": _list(_trade()), "next_cursor": _or_null(_TEXT)}),
        "Performance": _performance(),
        "Exports": _object({"files": _list(_object({"name": _TEXT, "content": _TEXT}))}),
        "Comparison": _comparison(),
        "Strategies": _object({"strategies": _list(_object({"name": _TEXT}))}),
    }


def _forms_of_controls() -> dict[str, Form]:
    return {
        "Halted": _object({"halted": _FLAG}),
        "Canceled": _object({"client_order_id": _TEXT, "taken": _FLAG, "message": _or_null(_TEXT)}),
        "Flattened": _object({"halted": _FLAG, "accounts": _list(_ref("FlattenedSymbol"))}),
        "FlattenedSymbol": _object(
            {
                "account": _TEXT,
                "symbol": _or_null(_TEXT),
                "outcome": _one_of(FlattenOutcome),
                "message": _TEXT,
                "signal_id": _or_null(_TEXT),
            }
        ),
    }


def _forms_of_health() -> dict[str, Form]:
    return {
        "Alive": _object({"alive": _FLAG}),
        "Ready": _object(
            {"ready": _FLAG, "accounts": {"type": "object", "additionalProperties": _ref("AccountReady")}},
            missing={"type": "object", "additionalProperties": _TEXT},
        ),
        "AccountReady": _object({"ready": _FLAG, "reason": _or_null(_TEXT)}),
    }


def _plan() -> Form:
    return _object(
        {
            "status": {"enum": ["planned", "denied"]},
            "reason": _or_null(_ref("Reason")),
            "notes": _list(_TEXT),
            "orders": _list({"type": "object"}),
            "checks": _list(_check()),
        },
        format=_TEXT,
        fields=_list(_object({"field": _TEXT, "native": _TEXT, "value": _TEXT})),
        native={"type": "object"},
        positions=_list(_position_change()),
        scenarios=_list(_scenario()),
    )


def _position_change() -> Form:
    """What a plan does to the signed position of an account."""
    amount = _or_null(_NUMBER)
    amounts = dict.fromkeys(("before", "after", "notional", "margin", "fee"), amount)
    return _object({"account": _TEXT, **amounts})


def _scenario() -> Form:
    """Of a template: one of a strategy's moves."""
    return _object(
        {
            "scenario": _one_of(Scenario),
            "status": {"enum": ["planned", "denied", "rejected"]},
            "reason": _or_null(_ref("Reason")),
            "orders": _list({"type": "object"}),
            "positions": _list(_position_change()),
        }
    )


def _order() -> Form:
    return _object(
        {
            "client_order_id": _or_null(_TEXT),
            "venue_order_id": _or_null(_TEXT),
            "account": _TEXT,
            "category": {"enum": ["linear", "inverse"]},
            "symbol": _TEXT,
            "side": _one_of(Side),
            "type": _one_of(OrderType),
            "qty": _NUMBER,
            "price": _or_null(_NUMBER),
            "reduce_only": _FLAG,
            "status": _one_of(OrderStatus),
            "reason": _or_null(_ref("Reason")),
            "filled_qty": _NUMBER,
            "avg_price": _or_null(_NUMBER),
            "fee": _or_null(_NUMBER),
            "fee_coin": _or_null(_TEXT),
        },
        fees_other={"type": "object", "additionalProperties": _NUMBER},
        purpose=_or_null({"enum": ["entry", "exit", "flip", "take_profit", "stop_loss"]}),
        trigger_price=_or_null(_NUMBER),
        strategy=_or_null(_TEXT),
        signal_id=_or_null(_TEXT),
        created_at=_or_null(_TIME),
        distance_pct=_or_null(_NUMBER),
    )


def _signal() -> Form:
    return _object(
        {
            "id": _TEXT,
            "strategy": _or_null(_TEXT),
            "action": _or_null(_TEXT),
            "symbol": _or_null(_TEXT),
            "status": _one_of(SignalStatus),
            "reason": _or_null(_ref("Reason")),
            "notes": _list(_TEXT),
            "received_at": _TIME,
            "sent_at": _or_null(_TIME),
            "alert": {"type": "object", "description": "As it came, without the secret."},
            "orders": _list(_ref("Order")),
            "events": _list(_ref("Event")),
        },
        seen=_object({"at": _TIME, "by": _TEXT, "note": _TEXT}),
        timing=_timing(),
        slippage=_or_null(_SLIPPAGE),
    )


def _timing() -> Form:
    """Of one signal alone; lists leave it out."""
    between = {stage: _or_null({"type": "integer"}) for stage in STAGES[1:]}
    return _object({**{f"{stage}_at": _or_null(_TIME) for stage in STAGES}, "ms": _object(between)})


def _position() -> Form:
    numbers = ("avg_price", "mark_price", "unrealised_pnl", "leverage", "take_profit", "stop_loss")
    more = ("trailing_stop", "liq_price", "margin", "roe_pct")
    levels = _list(_object({"price": _NUMBER, "qty": _NUMBER}))
    return _object(
        {
            "account": _TEXT,
            "category": {"enum": ["linear", "inverse"]},
            "symbol": _TEXT,
            "side": {"enum": ["long", "short"]},
            "size": _NUMBER,
            **{name: _or_null(_NUMBER) for name in (*numbers, *more)},
            "take_profits": _or_null(levels),
            "adl_rank": _or_null({"type": "integer"}),
            "strategy": _or_null(_TEXT),
            "opened_at": _or_null(_TIME),
        }
    )


def _trade() -> Form:
    """Money is in the settle coin, but for `net_usd` and `fees_other`."""
    return _object(
        {
            **dict.fromkeys(("id", "account", "strategy", "symbol"), _TEXT),
            "category": {"enum": ["linear", "inverse"]},
            "side": {"enum": ["long", "short"]},
            "status": {"enum": ["open", "closed"]},
            **dict.fromkeys(("opened_at", "closed_at"), _or_null(_TIME)),
            "size": _NUMBER,
            **dict.fromkeys(("entry_price", "exit_price"), _or_null(_NUMBER)),
            "exit_reason": _or_null(_one_of(ExitReason)),
            **dict.fromkeys(("realised", "fees"), _NUMBER),
            "fees_other": {"type": "object", "additionalProperties": _NUMBER},
            **dict.fromkeys(("funding", "net"), _NUMBER),
            "net_usd": _or_null(_NUMBER),
            "settle_coin": _TEXT,
            "signals": _list(_TEXT),
        }
    )


def _performance() -> Form:
    count = {"type": "integer", "minimum": 0}
    strategy = {
        **dict.fromkeys(("strategy", "account", "settle_coin"), _TEXT),
        **dict.fromkeys(("trades", "won"), count),
        **dict.fromkeys(("realised", "fees", "funding", "net"), _NUMBER),
    }
    account = {"account": _TEXT, "settle_coin": _TEXT, "net": _NUMBER}
    comparison = dict.fromkeys(("booked", "difference"), _or_null(_NUMBER))
    return _object({"strategies": _list(_object(strategy)), "accounts": _list(_object({**account, **comparison}))})


def _comparison() -> Form:
    alerts = _object({"counts": {"type": "object"}, "rows": _list({"type": "object"})})
    parts = ("profit", "slippage", "fees", "funding", "missed", "size", "extra", "yours")
    money = _object(dict.fromkeys(parts, _NUMBER))
    found = {name: _list({"type": "object"}) for name in ("matched", "missed", "extra")}
    trades = _object({"file": _TEXT, "zone": _TEXT, "zone_found": _FLAG, **found, "money": money})
    row = _object({"file": _TEXT, "row": {"type": "integer"}, "why": _TEXT})
    return _object(
        {"alerts": _or_null(alerts), "trades": _or_null(trades), "unreadable": _list(row), "notes": _list(_TEXT)}
    )


def _equity() -> Form:
    """Numbers are in the coin, but for `usd`; `fees` and `funding` are above zero where they were paid."""
    check = {"at": _TIME, "coin": _TEXT, "equity": _NUMBER, "unrealised": _NUMBER, "usd": _or_null(_NUMBER)}
    day = {"day": _TEXT, "coin": _TEXT, "realised": _NUMBER, "fees": _NUMBER, "funding": _NUMBER}
    day["fees_other"] = {"type": "object", "additionalProperties": _NUMBER}
    return _object({"points": _list(_object(check)), "days": _list(_object(day))})


def _account() -> Form:
    equity = {"type": "object", "additionalProperties": _or_null(_NUMBER)}
    return _object(
        {"name": _TEXT, "environment": _TEXT, "halted": _FLAG, "equity": _or_null(equity), "checks": {"type": "array"}}
    )


def _check() -> Form:
    """A limit that an entry was held against; `passes` is null where another rule came first."""
    named = {"account": _TEXT, "limit": _TEXT, "number": _or_null(_TEXT), "bound": _TEXT}
    return _object({**named, "passes": _or_null(_FLAG)})


def _object(required: dict[str, Form], **optional: Form) -> Form:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _list(items: Form) -> Form:
    return {"type": "array", "items": items}


def _or_null(form: Form) -> Form:
    return {"anyOf": [form, {"type": "null"}]}


def _one_of(kind: Any) -> Form:
    return {"type": "string", "enum": [member.value for member in kind]}


def _ref(name: str) -> Form:
    return {"$ref": f"#/components/schemas/{name}"}


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
_HEADERS: Final[dict[str, Form]] = {
    PREFER: {"description": "`wait=SECONDS`, at most 10: answer once the signal is finished."},
}


@cache
def description() -> dict[str, Any]:
    """The whole document. Made once: nothing in it depends on the settings."""
    spec = new_spec()
    for endpoint in ENDPOINTS:
        spec.path(endpoint.path, operations={endpoint.method: _described(endpoint)})
    document: dict[str, Any] = spec.to_dict()
    return document


def _described(endpoint: Endpoint) -> dict[str, Any]:
    parameters: list[Form] = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT} for name in endpoint.names_in_path
    ]
    parameters += [{"name": name, "in": "query", "schema": each.form} for name, each in endpoint.query.items()]
    parameters += [
        {"name": name, "in": "header", "schema": _TEXT, **_HEADERS.get(name, {})} for name in endpoint.headers
    ]
    described: dict[str, Any] = {
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": {str(code): _answered(code, form) for code, form in sorted(endpoint.answers.items())},
        "security": [{"admin": []}] if endpoint.is_closed else [],
    }
    if endpoint.body:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _named(endpoint.body)}},
        }
    return described


def _answered(code: int, form: str | None) -> dict[str, Any]:
    if form == PLAIN:
        return {"description": _WORDS[code], "content": {PLAIN: {"schema": _TEXT}}}
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
