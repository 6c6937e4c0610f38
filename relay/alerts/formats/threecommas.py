"""3Commas' Signal Bot: the messages of its strategy type and of its custom type.

Source: https://help.3commas.io/en/articles/9374557-signal-bot-json-file-for-strategy-type and
https://help.3commas.io/en/articles/8894481-signal-bot-json-file-in-custom-signal-type.

The strategy type sends a strategy's fill, with where the strategy stands before and after it. The custom type's
`enter_long` closes a short before it opens, and adds to a long; `exit_long` reduces a long, at the market only, and
leaves a short alone. `trigger_price` is the chart's price, for which nothing is triggered."""

from __future__ import annotations

from relay.alerts.formats.base import AlertFormat, Message, enter, fill, lag

_FILLS = {"buy": "buy", "sell": "sell"}
_ENTRIES = {"enter_long": "long", "enter_short": "short"}
_EXITS = {"exit_long": "close_long", "exit_short": "close_short"}
_BOT = {name: name for name in ("enable", "disable")}
_ACTIONS = {**_FILLS, **_ENTRIES, **_EXITS, **_BOT}
_UNITS = {"base": "base", "quote": "quote", "margin_percent": "margin_pct", "position_percent": "position_pct"}
_ORDER_TYPES = {name: name for name in ("market", "limit")}
_INFO = ("market_position", "market_position_size", "prev_market_position", "prev_market_position_size")
_MARKET = {f"strategy_info.{name}": name for name in _INFO}
_UNIT = "order.currency_type"
_RELATIVE = "asks for a limit price relative to the market; send `order.price`"
_TRAILS = "follows the price in a way that the exchange's trailing stop does not"


def _read(message: Message) -> None:
    action = message.choice("action", _ACTIONS)
    message.need("action", "`buy` or `sell` with `strategy_info`, or one such as `enter_long`")
    message.need("tv_instrument", "name the instrument, such as `BTCUSDT.P`")
    message.copy("tv_instrument", "ticker")
    message.copy("tv_exchange", "exchange")
    message.copy("timestamp", "time")
    message.copy("trigger_price", "signal_price")
    lag(message, "max_lag")
    word = str(message.raw("action")).strip().lower()
    if action is None:
        return
    _stops(message)
    if word in _FILLS:
        fill(message, action, market=_MARKET, unit=_UNIT, read_size=lambda it: _order(it, word))
    else:
        _order(message, word)
    if word in _ENTRIES:
        enter(message, action, action="action", size="order.amount")
    elif word in _EXITS:
        message.give("action", action, "action")
    elif word in _BOT:
        message.refuse("action", f"`{word}` switches a bot; here that is `python -m relay halt`, `resume` or `flatten`")
    if word not in _FILLS and message.has("strategy_info"):
        message.refuse("strategy_info", "goes with the actions `buy` and `sell`")
    if word not in _BOT and message.has("positions_sub_action"):
        message.refuse("positions_sub_action", "goes with the action `disable`")


def _order(message: Message, action: str) -> None:
    unit = message.choice(_UNIT, _UNITS)
    message.copy("order.amount", "qty")
    if message.has("order.amount"):
        message.need(_UNIT, "`quote`, `base`, `margin_percent` or `position_percent`")
    if unit is not None:
        message.give("qty_unit", unit, _UNIT)
    if unit == "position_pct" and action in _ENTRIES:
        message.refuse(_UNIT, f"`position_percent` is for exits, not for `{action}`")
    if unit == "margin_pct" and action in _EXITS:
        message.refuse(_UNIT, "`margin_percent` is for entries; an exit takes `position_percent`")
    kind = message.choice("order.order_type", _ORDER_TYPES)
    if kind == "limit" and action in _EXITS:
        message.refuse("order.order_type", "an exit is a market order; leave it out")
    if kind is not None:
        message.give("type", kind, "order.order_type")
        message.copy("order.price", "price")


def _stops(message: Message) -> None:
    if _is_enabled(message, "take_profit") and message.has("take_profit"):
        _take_profits(message)
    if _is_enabled(message, "stop_loss") and message.has("stop_loss"):
        kind = message.choice("stop_loss.order_type", _ORDER_TYPES)
        if kind == "limit":
            message.refuse("stop_loss.order_type", "`limit`: a stop loss is a market order here")
        message.need("stop_loss.trigger_price_percent", "how far from the entry, in percent")
        _give_percent(message, "stop_loss.trigger_price_percent", "stop_loss")
        _refuse_if_on(message, "stop_loss.trailing")
        if message.flag("stop_loss.breakeven"):
            message.refuse("stop_loss.breakeven", "moves the stop in a way that is not certain; leave it out")


def _take_profits(message: Message) -> None:
    tp_legs: list[object] = []
    count = message.size_of("take_profit.steps")
    for index in range(count):
        step = f"take_profit.steps[{index}]"
        message.choice(f"{step}.order_type", _ORDER_TYPES)
        message.need(f"{step}.price_percent", "how far from the entry, in percent")
        message.need(f"{step}.volume_percent", "the percent of the position that it closes")
        share = message.number(f"{step}.volume_percent")
        at = message.percent(f"{step}.price_percent")
        _refuse_if_on(message, f"{step}.trailing")
        if at is not None and share is not None:
            tp_legs.append({"at": at, "share": str(message.raw(f"{step}.volume_percent"))})
    if count == 0:
        message.refuse("take_profit.steps", "needs at least one step")
    else:
        message.give("take_profit", tp_legs, "take_profit.steps")


def _give_percent(message: Message, path: str, native: str) -> None:
    value = message.percent(path)
    if value is not None:
        message.give(native, value, path)


def _is_enabled(message: Message, path: str) -> bool:
    return message.flag(f"{path}.enabled") is not False


def _refuse_if_on(message: Message, path: str) -> None:
    if message.has(path) and _is_enabled(message, path):
        message.refuse(path, _TRAILS)


_STEP = "take_profit.steps[]"

THREECOMMAS = AlertFormat(
    name="3commas",
    service="3Commas",
    fields=(
        *("secret", "max_lag", "timestamp", "trigger_price", "tv_exchange", "tv_instrument", "action", "bot_uuid"),
        *("positions_sub_action", *_MARKET),
        *("order.amount", _UNIT, "order.order_type", "order.price", "order.price_percent"),
        *("order.price_percent_ref_type", "take_profit.enabled", f"{_STEP}.order_type", f"{_STEP}.price_percent"),
        *(f"{_STEP}.volume_percent", f"{_STEP}.trailing.enabled", f"{_STEP}.trailing.percent"),
        *("stop_loss.enabled", "stop_loss.order_type", "stop_loss.trigger_price_percent", "stop_loss.breakeven"),
        *("stop_loss.trailing.enabled", "stop_loss.trailing.percent"),
    ),
    refused={"order.price_percent": _RELATIVE, "order.price_percent_ref_type": _RELATIVE},
    marks=frozenset({"bot_uuid", "tv_instrument"}),
    read=_read,
    spelled={"ticker": "tv_instrument", "exchange": "tv_exchange", "time": "timestamp", "qty": "order.amount"}
    | {"qty_unit": _UNIT, "type": "order.order_type", "price": "order.price"}
    | {"signal_price": "trigger_price", **{native: own for own, native in _MARKET.items()}}
    | {"take_profit": "take_profit.steps", "stop_loss": "stop_loss.trigger_price_percent"},
)
