"""A coin's balance as the streams tell it."""

from __future__ import annotations

from decimal import Decimal

from relay.bybit.stream_state import KnownBalance
from relay.bybit.wire_orders import ReportedExecution
from relay.domain.instrument import Category

_START, _EARNED = Decimal(1000), Decimal("0.5")


def _execution(number: int) -> ReportedExecution:
    return ReportedExecution(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        key=f"order-{number}",
        exec_id=f"exec-{number}",
        seq=number,
        at_ms=1000 + number,
        moved=Decimal(1),
        earned={"USDT": _EARNED},
        fill=None,
    )


def _read(known: KnownBalance, balance: Decimal, at_ms: int) -> None:
    known.read(known.begin(at_ms), balance)


def test_a_balance_that_nobody_asks_for_keeps_a_bounded_number_of_executions_in_mind() -> None:
    known = KnownBalance()
    _read(known, _START, 0)
    for number in range(10_000):
        known.executed(_execution(number), _EARNED)
    assert len(known.begin(20_000).exec_ids) <= 2000


def test_a_balance_is_read_anew_after_more_executions_than_are_remembered_and_then_known_again() -> None:
    known = KnownBalance()
    _read(known, _START, 0)
    outrun = known.begin(0)
    for number in range(5000):
        known.executed(_execution(number), _EARNED)
    now = _START + 5000 * _EARNED
    known.take_report(now, 6000)
    assert known.known() is None
    known.read(outrun, _START)
    assert known.known() is None, "a reading that began before what was forgotten says nothing"

    _read(known, now, 6500)
    assert known.known() == now
    known.executed(_execution(7000), _EARNED)
    assert known.known() is None
    known.take_report(now + _EARNED, 8000)
    assert known.known() == now + _EARNED
