"""The exchange's clock, told from here."""

from __future__ import annotations

import pytest

from relay.bybit.http import ExchangeClock
from relay.errors import ExchangeUnreachable


class Times:
    """Hands that the test moves. `server_ms` is what the exchange would answer at this moment."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000.0
        self.monotonic = 50.0
        self.server_ahead_s = 0.0
        self.one_way_s: list[float] = []

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def ask(self) -> int:
        """One round trip: as long on the way there as on the way back."""
        one_way_s = self.one_way_s.pop(0) if self.one_way_s else 0.05
        self.pass_by(one_way_s)
        answered = self.wall + self.server_ahead_s
        self.pass_by(one_way_s)
        return round(answered * 1000)


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def clock(times: Times) -> ExchangeClock:
    return ExchangeClock(wall=lambda: times.wall, monotonic=lambda: times.monotonic)


def test_before_it_is_measured_the_local_clock_counts(times: Times, clock: ExchangeClock) -> None:
    times.pass_by(1)
    assert clock.now_ms() == pytest.approx(times.wall * 1000, abs=1)
    assert clock.offset_ms == 0


@pytest.mark.parametrize("ahead_s", [7.5, -7.5])
def test_the_offset_leaves_out_half_the_round_trip(times: Times, clock: ExchangeClock, ahead_s: float) -> None:
    times.server_ahead_s = ahead_s
    assert clock.measure(times.ask) == pytest.approx(ahead_s * 1000, abs=1)
    assert clock.now_ms() == pytest.approx((times.wall + ahead_s) * 1000, abs=1)


def test_the_quickest_sample_counts(times: Times, clock: ExchangeClock) -> None:
    answers = iter([(0.4, 9.0), (0.01, 3.0), (0.3, 8.0)])

    def ask() -> int:
        took, ahead = next(answers)
        times.pass_by(took)
        return round((times.wall - took / 2 + ahead) * 1000)

    assert clock.measure(ask) == pytest.approx(3000, abs=1)


def test_a_step_of_the_local_clock_changes_nothing(times: Times, clock: ExchangeClock) -> None:
    clock.measure(times.ask)
    before = clock.now_ms()
    times.wall += 3600
    assert clock.now_ms() == before
    assert clock.offset_ms == pytest.approx(-3_600_000, abs=1)


def test_a_failed_measurement_changes_nothing(times: Times, clock: ExchangeClock) -> None:
    times.server_ahead_s = 5
    clock.measure(times.ask)

    def fail() -> int:
        raise ExchangeUnreachable("down")

    with pytest.raises(ExchangeUnreachable):
        clock.measure(fail)
    assert clock.offset_ms == pytest.approx(5000, abs=1)


def test_times_to_come_are_named_both_ways(clock: ExchangeClock) -> None:
    assert clock.after_ms(2.5) == pytest.approx(clock.now_ms() + 2500, abs=1)
    assert clock.seconds_until(clock.now_ms() + 1500) == pytest.approx(1.5, abs=0.002)
    assert clock.seconds_until(clock.now_ms() - 1500) == pytest.approx(-1.5, abs=0.002)
