"""WunderTrading's Signal Bot in JSON.

Source: https://help.wundertrading.com/en/articles/10475473-signal-bot-comprehensive-json-guide and, for units,
https://wundertrading.com/docs/mcp/tools/place_strategy_trade.

`code` is the bot's own comment, such as `ENTER-LONG_Bybit_BTCUSDT_My-Bot_15M_0123abc`: what to do, the exchange, the
pair (`NONE` or `MULTIPLE-PAIRS` for several), and at its end what proves the sender. Sent as plain text it is the whole
message. Ratios are fractions: 0.01 is 1 %. Of the bot's settings, multiple entries is off, and an entry on the other
side flips, as with its swing trade setting."""

from __future__ import annotations

import re
from collections.abc import Mapping

from relay.alerts.formats.base import AlertFormat, Message, no, own, product, rows, to

_CODE = re.compile(r"(enter|exit)[-_ ](long|short|all)(?![a-z])(.*)", re.IGNORECASE | re.DOTALL)
_ACTIONS = {
    **{("enter", "long"): "long", ("enter", "short"): "short", ("exit", "all"): "flat"},
    **{("exit", "long"): "close_long", ("exit", "short"): "close_short"},
}
_UNITS = {"quote": "quote", "$": "quote", "base": "base", "percents": "equity_pct", "contracts": "contracts"}
_ORDER_TYPES = {name: name for name in ("market", "limit")}
_MINUTE_S = 60
_PARTS_MIN = 5
_SEVERAL_PAIRS = ("NONE", "MULTIPLE-PAIRS", "")
_PAIR_OF_NAME = re.compile(r"([A-Z0-9]{2,15}(?:USDT|USDC))(?![A-Z0-9])")
_SECRET_LENGTH_MIN = 16


def _is_shape(fields: Mapping[str, object]) -> bool:
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


def _read(message: Message) -> None:
    action, exchange = _code(message)
    for name in ("reduceOnly", "placeConditionalOrdersOnExchange"):
        message.flag(name)
    if action is None:
        return
    message.give("action", action, "code")
    if action in ("long", "short"):
        message.mean("stays_as_large", True, "code")
    _amount(message, action, exchange)
    _order(message)
    _take_profits(message)
    _stop_loss(message)


def _code(message: Message) -> tuple[str | None, str]:
    """What to do, and the exchange if the code names one."""
    message.need("code", "the comment of the bot, such as `ENTER-LONG`")
    found = _CODE.fullmatch(message.word("code") or "")
    action = _ACTIONS.get((found[1], found[2])) if found else None
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


def _amount(message: Message, action: str, exchange: str) -> None:
    unit = message.choice("amountPerTradeType", _UNITS)
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


def _order(message: Message) -> None:
    kind = message.choice("orderType", _ORDER_TYPES)
    if kind is not None:
        message.give("type", kind, "orderType")
    message.copy("price", "price")
    minutes = message.number("timeToLive")
    if minutes is not None:
        message.give("valid_for", product(minutes, _MINUTE_S), "timeToLive")


def _take_profits(message: Message) -> None:
    tp_legs: list[object] = []
    for index in range(message.size_of("takeProfits")):
        tp_leg = f"takeProfits[{index}]"
        at = _level(message, tp_leg)
        message.need(f"{tp_leg}.portfolio", "the share of the position that it closes, 1 for all of it")
        share = message.percent(f"{tp_leg}.portfolio", times=100)
        if at is not None and share is not None:
            tp_legs.append({"at": at, "share": share})
    if message.size_of("takeProfits"):
        message.give("take_profit", tp_legs, "takeProfits")


def _stop_loss(message: Message) -> None:
    if isinstance(message.raw("stopLoss"), Mapping):
        level = _level(message, "stopLoss")
        if level is not None:
            message.give("stop_loss", level, "stopLoss")


def _level(message: Message, inside: str) -> str | None:
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
    is_shape=_is_shape,
    read=_read,
)
