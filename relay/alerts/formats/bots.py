"""The flat JSON of common self-hosted bots, and of bots that take a strategy's fill as `strategy{…}`."""

from __future__ import annotations

from collections.abc import Mapping

from relay.alerts.fields import KNOWN
from relay.alerts.formats.base import AlertFormat, Message

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
_MARKS = frozenset({*_SECRETS, *_SWITCHES, "order_mode", "take_profit_percent", "stop_loss_percent"})
_STOPS = ("take_profit", "stop_loss")
_HANDED_ON = sorted(KNOWN - {"action", "symbol", *_OTHER_NAMES, *_STOPS})


def _is_shape(fields: Mapping[str, object]) -> bool:
    """An alert that has nothing foreign but another name for its secret is a native one."""
    names = {name for name in fields if not name.startswith("x_")}
    is_order = bool(names & {"ticker", "symbol"}) and bool(names & {"side", "action", *_SWITCHES})
    is_whole = names <= {*BOT.fields, *_SECRETS}
    return is_order and is_whole and bool(names - KNOWN - {*_SECRETS})


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


BOT = AlertFormat(
    name="bot",
    service="the bots on GitHub",
    fields=(
        *(sorted(KNOWN)),
        *(name for names in _OTHER_NAMES.values() for name in names if name not in KNOWN),
        *("order_mode", *_SWITCHES),
    ),
    secrets=_SECRETS,
    marks=_MARKS,
    is_shape=_is_shape,
    read=_read,
)


# The bots that take a strategy's fill: `{passphrase, time, exchange, ticker, bar{…}, strategy{order_action, …}}`.
#
# Source: https://github.com/hackingthemarkets/tradingview-binance-strategy-alert-webhook
# (payloads/tradingview_webhook_payload_format.txt), from which many bots were made.
#
# Such a bot sends `order_action` with `order_contracts` to the exchange. Where the message says how the strategy
# stands
# afterwards, that is read too, so that no exit opens a position and no reversal is doubled. `order_price` is the
# chart's.


_HANDED_ON_FILL = {
    **{"order_contracts": "qty", "order_price": "signal_price", "order_id": "order_id", "order_comment": "comment"},
    **{name: name for name in ("position_size", "market_position", "market_position_size")},
    **{name: name for name in ("prev_market_position", "prev_market_position_size")},
}
_FILL_ACTIONS = {"buy": "buy", "sell": "sell"}


def _is_fill_shape(fields: Mapping[str, object]) -> bool:
    strategy = fields.get("strategy")
    return isinstance(strategy, Mapping) and "order_action" in strategy


def _read_fill(message: Message) -> None:
    action = message.choice("strategy.order_action", _FILL_ACTIONS)
    message.need("strategy.order_action", "`buy` or `sell`, as `{{strategy.order.action}}` is")
    message.need("ticker", "name the instrument, such as `BTCUSDT.P` or `{{ticker}}`")
    if action is not None:
        message.give("action", action, "strategy.order_action")
    for name in ("ticker", "exchange", "time"):
        message.copy(name, name)
    for own, native in _HANDED_ON_FILL.items():
        message.copy(f"strategy.{own}", native)


STRATEGY_BOT = AlertFormat(
    name="strategy_bot",
    service="the passphrase bots",
    fields=(
        *("time", "exchange", "ticker", "interval", "alert_name", "alert_message", "bar.*", "strategy.order_action"),
        *(f"strategy.{name}" for name in _HANDED_ON_FILL),
    ),
    secrets=("passphrase",),
    marks=frozenset({"strategy"}),
    is_shape=_is_fill_shape,
    read=_read_fill,
    spelled={native: f"strategy.{own}" for own, native in _HANDED_ON_FILL.items()}
    | {"action": "strategy.order_action"},
)
