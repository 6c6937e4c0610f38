"""Who may send an alert, and that the secret is found nowhere afterwards."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, quote_plus

import pytest

from relay.alerts.authenticate import (
    Credentials,
    authenticates,
    is_secret_name,
    is_signed,
    is_surely_without,
    masked_text,
    may_authenticate,
    secret_among_bytes,
    without_secrets,
)

SECRET = "correct-horse-battery-staple"
NEXT_SECRET = "another/long+secret of mine"
NOW = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)
BODY = b'{"action": "heartbeat"}'

# The reference example of the Standard Webhooks specification.
REFERENCE_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
REFERENCE_BODY = b'{"test": 2432232314}'
REFERENCE_TIME = datetime.fromtimestamp(1614265330, tz=UTC)
REFERENCE = Credentials(
    webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
    webhook_timestamp="1614265330",
    webhook_signature="v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
)


def signed(key: bytes, *, at: datetime = NOW, body: bytes = BODY, before: str = "") -> Credentials:
    timestamp = str(int(at.timestamp()))
    digest = hmac.new(key, f"m1.{timestamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"{before}v1,{base64.b64encode(digest).decode()}"
    return Credentials(webhook_id="m1", webhook_timestamp=timestamp, webhook_signature=signature)


def is_authenticated(credentials: Credentials, *, body_secret: str | None = None, body: bytes = BODY) -> bool:
    return authenticates((SECRET, NEXT_SECRET), credentials, body, body_secret, NOW)


@pytest.mark.parametrize("secret", [SECRET, NEXT_SECRET])
def test_each_place_of_a_right_secret_authenticates_the_sender(secret: str) -> None:
    assert is_authenticated(Credentials(header_secret=secret))
    assert is_authenticated(Credentials(path_secret=secret))
    assert is_authenticated(Credentials(), body_secret=secret)


def test_no_secret_and_an_empty_one_prove_nothing() -> None:
    assert not is_authenticated(Credentials())
    assert not is_authenticated(Credentials(header_secret="", path_secret=""), body_secret="")
    assert not authenticates(("",), Credentials(header_secret=""), BODY, "", NOW)
    assert not authenticates((), Credentials(header_secret=SECRET), BODY, SECRET, NOW)


@pytest.mark.parametrize("wrong", [SECRET[:-1], SECRET + "x", SECRET.upper(), " " + SECRET, "\ud800", "é" * 28])
def test_a_wrong_secret_authenticates_nothing(wrong: str) -> None:
    assert not is_authenticated(Credentials(header_secret=wrong))
    assert not is_authenticated(Credentials(path_secret=wrong))
    assert not is_authenticated(Credentials(), body_secret=wrong)


def test_one_right_place_is_enough_beside_wrong_ones() -> None:
    assert is_authenticated(Credentials(header_secret="wrong", path_secret=SECRET), body_secret="wrong")


def test_a_secret_beyond_ascii_is_found_in_a_header_that_arrives_as_latin_1() -> None:
    secret = "geheimes-Wörtchen-äöü"
    header = secret.encode().decode("latin-1")
    assert authenticates((secret,), Credentials(header_secret=header), BODY, None, NOW)


def test_the_reference_signature_of_standard_webhooks_authenticates_the_sender() -> None:
    assert authenticates((REFERENCE_SECRET,), REFERENCE, REFERENCE_BODY, None, REFERENCE_TIME)
    assert not authenticates((REFERENCE_SECRET,), REFERENCE, REFERENCE_BODY + b" ", None, REFERENCE_TIME)


def test_a_secret_without_prefix_signs_with_its_own_bytes() -> None:
    assert is_authenticated(signed(SECRET.encode()))
    assert is_authenticated(signed(NEXT_SECRET.encode()))
    assert not is_authenticated(signed(b"some other secret"))


def test_one_right_signature_among_several_is_enough() -> None:
    assert is_authenticated(signed(SECRET.encode(), before="v1a,AAAA v1,d3Jvbmc= v1,é "))


@pytest.mark.parametrize("off_s", [-301, 301])
def test_a_signature_more_than_five_minutes_off_authenticates_nothing(off_s: int) -> None:
    assert not is_authenticated(signed(SECRET.encode(), at=NOW + timedelta(seconds=off_s)))


@pytest.mark.parametrize("off_s", [-300, 300])
def test_a_signature_within_five_minutes_authenticates_the_sender(off_s: int) -> None:
    assert is_authenticated(signed(SECRET.encode(), at=NOW + timedelta(seconds=off_s)))


@pytest.mark.parametrize("timestamp", ["", "soon", "1.5", "-1", "9" * 400, "١٧٣٨٣٢٤٨٠٠"])
def test_a_timestamp_that_is_none_authenticates_nothing(timestamp: str) -> None:
    right = signed(SECRET.encode())
    credentials = Credentials(webhook_id="m1", webhook_timestamp=timestamp, webhook_signature=right.webhook_signature)
    assert not is_authenticated(credentials)


def test_a_prefixed_secret_that_is_no_base64_signs_with_its_own_bytes_and_never_with_nothing() -> None:
    secret = "whsec_*not*base64*at*all"
    assert authenticates((secret,), signed(secret.encode()), BODY, None, NOW)
    assert not authenticates((secret,), signed(b""), BODY, None, NOW)
    assert not authenticates(("whsec_",), signed(b""), BODY, None, NOW)


def test_credentials_never_show_a_secret() -> None:
    shown = repr(Credentials(header_secret=SECRET, path_secret=SECRET, webhook_signature="v1," + SECRET))
    assert SECRET not in shown


@pytest.mark.parametrize(
    "body",
    [
        f'{{"secret": "{SECRET}", "comment": "he said "hi""}}'.encode(),
        SECRET.encode(),
        f'{{"secret": "{SECRET}", '.encode("utf-16"),
        f"x{SECRET}".encode("utf-16-be"),
        b"\xff\xfe\xfa" + SECRET.encode() + b"\x00",
    ],
)
def test_an_exact_secret_among_broken_bytes_authenticates_the_sender(body: bytes) -> None:
    assert secret_among_bytes((NEXT_SECRET, SECRET), body)


@pytest.mark.parametrize("body", [b"", SECRET[:-1].encode(), SECRET.upper().encode(), b"x" * 65536])
def test_a_body_without_the_exact_secret_authenticates_nothing(body: bytes) -> None:
    assert not secret_among_bytes((SECRET,), body)
    assert not secret_among_bytes((), body)
    assert not secret_among_bytes(("",), body)


def test_a_secret_is_taken_out_in_every_spelling() -> None:
    secret = 'a "b"\\c/d é 🔑 0123456789'
    spellings = [
        secret,
        secret.upper(),
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        json.dumps(secret).replace("/", "\\/"),
        json.dumps(json.dumps(secret)),
        "".join(f"\\u{ord(letter):04X}" if ord(letter) < 65536 else letter for letter in secret),
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret).lower(),
        "".join(f"%{byte:02x}" for byte in secret.encode()),
    ]
    for spelling in spellings:
        cleaned = without_secrets(f"before {spelling} after", (SECRET, secret))
        assert cleaned.replace('"', "").replace("\\", "") == "before [secret] after", spelling


def test_the_key_inside_a_prefixed_secret_is_taken_out_too() -> None:
    cleaned = without_secrets(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", (REFERENCE_SECRET,)
    )
    assert cleaned == "[secret] [secret]"


def test_text_without_a_secret_stays_as_it_is() -> None:
    text = 'Größe: 5 % + \\"x\\" {{close}}'
    assert without_secrets(text, (SECRET,)) == text
    assert without_secrets(text, ()) == text


def test_a_secret_at_either_end_of_broken_bytes_is_found_and_nothing_near_to_it() -> None:
    for before, after in (("", "rest"), ("x", ""), ("", "")):
        assert secret_among_bytes((SECRET,), f"{before}{SECRET}{after}".encode())
    assert not secret_among_bytes((SECRET,), SECRET[1:].encode() + b"x")


def test_a_large_body_is_read_only_where_a_secret_stands_in_it_as_it_is() -> None:
    assert may_authenticate((SECRET,), b"x" * 8192)
    large = b"x" * 8193
    assert not may_authenticate((SECRET,), large) and not may_authenticate(("",), large)
    for spelled in (NEXT_SECRET, NEXT_SECRET.replace("/", "\\/"), "\0".join(NEXT_SECRET)):
        assert may_authenticate((SECRET, "", NEXT_SECRET), large + spelled.encode())


@pytest.mark.parametrize(
    ("secrets", "body", "is_sure"),
    [
        ((SECRET,), b"plain", True),
        ((), b"plain", True),
        ((SECRET,), f"see {SECRET}".encode(), False),
        ((SECRET, NEXT_SECRET), f"see {NEXT_SECRET}".encode(), False),
        (("", SECRET), b"plain", True),
        (("12345.5",), b"plain", False),
        ((SECRET, "-1"), b"plain", False),
        (("1e5",), b"plain", True),
        ((SECRET,), "Größe".encode(), False),
        *(((SECRET,), b"a" + mark + b"b", False) for mark in (b"\\", b"%", b"+", b"\0")),
    ],
)
def test_a_body_is_surely_without_a_secret_where_no_way_of_reading_it_finds_one(
    secrets: tuple[str, ...], body: bytes, is_sure: bool
) -> None:
    assert is_surely_without(secrets, body) is is_sure


def test_only_a_signature_counts_as_signed() -> None:
    right = signed(SECRET.encode())
    assert is_signed(("", NEXT_SECRET, SECRET), right, BODY, NOW)
    assert not is_signed((NEXT_SECRET,), right, BODY, NOW) and not is_signed((), right, BODY, NOW)
    assert not is_signed((SECRET,), Credentials(header_secret=SECRET), BODY, NOW)
    for lacking in ("webhook_id", "webhook_timestamp", "webhook_signature"):
        assert not is_signed((SECRET,), replace(right, **{lacking: None}), BODY, NOW)
    late = signed(SECRET.encode(), before="v1,x " * 15)
    assert is_signed((SECRET,), late, BODY, NOW)
    assert not is_signed((SECRET,), signed(SECRET.encode(), before="v1,x " * 16), BODY, NOW)


def test_a_prefixed_secret_signs_with_the_key_inside_whether_padded_or_not() -> None:
    for key in (b"a", b"ab", b"abc", b"\xff\xfe"):
        encoded = base64.b64encode(key).decode()
        for secret in (f"whsec_{encoded}", f"whsec_{encoded.rstrip('=')}"):
            assert authenticates((secret,), signed(key), BODY, None, NOW)
            assert not authenticates((secret,), signed(secret.encode()), BODY, None, NOW)
    assert not authenticates(("YWJj",), signed(b"abc"), BODY, None, NOW), "without the prefix it is no key"


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        *((each, True) for each in ("api_key", "apiKey", "API-Secret", "passphrase2", "signalToken", "pin", "Pass")),
        *(
            (each, True)
            for each in ("x_keys", "my key 7", "%61pi_key", "\\u0061pi_key", "pwd", "ｋｅｙ", "authorization")
        ),
        *((each, False) for each in ("keyboard", "monkey business", "spinning", "qty", "compass", "passed", "ticker")),
        ("x" * 100 + "_key", True),
        ("key_" + "x" * 100, False),
    ],
)
def test_a_secret_is_known_by_its_name(name: str, is_secret: bool) -> None:
    assert is_secret_name(name) is is_secret


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ('{"api_key": "a b", "qty": "1"}', '{"api_key": "[secret]", "qty": "1"}'),
        ("{'token': 'a\\'b', 'x': 1}", "{'token': '[secret]', 'x': 1}"),
        ('"{\\"token\\": \\"a b\\", \\"x\\": 1}"', '"{\\"token\\": \\"[secret]\\", \\"x\\": 1}"'),
        ('{"token": ""}', '{"token": ""}'),
        ('{"token": "a b', '{"token": "[secret]'),
        ('{"keys": [1, [2], 3], "x": 4}', '{"keys": [secret], "x": 4}'),
        ('{"credential": {"a": {"b": 1}}, "x": 4}', '{"credential": [secret], "x": 4}'),
        ('{"keys": [1, 2', '{"keys": [secret]'),
        ("token=a b, qty=1", "token=[secret], qty=1"),
        ("token: a b\nqty: 1", "token: [secret]\nqty: 1"),
        ("qty=1&pin=4711", "qty=1&pin=[secret]"),
        ("qty=1, note=x", "qty=1, note=x"),
        ("my key is abc12345 here", "my key is [secret] here"),
        ("my key is abcdefgh here", "my key is abcdefgh here"),
        ("my key is abc1234", "my key is abc1234"),
        ("a%26token%3Dxyz", "a&token=[secret]"),
        ("2% of it", "2% of it"),
    ],
)
def test_what_a_text_names_like_a_secret_is_masked_to_its_end_and_no_further(text: str, stored: str) -> None:
    assert masked_text(text) == stored
