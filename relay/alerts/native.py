"""An alert's fields under their native names, whatever the sender calls them, and what was wrong about the names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from relay.alerts.authenticate import is_secret_name
from relay.alerts.fields import DECIDING, INDIFFERENT, KNOWN, NO, YES
from relay.alerts.names import (
    NAME_LENGTH_MAX,
    NEUTRAL,
    OF_BARS,
    SIGNED,
    TABLE,
    Meaning,
    Reading,
    decides_exit,
    is_number_like,
    squeezed,
    unknown_note,
    unknown_problem,
)
from relay.alerts.parse import number_text, read_number
from relay.alerts.rules import says_to_wait
from relay.alerts.wording import joined, placeholder_in, shown
from relay.domain.signal import NATIVE_ACTIONS

# What the fields of one alert mean together.


@dataclass(slots=True)
class Named:
    """An alert's fields under their native names, with what was wrong about the names themselves.

    `names`: native names to the sender's. `problems`: under the native name where there is one, else the sender's.
    `deciding`: of those under a sender's name, those that refuse even an alert that can only exit.
    """

    fields: dict[str, object] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    deciding: set[str] = field(default_factory=set)
    internal: dict[str, Any] = field(default_factory=dict)
    fixes: dict[str, dict[str, object]] = field(default_factory=dict)
    """For the sender's name of a field: the fields that would be right in its place."""

    def refuse(self, name: str, problem: str, *, decides: bool = False) -> None:
        self.problems.setdefault(name, []).append(problem)
        if decides:
            self.deciding.add(name)

    def give(self, native: str, value: object, own: str) -> None:
        self.fields[native] = value
        self.names[native] = own


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value of an alert: `path` as the sender spelled it."""

    path: str
    value: object
    meaning: Meaning

    @property
    def text(self) -> str:
        return self.value.strip() if isinstance(self.value, str) else str(self.value)

    @property
    def is_blank(self) -> bool:
        return isinstance(self.value, str) and (not self.value.strip() or placeholder_in(self.value) is not None)


_LEAVES_MAX: Final = 200
_Groups = dict[str, list[Leaf]]


def is_plain(fields: Mapping[str, object]) -> bool:
    """Whether an alert has native names and words only: nothing of it is to be translated."""
    return (
        (_PLAIN.issuperset(fields) or all(map(_is_plain_field, fields, fields.values())))
        and None not in fields.values()
        and _lowered(fields.get("action")) in _NATIVE_WORDS
        and _lowered(fields.get("type")) not in _WORDS
        and _lowered(fields.get("time_in_force")) != _DAY
    )


def _is_plain_field(name: str, value: object) -> bool:
    return name in _PLAIN or (name.startswith(_OWN) and not isinstance(value, list | dict))


_OWN: Final = "x_"
"""How the sender's own fields begin."""


def named(fields: Mapping[str, object]) -> Named:
    """The fields of an alert, as the sender spelled them and without `format`, under their native names."""
    result, groups, unknown, nulls = Named(), _Groups(), list[str](), list[str]()
    for number, (path, value) in enumerate(_leaves(fields)):
        if number == _LEAVES_MAX:
            result.refuse("fields", f"are more than {_LEAVES_MAX}: send one flat object with what the order needs")
            break
        if path.lower().startswith(_OWN):
            if isinstance(value, list | dict):
                result.refuse(path[:NAME_LENGTH_MAX], f"must be text or a number, not {shown(value)}")
            continue
        if len(path) > NAME_LENGTH_MAX:
            result.refuse(f"{path[:NAME_LENGTH_MAX]}…", f"is too long for a name: {NAME_LENGTH_MAX} letters at most")
            continue
        meaning = _meaning(path)
        if meaning is not None and not _can_mean(meaning, path, value):
            meaning = None
        if value is None:
            nulls += [path] if meaning is not None and meaning.native not in INDIFFERENT else []
        elif meaning is not None:
            groups.setdefault(meaning.native, []).append(Leaf(path, value, meaning))
        else:
            _take_unknown(result, unknown, path, value)
    for settle in (
        _settle_type,
        _settle_action,
        _settle_unit,
        _settle_qty,
        _settle_prices,
        _settle_levels,
        _settle_rest,
    ):
        settle(result, groups)
    _note_names(result)
    if unknown:
        result.notes.append(unknown_note(dict.fromkeys(unknown)))
    if nulls:
        result.notes.append(f"{joined(nulls)} {'is' if len(nulls) == 1 else 'are'} null: read as not there")
    return result


def _can_mean(meaning: Meaning, path: str, value: object) -> bool:
    """Whether the `category` is one of markets, which others have of their own; `reduce: 50` is how much."""
    if meaning.reading is Reading.MARKET:
        return isinstance(value, str) and squeezed(value) in _PERPETUALS | {"spot", "option", "options"}
    return (
        meaning.native != "reduce_only" or squeezed(path) == "reduceonly" or not is_number_like(value) or value in _BITS
    )


_BITS: Final = ("0", "1")


def _leaves(fields: Mapping[str, object], inside: str = "") -> Iterator[tuple[str, object]]:
    for name, value in fields.items():
        path = f"{inside}{name}"
        if value == {} and squeezed(name) in NEUTRAL:
            continue
        if isinstance(value, Mapping) and value and not _is_native_level(value) and not path.lower().startswith(_OWN):
            yield from _leaves(value, f"{path}.")
        elif isinstance(value, list) and not _is_level(path) and any(isinstance(each, Mapping) for each in value):
            yield from _leaves({f"{name}[{index}]": each for index, each in enumerate(value)}, inside)
        else:
            yield path, value


def _is_native_level(value: Mapping[str, object]) -> bool:
    return {name.lower() for name in value} <= {"at", "share", "then"}


def _is_level(path: str) -> bool:
    meaning = _meaning(path)
    return meaning is not None and meaning.native == "take_profit"


_NUMBERED_TP: Final = re.compile(r"(tp|target|takeprofit)(price)?\d{1,2}(price)?")


@lru_cache(maxsize=2048)
def _meaning(path: str) -> Meaning | None:
    """By the whole path, or by what is left of it inside objects whose names add nothing."""
    steps = path.split(".")
    if "[" in path:
        return None
    for first in range(len(steps)):
        key = squeezed("".join(steps[first:]))
        if found := TABLE.get(key):
            # What an object inside the alert calls its `id` is not the alert's.
            return None if first and found.native == "id" else found
        if _NUMBERED_TP.fullmatch(key):
            return Meaning("take_profit", Reading.NUMBERED)
        if squeezed(steps[first]) not in NEUTRAL:
            return None
    return None


def _take_unknown(result: Named, unknown: list[str], path: str, value: object) -> None:
    inner = path.rpartition(".")[2]
    top = path.partition(".")[0].partition("[")[0]
    if squeezed(top) in OF_BARS and top != path:
        unknown.append(top)
    elif problem := unknown_problem(path, value):
        around = _meaning(top)
        is_inside = around is not None and around.native not in DECIDING and top != path
        result.refuse(path, problem, decides=decides_exit(path[len(top) :] if is_inside else path, value))
    elif not is_secret_name(inner):
        unknown.append(path)


def _note_names(result: Named) -> None:
    read = [f"`{own}` read as `{native}`" for native, own in result.names.items() if own.lower() != native]
    if read:
        result.notes.insert(0, ", ".join(read))


def _lowered(value: object) -> str:
    return value.strip().lower() if isinstance(value, str) else ""


def _only(result: Named, native: str, leaves: Iterable[Leaf]) -> Leaf | None:
    """The one that counts of the fields that mean `native`; two that differ are refused, naming both."""
    there = list(leaves)
    filled = [leaf for leaf in there if not leaf.is_blank] or there[:1]
    for leaf in filled[1:]:
        first = filled[0]
        if native not in INDIFFERENT and not _is_same(first.value, leaf.value):
            values = f"{shown(first.value)} and {shown(leaf.value)}"
            result.names[native] = first.path
            result.refuse(native, f"and `{leaf.path}` mean one field and differ ({values}): send one of them")
            return None
    return filled[0] if filled else None


def _is_same(one: object, other: object) -> bool:
    if one == other:
        return True
    try:
        return read_number(str(one).strip()) == read_number(str(other).strip())
    except ValueError:
        return str(one).strip().lower() == str(other).strip().lower()


# The action: a word, or the words of several fields together.


@dataclass(frozen=True, slots=True)
class Word:
    """What a word of an action says: `intent` enter or exit, `position` long, short or flat, `order` buy or sell."""

    action: str | None = None
    intent: str | None = None
    position: str | None = None
    order: str | None = None


def _words() -> dict[str, Word]:
    found = {str(name): Word(action=str(name)) for name in NATIVE_ACTIONS}
    found |= {name: Word(order=name) for name in ("buy", "sell")}
    found |= {name: Word(position=name) for name in ("long", "short")} | {"flat": Word(action="flat", position="flat")}
    for side in ("long", "short"):
        found |= {name: Word(intent="enter", position=side) for name in _either(("enter", "open", "entry", "go"), side)}
        found |= {name: Word(intent="exit", position=side) for name in _either(("exit", "close"), side)}
    found |= {name: Word(intent="enter") for name in ("enter", "entry", "open")}
    found |= {name: Word(action=name, intent="exit") for name in ("close", "exit")}
    for name in ("closeposition", "exitposition", "closeall", "exitall", "closepositions"):
        found[name] = Word(action="close", intent="exit")
    found["flatten"] = Word(action="flat", position="flat")
    return found


def _either(verbs: tuple[str, ...], side: str) -> Iterator[str]:
    for verb in verbs:
        yield from (f"{verb}{side}", f"{side}{verb}")


_WORDS: Final = {squeezed(name): word for name, word in _words().items()}
_NATIVE_WORDS: Final = frozenset(map(str, NATIVE_ACTIONS))
_PLAIN: Final = KNOWN | {"format"}
_DAY: Final = "day"
_ORDER_OF: Final = {"long": "buy", "short": "sell"}
_CLOSE: Final = {"long": "close_long", "short": "close_short"}


def _settle_type(result: Named, groups: _Groups) -> None:
    """A `type` that says buy or sell is the action."""
    types = groups.pop("type", [])
    actions = [leaf for leaf in types if squeezed(leaf.text) in _WORDS]
    if actions:
        groups.setdefault("action", []).extend(Leaf(leaf.path, leaf.value, _ACTION) for leaf in actions)
    leaf = _only(result, "type", (leaf for leaf in types if leaf not in actions))
    if leaf is not None:
        result.give("type", leaf.value, leaf.path)


_ACTION: Final = Meaning("action", Reading.ACTION)


def _settle_action(result: Named, groups: _Groups) -> None:
    leaves = groups.pop("action", [])
    filled = [leaf for leaf in leaves if not leaf.is_blank]
    sides = [leaf for leaf in filled if leaf.meaning.reading is Reading.SIDE and leaf.text.lower() in _NO_SIDE]
    if len(sides) < len(filled):
        filled = [leaf for leaf in filled if leaf not in sides]
    unread = [leaf for leaf in filled if squeezed(leaf.text) not in _WORDS]
    if unread or not filled:
        for leaf in unread[:1] or leaves[:1]:
            result.give("action", leaf.value, leaf.path)
        return
    words = [(leaf, _WORDS[squeezed(leaf.text)]) for leaf in filled]
    if all(leaf.meaning.reading is Reading.INTENT for leaf in filled):
        leaf = filled[0]
        result.names["action"] = leaf.path
        is_told = any(word.position for _, word in words)
        why = ", which may be an order or news of one" if is_told else " and not on which side"
        result.refuse("action", f"says {shown(leaf.value)}{why}: say `action`, such as `buy` or `close`")
        return
    together = _together([word for _, word in words])
    result.names["action"] = filled[0].path
    if isinstance(together, str):
        _refuse_action(result, filled, together)
        return
    action = _action_of(together)
    if together.position == "flat" and together.order:
        action = together.order
        result.give("market_position", "flat", filled[-1].path)
    elif _is_fill(filled, groups, together):
        # The order's own contracts beside the side on which the strategy stands after it.
        action = _ORDER_OF[str(together.position)]
        groups.setdefault("market_position", []).append(Leaf(filled[0].path, together.position, _MARKET_POSITION))
    if action is None:
        _refuse_action(result, filled, "does not say on which side")
        return
    result.give("action", action, filled[0].path)
    if len(filled) > 1 or _lowered(filled[0].value) != action:
        own = joined(leaf.path for leaf in filled)
        said = " and ".join(shown(leaf.value) for leaf in filled)
        result.notes.append(f"{own} read {'together ' if len(filled) > 1 else ''}as `{action}` ({said})")


_MARKET_POSITION: Final = Meaning("market_position", Reading.POSITION)


def _refuse_action(result: Named, filled: list[Leaf], why: str) -> None:
    others = " and ".join(f"`{leaf.path}` says {shown(leaf.value)}" for leaf in filled[1:])
    said = f"says {shown(filled[0].value)}" + (f" and {others}" if others else "")
    result.refuse(
        "action", f"{said}, which {why}: say one `action`, such as `buy`, `sell`, `close_long` or `close_short`"
    )


def _together(words: list[Word]) -> Word | str:
    """What all of them say; or, in words, that they contradict each other."""
    if all(word == words[0] for word in words):
        return words[0]
    if any(word.action is not None and word.intent is None and word.position is None for word in words):
        return "cannot go together"
    values: dict[str, str | None] = {}
    for name in ("action", "intent", "position", "order"):
        said = {value for word in words if (value := getattr(word, name)) is not None}
        if len(said) > 1 and not (name == "action" and said <= {"close", "exit", "flat"}):
            return "contradict each other"
        values[name] = min(said, default=None)
    both = Word(**values)
    if both.intent == "exit" and both.order and not both.position:
        return "may mean the position or the order that closes it"
    expected = _ORDER_OF.get(both.position or "")
    if both.order and expected and (both.order == expected) == (both.intent == "exit"):
        return "contradict each other" if both.intent else "may mean an exit or an entry"
    return "contradict each other" if both.intent == "enter" and both.position == "flat" else both


def _action_of(word: Word) -> str | None:
    if word.intent == "exit" and word.position in _CLOSE:
        return _CLOSE[str(word.position)]
    if word.order and word.intent != "exit" and not (word.intent and word.position):
        return word.order
    return word.action or (word.position if word.position in _ORDER_OF else None)


def _is_fill(filled: list[Leaf], groups: _Groups, word: Word) -> bool:
    """Whether the side stands where TradingView puts its order's action, with its order's contracts beside it."""
    own = {squeezed(leaf.path).removeprefix("strategy") for leaf in groups.get("qty", ())}
    is_order = squeezed(filled[0].path).removeprefix("strategy") == "orderaction"
    return is_order and word.position in _ORDER_OF and "ordercontracts" in own


# The size, and what it counts.


_UNITS: Final = {
    **dict.fromkeys(("fixed", "fixedquantity", "quantity", "qty", "absolute", "absolutequantity"), "base"),
    **dict.fromkeys(("coin", "coins", "base", "basecurrency", "asset"), "base"),
    **dict.fromkeys(("quote", "quotecurrency", "usd", "usdt", "usdc", "cash", "notional", "dollaramount"), "quote"),
}
_NAMED_UNITS: Final = {
    **{squeezed(name): name for name in ("risk_pct", "risk_quote", "equity_pct", "margin_pct", "position_pct")},
    "riskpercent": "risk_pct",
}


def _settle_unit(result: Named, groups: _Groups) -> None:
    leaves = [each for leaf in groups.pop("qty_unit", []) if (each := _unit_leaf(leaf)) is not None]
    leaf = _only(result, "qty_unit", leaves)
    if leaf is not None:
        result.give("qty_unit", leaf.value, leaf.path)


def _unit_leaf(leaf: Leaf) -> Leaf | None:
    if leaf.meaning.reading is Reading.UNIT:
        return Leaf(leaf.path, _UNITS.get(squeezed(leaf.text), leaf.value), leaf.meaning)
    if leaf.meaning.reading is Reading.QUOTE_FLAG:
        word = leaf.text.lower()
        return Leaf(leaf.path, "quote" if word in YES else leaf.value, leaf.meaning) if word not in NO else None
    return leaf


def _settle_qty(result: Named, groups: _Groups) -> None:
    leaf = _only(result, "qty", groups.pop("qty", []))
    if leaf is None:
        return
    reading = leaf.meaning.reading
    unit = {Reading.QUOTE: "quote", Reading.ITS_UNIT: _NAMED_UNITS.get(squeezed(leaf.path.rpartition(".")[2]))}.get(
        reading
    )
    said = result.fields.get("qty_unit")
    result.give("qty", leaf.value, leaf.path)
    if unit is not None and said is not None and _lowered(said) != unit:
        result.refuse(
            "qty", f"is a size in `{unit}`, and `{result.names['qty_unit']}` says {shown(said)}: send one of them"
        )
    elif unit is not None:
        result.give("qty_unit", unit, leaf.path)
    elif reading is Reading.ASKS_UNIT and said is None and _SIGNED.fullmatch(leaf.text):
        result.refuse("qty", 'may be coins or money: add `"qty_unit": "base"` (coins) or `"qty_unit": "quote"` (money)')


# Prices and levels.


def _settle_prices(result: Named, groups: _Groups) -> None:
    """A limit price belongs to an order that has one, a stop price to one that waits for it."""
    kind = _lowered(result.fields.get("type"))
    for native, fits, right in (
        ("price", "limit" in kind, "is a limit price: it needs `type` to be `limit`"),
        ("trigger_price", says_to_wait(kind), _WHICH_STOP),
    ):
        for leaf in [each for each in groups.get(native, []) if each.meaning.reading is not Reading.AS_IT_IS]:
            if not fits:
                groups[native].remove(leaf)
                # Of a type that is none: at once, it would close what may not be to be closed yet.
                is_unread = kind not in ("", "market") and "limit" not in kind
                result.refuse(leaf.path, right, decides=native == "trigger_price" and is_unread)
    signalled = _only(result, "signal_price", groups.pop("signal_price", []))
    if signalled is None:
        return
    result.give("signal_price", signalled.value, signalled.path)
    if "limit" in kind and not groups.get("price") and squeezed(signalled.path) != "signalprice":
        own = f"`{signalled.path}` is read as the price of the signal"
        result.refuse("price", f"is missing: {own}; if it is the limit price of this `{kind}` order, call it `price`")
        result.fixes[signalled.path] = {"price": signalled.value}


_WHICH_STOP: Final = (
    "may be a stop loss or the price that triggers the order: call it `stop_loss`, or `trigger_price` with `type`"
)
_LEVELS: Final = ("take_profit", "stop_loss", "trailing_stop")


def _settle_levels(result: Named, groups: _Groups) -> None:
    for native in _LEVELS:
        leaves = groups.pop(native, [])
        numbered = [leaf for leaf in leaves if leaf.meaning.reading is Reading.NUMBERED]
        if numbered:
            _refuse_shares(result, native, {leaf.path: leaf.value for leaf in leaves})
            continue
        leaf = _only(result, native, [_level(result, leaf) for leaf in leaves])
        if leaf is None:
            continue
        result.give(native, leaf.value, leaf.path)
        levels = leaf.value if native == "take_profit" and isinstance(leaf.value, list) else []
        if levels and all(map(is_number_like, levels)):
            _refuse_shares(result, native, {leaf.path: leaf.value})


def _refuse_shares(result: Named, native: str, given: dict[str, object]) -> None:
    first = next(iter(given))
    levels = [each for value in given.values() for each in (value if isinstance(value, list) else [value])]
    result.names[native] = first
    result.refuse(
        native, 'is one of several take profits: say how much of the position each closes, as a list of {"at", "share"}'
    )
    result.fixes |= {path: {} for path in given}
    if levels:
        result.fixes[first] = {native: in_equal_shares(levels)}


def in_equal_shares(levels: list[object]) -> list[dict[str, object]]:
    """Take profits at `levels`, each of which closes as much as the others."""
    share = 100 // len(levels)
    shares = [share] * (len(levels) - 1) + [100 - share * (len(levels) - 1)]
    return [{"at": at, "share": part} for at, part in zip(levels, shares, strict=True)]


def _level(result: Named, leaf: Leaf) -> Leaf:
    """The value as the native field has it."""
    native, text = leaf.meaning.native, leaf.text
    if leaf.meaning.reading is Reading.AS_IT_IS or leaf.is_blank or not isinstance(leaf.value, str):
        return leaf
    if leaf.meaning.reading is Reading.PERCENT:
        return leaf if text.endswith("%") or not is_number_like(text) else Leaf(leaf.path, f"{text}%", leaf.meaning)
    result.names[native] = leaf.path
    if text[0] in "+-":
        result.refuse(
            native, 'has a sign, which bots read in different ways: write a price, or a percentage such as "2%"'
        )
        if text.endswith("%"):
            result.fixes[leaf.path] = {leaf.path: text.lstrip("+-")}
    elif native == "trailing_stop" and not text.endswith("%") and is_number_like(text):
        result.refuse(
            native, f'may be a distance of {text} in price, or "{text}%": call it `trailing_stop`, or add the %'
        )
    return leaf


# The rest: where the strategy stands, times, and what is only handed on.


_STANDS: Final = {"bullish": "long", "bearish": "short"}
_NO_SIDE: Final = frozenset({"both", "net"})
_COINS: Final = frozenset({"coin", "asset"})
_PERPETUALS: Final = frozenset(
    [
        *("linear", "inverse", "perp", "perps", "perpetual", "perpetuals", "swap", "swaps", "future", "futures"),
        *("usdtfutures", "usdcfutures", "coinfutures", "usdtm", "usdm", "coinm", "linearperpetual", "usdtperpetual"),
        "umcbl",
    ]
)


def _settle_signed(result: Named, groups: _Groups) -> None:
    """`position` with a number is the strategy's size with its sign, which that of a sell may lack."""
    for native, size in (("market_position", "position_size"), ("prev_market_position", "prev_market_position_size")):
        signed = [
            leaf
            for leaf in groups.get(native, [])
            if squeezed(leaf.path.rpartition(".")[2]) in SIGNED and _SIGNED.fullmatch(leaf.text)
        ]
        sides = [leaf for leaf in groups.get(native, []) if leaf not in signed]
        if not signed:
            continue
        groups[native] = sides
        for leaf in signed:
            is_sold = result.fields.get("action") in ("sell", "short") and read_number(leaf.text) > 0
            if native == "prev_market_position":
                groups.setdefault(size, []).append(Leaf(leaf.path, leaf.text.lstrip("-"), leaf.meaning))
            elif is_sold and not sides:
                result.refuse(leaf.path, _UNSIGNED, decides=True)
            else:
                groups.setdefault(size, []).append(leaf)


_SIGNED: Final = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
_UNSIGNED: Final = (
    "may be a size without its sign: send `{{strategy.position_size}}` as `position_size`, or "
    '"market_position": "{{strategy.market_position}}"'
)


def _settle_market(groups: _Groups) -> None:
    """Bybit's `category`, and what others call it."""
    words = dict.fromkeys(_PERPETUALS, "perpetual")
    groups["market"] = [
        leaf
        if leaf.meaning.reading is Reading.AS_IT_IS
        else Leaf(leaf.path, words.get(squeezed(leaf.text), leaf.value), leaf.meaning)
        for leaf in groups["market"]
    ]


def _settle_post_only(groups: _Groups) -> None:
    """A flag beside the time in force: yes is more than GTC, and no says nothing."""
    leaves = groups["time_in_force"]
    flags = [leaf for leaf in leaves if leaf.meaning.reading is Reading.POST_ONLY]
    others = [leaf for leaf in leaves if leaf not in flags]
    said = [
        Leaf(leaf.path, _POST_ONLY if leaf.text.lower() in YES else leaf.value, leaf.meaning)
        for leaf in flags
        if leaf.text.lower() not in NO
    ]
    groups["time_in_force"] = [*said, *(leaf for leaf in others if not said or leaf.text.lower() != "gtc")]


_POST_ONLY: Final = "PostOnly"


def _settle_tickers(groups: _Groups) -> None:
    """One with its exchange in front, and the coin alone beside the whole, are no others."""
    both = [*groups.get("ticker", []), *groups.get("symbol", [])]
    for name in ("ticker", "symbol"):
        groups[name] = [leaf for leaf in groups.get(name, []) if not any(_is_part(leaf, each) for each in both)]


def _is_part(leaf: Leaf, whole: Leaf) -> bool:
    one, other = leaf.text.upper(), whole.text.upper()
    is_coin = squeezed(leaf.path.rpartition(".")[2]) in _COINS and other.rpartition(":")[2].startswith(one)
    return one != other and (is_coin or other.rpartition(":")[2] == one)


def _settle_rest(result: Named, groups: _Groups) -> None:
    _settle_signed(result, groups)
    if len(groups.get("ticker", ())) + len(groups.get("symbol", ())) > 1:
        _settle_tickers(groups)
    if "market" in groups:
        _settle_market(groups)
    if "time_in_force" in groups:
        _settle_post_only(groups)
    for native, leaves in groups.items():
        if not leaves:
            continue
        if leaves[0].meaning.reading is Reading.POSITION or native.endswith("market_position"):
            leaves = [
                Leaf(leaf.path, _STANDS.get(leaf.text.lower(), leaf.value), leaf.meaning)
                for leaf in leaves
                if leaf.text.lower() not in _NO_SIDE
            ]
        leaf = _only(result, native, leaves)
        if leaf is None or _is_day(result, leaf):
            continue
        if leaf.meaning.reading is Reading.MAX_AGE:
            _take_max_age(result, leaf)
        elif native == "market_position_size" and leaf.path.lower() != native and leaf.text.startswith("-"):
            result.give("position_size", leaf.value, leaf.path)
        else:
            result.give(native, leaf.value, leaf.path)


def _is_day(result: Named, leaf: Leaf) -> bool:
    """A market order does not last as long as a day."""
    is_day = leaf.meaning.native == "time_in_force" and leaf.text.lower() == _DAY
    if not is_day or _lowered(result.fields.get("type")) not in ("", "market"):
        return False
    result.notes.append(f"`{leaf.path}` ignored: a market order does not last as long as a `day`")
    return True


def _take_max_age(result: Named, leaf: Leaf) -> None:
    if leaf.is_blank:
        return
    try:
        seconds = read_number(leaf.text)
    except ValueError as error:
        result.refuse(leaf.path, str(error))
        return
    if seconds <= 0:
        result.refuse(leaf.path, f"must be above 0, not {shown(leaf.value)}")
        return
    result.internal["max_age_s"] = seconds
    result.notes.append(f"`{leaf.path}`: an entry older than {number_text(seconds)} s is not placed")
