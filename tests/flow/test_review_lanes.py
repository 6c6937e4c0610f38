"""Nothing that was accepted stays outside its lane or stands still in it, whatever surprises the relay meets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import update

from relay.app import wiring
from relay.domain.order import SignalStatus
from relay.engine.lanes import Lane
from relay.execution.execute import compare_positions
from relay.journal.journal import Journal
from relay.journal.opening import open_journal
from relay.journal.records import Reopened
from relay.journal.tables import signals
from tests.paper_server import PaperServer
from tests.property.workshop import Workshop, body_of
from tests.relay_server import RelayServer
from tests.unit.journal_builders import NOW_MS, accepted

DEADLINE_S = 60
READERS = 8
STEPS_MAX = 100
TOO_LATE_MS = 100_000


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = open_journal(f"sqlite:///{tmp_path}/relay.db")
    yield opened
    opened.close()


@pytest.fixture
def shop(journal: Journal) -> Workshop:
    return Workshop(journal)


def buy(shop: Workshop, comment: str, **more: str) -> str:
    return shop.take(body_of(action="buy", ticker="BTCUSDT.P", qty="1", comment=comment, **more)).signal_id


def step(shop: Workshop, lane: Lane) -> None:
    """As the embedded engine does it."""
    items = shop.engine.lanes[lane]
    try:
        shop.engine.step(lane)
    except ValueError as error:
        delay = items[0].failed(error)
        if delay is None:
            items.popleft()
        if not items:
            del shop.engine.lanes[lane]
        shop.engine.due_ms[lane] = shop.clock.now_ms + int((delay or 0) * 1000)


def run(shop: Workshop) -> None:
    """Until no lane has anything to do any more."""
    for _ in range(STEPS_MAX):
        if not shop.engine.lanes:
            return
        for lane in shop.engine.ready():
            step(shop, lane)
        shop.clock.pass_ms(1000)
    raise AssertionError("a lane stands still")


def shown(shop: Workshop, signal_id: str) -> dict[str, Any]:
    signal = shop.journal.signal(signal_id)
    assert signal is not None
    return signal


def busy_readers(journal: Journal) -> ExitStack:
    held = ExitStack()
    for _ in range(READERS):
        held.enter_context(journal.store.read())
    return held


def test_a_resend_reaches_its_lane_while_all_readers_are_busy(shop: Workshop) -> None:
    shop.open()
    signal_id = buy(shop, "too late", id="7")
    shop.clock.pass_ms(TOO_LATE_MS)
    run(shop)
    assert shown(shop, signal_id)["status"] == SignalStatus.EXPIRED
    with busy_readers(shop.journal):
        assert buy(shop, "too late", id="7") == signal_id
    assert shop.engine.signals() == [signal_id]


def test_what_a_person_opens_again_comes_with_what_is_to_be_done(journal: Journal) -> None:
    signal_id = accepted(journal)
    journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
    reported: list[Reopened] = []
    with busy_readers(journal):
        assert journal.reopen(signal_id, now_ms=NOW_MS, on_committed=reported.append) == 1
    (execution,) = reported[0].assignments
    assert (execution.signal.id, execution.generation, execution.status) == (signal_id, 1, SignalStatus.ACCEPTED)


def test_what_a_caller_does_after_its_commit_keeps_nobody_from_queueing(journal: Journal) -> None:
    queued = threading.Event()
    seen: list[bool] = []

    def post() -> None:
        journal.store.post(lambda connection: None, lambda error: None)
        queued.set()

    def after(_: object) -> None:
        threading.Thread(target=post).start()
        seen.append(queued.wait(DEADLINE_S))

    journal.store.submit(lambda connection: None, deadline_s=2 * DEADLINE_S, on_committed=after)
    assert seen == [True]


def test_clearing_that_fails_at_every_look_ends_with_a_person(shop: Workshop) -> None:
    shop.open()
    buy(shop, "rests", type="limit", price="40000")
    while ready := shop.engine.ready():
        shop.engine.step(ready[0])
    closing = shop.take(body_of(action="close", ticker="BTCUSDT.P")).signal_id
    with patch.object(shop.exchange, "look_up", side_effect=ValueError("a value that nobody thought of")):
        run(shop)
    signal = shown(shop, closing)
    assert (signal["status"], signal["reason"]["code"]) == (SignalStatus.ATTENTION, "INTERNAL_ERROR")


def test_a_signal_that_cannot_be_read_back_keeps_no_other_from_being_taken_up(shop: Workshop) -> None:
    first, broken, last = (buy(shop, comment) for comment in ("first", "broken", "last"))
    spoil = update(signals).where(signals.c.id == broken).values(alert={"action": "no such action"})
    shop.journal.store.submit(lambda connection: connection.execute(spoil) and None)
    shop.open()
    assert shop.runner.is_open
    run(shop)
    assert [shown(shop, each)["status"] for each in (first, broken, last)] == ["done", "attention", "done"]
    assert shown(shop, broken)["reason"]["code"] == "INTERNAL_ERROR"


def test_a_start_that_meets_what_nobody_thought_of_is_reported_and_tried_again(
    tmp_path: Path, paper: PaperServer
) -> None:
    met, go_on = threading.Event(), threading.Event()
    tries = 0

    def odd_at_first(*accounts: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError("a value that nobody thought of")
        met.set()
        assert go_on.wait(DEADLINE_S)
        return compare_positions(*accounts)

    server = RelayServer(tmp_path, paper.url)
    try:
        with patch.object(wiring, "compare_positions", odd_at_first):
            server.relay.start()
            assert met.wait(DEADLINE_S)
            assert "a value that nobody thought of" in server.relay.missing()["engine"]
            go_on.set()
            until = time.monotonic() + DEADLINE_S
            while server.relay.missing() and time.monotonic() < until:
                time.sleep(0.01)
        assert server.relay.missing() == {}
    finally:
        go_on.set()
        server.stop()
