"""The flat JSON of the common bots on GitHub: the native fields, under the names that those bots have for them.

Source: https://github.com/CryptoGnome/Tradingview-Webhook-Bot (`key`, `close_position`, `cancel_orders`, `order_mode`,
`take_profit_percent`, `stop_loss_percent`; README.md and app.py) and https://github.com/robswc/tradingview-webhooks-bot
(`key`).

The size goes to the exchange as it is, whatever is open. `close_position` closes it all, and nothing else of the
message counts. `cancel_orders` cancels what rests before anything is ordered, and is all that is done where no side is
given. `order_mode` says which of the two stops are used.
"""

from __future__ import annotations

from collections.abc import Mapping

from relay.alerts.dialects.dialect import Dialect
from relay.alerts.dialects.message import Message
from relay.alerts.schema import KNOWN

_ACTIONS = {
    **{"buy": "buy", "sell": "sell", "close": "close", "close_long": "close_long", "close_short": "close_short"},
    **{"exit": "exit", "flat": "flat", "cancel": "cancel", "heartbeat": "heartbeat"},
}
_SECRETS = ("passphrase", "key", "pin", "password")
_OTHER_NAMES = {
    "action": ("side",),
    "ticker": ("symbol",),
    "qty": ("amount", "quantity"),
    "type": ("order_type",),
    "take_profit": ("tp", "take_profit_percent"),
    "stop_loss": ("sl", "stop_loss_percent"),
    "time": ("timestamp",),
}
_MODES = {"both": ("take_profit", "stop_loss"), "profit": ("take_profit",), "stop": ("stop_loss",), "none": ()}
_SWITCHES = ("close_position", "cancel_orders")
_MARKS = {*_SECRETS, *_SWITCHES, "order_mode", "take_profit_percent", "stop_loss_percent"}
_STOPS = ("take_profit", "stop_loss")
_HANDED_ON = sorted(KNOWN - {"action", "symbol", *_OTHER_NAMES, *_STOPS})


def _is_shape(fields: Mapping[str, object]) -> bool:
    """A native alert whose only fault is another name for its secret is told so instead."""
    names = {name for name in fields if not name.startswith("x_")}
    is_order = bool(names & {"ticker", "symbol"}) and bool(names & {"side", "action", *_SWITCHES})
    is_whole = names <= {*BOT.fields, *_SECRETS}
    return is_order and is_whole and bool(names & _MARKS) and bool(names - KNOWN - {*_SECRETS})


def _read(message: Message) -> None:
    _hand_on(message, "ticker", "time")
    if "ticker" not in message.native:
        message.need("symbol", "name the instrument, such as `BTCUSDT`")
    if message.flag("close_position"):
        message.copy("exchange", "exchange")
        message.give("action", "close", "close_position")
        return
    _hand_on(message, "qty", "type")
    for native in _HANDED_ON:
        message.copy(native, native)
    if "qty" in message.native and "qty_unit" not in message.native:
        message.give("qty_unit", "contracts", message.names["qty"])
    _act(message)
    _stops(message)


def _hand_on(message: Message, *natives: str) -> None:
    for native in natives:
        path = message.only(native, *_OTHER_NAMES[native])
        if path is not None:
            message.copy(path, native)


def _act(message: Message) -> None:
    path = message.only("action", "side")
    cancels = message.flag("cancel_orders")
    if path is not None:
        action = message.choice(path, _ACTIONS)
        if action is not None:
            message.give("action", action, path)
        if cancels and action in ("buy", "sell"):
            message.mean("clears_first", True, "cancel_orders")
    elif cancels:
        message.give("action", "cancel", "cancel_orders")
    else:
        message.refuse("side", "is missing: `buy` or `sell`; or say `close_position` or `cancel_orders`")


def _stops(message: Message) -> None:
    used = message.choice("order_mode", _MODES) if message.has("order_mode") else _STOPS
    for native in _STOPS:
        path = message.only(native, *_OTHER_NAMES[native])
        if path is None:
            if message.has("order_mode") and native in (used or ()):
                message.refuse(f"{native}_percent", "is missing, and `order_mode` uses it")
        elif native in (used or ()):
            _level(message, path, native)


def _level(message: Message, path: str, native: str) -> None:
    """Zero and an empty text are no level."""
    if path == native:
        message.copy(path, native)
        return
    value = message.raw(path)
    text = value.strip() if isinstance(value, str) else value
    if text in ("", "0", "None"):
        return
    if path.endswith("_percent"):
        percent = message.percent(path)
        if percent is not None:
            message.give(native, percent, path)
    elif isinstance(text, str) and text.startswith(("+", "-")):
        message.refuse(path, "has a sign, which bots read in different ways; send a price or a percentage")
    else:
        message.give(native, text, path)


BOT = Dialect(
    name="bot",
    service="the bots on GitHub",
    fields=(
        *(sorted(KNOWN)),
        *(name for names in _OTHER_NAMES.values() for name in names if name not in KNOWN),
        *("order_mode", *_SWITCHES),
    ),
    secrets=_SECRETS,
    is_shape=_is_shape,
    read=_read,
)
