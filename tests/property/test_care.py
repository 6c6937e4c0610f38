"""The care of a guard against a model of the exchange: it comes to rest, on the right side, with what it should be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.bracket import Bracket, BracketStatus, TakeProfitLeg
from relay.domain.instrument import ceil_to, floor_to
from relay.domain.order import OrderStatus, Side
from relay.domain.order_lifecycle import OrderState
from relay.domain.position import Position
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
)
from relay.domain.signal import Level, LevelKind
from tests.builders import linear

STEP = Decimal("0.001")
ENTRY = Decimal(50_000)
INSTRUMENT = linear()
STEPS_MAX = 80


@dataclass
class AccountApi:
    """A position, the orders that rest for it, and its levels. Everything is done at once."""

    bracket: Bracket
    size: Decimal
    average: Decimal = ENTRY
    """What the position was entered at, all in all."""
    breakeven: Decimal | None = None
    """Where the stop had to stand at least when it was moved to the entry."""
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    orders: dict[str, OrderState] = field(default_factory=dict)
    resting: dict[str, RestingOrder] = field(default_factory=dict)
    now_ms: int = 1_000_000

    def snapshot(self) -> Snapshot:
        position = Position(
            category=INSTRUMENT.category,
            symbol=INSTRUMENT.symbol,
            size=self.size,
            avg_price=self.average,
            mark_price=ENTRY * (100 + self.bracket.side.sign) / 100,
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
        )
        return Snapshot(
            instrument=INSTRUMENT,
            now_ms=self.now_ms,
            position=position,
            orders=dict(self.orders),
            resting=dict(self.resting),
        )

    def do(self, step: ProtectionStep) -> None:
        sign, before, before_resting = self.bracket.side.sign, self.bracket, self.resting_qty
        match step:
            case Save(bracket=bracket):
                self.bracket = bracket
            case Close():
                assert self.size * sign <= 0 and not self.resting
                self.bracket = replace(self.bracket, status=BracketStatus.OVER)
            case SetStops(after=after, levels=levels):
                assert self.size * sign > 0, "levels of a position that is not there"
                if levels.stop_loss:
                    assert (levels.stop_loss - ENTRY) * sign <= 0, "a stop loss on the winning side"
                    assert self.breakeven is None, "a stop that was moved to the entry stays there"
                    self.stop_loss = levels.stop_loss
                if levels.take_profit is not None:
                    assert levels.take_profit == 0 or (levels.take_profit - ENTRY) * sign > 0
                    self.take_profit = levels.take_profit or None
                self.bracket = after
            case PlaceTakeProfit(place=place, planned=planned):
                assert planned.reduce_only and planned.side is self.bracket.side.opposite and self.size * sign > 0
                name = f"o{len(self.orders)}"
                self.orders[name] = OrderState(client_order_id=name, planned=planned)
                tp_legs = list(self.bracket.tp_legs)
                tp_legs[place] = replace(tp_legs[place], order_id=name, placed_at_ms=self.now_ms)
                self.bracket = replace(self.bracket, tp_legs=tuple(tp_legs))
            case AdvanceTakeProfit(order_id=name):
                state = self.orders[name]
                self.orders[name] = replace(state, status=OrderStatus.ACCEPTED, rests=True)
                self.resting[name] = RestingOrder(qty=state.planned.qty, price=state.planned.price)
            case AmendTakeProfit(order_id=name, qty=qty, price=price):
                assert qty > self.orders[name].filled_qty
                self.resting[name] = RestingOrder(qty=qty, price=price)
            case CancelTakeProfit(order_id=name):
                self.orders[name] = replace(self.orders[name], status=OrderStatus.CANCELED, rests=False)
                del self.resting[name]
            case Refresh():
                self.now_ms += 1000
            case NoOp():
                raise AssertionError("rest is nothing to do")
        if self.bracket.is_at_breakeven and not before.is_at_breakeven:
            self.breakeven = on_the_grid(self.average, sign)
            assert self.stop_loss is not None and (self.stop_loss - self.breakeven) * sign >= 0
            assert self.stop_loss == self.breakeven or isinstance(step, Save), "it is moved to the average entry"
        if isinstance(step, AdvanceTakeProfit | AmendTakeProfit) and self.resting_qty > before_resting:
            assert self.resting_qty <= abs(self.size), "together they would close more than there is"

    @property
    def resting_qty(self) -> Decimal:
        return sum((each.qty - self.orders[name].filled_qty for name, each in self.resting.items()), Decimal(0))

    def add(self, qty: Decimal, price: Decimal) -> None:
        """More of it is bought (or sold short), which moves the average."""
        held = abs(self.size)
        self.average = (held * self.average + qty * price) / (held + qty)
        self.size += self.bracket.side.sign * qty

    def settle(self) -> None:
        """Until there is nothing to do, which must come."""
        for _ in range(STEPS_MAX):
            if self.bracket.status is BracketStatus.OVER:
                return
            step = next_protection_step(self.bracket, self.snapshot())
            if isinstance(step, NoOp):
                return
            self.do(step)
        raise AssertionError(f"it never came to rest: {self.bracket}")

    def fill(self, percent: int) -> None:
        """The nearest take profit fills, wholly or in part."""
        if not self.resting:
            return
        name = min(self.resting, key=lambda each: abs((self.resting[each].price or ENTRY) - ENTRY))
        state, rests = self.orders[name], self.resting[name]
        left = rests.qty - state.filled_qty
        qty = left if percent > 50 else min(left, max(STEP, (left * percent / 100).quantize(STEP)))
        self.size -= self.bracket.side.sign * qty
        is_over = qty == left
        status = OrderStatus.FILLED if is_over else OrderStatus.PARTIALLY_FILLED
        self.orders[name] = replace(state, filled_qty=state.filled_qty + qty, status=status, rests=not is_over)
        if is_over:
            del self.resting[name]

    def trim(self, *, spares_the_nearest: bool) -> None:
        """The exchange cuts what rests to the position, from one end or the other."""
        room = abs(self.size) if self.size * self.bracket.side.sign > 0 else Decimal(0)
        nearest_first = sorted(self.resting, key=lambda each: abs((self.resting[each].price or ENTRY) - ENTRY))
        for name in nearest_first if spares_the_nearest else reversed(nearest_first):
            state, rests = self.orders[name], self.resting[name]
            stored = min(rests.qty - state.filled_qty, room)
            room -= stored
            if stored:
                self.resting[name] = replace(rests, qty=state.filled_qty + stored)
            else:
                self.orders[name] = replace(state, status=OrderStatus.CANCELED, rests=False)
                del self.resting[name]


def on_the_grid(price: Decimal, sign: int) -> Decimal:
    """Away from the position."""
    tick = INSTRUMENT.tick_size
    return floor_to(price, tick) if sign > 0 else ceil_to(price, tick)


def percent(value: int) -> Level:
    return Level(kind=LevelKind.PERCENT, value=Decimal(value))


@st.composite
def desks(draw: st.DrawFn) -> AccountApi:
    side = draw(st.sampled_from(Side))
    cuts = [0, *sorted(draw(st.sets(st.integers(1, 99), max_size=4))), 100]
    tp_legs = tuple(
        TakeProfitLeg(at=percent(place), share_pct=Decimal(high - low), moves_stop_to_entry=draw(st.booleans()))
        for place, (low, high) in enumerate(zip(cuts, cuts[1:], strict=False), 1)
    )
    bracket = Bracket(
        side=side,
        stop_loss=draw(st.none() | st.just(percent(5))),
        tp_legs=tp_legs if draw(st.booleans()) or len(tp_legs) > 1 else (),
        take_profit=None,
        status=BracketStatus.ACTIVE,
        entry_price=ENTRY,
        active_at_ms=1_000_000,
    )
    return AccountApi(bracket=bracket, size=side.sign * draw(st.integers(1, 500)) * STEP, take_profit=Decimal(99_000))


moves = st.lists(st.tuples(st.sampled_from(["fill", "add", "cut", "flip"]), st.integers(1, 100)), max_size=8)


@given(desks(), moves)
def test_care_comes_to_rest_on_the_right_side_with_the_ladder_making_up_the_position(
    account_api: AccountApi, changes: list[tuple[str, int]]
) -> None:
    account_api.take_profit = None
    account_api.settle()
    for kind, share in changes:
        if account_api.bracket.status is BracketStatus.OVER:
            break
        sign, part = account_api.bracket.side.sign, max(STEP, (abs(account_api.size) * share / 100).quantize(STEP))
        if kind == "fill":
            account_api.fill(share)
        elif kind == "add":
            account_api.add(part, ENTRY * (1000 - sign * share) / 1000)
        else:
            account_api.size -= sign * (part if kind == "cut" else abs(account_api.size) + part)
            account_api.trim(spares_the_nearest=share % 2 == 0)
        account_api.now_ms += 60_000
        account_api.settle()
        _check(account_api)


def _check(account_api: AccountApi) -> None:
    if account_api.bracket.status is BracketStatus.OVER:
        assert account_api.size * account_api.bracket.side.sign <= 0 and not account_api.resting
        return
    assert account_api.resting_qty == (
        abs(account_api.size) if any(not each.is_done for each in account_api.bracket.tp_legs) else 0
    )
    if any(each.is_done and each.moves_stop_to_entry for each in account_api.bracket.tp_legs):
        stands, least = account_api.stop_loss, account_api.breakeven
        assert stands is not None and least is not None
        assert (stands - least) * account_api.bracket.side.sign >= 0
