"""How large a reversal is where the alert does not say it, and whether a TradersPost quantity holds the exit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.domain.plan import PlanStatus
from relay.domain.rules import Rules
from relay.domain.signal import ChainLink, Fit, Judged, Last, MarketSide, Standing, judged, link_of
from tests.builders import facts, plan, rules, signal

SHORT: dict[str, Any] = {"market_position": "short"}
SENTIMENT: dict[str, Any] = {"stays_as_large": True, "may_hold_exit": True}


def after(action: str, p: str, limits: Rules | None = None, **fields: Any) -> tuple[str, str | None]:
    """The position afterwards, and the code where an entry was withheld."""
    found = plan(signal(action, **fields), limits or rules(), facts(p=p))
    size = Decimal(p)
    for order in found.orders:
        size += order.side.sign * (abs(size) if order.closes_all else order.qty)
    return f"{size.normalize():f}", found.reason.code if found.reason else None


@pytest.mark.parametrize(
    ("p", "fields", "size"),
    [
        ("0.3", {"qty": "0.7"}, "-0.4"),
        ("0.3", {"qty": "0.7", "prev_market_position": "long"}, "-0.4"),
        ("0.3", {"qty": "0.7", "prev_market_position_size": "0.2"}, "-0.5"),
        ("0.3", {"qty": "0.7", "market_position_size": "0.1"}, "-0.1"),
        ("0", {"qty": "0.7"}, "-0.7"),
    ],
)
def test_the_new_side_is_what_the_quantity_leaves_of_the_old_one(p: str, fields: dict[str, Any], size: str) -> None:
    assert after("sell", p, **SHORT, **fields) == (size, None)


@pytest.mark.parametrize("qty", ["0.3", "0.2"])
def test_where_nothing_is_left_only_the_exit_goes_and_the_field_to_add_is_named(qty: str) -> None:
    found = plan(signal("sell", qty=qty, **SHORT), rules(), facts(p="0.3"))
    assert after("sell", "0.3", qty=qty, **SHORT) == ("0", "ENTRY_WITHHELD")
    assert found.reason and "market_position_size" in found.reason.message


def test_where_neither_alert_nor_account_knows_the_old_side_nothing_is_opened() -> None:
    found = plan(signal("sell", qty="0.7", prev_market_position="long", **SHORT), rules(), facts(p="0"))
    assert (found.status, found.orders) == (PlanStatus.DENIED, ())
    assert found.reason and found.reason.code == "QTY_MISSING"


def test_the_first_alert_already_says_what_a_reversal_will_lack() -> None:
    first = plan(signal("buy", qty="0.3", market_position="long"), rules(), facts(p="0"))
    assert any("`market_position_size`" in note for note in first.notes)
    whole = plan(signal("buy", qty="0.3", market_position="long", market_position_size="0.3"), rules(), facts(p="0"))
    assert not any("`market_position_size`" in note for note in whole.notes)


@pytest.mark.parametrize(
    ("key", "p", "qty", "expected"),
    [
        (True, "0.3", "0.7", ("-0.4", None)),
        (False, "0.3", "0.7", ("-0.7", None)),
        (None, "0.3", "0.7", ("0", "ENTRY_WITHHELD")),
        (True, "0.3", "0.3", ("0", None)),
        (True, "0.3", "0.1", ("0", None)),
        (None, "0", "0.7", ("-0.7", None)),
        (True, "0", "0.7", ("-0.7", None)),
        (None, "-0.2", "0.7", ("-0.2", None)),
    ],
)
def test_the_strategys_key_says_whether_a_quantity_holds_the_exit(
    key: bool | None, p: str, qty: str, expected: tuple[str, str | None]
) -> None:
    assert after("short", p, rules(subtract_exit=key), qty=qty, **SENTIMENT) == expected


def test_the_key_is_asked_for_by_name_and_only_where_it_matters() -> None:
    asked = plan(signal("short", qty="0.7", **SENTIMENT), rules(), facts(p="0.3"))
    assert asked.reason and "`subtract_exit = true`" in asked.reason.message
    assert after("short", "0.3", qty="0.7", stays_as_large=True) == ("-0.7", None)


def chain(*alerts: tuple[str, str, str, str]) -> list[Judged]:
    """Each of action, quantity, side before and after; without the strategy's sizes."""
    last: Last | None = None
    found = []
    for action, qty, before, now in alerts:
        link = link_of(signal(action, qty=qty, prev_market_position=before, market_position=now))
        assert link is not None
        found.append(judged(link, last))
        last = found[-1].last
    return found


def test_a_chain_without_sizes_is_followed_by_the_fills() -> None:
    found = chain(
        ("buy", "0.3", "flat", "long"),
        ("buy", "0.2", "long", "long"),
        ("sell", "0.1", "long", "long"),
        ("sell", "1", "long", "short"),
        ("buy", "0.6", "short", "flat"),
    )
    assert [each.fit for each in found] == [Fit.FIRST, *[Fit.FITS] * 4]
    assert [each.last.link.after.size for each in found[:4]] == [Decimal(size) for size in ("0.3", "0.5", "0.4", "0.6")]
    assert [each.size_before for each in found] == [None, None, None, Decimal("0.4"), None]


def test_a_gap_in_the_chain_leaves_the_size_unknown() -> None:
    found = chain(("buy", "0.3", "flat", "long"), ("sell", "0.9", "flat", "short"), ("buy", "2", "long", "short"))
    assert found[-1].fit is Fit.MISSING and found[-1].size_before is None


def test_money_and_percent_are_no_fill_in_the_strategys_unit() -> None:
    fields = {"prev_market_position": "flat", "market_position": "long", "qty": "100", "qty_unit": "quote"}
    assert link_of(signal("buy", **fields)) == ChainLink(
        before=Standing(side=MarketSide.FLAT), after=Standing(side=MarketSide.LONG)
    )
