"""Values in the journal are stored under names that stay: a journal of any earlier relay can be read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.bracket import Bracket, BracketStatus, TakeProfitLeg
from relay.domain.instrument import Category
from relay.domain.order import OrderType, PlannedOrder, Purpose, Side, TimeInForce, TriggerBy
from relay.domain.signal import Level, LevelKind
from relay.journal.records import from_json, to_json
from relay.journal.statements import compact_json

STORED_BRACKET = (
    '{"side":"sell","stop_loss":{"kind":"percent","value":"1.50"},"take_profit":{"kind":"price","value":"90"},'
    '"trailing_stop":{"kind":"price","value":"7"},"trailing_start":{"kind":"percent","value":"2"},'
    '"rungs":[{"at":{"kind":"price","value":"95.5"},"share_pct":"40","moves_stop_to_entry":true,"order_id":"r-1",'
    '"placed_at_ms":3,"is_taken_back":true,"filled_qty":"0.10","is_done":true,"refusals":2,"refused_at_size":"0.3"},'
    '{"at":{"kind":"price","value":"91"},"share_pct":"60"}],'
    '"entries":["e-1"],"leavings":["old-1"],"status":"active","entry_price":"100.0","is_entry_over":true,'
    '"are_stops_set":true,"is_at_breakeven":true,"is_seen":true,"active_at_ms":5,"trouble":"why"}'
)
BRACKET = Bracket(
    side=Side.SELL,
    stop_loss=Level(kind=LevelKind.PERCENT, value=Decimal("1.50")),
    take_profit=Level(kind=LevelKind.PRICE, value=Decimal(90)),
    trailing_stop=Level(kind=LevelKind.PRICE, value=Decimal(7)),
    trailing_start=Level(kind=LevelKind.PERCENT, value=Decimal(2)),
    tp_legs=(
        TakeProfitLeg(
            at=Level(kind=LevelKind.PRICE, value=Decimal("95.5")),
            share_pct=Decimal(40),
            moves_stop_to_entry=True,
            order_id="r-1",
            placed_at_ms=3,
            is_taken_back=True,
            filled_qty=Decimal("0.10"),
            is_done=True,
            refusals=2,
            refused_at_size=Decimal("0.3"),
        ),
        TakeProfitLeg(at=Level(kind=LevelKind.PRICE, value=Decimal(91)), share_pct=Decimal(60)),
    ),
    entries=("e-1",),
    stale_orders=("old-1",),
    status=BracketStatus.ACTIVE,
    entry_price=Decimal("100.0"),
    is_entry_over=True,
    are_stops_set=True,
    is_at_breakeven=True,
    is_seen=True,
    active_at_ms=5,
    trouble="why",
)
STORED_ORDER = (
    '{"leg":2,"category":"inverse","symbol":"BTCUSD","side":"buy","type":"stop_limit","qty":"3.0","purpose":"flip",'
    '"price":"11","trigger_price":"10.5","trigger_rises":false,"trigger_by":"mark","time_in_force":"IOC",'
    '"reduce_only":true,"closes_all":true,"take_profit":"12","stop_loss":"9","slippage_pct":"0.5","valid_for_s":60,'
    '"leverage":"4","exit_qty":"1","fallback_qty":"2","replaces_leg":1}'
)
ORDER = PlannedOrder(
    leg=2,
    category=Category.INVERSE,
    symbol="BTCUSD",
    side=Side.BUY,
    type=OrderType.STOP_LIMIT,
    qty=Decimal("3.0"),
    purpose=Purpose.FLIP,
    price=Decimal(11),
    trigger_price=Decimal("10.5"),
    trigger_rises=False,
    trigger_by=TriggerBy.MARK,
    time_in_force=TimeInForce.IOC,
    reduce_only=True,
    closes_all=True,
    take_profit=Decimal(12),
    stop_loss=Decimal(9),
    slippage_pct=Decimal("0.5"),
    valid_for_s=60,
    leverage=Decimal(4),
    exit_qty=Decimal(1),
    fallback_qty=Decimal(2),
    replaces_leg=1,
)


@pytest.mark.parametrize(("value", "stored"), [(BRACKET, STORED_BRACKET), (ORDER, STORED_ORDER)])
def test_a_value_is_stored_under_the_names_that_earlier_journals_have(value: Any, stored: str) -> None:
    assert compact_json(to_json(value)) == stored
    assert from_json(type(value), json.loads(stored)) == value


def test_what_is_as_by_default_is_not_stored() -> None:
    assert to_json(Bracket(side=Side.BUY)) == {"side": "buy"}
    assert from_json(Bracket, {"side": "buy"}) == Bracket(side=Side.BUY)


def test_a_field_that_got_another_name_keeps_its_stored_one() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Rope:
        knots: int = field(default=0, metadata={"stored_as": "loops"})

    assert to_json(Rope(knots=3)) == {"loops": 3}
    assert from_json(Rope, {"loops": 3}) == Rope(knots=3)
