"""Alerts with anything done to them: one kind of error comes out, or a signal whose numbers are exactly those sent.

RELAY_FUZZ=200000 tries so many.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.alerts.parse import number_text
from relay.alerts.signal import read, signal_from_stored
from relay.errors import AlertError
from tests.unit import dialect_messages

COUNT: Final = int(os.environ.get("RELAY_FUZZ", "4000"))
AT_ONCE: Final = 25
SECRET: Final = "a-secret-of-the-tests-0123"
RECEIVED_AT: Final = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)
NUMBERS: Final = {"qty": "qty", "price": "price", "trigger_price": "trigger_price", "leverage": "leverage"}

_NATIVE: Final[list[dict[str, Any]]] = [
    {
        "secret": SECRET,
        "ticker": "BTCUSDT.P",
        "action": "buy",
        "qty": "0.01",
        "id": "a",
        "time": "2025-01-31T12:00:00Z",
    },
    {"secret": SECRET, "ticker": "BTCUSDT.P", "action": "buy", "qty": 1800.8000000000002, "type": "limit", "price": 9},
    {"ticker": "ETHUSDT.P", "action": "sell", "qty": 1e-7, "type": "stop_limit", "price": "2", "trigger_price": "3"},
    {
        "ticker": "ETHUSDT.P",
        "action": "target",
        "market_position": "short",
        "market_position_size": "0.7",
        "leverage": 5,
    },
    {"ticker": "X", "action": "stops", "take_profit": [{"at": "2%", "share": 50}], "stop_loss": "-1%"},
]
_FOREIGN: Final = [each for each in vars(dialect_messages).values() if isinstance(each, dict) and "action" in each]
_TEMPLATES: Final = [json.dumps(each, default=str).encode() for each in (*_NATIVE, *_FOREIGN)] + [
    b"secret=" + SECRET.encode() + b"\nticker=BTCUSDT.P\naction=buy\nqty=0.010\nprice=1e-3",
    b"action=sell, ticker=BTCUSDT.P, qty=.5, type=limit, price=+7.",
]
_TOKENS: Final = [
    *(
        b"NaN",
        b"Infinity",
        b"-0",
        b"1e400",
        b"1E-31",
        b"0x10",
        b"1_000",
        b"1,5",
        b"0.1e1",
        b".5",
        b"5.",
        b"+1",
        b"00.10",
    ),
    *(
        b"9" * 45,
        b"0." + b"0" * 50 + b"1",
        b"1e999999999",
        "٣".encode(),
        "½".encode(),
        "１２".encode(),
        b"1 2",
        b"\xa0 1",
    ),
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"=",
        b"\n",
        b"%",
        b"%00",
        b"\x00",
        b"\xff",
        b"\\u0000",
        b"\\ud800",
    ),
    *(
        b"null",
        b"true",
        b"{{close}}",
        b'{"a":1}',
        b"[" * 40,
        "“".encode(),
        "\u202e".encode(),
        b"\xef\xbb\xbf",
        b"'",
        b"e",
    ),
]


def _flip(body: bytearray, chance: random.Random) -> None:
    if body:
        body[chance.randrange(len(body))] = chance.randrange(256)


def _insert(body: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(body) + 1)
    body[at:at] = chance.choice(_TOKENS)


def _cut(body: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(body) + 1)
    del body[at : at + chance.randrange(1, 12)]


def _value(body: bytearray, chance: random.Random) -> None:
    """Another value in the place of one, so that what is around it stays whole."""
    ends = [at for at, byte in enumerate(body) if byte in b":="]
    if ends:
        at = chance.choice(ends) + 1
        end = min((place for place in (body.find(b",", at), body.find(b"}", at)) if place > 0), default=len(body))
        quote = chance.choice((b"", b'"'))
        body[at:end] = quote + chance.choice(_TOKENS) + quote


def _splice(body: bytearray, chance: random.Random) -> None:
    other = chance.choice(_TEMPLATES)
    body[chance.randrange(len(body) + 1) :] = other[chance.randrange(len(other)) :]


_CHANGES: Final[tuple[Callable[[bytearray, random.Random], None], ...]] = (
    _flip,
    _insert,
    _cut,
    _value,
    _value,
    _splice,
)


def bodies(seed: int) -> Iterator[bytes]:
    """The same for the same seed."""
    chance = random.Random(seed)
    for _ in range(AT_ONCE):
        body = bytearray(chance.choice(_TEMPLATES))
        for _ in range(chance.randrange(4)):
            chance.choice(_CHANGES)(body, chance)
        yield bytes(body)


def _check(body: bytes) -> bool:
    """Whether it was taken. Any other error than the one kind passes through, and fails the test."""
    try:
        reading = read(body, secrets=(SECRET,))
        signal = signal_from_stored(reading.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
    except AlertError as error:
        assert error.message and SECRET not in error.message
        return False
    assert SECRET not in json.dumps(reading.fields)
    sent = _plainly(body)
    for name, field in NUMBERS.items():
        value = getattr(signal, field)
        if value is None:
            continue
        assert value.is_finite() and Decimal(number_text(value)) == value
        if "format" not in reading.fields and name in reading.fields:
            assert Decimal(str(reading.fields[name])) == value
        if "format" not in reading.fields and name in sent:
            assert Decimal(sent[name]) == value, f"{sent[name]} became {value}"
    return True


def _plainly(body: bytes) -> dict[str, str]:
    """The numbers as Python's own JSON finds them, as their text; empty where it finds none."""
    try:
        fields = json.loads(body, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return {}
    found = {}
    for name, value in fields.items() if isinstance(fields, dict) else ():
        try:
            Decimal(value)
        except (InvalidOperation, TypeError, ValueError):
            continue
        found[name] = value
    return found


@pytest.mark.slow
@settings(max_examples=max(1, COUNT // AT_ONCE), deadline=None, database=None)
@given(st.integers(0, 2**62))
def test_whatever_is_done_to_an_alert_it_is_refused_in_words_or_taken_with_exact_numbers(seed: int) -> None:
    for body in bodies(seed):
        _check(body)


def test_some_of_them_are_taken() -> None:
    """Or nothing was tried that counts."""
    tried = [body for seed in range(20) for body in bodies(seed)]
    assert sum(map(_check, tried)) > len(tried) // 100
