"""The planning table, row by row: long, short and flat, on linear USDT, linear USDC and inverse.

Sizes are in lots, so that each row is the same on all three. An order reads `side lots purpose`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import Instrument, plain
from relay.domain.order import PlannedOrder, Purpose
from relay.domain.plan import Plan, PlanStatus
from tests.builders import facts, inverse, linear, plan, position, rules, signal, usdc

INSTRUMENTS = [linear(), usdc(), inverse()]
_LOT_FIELDS = ("qty", "market_position_size", "prev_market_position_size", "position_size")

Row = tuple[str, dict[str, Any], str, list[str], str]
"""action, fields in lots, p in lots, orders, and where they leave the position."""


def _lot(instrument: Instrument) -> Decimal:
    return Decimal(1000) if instrument.is_inverse else Decimal("0.1")


def _planned(row_action: str, fields: dict[str, Any], p: str, instrument: Instrument) -> Plan:
    lot = _lot(instrument)
    scaled = {name: Decimal(value) * lot if name in _LOT_FIELDS else value for name, value in fields.items()}
    unit = {"qty_unit": "contracts"} if instrument.is_inverse else {}
    return plan(signal(row_action, **{**unit, **scaled}), rules(), facts(instrument, p=Decimal(p) * lot))


def _shown(order: PlannedOrder, instrument: Instrument) -> str:
    assert order.reduce_only is (order.purpose is Purpose.EXIT)
    return f"{order.side.value} {plain(order.qty / _lot(instrument))} {order.purpose.value}"


def _end(p: str, orders: tuple[PlannedOrder, ...], instrument: Instrument) -> Decimal:
    return Decimal(p) + sum(each.qty * each.side.sign for each in orders) / _lot(instrument)


LONG2 = {"market_position": "long", "market_position_size": "2"}
SHORT2 = {"market_position": "short", "market_position_size": "2"}
FLAT = {"market_position": "flat", "market_position_size": "0"}

ROWS: dict[str, Row] = {
    # buy and sell without the strategy's position: a pure delta
    "buy opens a long": ("buy", {"qty": "2"}, "0", ["buy 2 entry"], "2"),
    "buy adds to a long": ("buy", {"qty": "2"}, "1", ["buy 2 entry"], "3"),
    "buy reduces a short": ("buy", {"qty": "2"}, "-5", ["buy 2 exit"], "-3"),
    "buy of as much closes a short": ("buy", {"qty": "2"}, "-2", ["buy 2 exit"], "0"),
    "buy of more flips a short": ("buy", {"qty": "2"}, "-1.5", ["buy 2 flip"], "0.5"),
    "sell opens a short": ("sell", {"qty": "2"}, "0", ["sell 2 entry"], "-2"),
    "sell adds to a short": ("sell", {"qty": "2"}, "-1", ["sell 2 entry"], "-3"),
    "sell reduces a long": ("sell", {"qty": "2"}, "5", ["sell 2 exit"], "3"),
    "sell of more flips a long": ("sell", {"qty": "2"}, "1.5", ["sell 2 flip"], "-0.5"),
    "reduce-only buy is cut to the short": ("buy", {"qty": "2", "reduce_only": True}, "-1", ["buy 1 exit"], "0"),
    "reduce-only buy of less than the short": ("buy", {"qty": "2", "reduce_only": True}, "-3", ["buy 2 exit"], "-1"),
    # with the strategy's position: read as its fill
    "sell to flat closes all of a long": ("sell", {"qty": "1", **FLAT}, "5", ["sell 5 exit"], "0"),
    "buy to flat closes all of a short": ("buy", {"qty": "1", **FLAT}, "-5", ["buy 5 exit"], "0"),
    "sell to flat closes even a short": ("sell", {"qty": "1", **FLAT}, "-5", ["buy 5 exit"], "0"),
    "sell while still long reduces": ("sell", {"qty": "1", **LONG2}, "3", ["sell 1 exit"], "2"),
    "sell while still long never flips": ("sell", {"qty": "4", **LONG2}, "3", ["sell 3 exit"], "0"),
    "buy while still short reduces": ("buy", {"qty": "1", **SHORT2}, "-3", ["buy 1 exit"], "-2"),
    "buy while still short never flips": ("buy", {"qty": "4", **SHORT2}, "-3", ["buy 3 exit"], "0"),
    "buy to long from short, old plus new": (
        "buy",
        {"qty": "5", **LONG2, "prev_market_position": "short", "prev_market_position_size": "3"},
        "-3",
        ["buy 5 flip"],
        "2",
    ),
    "buy to long from short, though ours is smaller": ("buy", {"qty": "5", **LONG2}, "-1", ["buy 3 flip"], "2"),
    "buy to long from short, though ours is flat": (
        "buy",
        {"qty": "5", **LONG2, "prev_market_position": "short"},
        "0",
        ["buy 2 entry"],
        "2",
    ),
    "buy to long from short, though ours is long": (
        "buy",
        {"qty": "5", **LONG2, "prev_market_position": "short"},
        "0.5",
        ["buy 1.5 entry"],
        "2",
    ),
    "sell to short from long, old plus new": (
        "sell",
        {"qty": "5", **SHORT2, "prev_market_position": "long", "prev_market_position_size": "3"},
        "3",
        ["sell 5 flip"],
        "-2",
    ),
    "a reversal without the new size is told by quantity and old size": (
        "buy",
        {"qty": "5", "market_position": "long", "prev_market_position": "short", "prev_market_position_size": "3"},
        "-4",
        ["buy 6 flip"],
        "2",
    ),
    "buy to long from flat is the delta": (
        "buy",
        {"qty": "2", **LONG2, "prev_market_position": "flat"},
        "0",
        ["buy 2 entry"],
        "2",
    ),
    "buy while long already is the delta": (
        "buy",
        {"qty": "1", **LONG2, "prev_market_position": "long"},
        "1.5",
        ["buy 1 entry"],
        "2.5",
    ),
    "sell while short already is the delta": ("sell", {"qty": "1", **SHORT2}, "-1", ["sell 1 entry"], "-2"),
    # long and short
    "long opens": ("long", {"qty": "2"}, "0", ["buy 2 entry"], "2"),
    "long tops up a smaller long": ("long", {"qty": "2"}, "0.5", ["buy 1.5 entry"], "2"),
    "long flips a short": ("long", {"qty": "2"}, "-3", ["buy 5 flip"], "2"),
    "short opens": ("short", {"qty": "2"}, "0", ["sell 2 entry"], "-2"),
    "short tops up a smaller short": ("short", {"qty": "2"}, "-0.5", ["sell 1.5 entry"], "-2"),
    "short flips a long": ("short", {"qty": "2"}, "3", ["sell 5 flip"], "-2"),
    # target
    "target opens the strategy's long": ("target", LONG2, "0", ["buy 2 entry"], "2"),
    "target adds": ("target", LONG2, "1", ["buy 1 entry"], "2"),
    "target reduces": ("target", LONG2, "5", ["sell 3 exit"], "2"),
    "target flips": ("target", LONG2, "-5", ["buy 7 flip"], "2"),
    "target opens the strategy's short": ("target", SHORT2, "0", ["sell 2 entry"], "-2"),
    "target reduces a short": ("target", SHORT2, "-5", ["buy 3 exit"], "-2"),
    "target flips to a short": ("target", SHORT2, "5", ["sell 7 flip"], "-2"),
    "target flat closes a long": ("target", FLAT, "5", ["sell 5 exit"], "0"),
    "target flat closes a short, whatever the quantity": ("target", {**FLAT, "qty": "3"}, "-5", ["buy 5 exit"], "0"),
    "target by the signed size, long": ("target", {"position_size": "2"}, "5", ["sell 3 exit"], "2"),
    "target by the signed size, short": ("target", {"position_size": "-2"}, "5", ["sell 7 flip"], "-2"),
    "target by a signed size of zero": ("target", {"position_size": "0"}, "-5", ["buy 5 exit"], "0"),
    "target with a quantity: its side and your size": ("target", {**LONG2, "qty": "3"}, "0", ["buy 3 entry"], "3"),
    # close
    "close a long": ("close", {}, "5", ["sell 5 exit"], "0"),
    "close a short": ("close", {}, "-5", ["buy 5 exit"], "0"),
    "close with a quantity: of that": ("close", {"qty": "2"}, "5", ["sell 2 exit"], "3"),
    "close with too large a quantity": ("close", {"qty": "9"}, "-5", ["buy 5 exit"], "0"),
    "flat": ("flat", {}, "5", ["sell 5 exit"], "0"),
    "flat closes all, whatever the quantity": ("flat", {"qty": "2"}, "-5", ["buy 5 exit"], "0"),
    "exit": ("exit", {}, "-5", ["buy 5 exit"], "0"),
    "exit closes all, whatever the quantity": ("exit", {"qty": "2"}, "5", ["sell 5 exit"], "0"),
    "close_long closes a long": ("close_long", {}, "5", ["sell 5 exit"], "0"),
    "close_long with a quantity": ("close_long", {"qty": "2"}, "5", ["sell 2 exit"], "3"),
    "close_short closes a short": ("close_short", {}, "-5", ["buy 5 exit"], "0"),
    "close_short with a quantity": ("close_short", {"qty": "2"}, "-5", ["buy 2 exit"], "-3"),
    # reverse
    "reverse a long": ("reverse", {}, "5", ["sell 10 flip"], "-5"),
    "reverse a short": ("reverse", {}, "-5", ["buy 10 flip"], "5"),
    "reverse with a quantity": ("reverse", {"qty": "2"}, "5", ["sell 7 flip"], "-2"),
}

NOTHING: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "a long of as much": ("long", {"qty": "2"}, "2", "already long"),
    "a long of more is never sold": ("long", {"qty": "2"}, "3", "already long"),
    "a short of more is never bought": ("short", {"qty": "2"}, "-3", "already short"),
    "already on target": ("target", LONG2, "2", "already on target"),
    "target flat with nothing open": ("target", FLAT, "0", "nothing is open"),
    "close with nothing open": ("close", {}, "0", "nothing is open"),
    "close with a quantity and nothing open": ("close", {"qty": "2"}, "0", "nothing is open"),
    "flat with nothing open": ("flat", {}, "0", "nothing is open"),
    "exit with nothing open": ("exit", {}, "0", "nothing is open"),
    "close_long leaves a short": ("close_long", {}, "-5", "short is left alone"),
    "close_short leaves a long": ("close_short", {}, "5", "long is left alone"),
    "close_long with nothing open": ("close_long", {}, "0", "nothing is open"),
    "sell to flat with nothing open": ("sell", {"qty": "2", **FLAT}, "0", "nothing is open"),
    "sell while still long with nothing open": ("sell", {"qty": "1", **LONG2}, "0", "none is open"),
    "sell while still long though ours is short": ("sell", {"qty": "1", **LONG2}, "-1", "none is open"),
    "buy while still short though ours is long": ("buy", {"qty": "1", **SHORT2}, "1", "none is open"),
    "reduce-only with nothing open": ("buy", {"qty": "1", "reduce_only": True}, "0", "reduce-only"),
    "reduce-only on the position's own side": ("buy", {"qty": "1", "reduce_only": True}, "3", "reduce-only"),
    "a reversal that is there already": (
        "buy",
        {"qty": "5", **LONG2, "prev_market_position": "short"},
        "2",
        "already where the strategy is",
    ),
}


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda each: each.symbol)
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_each_row_of_the_table_plans_its_orders(row: Row, instrument: Instrument) -> None:
    action, fields, p, orders, end = row
    made = _planned(action, fields, p, instrument)
    assert made.status is PlanStatus.PLANNED
    assert made.reason is None
    assert [_shown(each, instrument) for each in made.orders] == orders
    assert _end(p, made.orders, instrument) == Decimal(end)
    assert {(each.category, each.symbol) for each in made.orders} == {(instrument.category, instrument.symbol)}


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda each: each.symbol)
@pytest.mark.parametrize("row", NOTHING.values(), ids=NOTHING.keys())
def test_where_there_is_nothing_to_do_it_is_done_and_says_so(
    row: tuple[str, dict[str, Any], str, str], instrument: Instrument
) -> None:
    action, fields, p, note = row
    made = _planned(action, fields, p, instrument)
    assert (made.status, made.orders, made.reason) == (PlanStatus.DONE, (), None)
    assert any(note in each for each in made.notes), made.notes


@pytest.mark.parametrize("action", ["cancel", "heartbeat"])
def test_cancel_and_heartbeat_order_nothing(action: str) -> None:
    made = plan(signal(action), rules(), facts(p=2, residual="0.0004"))
    assert (made.status, made.orders, made.reason) == (PlanStatus.DONE, (), None)
    assert made.residual == facts(residual="0.0004").residual


def test_reversing_nothing_is_denied() -> None:
    made = plan(signal("reverse", qty=1), rules(), facts(p=0))
    assert made.status is PlanStatus.DENIED
    assert made.reason is not None and made.reason.code == "POSITION_NONE"


@pytest.mark.parametrize("action", ["buy", "sell", "long", "short"])
def test_an_entry_without_any_size_is_denied(action: str) -> None:
    made = plan(signal(action), rules(), facts(p=0))
    assert made.status is PlanStatus.DENIED
    assert made.reason is not None and made.reason.code == "QTY_MISSING"


@pytest.mark.parametrize("p", ["0", "3", "-3"])
def test_a_target_that_names_no_position_is_no_order_to_close(p: str) -> None:
    made = plan(signal("target"), rules(), facts(p=p))
    assert made.status is PlanStatus.DENIED
    assert made.reason is not None and made.reason.code == "QTY_MISSING"


def test_a_plain_buy_needs_no_position() -> None:
    made = plan(signal("buy", qty="0.5"), rules(), facts(price=None))
    (order,) = made.orders
    assert (order.qty, order.reduce_only, order.exit_qty) == (Decimal("0.5"), False, None)
    assert order.fallback_qty == order.qty


@pytest.mark.parametrize("p", [None, "0", "2", "-2"])
def test_a_buy_without_the_strategys_position_is_noted_as_a_pure_delta(p: str | None) -> None:
    assert any("pure delta" in note for note in plan(signal("buy", qty=1), rules(), facts(p=p)).notes)


def test_a_buy_with_the_strategys_position_is_no_pure_delta() -> None:
    made = plan(signal("buy", qty=1, market_position="long"), rules(), facts(p=0))
    assert not any("pure delta" in note for note in made.notes)


@pytest.mark.parametrize("action", ["buy", "close", "target", "reverse"])
def test_hedge_mode_is_denied_with_what_to_do(action: str) -> None:
    made = plan(signal(action, qty=1), rules(), facts(position=position(1, is_hedge=True)))
    assert made.status is PlanStatus.DENIED
    assert made.reason is not None and made.reason.code == "POSITION_MODE_HEDGE"
    assert "one-way" in made.reason.message
