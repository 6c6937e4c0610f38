"""Reading RELAY_CONFIG key by key: what is wrong is collected under the key's dotted name."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from environs import ValidationError

from relay.domain.limits import LIMITS, Limit, LimitUnit
from relay.domain.rules import Rules, TradingHours
from relay.settings import environment as fields
from relay.settings.environment import Reader

T = TypeVar("T")
D = TypeVar("D")

_LINE: Final = re.compile(r"\(at (?:line (?P<line>\d+), column \d+|end of document)\)")
_SHOWN_MAX: Final = 40


def content_of(given: str, problems: list[str]) -> Mapping[str, Any]:
    """The TOML that RELAY_CONFIG is, or that stands in the file it names; empty after a problem."""
    text = given if _is_toml(given) else _text_of(Path(given), problems)
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        line = found["line"] if found and found["line"] else str(text.count("\n") + 1)
        words = _LINE.sub("", str(error)).strip()
        problems.append(f"RELAY_CONFIG: line {line}: {words}; it should be TOML, such as max_order_notional = 100")
    except ValueError:
        problems.append("RELAY_CONFIG: a date or number in it cannot be; it should be TOML")
    return {}


def _is_toml(given: str) -> bool:
    """A path is one line, and neither begins a table nor gives a key its value."""
    return "\n" in given or given.startswith(("[", "#")) or re.match(r"[\w.\-\"' ]+=", given) is not None


def _text_of(path: Path, problems: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no UTF-8 text"
        problems.append(f"RELAY_CONFIG: it cannot be read ({why}); it should be a TOML file's path, or the TOML itself")
        return ""


class Table:
    """Keys are known once somebody has asked for them; `close` names the others."""

    def __init__(self, content: Mapping[str, Any], path: str, problems: list[str]) -> None:
        """`path`: the table's dotted name; empty for the whole file. `problems`: where what is wrong is put."""
        self._content = content
        self._known: set[str] = set()
        self.path = path
        self.problems = problems

    def has(self, key: str) -> bool:
        self._known.add(key)
        return key in self._content

    def problem(self, key: str, what: str) -> None:
        """`what` says what is wrong and what it should be."""
        self.problems.append(f"{self.dotted(key)}: {what}")

    def dotted(self, key: str) -> str:
        return ".".join(filter(None, (self.path, key)))

    def value(self, key: str) -> Any:
        """As TOML has it; None where it is absent."""
        self._known.add(key)
        return self._content.get(key)

    def read(self, key: str, parse: Callable[[str], T], default: D) -> T | D:
        """The value, parsed from its text like a variable's; a list counts as its members, separated by spaces."""
        given = self.value(key)
        if given is None:
            return default
        try:
            return parse(as_text(given))
        except ValidationError as error:
            self.problem(key, "; ".join(map(str, error.messages)))
            return default

    def table(self, key: str) -> Table:
        """The table `key`; an empty one where it is absent."""
        given = self.value(key)
        if given is not None and not isinstance(given, dict):
            self.problem(key, f"it is no table; it should be like [{self.dotted(key)}]")
        return Table(given if isinstance(given, dict) else {}, self.dotted(key), self.problems)

    def tables(self, key: str) -> dict[str, Table]:
        """The tables inside the table `key`, by name."""
        outer = self.table(key)
        return {name: outer.table(name) for name in outer._content}

    def names(self) -> tuple[str, ...]:
        """All keys there are, which are known from now on."""
        self._known.update(self._content)
        return tuple(self._content)

    def close(self) -> None:
        """Names every key that nobody has asked for, with the nearest that there is."""
        for key in self._content:
            if key not in self._known:
                near = difflib.get_close_matches(key.lower(), sorted(self._known), n=1, cutoff=0)
                self.problem(key[:_SHOWN_MAX], f"no such key; it should be one of those there are, perhaps {near[0]}")


def as_text(given: object) -> str:
    """A TOML value in the spelling of a variable. ValidationError for what has none."""
    if isinstance(given, str):
        return given.strip()
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, int):
        return str(given)
    if isinstance(given, Decimal):
        return format(given, "f")
    if isinstance(given, list):
        return " ".join(as_text(member) for member in given)
    raise ValidationError("it is neither a text nor a number; it should be one of them")


# How the values that only RELAY_CONFIG has are read: shares, durations, hours, references to secrets.


NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
FORMATS: Final = (
    *("native", "strategy_bot", "3commas", "3commas_dca", "okx", "wundertrading", "tvhub", "altrady", "mizar"),
    *("finandy", "signalbee", "pionex", "tickerly", "tvbit", "bot", "traderspost", "autoview"),
)
"""The names of the alerts' formats, here because the settings are read before anything that reads alerts."""
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DURATION: Final = re.compile(r"([0-9]{1,9})\s*([smhd]?)", re.IGNORECASE)
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(:00)?")


def name_problem(name: str) -> str | None:
    """What is wrong with an account's or a strategy's name, which stands in addresses; None if nothing is."""
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
    requested, text = (in_variable, environ(variable)) if variable else (in_file, "")
    if variable and not text:
        # Only what looks like a variable's name is shown: somebody may have put the secret itself there.
        name = variable if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", variable) and len(variable) < 60 else "it"
        table.problem(requested, f"{name} is not set; it should name an environment variable that holds the secret")
    if path:
        text = _read_secret(table, in_file, Path(path))
    if not text:
        return default
    try:
        return parse(text)
    except ValidationError as error:
        table.problem(requested, "what it refers to does not do: " + "; ".join(map(str, error.messages)))
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


# How limits are read: from the environment's variables, and from a `limits` table of RELAY_CONFIG.
#
# Which there are, and what their bounds may be, stands in `relay.domain.limits`.


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one table. `given`: the fields that it speaks of, if only to say `none`."""

    rules: Rules = field(default_factory=Rules)
    given: frozenset[str] = frozenset()

    @property
    def has_position_limit(self) -> bool:
        """Whether the question that mainnet asks is answered, if only with `none`."""
        return "max_position_notional" in self.given

    def over(self, defaults: Limits, *, silenced_by: Limits) -> Limits:
        """These, and of what neither they nor `silenced_by` speak, the defaults."""
        missing = defaults.given - self.given - silenced_by.given
        filled = replace(self.rules, **{name: getattr(defaults.rules, name) for name in missing})
        return Limits(rules=filled, given=self.given | missing)


def read_variables(reader: Reader) -> Limits:
    """The environment's, for every strategy where the file is silent."""
    variables = [(each, each.variable) for each in LIMITS if each.variable is not None]
    return _limits({each: reader.read(name, _or_none(each), None) for each, name in variables if reader.text(name)})


def read_limits(table: Table, *, strategy: Table | None = None) -> Limits:
    """Every key of the table, and of a strategy's own those that are limits; problems go with the tables'."""
    found: dict[Limit, Any] = {}
    for limit in LIMITS:
        place = strategy if limit.is_strategys_key else table
        if place is not None and place.has(limit.key):
            found[limit] = _read(limit, place)
    table.close()
    return _limits(found)


def _limits(found: dict[Limit, Any]) -> Limits:
    by_field = {limit.field: bound for limit, bound in found.items()}
    return Limits(rules=Rules(**by_field), given=frozenset(by_field))


def _read(limit: Limit, table: Table) -> Any:
    if limit.unit is not LimitUnit.HOURS:
        return table.read(limit.key, _or_none(limit), None)
    periods = hours(table, limit.key)
    return (periods,) if periods else None


def _or_none(limit: Limit) -> Callable[[str], Any]:
    """The bound, or the word `none` for deliberately no limit."""

    def parse(text: str) -> Any:
        if text.lower() == fields.NONE:
            return None
        try:
            return _bound_of(limit)(text)
        except ValidationError as error:
            raise ValidationError(f"{'; '.join(map(str, error.messages))}, or `none` for no limit") from None

    return parse


def _bound_of(limit: Limit) -> Callable[[str], Any]:
    match limit.unit:
        case LimitUnit.MONEY:
            return fields.money
        case LimitUnit.COUNT:
            return fields.whole(limit.least, limit.most)
        case LimitUnit.LEVERAGE:
            return fields.leverage
        case LimitUnit.PERCENT:
            return percent(str(limit.least), limit.most)
        case LimitUnit.SECONDS:
            return duration(limit.least, limit.most)
        case LimitUnit.SYMBOLS:
            return fields.symbols
        case LimitUnit.HOURS:
            raise AssertionError("periods are tables, not a text")
