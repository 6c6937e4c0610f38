"""3Commas' Signal Bot: the messages of its strategy type and of its custom type.

Source: https://help.3commas.io/en/articles/9374557-signal-bot-json-file-for-strategy-type and
https://help.3commas.io/en/articles/8894481-signal-bot-json-file-in-custom-signal-type.

The strategy type sends a strategy's fill, with where the strategy stands before and after it. The custom type's
`enter_long` closes a short before it opens, and adds to a long; `exit_long` reduces a long, at the market only, and
leaves a short alone. `trigger_price` is the chart's price, for which nothing is triggered."""

from __future__ import annotations

from relay.alerts.formats.base import INFO, AlertFormat, Message, enter, fill, lag, no, own, rows, to

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
_WAITS = "asks to wait, and a signal is executed at once here"
_TRAILS = "follows the price in a way that the exchange's trailing stop does not"


def _read(message: Message) -> None:
    action = message.choice("action", _ACTIONS)
    message.need("action", "`buy` or `sell` with `strategy_info`, or one such as `enter_long`")
    message.need("tv_instrument", "name the instrument, such as `BTCUSDT.P`")
    lag(message, "max_lag")
    word = str(message.raw("action")).strip().lower()
    if action is None:
        return
    _stops(message, is_short=word in ("enter_short", "sell"))
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
    elif kind is not None:
        message.give("type", kind, "order.order_type")
        message.copy("order.price", "price")


def _stops(message: Message, *, is_short: bool) -> None:
    """A minus sign is a direction of the price: where it is that of the level's own side it says nothing new."""
    if _is_enabled(message, "take_profit") and message.has("take_profit"):
        _take_profits(message, is_short=is_short)
    if _is_enabled(message, "stop_loss") and message.has("stop_loss"):
        kind = message.choice("stop_loss.order_type", _ORDER_TYPES)
        if kind == "limit":
            message.refuse("stop_loss.order_type", "`limit`: a stop loss is a market order here")
        message.need("stop_loss.trigger_price_percent", "how far from the entry, in percent")
        level = _level(message, "stop_loss.trigger_price_percent", falls=not is_short)
        if level is not None:
            message.give("stop_loss", level, "stop_loss.trigger_price_percent")
        _refuse_if_on(message, "stop_loss.trailing")
        if message.flag("stop_loss.breakeven"):
            message.refuse("stop_loss.breakeven", "moves the stop in a way that is not certain; leave it out")


def _take_profits(message: Message, *, is_short: bool) -> None:
    tp_legs: list[object] = []
    count = message.size_of("take_profit.steps")
    for index in range(count):
        step = f"take_profit.steps[{index}]"
        message.choice(f"{step}.order_type", _ORDER_TYPES)
        message.need(f"{step}.price_percent", "how far from the entry, in percent")
        message.need(f"{step}.volume_percent", "the percent of the position that it closes")
        share = message.number(f"{step}.volume_percent")
        at = _level(message, f"{step}.price_percent", falls=is_short)
        _refuse_if_on(message, f"{step}.trailing")
        if at is not None and share is not None:
            tp_legs.append({"at": at, "share": str(message.raw(f"{step}.volume_percent"))})
    if count == 0:
        message.refuse("take_profit.steps", "needs at least one step")
    else:
        message.give("take_profit", tp_legs, "take_profit.steps")


def _level(message: Message, path: str, *, falls: bool) -> str | None:
    text = str(message.raw(path)).strip()
    if falls and text.startswith("-") and text[1:2].isdigit():
        return f"{text[1:]}%"
    return message.percent(path)


def _is_enabled(message: Message, path: str) -> bool:
    return message.flag(f"{path}.enabled") is not False


def _refuse_if_on(message: Message, path: str) -> None:
    if message.has(path) and _is_enabled(message, path):
        message.refuse(path, _TRAILS)


_STEP = "take_profit.steps[]"

THREECOMMAS = AlertFormat(
    name="3commas",
    service="3Commas",
    table={
        **{"tv_instrument": to("ticker"), "tv_exchange": to("exchange"), "timestamp": to("time")},
        **{"trigger_price": to("signal_price"), "action": own("action"), "max_lag": own(), "secret": INFO},
        **{"bot_uuid": INFO, "positions_sub_action": own(), **{path: own(to) for path, to in _MARKET.items()}},
        **{"order.amount": own("qty"), _UNIT: own("qty_unit"), "order.order_type": own("type")},
        **{"order.price": own("price"), **rows(no(_RELATIVE), "order.price_percent order.price_percent_ref_type")},
        **{"take_profit.steps": own("take_profit"), "stop_loss.trigger_price_percent": own("stop_loss")},
        **rows(own(), f"take_profit.enabled {_STEP}.order_type {_STEP}.price_percent {_STEP}.volume_percent"),
        **rows(own(), f"{_STEP}.trailing.enabled {_STEP}.trailing.percent stop_loss.enabled stop_loss.order_type"),
        **rows(own(), "stop_loss.breakeven stop_loss.trailing.enabled stop_loss.trailing.percent"),
    },
    marks=frozenset({"bot_uuid", "tv_instrument"}),
    read=_read,
)


# The DCA bot's own messages. Source: https://help.3commas.io/en/articles/3108982 and the messages that its bots show,
# as public scripts hold them: without an `action` a deal starts, on the side that the bot is set to.


_STARTS = 'to open send {"ticker": "{{ticker}}", "action": "long"} or "short"'
_CLOSES = ("close_at_market_price", "close_at_market_price_all")


def _pair(text: str) -> str:
    """`USDT_BTC` and, of futures, `USDT_BTCUSDT`: the quote coin stands first. Without a `_` it is a symbol."""
    quote, _, base = text.upper().partition("_")
    return base if base.endswith(quote) else base + quote


def _read_deal(message: Message) -> None:
    action = message.word("action") if message.has("action") else None
    if action in _CLOSES:
        message.give("action", "close", "action")
    elif action is None:
        message.refuse("action", f"is missing, which starts a deal on the side that only the bot knows; {_STARTS}")
    else:
        message.refuse("action", f"`{action}` is for 3Commas' own deals; `close_at_market_price` is read; {_STARTS}")
    message.need("pair", "name the instrument, such as `USDT_BTC`; only the bot knows its pair")
    pair = message.word("pair") if message.has("pair") else None
    if pair is not None:
        message.give("ticker", _pair(pair), "pair")


THREECOMMAS_DCA = AlertFormat(
    name="3commas_dca",
    service="3Commas' DCA bot",
    table={
        **{
            "action": own("action", chooses=True),
            "pair": own("ticker", chooses=True),
            "delay_seconds": no(_WAITS, unless_off=True),
        },
        **rows(INFO, "message_type bot_id email_token trading_plan_id"),
    },
    secrets=("email_token",),
    marks=frozenset({"email_token"}),
    read=_read_deal,
)
