"""The right to act: it ends by a clock that neither jumps nor stands still."""

from __future__ import annotations

import time

import pytest

from relay.engine import lease_guard
from relay.engine.lease_guard import AccountLease, LeaseLost, holding


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the system has no such clock")
def test_a_right_ends_while_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the monotonic clock stands still, and the database's does not."""
    suspended_s, clock = 0.0, time.clock_gettime

    def with_pause(which: int) -> float:
        return clock(which) + (suspended_s if which == time.CLOCK_BOOTTIME else 0.0)

    monkeypatch.setattr(time, "clock_gettime", with_pause)
    lease = AccountLease(name="east", epoch=1, deadline=lease_guard.clock() + 600)
    with holding(lease):
        assert lease_guard.remaining_validity_ms(5000) == 5000
        suspended_s = 601
        with pytest.raises(LeaseLost):
            lease_guard.remaining_validity_ms(5000)
