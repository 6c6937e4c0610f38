"""Cancel the relay's own resting orders of a symbol before the position is read.

Never the exchange's cancel-all: that takes the position's stops with it.
"""

from __future__ import annotations

from dataclasses import replace

from relay.domain.guard import taken_back
from relay.domain.order import Purpose
from relay.domain.progress import Finish
from relay.journal.journal import Journal
from relay.pipeline.cancel import Canceller
from relay.pipeline.clock import to_ms, utc_now
from relay.pipeline.resting import Resting
from relay.pipeline.work import Work


class Clearing:
    """The first part of a close, a target, a flip: nothing of the relay's may fill behind it."""

    def __init__(self, *, journal: Journal) -> None:
        self._journal = journal
        self._canceller = Canceller(journal=journal)

    def is_clear(self, work: Work) -> bool:
        """Whether nothing of the relay's rests that the signal wants gone."""
        if not work.signal.clears_resting:
            return True
        if work.clearing is None:
            work.clearing = self._resting(work)
        return all(each.order.status.is_ended for each in work.clearing.values())

    def _resting(self, work: Work) -> dict[str, Resting]:
        signal = work.signal
        assert signal.category is not None and signal.symbol is not None
        records = self._journal.resting_orders(work.account.name, signal.category, signal.symbol)
        if not signal.clears_all:
            records = tuple(each for each in records if each.state.planned.purpose is not Purpose.EXIT)
        found = {each.state.client_order_id: Resting(order=each.state) for each in records}
        if any(each.state.planned.purpose is Purpose.EXIT for each in records):
            self._take_back(work, frozenset(found))
        return found

    def _take_back(self, work: Work, order_ids: frozenset[str]) -> None:
        """Take profits that rest may be among them; they rest again if the position stays."""
        signal, now_ms = work.signal, to_ms(utc_now())
        assert signal.category is not None and signal.symbol is not None
        for record in self._journal.live_guards_of(work.account.name, signal.category, signal.symbol):
            guard = taken_back(record.guard, order_ids)
            if guard != record.guard:
                self._journal.save_guard(record.seq, guard, now_ms=now_ms)

    def step(self, work: Work, *, now_ms: int) -> float:
        """Cancel or look at the next one. Seconds until there is more to do.

        One that cannot be cancelled is left, and `work.uncleared` says so. The others then share its time.
        """
        assert work.clearing is not None
        waits = self._canceller.step(
            work.account,
            work.clearing,
            signal_id=work.signal.id,
            is_exit=work.signal.action.is_close,
            now_ms=now_ms,
        )
        if not isinstance(waits, Finish):
            return waits
        work.uncleared = work.uncleared or waits
        stuck, *others = [each for each in work.clearing.values() if not each.order.status.is_ended]
        begun_at_ms = stuck.begun_at_ms or now_ms
        work.clearing = {
            each.order.client_order_id: replace(each, begun_at_ms=each.begun_at_ms or begun_at_ms) for each in others
        }
        return 0.0
