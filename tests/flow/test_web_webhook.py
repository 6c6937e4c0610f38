"""`POST /webhook`: every row of the answers that the contract promises."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Barrier
from urllib.parse import quote

import pytest
import requests

from tests.paper_server import PaperServer
from tests.relay_server import ADMIN_TOKEN, WEBHOOK_SECRET, RelayServer, body_of, cold_relay, error_of, running_relay

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.001"}
WRONG = "not-the-secret-of-the-tests"


def refused(relay: RelayServer) -> list[tuple[str, str, int]]:
    """Counts are written with the next transaction at the latest, so one is made first."""
    relay.api("resume", "POST")
    return [(posts["kind"], posts["source"], posts["count"]) for posts in relay.api("signals")["refused"]]


def test_an_alert_is_accepted_with_202_and_is_durable(relay: RelayServer) -> None:
    answer = relay.post(BUY | {"id": "accepted"})
    assert answer.status_code == 202
    reported = answer.json()
    assert reported == {"signal_id": reported["signal_id"], "status": "accepted", "duplicate": False}
    assert relay.wait_for(reported["signal_id"])["status"] == "done"


def test_the_same_alert_again_is_200_with_the_first_ones_id_and_status(relay: RelayServer) -> None:
    first = relay.done(BUY | {"id": "again"})
    answer = relay.post(BUY | {"id": "again"})
    assert answer.status_code == 200
    assert answer.json() == {"signal_id": first["id"], "status": "done", "duplicate": True}


def test_ten_identical_posts_at_one_instant_are_one_signal_and_one_order(relay: RelayServer) -> None:
    together = Barrier(10)

    def post(_: int) -> requests.Response:
        together.wait()
        return relay.post(BUY | {"id": "at once"})

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(post, range(10)))
    reported = [answer.json() for answer in answers]
    assert len({each["signal_id"] for each in reported}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [202]
    assert [each["duplicate"] for each in reported].count(False) == 1
    assert len(relay.wait_for(reported[0]["signal_id"])["orders"]) == 1


def test_prefer_wait_answers_200_with_the_full_signal(relay: RelayServer) -> None:
    answer = relay.post(BUY | {"id": "waited for", "comment": "hello"}, wait_s=10)
    assert answer.status_code == 200
    signal = answer.json()
    assert signal["status"] == "done"
    assert signal["alert"] == BUY | {"id": "waited for", "comment": "hello"}
    assert [order["status"] for order in signal["orders"]] == ["filled"]
    assert signal["events"][0]["name"] == "accepted"
    assert signal["signal_id"] == signal["id"] and signal["duplicate"] is False
    shown = relay.api(f"signals/{signal['id']}")
    assert {name: signal[name] for name in shown} == shown


def test_a_duplicate_that_waits_gets_the_first_ones_outcome(relay: RelayServer) -> None:
    first = relay.done(BUY | {"id": "twice"})
    answer = relay.post(BUY | {"id": "twice"}, wait_s=10)
    assert answer.status_code == 200
    assert (answer.json()["duplicate"], answer.json()["id"]) == (True, first["id"])


def test_whoever_waits_longer_than_it_takes_gets_the_202(cold: RelayServer) -> None:
    assert cold.post(BUY, wait_s=1).status_code == 202


def test_a_wait_that_is_no_number_is_no_wait(cold: RelayServer) -> None:
    assert cold.post(BUY, headers={"Prefer": "wait=soon, respond-async"}).status_code == 202


def test_beyond_a_quarter_of_the_threads_nobody_waits(cold: RelayServer) -> None:
    waiting = cold.app.extensions["relay.waiting"]
    for _ in range(32):
        assert waiting._places.acquire(blocking=False)
    answer = cold.post(BUY, wait_s=10)
    assert answer.status_code == 202
    assert answer.elapsed.total_seconds() < 9


def test_waiting_requests_are_answered_when_the_relay_drains(cold: RelayServer) -> None:
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(cold.post, BUY, wait_s=10)
        announcer = cold.relay.services.announcer
        while not announcer._waiters:
            assert not answer.done()
            time.sleep(0.005)
        cold.relay.drain()
        assert answer.result().status_code == 202
    assert cold.post(BUY | {"id": "later"}, wait_s=10).elapsed.total_seconds() < 9


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain; charset=utf-8", "application/x-www-form-urlencoded", "multipart/form-data", ""],
)
def test_the_content_type_does_not_matter(cold: RelayServer, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    assert cold.post(BUY, headers=headers).status_code == 202
    pairs = f"secret={WEBHOOK_SECRET}\nticker=BTCUSDT.P\naction=sell\nqty=0.001".encode()
    signal_id = cold.post(pairs, headers=headers).json()["signal_id"]
    alert = cold.api(f"signals/{signal_id}")["alert"]
    assert alert == {"ticker": "BTCUSDT.P", "action": "sell", "qty": "0.001"}


def test_the_secret_may_come_in_a_header(cold: RelayServer) -> None:
    answer = cold.post(BUY | {"secret": None}, headers={"X-Webhook-Secret": WEBHOOK_SECRET})
    assert answer.status_code == 202


def test_the_secret_may_come_in_the_path(cold: RelayServer) -> None:
    answer = cold.post(BUY | {"secret": None}, path=f"/webhook/default/{WEBHOOK_SECRET}")
    assert answer.status_code == 202


def test_a_secret_with_slashes_in_the_path_authenticates_the_sender(tmp_path: Path) -> None:
    secret = "with/two//slashes+and-more"
    with cold_relay(tmp_path, WEBHOOK_SECRET=secret) as relay:
        for spelling in (secret, quote(secret, safe="")):
            alert = BUY | {"secret": None, "id": str(len(spelling))}
            assert relay.post(alert, path=f"/webhook/default/{spelling}").status_code == 202


def test_a_standard_webhooks_signature_authenticates_the_sender(cold: RelayServer) -> None:
    body, now = body_of(BUY | {"secret": None}), str(int(time.time()))
    signed = hmac.new(WEBHOOK_SECRET.encode(), f"msg_1.{now}.".encode() + body, hashlib.sha256).digest()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": now, "webhook-signature": f"v1,{_text(signed)}"}
    assert cold.post(body, headers=headers).status_code == 202
    error_of(cold.post(body + b" ", headers=headers), 401, "AUTH_FAILED")


def _text(signature: bytes) -> str:
    return base64.b64encode(signature).decode()


def test_both_of_two_secrets_work_while_one_is_replaced(tmp_path: Path) -> None:
    with cold_relay(tmp_path, WEBHOOK_SECRET=f"{WEBHOOK_SECRET} the-next-secret-of-all") as relay:
        assert relay.post(BUY).status_code == 202
        assert relay.post(BUY | {"secret": "the-next-secret-of-all", "id": "next"}).status_code == 202


def test_the_default_strategy_has_an_address_of_its_own(cold: RelayServer) -> None:
    for path in ("/webhook/default", "/webhook/default/", "/webhook/"):
        assert cold.post(BUY | {"id": path}, path=path).status_code == 202


def test_an_unknown_strategy_is_404(cold: RelayServer) -> None:
    error = error_of(cold.post(BUY, path="/webhook/nothere"), 404, "STRATEGY_UNKNOWN")
    assert "nothere" not in error["message"], "a secret may stand in its place"
    assert refused(cold) == [("STRATEGY_UNKNOWN", "127.0.0.1", 1)]


def test_an_id_that_was_used_before_is_409_and_stored(relay: RelayServer) -> None:
    relay.done(BUY | {"id": "reused"})
    answer = relay.post(BUY | {"id": "reused", "qty": "0.002"})
    error = error_of(answer, 409, "ALERT_ID_REUSED")
    assert "order_id" in error["fields"]["id"][0]
    stored = relay.api(f"signals/{answer.json()['signal_id']}")
    assert (stored["status"], stored["reason"]["code"]) == ("rejected", "ALERT_ID_REUSED")


def test_a_heartbeat_is_taken_and_orders_nothing(relay: RelayServer) -> None:
    signal = relay.done({"action": "heartbeat", "id": "beat"})
    assert (signal["status"], signal["orders"]) == ("done", [])


def test_an_address_that_is_not_allowed_is_403_even_with_the_secret(tmp_path: Path) -> None:
    with cold_relay(tmp_path, WEBHOOK_SOURCES="tradingview") as relay:
        error = error_of(relay.post(BUY), 403, "SOURCE_NOT_ALLOWED")
        assert "127.0.0.1" in error["message"]
        assert refused(relay) == [("SOURCE_NOT_ALLOWED", "127.0.0.1", 1)]
        forged = relay.post(BUY, headers={"X-Forwarded-For": "52.89.214.238"})
        error_of(forged, 403, "SOURCE_NOT_ALLOWED")


def test_behind_a_trusted_proxy_the_address_is_the_one_that_it_saw(tmp_path: Path) -> None:
    with cold_relay(tmp_path, WEBHOOK_SOURCES="tradingview", TRUSTED_PROXIES="1") as relay:
        seen = {"X-Forwarded-For": "203.0.113.9, 52.89.214.238"}
        assert relay.post(BUY, headers=seen).status_code == 202
        forged = {"X-Forwarded-For": "52.89.214.238, 203.0.113.9"}
        error_of(relay.post(BUY, headers=forged), 403, "SOURCE_NOT_ALLOWED")
        assert refused(relay) == [("SOURCE_NOT_ALLOWED", "203.0.113.9", 1)]


def test_who_does_not_prove_the_secret_is_told_to_slow_down_but_a_right_secret_never_is(cold: RelayServer) -> None:
    bad = BUY | {"secret": WRONG}
    for _ in range(20):
        error_of(cold.post(bad), 401, "AUTH_FAILED")
    answer = cold.post(bad)
    error_of(answer, 429, "TOO_MANY_REQUESTS")
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert cold.post(BUY).status_code == 202
    refused(cold)
    error_of(cold.post(bad), 429, "TOO_MANY_REQUESTS")
    counted = [("AUTH_FAILED", "127.0.0.1", 20), ("TOO_MANY_REQUESTS", "127.0.0.1", 2)]
    assert sorted(refused(cold)) == counted


@contextmanager
def locked_journal(folder: Path) -> Iterator[None]:
    """Another program holds the journal's file, as a careless look at it with a tool would."""
    with closing(sqlite3.connect(folder / "relay.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_journal_that_cannot_be_written_is_503_and_what_was_sent_is_withdrawn(
    cold: RelayServer, tmp_path: Path
) -> None:
    with locked_journal(tmp_path):
        answer = cold.post(BUY)
        error_of(answer, 503, "JOURNAL_UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) > 0
    assert cold.post(BUY).json()["duplicate"] is False
    assert len(cold.api("signals")["signals"]) == 1


def test_a_refusal_is_answered_though_it_cannot_be_counted_just_now(cold: RelayServer, tmp_path: Path) -> None:
    with locked_journal(tmp_path):
        error_of(cold.post(BUY | {"secret": WRONG}), 401, "AUTH_FAILED")
    assert refused(cold) == [("AUTH_FAILED", "127.0.0.1", 1)]


def test_nothing_is_stored_of_what_was_refused(cold: RelayServer) -> None:
    cold.post(BUY | {"secret": WRONG})
    cold.post(b"x" * 66_000)
    assert cold.api("signals")["signals"] == []


def test_get_is_not_how_alerts_come(cold: RelayServer) -> None:
    answer = cold.request("GET", "/webhook")
    error_of(answer, 405, "METHOD_NOT_ALLOWED")
    assert "POST" in answer.headers["Allow"]


def test_what_was_accepted_before_the_exchange_was_there_is_executed_after_the_start(
    tmp_path: Path, paper: PaperServer
) -> None:
    with cold_relay(tmp_path) as relay:
        signal_id = relay.post(BUY | {"id": "early"}).json()["signal_id"]
        assert relay.api(f"signals/{signal_id}")["status"] == "accepted"
    with running_relay(tmp_path, paper.url) as relay:
        assert relay.wait_for(signal_id)["status"] == "done"


def test_the_secret_is_in_no_answer(cold: RelayServer) -> None:
    reported = [cold.post(BUY).text, cold.post(b'{"secret": "%s", "action":' % WEBHOOK_SECRET.encode()).text]
    reported.append(json.dumps(cold.api("signals")))
    assert all(WEBHOOK_SECRET not in text for text in reported)


def test_no_secret_of_the_relays_is_stored_wherever_it_stands_in_an_alert(relay: RelayServer) -> None:
    signal = relay.done({"action": "heartbeat", "comment": f"my token is {ADMIN_TOKEN}", "id": "tells-too-much"})
    assert signal["alert"]["comment"] == "my token is [secret]"
    assert ADMIN_TOKEN not in relay.request("GET", "/login").text
