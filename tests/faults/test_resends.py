"""The same alert again: executed a second time only where the first time certainly had no effect."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.faults.stage import CREATE, REALTIME, event_names, position, running, taken_for, until
from tests.paper_server import PaperServer
from tests.relay_process import WEBHOOK_SECRET, RelayProcess

pytestmark = pytest.mark.slow

AT_ONCE = 10
ABSENCE_CERTAIN_S = 90
"""Look-ups find nothing for half a minute before it is certain that an order never arrived."""
BALANCE = {"retCode": 110007, "retMsg": "ab not enough for new order"}


def body(symbol: str, action: str = "buy", **more: str) -> bytes:
    return json.dumps({"secret": WEBHOOK_SECRET, "ticker": f"{symbol}.P", "action": action, **more}).encode()


def ended(relay: RelayProcess, alert: bytes) -> dict[str, Any]:
    signal: dict[str, Any] = relay.done(alert)
    assert signal["status"] not in ("accepted", "executing"), signal
    return signal


def refuse(server: PaperServer, symbol: str) -> None:
    server.control.fault(CREATE, "code", match={"symbol": symbol}, **BALANCE)


def post_at_once(relay: RelayProcess, alert: bytes) -> list[requests.Response]:
    """The same bytes over connections of their own, at one instant."""
    together = threading.Barrier(AT_ONCE)
    answers: list[requests.Response] = []

    def post() -> None:
        with requests.Session() as session:
            session.get(f"{relay.url}/healthz", timeout=60)
            together.wait(60)
            answers.append(session.post(f"{relay.url}/webhook", data=alert, timeout=60))

    threads = [threading.Thread(target=post) for _ in range(AT_ONCE)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert len(answers) == AT_ONCE
    return answers


def assert_known(answer: requests.Response, signal_id: str, status: str) -> None:
    """It is told that nothing new came, and of what it knows already."""
    assert (answer.status_code, answer.json()) == (
        200,
        {"signal_id": signal_id, "status": status, "duplicate": True},
    )


@pytest.mark.parametrize(
    ("symbol", "identity"),
    [
        ("SOLUSDT", {}),
        ("XRPUSDT", {"id": "ten-at-once"}),
        ("ADAUSDT", {"id": "ten-at-once-with-time", "time": "2099-01-01T00:00:00Z"}),
    ],
    ids=["the body alone", "an id", "an id and a time"],
)
def test_ten_identical_posts_at_one_instant_are_one_signal_and_one_order(
    relay: RelayProcess, server: PaperServer, symbol: str, identity: dict[str, str]
) -> None:
    answers = post_at_once(relay, body(symbol, qty="20", **identity))
    assert sorted(answer.status_code for answer in answers) == [200] * (AT_ONCE - 1) + [202]
    assert sum(answer.json()["duplicate"] for answer in answers) == AT_ONCE - 1
    (signal_id,) = {answer.json()["signal_id"] for answer in answers}
    assert relay.wait_for(signal_id)["status"] == "done"
    assert [signal["id"] for signal in relay.all_signals() if signal["symbol"] == symbol] == [signal_id]
    assert len(taken_for(server, signal_id)) == 1
    assert position(server, symbol) == 20


@pytest.mark.parametrize("more", [{}, {"time": "2099-01-01T00:00:00Z"}], ids=["an id", "an id and a time"])
def test_an_id_with_another_body_is_refused_stored_and_shown_and_orders_nothing(
    relay: RelayProcess, server: PaperServer, more: dict[str, str]
) -> None:
    symbol, name = ("LINKUSDT", "reused") if more else ("AVAXUSDT", "reused-with-time")
    first = ended(relay, body(symbol, qty="20", id=name, **more))
    answer = relay.post(body(symbol, qty="25", id=name, **more))
    reported = answer.json()
    assert (answer.status_code, reported["error"]["code"]) == (409, "ALERT_ID_REUSED")
    assert first["id"] in reported["error"]["message"]
    assert reported["signal_id"] != first["id"]
    stored = relay.signal(reported["signal_id"])
    assert (stored["status"], stored["reason"]["code"]) == ("rejected", "ALERT_ID_REUSED")
    assert stored["alert"]["qty"] == "25"
    assert stored["orders"] == []
    assert stored["id"] in [signal["id"] for signal in relay.api("signals?status=rejected")["signals"]]
    assert position(server, symbol) == 20


def test_the_resend_of_a_signal_that_failed_without_effect_is_executed_as_a_new_generation(
    relay: RelayProcess, server: PaperServer
) -> None:
    alert = body("LTCUSDT", qty="20", id="failed-first")
    refuse(server, "LTCUSDT")
    failed = ended(relay, alert)
    assert (failed["status"], failed["reason"]["code"]) == ("failed", "EXCHANGE_BALANCE")
    again = relay.post(alert)
    assert (again.status_code, again.json()["signal_id"], again.json()["duplicate"]) == (202, failed["id"], False)
    done = relay.wait_for(failed["id"])
    assert (done["status"], done["reason"]) == ("done", None)
    generations = {order["client_order_id"][-2:]: order["status"] for order in done["orders"]}
    assert generations == {"00": "rejected", "01": "filled"}
    assert_known(relay.post(alert), failed["id"], "done")
    assert len(taken_for(server, failed["id"])) == 1
    assert position(server, "LTCUSDT") == 20


def test_ten_resends_at_one_instant_of_what_failed_without_effect_execute_it_once(
    relay: RelayProcess, server: PaperServer
) -> None:
    alert = body("BCHUSDT", qty="20", id="failed-and-ten-resends")
    refuse(server, "BCHUSDT")
    failed = ended(relay, alert)
    assert failed["status"] == "failed"
    answers = post_at_once(relay, alert)
    assert sorted(answer.status_code for answer in answers) == [200] * (AT_ONCE - 1) + [202]
    assert relay.wait_for(failed["id"])["status"] == "done"
    assert len(taken_for(server, failed["id"])) == 1
    assert position(server, "BCHUSDT") == 20


def test_the_resend_of_what_the_relay_itself_denied_is_executed_when_it_may_be(
    relay: RelayProcess, server: PaperServer
) -> None:
    alert = body("DOTUSDT", action="reverse", id="denied-first")
    assert ended(relay, alert)["reason"]["code"] == "POSITION_NONE"
    assert ended(relay, body("DOTUSDT", qty="20"))["status"] == "done"
    again = relay.post(alert)
    assert again.status_code == 202
    assert relay.wait_for(again.json()["signal_id"])["status"] == "done"
    assert position(server, "DOTUSDT") == -20


def test_the_resend_of_a_signal_that_is_done_orders_nothing(relay: RelayProcess, server: PaperServer) -> None:
    alert = body("UNIUSDT", qty="20", id="done")
    done = ended(relay, alert)
    assert_known(relay.post(alert), done["id"], "done")
    assert position(server, "UNIUSDT") == 20


def test_the_resend_of_a_flip_of_which_the_exit_went_alone_orders_nothing(
    relay: RelayProcess, server: PaperServer
) -> None:
    assert ended(relay, body("AAVEUSDT", qty="20"))["status"] == "done"
    alert = body("AAVEUSDT", action="reverse", id="half-failed")
    refuse(server, "AAVEUSDT")
    failed = ended(relay, alert)
    assert failed["status"] == "failed"
    assert_known(relay.post(alert), failed["id"], "failed")
    assert len(taken_for(server, failed["id"])) == 1
    assert position(server, "AAVEUSDT") == 0


def test_the_resend_of_a_signal_under_way_orders_nothing(relay: RelayProcess, server: PaperServer) -> None:
    """At the moment when a resend is most likely: the exchange has the order, and nobody here knows."""
    of_symbol = {"match": {"symbol": "ATOMUSDT"}}
    server.control.fault(CREATE, "drop_reply", **of_symbol)
    server.control.fault(REALTIME, "http", times=None, **of_symbol)
    alert = body("ATOMUSDT", qty="20", id="under-way")
    signal_id = relay.post(alert).json()["signal_id"]
    until(lambda: "order_unknown" in event_names(relay.signal(signal_id)))
    answers = post_at_once(relay, alert)
    server.control.clear_faults()
    for answer in answers:
        assert_known(answer, signal_id, "executing")
    assert relay.wait_for(signal_id)["status"] == "done"
    assert len(taken_for(server, signal_id)) == 1
    assert position(server, "ATOMUSDT") == 20


@pytest.mark.slow
def test_the_resend_of_what_certainly_never_arrived_is_executed_and_kill_9_forgets_no_identity(
    server: PaperServer, tmp_path: Path
) -> None:
    """Its request was cut, and by the time that was certain the entry was too old to be sent again.

    The half minute of look-ups without a trace is waited for: before it, the resend is a duplicate.
    """
    alert = body("NEARUSDT", qty="20", id="never-arrived")
    with running(tmp_path / "relay", server, {"SIGNAL_MAX_AGE": "1"}) as relay:
        server.control.fault(CREATE, "drop_request", match={"symbol": "NEARUSDT"})
        expired = relay.wait_for(relay.post(alert).json()["signal_id"], ABSENCE_CERTAIN_S)
        assert expired["status"] == "expired"
        assert taken_for(server, expired["id"]) == []
        relay.kill()
        relay.start(SIGNAL_MAX_AGE="600")
        again = relay.post(alert)
        assert (again.status_code, again.json()["signal_id"]) == (202, expired["id"])
        assert relay.wait_for(expired["id"])["status"] == "done"
        relay.kill()
        relay.start(SIGNAL_MAX_AGE="600")
        assert_known(relay.post(alert), expired["id"], "done")
        assert len(taken_for(server, expired["id"])) == 1
        assert position(server, "NEARUSDT") == 20
