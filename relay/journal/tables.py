"""The tables. Times are Unix milliseconds, decimals and enums TEXT: the same on SQLite and on Postgres."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex
from sqlalchemy.sql.compiler import DDLCompiler

from relay.domain.bracket import BracketStatus
from relay.domain.instrument import Category
from relay.domain.order import UNFINISHED, ErrorKind, OrderStatus, OrderType, Purpose, Side, SignalStatus
from relay.domain.signal import Fit, IdentityKind, MarketSide
from relay.journal.records import AttemptOutcome
from relay.journal.statements import Enumerated, ExactDecimal, Json, UnixMs, Words, next_place, numbered

metadata = MetaData()


def one_of(column: Column[StrEnum], values: tuple[StrEnum, ...]) -> ColumnElement[bool]:
    """With the values spelled out: a partial index serves only a query that repeats its very condition."""
    return column.in_([literal_column(f"'{value.value}'", column.type) for value in values])


@compiles(CreateIndex, "postgresql")
def _partial_as_on_sqlite(create: CreateIndex, compiler: DDLCompiler, **kw: Any) -> str:
    """A table that named Postgres would load its dialect, which no relay on SQLite needs: a tenth of a second."""
    own, sqlites = (create.element.dialect_options[each] for each in ("postgresql", "sqlite"))
    own["where"] = own["where"] if own["where"] is not None else sqlites["where"]
    return str(compiler.visit_create_index(create, **kw))  # type: ignore[no-untyped-call]


schema_meta = Table(
    "schema_meta",
    metadata,
    Column("revision", Text, primary_key=True),
    Column("compatible_from", Text, nullable=False),
)
"""For each revision the oldest one whose relay can still run on it."""

signals = Table(
    "signals",
    metadata,
    Column("seq", numbered(), primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("strategy", Words),
    Column("action", Words),
    Column("ticker", Words),
    Column("category", Enumerated(Category)),
    Column("symbol", Words),
    Column("status", Enumerated(SignalStatus), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("reason_code", Text),
    Column("reason_message", Words),
    Column("notes", Json, nullable=False),
    Column("received_at", UnixMs, nullable=False),
    Column("sent_at", UnixMs),
    Column("finished_at", UnixMs),
    Column("alert", Json, nullable=False),
    Column("body_digest", Text, nullable=False),
    Index("ix_signals_status", "status", "seq"),
    Index("ix_signals_symbol", "symbol", "seq"),
    Index("ix_signals_strategy", "strategy", "seq"),
    sqlite_autoincrement=True,
)

identities = Table(
    "identities",
    metadata,
    Column("strategy", Words, primary_key=True),
    Column("kind", Enumerated(IdentityKind), primary_key=True),
    Column("key", Words, primary_key=True),
    # No foreign key: identities outlive the signals that are pruned.
    Column("signal_id", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("first_at", UnixMs, nullable=False),
)

assignments = Table(
    "assignments",
    metadata,
    Column("signal_id", Text, ForeignKey("signals.id"), primary_key=True),
    Column("account", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False, default=next_place()),
    Column("category", Enumerated(Category)),
    Column("symbol", Words),
    Column("generation", Integer, nullable=False),
    Column("status", Enumerated(SignalStatus), nullable=False),
    Column("opened_at", UnixMs, nullable=False),
    Column("reason_code", Text),
    Column("reason_message", Words),
)
IS_UNFINISHED = one_of(assignments.c.status, tuple(sorted(UNFINISHED)))
Index("ix_assignments_unfinished", assignments.c.seq, sqlite_where=IS_UNFINISHED)
Index(
    "ix_assignments_lane",
    assignments.c.account,
    assignments.c.category,
    assignments.c.symbol,
    assignments.c.seq,
    sqlite_where=IS_UNFINISHED,
)

plans = Table(
    "plans",
    metadata,
    Column("signal_id", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("inputs", Json, nullable=False),
    Column("orders", Json, nullable=False),
    Column("notes", Json, nullable=False),
    Column("reason_code", Text),
    Column("reason_message", Words),
    Column("at", UnixMs, nullable=False),
    ForeignKeyConstraint(["signal_id", "account"], ["assignments.signal_id", "assignments.account"]),
)

orders = Table(
    "orders",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("signal_id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("leg", Integer, nullable=False),
    Column("category", Enumerated(Category), nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Enumerated(Side), nullable=False),
    Column("type", Enumerated(OrderType), nullable=False),
    Column("qty", ExactDecimal, nullable=False),
    Column("price", ExactDecimal),
    Column("reduce_only", Boolean, nullable=False),
    Column("purpose", Enumerated(Purpose), nullable=False),
    Column("planned", Json, nullable=False),
    Column("status", Enumerated(OrderStatus), nullable=False),
    Column("reason_code", Text),
    Column("reason_message", Words),
    Column("venue_order_id", Text),
    Column("filled_qty", ExactDecimal, nullable=False),
    Column("avg_price", ExactDecimal),
    Column("fee", ExactDecimal, nullable=False),
    Column("rests", Boolean, nullable=False),
    Column("replaces", Text),
    Column("created_at", UnixMs, nullable=False),
    Column("updated_at", UnixMs, nullable=False),
    UniqueConstraint("signal_id", "account", "generation", "leg", name="uq_orders_leg"),
    ForeignKeyConstraint(["signal_id", "account"], ["assignments.signal_id", "assignments.account"]),
)
OPEN_STATUSES = (OrderStatus.SUBMITTED, OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)
IS_OPEN = one_of(orders.c.status, OPEN_STATUSES)
Index(
    "ix_orders_open",
    orders.c.account,
    orders.c.category,
    orders.c.symbol,
    sqlite_where=IS_OPEN,
)
Index("ix_orders_lane", orders.c.account, orders.c.category, orders.c.symbol, orders.c.updated_at)

attempts = Table(
    "attempts",
    metadata,
    Column("client_order_id", Text, ForeignKey("orders.client_order_id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("timestamp_ms", UnixMs, nullable=False),
    Column("recv_window_ms", Integer, nullable=False),
    Column("outcome", Enumerated(AttemptOutcome)),
    Column("code", Integer),
    Column("words", Words),
    Column("refusal", Enumerated(ErrorKind)),
    Column("reason_code", Text),
    Column("retry_at_ms", UnixMs),
    Column("absent_at_ms", UnixMs),
    Column("sent_at", UnixMs, nullable=False),
    Column("answered_at", UnixMs),
)

WITH_ATTEMPTS = select(orders, *(each.label(f"attempt_{each.key}") for each in attempts.c)).select_from(
    orders.outerjoin(attempts, attempts.c.client_order_id == orders.c.client_order_id)
)
"""Orders, each with a row for each of its attempts (`codec.state_of` reads them), or one row without."""

fills = Table(
    "fills",
    metadata,
    Column("account", Text, primary_key=True),
    Column("exec_id", Text, primary_key=True),
    Column("client_order_id", Text, ForeignKey("orders.client_order_id"), nullable=False),
    Column("qty", ExactDecimal, nullable=False),
    Column("price", ExactDecimal, nullable=False),
    Column("fee", ExactDecimal, nullable=False),
    Column("fee_coin", Text, nullable=False),
    Column("is_maker", Boolean, nullable=False),
    Column("at", UnixMs, nullable=False),
    Index("ix_fills_order", "client_order_id"),
)

events = Table(
    "events",
    metadata,
    Column("id", numbered(), primary_key=True, autoincrement=True),
    Column("signal_id", Text, ForeignKey("signals.id"), nullable=False),
    Column("at", UnixMs, nullable=False),
    Column("name", Text, nullable=False),
    Column("detail", Json),
    Index("ix_events_signal", "signal_id"),
    sqlite_autoincrement=True,
)

carries = Table(
    "carries",
    metadata,
    Column("account", Text, primary_key=True),
    Column("category", Enumerated(Category), primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("size", ExactDecimal, nullable=False),
)

beliefs = Table(
    "beliefs",
    metadata,
    Column("account", Text, primary_key=True),
    Column("category", Enumerated(Category), primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("size", ExactDecimal, nullable=False),
    Column("at", UnixMs, nullable=False),
    Column("fees", ExactDecimal),
    Column("avg_price", ExactDecimal),
    Column("uncounted", ExactDecimal),
)
"""`at`: when the position was last read from the exchange, on its own clock. Of coins that are held: when they were
filled last; `size` and the others are `OwnCoins`'s."""

switches = Table(
    "switches",
    metadata,
    Column("account", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", UnixMs, nullable=False),
    Column("by", Words, nullable=False),
)

refusals = Table(
    "refusals",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("source", Words, primary_key=True),
    Column("posts", BigInteger, nullable=False),
    Column("last_at", UnixMs, nullable=False),
)


bookings = Table(
    "bookings",
    metadata,
    Column("account", Text, primary_key=True),
    Column("exec_id", Text, primary_key=True),
    Column("coin", Text, nullable=False),
    Column("realised", ExactDecimal, nullable=False),
    Column("fee", ExactDecimal, nullable=False),
    Column("funding", ExactDecimal, nullable=False),
    Column("at", UnixMs, nullable=False),
    Column("category", Enumerated(Category)),
    Column("symbol", Text),
    Column("seq", BigInteger),
    Column("entry", Json),
    Column("maker", Json),
    Column("before", Json),
    Column("touched", Json),
    Index("ix_bookings_at", "at"),
    Index("ix_bookings_symbol", "account", "category", "symbol", "at"),
)
"""Each execution counts once; stored for as long as one could be reported again. `entry`: as it was told; NULL where
it was booked before trades were kept. `before`: the symbol's open trades before it, from which all later ones can be
worked out anew; `touched`: the ids of the trades that it changed."""

trades = Table(
    "trades",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("strategy", Words, nullable=False),
    Column("category", Enumerated(Category), nullable=False),
    Column("symbol", Text, nullable=False),
    Column("at", UnixMs, nullable=False),
    Column("closed_at", UnixMs),
    Column("body", Json, nullable=False),
    Index("ix_trades_at", "at", "id"),
    Index("ix_trades_strategy", "strategy", "at", "id"),
    Index("ix_trades_account", "account", "at", "id"),
    Index("ix_trades_name", "symbol", "at", "id"),
    Index("ix_trades_symbol", "account", "category", "symbol", "closed_at"),
    Index("ix_trades_closed", "closed_at"),
)
"""Never pruned. `at`: of its first execution."""

trade_totals = Table(
    "trade_totals",
    metadata,
    Column("account", Text, primary_key=True),
    Column("strategy", Words, primary_key=True),
    Column("coin", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("trades", Integer, nullable=False),
    Column("won", Integer, nullable=False),
    Column("realised", ExactDecimal, nullable=False),
    Column("fees", ExactDecimal, nullable=False),
    Column("funding", ExactDecimal, nullable=False),
)
"""Sums over the trades that were closed on a day (UTC): with them a page is as quick over a year as over a day."""

booked_sums = Table(
    "booked_sums",
    metadata,
    Column("account", Text, primary_key=True),
    Column("at", UnixMs, primary_key=True),
    Column("coin", Text, primary_key=True),
    Column("amount", ExactDecimal, nullable=False),
)
"""What the exchange's own transaction log booked in the hour that begins at `at`."""

day_totals = Table(
    "day_totals",
    metadata,
    Column("account", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("coin", Text, primary_key=True),
    Column("realised", ExactDecimal, nullable=False),
    Column("fees", ExactDecimal, nullable=False),
    Column("funding", ExactDecimal, nullable=False),
    Column("fees_other", Json),
)
"""`fees_other`: by coin, what was paid in another one."""

equity_points = Table(
    "equity_points",
    metadata,
    Column("account", Text, primary_key=True),
    Column("at", UnixMs, primary_key=True),
    Column("coin", Text, primary_key=True),
    Column("equity", ExactDecimal, nullable=False),
    Column("unrealised", ExactDecimal, nullable=False),
    Column("usd", ExactDecimal),
)

booked_until = Table(
    "booked_until",
    metadata,
    Column("account", Text, primary_key=True),
    Column("at", UnixMs, nullable=False),
    Column("since", UnixMs),
    Column("log_until", UnixMs),
)
"""Up to then, by the exchange's clock, every execution is known to be booked. `since`: from then on trades are kept;
NULL before the first time. `log_until`: up to then the transaction log was read."""


chains = Table(
    "chains",
    metadata,
    Column("strategy", Words, primary_key=True),
    Column("category", Enumerated(Category), primary_key=True),
    Column("symbol", Words, primary_key=True),
    Column("ticker", Words),
    Column("signal_id", Text, nullable=False),
    Column("at", UnixMs, nullable=False),
    Column("sent_at", UnixMs),
    Column("before_side", Enumerated(MarketSide), nullable=False),
    Column("before_size", ExactDecimal),
    Column("side", Enumerated(MarketSide), nullable=False),
    Column("size", ExactDecimal),
    Column("fit", Enumerated(Fit), nullable=False),
    Column("open_side", Enumerated(MarketSide)),
    Column("open_size", ExactDecimal),
)
"""`before_…` and the rest: the strategy's last alert. `open_…`: where a gap before it begins. `ticker`: as it came."""


guards = Table(
    "guards",
    metadata,
    Column("seq", numbered(), primary_key=True, autoincrement=True),
    Column("signal_id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("category", Enumerated(Category), nullable=False),
    Column("symbol", Text, nullable=False),
    Column("status", Enumerated(BracketStatus), nullable=False),
    Column("guard", Json, nullable=False),
    Column("updated_at", UnixMs, nullable=False),
    ForeignKeyConstraint(["signal_id", "account"], ["assignments.signal_id", "assignments.account"]),
    sqlite_autoincrement=True,
)
IS_LIVE = one_of(guards.c.status, (BracketStatus.WAITING, BracketStatus.ACTIVE))
Index(
    "ix_guards_live",
    guards.c.account,
    guards.c.category,
    guards.c.symbol,
    sqlite_where=IS_LIVE,
)


leases: Final = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("until", UnixMs, nullable=False),
    Index("ix_leases_owner", "owner"),
)
"""Of earlier releases: read only to see whether such a relay still runs. `until`: the database's clock."""

account_owner: Final = Table(
    "account_owner",
    metadata,
    Column("account", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", UnixMs, nullable=False),
)
"""A row for each account, and one for what belongs to none. `owner`: a process's name; empty, where it was given back.
It is the owner for as long as its row of `process` has not expired. `epoch` grows with every change of hands.
`expires_at`: of the take, where that row is gone; or when it was given back. All times are the database's."""

process: Final = Table(
    "process",
    metadata,
    Column("name", Text, primary_key=True),
    Column("expires_at", UnixMs, nullable=False),
    Column("refuses", Json, nullable=False),
)
"""The processes that execute; one that does not renew its row in time is taken for dead. `refuses`: the accounts that
it would not take just now, so that nobody gives them back for its sake."""

account_reports: Final = Table(
    "account_reports",
    metadata,
    Column("account", Text, primary_key=True),
    Column("at", UnixMs, nullable=False),
    Column("body", Json, nullable=False),
)
"""What an account's owner found there when it was last asked, for the pages of processes that do not own it."""


day_marks = Table(
    "day_marks",
    metadata,
    Column("account", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("unrealised", ExactDecimal, nullable=False),
    Column("worst", ExactDecimal, nullable=False),
)
"""`day`: the UTC date. `unrealised`: open profit at its first reading; `worst`: its lowest result so far, in USD."""

Index("ix_plans_at", plans.c.account, plans.c.at)


copies = Table(
    "copies",
    metadata,
    Column("id", numbered(), primary_key=True, autoincrement=True),
    Column("strategy", Words, nullable=False),
    Column("text", Text, nullable=False),
    Column("way", Text, nullable=False),
    Column("at", UnixMs, nullable=False),
    Column("signal_id", Text, nullable=False),
    Column("message", Text, unique=True),
    Column("is_paired", Boolean, nullable=False),
    Column("is_repeat", Boolean, nullable=False),
    Column("is_told", Boolean, nullable=False),
    Index("ix_copies_text", "strategy", "text", "at"),
    Index("ix_copies_signal", "signal_id"),
    Index("ix_copies_at", "at"),
    sqlite_autoincrement=True,
)
"""Each webhook and each mail with an alert, where a mailbox is read. No foreign key: they outlive pruned signals."""

mailboxes = Table(
    "mailboxes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("uid_validity", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("at", UnixMs, nullable=False),
)
"""How far each folder was read. `name`: a fingerprint of the address."""

notices = Table(
    "notices",
    metadata,
    Column("id", numbered(), primary_key=True, autoincrement=True),
    Column("target", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Words, nullable=False),
    Column("at", UnixMs, nullable=False),
    Column("lost", Integer, nullable=False),
    Column("claimed_until", UnixMs, nullable=False),
    Column("signal_id", Text),
    Column("account", Text),
    Index("ix_notices_target", "target", "id"),
    sqlite_autoincrement=True,
)
"""`target`: a fingerprint of the address, which itself is a secret. `lost`: how many dropped ones this one stands for.

`claimed_until`: until then somebody is delivering it."""

marks = Table(
    "notice_marks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""The last event that was read, when a switch was last seen changed, and the day that was last summed up."""


# What earlier releases kept and nothing reads now: the tables stay, since such a relay may still run beside this one.


Table("queue_schema", metadata, Column("migration", Text, primary_key=True))
Table(
    "stream_heads",
    metadata,
    Column("account", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("is_live", Boolean, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("problem", Words, nullable=False),
)
Table(
    "stream_facts",
    metadata,
    Column("account", Text, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("message", Json, nullable=False),
    Column("at", UnixMs, nullable=False),
)
Table(
    "turns",
    metadata,
    Column("account", Text, primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("weight", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("asked_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
)
