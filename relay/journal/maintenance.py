"""What people do to the whole journal: a copy of it, bringing one back, its rows for other programs, another name for
an account, and forgetting what is old."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.engine import URL, make_url

from relay.domain.bracket import Bracket, BracketStatus
from relay.domain.instrument import Category, plain
from relay.domain.order import Reason, SignalStatus
from relay.domain.trades import Trade
from relay.errors import RelayError
from relay.journal import tables
from relay.journal.api_queries import FEE_COIN, shown_orders
from relay.journal.engine_queries import unfinished
from relay.journal.journal import Journal
from relay.journal.opening import migrate
from relay.journal.orders import live_brackets, live_brackets_of
from relay.journal.records import HALT, from_json, rfc3339, to_json
from relay.journal.sqlite import FileLock, JournalFile
from relay.journal.store import Store
from relay.journal.tables import (
    IS_LIVE,
    IS_OPEN,
    assignments,
    attempts,
    beliefs,
    events,
    fills,
    guards,
    mailboxes,
    metadata,
    notices,
    orders,
    plans,
    signals,
    switches,
    trades,
)
from relay.journal.trades import TRADE_COLUMNS, shown_trade, trade_cells
from relay.journal.unit_of_work import UnitOfWork
from relay.settings.environment import database_password

RESTORED: Final = "restored"
"""The switch. Of every account (`account` empty) `restore` writes it; of each account the next start does."""
NEW: Final = "new"
_MARK: Final = (
    f"INSERT INTO switches (account, name, value, at, by) VALUES ('', '{RESTORED}', '{NEW}', {{at_ms}}, 'restore')"  # noqa: S608
)
"""Whatever the schema that the backup is of: the next start on it finds it."""
_UNMARK: Final = f"DELETE FROM switches WHERE name = '{RESTORED}'"  # noqa: S608
_FUNCTIONS: Final = ("take_turn", "end_turn")
"""Those that migrations have made."""
_DUMPED: Final = re.compile(r"^\d+; \d+ \d+ TABLE (\w+) (\w+) ", re.MULTILINE)


class BackupFailed(RelayError):
    """The journal could not be copied, or brought back."""


def back_up(url: str, target: Path) -> None:
    """Copy the journal of `url` to `target`, which must not be there yet; it is whole or is not there at all.

    SQLite: by its own online backup, beside a running relay. Postgres: by `pg_dump`, in its custom format. The file is
    private: it holds what the journal does. Raises BackupFailed.
    """
    if target.exists():
        raise BackupFailed(f"{target} is there already; name another file")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        unfinished.touch(mode=0o600)
        if make_url(url).get_backend_name() == "sqlite":
            _copy(Path(str(make_url(url).database)), unfinished)
        else:
            _dump(url, unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        # Never over a file that came meanwhile.
        os.link(unfinished, target)
    except OSError as error:
        raise BackupFailed(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _copy(journal: Path, target: Path) -> None:
    if not journal.is_file():
        raise BackupFailed(f"there is no journal {journal}")
    try:
        source = sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)
        with closing(source), closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
            found = copy.execute("PRAGMA integrity_check").fetchone()[0]
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, which can be moved about
    except sqlite3.Error as error:
        raise BackupFailed(f"the journal {journal} cannot be copied: {error}") from error
    if found != "ok":
        raise BackupFailed(f"the copy of {journal} is not sound: {found}")


def _dump(url: str, target: Path) -> None:
    _run("pg_dump", url, "--format=custom", "--no-owner", f"--file={target}")


def _run(name: str, url: str, *arguments: str) -> str:
    """One of Postgres' own programs on the database of `url`, and what it writes. Raises BackupFailed."""
    program = shutil.which(name)
    if program is None:
        raise BackupFailed(f"{name} is not there; install the client of your Postgres' version (postgresql-client)")
    where, password = make_url(url), database_password(url)
    # Built anew: `set(password=None)` would leave the password in the address, which every process may read.
    shown = URL.create("postgresql", where.username, None, where.host, where.port, where.database, where.query)
    address = str(shown.difference_update_query(["password"]))
    environment = {**os.environ, **({"PGPASSWORD": password.reveal()} if password else {})}
    command = [program, *arguments, *([f"--dbname={address}"] if name != "pg_restore" else [])]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if ran.returncode != 0:
        words = ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else "?"
        is_older = "version mismatch" in ran.stderr or "unsupported version" in ran.stderr
        remedy = f"; install the client of your Postgres' version and put its {name} first in PATH" if is_older else ""
        raise BackupFailed(f"{name} failed: {words}{remedy}")
    return ran.stdout


def restore(url: str, source: Path, *, is_replacing: bool, now: datetime) -> Path | None:
    """Make the journal of `url` what `back_up` has put into `source`, marked so that the next start knows it.

    `is_replacing`: whether a journal with signals in it may be replaced. Of SQLite that one is kept beside it: its
    path. No relay may run on it. Raises BackupFailed; then all is as it was.
    """
    try:
        with source.open("rb") as file:
            begins = file.read(16)
    except OSError as error:
        raise BackupFailed(f"{source} cannot be read: {error.strerror or error}") from error
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    if not begins.startswith(b"SQLite format 3" if is_sqlite else b"PGDMP"):
        what = "a SQLite journal" if is_sqlite else "a dump of Postgres"
        raise BackupFailed(
            f"{source} is no backup of {what}, which DATABASE_URL is; it should be one that `backup` made"
        )
    if is_sqlite:
        return _bring_back(JournalFile(make_url(url)), source, is_replacing=is_replacing, now=now)
    _load(url, source, is_replacing=is_replacing, now=now)
    return None


def _bring_back(file: JournalFile, source: Path, *, is_replacing: bool, now: datetime) -> Path | None:
    held = FileLock(file.lock_path)
    try:
        if file.path.exists() and not is_replacing:
            _require_empty(_signals_in(file.path), str(file.path))
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=file.path.parent) as folder:
            made = Path(folder) / file.path.name
            made.touch(mode=0o600)
            _copy(source, made)
            with closing(sqlite3.connect(made)) as copy, copy:
                if copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_meta'").fetchone() is None:
                    raise BackupFailed(f"{source} is no journal of a relay")
                copy.execute(_UNMARK)
                copy.execute(_MARK.format(at_ms=int(now.timestamp() * 1000)))
            migrate(f"sqlite:///{made}")
            with closing(sqlite3.connect(made)) as copy:
                copy.execute("PRAGMA journal_mode = DELETE")
            with made.open("rb") as written:
                os.fsync(written.fileno())
            former = _put_aside(file.path, now)
            os.replace(made, file.path)
        return former
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"the journal {file.path} cannot be brought back: {error}") from error
    finally:
        held.release()


def _signals_in(journal: Path) -> int:
    """What cannot be read counts as none: a broken journal is what one brings a backup back for."""
    try:
        with closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)) as there:
            return int(there.execute("SELECT count(*) FROM signals").fetchone()[0])
    except sqlite3.Error:
        return 0


def _require_empty(signals: int, where: str) -> None:
    if signals:
        raise BackupFailed(f"{where} holds a journal with {signals} signals; --replace puts the backup in its place")


def _put_aside(journal: Path, now: datetime) -> Path | None:
    """What was committed last may stand in the file's log: it is written back first, else the log goes along."""
    if not journal.exists():
        return None
    former = journal.with_name(f"{journal.name}.replaced-{now:%Y%m%d-%H%M%S}")
    try:
        with closing(sqlite3.connect(journal)) as there:
            there.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error:
        for suffix in ("-wal", "-shm"):
            if (log := Path(f"{journal}{suffix}")).exists():
                log.rename(f"{former}{suffix}")
    os.link(journal, former)
    return former


def _load(url: str, source: Path, *, is_replacing: bool, now: datetime) -> None:
    """In one transaction of `psql`, the mark included."""
    from relay.journal.postgres import postgres_engine

    engine = postgres_engine(make_url(url))
    try:
        with engine.begin() as connection:
            there = set(inspect(connection).get_table_names())
            if "process" in there:
                living = "SELECT count(*) FROM process WHERE expires_at > extract(epoch from now()) * 1000"
                if connection.execute(text(living)).scalar():
                    raise BackupFailed("a process of the relay runs on this database; stop all of them first")
            if "signals" in there and not is_replacing:
                _require_empty(connection.execute(text("SELECT count(*) FROM signals")).scalar() or 0, "the database")
    finally:
        engine.dispose()
    dumped = {table for schema, table in _DUMPED.findall(_run("pg_restore", url, "--list", str(source)))}
    if "schema_meta" not in dumped:
        raise BackupFailed(f"{source} is no journal of a relay")
    dropped = sorted({*dumped, *metadata.tables, "alembic_version"})
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "journal.sql"
        _run("pg_restore", url, "--no-owner", "--no-privileges", f"--file={script}", str(source))
        tables = [f'DROP TABLE IF EXISTS public."{each}" CASCADE' for each in dropped]
        drops = "; ".join([*tables, *(f"DROP FUNCTION IF EXISTS public.{each}" for each in _FUNCTIONS)])
        mark = _MARK.format(at_ms=int(now.timestamp() * 1000)).replace("INTO switches", "INTO public.switches")
        marked = f"{_UNMARK.replace('FROM switches', 'FROM public.switches')}; {mark}"
        flags = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1")
        _run("psql", url, *flags, "--command", drops, f"--file={script}", "--command", marked)
    migrate(url)


# A journal that was brought back from a backup: which part of each account in it is past, and what differs by now.
#
# What the relay did after the backup was made is unknown to it. So nothing that was unfinished in it is executed, no
# stop or take profit of it is acted on, and entries are halted until a person has been shown what differs.


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


# What the journal holds of a time, row by row, for other programs.


_AT_ONCE: Final = 500


class ExportKind(StrEnum):
    """What is taken out."""

    SIGNALS = "signals"
    ORDERS = "orders"
    FILLS = "fills"
    TRADES = "trades"


COLUMNS: Final = {
    ExportKind.SIGNALS: (
        *("id", "strategy", "action", "ticker", "category", "symbol", "status", "reason_code", "reason_message"),
        *("received_at", "sent_at", "finished_at"),
    ),
    ExportKind.ORDERS: (
        *("signal_id", "client_order_id", "venue_order_id", "account", "category", "symbol", "side", "type", "qty"),
        *(
            "price",
            "reduce_only",
            "status",
            "reason_code",
            "reason_message",
            "filled_qty",
            "avg_price",
            "fee",
            "fee_coin",
            "created_at",
            "fees_other",
        ),
    ),
    ExportKind.FILLS: (
        *("signal_id", "client_order_id", "exec_id", "account", "category", "symbol", "side", "qty", "price", "fee"),
        *("fee_coin", "is_maker", "at"),
    ),
    ExportKind.TRADES: TRADE_COLUMNS,
}
"""In this order; numbers of money and size are texts, times RFC 3339."""


def export(store: Store, kind: ExportKind, from_ms: int, until_ms: int) -> Iterator[dict[str, Any]]:
    """The oldest first: signals by their receipt, orders by their making, fills and the trades that they began by the
    exchange's time. `until_ms` is not included. Raises JournalUnavailable."""
    by, key = {
        ExportKind.SIGNALS: (signals.c.received_at, signals.c.seq),
        ExportKind.ORDERS: (orders.c.created_at, orders.c.client_order_id),
        ExportKind.FILLS: (fills.c.at, fills.c.exec_id),
        ExportKind.TRADES: (trades.c.at, trades.c.id),
    }[kind]
    statement = {
        ExportKind.SIGNALS: select(signals),
        ExportKind.ORDERS: select(orders, FEE_COIN),
        ExportKind.FILLS: select(fills, orders.c.signal_id, orders.c.category, orders.c.symbol, orders.c.side).join(
            orders, orders.c.client_order_id == fills.c.client_order_id
        ),
        ExportKind.TRADES: select(trades),
    }[kind]
    statement = statement.where(by >= from_ms, by < until_ms).order_by(by, key).limit(_AT_ONCE)
    page = statement
    while True:
        # Page by page: on Postgres a connection that only reads is in no transaction, in which alone a cursor lives.
        with store.read() as connection:
            rows = connection.execute(page).all()
            shown = _shown(connection, kind, rows)
        for row, more in zip(rows, shown, strict=True):
            yield {name: _cell(name, {**row._mapping, **more}[name]) for name in COLUMNS[kind]}
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1]._mapping
        page = statement.where(tuple_(by, key) > tuple_(last[by], last[key]))


def _shown(connection: Connection, kind: ExportKind, rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    """What a row of the table does not say by itself."""
    match kind:
        case ExportKind.ORDERS:
            return [_fees(each) for each in shown_orders(connection, rows)]
        case ExportKind.TRADES:
            return [trade_cells(shown_trade(from_json(Trade, row.body))) for row in rows]
        case _:
            return [{}] * len(rows)


def _fees(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Of an order; those in other coins in words: `0.1 MNT`."""
    others = " ".join(f"{amount} {coin}" for coin, amount in shown.get("fees_other", {}).items())
    return {name: shown[name] for name in ("fee", "fee_coin") if name in shown} | {"fees_other": others}


def _cell(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if name == "at" or name.endswith("_at"):
        return rfc3339(value)
    return plain(value) if hasattr(value, "as_tuple") else value


# Forgetting: finished signals that are old, with all that belongs to them. Identities and what is counted stay.


DAY_MS: Final = 24 * 60 * 60 * 1000
_BATCH: Final = 100
_BATCHES: Final = 20
"""At once; then others have their turn."""


class Retention:
    """Goes through the journal from its oldest end, a small transaction at a time, and begins anew at the end."""

    def __init__(self, store: Store, *, keep_days: int) -> None:
        self._store = store
        self._keep_ms = keep_days * DAY_MS
        self._after = 0

    def prune(self, now_ms: int) -> int:
        """How many signals were forgotten. Raises JournalUnavailable."""
        forgotten = 0
        for _ in range(_BATCHES):
            rows, before_ms = self._next(), now_ms - self._keep_ms
            if not rows or rows[0].received_at >= before_ms:
                self._after = 0
                break
            self._after = rows[-1].seq
            old = [row.id for row in rows if row.finished_at is not None and row.finished_at < before_ms]
            if old:
                forgotten += self._store.submit(partial(_forget, ids=old), deadline_s=10)
        return forgotten

    def _next(self) -> Sequence[Row[Any, Any, Any, Any]]:
        """Whatever comes next, so that what is not old yet ends the search and is not read through each time."""
        columns = signals.c.seq, signals.c.id, signals.c.received_at, signals.c.finished_at
        with self._store.read() as connection:
            statement = select(*columns).where(signals.c.seq > self._after).order_by(signals.c.seq).limit(_BATCH)
            return connection.execute(statement).all()


def _forget(connection: Connection, ids: Sequence[str]) -> int:
    """All of these but those that are still of use."""
    which = signals.c.id.in_(ids) & signals.c.finished_at.is_not(None)
    found = set(connection.scalars(select(signals.c.id).where(which).with_for_update()))
    gone = sorted(found - _still_of_use(connection, ids))
    if not gone:
        return 0
    own = list(connection.scalars(select(orders.c.client_order_id).where(orders.c.signal_id.in_(gone))))
    for table in (fills, attempts):
        connection.execute(delete(table).where(table.c.client_order_id.in_(own)))
    for table in (orders, plans, guards, assignments, events):
        connection.execute(delete(table).where(table.c.signal_id.in_(gone)))
    connection.execute(delete(signals).where(signals.c.id.in_(gone)))
    return len(gone)


def _still_of_use(connection: Connection, ids: Sequence[str]) -> set[str]:
    """An order of theirs is open; or a position where they ordered, which only they say is the relay's."""
    lanes = select(orders.c.account, orders.c.category, orders.c.symbol).where(orders.c.signal_id.in_(ids))
    known = select(beliefs).where(tuple_(beliefs.c.account, beliefs.c.category, beliefs.c.symbol).in_(lanes))
    held = {(row.account, row.category, row.symbol) for row in connection.execute(known) if row.size}
    statement = select(
        orders.c.signal_id, orders.c.account, orders.c.category, orders.c.symbol, IS_OPEN.label("is_open")
    ).where(orders.c.signal_id.in_(ids))
    guarding = set(connection.scalars(select(guards.c.signal_id).where(IS_LIVE & guards.c.signal_id.in_(ids))))
    return guarding | {
        row.signal_id
        for row in connection.execute(statement)
        if row.is_open or (row.account, row.category, row.symbol) in held
    }


# An account's name in the journal: which ones it knows, another name for one, and one that is given up.


FORGOTTEN: Final = "forgotten"
"""The switch of an account that is configured no more, and of which a person wants to hear nothing more."""
_BY_RENAMING: Final = "rename-account"
_OF_SIGNALS: Final = (tables.plans, tables.orders, tables.guards)
_SUMMED: Final = (tables.day_totals, tables.trade_totals)
_NEWEST: Final = (tables.beliefs, tables.carries, tables.switches, tables.account_owner, tables.account_reports)
"""Of a row that both names have, the new name's is kept; elsewhere the old name's, which knows more of the past."""


class NotRenamed(RelayError):
    """The account keeps its name in the journal."""


def known_accounts(journal: Journal) -> tuple[str, ...]:
    """Those of which anything was ordered, or a position read."""
    with journal.store.read() as connection:
        names = (connection.scalars(select(each.c.account).distinct()) for each in (tables.assignments, tables.beliefs))
        return tuple(sorted({name for of_table in names for name in of_table}))


def accounts_with_open(journal: Journal) -> frozenset[str]:
    """Those with an unfinished signal, an open order, a live bracket, or a position that was read once, flat or not.

    By the partial indexes, since it is asked for every minute.
    """
    wanted = (
        select(tables.assignments.c.account).where(tables.IS_UNFINISHED),
        select(tables.orders.c.account).where(tables.IS_OPEN),
        select(tables.guards.c.account).where(tables.IS_LIVE),
        select(tables.beliefs.c.account),
    )
    with journal.store.read() as connection:
        return frozenset(name for each in wanted for name in connection.scalars(each.distinct()))


def rename(journal: Journal, old: str, new: str) -> None:
    """All that is known of `old` is known of `new` from now on. No relay may run. Raises NotRenamed."""
    journal.store.submit(lambda connection: _rename(connection, old, new), deadline_s=60)


def _rename(connection: Connection, old: str, new: str) -> None:
    both = tables.assignments.alias()
    went = select(both.c.signal_id).where(both.c.account == new)
    found = connection.execute(
        select(tables.assignments.c.signal_id)
        .where(tables.assignments.c.account == old, tables.assignments.c.signal_id.in_(went))
        .limit(1)
    ).scalar()
    if found is not None:
        raise NotRenamed(f"signal {found} went to {old} and to {new}: they are two accounts")
    halted = select(tables.switches.c.by).where(
        tables.switches.c.account == old, tables.switches.c.name == HALT, tables.switches.c.value == "on"
    )
    if connection.execute(halted).first() is not None:
        is_halt = and_(tables.switches.c.account == new, tables.switches.c.name == HALT)
        connection.execute(delete(tables.switches).where(is_halt))
    # Their orders point to them: so they are there under both names until those have moved.
    columns = [each for each in tables.assignments.c if each.name != "account"]
    copied = select(*columns, literal(new)).where(tables.assignments.c.account == old)
    connection.execute(insert(tables.assignments).from_select([*[each.name for each in columns], "account"], copied))
    for table in _OF_SIGNALS:
        connection.execute(update(table).where(table.c.account == old).values(account=new))
    connection.execute(delete(tables.assignments).where(tables.assignments.c.account == old))
    done = {tables.assignments, *_OF_SIGNALS}
    for table in tables.metadata.sorted_tables:
        if "account" in table.c and table not in done:
            _move(connection, table, old, new)
    for row in connection.execute(select(tables.trades).where(tables.trades.c.account == new)).all():
        if row.body.get("account") == old:
            body = {**row.body, "account": new}
            connection.execute(update(tables.trades).where(tables.trades.c.id == row.id).values(body=body))


def _move(connection: Connection, table: Table, old: str, new: str) -> None:
    """Where both names have a row of the same key, one of the two goes."""
    if "account" in table.primary_key.columns:
        if table in _SUMMED:
            _sum(connection, table, old, new)
        loser, winner = (old, new) if table in (*_NEWEST, *_SUMMED) else (new, old)
        connection.execute(delete(table).where(table.c.account == loser, _has_twin(table, winner)))
    connection.execute(update(table).where(table.c.account == old).values(account=new))


def _has_twin(table: Table, account: str) -> ColumnElement[bool]:
    twin = table.alias()
    same = [twin.c[each.name] == each for each in table.primary_key.columns if each.name != "account"]
    return exists(select(literal(1)).where(twin.c.account == account, *same))


def _sum(connection: Connection, table: Table, old: str, new: str) -> None:
    """Into the new name's row. What is no number keeps the new name's."""
    keys = [each.name for each in table.primary_key.columns if each.name != "account"]
    numbers = [each.name for each in table.c if each.name not in (*keys, "account") and not each.nullable]
    rows = {
        tuple(row._mapping[each] for each in keys): row
        for row in connection.execute(select(table).where(table.c.account == old))
    }
    for row in connection.execute(select(table).where(table.c.account == new)).all():
        other = rows.get(tuple(row._mapping[each] for each in keys))
        if other is not None:
            which = [table.c[each] == row._mapping[each] for each in keys]
            summed: dict[str, Any] = {each: row._mapping[each] + other._mapping[each] for each in numbers}
            if table is tables.day_totals:
                summed["fees_other"] = _by_coin(row.fees_other or {}, other.fees_other or {}) or None
            connection.execute(update(table).where(table.c.account == new, *which).values(summed))


def _by_coin(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Decimal]:
    return {coin: Decimal(one.get(coin, 0)) + Decimal(other.get(coin, 0)) for coin in one.keys() | other}


def forget(journal: Journal, account: str, *, now_ms: int) -> None:
    """What was unfinished there ends unexecuted, and nothing of it is followed. No relay may run."""
    reason = Reason(code="ACCOUNT_FORGOTTEN", message=f"the account {account} is configured no more, and was given up")
    journal.store.submit(_forgetting(account, reason, now_ms), deadline_s=60)


def _forgetting(account: str, reason: Reason, now_ms: int) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        uow = UnitOfWork(connection)
        for each in unfinished(connection):
            if each.account == account:
                uow.signals.finish(each.signal.id, account, SignalStatus.FAILED, reason, (), now_ms=now_ms)
        for record in live_brackets(connection, account):
            uow.protection.save(record.seq, replace(record.bracket, status=BracketStatus.OVER), now_ms=now_ms)
        uow.set_switch(account, FORGOTTEN, "on", by=_BY_RENAMING, now_ms=now_ms)
        uow.events.flush()

    return work
