"""How much of an alert is stored: enough for its orders, and never more than a disk can hold of many."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.alerts.signal import STORED_BYTES_MAX, bounded, bounded_notes, read, signal_from_stored
from relay.domain.signal import Signal

AT = datetime(2026, 3, 4, tzinfo=UTC)
LADDER = [{"at": f"{n}%", "share": "5", "then": "breakeven"} for n in range(1, 21)]
ENTRY = {
    "ticker": "ETHUSDT.P",
    "action": "buy",
    "qty": "0.3",
    "stop_loss": "2%",
    "take_profit": LADDER,
    "id": "a" * 200,
}
BOT = {"symbol": "ETHUSDT", "side": "buy", "amount": 2, "close_position": False, "tp": "3%"}


def signal_of(stored: Any) -> Signal:
    made = signal_from_stored(stored, id="s" * 26, strategy="default", received_at=AT)
    return replace(made, notes=(), comment=None)


def size_of(stored: Any) -> int:
    return len(json.dumps(stored))


@given(
    alert=st.sampled_from([ENTRY, BOT, {**ENTRY, "action": "close", "take_profit": "", "stop_loss": ""}]),
    comment=st.integers(0, 60_000),
    letter=st.sampled_from("aé€😀 \n"),
    more=st.integers(0, 60),
    name_length=st.integers(1, 600),
    padding=st.sampled_from([0, 50_000]),
)
def test_at_most_8_kib_are_stored_and_they_ask_for_the_same_orders(
    alert: dict[str, Any], comment: int, letter: str, more: int, name_length: int, padding: int
) -> None:
    own = {f"x_{'n' * name_length}{number}": letter * (comment // 10) for number in range(more)}
    fields = {**alert, **own, "x_comment": letter * comment}
    if alert is ENTRY:
        fields |= {"comment": letter * comment, "take_profit": json.dumps(LADDER) + " " * padding}
    stored = read(json.dumps(fields, ensure_ascii=False).encode()).fields
    stored = bounded(stored, is_accepted=True)
    assert size_of(stored) <= STORED_BYTES_MAX
    assert signal_of(stored) == signal_of(stored)
    assert bounded(stored, is_accepted=True) == stored


def test_what_is_short_is_stored_as_it_came() -> None:
    stored = read(json.dumps({**ENTRY, "comment": "c" * 5000}).encode()).fields
    assert bounded(stored, is_accepted=True) == stored


@pytest.mark.parametrize("text", ["{" * 60_000, "€" * 20_000, "a\n" * 30_000])
def test_of_a_text_that_could_not_be_read_the_beginning_is_stored(text: str) -> None:
    stored = bounded({"text": text}, is_accepted=False)
    assert size_of(stored) <= STORED_BYTES_MAX
    assert str(stored["text"]).startswith(text[:1000])
    assert str(stored["text"]).endswith(f"… ({len(text):,} characters)")


def test_of_a_rejected_alert_with_many_long_fields_some_are_stored() -> None:
    fields = {f"field_{number}_{'n' * 500}": "v" * 100 for number in range(100)} | {"action": "bye"}
    stored = bounded(fields, is_accepted=False)
    assert size_of(stored) <= STORED_BYTES_MAX
    assert stored["action"] == "bye" and len(stored) > 10


def test_notes_are_as_many_and_as_long_as_somebody_reads() -> None:
    assert bounded_notes(("a", "b")) == ("a", "b")
    many = bounded_notes(["n" * 5000] * 100)
    assert len(many) == 31 and many[-1] == "and 70 more"
    assert max(map(len, many)) < 1100


def test_of_a_foreign_format_what_its_orders_are_made_of_is_always_stored() -> None:
    stored = read(json.dumps({**BOT, "format": "bot"}).encode()).fields
    long = stored | {f"x_{number}": "v" * 900 for number in range(12)} | {"zz_words": "w" * 9000}
    kept = bounded(long, is_accepted=True)
    assert {name: kept[name] for name in stored} == stored and size_of(kept) <= STORED_BYTES_MAX
    odd = bounded({**ENTRY, "format": 7, "x_long": "v" * 20_000}, is_accepted=True)
    assert odd["format"] == 7 and {name: odd[name] for name in ENTRY} == ENTRY
