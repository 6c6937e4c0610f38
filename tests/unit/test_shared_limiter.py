"""The limiter where several processes send for an account: when it asks whose turn it is, and when it need not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from relay.bybit.http import ExchangeClock
from relay.bybit.limiter import WINDOW_S, Permit, Priority
from relay.bybit.turns import CUSTOMARY, PATIENCE_S, SharedLimiter
from relay.journal.turns import SharedTurns
from tests.unit.turns_support import CREATE, Client, Database, until

POSITIONS = "/v5/position/list"
CANCEL = "/v5/order/cancel"


class Process:
    """One limiter; where it would sleep, the database's time passes instead."""

    def __init__(self, client: Client, database: Database) -> None:
        self.client = client
        self.slept_s: list[float] = []
        self._database = database
        self.clock = ExchangeClock()
        self.limiter = SharedLimiter(self.clock, client.turns, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self._database.pass_time(seconds)

    def learn(self, limit: int, remaining: int, *, endpoint: str = CREATE, refused: bool = False) -> None:
        self.limiter.learn(endpoint, headers(limit, remaining), refused=refused)

    def acquire(
        self, name: str | None, *, endpoint: str = CREATE, priority: Priority = Priority.ENTRY, timeout_s: float = 2.5
    ) -> Permit:
        return self.limiter.acquire(endpoint, priority=priority, timeout_s=timeout_s, waiter=name)

    def done(self, leave: Permit, reported: dict[str, str], *, counted: bool = True) -> None:
        self.limiter.done(CREATE, leave, counted=counted, headers=reported)


def headers(limit: int, remaining: int) -> dict[str, str]:
    return {"X-Bapi-Limit": str(limit), "X-Bapi-Limit-Status": str(remaining)}


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    made = Database(postgres_url)
    yield made
    made.close()


@pytest.fixture
def two(postgres_url: str, database: Database) -> Iterator[tuple[Process, Process]]:
    clients = (Client(postgres_url), Client(postgres_url))
    yield Process(clients[0], database), Process(clients[1], database)
    for each in clients:
        each.close()


Two = tuple[Process, Process]


def test_where_nothing_is_counted_nothing_is_asked(two: Two, database: Database) -> None:
    two[0].limiter.learn(CREATE, {}, refused=False)
    for number in range(30):
        leave = two[0].acquire(f"o{number}")
        assert leave.granted
        two[0].done(leave, {})
    assert database.ask("SELECT count(*) FROM turns") == [(0,)]


def test_a_question_is_nobody_elses_affair(two: Two, database: Database) -> None:
    two[0].learn(50, 49, endpoint=POSITIONS)
    assert all(two[0].acquire(None, endpoint=POSITIONS).granted for _ in range(20))
    assert database.ask("SELECT count(*) FROM turns") == [(0,)]


def test_the_limit_that_each_was_told_holds_for_both_together(two: Two) -> None:
    for each in two:
        each.learn(4, 3)
    granted = [two[number % 2].acquire(f"o{number}", timeout_s=0).granted for number in range(6)]
    assert granted == [True] * 4 + [False] * 2


def test_a_process_that_has_sent_no_order_yet_counts_the_customary_ones(two: Two) -> None:
    two[0].learn(50, 49, endpoint=POSITIONS)
    granted = [two[0].acquire(f"o{number}", timeout_s=0).granted for number in range(CUSTOMARY + 1)]
    assert granted == [True] * CUSTOMARY + [False]


def test_an_answer_without_a_limit_ends_the_asking(two: Two, database: Database) -> None:
    two[0].learn(1, 0)
    assert two[0].acquire("a").granted
    two[0].limiter.learn(CREATE, {}, refused=False)
    assert all(two[0].acquire(f"o{number}").granted for number in range(3))


def test_who_would_wait_for_long_is_told_when_to_come_and_holds_no_thread(two: Two) -> None:
    one, other = two
    one.learn(1, 0)
    other.learn(1, 0)
    one.done(one.acquire("a"), {})
    now_ms = other.clock.now_ms()
    leave = other.acquire("b")
    assert not leave.granted
    assert other.slept_s == []
    assert leave.retry_at_ms is not None
    assert PATIENCE_S * 1000 < leave.retry_at_ms - now_ms <= WINDOW_S * 1000 + 500


def test_who_comes_again_in_time_goes_before_who_came_later(two: Two, database: Database) -> None:
    one, other = two
    one.learn(1, 0)
    other.learn(1, 0)
    one.done(one.acquire("a"), {})
    until(lambda: database.ask("SELECT 1 FROM turns WHERE until_us - asked_us < 1900000") != [])
    assert not one.acquire("first").granted
    database.pass_time(WINDOW_S)
    assert not other.acquire("second", timeout_s=0).granted
    assert one.acquire("first").granted


@pytest.mark.parametrize(
    ("reported_ms", "slept_s", "is_granted"),
    [([0], [], True), ([100, 20, 0], [0.1, 0.02], True), ([100, 200, 0], [0.1], False), ([300, 0], [], False)],
)
def test_who_need_not_wait_for_long_waits(reported_ms: list[int], slept_s: list[float], is_granted: bool) -> None:
    hand, slept = [100.0], list[float]()

    class Reported(SharedTurns):
        def __init__(self) -> None:
            """It says what it was told to."""

        def take(self, turn: str, **_: object) -> int:
            return reported_ms.pop(0)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        hand[0] += seconds

    limiter = SharedLimiter(ExchangeClock(), Reported(), monotonic=lambda: hand[0], sleep=sleep)
    limiter.learn(CREATE, headers(10, 9), refused=False)
    leave = limiter.acquire(CREATE, priority=Priority.ENTRY, timeout_s=2.5, waiter="a")
    assert (slept, leave.granted) == (slept_s, is_granted)


def test_a_request_that_never_left_gives_its_turn_back(two: Two, database: Database) -> None:
    one, other = two
    one.learn(1, 0)
    other.learn(1, 0)
    one.done(one.acquire("a"), {}, counted=False)
    until(lambda: database.ask("SELECT count(*) FROM turns") == [(0,)])
    assert other.acquire("b", timeout_s=0).granted


def test_what_the_exchange_says_others_have_spent_holds_for_every_process(two: Two, database: Database) -> None:
    one, other = two
    one.learn(10, 9)
    other.learn(10, 9)
    one.done(one.acquire("a"), headers(10, 1))
    until(lambda: database.left_s("others") > 0)
    assert [other.acquire(f"o{number}", timeout_s=0).granted for number in range(2)] == [True, False]


def test_after_a_refusal_nothing_of_this_process_goes_before_its_time(two: Two, database: Database) -> None:
    two[0].learn(10, 0, refused=True)
    leave = two[0].acquire("a", timeout_s=0)
    assert not leave.granted
    assert leave.retry_at_ms is not None
    assert database.ask("SELECT count(*) FROM turns") == [(0,)]


def test_where_the_database_is_away_nothing_is_sent_and_that_is_said(two: Two) -> None:
    two[0].learn(10, 9)
    two[0].client.close()
    leave = two[0].acquire("a")
    assert not leave.granted
    assert leave.retry_at_ms is None
    assert "the journal in Postgres is closed" in leave.why
