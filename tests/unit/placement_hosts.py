"""Processes that share accounts, as far as the database can tell: each a placement over a journal of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from relay.engine.lease_guard import AccountLease
from relay.engine.placement import ACCOUNTS_PER_PROCESS, Placement
from relay.journal.opening import open_journal
from relay.journal.ownership import FIRST, PLACED, AccountOwners
from relay.journal.wake_up import WakeListener

WAIT_S = 60
_LOOK_S = 0.05


@dataclass(slots=True)
class Hall:
    """Where all hosts say what becomes of their accounts, so that a test can wait for it."""

    changed: threading.Condition = field(default_factory=threading.Condition)

    def until(self, condition: Callable[[], bool]) -> None:
        """`condition` may also be about what no host is told of: it is looked at again now and then."""
        deadline = time.monotonic() + WAIT_S
        with self.changed:
            while not self.changed.wait_for(condition, _LOOK_S):
                assert time.monotonic() < deadline, "it does not come to that"


class Host:
    """Serves accounts by noting that it does. `busy`: accounts whose steps have not ended."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self.serves: dict[str, AccountLease] = {}
        self.has_lost: list[str] = []
        self.busy: set[str] = set()
        self.was_requested_for: set[str] = set()
        """What it was to wind down and could not yet."""

    def bring_up(self, account: str, lease: AccountLease) -> None:
        with self._hall.changed:
            assert account not in self.serves
            self.serves[account] = lease
            self._hall.changed.notify_all()

    def wind_down(self, account: str) -> bool:
        with self._hall.changed:
            if account in self.busy:
                self.was_requested_for.add(account)
                return False
            self.serves.pop(account, None)
            self._hall.changed.notify_all()
            return True

    def lost(self, account: str) -> None:
        with self._hall.changed:
            del self.serves[account]
            self.has_lost.append(account)
            self._hall.changed.notify_all()


class PlacedProcess:
    """One of them."""

    def __init__(
        self, url: str, name: str, accounts: tuple[str, ...], hall: Hall, *, room: int = ACCOUNTS_PER_PROCESS
    ) -> None:
        self.journal = open_journal(url)
        self.host = Host(hall)
        table = AccountOwners(self.journal.store, name, accounts)
        self.placement = Placement(table, self.host, accounts, first=FIRST, room=room)
        self._listener = WakeListener(url, lambda word: self.placement.wake() if word in (None, PLACED) else None)

    @property
    def serves(self) -> Mapping[str, AccountLease]:
        return self.host.serves

    def start(self) -> PlacedProcess:
        self._listener.start()
        self.placement.start()
        return self

    def stop(self, timeout_s: float = WAIT_S) -> bool:
        has_ended = self.placement.stop(timeout_s)
        self._listener.stop()
        self.journal.close()
        return has_ended
