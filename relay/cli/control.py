"""`halt`, `resume`, `flatten`, `seen` and `retry`: what a person tells the relay to do."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import click

from relay.cli.client import (
    Client,
    NotDone,
    Unreachable,
    Unusable,
    clean,
    connect,
    remark,
    say,
    say_json,
    with_json,
    with_url,
    write_halt,
)
from relay.cli.signals import WAIT_S, await_end, reported
from relay.domain.order import SignalStatus

YES = "yes"
_HALTED = "halted: no new entries, restarts included, until `python -m relay resume`; exits go on"
_RESUMED = "resumed: new entries are allowed again"


@click.command()
@with_json
@with_url
def halt(as_json: bool, url: str | None) -> None:
    """Allow no new entries, restarts included; exits go on."""
    _switch("/api/halt", is_on=True, as_json=as_json, url=url)


@click.command()
@with_json
@with_url
def resume(as_json: bool, url: str | None) -> None:
    """Allow new entries again."""
    _switch("/api/resume", is_on=False, as_json=as_json, url=url)


def _switch(path: str, *, is_on: bool, as_json: bool, url: str | None) -> None:
    client = connect(url)
    try:
        body = client.post(path)
    except Unreachable as error:
        write_halt(client, error, is_on=is_on)
        remark(f"{error}; it is written into the journal {client.settings.journal_path} for the next start")
        body = {"halted": is_on}
    if as_json:
        say_json(body)
    else:
        say(_HALTED if is_on else _RESUMED)


@click.command()
@click.option("--all", "everything", is_flag=True, help="Close what the relay did not trade, too.")
@with_json
@with_url
@click.pass_context
def flatten(context: click.Context, everything: bool, as_json: bool, url: str | None) -> None:
    """Halt, then cancel and close what the relay traded (or everything), and tell what became of it.

    Exits with 0 only if every close is done. The halt stays until `resume`.
    """
    client = connect(url)
    until = time.monotonic() + 3 * WAIT_S
    body = _flattened(client, everything)
    if not as_json:
        say(_HALTED)
    rows = _rows(body)
    ended = [await_end(client, row["signal_id"], until=until) for row in rows if row.get("signal_id")]
    if as_json:
        say_json({**body, "signals": ended})
    else:
        said = [line for signal in ended for line in reported(signal)]
        said += [_in_words(row) for row in rows if not row.get("signal_id")]
        say("\n".join(said))
    is_done = all(signal.get("status") == SignalStatus.DONE for signal in ended)
    is_read = all(row.get("outcome") != "unreadable" for row in rows)
    context.exit(0 if is_done and is_read else NotDone.exit_code)


def _flattened(client: Client, everything: bool) -> dict[str, Any]:
    try:
        return client.post("/api/flatten", all=1 if everything else None)
    except Unreachable as error:
        raise Unusable(f"{error}; nothing is known to be halted or closed") from error


def _rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    rows = body.get("accounts", [])
    if not rows or not all(isinstance(each, dict) and each.get("outcome") for each in rows):
        raise NotDone("the relay halted, but its answer does not tell what it closes; see `signals`")
    return list(rows)


def _in_words(row: dict[str, Any]) -> str:
    """Of an account as a whole."""
    return f"{row.get('account')}: {row.get('message')}"


@click.command()
@click.argument("signal_id", metavar="ID")
@click.option("--now", "is_fresh", is_flag=True, help="For this one try the entry's age counts from now.")
@with_json
@with_url
@click.pass_context
def retry(context: click.Context, signal_id: str, is_fresh: bool, as_json: bool, url: str | None) -> None:
    """Open a signal again with a new plan, if no order of it can have had an effect; and tell what became of it."""
    client = connect(url)
    path = f"/api/signals/{quote(signal_id, safe='')}/retry"
    outlook = client.get(path)
    if is_fresh:
        then, now = (outlook.get(name) or "not known" for name in ("price_then", "price_now"))
        remark(f"the entry is {outlook['age_s']} s old; the price then: {then}, now: {now}")
        if outlook["real_money"]:
            say_yes = f"This may place an order with REAL MONEY. Type {YES} to go on"
            if click.prompt(say_yes, default="", show_default=False, err=True).strip() != YES:
                raise NotDone(f"nothing was opened again: {YES!r} was not typed")
    elif outlook["expires"]:
        remark(
            f"the entry is {outlook['age_s']} s old, more than {outlook['max_age_s']} s, and will expire; "
            "`--now` lifts that for one try"
        )
    until = time.monotonic() + WAIT_S
    client.post(path, json.dumps({"now": is_fresh}).encode())
    signal = await_end(client, signal_id, until=until)
    if as_json:
        say_json(signal)
    else:
        say("\n".join(reported(signal)))
    context.exit(0 if signal.get("status") == SignalStatus.DONE else NotDone.exit_code)


@click.command()
@click.argument("signal_id", metavar="ID")
@click.option("--note", default="", help="What you found.")
@click.option(
    "--nothing-placed", is_flag=True, help="The exchange has none of its orders in doubt: stop counting them in limits."
)
@with_json
@with_url
def seen(signal_id: str, note: str, nothing_placed: bool, as_json: bool, url: str | None) -> None:
    """Say that you have looked at a signal in `attention`: it is not counted as needing you any more."""
    given = {"note": note, "nothing_placed": nothing_placed}
    signal = connect(url).post(f"/api/signals/{quote(signal_id, safe='')}/seen", json.dumps(given).encode())
    if as_json:
        say_json(signal)
    else:
        say(f"noted: signal {clean(signal.get('id'))} was looked at")
