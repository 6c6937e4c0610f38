"""`/builder`: writes messages for TradingView, explains any message, and sends one as a test to a paper account."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from relay.alerts.authenticate import Credentials
from relay.domain.signal import NATIVE_UNITS
from relay.errors import AlertError, ExchangeAnswered, ExchangeUnreachable
from relay.messages import FOR_STRATEGIES, SIZED, Kind, as_text, message
from relay.pipeline.accept import Rejected
from relay.settings import NAME
from relay.web.forms import preview_form
from relay.web.pages.access import require_login
from relay.web.runtime import current_parts, current_relay

builder = Blueprint("builder", __name__)
builder.before_request(require_login)

_SECRET = "YOUR-WEBHOOK-SECRET"  # noqa: S105
_EXTRAS = ("stop_loss", "take_profit", "leverage", "trailing_stop")
_STOOD_IN = {"{{ticker}}": "BTCUSDT.P", "{{exchange}}": "BYBIT"}


@builder.get("/builder")
def show() -> str:
    return _page(_asked(request.args))


@builder.post("/builder/explain")
def explain() -> str:
    """What the pasted message would do now, or what is wrong with it and where."""
    asked = _asked(request.form)
    text = request.form.get("message", "")
    return _page(asked, pasted=text, told=_told(text, asked["strategy"]))


@builder.post("/builder/send")
def send() -> ResponseReturnValue:
    """As if TradingView had sent it, to paper accounts only."""
    asked, text = _asked(request.form), request.form.get("message", "")
    strategy = current_parts().strategies.get(asked["strategy"])
    if strategy is None or not _is_paper_only(asked["strategy"]):
        flash("Tests go to paper accounts only, and this strategy has others; nothing was sent.")
        return redirect("/builder")
    proof = Credentials(header_secret=strategy.secrets[0])
    body = _filled_in(text, asked).encode()
    try:
        receipt = current_parts().intake.take(body, strategy=strategy.name, credentials=proof)
    except Rejected as rejected:
        flash(f"Rejected: {rejected.error.message}")
        return redirect(f"/signals/{rejected.signal_id}")
    except AlertError as error:
        flash(f"Not taken: {error.message}")
        return redirect("/builder")
    return redirect(f"/signals/{receipt.signal_id}")


def _asked(given: Any) -> dict[str, str]:
    names = ("strategy", "kind", "ticker", "qty", "qty_unit", *_EXTRAS)
    asked = {name: given.get(name, "").strip()[:100] for name in names}
    asked["strategy"] = asked["strategy"] or NAME
    asked["kind"] = asked["kind"] if asked["kind"] in {each.value for each in Kind} else Kind.STRATEGY.value
    asked["ticker"] = asked["ticker"] or "{{ticker}}"
    return asked


def _page(asked: dict[str, str], *, pasted: str | None = None, told: dict[str, Any] | None = None) -> str:
    made = _message(asked)
    if told is None:
        told = _told(made, asked["strategy"], stand_in=asked)
    path = "/webhook" if asked["strategy"] == NAME else f"/webhook/{asked['strategy']}"
    return render_template(
        "builder.html",
        asked=asked,
        made=made,
        url=request.url_root.rstrip("/") + path,
        pasted=pasted,
        told=told,
        kinds=[each.value for each in Kind],
        units=[each.value for each in NATIVE_UNITS],
        strategies=sorted(current_parts().strategies),
        is_sized=Kind(asked["kind"]) in SIZED,
        is_for_strategy=Kind(asked["kind"]) in FOR_STRATEGIES,
        may_send=_is_paper_only(asked["strategy"]),
    )


def _message(asked: dict[str, str]) -> str:
    fields = {"secret": _SECRET, **message(Kind(asked["kind"]), has_default_size=True)}
    if "ticker" in fields:
        fields["ticker"] = asked["ticker"]
        if asked["ticker"] != "{{ticker}}":
            fields.pop("exchange", None)
    if asked["qty"]:
        fields["qty"] = asked["qty"]
        if asked["qty_unit"]:
            fields["qty_unit"] = asked["qty_unit"]
    fields.update({name: asked[name] for name in _EXTRAS if asked[name]})
    return as_text(fields)


def _told(text: str, strategy: str, stand_in: dict[str, str] | None = None) -> dict[str, Any]:
    """The plan in the API's form, or `problems` by field."""
    relay = current_relay()
    if not relay.parts.has_instruments:
        return {"problems": {"": ["the instruments are not loaded yet; try again in a moment"]}}
    try:
        body = (_filled_in(text, stand_in) if stand_in else text).encode()
        return preview_form(relay.parts.previewer.preview(body, strategy=strategy))
    except AlertError as error:
        return {"problems": error.fields or {"": [error.message]}}
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        return {"problems": {"": [str(error)]}}


def _filled_in(text: str, asked: dict[str, str]) -> str:
    """With something real in the place of TradingView's words, as far as a test can know it."""
    try:
        fields = json.loads(text)
    except ValueError:
        return text
    if not isinstance(fields, dict):
        return text
    side = {"{{strategy.order.action}}": "buy", "{{strategy.market_position}}": "long"}
    side |= {"{{strategy.prev_market_position}}": "flat", "{{strategy.prev_market_position_size}}": "0"}
    qty = asked["qty"] or "0.001"
    side |= dict.fromkeys(("{{strategy.order.contracts}}", "{{strategy.market_position_size}}"), qty)
    known = _STOOD_IN | side
    filled = {name: known.get(value, value) if isinstance(value, str) else value for name, value in fields.items()}
    bare = {name: value for name, value in filled.items() if not (isinstance(value, str) and "{{" in value)}
    if "secret" in bare:
        del bare["secret"]
    return json.dumps(bare)


def _is_paper_only(name: str) -> bool:
    strategy = current_parts().strategies.get(name)
    relay = current_relay()
    return strategy is not None and all(relay.environment_of(each) == "paper" for each in strategy.accounts)
