"""TradersPost's webhook messages.

Source: https://docs.traderspost.io/docs/core-concepts/signals/webhooks (fields and examples),
https://docs.traderspost.io/docs/learn/platform-concepts/order-behavior (what `buy`, `sell`, `exit` and `sentiment` do),
https://docs.traderspost.io/docs/learn/platform-concepts/position-sizing (`quantityType`, and what is subtracted from
the quantity of a reversal), https://docs.traderspost.io/releases (formulas, June 2026; `breakeven`, March 2026) and
https://traderspost.io/reference/strategy-field/allow-side-swapping (`reverse`).

`buy` cancels open orders, leaves a short and enters a long; with a long open it is refused. `sell` mirrors it. With a
`sentiment` of the other side it only reduces, with `flat` it leaves everything, whatever the quantity. Without a
quantity an exit is whole."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, DecimalException
from functools import partial

from relay.alerts.fields import KNOWN
from relay.alerts.formats.base import INFO, NOT_REAL, AlertFormat, Message, no, own, rows, to
from relay.alerts.parse import number_text, read_number
from relay.alerts.wording import shown
from relay.domain.signal import Action
from relay.errors import AlertInvalid

_OPTION = "chooses an option contract, and perpetuals are traded here"
_STOCKS = "is for stocks: a perpetual has no other hours"
_LIMITED = "asks for a limit order behind the stop, and a stop loss is a market order here"
_ACTIONS = {name: name for name in ("buy", "sell", "exit", "cancel", "add", "reverse", "breakeven")}
_SENTIMENTS = {"bullish": "long", "long": "long", "bearish": "short", "short": "short", "flat": "flat"}
_SIDES = {"buy": "long", "sell": "short"}
_UNITS = {
    **{"fixed_quantity": "contracts", "dollar_amount": "quote", "amount_per_position": "quote"},
    **{"risk_dollar_amount": "risk_quote", "risk_per_position": "risk_quote", "risk_percent": "risk_pct"},
    **{"percent_of_equity": "equity_pct", "percent_of_position": "position_pct"},
}
_TYPES = {"market": "market", "limit": "limit", "stop": "stop_market", "stop_limit": "stop_limit"}
_ORDER_TYPES = {**_TYPES, "trailing_stop": "trailing_stop"}
_TIMES_IN_FORCE = {"gtc": "GTC", "ioc": "IOC", "fok": "FOK", "day": "day", "opg": "opg", "cls": "cls"}
_STOP_TYPES = {name: name for name in ("stop", "stop_limit", "trailing_stop")}


def _is_shape(fields: Mapping[str, object]) -> bool:
    """A field of relay's own makes it a native alert; beside a `sentiment` people write `qty` for `quantity`."""
    others = _NOT_OURS if "sentiment" in fields else _NOT_OURS | {"qty"}
    return {"ticker", "action"} <= fields.keys() and others.isdisjoint(fields)


def _read(message: Message) -> None:
    action = message.choice("action", _ACTIONS)
    message.need("ticker", "name the instrument, such as `BTCUSDT.P`")
    message.need("action", "one of `buy`, `sell`, `exit`, `reverse`, `cancel` and `add`")
    message.copy("signalPrice" if message.has("signalPrice") else "price", "signal_price")
    _unusual(message, action)
    if action == "breakeven":
        message.refuse("action", "`breakeven` is not done here; send a take profit with `then` set to `breakeven`")
    if action in (None, "breakeven"):
        return
    assert action is not None
    if action == "exit" and str(message.raw("orderType")).lower() == "trailing_stop":
        _trail_the_position(message)
        return
    _quantity(message, action)
    _order(message)
    _take_profit(message)
    _stop_loss(message)
    _act(message, action)


def _act(message: Message, action: str) -> None:
    sentiment = message.choice("sentiment", _SENTIMENTS)
    side = _SIDES.get(action)
    if side is None and message.has("sentiment"):
        message.refuse("sentiment", "goes with `buy` and `sell` only")
    if side is None:
        meant = {"exit": "close"}.get(action, action)
    elif sentiment == "flat":
        meant = "flat"
    elif sentiment is not None and sentiment != side:
        meant = f"close_{sentiment}"
    else:
        meant = side
        message.mean("stays_as_large", True, "action")
        if sentiment is not None and "qty" in message.native:
            message.mean("may_hold_exit", True, message.names["qty"])
    _cancel(message, action, meant)


def _cancel(message: Message, action: str, meant: str) -> None:
    """Open orders are cancelled before all but an addition, unless the message says no."""
    cancels = message.flag("cancel")
    if cancels is False and (meant == "flat" or (meant == "close" and "qty" not in message.native)):
        # The fill of a strategy that is flat afterwards leaves whatever is open, and cancels nothing.
        message.give("action", "sell", "action")
        message.give("market_position", "flat", "action")
        message.internal["has_synthetic_position"] = True
        return
    if cancels is False and meant not in ("add", "cancel"):
        message.refuse("cancel", f"cannot be `false` for {_worded(action)}: it first cancels what rests of the relay's")
    if meant == "add":
        # Judged as an entry; on which side the position says.
        message.give("action", "buy", "action")
        message.mean("action", Action.ADD, "action")
        message.mean("clears_first", bool(cancels), "cancel")
        return
    message.give("action", meant, "action")


def _worded(action: str) -> str:
    return "an exit with a quantity" if action == "exit" else f"`{action}`"


def _quantity(message: Message, action: str) -> None:
    unit = message.choice("quantityType", _UNITS)
    path = message.only("quantity", "qty")
    if path is not None:
        message.copy(path, "qty")
    elif message.has("quantityType"):
        message.refuse("quantityType", "needs a `quantity`")
    if unit == "position_pct" and action in _SIDES and not message.has("sentiment"):
        message.refuse("quantityType", f"`percent_of_position` goes with `exit` and `add`, not with `{action}`")
    if path is not None:
        message.give("qty_unit", unit or "contracts", "quantityType")


def _order(message: Message) -> None:
    kind = message.choice("orderType", _ORDER_TYPES)
    if kind == "trailing_stop":
        message.refuse("orderType", "`trailing_stop` goes with `exit`; with an entry send it as `stopLoss`")
        return
    for name in ("trailAmount", "trailPercent"):
        if message.has(name):
            message.refuse(name, "needs `orderType` to be `trailing_stop`")
    if kind is not None:
        message.give("type", kind, "orderType")
    if kind is not None and kind != "market":
        message.copy("stopPrice", "trigger_price")
        message.copy("limitPrice", "price")
    else:
        for name in ("limitPrice", "stopPrice"):
            if message.has(name):
                message.refuse(name, "needs an `orderType` that uses it, such as `limit` or `stop`")
    _time_in_force(message, rests=kind not in (None, "market"))


def _time_in_force(message: Message, *, rests: bool) -> None:
    """A market order does not last as long as a day."""
    requested = message.choice("timeInForce", _TIMES_IN_FORCE)
    if requested in ("opg", "cls") or (requested == "day" and rests):
        message.refuse(
            "timeInForce", f"cannot be `{requested}`: a perpetual's market neither opens nor closes; use `gtc`"
        )
    elif requested is not None and requested != "day":
        message.give("time_in_force", requested, "timeInForce")


def _take_profit(message: Message) -> None:
    path = message.only("takeProfit.limitPrice", "takeProfit.percent", "takeProfit.amount")
    if path is None and isinstance(message.raw("takeProfit"), Mapping):
        message.refuse("takeProfit", "needs one of `limitPrice`, `percent` and `amount`")
    if path is not None and message.number(path) is not None:
        message.give("take_profit", _level(path, str(message.raw(path)).strip(), "+"), path)


def _stop_loss(message: Message) -> None:
    if not isinstance(message.raw("stopLoss"), Mapping):
        return
    kind = message.choice("stopLoss.type", _STOP_TYPES) or "stop"
    trails, stops = ("trailAmount", "trailPercent"), ("stopPrice", "percent", "amount")
    wanted, others = (trails, stops) if kind == "trailing_stop" else (stops, trails)
    if kind == "stop_limit":
        message.refuse("stopLoss.type", "`stop_limit` " + _LIMITED)
    elif message.has("stopLoss.limitPrice"):
        message.refuse("stopLoss.limitPrice", _LIMITED)
    for name in others:
        if message.has(f"stopLoss.{name}"):
            message.refuse(f"stopLoss.{name}", f"does not go with the type `{kind}`")
    path = message.only(*(f"stopLoss.{name}" for name in wanted))
    if path is None:
        message.refuse("stopLoss", f"needs one of `{'`, `'.join(wanted)}`")
    elif message.number(path) is not None:
        native = "trailing_stop" if kind == "trailing_stop" else "stop_loss"
        message.give(native, _level(path, str(message.raw(path)).strip(), "-"), path)


def _level(path: str, number: str, sign: str) -> str:
    if path.lower().endswith("percent"):
        return f"{number.lstrip('+')}%"
    return f"{sign}{number.lstrip('+')}" if path.endswith(".amount") else number


def _trail_the_position(message: Message) -> None:
    """An exit whose order trails the market is a trailing stop on the open position."""
    path = message.only("trailAmount", "trailPercent")
    if path is None:
        message.refuse("orderType", "`trailing_stop` needs `trailAmount` or `trailPercent`")
    elif message.number(path) is not None:
        message.give("trailing_stop", _level(path, str(message.raw(path)).strip(), ""), path)
    for name in ("quantity", "quantityType", "limitPrice", "stopPrice", "takeProfit", "stopLoss", "sentiment"):
        if message.has(name):
            message.refuse(name, "does not go with an exit by `trailing_stop`: it covers the whole position")
    message.give("action", "stops", "action")


def _unusual(message: Message, action: str | None) -> None:
    """Fields that ask for nothing when they are false or zero, and for what is not done here when they are not."""
    if message.flag("extendedHours"):
        message.refuse("extendedHours", _STOCKS)
    if message.flag("ignoreTradingWindows") and action not in ("exit", "cancel"):
        message.refuse("ignoreTradingWindows", "asks an entry past the limits set here; an exit always passes them")
    if message.number("delay", at_least=0):
        message.refuse("delay", "asks to wait, and a signal is executed at once here")
    if message.has("cancelOrderType") and message.word("cancelOrderType") != "all":
        message.refuse("cancelOrderType", "chooses among open orders, and all that open or add are cancelled here")


# Formulas: a text that begins with `=` is calculated from the message's other fields.


_FORMULA_LENGTH_MAX = 200
_LITERAL = frozenset({"ticker", "action", "test", "cancel"})
"""Fields that are never formulas."""
_EXACT = Context(prec=28)
_OPERATORS: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    **{ast.Add: _EXACT.add, ast.Sub: _EXACT.subtract, ast.Mult: _EXACT.multiply, ast.Div: _EXACT.divide},
    ast.Mod: _EXACT.remainder,
}
_FUNCTIONS: dict[str, Callable[..., Decimal]] = {
    **{"abs": abs, "min": min, "max": max},
    "ceil": partial(Decimal.to_integral_value, rounding=ROUND_CEILING),
    "floor": partial(Decimal.to_integral_value, rounding=ROUND_FLOOR),
}


def _calculated(fields: dict[str, object]) -> dict[str, object]:
    """`fields` with what their formulas come to. AlertInvalid names the field whose formula is not calculated here."""
    problems: dict[str, list[str]] = {}

    def settled(path: str, value: object) -> object:
        if isinstance(value, Mapping):
            return {name: settled(f"{path}.{name}", member) for name, member in value.items()}
        if not isinstance(value, str) or not value.startswith("=") or path not in _CALCULATED:
            return value
        formula = value[1:].strip()
        try:
            return number_text(_value(ast.parse(_bounded(formula), mode="eval").body, formula, fields))
        except (ValueError, SyntaxError, TypeError, DecimalException) as error:
            why = str(error) if isinstance(error, ValueError) else "is no arithmetic"
            problems[path] = [f"holds the formula {shown(value)}, which {why}; write the number that it comes to"]
            return value

    found = {name: settled(name, value) for name, value in fields.items()}
    if problems:
        text = "; ".join(f"`{name}` {each[0]}" for name, each in problems.items())
        raise AlertInvalid(text, fields=problems)
    return found


def _bounded(formula: str) -> str:
    if len(formula) > _FORMULA_LENGTH_MAX:
        raise ValueError(f"is longer than {_FORMULA_LENGTH_MAX} letters")
    return formula


def _value(node: ast.expr, formula: str, fields: Mapping[str, object]) -> Decimal:
    """Sums, products, `signal.name`, and a few functions; nothing else is calculated. ValueError says so."""
    match node:
        case ast.Constant(value=int() | float()):
            return read_number(ast.get_source_segment(formula, node) or "")
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, formula, fields)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            left, right = (_value(side, formula, fields) for side in (node.left, node.right))
            return _OPERATORS[type(node.op)](left, right)
        case ast.Attribute():
            return _field(node, fields)
        case ast.Call(func=ast.Name(id="round"), args=[whole, *places], keywords=[]) if len(places) <= 1:
            digits = int(_value(places[0], formula, fields)) if places else 0
            return round_half_up(_value(whole, formula, fields), digits)
        case ast.Call(func=ast.Name(id=name), args=[_, *_], keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_value(each, formula, fields) for each in node.args))
    raise ValueError("uses what is not calculated here (numbers, + - * / %, abs, ceil, floor, min, max, round are)")


def round_half_up(value: Decimal, digits: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP, context=_EXACT)


def _field(node: ast.expr, fields: Mapping[str, object]) -> Decimal:
    """`signal.takeProfit.amount`: a field of the message itself."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr.lower())
        node = node.value
    value: object = fields if isinstance(node, ast.Name) and node.id == "signal" else None
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, str) or value.startswith("="):
        raise ValueError(f"names {shown('signal.' + '.'.join(names))}, and no number is there")
    return read_number(value.strip().replace(",", ""))


_TABLE = {
    **{"ticker": to("ticker"), "action": own("action"), "sentiment": own(), "time": to("time"), "interval": INFO},
    **{"signalPrice": own("signal_price"), "price": own(), "quantity": own("qty"), "quantityType": own("qty_unit")},
    **{"orderType": own("type"), "limitPrice": own("price"), "stopPrice": own("trigger_price")},
    **{"timeInForce": own("time_in_force"), "takeProfit": own("take_profit"), "stopLoss": own("stop_loss")},
    **{"trailAmount": own("trailing_stop"), "test": NOT_REAL, "extras.*": INFO, "message": INFO, "qty": own()},
    **rows(own(), "trailPercent extendedHours ignoreTradingWindows cancel cancelOrderType delay"),
    **rows(own(), "takeProfit.limitPrice takeProfit.percent takeProfit.amount stopLoss.type stopLoss.percent"),
    **rows(own(), "stopLoss.amount stopLoss.stopPrice stopLoss.limitPrice stopLoss.trailAmount stopLoss.trailPercent"),
    **rows(no(_OPTION, chooses=True), "optionType intrinsicValue expiration strikeCount strikesAway strikePrice"),
}
_CALCULATED = {path.lower() for path in _TABLE} - _LITERAL
_TOP = {path.lower().partition(".")[0] for path in _TABLE}
_NOT_OURS = KNOWN - _TOP
_PLAIN = {"quantity", "ordertype", "test", "message", "takeprofit", "stoploss"}
"""Names that many bots use: they make no message TradersPost's."""


TRADERSPOST = AlertFormat(
    name="traderspost",
    service="TradersPost",
    table=_TABLE,
    secrets=("password",),
    marks=frozenset(_TOP - KNOWN - _PLAIN),
    object_marks=frozenset({"takeprofit", "stoploss"}),
    own_actions=frozenset({"add", "breakeven"}),
    action_marks={"exit": "quantity"},
    prepare=_calculated,
    is_shape=_is_shape,
    read=_read,
)
