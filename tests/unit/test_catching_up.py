"""When a lane that this process takes is looked through for what others did there."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import pytest

from relay.domain.instrument import Category
from relay.domain.position import Moved
from relay.execution.catching_up import CatchingUp

SYMBOL = "BTCUSDT"


def moved(*, is_settled: bool) -> Moved:
    return Moved(client_order_id="one", filled_qty=Decimal(1), is_settled=is_settled)


class Lane:
    """What the journal holds of it, and what a stream was told of that."""

    def __init__(self) -> None:
        self.orders: tuple[Moved, ...] = ()
        self.requested = 0
        self.reported: list[Moved] = []
        self.catching_up = CatchingUp(moves=self, streams={"main": self})

    def since(self, account: str, category: Category, symbol: str, since_ms: int) -> tuple[Moved, ...]:
        assert (account, category, symbol) == ("main", Category.LINEAR, SYMBOL)
        self.requested += 1
        return self.orders

    def catch_up(self, category: Category, symbol: str, orders: Iterable[Moved]) -> None:
        self.reported += orders

    def is_looked_through_when_taken(self, epoch: int, account: str = "main") -> bool:
        before = self.requested
        self.catching_up.lane_taken(account, Category.LINEAR, SYMBOL, epoch)
        return self.requested > before


@pytest.fixture
def lane() -> Lane:
    return Lane()


def test_a_lane_is_looked_through_when_it_is_taken_for_the_first_time(lane: Lane) -> None:
    lane.orders = (moved(is_settled=True),)
    assert lane.is_looked_through_when_taken(7)
    assert lane.reported == list(lane.orders)


def test_a_lane_that_nobody_else_has_had_meanwhile_is_not_looked_through_again(lane: Lane) -> None:
    assert [lane.is_looked_through_when_taken(epoch) for epoch in (7, 8, 9)] == [True, False, False]


def test_a_lane_that_another_has_had_meanwhile_is_looked_through(lane: Lane) -> None:
    assert [lane.is_looked_through_when_taken(epoch) for epoch in (7, 9, 10, 12)] == [True, True, False, True]


def test_a_lane_is_looked_through_until_all_that_another_left_open_there_has_ended(lane: Lane) -> None:
    lane.orders = (moved(is_settled=True), moved(is_settled=False))
    assert [lane.is_looked_through_when_taken(epoch) for epoch in (7, 8)] == [True, True]
    lane.orders = (moved(is_settled=True),)
    assert [lane.is_looked_through_when_taken(epoch) for epoch in (9, 10)] == [True, False]


def test_after_a_look_that_failed_the_next_one_is_not_passed_over(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError

    assert lane.is_looked_through_when_taken(7)
    with monkeypatch.context() as broken, pytest.raises(OSError):
        broken.setattr(lane, "catch_up", fail)
        lane.is_looked_through_when_taken(9)
    assert lane.is_looked_through_when_taken(10)


def test_an_account_without_a_stream_is_not_looked_through(lane: Lane) -> None:
    assert not lane.is_looked_through_when_taken(7, account="other")
