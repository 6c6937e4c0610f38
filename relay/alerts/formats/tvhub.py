"""TV-Hub's trade command.

Source: https://www.tv-hub.org/docs/trade-command/parameter-reference/ and its pages on sizing and take profits. `token`
proves the sender; `apiKey` names an account there. A percentage of the balance is read as the notional, which is never
more than it means. `isClose` closes all; `closeLong` and `closeShort` choose the side."""

from __future__ import annotations

from relay.alerts.formats.base import INFO, AlertFormat, Message, no, own, rows, to

_FLAGS = {"isBuy": "long", "isSell": "short", "isClose": "close"}
_SIDES = {"buy": "long", "sell": "short"}
_UNITS = {
    **{"absolute": "base", "percent": "equity_pct", "percentbalance": "equity_pct", "percentwallet": "equity_pct"},
    "percentposition": "position_pct",
}
_KINDS = {name: name for name in ("percent", "absolute")}
_ELSEWHERE = "names a market that is not Bybit's perpetuals; leave it out or write `bybit`"


def _read(message: Message) -> None:
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
        word = message.choice("orderType", _SIDES)
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
    unit = message.choice("unitsType", _UNITS) if message.has("unitsType") else None
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


_MANAGED = "is managed by TV-Hub, and not done here"

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
        **rows(no(_MANAGED, unless_off=True), "takeProfitExpression stopLossExpression useTrailingStopLoss"),
        **rows(no(_MANAGED, unless_off=True), "trailingStopLossPercent useDca dcaOrderCount useEntireAccountBalance"),
        **rows(no(_MANAGED, unless_off=True), "delay delaySeconds preventPyramiding closeCurrentPosition"),
    },
    secrets=("token", "apikey"),
    marks=frozenset({"isbuy", "issell", "isclose", "unitstype"}),
    is_shape=lambda fields: "pair" in fields,
    read=_read,
)
