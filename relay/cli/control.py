"""What people do to a running relay (halt, resume, flatten, retry, …), and to its journal (backup, restore, export)."""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click

from relay.cli.client import (
    Client,
    NotDone,
    Unreachable,
    Unusable,
    clean,
    connect,
    one_of,
    remark,
    say,
    say_json,
    with_json,
    with_url,
    write_halt,
)
from relay.cli.signals import WAIT_S, await_end, reported
from relay.domain.instrument import Category, TradedMarket, symbol_of_filter
from relay.domain.order import SignalStatus
from relay.domain.signal import new_signal_id, span
from relay.domain.trades import BY_HAND

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


class _AboveZero(click.ParamType[str]):
    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip().removesuffix("%").strip()
        if not re.fullmatch(r"\d*\.?\d+", text, re.ASCII) or not text.strip("0."):
            self.fail(f"{value!r} is no number above zero", param, ctx)
        return text


_with_account = click.option("--account", metavar="NAME", help="Whose, where several hold the symbol.")
_with_market = click.option("--market", type=one_of(TradedMarket), help="Which, where both are held.")


def which_position(command: Callable[..., None]) -> Callable[..., None]:
    """The options that tell one open position."""
    return click.argument("symbol", metavar="SYMBOL")(_with_account(_with_market(command)))


@click.command()
@which_position
@click.option("--share", type=_AboveZero(), metavar="PERCENT", help="Only so much of it, in percent.")
@click.option("--qty", type=_AboveZero(), metavar="QTY", help="Only so much of it, in coins (contracts on inverse).")
@with_json
@with_url
@click.pass_context
def close(
    context: click.Context,
    /,
    symbol: str,
    account: str | None,
    market: str | None,
    as_json: bool,
    url: str | None,
    **part: str | None,
) -> None:
    """Close one position, or a part of it, and tell what became of it; halted or not."""
    named = {name: value for name, value in part.items() if value is not None}
    if len(named) > 1:
        raise click.BadParameter("it and --share say the same thing twice", param_hint="--qty")
    _control(context, "close", (symbol, account, market), named, as_json=as_json, url=url)


@click.command()
@which_position
@with_json
@with_url
@click.pass_context
def breakeven(
    context: click.Context, symbol: str, account: str | None, market: str | None, as_json: bool, url: str | None
) -> None:
    """Move the stop loss of one position to its average entry, and tell what became of it."""
    _control(context, "breakeven", (symbol, account, market), {}, as_json=as_json, url=url)


def _control(
    context: click.Context,
    what: str,
    which: tuple[str, str | None, str | None],
    more: dict[str, str],
    *,
    as_json: bool,
    url: str | None,
) -> None:
    client, until = connect(url), time.monotonic() + WAIT_S
    position = _held(client, *which)
    named = {name: position[name] for name in ("account", "category", "symbol")}
    body = json.dumps({**named, **more, "id": new_signal_id(time.time_ns() // 1_000_000)}).encode()
    path = f"/api/positions/{what}"
    try:
        receipt = client.post(path, body)
    except Unreachable:
        # Whether it was taken is not known; under the same id it is done once.
        receipt = client.post(path, body)
    signal = await_end(client, receipt["signal_id"], until=until)
    if as_json:
        say_json(signal)
    else:
        say("\n".join(reported(signal)))
    context.exit(0 if signal.get("status") == SignalStatus.DONE else NotDone.exit_code)


def _held(client: Client, name: str, account: str | None, market: str | None) -> dict[str, Any]:
    """The one open position that is meant."""
    symbol = symbol_of_filter(name)
    body = client.get("/api/positions", symbol=symbol, account=account)
    found: list[dict[str, Any]] = [
        each for each in body["positions"] if market in (None, Category(each["category"]).market)
    ]
    accounts = {str(each["account"]) for each in found}
    if len(accounts) > 1:
        names = ", ".join(sorted(accounts))
        raise click.BadParameter(f"several accounts hold {symbol}: {names}", param_hint="--account")
    if len(found) > 1:
        markets = " and ".join(Category(each["category"]).market for each in found)
        raise click.BadParameter(f"{symbol} is held as {markets}; say which", param_hint="--market")
    if not found:
        unread = "; ".join(f"{each['account']} cannot be read: {each['message']}" for each in body["unreadable"])
        raise NotDone(f"no position of {symbol} is open{f'; {unread}' if unread else ''}")
    return found[0]


@click.command()
@click.argument("order_id", metavar="ID")
@with_json
@with_url
@click.pass_context
def cancel(context: click.Context, order_id: str, as_json: bool, url: str | None) -> None:
    """Cancel one of the relay's own orders that rest; `orders --open` lists them."""
    client = connect(url)
    rows = client.get("/api/orders", open=1)["orders"]
    names = [str(each["client_order_id"]) for each in rows if each["strategy"] != BY_HAND]
    found = [order_id] if order_id in names else [each for each in names if each.startswith(order_id)]
    if len(found) > 1:
        raise NotDone("\n".join((f"several orders begin with {order_id}; say more of the id:", *found)))
    body = client.post(f"/api/orders/{quote(found[0] if found else order_id, safe='')}/cancel")
    if as_json:
        say_json(body)
    else:
        name = clean(body["client_order_id"])
        say(f"{name}: {body['message']}" if body["message"] else f"{name}: the exchange has taken the cancellation")
    context.exit(0 if body["taken"] else NotDone.exit_code)


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
        remark(f"the entry is {span(outlook['age_s'])} old; the price then: {then}, now: {now}")
        if outlook["real_money"]:
            say_yes = f"This may place an order with REAL MONEY. Type {YES} to go on"
            if click.prompt(say_yes, default="", show_default=False, err=True).strip() != YES:
                raise NotDone(f"nothing was opened again: {YES!r} was not typed")
    elif outlook["expires"]:
        remark(
            f"the entry is {span(outlook['age_s'])} old, more than {outlook['max_age_s']} s, and will expire; "
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


# What keeps a relay: `backup`, `restore`, `export` and `rename-account` of its journal, and `notify-test`.


_ALL_DAYS: Final = "1970-01-01"


@click.command("notify-test")
@with_json
@click.pass_context
def notify_test(context: click.Context, as_json: bool) -> None:
    """Send a test to each recipient of NOTIFY_URLS, and tell which took it."""
    from relay.execution.delivery import open_services, send_test
    from relay.settings.settings import load_settings

    services = open_services(load_settings().notify_targets)
    if not services:
        raise Unusable("NOTIFY_URLS: it is not set, so nobody is told of anything")
    outcomes = send_test(services)
    if as_json:
        say_json({"recipients": [{"name": name, "outcome": outcome} for name, outcome in outcomes]})
    else:
        say("\n".join(f"{clean(name)}: {outcome}" for name, outcome in outcomes))
    context.exit(0 if all(outcome == "taken" for _, outcome in outcomes) else NotDone.exit_code)


@click.command()
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def backup(target: Path) -> None:
    """Copy the journal to FILE, beside a running relay: SQLite's own backup, or pg_dump's custom format."""
    from relay.journal.maintenance import back_up
    from relay.settings.settings import load_settings

    back_up(load_settings().database_url, target)
    say(f"the journal is in {clean(str(target))} ({target.stat().st_size} bytes)")


@click.command()
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--replace", "is_replacing", is_flag=True, help="In place of a journal that has signals in it.")
def restore(source: Path, is_replacing: bool) -> None:
    """Bring the journal back from a FILE that `backup` made, while no relay runs on it.

    It starts halted. What was unfinished in it is looked up and ended, nothing of it is sent; `resume` shows first
    what differs from the exchange.
    """
    from relay.journal.maintenance import restore as bring_back
    from relay.settings.settings import load_settings

    former = bring_back(load_settings().database_url, source, is_replacing=is_replacing, now=datetime.now(UTC))
    say(f"the journal is the one of {clean(str(source))} now" + (f"; the former is {former}" if former else ""))
    say("start relay, halted as it is; then `python -m relay resume` shows what differs from the exchange")


@click.command("rename-account")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW", required=False)
@click.option("--forget", is_flag=True, help="Without NEW: what is open under OLD is your own affair from now on.")
def rename_account(old: str, new: str | None, forget: bool) -> None:
    """Tell the journal that the account OLD is called NEW now, while no relay runs on it."""
    from relay.execution.ports import to_ms, utc_now
    from relay.journal import maintenance
    from relay.journal.opening import open_journal
    from relay.journal.ownership import is_executing
    from relay.settings.settings import load_settings

    if forget == bool(new):
        raise Unusable("give either NEW, or --forget and no NEW")
    settings = load_settings()
    configured = [each.name for each in settings.accounts]
    if old in configured:
        raise Unusable(f"OLD: {old} is configured; it should be a name that RELAY_CONFIG has no more")
    if new is not None and new not in configured:
        raise Unusable(f"NEW: {new} is not configured; it should be one of {', '.join(configured)}")
    journal = open_journal(settings.database_url)
    try:
        if settings.is_postgres and is_executing(journal.store):
            raise NotDone("a process of the relay runs on this database; stop all of them first")
        if old not in maintenance.known_accounts(journal):
            raise NotDone(f"OLD: the journal knows no account {old}")
        if new is None:
            maintenance.forget(journal, old, now_ms=to_ms(utc_now()))
        else:
            maintenance.rename(journal, old, new)
    finally:
        journal.close()
    say(f"{clean(old)} is forgotten" if new is None else f"{clean(old)} is {clean(new)} now")


@click.command()
@click.argument(
    "kind",
    metavar="[signals|orders|fills|trades]",
    type=click.Choice(["signals", "orders", "fills", "trades"]),
)
@click.option("--from", "since", metavar="DATE", default=_ALL_DAYS, help="The first day (UTC), such as 2026-11-01.")
@click.option("--to", "until", metavar="DATE", help="The last day (UTC); without it, today.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each row instead of CSV.")
def export(kind: str, since: str, until: str | None, as_json: bool) -> None:
    """Write what the journal holds of some days, as CSV, to the output."""
    from relay.journal.maintenance import COLUMNS, ExportKind
    from relay.journal.maintenance import export as rows_of
    from relay.journal.opening import open_journal
    from relay.settings.settings import load_settings

    chosen, first = ExportKind(kind), _day("--from", since)
    last = _day("--to", until) if until else datetime.now(UTC)
    if last < first:
        raise Unusable("--to: it is before --from")
    journal = open_journal(load_settings().database_url, lock=False)
    try:
        out = csv.DictWriter(sys.stdout, COLUMNS[chosen])
        if not as_json:
            out.writeheader()
        for row in rows_of(journal.store, chosen, _ms(first), _ms(last + timedelta(days=1))):
            if as_json:
                say(json.dumps(row, ensure_ascii=False))
            else:
                out.writerow({name: _safe(value) for name, value in row.items()})
    finally:
        journal.close()


def _day(option: str, text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Unusable(f"{option}: {text[:40]!r} is no day; it should be like 2026-11-01") from None


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _safe(value: object) -> object:
    """An alert's words must not become a formula in a spreadsheet; a number may begin with a minus."""
    is_formula = isinstance(value, str) and value[:1] in tuple("=+@\t\r-") and not value[1:].replace(".", "").isdigit()
    return f"'{value}" if is_formula else value
