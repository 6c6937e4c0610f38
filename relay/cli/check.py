"""`check`: the connection checklist, its one repair, and the smoke trade with `--trade`; `connect`: a key is asked for,
checked, and only then written."""

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
import contextlib
import os
import re
import secrets
import sys
import termios
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from relay.errors import SettingsInvalid

if TYPE_CHECKING:
    from relay.bybit.checklist import Report
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
    from relay.settings.settings import require_folders

    require_folders(settings)
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


# `connect`: asks for a key, checks it, and only then writes it to `.env`.


# Asking a person on the terminal, or a script by its input: secrets are not echoed, and may have several lines.


_LINES_MAX = 200


def ask(question: str, *, default: str = "") -> str:
    """One line, echoed where it is typed. Raises NotDone at the end of the input."""
    click.echo(f"{question} [{default}]: " if default else f"{question}: ", nl=False, err=True)
    return _line().strip() or default


def ask_unseen(question: str) -> str:
    """A secret: one line, or a PEM from its first line to its last. Raises NotDone at the end of the input."""
    click.echo(f"{question}: ", nl=False, err=True)
    with _without_echo():
        lines = [_line()]
        if "-----BEGIN" in lines[0] and "-----END" not in lines[0]:
            while "-----END" not in lines[-1] and len(lines) < _LINES_MAX:
                lines.append(_line())
    if sys.stdin.isatty():
        click.echo(err=True)
    return "".join(lines).strip()


def _line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise NotDone("nothing was written: the input ended before everything was asked")
    return line


@contextlib.contextmanager
def _without_echo() -> Iterator[None]:
    """Not getpass, which takes one line and throws away what was pasted behind it."""
    if not sys.stdin.isatty():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    silent = before[:3] + [before[3] & ~termios.ECHO] + before[4:]
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


# Where the key of an account is written: which variables hold it, and in which environment it works.


_UNSET: Final = "not-connected-yet"
"""Stands for the keys of the other accounts while one is looked at: they are neither read nor written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The variables of one account's key."""

    account: str | None
    """None where there is one account, and RELAY_CONFIG names none."""
    key: str
    secret: str
    environment: str | None
    """As RELAY_CONFIG says; None means that a person is asked, or that BYBIT_ENV says it."""
    others: tuple[str, ...] = ()
    """Variables of other accounts' keys that are not set yet."""

    def stand_ins(self) -> dict[str, str]:
        return dict.fromkeys(self.others, _UNSET)


def find_place(account: str | None, dotenv: Path) -> Place:
    """Raises Unusable for an account that is not there, or whose key has no variables."""
    from dotenv import dotenv_values

    known = {**(dotenv_values(dotenv) if dotenv.is_file() else {}), **os.environ}
    tables = _accounts(str(known.get("RELAY_CONFIG") or ""))
    if not tables:
        if account not in (None, "default"):
            raise Unusable(f"--account: there is no account `{account}`; it should be default")
        return Place(account=None, key="BYBIT_API_KEY", secret="BYBIT_API_SECRET", environment=None)  # noqa: S106
    name = account or (next(iter(tables)) if len(tables) == 1 else "")
    table = tables.get(name)
    if not isinstance(table, Mapping):
        raise Unusable(f"--account: there is no account `{name}`; it should be one of {', '.join(tables)}")
    key, secret = table.get("api_key_env"), table.get("api_secret_env")
    if not isinstance(key, str) or not isinstance(secret, str):
        raise Unusable(
            f"accounts.{name}: api_key_env and api_secret_env are missing; they should name the variables that "
            "`connect` is to write"
        )
    named = {
        str(each[half])
        for each in tables.values()
        if isinstance(each, Mapping)
        for half in ("api_key_env", "api_secret_env")
        if each.get(half)
    }
    others = tuple(sorted(each for each in named - {key, secret} if not known.get(each)))
    environment = str(table.get("environment") or known.get("BYBIT_ENV") or "paper")
    return Place(account=name, key=key, secret=secret, environment=environment, others=others)


def _accounts(given: str) -> Mapping[str, Any]:
    """What is wrong with RELAY_CONFIG is told when the settings are read."""
    from relay.settings.toml import content_of

    found = content_of(given, []).get("accounts") if given else None
    return found if isinstance(found, Mapping) else {}


# Changing a few lines of `.env` and nothing else: readable by its owner only, and whole or not at all.


_BARE = re.compile(r"[A-Za-z0-9_./:+=@,-]+")


def rewrite(path: Path, values: Mapping[str, str]) -> None:
    """Set each name to its value; other lines stay as they are, comments too. Raises OSError and UnicodeDecodeError."""
    from dotenv.parser import parse_stream

    target = path.resolve()
    stored: list[str] = []
    if target.exists():
        with target.open(encoding="utf-8") as file:
            # A value may have several lines: what belongs to a name is for the parser to say.
            stored = [each.original.string for each in parse_stream(file) if each.key not in values]
    text = "".join(stored)
    text += "\n" if text and not text.endswith("\n") else ""
    text += "".join(f"{name}={quoted(value)}\n" for name, value in values.items())
    _replace(target, text.encode())


def quoted(value: str) -> str:
    """As python-dotenv reads it back; line ends are written as `\\n`, so that a name has one line."""
    if _BARE.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _replace(target: Path, content: bytes) -> None:
    beside = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


_FILE: Final = Path(".env")
_TRIES: Final = 3
_LIMIT: Final = "MAX_POSITION_NOTIONAL"
_OF_THE_KEY: Final = frozenset(
    {
        *("host", "region", "key", "signature", "expiry", "ip", "trade_permission", "read_only"),
        *("withdraw_permission", "transfer_permission", "other_permissions"),
    }
)
"""What another key, or a correction of this one, would mend."""


@click.command()
@click.option("--account", metavar="NAME", help="The account to connect, of several.")
def connect(account: str | None) -> None:
    """Ask for environment, key and secret, look whether they work, and write them to `.env` if they do.

    The secret is not echoed: paste it, or a PEM private key, or name the PEM's file.
    """
    place = find_place(account, _FILE)
    tries = _TRIES if sys.stdin.isatty() else 1
    for left in reversed(range(tries)):
        values = _requested(place)
        settings = _settled(values, place)
        report = _report_of(settings, place.account)
        wrong = [each for each in report.checks if each.name in _OF_THE_KEY and each.state == "red"]
        if not wrong:
            _write(values, place, settings, report)
            return
        why = "; ".join(f"{each.name}: {each.message}" for each in wrong)
        if left == 0:
            raise NotDone(f"not connected, and nothing was written: {clean(why)}")
        remark(f"not connected: {clean(why)}; once more")


def _requested(place: Place) -> dict[str, str]:
    """What is to be written."""
    values = {} if place.environment else {"BYBIT_ENV": _requested_environment()}
    key = ask(f"API key of {place.account} ({place.environment})" if place.account else "API key")
    secret = ask_unseen("API secret, RSA private key (PEM), or the path of its file; it is not shown")
    if not key or not secret:
        raise NotDone("nothing was written: a key and its secret are needed")
    if "-----BEGIN" not in secret and Path(secret).expanduser().is_file():
        secret = str(Path(secret).expanduser().resolve())
    return {**values, place.key: key, place.secret: secret}


def _requested_environment() -> str:
    from relay.settings.environment import Environment

    known = [each.value for each in Environment]
    environment = ask(f"Environment ({', '.join(known)})", default="demo").lower()
    if environment not in known:
        raise NotDone(
            f"nothing was written: {clean(environment)} is no environment; it should be one of {', '.join(known)}"
        )
    return environment


def _settled(values: dict[str, str], place: Place) -> Settings:
    """The settings as they will be. A limit that mainnet still lacks does not keep the key from being tried."""
    from relay.settings.settings import load_settings

    environ = {**os.environ, **place.stand_ins(), **values}
    try:
        return load_settings(environ)
    except SettingsInvalid as error:
        if all(problem.startswith(f"{_LIMIT}: it is missing") for problem in error.problems):
            return load_settings({**environ, _LIMIT: "none"})
        raise


def _report_of(settings: Settings, account: str | None) -> Report:
    from relay.app.account_checks import open_check_targets

    with open_check_targets(settings, account) as check_targets:
        ((name, check_target),) = check_targets
        say(heading(name, check_target.expected_account.environment, check_target.expected_account.host))
        report = check_target.run()
    say("\n".join(lines_of(report)))
    return report


def _write(values: dict[str, str], place: Place, settings: Settings, report: Report) -> None:
    try:
        rewrite(_FILE, values)
    except (OSError, UnicodeDecodeError) as error:
        raise NotDone(f"the key works, but {_FILE} cannot be written: {error}") from error
    for name in sorted(values.keys() & os.environ.keys()):
        remark(f"{name} is set in the environment, too, and wins over {_FILE}: unset it")
    if place.account is None and settings.environment.is_real_money and not _has_limit():
        remark(f"before mainnet starts it needs {_LIMIT}: the most that a position may be worth, or `none`")
    hindering = "; ".join(f"{each.name}: {each.message}" for each in report.hindering())
    if hindering:
        raise NotDone(f"the key works and {_FILE} is written, but not connected yet: {clean(hindering)}")
    say(f"connected: {_FILE} is written, readable by you only")


def _has_limit() -> bool:
    from dotenv import dotenv_values

    return bool(os.environ.get(_LIMIT) or dotenv_values(_FILE).get(_LIMIT))
