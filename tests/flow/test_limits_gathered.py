"""What the limits count, from a journal and an exchange: other symbols, own orders, stops, entries not shown yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from relay.bybit.client import Exchange
from relay.bybit.market import Market
from relay.domain.instrument import Category
from relay.domain.order_lifecycle import Bounds
from relay.domain.plan import Plan, PlanStatus
from relay.domain.rules import Rules
from relay.execution.gather import Gathered, Gatherer
from relay.execution.ports import Account, utc_now
from relay.execution.work import Work
from relay.journal.journal import Journal
from relay.journal.opening import open_journal
from tests.builders import rules, signal
from tests.paper_server import KEY, SECRET, PaperServer
from tests.unit.journal_builders import accepted, new_signal, url_of

BTC, ETH = "BTCUSDT", "ETHUSDT"


@dataclass
class Bench:
    """A gatherer with a journal of its own; what it plans is not sent, so that what is held is what a test says."""

    journal: Journal
    exchange: Exchange
    paper: PaperServer
    gatherer: Gatherer
    market: Market

    def plan(self, limits: Rules, symbol: str = BTC, action: str = "buy", **fields: Any) -> tuple[Work, Plan]:
        signal_id = accepted(self.journal, new_signal(symbol=symbol))
        now = utc_now()
        requested = signal(action, symbol=symbol, received_at=now, **{"qty": "0.01", **fields})
        account = Account(name="main", exchange=self.exchange, market=self.market, bounds=Bounds())
        work = Work(signal=replace(requested, id=signal_id), account=account, rules=limits, generation=0)
        gathered = self.gatherer.gather(work, now)
        assert isinstance(gathered, Gathered)
        return work, gathered.plan

    def code(self, limits: Rules, symbol: str = BTC, action: str = "buy", **fields: Any) -> str | None:
        _, made = self.plan(limits, symbol, action, **fields)
        if made.status is PlanStatus.PLANNED:
            return made.reason.code if made.reason else None
        assert made.reason is not None
        return made.reason.code

    def hold(self, symbol: str, side: str, qty: str, **more: str) -> None:
        self.paper.session().place_order(
            category="linear", symbol=symbol, side=side, orderType="Market", qty=qty, positionIdx=0, **more
        )

    def record(self, work: Work, made: Plan) -> None:
        now_ms = self.exchange.now_ms()
        self.journal.write(lambda uow: uow.signals.begin(work.signal.id, "main", now_ms=now_ms))
        self.journal.write(
            lambda uow: uow.plans.record(
                signal_id=work.signal.id, account="main", generation=0, plan=made, now_ms=now_ms
            )
        )


@pytest.fixture(scope="module")
def exchange(paper: PaperServer) -> Iterator[Exchange]:
    made = Exchange(url=paper.url, api_key=KEY, api_secret=SECRET, read_timeout_s=10.0)
    yield made
    made.close()


@pytest.fixture
def bench(paper: PaperServer, exchange: Exchange, tmp_path: Path) -> Iterator[Bench]:
    paper.control.reset()
    paper.control.prices(BTCUSDT="100000", ETHUSDT="4000")
    market = Market()
    market.load_instruments(exchange)
    journal = open_journal(url_of(tmp_path))
    yield Bench(journal=journal, exchange=exchange, paper=paper, gatherer=Gatherer(journal=journal), market=market)
    journal.close()


def test_what_is_open_in_other_symbols_counts_and_an_exit_passes(bench: Bench) -> None:
    bench.hold(ETH, "Buy", "1")
    assert bench.code(rules(max_exposure=4999)) == "LIMIT_EXPOSURE"
    assert bench.code(rules(max_positions=1)) == "LIMIT_POSITIONS"
    assert bench.code(rules(max_positions=1, max_exposure=1), ETH, "sell", qty="1") is None
    assert bench.code(rules(max_positions=1, max_exposure=1), ETH, "sell", qty="2") == "ENTRY_WITHHELD"
    assert bench.code(rules(max_positions=2, max_exposure=5000)) is None


def test_entries_planned_and_not_yet_written_down_count_already(bench: Bench) -> None:
    limits = rules(max_positions=1, max_entries_per_minute=2)
    assert bench.code(limits, ETH, qty="1") is None
    assert bench.code(limits, BTC) == "LIMIT_POSITIONS"
    assert bench.code(limits, ETH, qty="1") is None
    assert bench.code(limits, ETH, qty="1") == "LIMIT_RATE"


def test_entries_written_down_count_for_a_minute_and_what_they_have_yet_to_send_counts_as_open(bench: Bench) -> None:
    limits = rules(max_entries_per_minute=1, max_position_notional=2000)
    work, made = bench.plan(limits)
    bench.record(work, made)
    assert bench.code(rules(max_entries_per_minute=1)) == "LIMIT_RATE"
    assert bench.code(rules(max_entries_per_minute=2)) is None
    assert bench.code(rules(max_position_notional=1999)) == "LIMIT_POSITION_NOTIONAL"


def test_after_a_stop_loss_the_symbol_cools_down_and_others_do_not(bench: Bench) -> None:
    limits = rules(cooldown_s=600)
    bench.hold(BTC, "Buy", "0.01", stopLoss="99000")
    assert bench.code(limits) is None
    bench.paper.control.prices(BTCUSDT="98000")
    assert bench.exchange.position(category=Category.LINEAR, symbol=BTC).size == 0
    assert bench.code(limits) == "LIMIT_COOLDOWN"
    assert bench.code(limits, ETH, qty="1") is None
    assert bench.code(rules(cooldown_s=15 * 86_400)) == "LIMIT_COOLDOWN"


def test_a_close_by_hand_is_no_stop_loss(bench: Bench) -> None:
    bench.hold(BTC, "Buy", "0.01")
    bench.hold(BTC, "Sell", "0.01")
    assert bench.code(rules(cooldown_s=600)) is None


def test_the_distance_is_measured_from_the_exchanges_price(bench: Bench) -> None:
    assert bench.code(rules(max_distance_pct=1), signal_price="99000") == "LIMIT_DISTANCE"
    assert bench.code(rules(max_distance_pct=2), signal_price="99000") is None


def test_a_preview_leaves_no_mark_of_the_day(bench: Bench) -> None:
    limits = rules(daily_loss_limit=100)
    signal_id = accepted(bench.journal)
    account = Account(name="main", exchange=bench.exchange, market=bench.market, bounds=Bounds())
    requested = replace(signal("buy", qty="0.01", received_at=utc_now()), id=signal_id)
    bench.gatherer.gather(
        Work(signal=requested, account=account, rules=limits, generation=0), utc_now(), is_preview=True
    )
    bench.hold(BTC, "Buy", "0.1")
    bench.paper.control.prices(BTCUSDT="97000")
    assert bench.code(limits) is None
    bench.paper.control.prices(BTCUSDT="95000")
    assert bench.code(limits) == "LIMIT_DAILY_LOSS"
