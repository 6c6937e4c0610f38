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
from relay.errors import JournalUnavailable, SignalNotRetryable
from relay.journal.opening import open_journal
from relay.journal.records import ExecutionRecord
from relay.journal.tables import events
from tests.faults import audit
from tests.faults.scale import FULL
from tests.property.model_exchange import CALL_MS, Fault, ModelExchange, Order, Send
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
ACCOUNTS = ("main", "second")
TRADED = ("BTCUSDT", "ETHUSDT")
FOLLOWED = "SOLUSDT"
"""Where nothing but a strategy trades, whose alerts say where it stands."""

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


def _told(signal: dict[str, Any], account: str) -> str:
    """What its end on the account was said to be."""
    texts: list[str] = [signal["reason"]["message"] if signal["reason"] else "", *signal["notes"]]
    return next((each for each in texts if account in each), texts[0])


class Execution(RuleBasedStateMachine):
    """`bodies`: each alert that was sent, by its comment. What is in memory of the relay dies at each kill."""

    def __init__(self) -> None:
        super().__init__()
        self.file = new_journal_file()
        self.shop = Workshop(open_journal(f"sqlite:///{self.file}"), accounts=ACCOUNTS)
        self.exchanges = self.shop.exchanges
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
        self.strategy_at = 0
        """Where the strategy of FOLLOWED stands."""
        self.settled_after: dict[str, int] = {}
        """How many alerts had been sent when the exchange last settled what was open of a symbol."""

    @initialize(warm=st.booleans())
    def start(self, warm: bool) -> None:
        if warm:
            self.shop.open()

    @precondition(lambda self: not self.is_open_for_all())
    @rule()
    def warm_up(self) -> None:
        self.shop.open()

    def is_open_for_all(self) -> bool:
        return all(self.shop.runner.is_open_for(name) for name in ACCOUNTS)

    @rule(
        action=st.sampled_from(("buy", "sell", "close", "target", "long", "short", "reverse", "cancel")),
        symbol=st.sampled_from(TRADED),
        size=st.integers(1, 5),
        side=st.sampled_from(("long", "short")),
        is_limit=st.booleans(),
        age_ms=st.sampled_from((0, 0, 0, 58_500, 59_500, 59_900, 61_000)),
        faults=st.lists(FAULTS, max_size=3),
        steps=st.integers(0, 15),
        account=st.sampled_from((*ACCOUNTS, None)),
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
        account: str | None = None,
    ) -> None:
        """`faults` are for what it orders, if it is its turn; `steps` follow at once. `account`: None is both."""
        alert = {"action": action, "ticker": f"{symbol}.P", "comment": str(len(self.bodies))}
        sent_at = self.shop.clock.true() - timedelta(milliseconds=age_ms)
        alert |= {"id": alert["comment"], "time": sent_at.isoformat()}
        if action == "target":
            alert |= {"market_position": side, "market_position_size": str(size)}
        elif action not in ("close", "cancel"):
            alert |= {"qty": str(size)}
        if is_limit and action in ("buy", "sell"):
            alert |= {"type": "limit", "price": "40000" if action == "buy" else "60000"}
        if account is not None:
            alert |= {"account": account}
        self.bodies.append(body_of(**alert))
        for name in (account,) if account else ACCOUNTS:
            self.exchanges[name].faults += faults
        self.post(self.bodies[-1])
        self.go_on(steps)

    @precondition(lambda self: self.bodies)
    @rule(which=st.integers(0, 100))
    def send_again(self, which: int) -> None:
        self.post(self.bodies[which % len(self.bodies)])

    @precondition(lambda self: self.bodies and self.shop.runner.is_open)
    @rule(which=st.integers(0, 100))
    def retry(self, which: int) -> None:
        # Opened again, a link of a chain is an order of now: where its strategy was is not where it is.
        signals = [each for each in self.shop.journal.signals(limit=200).signals if each["symbol"] != FOLLOWED]
        if not signals:
            return
        try:
            self.shop.controls.retry(signals[which % len(signals)]["id"])
        except SignalNotRetryable:
            return

    @rule(halted=st.booleans())
    def halt_or_resume(self, halted: bool) -> None:
        (self.shop.controls.halt if halted else self.shop.controls.resume)(by="a test")
        self.set_halted(halted)

    def set_halted(self, halted: bool) -> None:
        for exchange in self.exchanges.values():
            exchange.is_halted = halted

    @rule(questions=st.integers(0, 4), account=st.sampled_from(ACCOUNTS))
    def halt_while_it_reads(self, questions: int, account: str) -> None:
        """In the midst of whatever comes next; resumed by another rule."""
        self.exchanges[account].on_ask = [*([_nothing] * questions), self.halt_now]

    def halt_now(self) -> None:
        self.shop.controls.halt(by="a test")
        self.set_halted(True)

    @rule(lag_ms=st.sampled_from((0, 0, 2_000, 20_000, 60_000)))
    def look_ups_lag(self, lag_ms: int) -> None:
        for exchange in self.exchanges.values():
            exchange.lag_ms = lag_ms

    @rule(account=st.sampled_from(ACCOUNTS), for_ms=st.sampled_from((500, 5_000, 40_000, 120_000)))
    def an_account_is_away(self, account: str, for_ms: int) -> None:
        """Nothing reaches its exchange; the other account's is there."""
        self.exchanges[account].away_until_ms = self.shop.clock.now_ms + for_ms

    @precondition(lambda self: self.shop.market.symbol_index is not None)
    @rule(
        moves=st.lists(st.integers(-3, 3), min_size=1, max_size=2),
        is_swapped=st.booleans(),
        between=st.sampled_from((0, 0, 5, 30)),
        steps=st.integers(0, 15),
    )
    def a_strategy_moves(self, moves: list[int], is_swapped: bool, between: int, steps: int) -> None:
        """From where it stands, one alert a move, a second apart; swapped, the earlier comes after `between` steps.

        Before the instruments are loaded, a ticker that was never heard before is in no chain yet.
        """
        bodies = []
        for to in moves:
            if to != self.strategy_at:
                bodies.append(self.strategy_alert(to))
                self.bodies.append(bodies[-1])
                self.strategy_at = to
                self.shop.clock.pass_ms(1000)
        if is_swapped:
            bodies.reverse()
        for body in bodies:
            self.post(body)
            self.go_on(between if body is not bodies[-1] else steps)

    def strategy_alert(self, to: int) -> bytes:
        number, was = str(len(self.bodies)), self.strategy_at
        names = {-1: "short", 0: "flat", 1: "long"}
        return body_of(
            action="buy" if to > was else "sell",
            ticker=f"{FOLLOWED}.P",
            qty=str(abs(to - was)),
            market_position=names[(to > 0) - (to < 0)],
            market_position_size=str(abs(to)),
            prev_market_position=names[(was > 0) - (was < 0)],
            prev_market_position_size=str(abs(was)),
            comment=number,
            id=number,
            time=self.shop.clock.true().isoformat(),
        )

    @rule(symbol=st.sampled_from(TRADED), size=st.integers(1, 3), is_limit=st.booleans())
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
        symbol=st.sampled_from(TRADED),
        step=st.sampled_from(("0.001", "0.001", "1", "2", "3")),
        most=st.sampled_from(("2", "2", "3", "6")),
    )
    def the_exchange_changes_its_rules(self, symbol: str, step: str, most: str) -> None:
        """And tells nobody. What was delisted trades again."""
        changed = replace(
            INSTRUMENTS[symbol],
            qty_step=Decimal(step),
            qty_min=Decimal(step),
            qty_max_market=max(Decimal(most), Decimal(step)),
        )
        for exchange in self.exchanges.values():
            exchange.instruments[symbol] = changed
        self.coarsest[symbol] = max(self.coarsest[symbol], changed.qty_step)

    @rule(symbol=st.sampled_from(TRADED), is_delivered=st.booleans())
    def the_exchange_delists(self, symbol: str, is_delivered: bool) -> None:
        """First it takes no more entries; then what is open is settled."""
        for exchange in self.exchanges.values():
            known = exchange.instruments.get(symbol, INSTRUMENTS[symbol])
            if known.is_trading:
                exchange.instruments[symbol] = replace(known, is_trading=False, status="Delivering")
            if is_delivered:
                exchange.deliver(symbol)
                self.settled_after[symbol] = len(self.bodies)

    @rule()
    def the_instruments_are_read_anew(self) -> None:
        """As each minute."""
        self.shop.market.instruments.update(self.exchanges["main"].instruments)

    @rule(wrong_by_ms=st.sampled_from((0, 0, -5_000, 3_000, -90_000, 90_000)))
    def the_clock_jumps(self, wrong_by_ms: int) -> None:
        """The relay's, not the exchange's."""
        self.has_jumped = self.has_jumped or wrong_by_ms != 0
        self.behind_ms = max(self.behind_ms, -wrong_by_ms)
        self.shop.clock.wrong_by_ms = wrong_by_ms

    @rule(asks=st.integers(1, 4), account=st.sampled_from(ACCOUNTS))
    def fall_silent(self, asks: int, account: str) -> None:
        self.exchanges[account].silent_asks += asks

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

    @rule(which=st.integers(0, 20), account=st.sampled_from(ACCOUNTS))
    def the_market_fills_a_resting_order(self, which: int, account: str) -> None:
        exchange = self.exchanges[account]
        resting = [each for each in exchange.orders.values() if each.rests]
        if resting:
            exchange.fill(resting[which % len(resting)].client_order_id)

    @rule()
    def follow(self) -> None:
        self.shop.follower.round()

    def post(self, body: bytes) -> None:
        """A sender whose post is cut off by a kill, or is answered 503, sends it again."""
        receipt = None
        while receipt is None:
            try:
                receipt = self.shop.take(body)
            except Killed:
                self.shop.restart()
            except JournalUnavailable:
                # A machine that stands still for the two seconds of an answer's deadline.
                continue
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
        if int(signal.comment or 0) < self.settled_after.get(signal.symbol or "", 0):
            return
        exchange = self.exchanges[account]
        p = exchange.sizes[signal.symbol or ""]
        step = self.coarsest[signal.symbol or ""]
        if signal.action.clears_resting:
            assert not any(each.rests and each.planned.symbol == signal.symbol for each in exchange.orders.values())
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
        for send in [each for exchange in self.exchanges.values() for each in exchange.sends]:
            if send.planned.purpose is not Purpose.EXIT:
                assert not send.is_halted
                age_ms = send.at_ms - self.sent_at_ms(send)
                assert age_ms <= MAX_AGE_S * 1000 + 10 * CALL_MS + self.behind_ms, (
                    f"{send} left {age_ms} ms after its alert"
                )
        for exchange in self.exchanges.values():
            exchange.sends.clear()

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
        self.switch.at = None
        for exchange in self.exchanges.values():
            exchange.faults.clear()
            exchange.silent_asks, exchange.away_until_ms, exchange.lag_ms, exchange.on_ask = 0, 0, 0, []
        if not self.is_open_for_all():
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
        for account in ACCOUNTS:
            orders = [order for signal in signals for order in signal["orders"] if order["account"] == account]
            self.check_orders({order["client_order_id"]: order for order in orders}, self.exchanges[account].orders)
            self.check_places(self.exchanges[account])
        self.check_strategy([each for each in signals if each["symbol"] == FOLLOWED])

    def check_orders(self, stored: dict[str, dict[str, Any]], taken: dict[str, Order]) -> None:
        there = {name for name, order in stored.items() if order["status"] not in audit.NEVER_THERE}
        unknown = {name for name, order in stored.items() if order["status"] == "submitted"}
        assert there - unknown <= taken.keys() <= there
        for name in taken.keys() - unknown:
            assert Decimal(stored[name]["filled_qty"]) == taken[name].filled_qty
            assert (stored[name]["status"] == "accepted") == taken[name].rests

    def check_signal(self, signal: dict[str, Any]) -> None:
        assert signal["status"] in audit.FINISHED, signal
        for execution in self.shop.journal.executions_of(signal["id"]):
            self.check_execution(signal, execution)

    def check_execution(self, signal: dict[str, Any], execution: ExecutionRecord) -> None:
        """One outcome for each opening, or one that was put right; effects in at most one generation."""
        account = execution.account
        orders = {each["client_order_id"]: each for each in signal["orders"] if each["account"] == account}
        mine = audit.of_account(signal, account)
        is_put_right = any("found later" in note for note in signal["notes"])
        assert execution.status.is_finished, signal
        assert is_put_right or all(len(each) == 1 for each in audit.outcomes({"events": mine})), signal
        taken = [each for name, each in self.exchanges[account].orders.items() if name.startswith(signal["id"])]
        held_absent = {e["detail"]["client_order_id"] for e in mine if e["name"] == "order_denied"}
        assert not held_absent & {each.client_order_id for each in taken}, signal
        assert len({each.client_order_id[-2:] for each in taken}) <= 1, "two generations took effect"
        if "qty" in signal["alert"] and signal["action"] in ("buy", "sell") and signal["symbol"] != FOLLOWED:
            assert sum(each.filled_qty for each in taken) <= Decimal(signal["alert"]["qty"])
        if execution.status is SignalStatus.EXPIRED:
            assert not taken
        if execution.status in (SignalStatus.FAILED, SignalStatus.ATTENTION):
            self.check_reason(signal, execution, mine, list(orders.values()))

    def check_reason(
        self,
        signal: dict[str, Any],
        execution: ExecutionRecord,
        mine: list[dict[str, Any]],
        orders: list[dict[str, Any]],
    ) -> None:
        """A person is called, and a signal failed, only for a reason."""
        codes = {(event["detail"] or {}).get("code") for event in mine if event["name"] == "order_rejected"}
        sends = [event for event in mine if event["name"] == "order_submitted"]
        last_s = datetime.fromisoformat(mine[-1]["at"]).timestamp()
        told = _told(signal, execution.account)
        is_whole_close = signal["action"] == "close" and not signal["alert"].get("qty")
        match execution.reason_code:
            case "OUTCOME_UNKNOWN" | "EXCHANGE_UNREACHABLE":
                if "an exit was waiting" in told:
                    return
                is_proven = "never arrived at the exchange" in told
                waited_s = last_s - datetime.fromisoformat((sends or mine)[0]["at"]).timestamp()
                least_s = Bounds().absent_ms / 1000 if is_proven else MAX_WAIT_S
                assert self.has_jumped or waited_s > least_s or len(sends) > Bounds().max_attempts, signal
            case "CANCEL_INCOMPLETE":
                pass
            case "POSITION_REMAINS":
                assert len(orders) > MAX_REMAINDERS or 110017 in codes
            case "EXCHANGE_BALANCE":
                assert 110007 in codes
            case "SYMBOL_NOT_TRADING":
                assert codes & {30228, 110074} and not is_whole_close, signal
            case "EXCHANGE_REFUSED":
                assert orders[0]["reduce_only"] or 110017 not in codes, signal
                assert not (is_whole_close and told.endswith("code 10001)")), signal
                assert codes & {110017, 10002, 10001}, signal
            case "TIME_TOO_OLD":
                assert execution.status is SignalStatus.ATTENTION
            case other:
                raise AssertionError(f"{other}: {signal}")

    def check_strategy(self, signals: list[dict[str, Any]]) -> None:
        """Where each of its alerts had its effect, the accounts stand where it does, in whatever order they came."""
        for account in ACCOUNTS:
            executions = [each for signal in signals for each in self.shop.journal.executions_of(signal["id"])]
            orders = [each for signal in signals for each in signal["orders"] if each["account"] == account]
            is_cut = any("the exchange ended the order with" in note for each in signals for note in each["notes"])
            is_done = all(
                each.status is SignalStatus.DONE and each.reason_code is None and each.generation == 0
                for each in executions
                if each.account == account
            )
            if is_done and not is_cut and all(each["status"] == "filled" for each in orders):
                assert self.exchanges[account].sizes[FOLLOWED] == self.strategy_at, signals

    def check_places(self, exchange: ModelExchange) -> None:
        """At an account's exchange, an instrument's orders stand in the order in which their signals were accepted."""
        places = self.places()
        last: defaultdict[str, int] = defaultdict(int)
        for name, order in exchange.orders.items():
            place = places[name.partition("-")[0], int(name[-2:])]
            assert place >= last[order.planned.symbol], f"{name} overtook one that was accepted before it"
            last[order.planned.symbol] = place

    def places(self) -> dict[tuple[str, int], int]:
        """(signal, generation) -> its place in the order of acceptance."""
        with self.shop.journal.store.read() as connection:
            rows = connection.execute(select(events).where(events.c.name.in_(("accepted", "reopened")))).all()
        return {(row.signal_id, row.detail["generation"] if row.detail else 0): row.id for row in rows}


Execution.TestCase.settings = settings(
    max_examples=100 if FULL else 6,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestExecution = Execution.TestCase
