"""Rows of the exchange's lists that cannot be read, and answers to batches."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest

from relay.bybit.calls import OddRows, listed, verdicts
from relay.bybit.http import Answer
from relay.bybit.wire_account import required
from relay.errors import FactsUnreadable

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
