"""Whether an alert is new, by the rules of "The same alert", in the transaction that stores it; and reopening."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, func, select, update

from relay.domain.instrument import Category
from relay.domain.order import ErrorKind, OrderStatus, Reason, RequestSignature, SignalStatus
from relay.domain.signal import (
    Action,
    ChainLink,
    Fit,
    IdentityKind,
    Judged,
    Last,
    MarketSide,
    Standing,
    judged,
    reused_id,
)
from relay.errors import SignalNotRetryable
from relay.journal import copies, engine_queries
from relay.journal.notices import add_event
from relay.journal.records import (
    RESTORED_CODE,
    RETRY_NOW,
    Admission,
    AttemptOutcome,
    Duplicate,
    IdReused,
    LateByMail,
    New,
    NewSignal,
    Reopened,
    reason_columns,
)
from relay.journal.statements import Arriving, NewRows, event_row, fetch_first, insert_if_new, insert_rows, run
from relay.journal.store import Lock, Store, hold, lane_name, locks_on
from relay.journal.tables import (
    assignments,
    attempts,
    chains,
    events,
    fills,
    guards,
    identities,
    orders,
    plans,
    signals,
)

# What strategies said: the chain of each one's positions, judged in the order of acceptance, and its last alerts.


_LOOKED_BACK: Final = 10_000
CHAIN_GAP = "chain_gap"
CHAIN_OVERTAKEN = "chain_overtaken"
CHAIN_EVENTS = {Fit.MISSING: CHAIN_GAP, Fit.OVERTAKEN: CHAIN_OVERTAKEN}
"""The event that is stored with a signal that does not fit its chain."""
SIZE_BEFORE = "size_before"
"""The event of a reversal that does not say how large the strategy was: as large as its last alert had left it."""


_here = (
    (chains.c.strategy == bindparam("of_strategy"))
    & (chains.c.category == bindparam("of_category"))
    & (chains.c.symbol == bindparam("of_symbol"))
)
_CHAIN, _CHANGE_CHAIN = select(chains).where(_here), update(chains).where(_here)
_DETAIL = select(events.c.detail).where(
    events.c.signal_id == bindparam("of_signal"), events.c.name == bindparam("of_name")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRecord:
    """Where a strategy stands at an instrument, as its last alert there had it."""

    strategy: str
    category: Category
    symbol: str
    last: Last
    signal_id: str
    at_ms: int


def extend_chain(
    connection: Connection,
    link: ChainLink,
    *,
    strategy: str,
    lane: tuple[Category, str] | None,
    ticker: str | None,
    signal_id: str,
    now_ms: int,
) -> Judged | None:
    """Put the alert behind the strategy's last one. None where nothing can be said.

    `lane` is None while no instruments are loaded: then the ticker is looked for as it was spelled before. Where it
    was not, the strategy's chains begin anew, because a gap in them could not be told from this alert.
    """
    of_strategy = chains.c.strategy == strategy
    if lane is None:
        row = connection.execute(select(chains).where(of_strategy & (chains.c.ticker == ticker))).first()
        if row is None:
            connection.execute(delete(chains).where(of_strategy))
            return None
        lane = row.category, row.symbol
    here = {"of_strategy": strategy, "of_category": lane[0], "of_symbol": lane[1]}
    known = fetch_first(connection, _CHAIN, here)
    verdict = judged(link, _last(known) if known else None)
    # An alert that was overtaken does not become the last one.
    ends_at = (known.signal_id, known.at) if known and verdict.fit is Fit.OVERTAKEN else (signal_id, now_ms)
    of_row = {"strategy": strategy, "category": lane[0], "symbol": lane[1], "ticker": ticker}
    of_last = {"signal_id": ends_at[0], "at": ends_at[1], **_columns(verdict.last)}
    if known is not None:
        run(connection, _CHANGE_CHAIN, of_row | of_last | here)
    else:
        insert_rows(connection, (chains, [of_row | of_last]))
    return verdict


def forget_chain(connection: Connection, signal_id: str) -> None:
    """The alert is withdrawn: its resend, or whatever comes next, begins the chain anew, so that nobody is alarmed."""
    connection.execute(delete(chains).where(chains.c.signal_id == signal_id))


def _last(row: Any) -> Last:
    before = Standing(side=row.before_side, size=row.before_size)
    link = ChainLink(before=before, after=Standing(side=row.side, size=row.size), sent_at_ms=row.sent_at)
    open_side: MarketSide | None = row.open_side
    return Last(
        link=link,
        fit=row.fit,
        open_from=Standing(side=open_side, size=row.open_size) if open_side is not None else None,
    )


def _columns(last: Last) -> dict[str, object]:
    link, open_from = last.link, last.open_from
    return {
        "sent_at": link.sent_at_ms,
        "before_side": link.before.side,
        "before_size": link.before.size,
        "side": link.after.side,
        "size": link.after.size,
        "fit": last.fit,
        "open_side": open_from.side if open_from else None,
        "open_size": open_from.size if open_from else None,
    }


class StrategyQueries:
    """Questions only; all may be called from any thread. Raises JournalUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def chains(self) -> tuple[ChainRecord, ...]:
        """Where each strategy said it stood, at each of its instruments."""
        with self._store.read() as connection:
            rows = connection.execute(select(chains).order_by(chains.c.strategy, chains.c.category, chains.c.symbol))
            return tuple(
                ChainRecord(
                    strategy=row.strategy,
                    category=row.category,
                    symbol=row.symbol,
                    last=_last(row),
                    signal_id=row.signal_id,
                    at_ms=row.at,
                )
                for row in rows
            )

    def overtaken(self, signal_id: str) -> Standing | None:
        """Where the strategy stood when this alert came after a later one of it; None: it did not."""
        detail = self._detail(signal_id, CHAIN_OVERTAKEN)
        if not detail or "side" not in detail:
            return None
        size = detail["size"]
        return Standing(side=MarketSide(detail["side"]), size=None if size is None else Decimal(size))

    def size_before(self, signal_id: str) -> Decimal | None:
        """How large the strategy was before this reversal of it, which does not say so itself; None: not known."""
        detail = self._detail(signal_id, SIZE_BEFORE)
        return Decimal(detail["size"]) if detail else None

    def is_of_reused_id(self, signal_id: str) -> bool:
        """Whether it was accepted for its exit alone, because its `id` came before."""
        return self._detail(signal_id, ID_REUSED) is not None

    def _detail(self, signal_id: str, name: str) -> Any:
        """Of the signal's event of that name; None: there is none."""
        with self._store.read() as connection:
            row = fetch_first(connection, _DETAIL, {"of_signal": signal_id, "of_name": name})
        return None if row is None else row.detail

    def last_alerts(self, strategy: str) -> tuple[int | None, int | None]:
        """When the last alert came, rejected ones included, and the last heartbeat: Unix milliseconds.

        Returns None if there never was one, or none among the newest signals: a long journal is not read through.
        """
        newest = select(signals.c.received_at).where(signals.c.strategy == strategy).order_by(signals.c.seq.desc())
        with self._store.read() as connection:
            alert_ms: int | None = connection.execute(newest.limit(1)).scalar()
            latest = select(func.max(signals.c.seq)).scalar_subquery()
            beats = newest.where(signals.c.action == Action.HEARTBEAT, signals.c.seq > latest - _LOOKED_BACK).limit(1)
            beat_ms: int | None = connection.execute(beats).scalar()
        return alert_ms, beat_ms


MAX_GENERATION = 99
"""What a client order id has room for."""
_HARMLESS = (OrderStatus.PLANNED, OrderStatus.REJECTED, OrderStatus.DENIED)
"""A cancelled or expired order was at the exchange, even if nothing of it was filled; that is not nothing."""

_of_signal = orders.c.signal_id == bindparam("of_id")
_ORDERS = select(orders.c.status, orders.c.filled_qty).where(_of_signal)
_ATTEMPTS = select(attempts).join(orders, orders.c.client_order_id == attempts.c.client_order_id).where(_of_signal)
_FILLS = select(fills.c.exec_id).join(orders, orders.c.client_order_id == fills.c.client_order_id).where(_of_signal)
_REPEATS = select(func.count()).where((events.c.signal_id == bindparam("of_id")) & (events.c.name == "duplicate"))
DUPLICATES_WRITTEN_MAX: Final = 50
"""Further repeats of an alert are answered and leave nothing: whoever repeats it for days must not fill the disk."""
ID_ALONE_WINDOW_MS = 10 * 60 * 1000
_CLOCKS_APART_MS = 5_000
ID_REUSED = "id_reused"
"""What is stored with a signal that was accepted although its `id` came before: its entry is not placed."""
_REOPENED_BY_RESEND = (SignalStatus.FAILED, SignalStatus.DENIED, SignalStatus.EXPIRED)
_WITHDRAWN = Reason(
    code="JOURNAL_UNAVAILABLE", message="opened again while the journal was stuck, answered 503 and withdrawn"
)

_SAME_IDENTITY = (
    (identities.c.strategy == bindparam("of_strategy"))
    & (identities.c.kind == bindparam("of_kind"))
    & (identities.c.key == bindparam("of_key"))
)
_FIND = select(identities.c.signal_id, identities.c.digest, identities.c.first_at).where(_SAME_IDENTITY)
_REPLACE = update(identities).where(_SAME_IDENTITY)
_FORGET = delete(identities).where(_SAME_IDENTITY)
_STATUS = select(signals.c.status, signals.c.generation).where(signals.c.id == bindparam("of_id"))
_ENDED_BY_RESTORE = select(assignments.c.account).where(
    assignments.c.signal_id == bindparam("of_id"), assignments.c.reason_code == RESTORED_CODE
)
"""Of what the relay did with it after the backup nothing is known."""
_RETRYABLE = (SignalStatus.FAILED, SignalStatus.DENIED, SignalStatus.EXPIRED, SignalStatus.ATTENTION)


def is_without_effect(connection: Connection, signal_id: str) -> bool:
    """Whether it is certain that none of its orders, on any account in any generation, ever had an effect.

    Only then may the signal be executed again.
    """
    which = {"of_id": signal_id}
    if connection.execute(_ENDED_BY_RESTORE, which).first() is not None:
        return False
    known = connection.execute(_ORDERS, which).all()
    if not known:
        return True
    if any(order.status not in _HARMLESS or order.filled_qty for order in known):
        return False
    sends_of: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for attempt in connection.execute(_ATTEMPTS, which):
        sends_of[attempt.client_order_id].append(attempt)
    return all(_had_no_effect(each) for each in sends_of.values()) and connection.execute(_FILLS, which).first() is None


def _had_no_effect(sends: Sequence[Row[Any]]) -> bool:
    """Of one order's sends. That it is absent for certain once none can arrive any more is said of the last one."""
    absent_at_ms = max((each.absent_at_ms or 0 for each in sends), default=0)
    return all(_is_harmless(each, absent_at_ms) for each in sends)


def _is_harmless(attempt: Row[Any], absent_at_ms: int) -> bool:
    match attempt.outcome:
        case AttemptOutcome.NOT_SENT:
            return True
        case AttemptOutcome.REJECTED:
            # "Already there" speaks of an earlier send that did arrive.
            return attempt.refusal is not ErrorKind.ALREADY_THERE
        case AttemptOutcome.UNKNOWN | None:
            signature = RequestSignature(timestamp_ms=attempt.timestamp_ms, recv_window_ms=attempt.recv_window_ms)
            return absent_at_ms > signature.dead_at_ms
        case _:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitting:
    """One alert on its way in: what is done in the transaction, and how it is taken back."""

    new: NewSignal
    now_ms: int
    dedup_window_ms: int
    aged_ms: int
    """Now, by the clock that ages of identities are measured on."""

    def run(self, connection: Connection, arriving: list[Arriving] | None = None) -> Admission:
        """`arriving`: takes the rows of a new one that goes on in this very transaction and is written with that."""
        return self.try_as_new(connection, arriving) or self.compare(connection, arriving)

    def try_as_new(self, connection: Connection, arriving: list[Arriving] | None = None) -> New | None:
        """None: it is not, or one statement cannot tell, and nothing was done."""
        if self.new.link is not None or self.new.copy is not None:
            return None
        rows = _rows_of(self.new, None, self.now_ms)
        identity = self._identity_row(self.new.identity.key)
        if not insert_if_new(connection, (identities, identity), *(rows if arriving is None else ())):
            return None
        if arriving is not None:
            arriving.append(Arriving(*rows))
        return New(signal_id=self.new.id)

    def compare(self, connection: Connection, arriving: list[Arriving] | None = None) -> Admission:
        """With the one that has its identity, if there is one, and with the one before it in its chain."""
        new, key, reused = self.new, self.new.identity.key, None
        if new.is_mail and (known := self._of_mail(connection)) is not None:
            return known
        first = None if self._is_known_by_text else fetch_first(connection, _FIND, self._identity(key))
        if first is not None and self._is_reused(connection, first):
            if not new.may_exit:
                return IdReused(first_signal_id=first.signal_id)
            # Under a key of its own: the first one's resend, and this one's, are still known again.
            reused, key = str(first.signal_id), self._key_of_reuse
            first = fetch_first(connection, _FIND, self._identity(key))
        if first is not None and self._is_repeat(connection, first):
            return self._again(connection, first)
        if new.copy is not None and not new.is_mail and (paired := self._paired(connection)) is not None:
            self._identify(connection, key, first, paired.signal_id)
            return paired
        if reused is not None:
            note = f"id: {reused_id(new.sender_id, reused)}"
            new = replace(new, notes=(*new.notes, note), events=(*new.events, (ID_REUSED, {"note": note})))
        fitted = _linked(connection, new, self.now_ms)
        if not self._is_known_by_text:
            self._identify(connection, key, first, new.id)
        rows = _rows_of(new, fitted, self.now_ms)
        # What else is told of it is read while it is planned.
        if arriving is not None and new.copy is None and len(rows[1][1]) == 1:
            arriving.append(Arriving(*rows))
        else:
            insert_rows(connection, *rows)
        if new.copy is not None:
            copies.add(connection, new.strategy, new.copy, new.id)
        return New(signal_id=new.id, chain_note=fitted.note if fitted else None)

    @property
    def _is_known_by_text(self) -> bool:
        """A mail without `id` is its own identity: its text is what pairs it with a webhook."""
        return self.new.is_mail and self.new.identity.kind is IdentityKind.BODY

    def _identify(self, connection: Connection, key: str, first: Any, signal_id: str) -> None:
        """From now on the alert's identity means this signal."""
        row = self._identity_row(key) | {"signal_id": signal_id}
        if first is None:
            insert_rows(connection, (identities, [row]))
        else:
            run(connection, _REPLACE, row | self._identity(key))

    def _of_mail(self, connection: Connection) -> Admission | None:
        """What a mail is that is not to be executed; None: it may be new."""
        copy = self.new.copy
        assert copy is not None, "it is a mail"
        if copy.message is not None and (known := copies.of_message(connection, copy.message)) is not None:
            return self._duplicate(connection, known, self.aged_ms)
        if self.new.identity.kind is IdentityKind.ID_TIME:
            return None
        if (paired := self._paired(connection)) is not None:
            return paired
        is_old = self.now_ms - copy.at_ms > copy.max_age_ms
        if is_old and self._has_other(connection, assignments.c.opened_at >= copy.at_ms):
            copies.add(connection, self.new.strategy, copy, self.new.id)
            return LateByMail(signal_id=self.new.id)
        return None

    def _paired(self, connection: Connection) -> Duplicate | None:
        """With a copy of the same text that came the other way."""
        new, copy = self.new, self.new.copy
        if copy is None or new.identity.kind is IdentityKind.ID_TIME:
            return None
        found = copies.partner(connection, new.strategy, copy)
        if found is None:
            return None
        closes_anew = new.only_exits and new.sent_at_ms is None and not new.is_mail
        if closes_anew and self._has_other_since(connection, found.signal_id):
            return None  # there may be more to close
        copies.add(connection, new.strategy, copy, found.signal_id, pair=found)
        return self._duplicate(connection, found.signal_id, found.at)

    def _duplicate(self, connection: Connection, signal_id: str, first_at_ms: int) -> Duplicate:
        """The other copy is no resend: what failed is not opened again by it."""
        known = connection.execute(_STATUS, {"of_id": signal_id}).first()
        status = SignalStatus.DONE if known is None else known.status
        return Duplicate(signal_id=signal_id, status=status, first_at_ms=first_at_ms)

    def undo(self, connection: Connection, admission: Admission) -> None:
        """Remove the alert as if it had never come, so that its resend is new."""
        match admission:
            case New(signal_id=signal_id) if not _is_begun(connection, signal_id):
                for key in (self.new.identity.key, self._key_of_reuse):
                    connection.execute(_FORGET.where(identities.c.signal_id == signal_id), self._identity(key))
                remove_signal(connection, signal_id)
                forget_chain(connection, signal_id)
            case Reopened(signal_id=signal_id, generation=generation) if not _is_begun(connection, signal_id):
                undo_reopening(connection, signal_id, generation, self.now_ms)

    @property
    def _key_of_reuse(self) -> str:
        copy = self.new.copy
        return f"{self.new.identity.key}#{self.new.digest if copy is None else copy.text}"

    def _identity(self, key: str) -> dict[str, object]:
        return {"of_strategy": self.new.strategy, "of_kind": self.new.identity.kind, "of_key": key}

    def _identity_row(self, key: str) -> dict[str, object]:
        return {
            "strategy": self.new.strategy,
            "kind": self.new.identity.kind,
            "key": key,
            "signal_id": self.new.id,
            "digest": self.new.digest,
            "first_at": self.aged_ms,
        }

    def _is_within(self, first: Any, window_ms: int) -> bool:
        """An age far below zero tells nothing: the clock was set back while the relay did not run.

        A little below zero it is as good as none: the clocks of two processes are never quite the same.
        """
        age_ms: int = self.aged_ms - first.first_at
        return -_CLOCKS_APART_MS <= age_ms <= window_ms

    def _is_reused(self, connection: Connection, first: Any) -> bool:
        kind, copy = self.new.identity.kind, self.new.copy
        if kind is IdentityKind.BODY:
            return False
        is_late = kind is IdentityKind.ID and not self._is_within(first, ID_ALONE_WINDOW_MS)
        is_same = first.digest == self.new.digest or (
            copy is not None and copies.is_same_text(connection, first.signal_id, copy)
        )
        return not is_same or is_late

    def _is_repeat(self, connection: Connection, first: Any) -> bool:
        """Of an identity that is not reused."""
        match self.new.identity.kind:
            case IdentityKind.ID_TIME:
                return True
            case IdentityKind.ID:
                return self._is_within(first, ID_ALONE_WINDOW_MS)
            case IdentityKind.BODY:
                is_recent = self.dedup_window_ms > 0 and self._is_within(first, self.dedup_window_ms)
                closes_anew = self.new.only_exits and self.new.sent_at_ms is None
                return is_recent and not (closes_anew and self._has_other_since(connection, first.signal_id))

    def _has_other_since(self, connection: Connection, signal_id: str) -> bool:
        """Whether another alert was accepted in one of the new one's lanes since then: there may be more to close."""
        since = select(signals.c.seq).where(signals.c.id == signal_id).scalar_subquery()
        return self._has_other(connection, signals.c.seq > since)

    def _has_other(self, connection: Connection, since: ColumnElement[bool]) -> bool:
        accounts, new = tuple(self.new.accounts), self.new
        other = select(signals.c.id).join(assignments, assignments.c.signal_id == signals.c.id)
        other = other.where(since, assignments.c.account.in_(accounts))
        if new.symbol is not None:
            is_here = (signals.c.symbol == new.symbol) & (signals.c.category == new.category)
            other = other.where(is_here | signals.c.symbol.is_(None))
        return connection.execute(other.limit(1)).first() is not None

    def _again(self, connection: Connection, first: Any) -> Admission:
        signal_id, copy = first.signal_id, self.new.copy
        if copy is not None:
            pair = copies.partner_of(connection, signal_id, copy)
            copies.add(connection, self.new.strategy, copy, signal_id, pair=pair)
            if self.new.is_mail or pair is not None:
                return self._duplicate(connection, signal_id, first.first_at)
        known = connection.execute(_STATUS, {"of_id": signal_id}).first()
        if known is None:
            return Duplicate(signal_id=signal_id, status=SignalStatus.DONE, first_at_ms=first.first_at)
        may_reopen = known.status in _REOPENED_BY_RESEND and known.generation < MAX_GENERATION
        if may_reopen and is_without_effect(connection, signal_id):
            return reopen(connection, signal_id, now_ms=self.now_ms, why="sent again")
        if connection.execute(_REPEATS, {"of_id": signal_id}).scalar_one() < DUPLICATES_WRITTEN_MAX:
            after_ms = self.aged_ms - first.first_at
            add_event(connection, signal_id, "duplicate", {"after_ms": after_ms}, self.now_ms)
        return Duplicate(signal_id=signal_id, status=known.status, first_at_ms=first.first_at)


def _is_begun(connection: Connection, signal_id: str) -> bool:
    """Another process may have been quicker; then it stays, and its resend is a duplicate."""
    which = select(assignments.c.status).where(assignments.c.signal_id == signal_id).with_for_update()
    return any(status is not SignalStatus.ACCEPTED for status in connection.scalars(which))


def remove_signal(connection: Connection, signal_id: str) -> None:
    """Remove a signal that no sender was told of and that was not executed."""
    for table in (events, assignments):
        connection.execute(delete(table).where(table.c.signal_id == signal_id))
    copies.forget_of(connection, signal_id)
    connection.execute(delete(signals).where(signals.c.id == signal_id))


def remove_plans(connection: Connection, signal_id: str) -> None:
    """What was planned with its acceptance is withdrawn with it: nothing of it was sent."""
    of_order = select(orders.c.client_order_id).where(orders.c.signal_id == signal_id)
    connection.execute(delete(attempts).where(attempts.c.client_order_id.in_(of_order)))
    for table in (orders, plans, guards):
        connection.execute(delete(table).where(table.c.signal_id == signal_id))
    of_signal = assignments.c.signal_id == signal_id
    connection.execute(update(assignments).where(of_signal).values(status=SignalStatus.ACCEPTED))


def _rows_of(new: NewSignal, fitted: Judged | None, now_ms: int) -> tuple[NewRows, NewRows, NewRows]:
    """All that is stored of a new alert but its identity. `fitted`: how it fits into its chain."""
    return (
        (signals, [_signal(new, fitted.note if fitted else None, now_ms)]),
        (events, [event_row(new.id, name, detail, now_ms) for name, detail in _events_of(new, fitted)]),
        (assignments, [_execution(new, account, now_ms) for account in sorted(new.accounts)]),
    )


def _signal(new: NewSignal, note: str | None, now_ms: int) -> dict[str, Any]:
    return {
        "id": new.id,
        "strategy": new.strategy,
        "action": new.action,
        "ticker": new.ticker,
        "category": new.category,
        "symbol": new.symbol,
        "status": SignalStatus.ACCEPTED if new.accounts else SignalStatus.DONE,
        "generation": 0,
        "notes": [*new.notes, *([note] if note else [])],
        "received_at": new.copy.at_ms if new.copy is not None and new.is_mail else now_ms,
        "sent_at": new.sent_at_ms,
        "finished_at": None if new.accounts else now_ms,
        "alert": dict(new.alert),
        "body_digest": new.digest,
    }


def _events_of(new: NewSignal, fitted: Judged | None) -> Iterator[tuple[str, object]]:
    """The events of its coming, in this order."""
    yield SignalStatus.ACCEPTED, None
    yield from new.events
    if fitted and fitted.fit in CHAIN_EVENTS:
        yield CHAIN_EVENTS[fitted.fit], {"note": fitted.note, **_standing_detail(fitted.last.link.after)}
    is_named = new.link is None or new.link.before.size is not None or new.link.after.size is not None
    if fitted and not is_named and fitted.size_before is not None:
        yield SIZE_BEFORE, {"size": str(fitted.size_before)}
    if not new.accounts:
        yield SignalStatus.DONE, None


def _standing_detail(standing: Standing) -> dict[str, str | None]:
    return {"side": standing.side.value, "size": None if standing.size is None else str(standing.size)}


def _linked(connection: Connection, new: NewSignal, now_ms: int) -> Judged | None:
    if new.link is None:
        return None
    lane = (new.category, new.symbol) if new.category and new.symbol else None
    return extend_chain(
        connection,
        new.link,
        strategy=new.strategy,
        lane=lane,
        ticker=new.ticker,
        signal_id=new.id,
        now_ms=now_ms,
    )


def _execution(new: NewSignal, account: str, now_ms: int) -> dict[str, Any]:
    return {
        "signal_id": new.id,
        "account": account,
        "category": new.category,
        "symbol": new.symbol,
        "generation": 0,
        "status": SignalStatus.ACCEPTED,
        "opened_at": now_ms,
    }


def reopen(connection: Connection, signal_id: str, *, now_ms: int, why: str) -> Reopened:
    """Opens the next generation, behind all that was accepted meanwhile; whether it may is the caller's affair."""
    generation: int = connection.execute(_STATUS, {"of_id": signal_id}).one().generation + 1
    place = add_event(connection, signal_id, "reopened", {"generation": generation, "why": why}, now_ms)
    opened = {"status": SignalStatus.ACCEPTED, "generation": generation, **reason_columns(None)}
    connection.execute(update(signals).where(signals.c.id == signal_id).values(**opened, finished_at=None))
    connection.execute(
        update(assignments).where(assignments.c.signal_id == signal_id).values(**opened, seq=place, opened_at=now_ms)
    )
    # Read here: once it is committed, a read that fails would leave the signal in no lane.
    opened_again = engine_queries.executions_of(connection, signal_id)
    return Reopened(signal_id=signal_id, generation=generation, assignments=opened_again)


def undo_reopening(connection: Connection, signal_id: str, generation: int, now_ms: int) -> None:
    """The generation stays used up; the signal can be opened again."""
    closed = {"status": SignalStatus.FAILED, **reason_columns(_WITHDRAWN)}
    is_this = (signals.c.id == signal_id) & (signals.c.generation == generation)
    if connection.execute(update(signals).where(is_this).values(**closed, finished_at=now_ms)).rowcount:
        connection.execute(update(assignments).where(assignments.c.signal_id == signal_id).values(**closed))
        add_event(connection, signal_id, "withdrawn", {"generation": generation}, now_ms)


def reopen_by_hand(connection: Connection, signal_id: str, now_ms: int, *, is_fresh: bool = False) -> Reopened:
    """Opens the next generation. SignalNotRetryable unless nothing of it can have had an effect.

    `is_fresh`: it is as old as its opening, for this generation.
    """
    which = select(signals.c.status, signals.c.generation).where(signals.c.id == signal_id)
    known = connection.execute(which).first()
    if known is None:
        raise SignalNotRetryable(f"there is no signal {signal_id}")
    if known.status not in _RETRYABLE:
        raise SignalNotRetryable(f"a signal that is {known.status} cannot be opened again")
    if known.generation >= MAX_GENERATION:
        raise SignalNotRetryable(f"a signal is opened again at most {MAX_GENERATION} times")
    if not is_without_effect(connection, signal_id):
        raise SignalNotRetryable("an order of this signal may have reached the exchange; look there first")
    return reopen(connection, signal_id, now_ms=now_ms, why=RETRY_NOW if is_fresh else "retry")


# Where several processes write, whoever has the locks of an alert and of its lanes is the next in line.


def locks_of(new: NewSignal) -> tuple[Lock, ...]:
    """The alert's and its lanes': who has them is the next in line, and is committed before anybody else.

    An alert whose instrument is not known may belong to any lane of its accounts: nobody else accepts for them then.
    """
    lanes = lane_names(new)
    accounts = [f"account {each}" for each in new.accounts]
    if new.category is None:
        return locks_on(_alert_name(new), *accounts, lanes=lanes)
    return locks_on(_alert_name(new), lanes=lanes, shared=accounts)


def take_back(admitting: Admitting, connection: Connection, admission: Admission) -> None:
    """As if it had never come; unless its resend, which another process may have had, was told that it is there."""
    hold(connection, locks_on(_alert_name(admitting.new)))
    if isinstance(admission, New | Reopened) and not _is_vouched_for(connection, admission.signal_id):
        admitting.undo(connection, admission)


def _alert_name(new: NewSignal) -> str:
    return f"alert {new.strategy} {new.identity.kind.value} {new.identity.key}"


def _is_vouched_for(connection: Connection, signal_id: str) -> bool:
    """Since it was opened last."""
    of_signal = select(events.c.name).where(events.c.signal_id == signal_id)
    reported = of_signal.where(events.c.name.in_(("accepted", "reopened", "duplicate"))).order_by(events.c.id.desc())
    return connection.execute(reported.limit(1)).scalar() == "duplicate"


def reopen_in_line(connection: Connection, signal_id: str, now_ms: int, *, is_fresh: bool = False) -> Reopened:
    """Where several processes write: its place among its lanes' alerts is given while nobody else has their locks."""
    of_signal = select(
        assignments.c.account,
        assignments.c.category,
        func.coalesce(assignments.c.symbol, signals.c.ticker, "").label("symbol"),
    ).join(signals, signals.c.id == assignments.c.signal_id)
    rows = connection.execute(of_signal.where(assignments.c.signal_id == signal_id)).all()
    if rows:
        hold(connection, locks_on(lanes=[lane_name(row.account, row.category, row.symbol) for row in rows]))
    return reopen_by_hand(connection, signal_id, now_ms, is_fresh=is_fresh)


def lane_names(new: NewSignal) -> list[str]:
    symbol = new.symbol if new.category else new.ticker
    return [lane_name(each, new.category, symbol or "") for each in sorted(new.accounts)]
