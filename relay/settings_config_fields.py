"""How the values that only RELAY_CONFIG has are read: shares, durations, hours, references to secrets."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from environs import ValidationError

from relay import settings_fields as fields
from relay.domain.account import TradingHours
from relay.settings_fields import Secret
from relay.settings_toml import Table, as_text

T = TypeVar("T")

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
FORMATS: Final = ("native", "strategy_bot", "3commas", "okx", "wundertrading", "bot", "traderspost")
"""The names of the alerts' formats, here because the settings are read before anything that reads alerts."""
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DURATION: Final = re.compile(r"([0-9]{1,9})\s*([smhd]?)", re.IGNORECASE)
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(:00)?")


def name_problem(name: str) -> str | None:
    """What is wrong with an account's or a strategy's name, which stands in addresses; None: nothing."""
    if NAME.fullmatch(name):
        return None
    return "its name does not do; it should be letters, digits, `_` and `-`, at most 32, such as main"


def percent(least: str, most: int) -> Callable[[str], Decimal]:
    """A number of percent, with or without its sign, above `least` and up to `most`."""

    def parse(text: str) -> Decimal:
        number = text.removesuffix("%").strip()
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", number) and Decimal(least) < Decimal(number) <= most:
            return Decimal(number)
        raise ValidationError(f"{text[:40]!r} does not do; it should be above {least} and at most {most}, such as 2%")

    return parse


def duration(least_s: int, most_s: int) -> Callable[[str], int]:
    """Seconds, or a number with `s`, `m`, `h` or `d`."""

    def parse(text: str) -> int:
        match = _DURATION.fullmatch(text)
        seconds = int(match[1]) * _SECONDS[match[2].lower()] if match else -1
        if least_s <= seconds <= most_s:
            return seconds
        raise ValidationError(
            f"{text[:40]!r} does not do; it should be {least_s} to {most_s} seconds, such as 90 or 15m"
        )

    return parse


def seconds(least: str, most: int) -> Callable[[str], int]:
    """Seconds with at most three decimals, as milliseconds."""

    def parse(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", text) and Decimal(least) <= Decimal(text) <= most:
            return int(Decimal(text) * 1000)
        raise ValidationError(f"{text[:40]!r} does not do; it should be {least} to {most} seconds, such as 30")

    return parse


def alert_format(text: str) -> str:
    """The name of an alert's format."""
    if text.lower() in FORMATS:
        return text.lower()
    raise ValidationError(f"{text[:40]!r} is not known; it should be one of {', '.join(FORMATS)}")


def symbol(text: str) -> str:
    """One of Bybit's symbols."""
    (found,) = fields.symbols(text) if len(text.split()) == 1 else ("",)
    if not found:
        raise ValidationError(f"{text[:40]!r} is no symbol; it should be one of Bybit's names, such as BTCUSDT")
    return found


def hours(table: Table, key: str) -> tuple[TradingHours, ...]:
    """One period, or a list of them; empty where the key is absent, wrong or `none`."""
    given = table.value(key)
    if given is None or (isinstance(given, str) and given.strip().lower() == fields.NONE):
        return ()
    periods = given if isinstance(given, list) else [given]
    if not periods or not all(isinstance(each, dict) for each in periods):
        example = '{ zone = "Europe/Berlin", days = "mon-fri", from = "09:00", to = "17:30" }'
        table.problem(key, f'it is no period; it should be like {example}, a list of them, or "none"')
        return ()
    return tuple(_period(Table(each, table.dotted(key), table.problems)) for each in periods)


def _period(table: Table) -> TradingHours:
    period = TradingHours(
        zone=table.read("zone", _zone, "UTC"),
        weekdays=table.read("days", _weekdays, frozenset(range(7))),
        opens=_clock_of(table, "from"),
        closes=_clock_of(table, "to"),
    )
    table.close()
    return period


def _clock_of(table: Table, key: str) -> time:
    """A TOML time, or text such as `09:30`; 24:00 is the midnight after."""
    given = table.value(key)
    if isinstance(given, time) and given.second == given.microsecond == 0:
        return given
    return time() if isinstance(given, time) else table.read(key, _clock, time())


def _clock(text: str) -> time:
    if text == "24:00":
        return time()
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValidationError(f"{text[:40]!r} is no time of day; it should be from 00:00 to 24:00, such as 09:30")
    return time(int(match[1]), int(match[2]))


def _zone(text: str) -> str:
    try:
        return ZoneInfo(text).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValidationError(f"{text[:40]!r} is no time zone; it should be like Europe/Berlin or UTC") from None


def _weekdays(text: str) -> frozenset[int]:
    """`mon-fri`, `sat,sun`, `fri-mon`."""
    found: set[int] = set()
    for word in re.split(r"[\s,]+", text.lower().strip(" ,")):
        first, _, last = word.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise ValidationError(f"{word[:40]!r} is no day; it should be like mon-fri or sat,sun")
        start, end = _DAYS.index(first), _DAYS.index(last or first)
        found.update(day % 7 for day in range(start, end + 1 if end >= start else end + 8))
    return frozenset(found)


def referred(table: Table, key: str, environ: Callable[[str], str], parse: Callable[[str], T], default: T) -> T:
    """What `key_env` or `key_file` refer to. The secret itself in the file is a problem, and is not shown."""
    in_variable, in_file = f"{key}_env", f"{key}_file"
    if table.value(key) is not None:
        table.problem(key, f"a secret does not belong here; it should be a reference: {in_variable} or {in_file}")
        return default
    variable, path = table.read(in_variable, as_text, ""), table.read(in_file, as_text, "")
    if variable and path:
        table.problem(in_variable, f"{in_file} is there, too; it should be one of them")
        return default
    asked, text = (in_variable, environ(variable)) if variable else (in_file, "")
    if variable and not text:
        # Only what looks like a variable's name is shown: somebody may have put the secret itself there.
        name = variable if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", variable) and len(variable) < 60 else "it"
        table.problem(asked, f"{name} is not set; it should name an environment variable that holds the secret")
    if path:
        text = _read_secret(table, in_file, Path(path))
    if not text:
        return default
    try:
        return parse(text)
    except ValidationError as error:
        table.problem(asked, "what it refers to does not do: " + "; ".join(map(str, error.messages)))
        return default


def _read_secret(table: Table, key: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no UTF-8 text"
        table.problem(key, f"the file cannot be read ({why}); it should be the path of a file that holds the secret")
        return ""
    if not text:
        table.problem(key, "the file is empty; it should hold the secret")
    return text


def signing_secret(text: str) -> Secret:
    """An API secret, or the path of a PEM; of a PEM that it is a private key that can sign."""
    found = fields.api_secret(text)
    if "-----BEGIN" not in found.reveal():
        return found
    from Crypto.PublicKey import RSA

    try:
        key = RSA.import_key(found.reveal())
    except (ValueError, IndexError, TypeError):
        raise ValidationError("it is not a readable PEM key; it should be an RSA private key") from None
    if not key.has_private():
        raise ValidationError("it is a public key; it should be the RSA private key")
    return found
