"""Orders that leave in batches beside the single ones, where more of them wait than their limit lets through.

Source: docs/v5/order/batch-place.mdx; docs/v5/rate-limit, "Instructions for batch endpoints". One request carries up to
ten orders of one category and is answered 0 whatever becomes of them: each has a code of its own in `retExtInfo`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Final

from relay.app import metrics
from relay.bybit import wire_orders
from relay.bybit.calls import Calls, verdicts
from relay.bybit.http import Answer, BybitSession, ExchangeClock
from relay.bybit.limiter import Passenger, Permit, Priority
from relay.bybit.wire_account import Row
from relay.bybit.wire_orders import RATE_LIMIT, is_uncertain, refusal_of
from relay.domain.instrument import Category
from relay.domain.order import Accepted, ErrorKind, NotSent, OrderRejected, Outcome, RequestSignature, Unknown
from relay.engine import lease_guard

log = logging.getLogger(__name__)

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
_PASSING: Final = (ErrorKind.RATE, ErrorKind.CLOCK)
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
