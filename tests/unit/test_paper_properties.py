"""Whatever is placed, in whatever order, at whatever prices: the book's sums stay right."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.paper.exchange import Book
from relay.paper.orders import ZERO, Ask, Exits, OrderType, Side, TimeInForce
from relay.paper.state import Quote, State, load

INSTRUMENTS = load()
NOWHERE = Decimal("1E-18")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happens: an order, or a new price when `side` is None."""

    side: Side | None
    qty: int
    offset: int
    limit: bool
    reduce_only: bool
    stop: bool
    force: TimeInForce


steps = st.builds(
    Step,
    side=st.sampled_from([Side.BUY, Side.SELL, None]),
    qty=st.integers(1, 300),
    offset=st.integers(-20, 20),
    limit=st.booleans(),
    reduce_only=st.booleans(),
    stop=st.booleans(),
    force=st.sampled_from(list(TimeInForce)),
)
stories = st.tuples(st.sampled_from(["BTCUSDT", "BTCPERP", "BTCUSD"]), st.lists(steps, min_size=1, max_size=25))


class Story:
    """Plays steps on a new book and keeps every fill."""

    def __init__(self, symbol: str) -> None:
        self.instrument = INSTRUMENTS[symbol]
        self.book = Book(State(INSTRUMENTS))
        self.coin = self.instrument.settle_coin
        self.start = self.book.state.wallets[self.coin].balance
        self.unit = Decimal(1) if self.instrument.inverse else self.instrument.qty_step

    @property
    def size(self) -> Decimal:
        return self.book.state.position(self.instrument.symbol, 0).size

    def play(self, step: Step, number: int) -> None:
        price = self.instrument.start_price * (1 + Decimal(step.offset) / 1000)
        price -= price % self.instrument.tick_size
        if step.side is None:
            self.book.move(self.instrument.symbol, Quote.flat(price), number)
        else:
            self.book.place(self.ask(step, step.side, price), number)

    def ask(self, step: Step, side: Side, price: Decimal) -> Ask:
        away = self.instrument.start_price * (1 - side.sign * Decimal("0.1"))
        stop = Exits(stop_loss=away) if step.stop and not step.reduce_only else Exits()
        return Ask(
            category=self.instrument.category,
            symbol=self.instrument.symbol,
            side=side,
            order_type=OrderType.LIMIT if step.limit else OrderType.MARKET,
            qty=step.qty * self.unit,
            price=price if step.limit else None,
            time_in_force=step.force if step.limit else TimeInForce.IOC,
            reduce_only=step.reduce_only,
            exits=stop,
        )


@settings(max_examples=60, deadline=None)
@given(stories)
def test_the_position_is_the_sum_of_the_signed_fills(story: tuple[str, list[Step]]) -> None:
    reported = Story(story[0])
    for number, step in enumerate(story[1]):
        reported.play(step, number)
        fills = reported.book.state.changes.executions
        assert reported.size == sum((fill.qty * fill.order.side.sign for fill in fills), ZERO)


@settings(max_examples=60, deadline=None)
@given(stories)
def test_the_wallet_changes_by_realised_profit_less_fees(story: tuple[str, list[Step]]) -> None:
    reported = Story(story[0])
    for number, step in enumerate(story[1]):
        reported.play(step, number)
    state = reported.book.state
    earned = sum((fill.pnl - fill.fee for fill in state.changes.executions), ZERO)
    assert state.wallets[reported.coin].balance - reported.start == earned
    assert state.position(reported.instrument.symbol, 0).total_realised == earned


@settings(max_examples=60, deadline=None)
@given(stories)
def test_a_reduce_only_fill_never_grows_or_turns_the_position(story: tuple[str, list[Step]]) -> None:
    reported = Story(story[0])
    for number, step in enumerate(story[1]):
        reported.play(step, number)
    running = ZERO
    for fill in reported.book.state.changes.executions:
        after = running + fill.qty * fill.order.side.sign
        if fill.order.closes:
            assert abs(after) < abs(running)
            assert after * running >= 0
        running = after


@settings(max_examples=60, deadline=None)
@given(stories)
def test_resting_reduce_only_orders_never_exceed_the_position(story: tuple[str, list[Step]]) -> None:
    reported = Story(story[0])
    for number, step in enumerate(story[1]):
        reported.play(step, number)
        orders = reported.book.state.orders_of(reported.instrument.symbol)
        for side in Side:
            resting = sum((o.leaves for o in orders if o.is_active and o.closes and o.side is side), ZERO)
            assert resting <= max(-reported.size * side.sign, ZERO)


@settings(max_examples=60, deadline=None)
@given(stories)
def test_the_average_price_lies_between_the_opening_fills(story: tuple[str, list[Step]]) -> None:
    reported = Story(story[0])
    running, opening = ZERO, list[Decimal]()
    seen = 0
    for number, step in enumerate(story[1]):
        reported.play(step, number)
        for fill in reported.book.state.changes.executions[seen:]:
            after = running + fill.qty * fill.order.side.sign
            if after * running <= 0:
                opening = [fill.price] if after else []
            elif abs(after) > abs(running):
                opening.append(fill.price)
            running = after
        seen = len(reported.book.state.changes.executions)
        average = reported.book.state.position(reported.instrument.symbol, 0).avg_price
        if running:
            assert min(opening) - NOWHERE <= average <= max(opening) + NOWHERE
        else:
            assert average == 0
