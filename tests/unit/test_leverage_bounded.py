"""A leverage that cannot be set holds up its lane for a while only: then the entry is denied."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from relay.domain.order import ErrorKind, NotSent, OrderRejected, OrderStatus, Outcome, Unknown
from relay.journal.opening import open_journal
from tests.property.workshop import MAX_WAIT_S, Workshop, body_of

FOREVER_STEPS = 2_000


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    journal = open_journal(f"sqlite:///{tmp_path_factory.mktemp('journal')}/relay.db")
    yield Workshop(journal, max_age_s=10 * MAX_WAIT_S)
    journal.close()


@pytest.mark.parametrize(
    "outcome",
    [
        Unknown(why="no answer"),
        NotSent(why="connection refused"),
        OrderRejected(code=10006, words="too many visits", reason_code="EXCHANGE_RATE", refusal=ErrorKind.RATE),
        OrderRejected(code=10002, words="timestamp", reason_code="EXCHANGE_CLOCK", refusal=ErrorKind.CLOCK),
    ],
)
def test_a_leverage_that_is_never_set_denies_the_entry_and_lets_the_lane_go_on(
    shop: Workshop, outcome: Outcome
) -> None:
    shop.open()
    begun_ms = shop.clock.now_ms
    with patch.object(shop.exchange, "set_leverage", lambda **_: outcome):
        shop.take(body_of(action="buy", ticker="BTCUSDT.P", qty="2", leverage="5"))
        for _ in range(FOREVER_STEPS):
            for lane in shop.engine.ready():
                shop.engine.step(lane)
            if not shop.wait_for_a_lane():
                break
    assert not shop.engine.lanes, "the lane still waits for the leverage"
    assert shop.clock.now_ms - begun_ms < (MAX_WAIT_S + 30) * 1000
    (entry,) = shop.journal.orders()
    assert (entry["status"], entry["reason"]["code"]) == (OrderStatus.DENIED, "EXCHANGE_UNREACHABLE"), entry
    assert "the leverage could not be set" in entry["reason"]["message"]
    assert shop.exchange.sends == []
