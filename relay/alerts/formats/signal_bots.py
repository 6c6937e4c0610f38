"""The signal bots of 3Commas, WunderTrading, OKX and Pionex, and Tickerly: messages with what a strategy orders."""

from __future__ import annotations

import re
from collections.abc import Mapping

from relay.alerts.formats.base import INFO, AlertFormat, Message, enter, fill, lag, no, own, product, rows, to
from relay.domain.signal import QtyUnit

# 3Commas' Signal Bot: the messages of its strategy type and of its custom type.
#
# Source: https://help.3commas.io/en/articles/9374557-signal-bot-json-file-for-strategy-type and
# https://help.3commas.io/en/articles/8894481-signal-bot-json-file-in-custom-signal-type.
#
# The strategy type sends a strategy's fill, with where the strategy stands before and after it. The custom type's
# `enter_long` closes a short before it opens, and adds to a long; `exit_long` reduces a long, at the market only, and
# leaves a short alone. `trigger_price` is the chart's price, for which nothing is triggered.


_FILLS_THREECOMMAS = {"buy": "buy", "sell": "sell"}
_ENTRIES_THREECOMMAS = {"enter_long": "long", "enter_short": "short"}
_EXITS_THREECOMMAS = {"exit_long": "close_long", "exit_short": "close_short"}
_BOT = {name: name for name in ("enable", "disable")}
_ACTIONS_THREECOMMAS = {**_FILLS_THREECOMMAS, **_ENTRIES_THREECOMMAS, **_EXITS_THREECOMMAS, **_BOT}
_UNITS_THREECOMMAS = {
    "base": "base",
    "quote": "quote",
    "margin_percent": "margin_pct",
    "position_percent": "position_pct",
}
_ORDER_TYPES_THREECOMMAS = {name: name for name in ("market", "limit")}
_INFO = ("market_position", "market_position_size", "prev_market_position", "prev_market_position_size")
_MARKET_THREECOMMAS = {f"strategy_info.{name}": name for name in _INFO}
_UNIT = "order.currency_type"
_RELATIVE = "asks for a limit price relative to the market; send `order.price`"
_WAITS = "asks to wait, and a signal is executed at once here"
_TRAILS = "follows the price in a way that the exchange's trailing stop does not"


def _read_threecommas(message: Message) -> None:
    action = message.choice("action", _ACTIONS_THREECOMMAS)
    message.need("action", "`buy` or `sell` with `strategy_info`, or one such as `enter_long`")
    message.need("tv_instrument", "name the instrument, such as `BTCUSDT.P`")
    lag(message, "max_lag")
    word = str(message.raw("action")).strip().lower()
    if action is None:
        return
    _stops(message, is_short=word in ("enter_short", "sell"))
    if word in _FILLS_THREECOMMAS:
        fill(message, action, market=_MARKET_THREECOMMAS, unit=_UNIT, read_size=lambda it: _order_threecommas(it, word))
    else:
        _order_threecommas(message, word)
    if word in _ENTRIES_THREECOMMAS:
        enter(message, action, action="action", size="order.amount")
    elif word in _EXITS_THREECOMMAS:
        message.give("action", action, "action")
    elif word in _BOT:
        message.refuse("action", f"`{word}` switches a bot; here that is `python -m relay halt`, `resume` or `flatten`")
    if word not in _FILLS_THREECOMMAS and message.has("strategy_info"):
        message.refuse("strategy_info", "goes with the actions `buy` and `sell`")
    if word not in _BOT and message.has("positions_sub_action"):
        message.refuse("positions_sub_action", "goes with the action `disable`")


def _order_threecommas(message: Message, action: str) -> None:
    unit = message.choice(_UNIT, _UNITS_THREECOMMAS)
    message.copy("order.amount", "qty")
    if message.has("order.amount"):
        message.need(_UNIT, "`quote`, `base`, `margin_percent` or `position_percent`")
    if unit is not None:
        message.give("qty_unit", unit, _UNIT)
    if unit == "position_pct" and action in _ENTRIES_THREECOMMAS:
        message.refuse(_UNIT, f"`position_percent` is for exits, not for `{action}`")
    if unit == "margin_pct" and action in _EXITS_THREECOMMAS:
        message.refuse(_UNIT, "`margin_percent` is for entries; an exit takes `position_percent`")
    kind = message.choice("order.order_type", _ORDER_TYPES_THREECOMMAS)
    if kind == "limit" and action in _EXITS_THREECOMMAS:
        message.refuse("order.order_type", "an exit is a market order; leave it out")
    elif kind is not None:
        message.give("type", kind, "order.order_type")
        message.copy("order.price", "price")


def _stops(message: Message, *, is_short: bool) -> None:
    """A minus sign is a direction of the price: where it is that of the level's own side it says nothing new."""
    if _is_enabled(message, "take_profit") and message.has("take_profit"):
        _take_profits_threecommas(message, is_short=is_short)
    if _is_enabled(message, "stop_loss") and message.has("stop_loss"):
        kind = message.choice("stop_loss.order_type", _ORDER_TYPES_THREECOMMAS)
        if kind == "limit":
            message.refuse("stop_loss.order_type", "`limit`: a stop loss is a market order here")
        message.need("stop_loss.trigger_price_percent", "how far from the entry, in percent")
        level = _level_threecommas(message, "stop_loss.trigger_price_percent", falls=not is_short)
        if level is not None:
            message.give("stop_loss", level, "stop_loss.trigger_price_percent")
        _refuse_if_on(message, "stop_loss.trailing")
        if message.flag("stop_loss.breakeven"):
            message.refuse("stop_loss.breakeven", "moves the stop in a way that is not certain; leave it out")


def _take_profits_threecommas(message: Message, *, is_short: bool) -> None:
    tp_legs: list[object] = []
    count = message.size_of("take_profit.steps")
    for index in range(count):
        step = f"take_profit.steps[{index}]"
        message.choice(f"{step}.order_type", _ORDER_TYPES_THREECOMMAS)
        message.need(f"{step}.price_percent", "how far from the entry, in percent")
        message.need(f"{step}.volume_percent", "the percent of the position that it closes")
        share = message.number(f"{step}.volume_percent")
        at = _level_threecommas(message, f"{step}.price_percent", falls=is_short)
        _refuse_if_on(message, f"{step}.trailing")
        if at is not None and share is not None:
            tp_legs.append({"at": at, "share": str(message.raw(f"{step}.volume_percent"))})
    if count == 0:
        message.refuse("take_profit.steps", "needs at least one step")
    else:
        message.give("take_profit", tp_legs, "take_profit.steps")


def _level_threecommas(message: Message, path: str, *, falls: bool) -> str | None:
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
        **{
            "bot_uuid": INFO,
            "positions_sub_action": own(),
            **{path: own(to) for path, to in _MARKET_THREECOMMAS.items()},
        },
        **{"order.amount": own("qty"), _UNIT: own("qty_unit"), "order.order_type": own("type")},
        **{"order.price": own("price"), **rows(no(_RELATIVE), "order.price_percent order.price_percent_ref_type")},
        **{"take_profit.steps": own("take_profit"), "stop_loss.trigger_price_percent": own("stop_loss")},
        **rows(own(), f"take_profit.enabled {_STEP}.order_type {_STEP}.price_percent {_STEP}.volume_percent"),
        **rows(own(), f"{_STEP}.trailing.enabled {_STEP}.trailing.percent stop_loss.enabled stop_loss.order_type"),
        **rows(own(), "stop_loss.breakeven stop_loss.trailing.enabled stop_loss.trailing.percent"),
    },
    marks=frozenset({"bot_uuid", "tv_instrument"}),
    read=_read_threecommas,
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


# WunderTrading's Signal Bot in JSON.
#
# Source: https://help.wundertrading.com/en/articles/10475473-signal-bot-comprehensive-json-guide and, for units,
# https://wundertrading.com/docs/mcp/tools/place_strategy_trade.
#
# `code` is the bot's own comment, such as `ENTER-LONG_Bybit_BTCUSDT_My-Bot_15M_0123abc`: what to do, the exchange, the
# pair (`NONE` or `MULTIPLE-PAIRS` for several), and at its end what proves the sender. Sent as plain text it is the
# whole message. Ratios are fractions: 0.01 is 1 %. Of the bot's settings, multiple entries is off, and an entry on the
# other side flips, as with its swing trade setting.


_CODE = re.compile(r"(enter|exit)[-_ ](long|short|all)(?![a-z])(.*)", re.IGNORECASE | re.DOTALL)
_ACTIONS_WUNDERTRADING = {
    **{("enter", "long"): "long", ("enter", "short"): "short", ("exit", "all"): "flat"},
    **{("exit", "long"): "close_long", ("exit", "short"): "close_short"},
}
_UNITS_WUNDERTRADING = {
    "quote": "quote",
    "$": "quote",
    "base": "base",
    "percents": "equity_pct",
    "contracts": "contracts",
}
_ORDER_TYPES_WUNDERTRADING = {name: name for name in ("market", "limit")}
_MINUTE_S = 60
_PARTS_MIN = 5
_SEVERAL_PAIRS = ("NONE", "MULTIPLE-PAIRS", "")
_PAIR_OF_NAME = re.compile(r"([A-Z0-9]{2,15}(?:USDT|USDC))(?![A-Z0-9])")
_SECRET_LENGTH_MIN = 16


def _is_shape_wundertrading(fields: Mapping[str, object]) -> bool:
    code = fields.get("code")
    return isinstance(code, str) and _CODE.fullmatch(code.strip()) is not None


def _split_secret(fields: dict[str, object]) -> object:
    """The last part of a whole `code`; a code that somebody typed has none."""
    code = fields.get("code")
    if not isinstance(code, str):
        return None
    rest, _, last = code.strip().rpartition("_")
    if rest.count("_") < _PARTS_MIN - 1 or len(last) < _SECRET_LENGTH_MIN:
        return None
    fields["code"] = rest
    return last


def _read_wundertrading(message: Message) -> None:
    action, exchange = _code(message)
    for name in ("reduceOnly", "placeConditionalOrdersOnExchange"):
        message.flag(name)
    if action is None:
        return
    message.give("action", action, "code")
    if action in ("long", "short"):
        message.mean("stays_as_large", True, "code")
    _amount_wundertrading(message, action, exchange)
    _order_wundertrading(message)
    _take_profits_wundertrading(message)
    _stop_loss(message)


def _code(message: Message) -> tuple[str | None, str]:
    """What to do, and the exchange if the code names one."""
    message.need("code", "the comment of the bot, such as `ENTER-LONG`")
    found = _CODE.fullmatch(message.word("code") or "")
    action = _ACTIONS_WUNDERTRADING.get((found[1], found[2])) if found else None
    if action is None and message.has("code"):
        message.refuse("code", "begins with none of `ENTER-LONG`, `ENTER-SHORT`, `EXIT-LONG`, `EXIT-SHORT`, `EXIT-ALL`")
    parts = found[3].upper().split("_") if found else []
    exchange, pair, bot = parts[1:4] if len(parts) >= _PARTS_MIN - 1 else ("", "NONE", "")
    if message.has("ticker"):
        message.copy("ticker", "ticker")
    elif pair not in _SEVERAL_PAIRS:
        message.give("ticker", pair, "code")
    elif (named := _PAIR_OF_NAME.match(bot)) and found and found[1] == "exit":
        message.give("ticker", named[1], "code")
        message.note(f"the pair is taken from the bot's name, {named[1]}: the code names several")
    elif action is not None:
        message.refuse("code", 'names no pair, which only the bot knows: add "ticker": "{{ticker}}" to the message')
    if exchange and "ticker" not in message.names.values():
        message.give("exchange", exchange, "code")
    return action, exchange


def _amount_wundertrading(message: Message, action: str, exchange: str) -> None:
    unit = message.choice("amountPerTradeType", _UNITS_WUNDERTRADING)
    if not message.has("amountPerTrade"):
        return
    if action == "flat":
        message.refuse("amountPerTrade", "does not go with `EXIT-ALL`, which closes the whole position")
    message.need("amountPerTradeType", "`quote`, `base`, `percents` or `contracts`")
    if unit == "contracts" and exchange and not exchange.startswith("BYBIT"):
        message.refuse("amountPerTradeType", f"`contracts` of {exchange} may be of another size than Bybit's")
    if unit == "equity_pct":
        share = message.percent("amountPerTrade", times=100)
        message.give("qty", (share or "").rstrip("%"), "amountPerTrade")
    else:
        message.copy("amountPerTrade", "qty")
    if unit is not None:
        message.give("qty_unit", unit, "amountPerTradeType")


def _order_wundertrading(message: Message) -> None:
    kind = message.choice("orderType", _ORDER_TYPES_WUNDERTRADING)
    if kind is not None:
        message.give("type", kind, "orderType")
    message.copy("price", "price")
    minutes = message.number("timeToLive")
    if minutes is not None:
        message.give("valid_for", product(minutes, _MINUTE_S), "timeToLive")


def _take_profits_wundertrading(message: Message) -> None:
    tp_legs: list[object] = []
    for index in range(message.size_of("takeProfits")):
        tp_leg = f"takeProfits[{index}]"
        at = _level_wundertrading(message, tp_leg)
        message.need(f"{tp_leg}.portfolio", "the share of the position that it closes, 1 for all of it")
        share = message.percent(f"{tp_leg}.portfolio", times=100)
        if at is not None and share is not None:
            tp_legs.append({"at": at, "share": share})
    if message.size_of("takeProfits"):
        message.give("take_profit", tp_legs, "takeProfits")


def _stop_loss(message: Message) -> None:
    if isinstance(message.raw("stopLoss"), Mapping):
        level = _level_wundertrading(message, "stopLoss")
        if level is not None:
            message.give("stop_loss", level, "stopLoss")


def _level_wundertrading(message: Message, inside: str) -> str | None:
    path = message.only(f"{inside}.priceDeviation", f"{inside}.price")
    if path is None:
        message.refuse(inside, "needs `priceDeviation` (0.01 is 1 %) or `price`")
        return None
    if path.endswith(".priceDeviation"):
        return message.percent(path, times=100)
    return None if message.number(path) is None else str(message.raw(path)).strip()


WUNDERTRADING = AlertFormat(
    name="wundertrading",
    service="WunderTrading",
    table={
        **{"code": own("action"), "ticker": own(), "leverage": to("leverage"), "price": own("price")},
        **{"orderType": own("type"), "timeToLive": own("valid_for"), "amountPerTrade": own("qty")},
        **{"amountPerTradeType": own("qty_unit"), "takeProfits": own("take_profit"), "stopLoss": own("stop_loss")},
        **rows(own(), "takeProfits[].priceDeviation takeProfits[].price takeProfits[].portfolio"),
        **rows(own(), "stopLoss.priceDeviation stopLoss.price reduceOnly placeConditionalOrdersOnExchange"),
        **rows(no("is managed by the bot, and not done here"), "moveToBreakeven trailingStop dca"),
    },
    pattern=re.compile(r"(?:enter|exit)[-_ ](?:long|short|all)(?:_[^\r\n]*)?", re.IGNORECASE),
    text_field="code",
    split_secret=_split_secret,
    marks=frozenset({"code"}),
    is_shape=_is_shape_wundertrading,
    read=_read_wundertrading,
)


# OKX's signal bots: the message for strategies (section A of its page) and the universal one (section B).
#
# Source: https://www.okx.com/help/signal-bot-alert-message-specifications.
#
# A: `buy` or `sell` with the strategy's position before and after; its `id` is `{{strategy.order.id}}`, the name of an
# order and no identity of the alert. B: `ENTER_LONG` closes a short before it opens, and adds to a long; `EXIT_LONG`
# reduces a long and leaves a short alone. The bot holds one side only.


_FILLS_OKX = {"buy": "buy", "sell": "sell"}
_ENTRIES_OKX = {"enter_long": "long", "enter_short": "short"}
_EXITS_OKX = {"exit_long": "close_long", "exit_short": "close_short"}
_ACTIONS_OKX = {**_FILLS_OKX, **_ENTRIES_OKX, **_EXITS_OKX}
_UNITS_OKX = {
    **{"base": "base", "margin": "margin_quote", "percentage_balance": "margin_pct"},
    **{"percentage_position": "position_pct", "contract": "", "percentage_investment": ""},
}
_NOT_HERE = {
    "contract": "`contract` counts contracts of OKX, which are of another size than Bybit's; use `base`",
    "percentage_investment": "`percentage_investment` is a share of what a bot was given; use `percentage_balance`",
}
_MARKET_OKX = {
    "marketPosition": "market_position",
    "marketPositionSize": "market_position_size",
    "prevMarketPosition": "prev_market_position",
    "prevMarketPositionSize": "prev_market_position_size",
}
_ORDER_TYPES_OKX = {name: name for name in ("market", "limit")}


def _is_shape_okx(fields: Mapping[str, object]) -> bool:
    """Other services call their secret so, too."""
    return {"instrument", "action"} <= fields.keys() and ("signaltoken" in fields or fields.keys() <= _TOP)


def _read_okx(message: Message) -> None:
    action = message.choice("action", _ACTIONS_OKX)
    message.need("action", "`buy` or `sell` with `marketPosition`, or one such as `ENTER_LONG`")
    message.need("instrument", "name the instrument, such as `BTC-USDT-SWAP` or `BTCUSDT.P`")
    lag(message, "maxLag")
    if message.choice("orderType", _ORDER_TYPES_OKX) == "limit":
        message.refuse("orderType", "`limit` is priced by an offset from the market (`orderPriceOffset`); use `market`")
    word = str(message.raw("action")).strip().lower()
    if action is None:
        return
    if word in _FILLS_OKX:
        fill(message, action, market=_MARKET_OKX, unit="investmentType", read_size=lambda it: _amount_okx(it, word))
        return
    _amount_okx(message, word)
    if word in _ENTRIES_OKX:
        enter(message, action, action="action", size="amount")
    else:
        message.give("action", action, "action")
    for name in _MARKET_OKX:
        if message.has(name):
            message.refuse(name, "goes with the actions `buy` and `sell`")


def _amount_okx(message: Message, action: str) -> None:
    """Of a strategy's fill, `{{strategy.order.contracts}}` is an amount of the base coin."""
    unit = message.choice("investmentType", _UNITS_OKX)
    word = str(message.raw("investmentType")).strip().lower()
    if word in _NOT_HERE:
        message.refuse("investmentType", _NOT_HERE[word])
    if message.has("amount") and not message.is_blank("amount"):
        message.copy("amount", "qty")
        if action in _FILLS_OKX and not message.has("investmentType"):
            unit = "base"
        else:
            message.need("investmentType", "what the `amount` counts, such as `base` or `percentage_balance`")
    if unit == "margin_quote":
        message.give("qty_unit", "quote", "investmentType")
        message.mean("qty_unit", QtyUnit.MARGIN_QUOTE, "investmentType")
    elif unit:
        message.give("qty_unit", unit, "investmentType")
    if unit == "position_pct" and action in _ENTRIES_OKX:
        message.refuse("investmentType", "`percentage_position` is for exits")
    if unit in ("margin_quote", "margin_pct") and action in _EXITS_OKX:
        message.refuse("investmentType", f"`{word}` is for entries; an exit takes `percentage_position`")


OKX = AlertFormat(
    name="okx",
    service="OKX",
    table={
        **{"instrument": to("ticker"), "action": own("action"), "id": to("order_id"), "timestamp": to("time")},
        **{"amount": own("qty"), "investmentType": own("qty_unit"), "orderType": own("type")},
        **{path: own(native) for path, native in _MARKET_OKX.items()},
        **{"maxLag": own(), "orderPriceOffset": INFO, "signalToken": INFO},
    },
    secrets=("signaltoken",),
    marks=frozenset({"signaltoken", "instrument"}),
    is_shape=_is_shape_okx,
    read=_read_okx,
)
_TOP = {name.lower() for name in OKX.table}


# Pionex' signal bots, and Tickerly: a strategy's fill under names of their own.
#
# Sources: https://www.pionex.com/docs/api-docs/bot-api/signal (`{{strategy.position_size}}`, signed, is where the bot
# goes) and https://tickerly.net/standard-alert-message-structure (each order is placed as the strategy says).


_SIZE = ("data.position_size", "data.positionSize")


def _read_pionex(message: Message) -> None:
    path = message.only(*_SIZE)
    message.need(path or _SIZE[0], "where the strategy stands, `{{strategy.position_size}}`")
    if path is not None:
        message.copy(path, "position_size")
        message.give("action", "target", path)


PIONEX = AlertFormat(
    name="pionex",
    service="Pionex",
    table={
        **{"data.position_size": own("position_size"), "data.positionSize": own(), "symbol": to("ticker")},
        **{"price": to("signal_price"), "time": to("time")},
        **rows(INFO, "data.action data.contracts signal_type signal_param signalType signalParam"),
    },
    secrets=("signal_type", "signaltype"),
    marks=frozenset({"signal_type", "signal_param", "signaltype", "signalparam"}),
    is_shape=lambda fields: isinstance(fields.get("data"), Mapping) and "symbol" in fields,
    read=_read_pionex,
)
TICKERLY = AlertFormat(
    name="tickerly",
    service="Tickerly",
    table={
        **{"ticker": to("ticker"), "action": to("action", {"buy": "buy", "sell": "sell"}), "quantity": to("qty")},
        **{"prev_position": to("prev_market_position"), "pointer": INFO, "time": to("time")},
    },
    secrets=("pointer",),
    marks=frozenset({"pointer"}),
    is_shape=lambda fields: {"ticker", "action", "quantity"} <= fields.keys(),
)
