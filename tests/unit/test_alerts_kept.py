"""What is kept of an alert, and by what it is known again."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from relay.alerts.authenticate import Credentials, authenticates
from relay.alerts.signal import digest, fields_read, identity_key, read, redacted_text, signal_from_stored
from relay.domain.signal import Identity, IdentityKind
from relay.errors import AlertInvalid, AlertMalformed

SECRET = "correct-Horse/battery-staple"
RECEIVED_AT = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)


def body_of(**fields: Any) -> bytes:
    return json.dumps({"ticker": "BTCUSDT.P", "action": "buy", "qty": 0.010, **fields}).encode()


def identity_of(body: bytes, *, signed_id: str | None = None) -> Identity:
    reading = read(body)
    signal = signal_from_stored(reading.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
    return identity_key(signal, body_digest=reading.body_digest, signed_id=signed_id)


def test_what_was_signed_is_the_same_alert_for_good_unless_it_names_itself() -> None:
    assert identity_of(body_of(), signed_id="m-7") == Identity(kind=IdentityKind.ID_TIME, key="webhook-id:m-7")
    named = body_of(id="a")
    assert identity_of(named, signed_id="m-7") == identity_of(named) == Identity(kind=IdentityKind.ID, key="a")


def test_the_secret_is_handed_out_once_and_stored_nowhere() -> None:
    reading = read(body_of(SECRET=SECRET, comment=f"see {SECRET}", x_a=SECRET.lower()), secrets=(SECRET,))
    assert reading.secret == SECRET
    assert SECRET not in repr(reading)
    assert reading.fields == {
        "ticker": "BTCUSDT.P",
        "action": "buy",
        "qty": "0.01",
        "comment": "see [secret]",
        "x_a": "[secret]",
    }


@pytest.mark.parametrize("text", [f"secret={SECRET}\nid=a", f'"secret": 1, secret={SECRET}'.partition(", ")[2]])
def test_the_secret_of_key_value_pairs_is_found(text: str) -> None:
    reading = read(text.encode(), secrets=(SECRET,))
    assert reading.secret == SECRET
    assert "secret" not in reading.fields
    assert authenticates((SECRET,), Credentials(), b"", reading.secret, RECEIVED_AT)


def test_a_secret_of_digits_is_found_as_a_number_and_taken_out_of_numbers() -> None:
    secret = "1234567890123456"
    reading = read(
        f'{{"secret": {secret}, "qty": {secret}, "x": ["9{secret}", {{"{secret}": 1}}]}}'.encode(), secrets=(secret,)
    )
    assert reading.secret == secret
    assert secret not in json.dumps(reading.fields)


@pytest.mark.parametrize("secret", [None, True, ["a"], {"a": 1}])
def test_a_secret_of_a_wrong_type_is_none_and_not_stored(secret: Any) -> None:
    reading = read(body_of(secret=secret))
    assert reading.secret is None
    assert "secret" not in reading.fields


@pytest.mark.parametrize(
    "body",
    [
        f'{{"{SECRET}": 1, "{SECRET.upper()}": 2}}',
        f'{{"{SECRET}": NaN}}',
        f"{SECRET}\n",
        f"secret={SECRET}\n{SECRET}",
        f'{{"secret": "{SECRET}", "comment": "he said "hi"" }}',
        f'{{"secret": {SECRET}}}',
        f'{{"secret": {{{{{SECRET}}}}}}}',
        f"{{{{{SECRET}}}}}",
    ],
)
def test_a_refusal_never_repeats_the_secret(body: str) -> None:
    with pytest.raises(AlertMalformed) as caught:
        read(body.encode(), secrets=(SECRET,))
    said = f"{caught.value} {caught.value.message} {caught.value.fields}".lower()
    assert SECRET.lower() not in said
    assert SECRET[:12].lower() not in said


def test_a_value_with_the_secret_is_refused_without_repeating_it() -> None:
    reading = read(body_of(action=f"{'x' * 50}{SECRET}"), secrets=(SECRET,))
    with pytest.raises(AlertInvalid) as caught:
        signal_from_stored(reading.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
    assert SECRET[:5] not in caught.value.message


def test_a_body_that_cannot_be_parsed_is_stored_as_text_without_its_secret() -> None:
    assert redacted_text(f'{{"secret": "{SECRET}"'.encode(), (SECRET,)) == '{"secret": "[secret]"'
    assert redacted_text(f'{{"secret": "{SECRET}"'.encode("utf-16"), (SECRET,)) == '{"secret": "[secret]"'
    assert redacted_text(SECRET.encode("utf-16-be"), (SECRET,)) == "[secret]"
    assert redacted_text(b"a\x00\xff\xfeb", (SECRET,)) == "a��b"


def test_what_is_stored_survives_json_and_makes_the_same_signal() -> None:
    body = body_of(take_profit=[{"at": 1e2, "share": 50.0}], price=1800.8000000000002, type="limit", reduce_only=False)
    reading = read(body)
    again = json.loads(json.dumps(reading.fields))
    assert again == reading.fields
    first, second = (
        signal_from_stored(stored, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
        for stored in (reading.fields, again)
    )
    assert first == second
    assert str(first.price) == "1800.8000000000002"


def test_the_digest_is_of_the_bytes_as_they_came() -> None:
    assert digest(b"a ") == hashlib.sha256(b"a ").hexdigest()
    assert read(b'{"a": 1}').body_digest == digest(b'{"a": 1}') != digest(b'{"a":1}')


@pytest.mark.parametrize("time", ["2025-01-31T12:00:00Z", 1738324800, "1738324800000", "2025-01-31T13:00:00+01:00"])
def test_id_and_time_are_the_identity_however_the_time_is_spelled(time: Any) -> None:
    assert identity_of(body_of(id="a:b", time=time)) == Identity(kind=IdentityKind.ID_TIME, key="1738324800000:a:b")


def test_an_id_without_time_is_the_identity() -> None:
    assert identity_of(body_of(id=5)) == Identity(kind=IdentityKind.ID, key="5")
    assert identity_of(body_of(id=5, time="{{timenow}}")) == Identity(kind=IdentityKind.ID, key="5")


@pytest.mark.parametrize("fields", [{}, {"time": 1738324800}, {"id": ""}, {"id": None}, {"order_id": "Long"}])
def test_without_an_id_the_body_is_the_identity(fields: dict[str, Any]) -> None:
    body = body_of(**fields)
    assert identity_of(body) == Identity(kind=IdentityKind.BODY, key=digest(body))


def test_what_was_read_is_shown_without_what_is_empty_and_what_no_alert_can_set() -> None:
    stored = {"action": "buy", "qty": 1, "has_synthetic_position": True, "reduce_only": False, "price": None}
    assert [(each.field, each.native, each.value) for each in fields_read(stored)] == [
        ("action", "action", "buy"),
        ("qty", "qty", "1"),
    ]
