"""`alert`, `send` and `plan`: messages for TradingView, and an alert to a running relay."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from relay.alerts.wording import FOR_STRATEGIES, SIZED, STAND_IN, Kind, as_text, message, size_fields
from relay.cli.client import (
    Client,
    ClientAnswer,
    NotDone,
    RequestRefused,
    Unreachable,
    Unusable,
    clean,
    connect,
    detail_text,
    facts,
    one_of,
    reason_text,
    remark,
    say,
    say_json,
    table,
    with_alert,
    with_json,
    with_strategy,
    with_url,
)
from relay.cli.signals import WAIT_S, await_end, reported, requested
from relay.domain.order import SignalStatus

if TYPE_CHECKING:
    from relay.settings.environment import Secret


# `send` and `plan`: an alert to a running relay, to be executed or only to be planned.


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
        say("\n".join(_reported(result) if answer.is_good else _refused(answer)))
    context.exit(0 if answer.is_good and result.get("status") == SignalStatus.DONE else NotDone.exit_code)


def _carried_secret(body: bytes) -> str | None:
    """The alert's own secret. One in a body too broken to parse is not found, and the header proves the sender."""
    from relay.alerts.signal import read
    from relay.errors import AlertMalformed

    try:
        return read(body).secret
    except AlertMalformed:
        return None


def _followed(client: Client, answer: ClientAnswer, until: float) -> dict[str, Any]:
    """The answer with the whole signal in it, which a relay that is asked by many leaves out."""
    if "orders" in answer.body or client.admin_token is None:
        return answer.body
    try:
        return {**answer.body, **await_end(client, str(answer.body.get("signal_id")), until=until)}
    except (Unreachable, RequestRefused) as error:
        remark(f"what became of it is not known: {clean(error)}")
        return answer.body


def _reported(result: dict[str, Any]) -> list[str]:
    first = ["duplicate: the same alert was here before; nothing more was ordered"] if result.get("duplicate") else []
    return first + reported({"id": result.get("signal_id"), **result})


def _refused(answer: ClientAnswer) -> list[str]:
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
        say("\n".join([*_meaning(planned), *_planned(planned), *_played(planned)]))
    context.exit(NotDone.exit_code if planned.get("status") == "denied" else 0)


def _reading(body: bytes) -> list[str]:
    """As what the alert is recognised, and the fields that were read."""
    from relay.alerts.signal import read
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
        reported = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in more.items() if value not in _USUAL)
        on = f"{order.get('symbol')} on account {order.get('account')}"
        lines.append(f"  {clean(f'{requested(order)}, {on}' + (f', {reported}' if reported else ''))}")
    lines += [f"  {_moved(each)}" for each in planned.get("positions", ()) if not planned.get("scenarios")]
    lines += _checked(planned.get("checks", []))
    return lines + [f"  note: {clean(note)}" for note in notes]


def _moved(position: dict[str, Any]) -> str:
    costs = {"worth": position.get("notional"), "margin": position.get("margin"), "fee": position.get("fee")}
    said = "".join(f", {name} {amount}" for name, amount in costs.items() if amount is not None)
    return clean(f"account {position['account']}: from {position['before']} to {position['after']}{said}")


def _played(planned: dict[str, Any]) -> list[str]:
    """Of a template: what each of a strategy's moves would come to, and the message that means the same."""
    rows = []
    for each in planned.get("scenarios", ()):
        moves = "; ".join(f"{move['before']} to {move['after']}" for move in each["positions"]) or "-"
        orders = "; ".join(requested(order) for order in each["orders"]) or "nothing"
        rows.append(
            [each["scenario"], each["status"], moves, orders, detail_text((each["reason"] or {}).get("message"))]
        )
    if not rows:
        return []
    lines = table(("MOVE", "STATUS", "POSITION", "ORDERS", "WHY NOT ALL"), rows, indent="  ")
    native = planned.get("native")
    more = ["the same in the relay's own fields:", as_text({"secret": STAND_IN, **native})] if native else []
    return ["TradingView's placeholders filled in, for each of a strategy's moves:", *lines, *more]


def _checked(checks: list[dict[str, Any]]) -> list[str]:
    """The limits that the entry was held against."""
    verdicts: dict[bool | None, str] = {True: "passes", False: "withholds the entry", None: "not looked at"}
    names = ("account", "limit", "number", "bound")
    rows = [[*(str(each.get(name) or "-") for name in names), verdicts[each.get("passes")]] for each in checks]
    return table(("ACCOUNT", "LIMIT", "NUMBER", "BOUND", "VERDICT"), rows, indent="  ") if rows else []


@click.command()
@click.option("--kind", type=one_of(Kind), default=Kind.STRATEGY.value, show_default=True, help="What it is for.")
@click.option("--strategy", metavar="NAME", help="The relay's strategy it goes to.")
@click.option("--size", metavar="SIZE", help="Its own size: 0.01 (coins), 1% (of the equity) or '100 USDT'.")
@click.option("--stop-loss", metavar="LEVEL", help="A price, or a distance such as 1.5%.")
@click.option("--take-profit", metavar="LEVEL", help="A price, or a distance such as 3%.")
@click.option("--price", metavar="PRICE", help="The limit price of the kind limit.")
@click.option("--with-secret", is_flag=True, help="Print the real secret instead of a word that stands for it.")
def alert(kind: str, strategy: str | None, size: str | None, with_secret: bool, **levels: str | None) -> None:
    """Print an alert message to paste into TradingView, and on stderr where it goes."""
    from relay.settings.config import NAME
    from relay.settings.settings import load_settings, with_stored_secrets

    settings = with_stored_secrets(load_settings())
    known = {each.name: each for each in settings.strategies}
    chosen = known.get(strategy or NAME)
    if chosen is None:
        raise Unusable(f"there is no strategy {strategy!r}; this relay has {', '.join(known)}")
    has_default_size = any(rules.default_size is not None for rules in chosen.rules.values())
    secret = _real_secret(settings.secrets_of(chosen)) if with_secret else STAND_IN
    wanted = Kind(kind)
    own = {name: value for name, value in levels.items() if value} | size_fields(size or "")
    say(as_text({"secret": secret, **message(wanted, has_default_size=has_default_size or bool(size)), **own}))
    path = "/webhook" if strategy is None else f"/webhook/{strategy}"
    for line in _hints(wanted, settings.port, path, with_secret=with_secret, has_size=has_default_size or bool(size)):
        remark(line)


def _real_secret(secrets: tuple[Secret, ...]) -> str:
    if not secrets:
        raise Unusable(
            "no WEBHOOK_SECRET is set, and `python -m relay serve` has made none up here yet; "
            "set one or start the relay first"
        )
    return secrets[0].reveal()


def _hints(kind: Kind, port: int, path: str, *, with_secret: bool, has_size: bool) -> list[str]:
    lines = [
        f"Webhook URL: https://YOUR-HOST{path}, which has to lead to http://127.0.0.1:{port}{path}.",
        "TradingView posts to ports 80 and 443 of public hosts only.",
    ]
    if not with_secret:
        lines.append(f"Put your webhook secret in the place of {STAND_IN}; --with-secret prints it.")
    if kind in FOR_STRATEGIES:
        lines.append("This is for a strategy's alert: in any other alert its placeholders become empty.")
        lines.append(
            "A strategy's alert that fires more than 15 times in 3 minutes is stopped by TradingView, silently."
        )
    if kind in SIZED and not has_size:
        lines.append("`qty` is in coins unless `qty_unit` says otherwise; put your own size there.")
    lines.append(
        "An `id` of your own must be new for each alert; without one, `time` and the fields tell alerts apart."
    )
    return lines
