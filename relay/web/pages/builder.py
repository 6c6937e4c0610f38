"""`/builder`: writes messages for TradingView, explains any message, and sends one as a test to a paper account."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from relay.alerts.authenticate import Credentials
from relay.alerts.wording import FOR_STRATEGIES, SIZED, STAND_IN, Kind, as_text, filled, message, size_fields
from relay.domain.order import OrderType, TimeInForce
from relay.domain.signal import NATIVE_UNITS
from relay.errors import AlertError, ExchangeAnswered, ExchangeUnreachable
from relay.execution.accept import AlertRejected
from relay.execution.ports import utc_now
from relay.settings.config import NAME
from relay.web.access import require_login
from relay.web.answers import current_relay, current_services, preview_form

builder = Blueprint("builder", __name__)
builder.before_request(require_login)

_EXTRAS = ("stop_loss", "leverage", "trailing_stop", "price", "trigger_price", "valid_for")
_ORDERS = ("type", "time_in_force")
_PRICE = Decimal(50_000)
_SIZE = Decimal("0.002")
"""What a strategy's words are filled in with, for a test."""


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
    body = _filled_in(text).encode()
    try:
        receipt = current_services().intake.take(body, strategy=strategy.name, credentials=credentials)
    except AlertRejected as rejected:
        flash(f"Rejected: {rejected.error.message}")
        return redirect(f"/signals/{rejected.signal_id}" if rejected.is_stored else "/builder")
    except AlertError as error:
        flash(f"Not taken: {error.message}")
        return redirect("/builder")
    return redirect(f"/signals/{receipt.signal_id}")


def _requested(given: Any) -> dict[str, str]:
    names = ("strategy", "kind", "ticker", "qty", "qty_unit", "take_profit", *_EXTRAS, *_ORDERS)
    requested = {name: given.get(name, "").strip()[:100] for name in names}
    requested["strategy"] = requested["strategy"] or _usual_strategy()
    requested["kind"] = requested["kind"] if requested["kind"] in {each.value for each in Kind} else Kind.TARGET.value
    requested["ticker"] = requested["ticker"] or "{{ticker}}"
    return requested


def _usual_strategy() -> str:
    """One that can trade: the default one has no accounts where a configuration names others."""
    known = current_services().strategies
    return next((name for name in (NAME, *sorted(known)) if name in known and known[name].accounts), NAME)


def _page(requested: dict[str, str], *, pasted: str | None = None, reported: dict[str, Any] | None = None) -> str:
    made = _message(requested)
    if reported is None:
        reported = _reported(made, requested["strategy"])
    return render_template(
        "builder.html",
        requested=requested,
        made=made,
        url=webhook_url(requested["strategy"]),
        pasted=pasted,
        reported=reported,
        kinds=[each.value for each in Kind],
        units=[each.value for each in NATIVE_UNITS],
        types=[each.value for each in OrderType],
        times_in_force=[each.value for each in TimeInForce],
        strategies=sorted(current_services().strategies),
        is_sized=Kind(requested["kind"]) in SIZED,
        is_for_strategy=Kind(requested["kind"]) in FOR_STRATEGIES,
        may_send=_is_paper_only(requested["strategy"]),
    )


def webhook_url(strategy: str) -> str:
    """Where the strategy's alerts are posted, as far as this request's address tells. It holds no secret."""
    path = "/webhook" if strategy == NAME else f"/webhook/{strategy}"
    return request.url_root.rstrip("/") + path


def _message(requested: dict[str, str]) -> str:
    fields = {"secret": STAND_IN, **message(Kind(requested["kind"]), has_default_size=True)}
    if "ticker" in fields:
        fields["ticker"] = requested["ticker"]
        if requested["ticker"] != "{{ticker}}":
            fields.pop("exchange", None)
    fields |= size_fields(requested["qty"])
    if requested["qty"] and requested["qty_unit"]:
        fields["qty_unit"] = requested["qty_unit"]
    own = {name: requested[name] for name in (*_EXTRAS, *_ORDERS) if requested[name]}
    return as_text({**fields, **own, **_take_profits(requested["take_profit"])})


def _take_profits(text: str) -> dict[str, object]:
    """One level, or several with their shares: `1% 50, 3% 50`."""
    legs = [each.split() for each in text.split(",") if each.strip()]
    if len(legs) < 2 and (not legs or len(legs[0]) < 2):
        return {"take_profit": text} if text else {}
    return {"take_profit": [{"at": leg[0], "share": " ".join(leg[1:]).rstrip("%")} for leg in legs]}


def _reported(text: str, strategy: str) -> dict[str, Any]:
    """The plan in the API's form, or `problems` by field."""
    relay = current_relay()
    if not relay.services.has_instruments:
        return {"problems": {"": ["the instruments are not loaded yet; try again in a moment"]}}
    try:
        return preview_form(relay.services.previewer.preview(text.encode(), strategy=strategy))
    except AlertError as error:
        corrected = error.message.partition("; corrected alert: ")[2]
        return {"problems": error.fields or {"": [error.message]}, "corrected": corrected}
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        return {"problems": {"": [str(error)]}}


def _filled_in(text: str) -> str:
    """As TradingView would send a strategy's first buy; the secret is the relay's own for a test."""
    text = filled(text, size=_SIZE, price=_PRICE, now=utc_now())[0].text
    try:
        fields = json.loads(text)
    except ValueError:
        return text
    return json.dumps({**fields, "secret": None}) if isinstance(fields, dict) else text


def _is_paper_only(name: str) -> bool:
    strategy = current_services().strategies.get(name)
    relay = current_relay()
    return strategy is not None and all(relay.environment_of(each) == "paper" for each in strategy.accounts)
