"""All tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT, _INT, _BIGINT, _BOOL = sa.Text(), sa.Integer(), sa.BigInteger(), sa.Boolean()
_COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UNFINISHED = sa.text("status IN ('accepted', 'executing')")
_OPEN = sa.text("status IN ('submitted', 'accepted', 'partially_filled')")


def _required(name: str, kind: Any = _TEXT, *, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=key, nullable=False)


def _optional(name: str, kind: Any = _TEXT) -> sa.Column[Any]:
    return sa.Column(name, kind)


def upgrade() -> None:
    _schema_meta()
    _signals()
    _assignments()
    _orders()
    _attempts_and_fills()
    _settings_and_counts()


def _schema_meta() -> None:
    meta = op.create_table("schema_meta", _required("revision", key=True), _required("compatible_from"))
    op.bulk_insert(meta, [{"revision": revision, "compatible_from": revision}])


def _signals() -> None:
    op.create_table(
        "signals",
        sa.Column("seq", _COUNTED, primary_key=True, autoincrement=True),
        _required("id"),
        _optional("strategy"),
        _optional("action"),
        _optional("ticker"),
        _optional("category"),
        _optional("symbol"),
        _required("status"),
        _required("generation", _INT),
        _optional("reason_code"),
        _optional("reason_message"),
        _required("notes"),
        _required("received_at", _BIGINT),
        _optional("sent_at", _BIGINT),
        _optional("finished_at", _BIGINT),
        _required("alert"),
        _required("body_digest"),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    for column in ("status", "symbol", "strategy"):
        op.create_index(f"ix_signals_{column}", "signals", [column, "seq"])
    op.create_table(
        "identities",
        _required("strategy", key=True),
        _required("kind", key=True),
        _required("key", key=True),
        _required("signal_id"),
        _required("digest"),
        _required("first_at", _BIGINT),
    )
    op.create_table(
        "events",
        sa.Column("id", _COUNTED, primary_key=True, autoincrement=True),
        sa.Column("signal_id", _TEXT, sa.ForeignKey("signals.id"), nullable=False),
        _required("at", _BIGINT),
        _required("name"),
        _optional("detail"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_signal", "events", ["signal_id"])


def _assignments() -> None:
    op.create_table(
        "assignments",
        sa.Column("signal_id", _TEXT, sa.ForeignKey("signals.id"), primary_key=True),
        _required("account", key=True),
        _required("seq", _BIGINT),
        _optional("category"),
        _optional("symbol"),
        _required("generation", _INT),
        _required("status"),
        _required("opened_at", _BIGINT),
        _optional("reason_code"),
        _optional("reason_message"),
    )
    op.create_index(
        "ix_assignments_unfinished",
        "assignments",
        ["seq"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    op.create_table(
        "plans",
        _required("signal_id", key=True),
        _required("account", key=True),
        _required("generation", _INT, key=True),
        _required("inputs"),
        _required("orders"),
        _required("notes"),
        _optional("reason_code"),
        _optional("reason_message"),
        _required("at", _BIGINT),
        sa.ForeignKeyConstraint(["signal_id", "account"], ["assignments.signal_id", "assignments.account"]),
    )


def _orders() -> None:
    op.create_table(
        "orders",
        _required("client_order_id", key=True),
        _required("signal_id"),
        _required("account"),
        _required("generation", _INT),
        _required("leg", _INT),
        _required("category"),
        _required("symbol"),
        _required("side"),
        _required("type"),
        _required("qty"),
        _optional("price"),
        _required("reduce_only", _BOOL),
        _required("purpose"),
        _required("planned"),
        _required("status"),
        _optional("reason_code"),
        _optional("reason_message"),
        _optional("venue_order_id"),
        _required("filled_qty"),
        _optional("avg_price"),
        _required("fee"),
        _required("rests", _BOOL),
        _optional("replaces"),
        _required("created_at", _BIGINT),
        _required("updated_at", _BIGINT),
        sa.UniqueConstraint("signal_id", "account", "generation", "leg", name="uq_orders_leg"),
        sa.ForeignKeyConstraint(["signal_id", "account"], ["assignments.signal_id", "assignments.account"]),
    )
    op.create_index(
        "ix_orders_open", "orders", ["account", "category", "symbol"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )


def _attempts_and_fills() -> None:
    op.create_table(
        "attempts",
        sa.Column("client_order_id", _TEXT, sa.ForeignKey("orders.client_order_id"), primary_key=True),
        _required("number", _INT, key=True),
        _required("timestamp_ms", _BIGINT),
        _required("recv_window_ms", _INT),
        _optional("outcome"),
        _optional("code", _INT),
        _optional("words"),
        _optional("refusal"),
        _optional("reason_code"),
        _optional("retry_at_ms", _BIGINT),
        _optional("absent_at_ms", _BIGINT),
        _required("sent_at", _BIGINT),
        _optional("answered_at", _BIGINT),
    )
    op.create_table(
        "fills",
        _required("account", key=True),
        _required("exec_id", key=True),
        sa.Column("client_order_id", _TEXT, sa.ForeignKey("orders.client_order_id"), nullable=False),
        _required("qty"),
        _required("price"),
        _required("fee"),
        _required("fee_coin"),
        _required("is_maker", _BOOL),
        _required("at", _BIGINT),
    )
    op.create_index("ix_fills_order", "fills", ["client_order_id"])


def _settings_and_counts() -> None:
    op.create_table(
        "carries",
        _required("account", key=True),
        _required("category", key=True),
        _required("symbol", key=True),
        _required("size"),
    )
    op.create_table(
        "beliefs",
        _required("account", key=True),
        _required("category", key=True),
        _required("symbol", key=True),
        _required("size"),
        _required("at", _BIGINT),
    )
    op.create_table(
        "switches",
        _required("account", key=True),
        _required("name", key=True),
        _required("value"),
        _required("at", _BIGINT),
        _required("by"),
    )
    op.create_table(
        "refusals",
        _required("kind", key=True),
        _required("source", key=True),
        _required("posts", _BIGINT),
        _required("last_at", _BIGINT),
    )
