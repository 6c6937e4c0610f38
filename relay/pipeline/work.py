"""One signal on one account: what its lane holds in memory while it goes on. The journal has all of it too."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from relay.alerts.signal import signal_from_kept
from relay.domain.account import Rules
from relay.domain.drift import Expected
from relay.domain.guard import FIRST_RUNG_LEG
from relay.domain.mode import in_mode
from relay.domain.order import PlannedOrder, Reason, client_order_id
from relay.domain.order_type import with_default_type
from relay.domain.plan import Plan
from relay.domain.position import Position
from relay.domain.progress import Finish
from relay.domain.reconciliation import OrderState
from relay.domain.signal import Signal
from relay.journal.records import Circumstances, ExecutionRecord, SignalRecord
from relay.pipeline.caring import Caring
from relay.pipeline.clock import from_ms
from relay.pipeline.ports import Account
from relay.pipeline.resting import Resting

_CURRENT_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The position as it was read for the plan. `asked_at_ms`: the exchange's clock, before the question left."""

    position: Position
    asked_at_ms: int
    has_resting: bool


@dataclass(slots=True, kw_only=True)
class Work:
    """Confined to its lane: one thread at a time touches it."""

    signal: Signal
    account: Account
    rules: Rules
    generation: int
    is_planned: bool = False
    plan_reason: Reason | None = None
    """Why not all that was asked for was planned."""
    orders: dict[str, OrderState] = field(default_factory=dict)
    """By client order id, in the order in which they were planned."""
    clearing: dict[str, Resting] | None = None
    """The relay's own resting orders that are being cancelled first; None: not looked for yet."""
    uncleared: Finish | None = None
    """How the signal ends because one of those could not be cancelled; an exit goes out all the same."""
    seen: Seen | None = None
    size: Decimal | None = None
    """The position as it was read once the exits were over; None: nobody had to know."""
    expected: Expected | None = None
    """Where the account should stand once the signal is done, as far as the strategy says."""
    circumstances: Circumstances | None = None
    """As they were when it was taken up."""
    caring: Caring | None = None
    """The care of what is open, once the orders are done."""
    troubles: int = 0
    """How often in a row the exchange did not answer while the facts were gathered."""
    troubled_since_ms: int = 0

    def __post_init__(self) -> None:
        self.signal = with_default_type(in_mode(self.signal, self.rules), self.rules)

    def keep(self, order: OrderState) -> None:
        self.orders[order.client_order_id] = order

    def take_circumstances(self) -> Circumstances | None:
        """Once, and only while they are as good as read just now."""
        known, self.circumstances = self.circumstances, None
        return known if known is not None and time.monotonic() - known.read_at < _CURRENT_S else None

    def states_of(self, planned: tuple[PlannedOrder, ...]) -> tuple[OrderState, ...]:
        """The plan's orders with their identities, which are a pure function of what they are for."""
        return tuple(OrderState(client_order_id=self.id_of(each.leg), planned=each) for each in planned)

    def id_of(self, leg: int) -> str:
        return client_order_id(signal_id=self.signal.id, account=self.account.name, leg=leg, generation=self.generation)

    def plan_made(self, plan: Plan) -> None:
        self.is_planned, self.plan_reason = True, plan.reason
        self.orders = {each.client_order_id: each for each in self.states_of(plan.orders)}

    def plan_withdrawn(self) -> None:
        """As if it had not been made: nothing of it was written down."""
        self.is_planned, self.plan_reason, self.orders = False, None, {}


def resumed(signal: Signal, account: Account, rules: Rules, assignment: ExecutionRecord) -> Work:
    """The work as the journal has it, after a restart or a step that failed."""
    now_ms = account.exchange.now_ms()
    # The take profits that rest are the guard's affair.
    own = [record.state for record in assignment.orders if record.state.planned.leg < FIRST_RUNG_LEG]
    states = [replace(state, taken_up_at_ms=now_ms) for state in own]
    return Work(
        signal=signal,
        account=account,
        rules=rules,
        generation=assignment.generation,
        is_planned=assignment.plan is not None,
        plan_reason=assignment.plan.reason if assignment.plan else None,
        orders={state.client_order_id: state for state in states},
        circumstances=assignment.circumstances,
    )


def kept_signal(record: SignalRecord) -> Signal:
    """The signal as it was accepted, rebuilt from what was kept of its alert."""
    received_at = from_ms(record.received_at_ms)
    signal = signal_from_kept(record.alert, id=record.id, strategy=record.strategy or "", received_at=received_at)
    return replace(signal, category=record.category, symbol=record.symbol)
