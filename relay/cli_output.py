"""How the commands print: aligned tables, named facts, JSON. Nothing that came from outside reaches a terminal raw."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import click

_GAP: Final = "  "
_LAST_COLUMN_MIN: Final = 24
_WIDTH_UNBOUNDED: Final = 1_000_000


def clean(text: object) -> str:
    """In one line, and without what could steer a terminal: an alert's text is anybody's."""
    return "".join(letter if letter.isprintable() else "·" for letter in " ".join(str(text).split()))


def say(line: str = "") -> None:
    """One line of the answer."""
    click.echo(line)


def remark(line: str) -> None:
    """One line beside the answer, on stderr, so that a pipe gets the answer alone."""
    click.echo(line, err=True)


def say_json(body: object) -> None:
    """What the API said, escaped so that it can hold nothing but text."""
    click.echo(json.dumps(body, indent=2))


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, indent: str = "") -> list[str]:
    """Lines in columns, as wide as they need; columns without any cell are left out.

    Only the last column holds sentences: on a terminal it goes on in further lines of its own.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    used = [index for index in range(len(titles)) if any(row[index] for row in cells)]
    shown = [[titles[index] for index in used], *([row[index] for index in used] for row in cells)]
    widths = [max(len(row[index]) for row in shown) for index in range(len(used))]
    before = len(indent) + sum(width + len(_GAP) for width in widths[:-1])
    last_width = max(_terminal_width() - before, _LAST_COLUMN_MIN)
    lines = []
    for row in shown:
        first, *more = textwrap.wrap(row[-1], last_width) or [""]
        padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append((indent + _GAP.join([*padded, first])).rstrip())
        lines += [" " * before + line for line in more]
    return lines


def facts(named: Mapping[str, object], *, indent: str = "  ") -> list[str]:
    """A line each: a name and its value; those without a value are left out."""
    known = {clean(name): clean(value) for name, value in named.items() if value not in (None, "")}
    width = max(map(len, known), default=0)
    return [f"{indent}{name.ljust(width)}  {value}" for name, value in known.items()]


def moment(rfc3339: object) -> str:
    """An API's time to the second, for a table."""
    at = read_moment(rfc3339)
    return at.strftime("%Y-%m-%d %H:%M:%SZ") if at else clean(rfc3339 or "")


def read_moment(rfc3339: object) -> datetime | None:
    """An API's time; None where it is none."""
    try:
        return datetime.fromisoformat(rfc3339) if isinstance(rfc3339, str) else None
    except ValueError:
        return None


def reason_text(reason: object) -> str:
    """`CODE: sentence` of a reason as the API shows it; empty for none."""
    if isinstance(reason, Mapping):
        return ": ".join(str(reason[name]) for name in ("code", "message") if reason.get(name))
    return str(reason or "")


def detail_text(detail: Any) -> str:
    """The detail of a step, in one line."""
    if isinstance(detail, Mapping):
        return ", ".join(f"{name} {_inner(value)}" for name, value in detail.items() if value not in (None, {}, []))
    return "" if detail is None else _inner(detail)


def _inner(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({detail_text(value)})"
    if isinstance(value, list):
        return "; ".join(map(_inner, value))
    return "yes" if value is True else "no" if value is False else str(value)


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH_UNBOUNDED
