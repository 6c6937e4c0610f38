"""Coins bought and sold by random alerts while requests get lost, the market moves and the relay is killed.

What the relay holds is to the smallest unit what the exchange has beside the owner's coins, which are never sold.
`python -m tests.faults spot` runs 5,000 sequences, or as many as RELAY_SPOT says.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from relay.domain.instrument import SymbolIndex, TradedMarket
from relay.domain.order import Side
from relay.domain.order_lifecycle import Bounds
from relay.domain.spot import OwnCoins
from relay.engine.failpoint import Failpoint
from relay.execution.accept import AlertRejected
from relay.execution.bookkeeping import own_coins_of
from relay.execution.follow import Follower
from relay.execution.notices import Announcer
from relay.execution.ports import Account
from relay.journal.journal import Journal
from relay.journal.opening import open_journal
from tests.builders import rules
from tests.faults.scale import FULL, seed
from tests.property.model_exchange import Clock, Fault
from tests.property.spot_exchange import MONEY, PAIR, SpotExchange
from tests.property.workshop import MAX_WAIT_S, Killed, KillSwitch, Market, Workshop, body_of, kill_switch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(14_400 if FULL else 300)]
SEQUENCES = int(os.environ.get("RELAY_SPOT", "5000" if FULL else "8"))
FIRST = seed()
SEEN = (701401, 192556, 900124)
"""A sale of the stop's was under way when a close was planned; a take profit that never left was sent after one; a stop
had sold before the relay was told, and the owner's coins were taken for what was left of its own."""
KINDS = ("reply_lost", "request_lost", "delayed", "refused", "partly", "connection_refused", "rate", "clock")
STEPS = 9
KILLED_AT = [each for each in Failpoint if each is not Failpoint.COMMITTED]
"""There the writer of the journal would be killed, which all sequences share."""


class SpotMarket(Market):
    def load(self) -> None:
        self.instruments = {"BTCUSDT": PAIR}
        self.symbol_index = SymbolIndex.of([PAIR])


class SpotShop(Workshop):
    """One account of its own in a journal that many share."""

    exchange: SpotExchange

    def __init__(self, journal: Journal, account: str) -> None:
        self.journal, self.clock, self.account = journal, Clock(), account
        self.exchange = SpotExchange(self.clock)
        self.exchanges = {account: self.exchange}
        self.market = SpotMarket()
        self._rules = rules(signal_max_age_s=3600, market=TradedMarket.SPOT)
        self.announcer = Announcer()
        bounds = Bounds(max_seconds=MAX_WAIT_S)
        self._accounts = {account: Account(name=account, exchange=self.exchange, market=self.market, bounds=bounds)}
        self.follower = Follower(journal=journal, accounts=self._accounts, now=self.clock.now)
        self.exchange.own_coins = own_coins_of(account, journal=journal, exchange=self.exchange)
        self._assemble()

    @property
    def held(self) -> OwnCoins:
        return dict(self.exchange.own_coins(())).get("BTCUSDT") or OwnCoins(symbol="BTCUSDT")

    def run(self) -> None:
        """Until nothing is left to do."""
        for _ in range(3000):
            if not self.engine.lanes:
                return
            due = [self.engine.due_ms.get(lane, 0) for lane in self.engine.lanes]
            self.clock.pass_ms(max(0, min(due) - self.clock.now_ms))
            for lane in self.engine.ready():
                self.engine.step(lane)
        raise AssertionError(f"no end: {self.engine.signals()}")


class Sequence:
    def __init__(self, journal: Journal, number: int, switch: KillSwitch) -> None:
        self.chance = random.Random(number)
        self.shop = SpotShop(journal, f"a{number}")
        self.shop.open()
        self.number, self.switch, self.sent = number, switch, 0

    def alert(self, **fields: str) -> None:
        self.sent += 1
        try:
            self.shop.take(body_of(ticker="BTCUSDT", id=f"{self.number}-{self.sent}", **fields))
        except AlertRejected as rejected:
            raise AssertionError(rejected.error.message) from rejected

    def random_alert(self) -> dict[str, str]:
        chance, now = self.chance, self.shop.exchange.now_at
        sizes = [
            {"qty": str(chance.randint(1, 900_000) / 1_000_000)},
            {"qty": str(chance.randint(500, 3_000_000) / 100), "qty_unit": "quote"},
            {"qty": str(chance.randint(1, 30)), "qty_unit": "equity_pct"},
            {"qty": "1", "qty_unit": "risk_pct", "stop_loss": "3%"},
        ]
        levels = [{}, {}, {"stop_loss": "2%"}, {"stop_loss": "2%", "take_profit": "2%"}, {"take_profit": "3%"}]
        buy = {"action": chance.choice(["buy", "buy", "long"]), **chance.choice(levels), **chance.choice(sizes)}
        if chance.random() < 0.25:
            buy |= {"type": "limit", "price": str(now * chance.choice([97, 99, 101]) / 100)}
            buy |= {"time_in_force": chance.choice(["GTC", "IOC", "FOK"])}
        part = {"qty": str(chance.randint(1, 100)), "qty_unit": "position_pct"}
        sell = chance.choice([sizes[0], sizes[1], part])
        target = {"market_position": chance.choice(["long", "long", "flat", "short"])}
        if target["market_position"] != "flat":
            target["market_position_size"] = str(chance.randint(1, 900) / 1000)
        other: list[dict[str, str]] = [
            {"action": "sell", **sell},
            {"action": chance.choice(["close", "flat", "exit", "close_long", "cancel"])},
            {"action": "target", **target},
            {"action": "stops", **chance.choice([{"stop_loss": "4%"}, {"take_profit": "5%"}])},
        ]
        return buy if chance.random() < 0.5 else chance.choice(other)

    def fault(self) -> Fault:
        kind = self.chance.choice(KINDS)
        return Fault(kind, delay_ms=self.chance.choice([20, 300]), wait_ms=self.chance.choice([5, 400]))

    def step(self) -> None:
        chance, exchange = self.chance, self.shop.exchange
        if chance.random() < 0.4:
            exchange.faults = [self.fault() for _ in range(chance.randint(1, 3))]
        if chance.random() < 0.2:
            exchange.fills_lag = chance.randint(1, 3)
        if chance.random() < 0.4:
            exchange.move((exchange.now_at * chance.randint(960, 1040) / 1000).quantize(Decimal("0.1")))
        self.switch.at = chance.choice(KILLED_AT) if chance.random() < 0.35 else None
        try:
            self.alert(**self.random_alert())
            self.shop.run()
        except Killed:
            self.shop.restart()
            self.shop.run()
        self.switch.at, exchange.faults, exchange.fills_lag = None, [], 0
        self.settle()
        self.check()

    def settle(self) -> None:
        """What rests is followed, and what is in doubt is looked for until it is certain."""
        for _ in range(12):
            self.shop.follower.round()
            if all(each.state.is_settled for each in self.shop.journal.open_orders(self.shop.account)):
                return
            self.shop.clock.pass_ms(15_000)
            self.shop.run()

    def check(self) -> None:
        exchange, held = self.shop.exchange, self.shop.held
        assert (held.size, held.uncounted) == (exchange.relays, Decimal(0)), (held, exchange.relays)
        assert held.size >= 0 and exchange.locked(Side.SELL) <= held.size
        assert exchange.money >= 0 and exchange.money <= MONEY * 100

    def run(self) -> None:
        for _ in range(STEPS):
            self.step()
        self.alert(action="flat")
        self.shop.run()
        self.settle()
        self.check()
        assert PAIR.is_dust(self.shop.held.size, self.shop.exchange.now_at), self.shop.held
        assert self.shop.exchange.locked(Side.SELL) == 0


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    """One for all sequences, each of which has an account of its own."""
    folder: Path = tmp_path_factory.mktemp("journal")
    opened = open_journal(f"sqlite:///{folder}/relay.db")
    yield opened
    opened.close()


def test_what_is_held_is_what_the_exchange_has_beside_the_owners_coins(journal: Journal) -> None:
    for number in dict.fromkeys((*SEEN, *range(FIRST, FIRST + SEQUENCES))):
        with kill_switch() as switch:
            try:
                Sequence(journal, number, switch).run()
            except Exception as error:
                raise AssertionError(f"sequence {number}: {error}") from error
