"""What an alert says beside the point is taken with a note, over HTTP."""

from __future__ import annotations

from tests.relay_server import RelayServer

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.001"}


def test_a_price_on_a_market_order_is_ignored_with_a_note(relay: RelayServer) -> None:
    signal = relay.done(BUY | {"id": "priced", "price": "12345"})
    assert signal["status"] == "done"
    assert signal["orders"][0]["type"] == "market" and signal["orders"][0]["price"] is None
    assert any("price" in note for note in signal["notes"])


def test_an_unreplaced_placeholder_where_it_is_not_needed_is_ignored_with_a_note(relay: RelayServer) -> None:
    signal = relay.done(BUY | {"id": "blank", "signal_price": "{{close}}", "slippage_pct": ""})
    assert signal["status"] == "done"
    assert any("signal_price" in note and "{{close}}" in note for note in signal["notes"])
    assert any("slippage_pct" in note for note in signal["notes"])


def test_keys_and_enum_values_are_taken_in_any_case_and_numbers_bare(relay: RelayServer) -> None:
    signal = relay.done({"ID": "case", "Action": "BUY", "TICKER": "bybit:btcusdt.p", "Qty": 0.001})
    assert signal["orders"][0]["qty"] == "0.001"
