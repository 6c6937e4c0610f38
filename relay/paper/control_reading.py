"""Reading what comes in at `/paper/…`: what cannot be read is a ControlInvalid that says so."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import request

from relay.paper.exchange import Exchange
from relay.paper.instruments import Instrument


class ControlInvalid(Exception):
    """The control request cannot be read."""


def read_body() -> dict[str, Any]:
    found = request.get_json(silent=True)
    if not isinstance(found, dict):
        raise ControlInvalid("the body must be a JSON object")
    return found


def table(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = body.get(name, {})
    if not isinstance(found, dict):
        raise ControlInvalid(f"{name} must be a JSON object")
    return found


def number(value: object, what: str, *, positive: bool = True) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise ControlInvalid(f"{what}: {value!r} is not a number") from error
    if not number.is_finite() or (positive and number <= 0):
        raise ControlInvalid(f"{what}: {value!r} is not a usable number")
    return number


def instrument(exchange: Exchange, symbol: object) -> Instrument:
    found = exchange.instruments.get(str(symbol))
    if found is None:
        raise ControlInvalid(f"unknown symbol {symbol!r}")
    return found
