"""The care of a guard against a model of the exchange: it comes to rest, on the right side, with what it should be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.care import next_care
from relay.domain.care_steps import (
    AdvanceRung,
    AmendRung,
    CancelRung,
    CareStep,
    Keep,
    LookAgain,
    OnBook,
    PlaceRung,
    Release,
    Rest,
    SetStops,
    Sight,
)
from relay.domain.guard import Guard, GuardStatus, Rung
from relay.domain.order import OrderStatus, Side
from relay.domain.position import Position
from relay.domain.reconciliation import OrderState
from relay.domain.signal import Level, LevelKind
from tests.builders import linear

STEP = Decimal("0.001")
ENTRY = Decimal(50_000)
INSTRUMENT = linear()
STEPS_MAX = 80


@dataclass
class Desk:
    """A position, the orders that rest for it, and its levels. Everything is done at once."""

    guard: Guard
    size: Decimal
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    orders: dict[str, OrderState] = field(default_factory=dict)
    book: dict[str, OnBook] = field(default_factory=dict)
    now_ms: int = 1_000_000

    def sight(self) -> Sight:
        position = Position(
            category=INSTRUMENT.category,
            symbol=INSTRUMENT.symbol,
            size=self.size,
            avg_price=ENTRY,
            mark_price=ENTRY,
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
        )
        return Sight(
            instrument=INSTRUMENT, now_ms=self.now_ms, position=position, orders=dict(self.orders), book=dict(self.book)
        )

    def do(self, step: CareStep) -> None:
        sign = self.guard.side.sign
        match step:
            case Keep(guard=guard):
                self.guard = guard
            case Release():
                assert self.size * sign <= 0 and not self.book
                self.guard = replace(self.guard, status=GuardStatus.OVER)
            case SetStops(after=after, levels=levels):
                assert self.size * sign > 0, "levels of a position that is not there"
                if levels.stop_loss:
                    assert (levels.stop_loss - ENTRY) * sign <= 0, "a stop loss on the winning side"
                    self.stop_loss = levels.stop_loss
                if levels.take_profit is not None:
                    assert levels.take_profit == 0 or (levels.take_profit - ENTRY) * sign > 0
                    self.take_profit = levels.take_profit or None
                self.guard = after
            case PlaceRung(place=place, planned=planned):
                assert planned.reduce_only and planned.side is self.guard.side.opposite and self.size * sign > 0
                name = f"o{len(self.orders)}"
                self.orders[name] = OrderState(client_order_id=name, planned=planned)
                rungs = list(self.guard.rungs)
                rungs[place] = replace(rungs[place], order_id=name, placed_at_ms=self.now_ms)
                self.guard = replace(self.guard, rungs=tuple(rungs))
            case AdvanceRung(order_id=name):
                state = self.orders[name]
                self.orders[name] = replace(state, status=OrderStatus.ACCEPTED, rests=True)
                self.book[name] = OnBook(qty=state.planned.qty, price=state.planned.price)
            case AmendRung(order_id=name, qty=qty, price=price):
                assert qty > self.orders[name].filled_qty
                self.book[name] = OnBook(qty=qty, price=price)
            case CancelRung(order_id=name):
                self.orders[name] = replace(self.orders[name], status=OrderStatus.CANCELED, rests=False)
                del self.book[name]
            case LookAgain():
                self.now_ms += 1000
            case Rest():
                raise AssertionError("rest is nothing to do")
        resting = sum((each.qty - self.orders[name].filled_qty for name, each in self.book.items()), Decimal(0))
        grown_since = isinstance(step, CancelRung | AmendRung)
        assert grown_since or resting <= max(abs(self.size), resting if self.size * sign <= 0 else Decimal(0))

    def settle(self) -> None:
        """Until there is nothing to do, which must come."""
        for _ in range(STEPS_MAX):
            if self.guard.status is GuardStatus.OVER:
                return
            step = next_care(self.guard, self.sight())
            if isinstance(step, Rest):
                return
            self.do(step)
        raise AssertionError(f"it never came to rest: {self.guard}")

    def fill(self, percent: int) -> None:
        """The nearest take profit fills, wholly or in part."""
        if not self.book:
            return
        name = min(self.book, key=lambda each: abs((self.book[each].price or ENTRY) - ENTRY))
        state, rests = self.orders[name], self.book[name]
        left = rests.qty - state.filled_qty
        qty = left if percent > 50 else min(left, max(STEP, (left * percent / 100).quantize(STEP)))
        self.size -= self.guard.side.sign * qty
        is_over = qty == left
        status = OrderStatus.FILLED if is_over else OrderStatus.PARTIALLY_FILLED
        self.orders[name] = replace(state, filled_qty=state.filled_qty + qty, status=status, rests=not is_over)
        if is_over:
            del self.book[name]

    def trim(self) -> None:
        """The exchange cuts what rests to the position, the farthest first."""
        room = abs(self.size) if self.size * self.guard.side.sign > 0 else Decimal(0)
        for name in sorted(self.book, key=lambda each: abs((self.book[each].price or ENTRY) - ENTRY)):
            state, rests = self.orders[name], self.book[name]
            kept = min(rests.qty - state.filled_qty, room)
            room -= kept
            if kept:
                self.book[name] = replace(rests, qty=state.filled_qty + kept)
            else:
                self.orders[name] = replace(state, status=OrderStatus.CANCELED, rests=False)
                del self.book[name]


def percent(value: int) -> Level:
    return Level(kind=LevelKind.PERCENT, value=Decimal(value))


@st.composite
def desks(draw: st.DrawFn) -> Desk:
    side = draw(st.sampled_from(Side))
    cuts = [0, *sorted(draw(st.sets(st.integers(1, 99), max_size=4))), 100]
    rungs = tuple(
        Rung(at=percent(place), share_pct=Decimal(high - low), moves_stop_to_entry=draw(st.booleans()))
        for place, (low, high) in enumerate(zip(cuts, cuts[1:], strict=False), 1)
    )
    guard = Guard(
        side=side,
        stop_loss=draw(st.none() | st.just(percent(5))),
        rungs=rungs if draw(st.booleans()) or len(rungs) > 1 else (),
        take_profit=None,
        status=GuardStatus.ACTIVE,
        entry_price=ENTRY,
        active_at_ms=1_000_000,
    )
    return Desk(guard=guard, size=side.sign * draw(st.integers(1, 500)) * STEP, take_profit=Decimal(99_000))


moves = st.lists(st.tuples(st.sampled_from(["fill", "add", "cut", "flip"]), st.integers(1, 100)), max_size=8)


@given(desks(), moves)
def test_care_comes_to_rest_on_the_right_side_with_the_ladder_making_up_the_position(
    desk: Desk, changes: list[tuple[str, int]]
) -> None:
    desk.take_profit = None
    desk.settle()
    for kind, share in changes:
        if desk.guard.status is GuardStatus.OVER:
            break
        sign, part = desk.guard.side.sign, max(STEP, (abs(desk.size) * share / 100).quantize(STEP))
        if kind == "fill":
            desk.fill(share)
        else:
            desk.size += sign * (part if kind == "add" else -part if kind == "cut" else -abs(desk.size) - part)
            desk.trim()
        desk.now_ms += 60_000
        desk.settle()
        _check(desk)


def _check(desk: Desk) -> None:
    if desk.guard.status is GuardStatus.OVER:
        assert desk.size * desk.guard.side.sign <= 0 and not desk.book
        return
    resting = sum((each.qty - desk.orders[name].filled_qty for name, each in desk.book.items()), Decimal(0))
    assert resting == (abs(desk.size) if any(not each.is_done for each in desk.guard.rungs) else 0)
    if any(each.is_done and each.moves_stop_to_entry for each in desk.guard.rungs):
        assert desk.stop_loss is not None and desk.stop_loss == ENTRY
