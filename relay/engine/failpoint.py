"""What tests may do to a running relay: kill it between two named steps of the execution, and let it wait shorter."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Final

KILL_AT: Final = "RELAY_KILL_AT"
KILL_BY: Final = "RELAY_KILL_BY"
"""Another signal than SIGKILL, to the process that has come there: SIGSTOP freezes it."""

ABSENT_SOONER: Final = "RELAY_ABSENT_SOONER"
"""How many times sooner than after half a minute an order that nothing is found of is absent. On paper only."""


class Failpoint(StrEnum):
    """What has just been done; the next step has not begun."""

    RECEIVED = "accept.received"
    PARSED = "accept.parsed"
    COMMITTED = "accept.committed"
    """The alert is on disk; its lane has not got it."""
    ANSWERED = "accept.answered"
    """Its lane has it, and the answer is about to be sent."""
    BEGUN = "execute.begun"
    GATHERED = "execute.gathered"
    PLANNED = "execute.planned"
    """The plan is on disk, with the first order's attempt where it orders anything; nothing has been sent."""
    SUBMITTED = "execute.submitted"
    """A further attempt is on disk; it has not been sent."""
    BYTES_OUT = "execute.bytes_out"
    """An order's bytes have left, and the exchange has not answered."""
    SENT = "execute.sent"
    """The exchange has answered, or has not; nothing of that is on disk."""
    OUTCOME_STORED = "execute.outcome_kept"
    LOOKED_UP = "execute.looked_up"
    ABSENCE_STORED = "execute.absence_kept"
    """It is on disk that the order certainly never arrived."""
    REPORT_STORED = "execute.report_kept"
    ORDER_ADDED = "execute.order_added"
    """A fallback or a remainder is on disk."""
    ORDER_DENIED = "execute.order_denied"
    FINISHED = "execute.finished"
    """What the signal came to is on disk; nobody was told."""
    LEVERAGE_DUE = "execute.leverage_due"
    """Nothing of it is on disk, here and before the other calls that carry no attempt of their own."""
    LEVERAGE_SENT = "execute.leverage_sent"
    """The leverage may be set; the entry has not left."""
    STOPS_DUE = "care.stops_due"
    STOPS_SENT = "care.stops_sent"
    """The position's levels may be set; nothing of that is on disk."""
    BRACKET_SAVED = "care.guard_kept"
    TAKE_PROFIT_ADDED = "care.rung_added"
    """A take profit's order is on disk; it has not been sent."""
    AMEND_DUE = "care.amend_due"
    AMEND_SENT = "care.amend_sent"
    CANCEL_DUE = "clear.cancel_due"
    CANCEL_SENT = "clear.cancel_sent"
    CANCEL_CONFIRMED = "clear.cancel_confirmed"


class _Killer:
    """Counts down to the moment."""

    def __init__(self, requested: str) -> None:
        name, _, times = requested.partition(":")
        self._failpoint = Failpoint(name)
        self._left = int(times or 1)
        self._signal = signal.Signals[os.environ.get(KILL_BY, "SIGKILL")]
        self._lock = threading.Lock()

    def passed(self, failpoint: Failpoint) -> None:
        if failpoint is not self._failpoint:
            return
        with self._lock:
            self._left -= 1
            if self._left != 0:
                return
        if self._signal is signal.SIGKILL:
            # The master and its worker are one group; a paper exchange is never in it.
            os.killpg(0, self._signal)
        else:
            # To this very thread, which would else go on until another one has taken notice.
            signal.pthread_kill(threading.get_ident(), self._signal)


def requested() -> Callable[[Failpoint], object]:
    """What the environment asks for."""
    given = os.environ.get(KILL_AT)
    return _Killer(given).passed if given else id


passed: Final = requested()
"""Called between two steps of the execution. Where no test asks to be killed, it is a builtin that does nothing."""


def absent_sooner() -> int:
    return int(os.environ.get(ABSENT_SOONER, 1))
