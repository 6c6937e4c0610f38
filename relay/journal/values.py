"""Frozen values of the domain as JSON and back, by the types of their fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """All that differs from the defaults; decimals and enums as strings."""
    if is_dataclass(value):
        named = ((each.name, getattr(value, each.name), each.default) for each in fields(value))
        return {name: to_json(held) for name, held, default in named if held != default}
    if isinstance(value, tuple):
        return [to_json(each) for each in value]
    return str(value) if isinstance(value, Decimal | StrEnum) else value


def from_json(kind: Callable[..., T], said: Any) -> T:
    """What `to_json` made of a value of this kind. Fields that are not there have their defaults."""
    read: T = _reader(kind)(said)
    return read


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    if get_origin(hint) in (Union, UnionType):
        (inner,) = (_reader(each) for each in get_args(hint) if each is not NoneType)
        return lambda said: None if said is None else inner(said)
    if get_origin(hint) is tuple:
        each_reader = _reader(get_args(hint)[0])
        return lambda said: tuple(each_reader(each) for each in said)
    make: Callable[..., Any] = hint
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return lambda said: make(**{name: _reader(hints[name])(value) for name, value in said.items()})
    assert hint in (bool, int, str, Decimal) or issubclass(hint, StrEnum), f"{hint} cannot be kept"
    return make
