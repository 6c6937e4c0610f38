"""Bad alerts over HTTP: each is answered with what is wrong, which field it is, and what would be right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.relay_server import WEBHOOK_SECRET, RelayServer, body_of

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.001"}
START = f'{{"secret": "{WEBHOOK_SECRET}", "action": "buy", "ticker": "BTCUSDT.P", "qty": "0.001"'


def not_taken(answer: requests.Response, status: int, code: str) -> str:
    """The message of an alert of which nothing is kept."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message", "fields"}
    assert body["error"]["code"] == code
    message: str = body["error"]["message"]
    return message


def stored(relay: RelayServer, answer: requests.Response, status: int, code: str) -> dict[str, Any]:
    """The error of an alert that is kept as rejected and shown with the same words, without the secret."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "signal_id"} and set(body["error"]) == {"code", "message", "fields"}
    error: dict[str, Any] = body["error"]
    assert error["code"] == code
    signal = relay.api(f"signals/{body['signal_id']}")
    assert (signal["status"], signal["orders"]) == ("rejected", [])
    assert signal["reason"] == {"code": code, "message": error["message"]}
    listed = {name: value for name, value in signal.items() if name not in ("timing", "slippage")}
    assert listed in relay.api("signals?status=rejected&limit=5")["signals"]
    assert WEBHOOK_SECRET not in json.dumps(signal) and WEBHOOK_SECRET not in answer.text
    return error


def malformed(relay: RelayServer, body: bytes) -> str:
    message: str = stored(relay, relay.post(body), 400, "ALERT_MALFORMED")["message"]
    return message


def invalid(relay: RelayServer, field: str, **changes: Any) -> str:
    """The problem that the one wrong field has."""
    error = stored(relay, relay.post(BUY | changes), 422, "ALERT_INVALID")
    assert list(error["fields"]) == [field]
    assert field in error["message"]
    problems: list[str] = error["fields"][field]
    assert len(problems) == 1
    return problems[0]


@pytest.fixture(autouse=True)
def no_orders(relay: RelayServer) -> Iterator[None]:
    """Nothing that is refused orders anything."""
    before = relay.api("orders?limit=500")["orders"]
    yield
    assert relay.api("orders?limit=500")["orders"] == before


def test_no_secret(relay: RelayServer) -> None:
    message = not_taken(relay.post(BUY | {"secret": None}), 401, "AUTH_FAILED")
    assert "`secret`" in message or '"secret"' in message
    assert "X-Webhook-Secret" in message


def test_a_wrong_secret(relay: RelayServer) -> None:
    message = not_taken(relay.post(BUY | {"secret": "not-the-secret-of-the-tests"}), 401, "AUTH_FAILED")
    assert "secret" in message and "not-the-secret-of-the-tests" not in message


def test_a_wrong_secret_in_the_path_is_not_repeated(relay: RelayServer) -> None:
    answer = relay.post(BUY | {"secret": None}, path="/webhook/default/not-the-secret-of-the-tests")
    not_taken(answer, 401, "AUTH_FAILED")
    assert "not-the-secret" not in answer.text


def test_an_empty_body_authenticates_nobody(relay: RelayServer) -> None:
    not_taken(relay.post(b""), 401, "AUTH_FAILED")


def test_an_empty_body_with_the_secret_in_the_header_is_reported_what_to_send(relay: RelayServer) -> None:
    answer = relay.post(b"", headers={"X-Webhook-Secret": WEBHOOK_SECRET})
    error = stored(relay, answer, 400, "ALERT_MALFORMED")
    assert "empty" in error["message"] and '"action"' in error["message"]


@pytest.mark.parametrize("comment_size", [65 * 1024, 2_000_000])
def test_a_body_over_64_kib(relay: RelayServer, comment_size: int) -> None:
    message = not_taken(relay.post(BUY | {"comment": "x" * comment_size}), 413, "BODY_TOO_LARGE")
    assert "64 KiB" in message


def test_a_body_over_64_kib_in_chunks(relay: RelayServer) -> None:
    body = body_of(BUY | {"comment": "x" * 65 * 1024})
    answer = relay.request("POST", "/webhook", data=iter([body[:40_000], body[40_000:]]))
    assert "64 KiB" in not_taken(answer, 413, "BODY_TOO_LARGE")


def test_a_body_of_just_64_kib_is_read_whole_in_chunks_and_without(relay: RelayServer) -> None:
    body = body_of(BUY | {"side_note": ""})
    body = body.replace(b'"side_note": ""', b'"side_note": "%s"' % (b"x" * (64 * 1024 - len(body))))
    assert len(body) == 64 * 1024
    for sent in (body, iter([body[:7], body[7:40_000], body[40_000:]])):
        answer = relay.request("POST", "/webhook", data=sent)
        assert list(stored(relay, answer, 422, "ALERT_INVALID")["fields"]) == ["side_note"]


def test_an_alert_in_small_chunks_is_one_alert(relay: RelayServer) -> None:
    body = body_of(BUY | {"ticker": "NOSUCHUSDT"})
    answer = relay.request("POST", "/webhook", data=(body[at : at + 9] for at in range(0, len(body), 9)))
    stored(relay, answer, 422, "ALERT_INVALID")


def test_a_quote_within_a_comment(relay: RelayServer) -> None:
    message = malformed(relay, f'{START}, "comment": "the "big" one"}}'.encode())
    assert '"' in message and "line 1" in message


def test_a_trailing_comma(relay: RelayServer) -> None:
    assert "comma" in malformed(relay, f"{START},}}".encode())


def test_curly_quotes(relay: RelayServer) -> None:
    message = malformed(relay, f"{START}, “comment”: “hello”}}".encode())
    assert "“" in message or "curly" in message


def test_a_json_array(relay: RelayServer) -> None:
    message = malformed(relay, f"[{START}}}]".encode())
    assert "array" in message and "one object" in message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity(relay: RelayServer, number: str) -> None:
    body = START.replace('"0.001"', number) + "}"
    assert number in malformed(relay, body.encode())


def test_a_repeated_key(relay: RelayServer) -> None:
    assert "qty" in malformed(relay, f'{START}, "qty": 5}}'.encode())


def test_an_unknown_action(relay: RelayServer) -> None:
    problem = invalid(relay, "action", action="purchase")
    assert "purchase" in problem and "buy" in problem


@pytest.mark.parametrize("qty", ["-1", "0", -0.5, 0, "0.000"])
def test_a_quantity_that_is_not_above_zero(relay: RelayServer, qty: object) -> None:
    problem = invalid(relay, "qty", qty=qty)
    assert "above 0" in problem or "0 or more" in problem


def test_an_unknown_symbol_names_the_nearest(relay: RelayServer) -> None:
    problem = invalid(relay, "ticker", ticker="BTCUSTD.P")
    assert "BTCUSTD" in problem and "BTCUSDT" in problem


def test_an_unreplaced_placeholder_where_it_is_needed(relay: RelayServer) -> None:
    problem = invalid(relay, "price", type="limit", price="{{close}}")
    assert "{{close}}" in problem


def test_a_limit_order_without_a_price(relay: RelayServer) -> None:
    assert "limit" in invalid(relay, "price", type="limit")


def test_an_unknown_field_that_may_bear_on_the_order(relay: RelayServer) -> None:
    assert "may bear on the order" in invalid(relay, "quantitty", quantitty="1")


@pytest.mark.parametrize("wrong", [True, ["0.001"], {"value": "0.001"}, "a lot"])
def test_a_quantity_of_the_wrong_type(relay: RelayServer, wrong: object) -> None:
    assert "number" in invalid(relay, "qty", qty=wrong)


def test_a_number_of_5000_digits(relay: RelayServer) -> None:
    body = START.replace('"0.001"', "9" * 5000) + "}"
    answer = relay.post(body.encode())
    assert answer.status_code in (400, 422)
    error = stored(relay, answer, answer.status_code, answer.json()["error"]["code"])
    assert "digits" in error["message"] and len(error["message"]) < 500
    assert "qty" in error["message"]


def test_utf_16_bytes(relay: RelayServer) -> None:
    assert "UTF-8" in malformed(relay, f"{START}}}".encode("utf-16"))


def test_nuls(relay: RelayServer) -> None:
    assert "NUL" in malformed(relay, f"{START}}}".encode() + b"\0")


def test_what_is_too_broken_to_parse_authenticates_its_sender_by_the_exact_secret_among_its_bytes(
    relay: RelayServer,
) -> None:
    answer = relay.post(f"{{{WEBHOOK_SECRET}".encode())
    signal = relay.api(f"signals/{answer.json()['signal_id']}")
    assert answer.status_code == 400 and "[secret]" in json.dumps(signal["alert"])
    not_taken(relay.post(f"{{{WEBHOOK_SECRET[:-1]}".encode()), 401, "AUTH_FAILED")


def test_several_wrong_fields_are_all_named(relay: RelayServer) -> None:
    answer = relay.post(BUY | {"qty": "-1", "action": "purchase", "leverage": "x"})
    assert set(stored(relay, answer, 422, "ALERT_INVALID")["fields"]) == {"qty", "action", "leverage"}


def test_an_account_that_is_not_there(relay: RelayServer) -> None:
    assert "default" in invalid(relay, "account", account="second")
