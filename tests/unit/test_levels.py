"""Where levels stand, and the leverage that an entry sets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.domain.bracket import level_price, levels_of, profit_price, stop_price, trail_distance, wrong_side
from relay.domain.order import Purpose, Side
from relay.domain.plan import Need, PlanStatus
from relay.domain.signal import Level, LevelKind, TakeProfit
from tests.builders import NOW, PRICE, facts, level, linear, needs, plan, position, profit, rules, signal

TICK = Decimal("0.1")


def distance(value: str, *, percent: bool = False, signed: bool = True) -> Level:
    kind = LevelKind.PERCENT if percent else LevelKind.DISTANCE
    return Level(kind=kind, value=Decimal(value), sign_given=signed)


@pytest.mark.parametrize(
    ("requested", "side", "is_stop", "price"),
    [
        (level(123), Side.BUY, True, "123"),
        (distance("1.5", percent=True, signed=False), Side.BUY, True, "985"),
        (distance("1.5", percent=True, signed=False), Side.BUY, False, "1015"),
        (distance("1.5", percent=True, signed=False), Side.SELL, True, "1015"),
        (distance("1.5", percent=True, signed=False), Side.SELL, False, "985"),
        (distance("40"), Side.BUY, False, "1040"),
        (distance("40"), Side.SELL, False, "960"),
        (distance("-40"), Side.BUY, True, "960"),
        (distance("-40"), Side.SELL, True, "1040"),
        (distance("1", percent=True), Side.SELL, True, "990"),
        (distance("-1", percent=True), Side.BUY, True, "990"),
    ],
)
def test_a_distance_counts_towards_profit_or_loss_for_longs_and_for_shorts(
    requested: Level, side: Side, is_stop: bool, price: str
) -> None:
    assert level_price(requested, side=side, reference=Decimal(1000), is_stop=is_stop) == Decimal(price)


@pytest.mark.parametrize(("side", "stop", "target"), [(Side.BUY, "990.0", "1010.1"), (Side.SELL, "1010.1", "990.0")])
def test_stops_round_away_from_the_position_and_take_profits_away_from_the_taker(
    side: Side, stop: str, target: str
) -> None:
    one_percent = distance("1", percent=True, signed=False)
    where: dict[str, Any] = {"side": side, "reference": Decimal("1000.05"), "tick": TICK}
    assert stop_price(one_percent, **where) == Decimal(stop)
    assert profit_price(one_percent, **where) == Decimal(target)


def test_a_trailing_distance_is_at_least_a_tick() -> None:
    assert trail_distance(distance("0.0001", percent=True), reference=Decimal(100), tick=TICK) == TICK
    assert trail_distance(distance("1", percent=True), reference=Decimal(1234), tick=TICK) == Decimal("12.4")


@pytest.mark.parametrize("name", ["stop_loss", "take_profit"])
def test_a_level_on_the_wrong_side_is_named(name: str) -> None:
    given = {"stop_loss": level(1001)} if name == "stop_loss" else {"take_profits": (profit(1100), profit(999))}
    levels = levels_of(signal("buy", **given), rules())
    reason = wrong_side(levels, side=Side.BUY, reference=Decimal(1000), tick=TICK)
    assert reason is not None and reason.code == "STOP_WRONG_SIDE" and name in reason.message


def test_levels_are_held_against_the_price_of_the_position_where_that_is_another() -> None:
    levels, tick = levels_of(signal("buy", stop_loss=level(1005)), rules()), TICK
    assert wrong_side(levels, side=Side.BUY, reference=Decimal(1000), tick=tick, price=Decimal(1010)) is None
    assert wrong_side(levels, side=Side.BUY, reference=Decimal(1010), tick=tick, price=Decimal(1000)) is not None


@pytest.mark.parametrize(
    "levels",
    [
        {"stop_loss": level(2)},
        {"stop_loss": level(24999)},
        {"take_profits": (profit(51000), profit(75001))},
        {"trailing_stop": distance("25001", signed=False)},
        {"trailing_stop": distance("1", percent=True, signed=False), "trailing_start": level(3)},
        {"stop_loss": distance("-25001")},
    ],
)
@pytest.mark.parametrize("action", ["buy", "sell"])
def test_a_level_that_is_more_likely_a_percentage_is_asked_about(action: str, levels: dict[str, Any]) -> None:
    requested = signal(action, qty=1, **levels)
    denied = plan(requested, rules(), facts(p=0))
    assert denied.reason is not None and denied.reason.code == "LEVEL_TOO_FAR"
    name = list(levels)[-1].replace("profits", "profit")
    assert f"`{name}`" in denied.reason.message and "more than 50 % away" in denied.reason.message
    assert ('of 2, or "2%"?' in denied.reason.message) == (levels == {"stop_loss": level(2)})
    is_distance = list(levels.values())[0] in (distance("25001", signed=False), distance("-25001"))
    assert ("a distance of" in denied.reason.message) is is_distance
    freed = plan(requested, rules(levels_any_distance=True), facts(p=0)).reason
    assert freed is None or freed.code == "STOP_WRONG_SIDE"


def test_a_level_may_be_half_the_price_away_and_a_percentage_any() -> None:
    for requested in (level(25000), distance("60", percent=True, signed=False), distance("-25000")):
        assert plan(signal("buy", qty=1, stop_loss=requested), rules(), facts(p=0)).reason is None
    resting = signal("buy", qty=1, type="limit", price=20000, stop_loss=level(19000))
    assert plan(resting, rules(), facts(p=0)).reason is None


def test_the_stops_of_an_open_position_are_not_set_half_the_price_away_either() -> None:
    for p in (1, -1):
        denied = plan(signal("stops", stop_loss=level(2)), rules(), facts(p=p))
        assert denied.reason is not None
    assert denied.status is PlanStatus.DENIED
    far = plan(signal("stops", stop_loss=level(2)), rules(), facts(p=1))
    assert far.reason is not None and far.reason.code == "LEVEL_TOO_FAR"


def test_an_exit_goes_out_whatever_its_levels_are() -> None:
    flip = plan(signal("sell", qty=3, stop_loss=level(2)), rules(), facts(p=1))
    assert flip.reason is not None and "LEVEL_TOO_FAR" not in flip.reason.code
    assert [(order.qty, order.reduce_only) for order in flip.orders] == [(Decimal(1), True)]


def test_the_alerts_own_levels_go_before_the_strategys_defaults() -> None:
    defaults = rules(default_stop_loss=level(1), default_take_profit=level(2))
    assert levels_of(signal("buy"), defaults).stop_loss == level(1)
    assert levels_of(signal("buy"), defaults).take_profits == (TakeProfit(at=level(2)),)
    assert levels_of(signal("buy", stop_loss=level(3)), defaults).stop_loss == level(3)


def test_an_entry_residuals_its_levels_as_prices_counted_from_the_market() -> None:
    requested = signal("buy", qty=1, stop_loss=distance("2", percent=True, signed=False))
    (order,) = plan(requested, rules(default_take_profit=distance("+500")), facts(p=0)).orders
    assert (order.stop_loss, order.take_profit) == (Decimal(49000), Decimal(50500))


def test_a_limit_order_counts_from_its_own_price() -> None:
    requested = signal("sell", qty=1, type="limit", price=52000, stop_loss=distance("-100"))
    (order,) = plan(requested, rules(), facts(p=0)).orders
    assert order.stop_loss == Decimal(52100)


def test_an_order_that_merely_reduces_residuals_no_levels_and_a_flip_those_of_its_new_side() -> None:
    defaults = rules(default_stop_loss=distance("1", percent=True, signed=False))
    (reducing,) = plan(signal("sell", qty=1), defaults, facts(p=3)).orders
    assert (reducing.purpose, reducing.stop_loss) == (Purpose.EXIT, None)
    (flip,) = plan(signal("sell", qty=4), defaults, facts(p=3)).orders
    assert (flip.purpose, flip.stop_loss) == (Purpose.FLIP, Decimal(50500))


# Leverage


def leveraged(size: str, stands: str = "10", **changes: Any) -> Any:
    held = position(size, leverage=stands)
    requested = signal("buy", **{"qty": 1, "leverage": "5", **changes})
    return plan(requested, rules(), facts(position=held))


def test_the_first_order_that_opens_sets_the_leverage_where_it_differs() -> None:
    assert [each.leverage for each in leveraged("0").orders] == [Decimal(5)]
    assert [each.leverage for each in leveraged("0", "5").orders] == [None]
    assert [each.leverage for each in leveraged("0", qty=200).orders] == [Decimal(5), None]


def test_with_a_position_open_the_leverage_stays_and_a_note_says_so() -> None:
    made = leveraged("1")
    assert [each.leverage for each in made.orders] == [None]
    assert any("leverage stays at 10" in note for note in made.notes)


@pytest.mark.parametrize("limits", [{"max_leverage": "4"}, {}])
def test_a_leverage_over_a_maximum_is_denied(limits: dict[str, Any]) -> None:
    requested = signal("buy", qty=1, leverage="5" if limits else "101")
    made = plan(requested, rules(**limits), facts(p=0))
    assert made.status is PlanStatus.DENIED and made.reason is not None and made.reason.code == "LIMIT_LEVERAGE"


def test_leverage_and_levels_need_the_position_and_an_exit_needs_nothing_for_them() -> None:
    given: dict[str, Any] = {"now": NOW, "halted": None, "reference_price": PRICE}
    assert needs(signal("buy", qty=1), rules(default_leverage="5"), linear(), **given) == {Need.POSITION}
    stops = rules(default_stop_loss=level(1), default_leverage="5")
    assert needs(signal("buy", qty=1), stops, linear(), **given) == {Need.POSITION, Need.PRICE}
    assert needs(signal("close"), stops, linear(), **given) == {Need.POSITION}
