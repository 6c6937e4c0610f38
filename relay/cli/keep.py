"""What keeps a relay: `backup`, `restore`, `export` and `rename-account` of its journal, and `notify-test`."""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from relay.cli.client import NotDone, Unusable, clean, say, say_json, with_json

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
@click.argument("kind", metavar="[signals|orders|fills]", type=click.Choice(["signals", "orders", "fills"]))
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
