"""The relay that an application serves."""

from __future__ import annotations

from typing import Final

from flask import current_app

from relay.journal.api_queries import DashboardQueries
from relay.wiring import Relay
from relay.wiring_parts import Parts

EXTENSION: Final = "relay"


def current_relay() -> Relay:
    """The relay of the application that answers this request."""
    relay = current_app.extensions[EXTENSION]
    assert isinstance(relay, Relay), "create_app puts it there"
    return relay


def current_parts() -> Parts:
    return current_relay().parts


def current_looks() -> DashboardQueries:
    """What the pages read of the journal."""
    return DashboardQueries(current_parts().journal.store)
