"""Mizar's DCA bots.

Source: https://docs.mizar.com/c-mizar-manual/dca-bots/send-signals-sdk/tradingview-webhook. Fractions, not percent:
`take_profit_pct` 0.05 is 5 %. `position_size` is a part of the bot's own size. An order at `open_order_price` that is
not filled within `open_position_expiration` seconds (300 where it is left out) is cancelled."""

from __future__ import annotations

from relay.alerts.formats.base import INFO, AlertFormat, Message, no, own, percent, rows

_ACTIONS = {"open-position": "open", "close-position": "close"}
_SIDES = {"long": "long", "short": "short"}
_EXPIRATION_S = "300"
_OF_BOT = "is a part of the size that the bot is set to; send `qty` in a native alert"
_MANAGED = "is managed by the bot, and not done here"


def _read(message: Message) -> None:
    action = message.choice("action", _ACTIONS)
    message.need("action", "`open-position` or `close-position`")
    side = message.choice("side", _SIDES)
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
        **rows(no(_MANAGED, unless_off=True), "market_at_expiration trailing_stop_loss trailing_take_profit size"),
    },
    secrets=("api_key",),
    marks=frozenset({"base_asset"}),
    own_actions=frozenset({"open-position", "close-position"}),
    is_shape=lambda fields: {"base_asset", "quote_asset", "action"} <= fields.keys(),
    read=_read,
)
