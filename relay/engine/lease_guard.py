"""The right to act in an account where several processes could: held by a thread while it acts, and checked right
before each call."""

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
    """Another process has this account now, or may; what this one was about to do is dropped."""


@dataclass(slots=True, eq=False)
class AccountLease:
    """One account's, whole, of one process. A later holder has a greater `epoch`. `name`: the account's."""

    name: str
    epoch: int
    deadline: float
    """By `clock`. Counted from before it was asked for, so it ends here before it does in the database."""
    is_lost: bool = False

    @property
    def is_valid(self) -> bool:
        return not self.is_lost and clock() < self.deadline


_held: ContextVar[AccountLease | None] = ContextVar("held_lease", default=None)


@contextmanager
def holding(lease: AccountLease) -> Iterator[None]:
    """What this thread does meanwhile, it does by the right of `lease`."""
    token = _held.set(lease)
    try:
        yield
    finally:
        _held.reset(token)


def held() -> AccountLease | None:
    """The lease by which this thread acts; None: it needs none."""
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
