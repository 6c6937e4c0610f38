"""Ladders of take profits: their parts make up the position, whatever fills, is added or is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.bracket import Part, remaining
from relay.domain.instrument import is_on_grid

STEP, LEAST = Decimal("0.001"), Decimal("0.003")
ZERO = Decimal(0)


@st.composite
def ladders(draw: st.DrawFn, *, whole: bool = True) -> list[Part]:
    cuts = sorted(draw(st.sets(st.integers(1, 99), min_size=0, max_size=5)))
    edges = [0, *cuts, 100 if whole else max(cuts, default=50)]
    shares = [high - low for low, high in zip(edges, edges[1:], strict=False) if high > low]
    return [Part(share_pct=Decimal(share)) for share in shares]


sizes = st.integers(1, 100_000).map(lambda steps: steps * STEP)
changes = st.lists(st.tuples(st.sampled_from(["fill", "add", "cut"]), st.integers(1, 100)), max_size=12)


def _after(parts: list[Part], size: Decimal, kind: str, percent: int) -> tuple[list[Part], Decimal]:
    """The nearest open part fills, wholly or in part; or the position is added to, or cut, from outside."""
    left = remaining(parts, size, step=STEP, least=LEAST)
    if kind == "add":
        return parts, size + max(STEP, (size * percent / 100).quantize(STEP))
    if kind == "cut":
        return parts, max(ZERO, size - max(STEP, (size * percent / 100).quantize(STEP)))
    place = next((place for place, qty in enumerate(left) if qty > 0), None)
    if place is None:
        return parts, size
    qty = left[place] if percent > 50 else min(left[place], max(STEP, (left[place] * percent / 100).quantize(STEP)))
    part, is_done = parts[place], qty == left[place]
    held = ZERO if is_done else part.held + qty
    filled = replace(part, filled=part.filled + qty, held=held, is_done=is_done)
    return [*parts[:place], filled, *parts[place + 1 :]], size - qty


def _walk(parts: list[Part], size: Decimal, steps: Sequence[tuple[str, int]]) -> list[tuple[list[Part], Decimal]]:
    seen = [(parts, size)]
    for kind, percent in steps:
        seen.append(_after(*seen[-1], kind, percent))
    return seen


@given(ladders(), sizes, changes)
def test_the_open_parts_of_a_whole_ladder_sum_to_the_position(
    parts: list[Part], size: Decimal, steps: list[tuple[str, int]]
) -> None:
    for now, held in _walk(parts, size, steps):
        left = remaining(now, held, step=STEP, least=LEAST)
        is_open = any(not each.is_done for each in now)
        if is_open and held >= LEAST:
            assert sum(left) == held, (now, held, left)
        else:
            assert sum(left) in (ZERO, held)


@given(ladders(whole=False), sizes, changes)
def test_no_ladder_takes_more_than_the_position_or_asks_for_what_the_exchange_refuses(
    parts: list[Part], size: Decimal, steps: list[tuple[str, int]]
) -> None:
    for now, held in _walk(parts, size, steps):
        left = remaining(now, held, step=STEP, least=LEAST)
        assert sum(left) <= held
        for part, qty in zip(now, left, strict=True):
            assert is_on_grid(qty, STEP) and qty >= 0
            assert qty == 0 or (not part.is_done and qty + part.held >= LEAST)


@given(ladders(), sizes, st.integers(1, 100))
def test_a_fill_in_part_leaves_the_others_as_they_are(parts: list[Part], size: Decimal, percent: int) -> None:
    before = remaining(parts, size, step=STEP, least=LEAST)
    after, held = _after(parts, size, "fill", min(percent, 50))
    if any(each.is_done for each in after):
        return
    assert [
        each + part.filled for each, part in zip(remaining(after, held, step=STEP, least=LEAST), after, strict=True)
    ] == list(before)


@given(ladders(), st.decimals(0, 100, places=6))
def test_of_a_size_between_two_steps_no_part_takes_what_is_not_there(parts: list[Part], size: Decimal) -> None:
    left = remaining(parts, size, step=STEP, least=LEAST)
    assert all(each >= 0 and is_on_grid(each, STEP) for each in left)
    assert size - STEP < sum(left) <= size or (sum(left) == 0 and size < LEAST)
