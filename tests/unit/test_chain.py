"""The chain of a strategy's positions: what is lost shows at the next alert, and nothing else does."""

from __future__ import annotations

from decimal import Decimal

import pytest

from relay.domain.signal import ChainLink, Fit, Last, MarketSide, Standing, judged, link_of
from tests.builders import signal


def standing(size: str | int) -> Standing:
    """A signed size."""
    value = Decimal(size)
    side = MarketSide.FLAT if value == 0 else MarketSide.LONG if value > 0 else MarketSide.SHORT
    return Standing(side=side, size=abs(value))


def link(before: str | int, after: str | int, sent_at_ms: int | None = None) -> ChainLink:
    return ChainLink(before=standing(before), after=standing(after), sent_at_ms=sent_at_ms)


def fits(*links: ChainLink) -> list[Fit]:
    last: Last | None = None
    found = []
    for each in links:
        reported = judged(each, last)
        assert (reported.note is None) == (reported.fit in (Fit.FIRST, Fit.FITS))
        last = reported.last
        found.append(reported.fit)
    return found


def test_a_whole_chain_fits() -> None:
    assert fits(link(0, 1), link(1, 3), link(3, -2), link(-2, 0)) == [Fit.FIRST, Fit.FITS, Fit.FITS, Fit.FITS]


def test_a_lost_alert_is_missed_at_the_next_one_and_only_there() -> None:
    assert fits(link(0, 1), link(2, 3), link(3, 0)) == [Fit.FIRST, Fit.MISSING, Fit.FITS]


def test_two_alerts_in_the_wrong_order_are_told_from_a_loss() -> None:
    assert fits(link(0, 1), link(2, 3, 9), link(1, 2, 9), link(3, 0))[1:] == [Fit.MISSING, Fit.OVERTAKEN, Fit.FITS]


def test_three_alerts_backwards_are_put_together() -> None:
    reported = fits(link(5, 0, 1), link(2, 3, 4), link(1, 2, 3), link(0, 1, 2), link(3, 0, 5))
    assert reported[1:] == [Fit.MISSING, Fit.OVERTAKEN, Fit.OVERTAKEN, Fit.FITS]


def test_before_the_very_first_alert_only_an_earlier_one_belongs() -> None:
    assert fits(link(1, 2, 9), link(0, 1, 8))[-1] is Fit.OVERTAKEN
    assert fits(link(0, 1, 9), link(2, 0, 9))[-1] is Fit.MISSING
    assert fits(link(0, 1), link(2, 0))[-1] is Fit.MISSING


def test_without_a_gap_an_alert_that_ends_where_a_later_one_began_is_no_late_one() -> None:
    """0 to 2 and 2 to 3 are there; from 1 to 2 leads nothing that is missing before them."""
    assert fits(link(0, 2, 10), link(2, 3, 20), link(1, 2, 15)) == [Fit.FIRST, Fit.FITS, Fit.MISSING]
    assert fits(link(0, 2, 10), link(1, 3, 20), link(2, 1, 15)) == [Fit.FIRST, Fit.MISSING, Fit.OVERTAKEN]


def test_a_size_that_the_strategy_had_before_is_no_wrong_order() -> None:
    """0 to 1 to 2, the exit is lost, and 0 to 1 again: it ends where the last alert began."""
    assert fits(link(0, 1), link(1, 2), link(0, 1))[-1] is Fit.MISSING
    assert fits(link(0, 1), link(2, 3, 10), link(1, 2, 11))[-1] is Fit.MISSING


def test_the_noise_of_binary_floating_point_is_no_gap() -> None:
    assert fits(link(0, "0.30000000000000004"), link("0.3", "0"))[-1] is Fit.FITS
    assert fits(link(0, "0.3000001"), link("0.3", "0"))[-1] is Fit.MISSING


def test_without_sizes_the_sides_are_compared() -> None:
    long, flat = Standing(side=MarketSide.LONG), Standing(side=MarketSide.FLAT)
    assert judged(ChainLink(before=long, after=flat), Last(link=link(0, 2), fit=Fit.FIRST)).fit is Fit.FITS
    assert judged(ChainLink(before=flat, after=long), Last(link=link(0, 2), fit=Fit.FITS)).fit is Fit.MISSING


def test_the_note_says_where_the_strategy_stood_and_where_the_alert_begins() -> None:
    reported = judged(link(2, 3), Last(link=link(0, 1), fit=Fit.FIRST))
    assert reported.note and "long 1" in reported.note and "long 2" in reported.note


def test_only_a_strategys_own_position_before_and_after_makes_a_link() -> None:
    whole = {"market_position": "long", "prev_market_position": "flat", "market_position_size": "1"}
    assert link_of(signal(**whole)) == ChainLink(
        before=Standing(side=MarketSide.FLAT), after=Standing(side=MarketSide.LONG, size=Decimal(1))
    )
    for action, qty, unit, filled in (
        ("buy", "2", None, "2"),
        ("sell", "2", "contracts", "-2"),
        ("buy", "2", "quote", None),
        ("close", "2", None, None),
        ("buy", None, None, None),
    ):
        made = link_of(signal(action, qty=qty, qty_unit=unit, **whole))
        assert made is not None and made.filled == (filled and Decimal(filled)), (action, qty, unit)
    assert link_of(signal(market_position="long")) is None
    assert link_of(signal()) is None
    assert link_of(signal(**whole, has_synthetic_position=True)) is None


def test_what_fills_a_gap_exactly_and_is_no_newer_came_late_even_where_it_fits_behind() -> None:
    """Flat, and the exit comes before its entry; the same between 100 and 200."""
    for low, high in ((0, 5), (100, 200)):
        for entry_ms in (10, 11):
            reported = fits(link(low, low), link(high, low, 11), link(low, high, entry_ms), link(low, high, 12))
            assert reported[1:] == [Fit.MISSING, Fit.OVERTAKEN, Fit.FITS]


def test_what_fills_a_gap_and_is_newer_is_the_next_one() -> None:
    assert fits(link(0, 0), link(5, 0, 11), link(0, 5, 12))[1:] == [Fit.MISSING, Fit.FITS]


def test_an_older_entry_that_ends_where_the_very_first_exit_began_came_late() -> None:
    assert fits(link(5, 0, 11), link(0, 5, 10)) == [Fit.FIRST, Fit.OVERTAKEN]
    assert fits(link(5, 0, 11), link(0, 5, 11)) == [Fit.FIRST, Fit.FITS], "of one second, and no gap is known"
    assert fits(link(5, 0), link(0, 5)) == [Fit.FIRST, Fit.FITS]


def test_what_begins_elsewhere_than_the_gap_and_fits_behind_is_the_next_one_however_old_it_says_it_is() -> None:
    """From 1 to 3 something is missing; then from 0 to 3 leads nothing of it, and the strategy stood at 0 last."""
    assert fits(link(0, 1, 10), link(3, 0, 30), link(0, 3, 20))[-1] is Fit.FITS
    assert fits(link(0, 1, 10), link(3, 0, 30), link(1, 3, 20))[-1] is Fit.OVERTAKEN


def test_only_a_change_of_sides_tells_how_large_the_strategy_was() -> None:
    for before, after, size in ((3, -2, 3), (-3, 2, 3), (0, 2, None), (3, 0, None), (3, 1, None)):
        first = judged(link(7, before), None)
        assert judged(link(before, after), first.last).size_before == size
    gap = judged(link(4, -2), judged(link(0, 3), None).last)
    assert gap.fit is Fit.MISSING and gap.size_before is None


def test_the_strategy_s_size_is_the_one_that_is_named_so_before_the_signed_one() -> None:
    both = signal(market_position="short", market_position_size=2, position_size=-3)
    assert both.strategy_size == 2
    assert signal(position_size=-3).strategy_size == 3 and signal(market_position="long").strategy_size is None


@pytest.mark.parametrize(
    ("action", "before", "after", "expected"),
    [
        ("buy", "flat", "long", False),
        ("buy", "long", "long", False),
        ("buy", "short", "long", True),
        ("sell", "long", "flat", True),
        ("target", None, "long", True),
        ("target", "flat", "long", False),
        ("buy", None, "long", False),
    ],
)
def test_an_alert_may_exit_where_it_leaves_a_side(action: str, before: str | None, after: str, expected: bool) -> None:
    assert signal(action, market_position=after, prev_market_position=before).may_exit is expected
