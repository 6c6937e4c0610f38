"""The commands by name. What a command needs is imported when it runs: `--help` loads none of it."""

from __future__ import annotations

import errno
import io
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from relay import __version__
from relay.cli.client import INTERRUPTED, NotDone, RequestRefused, Unreachable, Unusable, clean, say
from relay.errors import RelayError, SettingsInvalid

_MODULE: Final = "python -m relay"
_INSTALLED: Final = "relay"
ELSEWHERE: Final = (
    ("alert", "alerts", "Print an alert message to paste into TradingView."),
    ("backup", "control", "Copy the journal to FILE, beside a running relay."),
    ("breakeven", "control", "Move the stop loss of one position to its average entry, and tell what became of it."),
    ("cancel", "control", "Cancel one of the relay's own orders that rest; `orders --open` lists them."),
    ("check", "check", "Look at the connection, the key and the account."),
    ("close", "control", "Close one position, or a part of it, and tell what became of it; halted or not."),
    ("compare", "trades", "Hold TradingView's alerts log, and a strategy's list of trades, against the journal."),
    ("connect", "check", "Ask for environment, key and secret, look whether they work, and write them to `.env`."),
    ("export", "control", "Write what the journal holds of some days, as CSV."),
    ("flatten", "control", "Halt, then cancel and close what the relay traded (or everything)."),
    ("halt", "control", "Allow no new entries, restarts included; exits go on."),
    ("notify-test", "control", "Send a test to each recipient of NOTIFY_URLS."),
    ("orders", "signals", "The relay's orders, the latest first; with --open what rests just now, whoever placed it."),
    ("plan", "alerts", "Show what the alert in FILE would do now, without doing it."),
    ("positions", "signals", "The open positions."),
    ("rename-account", "control", "Tell the journal that the account OLD is called NEW now."),
    ("restore", "control", "Bring the journal back from a FILE that `backup` made."),
    ("resume", "control", "Allow new entries again."),
    ("retry", "control", "Open a signal again with a new plan, if no order of it can have had an effect."),
    ("seen", "control", "Say that you have looked at a signal in `attention`."),
    ("send", "alerts", "Post the alert in FILE, or in what comes in for `-`, to the running relay."),
    ("signals", "signals", "What became of the alerts: what needs attention first, then the latest first."),
    ("trades", "trades", "Round trips with what they earned, the latest begun first."),
)
"""The commands in other files of this folder: name, file, and how its help begins."""


class _Elsewhere(click.Command):
    """A command in another file, which is read once the command is called."""

    def __init__(self, name: str, file: str, help: str) -> None:
        super().__init__(name, help=help)
        self._where = f"relay.cli.{file}", name.replace("-", "_")

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """The context of the command itself, which is what click runs."""
        file, function = self._where
        command: click.Command = getattr(import_module(file), function)
        return command.make_context(*arguments, **more)


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
    from relay.settings.settings import load_settings, require_folders

    settings = load_settings()
    require_folders(settings)
    bring_up_to_date(settings)
    where = settings.journal_path or "in Postgres"
    say(f"the journal {clean(where)} has the current schema")


for _each in ELSEWHERE:
    cli.add_command(_Elsewhere(*_each))


def main() -> None:
    """Runs the command that the program's arguments name, and exits."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter must not end a command
    cli.main(prog_name=_INSTALLED if Path(sys.argv[0]).stem == _INSTALLED else _MODULE)
