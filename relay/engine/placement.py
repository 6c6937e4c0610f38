"""One owner an account: this process's part in placing the accounts among all that live."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from typing import Final, Protocol

from relay.domain.placement import OwnerSnapshot, Wishes, decide_placement
from relay.engine import lease_guard
from relay.engine.lease_guard import AccountLease
from relay.errors import JournalUnavailable

log = logging.getLogger(__name__)

RENEW_S: Final = 1.0
ACCOUNTS_PER_PROCESS: Final = 50
ALONE_S: Final = 5.0
"""So long an account waits for somebody who has room for it."""
REFUSED_S: Final = 60.0
_AT_ONCE: Final = 10
"""So many are taken in one look, so that processes that begin together share them from the first."""
_SOON_S: Final = 0.1
_AGAIN_S: Final = 0.5
_AFTER_END_S: Final = 0.05
"""A right that has just ended is asked for a little later, when it certainly has."""


class OwnerTable(Protocol):
    """The rows of the journal (`journal.ownership`). Raises JournalUnavailable."""

    @property
    def held(self) -> Mapping[str, AccountLease]: ...

    def register(self) -> None: ...

    def renew(self, refuses: Collection[str]) -> OwnerSnapshot | None: ...

    def take(self, accounts: Collection[str], *, at_most: int) -> None: ...

    def give_back(self, accounts: Collection[str]) -> None: ...

    def end(self) -> None: ...


class AccountHost(Protocol):
    """What serves the accounts that this process owns. Called by one thread; each call is quick."""

    def bring_up(self, account: str, lease: AccountLease) -> None:
        """It is this process's from now on: begin to serve it, by the right of `lease`."""

    def wind_down(self, account: str) -> bool:
        """Start no further step there. Whether all have ended; it is asked again until so."""

    def lost(self, account: str) -> None:
        """Another process may have it: drop what is under way."""


class Placement:
    """Of one process. `start` it after the fork."""

    def __init__(
        self,
        table: OwnerTable,
        host: AccountHost,
        accounts: Collection[str],
        *,
        first: str,
        room: int = ACCOUNTS_PER_PROCESS,
    ) -> None:
        """`accounts`: that this process knows. `first`: the name of what belongs to no account."""
        self._table = table
        self._host = host
        self._accounts = frozenset(accounts)
        self._first = first
        self._room = room
        self._served: dict[str, AccountLease] = {}
        self._leaving: set[str] = set()
        self._refused: dict[str, float] = {}
        self._alone_since: dict[str, float] = {}
        self._reported = 0
        """How many accounts it had at the last look."""
        self._news = threading.Event()
        self._ends_at: float | None = None
        self._has_ended = False
        self._thread = threading.Thread(target=self._run, name="placement", daemon=True)
        self.problem: str | None = "starting"
        """Why no account is taken up just now."""

    def start(self) -> None:
        if not self._thread.is_alive() and self._ends_at is None:
            self._thread.start()

    def wake(self) -> None:
        """Something may have changed: an account is free, or the steps of one that is given back have ended."""
        self._news.set()

    def refuse(self, account: str) -> None:
        """This process cannot serve it: others shall have it for a minute, where there are others. From any thread."""
        self._refused[account] = lease_guard.clock() + REFUSED_S
        self.wake()

    @property
    def is_first(self) -> bool:
        """Whether this process does what belongs to no account."""
        lease = self._table.held.get(self._first)
        return lease is not None and lease.is_valid

    @property
    def owned(self) -> frozenset[str]:
        """The accounts that this process may act for just now."""
        return frozenset(each for each, lease in self._table.held.items() if lease.is_valid) - {self._first}

    @property
    def over_room(self) -> int:
        """How many accounts it has beyond those it wishes to."""
        return max(0, len(self.owned) - self._room)

    def stop(self, timeout_s: float) -> bool:
        """Wind everything down and let others have it at once. Returns False if steps still run; their accounts are
        others' only when what they are held by ends by itself."""
        self._ends_at = lease_guard.clock() + timeout_s
        self.wake()
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s + RENEW_S)
        return self._has_ended

    def _run(self) -> None:
        wait_s = 0.0
        while self._ends_at is None or (lease_guard.clock() < self._ends_at and not self._has_ended):
            self._news.wait(wait_s)
            self._news.clear()
            try:
                wait_s = self._look() if self._ends_at is None else self._wind_up()
            except JournalUnavailable as error:
                self.problem, wait_s = str(error), _AGAIN_S
                log.warning("accounts cannot be placed just now: %s", error)
            except Exception as error:
                self.problem, wait_s = f"accounts cannot be placed ({type(error).__name__})", _AGAIN_S
                log.exception("accounts cannot be placed just now")

    def _look(self) -> float:
        """In how many seconds the next one is due."""
        self._give_back_ended()
        refused = self._refused_now()
        seen = self._table.renew(refused)
        if seen is None:
            self._table.register()
            self._settle()
            return 0.0
        decision = decide_placement(
            seen,
            Wishes(
                accounts=self._accounts,
                room=self._room,
                leaving=frozenset(self._leaving),
                refused=refused,
                alone=self._alone(seen),
            ),
        )
        self._leaving.update(decision.give_back)
        self._give_back_ended()
        had = len(self._table.held)
        self._take(decision.take, decision.at_most)
        if seen.is_free(self._first):
            self._take((self._first,), 1)
        self._settle()
        self.problem = None
        if len(self._table.held) - had >= _AT_ONCE:
            return _SOON_S
        return RENEW_S if seen.expires_in_s is None else min(RENEW_S, max(0.0, seen.expires_in_s) + _AFTER_END_S)

    def _take(self, accounts: tuple[str, ...], at_most: int) -> None:
        if accounts and at_most > 0:
            self._table.take(accounts, at_most=min(at_most, _AT_ONCE))

    def _wind_up(self) -> float:
        self._leaving.update(self._served)
        still = [each for each in self._served if not self._host.wind_down(each)]
        if not still:
            self._has_ended = True
            self._table.end()
            return 0.0
        self._give_back_ended()
        self._table.renew(self._accounts)
        self._settle()
        return RENEW_S

    def _give_back_ended(self) -> None:
        ended = [each for each in sorted(self._leaving) if each not in self._served or self._host.wind_down(each)]
        if ended:
            self._table.give_back(ended)
            self._leaving.difference_update(ended)
            for each in ended:
                self._served.pop(each, None)

    def _settle(self) -> None:
        """Make what is served what is owned."""
        held = {each: lease for each, lease in self._table.held.items() if each != self._first}
        for account, lease in tuple(self._served.items()):
            if held.get(account) is not lease:
                log.warning("account %s: another process may have it, and what was under way here is dropped", account)
                del self._served[account]
                self._leaving.discard(account)
                self._host.lost(account)
        for account in sorted(held.keys() - self._served.keys()):
            log.info("account %s is this process's", account)
            self._served[account] = held[account]
            self._host.bring_up(account, held[account])
        if len(held) > max(self._room, self._reported):
            log.warning("this process owns %d accounts and wishes for %d at most", len(held), self._room)
        self._reported = len(held)

    def _refused_now(self) -> frozenset[str]:
        now = lease_guard.clock()
        self._refused = {each: until for each, until in self._refused.items() if until > now}
        return frozenset(self._refused)

    def _alone(self, seen: OwnerSnapshot) -> frozenset[str]:
        """What this process has seen without an owner for so long that somebody has to take it."""
        now = lease_guard.clock()
        free = [each for each in self._accounts if seen.is_free(each)]
        self._alone_since = {each: self._alone_since.get(each, now) for each in free}
        return frozenset(each for each, since in self._alone_since.items() if now - since >= ALONE_S)
