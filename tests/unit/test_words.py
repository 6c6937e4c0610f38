"""How numbers look on a page, and what a table's cells say of themselves."""

from __future__ import annotations

import pytest

from relay.web.pages.words import amount, labelled, money, number

THIN = "\u202f"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("0", "0"),
        ("-0.000", "0"),
        ("98000.50", f"98{THIN}000.5"),
        ("-1234567.1", f"−1{THIN}234{THIN}567.1"),
        ("1E-7", "0.0000001"),
        (None, ""),
    ],
)
def test_a_number_has_thin_groups_a_point_and_a_true_minus(given: str | None, expected: str) -> None:
    assert number(given) == expected


@pytest.mark.parametrize(
    ("given", "coin", "expected"),
    [
        ("0", "USDT", "0.00"),
        ("-0.004", "USDT", "0.00"),
        ("0.004", "USDT", "0.00"),
        ("12.5", "USDT", "+12.50"),
        ("-1234.567", "USDC", f"−1{THIN}234.57"),
        ("0.00012", "BTC", "+0.00012"),
        ("-0.000000001", "BTC", "0.00"),
        ("3", "MNT", "+3.00"),
        ("-0.04567", "%", "−0.05"),
        ("0.00345", None, "+0.00345"),
        ("-34.5678", None, "−34.57"),
        (None, "USDT", ""),
    ],
)
def test_a_gain_is_rounded_as_its_coin_is_and_nothing_has_no_sign(
    given: str | None, coin: str | None, expected: str
) -> None:
    assert money(given, coin) == expected
    assert amount(given, coin) == expected.removeprefix("+")


def test_each_cell_is_given_the_title_of_its_column() -> None:
    table = (
        '<table><thead><tr><th>Coin</th><th class="num">Net &amp; <b>all</b></th>'
        '<th><span class="visually-hidden">Actions</span></th></tr></thead>'
        '<tbody><tr><td>BTC</td><td class="num">1</td><td>x</td><td>y</td></tr></tbody></table>'
    )
    assert labelled(f"<p>{table}</p>{table}").count("<td") == 8
    assert labelled(table).partition("<tbody>")[2] == (
        '<tr><td data-label="Coin">BTC</td><td data-label="Net &amp; all" class="num">1</td>'
        '<td data-label="">x</td><td data-label="">y</td></tr></tbody></table>'
    )


def test_a_table_without_titles_is_left_alone() -> None:
    table = '<table><tbody><tr><th scope="row">Fees</th><td>1</td></tr></tbody></table>'
    assert labelled(table) == table
