"""What the streams told of the orders that a lane waits for, until the lane asks. Not thread-safe: its owner locks."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from relay.domain.position import Fill, OrderReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An order's report, and fills of it that came with it."""

    client_order_id: str
    report: OrderReport | None
    fills: tuple[Fill, ...]


@dataclass(slots=True, kw_only=True)
class _Waiting:
    report: OrderReport | None = None
    fills: dict[str, Fill] = field(default_factory=dict)

    def is_whole(self) -> bool:
        report = self.report
        if report is None or not (report.rests or report.status.is_ended):
            return False
        return report.filled_qty == sum((fill.qty for fill in self.fills.values()), Decimal(0))


class Awaited:
    """An order's events come in any order, and some twice; they are handed over once they are whole."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}

    def expect(self, client_order_id: str) -> None:
        self._waiting.setdefault(client_order_id, _Waiting())

    def hear(self, client_order_id: str, report: OrderReport | None, fills: tuple[Fill, ...]) -> bool | None:
        """Whether the order is whole now; None: nobody waits for it."""
        waiting = self._waiting.get(client_order_id)
        if waiting is None:
            return None
        if report is not None and _is_later(report, waiting.report):
            waiting.report = report
        waiting.fills |= {fill.exec_id: fill for fill in fills}
        return waiting.is_whole()

    def take(self, client_order_id: str) -> Heard | None:
        """The order's end, or that it rests, with all its fills. Whoever took it waits for it no more."""
        waiting = self._waiting.get(client_order_id)
        return self.drop(client_order_id) if waiting is not None and waiting.is_whole() else None

    def drop(self, client_order_id: str) -> Heard | None:
        """Nobody waits for it any more; what was heard of it so far."""
        waiting = self._waiting.pop(client_order_id, None)
        if waiting is None:
            return None
        fills = tuple(sorted(waiting.fills.values(), key=lambda fill: (fill.at_ms, fill.exec_id)))
        return Heard(client_order_id=client_order_id, report=waiting.report, fills=fills)


def _is_later(report: OrderReport, before: OrderReport | None) -> bool:
    if before is None:
        return True
    return (report.filled_qty, report.status.is_ended) >= (before.filled_qty, before.status.is_ended)
