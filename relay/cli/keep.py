"""What keeps a relay: `notify-test` shows whether people can be reached."""

from __future__ import annotations

import click

from relay.cli.client import NotDone, Unusable, clean, say, say_json, with_json


@click.command("notify-test")
@with_json
@click.pass_context
def notify_test(context: click.Context, as_json: bool) -> None:
    """Send a test to each recipient of NOTIFY_URLS, and tell which took it."""
    from relay.execution.delivery import open_services, send_test
    from relay.settings.settings import load_settings

    services = open_services(load_settings().notify_targets)
    if not services:
        raise Unusable("NOTIFY_URLS: it is not set, so nobody is told of anything")
    outcomes = send_test(services)
    if as_json:
        say_json({"recipients": [{"name": name, "outcome": outcome} for name, outcome in outcomes]})
    else:
        say("\n".join(f"{clean(name)}: {outcome}" for name, outcome in outcomes))
    context.exit(0 if all(outcome == "taken" for _, outcome in outcomes) else NotDone.exit_code)
