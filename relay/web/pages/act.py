"""What changes something: each asks once, says in numbers what it will do, and is written down with who asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from relay.domain.instrument import Category
from relay.domain.order import Reason
from relay.domain.signal import new_signal_id
from relay.errors import ExchangeAnswered, ExchangeUnreachable, RestoreUnseen, SignalNotRetryable, SignalNotSeen
from relay.execution.controls import REQUEST_ID_FORM
from relay.execution.ports import to_ms, utc_now
from relay.web.access import require_login, source
from relay.web.answers import Problem, current_queries, current_services
from relay.web.api import NOTE_MAX, above_zero, part_of
from relay.web.pages.overview import all_positions
from relay.web.pages.words import number

act = Blueprint("act", __name__, url_prefix="/act")
act.before_request(require_login)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What would be done. `lines`: each thing it comes to; `fields` go back with the yes."""

    title: str
    lines: list[str]
    button: str
    back: str = "/"
    fields: dict[str, str] | None = None
    choice: tuple[str, str] | None = None
    """A box to tick: its name and its words."""
    note: str | None = None
    """What may be written beside it, in a line of its own."""


def _by() -> str:
    return f"pages ({source()})"


def _ask(question: Question) -> str:
    return render_template("confirm.html", question=question)


@act.get("/halt")
def ask_halt() -> str:
    names = ", ".join(sorted(current_services().accounts))
    resting = len(current_services().journal.open_orders())
    lines = [
        f"No new entry goes out on {names}, restarts included, until somebody resumes.",
        "Exits go on: closes, reductions, the exit part of a flip.",
        f"{resting} order{'s' if resting != 1 else ''} of the relay that may rest at the exchange stay there.",
    ]
    return _ask(Question(title="Halt all entries?", lines=lines, button="Halt entries"))


@act.post("/halt")
def halt() -> ResponseReturnValue:
    current_services().controls.halt(by=_by())
    return _done("Halted: no new entries. Exits go on.")


@act.get("/resume")
def ask_resume() -> str:
    lines = ["New entries go out again on every account. Alerts that were denied meanwhile stay denied."]
    return _ask(Question(title="Allow entries again?", lines=lines, button="Resume"))


@act.post("/resume")
def resume() -> ResponseReturnValue:
    try:
        current_services().controls.resume(by=_by())
    except RestoreUnseen as error:
        return _done(str(error))
    return _done("Resumed: new entries go out again.")


@act.get("/flatten")
def ask_flatten() -> str:
    positions, problems = all_positions(fresh=True)
    lines = ["Entries are halted first, on every account."]
    lines += [f"{_side(each)} of {each['symbol']} on {each['account']} is closed at market." for each in positions]
    lines += ["The relay’s resting orders of these symbols are cancelled."]
    lines += [f"What is open on {problem} cannot be read just now." for problem in problems]
    if not positions and not problems:
        lines.append("No position is open just now.")
    choice = ("everything", "Close also what the relay has not opened")
    return _ask(Question(title="Flatten?", lines=lines, button="Halt, cancel and close", choice=choice))


@act.post("/flatten")
def flatten() -> ResponseReturnValue:
    everything = request.form.get("everything") == "1"
    rows = current_services().controls.flatten(everything=everything, by=_by())
    said = [f"{', '.join(filter(None, (row.account, row.symbol)))}: {row.message}." for row in rows]
    return _done(" ".join(("Halted.", *said)))


@act.get("/close")
def ask_close() -> str:
    account, category, symbol = _where(request.args)
    open_ = _open_at(account, category, symbol)
    lines = [
        f"{_side(each)} of {symbol} on {account} is closed at market; its entry: {number(each['avg_price'])}."
        for each in open_
    ]
    lines += ["The relay’s resting orders of the symbol are cancelled first."]
    if not open_:
        lines.insert(0, f"Nothing of {symbol} is open on {account} just now.")
    fields = {"account": account, "category": category.value, "symbol": symbol}
    return _ask(Question(title=f"Close {symbol}?", lines=lines, button="Close position", fields=fields))


@act.post("/close")
def close() -> ResponseReturnValue:
    account, category, symbol = _where(request.form)
    receipt = current_services().controls.close(account, category, symbol, by=_by())
    return redirect(f"/signals/{receipt.signal_id}")


@act.get("/part")
def ask_part() -> str:
    """How much of a position is to be closed. The form has an id, so that sent twice it closes once."""
    where = _where(request.args)
    return _ask_part(where, new_signal_id(to_ms(utc_now())), problems=[])


@act.post("/part")
def close_part() -> ResponseReturnValue:
    where = _where(request.form)
    share, qty, request_id = (request.form.get(name, "").strip() for name in ("share", "qty", "request"))
    if not REQUEST_ID_FORM.fullmatch(request_id):
        abort(400)
    given = {text: above_zero(text.removesuffix("%").strip()) for text in (share, qty) if text}
    problems = [f"{text} is no number above zero." for text, value in given.items() if value is None]
    if not problems:
        try:
            part = part_of(given.get(share), given.get(qty))
        except Problem as problem:
            problems = [str(problem)]
        else:
            problems = [] if part is not None else ["Say how much: a share in percent, or a quantity."]
    if problems:
        return _ask_part(where, request_id, problems=problems)
    receipt = current_services().controls.close(*where, by=_by(), part=part, request_id=request_id or None)
    return redirect(f"/signals/{receipt.signal_id}")


def _ask_part(where: tuple[str, Category, str], request_id: str, *, problems: list[str]) -> str:
    account, category, symbol = where
    fields = {"account": account, "category": category.value, "symbol": symbol, "request": request_id}
    return render_template("part.html", fields=fields, positions=_open_at(*where), problems=problems)


@act.get("/breakeven")
def ask_breakeven() -> str:
    account, category, symbol = _where(request.args)
    lines = [
        f"{_side(each)} of {symbol} on {account}: its stop loss goes to its entry, {number(each['avg_price'])}. "
        f"Now it stands {'at ' + number(each['stop_loss']) if each['stop_loss'] else 'nowhere'}."
        for each in _open_at(account, category, symbol)
    ] or [f"Nothing of {symbol} is open on {account} just now."]
    fields = {"account": account, "category": category.value, "symbol": symbol}
    title = f"Stop of {symbol} to the entry?"
    return _ask(Question(title=title, lines=lines, button="Move the stop", back="/positions", fields=fields))


@act.post("/breakeven")
def breakeven() -> ResponseReturnValue:
    try:
        came_to = current_services().controls.stop_to_entry(*_where(request.form), by=_by())
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        came_to = Reason(code="EXCHANGE_UNREACHABLE", message=f"the position cannot be read: {error}")
    if isinstance(came_to, Reason):
        flash(f"Not moved: {came_to.message}")
        return redirect("/positions")
    return redirect(f"/signals/{came_to.signal_id}")


@act.get("/cancel")
def ask_cancel() -> str:
    order = current_services().journal.order(request.args.get("order", ""))
    if order is None:
        abort(404)
    planned, name = order.state.planned, order.state.client_order_id
    terms = current_queries().order_owners([name])[name]
    at = terms["price"] or terms["trigger_price"]
    price = f" at {number(at)}" if at is not None else ""
    lines = [f"{planned.side.value} {number(terms['qty'])} {planned.symbol}{price} on {order.account} is cancelled."]
    if terms["purpose"] == "take_profit":
        lines.append("It is one of its position’s take profits, and is not placed again; the others stay.")
    fields = {"order": order.state.client_order_id}
    back = f"/signals/{order.signal_id}"
    return _ask(Question(title="Cancel this order?", lines=lines, button="Cancel order", fields=fields, back=back))


@act.post("/cancel")
def cancel() -> ResponseReturnValue:
    order = current_services().journal.order(request.form.get("order", ""))
    if order is None:
        abort(404)
    problem = current_services().controls.cancel_order(order, by=_by())
    flash(problem or "The exchange has taken the cancellation; the order's end follows in a moment.")
    return redirect(f"/signals/{order.signal_id}")


@act.get("/retry")
def ask_retry() -> str:
    signal_id = request.args.get("signal", "")
    signal = current_services().journal.signal(signal_id)
    if signal is None:
        abort(404)
    lines = [
        f"{signal['action']} {signal['symbol'] or ''} is planned anew, from the account as it is now, and sent.",
        "It is refused unless nothing of it can have reached the exchange.",
    ]
    fields = {"signal": signal_id}
    back = f"/signals/{signal_id}"
    return _ask(Question(title="Retry this signal?", lines=lines, button="Retry", fields=fields, back=back))


@act.post("/retry")
def retry() -> ResponseReturnValue:
    signal_id = request.form.get("signal", "")
    if current_services().journal.signal(signal_id) is None:
        abort(404)
    try:
        current_services().controls.retry(signal_id)
        flash("Opened again.")
    except SignalNotRetryable as error:
        flash(f"Not opened again: {error}")
    return redirect(f"/signals/{signal_id}")


@act.get("/seen")
def ask_seen() -> str:
    signal_id = request.args.get("signal", "")
    if current_services().journal.signal(signal_id) is None:
        abort(404)
    question = Question(
        title="You have looked at it?",
        lines=["It is not counted as needing you any more. Nothing is sent, and nothing in the books changes."],
        button="I have looked",
        fields={"signal": signal_id},
        back=f"/signals/{signal_id}",
        choice=("nothing_placed", "The exchange has none of its orders: stop counting them in limits"),
        note="What you found",
    )
    return _ask(question)


@act.post("/seen")
def seen() -> ResponseReturnValue:
    signal_id = request.form.get("signal", "")
    if current_services().journal.signal(signal_id) is None:
        abort(404)
    nothing_placed = request.form.get("nothing_placed") == "1"
    note = request.form.get("note", "")[:NOTE_MAX]
    try:
        current_services().controls.seen(signal_id, note=note, by=_by(), nothing_placed=nothing_placed)
        flash("Noted.")
    except SignalNotSeen as error:
        flash(f"Not noted: {error}")
    return redirect(f"/signals/{signal_id}")


@act.get("/notify-test")
def ask_notify_test() -> str:
    lines = ["A test message goes to each recipient of NOTIFY_URLS; who did not take it is named."]
    return _ask(Question(title="Send a test?", lines=lines, button="Send a test", back="/setup"))


@act.post("/notify-test")
def notify_test() -> ResponseReturnValue:
    outcomes = current_services().notifier.send_test()
    said = "; ".join(f"{name}: {outcome}" for name, outcome in outcomes)
    flash(said or "NOTIFY_URLS is not set, so nobody is told of anything.")
    return redirect("/setup")


def _open_at(account: str, category: Category, symbol: str) -> list[dict[str, Any]]:
    """The position, read just now; none where nothing is open, or it cannot be read."""
    where, found = (account, category.value, symbol), all_positions(fresh=True)[0]
    return [each for each in found if (each["account"], each["category"], each["symbol"]) == where]


def _side(position: dict[str, Any]) -> str:
    return f"A {position['side']} of {number(position['size'])}"


def _where(given: Any) -> tuple[str, Category, str]:
    account, symbol = given.get("account", ""), given.get("symbol", "")
    if account not in current_services().accounts or not symbol:
        abort(404)
    try:
        return account, Category(given.get("category", "")), symbol
    except ValueError:
        abort(404)


def _done(words: str) -> ResponseReturnValue:
    flash(words)
    return redirect("/")
