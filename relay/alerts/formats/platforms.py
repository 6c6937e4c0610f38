"""Trading platforms whose messages say by themselves what to do: Autoview and ProfitView, TV-Hub, Altrady, Mizar,
Finandy and SignalBee."""

from __future__ import annotations

import re
from collections.abc import Mapping

from relay.alerts.formats.base import INFO, NOT_REAL, AlertFormat, Message, no, own, percent, rows, to

# TV-Hub's trade command.
#
# Source: https://www.tv-hub.org/docs/trade-command/parameter-reference/ and its pages on sizing and take profits.
# `token` proves the sender; `apiKey` names an account there. A percentage of the balance is read as the notional, which
# is never more than it means. `isClose` closes all; `closeLong` and `closeShort` choose the side.


_FLAGS = {"isBuy": "long", "isSell": "short", "isClose": "close"}
_SIDES_TVHUB = {"buy": "long", "sell": "short"}
_UNITS_TVHUB = {
    **{"absolute": "base", "percent": "equity_pct", "percentbalance": "equity_pct", "percentwallet": "equity_pct"},
    "percentposition": "position_pct",
}
_KINDS = {name: name for name in ("percent", "absolute")}
_ELSEWHERE = "names a market that is not Bybit's perpetuals; leave it out or write `bybit`"


def _read_tvhub(message: Message) -> None:
    exchange = message.venue()
    if "spot" in exchange or "testnet" in exchange or "coinbase" in exchange:
        message.refuse("exchange", _ELSEWHERE)
    message.need("pair", "name the instrument, such as `BTCUSDT`")
    action = _action(message)
    if action is None:
        return
    message.give("action", action, message.names["action"])
    _size(message, closes=action.startswith("close"))
    if message.flag("isLimit") or message.flag("isMarket") is False:
        message.give("type", "limit", "isLimit")
        message.copy("price", "price")
        if message.flag("postOnly"):
            message.give("time_in_force", "PostOnly", "postOnly")
    _stops(message)


def _action(message: Message) -> str | None:
    wanted = {path: meant for path, meant in _FLAGS.items() if message.flag(path)}
    if message.has("orderType") and not wanted:
        word = message.choice("orderType", _SIDES_TVHUB)
        wanted = {"orderType": word} if word else {}
    if len(wanted) != 1:
        names = "`, `".join(wanted) or "isBuy`, `isSell` and `isClose"
        message.refuse("isBuy", f"is unclear: one of `{names}` must be true, and only one")
        return None
    [(path, meant)] = wanted.items()
    message.names["action"] = path
    if meant != "close":
        return meant
    sides = [side for side in ("long", "short") if message.flag(f"close{side}")]
    return f"close_{sides[0]}" if len(sides) == 1 else "close"


def _size(message: Message, *, closes: bool) -> None:
    if message.flag("useFixedSize"):
        message.copy("fixedQuoteSize", "qty")
        message.need("fixedQuoteSize", "the size in the quote coin")
        message.give("qty_unit", "quote", "useFixedSize")
        return
    if closes and not any(message.has(path) and not message.is_blank(path) for path in ("units", "unitsPercent")):
        return
    unit = message.choice("unitsType", _UNITS_TVHUB) if message.has("unitsType") else None
    if str(message.raw("unitsType")).lower() == "risk":
        message.refuse("unitsType", '`risk` is written "qty_unit": "risk_pct" in a native alert')
    path = message.only("units", "unitsPercent")
    if closes and (unit == "equity_pct" or (unit is None and path == "unitsPercent")):
        message.copy("unitsPercent", "qty")
        message.refuse("unitsType", "of a close must be `percentPosition` or `absolute`; leave both out to close all")
        return
    if path is None:
        return
    if path == "unitsPercent" and unit is None:
        unit = "equity_pct"
    message.copy(path, "qty")
    message.give("qty_unit", unit or "base", "unitsType")


def _stops(message: Message) -> None:
    kind = message.choice("stopLossType", _KINDS) if message.has("stopLossType") else None
    if message.has("stopLossPercent") and kind != "absolute":
        share = message.percent("stopLossPercent")
        if share is not None:
            message.give("stop_loss", share, "stopLossPercent")
    elif message.has("stopLoss"):
        if kind == "percent":
            message.refuse("stopLoss", "needs `stopLossPercent` beside a `stopLossType` of percent")
        message.copy("stopLoss", "stop_loss")
    elif message.has("stopLossType"):
        message.refuse("stopLossType", "needs `stopLossPercent` or `stopLoss`")
    count = message.size_of("targets")
    absolute = message.choice("targetType", _KINDS) == "absolute"
    legs = [_target(message, f"targets[{index}]", absolute=absolute, alone=count == 1) for index in range(count)]
    if legs:
        message.give("take_profit", [leg for leg in legs if leg], "targets")


def _target(message: Message, inside: str, *, absolute: bool, alone: bool) -> dict[str, object] | None:
    name = "price" if absolute else "takeProfitPercent"
    message.need(f"{inside}.{name}", "where the take profit is")
    at = str(message.raw(f"{inside}.price")) if absolute else message.percent(f"{inside}.{name}")
    if not message.has(f"{inside}.amount") and alone:
        return {"at": at} if at else None
    if not message.flag("targetAmountInPercent"):
        message.refuse(f"{inside}.amount", "is an amount of coins; set `targetAmountInPercent` and give percentages")
        return None
    share = message.percent(f"{inside}.amount")
    message.need(f"{inside}.amount", "the percent of the position that it closes")
    return {"at": at, "share": share} if at and share else None


_MANAGED_TVHUB = "is managed by TV-Hub, and not done here"

TVHUB = AlertFormat(
    name="tvhub",
    service="TV-Hub",
    table={
        **{"pair": to("ticker"), "exchange": own(chooses=True), "leverage": to("leverage"), "price": own("price")},
        **{"isBuy": own("action", chooses=True), "units": own("qty"), "unitsType": own("qty_unit", chooses=True)},
        "isLimit": own("type"),
        **{"stopLoss": own("stop_loss"), "targets": own("take_profit"), "comment": to("comment")},
        **rows(own(chooses=True), "isSell isClose orderType closeLong closeShort unitsPercent useFixedSize"),
        **rows(own(), "isMarket postOnly"),
        **rows(own(), "fixedQuoteSize stopLossType stopLossPercent targetType targetAmountInPercent"),
        **rows(own(), "targets[].price targets[].takeProfitPercent targets[].amount"),
        **rows(INFO, "token apiKey marginType alertTimestamp"),
        **rows(no(_MANAGED_TVHUB, unless_off=True), "takeProfitExpression stopLossExpression useTrailingStopLoss"),
        **rows(
            no(_MANAGED_TVHUB, unless_off=True), "trailingStopLossPercent useDca dcaOrderCount useEntireAccountBalance"
        ),
        **rows(no(_MANAGED_TVHUB, unless_off=True), "delay delaySeconds preventPyramiding closeCurrentPosition"),
    },
    secrets=("token", "apikey"),
    marks=frozenset({"isbuy", "issell", "isclose", "unitstype"}),
    is_shape=lambda fields: "pair" in fields,
    read=_read_tvhub,
)


# Altrady's webhook signals.
#
# Source: https://support.altrady.com/en/article/webhook-signals-open-increase-reduce-close-or-reverse-a-position-p0ul1i
# and https://support.altrady.com/en/article/webhook-valid-values-for-exchange-and-symbol-1xrzfap/. Both key and secret
# of the bot stand in the message. `reverse` closes the position and opens one on `side`; `quote_amount` is in the quote
# coin. A symbol is `BYBIF_USDT_BTC` or as the exchange spells it.


_SIDES_ALTRADY = {"long": "long", "short": "short"}
_ACTIONS_ALTRADY = {name: name for name in ("open", "reverse", "close", "increase", "reduce")}
_MARKET = re.compile(r"([A-Z]{2,6})_([A-Z0-9]+)_([A-Z0-9]+)")
_SPOT = re.compile("BINA|BIUS|BYBI|BVVO|CRO|GATE|GDAX|HITB|HUBI|KUCN|KRKN|MEXC|OKEX|PLNX|WOO|BTRX")
_IS_SPOT = "is the code of a spot exchange at Altrady, and perpetuals are traded here; write `BYBIF`"
_BOT = "switches a bot; here that is `python -m relay halt`, `resume` or `flatten`"
_IN_PARTS = "adds to or takes from a position of Altrady's; send a native alert with `buy`, or with `close` and a `qty`"
_ORDERS = "is a set of orders that Altrady places; send `take_profit`, `stop_loss` in a native alert"


def _read_altrady(message: Message) -> None:
    word = message.word("action") if message.has("action") else "open"
    if word is not None and word.startswith(("start_", "stop_")):
        message.refuse("action", f"`{word}` {_BOT}")
        return
    action = message.choice("action", _ACTIONS_ALTRADY) if message.has("action") else "open"
    if action in ("increase", "reduce"):
        message.refuse("action", f"`{action}` {_IN_PARTS}")
        return
    side = message.choice("side", _SIDES_ALTRADY)
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
    read=_read_altrady,
)


# Mizar's DCA bots.
#
# Source: https://docs.mizar.com/c-mizar-manual/dca-bots/send-signals-sdk/tradingview-webhook. Fractions, not percent:
# `take_profit_pct` 0.05 is 5 %. `position_size` is a part of the bot's own size. An order at `open_order_price` that is
# not filled within `open_position_expiration` seconds (300 where it is left out) is cancelled.


_ACTIONS_MIZAR = {"open-position": "open", "close-position": "close"}
_SIDES_MIZAR = {"long": "long", "short": "short"}
_EXPIRATION_S = "300"
_OF_BOT = "is a part of the size that the bot is set to; send `qty` in a native alert"
_MANAGED_MIZAR = "is managed by the bot, and not done here"


def _read_mizar(message: Message) -> None:
    action = message.choice("action", _ACTIONS_MIZAR)
    message.need("action", "`open-position` or `close-position`")
    side = message.choice("side", _SIDES_MIZAR)
    coins = [message.word(path) or "" for path in ("base_asset", "quote_asset") if message.has(path)]
    for path in ("base_asset", "quote_asset"):
        message.need(path, "the instrument's coins, such as `BTC` and `USDT`")
    message.give("ticker", "".join(coins).upper(), "base_asset")
    is_whole = action == "close" and message.is_blank("position_size")
    if message.has("position_size") and not is_whole and message.number("position_size") != 1:
        message.refuse("position_size", _OF_BOT)
    if action == "close":
        message.give("action", f"close_{side}" if side else "close", "action")
        return
    if action is None:
        return
    message.need("side", "`long` or `short`: only the bot knows on which side it trades")
    message.give("action", side or "long", "action")
    message.mean("stays_as_large", True, "action")
    if message.has("open_order_price"):
        message.give("type", "limit", "open_order_price")
        message.copy("open_order_price", "price")
        message.give("valid_for", message.raw("open_position_expiration") or _EXPIRATION_S, "open_position_expiration")


MIZAR = AlertFormat(
    name="mizar",
    service="Mizar",
    table={
        **{"action": own("action", chooses=True), "side": own(chooses=True)},
        **{"base_asset": own("ticker", chooses=True), "quote_asset": own(chooses=True)},
        **{"take_profit_pct": percent("take_profit", times=100), "stop_loss_pct": percent("stop_loss", times=100)},
        **{
            "position_size": own(chooses=True),
            "open_order_price": own("price"),
            "open_position_expiration": own("valid_for"),
        },
        **rows(INFO, "bot_id api_key strategy_id"),
        **rows(
            no(_MANAGED_MIZAR, unless_off=True), "market_at_expiration trailing_stop_loss trailing_take_profit size"
        ),
    },
    secrets=("api_key",),
    marks=frozenset({"base_asset"}),
    own_actions=frozenset({"open-position", "close-position"}),
    is_shape=lambda fields: {"base_asset", "quote_asset", "action"} <= fields.keys(),
    read=_read_mizar,
)


# Finandy's signals.
#
# Source: https://docs.infinityalgo.com/trading-guide/trading-guide/automating-infinity-algo-alerts-via-finandy and the
# fields that a public rebuild of its hooks lists. `positionSide` is `{{strategy.market_position}}`. Of take profits and
# stops `ofs` is percent from the entry, and a `price` beside it counts instead; `piece` is percent of the position.
# Sizes inside of `open` count what the hook is set to, so they are refused. `tp.update` moves the take profits of an
# open position, which a later alert's do here, too.


_ACTIONS_FINANDY = {"buy": "buy", "sell": "sell"}
_SIDES_FINANDY = {"long": "long", "short": "short", "flat": "flat", "both": ""}
_SET = "counts what the hook at Finandy is set to (coins, money or percent); send `qty` and `qty_unit` instead"
_MANAGED_FINANDY = "is managed by Finandy, and not done here; leave it out"


def _read_finandy(message: Message) -> None:
    message.need("side", "`buy` or `sell`")
    message.need("symbol", "name the instrument, such as `BTCUSDT.P`")
    if _is_on(message, "tp"):
        count = message.size_of("tp.orders")
        if not count:
            message.refuse("tp.orders", "is missing: a list of `ofs` and `piece`; leave `tp` out if none is meant")
        legs = [_leg(message, f"tp.orders[{index}]", alone=count == 1) for index in range(count)]
        message.give("take_profit", [leg for leg in legs if leg], "tp.orders")
    if _is_on(message, "sl"):
        level = _level(message, "sl")
        if level is not None:
            message.give("stop_loss", level, "sl")


def _is_on(message: Message, inside: str) -> bool:
    """One that is there and says nothing else is meant: what it is set to at Finandy nobody knows here."""
    return isinstance(message.raw(inside), Mapping) and message.flag(f"{inside}.enabled") is not False


def _leg(message: Message, inside: str, *, alone: bool) -> dict[str, object] | None:
    at = _level(message, inside)
    if not message.has(f"{inside}.piece") and alone:
        return {"at": at} if at else None
    message.need(f"{inside}.piece", "the percent of the position that it closes")
    share = message.percent(f"{inside}.piece")
    return {"at": at, "share": share} if at and share else None


def _level(message: Message, inside: str) -> str | None:
    if message.has(f"{inside}.price") and not message.is_blank(f"{inside}.price"):
        return None if message.number(f"{inside}.price") is None else str(message.raw(f"{inside}.price")).strip()
    message.need(f"{inside}.ofs", "how far from the entry, in percent")
    return message.percent(f"{inside}.ofs")


FINANDY = AlertFormat(
    name="finandy",
    service="Finandy",
    table={
        **{
            "side": to("action", _ACTIONS_FINANDY),
            "symbol": to("ticker"),
            "positionSide": to("market_position", _SIDES_FINANDY),
        },
        **{"tp.orders": own("take_profit"), "sl": own("stop_loss"), "name": INFO, "secret": INFO},
        **rows(own(), "tp.orders[].ofs tp.orders[].price tp.orders[].piece sl.ofs sl.price tp.enabled sl.enabled"),
        **rows(INFO, "tp.update sl.update"),
        **{
            "open.*": no(_SET),
            "dca.*": no(_MANAGED_FINANDY),
            "close.*": no(_SET, chooses=True),
            "slx.*": no(_MANAGED_FINANDY),
        },
    },
    object_marks=frozenset({"tp", "sl", "slx", "open", "dca"}),
    is_shape=lambda fields: {"side", "symbol"} <= fields.keys() and "action" not in fields,
    read=_read_finandy,
)


# SignalBee's webhook.
#
# Source: https://signalbee.trade/docs/webhook-templates. `percentage` is of the balance: read as the notional in
# percent of the equity on a buy, and of the position where the order only reduces; a plain `sell` of a percentage could
# mean either.


_ACTIONS_SIGNALBEE = {"buy": "buy", "sell": "sell", "close": "close"}
_UNITS_SIGNALBEE = {"fixed": "base", "percentage": "equity_pct"}
_TYPES = {
    **{"market": "market", "limit": "limit", "stop_loss": "stop_market", "stop_limit": "stop_limit"},
    **{"take_profit": "market_if_touched", "take_profit_limit": "limit_if_touched"},
}


def _read_signalbee(message: Message) -> None:
    action = message.choice("side", _ACTIONS_SIGNALBEE)
    message.need("side", "`buy`, `sell` or `close`")
    message.need("symbol", "name the instrument, such as `BTC-USDT`")
    if action is not None:
        message.give("action", action, "side")
    unit = message.choice("quantity_type", _UNITS_SIGNALBEE)
    if message.has("quantity"):
        message.copy("quantity", "qty")
        message.need("quantity_type", "`fixed` or `percentage`")
    if unit == "equity_pct" and (action == "close" or message.flag("reduce_only")):
        unit = "position_pct"
    elif unit == "equity_pct" and action == "sell":
        message.refuse("quantity_type", "`percentage` of a `sell` could be of the position or of the balance; set "
                       "`reduce_only` to true, or send `qty` and `qty_unit` in a native alert")  # fmt: skip
    if unit is not None and message.has("quantity"):
        message.give("qty_unit", unit, "quantity_type")


SIGNALBEE = AlertFormat(
    name="signalbee",
    service="SignalBee",
    table={
        **{"side": own("action", chooses=True), "symbol": to("ticker"), "quantity": own("qty", chooses=True)},
        "quantity_type": own("qty_unit", chooses=True),
        **{"source_timestamp": to("time"), "signal_price": to("signal_price"), "type": to("type", _TYPES)},
        **{"price": to("price"), "stop_price": to("trigger_price"), "reduce_only": to("reduce_only")},
        "webhook_secret": INFO,
    },
    secrets=("webhook_secret",),
    marks=frozenset({"webhook_secret"}),
    is_shape=lambda fields: {"side", "symbol"} <= fields.keys(),
    read=_read_signalbee,
)


# Autoview's commands, and ProfitView's, which are spelled alike.
#
# Source: https://autoview.com/syntax, https://autoview.com/builder/oanda/ (`b`, `c`, separators) and, for ProfitView,
# https://github.com/profitview/support (syntax-guide.md) and http://wiki.profitview.app/syntax/risk (a percentage of
# `q` is margin, times the leverage `l`). A command is pairs with blanks between them; a line or `|` ends it. "Cancel,
# close the other side, open" is one native `long` or `short`. A level with a sign, or without `%`, is read by these two
# in ways of their own, so it is refused.


Command = dict[str, str]
_PAIR = r"[a-z]{1,10}=[^\s|=]*"
_COMMAND = rf"[ \t]*{_PAIR}(?:[ \t]+{_PAIR})*[ \t]*"
_LABEL = r"(?:[^\n|={}]{0,60}[|\n])?"
_KEYS = frozenset({"a", "e", "s", "b", "c", "q", "t", "p", "l", "sl", "tp", "ts", "delay", "ro", "d", "u"})
_OPENS = {"long": "long", "short": "short", "buy": "buy", "sell": "sell"}
_SIDES = {"long": "long", "short": "short", "buy": "long", "sell": "short"}
_LEVEL = re.compile(r"\d+(?:\.\d+)?%", re.ASCII)
_PRICE = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_SHARED = ("a", "e", "s")


def _read(message: Message) -> None:
    commands = _commands(message)
    for key in _SHARED:
        if len({command[key] for command in commands if command.get(key)}) > 1:
            message.refuse(key, "differs between the commands; send an alert for each")
    shared = {key: value for command in commands for key, value in command.items() if key in _SHARED and value}
    if "s" not in shared:
        message.refuse("s", "is missing: name the instrument, such as `s=BTCUSDT`")
    elif "test" in shared.get("e", "").lower() or "spot" in shared.get("e", "").lower():
        message.refuse("e", "names a test or a spot market, and Bybit's perpetuals are traded here; write `e=bybit`")
    message.give("ticker", shared.get("s", ""), "s")
    if "a" in shared:
        message.give("account", shared["a"], "a")
    opening = [command for command in commands if "b" in command and "c" not in command]
    closing = [command for command in commands if command.get("c") == "position"]
    if len(opening) > 1:
        message.refuse("b", "opens twice; send an alert for each order")
    elif opening:
        _open(message, opening[0], closing)
    elif closing:
        _close(message, closing)
    elif any(command.get("c") == "order" for command in commands):
        message.give("action", "cancel", "c")
    else:
        message.refuse("b", "is missing: `b=long`, `b=short`, `c=position` or `c=order`")


def _commands(message: Message) -> list[Command]:
    """Without what is only a label or a pause."""
    commands = []
    for text in re.split(r"[\r\n|]+", str(message.raw("message"))):
        command = {key.lower(): value for key, _, value in (pair.partition("=") for pair in text.split()) if _}
        for key in command.keys() - _KEYS:
            message.refuse(key, "is no key of Autoview's that relay reads; leave it out")
        if any(key in command for key in ("fp", "fq")):
            message.refuse("p", "is fixed by `fp` or `fq` in a way that relay does not read; send `t=limit` with `p`")
        if command.get("d", "0") not in ("0", ""):
            message.refuse("d", "turns the command off, and here every alert is for real; take it out to trade")
        if command.get("c", "order") not in ("order", "position"):
            message.refuse("c", "must be `order` or `position`")
        if command.keys() - {"delay"}:
            commands.append(command)
    return commands


def _open(message: Message, command: Command, closing: list[Command]) -> None:
    word = _OPENS.get(command["b"].lower())
    if word is None:
        message.refuse("b", "must be `long`, `short`, `buy` or `sell`")
        return
    side = _SIDES[word]
    others = {_SIDES.get(each.get("b", "").lower(), "both") for each in closing}
    if side in others or "both" in others:
        message.refuse("c", f"closes the {side} that the same alert opens; send an alert for each")
    leaves = bool(closing)
    message.give("action", side if leaves else "buy" if side == "long" else "sell", "b")
    _kind(message, command.get("t", ""), command)
    _command_size(message, command)
    for key, native in (("tp", "take_profit"), ("sl", "stop_loss"), ("ts", "trailing_stop")):
        if key in command and not _LEVEL.fullmatch(command[key]):
            message.refuse(key, "must be a percentage without a sign, such as `2%`")
        elif key in command:
            message.give(native, command[key], key)
    if command.get("ro", "0") not in ("0", ""):
        message.give("reduce_only", "true", "ro")


def _kind(message: Message, kind: str, command: Command) -> None:
    if kind.lower() == "limit" and _PRICE.fullmatch(command.get("p", "")):
        message.give("type", "limit", "t")
        message.give("price", command["p"], "p")
    elif kind.lower() != "market":
        message.refuse("t", "must be `market`, or `limit` with a price `p` that is a plain number")


def _command_size(message: Message, command: Command) -> None:
    if command.get("u"):
        message.refuse("u", "is not read here; send `q` in coins")
    if command.get("l"):
        message.give("leverage", command["l"].removesuffix("x"), "l")
    size = command.get("q")
    if size is None:
        return
    if size.endswith("%") and not command.get("l"):
        message.refuse("q", "in percent is margin, and without a leverage `l` its size is not known; add such as `l=5`")
    message.give("qty", size.removesuffix("%"), "q")
    message.give("qty_unit", "margin_pct" if size.endswith("%") else "base", "q")


def _close(message: Message, closing: list[Command]) -> None:
    sides = {_SIDES.get(each.get("b", "").lower(), "both") for each in closing}
    message.give("action", f"close_{sides.pop()}" if len(sides) == 1 and "both" not in sides else "close", "c")
    for each in closing[:1]:
        _kind(message, each.get("t", "market"), each)
    if len({(each.get("t", "market").lower(), each.get("p")) for each in closing}) > 1:
        message.refuse("t", "differs between the positions; send an alert for each")
    sizes = {each["q"] for each in closing if each.get("q")} - {"100%"}
    if len(sizes) > 1 or (sizes and len(closing) > 1):
        message.refuse("q", "of more than one position; send an alert for each")
    elif sizes:
        size = sizes.pop()
        message.give("qty", size.removesuffix("%"), "q")
        message.give("qty_unit", "position_pct" if size.endswith("%") else "base", "q")


AUTOVIEW = AlertFormat(
    name="autoview",
    service="Autoview or ProfitView",
    table={
        **{"message": own(), "s": own("ticker", chooses=True), "b": own("action", chooses=True)},
        **{"q": own("qty", chooses=True), "t": own("type", chooses=True)},
        **{"p": own("price", chooses=True), "l": own("leverage"), "tp": own("take_profit"), "sl": own("stop_loss")},
        **{"ts": own("trailing_stop"), "a": own("account", chooses=True), "ro": own("reduce_only")},
        **rows(own(chooses=True), "c e d u"),
        "delay": own(),
    },
    text_words=("b=", "c="),
    pattern=re.compile(rf"(?i:{_LABEL}(?=.*\b[bc]=\w){_COMMAND}(?:[\r\n|](?:{_COMMAND}|[ \t]*))*)", re.DOTALL),
    read=_read,
)
