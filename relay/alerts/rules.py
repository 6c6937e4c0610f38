"""What the fields of an alert must be together, whatever instrument and position they meet."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from relay.alerts.fields import CLOSE_SAYS_PART, INDIFFERENT, KNOWN, load
from relay.alerts.wording import EMPTY_HINT, joined, placeholder_in
from relay.domain.instrument import TradedMarket
from relay.domain.order import OrderType, TimeInForce
from relay.domain.signal import (
    Action,
    Level,
    LevelKind,
    MarketSide,
    QtyUnit,
    TakeProfit,
    can_only_exit,
)
from relay.errors import AlertInvalid

# An alert between its schema and its Signal: what is there, what was blank, what is wrong, what is noted.


_PROBLEMS_REPORTED_MAX = 12
_NAMES_REPORTED_MAX = 20
SPELLED = {
    **{"sender_id": "id", "sent_at": "time", "valid_for_s": "valid_for", "accounts": "account"},
    **{"take_profits": "take_profit"},
}
"""The Signal's names of fields, to the alert's own where they differ."""
_VALUE_NAMES = {spelled: name for name, spelled in SPELLED.items()}
_EMPTY = f"is empty ({EMPTY_HINT})"


@dataclass(slots=True)
class Draft:
    """Under construction while the rules look at it; names of `values` are the Signal's, all others the alert's."""

    values: dict[str, Any] = field(default_factory=dict)
    blanks: dict[str, str] = field(default_factory=dict)
    """Fields that are empty or hold an unreplaced placeholder, with what is wrong with each."""
    problems: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    only_exits: bool = False
    """The alert can open nothing, so nothing that its exit does not need may refuse it."""
    deciding: frozenset[str] = frozenset()
    """Of what is wrong under names that are not native: what refuses an exit, too."""
    has_volume: bool = False
    """It has a `volume`, which may be the bar's or the order's size."""
    waits: bool = False
    """Its `type` cannot be read, and says that the order waits for a price."""

    def names(self, name: str) -> bool:
        """Whether the alert has the field `name` (the alert's), readable or not; a null is none."""
        return name in self.blanks or name in self.problems or _VALUE_NAMES.get(name, name) in self.values

    def is_unreplaced(self, name: str) -> bool:
        """Whether the field holds a placeholder; an empty one does not."""
        return self.blanks.get(name, _EMPTY) != _EMPTY

    def need(self, name: str, right: str) -> None:
        """`name` (the alert's) is needed and is not there: say why, with what was wrong with it if it was blank.

        Where something else is wrong with it, that is said already.
        """
        blank = self.blanks.get(name)
        if name in self.problems:
            return
        self.refuse(name, f"{blank}; {right}" if blank else f"is missing: {right}")

    def refuse(self, name: str, problem: str) -> None:
        self.problems.setdefault(name, []).append(problem)

    def ignore(self, names: list[str], why: str) -> None:
        """Take these (the Signal's names) out, and note those that were there."""
        taken = [(name, self.values.pop(name, None)) for name in names]
        there = [name for name, value in taken if value is not None and value is not False]
        if there:
            self.notes.append(f"{joined(SPELLED.get(name, name) for name in there)} ignored: {why}")

    def leave_out_all_but(self, needed: frozenset[str]) -> None:
        """What cannot be read and is not among `needed` (the alert's names) is as if it were not there, and noted."""
        for name in [name for name in self.problems if name not in needed]:
            self.notes.append(f"`{name}` ignored: {self.problems.pop(name)[0]}")

    def raise_problems(self) -> None:
        if not self.problems:
            return
        names = list(self.problems)
        said = [(name, problem) for name in names[:_PROBLEMS_REPORTED_MAX] for problem in self.problems[name]]
        reported = "; ".join(f"`{name}` {problem}" for name, problem in said)
        not_shown = names[_PROBLEMS_REPORTED_MAX:][:_NAMES_REPORTED_MAX]
        raise AlertInvalid(
            f"{reported}; wrong too: {joined(not_shown)}" if not_shown else reported,
            fields=self.problems,
            only_exits=self.only_exits,
        )

    def note_blanks(self) -> None:
        """A blank that no rule needed is ignored, and said so where the field would have had an effect."""
        together: dict[str, list[str]] = {}
        for name, problem in self.blanks.items():
            if name in KNOWN and name not in INDIFFERENT:
                together.setdefault(problem, []).append(name)
        for problem, names in together.items():
            self.notes.append(f"{joined(names)} ignored: {'it' if len(names) == 1 else 'each'} {problem}")


def without_blanks(fields: Mapping[str, object]) -> tuple[dict[str, object], dict[str, str]]:
    """The fields that say something; and those that are empty or hold a placeholder, with what is wrong with each.

    A null is absent and no more is said of it.
    """
    filled: dict[str, object] = {}
    blanks: dict[str, str] = {}
    for name, value in fields.items():
        if isinstance(value, str):
            if not value or value.isspace():
                blanks[name] = _EMPTY
            elif "{{" in value and (problem := placeholder_in(value)):
                blanks[name] = problem
            else:
                filled[name] = value
        elif value is not None:
            filled[name] = value
    return filled, blanks


_ORDERLESS = frozenset({Action.CANCEL, Action.STOPS, Action.HEARTBEAT})
_SIZED = frozenset({Action.BUY, Action.SELL, Action.LONG, Action.SHORT})
_FILLS = frozenset({Action.BUY, Action.SELL})
_NEVER_FLAT = frozenset({Action.LONG, Action.SHORT, Action.REVERSE})
"""What these order is no exit, wherever the strategy stands."""
_WHICH_SIZE = (
    "could be the order's size or the strategy's position: send the order's size as `qty`, "
    'and the position as "market_position": "{{strategy.market_position}}" or as `position_size` beside a `qty`'
)
_WHOSE_VOLUME = (
    "may be the order's size or the bar's volume: send the size as `qty`; with a `qty` beside it, it is the bar's"
)
_ORDER_FIELDS = [
    *("qty", "qty_unit", "type", "price", "trigger_price", "trigger_by", "if_passed", "time_in_force"),
    *("reduce_only", "slippage_pct", "valid_for_s", "leverage"),
]
_WHOLE_PCT = Decimal(100)
_SLIPPAGE_MIN, _SLIPPAGE_MAX = Decimal("0.01"), Decimal(10)
_LEVELS = {"take_profits": "take_profit", "stop_loss": "stop_loss", "trailing_stop": "trailing_stop"}
_STOP_FIELDS = [*_LEVELS, "trailing_start"]
_RIGHT_SIDE = "`long`, `short` or `flat`, as `{{strategy.market_position}}` is"


def draft_of(
    fields: Mapping[str, object],
    problems: Mapping[str, list[str]] | None = None,
    deciding: frozenset[str] = frozenset(),
) -> Draft:
    """Native fields, each read by itself; and whether they can only exit.

    `problems`: what is wrong besides, with the names that the fields had; `deciding`: see Draft.
    """
    filled, blanks = without_blanks(fields)
    filled = _without_maker(filled)
    if problems:
        filled = {name: value for name, value in filled.items() if name not in problems}
    values, found = load(filled)
    found |= {name: list(said) for name, said in (problems or {}).items()}
    draft = Draft(values=values, blanks=blanks, problems=found, deciding=deciding, has_volume="volume" in filled)
    draft.waits = "type" in found and says_to_wait(filled.get("type"))
    _settle_direction(draft)
    return draft


_WAITS = re.compile(r"stop|profit|trail|trigger|condition|touch|(?<![a-z])(?:tp|sl)(?![a-z])")


def says_to_wait(kind: object) -> bool:
    """Whether a type of order, known here or not, is one that waits for a price: TRAILING_STOP, take_profit_market."""
    return isinstance(kind, str) and _WAITS.search(kind.lower()) is not None


_MAKER = frozenset({"limitmaker", "postonly", "limitpostonly", "gtx"})


def _without_maker(filled: dict[str, object]) -> dict[str, object]:
    """LIMIT_MAKER and the like, types elsewhere, are limit orders that never take; so is GTX, a time in force."""
    said = [
        name
        for name in ("type", "time_in_force")
        if name in filled and "".join(filter(str.isalnum, str(filled[name]).lower())) in _MAKER
    ]
    if not said:
        return filled
    kind = {"type": "limit"} if "type" in said else {}
    return {**filled, **kind, "time_in_force": TimeInForce.POST_ONLY.value}


def check(draft: Draft) -> None:
    """Apply every rule: problems, notes and ignored fields are left in `draft`, which has an action."""
    for rule in _RULES:
        rule(draft)


def _settle_direction(draft: Draft) -> None:
    """Read first, of an alert that may be broken elsewhere: where the strategy stands, and whether it can only exit."""
    action = draft.values.get("action")
    if action is None or action in _ORDERLESS:
        return
    _position_size(draft, action)
    side: MarketSide | None = draft.values.get("market_position")
    reduces = bool(draft.values.get("reduce_only"))
    draft.only_exits = can_only_exit(action, reduce_only=reduces, strategy_sign=None if side is None else side.sign)
    if draft.only_exits and draft.problems:
        draft.leave_out_all_but(needed_by_exit(draft))


def _position_size(draft: Draft, action: Action) -> None:
    """`position_size` is where the strategy stands, if nothing else says so and it cannot be the order's size."""
    signed: Decimal | None = draft.values.get("position_size")
    if signed is None or "market_position" in draft.values:
        return
    if (action in _FILLS and draft.names("qty")) or action is Action.TARGET:
        side = (MarketSide.FLAT, MarketSide.LONG, MarketSide.SHORT)[_sign(signed)]
        draft.values["market_position"] = side
        draft.blanks.pop("market_position", None)
        draft.values.setdefault("market_position_size", abs(signed))
    elif action in _SIZED and not draft.names("qty"):
        draft.refuse("position_size", _WHICH_SIZE)


def needed_by_exit(draft: Draft) -> frozenset[str]:
    """The fields that say what is closed, and where: what cannot be read of these refuses even an exit."""
    values = draft.values
    needed = {"action", "account", *draft.deciding}
    if any(said.startswith(CLOSE_SAYS_PART) for said in draft.problems.get("close", ())):
        needed.add("close")
    if not values.keys() & {"ticker", "symbol"}:
        needed |= {"ticker", "symbol"}
    if values.get("trigger_price") is not None or draft.waits:
        needed.add("type")
    if closes_whole(draft):
        return frozenset(needed)
    has_size = "qty" in values or "qty" in draft.problems or draft.is_unreplaced("qty")
    needed |= {"qty", "qty_unit"} if has_size else {"qty"}
    if values["action"] in _SIZED and not draft.names("qty"):
        needed.add("position_size")
    unit: QtyUnit | None = values.get("qty_unit")
    if _is_the_strategys_exit(draft) and (values.get("qty") is None or (unit is not None and not unit.is_absolute)):
        needed |= {"market_position_size", "prev_market_position_size"}
    return frozenset(needed)


def closes_whole(draft: Draft) -> bool:
    """Whether all of the position goes, whatever size an alert that can only exit names."""
    action = draft.values["action"]
    if action in (Action.FLAT, Action.EXIT):
        return True
    return draft.values.get("market_position") is MarketSide.FLAT and action not in _NEVER_FLAT


def need_action_and_ticker(draft: Draft) -> None:
    """What no alert can be read without."""
    if draft.values.get("action") is None:
        draft.need("action", "say what to do, such as `buy`, `sell` or `close`")
    _one_ticker(draft)
    is_needed = draft.values.get("action") is not Action.HEARTBEAT and draft.values.get("ticker") is None
    if is_needed and not draft.problems.keys() & {"ticker", "symbol"}:
        draft.need("ticker", "name the instrument, such as `BTCUSDT.P` or `{{ticker}}`")


def _one_ticker(draft: Draft) -> None:
    symbol = draft.values.pop("symbol", None)
    ticker = draft.values.get("ticker")
    if symbol is None:
        if "symbol" in draft.blanks and ticker is None:
            draft.blanks.setdefault("ticker", draft.blanks["symbol"])
        return
    if ticker is None:
        draft.values["ticker"] = symbol
    elif ticker.upper() != symbol.upper():
        draft.refuse("symbol", "differs from `ticker`, which means the same; send one of them")


def _orderless(draft: Draft) -> None:
    action = draft.values["action"]
    if action not in _ORDERLESS:
        return
    draft.ignore(_ORDER_FIELDS, f"`{action}` places no order")
    if action is not Action.STOPS:
        draft.ignore(_STOP_FIELDS, f"`{action}` sets no stops")
    elif not any(draft.values.get(name) for name in _LEVELS):
        draft.need("stop_loss", "`stops` needs `take_profit`, `stop_loss` or `trailing_stop`")


def _closing(draft: Draft) -> None:
    """Levels that come with a pure exit are left out and told of: a template sends the same ones with every alert, and
    no exit is withheld for what it does not need."""
    action = draft.values["action"]
    if action.is_close:
        draft.ignore(_STOP_FIELDS, f"`{action}` only reduces the position, whose stops stay as they are")
    elif draft.values.get("reduce_only"):
        draft.ignore(_STOP_FIELDS, "an order that only reduces carries no stops")


def _quantity(draft: Draft) -> None:
    """Zero is refused where a size is meant; where the whole position goes anyway, it says nothing and is ignored.

    An exit is not withheld for a zero that `{{strategy.order.contracts}}` may leave beside `flat`. Of a `close`, an
    empty size means all, and one that was not replaced could mean a part.
    """
    action, is_whole = draft.values["action"], closes_whole(draft)
    if draft.values.get("qty") == 0:
        if is_whole:
            draft.ignore(["qty"], "it is zero, and the whole position is closed")
        else:
            draft.refuse("qty", "must be above 0; leave it out where no size is meant")
    if draft.has_volume and not is_whole and action in (*_SIZED, Action.REVERSE) and not draft.names("qty"):
        draft.refuse("volume", _WHOSE_VOLUME)
    if is_whole or "qty" not in draft.blanks:
        return
    if action in _SIZED:
        draft.need("qty", f"`{action}` needs a size; leave `qty` out altogether to use the strategy's default size")
    elif action.is_close and draft.is_unreplaced("qty"):
        draft.need("qty", f"`{action}` may mean a part; leave `qty` out altogether to close all")


def _unreplaced(draft: Draft) -> None:
    """An account, or the unit of a size, that only a placeholder names: without it something else would be ordered."""
    if draft.is_unreplaced("account") and draft.values["action"] is not Action.HEARTBEAT:
        draft.need("account", "name one of the strategy's accounts, or leave it out to use them all")
    if draft.is_unreplaced("qty_unit") and draft.values.get("qty") is not None and not closes_whole(draft):
        draft.need("qty_unit", "say what `qty` counts, such as `base` or `quote`")


def _price(draft: Draft) -> None:
    """A `price` on a market order is noted only: TradingView's templates send `{{close}}` with every order.

    Any other field that the type of order has no use for was meant, and is refused.
    """
    if "type" in draft.problems:
        return
    kind = draft.values.get("type") or OrderType.MARKET
    if not kind.has_limit and "price" in draft.problems:
        draft.notes.append(
            f"`price` ignored: {draft.problems.pop('price')[0]}, and a `{kind}` order has no limit price"
        )
    if draft.only_exits and kind.has_limit and draft.values.get("price") is None:
        kind = _at_market(draft, kind)
    if kind.has_limit and draft.values.get("price") is None:
        draft.need("price", f"a `{kind}` order needs its limit price, above 0")
    if kind.is_conditional and draft.values.get("trigger_price") is None:
        draft.need("trigger_price", f"a `{kind}` order needs the price that triggers it, above 0")
    if not kind.has_limit:
        draft.ignore(["price"], f"a `{kind}` order has no limit price (`signal_price` is for slippage)")
    elif draft.values.get("slippage_pct") is not None:
        _unfit(draft, "slippage_pct", f"does not go with a `{kind}` order, which `price` bounds; leave one of them out")
    if not kind.is_conditional and draft.values.get("trigger_price") is not None:
        _unfit(draft, "trigger_price", f"needs `type` to be `stop_market` or `stop_limit`, not `{kind}`")
    if not kind.is_conditional and draft.values.get("if_passed") is not None:
        _unfit(draft, "if_passed", f"is for orders with a `trigger_price`, and a `{kind}` order has none")
    _resting_time(draft, kind)
    if draft.values.get("time_in_force") is TimeInForce.POST_ONLY and not kind.has_limit:
        _unfit(draft, "time_in_force", f"`PostOnly` needs `type` to be `limit` or `stop_limit`, not `{kind}`")


_AT_MARKET = {
    OrderType.STOP_LIMIT: OrderType.STOP_MARKET,
    OrderType.LIMIT_IF_TOUCHED: OrderType.MARKET_IF_TOUCHED,
}


def _at_market(draft: Draft, kind: OrderType) -> OrderType:
    """An exit whose limit price is not there does not wait for one: what it is to be placed as instead."""
    instead = _AT_MARKET.get(kind, OrderType.MARKET)
    draft.values["type"] = instead
    draft.notes.append(f"`type` read as `{instead}`: an exit waits for no `price` that a `{kind}` order needs")
    return instead


def _unfit(draft: Draft, spelled: str, why: str, *, field: str | None = None) -> None:
    """Refused on what may open, left out of an exit. `field`: the value's name, where it is not the alert's."""
    if draft.only_exits:
        draft.ignore([field or spelled], why)
    else:
        draft.refuse(spelled, why)


def _slippage(draft: Draft) -> None:
    """Source: create-order.mdx, slippageTolerance: 0.01 to 10 percent, of market orders only."""
    kind, requested = draft.values.get("type") or OrderType.MARKET, draft.values.get("slippage_pct")
    if requested is None or "type" in draft.problems:
        return
    if kind.is_conditional and not kind.has_limit:
        _unfit(draft, "slippage_pct", f"does not go with a `{kind}` order: the exchange bounds market orders only")
    elif not _SLIPPAGE_MIN <= requested <= _SLIPPAGE_MAX:
        why = f"must be {_SLIPPAGE_MIN} to {_SLIPPAGE_MAX} percent, which is what the exchange takes"
        _unfit(draft, "slippage_pct", why)


def _resting_time(draft: Draft, kind: OrderType) -> None:
    if draft.values.get("valid_for_s") is None:
        return
    if kind is OrderType.MARKET:
        why = "needs `type` to be `limit`, `stop_market` or `stop_limit`: a `market` order never rests"
        _unfit(draft, "valid_for", why, field="valid_for_s")
    elif kind is OrderType.LIMIT and draft.values.get("time_in_force") in (TimeInForce.IOC, TimeInForce.FOK):
        why = f"needs an order that rests; `{draft.values.get('time_in_force')}` ends at once"
        _unfit(draft, "valid_for", why, field="valid_for_s")


def _stops(draft: Draft) -> None:
    """An entry that names a level, or that it only reduces, and does not say so is refused: nothing is bought without
    the stop that was meant."""
    if not draft.only_exits and draft.values["action"] not in (Action.CANCEL, Action.HEARTBEAT):
        trails = ["trailing_start"] if draft.values.get("trailing_stop") is not None else []
        for name in (*_LEVELS.values(), *trails):
            if name in draft.blanks:
                draft.need(name, 'write a price or a distance such as "1%", or take the field out if none is meant')
        if "reduce_only" in draft.blanks and draft.values["action"] is not Action.STOPS:
            draft.need("reduce_only", "write true or false: without it the order may open a position")
    if draft.values.get("trailing_start") is not None and draft.values.get("trailing_stop") is None:
        if draft.only_exits:
            draft.ignore(["trailing_start"], "it says where a `trailing_stop` begins, and none is named")
        else:
            draft.need("trailing_stop", "`trailing_start` says where one begins")


def _level_signs(draft: Draft) -> None:
    """Of an entry. On an open position (`stops`) either may stand on the other side of its average price."""
    if draft.values["action"] in _ORDERLESS or draft.only_exits:
        return
    profits: tuple[TakeProfit, ...] = draft.values.get("take_profits") or ()
    if any(_leads(tp_leg.at) < 0 for tp_leg in profits):
        draft.refuse("take_profit", "lies on the losing side of the entry; leave its minus sign out, or write `+`")
    stop, start = draft.values.get("stop_loss"), draft.values.get("trailing_start")
    if stop is not None and _leads(stop) > 0:
        draft.refuse("stop_loss", "lies on the winning side of the entry; leave its plus sign out, or write `-`")
    if start is not None and _leads(start) < 0:
        draft.refuse("trailing_start", "lies on the losing side of the entry; leave its minus sign out")


def _trail(draft: Draft) -> None:
    """As far away as the price itself it would never close anything."""
    trail = draft.values.get("trailing_stop")
    if trail is None or trail.kind is not LevelKind.PERCENT or trail.value < _WHOLE_PCT:
        return
    why = "is as far away as the price itself; it must be under 100%"
    if draft.only_exits:
        draft.ignore(["trailing_stop", "trailing_start"], why)
    else:
        draft.refuse("trailing_stop", why)


def _leads(level: Level) -> int:
    """Above zero towards profit, below towards loss; 0 where no sign says so."""
    return _sign(level.value) if level.kind is not LevelKind.PRICE and level.sign_given else 0


def _risk(draft: Draft) -> None:
    unit = draft.values.get("qty_unit")
    if unit not in (QtyUnit.RISK_PCT, QtyUnit.RISK_QUOTE) or draft.values.get("qty") is None:
        return
    if draft.values["action"].is_close or closes_whole(draft):
        draft.ignore(["qty", "qty_unit"], f"`{unit}` sizes an entry; the whole position is closed")
    elif draft.values.get("reduce_only"):
        draft.refuse("qty_unit", f"`{unit}` sizes an entry; with `reduce_only` use `position_pct`")


def _is_the_strategys_exit(draft: Draft) -> bool:
    """A fill after which the strategy is flat or still on the other side: it opened nothing, and needs no stop."""
    action, side = draft.values["action"], draft.values.get("market_position")
    if side is MarketSide.FLAT:
        return action in (Action.BUY, Action.SELL, Action.TARGET)
    return (action, side) in ((Action.SELL, MarketSide.LONG), (Action.BUY, MarketSide.SHORT))


def _target(draft: Draft) -> None:
    if draft.values["action"] is not Action.TARGET:
        return
    side, signed = draft.values.get("market_position"), draft.values.get("position_size")
    if side is None:
        if signed is None:
            draft.need("market_position", f"`target` needs {_RIGHT_SIDE}, or `position_size` with its sign")
        return
    size = draft.values.get("market_position_size")
    if side is MarketSide.FLAT:
        if size or signed:
            draft.ignore(["market_position_size", "position_size"], "the strategy is flat, so all is closed")
        return
    if signed is not None and _sign(signed) != side.sign:
        draft.refuse("position_size", f"contradicts `market_position`, which is `{side}`")
    if size == 0:
        draft.refuse("market_position_size", f"must be above 0 where `market_position` is `{side}`")
    if size is None and signed is None and draft.values.get("qty") is None:
        draft.need(
            "market_position_size", f"`target` with `{side}` needs it, or `position_size`, or a `qty` of your own"
        )


def _sign(value: Decimal) -> int:
    return (value > 0) - (value < 0)


_ELSEWHERE = re.compile(r"(?<![a-z])(?:(spot)|testnet|demo|paper)(?![a-z])", re.IGNORECASE)


def _venue(draft: Draft) -> None:
    """What an exchange's name says besides: `BYBIT_SPOT` is the spot market, and a testnet is not for real."""
    exchange: str | None = draft.values.get("exchange")
    found = _ELSEWHERE.search(exchange) if exchange else None
    if found is None:
        return
    if found[1] and draft.values.get("market") is None and "market" not in draft.problems:
        draft.values["market"] = TradedMarket.SPOT
        draft.notes.append("`exchange` says spot: read as `market` spot")
    elif not found[1] and not draft.only_exits:
        draft.refuse("exchange", "says that this is not for real; here every alert is: leave it out to trade")


_RULES: tuple[Callable[[Draft], None], ...] = (
    _venue,
    _orderless,
    _closing,
    _quantity,
    _unreplaced,
    _price,
    _slippage,
    _stops,
    _level_signs,
    _trail,
    _risk,
    _target,
)
