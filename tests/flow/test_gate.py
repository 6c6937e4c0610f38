"""A source that has failed too often is refused before it is read; a right secret, however spelled, never is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch
from urllib.parse import quote

import pytest

from relay.execution import accept
from tests.relay_server import WEBHOOK_SECRET, RelayServer, body_of, cold_relay, error_of

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.001"}
UNPROVEN = BUY | {"secret": None}
WRONG = BUY | {"secret": "not-the-secret-of-the-tests"}
FAILURES_MAX = 20
_ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in WEBHOOK_SECRET)


@pytest.fixture
def blocked(cold: RelayServer) -> Iterator[RelayServer]:
    """A relay that this machine has failed to prove itself to, once too often."""
    block(cold)
    yield cold


def block(relay: RelayServer, **headers: str) -> None:
    for _ in range(FAILURES_MAX):
        error_of(relay.post(WRONG, headers=headers), 401, "AUTH_FAILED")


def test_what_can_prove_nothing_is_refused_unread_with_the_answer_that_the_application_gives(
    blocked: RelayServer,
) -> None:
    requested = {"X-Request-ID": "request-7"}
    read = blocked.post(WRONG | {"comment": "\\"}, headers=requested)
    with patch.object(accept, "read", side_effect=AssertionError("it was read")):
        unread = blocked.post(WRONG, headers=requested)
    error_of(unread, 429, "TOO_MANY_REQUESTS")
    assert unread.reason == read.reason
    assert unread.json() == read.json() or 0 < int(unread.headers["Retry-After"]) < int(read.headers["Retry-After"])
    varies = ("Date", "Retry-After", "Content-Length")
    said = [{name: value for name, value in each.headers.items() if name not in varies} for each in (unread, read)]
    assert said[0] == said[1]


def test_every_refusal_is_counted(blocked: RelayServer) -> None:
    for _ in range(30):
        blocked.post(WRONG)
    counted = {posts["kind"]: posts["count"] for posts in blocked.api("signals")["refused"]}
    assert counted == {"AUTH_FAILED": FAILURES_MAX, "TOO_MANY_REQUESTS": 30}


@pytest.mark.parametrize(
    "body",
    [
        body_of(BUY),
        b'{"secret": "%s", "ticker": "BTCUSDT.P", "action": "buy", "qty": 1}' % _ESCAPED.encode(),
        b"secret=%s&ticker=BTCUSDT.P&action=buy&qty=1" % quote(WEBHOOK_SECRET.replace("-", "%2D"), safe="%").encode(),
        quote(body_of(BUY).decode()).encode(),
        b"\xef\xbb\xbf" + body_of(BUY),
        f"ENTER-LONG_BYBIT_BTCUSDT_BOT_1H_{WEBHOOK_SECRET}".encode(),
        f"secret = {WEBHOOK_SECRET}\nticker = BTCUSDT.P\naction = buy\nqty = 1".encode(),
    ],
    ids=["json", "escaped", "form", "percent", "mark", "code", "pairs"],
)
def test_a_right_secret_in_the_body_is_taken_in_any_spelling(blocked: RelayServer, body: bytes) -> None:
    if body.startswith(b"ENTER"):
        body = json.dumps({"code": body.decode(), "orderType": "market", "amount": "1"}).encode()
    answer = blocked.post(body)
    assert answer.status_code not in (401, 429), answer.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_a_right_secret_in_a_broken_body_is_reported_what_is_wrong(blocked: RelayServer, encoding: str) -> None:
    body = f'{{"secret": "{WEBHOOK_SECRET}", "action":'.encode(encoding)
    error_of(blocked.post(body), 400, "ALERT_MALFORMED")


def test_a_right_secret_outside_the_body_is_taken(blocked: RelayServer) -> None:
    assert blocked.post(UNPROVEN, headers={"X-Webhook-Secret": WEBHOOK_SECRET}).status_code == 202
    assert blocked.post(UNPROVEN | {"id": "2"}, path=f"/webhook/default/{WEBHOOK_SECRET}").status_code == 202
    body, at_s = body_of(UNPROVEN | {"id": "3"}), int(time.time())
    digest = hmac.new(WEBHOOK_SECRET.encode(), f"m.{at_s}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    signed = {"webhook-id": "m", "webhook-timestamp": str(at_s), "webhook-signature": signature}
    assert blocked.post(body, headers=signed).status_code == 202


def test_a_right_secret_in_a_body_without_a_length_is_taken(blocked: RelayServer) -> None:
    chunked = {"wsgi.input_terminated": True, "REMOTE_ADDR": "127.0.0.1"}
    client = blocked.app.test_client()
    answer = client.post("/webhook", input_stream=io.BytesIO(body_of(BUY)), environ_overrides=chunked)
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("secret", "spelled"),
    [("1234567890123456", "1.234567890123456e15"), ("1234567890.12345", "0.123456789012345E+10")],
)
def test_a_right_secret_that_is_a_number_is_taken_as_any_number_is_spelled(
    tmp_path: Path, secret: str, spelled: str
) -> None:
    with cold_relay(tmp_path, WEBHOOK_SECRET=secret) as relay:
        block(relay)
        body = b'{"secret": %s, "ticker": "BTCUSDT.P", "action": "buy", "qty": 1}' % spelled.encode()
        assert relay.post(body).status_code == 202


def test_what_is_answered_otherwise_still_is(blocked: RelayServer) -> None:
    error_of(blocked.post(WRONG, path="/webhook/nothere"), 404, "STRATEGY_UNKNOWN")
    error_of(blocked.post(WRONG, path="/webhook//x"), 404, "NOT_FOUND")
    error_of(blocked.post(b"x" * 70_000), 413, "BODY_TOO_LARGE")
    error_of(blocked.request("GET", "/webhook"), 405, "METHOD_NOT_ALLOWED")
    error_of(blocked.post(b"x" * 10_000), 429, "TOO_MANY_REQUESTS")


def test_behind_a_proxy_it_is_the_sender_that_is_refused_and_not_the_proxy(tmp_path: Path) -> None:
    with cold_relay(tmp_path, TRUSTED_PROXIES="1", WEBHOOK_SOURCES="203.0.113.0/24") as relay:
        bad, good = {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "203.0.113.10"}
        block(relay, **bad)
        error_of(relay.post(WRONG, headers=bad), 429, "TOO_MANY_REQUESTS")
        error_of(relay.post(WRONG, headers=good), 401, "AUTH_FAILED")
        elsewhere = {"X-Forwarded-For": "198.51.100.1"}
        error_of(relay.post(WRONG, headers=elsewhere), 403, "SOURCE_NOT_ALLOWED")
        assert relay.post(BUY, headers=bad).status_code == 202


def test_strangers_cannot_fill_the_log(cold: RelayServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for _ in range(FAILURES_MAX + 5):
            cold.post(WRONG)
            cold.post(WRONG, path="/webhook/nothere")
            cold.post(WRONG | {"comment": "\\"})
        assert [each.getMessage() for each in caplog.records if each.name.startswith(("relay", "gunicorn"))] == []
        assert cold.post(BUY).status_code == 202
    assert "accept" in [each.getMessage() for each in caplog.records]
