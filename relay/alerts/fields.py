"""Every field that an alert may have, what each may hold, and how its value is read. Messages continue a sentence
that begins with the field's name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import copy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, Generic, TypeVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from relay.alerts.parse import lowered, number_text, parse_json, read_number
from relay.alerts.wording import joined, mistyped, nearest, placeholder_in, shown
from relay.domain.instrument import TradedMarket
from relay.domain.order import IfPassed, OrderType, TimeInForce, TriggerBy
from relay.domain.signal import (
    NATIVE_ACTIONS,
    NATIVE_UNITS,
    Action,
    Level,
    LevelKind,
    MarketSide,
    QtyUnit,
    TakeProfit,
)
from relay.errors import AlertMalformed

# When an alert says that it left: RFC 3339, Unix seconds or Unix milliseconds.


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(2010, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM = 100_000_000_000  # as seconds this would be the year 5138
_DATED = re.compile(
    r"(\d{4})([-/.])(\d\d)\2(\d\d)[T ] *(\d\d:\d\d)(:\d\d)?([.,]\d{1,9})? *(?:(Z|UTC|GMT)|([+-]\d\d)(?::?(\d\d))?)?",
    re.ASCII | re.IGNORECASE,
)
"""The year first, as RFC 3339 and Pine's `str.format_time` write it, by its default pattern and by most others."""
_UNIX = re.compile(r"\d{1,20}(\.\d{1,15})?(E\+?\d\d?)?|\d{1,3}(,\d{3}){1,4}", re.ASCII | re.IGNORECASE)
"""With commas where Pine's `str.format` wrote it."""
_RIGHT_TIME = "must be `{{timenow}}`, a time such as 2025-01-31T12:00:00Z, or Unix seconds or milliseconds"


def read_moment(text: str) -> datetime:
    """The time that `text` spells, aware UTC, to the millisecond. A time without a zone is UTC, as TradingView's are.

    ValueError's words continue a sentence that begins with the field's name.
    """
    if _UNIX.fullmatch(text):
        moment = _from_unix(text)
    elif dated := _DATED.fullmatch(text):
        moment = _from_dated(dated)
    else:
        raise ValueError(f"{_RIGHT_TIME}, not {shown(text)}")
    if moment is None or not _EARLIEST <= moment < _LATEST:
        raise ValueError(f"{_RIGHT_TIME}; {shown(text)} is no time between 2010 and 2100")
    return moment


def _from_unix(text: str) -> datetime | None:
    number = read_number(text.replace(",", ""))
    milliseconds = int(number if number >= _MILLISECONDS_FROM else number * 1000)
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def _from_dated(dated: re.Match[str]) -> datetime | None:
    year, _, month, day, minutes, seconds, fraction, _, hours, offset = dated.groups()
    zone = f"{hours}:{offset or '00'}" if hours else "+00:00"
    try:
        moment = datetime.fromisoformat(f"{year}-{month}-{day}T{minutes}{seconds or ':00'}{fraction or ''}{zone}")
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def unix_ms(moment: datetime) -> int:
    """Unix milliseconds of an aware time."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


# Take profits and stop losses as an alert spells them.


TAKE_PROFITS_MAX = 20
_PERCENT = re.compile(r"(.*\S)\s*%", re.DOTALL)
_TAKE_PROFIT_FIELDS = ("at", "share", "then")
_BREAKEVEN = "breakeven"
_RIGHT = 'a price such as 65000, or a distance such as "1.5%", "+40" or "-1%"'


def read_level(value: object) -> Level:
    """A price (a plain number), a percentage, or a distance (a number with a sign). ValueError says what is right."""
    text = level_text(value, _RIGHT)
    percent = _PERCENT.fullmatch(text)
    number = read_number(percent.group(1) if percent else text)
    sign_given = text[0] in "+-"
    if number == 0 and not sign_given:
        raise ValueError(f"must be {_RIGHT}; zero is none of them (leave the field out instead)")
    kind = LevelKind.PERCENT if percent else LevelKind.DISTANCE if sign_given else LevelKind.PRICE
    return Level(kind=kind, value=number if number else Decimal(0), sign_given=sign_given)


def read_trail(value: object) -> Level:
    """How far a trailing stop follows: a distance in price or in percent, above zero."""
    right = 'a distance in price such as 40, or "1%"'
    text = level_text(value, right)
    percent = _PERCENT.fullmatch(text)
    number = read_number(percent.group(1) if percent else text)
    if number <= 0:
        raise ValueError(f"must be {right}, above zero, not {shown(text)}")
    return Level(kind=LevelKind.PERCENT if percent else LevelKind.DISTANCE, value=number)


def read_ladder(value: object) -> tuple[TakeProfit, ...]:
    """One take profit, or several as a list of `{"at", "share", "then"}`. ValueError names the leg that is wrong."""
    if not isinstance(value, list | Mapping):
        return (TakeProfit(at=read_level(value)),)
    tp_legs = value if isinstance(value, list) else [value]
    if not 0 < len(tp_legs) <= TAKE_PROFITS_MAX:
        raise ValueError(f"must be a list of 1 to {TAKE_PROFITS_MAX} take profits, not of {len(tp_legs)}")
    ladder = tuple(_tp_leg(tp_leg, number, alone=len(tp_legs) == 1) for number, tp_leg in enumerate(tp_legs, 1))
    total = sum(tp_leg.share_pct for tp_leg in ladder)
    if total > 100:
        raise ValueError(f"has shares of {shown(total)} percent together; they may be 100 at most")
    return ladder


def level_text(value: object, right: str) -> str:
    """`value` as text, where it is a number or text at all."""
    if isinstance(value, Decimal):
        return number_text(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"must be {right}, not {shown(value)}")
    text = str(value).strip()
    if problem := placeholder_in(text):
        raise ValueError(problem)
    if not text:
        raise ValueError(f"is empty; it must be {right}")
    return text


def _tp_leg(value: object, number: int, *, alone: bool) -> TakeProfit:
    try:
        members = value if isinstance(value, Mapping) else {"at": value}
        _refuse_unknown(members)
        if members.get("at") is None:
            raise ValueError(f"needs `at`: {_RIGHT}")
        return TakeProfit(
            at=read_level(members["at"]),
            share_pct=_share(members.get("share"), alone=alone),
            moves_stop_to_entry=_moves_stop(members.get("then")),
        )
    except ValueError as error:
        raise ValueError(f"take profit {number} {error}") from None


def _refuse_unknown(members: Mapping[str, object]) -> None:
    for name in members:
        if name not in _TAKE_PROFIT_FIELDS:
            likely = nearest(name, _TAKE_PROFIT_FIELDS)
            hint = f"; the nearest is `{likely}`" if likely else ""
            raise ValueError(f'has an unknown field {shown(name)}{hint}; it may have "at", "share" and "then"')


def _share(value: object, *, alone: bool) -> Decimal:
    if value is None:
        if alone:
            return Decimal(100)
        raise ValueError("needs `share`: the percent of the position that it closes, such as 50")
    text = level_text(value, "a `share` in percent such as 50")
    percent = _PERCENT.fullmatch(text)
    try:
        share = read_number(percent.group(1) if percent else text)
    except ValueError as error:
        raise ValueError(f"has a `share` that {error}") from None
    if not 0 < share <= 100:
        raise ValueError(f"must have a `share` above 0 and up to 100 percent, not {shown(text)}")
    return share


def _moves_stop(value: object) -> bool:
    if value is None or value == "":
        return False
    if isinstance(value, str) and value.strip().lower() == _BREAKEVEN:
        return True
    raise ValueError(f'has a `then` that must be "{_BREAKEVEN}", not {shown(value)}')


_E = TypeVar("_E", bound=StrEnum)
_T = TypeVar("_T")
_ACCOUNTS_MAX = 50
YES = frozenset({"true", "yes", "on", "1"})
NO = frozenset({"false", "no", "off", "0"})


def text_of(value: object, right: str) -> str:
    """A scalar as text; marshmallow's ValidationError where it is none."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Decimal):
        return number_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValidationError(f"must be {right}, not {shown(value)}")


class _Field(fields.Field[_T], Generic[_T]):
    """None has validators: it says what is wrong where it reads."""

    def _validate(self, value: Any) -> None:
        pass


class Number(_Field[Decimal]):
    """A number within bounds, plain or quoted, exactly as it is spelled."""

    def __init__(
        self,
        *,
        above: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
        hint: str = "",
        attribute: str | None = None,
    ) -> None:
        super().__init__(attribute=attribute)
        self.above = above
        self.at_least = at_least
        self.at_most = at_most
        self.hint = f" ({hint})" if hint else ""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Decimal:
        try:
            number = read_number(text_of(value, "a number"))
        except ValueError as error:
            raise ValidationError(_said(error)) from None
        if self.above is not None and not number > self.above:
            raise ValidationError(f"must be above {self.above}, not {shown(number)}{self.hint}")
        if self.at_least is not None and not number >= self.at_least:
            raise ValidationError(f"must be {self.at_least} or more, not {shown(number)}{self.hint}")
        if self.at_most is not None and not number <= self.at_most:
            raise ValidationError(f"must be {self.at_most} or less, not {shown(number)}{self.hint}")
        return number


class SizeField(Number):
    """A number; what else people write as a size is told what it would be here."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Decimal:
        try:
            return super()._deserialize(value, attr, data, **kwargs)
        except ValidationError:
            text = str(value).strip()
            if (data or {}).get("qty_unit"):
                raise
            if "%" in text and _PERCENTAGE.fullmatch(text):
                raise ValidationError(
                    f"must be a plain number, not {shown(text)}: say by `qty_unit` of what it is a percentage "
                    "(`equity_pct`, `margin_pct` or `position_pct`), and leave the `%` out"
                ) from None
            if money := money_in(text):
                raise ValidationError(
                    f"must be a plain number, not {shown(text)}: as money it is {money}, with `qty_unit` `quote`"
                ) from None
            raise


_PERCENTAGE = re.compile(r"%?\s*[\d.]+\s*%?", re.ASCII)
_MONEY = re.compile(r"(?:[$€]\s*([\d.]+)|([\d.]+)\s*(?:usdt|usdc|usd|\$))", re.ASCII | re.IGNORECASE)


def money_in(text: str) -> str | None:
    """The number of a size such as `100 USDT` or `$100`; None where it is none."""
    found = _MONEY.fullmatch(text)
    return (found[1] or found[2]) if found else None


class Whole(Number):
    """A whole number within bounds."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        number = super()._deserialize(value, attr, data, **kwargs)
        if number != number.to_integral_value():
            raise ValidationError(f"must be a whole number, not {shown(number)}{self.hint}")
        return int(number)


class Text(_Field[str]):
    """Text, or a number taken as text, of a bounded length."""

    def __init__(self, *, length_max: int | None = None, attribute: str | None = None) -> None:
        super().__init__(attribute=attribute)
        self.length_max = length_max

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = text_of(value, "text")
        if self.length_max is not None and len(text) > self.length_max:
            raise ValidationError(f"must be {self.length_max} letters at most, not {len(text):,}")
        return text


class Choice(_Field[_E], Generic[_E]):
    """One of an enum's values, in any case. `other_words`: what people write instead, to the value that they mean.

    `among`: those of the values that an alert may name; None means all. `guesses`: a word that is nearly one is told
    so.
    """

    def __init__(
        self,
        enum: type[_E],
        other_words: Mapping[str, str] | None = None,
        *,
        among: tuple[_E, ...] | None = None,
        guesses: bool = True,
    ) -> None:
        super().__init__()
        self.guesses = guesses
        members = tuple(enum) if among is None else among
        self.members = {member.value.lower(): member for member in members}
        self.values = tuple(member.value for member in members)
        self.right = f"one of {joined(self.values)}"
        self.other_words = dict(other_words or {})

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> _E:
        word = text_of(value, self.right).lower()
        found = self.members.get(word)
        if found is None:
            raise ValidationError(self._refusal(word))
        return found

    def _refusal(self, word: str) -> str:
        likely = self.other_words.get(word) or (mistyped(word, self.members) if self.guesses else None)
        meant = self.members[likely.lower()].value if likely else None
        hint = f"; the nearest is `{meant}`" if meant else ""
        return f"cannot be {shown(word)}{hint}; it must be {self.right}"


class Flag(_Field[bool]):
    """True or false, also in quotes."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if isinstance(value, bool):
            return value
        word = text_of(value, "true or false").lower()
        if word not in YES | NO:
            raise ValidationError(f"must be true or false, not {shown(word)}")
        return word in YES


class Moment(_Field[datetime]):
    """A time, aware UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        try:
            return read_moment(text_of(value, "a time"))
        except ValueError as error:
            raise ValidationError(_said(error)) from None


class Read(_Field[_T], Generic[_T]):
    """What a reading function makes of the value; the ValueError it raises is the problem."""

    def __init__(self, read: Callable[[object], _T]) -> None:
        super().__init__()
        self.read = read

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> _T:
        try:
            return self.read(value)
        except ValueError as error:
            raise ValidationError(_said(error)) from None


class Ladder(_Field[tuple[TakeProfit, ...]]):
    """Take profits. In `key=value` pairs the list is JSON text."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[TakeProfit, ...]:
        try:
            if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
                value = lowered(parse_json(value))
            return read_ladder(value)
        except (ValueError, AlertMalformed) as error:
            raise ValidationError(_said(error)) from None


class Accounts(_Field[tuple[str, ...]]):
    """One account's name, or several: a list, or text separated by commas or plus signs. Each counts once."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[str, ...]:
        right = "an account's name or a list of names"
        given = value if isinstance(value, list) else text_of(value, right).replace("+", ",").split(",")
        names = tuple(dict.fromkeys(text_of(name, right) for name in given))
        if not names or "" in names:
            raise ValidationError(f"must be {right}, none of them empty")
        if len(names) > _ACCOUNTS_MAX:
            raise ValidationError(f"must name {_ACCOUNTS_MAX} accounts at most, not {len(names)}")
        return names


CLOSE_SAYS_PART = "is no part of the position"
_PART = re.compile("pct|perc|ratio|share|part|qty|quantit|size|amount|contract", re.IGNORECASE)


class Scalar(_Field[object]):
    """Taken and shown, without effect: anything but a list or an object."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> object:
        if attr == "close" and _says_part(value):
            raise ValidationError(f"{CLOSE_SAYS_PART}, such as {shown(value)}, but the bar's price: say `qty`")
        if isinstance(value, list | dict):
            raise ValidationError(f"must be text or a number, not {shown(value)}")
        if attr == "close" and str(value).strip().lower() in ("true", "yes"):
            raise ValidationError(
                f"is the bar's price, not {shown(value)}: say what to do as `action`, such as `close`"
            )
        return value


def _says_part(value: object) -> bool:
    if isinstance(value, dict):
        return any(_PART.search(str(name)) for name in value)
    return isinstance(value, str) and value.rstrip().endswith("%")


def _said(error: Exception) -> str:
    return str(error.args[0]) if error.args else str(error)


# Every field that an alert may have, and what each may hold.


_YEAR_S = 31_536_000
_LEVERAGE_MAX = 1000
"""No instrument of the exchange comes near; its own maximum is looked at when the entry is planned."""
_NO_SIGN = "sizes carry no sign: `action` says the side"

_ACTIONS_ELSEWHERE = {
    **{"bullish": "long", "bearish": "short", "ping": "heartbeat"},
}
_UNITS_ELSEWHERE = {
    **{"coins": "base", "coin": "base", "usd": "quote", "usdt": "quote", "usdc": "quote", "notional": "quote"},
    **{"percent_of_equity": "equity_pct", "percent_of_position": "position_pct"},
    **{"risk_percent": "risk_pct", "risk_dollar_amount": "risk_quote"},
}
"""What "percent", "margin" and "lots" count differs between services: the sender is asked."""
_TYPES_ELSEWHERE = {
    **{"stop": "stop_market", "stopmarket": "stop_market", "stoplimit": "stop_limit"},
    "take_profit_market": "market_if_touched",
}
_TIMES_IN_FORCE_ELSEWHERE = {"maker": "PostOnly", "post": "PostOnly"}

DECIDING = frozenset({"action", "qty", "qty_unit", "ticker", "symbol", "account"})
"""The fields that say what is closed, and where."""


class AlertSchema(Schema):
    """The contract's table. What is absent is absent; defaults are the Signal's own."""

    class Meta:
        unknown = EXCLUDE

    id = Text(length_max=200, attribute="sender_id")
    order_id = Text()
    ticker = Text(length_max=64)
    symbol = Text(length_max=64)
    exchange = Text(length_max=64)
    market = Choice(TradedMarket, {"perp": "perpetual", "linear": "perpetual", "inverse": "perpetual"})
    action = Choice(Action, _ACTIONS_ELSEWHERE, among=NATIVE_ACTIONS)
    qty = SizeField(at_least=0, hint=_NO_SIGN)
    qty_unit = Choice(QtyUnit, _UNITS_ELSEWHERE, among=NATIVE_UNITS)
    type = Choice(OrderType, _TYPES_ELSEWHERE)
    price = Number(above=0)
    trigger_price = Number(above=0)
    trigger_by = Choice(TriggerBy, {"lastprice": "last", "markprice": "mark", "indexprice": "index"}, guesses=False)
    if_passed = Choice(IfPassed, {})
    time_in_force = Choice(TimeInForce, _TIMES_IN_FORCE_ELSEWHERE, guesses=False)
    reduce_only = Flag()
    slippage_pct = Number(above=0, at_most=100)
    valid_for = Whole(above=0, at_most=_YEAR_S, hint="seconds", attribute="valid_for_s")
    take_profit = Ladder(attribute="take_profits")
    stop_loss = Read(read_level)
    trailing_stop = Read(read_trail)
    trailing_start = Read(read_level)
    leverage = Number(at_least=1, at_most=_LEVERAGE_MAX, hint="how many times the margin")
    market_position = Choice(MarketSide)
    market_position_size = Number(at_least=0, hint="`market_position` says the side")
    prev_market_position = Choice(MarketSide)
    prev_market_position_size = Number(at_least=0, hint="`prev_market_position` says the side")
    position_size = Number()
    time = Moment(attribute="sent_at")
    signal_price = Number(above=0)
    account = Accounts(attribute="accounts")
    comment = Text()
    interval = Scalar()
    open = Scalar()
    high = Scalar()
    low = Scalar()
    close = Scalar()
    volume = Scalar()
    timenow = Scalar()
    bar_time = Scalar()


SCHEMA = AlertSchema()
KNOWN = frozenset(SCHEMA.load_fields)
SHOWN_ONLY = frozenset(name for name, kind in SCHEMA.load_fields.items() if isinstance(kind, Scalar))
"""Taken and shown, without effect. Fields that begin with `x_` are too."""
INDIFFERENT = SHOWN_ONLY | {"comment", "order_id", "exchange"}
"""What no order depends on: said of none of them is that it is blank, null or named twice."""


def meant_word(name: str, text: str) -> str | None:
    """The word of the native field `name` that `text`, another service's, certainly means; None where there is none."""
    kind = SCHEMA.load_fields.get(name)
    return kind.other_words.get(text.lower()) if isinstance(kind, Choice) else None


def load(filled: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The values of `filled` (native names, no blanks) under the Signal's names; and each field's problems."""
    problems: dict[str, list[str]] = {}
    try:
        loaded: dict[str, Any] = _narrowed(tuple([name for name in filled if name in KNOWN])).load(filled)
    except ValidationError as error:
        assert isinstance(error.valid_data, dict), "one object was loaded"
        loaded = error.valid_data
        problems.update(error.messages_dict)
    for name in SHOWN_ONLY:
        loaded.pop(name, None)
    return loaded, problems


@lru_cache(maxsize=256)
def _narrowed(names: tuple[str, ...]) -> AlertSchema:
    """The schema of what is there: each field that is not would cost as much as one that is, and none is required."""
    schema = copy(SCHEMA)
    schema.load_fields = {name: kind for name, kind in SCHEMA.load_fields.items() if name in names}
    return schema
