"""Fields that contradict each other are refused in one sentence that names the field."""

from __future__ import annotations

from typing import Any

import pytest

from relay.alerts.signal import signal_from_stored
from relay.domain.signal import MarketSide, Signal
from relay.errors import AlertInvalid
from tests.builders import NOW
from tests.unit import dialect_cases

ENTRY = {"ticker": "BTCUSDT.P", "action": "buy", "qty": "1", "time": "2026-01-05T12:00:00Z"}
LIMIT = {"type": "limit", "price": "5"}
LADDER = [{"at": "1%", "share": "60"}, {"at": "2%", "share": "60"}]


def signal_of(**fields: Any) -> Signal:
    return signal_from_stored({**ENTRY, **fields}, id="1", strategy="default", received_at=NOW)


REFUSED: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"take_profit": LADDER}, "take_profit", "shares of `120` percent together; they may be 100 at most"),
    ({"trailing_start": "1%"}, "trailing_stop", "is missing"),
    ({"trigger_price": "5"}, "trigger_price", "needs `type` to be `stop_market` or `stop_limit`"),
    ({"time_in_force": "PostOnly"}, "time_in_force", "needs `type`"),
    ({"valid_for": "60"}, "valid_for", "needs `type` to be `limit`, `stop_market` or `stop_limit`"),
    ({**LIMIT, "time_in_force": "IOC", "valid_for": "60"}, "valid_for", "`IOC` ends at once"),
    ({**LIMIT, "time_in_force": "FOK", "valid_for": "60"}, "valid_for", "`FOK` ends at once"),
    ({**LIMIT, "slippage_pct": "1"}, "slippage_pct", "does not go with a `limit` order"),
    ({"take_profit": "-1%"}, "take_profit", "losing side"),
    ({"take_profit": "-40"}, "take_profit", "losing side"),
    ({"take_profit": [{"at": "1%", "share": "50"}, {"at": "-2%", "share": "50"}]}, "take_profit", "losing side"),
    ({"stop_loss": "+1%"}, "stop_loss", "winning side"),
    ({"stop_loss": "+40"}, "stop_loss", "winning side"),
    ({"trailing_stop": "1%", "trailing_start": "-1%"}, "trailing_start", "losing side"),
    ({"trailing_stop": "-1%"}, "trailing_stop", "above zero"),
    ({"leverage": "0.5"}, "leverage", "must be 1 or more"),
    ({"leverage": "5000"}, "leverage", "must be 1000 or less"),
)


@pytest.mark.parametrize(("fields", "name", "words"), REFUSED, ids=str)
@pytest.mark.parametrize("action", ["buy", "sell", "long", "short"])
def test_a_contradiction_is_refused_by_name(fields: dict[str, Any], name: str, words: str, action: str) -> None:
    with pytest.raises(AlertInvalid) as refused:
        signal_of(action=action, **fields)
    assert list(refused.value.fields) == [name]
    assert words in refused.value.message
    assert refused.value.message.startswith(f"`{name}` ")


@pytest.mark.parametrize("action", ["close", "close_long", "close_short", "flat", "exit"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("take_profit", "1%"), ("stop_loss", "1%"), ("trailing_stop", "1%"), ("take_profit", "-1%")),
        *(("valid_for", "60"), ("trigger_price", "100")),
    ],
)
def test_no_exit_is_withheld_for_what_it_does_not_need(name: str, value: str, action: str) -> None:
    signal = signal_of(action=action, **{name: value})
    assert signal.action.is_close
    assert (signal.stop_loss, signal.take_profits, signal.trailing_stop, signal.valid_for_s) == (None, (), None, None)
    assert any(note.startswith(f"`{name}` ignored: ") for note in signal.notes)


def test_an_exit_of_a_strategys_template_is_not_refused_for_its_levels() -> None:
    signal = signal_of(action="close", market_position="flat", stop_loss="1%", trailing_stop="1%", trailing_start="2%")
    assert (signal.stop_loss, signal.trailing_stop, signal.trailing_start) == (None, None, None)
    assert signal.notes[0].startswith("`stop_loss`, `trailing_stop` and `trailing_start` ignored")


@pytest.mark.parametrize("blank", ["", "{{plot_0}}", None])
def test_a_blank_is_no_contradiction(blank: str | None) -> None:
    fields = dict.fromkeys(("trigger_price", "valid_for", "leverage", "trailing_start"), blank)
    assert signal_of(**fields).valid_for_s is None
    assert signal_of(action="close", stop_loss=blank, take_profit=blank).stop_loss is None


def test_the_charts_price_may_come_with_every_market_order() -> None:
    """TradingView's templates send `{{close}}` as `price`, exits included."""
    for action in ("buy", "close"):
        signal = signal_of(action=action, price="5")
        assert signal.price is None
        assert [note for note in signal.notes if "`price` ignored: a `market` order has no limit price" in note]


def test_on_an_open_position_a_stop_may_lock_in_profit() -> None:
    signal = signal_of(action="stops", qty=None, stop_loss="+1%", take_profit="-0.5%")
    assert signal.stop_loss is not None and signal.take_profits


def test_an_exit_is_not_refused_for_a_level_that_it_does_not_use() -> None:
    for action in ("sell", "buy", "target"):
        assert signal_of(action=action, market_position="flat", stop_loss="+1%").market_position is MarketSide.FLAT


@pytest.mark.parametrize("action", ["exit", "buy"])
def test_an_exit_of_another_services_template_goes_without_its_stops(action: str) -> None:
    """Its template sends the same stops with every fill, and so with the one that leaves the market."""
    message = {"ticker": "BTCUSDT.P", "action": action, "stopLoss": {"percent": "1"}}
    if action == "buy":
        message |= {"sentiment": "flat", "takeProfit": {"percent": "2"}}
    signal = dialect_cases.signal_of(message)
    assert signal.action.is_close and signal.stop_loss is None and not signal.take_profits
    assert [note for note in signal.notes if "`stopLoss.percent`" in note and "only exits" in note]


@pytest.mark.parametrize("value", ["0.001", "10.01", "50"])
def test_a_slippage_that_the_exchange_does_not_take_is_refused_on_an_entry_and_left_out_of_an_exit(value: str) -> None:
    with pytest.raises(AlertInvalid, match=r"`slippage_pct` must be 0\.01 to 10 percent"):
        signal_of(action="buy", slippage_pct=value)
    for exit_ in ({"action": "close"}, {"action": "sell", "market_position": "flat"}):
        assert signal_of(**exit_, slippage_pct=value).slippage_pct is None
    assert signal_of(action="buy", slippage_pct="0.5").slippage_pct is not None


@pytest.mark.parametrize("value", ["100%", "200%"])
def test_a_trailing_stop_as_far_away_as_the_price_is_refused_on_an_entry_and_left_out_of_an_exit(value: str) -> None:
    for fields in ({"action": "buy"}, {"action": "stops"}, {"action": "target", "market_position": "short", "qty": 1}):
        with pytest.raises(AlertInvalid, match="`trailing_stop` is as far away as the price itself; it must be under"):
            signal_of(**fields, trailing_stop=value)
    for exit_ in ({"action": "close"}, {"action": "sell", "market_position": "flat"}):
        assert signal_of(**exit_, trailing_stop=value).trailing_stop is None
    assert signal_of(action="buy", trailing_stop="99.9%").trailing_stop is not None
    assert signal_of(action="buy", trailing_stop="200").trailing_stop is not None, "a distance in price"


def test_a_slippage_on_a_stop_order_is_refused_since_the_exchange_does_not_bound_those() -> None:
    with pytest.raises(AlertInvalid, match="`slippage_pct` does not go with a `stop_market` order"):
        signal_of(action="buy", type="stop_market", trigger_price="3", slippage_pct="1")
