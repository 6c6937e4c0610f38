"""Whatever order the streams' events come in, and whatever is lost or told twice: no old position is ever believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.bybit.stream_state import BalanceReading, KnownBalance, KnownPosition, PositionReading
from relay.bybit.wire_orders import ReportedExecution, ReportedPosition
from relay.domain.instrument import Category
from relay.domain.position import Position

ZERO = Decimal(0)
STEPS = 70


def take_report(size: Decimal, seq: int, at_ms: int) -> ReportedPosition:
    position = Position(category=Category.LINEAR, symbol="BTCUSDT", size=size)
    return ReportedPosition(position=position, seq=seq, at_ms=at_ms, pnl_price=None, is_one_way=True)


@dataclass
class World:
    """The exchange as it is, what of it is still on its way, and what the relay makes of what has come."""

    chance: Random
    is_halfway_reported: bool = True
    """Whether positions between the executions of one match are told too."""
    known: KnownPosition = field(default_factory=KnownPosition)
    balance: KnownBalance = field(default_factory=KnownBalance)
    seq: int = 100
    now_ms: int = 1_000_000
    size: Decimal = ZERO
    wallet: Decimal = Decimal(1000)
    count: int = 0
    sizes: dict[int, Decimal] = field(default_factory=dict)
    wallets: list[Decimal] = field(default_factory=list)
    on_their_way: list[Callable[[], object]] = field(default_factory=list)
    own: dict[str, int] = field(default_factory=dict)
    """The relay's orders under way: the `seq` of each one's last fill."""
    filled: dict[str, Decimal] = field(default_factory=dict)
    newest_own: int = 0
    """The last fill of the relay's orders whose end it knows."""
    reading: tuple[PositionReading, ReportedPosition, BalanceReading, Decimal] | None = None

    def __post_init__(self) -> None:
        self.sizes[self.seq] = self.size

    def own_order(self) -> None:
        if self.own:
            return
        self.count += 1
        key = f"own-{self.count}"
        self.known.sending(key)
        if self.chance.random() < 0.2:
            self.known.certainly_nothing(key)
            return
        self.filled[key] = self._fill(key, self.chance.randint(0, 3))
        self.own[key] = self.seq if self.filled[key] else 0
        self.on_their_way.append(lambda: self._end(key))

    def _end(self, key: str) -> None:
        """Its end is told, by the stream or by a look-up."""
        self.known.reported(key, self.filled[key], is_settled=True)
        self.newest_own = max(self.newest_own, self.own.pop(key, 0))

    def foreign_fill(self) -> None:
        self.count += 1
        key = f"foreign-{self.count}"
        filled = self._fill(key, 1)
        self.on_their_way.append(lambda: self.known.reported(key, filled, is_settled=True))

    def setting(self) -> None:
        """Leverage, say: a newer row of the same sequence."""
        self.now_ms += 1
        row = take_report(self.size, self.seq, self.now_ms)
        self.on_their_way.append(lambda: self.known.take_report(row))

    def _fill(self, key: str, executions: int) -> Decimal:
        """One match at one `seq`, told as so many executions and as many positions, the halfway ones too."""
        if not executions:
            return ZERO
        self.seq += self.chance.randint(1, 3)
        self.now_ms += self.chance.randint(0, 2)
        total, side = ZERO, self.chance.choice((1, -1))
        for _ in range(executions):
            qty = Decimal(self.chance.randint(1, 3))
            total += qty
            self.size += side * qty
            self._tell(key, side * qty)
            self.now_ms += 0 if self.is_halfway_reported else 1
        self.sizes[self.seq] = self.size
        return total

    def _tell(self, key: str, moved: Decimal) -> None:
        self.count += 1
        earned = Decimal(self.chance.randint(-50, 50)) / 10
        self.wallet += earned
        self.wallets.append(self.wallet)
        execution = ReportedExecution(
            category=Category.LINEAR,
            symbol="BTCUSDT",
            key=key,
            exec_id=f"e{self.count}",
            seq=self.seq,
            at_ms=self.now_ms,
            moved=moved,
            earned={"USDT": earned},
            fill=None,
        )
        row, wallet, now_ms = take_report(self.size, self.seq, self.now_ms), self.wallet, self.now_ms
        self.on_their_way += [
            lambda: self.known.executed(execution),
            lambda: self.balance.executed(execution, earned),
            lambda: self.known.take_report(row),
            lambda: self.balance.take_report(wallet, now_ms),
        ]

    def deliver(self) -> None:
        if self.on_their_way:
            self.on_their_way.pop(self.chance.randrange(len(self.on_their_way)))()

    def deliver_all(self) -> None:
        while self.on_their_way:
            self.deliver()

    def repeat(self) -> None:
        if self.on_their_way:
            self.chance.choice(self.on_their_way)()

    def lose(self) -> None:
        """Any event but the end of an own order, which a look-up would bring."""
        if self.on_their_way and not self.own:
            self.on_their_way.pop(self.chance.randrange(len(self.on_their_way)))

    def cut(self) -> None:
        self.known.forget()
        self.balance.forget()

    def read(self) -> None:
        """Begins a reading, or ends the one that has begun."""
        if self.reading is None:
            row = take_report(self.size, self.seq, self.now_ms)
            self.reading = (self.known.begin(), row, self.balance.begin(self.now_ms), self.wallet)
            return
        reading, row, balance, wallet = self.reading
        self.reading = None
        self.known.read(reading, row)
        self.balance.read(balance, wallet)

    def check(self) -> None:
        found = self.known.known()
        if found is None:
            return
        assert not self.own, "an order is under way"
        assert found.seq >= self.newest_own
        assert found.position.size == self.sizes[found.seq]


def step(world: World) -> None:
    deeds = (
        world.own_order,
        world.foreign_fill,
        world.setting,
        world.deliver,
        world.deliver,
        world.deliver,
        world.deliver_all,
        world.repeat,
        world.lose,
        world.cut,
        world.read,
        world.read,
    )
    world.chance.choices(deeds, weights=(4, 1, 1, 6, 6, 6, 2, 2, 1, 0.3, 2, 2))[0]()


@settings(max_examples=100, deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_a_position_that_is_expected_holds_every_fill_of_the_relays_ended_orders(seed: int) -> None:
    world = World(Random(seed))
    world.read()
    world.read()
    for _ in range(STEPS):
        step(world)
        world.check()


@settings(max_examples=33, deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_once_everything_has_arrived_nothing_needs_to_be_read(seed: int) -> None:
    world = World(Random(seed), is_halfway_reported=False)
    world.read()
    world.read()
    for _ in range(8):
        world.now_ms += 1
        world.own_order()
        world.deliver_all()
        found = world.known.known()
        assert found is not None and found.position.size == world.size
        assert world.balance.known() == world.wallet


@settings(max_examples=33, deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_after_anything_one_reading_makes_it_known(seed: int) -> None:
    world = World(Random(seed))
    for _ in range(STEPS):
        step(world)
    world.deliver_all()
    if world.reading is not None:
        world.read()
    world.read()
    world.read()
    found = world.known.known()
    assert found is not None and found.position.size == world.size
    world.check()
