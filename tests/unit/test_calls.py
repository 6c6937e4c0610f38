"""How requests go out and what becomes of them, and rows of the exchange's lists that cannot be read."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest

from relay.bybit.calls import ASK_TIMES, Calls, OddRows, listed, verdicts
from relay.bybit.http import SERVER_TIME, Answer, Cut, ExchangeClock, NoAnswer, NothingLeft, Refused403
from relay.bybit.limiter import Address, Permit, Priority
from relay.bybit.wire_account import required
from relay.domain.order import NotSent, OrderRejected, Unknown
from relay.engine import lease_guard
from relay.engine.lease_guard import AccountLease, LeaseLost
from relay.errors import ExchangeAnswered, ExchangeUnreachable, FactsUnreadable

GOOD, BAD = {"symbol": "A", "qty": "1"}, {"symbol": "B", "qty": "much"}
SAID = "the exchange's row of B cannot be read: `qty` is 'much'"


def qty(row: Any) -> Decimal:
    return required(row, "qty")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def rows(told: list[str]) -> OddRows:
    made = OddRows()
    made.tell = told.append
    return made


def test_what_can_be_read_is_and_the_rest_is_told_once(rows: OddRows, told: list[str]) -> None:
    for _ in range(2):
        assert rows.read("row", [GOOD, BAD], qty) == ([Decimal(1)], [SAID])
    assert told == [SAID]
    assert (rows.problem("row", "B"), rows.problem("row", "A"), rows.problem("other", "B")) == (
        "`qty` is 'much'",
        None,
        None,
    )


def test_it_is_told_again_once_it_could_be_read_or_is_wrong_otherwise(rows: OddRows, told: list[str]) -> None:
    for row in (BAD, BAD | {"qty": "2"}, BAD, BAD | {"qty": "more"}, BAD | {"qty": "more"}):
        rows.read("row", [row], qty)
    assert told == [SAID, SAID, SAID.replace("much", "more")]


def test_where_nothing_may_be_missing_what_could_be_read_goes_with_the_error(rows: OddRows) -> None:
    assert rows.all_of("row", [GOOD, GOOD], qty) == [1, 1]
    with pytest.raises(FactsUnreadable) as caught:
        rows.all_of("row", [GOOD, BAD], qty)
    assert (caught.value.readable, str(caught.value)) == ((Decimal(1),), SAID)


def test_what_can_be_used_all_the_same_is_noted_in_its_words_and_forgotten_once_it_is_well(
    rows: OddRows, told: list[str]
) -> None:
    rows.note("rules", "A", None)
    rows.note("rules", "A", "odd", "in words")
    rows.note("rules", "A", "odd", "in words")
    rows.note("rules", "B", "bare")
    rows.note("rules", "A", None)
    rows.note("rules", "A", "odd", "in words")
    assert told == ["in words", "bare", "in words"]


@pytest.mark.parametrize("quiet", [False, True])
def test_what_nobody_is_to_be_woken_for_is_logged_quietly(quiet: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        OddRows(quiet=quiet).read("row", [BAD], qty)
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [
        (logging.DEBUG if quiet else logging.WARNING, SAID)
    ]


def test_a_list_without_end_of_odd_rows_is_not_remembered(rows: OddRows, told: list[str]) -> None:
    for number in range(2000):
        rows.note("row", f"r{number}", "odd")
    assert len(told) == 2000 and len(rows._reported) <= 1000


def test_what_is_no_list_of_rows_cannot_be_read() -> None:
    assert listed({"list": [GOOD]}) == [GOOD] and listed({"list": None}) == () and listed({}) == ()
    for odd in ("text", {"a": 1}, 7):
        with pytest.raises(FactsUnreadable, match=f"the exchange's list has another form .{type(odd).__name__}"):
            listed({"list": odd})


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        ({}, []),
        ({"list": "odd"}, []),
        ({"list": [{"code": 0, "msg": "OK"}, "odd", {"msg": "x" * 600}]}, [(0, "OK"), (None, "x" * 500)]),
    ],
)
def test_of_a_batch_each_order_has_a_verdict(extra: dict[str, Any], found: list[tuple[object, str]]) -> None:
    assert verdicts(Answer(code=0, words="", result={}, headers={}, extra=extra)) == found


class Spied:
    """In the limiter's place: what it is told."""

    def __init__(self) -> None:
        self.done_with: list[tuple[str, bool]] = []
        self.learned: list[bool] = []
        self.permits: list[Permit] = []

    def is_free(self, endpoint: str) -> bool:
        return endpoint == "/free"

    def acquire(self, counted_as: str, **_: object) -> Permit:
        return self.permits.pop(0)

    def done(self, counted_as: str, permit: Permit, *, counted: bool, headers: object) -> None:
        self.done_with.append((counted_as, counted))

    def learn(self, counted_as: str, headers: object, *, refused: bool) -> int | None:
        self.learned.append(refused)
        return 77 if refused else None


@pytest.fixture
def spied() -> Spied:
    return Spied()


@pytest.fixture
def measured() -> list[int]:
    return []


@pytest.fixture
def calls(spied: Spied, measured: list[int]) -> Calls:
    limiter: Any = spied
    return Calls(clock=ExchangeClock(), limiter=limiter, address=Address(), measure=lambda: measured.append(1))


def saying(code: int, words: str = "said", **extra: Any) -> Answer:
    return Answer(code=code, words=words, result={"list": []}, headers={}, extra=extra)


def asking(*said: Any) -> Any:
    """Answers, or raises, one after the other."""
    left = list(said)

    def ask(**params: object) -> Answer:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        answer: Answer = found
        return answer

    return ask


GRANTED = Permit(granted=True)
OUTCOMES: list[tuple[Any, type, bool]] = [
    (saying(0), Answer, True),
    (saying(10001), OrderRejected, True),
    (saying(10000), Unknown, True),
    (saying(10018), OrderRejected, True),
    (NoAnswer("cut"), Unknown, True),
    (NothingLeft("refused"), NotSent, False),
    (Refused403("blocked access from your country"), OrderRejected, True),
]


@pytest.mark.parametrize(("said", "kind", "counted"), OUTCOMES)
def test_a_request_that_left_counts_against_the_limit_and_one_that_did_not_does_not(
    calls: Calls, spied: Spied, said: Any, kind: type, counted: bool
) -> None:
    for params, counted_as in (({"category": "linear"}, "/e"), ({"category": "spot"}, "/e spot")):
        assert isinstance(calls.send(asking(said), "/e", dict(params), GRANTED), kind)
        assert spied.done_with.pop() == (counted_as, counted)


def test_by_a_lease_that_is_lost_nothing_leaves_or_counts(calls: Calls, spied: Spied) -> None:
    lease = AccountLease(name="main", epoch=1, deadline=lease_guard.clock() + 60)
    lease.is_lost = True
    with lease_guard.holding(lease), pytest.raises(LeaseLost):
        calls.send(asking(), "/e", {}, GRANTED)
    assert spied.done_with == [("/e", False)]


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (saying(0), False),
        (saying(10006), True),
        (saying(0, list=[{"code": 0, "msg": ""}, {"code": 10006, "msg": ""}]), True),
        (saying(0, list=[{"code": 10001, "msg": ""}]), False),
    ],
)
def test_a_spent_limit_is_learned_of_the_whole_or_of_one_in_a_batch(
    calls: Calls, spied: Spied, answer: Answer, refused: bool
) -> None:
    came_to = calls.send(asking(answer), "/e", {}, GRANTED)
    assert spied.learned == [refused]
    if answer.code:
        assert isinstance(came_to, OrderRejected) and came_to.retry_at_ms == 77


def test_what_may_not_leave_is_not_sent_and_says_until_when(calls: Calls, spied: Spied) -> None:
    spied.permits = [Permit(granted=False, why="spent", retry_at_ms=5), Permit(granted=False, is_taken=True), GRANTED]
    late, taken, granted = (calls.permit("/e", {}, Priority.ENTRY, 0) for _ in range(3))
    assert late == NotSent(why="spent", retry_at_ms=5)
    assert isinstance(taken, Permit) and taken.is_taken and granted is GRANTED
    for _ in range(2):
        calls.send(asking(Refused403("access too frequent")), "/e", {}, GRANTED)
    banned = calls.permit("/e", {}, Priority.EXIT, 0)
    assert isinstance(banned, NotSent) and banned.retry_at_ms is not None and banned.retry_at_ms > 1_000_000


@pytest.mark.parametrize(
    ("said", "endpoint", "expected", "measures"),
    [
        ([saying(0)], "/e", "answer", 0),
        ([saying(10006), saying(0)], "/e", "answer", 0),
        ([saying(10006)] * 9, "/e", "unreachable", 0),
        ([saying(10002), saying(0)], "/e", "answer", 1),
        ([saying(10002)] * 9, SERVER_TIME, "unreachable", 0),
        ([saying(10001)] * 9, "/e", "answered", 0),
        ([saying(10000)] * 9, "/e", "unreachable", 0),
        ([Cut("cut"), saying(0)], "/e", "answer", 0),
        ([Cut("cut")] * 9, "/e", "unreachable", 0),
        ([NoAnswer("silence"), saying(0)], "/e", "unreachable", 0),
        ([NothingLeft("refused"), saying(0)], "/e", "unreachable", 0),
    ],
)
def test_a_question_is_asked_again_where_that_may_help(
    calls: Calls, spied: Spied, measured: list[int], said: list[Any], endpoint: str, expected: str, measures: int
) -> None:
    spied.permits = [GRANTED] * 9
    try:
        calls.ask(asking(*said), endpoint)
        came_to = "answer"
    except ExchangeAnswered as error:
        came_to = "answered"
        assert error.code == 10001
    except ExchangeUnreachable:
        came_to = "unreachable"
    assert (came_to, len(measured)) == (expected, measures)
    assert len(spied.permits) >= 9 - ASK_TIMES


def test_pages_go_on_until_there_is_no_row_no_cursor_or_the_same_one(calls: Calls, spied: Spied) -> None:
    def page(rows: list[int], cursor: object) -> Answer:
        return Answer(code=0, words="", result={"list": rows, "nextPageCursor": cursor}, headers={})

    for pages, expected in (
        ([page([1], "a"), page([2], "b"), page([3], "")], [1, 2, 3]),
        ([page([1], "a"), page([], "b")], [1]),
        ([page([1], "a"), page([2], "a")], [1, 2]),
        ([page([1], None)], [1]),
    ):
        spied.permits = [GRANTED] * 5
        found: list[Any] = list(calls.pages(asking(*pages), "/e"))
        assert found == expected
        assert len(spied.permits) == 5 - len(pages)
