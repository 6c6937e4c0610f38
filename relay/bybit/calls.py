"""One request through the address, the limiter and the session, and what it came to.

A request that changes something is sent exactly once and comes to an outcome; a question is asked again once where that
may help, and raises when there is no answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from relay.app import metrics
from relay.bybit import wire_orders
from relay.bybit.http import SERVER_TIME, Answer, BybitSession, Cut, ExchangeClock, NoAnswer, NothingLeft, Refused403
from relay.bybit.limiter import BAN_S, Address, Forbidden, Limiter, Passenger, Permit, Priority
from relay.bybit.wire_account import NOT_UNDERSTOOD, Row, name_of, problem_of
from relay.bybit.wire_orders import ADDRESS_LIMIT, HTTP_FORBIDDEN, RATE_LIMIT, is_uncertain, refusal_of
from relay.domain.instrument import Category
from relay.domain.order import Accepted, ErrorKind, NotSent, OrderRejected, Outcome, RequestSignature, Unknown
from relay.engine import lease_guard
from relay.errors import ExchangeAnswered, ExchangeUnreachable, FactsUnreadable, ListTooLong

log = logging.getLogger(__name__)
T = TypeVar("T")

ASK_WAIT_S = 5.0
"""How long a question waits for its turn in the limiter."""
ASK_TIMES = 2
PAGES_MAX = 100
_REPORTED_MAX = 1000
_SHOWN_MAX = 3
UNAVAILABLE_403_S = 5.0

_WORDS_403 = {
    Forbidden.BANNED: "this address sent more than the exchange allows; nothing is sent for ten minutes",
    Forbidden.REGION: "the exchange does not serve this address: run the relay in another region (not US, not China)",
    Forbidden.UNAVAILABLE: "the exchange refused this address without saying why",
}

_PASSING = frozenset({ErrorKind.RATE, ErrorKind.CLOCK})
"""Refusals of the moment, a ban of the address among them: the same question may be answered later."""

Ask = Callable[..., Answer]
"""A method of pybit's session."""


class OddRows:
    """Rows of the exchange's lists that cannot be read, each reported once, until it can be, or is wrong otherwise."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.tell: Callable[[str], None] = lambda text: None
        self._quiet = quiet
        self._reported: dict[tuple[str, str], str] = {}

    def read(self, what: str, rows: Iterable[Row], read: Callable[[Row], T]) -> tuple[list[T], list[str]]:
        """What can be read of `rows`, and of the others what is wrong with them."""
        found, problems = list[T](), list[str]()
        for row in rows:
            try:
                found.append(read(row))
                self.is_readable(what, name_of(row))
            except NOT_UNDERSTOOD as error:
                problems.append(self.report(what, row, problem_of(error)))
        return found, problems

    def problem(self, what: str, name: str) -> str | None:
        """What is wrong with the row of this name; None if it could be read last."""
        return self._reported.get((what, name))

    def is_readable(self, what: str, name: str) -> None:
        self._reported.pop((what, name), None)

    def all_of(self, what: str, rows: Iterable[Row], read: Callable[[Row], T]) -> list[T]:
        """The same where nothing may be missing. Raises FactsUnreadable with what could be read."""
        found, problems = self.read(what, rows, read)
        if problems:
            raise FactsUnreadable("; ".join(problems[:_SHOWN_MAX]), found)
        return found

    def report(self, what: str, row: object, problem: str) -> str:
        """In words; reported if that is news."""
        text = f"the exchange's {what} of {name_of(row)} cannot be read: {problem}"
        self.note(what, name_of(row), problem, text)
        return text

    def note(self, what: str, name: str, problem: str | None, text: str = "") -> None:
        """The same of what can be used all the same, though not for everything; None: nothing is wrong with it."""
        if problem is None:
            self.is_readable(what, name)
        elif self._reported.get((what, name)) != problem:
            if len(self._reported) >= _REPORTED_MAX:
                self._reported.clear()
            self._reported[what, name] = problem
            log.log(logging.DEBUG if self._quiet else logging.WARNING, "%s", text or problem)
            self.tell(text or problem)


def rate_key(endpoint: str, params: Mapping[str, object]) -> str:
    """Of which rate limit a request is: spot's are counted apart. Source: docs/v5/rate-limit/rate-limit.mdx."""
    return f"{endpoint} spot" if params.get("category") == Category.SPOT else endpoint


class Calls:
    """How an account's requests go out. Thread-safe."""

    def __init__(
        self, *, clock: ExchangeClock, limiter: Limiter, address: Address, measure: Callable[[], object]
    ) -> None:
        """`measure`: measures the clock anew."""
        self._clock = clock
        self._measure = measure
        self._limiter = limiter
        self._address = address
        self.odd_rows = OddRows()

    def change(
        self, ask: Ask, endpoint: str, params: dict[str, object], *, priority: Priority, wait_s: float
    ) -> Answer | OrderRejected | Unknown | NotSent:
        """Send once. An `Answer` has code 0; a refusal is certain; Unknown means that it may have taken effect."""
        permit = self.permit(endpoint, params, priority, wait_s)
        return permit if isinstance(permit, NotSent) else self.send(ask, endpoint, params, permit)

    def send(
        self, ask: Ask, endpoint: str, params: dict[str, object], permit: Permit
    ) -> Answer | OrderRejected | Unknown | NotSent:
        """The same once it is permitted."""
        counted_as = rate_key(endpoint, params)
        arrived, code, began_at = True, "none", time.perf_counter()
        headers: Mapping[str, str] = {}
        try:
            lease_guard.require()
            answer = ask(**params)
            code, headers = str(answer.code), answer.headers
        except lease_guard.LeaseLost:
            arrived = False
            raise
        except NothingLeft as nothing:
            arrived = False
            return NotSent(why=str(nothing))
        except NoAnswer as silence:
            return Unknown(why=str(silence))
        except Refused403 as refused:
            code = "403"
            return self._forbidden(str(refused))
        finally:
            self._limiter.done(counted_as, permit, counted=arrived, headers=headers)
            metrics.limiter_seconds.observe(permit.waited_s)
            metrics.called(endpoint, code if arrived else "not_sent", time.perf_counter() - began_at)
        return self._judge(counted_as, answer)

    def permit(
        self,
        endpoint: str,
        params: Mapping[str, object],
        priority: Priority,
        wait_s: float,
        passenger: Passenger | None = None,
    ) -> NotSent | Permit:
        """With a `Permit` the request is to be sent at once, or is in a batch; `NotSent` says why it may not leave."""
        banned_for_s = self._address.banned_for_s
        if banned_for_s > 0:
            return NotSent(why=_WORDS_403[Forbidden.BANNED], retry_at_ms=self._clock.after_ms(banned_for_s))
        counted_as = rate_key(endpoint, params)
        permit = self._limiter.acquire(counted_as, priority=priority, timeout_s=wait_s, passenger=passenger)
        if not permit.granted:
            metrics.limiter_seconds.observe(permit.waited_s)
        if permit.is_taken:
            return permit
        if not permit.granted:
            metrics.called(endpoint, "limited", None)
            return NotSent(why=permit.why, retry_at_ms=permit.retry_at_ms)
        self._address.note_sent()
        return permit

    def _judge(self, counted_as: str, answer: Answer) -> Answer | OrderRejected | Unknown:
        refused = RATE_LIMIT in (answer.code, *(code for code, _ in verdicts(answer)))
        retry_at_ms = self._limiter.learn(counted_as, answer.headers, refused=refused)
        if answer.code == ADDRESS_LIMIT:
            return self._forbidden(f"access too frequent: {answer.words}")
        self._address.note_served()
        if answer.code == 0:
            return answer
        if is_uncertain(answer.code):
            return Unknown(why=f"the exchange answered {answer.code}: {answer.words}")
        return refusal_of(answer.code, answer.words, retry_at_ms=retry_at_ms)

    def _forbidden(self, body: str) -> OrderRejected:
        """A 403 is certain: it is said by what stands before the exchange, or in place of its answer."""
        meaning = self._address.judge(body)
        if meaning is Forbidden.REGION:
            return refusal_of(HTTP_FORBIDDEN, _WORDS_403[meaning])
        return OrderRejected(
            code=HTTP_FORBIDDEN,
            words=_WORDS_403[meaning],
            refusal=ErrorKind.RATE,
            retry_at_ms=self._clock.after_ms(BAN_S if meaning is Forbidden.BANNED else UNAVAILABLE_403_S),
        )

    def ask(self, ask: Ask, endpoint: str, **params: object) -> Answer:
        """Ask something that changes nothing. Raises ExchangeUnreachable or, once refused for good, ExchangeAnswered.

        Asks once more after a cut connection, a spent rate limit, and a clock that was off.
        """
        for left in reversed(range(ASK_TIMES)):
            came_to = self.change(_twice(ask), endpoint, params, priority=Priority.ENTRY, wait_s=ASK_WAIT_S)
            if isinstance(came_to, Answer):
                return came_to
            if left == 0 or not self._is_worth_repeating(endpoint, came_to):
                raise _as_error(came_to)
        raise AssertionError("the last round returns or raises")

    def _is_worth_repeating(self, endpoint: str, came_to: OrderRejected | Unknown | NotSent) -> bool:
        if not isinstance(came_to, OrderRejected):
            return False
        # The time itself is asked unsigned: measuring for its sake would never end.
        if came_to.refusal is ErrorKind.CLOCK and endpoint != SERVER_TIME:
            self._measure()
            return True
        return came_to.code == RATE_LIMIT

    def pages(self, ask: Ask, endpoint: str, **params: object) -> Iterator[Row]:
        """All rows of a list, page by page. Raises as `ask` does."""
        cursor: Any = None
        for _ in range(PAGES_MAX):
            result = self.ask(ask, endpoint, **params, cursor=cursor).result
            rows = listed(result)
            yield from rows
            following = result.get("nextPageCursor")
            # A short page is no proof of the last one: rows may be filtered out after paging.
            if not rows or not following or following == cursor:
                return
            cursor = following
        raise ListTooLong(f"{endpoint} did not come to an end after {PAGES_MAX} pages")


def listed(result: Row) -> Sequence[Row]:
    """The rows of an answer. Raises FactsUnreadable where they are no list."""
    rows = result.get("list") or ()
    if not isinstance(rows, (list, tuple)):
        raise FactsUnreadable(f"the exchange's list has another form ({type(rows).__name__})")
    return rows


def verdicts(answer: Answer) -> list[tuple[object, str]]:
    """Of a batch: code and words for each of what was in it, as far as there are any."""
    rows = answer.extra.get("list")
    found = rows if isinstance(rows, list) else ()
    return [(row.get("code"), str(row.get("msg"))[:500]) for row in found if isinstance(row, Mapping)]


def _twice(ask: Ask) -> Ask:
    """For questions only: an idle connection may have died unseen."""

    def asking(**params: object) -> Answer:
        try:
            return ask(**params)
        except Cut:
            return ask(**params)

    return asking


def _as_error(came_to: OrderRejected | Unknown | NotSent) -> ExchangeUnreachable | ExchangeAnswered:
    if not isinstance(came_to, OrderRejected):
        return ExchangeUnreachable(came_to.why)
    refused = ExchangeAnswered(came_to.code, came_to.words)
    # These pass. Taken for a last word on a question, they would end the exit that asked it.
    return ExchangeUnreachable(str(refused)) if came_to.refusal in _PASSING else refused


# Orders that leave in batches beside the single ones, where more of them wait than their limit lets through.
#
# Source: docs/v5/order/batch-place.mdx; docs/v5/rate-limit, "Instructions for batch endpoints". One request carries up
# to ten orders of one category and is answered 0 whatever becomes of them: each has a code of its own in `retExtInfo`.


CREATE_BATCH: Final = "/v5/order/create-batch"
_CATEGORIES: Final = (Category.LINEAR, Category.INVERSE)
_FIELDS: Final = frozenset(
    {
        *("category", "symbol", "side", "orderType", "qty", "price", "timeInForce", "positionIdx", "orderLinkId"),
        *("triggerPrice", "triggerDirection", "triggerBy", "takeProfit", "stopLoss", "tpslMode"),
        *("reduceOnly", "closeOnTrigger"),
    }
)
"""What an order in a batch may have, of what the relay sends; an order that has more goes by itself."""
_LEARN_WAIT_S: Final = 2.0
"""Refusals of the moment, which say nothing of batches."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchedOrder(Passenger):
    """An order whose attempt is written down. `outcome`: from who sends it to the thread that placed it."""

    client_order_id: str
    params: Mapping[str, object]
    signature: RequestSignature
    outcome: Future[Outcome] = field(default_factory=Future)


class Batches:
    """Of one account. Thread-safe."""

    def __init__(self, session: BybitSession, calls: Calls, clock: ExchangeClock) -> None:
        self._session = session
        self._calls = calls
        self._clock = clock
        self._exist: dict[str, bool] = {}
        """By category; where it is not known yet, none is sent."""

    def learn(self) -> None:
        """Ask, with no order, where there are batches: the demo environment has none of inverse contracts."""
        for category in _CATEGORIES:
            if category in self._exist:
                continue
            nothing: dict[str, object] = {"category": category.value, "request": []}
            came_to = self._calls.change(
                self._session.place_batch_order, CREATE_BATCH, nothing, priority=Priority.ENTRY, wait_s=_LEARN_WAIT_S
            )
            match came_to:
                case Answer() | OrderRejected(code=wire_orders.BAD_PARAMETER):
                    self._exist[category] = True
                case OrderRejected(refusal=kind, code=code, words=words) if kind not in _PASSING:
                    self._turn_off(category, code, words)
                case _:
                    pass  # asked again with the next look at the connections

    def _turn_off(self, category: str, code: int, words: str) -> None:
        """Until the next start."""
        self._exist[category] = False
        log.info("orders of %s go by themselves: batches are answered %s: %s", category, code, words)

    def passenger(
        self, params: Mapping[str, object], client_order_id: str, signature: RequestSignature
    ) -> BatchedOrder | None:
        """The order as it may leave in a batch; None if it goes by itself."""
        category = str(params["category"])
        if not self._exist.get(category) or not params.keys() <= _FIELDS:
            return None
        if category == Category.INVERSE and "triggerPrice" in params:
            return None  # `triggerDirection` is for linear alone
        # Who sends a batch looks at his own lease only, so all in it must act by the same one.
        return BatchedOrder(
            endpoint=CREATE_BATCH,
            kind=(category, lease_guard.held()),
            client_order_id=client_order_id,
            params=params,
            signature=signature,
        )

    def outcome(self, permit: Permit, order: BatchedOrder) -> Outcome | None:
        """What the order came to in a batch; None if it goes by itself. Raises LeaseLost."""
        if permit.is_taken:
            return order.outcome.result()
        return self._send(permit) if permit.batch else None

    def _send(self, permit: Permit) -> Outcome:
        """What the first of them came to; the others' threads are told theirs."""
        orders: Sequence[BatchedOrder] = permit.batch
        try:
            outcomes = self._sent(orders, permit)
        except BaseException as error:
            for order in orders[1:]:
                order.outcome.set_exception(error)
            raise
        for order, outcome in zip(orders, outcomes, strict=True):
            metrics.batched_orders.labels(_code_of(outcome)).inc()
            order.outcome.set_result(outcome)
        return outcomes[0]

    def _sent(self, orders: Sequence[BatchedOrder], permit: Permit) -> list[Outcome]:
        category = str(orders[0].params["category"])
        entries = [{name: value for name, value in each.params.items() if name != "category"} for each in orders]
        batch: dict[str, object] = {"category": category, "request": entries}
        # Of all signatures the one that ends first: when an attempt is over, so is the request that it was part of.
        signature = min((order.signature for order in orders), key=lambda each: each.dead_at_ms)
        log.info("%d %s orders leave in a batch", len(orders), category)
        with self._session.stamped(signature):
            came_to = self._calls.send(self._session.place_batch_order, CREATE_BATCH, batch, permit)
        if isinstance(came_to, Answer):
            return [self._again_if_limited(each) for each in judged([each.client_order_id for each in orders], came_to)]
        if isinstance(came_to, OrderRejected) and came_to.refusal not in _PASSING:
            self._turn_off(category, came_to.code, came_to.words)
            came_to = replace(came_to, refusal=ErrorKind.RATE, retry_at_ms=self._clock.now_ms())
        return [self._again_if_limited(came_to)] * len(orders)

    def _again_if_limited(self, outcome: Outcome) -> Outcome:
        """One that the batches' limit stopped may go by itself sooner; the limiter says when."""
        if isinstance(outcome, OrderRejected) and outcome.code == RATE_LIMIT:
            return replace(outcome, retry_at_ms=self._clock.now_ms())
        return outcome


def judged(client_order_ids: Sequence[str], answer: Answer) -> list[Outcome]:
    """What became of each order of an answered batch. The lists of the answer are in the order of the request."""
    rows, codes = answer.result.get("list"), verdicts(answer)
    if not isinstance(rows, list) or not len(rows) == len(codes) == len(client_order_ids):
        return [Unknown(why="the exchange's answer to a batch has another form")] * len(client_order_ids)
    named = [row.get("orderLinkId") if isinstance(row, Mapping) else None for row in rows]
    if any(name and name != own for name, own in zip(named, client_order_ids, strict=True)):
        return [Unknown(why="the exchange's answer to a batch is in another order")] * len(client_order_ids)
    return [_judged(row, code, words) for row, (code, words) in zip(rows, codes, strict=True)]


def _judged(row: Row, code: object, words: str) -> Outcome:
    if type(code) is not int:
        return Unknown(why="the exchange answered an order of a batch without a code")
    if code != 0:
        if is_uncertain(code):
            return Unknown(why=f"the exchange answered {code}: {words}")
        return refusal_of(code, words)
    order_id = row.get("orderId") if isinstance(row, Mapping) and row.get("orderLinkId") else None
    if not isinstance(order_id, str) or not order_id:
        return Unknown(why="the exchange acknowledged without an order id")
    return Accepted(venue_order_id=order_id)


def _code_of(outcome: Outcome) -> str:
    match outcome:
        case Accepted():
            return "0"
        case OrderRejected(code=code):
            return str(code)
        case Unknown():
            return "unknown"
        case NotSent():
            return "not_sent"
