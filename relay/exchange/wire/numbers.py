"""Bybit's numbers are strings, and an empty one means that there is none."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Row = Mapping[str, Any]
"""One object of an answer's `list`, or of a stream message's `data`."""


def number(row: Row, key: str) -> Decimal | None:
    """The field as a decimal; None where it is absent or empty."""
    text = row.get(key)
    return None if text is None or text == "" else Decimal(text)


def number_or_zero(row: Row, key: str) -> Decimal:
    found = number(row, key)
    return Decimal(0) if found is None else found


def number_but_zero(row: Row, key: str) -> Decimal | None:
    """For prices that Bybit sends as `"0"` or `"0.00"` where there is none."""
    return number(row, key) or None
