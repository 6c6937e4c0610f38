"""What a signal, or one account's part of it, has come to."""

from __future__ import annotations

from enum import StrEnum


class SignalStatus(StrEnum):
    """`rejected`: the alert itself was bad. `denied`: the relay's rules said no. `failed`: the exchange did."""

    ACCEPTED = "accepted"
    EXECUTING = "executing"
    DONE = "done"
    DENIED = "denied"
    FAILED = "failed"
    EXPIRED = "expired"
    ATTENTION = "attention"
    REJECTED = "rejected"

    @property
    def is_finished(self) -> bool:
        return self not in (SignalStatus.ACCEPTED, SignalStatus.EXECUTING)
