"""When a coin's wallet balance that the streams told may be counted with. Pure.

`wallet` events carry no sequence. So a balance is believed only if it is the last one proven plus what every execution
told since has earned or cost (`execPnl` less `execFee`: docs/v5/websocket/private/execution.mdx); else one reading.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal

from relay.exchange.wire.streams import ToldExecution

_REMEMBERED = 2000
"""How many executions are kept in mind: to know a repeat for one, and to add up while nobody asks for the balance."""
_EXACT = Decimal("0.0000001")
"""Each amount is told to eight decimals: what is apart by less is the same."""
_CLOCK_MS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceReading:
    """A reading that has begun: what had been told then. `era`: one that a cut outran is worthless."""

    era: int
    exec_ids: frozenset[str]
    begun_at_ms: int


class KnownBalance:
    """One coin of one account."""

    def __init__(self) -> None:
        self._base: Decimal | None = None
        self._last: Decimal | None = None
        self._told_at_ms = 0
        self._read_at_ms = 0
        self._era = 0
        self._earned: dict[str, Decimal] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()

    def executed(self, told: ToldExecution) -> None:
        if told.exec_id in self._seen:
            return
        self._seen[told.exec_id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        if told.at_ms >= self._read_at_ms - _CLOCK_MS:
            self._earned[told.exec_id] = told.earned
        if len(self._earned) > _REMEMBERED:
            # Nobody has asked for so long that one reading is cheaper than keeping what came since.
            self.forget()
            self._earned.clear()

    def told(self, balance: Decimal, at_ms: int) -> None:
        """A wallet event, made at `at_ms` of the exchange's clock; an older one says nothing."""
        if at_ms >= self._told_at_ms:
            self._last, self._told_at_ms = balance, at_ms

    def forget(self) -> None:
        self._base = self._last = None
        self._era += 1

    def begin(self, now_ms: int) -> BalanceReading:
        return BalanceReading(era=self._era, exec_ids=frozenset(self._earned), begun_at_ms=now_ms)

    def read(self, reading: BalanceReading, balance: Decimal) -> None:
        if reading.era != self._era:
            return
        self._base = self._last = balance
        self._read_at_ms = reading.begun_at_ms
        self._told_at_ms = max(self._told_at_ms, reading.begun_at_ms - _CLOCK_MS)
        self._earned = {key: earned for key, earned in self._earned.items() if key not in reading.exec_ids}

    def known(self) -> Decimal | None:
        """The balance with every execution that was told in it; None: read it."""
        if self._base is None or self._last is None:
            return None
        expected = self._base + sum(self._earned.values(), Decimal(0))
        if abs(expected - self._last) > _EXACT * (1 + len(self._earned)):
            return None
        self._base = self._last
        self._earned.clear()
        return self._last
