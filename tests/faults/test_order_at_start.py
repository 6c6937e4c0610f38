"""The lanes are opened while alerts come in: each is taken up once, and in the order of acceptance."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.domain.order import SignalStatus
from relay.journal.opening import open_journal
from relay.journal.sqlite import SqliteStore
from relay.journal.unit_of_work import UnitOfWork
from tests.property.workshop import Workshop, body_of

pytestmark = pytest.mark.slow

DEADLINE_S = 60


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    journal = open_journal(f"sqlite:///{tmp_path}/relay.db")
    yield Workshop(journal)
    journal.close()


def buy(shop: Workshop, comment: str, ticker: str = "BTCUSDT.P") -> str:
    return shop.take(body_of(action="buy", ticker=ticker, qty="1", comment=comment)).signal_id


@contextmanager
def one_transaction(shop: Workshop, *calls: Callable[[], object]) -> Iterator[None]:
    """The calls, each from a thread of its own, queue up in this order while the journal is busy; then it goes on."""
    store = shop.journal.store
    assert isinstance(store, SqliteStore) and store.writer is not None
    queue, go_on, busy = store.writer._queue, threading.Event(), threading.Event()

    def hold(uow: UnitOfWork) -> None:
        busy.set()
        assert go_on.wait(DEADLINE_S)

    threads = [threading.Thread(target=lambda: shop.journal.write(hold))]
    threads[0].start()
    assert busy.wait(DEADLINE_S)
    for waiting, call in enumerate(calls, start=1):
        threads.append(threading.Thread(target=call))
        threads[-1].start()
        until = time.monotonic() + DEADLINE_S
        while len(queue) < waiting:
            assert time.monotonic() < until
            time.sleep(0.001)
    yield
    go_on.set()
    for thread in threads:
        thread.join(DEADLINE_S)


def accepted(shop: Workshop) -> list[str]:
    return [each.signal.id for each in shop.journal.unfinished()]


def test_what_came_before_the_instruments_keeps_its_place_before_what_came_after(shop: Workshop) -> None:
    first = buy(shop, "before the instruments")
    shop.market.load()
    second = buy(shop, "before the lanes")
    shop.runner.recover()
    third = buy(shop, "after")
    assert shop.engine.signals() == [first, second, third] == accepted(shop)


def test_what_was_read_before_the_instruments_and_stored_after_them_goes_before_what_comes_next(shop: Workshop) -> None:
    shop.open()
    index, shop.market.symbol_index = shop.market.symbol_index, None
    with one_transaction(shop, lambda: buy(shop, "read before"), lambda: buy(shop, "next", "BTCUSDT")):
        shop.market.symbol_index = index
    assert shop.engine.signals() == accepted(shop)
    assert len(accepted(shop)) == 2


def test_what_is_stored_together_with_the_opening_of_the_lanes_is_taken_up_once(shop: Workshop) -> None:
    shop.market.load()
    calls = (lambda: buy(shop, "before"), shop.runner.recover, lambda: buy(shop, "after"))
    with one_transaction(shop, *calls):
        pass
    assert shop.engine.signals() == accepted(shop)
    assert len(accepted(shop)) == 2


def test_what_was_accepted_without_an_instrument_is_given_one_or_ends_without(shop: Workshop) -> None:
    known, unknown = buy(shop, "known"), buy(shop, "unknown", "NOSUCHUSDT.P")
    shop.open()
    while ready := shop.engine.ready():
        shop.engine.step(ready[0])
        shop.clock.pass_ms(100)
    found, missing = shop.journal.signal(known), shop.journal.signal(unknown)
    assert found is not None and (found["status"], found["symbol"]) == (SignalStatus.DONE, "BTCUSDT")
    assert missing is not None and missing["status"] == SignalStatus.DENIED
    assert missing["reason"]["code"] == "SYMBOL_UNKNOWN"


def test_a_signal_that_is_opened_again_waits_behind_those_accepted_before_that(shop: Workshop) -> None:
    shop.open()
    first = buy(shop, "too old")
    shop.clock.pass_ms(100_000)
    shop.engine.step(shop.engine.ready()[0])
    second = buy(shop, "second")
    shop.journal.reopen(first, now_ms=shop.clock.now_ms, on_committed=shop.runner.opened_again)
    third = buy(shop, "third")
    assert shop.engine.signals() == [second, first, third] == accepted(shop)
