"""A journal that was brought back from a backup: which part of each account in it is past, and what differs by now.

What the relay did after the backup was made is unknown to it. So nothing that was unfinished in it is executed, no
stop or take profit of it is acted on, and entries are halted until a person has been shown what differs."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, delete, func, select

from relay.domain.bracket import Bracket, BracketStatus
from relay.domain.instrument import Category
from relay.journal.codec import from_json, to_json
from relay.journal.journal import Journal
from relay.journal.positions import live_brackets, live_brackets_of
from relay.journal.records import HALT
from relay.journal.tables import assignments, guards, mailboxes, notices, switches
from relay.journal.unit_of_work import UnitOfWork

RESTORED: Final = "restored"
"""The switch. Of every account (`account` empty) `restore` writes it; of each account the next start does."""
NEW: Final = "new"
_BEGUN: Final = "begun"
_BY: Final = "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    """A bracket about which nothing is done until `resume`, and how it stood."""

    seq: int
    status: BracketStatus
    category: Category
    symbol: str

    @property
    def lane(self) -> tuple[Category, str]:
        return self.category, self.symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """One account in a journal that was brought back. `until`: the last place in its order of execution back then.

    `differences`: None until they were looked for. `is_shown`: whether a person was shown them.
    """

    until: int
    brackets: tuple[Suspended, ...] = ()
    differences: tuple[str, ...] | None = None
    is_shown: bool = False


def begin(journal: Journal, configured: Collection[str], *, now_ms: int) -> bool:
    """At the first start on such a journal, before anything is accepted. Returns whether it is one."""
    mark = journal.switch("", RESTORED)
    if mark is None or mark.value != NEW:
        return False
    journal.store.submit(lambda connection: _begin(connection, configured, now_ms), deadline_s=10)
    return True


def _begin(connection: Connection, configured: Collection[str], now_ms: int) -> None:
    which = (switches.c.account == "") & (switches.c.name == RESTORED)
    if connection.execute(select(switches.c.value).where(which).with_for_update()).scalar() != NEW:
        return  # another process was first
    uow = UnitOfWork(connection)
    until = connection.execute(select(func.max(assignments.c.seq))).scalar() or 0
    for account in sorted({*configured, *connection.scalars(select(assignments.c.account).distinct())}):
        found = live_brackets(connection, account)
        for each in found:
            uow.protection.save(each.seq, replace(each.bracket, status=BracketStatus.OVER), now_ms=now_ms)
        suspended = [
            Suspended(seq=each.seq, status=each.bracket.status, category=each.category, symbol=each.symbol)
            for each in found
        ]
        state = Restored(until=until, brackets=tuple(suspended))
        _save(uow, account, state, now_ms)
        uow.set_switch(account, HALT, "on", by=_BY, now_ms=now_ms)
    # What was to be told has been told since, and what lies in the mailbox was read.
    connection.execute(delete(notices))
    connection.execute(delete(mailboxes))
    uow.set_switch("", RESTORED, _BEGUN, by=_BY, now_ms=now_ms)


def awaits_resume(journal: Journal) -> bool:
    """Whether anything in it is still to be compared or shown."""
    marks = [each for each in journal.switches() if each.name == RESTORED]
    return any(each.value if each.account else each.value == NEW for each in marks)


def restored(journal: Journal, account: str) -> Restored | None:
    """Returns None for an account that was not brought back, or has been resumed since."""
    switch = journal.switch(account, RESTORED)
    return None if switch is None or not switch.value else from_json(Restored, json.loads(switch.value))


def save(journal: Journal, account: str, state: Restored, *, now_ms: int) -> None:
    journal.write(lambda uow: _save(uow, account, state, now_ms))


def _save(uow: UnitOfWork, account: str, state: Restored, now_ms: int) -> None:
    uow.set_switch(account, RESTORED, json.dumps(to_json(state)), by=_BY, now_ms=now_ms)


def release(journal: Journal, account: str, *, now_ms: int) -> tuple[str, ...]:
    """For `resume`: what a person must see first; empty where entries may go out again, and it is like any other now.

    What is returned counts as seen, and is not returned again.
    """
    state = restored(journal, account)
    if state is None:
        return ()
    if state.differences is None:
        return (f"{account}: its positions and orders have not been compared with the exchange yet",)
    if state.differences and not state.is_shown:
        save(journal, account, replace(state, is_shown=True), now_ms=now_ms)
        return tuple(f"{account}: {each}" for each in state.differences)
    journal.store.submit(lambda connection: _release(connection, account, state, now_ms), deadline_s=10)
    return ()


def _release(connection: Connection, account: str, state: Restored, now_ms: int) -> None:
    """Brackets are followed again, but where there is a later one."""
    uow = UnitOfWork(connection)
    for lane in {each.lane for each in state.brackets}:
        if live_brackets_of(connection, account, *lane):
            continue
        for each in state.brackets:
            stored = connection.execute(select(guards.c.guard).where(guards.c.seq == each.seq)).scalar()
            if stored is not None and each.lane == lane:
                bracket = replace(from_json(Bracket, stored), status=each.status)
                uow.protection.save(each.seq, bracket, now_ms=now_ms)
    uow.set_switch(account, RESTORED, "", by="resume", now_ms=now_ms)
