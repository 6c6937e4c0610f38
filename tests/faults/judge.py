"""Whether every alert took effect once and in its turn: what was sent, kept and executed, held against each other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.faults import audit
from tests.faults.alerts import Shot


@dataclass(slots=True, kw_only=True)
class Sent:
    """How one alert went, on the sender's own clock. `answered_at`: the first 2xx."""

    begun_at: float
    answered_at: float | None = None
    signal_ids: set[str] = field(default_factory=set)


class Judge:
    """What was sent, what the journal has and what the exchange has, held against each other."""

    def __init__(
        self, shots: list[Shot], sent: dict[int, Sent], signals: list[dict[str, Any]], taken: list[audit.Order]
    ) -> None:
        self._shots = {shot.number: shot for shot in shots}
        self._sent = sent
        self._signals = signals
        self._taken = taken
        self._shot_of = {each["id"]: self._shots[int(each["alert"]["comment"])] for each in signals}
        self.lost: list[str] = []
        self.doubled: list[str] = []
        self.out_of_order: list[str] = []

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
            self._check_ends(found)

    def _check_ends(self, signals: list[dict[str, Any]]) -> None:
        for signal in signals:
            if signal["status"] != "done":
                self.lost.append(f"not done: {signal}")
            ends = audit.outcomes(signal)
            if [len(each) for each in ends] != [1]:
                self.doubled.append(f"{signal['id']} came to {ends}")

    def check_orders(self) -> None:
        """The same orders on both sides, and at most one for each signal."""
        self.lost += audit.differences(self._taken, self._signals)
        orders_of: defaultdict[str, int] = defaultdict(int)
        for order in self._taken:
            orders_of[_signal_of(order)] += 1
        self.doubled += [f"{name} has {count} orders" for name, count in orders_of.items() if count > 1]

    def check_effects(self, seq: dict[str, int], positions: dict[str, Decimal]) -> None:
        """Accepted in the order of sending where one was answered before the other left; executed as accepted."""
        for symbol in {shot.symbol for shot in self._shots.values()}:
            accepted = sorted((each for each in seq if self._shot_of[each].symbol == symbol), key=seq.__getitem__)
            self._check_acceptance(accepted)
            p, wanted = Decimal(0), list[tuple[str, Decimal]]()
            for signal_id in accepted:
                after = self._shot_of[signal_id].after(p)
                if after != p:
                    wanted.append((signal_id, after - p))
                p = after
            self._check_sequence(symbol, wanted)
            if positions.get(symbol, Decimal(0)) != p:
                self.lost.append(f"{symbol} is at {positions.get(symbol)} and not at {p}")

    def _check_acceptance(self, accepted: list[str]) -> None:
        latest_begun_at = 0.0
        for signal_id in accepted:
            sent = self._sent[self._shot_of[signal_id].number]
            if sent.answered_at is not None and sent.answered_at < latest_begun_at:
                self.out_of_order.append(f"{signal_id} is behind one that was sent only after its answer")
            latest_begun_at = max(latest_begun_at, sent.begun_at)

    def _check_sequence(self, symbol: str, wanted: list[tuple[str, Decimal]]) -> None:
        """Signed sizes: with another order of effects a `target`, `close` or `long` orders something else."""
        found = [
            (_signal_of(order), order.filled_qty if order.side == "buy" else -order.filled_qty)
            for order in self._taken
            if order.symbol == symbol
        ]
        if found != wanted:
            first = next((i for i, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), None)
            self.out_of_order.append(f"{symbol} from {first}: {found[first:]} instead of {wanted[first:]}")


def _signal_of(order: audit.Order) -> str:
    return order.client_order_id.partition("-")[0]
