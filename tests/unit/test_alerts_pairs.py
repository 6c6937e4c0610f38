"""`key=value` pairs."""

from __future__ import annotations

import pytest

from relay.alerts.parse import lowered, parse
from relay.errors import AlertMalformed


@pytest.mark.parametrize(
    "text",
    [
        "ticker=BTCUSDT.P\naction=buy\nqty=0.01",
        "ticker = BTCUSDT.P\r\n\r\nACTION= buy \r\nQty =0.01\r\n",
        "ticker=BTCUSDT.P,action=buy,qty=0.01",
        "ticker=BTCUSDT.P, action=buy,\nqty=0.01,",
        'ticker="BTCUSDT.P", action="buy", qty="0.01"',
        "ticker=BTCUSDT.P&action=buy&qty=0.01",
        "\ufeffticker=BTCUSDT.P\raction=buy\rqty=0.01",
    ],
)
def test_pairs_stand_on_lines_or_between_commas(text: str) -> None:
    assert lowered(parse(text.encode())) == {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01"}


@pytest.mark.parametrize("between", [", ", "; ", ";", ";\n", " | ", "|"])
def test_pairs_stand_between_semicolons_and_bars_too(between: str) -> None:
    text = f"{between}ticker=BTCUSDT.P{between}action=buy{between}qty=0.01{between}"
    assert parse(text.encode()) == {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01"}
    assert parse(b"comment=one; two | three\nqty=1") == {"comment": "one; two | three", "qty": "1"}


def test_pairs_that_something_else_separates_are_refused_for_that() -> None:
    with pytest.raises(AlertMalformed, match="`ticker` holds a pair of its own, .*action=.*commas between"):
        parse(b"ticker=BTCUSDT.P action=buy qty=0.01")
    assert parse(b"action=buy, comment=if action=sell then go")["action"] == "buy"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("comment=a=b=c", {"comment": "a=b=c"}),
        ("comment=hello, world\nqty=1", {"comment": "hello, world", "qty": "1"}),
        ("account=one,two,action=buy", {"account": "one,two", "action": "buy"}),
        ('comment="hello, qty=5", qty=1', {"comment": "hello, qty=5", "qty": "1"}),
        ('comment="a" and "b"', {"comment": '"a" and "b"'}),
        ("action=\nqty=", {"action": "", "qty": ""}),
        ("comment=a&b=c,qty=1", {"comment": "a&b=c", "qty": "1"}),
        ("stop_loss=1.5%&comment=a%20b+c%26d", {"stop_loss": "1.5%", "comment": "a b c&d"}),
        ('take_profit=[{"at": "1%", "share": 50}, {"at": "2%", "share": 50}]', None),
    ],
)
def test_values_may_hold_commas_and_equals_signs(text: str, fields: dict[str, object] | None) -> None:
    assert parse(text.encode()) == (fields or {"take_profit": text.partition("=")[2]})


def test_a_comma_begins_a_pair_only_where_a_key_follows() -> None:
    assert parse(b"comment=one, two=2") == {"comment": "one", "two": "2"}
    assert parse(b"comment=one, 2=two") == {"comment": "one, 2=two"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("action=buy\nhello\n", "line 2 is no key=value pair"),
        ("action=buy\n\n\n=5", "line 4 is no key=value pair"),
        ("=5", "line 1 is no key=value pair"),
        ("comment=one\ntwo", "if it belongs to `comment`, write that value in one line"),
        ("5=five", "line 1 is no key=value pair"),
    ],
)
def test_a_line_that_is_no_pair_is_named(text: str, said: str) -> None:
    with pytest.raises(AlertMalformed) as caught:
        parse(text.encode())
    assert said in caught.value.message


@pytest.mark.parametrize("text", ["a=1&b=%00", "comment=x&a=%00"])
def test_a_nul_hidden_in_form_data_is_refused(text: str) -> None:
    with pytest.raises(AlertMalformed, match="NUL"):
        parse(text.encode())
