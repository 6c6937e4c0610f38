"""Halt, resume, flatten and retry over the API."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, error_of, running_relay

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}


def test_halt_holds_entries_back_and_resume_lets_them_go(own: RelayServer) -> None:
    own.done(BUY | {"id": "before"})
    assert own.api("halt", "POST") == {"halted": True}
    denied = own.done(BUY | {"id": "halted"})
    assert (denied["status"], denied["reason"]["code"]) == ("denied", "HALTED")
    assert own.done(BUY | {"id": "exit", "action": "close"})["orders"][0]["status"] == "filled"
    assert own.api("resume", "POST") == {"halted": False}
    assert own.done(BUY | {"id": "resumed"})["status"] == "done"


def test_a_halt_survives_a_restart(tmp_path: Path, paper: PaperServer) -> None:
    with running_relay(tmp_path, paper.url) as relay:
        relay.api("halt", "POST")
    with running_relay(tmp_path, paper.url) as relay:
        assert relay.done(BUY | {"id": "halted"})["reason"]["code"] == "HALTED"


def test_flatten_halts_closes_and_cancels_what_the_relay_traded(own: RelayServer) -> None:
    own.done(BUY | {"id": "open"})
    own.done(BUY | {"id": "rests", "ticker": "ETHUSDT.P", "type": "limit", "price": "100", "qty": "1"})
    reported = own.api("flatten", "POST")
    assert reported["halted"] is True
    assert [(each["symbol"], each["outcome"]) for each in reported["accounts"]] == [
        ("BTCUSDT", "queued"),
        ("ETHUSDT", "queued"),
    ]
    assert {own.wait_for(each["signal_id"])["status"] for each in reported["accounts"]} == {"done"}
    assert own.api("positions")["positions"] == []
    assert own.api("orders?open=1")["orders"] == []
    assert own.api("accounts")["accounts"][0]["halted"] is True


def test_flatten_leaves_what_others_opened_unless_everything_is_asked_for(own: RelayServer, paper: PaperServer) -> None:
    paper.session().place_order(category="linear", symbol="SOLUSDT", side="Buy", orderType="Market", qty="1")
    (row,) = own.api("flatten", "POST")["accounts"]
    assert (row["account"], row["symbol"], row["outcome"], row["signal_id"]) == ("default", None, "nothing_open", None)
    assert [position["symbol"] for position in own.api("positions")["positions"]] == ["SOLUSDT"]
    reported = own.api("flatten", "POST", json={"everything": True})
    assert [own.wait_for(each["signal_id"])["symbol"] for each in reported["accounts"]] == ["SOLUSDT"]
    assert own.api("positions")["positions"] == []


@pytest.mark.parametrize("body", ['{"everything": "yes"}', "[]", "everything", '{"all": true}'])
def test_a_bad_body_of_flatten_is_400_and_flattens_nothing(cold: RelayServer, body: str) -> None:
    error_of(cold.ask("flatten", "POST", data=body), 400, "REQUEST_INVALID")
    assert cold.api("signals")["signals"] == []


def test_flatten_says_of_an_exchange_that_cannot_be_reached_that_it_is_and_halts_all_the_same(
    cold: RelayServer,
) -> None:
    (row,) = cold.api("flatten", "POST")["accounts"]
    assert (row["symbol"], row["outcome"], row["signal_id"]) == (None, "unreadable", None)
    assert "refused" in row["message"]
    assert cold.api("accounts")["accounts"][0]["halted"] is True


def test_a_denied_signal_is_executed_on_retry(own: RelayServer) -> None:
    own.api("halt", "POST")
    denied = own.done(BUY | {"id": "again"})
    own.api("resume", "POST")
    answer = own.ask(f"signals/{denied['id']}/retry", "POST")
    assert answer.status_code == 202
    assert answer.json() == {"signal_id": denied["id"], "status": "accepted", "duplicate": False}
    signal = own.wait_for(denied["id"])
    assert (signal["status"], [order["status"] for order in signal["orders"]]) == ("done", ["filled"])


def test_what_may_have_had_an_effect_is_409_on_retry_with_the_reason(own: RelayServer) -> None:
    done = own.done(BUY | {"id": "had an effect"})
    error = error_of(own.ask(f"signals/{done['id']}/retry", "POST"), 409, "SIGNAL_NOT_RETRYABLE")
    assert "done" in error["message"]
    error_of(own.ask("signals/01arz3ndektsv4rrffq69g5fav/retry", "POST"), 404, "SIGNAL_UNKNOWN")


def test_only_what_is_in_attention_is_marked_as_seen(own: RelayServer) -> None:
    done = own.done(BUY | {"id": "nothing to look at"})
    error = error_of(own.ask(f"signals/{done['id']}/seen", "POST"), 409, "SIGNAL_NOT_SEEN")
    assert "done" in error["message"] and "seen" not in own.api(f"signals/{done['id']}")
    error_of(own.ask("signals/01arz3ndektsv4rrffq69g5fav/seen", "POST"), 404, "SIGNAL_UNKNOWN")


@pytest.mark.parametrize("body", ['{"note": 7}', '{"note": "' + "x" * 501 + '"}', '{"by": "me"}', "seen"])
def test_a_bad_body_of_seen_is_400(cold: RelayServer, body: str) -> None:
    error_of(cold.ask("signals/01arz3ndektsv4rrffq69g5fav/seen", "POST", data=body), 400, "REQUEST_INVALID")
