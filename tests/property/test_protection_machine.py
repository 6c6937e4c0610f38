"""Protection driven at random: the relay's own parts and journal, the real paper exchange, and time that is counted.

After each step, once the two seconds of a look have gone by, the stop stands where a simple model says.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from relay.bybit.client import Exchange
from relay.bybit.http import ExchangeClock
from relay.domain.instrument import Category, SymbolIndex
from relay.engine.failpoint import Failpoint
from relay.journal.opening import open_journal
from relay.paper import exchange as paper
from relay.paper import stops
from relay.paper.__main__ import Server, create_app
from relay.paper.account import Credentials
from relay.paper.orders import Execution, Exits, Order, Side, Status, StopKind
from relay.paper.state import Quote
from tests.faults.scale import FULL
from tests.property.model_exchange import Clock
from tests.property.test_execution_machine import new_journal_file
from tests.property.workshop import Killed, KillSwitch, Market, Workshop, body_of, kill_switch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600 if FULL else 300)]

SYMBOL = "LTCUSDT"
KEY, SECRET = "paper", "a-secret-of-the-tests"
LOOK_MS = 2000
WAITS_MAX = 30
TICK, HALF = Decimal("0.01"), Decimal("0.5")
STEPS_MAX = 400
KILLED_AT = (
    *(Failpoint.PLANNED, Failpoint.SENT, Failpoint.FINISHED, Failpoint.STOPS_DUE, Failpoint.STOPS_SENT),
    *(Failpoint.BRACKET_SAVED, Failpoint.TAKE_PROFIT_ADDED, Failpoint.AMEND_DUE, Failpoint.AMEND_SENT),
    *(Failpoint.CANCEL_DUE, Failpoint.CANCEL_SENT, Failpoint.CANCEL_CONFIRMED, Failpoint.REPORT_STORED),
)
STOPS, POSITIONS, CREATE = "/v5/position/trading-stop", "/v5/position/list", "/v5/order/create"


class CountedExchange(paper.Exchange):
    """The paper exchange by a clock that is counted. `executed` is told of each fill, in order."""

    def __init__(self, path: Path, clock: Clock, executed: Callable[[Execution], None]) -> None:
        self._counted, self._executed = clock, executed
        super().__init__(path, Credentials(key=KEY, secret=SECRET, source="here"))

    def now_ns(self) -> int:
        """Each look at it takes a moment."""
        self._counted.now_ms += 1
        return self._counted.now_ms * 1_000_000

    def _keep(self) -> None:
        for each in self.state.changes.executions:
            self._executed(each)
        super()._keep()


class PaperMarket(Market):
    """Of the instruments that it is given."""

    def load(self) -> None:
        self.symbol_index = SymbolIndex.of(self.instruments.values())

    def last_price(self, category: Category, symbol: str) -> Decimal | None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What an alert says of levels. `rungs`: the prices of its ladder, of which the first moves the stop or not."""

    number: int
    stop: Decimal | None
    rungs: tuple[Decimal, ...] = ()
    moves_stop: bool = False


@dataclass
class Model:
    """Where the stop belongs: what the latest alert or rung has said; at breakeven it goes along with the entry."""

    size: Decimal = Decimal(0)
    stop: Decimal | None = None
    follows: bool = False
    is_due: bool = False
    """It is to go to the entry as soon as the market allows it."""
    said_by: int = -1
    """Which alert was the last to name a stop."""
    latest: int = -1
    """Which was the last to name any level."""
    ladder: Named | None = None
    is_clear: bool = True
    """No other position was closed since the look before it was opened."""

    def __post_init__(self) -> None:
        self.begun: set[int] = set()
        self.stale: set[str] = set()
        """Take profits of older ladders."""

    @property
    def sign(self) -> int:
        return (self.size > 0) - (self.size < 0)

    def flat(self) -> None:
        self.stop, self.follows, self.is_due, self.said_by, self.latest = None, False, False, -1, -1
        self.ladder = None

    def say(self, alert: Named, resting: set[str]) -> None:
        """It is the alert's turn: its entry has begun to fill, or it sets levels on what is open."""
        if alert.stop is not None and alert.number >= self.said_by:
            self.stop, self.follows, self.is_due, self.said_by = alert.stop, False, False, alert.number
        if alert.rungs and (alert.number > self.latest or self.ladder is None):
            self.ladder, self.is_due, self.follows = alert, False, False
            self.stale |= resting
        if alert.rungs or alert.stop is not None:
            self.latest = max(self.latest, alert.number)

    def stands(self, average: Decimal, mark: Decimal) -> Decimal | None:
        """Where it should be by now."""
        rounding = ROUND_FLOOR if self.sign > 0 else ROUND_CEILING
        entry = average.quantize(TICK, rounding)
        is_allowed = (mark - entry) * self.sign > 0
        if self.is_due and self.stop is not None and (self.stop - entry) * self.sign >= 0:
            self.is_due, self.follows, self.said_by = False, self.stop == entry, self.latest
        if is_allowed and (self.is_due or self.follows):
            self.is_due, self.follows, self.stop, self.said_by = False, True, entry, self.latest
        return self.stop


class Protection(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.file = new_journal_file()
        self.clock = Clock()
        self.model = Model()
        self.alerts: dict[str, Named] = {}
        self.sent = self.looks = 0
        self.pending: dict[str, tuple[Named, Side, int]] = {}
        """Alerts that set levels and whose turn has not come: an order before them is in doubt. Since which look."""
        self.closed_at = -1
        self.known: set[str] = set()
        """The take profits that were seen at rest."""
        self.exchange = CountedExchange(self.file.with_name("paper.db"), self.clock, self.executed)
        self.server = Server(0, create_app(self.exchange))
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        seconds = lambda: self.clock.now_ms / 1000  # noqa: E731
        self.client = Exchange(
            url=f"http://127.0.0.1:{self.server.port}",
            api_key=KEY,
            api_secret=SECRET,
            clock=ExchangeClock(wall=seconds, monotonic=seconds),
        )
        instrument = self.client.instrument(category=Category.LINEAR, symbol=SYMBOL)
        assert instrument is not None
        market = PaperMarket(instruments={SYMBOL: instrument})
        self.shop = Workshop(open_journal(f"sqlite:///{self.file}"), clock=self.clock, port=self.client, market=market)
        self.patched = kill_switch()
        self.switch: KillSwitch = self.patched.__enter__()

    @initialize()
    def start(self) -> None:
        self.shop.open()

    # What is there at the exchange.

    @property
    def last(self) -> Decimal:
        return self.exchange.state.quotes[SYMBOL].last

    def resting(self) -> list[Order]:
        return [each for each in self.exchange.state.orders_of(SYMBOL) if each.is_active]

    def standing(self) -> Decimal | None:
        found = stops.standing(self.exchange.state, SYMBOL, 0, StopKind.STOP_LOSS)
        return found.trigger_price if found else None

    def side(self, drawn: Side) -> Side:
        """That of what is open or is going to be."""
        if self.model.sign:
            return Side.BUY if self.model.sign > 0 else Side.SELL
        return next((each.side for each in self.resting() if not each.closes), drawn)

    # What happens.

    @rule(
        drawn=st.sampled_from(Side),
        away=st.sampled_from((0, 1, 2, 4)),
        stop=st.sampled_from((None, 3, 6, 9, 12)),
        rungs=st.sampled_from(((), (), (3,), (2, 5), (3, 6, 9))),
        moves_stop=st.booleans(),
        qty=st.integers(2, 9),
    )
    def an_entry(
        self, drawn: Side, away: int, stop: int | None, rungs: tuple[int, ...], moves_stop: bool, qty: int
    ) -> None:
        """At the market, or resting `away` from it."""
        side = self.side(drawn)
        price = self.last.quantize(Decimal(1)) - side.sign * away
        named = self.named(side, price, stop, rungs, is_moving=moves_stop)
        alert = {"action": side.lower(), "qty": str(qty), **self.levels(named)}
        if away:
            alert |= {"type": "limit", "price": str(price)}
        self.send(alert, named)

    @precondition(lambda self: self.model.sign)
    @rule(
        stop=st.sampled_from((None, 1, 3, 8)),
        rungs=st.sampled_from(((), (), (2, 5))),
        moves_stop=st.booleans(),
    )
    def an_alert_sets_levels(self, stop: int | None, rungs: tuple[int, ...], moves_stop: bool) -> None:
        if stop is None and not rungs:
            return
        side = self.side(Side.BUY)
        named = self.named(side, self.last.quantize(Decimal(1)), stop, rungs, is_moving=moves_stop)
        signal_id = self.send({"action": "stops", **self.levels(named)}, named)
        self.pending[signal_id] = named, side, self.looks
        self.take_turns()
        self.look()

    def take_turns(self) -> None:
        for signal_id, (named, side, since) in list(self.pending.items()):
            stored = self.shop.journal.signal(signal_id)
            assert stored is not None and self.looks - since < WAITS_MAX
            if stored["status"] != "accepted":
                del self.pending[signal_id]
                if stored["status"] not in ("denied", "failed") and self.model.sign == side.sign:
                    self.model.say(named, self.known)

    def named(self, side: Side, price: Decimal, stop: int | None, rungs: tuple[int, ...], *, is_moving: bool) -> Named:
        return Named(
            number=self.sent,
            stop=None if stop is None else price - side.sign * (stop + HALF),
            rungs=tuple(self.last.quantize(Decimal(1)) + side.sign * each for each in rungs),
            moves_stop=is_moving,
        )

    def levels(self, named: Named) -> dict[str, object]:
        found: dict[str, object] = {}
        if named.stop is not None:
            found["stop_loss"] = str(named.stop)
        if named.rungs:
            share = 100 // len(named.rungs)
            ladder: list[dict[str, object]] = [{"at": str(each), "share": share} for each in named.rungs]
            ladder[-1]["share"] = 100 - share * (len(ladder) - 1)
            if named.moves_stop:
                ladder[0]["then"] = "breakeven"
            found["take_profit"] = ladder
        return found

    @precondition(lambda self: self.model.sign)
    @rule(alert=st.sampled_from(({"action": "close"}, {"action": "cancel"}, *[{"action": "close", "qty": "1"}] * 4)))
    def less_is_wanted(self, alert: dict[str, object]) -> None:
        self.send(alert, None)

    @precondition(lambda self: any(not each.closes for each in self.resting()))
    @rule(which=st.integers(0, 20), part=st.sampled_from((1, 1, 1, 2, 3, 100)), looks=st.sampled_from((0, 1, 1, 3)))
    def a_resting_entry_fills(self, which: int, part: int, looks: int) -> None:
        self.meet([each for each in self.resting() if not each.closes], which, part, looks)

    @precondition(lambda self: any(each.closes for each in self.resting()))
    @rule(which=st.sampled_from((0, 0, 0, 1)), part=st.sampled_from((1, 100, 100)), looks=st.sampled_from((0, 1)))
    def a_take_profit_fills(self, which: int, part: int, looks: int) -> None:
        orders = [each for each in self.resting() if each.closes]
        self.meet(sorted(orders, key=lambda each: abs((each.price or self.last) - self.last)), which, part, looks)

    def meet(self, orders: list[Order], which: int, part: int, looks: int) -> None:
        """So much of one of them fills; then the market goes a tick away. A stop on the way fires first, and wholly."""
        order = orders[which % len(orders)]
        assert order.price is not None
        self.walk(order.price + order.side.sign * TICK)
        if order.price != self.standing():
            self.move(order.price, depth=Decimal(part))
            self.move(order.price + order.side.sign * TICK)
        for _ in range(looks):
            self.look()

    @rule(by=st.integers(-4, 4))
    def the_price_moves(self, by: int) -> None:
        self.walk(min(max(self.last + by, Decimal(70)), Decimal(130)))
        self.look()

    def walk(self, to: Decimal) -> None:
        """Not so fast that a position is closed and another opened between two looks."""
        while self.last != to:
            was_open = self.model.size != 0
            self.move(self.last + max(min(to - self.last, HALF), -HALF))
            if was_open and not self.model.size:
                self.look()

    def move(self, price: Decimal, depth: Decimal | None = None) -> None:
        quote = replace(Quote.flat(price), depth=depth)
        self.exchange.act(lambda book, now_ms: book.move(SYMBOL, quote, now_ms))

    @precondition(lambda self: self.model.sign)
    @rule(away=st.integers(1, 8))
    def a_person_moves_the_stop(self, away: int) -> None:
        """Some seconds after a fill: before, it cannot be told from the exchange's own change."""
        for _ in range(3):
            self.look()
        if not self.model.sign:
            return
        price = self.last.quantize(Decimal(1)) - self.model.sign * (away + HALF)
        instrument = self.exchange.instruments[SYMBOL]
        refused = self.exchange.act(lambda book, now_ms: book.set_stops(instrument, 0, Exits(stop_loss=price), now_ms))
        if refused is None:
            self.model.stop, self.model.follows = price, False
        self.look()

    @rule(looks=st.sampled_from((1, 3, 30)))
    def nothing_happens(self, looks: int) -> None:
        for _ in range(looks):
            self.look()

    @rule(at=st.sampled_from((None, *KILLED_AT)))
    def the_relay_is_killed(self, at: Failpoint | None) -> None:
        """Now, or when it comes there."""
        self.switch.at = at
        if at is None:
            self.shop.restart()
            self.look()

    @rule(
        path=st.sampled_from((STOPS, STOPS, POSITIONS, "/v5/order/amend", "/v5/order/cancel", "/v5/order/realtime")),
        kind=st.sampled_from(("drop_reply", "drop_request", "http", "code")),
        times=st.integers(1, 3),
    )
    def something_goes_wrong(self, path: str, kind: str, times: int) -> None:
        """At the next calls there."""
        fault = {"path": path, "kind": kind, "times": times, "retCode": 10016 if path != STOPS else 10001}
        self.exchange.faults.add([paper.read_fault(fault)])

    @rule(kind=st.sampled_from(("drop_reply", "drop_request", "code")), times=st.integers(1, 3))
    def a_take_profit_is_not_taken(self, kind: str, times: int) -> None:
        match = {"reduceOnly": True, "orderType": "Limit"}
        fault = {"path": CREATE, "kind": kind, "times": times, "retCode": 110007, "match": match}
        self.exchange.faults.add([paper.read_fault(fault)])

    # How the relay goes on.

    def send(self, alert: dict[str, object], named: Named | None) -> str:
        self.sent += 1
        number = str(self.sent)
        body = body_of(ticker=f"{SYMBOL}.P", id=number, time=self.clock.true().isoformat(), **alert)
        try:
            receipt = self.shop.take(body)
        except Killed:
            self.shop.restart()
            receipt = self.shop.take(body)
        if named is not None and alert["action"] != "stops":
            self.alerts[receipt.signal_id] = named
        self.go_on(LOOK_MS)
        if named is None or alert["action"] != "stops":
            self.look()
        return receipt.signal_id

    def go_on(self, for_ms: int) -> None:
        """The lanes, until nothing is due within so long."""
        until_ms = self.clock.now_ms + for_ms
        for _ in range(STEPS_MAX):
            ready = self.shop.engine.ready()
            due = [self.shop.engine.due_ms.get(each, 0) for each in self.shop.engine.lanes]
            if not ready and (not due or min(due) > until_ms):
                return
            try:
                if ready:
                    self.shop.engine.step(ready[0])
                else:
                    self.shop.wait_for_a_lane()
            except Killed:
                self.shop.restart()
        raise AssertionError("it never comes to rest")

    def look(self) -> None:
        """Two seconds, and what the relay does in them."""
        was_troubled = self.is_troubled()
        self.looks += 1
        self.clock.pass_ms(LOOK_MS)
        try:
            self.shop.follower.round()
        except Killed:
            self.shop.restart()
        self.go_on(LOOK_MS // 2)
        self.take_turns()
        self.known |= {each.link_id for each in self.resting() if each.closes}
        if was_troubled:
            self.exchange.faults.clear()
            self.look()
            return
        self.check()

    def is_troubled(self) -> bool:
        return self.exchange.faults.count() > 0

    # What the model is told.

    def executed(self, execution: Execution) -> None:
        model, order = self.model, execution.order
        before = model.size
        model.size += order.side.sign * execution.qty
        if not model.size or before * model.size < 0:
            model.flat()
            self.closed_at = self.looks
        elif not before:
            model.is_clear = self.closed_at < self.looks
        if order.closes:
            self.taken(order)
            return
        alert = self.alerts.get(order.link_id.partition("-")[0])
        assert alert is not None
        if alert.number not in model.begun or not before:
            model.begun.add(alert.number)
            model.say(alert, self.known)

    def taken(self, order: Order) -> None:
        ladder = self.model.ladder
        if ladder is None or not ladder.moves_stop or order.link_id in self.model.stale:
            return
        if order.status is Status.FILLED and order.price == ladder.rungs[0] and not order.stop_kind:
            self.model.is_due = True

    def check(self) -> None:
        position = self.exchange.state.position(SYMBOL, 0)
        assert position.size == self.model.size
        if not position.size:
            return
        stop = self.standing()
        wanted = self.model.stands(position.avg_price, self.last)
        if not self.model.is_clear:
            return
        if wanted is not None and (self.last - wanted) * self.model.sign <= 0:
            # A fill had moved it, and the price has passed it since: the exchange takes none there.
            assert stop is not None
            return
        assert stop == wanted, f"the stop of {position.size} at {position.avg_price} is {stop}, not {wanted}"

    def teardown(self) -> None:
        self.patched.__exit__(None, None, None)
        self.client.close()
        self.server.shutdown()
        self.server.server_close()
        self.exchange.close()
        self.shop.journal.close()
        shutil.rmtree(self.file.parent)


Protection.TestCase.settings = settings(
    max_examples=100 if FULL else 4,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestProtection = Protection.TestCase


@pytest.fixture
def played() -> Iterator[Protection]:
    """Steps in their order, each of which checks where the stop stands."""
    machine = Protection()
    try:
        machine.start()
        yield machine
    finally:
        machine.teardown()


def enter(played: Protection, *, away: int, stop: int | None, qty: int = 2, rungs: tuple[int, ...] = ()) -> None:
    played.an_entry(drawn=Side.BUY, away=away, stop=stop, rungs=rungs, moves_stop=True, qty=qty)


def name(played: Protection, stop: int | None, rungs: tuple[int, ...] = ()) -> None:
    played.an_alert_sets_levels(stop=stop, rungs=rungs, moves_stop=True)


def test_the_first_fill_of_an_older_entry_leaves_the_stop_of_a_later_alert(played: Protection) -> None:
    enter(played, away=0, stop=None)
    enter(played, away=2, stop=12)
    name(played, 8)
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    assert played.standing() == Decimal("91.5")
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    assert played.standing() == Decimal("91.5")


def test_where_the_later_alert_names_no_stop_that_of_an_older_entry_holds_once_it_fills(played: Protection) -> None:
    enter(played, away=0, stop=12)
    enter(played, away=2, stop=6)
    name(played, None, (4, 8))
    assert played.standing() == Decimal("87.5")
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    assert played.standing() == Decimal("91.5")


def test_a_stop_that_a_later_entry_names_no_other_for_is_put_back_after_fills_of_the_older_ones(
    played: Protection,
) -> None:
    enter(played, away=2, stop=12, qty=5)
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    name(played, 3)
    stop = played.standing()
    enter(played, away=0, stop=None, rungs=(4, 8))
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    assert played.standing() == stop


def test_a_stop_that_the_price_has_passed_before_it_could_be_put_back_is_told(played: Protection) -> None:
    enter(played, away=1, stop=6, qty=4)
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    name(played, 1)
    assert played.standing() == Decimal("97.5")
    played.move(Decimal(99), depth=Decimal(1))
    played.move(Decimal("96.01"))
    played.look()
    (record,) = played.shop.journal.live_brackets()
    assert record.bracket.trouble is not None and "97.5" in record.bracket.trouble
    played.walk(Decimal(99) + HALF)
    played.look()
    assert played.standing() == Decimal("97.5")


def test_a_stop_that_a_person_has_set_meanwhile_stays_when_the_price_allows_the_older_one_again(
    played: Protection,
) -> None:
    enter(played, away=1, stop=6, qty=4)
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    name(played, 1)
    played.move(Decimal(99), depth=Decimal(1))
    played.move(Decimal("96.01"))
    played.look()
    played.a_person_moves_the_stop(away=1)
    by_hand = played.standing()
    played.the_price_moves(by=4)
    assert played.standing() == by_hand == Decimal("94.5")


def test_what_is_left_of_an_entry_whose_position_was_stopped_out_moves_no_stop_of_a_person(
    played: Protection,
) -> None:
    played.an_entry(drawn=Side.SELL, away=3, stop=9, rungs=(), moves_stop=False, qty=6)
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    played.the_price_moves(by=-5)
    played.a_person_moves_the_stop(away=1)
    played.the_price_moves(by=4)
    assert not played.model.size
    played.a_resting_entry_fills(which=0, part=2, looks=1)
    assert played.standing() == Decimal("112.5")
    played.a_person_moves_the_stop(away=2)
    by_hand = played.standing()
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    assert played.standing() == by_hand == Decimal("105.5")


def test_what_is_left_of_an_entry_whose_position_was_stopped_out_moves_no_stop_that_is_named_later(
    played: Protection,
) -> None:
    enter(played, away=4, stop=3, qty=9)
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    played.the_price_moves(by=4)
    name(played, 1)
    played.the_price_moves(by=-2)
    assert not played.model.size
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    assert played.standing() == Decimal("92.5")
    name(played, 1)
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    assert played.standing() == Decimal("94.5")


def test_the_stop_is_put_back_while_another_order_of_the_lane_is_in_doubt(played: Protection) -> None:
    enter(played, away=2, stop=12, qty=5)
    played.a_resting_entry_fills(which=0, part=1, looks=1)
    name(played, 3)
    played.a_resting_entry_fills(which=0, part=1, looks=0)
    played.exchange.faults.add([paper.read_fault({"path": CREATE, "kind": "drop_request", "times": 1})])
    enter(played, away=0, stop=None)
    assert played.model.size == 2 and played.standing() == Decimal("94.5")


def test_what_is_left_of_an_entry_whose_position_was_stopped_out_has_its_ladder_again(played: Protection) -> None:
    enter(played, away=4, stop=3, qty=9, rungs=(2, 5))
    played.a_resting_entry_fills(which=0, part=3, looks=2)
    assert len(played.known) == 2
    played.the_price_moves(by=4)
    played.a_person_moves_the_stop(away=1)
    played.the_price_moves(by=-2)
    played.nothing_happens(looks=3)
    assert not played.model.size and not any(each.closes for each in played.resting())
    played.a_resting_entry_fills(which=0, part=2, looks=2)
    ladder = sorted((each.price, each.qty) for each in played.resting() if each.closes)
    assert ladder == [(Decimal(102), Decimal(1)), (Decimal(105), Decimal(1))]


def test_a_take_profit_that_filled_before_an_alert_does_not_move_the_stop_that_it_names(played: Protection) -> None:
    enter(played, away=0, stop=9, qty=4, rungs=(2, 5))
    played.a_take_profit_fills(looks=0, part=100, which=0)
    name(played, 8)
    assert played.standing() == Decimal("93.5")


def test_alerts_do_not_wait_in_turn_for_an_older_take_profit_that_is_in_doubt(played: Protection) -> None:
    played.the_relay_is_killed(at=Failpoint.TAKE_PROFIT_ADDED)
    enter(played, away=2, stop=12)
    enter(played, away=0, stop=12, rungs=(2, 5))
    played.a_take_profit_is_not_taken(kind="code", times=3)
    played.send({"action": "close"}, None)
    while played.model.size:
        played.look()
    for away in (0, 4, 4):
        enter(played, away=away, stop=6)
    name(played, 1)
    assert played.standing() == Decimal("98.5")


def test_a_close_does_not_wait_for_a_take_profit_that_is_in_doubt(played: Protection) -> None:
    played.the_relay_is_killed(at=Failpoint.TAKE_PROFIT_ADDED)
    enter(played, away=2, stop=12)
    enter(played, away=0, stop=12, rungs=(2, 5))
    played.a_take_profit_is_not_taken(kind="code", times=3)
    begun_ms = played.clock.now_ms
    played.send({"action": "close"}, None)
    while played.model.size:
        played.look()
        assert played.clock.now_ms < begun_ms + 12_000


def test_the_stop_is_put_back_while_a_take_profit_is_in_doubt(played: Protection) -> None:
    played.the_relay_is_killed(at=Failpoint.TAKE_PROFIT_ADDED)
    played.an_entry(away=2, drawn=Side.BUY, moves_stop=False, qty=2, rungs=(), stop=12)
    played.an_entry(away=0, drawn=Side.BUY, moves_stop=False, qty=2, rungs=(2, 5), stop=12)
    played.a_take_profit_is_not_taken(kind="code", times=1)
    played.a_resting_entry_fills(looks=1, part=1, which=0)
    assert played.standing() == Decimal("87.5")
