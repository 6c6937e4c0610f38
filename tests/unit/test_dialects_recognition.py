"""In which format an alert is, what is kept of it, and that whatever comes in is a Signal or an AlertError."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.alerts.authenticate import Credentials, authenticates
from relay.alerts.fields import KNOWN
from relay.alerts.formats import ALERT_FORMATS, FORMATS, NATIVE, alert_format_of, recognise
from relay.alerts.formats.base import AlertFormat
from relay.alerts.signal import read, signal_from_stored
from relay.domain.signal import Action
from relay.errors import AlertError, AlertInvalid
from tests.unit.dialect_cases import RECEIVED_AT, Message, reading_of, refusal_of, signal_of
from tests.unit.dialect_messages import (
    CUSTOM,
    EXIT,
    FILLED,
    GNOME,
    OKX_A,
    OKX_B,
    ROBSWC,
    SHORT_FORM,
    STRATEGY,
    WUNDER,
    with_fields,
)

POSTED: Message = {"ticker": "BTCUSDT.P", "action": "buy", "quantity": 1, "signalPrice": 100000}
EXAMPLES: list[tuple[str, Message]] = [
    *(("3commas", message) for message in (STRATEGY, CUSTOM, EXIT)),
    *(("okx", message) for message in (OKX_A, OKX_B)),
    *(("strategy_bot", message) for message in (FILLED, SHORT_FORM)),
    *(("bot", message) for message in (GNOME, ROBSWC)),
    ("wundertrading", WUNDER),
    ("traderspost", POSTED),
]
SECRET = "Correct/horse-battery%20staple"


@pytest.mark.parametrize(("name", "message"), EXAMPLES, ids=lambda value: str(value)[:40])
def test_a_message_is_recognised_by_its_shape_in_any_case(name: str, message: Message) -> None:
    assert reading_of(message).fields["format"] == name
    shouted = {key.upper(): value for key, value in message.items()}
    assert reading_of(shouted).fields == reading_of(message).fields


@pytest.mark.parametrize(
    "message",
    [
        {"ticker": "BTCUSDT.P", "action": "buy", "qty": 1},
        {"ticker": "BTCUSDT.P", "action": "exit"},
        {"secret": "s", "symbol": "BTCUSDT.P", "action": "buy", "qty": 1, "x_bot": "a", "comment": ""},
        {"action": "heartbeat"},
        {},
    ],
)
def test_what_fits_the_native_schema_is_native(message: Message) -> None:
    assert "format" not in reading_of(message).fields


@pytest.mark.parametrize(("action", "said"), [("buy", True), ("SELL", True), ("exit", False)])
def test_a_template_that_two_services_share_says_how_it_is_read(action: str, said: bool) -> None:
    """It is TradersPost's for indicators; what differs is a `buy` with a long open."""
    message: Message = {"ticker": "ETHUSDT.P", "action": action, "price": "2500", "time": "2025-01-31T12:00:00Z"}
    assert "format" not in reading_of(message).fields
    assert ("`?format=traderspost`" in " ".join(signal_of(message).notes)) is said
    assert "`?format=traderspost`" not in " ".join(signal_of({**message, "qty": "1"}).notes)


@pytest.mark.parametrize("alert_format", ALERT_FORMATS, ids=lambda alert_format: alert_format.name)
def test_native_names_alone_have_the_shape_of_no_other_format(alert_format: AlertFormat) -> None:
    """So a native alert needs no second look to be told from a foreign one."""
    shared = {name for path in alert_format.fields if (name := path.lower().partition(".")[0]) in KNOWN}
    for names in (KNOWN, shared, {*shared, "ticker", "symbol", "action"}, {*shared, "x_strategy", "action"}):
        assert recognise(dict.fromkeys(names, "buy"), None) is None


@pytest.mark.parametrize(
    "message",
    [
        {"ticker": "BTCUSDT.P", "action": "bye", "qty": 1},
        {"strategy": "mine", "action": "buy"},
        {"code": "hello"},
    ],
    ids=str,
)
def test_what_is_like_no_format_is_refused_as_a_native_alert(message: Message) -> None:
    assert "format" not in reading_of(message).fields
    refusal_of(message)


def test_a_name_is_taken_at_its_word() -> None:
    plain: Message = {"ticker": "BTCUSDT.P", "action": "buy"}
    assert signal_of(plain).action is Action.BUY
    assert signal_of(plain, named="traderspost").action is Action.LONG
    assert signal_of(plain, named=" TradersPost ").action is Action.LONG
    assert signal_of(plain, named="").action is Action.BUY
    assert signal_of({**plain, "quantity": 1}, named=NATIVE).action is Action.BUY
    assert "tv_instrument" in refusal_of(plain, named="3commas").fields


def test_an_alert_may_name_its_format_itself() -> None:
    message: Message = {"ticker": "BTCUSDT.P", "action": "buy", "format": "traderspost"}
    assert signal_of(message).action is Action.LONG
    assert signal_of(message, named=NATIVE).action is Action.BUY
    assert signal_of({**message, "format": "native"}).action is Action.BUY
    assert signal_of({**message, "format": " "}).action is Action.BUY


@pytest.mark.parametrize(
    ("message", "named"),
    [({}, "nobody"), ({"format": "nobody"}, None), ({"format": ["okx"]}, None), ({"format": 5}, None)],
)
def test_a_name_of_no_format_is_refused_with_those_there_are(message: Message, named: str | None) -> None:
    error = refusal_of({"ticker": "BTCUSDT.P", "action": "buy", "qty": 1, **message}, named)
    assert all(f"`{name}`" in error.fields["format"][0] for name in FORMATS)


def test_a_name_of_no_format_can_be_stored() -> None:
    stored = reading_of(POSTED, named="\0" + "é" * 100).fields
    assert "\0" not in str(stored["format"]) and len(str(stored["format"])) < 70


@pytest.mark.parametrize(("name", "message"), EXAMPLES, ids=lambda value: str(value)[:40])
def test_what_is_stored_is_the_alert_as_it_came_with_its_format(name: str, message: Message) -> None:
    stored = reading_of(message).fields
    secrets = {"secret", *(alert_format_of(name) or ALERT_FORMATS[0]).secrets}
    lowered = {key.lower() for key in message}
    assert stored.keys() == (lowered - secrets) | {"format"}


@pytest.mark.parametrize(("name", "message"), EXAMPLES, ids=lambda value: str(value)[:40])
def test_what_is_stored_is_read_the_same_after_a_restart(name: str, message: Message) -> None:
    message = with_fields(message, cancel_orders=None)
    stored = json.loads(json.dumps(reading_of(message).fields))
    again = signal_from_stored(stored, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
    assert again == signal_of(message) and repr(again) == repr(signal_of(message))


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (FILLED, "passphrase"),
        (GNOME, "key"),
        (OKX_B, "signalToken"),
        (CUSTOM, "secret"),
        (POSTED, "password"),
        ({**ROBSWC, "key": None}, "PIN"),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("named", [None, "nobody"])
def test_the_secret_of_a_format_authenticates_the_sender_and_is_stored_nowhere(
    message: Message, field: str, named: str | None
) -> None:
    body = json.dumps({**message, field: SECRET, "x_note": f"see {SECRET}"}).encode()
    reading = read(body, secrets=(SECRET,), named=named)
    assert authenticates((SECRET,), Credentials(), b"", reading.secret, RECEIVED_AT)
    assert SECRET not in json.dumps(reading.fields) and SECRET not in repr(reading)


def test_a_code_authenticates_its_sender_with_its_last_part() -> None:
    code = "ENTER-LONG_Bybit_BTCUSDT_Eth short 15_15M_8e34479cfe49027eda195457"
    reading = read(json.dumps({"code": code}).encode(), secrets=("8e34479cfe49027eda195457",))
    assert reading.secret == "8e34479cfe49027eda195457"
    assert reading.fields["code"] == "ENTER-LONG_Bybit_BTCUSDT_Eth short 15_15M"


def test_an_own_secret_is_used_before_the_one_of_the_format() -> None:
    reading = read(json.dumps({**OKX_B, "secret": SECRET}).encode(), secrets=(SECRET,))
    assert reading.secret == SECRET
    assert reading.fields.keys().isdisjoint({"secret", "signaltoken"})


def test_the_native_rules_speak_in_the_senders_names() -> None:
    error = refusal_of(with_fields(OKX_B, amount="much", timestamp="soon", instrument=" "))
    assert set(error.fields) == {"amount", "timestamp", "instrument"}
    assert "`timestamp` must be" in error.message and "`amount` must be" in error.message
    note = signal_of(with_fields(OKX_B, timestamp=None)).notes[-1]
    assert 'add "timestamp": "{{timenow}}"' in note


def test_one_field_that_becomes_two_is_refused_once() -> None:
    error = refusal_of(with_fields(OKX_B, investmentType="base", amount="much"))
    assert error.fields == {"amount": ["must be a number such as 0.01, not `much`"]}
    assert error.message.count("`amount`") == 1


def test_every_format_has_a_name_of_its_own() -> None:
    assert len(set(FORMATS)) == len(FORMATS) and len({each.name for each in ALERT_FORMATS}) == len(ALERT_FORMATS)
    assert alert_format_of(NATIVE) is None and recognise({}, NATIVE) is None
    assert not {alert_format.name for alert_format in ALERT_FORMATS} & KNOWN


_SCALARS = st.one_of(
    st.sampled_from([None, True, False, "", " ", "{{close}}", "NaN", "1%", "-1", "+40", "0", "1e30", SECRET]),
    st.sampled_from(["buy", "sell", "exit", "enter_long", "EXIT_SHORT", "flat", "long", "limit", "base", "ENTER-LONG"]),
    st.sampled_from(["trailing_stop", "percentage_position", "position_percent", "percents", "stop", "Both", "True"]),
    st.integers(-5, 10**45),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.text(max_size=8),
)
_KEYS = sorted(
    {
        part
        for alert_format in ALERT_FORMATS
        for path in alert_format.fields
        for part in path.replace("[]", "").split(".")
    }
)
_INNER = st.dictionaries(st.sampled_from([*_KEYS, "x"]), _SCALARS | st.lists(_SCALARS, max_size=2), max_size=4)
_VALUES = st.one_of(
    _SCALARS, _SCALARS, _INNER, st.lists(st.one_of(_INNER, _SCALARS), max_size=3), st.dictionaries(st.text(), _INNER)
)
_SETTINGS = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)


def taken(message: dict[str, Any], named: str | None) -> None:
    """The message makes a Signal, or an AlertError that can be shown and keeps the secret."""
    body = json.dumps(message).encode(errors="surrogatepass")
    try:
        reading = read(body, secrets=(SECRET,), named=named)
        assert SECRET not in json.dumps(reading.fields)
        signal_from_stored(reading.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
    except AlertError as error:
        assert SECRET not in error.message + json.dumps(error.fields)
        error.message.encode()


@_SETTINGS
@pytest.mark.parametrize("name", FORMATS)
@given(message=st.dictionaries(st.sampled_from([*_KEYS, "secret", "format", "x_a", SECRET]), _VALUES, max_size=8))
def test_any_json_object_is_taken_or_refused(name: str, message: dict[str, Any]) -> None:
    taken(message, name)
    taken(message, None)


@_SETTINGS
@pytest.mark.parametrize("example", [message for _, message in EXAMPLES], ids=lambda value: str(value)[:30])
@given(data=st.data())
def test_a_mutated_message_is_taken_or_refused(example: Message, data: st.DataObject) -> None:
    message = json.loads(json.dumps(example))
    for _ in range(data.draw(st.integers(1, 3))):
        place = message
        inner = [value for value in message.values() if isinstance(value, dict)]
        if inner:
            place = data.draw(st.sampled_from([message, *inner]))
        place[data.draw(st.sampled_from([*place, *_KEYS]))] = data.draw(_VALUES)
    taken(message, data.draw(st.sampled_from([None, *FORMATS])))


def test_the_examples_are_mostly_good() -> None:
    """Otherwise the properties above would hold of nothing."""
    refused = []
    for _, message in EXAMPLES:
        try:
            signal_of(message)
        except AlertInvalid:
            refused.append(message)
    assert refused == []
