"""Alerts that come two ways: which webhook and which mail are copies of one alert, and how far the mailbox was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, case, delete, func, insert, or_, select, update

from relay.domain.order import SignalStatus
from relay.journal.records import Copy, Way
from relay.journal.store import Store
from relay.journal.tables import copies, mailboxes, signals

PAIR_MS: Final = 15 * 60_000
"""Within which a mail and a webhook of one text are one alert."""
REPEAT_MS: Final = 60_000
"""The same of a post that was itself a repeat: it stands for an alert that fired twice at once, not for a later one."""
RETENTION_MS: Final = 90 * 24 * 60 * 60_000
TELL_AFTER_MS: Final = 2 * 60_000
"""A webhook that has not come so long after its mail is lost."""


def of_message(connection: Connection, message: str) -> str | None:
    """The signal of a mail that was read before."""
    found: str | None = connection.execute(select(copies.c.signal_id).where(copies.c.message == message)).scalar()
    return found


def is_same_text(connection: Connection, signal_id: str, copy: Copy) -> bool:
    """Whether the signal came with the same text, be its bytes others: mail changes blanks and line ends."""
    which = (copies.c.signal_id == signal_id) & (copies.c.text == copy.text)
    return connection.execute(select(copies.c.id).where(which).limit(1)).first() is not None


def partner(connection: Connection, strategy: str, copy: Copy) -> Row[Any] | None:
    """Of the other way, with the same text, the nearest in time that has none yet."""
    near = _within(copy.at_ms, PAIR_MS) & or_(copies.c.is_repeat.is_(False), _within(copy.at_ms, REPEAT_MS))
    which = (copies.c.strategy == strategy) & (copies.c.text == copy.text) & _is_free(copy) & near
    return connection.execute(select(copies).where(which).order_by(func.abs(copies.c.at - copy.at_ms)).limit(1)).first()


def partner_of(connection: Connection, signal_id: str, copy: Copy) -> Row[Any] | None:
    """Of the other way, a copy of this very signal that has none yet."""
    which = (copies.c.signal_id == signal_id) & _is_free(copy)
    return connection.execute(select(copies).where(which).order_by(copies.c.id).limit(1)).first()


def _within(at_ms: int, ms: int) -> ColumnElement[bool]:
    return copies.c.at.between(at_ms - ms, at_ms + ms)


def _is_free(copy: Copy) -> ColumnElement[bool]:
    return (copies.c.way != copy.way) & copies.c.is_paired.is_(False)


def add(connection: Connection, strategy: str, copy: Copy, signal_id: str, *, pair: Row[Any] | None = None) -> None:
    """Write a copy down, with the one that it is paired with. One of a signal that came that way before is a repeat."""
    same_way = (copies.c.signal_id == signal_id) & (copies.c.way == copy.way)
    is_repeat = pair is None and connection.execute(select(copies.c.id).where(same_way)).first() is not None
    row = {
        "strategy": strategy,
        "text": copy.text,
        "way": copy.way,
        "at": copy.at_ms,
        "signal_id": signal_id,
        "message": copy.message,
        "is_paired": pair is not None,
        "is_repeat": is_repeat,
        "is_told": False,
    }
    connection.execute(insert(copies), row)
    if pair is not None:
        connection.execute(update(copies).where(copies.c.id == pair.id).values(is_paired=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyByMail:
    """An alert whose webhook did not come."""

    signal_id: str
    strategy: str
    action: str | None
    symbol: str | None
    status: SignalStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How many alerts came, and how many of them one way only."""

    alerts: int
    only_by_mail: int
    only_by_webhook: int


def ways_between(connection: Connection, since_ms: int, until_ms: int) -> Ways | None:
    """Returns None where no mail was read: then nothing can be missing."""
    mails = func.sum(case((copies.c.way == Way.MAIL, 1), else_=0)).label("mails")
    webhooks = func.sum(case((copies.c.way == Way.WEBHOOK, 1), else_=0)).label("webhooks")
    which = (copies.c.at >= since_ms) & (copies.c.at < until_ms)
    rows = connection.execute(select(mails, webhooks).where(which).group_by(copies.c.signal_id)).all()
    if not any(row.mails for row in rows):
        return None
    return Ways(
        alerts=len(rows),
        only_by_mail=sum(not row.webhooks for row in rows),
        only_by_webhook=sum(not row.mails for row in rows),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadUpTo:
    """The last mail that was read. `uid_validity` changes where the folder was made anew, and `uid` is void then."""

    uid_validity: int
    uid: int
    at_ms: int
    """When that was so, Unix milliseconds."""


class Mailboxes:
    """All methods may be called from any thread. Raises JournalUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read_up_to(self, name: str) -> ReadUpTo | None:
        """Returns None for a folder that was never read."""
        with self._store.read() as connection:
            row = connection.execute(select(mailboxes).where(mailboxes.c.name == name)).first()
        return None if row is None else ReadUpTo(uid_validity=row.uid_validity, uid=row.uid, at_ms=row.at)

    def save(self, name: str, mark: ReadUpTo) -> None:
        values = {"uid_validity": mark.uid_validity, "uid": mark.uid, "at": mark.at_ms}

        def work(connection: Connection) -> None:
            if not connection.execute(update(mailboxes).where(mailboxes.c.name == name).values(**values)).rowcount:
                connection.execute(insert(mailboxes), {"name": name, **values})

        self._store.submit(work, deadline_s=10)

    def knows(self, message: str) -> bool:
        """Whether what was in this mail is in the journal."""
        with self._store.read() as connection:
            return of_message(connection, message) is not None

    def take_only_by_mail(self, now_ms: int) -> list[OnlyByMail]:
        """Those whose webhook is lost by now; each is returned once."""
        is_lost = and_(
            copies.c.way == Way.MAIL,
            copies.c.is_paired.is_(False),
            copies.c.is_told.is_(False),
            copies.c.at < now_ms - TELL_AFTER_MS,
        )
        columns = (copies.c.id, signals.c.id.label("signal_id"), signals.c.strategy, signals.c.action, signals.c.status)
        symbol = func.coalesce(signals.c.symbol, signals.c.ticker).label("symbol")
        wanted = select(*columns, symbol).join(signals, signals.c.id == copies.c.signal_id)
        # What was late is told as such.
        wanted = wanted.where(is_lost, signals.c.status != SignalStatus.REJECTED)
        with self._store.read() as connection:
            rows = connection.execute(wanted).all()
        if not rows:
            return []
        noted = update(copies).where(copies.c.id.in_([row.id for row in rows])).values(is_told=True)
        self._store.submit(lambda connection: connection.execute(noted), deadline_s=10)
        return [
            OnlyByMail(
                signal_id=row.signal_id,
                strategy=row.strategy,
                action=row.action,
                symbol=row.symbol,
                status=row.status,
            )
            for row in rows
        ]

    def ways(self, since_ms: int, until_ms: int) -> Ways | None:
        with self._store.read() as connection:
            return ways_between(connection, since_ms, until_ms)

    def forget(self, now_ms: int) -> None:
        """What is too old to be paired, or to be read again."""
        old = delete(copies).where(copies.c.at < now_ms - RETENTION_MS)
        self._store.submit(lambda connection: connection.execute(old), deadline_s=10)


def forget_of(connection: Connection, signal_id: str) -> None:
    """Of a signal that is withdrawn."""
    connection.execute(delete(copies).where(copies.c.signal_id == signal_id))
