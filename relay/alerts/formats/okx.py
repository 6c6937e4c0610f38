"""OKX's signal bots: the message for strategies (section A of its page) and the universal one (section B).

Source: https://www.okx.com/help/signal-bot-alert-message-specifications.

A: `buy` or `sell` with the strategy's position before and after; its `id` is `{{strategy.order.id}}`, the name of an
order and no identity of the alert. B: `ENTER_LONG` closes a short before it opens, and adds to a long; `EXIT_LONG`
reduces a long and leaves a short alone. The bot holds one side only."""

from __future__ import annotations

from collections.abc import Mapping

from relay.alerts.formats.base import INFO, AlertFormat, Message, enter, fill, lag, own, to
from relay.domain.signal import QtyUnit

_FILLS = {"buy": "buy", "sell": "sell"}
_ENTRIES = {"enter_long": "long", "enter_short": "short"}
_EXITS = {"exit_long": "close_long", "exit_short": "close_short"}
_ACTIONS = {**_FILLS, **_ENTRIES, **_EXITS}
_UNITS = {
    **{"base": "base", "margin": "margin_quote", "percentage_balance": "margin_pct"},
    **{"percentage_position": "position_pct", "contract": "", "percentage_investment": ""},
}
_NOT_HERE = {
    "contract": "`contract` counts contracts of OKX, which are of another size than Bybit's; use `base`",
    "percentage_investment": "`percentage_investment` is a share of what a bot was given; use `percentage_balance`",
}
_MARKET = {
    "marketPosition": "market_position",
    "marketPositionSize": "market_position_size",
    "prevMarketPosition": "prev_market_position",
    "prevMarketPositionSize": "prev_market_position_size",
}
_ORDER_TYPES = {name: name for name in ("market", "limit")}


def _is_shape(fields: Mapping[str, object]) -> bool:
    """Other services call their secret so, too."""
    return {"instrument", "action"} <= fields.keys() and ("signaltoken" in fields or fields.keys() <= _TOP)


def _read(message: Message) -> None:
    action = message.choice("action", _ACTIONS)
    message.need("action", "`buy` or `sell` with `marketPosition`, or one such as `ENTER_LONG`")
    message.need("instrument", "name the instrument, such as `BTC-USDT-SWAP` or `BTCUSDT.P`")
    lag(message, "maxLag")
    if message.choice("orderType", _ORDER_TYPES) == "limit":
        message.refuse("orderType", "`limit` is priced by an offset from the market (`orderPriceOffset`); use `market`")
    word = str(message.raw("action")).strip().lower()
    if action is None:
        return
    if word in _FILLS:
        fill(message, action, market=_MARKET, unit="investmentType", read_size=lambda it: _amount(it, word))
        return
    _amount(message, word)
    if word in _ENTRIES:
        enter(message, action, action="action", size="amount")
    else:
        message.give("action", action, "action")
    for name in _MARKET:
        if message.has(name):
            message.refuse(name, "goes with the actions `buy` and `sell`")


def _amount(message: Message, action: str) -> None:
    """Of a strategy's fill, `{{strategy.order.contracts}}` is an amount of the base coin."""
    unit = message.choice("investmentType", _UNITS)
    word = str(message.raw("investmentType")).strip().lower()
    if word in _NOT_HERE:
        message.refuse("investmentType", _NOT_HERE[word])
    if message.has("amount") and not message.is_blank("amount"):
        message.copy("amount", "qty")
        if action in _FILLS and not message.has("investmentType"):
            unit = "base"
        else:
            message.need("investmentType", "what the `amount` counts, such as `base` or `percentage_balance`")
    if unit == "margin_quote":
        message.give("qty_unit", "quote", "investmentType")
        message.mean("qty_unit", QtyUnit.MARGIN_QUOTE, "investmentType")
    elif unit:
        message.give("qty_unit", unit, "investmentType")
    if unit == "position_pct" and action in _ENTRIES:
        message.refuse("investmentType", "`percentage_position` is for exits")
    if unit in ("margin_quote", "margin_pct") and action in _EXITS:
        message.refuse("investmentType", f"`{word}` is for entries; an exit takes `percentage_position`")


OKX = AlertFormat(
    name="okx",
    service="OKX",
    table={
        **{"instrument": to("ticker"), "action": own("action"), "id": to("order_id"), "timestamp": to("time")},
        **{"amount": own("qty"), "investmentType": own("qty_unit"), "orderType": own("type")},
        **{path: own(native) for path, native in _MARKET.items()},
        **{"maxLag": own(), "orderPriceOffset": INFO, "signalToken": INFO},
    },
    secrets=("signaltoken",),
    marks=frozenset({"signaltoken", "instrument"}),
    is_shape=_is_shape,
    read=_read,
)
_TOP = {name.lower() for name in OKX.table}
