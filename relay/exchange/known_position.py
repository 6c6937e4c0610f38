"""When a position that the streams told may be acted upon. Pure: no I/O, no clock, no lock.

The rule: never act on a position that may be older than the relay's own last fill. What is believed is the last one
proven plus every execution told since, and it is believed only while all that is told agrees:

- no order of the relay is on its way, or has an end that nobody has told yet;
- of every order told to be filled, the executions add up to what was filled;
- the position told last is not older (`seq`) than any of those executions;
- its size is the proven one plus all executions since.

Anything else, an event lost or late among it, makes the position unknown, and one reading settles it. Source for
`seq`: docs/v5/websocket/private/position.mdx, "used to associate each fill and each position update".
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal

from relay.exchange.wire.streams import ToldExecution, ToldPosition

_REMEMBERED = 2000
"""How many ended orders and executions are kept in mind, to know a repeat for one."""


@dataclass(slots=True, kw_only=True)
class _Open:
    """An order whose effect is not yet proven to be in the position."""

    told: Decimal = Decimal(0)
    executed: Decimal = Decimal(0)
    is_under_way: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A reading that has begun: what was open then, and at which version. `era`: one that a cut outran is worthless."""

    era: int
    versions: dict[str, int]


class KnownPosition:
    """One symbol of one account."""

    def __init__(self) -> None:
        self._base: ToldPosition | None = None
        self._last: ToldPosition | None = None
        self._moves: dict[str, tuple[int, Decimal]] = {}
        self._open: dict[str, _Open] = {}
        self._proven: OrderedDict[str, Decimal] = OrderedDict()
        self._seen: OrderedDict[str, Decimal] = OrderedDict()
        self._changes = 0
        self._era = 0

    def _touch(self, key: str) -> _Open:
        self._changes += 1
        found = self._open.setdefault(key, _Open(told=self._proven.get(key, Decimal(0))))
        found.version = self._changes
        return found

    def sending(self, key: str) -> None:
        """An order of the relay is about to leave: until its end is told nothing is known."""
        self._touch(key).is_under_way = True

    def certainly_nothing(self, key: str) -> None:
        """It was refused, or never left."""
        found = self._open.get(key)
        if found is not None:
            found.is_under_way = False

    def reported(self, key: str, filled: Decimal, *, is_settled: bool) -> None:
        """How far an order was filled, from any source; `is_settled`: it has ended, or rests."""
        found = self._open.get(key)
        if found is None and filled <= self._proven.get(key, Decimal(0)):
            return
        found = self._touch(key)
        found.told = max(found.told, filled)
        if is_settled:
            found.is_under_way = False

    def executed(self, told: ToldExecution) -> None:
        """Counts once, and not at all where the proven position is later than it."""
        if told.exec_id in self._seen or not told.moved:
            return
        _remember(self._seen, told.exec_id, told.moved)
        if self._base is not None and told.seq <= self._base.seq:
            return
        self._touch(told.key).executed += abs(told.moved)
        self._moves[told.exec_id] = (told.seq, told.moved)

    def told(self, told: ToldPosition) -> None:
        """A position event. An older one than is had already says nothing."""
        last = self._last
        if not told.is_one_way:
            self.forget()
        elif last is None or (told.seq, told.at_ms) >= (last.seq, last.at_ms):
            self._last = told

    def forget(self) -> None:
        """The streams were away, or told what cannot be: only a reading helps."""
        self._base = self._last = None
        self._era += 1

    def begin(self) -> Reading:
        return Reading(era=self._era, versions={key: each.version for key, each in self._open.items()})

    def read(self, reading: Reading, read: ToldPosition) -> None:
        """What was open when the reading began, and is unchanged since, is in what was read."""
        if not read.is_one_way:
            self.forget()
            return
        if reading.era != self._era or (self._base is not None and read.seq < self._base.seq):
            return
        self._base = read
        if self._last is None or (read.seq, read.at_ms) >= (self._last.seq, self._last.at_ms):
            self._last = read
        self._moves = {key: move for key, move in self._moves.items() if move[0] > read.seq}
        for key, version in reading.versions.items():
            found = self._open.get(key)
            if found is not None and found.version == version and not found.is_under_way:
                self._prove(key)

    def _prove(self, key: str) -> None:
        found = self._open.pop(key)
        _remember(self._proven, key, max(found.told, self._proven.get(key, Decimal(0))))

    @property
    def is_readable(self) -> bool:
        """Whether a reading would tell: while an order of the relay is on its way, none would."""
        return not any(each.is_under_way for each in self._open.values())

    def known(self) -> ToldPosition | None:
        """The position, proven to hold every fill that was told; None: read it."""
        base, last = self._base, self._last
        if base is None or last is None or not all(map(self._adds_up, self._open)):
            return None
        if any(seq > last.seq for seq, _ in self._moves.values()):
            return None
        if base.position.size + sum((moved for _, moved in self._moves.values()), Decimal(0)) != last.position.size:
            return None
        self._base = last
        self._moves.clear()
        for key in tuple(self._open):
            self._prove(key)
        return last

    def _adds_up(self, key: str) -> bool:
        found = self._open[key]
        return not found.is_under_way and found.told == self._proven.get(key, Decimal(0)) + found.executed


def _remember(kept: OrderedDict[str, Decimal], key: str, value: Decimal) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _REMEMBERED:
        kept.popitem(last=False)
