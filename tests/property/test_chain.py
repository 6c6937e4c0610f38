"""The chain over generated histories of a strategy: each loss shows at the next alert, and nothing else does."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.signal import ChainLink, Fit, Judged, Last, MarketSide, Standing, judged

_search = settings(max_examples=100, deadline=None, derandomize=True)
_LOT = 0.001
_POSITIONS = st.lists(st.integers(-400, 400), min_size=3, max_size=30)
"""Signed lots after each fill; TradingView sends no alert that changes nothing."""


def _standing(noisy: float) -> Standing:
    size = Decimal(repr(abs(noisy)))
    side = MarketSide.FLAT if noisy == 0 else MarketSide.LONG if noisy > 0 else MarketSide.SHORT
    return Standing(side=side, size=size)


def history(positions: list[int], *, are_dated: bool) -> list[ChainLink]:
    """One alert a fill, from flat. Its sizes are added up as floats, which is what TradingView does."""
    lots, noisy, links = 0, 0.0, []
    for number, position in enumerate(positions):
        if position == lots:
            continue
        before, noisy = noisy, noisy + (position - lots) * _LOT if position else 0.0
        lots = position
        sent_at_ms = number * 1000 if are_dated else None
        links.append(ChainLink(before=_standing(before), after=_standing(noisy), sent_at_ms=sent_at_ms))
    return links


def reported_of(links: list[ChainLink]) -> list[Judged]:
    last: Last | None = None
    found: list[Judged] = []
    for link in links:
        found.append(judged(link, last))
        last = found[-1].last
    return found


@_search
@given(positions=_POSITIONS, are_dated=st.booleans())
def test_a_complete_history_in_order_raises_no_alarm(positions: list[int], are_dated: bool) -> None:
    reported = reported_of(history(positions, are_dated=are_dated))
    assert [each.fit for each in reported] == ([Fit.FIRST, *[Fit.FITS] * (len(reported) - 1)] if reported else [])
    assert all(each.note is None for each in reported)


@_search
@given(positions=_POSITIONS, are_dated=st.booleans(), chance=st.data())
def test_any_one_lost_alert_shows_at_the_next_and_only_there(
    positions: list[int], are_dated: bool, chance: st.DataObject
) -> None:
    links = history(positions, are_dated=are_dated)
    if len(links) < 3:
        return
    lost = chance.draw(st.integers(1, len(links) - 2))
    reported = reported_of(links[:lost] + links[lost + 1 :])
    assert [number for number, each in enumerate(reported) if each.note] == [lost]
    assert reported[lost].fit is Fit.MISSING


@_search
@given(positions=_POSITIONS, are_dated=st.booleans(), chance=st.data())
def test_of_several_lost_alerts_each_gap_shows_that_did_not_end_where_it_began(
    positions: list[int], are_dated: bool, chance: st.DataObject
) -> None:
    links = history(positions, are_dated=are_dated)
    stored = [each for each in links if chance.draw(st.booleans())]
    for previous, link, reported in zip(stored, stored[1:], reported_of(stored)[1:], strict=False):
        is_gap = not link.before.is_like(previous.after)
        assert (reported.fit, reported.note is not None) == (Fit.MISSING if is_gap else Fit.FITS, is_gap)


@_search
@given(positions=_POSITIONS, chance=st.data())
def test_two_alerts_that_changed_places_do_not_go_unnoticed(positions: list[int], chance: st.DataObject) -> None:
    links = history(positions, are_dated=True)
    if len(links) < 3:
        return
    first = chance.draw(st.integers(1, len(links) - 2))
    links[first], links[first + 1] = links[first + 1], links[first]
    reported = reported_of(links)
    assert any(each.note for each in reported[first : first + 2])
    assert all(each.fit in (Fit.FIRST, Fit.FITS) for each in reported[:first])


@_search
@given(positions=_POSITIONS, chance=st.data())
def test_a_late_alert_leaves_the_strategy_where_its_newest_alert_put_it(
    positions: list[int], chance: st.DataObject
) -> None:
    """Of a pair that changed places behind a known alert, the second to come is told, wherever the sizes lead."""
    links = history(positions, are_dated=True)
    if len(links) < 3:
        return
    first = chance.draw(st.integers(1, len(links) - 2))
    links[first], links[first + 1] = links[first + 1], links[first]
    ahead, late = reported_of(links[: first + 2])[first:]
    is_gap = not links[first].before.is_like(links[first - 1].after)
    if is_gap:
        assert (ahead.fit, late.fit) == (Fit.MISSING, Fit.OVERTAKEN)
        assert late.last.link.after == links[first].after
