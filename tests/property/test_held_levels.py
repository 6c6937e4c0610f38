"""An entry that fills in parts brings its own levels along each time: those that held before are put back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.bracket import Bracket, BracketStatus, TakeProfitLeg, taking_over
from relay.domain.instrument import ceil_to, floor_to
from relay.domain.order import OrderStatus, OrderType, PlannedOrder, Purpose, Side
from relay.domain.order_lifecycle import OrderState
from relay.domain.position import Position
from relay.domain.protection import (
    AdvanceTakeProfit,
    AmendTakeProfit,
    CancelTakeProfit,
    NoOp,
    PlaceTakeProfit,
    RestingOrder,
    Save,
    SetStops,
    Snapshot,
    next_protection_step,
    passed_breakeven,
)
from relay.domain.signal import Level, LevelKind
from tests.builders import linear

INSTRUMENT = linear()
PRICE = Decimal(20_000)
PART = Decimal("0.1")
PARTS = 12
LOOK_MS = 2000
PERCENT = 100


@dataclass
class Held:
    """A position whose entry rests, as the exchange has it, and where its stop should stand by a simple rule."""

    side: Side
    bracket: Bracket
    mark: Decimal = PRICE
    size: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    stop_loss: Decimal | None = None
    should: Decimal = Decimal(0)
    follows: bool = False
    """It stands at the average entry, and goes along with it."""
    is_ladder_begun: bool = False
    entry: OrderState = field(init=False)
    orders: dict[str, OrderState] = field(default_factory=dict)
    resting: dict[str, RestingOrder] = field(default_factory=dict)
    now_ms: int = 1_000_000

    def __post_init__(self) -> None:
        planned = PlannedOrder(
            leg=0,
            category=INSTRUMENT.category,
            symbol=INSTRUMENT.symbol,
            side=self.side,
            type=OrderType.LIMIT,
            qty=PART * PARTS,
            price=PRICE,
            purpose=Purpose.ENTRY,
        )
        self.entry = OrderState(client_order_id="entry", planned=planned, status=OrderStatus.ACCEPTED, rests=True)

    @property
    def own_stop(self) -> Decimal:
        """What rides on the entry order."""
        return PRICE * (PERCENT - 10 * self.side.sign) / PERCENT

    @property
    def average(self) -> Decimal:
        return self.cost / self.size

    @property
    def breakeven(self) -> Decimal:
        tick = INSTRUMENT.tick_size
        return floor_to(self.average, tick) if self.side is Side.BUY else ceil_to(self.average, tick)

    def fill(self, percent_off: int) -> None:
        """One more part of the entry, at a price that is better by so much; the exchange attaches the entry's stop."""
        if self.entry.status.is_ended:
            return
        price = PRICE * (PERCENT - self.side.sign * percent_off) / PERCENT
        self.size, self.cost = self.size + PART, self.cost + PART * price
        self.stop_loss = self.own_stop
        filled = self.entry.filled_qty + PART
        is_over = filled == self.entry.planned.qty
        status = OrderStatus.FILLED if is_over else OrderStatus.PARTIALLY_FILLED
        average = self.cost / self.size if filled else None
        self.entry = replace(self.entry, filled_qty=filled, avg_price=average, status=status, rests=not is_over)
        if self.follows:
            self.should = self.breakeven

    def profit(self) -> None:
        """The nearest take profit fills, far above the entry."""
        if not self.resting:
            return
        name = min(self.resting, key=lambda each: abs((self.resting[each].price or PRICE) - PRICE))
        qty = self.resting[name].qty - self.orders[name].filled_qty
        if qty >= self.size:
            return
        self.cost -= qty * self.average
        self.size -= qty
        self.orders[name] = replace(self.orders[name], filled_qty=qty, status=OrderStatus.FILLED, rests=False)
        del self.resting[name]
        self.should, self.follows = (self.breakeven, True) if not self.is_ladder_begun else (self.should, self.follows)
        self.is_ladder_begun = True

    def by_hand(self, percent_off: int) -> None:
        self.follows = False
        self.stop_loss = self.should = self.own_stop + self.side.sign * percent_off * INSTRUMENT.tick_size

    def later_alert(self, percent_off: int) -> None:
        """It names a stop of its own, while the entry of the first one may still rest."""
        stop = self.own_stop + self.side.sign * percent_off * INSTRUMENT.tick_size
        new = Bracket(
            side=self.side,
            stop_loss=Level(kind=LevelKind.PRICE, value=stop),
            status=BracketStatus.ACTIVE,
            entry_price=self.average,
            is_entry_over=True,
            is_seen=True,
        )
        self.bracket = taking_over(new, self.bracket, tick=INSTRUMENT.tick_size)
        self.should, self.follows = stop, False

    def cancel_entry(self) -> None:
        if not self.entry.status.is_ended:
            self.entry = replace(self.entry, status=OrderStatus.CANCELED, rests=False)

    def look(self) -> None:
        """Until there is nothing more to do at this moment."""
        for _ in range(40):
            snapshot = self.snapshot()
            step = next_protection_step(self.bracket, snapshot)
            match step:
                case NoOp():
                    assert passed_breakeven(self.bracket, snapshot) is None
                    return
                case Save(bracket=bracket):
                    self.bracket = bracket
                case SetStops(after=after, levels=levels):
                    self.stop_loss, self.bracket = levels.stop_loss or self.stop_loss, after
                case PlaceTakeProfit(place=place, planned=planned):
                    name = f"o{len(self.orders)}"
                    self.orders[name] = OrderState(client_order_id=name, planned=planned)
                    legs = list(self.bracket.tp_legs)
                    legs[place] = replace(legs[place], order_id=name, placed_at_ms=self.now_ms)
                    self.bracket = replace(self.bracket, tp_legs=tuple(legs))
                case AdvanceTakeProfit(order_id=name):
                    state = self.orders[name]
                    self.orders[name] = replace(state, status=OrderStatus.ACCEPTED, rests=True)
                    self.resting[name] = RestingOrder(qty=state.planned.qty, price=state.planned.price)
                case AmendTakeProfit(order_id=name, qty=qty, price=price):
                    self.resting[name] = RestingOrder(qty=qty, price=price)
                case CancelTakeProfit(order_id=name):
                    self.orders[name] = replace(self.orders[name], status=OrderStatus.CANCELED, rests=False)
                    self.resting.pop(name, None)
                case _:
                    raise AssertionError(step)
        raise AssertionError("it never comes to rest")

    def snapshot(self) -> Snapshot:
        position = Position(
            category=INSTRUMENT.category,
            symbol=INSTRUMENT.symbol,
            size=self.size * self.side.sign,
            avg_price=self.average,
            mark_price=PRICE * (PERCENT + 20 * self.side.sign) / PERCENT,
            stop_loss=self.stop_loss,
        )
        orders = {"entry": self.entry, **self.orders}
        return Snapshot(
            instrument=INSTRUMENT, now_ms=self.now_ms, position=position, orders=orders, resting=dict(self.resting)
        )


def held(side: Side) -> Held:
    """After its first part has filled."""
    stop = PRICE * (PERCENT - 10 * side.sign) / PERCENT
    ladder = tuple(
        TakeProfitLeg(
            at=Level(kind=LevelKind.PERCENT, value=Decimal(percent)),
            share_pct=Decimal(50),
            moves_stop_to_entry=percent == 30,
        )
        for percent in (30, 60)
    )
    bracket = Bracket(
        side=side,
        stop_loss=Level(kind=LevelKind.PRICE, value=stop),
        tp_legs=ladder,
        entries=("entry",),
        status=BracketStatus.WAITING,
    )
    found = Held(side=side, bracket=bracket)
    found.fill(0)
    found.should = found.own_stop
    found.look()
    return found


CHANGES = st.one_of(
    st.tuples(st.just("fill"), st.integers(0, 5)),
    st.tuples(st.sampled_from(["hand", "alert"]), st.integers(1, 500)),
    st.tuples(st.sampled_from(["profit", "cancel_entry", "rest"]), st.just(0)),
)


@given(st.sampled_from(Side), st.lists(CHANGES, max_size=14))
def test_the_stop_stands_where_it_stood_after_every_fill_of_a_resting_entry(
    side: Side, changes: list[tuple[str, int]]
) -> None:
    position = held(side)
    for kind, number in changes:
        if kind == "fill":
            position.fill(number)
        elif kind == "hand":
            # After a fill the exchange's own change cannot be told from a person's for some seconds.
            position.now_ms += 4 * LOOK_MS
            position.look()
            position.by_hand(number)
        elif kind == "alert":
            position.later_alert(number)
        elif kind == "profit":
            position.profit()
        elif kind == "cancel_entry":
            position.cancel_entry()
        position.now_ms += LOOK_MS
        position.look()
        assert position.stop_loss == position.should, kind
