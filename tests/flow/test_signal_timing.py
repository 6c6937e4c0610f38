"""A signal in full tells how long each stage took, and what it cost."""

from __future__ import annotations

from tests.paper_server import PaperServer
from tests.relay_server import RelayServer

STAGES = ["received", "durable", "submitted", "acknowledged", "filled"]


def test_a_filled_signal_has_every_stage_and_its_slippage(relay: RelayServer, paper: PaperServer) -> None:
    paper.control.prices(BTCUSDT="101000")
    alert = {"ticker": "BTCUSDT.P", "qty": "0.1", "signal_price": "100000", "time": "2026-11-21T12:00:00Z"}
    bought = relay.done({**alert, "action": "close", "id": "stages-close"})
    assert bought["slippage"] is None and bought["timing"]["submitted_at"] is None
    held = relay.done({**alert, "action": "buy", "time": None, "id": "stages-buy"})
    paper.control.prices(BTCUSDT="101000")
    sold = relay.done({**alert, "action": "sell", "reduce_only": True, "id": "stages-sell"})
    assert held["status"] == sold["status"] == "done"
    reported = relay.api(f"signals/{sold['id']}")
    average = sum(float(order["avg_price"]) for order in reported["orders"])
    assert float(reported["slippage"]) == round((100000 - average) / 1000, 4)
    assert reported["timing"]["sent_at"] == "2026-11-21T12:00:00.000Z"
    assert list(reported["timing"]["ms"]) == STAGES
    assert all(reported["timing"][f"{stage}_at"] for stage in STAGES)
    assert all(reported["timing"]["ms"][stage] is not None for stage in STAGES)


def test_lists_leave_the_derived_facts_out(relay: RelayServer) -> None:
    relay.done({"ticker": "BTCUSDT.P", "action": "close", "id": "listed"})
    assert all("timing" not in signal for signal in relay.api("signals")["signals"])
