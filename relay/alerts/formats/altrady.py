"""Altrady's webhook signals.

Source: https://support.altrady.com/en/article/webhook-signals-open-increase-reduce-close-or-reverse-a-position-p0ul1i
and https://support.altrady.com/en/article/webhook-valid-values-for-exchange-and-symbol-1xrzfap/. Both key and secret of
the bot stand in the message. `reverse` closes the position and opens one on `side`; `quote_amount` is in the quote
coin. A symbol is `BYBIF_USDT_BTC` or as the exchange spells it."""

from __future__ import annotations

import re

from relay.alerts.formats.base import INFO, NOT_REAL, AlertFormat, Message, no, own, rows, to

_SIDES = {"long": "long", "short": "short"}
_ACTIONS = {name: name for name in ("open", "reverse", "close", "increase", "reduce")}
_MARKET = re.compile(r"([A-Z]{2,6})_([A-Z0-9]+)_([A-Z0-9]+)")
_SPOT = re.compile("BINA|BIUS|BYBI|BVVO|CRO|GATE|GDAX|HITB|HUBI|KUCN|KRKN|MEXC|OKEX|PLNX|WOO|BTRX")
_IS_SPOT = "is the code of a spot exchange at Altrady, and perpetuals are traded here; write `BYBIF`"
_BOT = "switches a bot; here that is `python -m relay halt`, `resume` or `flatten`"
_IN_PARTS = "adds to or takes from a position of Altrady's; send a native alert with `buy`, or with `close` and a `qty`"
_ORDERS = "is a set of orders that Altrady places; send `take_profit`, `stop_loss` in a native alert"


def _read(message: Message) -> None:
    word = message.word("action") if message.has("action") else "open"
    if word is not None and word.startswith(("start_", "stop_")):
        message.refuse("action", f"`{word}` {_BOT}")
        return
    action = message.choice("action", _ACTIONS) if message.has("action") else "open"
    if action in ("increase", "reduce"):
        message.refuse("action", f"`{action}` {_IN_PARTS}")
        return
    side = message.choice("side", _SIDES)
    _market(message)
    if action == "close":
        message.give("action", f"close_{side}" if side else "close", "action")
    elif action is not None:
        message.need("side", "`long` or `short`")
        message.give("action", side or "long", "action")
        message.mean("stays_as_large", True, "action")
        if message.has("quote_amount"):
            message.give("qty", message.raw("quote_amount"), "quote_amount")
            message.give("qty_unit", "quote", "quote_amount")


def _market(message: Message) -> None:
    message.need("symbol", "name the instrument, such as `BYBIF_USDT_BTC`")
    exchange = message.venue()
    symbol = message.word("symbol") if message.has("symbol") else None
    found = _MARKET.fullmatch((symbol or "").upper())
    for path, code in (("exchange", exchange), ("symbol", found[1] if found else None)):
        if code is not None and _SPOT.fullmatch(code.upper()):
            message.refuse(path, _IS_SPOT)
    if symbol is not None:
        message.give("ticker", found[3] + found[2] if found else symbol.upper(), "symbol")


ALTRADY = AlertFormat(
    name="altrady",
    service="Altrady",
    table={
        **{"action": own("action", chooses=True), "side": own(chooses=True), "symbol": own("ticker", chooses=True)},
        **{"leverage": to("leverage"), "signal_price": to("signal_price"), "signal_id": to("order_id")},
        **{
            "quote_amount": own("qty"),
            "exchange": own(chooses=True),
            "test": NOT_REAL,
            "api_key": INFO,
            "api_secret": INFO,
        },
        **rows(no(_ORDERS), "dca_orders take_profit stop_loss entry_condition entry_expiration order_type"),
    },
    secrets=("api_secret", "api_key"),
    marks=frozenset({"api_secret"}),
    is_shape=lambda fields: "symbol" in fields or "action" in fields,
    read=_read,
)
