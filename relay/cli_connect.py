"""`connect`: asks for a key, looks whether it works, and only then writes it down."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from relay.cli_ask import ask, ask_unseen
from relay.cli_check import heading, lines_of
from relay.cli_connect_place import Place, find_place
from relay.cli_dotenv import rewrite
from relay.cli_options import NotDone
from relay.cli_output import clean, remark, say
from relay.errors import SettingsInvalid

if TYPE_CHECKING:
    from relay.exchange.account_point import Report
    from relay.settings import Settings

_FILE: Final = Path(".env")
_TRIES: Final = 3
_LIMIT: Final = "MAX_POSITION_NOTIONAL"
_OF_THE_KEY: Final = frozenset(
    {
        *("host", "region", "key", "signature", "expiry", "ip", "trade_permission", "read_only"),
        *("withdraw_permission", "transfer_permission"),
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
        values = _asked(place)
        settings = _settled(values, place)
        report = _looked_at(settings, place.account)
        wrong = [each for each in report.points if each.name in _OF_THE_KEY and each.state == "red"]
        if not wrong:
            _write(values, place, settings, report)
            return
        why = "; ".join(f"{each.name}: {each.message}" for each in wrong)
        if left == 0:
            raise NotDone(f"not connected, and nothing was written: {clean(why)}")
        remark(f"not connected: {clean(why)}; once more")


def _asked(place: Place) -> dict[str, str]:
    """What is to be written."""
    values = {} if place.environment else {"BYBIT_ENV": _asked_environment()}
    key = ask(f"API key of {place.account} ({place.environment})" if place.account else "API key")
    secret = ask_unseen("API secret, RSA private key (PEM), or the path of its file; it is not shown")
    if not key or not secret:
        raise NotDone("nothing was written: a key and its secret are needed")
    if "-----BEGIN" not in secret and Path(secret).expanduser().is_file():
        secret = str(Path(secret).expanduser().resolve())
    return {**values, place.key: key, place.secret: secret}


def _asked_environment() -> str:
    from relay.settings import Environment

    known = [each.value for each in Environment]
    environment = ask(f"Environment ({', '.join(known)})", default="demo").lower()
    if environment not in known:
        raise NotDone(
            f"nothing was written: {clean(environment)} is no environment; it should be one of {', '.join(known)}"
        )
    return environment


def _settled(values: dict[str, str], place: Place) -> Settings:
    """The settings as they will be. A limit that mainnet still lacks does not keep the key from being tried."""
    from relay.settings import load_settings

    environ = {**os.environ, **place.stand_ins(), **values}
    try:
        return load_settings(environ)
    except SettingsInvalid as error:
        if all(problem.startswith(f"{_LIMIT}: it is missing") for problem in error.problems):
            return load_settings({**environ, _LIMIT: "none"})
        raise


def _looked_at(settings: Settings, account: str | None) -> Report:
    from relay.checkup_open import open_patients

    with open_patients(settings, account) as patients:
        ((name, patient),) = patients
        say(heading(name, patient.subject.environment, patient.subject.host))
        report = patient.examine()
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
