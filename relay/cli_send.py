"""`send` and `plan`: an alert to a running relay, to be executed or only to be planned."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from relay.cli_client import Answer, Client, Refused, Unreachable, connect
from relay.cli_follow import WAIT_S, await_end, told
from relay.cli_options import NotDone, with_alert, with_json, with_strategy, with_url
from relay.cli_output import clean, detail_text, facts, reason_text, remark, say, say_json, table
from relay.cli_signal import asked
from relay.domain.status import SignalStatus

STAND_IN: Final = "YOUR-WEBHOOK-SECRET"
"""What `alert` prints in the secret's place."""
_UNPROVEN: Final = "the alert carries no secret and no WEBHOOK_SECRET is set here, so it cannot prove its sender"
_USUAL: Final = (None, "", "GTC")
"""What is not worth telling of an order."""


@click.command()
@with_alert
@with_strategy
@with_json
@with_url
@click.pass_context
def send(context: click.Context, body: bytes, strategy: str | None, as_json: bool, url: str | None) -> None:
    """Post the alert in FILE, or in what comes in for `-`, to the running relay, and tell what became of it.

    Exits with 0 if the signal is done, with 1 if anything else became of it, and with 2 if no relay could be reached.
    """
    client = connect(url)
    carried = _carried_secret(body)
    if carried == STAND_IN:
        remark(f"{STAND_IN} still stands in the alert; it is sent with the real secret beside it")
    needs_secret = carried in (None, STAND_IN)
    until = time.monotonic() + WAIT_S
    answer = client.send_alert(body, strategy=strategy, with_secret=needs_secret, wait_s=WAIT_S)
    if needs_secret and client.secret_of(strategy) is None and not answer.is_good:
        remark(_UNPROVEN)
    result = _followed(client, answer, until) if answer.is_good else answer.body
    if as_json:
        say_json(result)
    else:
        say("\n".join(_told(result) if answer.is_good else _refused(answer)))
    context.exit(0 if answer.is_good and result.get("status") == SignalStatus.DONE else NotDone.exit_code)


def _carried_secret(body: bytes) -> str | None:
    """The alert's own secret. One in a body too broken to parse is not found, and the header proves the sender."""
    from relay.alerts.kept import read
    from relay.errors import AlertMalformed

    try:
        return read(body).secret
    except AlertMalformed:
        return None


def _followed(client: Client, answer: Answer, until: float) -> dict[str, Any]:
    """The answer with the whole signal in it, which a relay that is asked by many leaves out."""
    if "orders" in answer.body or client.admin_token is None:
        return answer.body
    try:
        return {**answer.body, **await_end(client, str(answer.body.get("signal_id")), until=until)}
    except (Unreachable, Refused) as error:
        remark(f"what became of it is not known: {clean(error)}")
        return answer.body


def _told(result: dict[str, Any]) -> list[str]:
    first = ["duplicate: the same alert was here before; nothing more was ordered"] if result.get("duplicate") else []
    return first + told({"id": result.get("signal_id"), **result})


def _refused(answer: Answer) -> list[str]:
    status = "rejected" if answer.body.get("signal_id") else "not taken"
    lines = [f"{status}: {clean(answer.complaint)}"]
    message, fields = str(answer.error.get("message")), answer.error.get("fields") or {}
    problems = [(name, problem) for name, found in fields.items() for problem in found]
    lines += [f"  {clean(f'{name}: {problem}')}" for name, problem in problems if problem not in message]
    if answer.body.get("signal_id"):
        lines.append(f"  kept as signal {clean(answer.body['signal_id'])}")
    return lines


@click.command()
@with_alert
@with_strategy
@click.option("--format", "named", metavar="NAME", help="The format that the alert is in, such as traderspost.")
@with_json
@with_url
@click.pass_context
def plan(
    context: click.Context, body: bytes, strategy: str | None, named: str | None, as_json: bool, url: str | None
) -> None:
    """Show what the alert in FILE would do now, without doing it."""
    client = connect(url)
    if not as_json:
        say("\n".join(_reading(body)))
    planned = client.post("/api/plan", body, strategy=strategy, format=named)
    if as_json:
        say_json(planned)
    else:
        say("\n".join([*_meaning(planned), *_planned(planned)]))
    context.exit(NotDone.exit_code if planned.get("status") == "denied" else 0)


def _reading(body: bytes) -> list[str]:
    """As what the alert is recognised, and the fields that were read."""
    from relay.alerts.kept import read
    from relay.errors import AlertMalformed

    try:
        fields = read(body).fields
    except AlertMalformed as error:
        return [f"not readable: {clean(error.message)}"]
    # The parser has told the two apart already; of what it took, only pairs begin with a name.
    kind = "JSON" if body.decode("utf-8-sig", "replace").lstrip()[:1] in ("{", "%") else "key=value pairs"
    return [f"read as {kind}", *facts({name: detail_text(value) for name, value in fields.items()})]


def _meaning(planned: dict[str, Any]) -> list[str]:
    """What each of the sender's fields means here."""
    if not planned.get("fields"):
        return []
    rows = [[str(each.get(name)) for name in ("field", "native", "value")] for each in planned.get("fields", ())]
    return [f"format: {clean(planned.get('format', 'native'))}", *table(("FIELD", "MEANS", "VALUE"), rows, indent="  ")]


def _planned(planned: dict[str, Any]) -> list[str]:
    orders, notes = planned.get("orders", []), planned.get("notes", [])
    lines = [f"{planned.get('status')}: {'these orders' if orders else 'nothing'} would go out"]
    lines += facts({"reason": reason_text(planned.get("reason"))})
    for order in orders:
        more = {name: order.get(name) for name in ("trigger_price", "time_in_force", "stop_loss", "take_profit")}
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in more.items() if value not in _USUAL)
        on = f"{order.get('symbol')} on account {order.get('account')}"
        lines.append(f"  {clean(f'{asked(order)}, {on}' + (f', {told}' if told else ''))}")
    lines += _checked(planned.get("checks", []))
    return lines + [f"  note: {clean(note)}" for note in notes]


def _checked(checks: list[dict[str, Any]]) -> list[str]:
    """The limits that the entry was held against."""
    verdicts: dict[bool | None, str] = {True: "passes", False: "withholds the entry", None: "not looked at"}
    names = ("account", "limit", "number", "bound")
    rows = [[*(str(each.get(name) or "-") for name in names), verdicts[each.get("passes")]] for each in checks]
    return table(("ACCOUNT", "LIMIT", "NUMBER", "BOUND", "VERDICT"), rows, indent="  ") if rows else []
