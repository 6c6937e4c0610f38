"""Bytes to fields, and what is said where they break."""

from __future__ import annotations

import json
from decimal import Decimal
from unittest.mock import patch

import pytest

from relay.alerts import parse as jsontext
from relay.alerts.parse import parse
from relay.errors import AlertMalformed


def refusal(body: bytes | str) -> AlertMalformed:
    with pytest.raises(AlertMalformed) as caught:
        parse(body.encode() if isinstance(body, str) else body)
    assert caught.value.code == "ALERT_MALFORMED"
    assert caught.value.http_status == 400
    return caught.value


def test_json_is_read_with_numbers_as_decimals_and_names_as_they_are_spelled() -> None:
    body = b' {"Ticker": "BTCUSDT.P", "QTY": 0.10, "price": 1800.8000000000002, "n": -1e3, "t": true, "z": null}\n'
    fields = parse(body)
    assert fields == {
        "Ticker": "BTCUSDT.P",
        "QTY": Decimal("0.10"),
        "price": Decimal("1800.8000000000002"),
        "n": Decimal("-1000"),
        "t": True,
        "z": None,
    }
    assert str(fields["QTY"]) == "0.10"
    assert isinstance(parse(b'{"qty": 5}')["qty"], Decimal)


def test_a_byte_order_mark_is_tolerated() -> None:
    assert parse(b'\xef\xbb\xbf{"a": "x"}') == {"a": "x"}


@pytest.mark.parametrize("body", [b"", b"  \r\n\t", b"\xef\xbb\xbf"])
def test_an_empty_body_is_named(body: bytes) -> None:
    assert "body is empty" in refusal(body).message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(encoding: str) -> None:
    assert refusal('{"action": "buy"}'.encode(encoding)).message == "the body is UTF-16; send it as UTF-8"


def test_a_nul_is_named_with_its_place() -> None:
    assert "NUL at byte 13" in refusal(b'{"action": "\0buy"}').message


def test_bytes_that_are_no_utf_8_are_named_with_their_place() -> None:
    assert "not UTF-8: byte 13" in refusal(b'{"action": "\xe9"}').message


@pytest.mark.parametrize("escaped", ["\\u0000", "\\ud800", "x\\udfffx"])
def test_an_escaped_letter_that_cannot_be_stored_is_named(escaped: str) -> None:
    error = refusal(f'{{"action": "buy", "comment": "{escaped}"}}')
    assert list(error.fields) == ["comment"]
    assert "plain text" in error.message
    assert "name" in refusal(f'{{"{escaped}": 1}}').message
    assert list(refusal(f'{{"a": [{{"b": "{escaped}"}}]}}').fields) == ["a"]


def test_an_escaped_letter_outside_the_basic_plane_is_whole() -> None:
    assert parse(b'{"comment": "\\ud83d\\udd11"}') == {"comment": "🔑"}


@pytest.mark.parametrize("body", ['[{"action": "buy"}]', "[]", " [1]"])
def test_a_json_array_is_refused_by_name(body: str) -> None:
    error = refusal(body)
    assert "JSON array" in error.message
    assert "one object" in error.message


@pytest.mark.parametrize("body", ['"buy"', '"a=b"'])
def test_json_text_is_refused_by_name(body: str) -> None:
    assert "piece of JSON text" in refusal(body).message


@pytest.mark.parametrize("body", ["5", "true", "null", "hello there", "ticker: BTCUSDT"])
def test_what_is_neither_json_nor_pairs_is_explained_both_ways(body: str) -> None:
    assert "neither JSON nor key=value" in refusal(body).message


def test_a_message_that_is_nothing_but_a_placeholder_is_reported_so() -> None:
    message = refusal("{{strategy.order.alert_mesage}}").message
    assert "the nearest is `{{strategy.order.alert_message}}`" in message


@pytest.mark.parametrize(
    "body", ['{"qty": 1, "QTY": 2}', '{"qty": 1, "qty": 1}', '{"qty": 1, " qty ": 1}', "qty=1\nQty=1"]
)
def test_a_repeated_key_is_refused_by_name(body: str) -> None:
    error = refusal(body)
    assert list(error.fields) == ["qty"]
    assert "stands twice" in error.message


@pytest.mark.parametrize("body", ['{"a": {"b": 1, "B": 2}}', '{"a": [{"b": 1, "b": 2}]}'])
def test_a_repeated_key_further_in_is_refused_too(body: str) -> None:
    assert list(refusal(body).fields) == ["b"]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_are_refused_by_name(word: str) -> None:
    for body in (f'{{"qty": {word}}}', f'{{"qty": [1, [{word}]]}}'):
        error = refusal(body)
        assert list(error.fields) == ["qty"]
        assert f"`{word}`" in error.message
        assert "no number" in error.message


@pytest.mark.parametrize("digits", [41, 90, 91, 5000, 60000])
def test_an_endless_number_is_refused_by_name(digits: int) -> None:
    error = refusal(f'{{"qty": {"9" * digits}}}')
    assert list(error.fields) == ["qty"]
    assert "40 digits" in error.message
    assert "99999" not in error.message


@pytest.mark.parametrize("number", ["9" * 40, "0." + "1" * 39, "-0." + "0" * 30 + "1", "1e30", "1E-30", "5e+5"])
def test_a_number_within_the_bounds_is_read_exactly(number: str) -> None:
    assert parse(f'{{"qty": {number}}}'.encode())["qty"] == Decimal(number)


@pytest.mark.parametrize(
    "number", ["1e31", "1e-31", "0e31", "1e999999999", "1e99999999999999999999999", "9" * 20 + "e25"]
)
def test_an_absurd_exponent_is_refused_by_name(number: str) -> None:
    assert list(refusal(f'{{"qty": {number}}}').fields) == ["qty"]


@pytest.mark.parametrize("body", ["[" * 60000, '{"a":' * 12000, '{"a":' + "[" * 17 + "]" * 17 + "}"])
def test_endless_nesting_is_refused(body: str) -> None:
    assert "nested more than 16 deep" in refusal(body).message


def test_brackets_inside_text_are_no_nesting() -> None:
    comment = '[[[{{{"\\' * 50
    body = json.dumps({"comment": comment}).encode()
    assert parse(body) == {"comment": comment}


def test_too_many_fields_are_refused() -> None:
    members = ",".join(f'"x_{number}": 1' for number in range(101))
    assert "101 fields; at most 100" in refusal("{" + members + "}").message
    for between in ("\n", ",", "&"):
        pairs = between.join(f"x_{number}=1" for number in range(101))
        assert "more than 100 fields; at most 100" in refusal(pairs).message


@pytest.mark.parametrize("value", ["[" + "1," * 1001 + "1]", "{" + ",".join(f'"k{n}": 1' for n in range(1002)) + "}"])
def test_more_values_than_any_alert_has_are_refused_before_they_are_read(value: str) -> None:
    with patch.object(jsontext, "read_number", side_effect=AssertionError("it was read")):
        assert "more than 1,000 values" in refusal(f'{{"x_a": {value}}}').message


def test_commas_inside_text_are_no_values() -> None:
    fields = {"comment": '","' * 2000, "x_a": "," * 9000}
    assert parse(json.dumps(fields).encode()) == fields


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ('{"comment": "he said "hi" there", "qty": 1}', "comment", "unescaped quote inside the text of `comment`"),
        ('{"comment": "it"s"}', "comment", "unescaped quote"),
        ('{"comment": "say "," more"}', "comment", "not escaped"),
        ('{"action": "buy", "qty": 1,}', "qty", "trailing comma behind `qty`"),
        ('{"action": "buy", "take_profit": ["1%",]}', "take_profit", "trailing comma"),
        ('{"action": "buy",, "qty": 1}', "action", "comma too many"),
        ('{"action": “buy”}', "action", "curly quote (“)"),
        ("{“action”: 1}", None, "curly quote (“)"),
        ("“action”: 1", None, "curly quote (“)"),
        ('{"comment": "one\ntwo"}', "comment", "line break or tab inside the text of `comment`"),
        ('{"comment": "C:\\x"}', "comment", "backslash"),
        ('{"action": "buy', "action", "no closing quote"),
        ('{"action": "buy"', None, "closing bracket } is missing"),
        ('{"action":', None, "ends too early"),
        ('{"action": "buy" "qty": 1}', "action", "a comma is missing behind `action`"),
        ('{"qty": 1\n"action": "buy"}', "qty", "a comma is missing behind `qty`"),
        ('{"action" "buy"}', None, "colon is missing"),
        ("{'action': 'buy'}", None, "straight double quotes"),
        ("{\"action\": 'buy'}", "action", "single quotes"),
        ("{action: 1}", None, "straight double quotes"),
        ('{"action": buy}', "action", "must stand in double quotes"),
        ('{"qty": n/a}', "qty", "a plot without a value"),
        ('{"qty": nan}', "qty", "a plot without a value"),
        ('{"qty": , "action": "buy"}', "qty", "the value of `qty` is empty"),
        ('{"qty": }', "qty", "the value of `qty` is empty"),
        ('{"price": {{close}}}', "price", "unreplaced `{{close}}`"),
        ('{"price": {{clsoe}}, "qty": 1}', "price", "nearest is `{{close}}`"),
        ('{"qty": 0,01}', "qty", "decimal comma"),
        ('{"qty": 01}', "qty", "not spelled as JSON spells numbers"),
        ('{"stop_loss": +40}', "stop_loss", "in quotes to begin with +"),
        ('{"qty": 1}{"qty": 2}', None, "one object and nothing else"),
        ('{"qty":\u00a01}', None, "invisible character (U+00A0)"),
    ],
)
def test_broken_json_is_explained(body: str, field: str | None, said: str) -> None:
    error = refusal(body)
    assert "broken JSON at line " in error.message
    assert said in error.message
    assert list(error.fields) == ([field] if field else [])


def test_broken_json_is_explained_with_line_and_column() -> None:
    assert "line 3, column 19" in refusal('{\n"action": "buy",\n"comment": "say: "no""\n}').message


def test_form_data_made_of_json_is_read() -> None:
    assert parse(b"%7B%22qty%22%3A+1.50%2C+%22comment%22%3A+%22a%2Bb%22%7D=") == {
        "qty": Decimal("1.50"),
        "comment": "a+b",
    }
    assert parse(b'{"qty": 1}=') == {"qty": Decimal(1)}
    assert "NUL" in refusal(b"%7B%22comment%22%3A%22%00%22%7D").message


def test_a_number_as_the_secret_is_never_repeated() -> None:
    error = refusal('{"secret": ' + "7" * 44 + "}")
    assert "must be quoted text" in error.message
    assert "777" not in error.message + repr(error.fields)
