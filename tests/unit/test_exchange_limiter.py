"""The account's rate limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from relay.bybit.http import ExchangeClock
from relay.bybit.limiter import BATCH_MAX, HOLD_MAX_S, SOON_S, WINDOW_S, Limiter, Passenger, Permit, Priority

CREATE = "/v5/order/create"
CANCEL = "/v5/order/cancel"
BATCH = "/v5/order/create-batch"


class Hand:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def limiter(hand: Hand) -> Limiter:
    return Limiter(ExchangeClock(wall=lambda: hand.at, monotonic=hand), monotonic=hand)


def headers(limit: int, remaining: int, reset_ms: int = 0) -> dict[str, str]:
    return {
        "X-Bapi-Limit": str(limit),
        "X-Bapi-Limit-Status": str(remaining),
        "X-Bapi-Limit-Reset-Timestamp": str(reset_ms),
    }


def at_once(limiter: Limiter, endpoint: str = CREATE) -> Permit:
    """A request that is answered as soon as it may go."""
    leave = limiter.acquire(endpoint, priority=Priority.ENTRY, timeout_s=0)
    if leave.granted:
        limiter.done(endpoint, leave, counted=True, headers={})
    return leave


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        threading.Event().wait(0.001)


def test_nothing_is_counted_where_no_limit_was_ever_named(limiter: Limiter) -> None:
    for _ in range(1000):
        limiter.learn(CREATE, {}, refused=False)
        assert at_once(limiter).granted


def test_the_limit_that_was_named_is_kept_within_its_second(limiter: Limiter, hand: Hand) -> None:
    assert at_once(limiter).granted
    limiter.learn(CREATE, headers(3, 2), refused=False)
    assert [at_once(limiter).granted for _ in range(3)] == [True, True, False]
    hand.at += WINDOW_S
    assert at_once(limiter).granted


def test_who_may_not_go_is_told_when_to_ask_again(limiter: Limiter, hand: Hand) -> None:
    at_once(limiter)
    limiter.learn(CREATE, headers(1, 0), refused=False)
    refused = at_once(limiter)
    assert not refused.granted
    assert refused.retry_at_ms == pytest.approx((hand.at + WINDOW_S) * 1000, abs=1)


def test_what_others_spend_of_the_limit_is_left_to_them(limiter: Limiter, hand: Hand) -> None:
    at_once(limiter)
    limiter.learn(CREATE, headers(10, 2), refused=False)
    assert [at_once(limiter).granted for _ in range(3)] == [True, True, False]
    hand.at += WINDOW_S
    assert [at_once(limiter).granted for _ in range(11)] == [True] * 10 + [False]


def test_an_answer_without_a_limit_ends_the_counting(limiter: Limiter) -> None:
    at_once(limiter)
    limiter.learn(CREATE, headers(1, 0), refused=False)
    assert not at_once(limiter).granted
    limiter.learn(CREATE, {}, refused=False)
    assert at_once(limiter).granted


def test_one_endpoints_limit_does_not_hold_another(limiter: Limiter) -> None:
    at_once(limiter)
    limiter.learn(CREATE, headers(1, 0), refused=False)
    assert not at_once(limiter, CREATE).granted
    assert at_once(limiter, CANCEL).granted


def test_after_a_refusal_nothing_goes_before_the_reset(limiter: Limiter, hand: Hand) -> None:
    reset_ms = round((hand.at + 5) * 1000)
    assert limiter.learn(CREATE, headers(10, 0, reset_ms), refused=True) == pytest.approx(reset_ms, abs=1)
    hand.at += 4.9
    assert not at_once(limiter).granted
    hand.at += 0.2
    assert at_once(limiter).granted


def test_a_reset_that_has_passed_holds_nothing(limiter: Limiter, hand: Hand) -> None:
    retry_at_ms = limiter.learn(CREATE, headers(10, 10, 1), refused=True)
    assert retry_at_ms == pytest.approx(hand.at * 1000, abs=1)
    assert at_once(limiter).granted


def test_a_refusal_that_names_no_time_holds_for_a_second(limiter: Limiter, hand: Hand) -> None:
    limiter.learn(CREATE, {}, refused=True)
    assert not at_once(limiter).granted
    hand.at += 1.01
    assert at_once(limiter).granted


def test_an_absurd_reset_does_not_silence_the_relay(limiter: Limiter, hand: Hand) -> None:
    limiter.learn(CREATE, headers(10, 0, 10**15), refused=True)
    hand.at += HOLD_MAX_S + 0.01
    assert at_once(limiter).granted


@pytest.mark.parametrize("nonsense", ["", "ten", "-1", "1.5", "١٠"])
def test_a_header_that_is_no_number_is_none(limiter: Limiter, nonsense: str) -> None:
    at_once(limiter)
    limiter.learn(CREATE, {"X-Bapi-Limit": nonsense, "X-Bapi-Limit-Status": nonsense}, refused=False)
    assert at_once(limiter).granted


def test_exits_go_before_entries_and_each_in_order(limiter: Limiter, hand: Hand) -> None:
    at_once(limiter)
    limiter.learn(CREATE, headers(1, 0), refused=False)
    went: list[str] = []
    threads = []
    for name, priority in (
        ("entry 1", Priority.ENTRY),
        ("entry 2", Priority.ENTRY),
        ("exit 1", Priority.EXIT),
        ("exit 2", Priority.EXIT),
    ):

        def go(name: str = name, priority: Priority = priority) -> None:
            leave = limiter.acquire(CREATE, priority=priority, timeout_s=1000)
            if leave.granted:
                limiter.done(CREATE, leave, counted=True, headers={})
                went.append(name)

        threads.append(threading.Thread(target=go, daemon=True))
        threads[-1].start()
        until(lambda: limiter.waiting(CREATE) == len(threads))
    for count in range(1, 5):
        hand.at += WINDOW_S
        limiter.learn(CREATE, headers(1, 1), refused=False)
        until(lambda count=count: len(went) == count)  # type: ignore[misc]
    for thread in threads:
        thread.join(60)
    assert went == ["exit 1", "exit 2", "entry 1", "entry 2"]


def test_who_cannot_have_a_turn_in_time_does_not_wait_for_it(limiter: Limiter) -> None:
    at_once(limiter)
    limiter.learn(CREATE, headers(1, 0), refused=False)
    # The hand stands still: had this waited for its half second, it would wait for ever.
    assert not limiter.acquire(CREATE, priority=Priority.EXIT, timeout_s=WINDOW_S / 2).granted
    assert limiter.waiting(CREATE) == 0


def test_a_request_counts_until_a_second_after_its_answer(limiter: Limiter, hand: Hand) -> None:
    limiter.learn(CREATE, headers(1, 1), refused=False)
    leave = limiter.acquire(CREATE, priority=Priority.ENTRY, timeout_s=0)
    assert leave.granted
    hand.at += 5
    assert not at_once(limiter).granted
    limiter.done(CREATE, leave, counted=True, headers={})
    assert not at_once(limiter).granted
    hand.at += WINDOW_S
    assert at_once(limiter).granted


def test_a_request_that_never_left_does_not_count(limiter: Limiter) -> None:
    limiter.learn(CREATE, headers(1, 1), refused=False)
    leave = limiter.acquire(CREATE, priority=Priority.ENTRY, timeout_s=0)
    assert leave.granted
    limiter.done(CREATE, leave, counted=False, headers={})
    assert at_once(limiter).granted


def answered_late(limiter: Limiter, hand: Hand, *, reported_ms_after_leaving: int) -> float:
    """A request that is under way for 0.4 s; when it left."""
    leave = limiter.acquire(CREATE, priority=Priority.ENTRY, timeout_s=0)
    assert leave.granted
    left_at = hand.at
    hand.at += 0.4
    reported = headers(1, 0, int(left_at * 1000) + reported_ms_after_leaving)
    limiter.done(CREATE, leave, counted=True, headers=reported)
    limiter.learn(CREATE, reported, refused=False)
    return left_at


def free_at(limiter: Limiter) -> float:
    """When the next may go, as who may not go now is told."""
    refused = at_once(limiter)
    assert not refused.granted and refused.retry_at_ms is not None
    return refused.retry_at_ms / 1000


def test_a_request_counts_from_when_the_exchange_says_that_it_did(limiter: Limiter, hand: Hand) -> None:
    left_at = answered_late(limiter, hand, reported_ms_after_leaving=200)
    assert free_at(limiter) == pytest.approx(left_at + 0.2 + WINDOW_S, abs=0.003)


@pytest.mark.parametrize("reported_ms", [-2, 401, 5_000, -60_000])
def test_a_time_at_which_it_was_not_under_way_is_not_expected(limiter: Limiter, hand: Hand, reported_ms: int) -> None:
    """Then the clocks are further apart than a round trip, and it counts from its answer."""
    left_at = answered_late(limiter, hand, reported_ms_after_leaving=reported_ms)
    assert free_at(limiter) == pytest.approx(left_at + 0.4 + WINDOW_S, abs=0.003)


def test_requests_count_in_the_order_in_which_the_exchange_counted_them(limiter: Limiter, hand: Hand) -> None:
    """Their answers come in another one."""
    limiter.learn(CREATE, headers(2, 2), refused=False)
    first = limiter.acquire(CREATE, priority=Priority.ENTRY, timeout_s=0)
    second = limiter.acquire(CREATE, priority=Priority.ENTRY, timeout_s=0)
    begun_at, begun_ms = hand.at, int(hand.at * 1000)
    hand.at += 0.5
    limiter.done(CREATE, second, counted=True, headers=headers(2, 0, begun_ms + 300))
    limiter.done(CREATE, first, counted=True, headers=headers(2, 1, begun_ms + 100))
    assert free_at(limiter) == pytest.approx(begun_at + 0.1 + WINDOW_S, abs=0.003)
    hand.at = begun_at + 0.102 + WINDOW_S
    assert at_once(limiter).granted
    assert free_at(limiter) == pytest.approx(begun_at + 0.3 + WINDOW_S, abs=0.003)


def test_many_who_wait_all_go_in_their_order_one_window_after_the_other() -> None:
    limiter = Limiter(ExchangeClock())
    limiter.learn(CREATE, headers(5, 5), refused=False)
    went: list[int] = []
    begun: list[threading.Thread] = []

    def go(number: int) -> None:
        leave = limiter.acquire(CREATE, priority=Priority.ENTRY, timeout_s=10)
        assert leave.granted
        went.append(number)
        limiter.done(CREATE, leave, counted=True, headers={})

    for number in range(12):
        begun.append(threading.Thread(target=go, args=(number,)))
        begun[-1].start()
        until(lambda: len(went) + limiter.waiting(CREATE) == len(begun))
    for thread in begun:
        thread.join(60)
    assert went == list(range(12))


def test_what_a_late_answer_says_is_left_is_held_against_that_moment(limiter: Limiter, hand: Hand) -> None:
    """By the time it is read, a request that had been counted before it counts no more: nobody else has spent that."""
    limiter.learn(CREATE, headers(2, 2), refused=False)
    begun_ms = int(hand.at * 1000)
    first = limiter.acquire(CREATE, priority=Priority.ENTRY, timeout_s=0)
    limiter.done(CREATE, first, counted=True, headers=headers(2, 1, begun_ms))
    hand.at += 0.9
    second = limiter.acquire(CREATE, priority=Priority.ENTRY, timeout_s=0)
    hand.at += 0.3
    reported = headers(2, 0, begun_ms + 950)
    limiter.done(CREATE, second, counted=True, headers=reported)
    limiter.learn(CREATE, reported, refused=False)
    assert at_once(limiter).granted


def test_what_others_have_spent_is_free_again_a_second_after_it_was_reported(limiter: Limiter, hand: Hand) -> None:
    left_at = answered_late(limiter, hand, reported_ms_after_leaving=100)
    hand.at = left_at + 0.5
    reported = headers(3, 0, int(left_at * 1000) + 200)
    limiter.learn(CREATE, reported, refused=False)
    hand.at = left_at + 0.15 + WINDOW_S
    assert at_once(limiter).granted, "its own place is free"
    assert free_at(limiter) == pytest.approx(left_at + 0.2 + WINDOW_S, abs=0.003)


def test_who_is_next_goes_as_soon_as_there_is_room_however_long_the_one_before_is_under_way() -> None:
    limiter = Limiter(ExchangeClock())
    limiter.learn(CREATE, headers(2, 2), refused=False)
    assert at_once(limiter).granted and at_once(limiter).granted
    granted: list[bool] = []

    def go() -> None:
        granted.append(limiter.acquire(CREATE, priority=Priority.ENTRY, timeout_s=60).granted)

    threads = [threading.Thread(target=go, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: granted == [True, True])


def passenger(kind: str = "linear") -> Passenger:
    return Passenger(endpoint=BATCH, kind=kind)


def boarding(limiter: Limiter, own: Passenger, priority: Priority = Priority.ENTRY, timeout_s: float = 0) -> Permit:
    return limiter.acquire(CREATE, priority=priority, timeout_s=timeout_s, passenger=own)


def spent(limiter: Limiter, limit: int) -> None:
    """All of the single orders' limit, just now."""
    limiter.learn(CREATE, headers(limit, limit), refused=False)
    assert [at_once(limiter).granted for _ in range(limit)] == [True] * limit


def test_one_leaves_by_itself_while_it_may_and_in_a_batch_when_that_is_spent(limiter: Limiter) -> None:
    limiter.learn(CREATE, headers(1, 1), refused=False)
    first, second = passenger(), passenger()
    alone = boarding(limiter, first)
    assert (alone.granted, alone.batch) == (True, ())
    beside = boarding(limiter, second)
    assert (beside.granted, beside.batch) == (True, (second,))


def test_batches_are_counted_by_what_is_in_them_up_to_the_single_ones_limit_or_their_own(limiter: Limiter) -> None:
    spent(limiter, 2)
    for _ in range(2):
        permit = boarding(limiter, passenger())
        assert permit.granted
        limiter.done(BATCH, permit, counted=True, headers={})
    assert not boarding(limiter, passenger()).granted
    limiter.learn(BATCH, headers(3, 1), refused=False)
    assert boarding(limiter, passenger()).granted
    assert not boarding(limiter, passenger()).granted


def test_who_will_soon_go_by_himself_waits_for_that(limiter: Limiter, hand: Hand) -> None:
    spent(limiter, 2)
    hand.at += WINDOW_S - SOON_S / 2
    found: list[Permit] = []
    thread = threading.Thread(target=lambda: found.append(boarding(limiter, passenger(), timeout_s=1)), daemon=True)
    thread.start()
    until(lambda: limiter.waiting(CREATE) == 1)
    hand.at += SOON_S
    thread.join(60)
    assert [(each.granted, each.batch) for each in found] == [(True, ())]


def test_a_batch_takes_along_who_waits_exits_first_of_its_kind_and_ten_at_most(limiter: Limiter, hand: Hand) -> None:
    spent(limiter, 1)
    limiter.learn(BATCH, headers(30, 30, round((hand.at + 0.5) * 1000)), refused=True)
    found: dict[Passenger | None, Permit] = {}
    entries, exits, others = [passenger() for _ in range(9)], [passenger() for _ in range(3)], [passenger("inverse")]
    queue = [
        *((each, Priority.ENTRY) for each in (*entries, *others, None)),
        *((each, Priority.EXIT) for each in exits),
    ]

    def go(own: Passenger | None, priority: Priority) -> None:
        found[own] = limiter.acquire(CREATE, priority=priority, timeout_s=WINDOW_S * 3, passenger=own)

    threads = [threading.Thread(target=go, args=each, daemon=True) for each in queue]
    for number, thread in enumerate(threads, start=1):
        thread.start()
        until(lambda number=number: limiter.waiting(CREATE) == number)  # type: ignore[misc]
    hand.at += 0.6
    until(lambda: len(found) == 13)
    batches = [permit.batch for permit in found.values() if permit.granted]
    assert sorted(batches, key=len, reverse=True)[:2] == [(*exits, *entries[: BATCH_MAX - 3]), tuple(entries[7:])]
    assert tuple(others) in batches
    assert sum(permit.is_taken for permit in found.values()) == 13 - len(batches)
    assert limiter.waiting(CREATE) == 1, "who may not leave in a batch"
