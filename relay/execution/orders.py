"""Bring orders a step further: send one, look it up, cancel it; clear the relay's own resting orders of an
instrument."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal

from relay.app.metrics import TimedStage, timed
from relay.app.telemetry import about
from relay.bybit.http import when_sent
from relay.bybit.stream_state import Received
from relay.domain.bracket import Bracket, taken_back
from relay.domain.instrument import Instrument
from relay.domain.order import (
    EXCHANGE_TERMS,
    Accepted,
    ErrorKind,
    NotSent,
    OrderRejected,
    OrderStatus,
    Outcome,
    Purpose,
    Reason,
    RequestSignature,
    SignalStatus,
    Unknown,
)
from relay.domain.order_lifecycle import (
    Drop,
    GiveUp,
    LookUp,
    OrderState,
    Send,
    Settled,
    Wait,
    after_outcome,
    denied,
    looked_up,
    next_step,
    reported,
    sent,
)
from relay.domain.position import Fill, OrderReport, Position
from relay.domain.progress import UNCLEARED, Finish
from relay.domain.protection import RestingOrder, Snapshot
from relay.engine import failpoint
from relay.engine.failpoint import Failpoint
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.execution.gather import FactSource
from relay.execution.ports import Account, ExchangePort, Now, to_ms, utc_now
from relay.execution.work import Deferred, ExchangeSnapshot, Resting, Work, _orders
from relay.journal.journal import Journal
from relay.journal.orders import BracketRecord
from relay.journal.records import CANCEL_ANSWERED, TERMS, OrderRecord
from relay.journal.unit_of_work import UnitOfWork

# Ask the exchange for one order: its report, and its fills where there are any.


def report_of(
    exchange: ExchangePort, order: OrderState, *, is_thorough: bool = False
) -> tuple[OrderReport | None, tuple[Fill, ...]]:
    """Returns None if the exchange has no such order. Raises ExchangeUnreachable or ExchangeAnswered.

    `is_thorough`: an order that is not listed is told by its executions, should there be any.
    """
    planned, identity = order.planned, order.client_order_id
    report = exchange.look_up(category=planned.category, symbol=planned.symbol, client_order_id=identity)
    if report is None and not is_thorough:
        return None, ()
    if report is not None and report.filled_qty <= order.filled_qty:
        return report, ()
    fills = exchange.fills(category=planned.category, symbol=planned.symbol, client_order_id=identity)
    return report or _executed(order, fills), fills


def _executed(order: OrderState, fills: tuple[Fill, ...]) -> OrderReport | None:
    """What executions alone say of an order; None if there is nothing."""
    filled = sum((fill.qty for fill in fills), Decimal(0))
    if not filled:
        return None
    average = sum((fill.qty * fill.price for fill in fills), Decimal(0)) / filled
    return OrderReport(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id or "",
        status=OrderStatus.FILLED if order.planned.is_filled_by(filled, average) else OrderStatus.PARTIALLY_FILLED,
        filled_qty=filled,
        avg_price=average,
        fee=sum((fill.fee for fill in fills), Decimal(0)),
    )


def is_moved_since_sent(exchange: ExchangePort, order: OrderState, *, expected: Decimal | None) -> bool:
    """Whether the order's position has moved since it was first sent. Raises as `report_of` does.

    `expected`: its size by all that is known. Funding and changed stops renew its time and leave its size; so does a
    stop that has taken back what the order may have opened.
    """
    where, sent_at_ms = order.planned, order.attempts[0].signature.timestamp_ms
    position = exchange.position(category=where.category, symbol=where.symbol)
    if position.changed_at_ms is None or position.changed_at_ms < sent_at_ms:
        return False
    if position.size != expected:
        return True
    return exchange.stopped_at_ms(category=where.category, symbol=where.symbol, since_ms=sent_at_ms) is not None


_WAIT_MAX_S = 1.0
"""However long there is nothing to send, an entry grows too old meanwhile."""
_LEVERAGE_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """The order as it is now, and the seconds until there is more to do."""

    order: OrderState
    again_s: float = 0


class Advancer:
    """Takes the steps of any order; it holds nothing of its own between them."""

    def __init__(self, *, journal: Journal, now: Now = utc_now) -> None:
        self._journal = journal
        self._now = now
        self._terms: dict[tuple[str, str], str] = {}
        """By account and kind of contract: where its terms are not accepted; empty where they are, for all known."""

    def step(
        self, account: Account, order: OrderState, deferred: Deferred, *, held_back: Reason | None = None
    ) -> Advanced | GiveUp:
        """`held_back`: why a planned entry may not be sent (again). `deferred`: what is good news waits there."""
        exchange, live = account.exchange, account.live
        if live is not None and order.attempts and (received := live.received(order.client_order_id)) is not None:
            return self._keep_received(order, received, deferred)
        step = next_step(
            order,
            now_ms=exchange.now_ms(),
            bounds=account.bounds,
            held_back=held_back,
            jitter=random.random(),
            is_listening=live is not None and live.is_listening,
        )
        match step:
            case Send(measure_clock=measure):
                return self._send(account, order, deferred, measure_clock=measure)
            case LookUp(is_thorough=is_thorough):
                return self._look_up(account, order, deferred, is_thorough=is_thorough)
            case Wait(until_ms=until_ms):
                return Advanced(
                    order=order, again_s=min(max(0.001, (until_ms - exchange.now_ms()) / 1000), _WAIT_MAX_S)
                )
            case Drop(reason=reason):
                return Advanced(order=self.deny(order, reason, deferred))
            case GiveUp():
                return step
            case Settled():
                raise AssertionError("a settled order is not advanced")

    def place(
        self,
        account: Account,
        order: OrderState,
        signature: RequestSignature,
        deferred: Deferred,
        on_sent: Callable[[], None] = lambda: None,
    ) -> OrderState:
        """Send an order whose attempt is in the journal already. `on_sent`: called once its bytes have left, or must
        wait for a connection."""

        def left() -> None:
            failpoint.passed(Failpoint.BYTES_OUT)
            on_sent()

        with about(client_order_id=order.client_order_id), timed(TimedStage.PLACE), when_sent(left):
            outcome = account.exchange.place(
                order.planned, client_order_id=order.client_order_id, signature=signature, is_exit=order.is_exit
            )
        failpoint.passed(Failpoint.SENT)
        name, number, now_ms = order.client_order_id, order.attempts[-1].number, self._now_ms()
        deferred.add(
            lambda uow: uow.orders.record_outcome(name, number, outcome, now_ms=now_ms),
            lambda: failpoint.passed(Failpoint.OUTCOME_STORED),
        )
        if not isinstance(outcome, Accepted):
            deferred.flush(self._journal)
        if isinstance(outcome, OrderRejected) and outcome.refusal is ErrorKind.RULES:
            _reload_instrument(account, order)
        self._remember_terms(account, order, outcome)
        return after_outcome(order, outcome)

    def _remember_terms(self, account: Account, order: OrderState, outcome: Outcome) -> None:
        """Of which kind of contract the account has not accepted the terms, until an entry there is accepted."""
        planned = order.planned
        instrument = account.market.instrument(planned.category, planned.symbol)
        key = (account.name, instrument.kind if instrument else "")
        if isinstance(outcome, OrderRejected) and outcome.reason_code == EXCHANGE_TERMS:
            known = f"{outcome.code} at {planned.symbol}"
        elif isinstance(outcome, Accepted) and not order.is_exit:
            known = ""
        else:
            return
        if key not in self._terms:
            switch = self._journal.switch(account.name, f"{TERMS} {key[1]}")
            self._terms[key] = switch.value if switch is not None else ""
        if self._terms[key] != known:
            self._terms[key] = known
            name = f"{TERMS} {key[1]}"
            self._journal.set_switch(account.name, name, known, by="the exchange", now_ms=self._now_ms())

    def deny(self, order: OrderState, reason: Reason, deferred: Deferred) -> OrderState:
        """End an order that certainly had no effect, so that it is never sent (again)."""
        name, now_ms = order.client_order_id, self._now_ms()
        deferred.write(self._journal, lambda uow: uow.orders.settle(name, OrderStatus.DENIED, reason, now_ms=now_ms))
        failpoint.passed(Failpoint.ORDER_DENIED)
        return denied(order, reason)

    def _send(self, account: Account, order: OrderState, deferred: Deferred, *, measure_clock: bool) -> Advanced:
        exchange = account.exchange
        if measure_clock or order.planned.leverage is not None:
            deferred.flush(self._journal)
        if measure_clock and not _measured(account):
            return Advanced(order=order, again_s=1.0)
        if not order.attempts and (not_ready := self._set_leverage(account, order, deferred)):
            return not_ready
        signature = exchange.signature()
        if (stays := self._attempt(account, order, signature, deferred)) is not None:
            return Advanced(order=stays)
        failpoint.passed(Failpoint.SUBMITTED)
        return Advanced(order=self.place(account, sent(order, signature), signature, deferred))

    def _attempt(
        self, account: Account, order: OrderState, signature: RequestSignature, deferred: Deferred
    ) -> OrderState | None:
        """Write it down. Returns the order as it is if it must not leave: entries were halted, or it was found to have
        ended, by the follower or a stream, meanwhile.
        """
        now_ms = self._now_ms()

        def write(uow: UnitOfWork) -> OrderState | None:
            if not order.is_exit and uow.halted(account.name) is not None:
                return order
            ended = uow.orders.ended(order.client_order_id) if order.attempts else None
            if ended is None:
                uow.orders.record_attempt(order.client_order_id, signature, now_ms=now_ms)
            return ended

        return deferred.write(self._journal, write)

    def _set_leverage(self, account: Account, order: OrderState, deferred: Deferred) -> Advanced | None:
        """Returns None if it is as it should be.

        An answer that got lost costs nothing: setting it again changes nothing.
        """
        planned = order.planned
        if planned.leverage is None:
            return None
        failpoint.passed(Failpoint.LEVERAGE_DUE)
        outcome = account.exchange.set_leverage(
            category=planned.category, symbol=planned.symbol, leverage=planned.leverage
        )
        failpoint.passed(Failpoint.LEVERAGE_SENT)
        match outcome:
            case Accepted() | OrderRejected(refusal=ErrorKind.UNCHANGED):
                return None
            case OrderRejected(refusal=ErrorKind.CLOCK):
                _measured(account)
                return self._leverage_again(account, order, outcome.words, deferred, counts=True)
            case Unknown():
                return self._leverage_again(account, order, outcome.why, deferred, counts=True)
            case NotSent():
                return self._leverage_again(account, order, outcome.why, deferred, counts=False)
            case OrderRejected(refusal=ErrorKind.RATE):
                return self._leverage_again(account, order, outcome.words, deferred, counts=False)
            case OrderRejected():
                words = f"the leverage could not be set: {outcome.words} (Bybit's code {outcome.code})"
                return Advanced(order=self.deny(order, Reason(code=outcome.reason_code, message=words), deferred))

    def _leverage_again(
        self, account: Account, order: OrderState, why: str, deferred: Deferred, *, counts: bool
    ) -> Advanced:
        """Within the account's bounds: a lane, with its exits, is not held up for a leverage. `counts`: as a try."""
        now_ms, bounds = account.exchange.now_ms(), account.bounds
        begun_ms = now_ms if order.leverage_requested_at_ms is None else order.leverage_requested_at_ms
        requested = replace(
            order, leverage_requested=order.leverage_requested + counts, leverage_requested_at_ms=begun_ms
        )
        if requested.leverage_requested <= bounds.max_attempts and now_ms - begun_ms <= bounds.max_seconds * 1000:
            return Advanced(order=requested, again_s=_LEVERAGE_AGAIN_S)
        words = f"the leverage could not be set in {(now_ms - begun_ms) / 1000:.0f} s: {why}; no entry was sent"
        return Advanced(order=self.deny(requested, Reason(code="EXCHANGE_UNREACHABLE", message=words), deferred))

    def _look_up(self, account: Account, order: OrderState, deferred: Deferred, *, is_thorough: bool) -> Advanced:
        exchange = account.exchange
        deferred.flush(self._journal)
        begun_at_ms = exchange.now_ms()
        try:
            with about(client_order_id=order.client_order_id), timed(TimedStage.LOOK_UP):
                report, fills = report_of(exchange, order, is_thorough=is_thorough)
                is_moved = self._is_moved(account, order) if is_thorough and report is None else None
        except (ExchangeUnreachable, ExchangeAnswered):
            return Advanced(order=replace(order, look_ups=order.look_ups + 1))
        after = looked_up(order, report, begun_at_ms=begun_at_ms, bounds=account.bounds, is_moved=is_moved)
        return self._keep(order, after, report, fills, deferred)

    def _is_moved(self, account: Account, order: OrderState) -> bool:
        expected = self._journal.expected_positions(account.name)
        size = expected.get((order.planned.category, order.planned.symbol))
        return is_moved_since_sent(account.exchange, order, expected=size)

    def _keep_received(self, order: OrderState, received: Received, deferred: Deferred) -> Advanced:
        """Treats what a stream reported like the answer of a look-up."""
        report = received.report
        assert report is not None, "streams hand over an awaited order once its report is there"
        return self._keep(order, reported(order, report), report, received.fills, deferred)

    def _keep(
        self,
        order: OrderState,
        after: OrderState,
        report: OrderReport | None,
        fills: tuple[Fill, ...],
        deferred: Deferred,
    ) -> Advanced:
        failpoint.passed(Failpoint.LOOKED_UP)
        name, now_ms = order.client_order_id, self._now_ms()
        if report is not None:
            deferred.add(
                lambda uow: uow.orders.record_report(name, report, fills, now_ms=now_ms),
                lambda: failpoint.passed(Failpoint.REPORT_STORED),
            )
        elif after.absence is not None and after.is_absent:
            assert order.last is not None, "what was never sent is not looked up"
            number, at_ms = order.last.number, after.absence.at_ms
            deferred.write(self._journal, lambda uow: uow.orders.record_absence(name, number, begun_at_ms=at_ms))
            failpoint.passed(Failpoint.ABSENCE_STORED)
        return Advanced(order=after)

    def _now_ms(self) -> int:
        return to_ms(self._now())


def _reload_instrument(account: Account, order: OrderState) -> None:
    """The exchange may have changed its rules. Where they cannot be read now, the old ones stay."""
    planned = order.planned
    with suppress(ExchangeUnreachable, ExchangeAnswered):
        instrument = account.exchange.instrument(category=planned.category, symbol=planned.symbol)
        if instrument is not None:
            account.market.keep_instrument(instrument)


def _measured(account: Account) -> bool:
    """Whether the exchange's clock could be measured anew."""
    try:
        account.exchange.measure_clock()
    except (ExchangeUnreachable, ExchangeAnswered):
        return False
    return True


def wanted_no_more(account: Account, journal: Journal, bracket: Bracket, order: OrderState) -> Reason | None:
    """Why an order of a bracket's, of which nobody knows whether it arrived, must not be sent again.

    Of coins nothing else keeps it from selling what is not the relay's. Raises as reading the position does.
    """
    planned, name = order.planned, order.client_order_id
    if name in bracket.stale_orders:
        return Reason(code="POSITION_NONE", message="what it was placed for is over, so it is not sent again")
    if planned.category.has_positions or not order.attempts or order.is_there:
        return None
    resting = [each.state for each in journal.resting_orders(account.name, planned.category, planned.symbol)]
    others = [each for each in resting if each.is_exit and each.client_order_id != name]
    spoken_for = sum((each.planned.qty - each.filled_qty for each in others), Decimal(0))
    held = account.exchange.position(category=planned.category, symbol=planned.symbol).size
    if held - spoken_for >= planned.qty:
        return None
    return Reason(code="POSITION_NONE", message="what it was to sell is held no more, so it is not sent again")


# Cancel resting orders of the relay one by one, by id, and look until each has certainly ended.


_LOOK_AGAIN_S = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
_LOOKS_AFTER_ANSWER = 7
_LOOKS_AFTER_SILENCE = 3
"""A second cancel does no harm, and whatever waits for it may be an exit."""
_EXIT_WAITS_MS = 5_000
_NOT_SENT_AGAIN_S = 0.25
_REFUSED_AGAIN_S = 0.5


def cancel_by_hand(journal: Journal, exchange: ExchangePort, record: OrderRecord, *, now_ms: int) -> str | None:
    """Send the cancel that a person wants. Returns why it is not sure; what the exchange has answered is an event.

    Its end is followed like any other; without an answer it is sent again. Raises JournalUnavailable.
    """
    planned = record.state.planned
    name = record.state.client_order_id
    match exchange.cancel(category=planned.category, symbol=planned.symbol, client_order_id=name, order=planned):
        case Accepted() | OrderRejected(refusal=ErrorKind.GONE):
            problem = None
        case OrderRejected(words=words):
            problem = f"the exchange refused: {words}"
        case Unknown(why=why) | NotSent(why=why):
            return f"whether it is cancelled is not known yet: {why}; it is sent again"
    detail = {"client_order_id": name, "problem": problem}
    journal.event(record.signal_id, CANCEL_ANSWERED, detail, now_ms=now_ms)
    return problem


class Canceller:
    """The steps of cancelling; `resting` is the caller's, by client order id, and is kept up to date."""

    def __init__(self, *, journal: Journal, leaves_doubt: bool = False) -> None:
        """`leaves_doubt`: of an order that may never have been there it is enough that it cannot rest any more."""
        self._journal = journal
        self._leaves_doubt = leaves_doubt

    def step(
        self, account: Account, all_resting: dict[str, Resting], *, signal_id: str, is_exit: bool, now_ms: int
    ) -> float | Finish:
        """Cancel or look at the next one. Seconds until there is more to do, or how a signal ends if it cannot be.

        `signal_id`: whose doing it is; `is_exit`: an exit waits for it.
        """
        resting = next(each for each in all_resting.values() if not each.is_over)
        seconds_max = account.bounds.max_seconds
        if is_exit and _is_hopeless(resting, now_ms):
            return _stuck(f"{resting.order.client_order_id} was cancelled, and it is not known whether it is gone")
        if resting.begun_at_ms is not None and now_ms - resting.begun_at_ms > seconds_max * 1000:
            return _stuck(f"{resting.order.client_order_id} could not be cancelled in {seconds_max} s")
        if resting.is_due:
            came_to = self._cancel(account, resting, signal_id, is_exit, now_ms)
        else:
            came_to = self._look(account, resting, now_ms)
        if isinstance(came_to, Finish):
            return came_to
        all_resting[came_to[0].order.client_order_id] = came_to[0]
        return came_to[1]

    def _cancel(
        self, account: Account, resting: Resting, signal_id: str, is_exit: bool, now_ms: int
    ) -> tuple[Resting, float] | Finish:
        order = resting.order
        planned = order.planned
        due = replace(resting, begun_at_ms=resting.begun_at_ms or now_ms)
        failpoint.passed(Failpoint.CANCEL_DUE)
        outcome = account.exchange.cancel(
            category=planned.category,
            symbol=planned.symbol,
            client_order_id=order.client_order_id,
            is_exit=is_exit,
            order=planned,
        )
        failpoint.passed(Failpoint.CANCEL_SENT)
        sent = replace(due, is_due=False, looks=0, is_answered=not isinstance(outcome, Unknown))
        if sent.is_answered:
            sent = replace(sent, answered_at_ms=resting.answered_at_ms or now_ms)
        match outcome:
            case Accepted() | Unknown():
                self._journal.event(signal_id, "cancel_sent", {"client_order_id": order.client_order_id}, now_ms=now_ms)
                return sent, 0.0
            case OrderRejected(refusal=ErrorKind.GONE | ErrorKind.UNCHANGED):
                return sent, 0.0
            case NotSent():
                return due, _NOT_SENT_AGAIN_S
            case OrderRejected(refusal=ErrorKind.CLOCK):
                with suppress(ExchangeUnreachable, ExchangeAnswered):
                    account.exchange.measure_clock()
                return due, _REFUSED_AGAIN_S
            case OrderRejected(refusal=ErrorKind.RATE):
                return due, _REFUSED_AGAIN_S
            case OrderRejected():
                return _stuck(f"{order.client_order_id} could not be cancelled: {outcome.words}")

    def _look(self, account: Account, resting: Resting, now_ms: int) -> tuple[Resting, float]:
        order, exchange = resting.order, account.exchange
        begun_at_ms = exchange.now_ms()
        delay = _LOOK_AGAIN_S[min(resting.looks, len(_LOOK_AGAIN_S) - 1)]
        looks = resting.looks + 1
        is_due = looks >= (_LOOKS_AFTER_ANSWER if resting.is_answered else _LOOKS_AFTER_SILENCE)
        looked = replace(resting, looks=looks, is_due=is_due)
        try:
            report, fills = report_of(exchange, order, is_thorough=is_due)
        except (ExchangeUnreachable, ExchangeAnswered):
            return resting if resting.is_answered else looked, max(delay, _NOT_SENT_AGAIN_S)
        looked = replace(looked, answered_at_ms=resting.answered_at_ms or now_ms)
        if report is None and not (is_due and resting.is_answered):
            return looked, delay
        if report is None and self._leaves_doubt and order.is_in_doubt and not order.is_there:
            return replace(looked, rests_no_more=begun_at_ms > order.dead_at_ms), delay
        report = report or _vanished(resting)
        self._journal.record_report(order.client_order_id, report, fills, now_ms=now_ms)
        failpoint.passed(Failpoint.CANCEL_CONFIRMED)
        after = reported(order, report)
        return replace(looked, order=after), 0.0 if after.status.is_ended else delay


def _is_hopeless(resting: Resting, now_ms: int) -> bool:
    """For an exit, which goes by the position, after seconds. While nothing is answered it could not leave either."""
    is_tried = not resting.is_due or resting.looks > 0
    return is_tried and resting.answered_at_ms is not None and now_ms - resting.answered_at_ms > _EXIT_WAITS_MS


def _vanished(resting: Resting) -> OrderReport:
    """The exchange acknowledged it once and does not list it any more: it forgets what was cancelled without a fill."""
    order = resting.order
    return OrderReport(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id or "",
        status=OrderStatus.CANCELED,
        filled_qty=order.filled_qty,
        avg_price=order.avg_price,
        fee=order.fee,
        reason="the exchange does not list it any more",
    )


def _stuck(why: str) -> Finish:
    return Finish(
        status=SignalStatus.ATTENTION,
        reason=Reason(code=UNCLEARED, message=why),
        notes=("nothing was sent: a resting order could have filled behind it",),
    )


# Cancel the relay's own resting orders of a symbol before the position is read.
#
# Never the exchange's cancel-all: that takes the position's stops with it.


class Clearing:
    """The first part of a close, a target or a flip: cancels the relay's resting orders, lest one fills behind it."""

    def __init__(self, *, journal: Journal) -> None:
        self._journal = journal
        self._canceller = Canceller(journal=journal, leaves_doubt=True)

    def is_clear(self, work: Work) -> bool:
        """Whether nothing of the relay's rests that the signal wants gone."""
        if not work.signal.clears_resting:
            return True
        if work.clearing is None:
            work.clearing = self._resting(work)
        return all(each.is_over for each in work.clearing.values())

    def _resting(self, work: Work) -> dict[str, Resting]:
        signal = work.signal
        assert signal.category is not None and signal.symbol is not None
        records = self._journal.resting_orders(work.account.name, signal.category, signal.symbol)
        records = tuple(each for each in records if signal.clears(each.state.planned.purpose))
        found = {each.state.client_order_id: Resting(order=each.state) for each in records}
        if any(each.state.planned.purpose is Purpose.EXIT for each in records):
            self._take_back(work, frozenset(found))
        return found

    def _take_back(self, work: Work, order_ids: frozenset[str]) -> None:
        """Take profits that rest may be among them; they rest again if the position stays."""
        signal, now_ms = work.signal, to_ms(utc_now())
        assert signal.category is not None and signal.symbol is not None
        for record in self._journal.live_brackets_of(work.account.name, signal.category, signal.symbol):
            bracket = taken_back(record.bracket, order_ids)
            if bracket != record.bracket:
                self._journal.save_bracket(record.seq, bracket, now_ms=now_ms)

    def step(self, work: Work, *, now_ms: int) -> float:
        """Cancel or look at the next one. Seconds until there is more to do.

        One that cannot be cancelled is left, and `work.uncleared` says so. The others then share its time.
        """
        assert work.clearing is not None
        waits = self._canceller.step(
            work.account,
            work.clearing,
            signal_id=work.signal.id,
            is_exit=work.signal.only_exits,
            now_ms=now_ms,
        )
        if not isinstance(waits, Finish):
            return waits
        work.uncleared = work.uncleared or waits
        stuck, *others = [each for each in work.clearing.values() if not each.is_over]
        begun_at_ms = stuck.begun_at_ms or now_ms
        work.clearing = {
            each.order.client_order_id: replace(
                each,
                begun_at_ms=each.begun_at_ms or begun_at_ms,
                answered_at_ms=each.answered_at_ms or stuck.answered_at_ms,
            )
            for each in others
        }
        return 0.0


# Read what a bracket's next step is decided by: the position, and the orders that rest for it.


def entry_snapshot(
    account: Account,
    journal: Journal,
    record: BracketRecord,
    instrument: Instrument,
    known: Mapping[str, OrderState],
    now_ms: int,
) -> Snapshot:
    """For a bracket that waits: its entries, as they are known or the journal has them; the position where there are
    none."""
    position = None
    if not record.bracket.entries:
        position = _position_of(account, record)
    orders = _orders(journal, record.bracket.entries, known)
    return Snapshot(instrument=instrument, now_ms=now_ms, position=position, orders=orders)


def look(
    account: Account,
    journal: Journal,
    record: BracketRecord,
    instrument: Instrument,
    known: dict[str, OrderState],
    *,
    now_ms: int,
    before_asking: Callable[[], None] = lambda: None,
) -> ExchangeSnapshot | None:
    """Returns None if an order has filled meanwhile, so that the position that was read may be older or newer than the
    fill. `before_asking`: called before the exchange is asked for anything.

    Raises ExchangeUnreachable or ExchangeAnswered. What is news goes into the journal and into `known`.
    """
    exchange, category, symbol = account.exchange, record.category, record.symbol
    # What is held of coins is reckoned from the journal's own fills, so they have to be in it.
    if not category.has_positions or account.live is None or account.live.position_now(category, symbol) is None:
        before_asking()
    position = _position_of(account, record)
    orders = _orders(journal, record.bracket.order_ids, known)
    resting = {name: each for name, each in orders.items() if each.rests and not each.status.is_ended}
    if not resting:
        return ExchangeSnapshot(instrument=instrument, position=position, resting={})
    before_asking()
    shown = {each.client_order_id: each for each in exchange.open_orders(category=category, symbol=symbol)}
    is_news = False
    as_shown = {}
    for name, order in resting.items():
        resting_order = shown.get(name)
        if resting_order is not None and resting_order.filled_qty == order.filled_qty:
            price = resting_order.price or resting_order.trigger_price
            as_shown[name] = RestingOrder(qty=resting_order.qty, price=price)
            continue
        report, fills = report_of(exchange, order)
        is_news = True
        if report is not None:
            journal.record_report(name, report, fills, now_ms=now_ms)
            known[name] = reported(order, report)
    return None if is_news else ExchangeSnapshot(instrument=instrument, position=position, resting=as_shown)


def _position_of(account: Account, record: BracketRecord) -> Position:
    """As the streams have told it where that is proven to be current, with the price of now; else as it is read."""
    source = FactSource(account)
    position, _ = source.position(record.category, record.symbol)
    mark = account.live.price_now(record.category, record.symbol) if account.live else None
    return position if mark is None else replace(position, mark_price=mark)
