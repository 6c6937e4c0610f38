"""What the commands promise as a whole: what there is, that help is quick, and that no secret is an argument."""

from __future__ import annotations

import subprocess
import sys

import click

from relay.cli.client import is_address
from relay.cli.main import cli

COMMANDS = (
    "alert backup breakeven cancel check close compare connect export flatten halt migrate notify-test orders plan "
    "positions rename-account restore resume retry seen send serve signals trades worker"
)


def themselves() -> dict[str, click.Command]:
    """The commands as they run; in the list only their names and the beginnings of their helps stand."""
    return {
        name: listed.make_context(name, [], resilient_parsing=True).command for name, listed in cli.commands.items()
    }


def test_the_commands_are_those_of_the_contract() -> None:
    assert sorted(cli.commands) == COMMANDS.split()


def test_the_list_of_commands_tells_the_same_as_their_own_help() -> None:
    for name, command in themselves().items():
        assert command.name == name
        listed, own = cli.commands[name].help or "", " ".join((command.help or "").split())
        assert listed
        assert own.startswith(" ".join(listed.split()).rstrip("."))


def test_no_secret_is_ever_taken_from_the_command_line() -> None:
    for command in themselves().values():
        names = {name for each in command.params for name in each.opts if not isinstance(each, click.Argument)}
        assert names <= {
            *("--from", "--to", "--price", "--size", "--stop-loss", "--take-profit"),
            *("--url", "--json", "--strategy", "--format", "--kind", "--with-secret", "--all", "--open"),
            *("--status", "--symbol", "--account", "--limit", "--cursor", "--fix", "--trade", "--note"),
            *("--share", "--qty", "--market", "--nothing-placed", "--wide", "--now", "--days", "--csv", "--zone"),
            *("--replace", "--forget"),
        }


def test_help_loads_nothing_that_takes_long() -> None:
    heavy = [
        "sqlalchemy",
        "flask",
        "marshmallow",
        "requests",
        "pybit",
        "environs",
        "gunicorn",
        "http.client",
        "relay.settings.settings",
        "relay.cli.signals",
    ]
    program = f"""
import sys
from relay.cli.main import cli
cli.main(["--help"], standalone_mode=False)
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]\n"
    assert "Commands:" in ran.stdout


def test_an_address_is_a_scheme_a_host_and_perhaps_a_port_and_a_path() -> None:
    for good in ("http://127.0.0.1:8000", "https://relay.example.com/base", "http://[::1]:8000"):
        assert is_address(good)
    for bad in ("relay.example.com", "ftp://x", "http://", "http://a:b@c", "http://x:0", "http://x:99999", "http://ü"):
        assert not is_address(bad)
    assert not is_address("http://x/\r\nX-Injected: 1")
