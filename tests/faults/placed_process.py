"""A process that serves accounts by saying so, a line for each change: DATABASE_URL, its name, the accounts' names.

SIGTERM ends it in good order.
"""

from __future__ import annotations

import signal
import sys
import threading

from relay.engine.lease_guard import AccountLease
from relay.engine.placement import Placement
from relay.journal.opening import open_journal
from relay.journal.ownership import FIRST, PLACED, AccountOwners
from relay.journal.wake_up import WakeListener

_STOP_S = 5.0


class Speaker:
    """Serves accounts in words."""

    def bring_up(self, account: str, lease: AccountLease) -> None:
        say(f"serves {account} {lease.epoch}")

    def wind_down(self, account: str) -> bool:
        say(f"left {account} 0")
        return True

    def lost(self, account: str) -> None:
        say(f"lost {account} 0")


def say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - it is what this process is for


def main() -> None:
    url, name, *accounts = sys.argv[1:]
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    journal = open_journal(url)
    placement = Placement(AccountOwners(journal.store, name, accounts), Speaker(), accounts, first=FIRST)
    listener = WakeListener(url, lambda word: placement.wake() if word in (None, PLACED) else None)
    listener.start()
    placement.start()
    ending.wait()
    placement.stop(_STOP_S)
    listener.stop()
    journal.close()


if __name__ == "__main__":
    main()
