"""What is kept of an alert, and by what it is known again."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from relay.alerts.authenticate import Credentials, authenticates
from relay.alerts.signal import (
    digest,
    fields_read,
    identity_key,
    native_fields,
    read,
    redacted_text,
    signal_from_stored,
    text_digest,
)
from relay.domain.signal import Identity, IdentityKind, Signal
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


def _stored(**fields: Any) -> dict[str, object]:
    return {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01", "time": "2025-01-31T12:00:00Z", **fields}


def _signal(stored: dict[str, object]) -> Signal:
    return signal_from_stored(stored, id="s" * 26, strategy="default", received_at=RECEIVED_AT)


@pytest.mark.parametrize(("ahead", "is_told"), [("12:00:05", False), ("12:00:06", True), ("11:00:00", False)])
def test_a_time_ahead_of_the_clock_is_told(ahead: str, is_told: bool) -> None:
    notes = _signal(_stored(time=f"2025-01-31T{ahead}Z")).notes
    assert any("`time` is 6 s in the future" in note for note in notes) is is_told


@pytest.mark.parametrize(
    ("fields", "is_told"),
    [({}, False), ({"time": None}, True), ({"time": None, "id": "a"}, False), ({"id": "a"}, False)],
)
def test_an_alert_that_cannot_be_told_from_another_says_so(fields: dict[str, Any], is_told: bool) -> None:
    assert any("neither `id` nor `time`" in note for note in _signal(_stored(**fields)).notes) is is_told


@pytest.mark.parametrize(
    ("size", "position", "meant"),
    [
        ("0.29999999999999993", "long", "0.3"),
        ("0.12345678901234", "long", "0.12345678901234"),
        ("0.123456789012345", "long", "0.123456789012"),
        ("0.29999999999999993", None, "0.29999999999999993"),
    ],
)
def test_the_noise_of_a_strategy_s_sizes_is_rounded_off(size: str, position: str | None, meant: str) -> None:
    names = ("qty", "market_position_size", "prev_market_position_size")
    for name in names if position else names[:1]:
        found = _signal(
            _stored(market_position=position, prev_market_position="flat" if position else None, **{name: size})
        )
        assert getattr(found, name) == Decimal(meant)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"format": "native"}, None),
        ({"format": "nothing of the kind"}, "`format` cannot be `nothing of the kind`; it must be one of"),
        ({"format": ["x"]}, "`format` cannot be"),
    ],
)
def test_a_format_that_there_is_not_refuses_what_can_open_and_no_exit(fields: dict[str, Any], told: str | None) -> None:
    if told is None:
        assert not any("format" in note for note in _signal(_stored(**fields)).notes)
        return
    with pytest.raises(AlertInvalid, match=told) as caught:
        _signal(_stored(**fields))
    assert list(caught.value.fields) == ["format"]
    exit_of_it = _signal(_stored(**fields, action="close"))
    assert exit_of_it.only_exits and any("`format` ignored: it cannot be" in note for note in exit_of_it.notes)


def test_names_of_the_sender_s_own_keep_their_spelling_and_native_ones_do_not() -> None:
    body = (
        b'{"Ticker": "BTCUSDT.P", "ACTION": "buy", "Qty": 1, "myField": {"Inner": 1.50}, "X_Own": "y", "plain": [true]}'
    )
    assert read(body).fields == {
        **{"ticker": "BTCUSDT.P", "action": "buy", "qty": "1", "myField": {"Inner": "1.50"}, "x_own": "y"},
        **{"plain": [True]},
    }


@pytest.mark.parametrize(
    ("own", "named", "usual", "expected"),
    [
        (None, None, None, None),
        (None, " Native ", None, "native"),
        (None, None, "native", "native"),
        ("native", None, None, "native"),
        ("  ", None, None, None),
        (None, "  ", "native", "native"),
        (None, "odd one", "native", "odd one"),
        ("odd one", "native", None, "native"),
        (7, None, None, "7"),
    ],
)
def test_the_format_is_the_address_s_else_the_alert_s_own_else_the_strategy_s(
    own: Any, named: str | None, usual: str | None, expected: str | None
) -> None:
    fields = {} if own is None else {"format": own}
    assert read(body_of(**fields), named=named, usual=usual).fields.get("format") == expected


def test_a_broken_body_is_read_leniently_only_where_it_can_only_exit() -> None:
    broken = '{{"ticker": "BTCUSDT.P", "action": "{}", "qty": 1, "price": NaN}}'
    assert read(broken.format("close").encode()).fields["action"] == "close"
    with pytest.raises(AlertMalformed):
        read(broken.format("buy").encode())


def test_a_text_digest_is_the_same_whatever_blanks_and_line_ends_a_mail_has_changed() -> None:
    one = text_digest({"a": "x y", "b": "line\nend"})
    assert one == text_digest({"b": "line\r\nend", "a": "x\u00a0y"}) == text_digest({"a": "xy", "b": "line end"})
    assert one != text_digest({"a": "x z", "b": "line\nend"})


def test_what_was_read_is_cut_where_it_is_long_and_told_in_both_names() -> None:
    long = "c" * 500
    shown = {each.field: each for each in fields_read(_stored(comment=long, reduce_only=False, interval=None))}
    assert set(shown) == {"ticker", "action", "qty", "time", "comment"}
    assert shown["comment"].value.endswith("…") and long.startswith(shown["comment"].value[:-1])
    other = fields_read({"symbol": "BTCUSDT.P", "side": "buy", "quantity": "1"})
    assert {each.field: each.native for each in other} == {"symbol": "symbol", "side": "action", "quantity": "qty"}
    assert native_fields({"symbol": "BTCUSDT.P", "side": "buy", "quantity": "1", "price": None}) == {
        "symbol": "BTCUSDT.P",
        "action": "buy",
        "qty": "1",
    }
    assert native_fields(_stored(format="native")) == _stored()
