"""Asking a person on the terminal, or a script by its input: secrets are not echoed, and may have several lines."""

from __future__ import annotations

import contextlib
import sys
import termios
from collections.abc import Iterator

import click

from relay.cli_options import NotDone

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
