"""The kinds of values an alert's fields take. Messages continue a sentence that begins with the field's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar

from marshmallow import ValidationError, fields

from relay.alerts.jsontext import parse_json
from relay.alerts.level import read_ladder
from relay.alerts.moment import read_moment
from relay.alerts.number import number_text, read_number
from relay.alerts.wording import joined, nearest, shown
from relay.domain.signal import TakeProfit
from relay.errors import AlertMalformed

_E = TypeVar("_E", bound=StrEnum)
_T = TypeVar("_T")
_ACCOUNTS_MAX = 50
_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})


def text_of(value: object, right: str) -> str:
    """A scalar as text; marshmallow's ValidationError where it is none."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Decimal):
        return number_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValidationError(f"must be {right}, not {shown(value)}")


class Number(fields.Field[Decimal]):
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


class Whole(Number):
    """A whole number within bounds."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        number = super()._deserialize(value, attr, data, **kwargs)
        if number != number.to_integral_value():
            raise ValidationError(f"must be a whole number, not {shown(number)}{self.hint}")
        return int(number)


class Text(fields.Field[str]):
    """Text, or a number taken as text, of a bounded length."""

    def __init__(self, *, length_max: int | None = None, attribute: str | None = None) -> None:
        super().__init__(attribute=attribute)
        self.length_max = length_max

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = text_of(value, "text")
        if self.length_max is not None and len(text) > self.length_max:
            raise ValidationError(f"must be {self.length_max} letters at most, not {len(text):,}")
        return text


class Choice(fields.Field[_E], Generic[_E]):
    """One of an enum's values, in any case. `other_words`: what people write instead, to the value that they mean.

    `among`: those of the values that an alert may name; None: all.
    """

    def __init__(
        self, enum: type[_E], other_words: Mapping[str, str] | None = None, *, among: tuple[_E, ...] | None = None
    ) -> None:
        super().__init__()
        members = tuple(enum) if among is None else among
        self.members = {member.value.lower(): member for member in members}
        self.values = tuple(member.value for member in members)
        self.other_words = dict(other_words or {})

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> _E:
        word = text_of(value, f"one of {joined(self.values)}").lower()
        found = self.members.get(word)
        if found is None:
            raise ValidationError(self._refusal(word))
        return found

    def _refusal(self, word: str) -> str:
        likely = self.other_words.get(word) or nearest(word, self.members)
        meant = self.members[likely.lower()].value if likely else None
        hint = f"; the nearest is `{meant}`" if meant else ""
        return f"cannot be {shown(word)}{hint}; it must be one of {joined(self.values)}"


class Flag(fields.Field[bool]):
    """True or false, also in quotes."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if isinstance(value, bool):
            return value
        word = text_of(value, "true or false").lower()
        if word not in _YES and word not in _NO:
            raise ValidationError(f"must be true or false, not {shown(word)}")
        return word in _YES


class Moment(fields.Field[datetime]):
    """A time, aware UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        try:
            return read_moment(text_of(value, "a time"))
        except ValueError as error:
            raise ValidationError(_said(error)) from None


class Read(fields.Field[_T], Generic[_T]):
    """What a reading function makes of the value; the ValueError it raises is the problem."""

    def __init__(self, read: Callable[[object], _T]) -> None:
        super().__init__()
        self.read = read

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> _T:
        try:
            return self.read(value)
        except ValueError as error:
            raise ValidationError(_said(error)) from None


class Ladder(fields.Field[tuple[TakeProfit, ...]]):
    """Take profits. In `key=value` pairs the list is JSON text."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[TakeProfit, ...]:
        try:
            if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
                value = parse_json(value)
            return read_ladder(value)
        except (ValueError, AlertMalformed) as error:
            raise ValidationError(_said(error)) from None


class Accounts(fields.Field[tuple[str, ...]]):
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


class Scalar(fields.Field[object]):
    """Taken and shown, without effect: anything but a list or an object."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> object:
        if isinstance(value, list | dict):
            raise ValidationError(f"must be text or a number, not {shown(value)}")
        return value


def _said(error: Exception) -> str:
    return str(error.args[0]) if error.args else str(error)
