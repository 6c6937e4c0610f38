"""`check`: the connection checklist, its one repair, and the smoke trade with `--trade`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.client import NotDone, Unusable, clean, remark, say, say_json, with_json

if TYPE_CHECKING:
    from relay.app.account_checks import AccountCheckTarget
    from relay.bybit.checklist import Report
    from relay.domain.instrument import Instrument
    from relay.settings.environment import Environment
    from relay.settings.settings import Settings


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
    from relay.settings.settings import load_settings

    settings = load_settings()
    results = [] if fix or trade or symbol else _of_the_running_relay(settings, account, as_json=as_json)
    results = results or _looked_at(settings, account, fix=fix, trade=trade, symbol=symbol, as_json=as_json)
    if as_json:
        say_json(_joined(results))
    context.exit(0 if all(each["ok"] for each in results) else NotDone.exit_code)


def _looked_at(
    settings: Settings, account: str | None, *, fix: bool, trade: bool, symbol: str | None, as_json: bool
) -> list[dict[str, Any]]:
    from relay.app.account_checks import open_check_targets

    with open_check_targets(settings, account) as check_targets:
        return [_one(name, each, fix=fix, trade=trade, symbol=symbol, as_json=as_json) for name, each in check_targets]


def _one(
    name: str, check_target: AccountCheckTarget, *, fix: bool, trade: bool, symbol: str | None, as_json: bool
) -> dict[str, Any]:
    from relay.bybit.checklist import rows_of

    tell = remark if as_json else say
    if symbol is not None:
        check_target = replace(
            check_target, expected_account=replace(check_target.expected_account, also=symbol.upper())
        )
    tell(heading(name, check_target.expected_account.environment, check_target.expected_account.host))
    report = check_target.run()
    if fix:
        report = _fixed(check_target, report, tell)
    _say_report(report, tell=None if as_json else say)
    result: dict[str, Any] = {"account": name, "ok": report.is_ok, "checks": rows_of(report)}
    if trade:
        steps = smoke_trade(check_target, report, symbol=symbol, tell=tell)
        result |= {"ok": report.is_ok and all(step["passed"] for step in steps), "trade": steps}
    return result


def _of_the_running_relay(settings: Settings, account: str | None, *, as_json: bool) -> list[dict[str, Any]]:
    """Where `serve` brought its own paper exchange, only it knows the way there: what it found within the last minute.

    Empty where there is another way, or no such relay.
    """
    from relay.app.paper_child import is_needed
    from relay.bybit.checklist import read_report
    from relay.cli.client import RequestRefused as Refused
    from relay.cli.client import Unreachable, connect

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
    for check in report.checks:
        lines.append(f"{_MARKS[check.state]:>2} {check.state:<7} {check.name:<{_NAME_WIDTH}} {clean(check.message)}")
        if check.fix:
            lines.append(f"{'':<11}{'':<{_NAME_WIDTH}} -> {clean(check.fix)}")
    return lines


def verdict(report: Report) -> str:
    hindering = [f"{each.name} is {each.state}" for each in report.hindering()]
    return f"not ok: {', '.join(hindering)}" if hindering else "ok: nothing stands in the way of orders"


def _fixed(check_target: AccountCheckTarget, report: Report, tell: Callable[[str], None]) -> Report:
    """Switch what can be switched, and look again."""
    hedged = check_target.hedged()
    if not hedged:
        tell("nothing to fix: no symbol that was looked at is in hedge mode")
        return report
    for symbol in hedged:
        problem = check_target.switch_to_one_way(symbol)
        tell(f"{symbol} stays in hedge mode: {problem}" if problem else f"{symbol} is in one-way mode now")
    return check_target.run()


# `check --trade`: the smallest orders on one symbol, each step as it ends.


_NEEDED = ("host", "region", "key", "signature", "expiry", "ip", "trade_permission", "read_only")
_YES = "yes"


def smoke_trade(
    check_target: AccountCheckTarget, report: Report, *, symbol: str | None, tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Each step: `name`, `passed`, `message`. Raises NotDone where it cannot begin, and Unusable for a bad symbol."""
    from relay.bybit.checklist import State
    from relay.execution.smoke_trade import SmokeTrade, SmokeTradeImpossible

    red = [each for each in (report.check(name) for name in _NEEDED) if each.state is State.RED]
    if red:
        tell(f"trade: nothing was ordered: {red[0].name} is red")
        return [{"name": "begin", "passed": False, "message": f"nothing was ordered: {red[0].name} is red"}]
    instrument = _instrument(check_target, symbol)
    _ask_for_leave(check_target, instrument.symbol)
    tell(f"trade: the smallest orders of {instrument.symbol}; a relay that runs beside this may show the position")
    steps: list[dict[str, Any]] = []
    try:
        for step in SmokeTrade(check_target.exchange, instrument).run():
            tell(f"  {'ok    ' if step.passed else 'FAILED'} {step.name}: {step.message}")
            steps.append({"name": step.name, "passed": step.passed, "message": step.message})
    except SmokeTradeImpossible as error:
        tell(f"  FAILED {error}")
        steps.append({"name": "begin", "passed": False, "message": str(error)})
    return steps


def _instrument(check_target: AccountCheckTarget, symbol: str | None) -> Instrument:
    from relay.errors import ExchangeAnswered, ExchangeUnreachable

    allowed = sorted(check_target.expected_account.symbols or ())
    wanted = (symbol or (allowed[0] if allowed else "BTCUSDT")).upper()
    try:
        listed = {each.symbol: each for each in check_target.exchange.instruments() if each.is_trading}
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        raise NotDone(f"nothing was ordered: {error}") from error
    if wanted not in listed:
        raise Unusable(f"--symbol: {wanted} is not traded there; it should be the exchange's name, such as BTCUSDT")
    return listed[wanted]


def _ask_for_leave(check_target: AccountCheckTarget, symbol: str) -> None:
    """Real money moves only after a typed yes."""
    if not check_target.expected_account.environment.is_real_money:
        return
    said = click.prompt(
        f"This places real orders of {symbol} with REAL MONEY, of the least size. Type {_YES} to go on",
        default="",
        show_default=False,
        err=True,
    )
    if str(said).strip().lower() != _YES:
        raise NotDone("nothing was ordered")
