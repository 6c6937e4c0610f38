"""Whatever bytes come in: a Signal or an AlertError, exact numbers, and no secret in what is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from relay.alerts.authenticate import is_surely_without, secret_among_bytes
from relay.alerts.fields import KNOWN
from relay.alerts.parse import number_text, read_number
from relay.alerts.signal import ParsedAlert, identity_key, read, redacted_text, signal_from_stored
from relay.domain.signal import NATIVE_ACTIONS, NATIVE_UNITS, Signal
from relay.errors import AlertError, AlertInvalid, AlertMalformed

SECRET = 'Correct/"horse" battery\\staple'
RECEIVED_AT = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)
_SETTINGS = settings(
    max_examples=83, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)

_NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,44})(\.[0-9]{1,44})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.integers().map(str),
)
_TEXT = st.one_of(
    st.sampled_from(["", " ", "{{close}}", "{{clsoe}}", "NaN", "1%", "-1%", "+40", "buy", "flat", "limit", SECRET]),
    st.text(max_size=8),
    st.text(max_size=3).map(lambda text: text + SECRET + text),
    _NUMBERS,
)
_SCALARS = st.one_of(
    _TEXT, st.sampled_from([None, True, False, 0, -1, 1e300, 5e-324, float("nan"), float("-inf"), 10**50])
)
_OBJECTS = st.dictionaries(st.sampled_from(["at", "AT", "share", "then", SECRET, ""]), _SCALARS, max_size=3)
_VALUES = st.one_of(_SCALARS, _SCALARS, st.lists(_SCALARS, max_size=3), _OBJECTS, st.lists(_OBJECTS, max_size=2))
_NAMES = st.one_of(
    st.sampled_from(sorted(KNOWN | {"secret", "QTY", "x_a", "tikcer"})), st.sampled_from([SECRET, "", "Ticker", "é"])
)
_PRICE = st.decimals("0.0001", "99999", places=4).map(str)
_GOOD = st.fixed_dictionaries(
    {"ticker": st.just("BTCUSDT.P"), "action": st.sampled_from(NATIVE_ACTIONS), "market_position": st.just("flat")},
    optional={
        "secret": st.just(SECRET),
        "id": st.text(max_size=20),
        "qty": _PRICE,
        "qty_unit": st.sampled_from(NATIVE_UNITS),
        "take_profit": _PRICE | _PRICE.map(lambda price: f"{price}%"),
        "stop_loss": _PRICE | _PRICE.map(lambda price: f"-{price}"),
        "trailing_stop": _PRICE,
        "position_size": st.just("0"),
        "time": st.integers(1_300_000_000, 4_000_000_000),
        "price": _PRICE,
        "comment": _TEXT,
        "account": st.lists(st.text("abc", min_size=1), min_size=1, max_size=3),
        "leverage": st.integers(1, 100),
        "x_note": _SCALARS,
    },
)


def bytes_of(alert: dict[str, Any], *, is_ascii: bool = True) -> bytes:
    return json.dumps(alert, ensure_ascii=is_ascii).encode(errors="surrogatepass")


def taken(body: bytes) -> tuple[ParsedAlert, Signal] | None:
    """What becomes of `body`; None where it is refused, which must be by an AlertError that keeps the secret."""
    try:
        reading = read(body, secrets=(SECRET,))
        assert_no_secret(json.dumps(reading.fields), json.dumps(reading.fields, ensure_ascii=False), repr(reading))
        reading.body_digest.encode()
        signal = signal_from_stored(reading.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
    except AlertError as error:
        assert isinstance(error, AlertMalformed | AlertInvalid)
        assert_no_secret(error.message, str(error), json.dumps(error.fields), repr(error.fields))
        error.message.encode()
        assert_no_secret(redacted_text(body, (SECRET,)))
        secret_among_bytes((SECRET,), body)
        return None
    return reading, signal


def assert_no_secret(*texts: str) -> None:
    for text in texts:
        assert SECRET.lower() not in text.lower()
        assert json.dumps(SECRET)[1:-1].lower() not in text.lower()


@_SETTINGS
@given(st.binary(max_size=200))
@example(b"\x00")
@example(b"=")
@example(b"%7b")
@example(b"%7B%ff")
@example(b'{"a": ' + b"9" * 65000 + b"}")
def test_any_bytes_are_taken_or_refused(body: bytes) -> None:
    taken(body)


@_SETTINGS
@given(st.dictionaries(_NAMES, _VALUES, max_size=6), st.booleans())
def test_any_json_object_is_taken_or_refused(alert: dict[str, Any], is_ascii: bool) -> None:
    taken(bytes_of(alert, is_ascii=is_ascii))


@_SETTINGS
@given(st.lists(st.tuples(_NAMES, _TEXT), max_size=5), st.sampled_from(["\n", ",", ", ", "&", "\r\n", ",,"]))
def test_any_pairs_are_taken_or_refused(pairs: list[tuple[str, str]], between: str) -> None:
    text = between.join(f"{name}={value}" for name, value in pairs)
    taken(text.encode(errors="surrogatepass"))


@_SETTINGS
@given(_GOOD, st.data())
def test_a_mutated_alert_is_taken_or_refused(alert: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray(bytes_of(alert))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body)))
        length = data.draw(st.integers(0, 3))
        body[place : place + length] = data.draw(
            st.sampled_from([b"", b'"', b",", b"{{", b"}", b"\xff", b"\\", b"0", b"\n"])
        )
    taken(bytes(body))


PLAIN = "a-secret-of-plain-letters"
_SPELLINGS: tuple[Callable[[dict[str, Any], st.DataObject], str], ...] = (
    lambda alert, data: json.dumps(alert),
    lambda alert, data: json.dumps(alert, ensure_ascii=False),
    lambda alert, data: json.dumps(alert).replace(PLAIN, _escaped(data)),
    lambda alert, data: quote(json.dumps(alert)),
    lambda alert, data: urlencode(alert),
    lambda alert, data: "&".join(f"{name}={value}" for name, value in alert.items()).replace(PLAIN, quote_all(PLAIN)),
    lambda alert, data: "\n".join(f"{name}={value}" for name, value in alert.items()),
    lambda alert, data: json.dumps({"code": f"ENTER-LONG_A_B_C_D_{PLAIN}"}),
)


def quote_all(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _escaped(data: st.DataObject) -> str:
    """Some of the secret's letters as JSON may escape them."""
    return "".join(f"\\u{ord(each):04x}" if data.draw(st.booleans()) else each for each in PLAIN)


@_SETTINGS
@given(_GOOD, st.sampled_from(_SPELLINGS), st.sampled_from(["secret", "passphrase", "password", "SECRET"]), st.data())
def test_a_body_whose_secret_can_be_read_is_never_taken_for_one_without(
    alert: dict[str, Any], spell: Callable[[dict[str, Any], st.DataObject], str], name: str, data: st.DataObject
) -> None:
    body = spell({**alert, "secret": "", name: PLAIN}, data).encode(errors="surrogatepass")
    try:
        found = read(body).secret == PLAIN
    except AlertMalformed:
        found = secret_among_bytes((PLAIN,), body)
    event(f"readable: {found}")
    assert not (found and is_surely_without((PLAIN,), body))


@_SETTINGS
@given(st.lists(st.sampled_from([PLAIN, PLAIN[:-1], PLAIN.upper(), "x", '"', "\\", "%61", "{", "é"]), max_size=4))
def test_only_plain_bytes_that_do_not_hold_the_secret_are_surely_without_it(pieces: list[str]) -> None:
    text = "".join(pieces)
    is_plain = text.isascii() and "\\" not in text and "%" not in text
    assert is_surely_without((PLAIN,), text.encode()) is (is_plain and PLAIN not in text)


@_SETTINGS
@given(_GOOD)
def test_what_is_stored_makes_the_same_signal_again(alert: dict[str, Any]) -> None:
    result = taken(bytes_of(alert))
    if result is None:
        return
    reading, signal = result
    stored = json.dumps(reading.fields).encode().decode()
    again = signal_from_stored(json.loads(stored), id="s" * 26, strategy="default", received_at=RECEIVED_AT)
    assert again == signal
    assert repr(again) == repr(signal)
    identity = identity_key(signal, body_digest=reading.body_digest)
    assert identity == identity_key(again, body_digest=reading.body_digest)


def test_alerts_that_are_meant_to_be_good_mostly_are() -> None:
    """Otherwise the property above would hold of nothing."""
    count = {True: 0, False: 0}

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(_GOOD)
    def count_one(alert: dict[str, Any]) -> None:
        count[taken(bytes_of(alert)) is not None] += 1

    count_one()
    assert count[True] > 30, count


@_SETTINGS
@given(_NUMBERS)
def test_a_number_is_exactly_what_decimal_reads_from_its_text(text: str) -> None:
    try:
        number = read_number(text)
    except ValueError:
        return
    assert number.as_tuple() == Decimal(text).as_tuple()
    assert read_number(number_text(number)) == number
    body = f'{{"ticker": "A", "action": "close", "position_size": {text}}}'.encode()
    try:
        reading = read(body)
    except AlertMalformed:
        with pytest.raises(json.JSONDecodeError):
            json.loads(body, parse_int=str, parse_float=str)  # such as a leading zero or plus
        return
    signal = signal_from_stored(reading.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
    assert signal.position_size == Decimal(text)


@_SETTINGS
@given(_NUMBERS)
def test_a_number_is_the_same_quoted_or_bare(text: str) -> None:
    results = []
    for spelled in (text, f'"{text}"'):
        try:
            reading = read(f'{{"ticker": "A", "action": "target", "position_size": {spelled}}}'.encode())
            results.append(
                signal_from_stored(reading.fields, id="s" * 26, strategy="d", received_at=RECEIVED_AT).position_size
            )
        except AlertError:
            results.append(None)
    assert results[0] == results[1] or results[0] is None and not text[-1:].isdigit()


@_SETTINGS
@given(_GOOD)
def test_key_value_pairs_say_the_same_as_json(alert: dict[str, Any]) -> None:
    plain = {
        name: str(value)
        for name, value in alert.items()
        if name in ("ticker", "action", "qty", "stop_loss", "leverage", "time", "market_position", "position_size")
    }
    pairs = "\n".join(f"{name} = {value}" for name, value in plain.items()).encode()
    from_pairs, from_json = taken(pairs), taken(bytes_of(plain))
    assert (from_pairs is None) == (from_json is None)
    if from_pairs and from_json:
        assert from_pairs[1] == from_json[1]
