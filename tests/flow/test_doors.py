"""Who gets in: replays have no second effect, and junk that proves nothing costs next to nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from unittest.mock import patch

import pytest

from relay.alerts.authenticate import QUICK_BYTES, SECRET_FIELDS
from relay.execution import accept
from tests.relay_server import WEBHOOK_SECRET, RelayServer, body_of, cold_relay, error_of

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}
JUNK = (
    b'{"action": "buy", "comment": "' + b"\\u0061" * 9000 + b'"}',
    b"%" * 60_000,
    b"[" * 60_000,
    b'"' * 60_000,
    b"a=b," * 15_000,
)


def _signed(body: bytes, *, name: str, at_s: int) -> dict[str, str]:
    digest = hmac.new(WEBHOOK_SECRET.encode(), f"{name}.{at_s}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": name, "webhook-timestamp": str(at_s), "webhook-signature": signature}


def test_what_was_signed_once_has_one_effect_however_long_after_it_is_replayed(tmp_path: Path) -> None:
    with cold_relay(tmp_path) as relay:
        body = body_of(BUY | {"secret": None})
        headers = _signed(body, name="msg_1", at_s=int(time.time()))
        first = relay.post(body, headers=headers).json()
        # As after the window in which equal bodies are the same alert.
        strategy = relay.relay.services.intake.strategy("default")
        with patch.object(type(strategy), "dedup_window_ms", 0):
            replayed = relay.post(body, headers=headers)
            assert (replayed.status_code, replayed.json()["duplicate"]) == (200, True)
            assert replayed.json()["signal_id"] == first["signal_id"]
            again = relay.post(body, headers=_signed(body, name="msg_2", at_s=int(time.time())))
            assert again.json()["duplicate"] is False, "another message with the same text is another alert"


def test_a_signature_more_than_five_minutes_old_authenticates_nothing(cold: RelayServer) -> None:
    body = body_of(BUY | {"secret": None})
    error_of(cold.post(body, headers=_signed(body, name="old", at_s=int(time.time()) - 400)), 401, "AUTH_FAILED")


@pytest.mark.parametrize("name", SECRET_FIELDS)
@pytest.mark.parametrize("is_valid", [True, False])
def test_the_secret_authenticates_under_each_of_its_names_and_nothing_named_so_reaches_the_disk(
    tmp_path: Path, name: str, is_valid: bool
) -> None:
    private = "of-somebodys-exchange-4711"
    alert = {"ticker": "BTCUSDT.P", "action": "close", name: WEBHOOK_SECRET, "x_api_key": private}
    text = json.dumps(alert | {"secret": "one-of-before", name: WEBHOOK_SECRET})
    with cold_relay(tmp_path) as relay:
        answer = relay.post(text.encode() if is_valid else text[:-1].encode())
        assert answer.status_code == (202 if is_valid else 400), answer.text
        stored = relay.ask(f"signals/{answer.json()['signal_id']}").text
        assert "[secret]" in stored
        relay.post(text.replace(WEBHOOK_SECRET, "a-wrong-one-0123456789").encode())
    on_disk = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    assert b"x_api_key" in on_disk
    for secret in (WEBHOOK_SECRET, private, "one-of-before"):
        assert secret not in stored and secret.encode() not in on_disk


@pytest.mark.parametrize("junk", JUNK, ids=["escapes", "percent", "brackets", "quotes", "pairs"])
def test_64_kib_that_prove_nothing_are_refused_without_being_read(cold: RelayServer, junk: bytes) -> None:
    assert len(junk) > QUICK_BYTES
    with patch.object(accept, "read", side_effect=AssertionError("it was parsed")):
        error_of(cold.post(junk), 401, "AUTH_FAILED")


def test_a_large_alert_with_the_secret_in_it_is_read(cold: RelayServer) -> None:
    assert cold.post(BUY | {"comment": "x" * 20_000}).status_code == 202


def test_every_answer_has_the_headers_that_keep_browsers_from_mischief_and_none_that_tells_what_serves_it(
    cold: RelayServer,
) -> None:
    for path in ("/", "/docs", "/healthz", "/api/signals", "/nothing", "/openapi.json"):
        headers = cold.request("GET", path).headers
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY", path
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert "unsafe" not in headers["Content-Security-Policy"], path


def test_addresses_that_a_client_claims_count_for_nothing_without_a_trusted_proxy(tmp_path: Path) -> None:
    with cold_relay(tmp_path, WEBHOOK_SOURCES="tradingview") as relay:
        claimed = {"X-Forwarded-For": "52.89.214.238", "Forwarded": "for=52.89.214.238", "X-Real-IP": "52.89.214.238"}
        error_of(relay.post(BUY, headers=claimed), 403, "SOURCE_NOT_ALLOWED")
    with cold_relay(
        tmp_path / "..", WEBHOOK_SOURCES="tradingview", TRUSTED_PROXIES="1", DATABASE_URL=f"sqlite:///{tmp_path}/b.db"
    ) as relay:
        assert relay.post(BUY, headers={"X-Forwarded-For": "6.6.6.6, 52.89.214.238"}).status_code == 202
        error_of(relay.post(BUY, headers={"X-Forwarded-For": "52.89.214.238, 6.6.6.6"}), 403, "SOURCE_NOT_ALLOWED")
