"""What an order is once reports of it have come, in whatever order they do."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest

from relay.domain.order import OrderStatus, Reason, RequestSignature, Unknown
from relay.domain.order_lifecycle import OrderState, after_outcome, denied, reported, sent
from tests.unit.journal_builders import limit, report

SIGNATURE = RequestSignature(timestamp_ms=1_700_000_000_000, recv_window_ms=5000)
OPENED = report("o-1", OrderStatus.ACCEPTED, "0", rests=True)
PARTLY = report("o-1", OrderStatus.PARTIALLY_FILLED, "0.004", rests=True, fee="0.10")
MORE = report("o-1", OrderStatus.PARTIALLY_FILLED, "0.007", rests=True, fee="0.20")
ENDED = report("o-1", OrderStatus.CANCELED, "0.007", fee="0.20", reason="CancelByUser")


@pytest.fixture
def order() -> OrderState:
    return sent(OrderState(client_order_id="o-1", planned=limit()), SIGNATURE)


def test_an_older_report_takes_no_fill_back(order: OrderState) -> None:
    half = reported(reported(order, MORE), PARTLY)
    assert half == reported(order, MORE)
    assert (half.filled_qty, half.fee, half.rests) == (Decimal("0.007"), Decimal("0.20"), True)


def test_in_whatever_order_its_reports_come_an_order_ends_the_same(order: OrderState) -> None:
    for reports in permutations((OPENED, PARTLY, MORE, ENDED)):
        state = order
        for each in reports:
            state = reported(state, each)
        assert (state.status, state.filled_qty, state.rests) == (OrderStatus.CANCELED, Decimal("0.007"), False)


def test_an_order_that_rests_is_settled_and_no_longer_once_it_has_ended(order: OrderState) -> None:
    rests = reported(order, OPENED)
    assert rests.is_settled and not rests.status.is_ended
    assert not reported(rests, replace(ENDED, rests=True)).rests


def test_a_report_overrules_that_an_order_was_held_to_be_absent(order: OrderState) -> None:
    dropped = denied(after_outcome(order, Unknown(why="cut")), Reason(code="HALTED", message="halted"))
    found = reported(dropped, report("o-1"))
    assert (found.status, found.filled_qty, found.reason) == (OrderStatus.FILLED, Decimal("0.010"), None)


def test_a_refusal_that_is_reported_says_why(order: OrderState) -> None:
    for words, message in (("EC_PostOnly", "EC_PostOnly"), (None, "the exchange gave no reason")):
        refused = reported(order, report("o-1", OrderStatus.REJECTED, "0", reason=words))
        assert refused.reason == Reason(code="EXCHANGE_REFUSED", message=message)
