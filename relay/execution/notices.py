"""Tell people what happens: from the journal's events to texts, and their delivery, in threads of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Final

from relay.app import metrics
from relay.bybit.wire_orders import ReportedExecution
from relay.domain.instrument import plain
from relay.domain.notice import Notice, NoticeKind
from relay.domain.order import OrderStatus, SignalStatus
from relay.domain.progress import Finish
from relay.domain.signal import Action, Signal
from relay.errors import JournalUnavailable
from relay.execution.delivery import SMALLEST, Delivery, NoticeMessage, Service, messages_of, send_test
from relay.execution.ports import Now, to_ms, utc_now
from relay.journal.accept import ID_REUSED
from relay.journal.notices import EVENTS, SUMMARY, SWITCHES, WEEKLY, EventRecord, Notices, Period
from relay.journal.records import PRICE_MOVED, Switch
from relay.settings.config import NAME

# What a person is told of an event: which alert, what became of it, and why, in a line.


QUICK_MS: Final = 4000
LATE_MS: Final = 20_000
"""TradingView sends again after 5 s, up to three times, never earlier or later."""
_ID_REUSED: Final = "ALERT_ID_REUSED"

_REFUSED: Final = {
    SignalStatus.DENIED: "denied",
    SignalStatus.FAILED: "the exchange refused it",
    SignalStatus.EXPIRED: "expired",
    SignalStatus.REJECTED: "the alert was rejected",
}
_FILLED: Final = {f"order_{each}" for each in ("filled", "partially_filled", "canceled", "expired")}


def notice_of(event: EventRecord) -> Notice | None:
    """Returns None for what nobody is told of."""
    if event.name in _FILLED:
        return _of_fill(event)
    if event.name == "duplicate":
        return _of_repeat(event)
    if event.name == ID_REUSED:
        return _reported(NoticeKind.DUPLICATE, event, f"executed as far as it exits; {event.detail.get('note')}")
    if event.name == f"order_{OrderStatus.REJECTED}":
        # The signal's own end tells of it, unless that has come already: then it was a resting order.
        return _reported(NoticeKind.REFUSED, event, _late_refusal(event)) if event.status is SignalStatus.DONE else None
    if event.name == PRICE_MOVED:
        text = (
            f"the exchange moved the limit price {event.detail.get('sent')} to {event.detail.get('price')}, its bound"
        )
        return _reported(NoticeKind.EXCHANGE, event, text)
    if event.name == SignalStatus.ATTENTION:
        return _reported(NoticeKind.ATTENTION, event, f"LOOK AT THE EXCHANGE: {_why(event)}")
    if event.name in _REFUSED:
        is_reused = event.reason is not None and event.reason.code == _ID_REUSED
        kind = NoticeKind.DUPLICATE if is_reused else NoticeKind.REFUSED
        return _reported(kind, event, f"{_REFUSED[SignalStatus(event.name)]}: {_why(event)}")
    return None


def _of_fill(event: EventRecord) -> Notice | None:
    filled, order = event.detail.get("filled_qty"), event.order
    if order is None or not filled or filled == "0":
        return None
    of_all = "" if event.name == "order_filled" else f" of {plain(order.qty)}"
    price = _plain(event.detail.get("avg_price"))
    made = f", PnL {_money(*order.realised)} before fees" if order.realised and order.realised[0] else ""
    what = f"{order.side} {filled}{of_all} filled{f' at {price}' if price else ''}{made}"
    return _reported(NoticeKind.FILL, event, what)


def _money(amount: Decimal, coin: str) -> str:
    """As people write it: of a dollar cents, of another coin all that it has; nothing has no sign."""
    rounded = amount.quantize(Decimal("0.01")) if coin.startswith("USD") else amount.quantize(Decimal("1E-8"))
    shown = rounded if coin.startswith("USD") else rounded.normalize()
    return f"{shown:+f} {coin}" if shown else f"{abs(shown):f} {coin}"


def _plain(number: object) -> str:
    try:
        return plain(Decimal(str(number))) if number is not None else ""
    except InvalidOperation:
        return str(number)


def _of_repeat(event: EventRecord) -> Notice | None:
    measured = (event.detail or {}).get("after_ms")
    after_ms = event.at_ms - event.received_at_ms if measured is None else int(measured)
    if QUICK_MS <= after_ms <= LATE_MS or event.action == Action.HEARTBEAT:
        return None
    text = (
        f"the same alert came again after {after_ms} ms, which cannot be TradingView's resend, and was not executed "
        "again: is it set up twice, or has its message neither `id` nor `time`?"
    )
    return _reported(NoticeKind.DUPLICATE, event, text)


def _late_refusal(event: EventRecord) -> str:
    return f"a resting order was refused by the exchange: {event.detail.get('reason') or 'it gave no reason'}"


def _why(event: EventRecord) -> str:
    return f"{event.reason.code}: {event.reason.message}" if event.reason else "the journal has no reason"


def _reported(kind: NoticeKind, event: EventRecord, what: str) -> Notice:
    alert = " ".join(filter(None, (event.symbol, event.action))) or "an alert"
    strategy = f" ({event.strategy})" if event.strategy not in (None, NAME) else ""
    account = event.account if event.account is not None and event.account != NAME else ""
    return Notice(
        kind=kind, text=f"{alert}{strategy}: {what}", at_ms=event.at_ms, signal_id=event.signal_id, account=account
    )


_OUTSIDE: Final = {
    "AdlTrade": "was reduced by auto-deleveraging",
    "BustTrade": "was liquidated",
    "Delivery": "was closed by delivery, because the contract is delisted",
    "Settle": "was settled",
    "CorporateAction": "was changed by a stock split or reverse split: its size and price mean something else now",
    "MovePosition": "was moved to or from another account",
}


def outside_text(account: str, execution: ReportedExecution) -> str:
    """What the exchange did to a position by itself, for people."""
    what = _OUTSIDE.get(execution.kind, f"was changed by an execution of the kind {execution.kind[:40]}")
    return f"{execution.symbol} on {account} {what} ({execution.text}); it is read anew, and protected as it is then"


def halt_notice(switch: Switch) -> Notice | None:
    """`switch` was set: that is told where it holds entries back or lets them go again."""
    if switch.name != "halt":
        return None
    account = "" if switch.account in ("", NAME) else f" on {switch.account}"
    what = "halted: no new entries, exits go on" if switch.value == "on" else "resumed: new entries are allowed"
    return Notice(kind=NoticeKind.HALT, text=f"{what}{account} (by {switch.by})", at_ms=switch.at_ms)


_SHOWN_MAX: Final = 20


def report_of(period: Period, *, until_ms: int) -> list[Notice]:
    """A line a topic. `until_ms`: the midnight (UTC) at which the day or the week ended."""
    last = datetime.fromtimestamp(until_ms / 1000 - 1, UTC).date()
    when = str(last) if period.days == 1 else f"{last - timedelta(days=period.days - 1)} to {last}"
    counts = ", ".join(f"{count} {status}" for status, count in sorted(period.signals.items()))
    alerts = sum(period.signals.values())
    lines = [f"{when}: {alerts} alerts{f' ({counts})' if counts else ''}, {period.filled} orders filled"]
    if (ways := period.ways) is not None:
        lines.append(
            f"{ways.only_by_mail} of {ways.alerts} alerts came only by mail, {ways.only_by_webhook} only by webhook"
        )
    lines += _of_strategies(period)
    if period.denied:
        said = sorted(period.denied.items(), key=lambda each: (-each[1], each[0]))
        lines.append("not executed: " + ", ".join(f"{count} {code}" for code, count in said[:_SHOWN_MAX]))
    lines += _open_risk(period)
    lines += _for_people(period)
    kind = NoticeKind.SUMMARY if period.days == 1 else NoticeKind.WEEKLY
    return [Notice(kind=kind, text=line, at_ms=until_ms) for line in lines]


def _of_strategies(period: Period) -> list[str]:
    """What each one's closed trades came to, on all accounts."""
    names = sorted({each.strategy for each in period.results} | period.tallies.keys())
    return [_of_strategy(name, period) for name in names[:_SHOWN_MAX]]


def _of_strategy(name: str, period: Period) -> str:
    own = [each for each in period.results if each.strategy == name]
    net: defaultdict[str, Decimal] = defaultdict(Decimal)
    for each in own:
        net[each.coin] += each.net
    trades, won = sum(each.trades for each in own), sum(each.won for each in own)
    slip = sorted(period.tallies[name].slippages_pct) if name in period.tallies else []
    slipped = f", slippage {slip[len(slip) // 2].quantize(Decimal('0.001')) + 0:f} % in the middle" if slip else ""
    sums = ", ".join(_money(amount, coin) for coin, amount in sorted(net.items()))
    made = f"net {sums} after fees, {trades} trades closed ({won} won)" if own else "no trade closed"
    return f"{name or 'by hand'}: {made}{slipped}"


def _open_risk(period: Period) -> list[str]:
    """What is open, and what its stops would cost from the entry on."""
    of_lane = {(each.account, each.symbol): each.bracket for each in period.brackets}
    said = []
    for (account, symbol), size in sorted(period.positions.items())[:_SHOWN_MAX]:
        bracket = of_lane.get((account, symbol))
        stop = "" if bracket is not None and bracket.stop_loss is not None else ", no stop that the relay knows"
        where = f" on {account}" if account != NAME else ""
        said.append(f"{symbol}{where} {size:+f}{stop}")
    more = len(period.positions) - len(said)
    return [f"open: {'; '.join(said)}{f'; and {more} more' if more else ''}"] if said else []


def _for_people(period: Period) -> list[str]:
    said = (
        [f"entries are halted on {', '.join(filter(None, period.halted)) or 'all accounts'}"] if period.halted else []
    )
    if period.attention:
        ids = ", ".join(each[:12] for each in period.attention[:_SHOWN_MAX])
        said.append(f"{len(period.attention)} signals need you: {ids}")
    return [f"to look at: {'; '.join(said)}"] if said else []


log = logging.getLogger(__name__)

_LOOK_S: Final = 0.5
_DROP_EVERY_S: Final = 600.0
_RECEIVED_MAX: Final = 1000
_DELIVERY_S: Final = 40.0
"""Of messages in one piece: then what has come meanwhile is looked at, what needs a person first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds: how long a message gathers, how far apart messages and parts of one are, after how long of failures the
    other services are told, the pauses after failures, the last moment."""

    gather_s: float = 1.5
    apart_s: float = 15.0
    part_s: float = 1.0
    tell_s: float = 3600.0
    again_s: tuple[float, ...] = (5.0, 15.0, 60.0, 300.0)
    at_stop_s: float = 1.0


class Notifier:
    """Reads the journal's events and what it is told; a thread for each service delivers."""

    def __init__(
        self, *, notices: Notices, services: Iterable[Service], pace: Pace | None = None, now: Now = utc_now
    ) -> None:
        self._notices = notices
        self._services = tuple(services)
        self._targets = tuple(service.target for service in self._services)
        self._now = now
        self._received: deque[Notice] = deque(maxlen=_RECEIVED_MAX)
        self._pace = pace or Pace()
        self._has_begun = False
        self._stop = threading.Event()
        self._read_out = threading.Event()
        self._reader = threading.Thread(target=self._read, name="notices", daemon=True)
        ends = (self._stop, self._read_out)
        self._posts = [
            _Post(service, notices, self._pace, now, ends, partial(self._tell_others, service))
            for service in self._services
        ]
        self._drop_at = 0.0

    @property
    def recipients(self) -> list[tuple[str, list[str]]]:
        """Each one's name, which holds nothing of the address, and of what it is told."""
        return [(each.name, sorted(each.target.kinds)) for each in self._services]

    def start(self) -> None:
        """Does nothing where nobody is to be told."""
        if self._services and not self._reader.is_alive():
            self._guarded(self._begin)  # before any alert comes: what comes is news
            self._guarded(lambda: self._drop_old(to_ms(self._now())))  # before anything is delivered
            self._reader.start()
            for post in self._posts:
                post.thread.start()

    def receive(self, kind: NoticeKind, text: str) -> None:
        """At once: what it is told is written down by the next look."""
        if self._services:
            self._received.append(Notice(kind=kind, text=text, at_ms=to_ms(self._now())))

    def send_test(self) -> list[tuple[str, Delivery]]:
        """To each recipient at once, past what waits for it."""
        return send_test(self._services)

    def stop(self) -> None:
        """A last look, and a moment for a last delivery; what is not delivered then is after the next start."""
        self._stop.set()
        self._wake()
        until = time.monotonic() + self._pace.at_stop_s
        for thread in (self._reader, *(post.thread for post in self._posts)):
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    def _read(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(_LOOK_S)
            self._guarded(self.look)
        self._read_out.set()

    def _guarded(self, do: Callable[[], None]) -> None:
        try:
            do()
        except JournalUnavailable as error:
            log.warning("notices wait for the journal: %s", error)
        except Exception:
            log.exception("notices could not be made just now")

    def _begin(self) -> None:
        if not self._has_begun:
            self._notices.begin(to_ms(self._now()))
            self._has_begun = True

    def look(self) -> None:
        """Everything new becomes notices, and who delivers them is woken. Raises JournalUnavailable."""
        self._begin()
        now_ms = to_ms(self._now())
        while self._look_at_events(now_ms):
            pass
        after, upto, changed = self._notices.changed_switches()
        if changed:
            self._keep(map(halt_notice, changed), mark=SWITCHES, after=after, upto=upto)
        for name in (SUMMARY, WEEKLY):
            if (over := self._notices.period_before(name, now_ms)) is not None:
                after, upto, period = over
                self._keep(report_of(period, until_ms=upto), mark=name, after=after, upto=upto)
        self._keep_received()
        self._drop_old(now_ms)

    def _look_at_events(self, now_ms: int) -> bool:
        """Whether there may be more."""
        after, upto, events = self._notices.unread(now_ms)
        if upto == after:
            return False
        return self._keep(map(notice_of, events), mark=EVENTS, after=after, upto=upto)

    def _keep(self, notices: Iterable[Notice | None], *, mark: str, after: int, upto: int) -> bool:
        stored = self._notices.save(self._addressed(notices), mark=mark, after=after, upto=upto)
        self._wake()
        return stored

    def _keep_received(self) -> None:
        received = [self._received.popleft() for _ in range(len(self._received))]
        if not received:
            return
        try:
            self._notices.add(self._addressed(received))
        except JournalUnavailable:
            self._received.extendleft(reversed(received))
            raise
        self._wake()

    def _addressed(self, notices: Iterable[Notice | None]) -> list[tuple[str, Notice]]:
        return [
            (target.fingerprint, notice)
            for notice in notices
            for target in self._targets
            if notice is not None and notice.kind in target.kinds
        ]

    def _tell_others(self, service: Service, text: str) -> None:
        """What is wrong with `service` is told to everybody but itself."""
        notice = Notice(kind=NoticeKind.ATTENTION, text=text, at_ms=to_ms(self._now()))
        others = [each for each in self._addressed([notice]) if each[0] != service.target.fingerprint]
        self._guarded(lambda: self._notices.add(others))
        self._wake()

    def _drop_old(self, now_ms: int) -> None:
        if time.monotonic() >= self._drop_at:
            self._drop_at = time.monotonic() + _DROP_EVERY_S
            for count in self._notices.drop_old(now_ms).values():
                log.error("%d notices could not be delivered for a day and were dropped", count)

    def _wake(self) -> None:
        for post in self._posts:
            post.news.set()


class _Post:
    """Delivers to one service: gathers for a moment, sends all there is in as few messages as do, and pauses."""

    def __init__(
        self,
        service: Service,
        notices: Notices,
        pace: Pace,
        now: Now,
        ends: tuple[threading.Event, threading.Event],
        tell_others: Callable[[str], None],
    ) -> None:
        """`ends`: the relay stops; all that will be told has been written down."""
        self.news = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"notify {service.name}", daemon=True)
        self._service = service
        self._notices = notices
        self._pace = pace
        self._now = now
        self._stop, self._read_out = ends
        self._tell_others = tell_others
        self._limit, self._is_bare = service.limit, False
        self._failures = 0
        self._failing_since: float | None = None
        self._is_reported = False
        self.news.set()  # what an earlier run left

    def _run(self) -> None:
        while not self._stop.is_set():
            # Awake now and then: another process may have left something.
            self.news.wait(self._pace.apart_s)
            self._stop.wait(self._pace.gather_s)
            self.news.clear()
            if not self._stop.is_set():
                self._stop.wait(self._next())
        if not self._failures:
            self._read_out.wait()
            self._next()

    def _next(self) -> float:
        """Deliver, and how many seconds to pause."""
        try:
            came_to = self.deliver()
        except JournalUnavailable as error:
            log.warning("notices to %s wait for the journal: %s", self._service.name, error)
            came_to = Delivery.AWAY
        except Exception:
            log.exception("notices could not be sent to %s", self._service.name)
            came_to = Delivery.AWAY
        if came_to is None:
            return 0.0
        self._note(came_to)
        if came_to is Delivery.TAKEN:
            return self._pace.apart_s
        self.news.set()
        # Another size is tried soon: it is the text that was not liked.
        place = 1 if came_to is Delivery.REFUSED else min(self._failures, len(self._pace.again_s))
        return self._pace.again_s[place - 1]

    def _note(self, came_to: Delivery) -> None:
        """How long nothing has been taken; the other services are told of it once, and once of its end."""
        name = self._service.name
        if came_to is Delivery.TAKEN:
            if self._is_reported:
                self._tell_others(f"{name} takes notices again")
            self._failures, self._failing_since, self._is_reported = 0, None, False
            return
        self._failures += 1
        self._failing_since = self._failing_since or time.monotonic()
        failing_s = time.monotonic() - self._failing_since
        if failing_s >= self._pace.tell_s and not self._is_reported:
            self._is_reported = True
            text = f"{name} of NOTIFY_URLS has taken no notice for {failing_s / 60:.0f} minutes; is the recipient gone?"
            log.error("%s They are dropped when they are a day old.", text)
            self._tell_others(text)

    def deliver(self) -> Delivery | None:
        """What became of it, message by message; None if there was nothing. Raises JournalUnavailable."""
        waiting = self._notices.waiting(self._service.target.fingerprint, to_ms(self._now()))
        came_to: Delivery | None = None
        until = time.monotonic() + _DELIVERY_S
        for message in messages_of(waiting, limit=self._limit, bare=self._is_bare):
            if came_to and (self._stop.wait(self._pace.part_s) or time.monotonic() > until):
                self.news.set()
                break
            if not self._notices.claim(message.notices, to_ms(self._now())):
                break
            came_to = self._sent(message)
            if came_to is not Delivery.TAKEN:
                self._notices.give_back(message.notices)
                break
            self._notices.delivered(message.notices)
        return came_to

    def _sent(self, message: NoticeMessage) -> Delivery:
        """After a refusal what is sent next is smaller, in the end one notice of plain letters; then larger again."""
        try:
            came_to = self._service.send(message.text)
        except Exception:
            log.exception("the service %s failed", self._service.name)
            came_to = Delivery.AWAY
        metrics.reported.labels(self._service.target.scheme, "yes" if came_to is Delivery.TAKEN else "no").inc()
        if came_to is Delivery.TAKEN:
            self._limit, self._is_bare = min(self._service.limit, self._limit * 2), False
            return came_to
        count = len(message.notices)
        log.warning(
            "%s did not take a message of %d notices (%s); it is sent again", self._service.name, count, came_to
        )
        if came_to is Delivery.REFUSED:
            if self._is_bare:
                return Delivery.AWAY  # nothing smaller is left to try
            self._is_bare = self._limit <= SMALLEST
            self._limit = max(SMALLEST, min(self._limit, len(message.text)) // 2)
        return came_to


# Tell whoever waits that a signal is finished, and whoever listens what became of it. Never in the way of an order.


Listener = Callable[[Signal, str, Finish], None]
Receiver = Callable[[NoticeKind, str], None]


class Announcer:
    """Thread-safe. A waiter is a request that asked for the outcome; a listener must be quick."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: dict[str, list[threading.Event]] = {}
        self._listeners: list[Listener] = []
        self._receivers: list[Receiver] = []
        self.is_released = False
        """The relay is stopping: nobody waits any more."""

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def add_receiver(self, receiver: Receiver) -> None:
        """`receiver` is given what `tell` is; it must be quick and must not raise."""
        self._receivers.append(receiver)

    def tell(self, kind: NoticeKind, text: str) -> None:
        """Something that a person should know and that is no signal's outcome: a line, without secrets.

        What the journal's events say (outcomes, fills, halts) is told from there and needs no call.
        """
        log.log(logging.INFO if kind is NoticeKind.RUN else logging.WARNING, "%s: %s", kind.value, text)
        for receiver in self._receivers:
            receiver(kind, text)

    def finished(self, signal: Signal, account: str, finish: Finish) -> None:
        """One account's part of the signal has come to its end; it is in the journal already."""
        level = logging.WARNING if finish.status is SignalStatus.ATTENTION else logging.INFO
        reason = f" {finish.reason.code}: {finish.reason.message}" if finish.reason else ""
        log.log(level, "signal %s on %s: %s%s", signal.id, account, finish.status.value, reason)
        metrics.outcomes.labels(finish.status.value, finish.reason.code if finish.reason else "").inc()
        metrics.took(metrics.TimedStage.FINISH, (utc_now() - signal.received_at).total_seconds())
        with self._lock:
            waiters = self._waiters.pop(signal.id, [])
        for waiter in waiters:
            waiter.set()
        for listener in self._listeners:
            listener(signal, account, finish)

    def expect(self, signal_id: str) -> threading.Event:
        """An event that is set at the next news of the signal. Take it before looking, then wait; then `forget` it."""
        event = threading.Event()
        with self._lock:
            self._waiters.setdefault(signal_id, []).append(event)
        return event

    def forget(self, signal_id: str, event: threading.Event) -> None:
        with self._lock:
            waiters = self._waiters.get(signal_id, [])
            if event in waiters:
                waiters.remove(event)
            if not waiters:
                self._waiters.pop(signal_id, None)

    def release(self) -> None:
        """Let all waiters go: the relay is stopping."""
        with self._lock:
            self.is_released = True
            waiters = [event for events in self._waiters.values() for event in events]
            self._waiters.clear()
        for event in waiters:
            event.set()
