"""The commands by name. What a command needs is imported when it runs: `--help` loads none of it."""

from __future__ import annotations

import errno
import io
import sys
from typing import Any, Final

import click

from relay import __version__
from relay.cli.alerts import alert, plan, send
from relay.cli.check import check
from relay.cli.client import INTERRUPTED, NotDone, RequestRefused, Unreachable, Unusable, clean, say
from relay.cli.compare import compare
from relay.cli.connect import connect
from relay.cli.control import flatten, halt, resume, retry, seen
from relay.cli.keep import backup, export, notify_test, restore
from relay.cli.signals import orders, positions, signals
from relay.cli.trades import trades
from relay.errors import RelayError, SettingsInvalid

PROGRAM: Final = "python -m relay"


class _Commands(click.Group):
    """Ends every command with words and an exit code, never with a traceback of what was to be expected."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (SettingsInvalid, Unreachable) as error:
            raise Unusable(str(error)) from error
        except RequestRefused as error:
            raise (Unusable if error.is_bad_usage else NotDone)(str(error)) from error
        except RelayError as error:
            raise NotDone(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click ends quietly where nobody reads on
            raise NotDone(f"{error.filename or 'the system'}: {error.strerror or error}") from error
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="relay", message="%(prog)s %(version)s")
def cli() -> None:
    """Turns TradingView alerts into Bybit perpetual orders, each exactly once.

    Every command reads `.env` in the working directory; real variables win.
    """


@cli.command()
@click.pass_context
def serve(context: click.Context) -> None:
    """Run the relay on 127.0.0.1:$PORT until Ctrl-C; with nothing configured, on paper."""
    from relay.app.serve import serve as run
    from relay.settings.settings import load_settings

    context.exit(run(load_settings()))


@cli.command()
def worker() -> None:
    """Execute what the web processes accept, until SIGTERM; needs Postgres."""
    from relay.app.serve import work
    from relay.settings.settings import load_settings

    work(load_settings())


@cli.command()
def migrate() -> None:
    """Bring the journal to the current schema; safe to repeat."""
    from relay.app.engines import migrate_all as bring_up_to_date
    from relay.settings.settings import load_settings

    settings = load_settings()
    bring_up_to_date(settings)
    where = settings.journal_path or "in Postgres"
    say(f"the journal {clean(where)} has the current schema")


for _command in (
    check,
    connect,
    send,
    signals,
    positions,
    orders,
    trades,
    compare,
    plan,
    alert,
    halt,
    resume,
    flatten,
    seen,
    retry,
    notify_test,
    backup,
    restore,
    export,
):
    cli.add_command(_command)


def main() -> None:
    """Runs the command that the program's arguments name, and exits."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter must not end a command
    cli.main(prog_name=PROGRAM)
