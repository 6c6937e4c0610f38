"""`check`: the connection checklist, its one repair, and the proof of the whole way with the smallest orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli_options import NotDone, with_json
from relay.cli_output import clean, remark, say, say_json

if TYPE_CHECKING:
    from relay.checkup import Patient
    from relay.exchange.account_point import Report
    from relay.settings import Environment, Settings

_MARKS: Final = {"green": "ok", "amber": "!", "red": "X", "unknown": "?"}
_NAME_WIDTH: Final = 20


@click.command()
@click.option("--account", metavar="NAME", help="Only this account.")
@click.option("--fix", is_flag=True, help="Switch symbols in hedge mode to one-way mode, where nothing is open.")
@click.option("--trade", is_flag=True, help="Prove the whole way: open with stops, flip, exit in part, close.")
@click.option(
    "--symbol",
    metavar="SYMBOL",
    help="Look at this symbol, too, and prove the way on it (else on the first allowed one, or BTCUSDT).",
)
@with_json
@click.pass_context
def check(
    context: click.Context, account: str | None, fix: bool, trade: bool, symbol: str | None, as_json: bool
) -> None:
    """Look at the connection, the key and the account, a line each, with what to do about it.

    Exits with 0 only if all that is required passes.
    """
    from relay.settings import load_settings

    settings = load_settings()
    results = [] if fix or trade or symbol else _of_the_running_relay(settings, account, as_json=as_json)
    results = results or _looked_at(settings, account, fix=fix, trade=trade, symbol=symbol, as_json=as_json)
    if as_json:
        say_json(_joined(results))
    context.exit(0 if all(each["ok"] for each in results) else NotDone.exit_code)


def _looked_at(
    settings: Settings, account: str | None, *, fix: bool, trade: bool, symbol: str | None, as_json: bool
) -> list[dict[str, Any]]:
    from relay.checkup_open import open_patients

    with open_patients(settings, account) as patients:
        return [_one(name, each, fix=fix, trade=trade, symbol=symbol, as_json=as_json) for name, each in patients]


def _one(name: str, patient: Patient, *, fix: bool, trade: bool, symbol: str | None, as_json: bool) -> dict[str, Any]:
    from relay.exchange.account_point import rows_of

    tell = remark if as_json else say
    if symbol is not None:
        patient = replace(patient, subject=replace(patient.subject, also=symbol.upper()))
    tell(heading(name, patient.subject.environment, patient.subject.host))
    report = patient.examine()
    if fix:
        report = _fixed(patient, report, tell)
    _say_report(report, tell=None if as_json else say)
    result: dict[str, Any] = {"account": name, "ok": report.is_ok, "checks": rows_of(report)}
    if trade:
        from relay.cli_prove import prove

        steps = prove(patient, report, symbol=symbol, tell=tell)
        result |= {"ok": report.is_ok and all(step["passed"] for step in steps), "trade": steps}
    return result


def _of_the_running_relay(settings: Settings, account: str | None, *, as_json: bool) -> list[dict[str, Any]]:
    """Where `serve` brought its own paper exchange, only it knows the way there: what it found within the last minute.

    Empty where there is another way, or no such relay.
    """
    from relay.cli_client import Refused, Unreachable, connect
    from relay.exchange.account_point import read_report
    from relay.paper_child import is_needed

    if not is_needed(settings):
        return []
    try:
        shown = connect(None).get("/api/accounts")["accounts"]
    except (Unreachable, Refused):
        return []
    results = []
    for each in shown:
        if account not in (None, each["name"]) or not each["checks"]:
            continue
        report = read_report(each["checks"])
        (remark if as_json else say)(
            f"{clean(each['name'])}: {clean(each['environment'])}, as the running relay sees it"
        )
        _say_report(report, tell=None if as_json else say)
        results.append({"account": each["name"], "ok": report.is_ok, "checks": each["checks"]})
    return results


def _joined(results: list[dict[str, Any]]) -> dict[str, Any]:
    """One account is shown as itself; of several, each by its name."""
    if len(results) == 1:
        return {name: value for name, value in results[0].items() if name != "account"}
    return {"ok": all(each["ok"] for each in results), "accounts": results}


def heading(name: str, environment: Environment, host: str) -> str:
    """What is looked at; real money unmistakably."""
    money = "   *** MAINNET - real money ***" if environment.is_real_money else ""
    return f"{clean(name)}: {environment} at {clean(host)}{money}"


def _say_report(report: Report, *, tell: Callable[[str], None] | None) -> None:
    if tell is not None:
        for line in [*lines_of(report), verdict(report)]:
            tell(line)


def lines_of(report: Report) -> list[str]:
    """A line a point, and where something is to be done, a second one with what."""
    lines = []
    for point in report.points:
        lines.append(f"{_MARKS[point.state]:>2} {point.state:<7} {point.name:<{_NAME_WIDTH}} {clean(point.message)}")
        if point.fix:
            lines.append(f"{'':<11}{'':<{_NAME_WIDTH}} -> {clean(point.fix)}")
    return lines


def verdict(report: Report) -> str:
    hindering = [f"{each.name} is {each.state}" for each in report.hindering()]
    return f"not ok: {', '.join(hindering)}" if hindering else "ok: nothing stands in the way of orders"


def _fixed(patient: Patient, report: Report, tell: Callable[[str], None]) -> Report:
    """Switch what can be switched, and look again."""
    hedged = patient.hedged()
    if not hedged:
        tell("nothing to fix: no symbol that was looked at is in hedge mode")
        return report
    for symbol in hedged:
        problem = patient.switch_to_one_way(symbol)
        tell(f"{symbol} stays in hedge mode: {problem}" if problem else f"{symbol} is in one-way mode now")
    return patient.examine()
