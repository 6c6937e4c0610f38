"""A strategy whose orders are limit orders: entries that name no type rest at the alert's price, exits never wait."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from relay.domain.order import OrderType
from relay.domain.rules import Rules, type_refusal, with_default_type
from relay.domain.signal import Action, MarketSide
from tests.builders import signal as a_signal

RULES = Rules(default_type=OrderType.LIMIT)
PRICE = Decimal(99)


def test_an_entry_that_names_no_type_takes_the_strategys_at_the_alerts_price() -> None:
    signal = with_default_type(a_signal(action=Action.BUY, names_type=False, signal_price=PRICE), RULES)
    assert (signal.type, signal.price) == (OrderType.LIMIT, PRICE)
    assert type_refusal(signal, RULES) is None


def test_an_alert_that_says_market_is_a_market_order() -> None:
    signal = a_signal(action=Action.BUY, names_type=True, signal_price=PRICE)
    assert with_default_type(signal, RULES) == signal


@pytest.mark.parametrize("action", [Action.CLOSE, Action.FLAT, Action.EXIT, Action.CLOSE_LONG, Action.CLOSE_SHORT])
def test_an_exit_goes_out_at_market(action: Action) -> None:
    signal = a_signal(action=action, names_type=False, signal_price=PRICE)
    assert with_default_type(signal, RULES) == signal
    assert type_refusal(signal, RULES) is None


def test_a_strategys_exit_goes_out_at_market() -> None:
    signal = a_signal(action=Action.SELL, names_type=False, signal_price=PRICE)
    signal = replace(signal, market_position=MarketSide.FLAT)
    assert with_default_type(signal, RULES) == signal


def test_without_a_price_the_entry_is_refused_and_says_what_to_add() -> None:
    signal = with_default_type(a_signal(action=Action.BUY, names_type=False), RULES)
    reason = type_refusal(signal, RULES)
    assert reason is not None and reason.code == "PRICE_MISSING" and "signal_price" in reason.message
    assert type_refusal(signal, Rules()) is None
