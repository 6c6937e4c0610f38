"""A relay of its real parts on a real journal, against the model exchange, whose lanes are stepped by hand."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any
from unittest.mock import patch

from relay.alerts.authenticate import Credentials
from relay.domain.instrument import Category, Instrument, SymbolIndex
from relay.domain.order_lifecycle import Bounds
from relay.engine import failpoint
from relay.engine.failpoint import Failpoint
from relay.engine.lanes import Lane, LaneTask
from relay.execution.accept import Heartbeats, Intake, Receipt
from relay.execution.controls import Controls
from relay.execution.execute import DriftWatch, Executor
from relay.execution.follow import Follower
from relay.execution.gather import Gatherer
from relay.execution.notices import Announcer
from relay.execution.orders import Clearing
from relay.execution.ports import Account, ExchangePort
from relay.execution.protection import ProtectionLanes, Protector
from relay.execution.tasks import Runner, Tasks
from relay.execution.work import Strategy
from relay.journal.journal import Journal
from tests.builders import linear, rules
from tests.property.model_exchange import PRICE, Clock, ModelExchange

SECRET = "a-secret-of-the-tests-0123"
MAX_AGE_S = 60
MAX_WAIT_S = 300
INSTRUMENTS = {
    symbol: linear(symbol=symbol, base_coin=symbol.removesuffix("USDT"), qty_max_market=2)
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT")
}
"""A market order of more than two coins takes several legs."""


class Killed(BaseException):
    """The process ends here: nothing below may catch it."""


@dataclass
class KillSwitch:
    """In place of the failpoints' own hook: an exception instead of a signal, so that memory can be thrown away."""

    at: Failpoint | None = None

    def passed(self, reached: Failpoint) -> None:
        if reached is self.at:
            self.at = None
            raise Killed(reached)


@contextmanager
def kill_switch() -> Iterator[KillSwitch]:
    switch = KillSwitch()
    with patch.object(failpoint, "passed", switch.passed):
        yield switch


@dataclass
class Market:
    """`symbol_index` None: the instruments are not loaded yet."""

    symbol_index: SymbolIndex | None = None
    instruments: dict[str, Instrument] = field(default_factory=lambda: dict(INSTRUMENTS))

    def load(self) -> None:
        self.symbol_index = SymbolIndex.of(INSTRUMENTS.values())

    def instrument(self, category: Category, symbol: str) -> Instrument | None:
        return self.instruments[symbol]

    def keep_instrument(self, instrument: Instrument) -> None:
        self.instruments[instrument.symbol] = instrument

    def last_price(self, category: Category, symbol: str) -> Decimal | None:
        return PRICE

    def hint(self, category: Category, symbol: str, price: Decimal) -> None:
        return None


@dataclass
class Lineup:
    """An engine that does a step when it is told to."""

    clock: Clock
    lanes: dict[Lane, deque[Any]] = field(default_factory=dict)
    due_ms: dict[Lane, int] = field(default_factory=dict)

    def submit(self, lane: Lane, item: LaneTask) -> None:
        self.lanes.setdefault(lane, deque()).append(item)

    def submit_when(self, lane: Lane, item: LaneTask, may_begin: Callable[[], bool]) -> None:
        self.submit(lane, item)

    def claim(self, lane: Lane, item: LaneTask) -> bool:
        """Never: a step is done when it is told to, and nobody may wait for one."""
        return False

    def has_only(self, lane: Lane, item: LaneTask) -> bool:
        return False

    def depth(self) -> int:
        return sum(len(items) for items in self.lanes.values())

    def close(self, timeout_s: float) -> bool:
        return True

    def signals(self) -> list[str]:
        return [item.work.signal.id for items in self.lanes.values() for item in items]

    def ready(self) -> list[Lane]:
        return sorted(each for each in self.lanes if self.due_ms.get(each, 0) <= self.clock.now_ms)

    def step(self, lane: Lane) -> None:
        """What is raised is not caught: here a step never fails."""
        delay = self.lanes[lane][0].step()
        self.due_ms[lane] = self.clock.now_ms + int((delay or 0) * 1000)
        if delay is None:
            self.lanes[lane].popleft()
        if not self.lanes[lane]:
            del self.lanes[lane]


class Workshop:
    """`restart` is a crash and a new start: all that was in memory is gone. `exchange`: the first account's."""

    def __init__(
        self,
        journal: Journal,
        *,
        max_age_s: int = MAX_AGE_S,
        accounts: tuple[str, ...] = ("main",),
        clock: Clock | None = None,
        market: Market | None = None,
        port: ExchangePort | None = None,
    ) -> None:
        """`port`: another exchange than the model, for all accounts."""
        self.journal = journal
        self.clock = clock or Clock()
        self.exchanges = {name: ModelExchange(self.clock) for name in accounts}
        self.exchange = self.exchanges[accounts[0]]
        self.market = market or Market()
        self._rules = rules(signal_max_age_s=max_age_s)
        self.announcer = Announcer()
        bounds = Bounds(max_seconds=MAX_WAIT_S)
        self._accounts = {
            name: Account(name=name, exchange=port or exchange, market=self.market, bounds=bounds)
            for name, exchange in self.exchanges.items()
        }
        self._assemble()

    def _assemble(self) -> None:
        journal = self.journal
        self.engine = Lineup(self.clock)
        protector = Protector(journal=journal, now=self.clock.now)
        executor = Executor(
            journal=journal,
            gatherer=Gatherer(journal=journal),
            clearing=Clearing(journal=journal),
            protector=protector,
            announcer=self.announcer,
            drift=DriftWatch(journal=journal, announcer=self.announcer),
            now=self.clock.now,
        )
        by_account = dict.fromkeys(self._accounts, self._rules)
        strategies = {"default": Strategy(name="default", rules=by_account, secrets=(SECRET,))}
        items = Tasks(
            journal=journal,
            executor=executor,
            accounts=self._accounts,
            strategies=strategies,
            steady=lambda: self.clock.now_ms / 1000,
        )
        self.runner = Runner(journal=journal, engine=self.engine, items=items)
        self.intake = Intake(
            journal=journal,
            accounts=self._accounts,
            runner=self.runner,
            announcer=self.announcer,
            heartbeats=Heartbeats(journal=journal, announcer=self.announcer, expected={}, now=self.clock.now),
            strategies=strategies,
            now=self.clock.now,
        )
        self.controls = Controls(
            journal=journal,
            intake=self.intake,
            runner=self.runner,
            accounts=self._accounts,
            strategies=strategies,
            now=self.clock.now,
        )
        protector.close = partial(self.controls.close, by="the protection")
        self.protection = ProtectionLanes(
            journal=journal,
            engine=self.engine,
            protector=protector,
            accounts=self._accounts,
            tell=executor.attention,
            executes=self.runner.is_open_for,
            now=self.clock.now,
        )
        self.follower = Follower(
            journal=journal, accounts=self._accounts, protection=self.protection, now=self.clock.now
        )

    def open(self) -> None:
        """The instruments are there, and the lanes of the accounts that answer go."""
        self.market.load()
        if there := [name for name, exchange in self.exchanges.items() if not exchange.is_away]:
            self.runner.recover(*there)
            for name in there:
                self.protection.take_up(name)

    def restart(self) -> None:
        self._assemble()
        self.open()

    def wait_for_a_lane(self) -> bool:
        """Let the time pass until a lane has something to do. False: there is none."""
        due = [self.engine.due_ms[lane] for lane in self.engine.lanes]
        if due:
            self.clock.pass_ms(max(0, min(due) - self.clock.now_ms))
        return bool(due)

    def take(self, body: bytes) -> Receipt:
        return self.intake.take(body, strategy="default", credentials=Credentials())


def body_of(**alert: object) -> bytes:
    return json.dumps({"secret": SECRET, **alert}).encode()
