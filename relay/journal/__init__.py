"""What happened: every signal with its plans, orders, attempts and events, in SQLite or Postgres."""

from relay.journal.execution import Batch
from relay.journal.ids import new_signal_id
from relay.journal.journal import Journal
from relay.journal.opening import migrate, open_journal
from relay.journal.records import (
    Admission,
    Assignment,
    Duplicate,
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

__all__ = [
    "Admission",
    "Assignment",
    "Batch",
    "Duplicate",
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
    "migrate",
    "new_signal_id",
    "open_journal",
]
