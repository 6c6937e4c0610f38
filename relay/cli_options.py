"""What the commands share: where the relay is, how they complain, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import click

from relay.cli_client import is_address
from relay.cli_output import clean

Command = TypeVar("Command", bound=Callable[..., Any])

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C."""
ALERT_BYTES_MAX: Final = 64 * 1024


class NotDone(click.ClickException):
    """Ends a command with words on stderr: the answer is no."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        for line in self.message.splitlines():
            click.echo(clean(line), file=file, err=file is None)


class Unusable(NotDone):
    """Bad usage, bad settings, or a relay that cannot be reached."""

    exit_code = 2


class _Address(click.ParamType[str]):
    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).rstrip("/")
        if not is_address(text):
            self.fail("it should be the relay's address, such as https://relay.example.com", param, ctx)
        return text


with_url = click.option(
    "--url", type=_Address(), help="Where the relay is, if not on this machine's 127.0.0.1:$PORT.", metavar="URL"
)
with_json = click.option("--json", "as_json", is_flag=True, help="Print what the API answers.")
with_strategy = click.option("--strategy", metavar="NAME", help="The strategy the alert is for.")


def one_of(kind: type[StrEnum]) -> click.Choice[str]:
    """A choice of the enum's values, in any case."""
    return click.Choice([member.value for member in kind], case_sensitive=False)


def with_alert(command: Command) -> Command:
    """The argument FILE, of which the command gets the bytes as `body`."""
    kind = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
    return click.argument("body", metavar="FILE|-", type=kind, callback=_read)(command)


def _read(context: click.Context, parameter: click.Parameter, path: Path) -> bytes:
    try:
        with click.open_file(str(path), "rb") as file:
            body: bytes = file.read(ALERT_BYTES_MAX + 1)
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be read: {error.strerror}", context, parameter) from error
    if len(body) > ALERT_BYTES_MAX:
        raise click.BadParameter("an alert is at most 64 KiB", context, parameter)
    return body
