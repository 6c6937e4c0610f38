"""What a person does to one position or order: close a part, move the stop to the entry, cancel; each once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from relay.domain.signal import new_signal_id
from tests.flow.cli_support import environment, run
from tests.paper_server import PaperServer
from tests.relay_server import DEADLINE_S, RelayServer, error_of

pytestmark = pytest.mark.slow

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.015"}


@pytest.fixture
def own(own: RelayServer, paper: PaperServer) -> RelayServer:
    paper.control.prices(BTCUSDT="100000", BTCUSD="100000")
    own.done(BUY | {"id": "open", "stop_loss": "95000"})
    return own


def held(relay: RelayServer, symbol: str = "BTCUSDT") -> dict[str, Any]:
    (found,) = relay.api(f"positions?symbol={symbol}")["positions"]
    assert isinstance(found, dict)
    return found


def resting(relay: RelayServer, count: int) -> list[dict[str, Any]]:
    """So many orders, the latest first, once so many rest."""
    until = time.monotonic() + DEADLINE_S
    while len(found := relay.api("orders?open=1")["orders"]) != count:
        assert time.monotonic() < until, found
        time.sleep(0.02)
    return list(found)


def asked(relay: RelayServer, path: str, **body: Any) -> dict[str, Any]:
    receipt = relay.api(path, "POST", json=body)
    return relay.wait_for(receipt["signal_id"])


def test_a_share_is_closed_reduce_only_rounded_down_while_halted(own: RelayServer) -> None:
    own.api("halt", "POST")
    signal = asked(own, "positions/close", symbol="BTCUSDT", share="50")
    (order,) = signal["orders"]
    assert (order["qty"], order["reduce_only"], order["status"], order["side"]) == ("0.007", True, "filled", "sell")
    position = held(own)
    assert (position["size"], position["stop_loss"]) == ("0.008", "95000")


def test_a_quantity_is_closed_and_more_than_there_is_closes_all_and_never_turns(own: RelayServer) -> None:
    assert asked(own, "positions/close", symbol="btcusdt.p", qty=0.005)["orders"][0]["qty"] == "0.005"
    assert held(own)["size"] == "0.01"
    assert asked(own, "positions/close", symbol="BTCUSDT", qty="7")["status"] == "done"
    assert own.api("positions")["positions"] == []
    assert asked(own, "positions/close", symbol="BTCUSDT")["notes"] == ["nothing is open"]


def test_a_part_of_an_inverse_position_is_in_contracts(own: RelayServer) -> None:
    own.done({"action": "sell", "ticker": "BTCUSD.P", "qty": "300", "qty_unit": "contracts", "id": "inverse"})
    assert asked(own, "positions/close", symbol="BTCUSD", qty="100")["status"] == "done"
    assert (held(own, "BTCUSD")["side"], held(own, "BTCUSD")["size"]) == ("short", "200")


def test_a_pairs_coins_and_the_perpetual_of_the_same_name_are_closed_apart(
    own: RelayServer, paper: PaperServer
) -> None:
    paper.control.prices(**{"spot:BTCUSDT": "100000"})
    own.done({"action": "buy", "ticker": "BTCUSDT", "market": "spot", "qty": "0.02", "id": "coins"})
    assert asked(own, "positions/close", symbol="BTCUSDT", category="spot", share=50)["status"] == "done"
    sizes = {each["category"]: each["size"] for each in own.api("positions")["positions"]}
    assert sizes["linear"] == "0.015" and float(sizes["spot"]) < 0.0101
    assert asked(own, "positions/close", symbol="BTCUSDT", category="linear")["status"] == "done"
    assert [each["category"] for each in own.api("positions")["positions"]] == ["spot"]
    rows = own.api("flatten", "POST")["accounts"]
    assert {own.wait_for(each["signal_id"])["status"] for each in rows if each["signal_id"]} == {"done"}
    assert own.api("positions")["positions"] == []


def test_what_is_asked_for_twice_under_one_id_is_done_once(own: RelayServer) -> None:
    for request_id in (new_signal_id(1_796_000_000_000), "my-own-id"):
        before = float(held(own)["size"])
        body = {"symbol": "BTCUSDT", "qty": "0.002", "id": request_id}
        first, second = (own.api("positions/close", "POST", json=body) for _ in range(2))
        assert (first["signal_id"], second["duplicate"]) == (second["signal_id"], True)
        own.wait_for(first["signal_id"])
        assert float(held(own)["size"]) == pytest.approx(before - 0.002)


def test_less_than_the_exchange_takes_is_told_and_not_rounded_up(own: RelayServer) -> None:
    signal = asked(own, "positions/close", symbol="BTCUSDT", qty="0.0004")
    assert (signal["status"], signal["orders"]) == ("done", [])
    assert "less than the exchange takes" in signal["notes"][0]
    assert held(own)["size"] == "0.015"


def test_the_stop_goes_to_the_entry_and_never_back(own: RelayServer, paper: PaperServer) -> None:
    paper.control.prices(BTCUSDT="102000")
    assert asked(own, "positions/breakeven", symbol="BTCUSDT")["status"] == "done"
    assert held(own)["stop_loss"] == "100000"
    error_of(own.ask("positions/breakeven", "POST", json={"symbol": "BTCUSDT"}), 409, "STOP_NO_NEARER")
    own.done({"action": "stops", "ticker": "BTCUSDT.P", "stop_loss": "101000", "id": "nearer"})
    error_of(own.ask("positions/breakeven", "POST", json={"symbol": "BTCUSDT"}), 409, "STOP_NO_NEARER")
    assert held(own)["stop_loss"] == "101000"


def test_a_ladder_stays_when_the_stop_goes_to_the_entry(own: RelayServer, paper: PaperServer) -> None:
    ladder = [{"at": "110000", "share": 50}, {"at": "120000", "share": 50}]
    own.done({"action": "stops", "ticker": "BTCUSDT.P", "take_profit": ladder, "id": "ladder"})
    paper.control.prices(BTCUSDT="102000")
    asked(own, "positions/breakeven", symbol="BTCUSDT")
    position = held(own)
    assert position["stop_loss"] == "100000"
    assert [each["price"] for each in position["take_profits"]] == ["110000", "120000"]


def test_a_stop_that_the_market_would_trigger_at_once_is_not_sent(own: RelayServer, paper: PaperServer) -> None:
    paper.control.prices(BTCUSDT="99000")
    error = error_of(own.ask("positions/breakeven", "POST", json={"symbol": "BTCUSDT"}), 409, "STOP_WRONG_SIDE")
    assert "99000" in error["message"] and held(own)["stop_loss"] == "95000"
    error_of(own.ask("positions/breakeven", "POST", json={"symbol": "ETHUSDT"}), 409, "POSITION_NONE")
    paper.control.fault("/v5/position/list", "http", status=502, times=None)
    error_of(own.ask("positions/breakeven", "POST", json={"symbol": "ETHUSDT"}), 502, "EXCHANGE_UNREACHABLE")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "symbol"),
        ({"symbol": "BTCUSDT", "share": "101"}, "share"),
        ({"symbol": "BTCUSDT", "share": 0}, "share"),
        ({"symbol": "BTCUSDT", "qty": "-1"}, "qty"),
        ({"symbol": "BTCUSDT", "qty": "1e3"}, "qty"),
        ({"symbol": "BTCUSDT", "qty": True}, "qty"),
        ({"symbol": "BTCUSDT", "qty": "NaN"}, "qty"),
        ({"symbol": "BTCUSDT", "qty": "1", "share": "1"}, "share"),
        ({"symbol": "BTCUSDT", "account": "nobody"}, "account"),
        ({"symbol": "BTCUSDT", "category": "options"}, "category"),
        ({"symbol": "BTCUSDT", "id": "with blanks"}, "id"),
        ({"symbol": "BTCUSDT", "all": True}, "all"),
    ],
)
def test_a_bad_body_names_the_field_and_closes_nothing(cold: RelayServer, body: dict[str, Any], field: str) -> None:
    error = error_of(cold.ask("positions/close", "POST", json=body), 400, "REQUEST_INVALID")
    assert list(error["fields"]) == [field]
    assert cold.api("signals")["signals"] == []


def test_a_resting_order_is_cancelled_by_its_id_and_what_rests_no_more_is_409(own: RelayServer) -> None:
    (order,) = own.done(BUY | {"type": "limit", "price": "90000", "id": "rests"})["orders"]
    path = f"orders/{order['client_order_id']}/cancel"
    assert own.api(path, "POST") == {"client_order_id": order["client_order_id"], "taken": True, "message": None}
    until = time.monotonic() + DEADLINE_S
    while own.api("orders?status=canceled")["orders"] == []:
        assert time.monotonic() < until
        time.sleep(0.02)
    error_of(own.ask(path, "POST"), 409, "ORDER_ENDED")
    error_of(own.ask("orders/nothing/cancel", "POST"), 404, "ORDER_UNKNOWN")


def test_a_rung_that_a_person_takes_away_stays_away_and_one_that_goes_by_itself_comes_back(
    own: RelayServer, paper: PaperServer
) -> None:
    ladder = [{"at": "110000", "share": 40}, {"at": "120000", "share": 40}, {"at": "130000", "share": 20}]
    own.done({"action": "stops", "ticker": "BTCUSDT.P", "take_profit": ladder, "id": "ladder"})
    first, second, third = (each["client_order_id"] for each in reversed(resting(own, 3)))
    assert own.api(f"orders/{first}/cancel", "POST")["taken"]
    rows = resting(own, 2)
    until = time.monotonic() + DEADLINE_S
    while len(own.relay.services.journal.live_brackets()[0].bracket.tp_legs) == 3:
        assert time.monotonic() < until
        time.sleep(0.02)
    paper.session().cancel_order(category="linear", symbol="BTCUSDT", orderLinkId=third)
    while third in [each["client_order_id"] for each in rows] or len(rows) != 2:
        assert time.monotonic() < until, rows
        rows = own.api("orders?open=1")["orders"]
    assert sorted((each["price"], each["qty"]) for each in rows) == [("120000", "0.006"), ("130000", "0.003")]
    assert second in {each["client_order_id"] for each in rows}
    assert own.api("signals?status=attention")["signals"] == []


def test_the_commands_close_a_part_move_the_stop_and_cancel(
    own: RelayServer, paper: PaperServer, tmp_path: Path
) -> None:
    environ = environment(tmp_path, own.url)
    closed = run(environ, "close", "BTCUSDT.P", "--share", "20%")
    assert (closed.exit_code, closed.stdout.splitlines()[1]) == (
        0,
        "  sell 0.003 reduce-only: filled 0.003 at 100000, fee 0.165 USDT",
    )
    paper.control.prices(BTCUSDT="101000")
    assert run(environ, "breakeven", "btcusdt").exit_code == 0
    assert (held(own)["size"], held(own)["stop_loss"]) == ("0.012", "100000")
    again = run(environ, "breakeven", "BTCUSDT")
    assert (again.exit_code, "no worse than the entry" in again.stderr) == (1, True)
    (order,) = own.done(BUY | {"type": "limit", "price": "90000", "id": "rests"})["orders"]
    cancelled = run(environ, "cancel", order["client_order_id"][:20])
    assert cancelled.exit_code == 0 and "has taken the cancellation" in cancelled.stdout
    assert run(environ, "close", "BTCUSDT").exit_code == 0
    nothing = run(environ, "close", "BTCUSDT", "--qty", "1")
    assert (nothing.exit_code, nothing.stderr.strip()) == (1, "no position of BTCUSDT is open")
    both = run(environ, "close", "BTCUSDT", "--qty", "1", "--share", "5")
    assert both.exit_code == 2
