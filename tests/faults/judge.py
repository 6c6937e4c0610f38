"""Whether every alert took effect once and in its turn: what was sent, kept and executed, held against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from relay.domain.order import OrderStatus, SignalStatus
from relay.journal.records import ExecutionRecord
from tests.faults import audit
from tests.faults.alerts import Shot


@dataclass(slots=True, kw_only=True)
class Sent:
    """How one alert went, on the sender's own clock. `answered_at`: the first 2xx."""

    begun_at: float
    answered_at: float | None = None
    signal_ids: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One account: what its exchange has, and what the journal says of each signal on it.

    `was_away`: its exchange was out of reach at times.
    """

    account: str
    taken: list[audit.Order]
    positions: dict[str, Decimal]
    executions: Mapping[str, ExecutionRecord]
    was_away: bool = False


class Judge:
    """What was sent, what the journal has and what the exchanges have, held against each other."""

    def __init__(
        self, shots: list[Shot], sent: dict[int, Sent], signals: list[dict[str, Any]], sides: list[Side]
    ) -> None:
        self._shots = {shot.number: shot for shot in shots}
        self._sent = sent
        self._signals = signals
        self._sides = sides
        self._shot_of = {each["id"]: self._shots[int(each["alert"]["comment"])] for each in signals}
        self.lost: list[str] = []
        self.doubled: list[str] = []
        self.out_of_order: list[str] = []

    def check(self) -> None:
        self.check_alerts()
        for side in self._sides:
            self.check_orders(side)
            self.check_effects(side)

    def check_alerts(self) -> None:
        """Exactly one signal for each alert, the one that its sender was told of, with exactly one good end."""
        signals_of: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        for signal in self._signals:
            signals_of[self._shot_of[signal["id"]].number].append(signal)
        for number in self._shots:
            found, reported = signals_of[number], self._sent[number].signal_ids
            if not found or not reported <= {each["id"] for each in found}:
                self.lost.append(f"alert {number}: answered with {reported}, kept as {[each['id'] for each in found]}")
            if len(found) > 1:
                self.doubled.append(f"alert {number}: {len(found)} signals")
            for side in self._sides:
                self._check_ends(found, side)

    def _check_ends(self, signals: list[dict[str, Any]], side: Side) -> None:
        for signal in signals:
            execution = side.executions[signal["id"]]
            if execution.status is not SignalStatus.DONE and not self._is_given_up(signal["id"], side):
                self.lost.append(f"not done on {side.account}: {signal}")
            ends = audit.outcomes({"events": audit.of_account(signal, side.account)})
            if [len(each) for each in ends] != [1]:
                self.doubled.append(f"{signal['id']} came to {ends} on {side.account}")

    def _is_given_up(self, signal_id: str, side: Side) -> bool:
        """With certainty never there nor sent again: where nobody could tell what became of it and an exit waited."""
        execution = side.executions[signal_id]
        orders = [each.state.status for each in execution.orders]
        is_certain = all(each in (OrderStatus.DENIED, OrderStatus.REJECTED) for each in orders)
        if execution.status is not SignalStatus.FAILED or not is_certain:
            return False
        return side.was_away or self._exit_waited(signal_id, side)

    def _exit_waited(self, signal_id: str, side: Side) -> bool:
        """Whether a later `close` of its lane was there when a person was first asked to look."""
        (signal,) = (each for each in self._signals if each["id"] == signal_id)
        passed = [each["at"] for each in audit.of_account(signal, side.account) if each["name"] == "attention"]
        seq, symbol = side.executions[signal_id].seq, self._shot_of[signal_id].symbol
        return bool(passed) and any(
            each["received_at"] <= passed[0] and side.executions[each["id"]].seq > seq
            for each in self._signals
            if (shot := self._shot_of[each["id"]]).action == "close" and shot.symbol == symbol
        )

    def check_orders(self, side: Side) -> None:
        """The same orders on both sides, and at most one for each signal."""
        self.lost += audit.differences(side.taken, self._signals, side.account)
        orders_of: defaultdict[str, int] = defaultdict(int)
        for order in side.taken:
            orders_of[_signal_of(order)] += 1
        self.doubled += [
            f"{name} has {count} orders on {side.account}" for name, count in orders_of.items() if count > 1
        ]

    def check_effects(self, side: Side) -> None:
        """Accepted in the order of sending where one was answered before the other left; executed as accepted."""
        for symbol in {shot.symbol for shot in self._shots.values()}:
            of_symbol = [each for each in side.executions if self._shot_of[each].symbol == symbol]
            accepted = sorted(of_symbol, key=lambda each: side.executions[each].seq)
            self._check_acceptance(accepted)
            p, wanted = Decimal(0), list[tuple[str, Decimal]]()
            for signal_id in accepted:
                shot = self._shot_of[signal_id]
                if not self._is_given_up(signal_id, side) and (ordered := shot.ordered(p)):
                    wanted.append((signal_id, ordered))
                    p = shot.after(p)
            self._check_sequence(symbol, wanted, side)
            if side.positions.get(symbol, Decimal(0)) != p:
                self.lost.append(f"{symbol} is at {side.positions.get(symbol)} on {side.account} and not at {p}")

    def _check_acceptance(self, accepted: list[str]) -> None:
        latest_begun_at = 0.0
        for signal_id in accepted:
            sent = self._sent[self._shot_of[signal_id].number]
            if sent.answered_at is not None and sent.answered_at < latest_begun_at:
                self.out_of_order.append(f"{signal_id} is behind one that was sent only after its answer")
            latest_begun_at = max(latest_begun_at, sent.begun_at)

    def _check_sequence(self, symbol: str, wanted: list[tuple[str, Decimal]], side: Side) -> None:
        """Signed sizes: with another order of effects a `target`, `close` or `long` orders something else."""
        found = [
            (_signal_of(order), order.filled_qty if order.side == "buy" else -order.filled_qty)
            for order in side.taken
            if order.symbol == symbol
        ]
        if found != wanted:
            first = next((i for i, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), None)
            what = f"{found[first:]} instead of {wanted[first:]}"
            self.out_of_order.append(f"{symbol} on {side.account} from {first}: {what}")


def _signal_of(order: audit.Order) -> str:
    return order.client_order_id.partition("-")[0]
