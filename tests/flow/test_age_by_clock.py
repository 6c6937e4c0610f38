"""An entry's age where this machine's clock, or the sender's, is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from relay.execution.accept import Intake
from relay.execution.ports import utc_now
from tests.paper_server import PaperServer
from tests.relay_server import RelayServer

BUY = {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001"}


def at(offset_s: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=offset_s)).isoformat()


def measure(relay: RelayServer, paper: PaperServer, offset_ms: int) -> None:
    paper.control.clock(offset_ms)
    relay.relay.services.exchanges["default"].measure_clock()


@pytest.mark.parametrize(
    ("exchange_ahead_s", "sent_s", "status"),
    [
        (240, 0, "expired"),  # this machine is behind: what looks fresh is old
        (240, 235, "done"),
        (-240, -240, "done"),  # it is ahead: what looks old is fresh
        (-240, -330, "expired"),
    ],
)
def test_age_is_judged_by_the_exchanges_clock(
    own: RelayServer, paper: PaperServer, exchange_ahead_s: int, sent_s: int, status: str
) -> None:
    measure(own, paper, exchange_ahead_s * 1000)
    signal = own.done(BUY | {"id": "one", "time": at(sent_s)})
    assert signal["status"] == status, signal["reason"]


def test_a_time_far_in_the_future_counts_from_receipt_and_is_noted(own: RelayServer, paper: PaperServer) -> None:
    measure(own, paper, 0)
    signal = own.done(BUY | {"id": "one", "time": at(600)})
    assert signal["status"] == "done"
    assert any("by the exchange's clock" in note and "counts from receipt" in note for note in signal["notes"])


def test_an_alert_without_a_time_does_not_age_by_a_clock_that_is_set(
    own: RelayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake: Intake = own.relay.services.intake
    # Received while the clock was an hour behind; it is set right before the entry's turn.
    monkeypatch.setattr(intake, "_now", lambda: utc_now() - timedelta(hours=1))
    assert own.done(BUY | {"id": "one"})["status"] == "done"
