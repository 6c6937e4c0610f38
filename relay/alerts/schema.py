"""Every field that an alert may have, and what each may hold."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import lru_cache
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError

from relay.alerts.fieldtypes import Accounts, Choice, Flag, Ladder, Moment, Number, Read, Scalar, Text, Whole
from relay.alerts.level import read_level, read_trail
from relay.alerts.wording import SHOWN_LENGTH_MAX, nearest, shown
from relay.domain.order import OrderType, TimeInForce, TriggerBy
from relay.domain.signal import NATIVE_ACTIONS, NATIVE_UNITS, Action, MarketSide, QtyUnit

_UNKNOWN_NAMED_MAX = 20
_YEAR_S = 31_536_000
_LEVERAGE_MAX = 1000
"""No instrument of the exchange comes near; its own maximum is looked at when the entry is planned."""
_NO_SIGN = "sizes carry no sign: `action` says the side"

_ACTIONS_ELSEWHERE = {
    **{"enter_long": "long", "bullish": "long", "open_long": "long", "enter_short": "short", "bearish": "short"},
    **{"open_short": "short", "exit_long": "close_long", "exit_short": "close_short", "add": "buy"},
    **{"sl": "stops", "tp": "stops", "ping": "heartbeat", "flatten": "flat", "neutral": "flat"},
}
_UNITS_ELSEWHERE = {
    **{"coins": "base", "coin": "base", "lots": "contracts", "usd": "quote", "usdt": "quote", "notional": "quote"},
    **{"percent": "equity_pct", "%": "equity_pct", "percent_of_equity": "equity_pct", "margin": "margin_pct"},
    **{"risk_percent": "risk_pct", "percent_of_position": "position_pct", "risk_dollar_amount": "risk_quote"},
}
_TYPES_ELSEWHERE = {"stop": "stop_market", "conditional": "stop_market", "stoplimit": "stop_limit"}
_TIMES_IN_FORCE_ELSEWHERE = {"maker": "PostOnly", "post": "PostOnly", "day": "GTC"}
_SIDES_ELSEWHERE = {"buy": "long", "sell": "short", "none": "flat", "0": "flat"}

FIELDS_ELSEWHERE = {
    **{"side": "action", "order": "action", "signal": "action", "direction": "action", "sentiment": "market_position"},
    **{"quantity": "qty", "amount": "qty", "size": "qty", "contracts": "qty", "volume_usd": "qty", "q": "qty"},
    **{"quantity_type": "qty_unit", "quantitytype": "qty_unit", "unit": "qty_unit", "currency_type": "qty_unit"},
    **{"order_type": "type", "ordertype": "type", "limit_price": "price", "limitprice": "price"},
    **{"stop_price": "trigger_price", "stopprice": "trigger_price", "trigger": "trigger_price"},
    **{"tp": "take_profit", "takeprofit": "take_profit", "sl": "stop_loss", "stoploss": "stop_loss"},
    **{"stop": "stop_loss", "ts": "trailing_stop", "trailing": "trailing_stop", "lev": "leverage"},
    **{"tif": "time_in_force", "pair": "ticker", "instrument": "ticker", "market": "ticker", "coin": "ticker"},
    **{"timestamp": "time", "date": "time", "text": "comment", "message": "comment", "note": "comment"},
    **{"passphrase": "secret", "password": "secret", "key": "secret", "token": "secret", "pin": "secret"},
    **{"reduce": "reduce_only", "close_position": "reduce_only", "expiry": "valid_for", "slippage": "slippage_pct"},
}
"""What other services call a field, to what it is called here; used for suggestions only."""


class AlertSchema(Schema):
    """The contract's table. What is absent is absent; defaults are the Signal's own."""

    class Meta:
        unknown = EXCLUDE

    id = Text(length_max=200, attribute="sender_id")
    order_id = Text()
    ticker = Text(length_max=64)
    symbol = Text(length_max=64)
    exchange = Text(length_max=64)
    action = Choice(Action, _ACTIONS_ELSEWHERE, among=NATIVE_ACTIONS)
    qty = Number(at_least=0, hint=_NO_SIGN)
    qty_unit = Choice(QtyUnit, _UNITS_ELSEWHERE, among=NATIVE_UNITS)
    type = Choice(OrderType, _TYPES_ELSEWHERE)
    price = Number(above=0)
    trigger_price = Number(above=0)
    trigger_by = Choice(TriggerBy, {"lastprice": "last", "markprice": "mark", "indexprice": "index"})
    time_in_force = Choice(TimeInForce, _TIMES_IN_FORCE_ELSEWHERE)
    reduce_only = Flag()
    slippage_pct = Number(above=0, at_most=100)
    valid_for = Whole(above=0, at_most=_YEAR_S, hint="seconds", attribute="valid_for_s")
    take_profit = Ladder(attribute="take_profits")
    stop_loss = Read(read_level)
    trailing_stop = Read(read_trail)
    trailing_start = Read(read_level)
    leverage = Number(at_least=1, at_most=_LEVERAGE_MAX, hint="how many times the margin")
    market_position = Choice(MarketSide, _SIDES_ELSEWHERE)
    market_position_size = Number(at_least=0, hint="`market_position` says the side")
    prev_market_position = Choice(MarketSide, _SIDES_ELSEWHERE)
    prev_market_position_size = Number(at_least=0, hint="`prev_market_position` says the side")
    position_size = Number()
    time = Moment(attribute="sent_at")
    signal_price = Number(above=0)
    account = Accounts(attribute="accounts")
    comment = Text()
    interval = Scalar()
    open = Scalar()
    high = Scalar()
    low = Scalar()
    close = Scalar()
    volume = Scalar()
    timenow = Scalar()
    bar_time = Scalar()


SCHEMA = AlertSchema()
KNOWN = frozenset(SCHEMA.load_fields)
SHOWN_ONLY = frozenset(name for name, kind in SCHEMA.load_fields.items() if isinstance(kind, Scalar))
"""Taken and shown, without effect. Fields that begin with `x_` are too."""

_SUGGESTED = sorted((KNOWN - SHOWN_ONLY) | {"secret"})


def load(filled: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The values of `filled` (lower-case names, no blanks) under the Signal's names; and each field's problems."""
    problems: dict[str, list[str]] = {}
    try:
        loaded: dict[str, Any] = _narrowed(tuple([name for name in filled if name in KNOWN])).load(filled)
    except ValidationError as error:
        assert isinstance(error.valid_data, dict), "one object was loaded"
        loaded = error.valid_data
        problems.update(error.messages_dict)
    unknown = [name for name in filled if name not in KNOWN]
    for name in unknown[:_UNKNOWN_NAMED_MAX]:
        if problem := _unknown_problem(name, filled[name]):
            problems[_short(name)] = [problem]
    for name in SHOWN_ONLY:
        loaded.pop(name, None)
    return loaded, problems


@lru_cache(maxsize=256)
def _narrowed(names: tuple[str, ...]) -> AlertSchema:
    """The schema of what is there: each field that is not would cost as much as one that is, and none is required."""
    schema = copy(SCHEMA)
    schema.load_fields = {name: kind for name, kind in SCHEMA.load_fields.items() if name in names}
    return schema


def _short(name: str) -> str:
    return name if len(name) <= SHOWN_LENGTH_MAX else f"{name[:SHOWN_LENGTH_MAX]}…"


def _unknown_problem(name: str, value: object) -> str | None:
    if name.startswith("x_"):
        return f"must be text or a number, not {shown(value)}" if isinstance(value, list | dict) else None
    likely = FIELDS_ELSEWHERE.get(name) or nearest(name, _SUGGESTED)
    hint = f"; the nearest known one is `{likely}`" if likely else ""
    return f"is an unknown field{hint}; a field of your own must begin with `x_`"
