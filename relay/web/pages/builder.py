"""`/builder`: writes messages for TradingView, explains any message, and sends one as a test to a paper account."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from relay.alerts.authenticate import Credentials
from relay.alerts.wording import FOR_STRATEGIES, SIZED, Kind, as_text, message
from relay.domain.signal import NATIVE_UNITS
from relay.errors import AlertError, ExchangeAnswered, ExchangeUnreachable
from relay.execution.accept import AlertRejected
from relay.settings.config import NAME
from relay.web.access import require_login
from relay.web.answers import current_relay, current_services, preview_form

builder = Blueprint("builder", __name__)
builder.before_request(require_login)

_SECRET = "YOUR-WEBHOOK-SECRET"  # noqa: S105
_EXTRAS = ("stop_loss", "take_profit", "leverage", "trailing_stop")
_STOOD_IN = {"{{ticker}}": "BTCUSDT.P", "{{exchange}}": "BYBIT"}


@builder.get("/builder")
def show() -> str:
    return _page(_requested(request.args))


@builder.post("/builder/explain")
def explain() -> str:
    """What the pasted message would do now, or what is wrong with it and where."""
    requested = _requested(request.form)
    text = request.form.get("message", "")
    return _page(requested, pasted=text, reported=_reported(text, requested["strategy"]))


@builder.post("/builder/send")
def send() -> ResponseReturnValue:
    """As if TradingView had sent it, to paper accounts only."""
    requested, text = _requested(request.form), request.form.get("message", "")
    strategy = current_services().strategies.get(requested["strategy"])
    if strategy is None or not _is_paper_only(requested["strategy"]):
        flash("Tests go to paper accounts only, and this strategy has others; nothing was sent.")
        return redirect("/builder")
    credentials = Credentials(header_secret=strategy.secrets[0])
    body = _filled_in(text, requested).encode()
    try:
        receipt = current_services().intake.take(body, strategy=strategy.name, credentials=credentials)
    except AlertRejected as rejected:
        flash(f"Rejected: {rejected.error.message}")
        return redirect(f"/signals/{rejected.signal_id}")
    except AlertError as error:
        flash(f"Not taken: {error.message}")
        return redirect("/builder")
    return redirect(f"/signals/{receipt.signal_id}")


def _requested(given: Any) -> dict[str, str]:
    names = ("strategy", "kind", "ticker", "qty", "qty_unit", *_EXTRAS)
    requested = {name: given.get(name, "").strip()[:100] for name in names}
    requested["strategy"] = requested["strategy"] or NAME
    requested["kind"] = requested["kind"] if requested["kind"] in {each.value for each in Kind} else Kind.STRATEGY.value
    requested["ticker"] = requested["ticker"] or "{{ticker}}"
    return requested


def _page(requested: dict[str, str], *, pasted: str | None = None, reported: dict[str, Any] | None = None) -> str:
    made = _message(requested)
    if reported is None:
        reported = _reported(made, requested["strategy"], stand_in=requested)
    path = "/webhook" if requested["strategy"] == NAME else f"/webhook/{requested['strategy']}"
    return render_template(
        "builder.html",
        requested=requested,
        made=made,
        url=request.url_root.rstrip("/") + path,
        pasted=pasted,
        reported=reported,
        kinds=[each.value for each in Kind],
        units=[each.value for each in NATIVE_UNITS],
        strategies=sorted(current_services().strategies),
        is_sized=Kind(requested["kind"]) in SIZED,
        is_for_strategy=Kind(requested["kind"]) in FOR_STRATEGIES,
        may_send=_is_paper_only(requested["strategy"]),
    )


def _message(requested: dict[str, str]) -> str:
    fields = {"secret": _SECRET, **message(Kind(requested["kind"]), has_default_size=True)}
    if "ticker" in fields:
        fields["ticker"] = requested["ticker"]
        if requested["ticker"] != "{{ticker}}":
            fields.pop("exchange", None)
    if requested["qty"]:
        fields["qty"] = requested["qty"]
        if requested["qty_unit"]:
            fields["qty_unit"] = requested["qty_unit"]
    fields.update({name: requested[name] for name in _EXTRAS if requested[name]})
    return as_text(fields)


def _reported(text: str, strategy: str, stand_in: dict[str, str] | None = None) -> dict[str, Any]:
    """The plan in the API's form, or `problems` by field."""
    relay = current_relay()
    if not relay.services.has_instruments:
        return {"problems": {"": ["the instruments are not loaded yet; try again in a moment"]}}
    try:
        body = (_filled_in(text, stand_in) if stand_in else text).encode()
        return preview_form(relay.services.previewer.preview(body, strategy=strategy))
    except AlertError as error:
        return {"problems": error.fields or {"": [error.message]}}
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        return {"problems": {"": [str(error)]}}


def _filled_in(text: str, requested: dict[str, str]) -> str:
    """With something real in the place of TradingView's words, as far as a test can know it."""
    try:
        fields = json.loads(text)
    except ValueError:
        return text
    if not isinstance(fields, dict):
        return text
    side = {"{{strategy.order.action}}": "buy", "{{strategy.market_position}}": "long"}
    side |= {"{{strategy.prev_market_position}}": "flat", "{{strategy.prev_market_position_size}}": "0"}
    qty = requested["qty"] or "0.001"
    side |= dict.fromkeys(("{{strategy.order.contracts}}", "{{strategy.market_position_size}}"), qty)
    known = _STOOD_IN | side
    filled = {name: known.get(value, value) if isinstance(value, str) else value for name, value in fields.items()}
    bare = {name: value for name, value in filled.items() if not (isinstance(value, str) and "{{" in value)}
    if "secret" in bare:
        del bare["secret"]
    return json.dumps(bare)


def _is_paper_only(name: str) -> bool:
    strategy = current_services().strategies.get(name)
    relay = current_relay()
    return strategy is not None and all(relay.environment_of(each) == "paper" for each in strategy.accounts)
