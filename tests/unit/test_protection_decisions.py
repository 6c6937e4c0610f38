"""Each decision about a bracket's next step, on both sides of its boundary."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.bracket import Bracket, BracketStatus, TakeProfitLeg
from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, OrderType, Purpose, Side
from relay.domain.order_lifecycle import OrderState
from relay.domain.position import StopLevels
from relay.domain.protection import (
    AdvanceTakeProfit,
    AmendTakeProfit,
    CancelTakeProfit,
    Close,
    NoOp,
    PlaceTakeProfit,
    ProtectionStep,
    Refresh,
    RestingOrder,
    Save,
    SetStops,
    Snapshot,
    next_protection_step,
    own_levels,
    passed_breakeven,
    shortfall,
)
from relay.domain.signal import Level, LevelKind
from tests.builders import inverse, linear, position
from tests.unit.journal_builders import limit, planned
from tests.unit.test_protection_steps import ENTRY, STOP, bracket, leg, percent, resting, step, stop_leg


def order(
    name: str, status: OrderStatus = OrderStatus.FILLED, filled: str = "0", price: str | None = None, **more: Any
) -> OrderState:
    return OrderState(
        client_order_id=name,
        planned=more.pop("planned", planned()),
        status=status,
        filled_qty=Decimal(filled),
        avg_price=Decimal(price) if price else None,
        **more,
    )


def look(
    of: Bracket,
    size: str | None,
    *orders: OrderState,
    now_ms: int = 1_000_000,
    unwanted: tuple[str, ...] = (),
    **held: Any,
) -> ProtectionStep:
    """None of the orders rests."""
    return next_protection_step(
        of,
        Snapshot(
            instrument=linear(),
            now_ms=now_ms,
            position=None if size is None else position(size, **held),
            orders={each.client_order_id: each for each in orders},
            unwanted=frozenset(unwanted),
        ),
    )


@pytest.mark.parametrize(
    ("entries", "spent", "price", "is_over"),
    [
        ([("1", "49000", True)], "0", "49000", True),
        ([("1", "49000", False)], "0", "49000", False),
        ([("1", "49000", True), ("3", "51000", False)], "0", "50500", False),
        ([("1", "49000", True), ("0", None, False)], "0", "49000", False),
        ([("0", None, False)], "0", None, False),
        ([("0", None, True)], "0", None, True),
        ([("1", "49000", False)], "1", None, False),
        ([("1", "49000", True)], "1", None, True),
        ([("1.5", "49000", False)], "1", "49000", False),
        ([("1", None, False)], "0", None, False),
    ],
)
def test_a_bracket_that_waits_begins_with_the_first_fill_of_its_entry_and_ends_with_an_entry_that_fills_nothing(
    entries: list[tuple[str, str | None, bool]], spent: str, price: str | None, is_over: bool
) -> None:
    made = [
        order(f"e{at}", OrderStatus.CANCELED if over else OrderStatus.ACCEPTED, qty, avg)
        for at, (qty, avg, over) in enumerate(entries)
    ]
    waiting = Bracket(
        side=Side.BUY, stop_loss=STOP, entries=tuple(each.client_order_id for each in made), spent=Decimal(spent)
    )
    filled = sum((each.filled_qty for each in made), Decimal(0))
    if filled > Decimal(spent):
        assert look(waiting, None, *made) == Save(
            bracket=replace(
                waiting,
                status=BracketStatus.ACTIVE,
                entry_price=Decimal(price) if price else None,
                is_entry_over=is_over,
                active_at_ms=1_000_000,
            )
        )
    else:
        assert look(waiting, None, *made) == (Close() if is_over else NoOp())


@pytest.mark.parametrize(("filled", "opens"), [("0.004", False), ("0.005", False), ("0.006", True)])
def test_of_a_flip_only_what_fills_beyond_the_old_position_opens_one(filled: str, opens: bool) -> None:
    flip = order(
        "e", OrderStatus.PARTIALLY_FILLED, filled, "100", planned=replace(planned(), exit_qty=Decimal("0.005"))
    )
    found = look(Bracket(side=Side.BUY, stop_loss=STOP, entries=("e",)), None, flip)
    assert isinstance(found, Save if opens else NoOp)


def test_contracts_in_coins_average_by_the_coins_that_they_stand_for() -> None:
    made = (order("a", filled="100", price="100"), order("b", filled="300", price="200"), order("c", filled="9"))
    waiting = Bracket(side=Side.BUY, stop_loss=STOP, entries=("a", "b", "c"))
    seen = Snapshot(instrument=inverse(), now_ms=1, orders={each.client_order_id: each for each in made})
    found = next_protection_step(waiting, seen)
    assert isinstance(found, Save) and found.bracket.entry_price == 160


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    ("is_seen", "after_ms", "is_gone"), [(False, 2_999, False), (False, 3_000, True), (True, 0, True)]
)
@pytest.mark.parametrize("on", [0, -1])
def test_a_position_that_is_not_there_was_closed_unless_it_may_not_be_shown_yet(
    side: Side, is_seen: bool, after_ms: int, is_gone: bool, on: int
) -> None:
    of = bracket(side, is_seen=is_seen, active_at_ms=1_000_000 - after_ms, stale_orders=("old",))
    old = resting("old", "1")
    assert look(of, str(on * side.sign), old) == (CancelTakeProfit(order_id="old") if is_gone else Refresh())
    without = replace(of, stale_orders=())
    assert look(without, str(on * side.sign)) == (Close() if is_gone else Refresh())


def test_what_still_rests_of_an_entry_whose_position_was_closed_has_the_levels_anew() -> None:
    of = bracket(entries=("e",), stop_loss=STOP, is_entry_over=False)
    rests = order("e", OrderStatus.PARTIALLY_FILLED, "0.4", rests=True)
    found = look(of, "0", rests)
    assert found == Save(bracket=Bracket(side=Side.BUY, entries=("e",), entry_price=ENTRY, spent=Decimal("0.4")))
    assert look(of, "0", order("e", OrderStatus.CANCELED, "0.4")) == Close()
    assert look(replace(of, stop_loss=None), "0", rests) == Close()


def test_a_closed_position_s_take_profits_go_though_one_of_them_is_on_its_way() -> None:
    doubtful = order("tp", OrderStatus.SUBMITTED)
    of = bracket(tp_legs=(leg(1, 100, "tp"),), stale_orders=("s",), entries=("e",), older_entries=("o",))
    of = replace(of, held_size=Decimal(1))
    over, open_still = order("e"), order("o", OrderStatus.ACCEPTED, rests=True)
    stale = resting("s", "1")
    gone = Save(bracket=replace(of, tp_legs=(), stale_orders=("s", "tp")))
    assert look(of, "0", doubtful, stale, over, order("o")) == gone
    assert look(of, "0", doubtful, stale, over, open_still) == AdvanceTakeProfit(order_id="tp")
    assert look(of, "1", doubtful, stale, over, order("o")) == AdvanceTakeProfit(order_id="tp")
    unseen = replace(of, is_seen=False, active_at_ms=999_000)
    assert look(unseen, "0", doubtful, stale, over, order("o")) == AdvanceTakeProfit(order_id="tp")
    assert look(
        replace(of, tp_legs=()), "0", replace(doubtful, client_order_id="s"), over, order("o")
    ) == AdvanceTakeProfit(order_id="s")


def test_a_take_profit_that_a_person_has_cancelled_is_not_placed_again() -> None:
    of = bracket(tp_legs=(leg(1, 50, "mine"), leg(2, 50, "other")))
    mine, other = order("mine", OrderStatus.CANCELED), resting("other", "0.5")
    found = look(of, "1", mine, other, unwanted=("mine",))
    assert found == Save(bracket=replace(of, tp_legs=(leg(2, 50, "other"),)))
    by_itself = look(of, "1", mine, other)
    assert isinstance(by_itself, Save) and len(by_itself.bracket.tp_legs) == 2
    filled = look(of, "1", order("mine", filled="0.5"), other, unwanted=("mine",))
    assert isinstance(filled, Save) and filled.bracket.tp_legs[0].is_done
    unplaced = bracket(tp_legs=(leg(1, 50), leg(2, 50, "other", filled_qty=Decimal("0.25"))))
    counted = look(unplaced, "1", order("other", OrderStatus.CANCELED, "0.125"))
    assert isinstance(counted, Save) and counted.bracket.tp_legs[1].filled_qty == Decimal("0.375")
    stale = look(bracket(stale_orders=("mine", "other")), "1", mine, other)
    assert stale == Save(bracket=bracket(stale_orders=("other",)))


@pytest.mark.parametrize(("filled", "refusals"), [("0", 1), ("0.1", 0)])
def test_an_order_that_the_exchange_expired_was_refused_unless_some_of_it_filled(filled: str, refusals: int) -> None:
    over = order("tp", OrderStatus.EXPIRED, filled)
    found = look(bracket(tp_legs=(leg(1, 100, "tp", placed_at_ms=1),)), "7", over)
    assert isinstance(found, Save)
    after = found.bracket.tp_legs[0]
    assert (after.refusals, after.refused_at_size, after.is_done) == (refusals, Decimal(7) if refusals else None, False)
    unread = look(bracket(tp_legs=(leg(1, 100, "tp", placed_at_ms=1),)), None, over)
    assert isinstance(unread, Save) and unread.bracket.tp_legs[0].refused_at_size is None


@pytest.mark.parametrize(
    ("average", "more", "expected"),
    [
        ("51000", {}, {"entry_price": Decimal(51_000), "are_stops_set": False}),
        ("50000", {}, {}),
        (None, {}, {}),
        ("51000", {"are_stops_set": False}, {"entry_price": Decimal(51_000)}),
        ("51000", {"held_stop": Decimal(49_000)}, {"entry_price": Decimal(51_000), "are_stops_set": False}),
        ("51000", {"held_stop": Decimal(49_500)}, {"entry_price": Decimal(51_000)}),
        (
            "51000",
            {"held_stop": Decimal(49_500), "stop_loss": None},
            {"entry_price": Decimal(51_000), "are_stops_set": False},
        ),
    ],
)
def test_once_an_entry_has_ended_distances_are_moved_to_its_average_unless_the_stop_was_put_elsewhere(
    average: str | None, more: dict[str, Any], expected: dict[str, Any]
) -> None:
    of = bracket(**{"stop_loss": STOP, "entries": ("e",), "is_entry_over": False, **more})
    over = order("e", filled="1" if average else "0", price=average)
    assert look(of, "1", over, stop_loss="49000") == Save(bracket=replace(of, is_entry_over=True, **expected))


def test_older_entries_are_watched_until_they_have_ended() -> None:
    of = bracket(older_entries=("a", "b"), held_size=Decimal(1), entries=("e",))
    a, b, own = order("a"), order("b", OrderStatus.ACCEPTED, rests=True), order("e", filled="1", price="47000")
    found = look(of, "1", a, b, own)
    assert found == Save(bracket=replace(of, older_entries=("b",), grown_at_ms=1_000_000)), "its own is over long since"
    assert look(replace(of, held_size=Decimal(0)), "1", a, b, own) == Save(
        bracket=replace(of, older_entries=("b",), held_size=Decimal(0))
    )
    unseen = bracket(is_seen=False)
    assert look(unseen, "1") == Save(bracket=replace(unseen, is_seen=True))


@pytest.mark.parametrize(
    ("more", "take_profit", "mark", "expected"),
    [
        ({}, "52000", "50000", None),
        ({"tp_legs": (leg(1, 100, "tp"),)}, "52000", "50000", "0"),
        ({"tp_legs": (leg(1, 100, "tp"),)}, None, "50000", None),
        ({"take_profit": percent(5)}, None, "50000", "52500"),
        ({"take_profit": percent(5)}, "52500", "50000", None),
        ({"take_profit": percent(5)}, "52000", "52499", "52500"),
        ({"take_profit": percent(5)}, "52000", "52500", None),
    ],
)
def test_the_whole_position_s_take_profit_is_set_where_the_exchange_takes_one_and_goes_for_a_ladder(
    more: dict[str, Any], take_profit: str | None, mark: str, expected: str | None
) -> None:
    of = bracket(are_stops_set=False, **more)
    found = look(of, "1", resting("tp", "1"), take_profit=take_profit, mark_price=mark)
    after = replace(of, are_stops_set=True)
    if expected is None:
        assert found == Save(bracket=after)
    else:
        assert found == SetStops(after=after, levels=StopLevels(take_profit=Decimal(expected)))
    if "take_profit" in more:
        short = replace(of, side=Side.SELL)
        mirrored = look(
            short, "-1", take_profit="47500" if take_profit == "52500" else "48000", mark_price=str(100_000 - int(mark))
        )
        is_set = isinstance(mirrored, SetStops)
        assert is_set is (expected is not None)


@pytest.mark.parametrize(
    ("more", "stands", "held_stop", "held_profit"),
    [
        ({"stop_loss": STOP, "held_stop": Decimal(1)}, {"stop_loss": "48000"}, "49000", None),
        ({"stop_loss": STOP, "held_stop": Decimal(1)}, {"stop_loss": "49000"}, "49000", None),
        ({"held_stop": Decimal(1)}, {"stop_loss": "48000", "take_profit": "60000"}, "1", "60000"),
        ({"take_profit": percent(5), "held_stop": Decimal(1)}, {"take_profit": "60000"}, "1", "52500"),
        ({"tp_legs": (leg(1, 100, "tp"),)}, {"take_profit": "60000"}, None, None),
    ],
)
def test_while_an_entry_fills_what_is_set_is_what_holds(
    more: dict[str, Any], stands: dict[str, Any], held_stop: str | None, held_profit: str | None
) -> None:
    of = bracket(are_stops_set=False, held_size=Decimal(1), **more)
    found = look(of, "1", resting("tp", "1"), **stands)
    after = found.after if isinstance(found, SetStops) else found.bracket if isinstance(found, Save) else None
    assert after == replace(
        of,
        are_stops_set=True,
        held_stop=Decimal(held_stop) if held_stop else None,
        held_profit=Decimal(held_profit) if held_profit else None,
    )


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(("ahead", "waits"), [("1", True), ("0", False), ("-1", False)])
def test_a_trailing_stop_whose_start_the_price_has_passed_begins_at_once(side: Side, ahead: str, waits: bool) -> None:
    start = Level(kind=LevelKind.DISTANCE, value=Decimal(500))
    of = bracket(side, trailing_stop=percent(1), trailing_start=start, are_stops_set=False)
    at = ENTRY + 500 * side.sign
    found = look(of, str(side.sign), mark_price=str(at - Decimal(ahead) * side.sign))
    levels = StopLevels(trailing_stop=Decimal(500), trailing_start=at if waits else None)
    assert found == SetStops(after=replace(of, are_stops_set=True), levels=levels)
    without = look(replace(of, trailing_start=None), str(side.sign))
    assert isinstance(without, SetStops) and without.levels == StopLevels(trailing_stop=Decimal(500))


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    ("stands", "ahead", "expected"),
    [
        (None, 100, "set"),
        (-1, 100, "set"),
        (0, 100, "stays"),
        (1, 100, "stays"),
        (-1, 0, "waits"),
        (-1, -1, "waits"),
        (0, -1, "stays"),
    ],
)
def test_the_stop_goes_to_the_average_entry_and_never_back(
    side: Side, stands: int | None, ahead: int, expected: str
) -> None:
    """`stands`: how much beyond the entry the stop is already; `ahead`: the price."""
    done = leg(1, 100, is_done=True, moves_stop_to_entry=True)
    entry = Decimal(50_400)
    of = bracket(side, tp_legs=(done,))
    stop = None if stands is None else str(entry + stands * side.sign)
    mark = str(entry + ahead * side.sign)
    held: dict[str, Any] = {"stop_loss": stop, "mark_price": mark, "avg_price": str(entry)}
    after = replace(of, is_at_breakeven=True)
    steps = {
        "set": SetStops(after=after, levels=StopLevels(stop_loss=entry)),
        "stays": Save(bracket=after),
        "waits": NoOp(),
    }
    assert look(of, str(side.sign), **held) == steps[expected]
    assert look(replace(of, is_at_breakeven=True), str(side.sign), **held) == NoOp()
    for not_due in (replace(done, is_done=False), replace(done, moves_stop_to_entry=False)):
        assert not isinstance(look(replace(of, tp_legs=(not_due,)), str(side.sign), **held), SetStops)
    watched = look(
        replace(of, held_size=Decimal(1), older_entries=("o",)),
        str(side.sign),
        order("o", OrderStatus.ACCEPTED, rests=True),
        **held,
    )
    if expected == "set":
        assert isinstance(watched, SetStops)
        assert (watched.after.held_stop, watched.after.follows_entry) == (entry, True)
    snapshot = Snapshot(instrument=linear(), now_ms=1, position=position(str(side.sign), **held))
    said = passed_breakeven(of, snapshot)
    assert said == "the stop is to go to the entry 50400, and the price has passed it already"
    assert passed_breakeven(replace(of, is_at_breakeven=True), snapshot) is None
    assert passed_breakeven(of, replace(snapshot, position=None)) is None


def test_where_the_exchange_tells_no_average_the_bracket_s_own_entry_counts() -> None:
    of = bracket(tp_legs=(leg(1, 100, is_done=True, moves_stop_to_entry=True),))
    found = look(of, "1", avg_price=None, mark_price="50100")
    assert isinstance(found, SetStops) and found.levels == StopLevels(stop_loss=ENTRY)


GROWN: dict[str, Any] = {
    "held_stop": Decimal(49_500),
    "held_profit": Decimal(55_000),
    "held_size": Decimal(1),
    "grown_at_ms": 999_000,
}


@pytest.mark.parametrize(
    ("more", "held", "expected"),
    [
        ({}, {"stop_loss": "48000", "take_profit": "55000"}, StopLevels(stop_loss=Decimal(49_500))),
        ({}, {"stop_loss": "49500", "take_profit": "56000"}, StopLevels(take_profit=Decimal(55_000))),
        ({}, {"stop_loss": "49500", "take_profit": "55000"}, None),
        ({"held_profit": None}, {"stop_loss": "49500", "take_profit": "56000"}, StopLevels(take_profit=Decimal(0))),
        ({"held_profit": None}, {"stop_loss": "49500"}, None),
        (
            {"tp_legs": (leg(1, 100, "tp"),)},
            {"stop_loss": "49500", "take_profit": "56000"},
            StopLevels(take_profit=Decimal(0)),
        ),
        (
            {"follows_entry": True},
            {"stop_loss": "49500", "take_profit": "55000", "avg_price": "49800"},
            StopLevels(stop_loss=Decimal(49_800)),
        ),
        ({"follows_entry": True}, {"stop_loss": "49800", "take_profit": "55000", "avg_price": "49800"}, None),
        ({"held_stop": None}, {"stop_loss": "48000", "take_profit": "55000"}, None),
    ],
)
def test_after_a_fill_of_a_resting_entry_the_levels_are_put_back_as_they_stood(
    more: dict[str, Any], held: dict[str, Any], expected: StopLevels | None
) -> None:
    of = bracket(**{**GROWN, "older_entries": ("o",), **more})
    found = look(of, "1", order("o", OrderStatus.ACCEPTED, rests=True), resting("tp", "1"), **held)
    if expected is None:
        assert not isinstance(found, SetStops | Save), "until the lag is over"
    else:
        assert found == SetStops(after=of, levels=expected)


@pytest.mark.parametrize("side", Side)
def test_a_stop_that_the_price_has_passed_is_put_back_once_the_price_allows_it(side: Side) -> None:
    s = side.sign
    stop = ENTRY - 500 * s
    of = bracket(side, **{**GROWN, "held_stop": stop, "held_profit": None, "older_entries": ("o",)})
    rests = order("o", OrderStatus.ACCEPTED, rests=True)
    lower = str(ENTRY - 2000 * s)

    def at(mark: Decimal, now: Bracket = of, stands: str | None = lower, **more: Any) -> ProtectionStep:
        return look(now, str(s), rests, mark_price=str(mark), stop_loss=stands, **more)

    noted = replace(of, stop_meanwhile=Decimal(lower))
    assert at(stop - s) == at(stop) == Save(bracket=noted)
    assert at(stop, stands=None) == Save(bracket=replace(of, stop_meanwhile=Decimal(0)))
    assert at(stop, noted, now_ms=9_000_000) == NoOp(), "it waits however long it takes"
    assert at(stop + s, noted) == SetStops(after=noted, levels=StopLevels(stop_loss=stop))
    moved = at(stop + s, noted, stands=str(ENTRY - 1000 * s))
    assert moved == Save(
        bracket=replace(
            of, held_stop=ENTRY - 1000 * s, held_size=Decimal(1), grown_at_ms=0, stop_meanwhile=None, held_profit=None
        )
    ), "a person has put it elsewhere meanwhile"


def test_while_an_entry_rests_what_stands_is_what_holds_and_no_longer() -> None:
    rests = order("o", OrderStatus.ACCEPTED, rests=True)
    of = bracket(older_entries=("o",))
    held = look(of, "2", rests, stop_loss="49000", take_profit="55000")
    assert held == Save(
        bracket=replace(of, held_stop=Decimal(49_000), held_profit=Decimal(55_000), held_size=Decimal(2))
    )
    known = replace(of, held_stop=Decimal(49_000), held_profit=Decimal(55_000), held_size=Decimal(2))
    assert look(known, "2", rests, stop_loss="49000", take_profit="55000") == NoOp()
    assert look(known, "1.5", rests, stop_loss="49000", take_profit="55000") == Save(
        bracket=replace(known, held_size=Decimal("1.5"))
    )
    grown = look(replace(known, stop_meanwhile=Decimal(1)), "2.5", rests, stop_loss="48000")
    assert grown == Save(bracket=replace(known, held_size=Decimal("2.5"), grown_at_ms=1_000_000))
    over = replace(known, older_entries=())
    assert look(over, "2", stop_loss="49000") == Save(bracket=bracket())
    assert look(bracket(), "2", stop_loss="49000") == NoOp(), "nothing rests, so nothing is watched"
    own = bracket(is_entry_over=False, entries=("o",))
    assert isinstance(look(own, "2", rests, stop_loss="49000"), Save)


@pytest.mark.parametrize(
    ("is_at_breakeven", "stop", "follows"), [(True, "50000", True), (True, "50100", False), (False, "50000", False)]
)
def test_a_stop_at_the_entry_follows_it_while_an_older_entry_fills(
    is_at_breakeven: bool, stop: str, follows: bool
) -> None:
    of = bracket(is_at_breakeven=is_at_breakeven, older_entries=("o",))
    rests = order("o", OrderStatus.ACCEPTED, rests=True)
    found = look(of, "1", rests, stop_loss=stop, mark_price="52000")
    assert found == Save(bracket=replace(of, held_stop=Decimal(stop), held_size=Decimal(1), follows_entry=follows))


@pytest.mark.parametrize(("after_ms", "is_settled"), [(2_999, False), (3_000, True)])
def test_what_a_fill_brings_along_is_looked_for_as_long_as_it_may_lag(after_ms: int, is_settled: bool) -> None:
    of = bracket(**{**GROWN, "held_profit": None, "older_entries": ("o",), "grown_at_ms": 1_000_000 - after_ms})
    found = look(of, "1", order("o", OrderStatus.ACCEPTED, rests=True), stop_loss="49500")
    assert found == (Save(bracket=replace(of, grown_at_ms=0)) if is_settled else NoOp())


# Coins.


def spot_look(
    of: Bracket,
    size: str = "1",
    *,
    mark: str | None = "50000",
    orders: tuple[OrderState, ...] = (),
    spoken: str = "0",
    **grid: str,
) -> ProtectionStep:
    spot = linear(category=Category.SPOT, **grid)
    held = replace(position(size, spot), mark_price=Decimal(mark) if mark else None)
    known = {each.client_order_id: each for each in orders}
    rests = {
        each.client_order_id: RestingOrder(qty=each.planned.qty, price=each.planned.price or each.planned.trigger_price)
        for each in orders
    }
    return next_protection_step(
        of,
        Snapshot(
            instrument=spot, now_ms=1_000_000, position=held, orders=known, resting=rests, spoken_for=Decimal(spoken)
        ),
    )


def spot_stop(name: str, qty: str, price: str) -> OrderState:
    made = replace(planned(), type=OrderType.STOP_MARKET, qty=Decimal(qty), trigger_price=Decimal(price))
    return OrderState(client_order_id=name, planned=made, status=OrderStatus.ACCEPTED, rests=True)


def test_of_coins_what_others_are_to_sell_is_left_out() -> None:
    of = bracket(tp_legs=(stop_leg(),))
    for spoken, qty in (("0", "1"), ("0.4", "0.6"), ("0.4005", "0.599")):
        found = spot_look(of, spoken=spoken)
        assert isinstance(found, PlaceTakeProfit) and found.planned.qty == Decimal(qty)
    assert spot_look(of, spoken="1") == spot_look(of, spoken="2") == NoOp()
    assert spot_look(of, spoken="0.996", qty_min="0.005") == NoOp(), "less than the exchange takes"
    least = spot_look(of, spoken="0.995", qty_min="0.005")
    assert isinstance(least, PlaceTakeProfit) and least.planned.qty == Decimal("0.005")
    assert spot_look(bracket(tp_legs=(replace(stop_leg(), is_done=True),))) != spot_look(of)


def test_a_take_profit_of_coins_that_is_reached_leaves_the_stop_what_it_does_not_take() -> None:
    of = bracket(tp_legs=(leg(2, 40, "tp"), leg(4, 60), stop_leg(order_id="stop")))
    tp = replace(resting("tp", "0.4"), planned=replace(limit(), qty=Decimal("0.4"), price=Decimal(51_000)))
    whole, rest = spot_stop("stop", "1", "49000"), spot_stop("stop", "0.6", "49000")
    taken = spot_look(of, mark="51000", orders=(tp, whole))
    assert isinstance(taken, Save) and [each.is_taken_back for each in taken.bracket.tp_legs] == [False, False, True]
    assert spot_look(of, mark="51000", orders=(tp, rest)) == NoOp()
    gone = spot_look(
        replace(of, tp_legs=(leg(2, 40, "tp", is_taken_back=True), *of.tp_legs[1:])), mark="49900", orders=(tp, rest)
    )
    assert isinstance(gone, Save | CancelTakeProfit)


def test_what_is_left_under_the_minimum_goes_with_the_last_take_profit_that_is_reached() -> None:
    of = bracket(tp_legs=(leg(1, 50), leg(2, 49), stop_leg()))
    found = spot_look(of, "0.01", mark="51100")
    assert isinstance(found, PlaceTakeProfit) and (found.place, found.planned.qty) == (0, Decimal("0.005"))
    both = bracket(tp_legs=(leg(1, 50, "a"), leg(2, 49), stop_leg()))
    near = replace(resting("a", "0.005"), planned=replace(limit(), qty=Decimal("0.005"), price=Decimal(50_500)))
    far = spot_look(both, "0.01", mark="51100", orders=(near,))
    assert isinstance(far, PlaceTakeProfit) and (far.place, far.planned.qty) == (1, Decimal("0.004"))
    all_of_it = spot_look(
        replace(both, tp_legs=(leg(1, 50, "a"), leg(2, 49), stop_leg())), "0.0105", mark="51100", orders=(near,)
    )
    assert isinstance(all_of_it, PlaceTakeProfit)


def test_without_a_price_a_take_profit_of_coins_stays_and_none_is_placed() -> None:
    waits = spot_look(bracket(tp_legs=(leg(2, 100), stop_leg())), mark=None)
    assert isinstance(waits, PlaceTakeProfit) and waits.place == 1 and waits.planned.type is OrderType.STOP_MARKET
    tp = replace(resting("tp", "1"), planned=replace(limit(), qty=Decimal(1), price=Decimal(51_000)))
    assert spot_look(bracket(tp_legs=(leg(2, 100, "tp"), stop_leg())), mark=None, orders=(tp,)) == NoOp()


def test_a_stop_loss_of_coins_that_rests_though_the_price_has_passed_it_is_taken_back() -> None:
    of = bracket(tp_legs=(stop_leg(order_id="stop"),))
    rests = spot_stop("stop", "1", "49000")
    assert spot_look(of, mark="49000.1", orders=(rests,)) == NoOp()
    passed = spot_look(of, mark="49000", orders=(rests,))
    assert isinstance(passed, Save) and passed.bracket.tp_legs[0].is_taken_back
    again = spot_look(passed.bracket, mark="49000", orders=(rests,))
    assert again == CancelTakeProfit(order_id="stop")


def test_the_stop_loss_of_coins_goes_to_the_entry_as_an_order_and_never_back() -> None:
    done = leg(1, 50, is_done=True, moves_stop_to_entry=True)
    at_entry = Level(kind=LevelKind.PRICE, value=ENTRY)
    of = bracket(tp_legs=(done, leg(4, 50), stop_leg()))
    assert spot_look(of, mark="50100") == Save(
        bracket=replace(of, is_at_breakeven=True, tp_legs=(done, leg(4, 50), replace(stop_leg(), at=at_entry)))
    )
    passed = spot_look(of, mark="50000")
    assert isinstance(passed, PlaceTakeProfit), "the stop that there is stays in force"
    beyond = bracket(tp_legs=(done, stop_leg(1)))
    assert spot_look(beyond, mark="50600") == Save(bracket=replace(beyond, is_at_breakeven=True))
    without = bracket(tp_legs=(done,))
    made = TakeProfitLeg(at=at_entry, share_pct=Decimal(100), is_stop=True)
    assert spot_look(without, mark="50100") == Save(
        bracket=replace(without, is_at_breakeven=True, tp_legs=(done, made))
    )


def test_dust_of_coins_is_not_protected_and_an_entry_that_may_grow_is_waited_for() -> None:
    of = bracket(tp_legs=(stop_leg(),))
    assert spot_look(of, "0.0009") == Close()
    growing = bracket(tp_legs=(stop_leg(),), is_entry_over=False, entries=("e",), is_seen=False)
    entry = order("e", OrderStatus.PARTIALLY_FILLED, "0.0009", rests=True)
    assert spot_look(growing, "0.0009", orders=(entry,)) == Save(bracket=replace(growing, is_seen=True))
    assert spot_look(replace(growing, is_seen=True), "0.0009", orders=(entry,)) == NoOp()


@pytest.mark.parametrize(
    ("price", "qty_least"), [("50000", "0.001"), ("4900", "0.002"), ("1000", "0.005"), (None, "0.001")]
)
def test_of_coins_no_leg_is_worth_less_than_the_exchange_takes(price: str | None, qty_least: str) -> None:
    of = bracket(entry_price=Decimal(100), tp_legs=(leg(1, 1), leg(2, 99)))
    size = Decimal(qty_least) * 100
    held = replace(position(str(size)), category=Category.SPOT, mark_price=Decimal(price) if price else None)
    spot = linear(category=Category.SPOT)
    assert [qty for _, qty in own_levels(of, held, spot).take_profits] == [
        Decimal(qty_least),
        size - Decimal(qty_least),
    ]
    less = replace(held, size=size - Decimal("0.01"))
    assert [qty for _, qty in own_levels(of, less, spot).take_profits] == [less.size]


def test_the_relay_s_own_levels_of_coins_are_the_stop_that_rests_and_every_take_profit_still_to_come() -> None:
    spot = linear(category=Category.SPOT)
    of = bracket(tp_legs=(leg(1, 50, is_done=True), leg(2, 30), leg(3, 20), stop_leg()))
    held = position("1", spot)
    found = own_levels(of, held, spot)
    assert found.stop_loss is None, "it does not rest"
    assert found.take_profits == ((Decimal(51_000), Decimal("0.6")), (Decimal(51_500), Decimal("0.4")))
    rests = replace(of, tp_legs=(*of.tp_legs[:3], stop_leg(order_id="s")))
    assert own_levels(rests, held, spot).stop_loss == Decimal(49_000)
    assert own_levels(replace(of, tp_legs=(leg(1, 100, "tp"),)), held, spot).stop_loss is None


SHORT_OF: list[tuple[tuple[TakeProfitLeg, ...], str | None]] = [
    ((leg(1, 50), leg(2, 50)), "the position is too small for any of its take profits"),
    ((leg(1, 50, "a"), leg(2, 50)), "a take profit under the exchange's minimum was merged into its neighbour"),
    ((leg(1, 50, "a"), leg(2, 50, "b")), None),
    ((leg(1, 50, is_done=True), leg(2, 50, "b")), None),
    ((leg(1, 50, is_done=True), leg(2, 50)), "the position is too small for any of its take profits"),
    ((leg(1, 50, "a"), leg(2, 50, refusals=3)), "the exchange did not keep a take profit, however often it was placed"),
    (
        (leg(1, 50, "a"), leg(2, 50, refusals=2)),
        "a take profit under the exchange's minimum was merged into its neighbour",
    ),
    ((leg(1, 50), stop_leg(order_id="s")), None),
    ((leg(1, 50, "a"), stop_leg()), None),
    ((leg(1, 50), stop_leg()), "what is held, less what rests to be sold, is too small for its stop loss"),
    ((leg(1, 50), stop_leg(refusals=3)), "the exchange did not keep the stop loss, however often it was placed"),
    ((leg(1, 50), stop_leg(is_done=True)), None),
    ((), None),
]


@pytest.mark.parametrize(("legs", "words"), SHORT_OF)
def test_what_could_not_be_placed_is_told_with_its_cause(legs: tuple[TakeProfitLeg, ...], words: str | None) -> None:
    found = shortfall(bracket(tp_legs=legs))
    assert (found.words if found else None) == words
    assert (found is not None and found.is_merged) is (words is not None and "merged" in words)


def test_take_profits_are_reduce_only_limits_on_the_other_side() -> None:
    for side in Side:
        found = look(bracket(side, tp_legs=(leg(2, 100),)), str(2 * side.sign))
        assert isinstance(found, PlaceTakeProfit)
        made = found.planned
        assert (made.side, made.type, int(made.qty), made.price) == (
            side.opposite,
            OrderType.LIMIT,
            2,
            ENTRY * (100 + 2 * side.sign) / 100,
        )
        assert (made.reduce_only, made.purpose, made.symbol, made.category) == (
            True,
            Purpose.EXIT,
            "BTCUSDT",
            Category.LINEAR,
        )


def test_a_take_profit_that_is_too_small_now_is_cancelled_and_one_at_another_price_is_moved() -> None:
    of = bracket(tp_legs=(leg(1, 50, "a"), leg(2, 50, "b")))
    a, b = resting("a", "0.001"), resting("b", "0.001")
    assert step(of, "0.001", orders=(a, b)) == CancelTakeProfit(order_id="a")
    moved = replace(of, tp_legs=(leg(3, 50, "a"), leg(2, 50, "b")))
    orders = (resting("a", "1"), resting("b", "1"))
    assert step(moved, "2", orders=orders) == AmendTakeProfit(order_id="a", qty=Decimal(1), price=Decimal(51_500))
    partly = replace(resting("a", "1"), filled_qty=Decimal("0.25"))
    assert step(of, "1.75", orders=(partly, resting("b", "1"))) == NoOp()
