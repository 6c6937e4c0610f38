"""Accept, execute and reconcile, driven at random against a model exchange with faults, crashes and time."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from relay.domain.order import Purpose, SignalStatus
from relay.domain.order_lifecycle import Bounds
from relay.domain.progress import MAX_REMAINDERS, Finish
from relay.domain.signal import Signal
from relay.engine.failpoint import Failpoint
from relay.errors import ExchangeUnreachable, JournalUnavailable, SignalNotRetryable
from relay.journal.opening import open_journal
from relay.journal.tables import events
from tests.faults import audit
from tests.faults.scale import FULL
from tests.property.model_exchange import CALL_MS, Fault, Send
from tests.property.workshop import (
    INSTRUMENTS,
    MAX_AGE_S,
    MAX_WAIT_S,
    Killed,
    KillSwitch,
    Workshop,
    body_of,
    kill_switch,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600 if FULL else 300)]

KINDS = ("connection_refused", "rate", "clock", "refused", "partly", "truncated")
FAULTS = st.one_of(
    st.sampled_from([Fault(kind) for kind in KINDS]),
    st.builds(
        Fault,
        st.sampled_from(("reply_lost", "request_lost", "delayed")),
        delay_ms=st.integers(1, 1500),
        wait_ms=st.sampled_from((0, 200, 3000)),
    ),
)
KILLED_AT = [each for each in Failpoint if each is not Failpoint.COMMITTED]
"""Not in the journal's own thread: that one lives on here."""
STEPS_MAX = 3000

_folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
_EMPTY = Path(_folder.name) / "empty.db"


def new_journal_file() -> Path:
    """A migrated journal, made once and copied for each example."""
    if not _EMPTY.exists():
        open_journal(f"sqlite:///{_EMPTY}").close()
    where = Path(tempfile.mkdtemp(dir=_folder.name))
    shutil.copy(_EMPTY, where / "relay.db")
    return where / "relay.db"


def _nothing() -> None:
    """Nothing happens at this question."""


class Execution(RuleBasedStateMachine):
    """`bodies`: each alert that was sent, by its comment. What is in memory of the relay dies at each kill."""

    def __init__(self) -> None:
        super().__init__()
        self.file = new_journal_file()
        self.shop = Workshop(open_journal(f"sqlite:///{self.file}"))
        self.shop.announcer.listen(self.reported)
        self.patched = kill_switch()
        self.coarsest = dict.fromkeys(INSTRUMENTS, Decimal("0.001"))
        """The coarsest step that each instrument has had."""
        self.switch: KillSwitch = self.patched.__enter__()
        self.bodies: list[bytes] = []
        self.ended: defaultdict[str, list[SignalStatus]] = defaultdict(list)
        self.dated_ms: dict[str, int] = {}
        self.behind_ms = 0
        """By how much the relay's clock has lagged at most."""
        self.has_jumped = False

    @initialize(warm=st.booleans())
    def start(self, warm: bool) -> None:
        if warm:
            self.shop.open()

    @precondition(lambda self: not self.shop.runner.is_open)
    @rule()
    def warm_up(self) -> None:
        self.shop.open()

    @rule(
        action=st.sampled_from(("buy", "sell", "close", "target", "long", "short", "reverse", "cancel")),
        symbol=st.sampled_from(sorted(INSTRUMENTS)),
        size=st.integers(1, 5),
        side=st.sampled_from(("long", "short")),
        is_limit=st.booleans(),
        age_ms=st.sampled_from((0, 0, 0, 58_500, 59_500, 59_900, 61_000)),
        faults=st.lists(FAULTS, max_size=3),
        steps=st.integers(0, 15),
    )
    def alert(
        self,
        action: str,
        symbol: str,
        size: int,
        side: str,
        is_limit: bool,
        age_ms: int,
        faults: list[Fault],
        steps: int,
    ) -> None:
        """`faults` are for what it orders, if it is its turn; `steps` follow at once."""
        alert = {"action": action, "ticker": f"{symbol}.P", "comment": str(len(self.bodies))}
        sent_at = self.shop.clock.true() - timedelta(milliseconds=age_ms)
        alert |= {"id": alert["comment"], "time": sent_at.isoformat()}
        if action == "target":
            alert |= {"market_position": side, "market_position_size": str(size)}
        elif action not in ("close", "cancel"):
            alert |= {"qty": str(size)}
        if is_limit and action in ("buy", "sell"):
            alert |= {"type": "limit", "price": "40000" if action == "buy" else "60000"}
        self.bodies.append(body_of(**alert))
        self.shop.exchange.faults += faults
        self.post(self.bodies[-1])
        self.go_on(steps)

    @precondition(lambda self: self.bodies)
    @rule(which=st.integers(0, 100))
    def send_again(self, which: int) -> None:
        self.post(self.bodies[which % len(self.bodies)])

    @precondition(lambda self: self.bodies and self.shop.runner.is_open)
    @rule(which=st.integers(0, 100))
    def retry(self, which: int) -> None:
        signals = self.shop.journal.signals(limit=200).signals
        if not signals:
            return
        try:
            self.shop.controls.retry(signals[which % len(signals)]["id"])
        except SignalNotRetryable:
            return

    @rule(halted=st.booleans())
    def halt_or_resume(self, halted: bool) -> None:
        (self.shop.controls.halt if halted else self.shop.controls.resume)(by="a test")
        self.shop.exchange.is_halted = halted

    @rule(questions=st.integers(0, 4))
    def halt_while_it_reads(self, questions: int) -> None:
        """In the midst of whatever comes next; resumed by another rule."""
        self.shop.exchange.on_ask = [*([_nothing] * questions), self.halt_now]

    def halt_now(self) -> None:
        self.shop.controls.halt(by="a test")
        self.shop.exchange.is_halted = True

    @rule(lag_ms=st.sampled_from((0, 0, 2_000, 20_000, 60_000)))
    def look_ups_lag(self, lag_ms: int) -> None:
        self.shop.exchange.lag_ms = lag_ms

    @rule(symbol=st.sampled_from(sorted(INSTRUMENTS)), size=st.integers(1, 3), is_limit=st.booleans())
    def an_entry_is_taken_unseen_and_sent_again_after_a_halt(self, symbol: str, size: int, is_limit: bool) -> None:
        self.halt_or_resume(halted=False)
        self.look_ups_lag(lag_ms=60_000)
        lost = Fault("reply_lost", wait_ms=3000)
        self.alert("buy", symbol, size, "long", is_limit, age_ms=0, faults=[lost], steps=3)
        self.halt_or_resume(halted=True)
        self.go_on(40)
        self.halt_or_resume(halted=False)
        self.post(self.bodies[-1])
        self.go_on(20)

    @rule(
        symbol=st.sampled_from(sorted(INSTRUMENTS)),
        step=st.sampled_from(("0.001", "0.001", "1", "2", "3")),
        most=st.sampled_from(("2", "2", "3", "6")),
    )
    def the_exchange_changes_its_rules(self, symbol: str, step: str, most: str) -> None:
        """And tells nobody."""
        changed = replace(
            INSTRUMENTS[symbol],
            qty_step=Decimal(step),
            qty_min=Decimal(step),
            qty_max_market=max(Decimal(most), Decimal(step)),
        )
        self.shop.exchange.instruments[symbol] = changed
        self.coarsest[symbol] = max(self.coarsest[symbol], changed.qty_step)

    @rule(wrong_by_ms=st.sampled_from((0, 0, -5_000, 3_000, -90_000, 90_000)))
    def the_clock_jumps(self, wrong_by_ms: int) -> None:
        """The relay's, not the exchange's."""
        self.has_jumped = self.has_jumped or wrong_by_ms != 0
        self.behind_ms = max(self.behind_ms, -wrong_by_ms)
        self.shop.clock.wrong_by_ms = wrong_by_ms

    @rule(asks=st.integers(1, 4))
    def fall_silent(self, asks: int) -> None:
        self.shop.exchange.silent_asks += asks

    @rule(at=st.sampled_from(KILLED_AT))
    def kill_at(self, at: Failpoint) -> None:
        self.switch.at = at

    @rule()
    def kill_now(self) -> None:
        self.shop.restart()

    @rule(steps=st.integers(1, 40))
    def work(self, steps: int) -> None:
        self.go_on(steps)

    def go_on(self, steps: int) -> None:
        """The lanes take turns; where all of them wait, the time until the first goes by."""
        for turn in range(steps):
            ready = self.shop.engine.ready()
            if ready:
                self.step(ready[turn % len(ready)])
            elif not self.shop.wait_for_a_lane():
                return

    @rule(milliseconds=st.sampled_from((1, 50, 400, 2100, 5000, 70_000)))
    def time_passes(self, milliseconds: int) -> None:
        self.shop.clock.pass_ms(milliseconds)

    @rule(which=st.integers(0, 20))
    def the_market_fills_a_resting_order(self, which: int) -> None:
        resting = [each for each in self.shop.exchange.orders.values() if each.rests]
        if resting:
            self.shop.exchange.fill(resting[which % len(resting)].client_order_id)

    @rule()
    def follow(self) -> None:
        try:
            self.shop.follower.round()
        except ExchangeUnreachable:
            return

    def post(self, body: bytes) -> None:
        """A sender whose post is cut off by a kill, or is answered 503, sends it again."""
        try:
            receipt = self.shop.take(body)
        except Killed:
            self.shop.restart()
            receipt = self.shop.take(body)
        except JournalUnavailable:
            # A machine that stands still for the two seconds of an answer's deadline.
            receipt = self.shop.take(body)
        if not receipt.is_duplicate:
            stored = self.shop.journal.signal(receipt.signal_id)
            assert stored is not None

    def step(self, lane: Any) -> None:
        try:
            self.shop.engine.step(lane)
        except Killed:
            self.shop.restart()

    def reported(self, signal: Signal, account: str, finish: Finish) -> None:
        """Right at its end, before the lane goes on, the position is what the signal asked for."""
        ended_early = any("the exchange ended the order with" in note for note in finish.notes)
        if finish.status is not SignalStatus.DONE or finish.reason is not None or ended_early:
            return
        p = self.shop.exchange.sizes[signal.symbol or ""]
        step = self.coarsest[signal.symbol or ""]
        if signal.action.clears_resting:
            assert not any(
                each.rests and each.planned.symbol == signal.symbol for each in self.shop.exchange.orders.values()
            )
        match signal.action.value:
            case "close":
                assert p == 0, f"{p} is left after a close that is done"
            case "target":
                assert signal.market_position is not None and signal.market_position_size is not None
                assert abs(p - signal.market_position.sign * signal.market_position_size) < step
            case "long":
                assert signal.qty is not None and p > signal.qty - step
            case "short":
                assert signal.qty is not None and p < -signal.qty + step

    @invariant()
    def no_entry_leaves_after_its_age_or_while_halted(self) -> None:
        for send in self.shop.exchange.sends:
            if send.planned.purpose is not Purpose.EXIT:
                assert not send.is_halted
                age_ms = send.at_ms - self.sent_at_ms(send)
                assert age_ms <= MAX_AGE_S * 1000 + 10 * CALL_MS + self.behind_ms, (
                    f"{send} left {age_ms} ms after its alert"
                )
        self.shop.exchange.sends.clear()

    def sent_at_ms(self, send: Send) -> int:
        signal_id = send.client_order_id.partition("-")[0]
        if signal_id not in self.dated_ms:
            stored = self.shop.journal.executions_of(signal_id)[0].signal
            assert stored.sent_at_ms is not None
            self.dated_ms[signal_id] = stored.sent_at_ms
        return self.dated_ms[signal_id]

    def teardown(self) -> None:
        try:
            self.settle()
            self.check()
        finally:
            self.patched.__exit__(None, None, None)
            self.shop.journal.close()
            shutil.rmtree(self.file.parent)

    def settle(self) -> None:
        """Nothing goes wrong any more, and all comes to its end."""
        shop = self.shop
        shop.exchange.faults.clear()
        shop.exchange.silent_asks, self.switch.at = 0, None
        shop.exchange.lag_ms, shop.exchange.on_ask = 0, []
        if not shop.runner.is_open:
            shop.open()
        self.go_on(STEPS_MAX)
        assert shop.engine.depth() == 0, f"it never comes to an end: {shop.journal.unfinished()}"
        shop.clock.pass_ms(120_000)
        while shop.follower.round():
            pass
        self.no_entry_leaves_after_its_age_or_while_halted()

    def check(self) -> None:
        signals = self.shop.journal.signals(limit=200).signals
        assert sorted(int(each["alert"]["comment"]) for each in signals) == list(range(len(self.bodies)))
        for signal in signals:
            self.check_signal(signal)
        stored = {order["client_order_id"]: order for signal in signals for order in signal["orders"]}
        there = {name for name, order in stored.items() if order["status"] not in audit.NEVER_THERE}
        unknown = {name for name, order in stored.items() if order["status"] == "submitted"}
        taken = self.shop.exchange.orders
        assert there - unknown <= taken.keys() <= there
        for name in taken.keys() - unknown:
            assert Decimal(stored[name]["filled_qty"]) == taken[name].filled_qty
            assert (stored[name]["status"] == "accepted") == taken[name].rests
        self.check_places()

    def check_signal(self, signal: dict[str, Any]) -> None:
        """One outcome for each opening, or one that was put right; effects in at most one generation."""
        assert signal["status"] in audit.FINISHED, signal
        is_put_right = any(note.startswith("found later") for note in signal["notes"])
        assert is_put_right or all(len(each) == 1 for each in audit.outcomes(signal)), signal
        taken = [each for name, each in self.shop.exchange.orders.items() if name.startswith(signal["id"])]
        held_absent = {e["detail"]["client_order_id"] for e in signal["events"] if e["name"] == "order_denied"}
        assert not held_absent & {each.client_order_id for each in taken}, signal
        assert len({each.client_order_id[-2:] for each in taken}) <= 1, "two generations took effect"
        if "qty" in signal["alert"] and signal["action"] in ("buy", "sell"):
            assert sum(each.filled_qty for each in taken) <= Decimal(signal["alert"]["qty"])
        if signal["status"] == "expired":
            assert not taken
        if signal["status"] in ("failed", "attention"):
            self.check_reason(signal)

    def check_reason(self, signal: dict[str, Any]) -> None:
        """A person is called, and a signal failed, only for a reason."""
        codes = {(event["detail"] or {}).get("code") for event in signal["events"] if event["name"] == "order_rejected"}
        sends = [event for event in signal["events"] if event["name"] == "order_submitted"]
        last_s = datetime.fromisoformat(signal["events"][-1]["at"]).timestamp()
        match signal["reason"]["code"]:
            case "OUTCOME_UNKNOWN" | "EXCHANGE_UNREACHABLE":
                if "an exit was waiting" in signal["reason"]["message"]:
                    return
                waited_s = last_s - datetime.fromisoformat((sends or signal["events"])[0]["at"]).timestamp()
                assert self.has_jumped or waited_s > MAX_WAIT_S or len(sends) > Bounds().max_attempts, signal
            case "CANCEL_INCOMPLETE":
                pass
            case "POSITION_REMAINS":
                assert len(signal["orders"]) > MAX_REMAINDERS or 110017 in codes
            case "EXCHANGE_BALANCE":
                assert 110007 in codes
            case "EXCHANGE_REFUSED":
                assert signal["orders"][0]["reduce_only"] or "110017" not in signal["reason"]["message"], signal
                is_whole_close = signal["action"] == "close" and not signal["alert"].get("qty")
                assert not (is_whole_close and signal["reason"]["message"].endswith("code 10001)")), signal
                assert signal["reason"]["message"].endswith(("code 110017)", "code 10002)", "code 10001)")), signal
            case "TIME_TOO_OLD":
                assert signal["status"] == "attention"
            case other:
                raise AssertionError(f"{other}: {signal}")

    def check_places(self) -> None:
        """At the exchange, each instrument's orders stand in the order in which their signals were accepted."""
        places = self.places()
        last: defaultdict[str, int] = defaultdict(int)
        for name, order in self.shop.exchange.orders.items():
            place = places[name.partition("-")[0], int(name[-2:])]
            assert place >= last[order.planned.symbol], f"{name} overtook one that was accepted before it"
            last[order.planned.symbol] = place

    def places(self) -> dict[tuple[str, int], int]:
        """(signal, generation) -> its place in the order of acceptance."""
        with self.shop.journal.store.read() as connection:
            rows = connection.execute(select(events).where(events.c.name.in_(("accepted", "reopened")))).all()
        return {(row.signal_id, row.detail["generation"] if row.detail else 0): row.id for row in rows}


Execution.TestCase.settings = settings(
    max_examples=400 if FULL else 25,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestExecution = Execution.TestCase
