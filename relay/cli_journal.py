"""The journal itself, for where no relay answers: read without a lock, and the halt switch written with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from relay.cli_client import Client, Closed, Unreachable
from relay.cli_options import Unusable
from relay.cli_output import remark
from relay.errors import JournalBusy, JournalUnavailable

if TYPE_CHECKING:
    from relay.journal.journal import Journal

BY = "the command line"


def from_relay_or_journal(
    client: Client, ask: Callable[[], dict[str, Any]], read: Callable[[Journal], dict[str, Any]]
) -> dict[str, Any]:
    """What the relay says; or, where no relay answers and its journal is a file here, what the journal says."""
    try:
        return ask()
    except Unreachable as error:
        with _opened(client, error, lock=False) as journal:
            remark(f"{error}; this is read from the journal {client.settings.journal_path}")
            return read(journal)


def write_halt(client: Client, unreachable: Unreachable, *, is_on: bool) -> None:
    """Write the switch that the relay finds at its next start. Only where no relay has the journal open."""
    from relay.pipeline.clock import to_ms, utc_now
    from relay.pipeline.gather import HALT

    with _opened(client, unreachable, lock=True) as journal:
        for account in client.settings.accounts:
            journal.set_switch(account.name, HALT, "on" if is_on else "off", by=BY, now_ms=to_ms(utc_now()))


@contextmanager
def _opened(client: Client, unreachable: Unreachable, *, lock: bool) -> Iterator[Journal]:
    """Raises `unreachable` itself where there is no journal to turn to."""
    path = client.settings.journal_path
    is_running = lock and isinstance(unreachable, Closed)
    if client.is_given or is_running or path is None or not os.path.exists(path):
        raise unreachable
    from relay.journal.opening import open_journal

    try:
        journal = open_journal(client.settings.database_url, lock=lock)
    except JournalBusy as error:
        raise Unusable(f"{unreachable}; yet {error}; say with --url where it listens") from error
    except JournalUnavailable as error:
        raise Unusable(f"{unreachable}; and {error}") from error
    try:
        yield journal
    finally:
        journal.close()
