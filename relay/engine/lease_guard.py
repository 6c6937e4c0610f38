"""The right to act in a lane where several processes could: held by a thread while it acts, checked right before each
call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from relay.errors import RelayError

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def clock() -> float:
    """Seconds, by a clock that nobody sets and, where there is one, that goes on while the machine is suspended."""
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)


class LeaseLost(RelayError):
    """Another process has this lane now; what this one was about to do is dropped."""


@dataclass(slots=True, eq=False)
class Lease:
    """One lane's, of one process. A later holder has a greater `epoch`."""

    name: str
    epoch: int
    deadline: float
    """By `clock`. Counted from before it was asked for, so it ends here before it does in the database."""
    is_lost: bool = False

    @property
    def is_valid(self) -> bool:
        return not self.is_lost and clock() < self.deadline


@dataclass(slots=True, eq=False)
class AccountLease(Lease):
    """One account's, whole: `name` is the account's. The journal knows its epoch among the owners of accounts."""


_held: ContextVar[Lease | None] = ContextVar("held_lease", default=None)


@contextmanager
def holding(lease: Lease) -> Iterator[None]:
    """What this thread does meanwhile, it does by the right of `lease`."""
    token = _held.set(lease)
    try:
        yield
    finally:
        _held.reset(token)


def held() -> Lease | None:
    """The lease by which this thread acts; None if it needs none."""
    return _held.get()


def require() -> None:
    """Right before anything leaves for the exchange. Raises LeaseLost: the process may have been frozen since."""
    lease = _held.get()
    if lease is not None and not lease.is_valid:
        raise LeaseLost


def remaining_validity_ms(milliseconds: int) -> int:
    """So much, or what is left of the lease: for how long something that leaves now may count wherever it arrives.

    Raises LeaseLost. Else a process that is frozen between the last look at its lease and the sending would act by it
    when it wakes up.
    """
    require()
    lease = _held.get()
    return milliseconds if lease is None else min(milliseconds, max(1, int((lease.deadline - clock()) * 1000)))
