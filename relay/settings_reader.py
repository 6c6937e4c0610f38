"""Reads variables from the environment and `.env`, and collects what is wrong with them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from environs import Env, EnvValidationError

T = TypeVar("T")
D = TypeVar("D")


class _Environ(Env):
    """Variables from a mapping, over those of a `.env` file; the process's own environment is never changed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(eager=False)
        self._given = environ

    def _get_value(self, env_key: str, default: Any) -> Any:
        return self._given.get(env_key, self._environ.get(env_key, default))


class Reader:
    """Reads variables one by one and remembers what is wrong with each."""

    def __init__(self, environ: Mapping[str, str] | None, dotenv: Path | None) -> None:
        self._env = _Environ(os.environ if environ is None else environ)
        self._given = environ
        self.known: set[str] = set()
        self.problems: list[str] = []
        if dotenv is not None:
            self._read_file(dotenv)

    def _read_file(self, dotenv: Path) -> None:
        try:
            self._env.read_env(dotenv, recurse=False)
        except (OSError, ValueError) as error:
            kind = type(error).__name__
            self.problems.append(f"{dotenv}: it cannot be read ({kind}); it should be a UTF-8 file of NAME=value lines")

    def text(self, name: str) -> str:
        """The variable without surrounding white space; empty if it is not set, which is the same as set to nothing."""
        self.known.add(name)
        return str(self._env.str(name, "")).strip()

    def read(self, name: str, parse: Callable[[str], T], default: D) -> T | D:
        """The value; after a problem, which is remembered, something that is never used."""
        if not self.text(name):
            return default
        parser = f"parse_{name}"
        self._env.add_parser(parser, lambda text: parse(text.strip()))
        value: T | D = getattr(self._env, parser)(name)
        return value

    def close(self) -> list[str]:
        """All problems, one line each."""
        try:
            self._env.seal()
        except EnvValidationError as error:
            found = error.error_messages
            assert isinstance(found, Mapping), f"problems come by variable: {found!r}"
            for name, messages in found.items():
                self.problems += [f"{name}: {message}" for message in messages]
        return self.problems

    def misspelt(self) -> tuple[str, ...]:
        """Variables that nobody reads although their names say that somebody should."""
        names = {*self._env._environ, *(os.environ if self._given is None else self._given)} - self.known
        lines = []
        for name in sorted(names):
            near = difflib.get_close_matches(name.upper(), self.known, n=1, cutoff=0.85 if len(name) > 7 else 1)
            if near or name.startswith(("BYBIT_", "RELAY_")):
                nearest = near or difflib.get_close_matches(name, self.known, n=1, cutoff=0)
                lines.append(f"{name}: no such setting, it has no effect; perhaps {nearest[0]} was meant")
        return tuple(lines)
