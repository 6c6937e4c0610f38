"""However an entry is split up, by market and resting orders and over symbols: no limit is passed, and exits go."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.order import PlannedOrder, Purpose, Side
from relay.domain.plan import Facts, LimitFacts, Working
from relay.domain.position import Position
from relay.domain.rules import Rules
from tests.builders import NOW, linear, plan, rules, signal

_SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
_PRICE = Decimal(100)
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(_SYMBOLS),
        st.sampled_from(["buy", "sell", "fill", "stopped"]),
        st.integers(1, 60).map(lambda n: Decimal(n) / 10),
        st.booleans(),
    ),
    max_size=25,
)


@dataclass
class _Exchange:
    sizes: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(_SYMBOLS, Decimal(0)))
    resting: list[PlannedOrder] = field(default_factory=list)

    def execute(self, order: PlannedOrder) -> None:
        size, qty = self.sizes[order.symbol], order.qty
        if order.reduce_only:
            room = abs(size) if size * order.side.sign < 0 else Decimal(0)
            qty = room if order.closes_all else min(qty, room)
        self.sizes[order.symbol] = size + order.side.sign * qty

    def facts(self, symbol: str) -> Facts:
        instrument = linear(symbol=symbol)
        held = [
            Position(category=instrument.category, symbol=each, size=size, mark_price=_PRICE)
            for each, size in self.sizes.items()
        ]
        working = tuple(
            Working(category=each.category, symbol=each.symbol, side=each.side, qty=each.qty, price=each.price)
            for each in self.resting
            if each.purpose is not Purpose.EXIT
        )
        return Facts(
            instrument=instrument,
            now=NOW,
            price=_PRICE,
            position=next(each for each in held if each.symbol == symbol),
            limits=LimitFacts(working=working, positions=tuple(each for each in held if each.size)),
        )


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    steps=_STEPS,
    limits=st.builds(
        rules,
        max_position_notional=st.integers(100, 1500),
        max_exposure=st.none() | st.integers(100, 2000),
        max_positions=st.none() | st.integers(1, 2),
    ),
)
def test_no_sequence_of_entries_stops_and_fills_passes_a_limit(
    steps: list[tuple[str, str, Decimal, bool]], limits: Rules
) -> None:
    exchange = _Exchange()
    for symbol, what, qty, rests in steps:
        if what == "fill":
            for order in [each for each in exchange.resting if each.symbol == symbol][:1]:
                exchange.resting.remove(order)
                exchange.execute(order)
        elif what == "stopped":
            exchange.sizes[symbol] = Decimal(0)
        else:
            _enter(exchange, symbol, what, qty, limits, rests=rests)
        _assert_within(exchange, limits)


def _enter(exchange: _Exchange, symbol: str, action: str, qty: Decimal, limits: Rules, *, rests: bool) -> None:
    limit = {"type": "limit", "price": _PRICE} if rests else {}
    requested = signal(action, qty=qty, symbol=symbol, **limit)
    before = exchange.sizes[symbol]
    made = plan(requested, limits, exchange.facts(symbol))
    sign = Side(action).sign
    if before * sign < 0:
        exits = sum((each.exit_qty or Decimal(0) for each in made.orders), Decimal(0))
        assert exits == min(qty, abs(before)), "an exit was withheld"
    for order in made.orders:
        if order.rests:
            exchange.resting.append(order)
        else:
            exchange.execute(order)


def _assert_within(exchange: _Exchange, limits: Rules) -> None:
    worths = [abs(size) * _PRICE for size in exchange.sizes.values()]
    assert limits.max_position_notional is not None
    assert max(worths) <= limits.max_position_notional
    assert limits.max_exposure is None or sum(worths) <= limits.max_exposure
    assert limits.max_positions is None or sum(1 for each in worths if each) <= limits.max_positions
