"""What a request asks for in its query: read strictly, all that is wrong with it told at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from flask import request

from relay.web.body import whole_body
from relay.web.problems import request_invalid

Choice = TypeVar("Choice", bound=StrEnum)

LIMIT_MAX: Final = 500
_YES: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class Query:
    """Take each parameter once, then `close`, which raises a Problem for everything that was wrong."""

    def __init__(self) -> None:
        self._given = {name: values[-1].strip() for name, values in request.args.lists()}
        self._known: list[str] = []
        self._problems: dict[str, list[str]] = {}

    def text(self, name: str) -> str | None:
        """None where it is absent or empty."""
        self._known.append(name)
        return self._given.get(name) or None

    def symbol(self, name: str) -> str | None:
        text = self.text(name)
        return text.upper() if text else None

    def choice(self, name: str, kind: type[Choice]) -> Choice | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return kind(text.lower())
        except ValueError:
            self.wrong(name, f"{text[:60]!r} is none of {_listed(member.value for member in kind)}")
            return None

    def limit(self, name: str, default: int) -> int:
        text = self.text(name)
        if text is None:
            return default
        if text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= LIMIT_MAX:
            return int(text)
        self.wrong(name, f"{text[:60]!r} is no whole number from 1 to {LIMIT_MAX}")
        return default

    def flag(self, name: str) -> bool:
        text = self.text(name)
        if text is None or text.lower() in _YES:
            return text is not None and _YES[text.lower()]
        self.wrong(name, f"{text[:60]!r} is neither 1 nor 0")
        return False

    def wrong(self, name: str, problem: str) -> None:
        self._problems.setdefault(name, []).append(problem)

    def close(self) -> None:
        for name in self._given:
            if name not in self._known:
                self.wrong(name[:60], f"it is no parameter here; there are {_listed(self._known) or 'none'}")
        if self._problems:
            raise request_invalid(self._problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a query: how it is read, and how it is described."""

    read: Callable[[Query, str], Any]
    form: dict[str, Any]
    argument: str | None = None
    """What the view calls it; None: as it is called."""


def text(*, argument: str | None = None) -> Parameter:
    return Parameter(read=Query.text, form={"type": "string"}, argument=argument)


def symbol() -> Parameter:
    return Parameter(read=Query.symbol, form={"type": "string"})


def flag(*, argument: str | None = None) -> Parameter:
    return Parameter(read=Query.flag, form={"type": "string", "enum": ["1", "0"]}, argument=argument)


def limit(default: int) -> Parameter:
    form = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}
    return Parameter(read=lambda query, name: query.limit(name, default), form=form)


def choice(kind: type[StrEnum]) -> Parameter:
    form = {"type": "string", "enum": [member.value for member in kind]}
    return Parameter(read=lambda query, name: query.choice(name, kind), form=form)


def read_query(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Each one's value by the view's name for it. Raises a Problem for everything that is wrong, unknown ones, too."""
    query = Query()
    values = {each.argument or name: each.read(query, name) for name, each in parameters.items()}
    query.close()
    return values


def flag_of_body(name: str) -> bool:
    """The one flag that the JSON body may hold; no body is the same as false. Raises a Problem."""
    body = whole_body().strip()
    try:
        given = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise request_invalid({"body": [f'it is no JSON object; it should be empty or like {{"{name}": true}}']})
    problems = {key[:60]: [f"it is no field here; there is {name}"] for key in given if key != name}
    wanted = given.get(name, False)
    if not isinstance(wanted, bool):
        problems[name] = ["it is neither true nor false"]
    if problems:
        raise request_invalid(problems)
    return bool(wanted)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
