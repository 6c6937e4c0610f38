"""What TradingView would plausibly put into a template."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal

from relay.alerts.wording import PLACEHOLDERS, Scenario, filled, is_template

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_every_placeholder_is_filled_in_every_move() -> None:
    text = json.dumps({name: f"{{{{{name}}}}}" for name in PLACEHOLDERS} | {"own": '{{plot("RSI")}}'})
    assert is_template(text)
    moves = filled(text, size=Decimal("0.2"), price=Decimal(3000), now=NOW)
    assert [each.scenario for each in moves] == list(Scenario)
    assert not any("{{" in each.text for each in moves)
    assert json.loads(moves[0].text)["timenow"] == "2026-03-04T05:06:07Z"


def test_the_moves_of_a_strategy_follow_from_each_other() -> None:
    template = "{{strategy.order.action}} {{strategy.order.contracts}} {{strategy.position_size}} "
    template += "{{strategy.market_position}} {{strategy.prev_market_position_size}}"
    moves = filled(template, size=Decimal("0.2"), price=Decimal(3000), now=NOW)
    assert {each.scenario.value: (each.text, str(each.before)) for each in moves} == {
        "entry": ("buy 0.2 0.2 long 0", "0.0"),
        "add": ("buy 0.1 0.3 long 0.2", "0.2"),
        "partial exit": ("sell 0.2 0.2 long 0.4", "0.4"),
        "reversal": ("sell 0.4 -0.2 short 0.2", "0.2"),
        "flat": ("sell 0.2 0 flat 0.2", "0.2"),
    }


def test_what_tradingview_does_not_know_stays() -> None:
    assert not is_template("plain {braces}")
    moves = filled("{{strategy.order.actoin}} {{ close }}", size=Decimal(1), price=Decimal(5), now=NOW)
    assert {each.text for each in moves} == {"{{strategy.order.actoin}} 5"}
    assert re.search("actoin", moves[0].text)
