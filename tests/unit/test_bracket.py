"""What an alert's levels become, and what stays of them when another alert comes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.bracket import (
    Bracket,
    BracketStatus,
    Levels,
    Part,
    TakeProfitLeg,
    begun_anew,
    bracket_of,
    joined_by,
    ladder_notes,
    levels_of,
    remaining,
    shown_with,
    taken_back,
    taking_over,
    too_far,
    trail_distance,
    wrong_side,
)
from relay.domain.instrument import Category
from relay.domain.order import Purpose, Side
from relay.domain.signal import Level, LevelKind, TakeProfit
from tests.builders import level, rules, signal
from tests.unit.journal_builders import planned

TICK = Decimal("0.5")
LONG, SHORT = Side.BUY, Side.SELL


def percent(value: str) -> Level:
    return Level(kind=LevelKind.PERCENT, value=Decimal(value))


def distance(value: str) -> Level:
    return Level(kind=LevelKind.DISTANCE, value=Decimal(value))


def profit(at: Level, share: str = "100", **more: Any) -> TakeProfit:
    return TakeProfit(at=at, share_pct=Decimal(share), **more)


def leg(at: Level, share: str = "100", **more: Any) -> TakeProfitLeg:
    return TakeProfitLeg(at=at, share_pct=Decimal(share), **more)


def bracket(side: Side = LONG, **more: Any) -> Bracket:
    """Whose entry has filled at 200."""
    return Bracket(side=side, **{"status": BracketStatus.ACTIVE, "entry_price": Decimal(200), **more})


LADDER = (profit(level(210), "40"), profit(level(220), "60", moves_stop_to_entry=True))


@pytest.mark.parametrize(
    ("profits", "is_ladder"),
    [
        ((), False),
        ((profit(level(210)),), False),
        ((profit(level(210), "99"),), True),
        ((profit(level(210), moves_stop_to_entry=True),), True),
        ((profit(level(210)), profit(level(220))), True),
        ((profit(level(210)), profit(level(220), "1")), True),
    ],
)
def test_a_whole_take_profit_rides_on_the_entry_and_any_other_rests_as_orders(
    profits: tuple[TakeProfit, ...], is_ladder: bool
) -> None:
    levels = Levels(take_profits=profits)
    assert levels.is_ladder is is_ladder
    assert levels.whole_profit == (None if is_ladder or not profits else level(210))
    assert levels.is_empty is (not profits)


def test_an_alert_s_own_levels_go_before_the_strategy_s_each_kind_by_itself() -> None:
    ours = rules(default_stop_loss=level(1), default_take_profit=level(2))
    assert levels_of(signal(), ours) == Levels(stop_loss=level(1), take_profits=(profit(level(2)),))
    own = signal(stop_loss=level(3), take_profits=LADDER, trailing_stop=level(4), trailing_start=level(5))
    assert levels_of(own, ours) == Levels(
        stop_loss=level(3), take_profits=LADDER, trailing_stop=level(4), trailing_start=level(5)
    )
    assert levels_of(signal(), rules()) == Levels()


@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize("has_stop", [False, True])
@pytest.mark.parametrize("profits", [(), (profit(level(210)),), LADDER], ids=["none", "whole", "ladder"])
def test_where_the_exchange_keeps_no_levels_all_of_them_are_orders(
    is_held: bool, has_stop: bool, profits: tuple[TakeProfit, ...]
) -> None:
    stop = level(190) if has_stop else None
    levels = Levels(stop_loss=stop, take_profits=profits, trailing_stop=level(7), trailing_start=level(8))
    made = bracket_of(levels, LONG, reference=Decimal(200), closes_if_passed=True, is_held=is_held)
    ladder = profits if is_held or len(profits) > 1 else ()
    legs = [leg(each.at, str(each.share_pct), moves_stop_to_entry=each.moves_stop_to_entry) for each in ladder]
    if is_held and has_stop:
        legs.append(leg(level(190), is_stop=True))
    assert made == Bracket(
        side=LONG,
        stop_loss=None if is_held else stop,
        take_profit=level(210) if len(profits) == 1 and not is_held else None,
        trailing_stop=level(7),
        trailing_start=level(8),
        tp_legs=tuple(legs),
        entry_price=Decimal(200),
        closes_if_passed=True,
    )
    assert bracket_of(Levels(), LONG, reference=None, is_held=is_held) is None


NEAR = (
    (LONG, "198", "202", None),
    (LONG, "200", None, "stop_loss 200 must be below the price 200 of a buy"),
    (LONG, "201", None, "stop_loss 201 must be below"),
    (LONG, None, "200", "take_profit 200 must be above the price 200 of a buy"),
    (LONG, "0.4", None, "stop_loss 0 must be below"),
    (LONG, "0.5", None, None),
    (SHORT, "202", "198", None),
    (SHORT, "200", None, "stop_loss 200 must be above the price 200 of a sell"),
    (SHORT, None, "200", "take_profit 200 must be below the price 200 of a sell"),
    (SHORT, None, "0.4", "take_profit 0 must be below"),
)


@pytest.mark.parametrize(("side", "stop", "take", "said"), NEAR)
def test_a_level_at_the_price_or_beyond_it_or_without_a_tick_is_refused(
    side: Side, stop: str | None, take: str | None, said: str | None
) -> None:
    levels = Levels(stop_loss=level(stop) if stop else None, take_profits=(profit(level(take)),) if take else ())
    found = wrong_side(levels, side=side, reference=Decimal(200), tick=TICK)
    if said is None:
        assert found is None
    else:
        assert found is not None and found.message.startswith(said)


def test_distances_count_from_the_reference_and_are_held_against_the_price() -> None:
    levels = Levels(stop_loss=distance("10"))
    assert wrong_side(levels, side=LONG, reference=Decimal(200), tick=TICK, price=Decimal("190.5")) is None
    refused = wrong_side(levels, side=LONG, reference=Decimal(200), tick=TICK, price=Decimal(190))
    assert refused is not None and refused.code == "STOP_WRONG_SIDE"


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (Levels(stop_loss=level(100)), None),
        (
            Levels(stop_loss=level("99.9")),
            '`stop_loss` 99.9 is more … price 200 of a buy: a price of 99.9, or "99.9%"?',
        ),
        (Levels(take_profits=(profit(level(300)),)), None),
        (Levels(take_profits=(profit(level(250)), profit(level(301)))), "`take_profit` 301 … a price of 301? Send"),
        (Levels(stop_loss=distance("100")), None),
        (Levels(stop_loss=distance("100.5")), "`stop_loss` 100.5 … a distance of 100.5? Send"),
        (Levels(trailing_stop=distance("101")), "`trailing_stop` 101 … a distance of 101?"),
        (Levels(trailing_start=level(301)), "`trailing_start` 301"),
        (Levels(stop_loss=percent("90")), None),
        (Levels(stop_loss=Level(kind=LevelKind.DISTANCE, value=Decimal(-101), sign_given=True)), "`stop_loss` 101 "),
        (Levels(stop_loss=level(100), take_profits=(profit(level(400)),)), "`take_profit` 400"),
    ],
)
def test_a_level_over_half_the_price_away_is_asked_about(levels: Levels, said: str | None) -> None:
    found = too_far(levels, side=LONG, near=(Decimal(200),))
    if said is None:
        assert found is None
    else:
        assert found is not None and found.code == "LEVEL_TOO_FAR"
        assert all(each in found.message for each in said.split(" … ")), found.message


def test_near_to_the_market_or_to_the_order_s_own_price_is_near_enough() -> None:
    levels = Levels(stop_loss=level(500))
    assert too_far(levels, side=LONG, near=(Decimal(200), Decimal(400))) is None
    assert too_far(levels, side=LONG, near=(Decimal(200), Decimal(300))) is not None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (percent("1"), "2"),
        (percent("1.1"), "2.5"),
        (distance("3.1"), "3.5"),
        (distance("0.1"), "0.5"),
        (percent("0"), "0.5"),
    ],
)
def test_a_trailing_stop_follows_at_least_so_far(given: Level, expected: str) -> None:
    assert trail_distance(given, reference=Decimal(200), tick=TICK) == Decimal(expected)


@pytest.mark.parametrize(
    ("more", "is_watched"),
    [
        ({}, False),
        ({"are_stops_set": False}, True),
        ({"is_entry_over": False}, True),
        ({"older_entries": ("a",)}, True),
        ({"held_size": Decimal(1)}, True),
    ],
)
def test_a_bracket_is_watched_while_a_fill_may_move_its_levels(more: dict[str, Any], is_watched: bool) -> None:
    assert bracket(**{"are_stops_set": True, "is_entry_over": True, **more}).is_watched is is_watched


def test_its_orders_are_those_that_are_to_go_and_those_that_rest() -> None:
    of = bracket(
        stale_orders=("s",), tp_legs=(leg(level(210), order_id="a"), leg(level(220)), leg(level(230), order_id="b"))
    )
    assert of.order_ids == ("s", "a", "b")
    assert [each.is_taken_back for each in taken_back(of, frozenset({"b", "s"})).tp_legs] == [False, False, True]
    assert bracket(entries=("e",), older_entries=("o",)).all_entries == ("e", "o")


@pytest.mark.parametrize(
    ("more", "is_any"),
    [
        ({}, False),
        ({"tp_legs": (leg(level(1), is_inherited=True),)}, False),
        ({"tp_legs": (leg(level(1)),)}, True),
        ({"trailing_stop": level(1)}, True),
        ({"stop_loss": level(1)}, True),
        ({"take_profit": level(1)}, True),
        ({"trailing_start": level(1)}, False),
    ],
)
def test_what_is_left_of_an_entry_begins_anew_where_its_alert_named_a_level(more: dict[str, Any], is_any: bool) -> None:
    assert (begun_anew(bracket(**more), Decimal(1)) is not None) is is_any


# Another alert on the same position.


def _old(**more: Any) -> Bracket:
    """With a leg that has filled and was to move the stop, and one that rests; distances from an entry at 200."""
    legs = (leg(percent("5"), "30", is_done=True, moves_stop_to_entry=True), leg(distance("20"), "70", order_id="far"))
    return bracket(
        **{
            "tp_legs": legs,
            "entries": ("old entry",),
            "older_entries": ("older entry",),
            "held_stop": Decimal(190),
            "held_profit": Decimal(250),
            "held_size": Decimal(3),
            "grown_at_ms": 7,
            "stop_named_by": 4,
            "is_at_breakeven": True,
            "stale_orders": ("stale",),
            **more,
        }
    )


KEPT = (
    leg(level(210), "30", is_done=True, moves_stop_to_entry=True, is_inherited=True),
    leg(level(220), "70", order_id="far", is_inherited=True),
)


def test_without_an_older_bracket_a_new_one_is_as_it_is() -> None:
    new = bracket(stop_loss=level(180))
    assert taking_over(new, None, tick=TICK) == new


def test_what_an_alert_is_silent_about_stays_with_its_distances_counted_from_its_own_entry() -> None:
    new = Bracket(side=LONG, trailing_stop=level(3), entries=("new",), entry_price=Decimal(300), stale_orders=("mine",))
    assert taking_over(new, _old(), tick=TICK) == replace(
        new,
        tp_legs=KEPT,
        older_entries=("older entry", "old entry"),
        held_stop=Decimal(190),
        held_profit=Decimal(250),
        held_size=Decimal(3),
        grown_at_ms=7,
        stop_named_by=4,
        stale_orders=("mine", "stale"),
        is_at_breakeven=True,
    )
    over = taking_over(new, _old(is_entry_over=True), tick=TICK)
    assert over.older_entries == ("older entry",)
    assert taking_over(new, _old(is_at_breakeven=False), tick=TICK).is_at_breakeven is False


def test_a_stop_that_an_alert_names_stays_there_whatever_legs_have_filled() -> None:
    new = Bracket(side=LONG, stop_loss=level(185), entry_price=Decimal(300), stop_named_by=9)
    found = taking_over(new, _old(), tick=TICK)
    assert (found.held_stop, found.is_at_breakeven, found.stop_named_by) == (Decimal(185), False, 9)
    assert found.tp_legs == (replace(KEPT[0], moves_stop_to_entry=False), KEPT[1])
    waits = taking_over(replace(new, entry_price=None), _old(), tick=TICK)
    assert waits.held_stop == Decimal(190), "where it will stand is not known yet"
    to_come = _old(tp_legs=(leg(level(210), "30", moves_stop_to_entry=True),))
    assert taking_over(new, to_come, tick=TICK).tp_legs[0].moves_stop_to_entry


@pytest.mark.parametrize(
    "named", [{"take_profit": level(260)}, {"tp_legs": (leg(level(260), order_id="mine"),)}], ids=["whole", "ladder"]
)
def test_take_profits_that_an_alert_names_replace_the_older_ones_whose_orders_go(named: dict[str, Any]) -> None:
    new = Bracket(side=LONG, entry_price=Decimal(300), **named)
    found = taking_over(new, _old(), tick=TICK)
    assert found.tp_legs == new.tp_legs
    assert found.stale_orders == ("stale", "far")
    assert found.is_at_breakeven is False, "no leg of the old ladder is left to say so"
    assert found.held_profit == (Decimal(260) if "take_profit" in named else Decimal(250))
    waits = taking_over(replace(new, entry_price=None), _old(), tick=TICK)
    assert waits.held_profit == Decimal(250)


def test_of_coins_stop_and_take_profits_are_replaced_each_by_its_own_kind() -> None:
    stop, take = leg(level(190), is_stop=True, order_id="stop"), leg(level(220), "70", order_id="tp")
    old = _old(tp_legs=(take, stop))
    new_stop, new_take = leg(level(195), is_stop=True), leg(level(230), "50")
    by_stop = taking_over(Bracket(side=LONG, tp_legs=(new_stop,)), old, tick=TICK)
    assert by_stop.tp_legs == (new_stop, replace(take, is_inherited=True))
    assert (by_stop.stale_orders, by_stop.is_at_breakeven) == (("stale", "stop"), False)
    by_take = taking_over(Bracket(side=LONG, tp_legs=(new_take,)), old, tick=TICK)
    assert by_take.tp_legs == (new_take, replace(stop, is_inherited=True))
    assert (by_take.stale_orders, by_take.is_at_breakeven) == (("stale", "tp"), True)
    by_both = taking_over(Bracket(side=LONG, tp_legs=(new_take, new_stop)), old, tick=TICK)
    assert (by_both.tp_legs, by_both.stale_orders) == ((new_take, new_stop), ("stale", "tp", "stop"))


def test_nothing_of_the_other_side_stays() -> None:
    new = Bracket(side=SHORT, stop_loss=level(400), entry_price=Decimal(300))
    assert taking_over(new, _old(), tick=TICK) == replace(new, stale_orders=("stale", "far"))


# An entry of an older alert that begins to fill.


def _later(**more: Any) -> Bracket:
    return bracket(
        **{"entry_price": Decimal(300), "entries": ("later",), "older_entries": ("x",), "are_stops_set": True, **more}
    )


@pytest.mark.parametrize("side", Side)
def test_an_older_entry_that_fills_late_brings_the_levels_that_the_later_alert_was_silent_about(side: Side) -> None:
    older = bracket(
        side,
        stop_loss=percent("5"),
        stop_named_by=8,
        trailing_stop=percent("1.1"),
        trailing_start=percent("2"),
        tp_legs=(leg(percent("5"), "30"), leg(distance("20"), "70", order_id="far")),
        entries=("older",),
        closes_if_passed=True,
    )
    later = _later(side=side, stop_loss=level(250), follows_entry=True, stop_named_by=2)
    s = side.sign
    assert joined_by(later, older, tick=TICK) == replace(
        later,
        older_entries=("x", "older"),
        stop_loss=level(200 - 10 * s),
        stop_named_by=8,
        follows_entry=False,
        are_stops_set=False,
        trailing_stop=distance("2.5"),
        trailing_start=level(200 + 4 * s),
        tp_legs=(
            leg(level(200 + 10 * s), "30", is_inherited=True),
            leg(level(200 + 20 * s), "70", order_id="far", is_inherited=True),
        ),
        closes_if_passed=True,
    )


@pytest.mark.parametrize(
    ("later", "older", "stop"),
    [
        ({"stop_named_by": 1}, {"stop_named_by": 2, "stop_loss": level(150)}, 150),
        ({"stop_named_by": 2}, {"stop_named_by": 2, "stop_loss": level(150)}, 280),
        ({"stop_named_by": 3}, {"stop_named_by": 2, "stop_loss": level(150)}, 280),
        ({"stop_named_by": 1}, {"stop_named_by": 2}, 280),
        ({"stop_named_by": 1, "is_at_breakeven": True}, {"stop_named_by": 2, "stop_loss": level(150)}, 280),
    ],
)
def test_of_two_stops_the_one_that_was_named_last_stays_or_where_a_leg_has_put_it(
    later: dict[str, Any], older: dict[str, Any], stop: int
) -> None:
    mine = _later(stop_loss=level(280), follows_entry=True, **later)
    found = joined_by(mine, bracket(entries=("older",), **older), tick=TICK)
    assert found.stop_loss == level(stop)
    assert (found.are_stops_set, found.follows_entry) == ((False, False) if stop == 150 else (True, True))
    assert found.stop_named_by == (2 if stop == 150 else later["stop_named_by"])


def test_what_the_later_alert_named_is_its_own() -> None:
    mine = _later(trailing_stop=level(9), take_profit=level(400), closes_if_passed=False)
    older = bracket(entries=("older",), trailing_stop=level(3), tp_legs=(leg(level(210)),), closes_if_passed=True)
    found = joined_by(mine, older, tick=TICK)
    assert found == replace(mine, older_entries=("x", "older"))
    laddered = joined_by(_later(tp_legs=(leg(level(410)),)), older, tick=TICK)
    assert (laddered.tp_legs, laddered.closes_if_passed) == ((leg(level(410)),), False)
    silent = joined_by(_later(), older, tick=TICK)
    assert (silent.trailing_stop, silent.trailing_start) == (distance("3"), None)
    assert (silent.tp_legs, silent.closes_if_passed) == ((leg(level(210), is_inherited=True),), True)
    strict = joined_by(_later(closes_if_passed=True), bracket(entries=("older",)), tick=TICK)
    assert strict.closes_if_passed and strict.are_stops_set
    tolerant = joined_by(_later(), replace(older, closes_if_passed=False), tick=TICK)
    assert not tolerant.closes_if_passed


def test_of_a_bracket_without_an_entry_of_its_own_the_stops_are_set_anew() -> None:
    assert joined_by(_later(), bracket(), tick=TICK).are_stops_set is False
    assert joined_by(_later(are_stops_set=False), bracket(entries=("e",)), tick=TICK).are_stops_set is False


# For people.


def test_an_entry_of_coins_is_shown_with_its_levels_and_no_other_order_is() -> None:
    entry = planned(category=Category.SPOT)
    both = bracket(tp_legs=(leg(level(210)), leg(level(190), is_stop=True)))
    shown = shown_with(entry, both, TICK)
    assert (shown.stop_loss, shown.take_profit) == (Decimal(190), Decimal(210))
    assert shown_with(entry, bracket(tp_legs=(leg(level(210)),)), TICK).stop_loss is None
    ladder = bracket(tp_legs=(leg(level(210), "50"), leg(level(220), "50"), leg(level(190), is_stop=True)))
    assert shown_with(entry, ladder, TICK) == replace(entry, stop_loss=Decimal(190))
    for other in (
        replace(entry, reduce_only=True, purpose=Purpose.EXIT),
        planned(),
    ):
        assert shown_with(other, both, TICK) == other
    assert shown_with(entry, None, TICK) == entry
    assert ladder_notes(ladder, TICK) == ("takes profit at 210 (50 %), 220 (50 %)",)
    assert ladder_notes(both, TICK) == ladder_notes(bracket(), TICK) == ladder_notes(None, TICK) == ()


# How much each leg takes.


def part(share: str, *, held: str = "0", filled: str = "0", **more: bool) -> Part:
    return Part(share_pct=Decimal(share), held=Decimal(held), filled=Decimal(filled), **more)


@pytest.mark.parametrize(
    ("parts", "size", "least", "expected"),
    [
        ((part("50"), part("50")), "10", "1", "5 5"),
        ((part("33"), part("67")), "10", "1", "3 7"),
        ((part("30"), part("30")), "10", "1", "3 3"),
        ((part("50", is_done=True, filled="5"), part("50")), "5", "1", "0 5"),
        ((part("50", is_off=True), part("50")), "10", "1", "0 10"),
        ((part("50"), part("20", is_off=True), part("20")), "10", "1", "5 0 2"),
        ((part("50", filled="2"), part("50")), "8", "1", "3 5"),
        ((part("50", filled="6"), part("50")), "4", "1", "0 4"),
        ((part("20", is_done=True), part("40", filled="1"), part("20")), "7", "1", "0 3 2"),
        ((part("10"), part("90")), "10", "2", "0 10"),
        ((part("10"), part("90")), "10", "1", "1 9"),
        ((part("90"), part("10")), "10", "2", "10 0"),
        ((part("10", held="1", filled="1"), part("45"), part("45")), "19", "2", "1 9 9"),
        ((part("10"), part("10")), "10", "3", "0 0"),
        ((part("10"), part("10"), part("80")), "10", "2", "0 2 8"),
        ((part("40"), part("60")), "2", "3", "0 0"),
        ((part("50"), part("50")), "0", "1", "0 0"),
        ((part("50"), part("50")), "3.9", "1", "1 2"),
        ((part("100"),), "7.5", "1", "7"),
        ((part("60"), part("60")), "10", "1", "6 4"),
    ],
)
def test_each_leg_takes_its_share_of_the_position_in_steps_and_none_less_than_the_exchange_takes(
    parts: tuple[Part, ...], size: str, least: str, expected: str
) -> None:
    found = remaining(parts, Decimal(size), step=Decimal(1), least=Decimal(least))
    assert " ".join(str(int(each)) for each in found) == expected and all(each == int(each) for each in found)
