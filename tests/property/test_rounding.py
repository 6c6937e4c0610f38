"""Rounding to grids: never past what was asked, never off the grid, and spelled plainly."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.instrument import ceil_to, floor_to, is_on_grid, plain
from relay.domain.move import split_evenly

_STEPS = st.sampled_from(
    [Decimal(text) for text in ("1", "10", "100", "0.1", "0.5", "0.05", "0.001", "1E-7", "1E+2", "0.0005", "0.010")]
)


def _numbers(digits: int = 40) -> st.SearchStrategy[Decimal]:
    """Any number an alert may carry, exponents and long tails included."""
    return st.builds(
        lambda sign, mantissa, exponent: Decimal(sign * mantissa).scaleb(exponent),
        st.sampled_from([1, -1]),
        st.integers(0, 10**digits - 1).filter(lambda n: len(str(n)) <= 28) | st.integers(0, 10**28 - 1),
        st.integers(-25, 5),
    ) | st.integers(1, 40).map(lambda nines: Decimal("0." + "9" * nines))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(value=_numbers(), step=_STEPS)
def test_rounding_down_stays_below_within_a_step_and_on_the_grid(value: Decimal, step: Decimal) -> None:
    rounded = floor_to(value, step)
    exact, requested, width = Fraction(rounded), Fraction(value), Fraction(step)
    assert exact <= requested < exact + width
    assert exact % width == 0
    assert is_on_grid(rounded, step)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(value=_numbers(), step=_STEPS)
def test_rounding_up_stays_above_within_a_step_and_on_the_grid(value: Decimal, step: Decimal) -> None:
    rounded = ceil_to(value, step)
    exact, requested, width = Fraction(rounded), Fraction(value), Fraction(step)
    assert exact - width < requested <= exact
    assert exact % width == 0


@settings(max_examples=66, deadline=None, derandomize=True)
@given(value=_numbers(), step=_STEPS)
def test_a_value_is_on_the_grid_exactly_if_it_is_a_multiple(value: Decimal, step: Decimal) -> None:
    assert is_on_grid(value, step) is (Fraction(value) % Fraction(step) == 0)


@pytest.mark.parametrize("nines", [30, 61, 80])
def test_a_long_tail_of_nines_is_not_rounded_up(nines: int) -> None:
    assert floor_to(Decimal("0." + "9" * nines), Decimal(1)) == 0
    assert ceil_to(Decimal("1." + "0" * nines + "1"), Decimal(1)) == 2


def test_a_step_that_is_not_positive_is_a_broken_contract() -> None:
    with pytest.raises(AssertionError, match="positive step"):
        floor_to(Decimal(1), Decimal(0))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(value=_numbers())
def test_the_plain_spelling_has_no_exponent_and_reads_back_as_the_same_number(value: Decimal) -> None:
    text = plain(value)
    assert "e" not in text.lower()
    assert Decimal(text) == value
    assert text == "0" or not text.startswith(("-0", "00")) or text.startswith("-0.")
    assert "." not in text or not text.endswith(("0", "."))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1E-7", "0.0000001"),
        ("1E+5", "100000"),
        ("1.5000", "1.5"),
        ("100", "100"),
        ("-0.00", "0"),
        ("0E-10", "0"),
        ("0E+3", "0"),
        ("-0.5", "-0.5"),
        ("1800.8000000000002", "1800.8000000000002"),
    ],
)
def test_numbers_are_spelled_as_the_exchange_takes_them(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


@settings(max_examples=100, deadline=None, derandomize=True)
@given(steps=st.integers(1, 400), step=_STEPS, most_steps=st.integers(2, 60))
def test_parts_make_up_the_whole_and_none_is_too_large_or_tiny(steps: int, step: Decimal, most_steps: int) -> None:
    qty, most = steps * step, most_steps * step
    parts = split_evenly(qty, most, step)
    assert sum(parts) == qty
    assert all(0 < part <= most and is_on_grid(part, step) for part in parts)
    assert len(parts) == -(-steps // most_steps)
    assert max(parts) - min(parts) <= step


def test_a_maximum_off_the_grid_is_not_exceeded() -> None:
    assert max(split_evenly(Decimal(10), Decimal("3.5"), Decimal(1))) <= Decimal("3.5")


def test_nothing_has_no_parts() -> None:
    assert split_evenly(Decimal(0), Decimal(1), Decimal(1)) == []
