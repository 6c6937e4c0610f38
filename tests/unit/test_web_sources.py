"""Where a request comes from, how often somebody may fail, and how long somebody asks to wait."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from relay.web.access import FailureLimit, is_allowed, neighbourhoods
from relay.web.gunicorn import threads
from relay.web.webhook import WAITERS_MAX, wait_requested_s


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("52.89.214.238", True),
        ("::ffff:52.89.214.238", True),
        ("52.89.214.238:4711", True),
        ("2001:db8::1", True),
        ("[2001:db8::1]:4711", True),
        ("2001:db8::1%eth0", True),
        ("52.89.214.239", False),
        ("2001:db9::1", False),
        ("52.89.214.238, 203.0.113.9", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_an_address_is_known_in_every_spelling(source: str, expected: bool) -> None:
    networks = (ip_network("52.89.214.238"), ip_network("2001:db8::/32"))
    assert is_allowed(source, networks) is expected


def test_without_networks_everybody_may_post() -> None:
    assert is_allowed("unknown", ())


def test_the_addresses_of_one_ipv6_site_and_of_one_network_count_as_one_sender() -> None:
    site, network = neighbourhoods("2001:db8:1:2::3")
    assert neighbourhoods("2001:db8:1:2:ffff::9") == (site, network)
    assert neighbourhoods("2001:db8:1:3::3")[0] != site
    assert neighbourhoods("2001:db8:1:3::3")[1] == network != site
    assert set(neighbourhoods("2001:db8:2:2::3")).isdisjoint({site, network})
    assert neighbourhoods("203.0.113.1") == ("203.0.113.1",)


def test_who_changes_the_ipv6_site_with_each_failure_is_still_reported_to_slow_down() -> None:
    limit = FailureLimit(most=5, window_s=60, monotonic=Clock())
    told = [limit.failed(f"2001:db8:77:{site:x}::1") for site in range(21)]
    assert told == [None] * 20 + [60.0]
    assert limit.blocked_s("2001:db8:77:ffff::1") == 60.0
    assert limit.blocked_s("2001:db8:78:1::1") is None
    assert limit.failed("2001:db8:78:1::1") is None


def test_failures_over_the_limit_are_reported_when_to_come_back() -> None:
    clock = Clock()
    limit = FailureLimit(most=2, window_s=60, monotonic=clock)
    assert [limit.failed("a"), limit.failed("a")] == [None, None]
    clock.now += 20
    assert limit.failed("a") == 40
    assert limit.failed("b") is None


def test_failures_are_forgotten_when_the_window_is_over() -> None:
    clock = Clock()
    limit = FailureLimit(most=1, window_s=60, monotonic=clock)
    assert (limit.failed("a"), limit.failed("a")) == (None, 60)
    clock.now += 60
    assert limit.failed("a") is None


def test_of_too_many_sources_the_oldest_is_forgotten() -> None:
    limit = FailureLimit(most=1, sources_max=2, monotonic=Clock())
    for source in ("a", "b", "c"):
        assert limit.failed(source) is None
    assert limit.failed("a") is None
    assert limit.failed("c") is not None


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=3", 3),
        ('respond-async, wait="7"', 7),
        ("Wait = 10", 10),
        ("wait=99999", 10),
        ("handling=lenient; wait=2", 2),
        ("await=3", 0),
        ("wait=-1", 0),
        ("wait=soon", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_the_wait_that_a_prefer_header_asks_for(prefer: str | None, seconds: int) -> None:
    assert wait_requested_s(prefer) == seconds


def test_at_most_a_quarter_of_the_threads_wait() -> None:
    assert threads >= WAITERS_MAX * 4
