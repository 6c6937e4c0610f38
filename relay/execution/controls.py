"""What people ask for: halt, resume, flatten, retry, seen, and what an alert would do now."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from relay.alerts.authenticate import Credentials
from relay.alerts.formats import NATIVE
from relay.alerts.parse import legible
from relay.alerts.signal import FieldRead, fields_read, native_fields, read
from relay.alerts.wording import Scenario, filled, is_template, of_strategy
from relay.domain.bracket import breakeven_price, ladder_notes, shown_with
from relay.domain.instrument import Category, plain
from relay.domain.intent import intent_of
from relay.domain.order import OrderStatus, PlannedOrder, Reason, Side, SignalStatus
from relay.domain.order_lifecycle import OUTCOME_UNKNOWN
from relay.domain.plan import Facts, LimitFacts, Plan, PlanStatus
from relay.domain.planning import LimitCheck, limit_checks, plan_of, proposal_of
from relay.domain.position import Position
from relay.domain.signal import Action, QtyUnit, made_at_ms, new_signal_id
from relay.engine.lease_guard import LeaseLost
from relay.errors import (
    AlertError,
    ExchangeAnswered,
    ExchangeUnreachable,
    FactsUnreadable,
    RestoreUnseen,
    SignalNotSeen,
)
from relay.execution import accept
from relay.execution.accept import Intake, Receipt
from relay.execution.gather import FactSource, Gatherer, NotGathered
from relay.execution.orders import cancel_by_hand, is_moved_since_sent, report_of
from relay.execution.ports import Account, Now, to_ms, utc_now
from relay.execution.protection import ActingFor
from relay.execution.tasks import Feeder
from relay.execution.work import Strategy, Work, rules_of, stored_signal
from relay.journal.api_queries import SIGNAL_SEEN, status_of
from relay.journal.journal import Journal
from relay.journal.maintenance import release
from relay.journal.records import CANCEL_REQUESTED, HALT, OrderRecord, rfc3339
from relay.journal.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)

REQUEST_ID_FORM: Final = re.compile("[A-Za-z0-9_-]{0,64}", re.ASCII)
_TIMED_ID: Final = re.compile("0[0-9a-hjkmnp-tv-z]{25}", re.ASCII)
"""What `new_signal_id` makes."""
_NOT_RESUMED = "entries stay halted: the journal was brought back from a backup, and this differs from the exchange:"
_CANCELLED_ELSEWHERE = "It is asked for: the process that owns the account cancels it, and the order's end follows."


class FlattenOutcome(StrEnum):
    """What `flatten` came to at one symbol of an account, or at the account as a whole."""

    QUEUED = "queued"
    NOTHING_OPEN = "nothing_open"
    UNREADABLE = "unreadable"
    """What is open cannot be read, or the relay cannot close it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flattened:
    """`symbol` None: of the account as a whole. `signal_id`: the close's, where there is one."""

    account: str
    symbol: str | None = None
    outcome: FlattenOutcome
    message: str
    signal_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionPart:
    """How much of a position: a share in percent, or a quantity in the exchange's unit; one of the two."""

    share_pct: Decimal | None = None
    qty: Decimal | None = None

    def fields(self, category: Category) -> dict[str, str]:
        """Of an alert."""
        if self.share_pct is not None:
            return {"qty": plain(self.share_pct), "qty_unit": QtyUnit.POSITION_PCT.value}
        assert self.qty is not None, "one of the two is named"
        unit = QtyUnit.CONTRACTS if category is Category.INVERSE else QtyUnit.BASE
        return {"qty": plain(self.qty), "qty_unit": unit.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOutlook:
    """`expires`: its entry would be too old. Prices in the quote coin, None where they are not known."""

    age_s: int
    max_age_s: int
    expires: bool
    price_then: Decimal | None
    """As the alert said it."""
    price_now: Decimal | None


class Controls:
    """Thread-safe; everything it does survives a restart."""

    def __init__(
        self,
        *,
        journal: Journal,
        intake: Intake,
        runner: Feeder,
        accounts: Mapping[str, Account],
        strategies: Mapping[str, Strategy],
        acting_for: ActingFor = lambda account: nullcontext(),
        now: Now = utc_now,
    ) -> None:
        """`acting_for`: by whose right an account's orders are cancelled here; None if another process does it."""
        self._acting_for = acting_for
        self._journal = journal
        self._intake = intake
        self._runner = runner
        self._accounts = accounts
        self._strategies = strategies
        self._now = now

    def halt(self, *, by: str) -> None:
        """No new entries on any account, restarts included, until `resume`. Exits go on."""
        self._switch("on", by)

    def resume(self, *, by: str) -> None:
        """Allow new entries again.

        RestoreUnseen, with what somebody has to see first: the accounts that it is about stay halted.
        """
        now_ms = to_ms(self._now())
        unseen = {name: release(self._journal, name, now_ms=now_ms) for name in self._accounts}
        self._switch("off", by, [name for name, lines in unseen.items() if not lines])
        if lines := [line for of_account in unseen.values() for line in of_account]:
            raise RestoreUnseen("\n".join([_NOT_RESUMED, *lines, "Look at the exchange; then resume once more."]))

    def _switch(self, value: str, by: str, names: Iterable[str] | None = None) -> None:
        now_ms = to_ms(self._now())
        for name in self._accounts if names is None else names:
            self._journal.set_switch(name, HALT, value, by=by, now_ms=now_ms)

    def flatten(self, *, everything: bool, by: str) -> tuple[Flattened, ...]:
        """Halt, then cancel and close what the relay has ordered, or `everything` that is open: a row for each symbol.

        Each account by itself and all at once, so that one that does not answer keeps no other's closes waiting. Where
        the positions cannot be read, what the journal knows of is closed, and a row without a symbol says that more may
        be open. Raises JournalUnavailable.
        """
        self.halt(by=by)
        accounts = tuple(self._accounts.values())
        with ThreadPoolExecutor(len(accounts), thread_name_prefix="flatten") as threads:
            rows = threads.map(lambda account: self._flatten(account, everything=everything, by=by), accounts)
            return tuple(row for of_account in rows for row in of_account)

    def _flatten(self, account: Account, *, everything: bool, by: str) -> list[Flattened]:
        # Read first: an entry that was planned before the halt has to be in here or in what is read below.
        known = self._in_flight(account.name) | self._resting(account.name)
        unread = None
        held = set[tuple[Category, str]]()
        try:
            held = {(each.category, each.symbol) for each in account.exchange.positions()}
        except FactsUnreadable as error:
            unread = str(error)
            held = {(each.category, each.symbol) for each in error.readable}
            own = self._expected(account.name) | (held if everything else set())
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            unread = str(error)
            own = self._expected(account.name)
        else:
            own = held if everything else set(self._journal.ordered_among(account.name, held))
        strategy = self._strategy_of(account.name)
        rows = [self._queued(account.name, strategy, *each, by=by, unread=unread) for each in sorted(own | known)]
        if unread is not None:
            message = f"the positions cannot be read: {unread}; more may be open than the journal knows of"
            rows.append(Flattened(account=account.name, outcome=FlattenOutcome.UNREADABLE, message=message))
        elif not rows:
            what = "nothing is open" if everything else "nothing is open that the relay has ordered"
            rows.append(Flattened(account=account.name, outcome=FlattenOutcome.NOTHING_OPEN, message=what))
        return rows

    def _queued(
        self, account: str, strategy: Strategy, category: Category, symbol: str, *, by: str, unread: str | None
    ) -> Flattened:
        """What is no perpetual of the exchange's list, as a dated future, stays open: its signal is `rejected`."""
        try:
            receipt = self._close(account, strategy, category, symbol, by)
        except accept.AlertRejected as rejected:
            return Flattened(
                account=account,
                symbol=symbol,
                outcome=FlattenOutcome.UNREADABLE,
                message=f"it cannot be closed: {rejected.error.message}",
                signal_id=rejected.signal_id,
            )
        message = "its close is queued" if unread is None else "its close is queued by what the journal knows"
        return Flattened(
            account=account,
            symbol=symbol,
            outcome=FlattenOutcome.QUEUED,
            message=message,
            signal_id=receipt.signal_id,
        )

    def _strategy_of(self, account: str) -> Strategy:
        """In whose name the account is closed; any, where none trades on it any more."""
        every = tuple(self._strategies.values())
        return next((each for each in every if account in each.accounts), every[0])

    def _resting(self, account: str) -> set[tuple[Category, str]]:
        """Where an order of the relay's may rest."""
        open_orders = [each.state.planned for each in self._journal.open_orders(account)]
        return {(each.category, each.symbol) for each in open_orders}

    def _expected(self, account: str) -> set[tuple[Category, str]]:
        """Where the relay holds a position, as far as the journal knows."""
        held = {where for where, size in self._journal.expected_positions(account).items() if size}
        return held | {(each.category, each.symbol) for each in self._journal.live_brackets(account)}

    def _in_flight(self, account: str) -> set[tuple[Category, str]]:
        """Of signals that may still order: the close waits behind them in their lane.

        One whose instrument is not known yet has not been planned, so it will see the halt.
        """
        waiting = [each.signal for each in self._journal.unfinished() if each.account == account]
        return {(each.category, each.symbol) for each in waiting if each.category is not None and each.symbol}

    def _close(
        self, account: str, strategy: Strategy, category: Category, symbol: str, by: str, word: str = "flatten"
    ) -> Receipt:
        return self._order(account, strategy, category, symbol, by, word, {"action": "close"})

    def _order(
        self,
        account: str,
        strategy: Strategy,
        category: Category,
        symbol: str,
        by: str,
        word: str,
        fields: Mapping[str, str],
        request_id: str | None = None,
    ) -> Receipt:
        """`request_id`: whatever is asked for under it twice, in the same words, is done once."""
        names_itself = symbol.endswith("PERP") or not category.has_positions
        alert = {
            **fields,
            "ticker": f"BYBIT:{symbol}" if names_itself else f"BYBIT:{symbol}.P",
            "market": category.market.value,
            "account": account,
            "id": f"{word}-{request_id or new_signal_id(to_ms(self._now()))}",
            "comment": f"{word}, asked for by {by}",
        }
        if request_id is not None and _TIMED_ID.fullmatch(request_id):
            # With its time an id is the same for good, alone for minutes.
            alert["time"] = rfc3339(made_at_ms(request_id))
        credentials = Credentials(header_secret=strategy.secrets[0])
        try:
            return self._intake.take(
                json.dumps(alert).encode(),
                strategy=strategy.name,
                credentials=credentials,
                named="native",
                anywhere=True,
            )
        except accept.AlertRejected as rejected:
            log.error("%s cannot close %s %s on %s: %s", word, category.value, symbol, account, rejected.error)
            raise

    def close(
        self,
        account: str,
        category: Category,
        symbol: str,
        *,
        by: str,
        part: PositionPart | None = None,
        request_id: str | None = None,
    ) -> Receipt:
        """Close one position, or a part of it, like an alert's `close`: a signal of its own, once for a `request_id`.

        Raises JournalUnavailable.
        """
        fields = {"action": "close"} | ({} if part is None else part.fields(category))
        return self._control(account, category, symbol, by, "close", fields, request_id)

    def stop_to_entry(
        self, account: str, category: Category, symbol: str, *, by: str, request_id: str | None = None
    ) -> Receipt | Reason:
        """Move the position's stop loss to its average entry, like an alert's `stops`; a reason says why not.

        It never moves away from the price. Raises ExchangeUnreachable, ExchangeAnswered, JournalUnavailable.
        """
        price = self._entry_as_stop(account, category, symbol)
        if isinstance(price, Reason):
            return price
        fields = {"action": "stops", "stop_loss": plain(price)}
        return self._control(account, category, symbol, by, "breakeven", fields, request_id)

    def _entry_as_stop(self, account: str, category: Category, symbol: str) -> Decimal | Reason:
        """On the price grid, away from the position; a reason where it must not go there."""
        of = self._accounts[account]
        instrument = of.market.instrument(category, symbol)
        position = of.exchange.position(category=category, symbol=symbol)
        if position.size == 0 or position.avg_price is None or instrument is None:
            return Reason(code="POSITION_NONE", message=f"no position of {symbol} is open on {account}")
        side = Side.towards(position.size)
        price = breakeven_price(side, position.avg_price, instrument.tick_size)
        stands, mark = position.stop_loss, position.mark_price
        if stands is not None and (stands - price) * side.sign >= 0:
            message = f"the stop loss of {symbol} stands at {plain(stands)}, which is no worse than the entry"
            return Reason(code="STOP_NO_NEARER", message=f"{message} {plain(price)}")
        if mark is not None and (mark - price) * side.sign <= 0:
            message = f"the price {plain(mark)} of {symbol} has passed the entry {plain(price)} already"
            return Reason(code="STOP_WRONG_SIDE", message=message)
        return price

    def _control(
        self,
        account: str,
        category: Category,
        symbol: str,
        by: str,
        word: str,
        fields: Mapping[str, str],
        request_id: str | None,
    ) -> Receipt:
        strategy = self._strategy_of(account)
        try:
            return self._order(account, strategy, category, symbol, by, word, fields, request_id)
        except accept.AlertRejected as rejected:
            return Receipt(signal_id=rejected.signal_id, status=SignalStatus.REJECTED, is_duplicate=False)

    def cancel_order(self, order: OrderRecord, *, by: str) -> str | None:
        """Cancel one of the relay's own resting orders, by whichever process owns the account; its end is followed like
        any other. Why it is not cancelled yet, or could not be."""
        detail, now_ms = {"client_order_id": order.state.client_order_id, "by": by}, to_ms(self._now())
        self._journal.event(order.signal_id, CANCEL_REQUESTED, detail, now_ms=now_ms)
        right = self._acting_for(order.account)
        if right is None:
            return _CANCELLED_ELSEWHERE
        try:
            with right:
                return cancel_by_hand(self._journal, self._accounts[order.account].exchange, order, now_ms=now_ms)
        except LeaseLost:
            return _CANCELLED_ELSEWHERE

    def seen(self, signal_id: str, *, note: str, by: str, nothing_placed: bool = False) -> None:
        """A person has looked at a signal in `attention`; it is not counted as needing one any more.

        `nothing_placed`: its orders in doubt count as never placed from now on, if the exchange shows none of them at
        this moment and their positions have not moved; a fill that is found later still counts. Raises SignalNotSeen.
        """
        status = status_of(self._journal.store, signal_id)
        if status is not SignalStatus.ATTENTION:
            raise SignalNotSeen(f"only what is in attention needs a person; this signal is {status}")
        doubtful = self._in_doubt(signal_id) if nothing_placed else ()
        if nothing_placed and not doubtful:
            raise SignalNotSeen("no order of this signal is in doubt")
        for order in doubtful:
            self._check_nothing_placed(order)
        now_ms = to_ms(self._now())
        denied = Reason(code=OUTCOME_UNKNOWN, message=f"{by} looked: nothing of it is at the exchange")

        def write(uow: UnitOfWork) -> None:
            for order in doubtful:
                uow.orders.settle(order.state.client_order_id, OrderStatus.DENIED, denied, now_ms=now_ms)
            uow.events.add(signal_id, SIGNAL_SEEN, {"by": by, "note": note}, now_ms=now_ms)

        self._journal.write(write)

    def _in_doubt(self, signal_id: str) -> tuple[OrderRecord, ...]:
        executions = self._journal.executions_of(signal_id)
        orders = (each for execution in executions for each in execution.orders)
        return tuple(each for each in orders if each.state.attempts and not each.state.is_settled)

    def _check_nothing_placed(self, record: OrderRecord) -> None:
        order, exchange = record.state, self._accounts[record.account].exchange
        expected = self._journal.expected_positions(record.account)
        try:
            if exchange.now_ms() <= order.dead_at_ms:
                raise SignalNotSeen(f"{order.client_order_id} may still arrive at the exchange; wait a few seconds")
            report, fills = report_of(exchange, order, is_thorough=True)
            if report is not None or fills:
                raise SignalNotSeen(f"the exchange has {order.client_order_id}; it is followed")
            size = expected.get((order.planned.category, order.planned.symbol))
            if is_moved_since_sent(exchange, order, expected=size):
                raise SignalNotSeen(f"the position of {order.planned.symbol} has changed since the order was sent")
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            raise SignalNotSeen(f"{record.account} cannot be read just now: {error}") from error

    def retry_outlook(self, signal_id: str) -> RetryOutlook | None:
        """What a retry would meet now; None of a signal that went to no account."""
        execution = next(iter(self._journal.executions_of(signal_id)), None)
        if execution is None:
            return None
        signal, account = stored_signal(execution.signal), self._accounts.get(execution.account)
        rules = rules_of(self._strategies, signal.strategy, execution.account)
        age = self._now() - (signal.sent_at or signal.received_at)
        price = None
        if account is not None and signal.category is not None and signal.symbol is not None:
            with suppress(ExchangeUnreachable, ExchangeAnswered):
                price = account.exchange.price(category=signal.category, symbol=signal.symbol)
        return RetryOutlook(
            age_s=int(age.total_seconds()),
            max_age_s=rules.signal_max_age_s,
            expires=not signal.only_exits and age.total_seconds() > rules.signal_max_age_s,
            price_then=signal.signal_price,
            price_now=price,
        )

    def retry(self, signal_id: str, *, is_fresh: bool = False) -> int:
        """Open a finished signal again, with a new plan. The number of its new generation.

        `is_fresh`: for this one try its age counts from now. Raises SignalNotRetryable unless every order of it is
        certain to have had no effect.
        """
        return self._journal.reopen(
            signal_id, now_ms=to_ms(self._now()), is_fresh=is_fresh, on_committed=self._runner.opened_again
        )


# What an alert would do now, without doing it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One account's plan. `status`: `planned`, though there may be nothing to do, or `denied`."""

    account: str
    status: str
    reason: Reason | None
    notes: tuple[str, ...]
    orders: tuple[tuple[str, PlannedOrder], ...]
    checks: tuple[LimitCheck, ...] = ()
    """The limits that an entry was held against."""
    before: Decimal | None = None
    """The signed position that it was planned with, where it was looked at."""
    notional: Decimal | None = None
    """What its orders are worth at the market's price, in the quote coin, where that is known."""
    margin: Decimal | None = None
    """What the part that opens ties up of it at the symbol's leverage, once all has filled."""
    fee: Decimal | None = None
    """What the orders cost if all of them take, in the quote coin; None where the exchange names no rate."""

    @property
    def after(self) -> Decimal | None:
        """The signed position once all has filled that does not rest."""
        if self.before is None:
            return None
        size = self.before
        for _, order in self.orders:
            if not order.rests:
                size += order.side.sign * (abs(self.before) if order.closes_all else order.qty)
        return size


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    """What an alert was read as, and each account's plan; no accounts where nothing is ordered."""

    format: str
    fields: tuple[FieldRead, ...]
    accounts: tuple[Preview, ...]
    native: dict[str, object] = field(default_factory=dict)
    """The same in the relay's own fields; of a template, with its placeholders."""
    scenarios: tuple[Played, ...] = ()
    """Of a template, what each of a strategy's moves would come to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One of a strategy's moves: what it comes to on each account, or why its alert is refused."""

    scenario: Scenario
    accounts: tuple[Preview, ...] = ()
    refused: AlertError | None = None


class Previewer:
    """Reads the account, writes nothing and sends nothing."""

    def __init__(self, *, intake: Intake, gatherer: Gatherer, accounts: dict[str, Account], now: Now = utc_now) -> None:
        self._intake = intake
        self._gatherer = gatherer
        self._accounts = accounts
        self._now = now

    def preview(self, body: bytes, *, strategy: str, named: str | None = None) -> Previewed:
        """A plan for each account, of an alert in the format `named` if one is said.

        Raises AlertError; the caller has proven who asks, so no secret is needed.
        """
        text = legible(body)
        if not is_template(text):
            return self._previewed(body, strategy=strategy, named=named)
        return self._played(text, strategy=strategy, named=named)

    def _previewed(self, body: bytes, *, strategy: str, named: str | None, before: Decimal | None = None) -> Previewed:
        """`before`: the position to suppose; None: as it is."""
        now = self._now()
        sender = self._intake.strategy(strategy)
        reading = read(body, secrets=sender.secrets, named=named, usual=sender.format)
        signal = self._intake.signal_of(reading, strategy=sender, signal_id=new_signal_id(to_ms(now)), now=now)
        accounts = () if signal.action is Action.HEARTBEAT else signal.accounts or sender.accounts
        works = [
            Work(signal=signal, account=self._accounts[name], rules=sender.rules_for(name), generation=0)
            for name in accounts
        ]
        return Previewed(
            format=reading.format,
            fields=fields_read(reading.fields),
            accounts=tuple(self._of(work) if before is None else self._supposed(work, before) for work in works),
            native=native_fields(reading.fields),
        )

    def _played(self, text: str, *, strategy: str, named: str | None) -> Previewed:
        """What it would do in each of a strategy's moves; and its entry, or what it would do as things stand where it
        says nothing of a strategy."""
        now, any_account = self._now(), next(iter(self._accounts.values()))
        price = self._price_of(any_account)
        played: list[Played] = []
        first: Previewed | None = None
        refused: AlertError | None = None
        for each in filled(text, size=_size_at(price), price=price, now=now):
            try:
                made = self._previewed(each.text.encode(), strategy=strategy, named=named, before=each.before)
            except AlertError as error:
                played.append(Played(scenario=each.scenario, refused=error))
                refused = refused or error
                continue
            if first is None:
                first = (
                    made if of_strategy(text) else self._previewed(each.text.encode(), strategy=strategy, named=named)
                )
            played.append(Played(scenario=each.scenario, accounts=made.accounts))
        if first is None:
            assert refused is not None, "each scenario was planned or refused"
            raise refused
        own = first.native if first.format != NATIVE else native_fields(_as_typed(text))
        return replace(first, native=own, scenarios=tuple(played))

    def _price_of(self, account: Account) -> Decimal:
        try:
            return account.exchange.price(category=Category.LINEAR, symbol=_USUAL_SYMBOL)
        except (ExchangeUnreachable, ExchangeAnswered):
            return _USUAL_PRICE

    def _supposed(self, work: Work, before: Decimal) -> Preview:
        """The plan with a position of `before` at the market's price, and no limit counted but what is set."""
        signal, account = work.signal, work.account
        assert signal.category is not None and signal.symbol is not None, "the instruments are loaded"
        instrument = account.market.instrument(signal.category, signal.symbol)
        assert instrument is not None, "the signal names one that is listed"
        source = FactSource(account)
        price = source.price(signal.category, signal.symbol)
        leverage = source.position(signal.category, signal.symbol)[0].leverage
        held = Position(
            category=signal.category,
            symbol=signal.symbol,
            size=before,
            avg_price=price,
            mark_price=price,
            leverage=leverage,
        )
        facts = Facts(
            instrument=instrument,
            now=self._now(),
            position=held,
            price=price,
            equity=source.equity(instrument),
        )
        made = plan_of(proposal_of(intent_of(work.signal, work.rules, facts), facts).with_limits(LimitFacts()))
        return self._preview_of(work, made, facts)

    def _of(self, work: Work) -> Preview:
        if work.account.market.symbol_index is None:
            message = f"the instruments of {work.account.name} are not loaded yet: its exchange has not answered"
            unloaded = Reason(code="EXCHANGE_UNREACHABLE", message=message)
            return Preview(account=work.account.name, status="denied", reason=unloaded, notes=(), orders=())
        gathered = self._gatherer.gather(work, self._now(), is_preview=True)
        name = work.account.name
        if isinstance(gathered, NotGathered):
            reason = gathered.finish.reason if gathered.finish else None
            reason = reason or Reason(code="EXCHANGE_UNREACHABLE", message="the exchange did not answer just now")
            return Preview(account=name, status="denied", reason=reason, notes=(), orders=())
        facts = gathered.proposal.facts
        made = self._preview_of(
            work, gathered.plan, _for_people(facts, work.account) if gathered.plan.orders else facts
        )
        return replace(made, checks=limit_checks(gathered.proposal))

    def _preview_of(self, work: Work, made: Plan, facts: Facts) -> Preview:
        work.plan_made(made)
        signal, denied = work.signal, made.status in (PlanStatus.DENIED, PlanStatus.EXPIRED)
        assert signal.category is not None and signal.symbol is not None, "it was planned"
        costs, tick, bracket = _Costs(), facts.instrument.tick_size, made.bracket
        if facts.size is not None and facts.market_price is not None:
            rate = work.account.taker_fee(signal.category, signal.symbol) if made.orders else Decimal(0)
            costs = _costs_of(made.orders, facts, before=facts.size, price=facts.market_price, taker_fee=rate)
        return Preview(
            account=work.account.name,
            status="denied" if denied else "planned",
            reason=made.reason,
            notes=(*work.signal.notes, *made.notes, *ladder_notes(bracket, tick), *_bound_notes(work.account, made)),
            orders=tuple((name, shown_with(each.planned, bracket, tick)) for name, each in work.orders.items()),
            before=facts.size,
            notional=costs.notional,
            margin=costs.margin,
            fee=costs.fee,
        )


def _for_people(facts: Facts, account: Account) -> Facts:
    """With the position and the price where the plan needed none; without them where they cannot be read."""
    source, which = FactSource(account), (facts.instrument.category, facts.instrument.symbol)
    with suppress(ExchangeUnreachable, ExchangeAnswered, FactsUnreadable):
        if facts.position is None:
            facts = replace(facts, position=source.position(*which)[0])
        if facts.market_price is None:
            facts = replace(facts, price=source.price(*which))
    return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Costs:
    notional: Decimal | None = None
    margin: Decimal | None = None
    fee: Decimal | None = None


def _costs_of(
    orders: tuple[PlannedOrder, ...], facts: Facts, *, before: Decimal, price: Decimal, taker_fee: Decimal | None
) -> _Costs:
    """Of `orders` from the position `before` on, at the market's `price`, as if all filled; `taker_fee`: a share."""
    size, opened, worth = before, Decimal(0), Decimal(0)
    for order in orders:
        qty = abs(before) if order.closes_all else order.qty
        after = size + order.side.sign * qty
        if not order.reduce_only:
            opened += max(abs(after) - (abs(size) if size * after > 0 else 0), Decimal(0))
        size, worth = after, worth + facts.instrument.notional(qty, price)
    leverage = next((order.leverage for order in orders if order.leverage), None)
    leverage = leverage or (facts.position.leverage if facts.position else None)
    margin = facts.instrument.notional(opened, price) / leverage if leverage else None
    return _Costs(
        notional=worth,
        margin=Decimal(0) if not opened else None if margin is None else _shown(margin),
        fee=None if taker_fee is None else _shown(worth * taker_fee),
    )


def _shown(money: Decimal) -> Decimal:
    return round(money, 8).normalize()


_USUAL_SYMBOL = "BTCUSDT"
_USUAL_PRICE = Decimal(50_000)
_SIZE_WORTH = Decimal(1000)


def _size_at(price: Decimal) -> Decimal:
    """A strategy's size in coins, worth about a thousand, whose half is on any grid."""
    return max((_SIZE_WORTH / price).quantize(Decimal("0.001")), Decimal("0.002")) * 2


def _as_typed(text: str) -> dict[str, object]:
    """The template's own fields, placeholders and all; none where it is not readable as it stands."""
    try:
        return dict(read(text.encode()).fields)
    except AlertError:
        return {}


def _bound_notes(account: Account, made: Plan) -> Iterator[str]:
    """What the exchange would do with the plan's limit prices, which it may move or refuse."""
    limits = [each for each in made.orders if each.price is not None and not each.type.is_conditional]
    if not limits:
        return
    bounds = account.price_bounds(limits[0].category, limits[0].symbol)
    for each in limits if bounds is not None else ():
        assert bounds is not None and each.price is not None
        if note := bounds.note(is_buy=each.side is Side.BUY, price=each.price):
            yield note
