"""What an exit rounds away is not forgotten, whatever comes in between."""

from __future__ import annotations

from tests.relay_server import RelayServer


def test_an_exit_too_small_to_send_is_added_to_the_next_one_though_another_order_comes_between(
    own: RelayServer,
) -> None:
    alerts = (
        {"action": "buy", "qty": "0.010"},
        {"action": "close", "qty": "0.0004"},
        {"action": "buy", "qty": "0.005"},
        {"action": "cancel"},
        {"action": "close", "qty": "0.0007"},
    )
    signals = [own.done({"ticker": "BTCUSDT.P", "id": str(n), **alert}) for n, alert in enumerate(alerts)]
    assert [signal["status"] for signal in signals] == ["done"] * 5
    assert signals[1]["orders"] == [] and any("next exit" in note for note in signals[1]["notes"])
    assert [order["qty"] for order in signals[4]["orders"]] == ["0.001"]
    assert [row["size"] for row in own.api("positions")["positions"]] == ["0.014"]
