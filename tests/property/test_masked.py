"""Whatever is named like a secret in an alert is masked before anything of the alert is stored or told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.alerts.authenticate import REMOVED, SECRET_FIELDS, is_secret_name, masked_text
from relay.alerts.fields import KNOWN
from relay.alerts.formats import ALERT_FORMATS
from relay.alerts.signal import identity_key, read, redacted_text, signal_from_stored

PRIVATE = "Zq7private9Xw"
"""Stands for somebody's secret; no other part of any alert here holds it."""

_WORDS = ("key", "secret", "token", "password", "passphrase")
_AROUND = ("", "api", "bybit", "exchange", "signal", "my", "webhook", "private")
_JOINTS = ("", "_", "-", ".", " ", "__")


@st.composite
def secret_names(draw: st.DrawFn) -> str:
    before, after = draw(st.sampled_from(_AROUND)), draw(st.sampled_from(("", "2", "id", "value")))
    joint = draw(st.sampled_from(_JOINTS))
    word = draw(st.sampled_from(_WORDS if joint else _WORDS[1:]))
    name = joint.join(part for part in (before, word, after) if part)
    spelling = draw(st.sampled_from((str.lower, str.upper, str.title, str.swapcase)))
    return spelling(name)


def bodies_with(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that hold the secret under `name`, at the top or inside of others."""
    value: st.SearchStrategy[Any] = st.sampled_from([PRIVATE, [PRIVATE], {"of": PRIVATE}, [{"of": [PRIVATE, 1]}]])
    start = value.map(lambda each: {name: each, "x_side": "a"})

    def around(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        return st.one_of(
            inner.map(lambda each: {"x_in": each}),
            inner.map(lambda each: {"x_list": [1, each]}),
            inner.map(lambda each: {"x_json": json.dumps(each)}),
        )

    return st.recursive(start, around, max_leaves=3)


@given(st.data())
def test_no_field_that_is_named_like_a_secret_is_stored_at_any_depth_in_any_spelling(data: st.DataObject) -> None:
    name = data.draw(secret_names())
    fields = {"ticker": "ETHUSDT.P", "action": "close", **data.draw(bodies_with(name))}
    stored = read(json.dumps(fields).encode()).fields
    assert PRIVATE.lower() not in json.dumps(stored).lower(), (name, stored)
    assert (stored["ticker"], stored["action"]) == ("ETHUSDT.P", "close")


@given(st.data())
def test_no_text_that_cannot_be_parsed_is_stored_with_what_it_names_like_a_secret(data: st.DataObject) -> None:
    name = data.draw(secret_names())
    text = json.dumps({"ticker": "ETHUSDT.P", **data.draw(bodies_with(name)), "x_last": 1})
    broken = data.draw(st.sampled_from([text[:-1], text + "}", text.replace("x_last", 'x_la"st'), f"[{text}"]))
    stored = redacted_text(broken.encode(), ())
    assert PRIVATE not in stored, (broken, stored)
    assert "ETHUSDT.P" in stored


@given(secret_names(), st.sampled_from(["{}\n{}", "{}, {}", "{},{}"]), st.booleans())
def test_pairs_and_forms_are_masked_whether_or_not_they_can_be_parsed(name: str, shape: str, is_form: bool) -> None:
    pair = f"{name}={PRIVATE} and, {PRIVATE}"
    text = urlencode({name: PRIVATE, "action": "close"}) if is_form else shape.format("action=close", pair)
    stored = redacted_text(text.encode(), ())
    assert PRIVATE not in stored and "close" in stored, stored
    if is_form and "=" in text and name.replace("_", "a").isalnum():
        assert PRIVATE.lower() not in json.dumps(read(text.encode()).fields).lower()


@pytest.mark.parametrize("name", SECRET_FIELDS)
@pytest.mark.parametrize(
    "body", ['{{"{0}": "{1}", "ticker": "ETHUSDT.P", "action": "close"}}', "{0}={1}\naction=close"]
)
def test_what_proves_the_sender_is_handed_out_and_stored_under_no_name_at_all(name: str, body: str) -> None:
    for spelled in (name, name.upper()):
        parsed = read(body.format(spelled, PRIVATE).encode())
        assert parsed.secrets == (PRIVATE,)
        assert name not in parsed.fields
        assert PRIVATE not in repr(parsed)


def test_a_secret_that_stands_beside_another_is_handed_out_too() -> None:
    parsed = read(json.dumps({"secret": "of-before", "passphrase": PRIVATE, "action": "close"}).encode())
    assert set(parsed.secrets) == {"of-before", PRIVATE}
    assert parsed.fields == {"action": "close"}


def test_no_field_that_decides_an_order_is_named_like_a_secret() -> None:
    ours = {name for name in KNOWN if is_secret_name(name)}
    assert ours == set()
    for alert_format in ALERT_FORMATS:
        of_it = {part for name in alert_format.fields for part in name.lower().replace("[]", "").split(".")}
        assert {part for part in of_it if is_secret_name(part)} <= {*alert_format.secrets, *SECRET_FIELDS}


def test_texts_that_name_no_secret_stay_as_they_are() -> None:
    for text in (
        "Crossed the upper band: long again, 50% of 3:1",
        '{"ticker": "MONKEYUSDT", "comment": "ping: \\"pong\\""',
        "action=buy\nx_note=a pinch: of salt, b=c",
        "keystone=1",
        "the key level 98000.5 held, a pin bar at 4h close, token sale over, secret sauce v2",
        "",
    ):
        assert masked_text(text) == text, text


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ('{"api_key": "a\\"b", "action": "buy"', '{"api_key": "[secret]", "action": "buy"'),
        ("{'apiSecret': 'a b', 'qty': 1", "{'apiSecret': '[secret]', 'qty': 1"),
        ('{"m": "{\\"token\\": \\"a\\", \\"qty\\": 1}"', '{"m": "{\\"token\\": \\"[secret]\\", \\"qty\\": 1}"'),
        ('{"keys": ["a", {"b": "c"}], "qty": 1', '{"keys": [secret], "qty": 1'),
        ('{"\\u0070assword": "a", "qty": 1', '{"\\u0070assword": "[secret]", "qty": 1'),
        ("password=a, b=c, qty", "password=[secret], b=c, qty"),
        ("api_key=a&qty=1", "api_key=[secret]&qty=1"),
        ("api%5Fkey=a&qty=1", "api_key=[secret]&qty=1"),
        ('{"token": "never ends', '{"token": "[secret]'),
        ('{"token": "", "qty": 1', '{"token": "", "qty": 1'),
        ("action=buy ｐａｓｓｗｏｒｄ=a", "action=buy ｐａｓｓｗｏｒｄ=[secret]"),
        ("my API key is Zx81kQ02mv, the bot's", "my API key is [secret], the bot's"),
        ('exit; the token "9f-77c.a1b2" of June', 'exit; the token "[secret]" of June'),
        ("password tr0ub4dor3 and on", "password [secret] and on"),
    ],
)
def test_what_is_masked_leaves_the_rest_legible(text: str, stored: str) -> None:
    assert masked_text(text) == stored
    assert masked_text(stored) == stored


def test_two_ids_that_name_a_secret_stay_two_alerts() -> None:
    identities = set()
    for number in (1, 2, 1):
        parsed = read(json.dumps({"ticker": "ETHUSDT.P", "action": "buy", "qty": 1, "id": f"key: {number}"}).encode())
        assert str(parsed.fields["id"]).startswith("key: [secret]#")
        at = datetime(2026, 3, 4, tzinfo=UTC)
        signal = signal_from_stored(parsed.fields, id="s" * 26, strategy="default", received_at=at)
        identities.add(identity_key(signal, body_digest=parsed.body_digest).key)
    assert len(identities) == 2


def test_a_secret_named_so_is_masked_in_numbers_and_objects_and_an_empty_one_stays_empty() -> None:
    stored = read(b'{"api_key": 12345, "x_token": null, "x_pwd": "", "Signal-Token": {"a": 1}}').fields
    assert stored == {"api_key": REMOVED, "x_token": None, "x_pwd": "", "Signal-Token": REMOVED}
    stored = read(b'{"auth": {"pin": "4711", "Pass2": "a", "keys": ["b"]}}').fields
    assert stored == {"auth": {"pin": REMOVED, "Pass2": REMOVED, "keys": REMOVED}}


def test_what_an_object_names_like_a_secret_beside_its_value_is_masked() -> None:
    headers = [{"name": "X-API-Key", "value": PRIVATE}, {"name": "Accept", "value": "json"}, {"key": "token", "val": 1}]
    stored = read(json.dumps({"headers": headers}).encode()).fields
    assert stored == {
        "headers": [
            {"name": "X-API-Key", "value": REMOVED},
            {"name": "Accept", "value": "json"},
            {"key": REMOVED, "val": REMOVED},
        ]
    }
