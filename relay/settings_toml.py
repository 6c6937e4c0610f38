"""A table of RELAY_CONFIG, read key by key: what is wrong is collected under the key's dotted name."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from environs import ValidationError

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
