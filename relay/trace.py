"""What this thread is about just now: which request, signal, account and order. Logs and error reports carry it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

FACTS: Final = ("request_id", "signal_id", "account", "client_order_id")

_facts: ContextVar[Mapping[str, str]] = ContextVar("relay_facts", default={})  # noqa: B039 - never changed in place


class about:  # noqa: N801 - it is used like a function
    """Inside, what is logged in this thread carries `facts`, with those of the `about` around it."""

    __slots__ = ("_new", "_token")

    def __init__(self, **facts: str) -> None:
        self._new = facts

    def __enter__(self) -> None:
        self._token = _facts.set({**_facts.get(), **self._new})

    def __exit__(self, *_: object) -> None:
        _facts.reset(self._token)


def add(**facts: str) -> None:
    """Until the end of the innermost `about`."""
    _facts.set({**_facts.get(), **facts})


def facts() -> Mapping[str, str]:
    return _facts.get()
