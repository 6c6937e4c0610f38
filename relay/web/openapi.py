"""`/openapi.json`, what the relay takes and answers for programs, and `/docs`, the same for people."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from flask import Blueprint, Response, render_template

from relay.web.answers import answer
from relay.web.endpoints import ENDPOINTS, PLAIN, PREFER, Endpoint
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
_HEADERS: Final[dict[str, Form]] = {
    PREFER: {"description": "`wait=SECONDS`, at most 10: answer once the signal is finished."},
}
_TEXT: Final[Form] = {"type": "string"}


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
