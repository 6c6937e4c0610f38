"""An engine over a real journal, whose signals do step by step what the test says; which one, the journal decides."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

from relay.alerts.authenticate import Credentials
from relay.app.engines import Execution, Process, execution_of, journal_of
from relay.domain.instrument import SymbolIndex
from relay.domain.order import SignalStatus
from relay.domain.order_lifecycle import Bounds
from relay.domain.progress import Finish
from relay.domain.signal import Signal
from relay.engine.lease_guard import LeaseLost
from relay.errors import JournalUnavailable
from relay.execution.accept import Heartbeats, Intake
from relay.execution.execute import Executor
from relay.execution.notices import Announcer
from relay.execution.ports import Account, to_ms, utc_now
from relay.execution.tasks import Tasks
from relay.execution.work import Strategy, Work
from relay.journal.journal import Journal
from relay.settings.settings import load_settings
from tests.builders import linear, rules
from tests.property.model_exchange import Clock, ModelExchange
from tests.property.workshop import SECRET, Market, body_of

DEADLINE_S = 60
LONG_S = 3600.0
CLOSE_S = 10
SYMBOLS = tuple(f"S{number}USDT" for number in range(200))
ACCOUNT = "main"

Step = Callable[[], float]
"""Returns the seconds until the next one."""


def at_once() -> float:
    return 0.0


class Hand:
    """In place of the executor. `told`: each step as it begins and ends, by the name that the test gave the signal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._steps: dict[str, list[Step]] = {}
        self._lock = threading.Lock()
        self.reported: list[tuple[str, str]] = []

    def learn(self, name: str, steps: Sequence[Step]) -> None:
        self._steps[name] = list(steps)

    def step(self, work: Work) -> float | None:
        name = str(work.signal.sender_id)
        steps = self._steps[name]
        self._tell(name, "begins")
        delay = steps[0]()
        steps.pop(0)
        self._tell(name, "ends")
        if steps:
            return delay
        self.end(work.signal, work.account.name, Finish(status=SignalStatus.DONE))
        return None

    def end(self, signal: Signal, account: str, finish: Finish) -> None:
        self._journal.finish(signal.id, account, finish.status, finish.reason, now_ms=to_ms(utc_now()))
        self._tell(str(signal.sender_id), finish.status.value)

    def _tell(self, name: str, what: str) -> None:
        with self._lock:
            self.reported.append((name, what))

    def names(self, what: str) -> list[str]:
        with self._lock:
            return [name for name, reported in self.reported if reported == what]


class Floor:
    """One process's. `begin` starts its engine; a second one takes up what a closed one has left."""

    def __init__(self, url: str) -> None:
        self._settings = load_settings({"DATABASE_URL": url, "RELAY_WORKER": "inline"}, dotenv=None)
        self.journal = journal_of(self._settings, Process(executes=True), wait_for_lock_s=0)
        self.hand = Hand(self.journal)
        self.market = Market(SymbolIndex.of(linear(symbol=each, base_coin=each[:-4]) for each in SYMBOLS))
        exchange = ModelExchange(Clock())
        account = Account(name=ACCOUNT, exchange=exchange, market=self.market, bounds=Bounds())
        self._accounts = {ACCOUNT: account}
        self._is_closed = False
        self.renew()

    def renew(self) -> None:
        """Another engine on the same journal."""
        strategies = {"default": Strategy(name="default", rules={ACCOUNT: rules()}, secrets=(SECRET,))}
        announcer = Announcer()
        self.items = Tasks(
            journal=self.journal,
            executor=cast(Executor, self.hand),
            accounts=self._accounts,
            strategies=strategies,
        )
        process = Process(executes=True)
        self.engine = execution_of(self.journal, self.items, (ACCOUNT,), self._settings, process)
        self._intake = Intake(
            journal=self.journal,
            accounts=self._accounts,
            runner=self.engine.feeder,
            announcer=announcer,
            heartbeats=Heartbeats(journal=self.journal, announcer=announcer, expected={}),
            strategies=strategies,
        )

    def begin(self) -> None:
        """Returns once what is accepted is executed, by whichever process."""
        engine = self.engine
        engine.start()
        threading.Thread(target=self._execute, args=(engine,), daemon=True).start()
        until(lambda: engine.problem(ACCOUNT) is None)

    def _execute(self, engine: Execution) -> None:
        while not self._is_closed:
            if engine.await_account(ACCOUNT, 0.1):
                with suppress(LeaseLost, JournalUnavailable):
                    engine.begin(ACCOUNT)
                    if engine.is_alone:
                        return
                    engine.await_loss(ACCOUNT, 0.1)

    def accept(self, name: str, *steps: Step, symbol: str = SYMBOLS[0]) -> str:
        """An alert, which does `steps`; without any, one that is over at once. The signal's id."""
        self.hand.learn(name, steps or (at_once,))
        body = body_of(ticker=symbol, action="buy", qty="1", id=name, time="2030-01-01T00:00:00Z")
        while (
            True
        ):  # until it is kept, as TradingView does: on a busy machine Postgres may take longer than an answer may
            try:
                return self._intake.take(body, strategy="default", credentials=Credentials()).signal_id
            except JournalUnavailable:
                continue

    def in_order_of_acceptance(self, names: Sequence[str]) -> list[str]:
        """By what the journal has them at."""
        place = {each.signal.alert["id"]: each.seq for each in self.journal.unfinished()}
        return sorted(names, key=place.__getitem__)

    def until_done(self, *names: str) -> None:
        until(lambda: set(names) <= set(self.hand.names("done")))

    def close(self) -> None:
        self._is_closed = True
        self.engine.close(CLOSE_S)
        self.journal.close()


def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)
