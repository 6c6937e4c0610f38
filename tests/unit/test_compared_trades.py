"""What was held against TradingView's lists: which is which, at the bounds of time, and each part of the money."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import Category
from relay.domain.order import Side, SignalStatus
from relay.domain.performance import (
    AlertOutcome,
    Arrival,
    FiredAlert,
    ListedTrade,
    compare_trades,
    counted,
    judge_alerts,
    pair_up,
)
from relay.domain.trades import Trade

D = Decimal
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
AT_MS = int(AT.timestamp() * 1000)


def fired(id: str = "a", *, at_ms: int = 0, said: str = "m") -> FiredAlert:
    return FiredAlert(id=id, ticker="T", name="n", at_ms=AT_MS + at_ms, digests=frozenset({said, f"{said} too"}))


def came(at_ms: int, *, said: str = "m", **more: Any) -> Arrival:
    usual: dict[str, Any] = {"signal_id": f"s{at_ms}", "strategy": "x", "symbol": "T", "status": SignalStatus.DONE}
    return Arrival(**{**usual, "digest": said, "received_ms": AT_MS + at_ms, **more})


@pytest.mark.parametrize(
    ("after_ms", "is_it"),
    [(-2_001, False), (-2_000, True), (0, True), (600_000, True), (600_001, False)],
)
def test_an_alert_arrives_within_ten_minutes_and_two_seconds_of_clocks_that_differ(after_ms: int, is_it: bool) -> None:
    (verdict,) = judge_alerts([fired()], [came(after_ms, said="m too")])
    assert verdict.outcome is (AlertOutcome.ARRIVED if is_it else AlertOutcome.NEVER)
    assert verdict.delay_ms == (max(after_ms, 0) if is_it else None)
    assert verdict.signal_id == (f"s{after_ms}" if is_it else None)
    (other,) = judge_alerts([fired()], [came(5, said="another")])
    assert other.outcome is AlertOutcome.NEVER


def test_of_equal_messages_of_one_second_each_has_an_arrival_and_the_latest_that_can_be_is_the_one() -> None:
    rows = [fired("late", at_ms=60_000), fired("one"), fired("two")]
    verdicts = judge_alerts(rows, [came(2_000), came(1_000), came(61_000)])
    assert [(each.fired.id, each.signal_id) for each in verdicts] == [
        ("one", "s1000"),
        ("two", "s2000"),
        ("late", "s61000"),
    ]
    third = judge_alerts(rows, [came(1_000), came(2_000), came(3_000)])
    assert [each.outcome.value for each in third] == ["arrived twice", "arrived", "never arrived"]
    assert counted(third) == {"arrived": 1, "arrived twice": 1, "never arrived": 1}


@pytest.mark.parametrize(
    ("arrivals", "outcome"),
    [
        ([came(1)], AlertOutcome.ARRIVED),
        ([came(1, is_by_mail=True)], AlertOutcome.BY_MAIL),
        ([came(1, is_by_mail=True), came(2)], AlertOutcome.TWICE),
        ([came(1, repeats=1)], AlertOutcome.TWICE),
        ([came(1, status=SignalStatus.FAILED, is_by_mail=True)], AlertOutcome.FAILED),
        ([came(1, status=SignalStatus.ATTENTION, repeats=3)], AlertOutcome.ATTENTION),
        ([came(1, status=SignalStatus.EXECUTING)], AlertOutcome.ARRIVED),
    ],
)
def test_what_became_of_an_alert_is_its_first_arrival_s_end(arrivals: list[Arrival], outcome: AlertOutcome) -> None:
    (verdict,) = judge_alerts([fired()], arrivals)
    assert verdict.outcome is outcome and verdict.signal_id == "s1"


def listed(number: str = "1", side: Side = Side.BUY, *, minutes: int = 0, **more: Any) -> ListedTrade:
    at = AT.replace(tzinfo=None) + timedelta(minutes=minutes)
    usual: dict[str, Any] = {"qty": D(2), "entry_price": D(100), "exit_at": at, "exit_price": D(110), "profit": D(19)}
    return ListedTrade(**{**usual, "number": number, "side": side, "entry_at": at, **more})


def own(id: str = "t", side: Side = Side.BUY, *, at_ms: int | None = 0, **more: Any) -> Trade:
    usual: dict[str, Any] = {
        **{"account": "main", "strategy": "x", "category": Category.LINEAR, "symbol": "T", "settle_coin": "USDT"},
        **{"size": D(2), "entry_qty": D(2), "entry_value": D(202), "exit_qty": D(2), "exit_value": D(220)},
        **{"realised": D(18), "fees": D(3), "funding": D("0.5"), "first_at_ms": AT_MS + (at_ms or 0)},
        **{"opened_at_ms": None if at_ms is None else AT_MS + at_ms, "closed_at_ms": AT_MS + (at_ms or 0) + 3_600_000},
    }
    return Trade(**{**usual, "id": id, "side": side, **more})


@pytest.mark.parametrize(
    ("at_ms", "is_it"),
    [(-120_001, False), (-120_000, True), (0, True), (1_800_000, True), (1_800_001, False)],
)
def test_a_trade_of_the_list_is_one_that_was_opened_near_its_time_on_its_side(at_ms: int, is_it: bool) -> None:
    pairs = pair_up([listed()], [own(at_ms=at_ms), own("other", Side.SELL)], UTC)
    assert [(each.own.id, each.late_s) for each in pairs] == ([("t", round(at_ms / 1000))] if is_it else [])


def test_each_trade_is_one_of_the_list_s_and_the_nearest_goes_first() -> None:
    rows = [listed("2", minutes=1), listed("1")]
    pairs = pair_up(rows, [own("far", at_ms=90_000), own("near", at_ms=-3_000), own("unknown", at_ms=None)], UTC)
    assert [(each.listed.number, each.own.id) for each in pairs] == [("1", "near"), ("2", "far")]
    assert pair_up([], [own()], UTC) == []


def _compared(rows: list[ListedTrade], trades: list[Trade]) -> Any:
    return compare_trades(rows, trades, zone="UTC", is_found=True, why_missed=lambda at, side: (f"{at} {side}", "s"))


def test_each_part_of_the_money_is_what_it_says() -> None:
    money = _compared([listed()], [own()]).money
    assert (money.profit, money.yours) == (D(19), D("14.5"))
    assert (money.slippage, money.fees, money.funding) == (D(2), D(2), D("0.5"))
    assert (money.missed, money.size, money.extra) == (D(0), D(0), D(0))
    half = _compared([listed()], [own(entry_qty=D(1), realised=D(9), fees=D(1), funding=D(0))]).money
    assert (half.size, half.slippage, half.fees, half.yours) == (D(10), D(1), D(0), D(8))
    short = _compared([listed(side=Side.SELL, exit_price=D(90))], [own(side=Side.SELL)]).money
    assert (short.slippage, short.fees) == (D(2), D(2))


def test_what_is_missing_open_or_extra_counts_apart() -> None:
    rows = [listed("1"), listed("2", minutes=300, profit=D(7)), listed("3", minutes=600, profit=None, exit_price=None)]
    trades = [own("a"), own("b", Side.SELL, at_ms=60_000), own("c", at_ms=600 * 60_000, closed_at_ms=None)]
    found = _compared(rows, trades)
    assert [(each.listed.number, each.signal_id) for each in found.missed] == [("2", "s")]
    assert found.missed[0].why == f"{AT_MS + 300 * 60_000} buy"
    assert ([each.id for each in found.extra], found.still_open) == (["b"], 1)
    money = found.money
    assert (money.profit, money.missed, money.extra, money.yours) == (D(26), D(7), -2 * D("14.5"), 3 * D("14.5"))
    assert (money.slippage, money.fees, money.funding, money.size) == (D(2), D(2), D("0.5"), D(0))


def test_what_the_strategy_has_left_and_yours_holds_still_is_missed_and_what_it_earned_so_far_is_extra() -> None:
    found = _compared([listed()], [own(closed_at_ms=None)])
    assert [(each.listed.number, each.why) for each in found.missed] == [
        ("1", "it was entered, and yours is still open")
    ]
    money = found.money
    assert (found.pairs, found.extra) == ((), ()) and (money.missed, money.extra) == (D(19), D("-14.5"))
    assert money.yours == D("14.5") and (money.slippage, money.fees, money.funding, money.size) == (D(0),) * 4


@pytest.mark.parametrize(
    ("at_ms", "counts"), [(-120_001, False), (-120_000, True), (1_800_000, True), (1_800_001, False)]
)
def test_trades_before_and_after_the_list_do_not_count(at_ms: int, counts: bool) -> None:
    assert len(_compared([listed()], [own(side=Side.SELL, at_ms=at_ms)]).extra) == counts
    unknown = own(side=Side.SELL, at_ms=None, first_at_ms=AT_MS + at_ms)
    assert len(_compared([listed()], [unknown]).extra) == counts


def test_contracts_that_settle_in_coins_are_compared_in_the_chart_s_currency() -> None:
    """200 contracts at 100 are two coins; they were bought with 2 coins and sold for 200/110."""
    coins: dict[str, Any] = {"category": Category.INVERSE, "size": D(200), "entry_qty": D(200), "entry_value": D(2)}
    coins |= {"exit_qty": D(200), "exit_value": D(200) / 110, "realised": D("0.1"), "fees": D("0.01"), "funding": D(0)}
    money = _compared([listed()], [own(**coins)]).money
    assert money.yours == D("9.9")
    assert (money.fees, money.slippage, money.size) == (D("0.1"), D(9), D(0))
    open_still = replace(own(**coins), exit_qty=D(0), exit_value=D(0), closed_at_ms=None)
    assert _compared([listed()], [open_still]).money.yours == D(9)


def test_what_rounding_leaves_is_slippage_so_that_the_parts_make_up_the_whole() -> None:
    """A third of what the list has: its profit has no end in decimals."""
    rows = [listed(qty=D(3), exit_price=D(110), profit=D(30))]
    own_one = own(size=D(1), entry_qty=D(1), entry_value=D(100), exit_qty=D(1), exit_value=D(110), realised=D(10))
    thirds = own(entry_qty=D("0.7"), realised=D("6.99999999"), fees=D(0), funding=D(0))
    for trade in (own_one, thirds):
        money = _compared([replace(rows[0], qty=D(7), exit_price=D("110.1"))], [trade]).money
        parts = (money.slippage, money.fees, money.funding, money.missed, money.size, money.extra)
        assert money.profit - sum(parts, D(0)) == money.yours == trade.net


def test_a_part_that_the_strategy_has_left_is_compared_while_the_rest_is_open_on_both_sides() -> None:
    left = listed("1", qty=D(1), profit=D("9.5"))
    stays = listed("2", qty=D(1), exit_price=None, exit_at=None, profit=None)
    half = own(realised=D(9), fees=D("1.5"), funding=D(0), closed_at_ms=None)
    found = _compared([left, stays], [half])
    assert ([each.listed.number for each in found.pairs], found.missed) == (["1", "2"], ())
    money = found.money
    assert (money.profit, money.slippage, money.fees, money.yours) == (D("9.5"), D(1), D(1), D("7.5"))
    assert (money.missed, money.size, money.extra) == (D(0), D(0), D(0))
    ended = _compared([left, stays], [replace(half, closed_at_ms=AT_MS + 60_000)]).money
    assert (ended.extra, ended.slippage, ended.fees, ended.yours) == (D(2), D(0), D(0), D("7.5"))
