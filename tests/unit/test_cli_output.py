"""How the commands print."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from relay.cli import client
from relay.cli.client import clean, detail_text, facts, moment, narrowed, read_moment, reason_text, table


def test_what_steers_a_terminal_is_taken_out_of_a_text() -> None:
    assert clean("buy\x1b[2J\r\nnow \u202eevil\u0007") == "buy·[2J now ·evil·"
    assert clean("naïve – 価格") == "naïve – 価格"


def test_a_table_is_aligned_and_leaves_empty_columns_out() -> None:
    lines = table(("ID", "PRICE", "NOTE"), [("a", "", "first"), ("bcd", "", "")], indent="  ")
    assert lines == ["  ID   NOTE", "  a    first", "  bcd"]


def test_on_a_terminal_the_last_column_goes_on_below_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_terminal_width", lambda: 40)
    lines = table(("ID", "REASON"), [("one", "a reason that is longer than the line"), ("two", "")])
    assert lines == ["ID   REASON", "one  a reason that is longer than the", "     line", "two"]


def test_facts_without_a_value_are_left_out_and_a_zero_is_not() -> None:
    assert facts({"qty": 0, "price": None, "comment": ""}) == ["  qty  0"]
    assert facts({}) == []


def test_a_time_is_shown_to_the_second_and_what_is_none_as_it_is() -> None:
    assert moment("2025-01-31T12:00:00.123Z") == "2025-01-31 12:00:00Z"
    assert moment(None) == ""
    assert moment("soon\x1b") == "soon·"
    assert read_moment("2025-01-31T12:00:00.123Z") == datetime(2025, 1, 31, 12, 0, 0, 123000, tzinfo=UTC)
    assert read_moment(17) is None


def test_a_detail_is_one_line_however_deep_it_is() -> None:
    detail = {"account": "default", "inputs": {"price": "9", "halted": None}, "fields": {"qty": ["a", "b"]}, "x": True}
    assert detail_text(detail) == "account default, inputs (price 9), fields (qty a; b), x yes"
    assert detail_text(None) == ""
    assert detail_text("text") == "text"


def test_a_reason_is_its_code_and_its_words() -> None:
    assert reason_text({"code": "HALTED", "message": "by hand"}) == "HALTED: by hand"
    assert reason_text(None) == ""


def test_a_table_of_80_letters_says_what_it_cuts_and_cuts_no_number_before_its_point() -> None:
    titles = ("ID", "AT", "SIZE", "COIN", "BY")
    keep = {"ID": slice(3), "AT": slice(2, 4), "SIZE": slice(6), "COIN": slice(5), "BY": slice(4)}
    rows = [
        ("abcdef", "1234", "1000000000", "USDT -0.1 MNT", "hand"),
        ("abc", "1234", "-123456.75", "USDT", "alert"),
        ("abc", "1234", "0.000123", "BTC", ""),
    ]
    assert narrowed(titles, rows, keep) == (
        ["ID", "AT", "SIZE", "COIN", "BY"],
        [
            ["abc", "34", "1000000000", "USDT…", "hand"],
            ["abc", "34", "-123456…", "USDT", "ale…"],
            ["abc", "34", "0.000123", "BTC", ""],
        ],
    )
