"""When an exit that waits behind an entry need not wait for it any longer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.domain.order import OrderStatus, RequestSignature
from relay.domain.order_lifecycle import OrderState, passed_by, sent
from tests.unit.journal_builders import planned

SENT_MS = 1_000_000
LOST = sent(
    OrderState(client_order_id="entry", planned=planned()),
    RequestSignature(timestamp_ms=SENT_MS, recv_window_ms=5_000),
)
THERE = replace(LOST, status=OrderStatus.ACCEPTED, venue_order_id="v")


@pytest.mark.parametrize("order", [LOST, THERE], ids=["lost", "acknowledged"])
def test_a_relay_that_was_away_looks_for_the_order_before_an_exit_passes_it(order: OrderState) -> None:
    back_ms = SENT_MS + 600_000
    taken_up = replace(order, taken_up_at_ms=back_ms)
    assert passed_by(taken_up, now_ms=back_ms + 500) is None
    assert passed_by(taken_up, now_ms=back_ms + 3_500) is not None


def test_an_entry_that_may_still_arrive_is_waited_for() -> None:
    assert passed_by(LOST, now_ms=LOST.dead_at_ms) is None
    assert passed_by(LOST, now_ms=LOST.dead_at_ms + 3_500) is not None


def test_an_entry_that_was_lost_twice_is_passed_as_soon_as_it_cannot_arrive_any_more() -> None:
    again = sent(LOST, RequestSignature(timestamp_ms=SENT_MS + 7_000, recv_window_ms=5_000))
    assert passed_by(again, now_ms=again.dead_at_ms) is None
    assert passed_by(again, now_ms=again.dead_at_ms + 1) is not None
