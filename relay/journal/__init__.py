"""What happened: every signal with its plans, orders, attempts and events, in SQLite or Postgres."""

from __future__ import annotations

from relay.journal.journal import Journal
from relay.journal.opening import migrate, open_journal
from relay.journal.records import (
    Admission,
    Duplicate,
    ExecutionRecord,
    IdReused,
    New,
    NewSignal,
    OrderRecord,
    PlanRecord,
    RefusedPosts,
    Reopened,
    SignalPage,
    SignalRecord,
    Switch,
)
from relay.journal.unit_of_work import UnitOfWork

__all__ = [
    "Admission",
    "Duplicate",
    "ExecutionRecord",
    "IdReused",
    "Journal",
    "New",
    "NewSignal",
    "OrderRecord",
    "PlanRecord",
    "RefusedPosts",
    "Reopened",
    "SignalPage",
    "SignalRecord",
    "Switch",
    "UnitOfWork",
    "migrate",
    "open_journal",
]
