"""What this thread is about just now: which request, signal, account and order. Logs and error reports carry it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

FACTS: Final = ("request_id", "signal_id", "account", "client_order_id")

_facts: ContextVar[Mapping[str, str]] = ContextVar("relay_facts", default={})  # noqa: B039 - never changed in place


@contextmanager
def about(**facts: str) -> Iterator[None]:
    """Inside, what is logged in this thread carries `facts`, with those of the `about` around it."""
    token = _facts.set({**_facts.get(), **facts})
    try:
        yield
    finally:
        _facts.reset(token)


def add(**facts: str) -> None:
    """Until the end of the innermost `about`."""
    _facts.set({**_facts.get(), **facts})


def facts() -> Mapping[str, str]:
    return _facts.get()
