"""Misbehaviour on order: what the exchange is told to do wrong to the next calls, and a log of all calls.

A fault is consumed by the first call that it matches; faults are tried in the order in which they were added.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MAX_CALLS = 20_000
MAX_FAULTS = 1_000
MAX_SHOWN = 64


class FaultKind(StrEnum):
    """`drop_reply`: the effect happens, the connection is cut without an answer; `drop_request`: cut before any effect.

    `delay_before` / `delay_after`: the effect comes after / before the delay, whether or not the client still waits.
    `http`: a status without JSON; `html`: HTTP 200 with a page; `code`: a refusal. These three happen instead of the
    effect, or after it with `after_effect`.
    """

    DROP_REPLY = "drop_reply"
    DROP_REQUEST = "drop_request"
    DELAY_BEFORE = "delay_before"
    DELAY_AFTER = "delay_after"
    HTTP = "http"
    HTML = "html"
    CODE = "code"


AFTER = frozenset({FaultKind.DROP_REPLY, FaultKind.DELAY_AFTER})


class FaultInvalid(Exception):
    """The fault cannot be read."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """`times` None: for ever. `match`: fields of the request that must have these values."""

    path: str
    kind: FaultKind
    times: int | None = 1
    probability: float = 1.0
    match: Mapping[str, Any] = field(default_factory=dict)
    ms: int = 0
    status: int = 502
    body: str = ""
    ret_code: int = 10016
    ret_msg: str = "Server error."
    headers: Mapping[str, str] = field(default_factory=dict)
    after_effect: bool = False
    dice: random.Random = field(default_factory=random.Random)

    @property
    def is_after(self) -> bool:
        return self.kind in AFTER or self.after_effect

    def meets(self, path: str, params: Mapping[str, Any]) -> bool:
        if self.path not in (path, "*"):
            return False
        return all(str(params.get(name)) == str(value) for name, value in self.match.items())


def read_fault(body: Mapping[str, Any]) -> Fault:
    """A fault from its JSON form. Raises FaultInvalid."""
    try:
        kind = FaultKind(str(body["kind"]))
        times = body.get("times", 1)
        fault = Fault(
            path=str(body["path"]),
            kind=kind,
            times=None if times is None else int(times),
            probability=float(body.get("probability", 1)),
            match=dict(body.get("match") or {}),
            ms=int(body.get("ms", 0)),
            status=int(body.get("status", 502)),
            body=str(body.get("body", "")),
            ret_code=int(body.get("retCode", 10016)),
            ret_msg=str(body.get("retMsg", "Server error.")),
            headers={str(name): str(value) for name, value in (body.get("headers") or {}).items()},
            after_effect=bool(body.get("after_effect", False)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FaultInvalid(f"{type(error).__name__}: {error}") from error
    if "seed" in body:
        fault.dice.seed(int(body["seed"]))
    return fault


class Faults:
    """The faults waiting for their call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, faults: list[Fault]) -> None:
        with self._lock:
            self._waiting = [*self._waiting, *faults][:MAX_FAULTS]

    def clear(self) -> None:
        with self._lock:
            self._waiting = []

    def count(self) -> int:
        return len(self._waiting)

    def take(self, path: str, params: Mapping[str, Any]) -> Fault | None:
        """The first fault that meets the call and whose dice say so; used up when it has happened `times` times."""
        if not self._waiting:
            return None
        with self._lock:
            for fault in self._waiting:
                if not fault.meets(path, params) or fault.dice.random() >= fault.probability:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._waiting.remove(fault)
                return fault
        return None


def _short(value: object) -> str | None:
    return None if value is None else str(value)[:MAX_SHOWN]


class Calls:
    """The newest calls, each noted at its arrival and completed when answered."""

    def __init__(self) -> None:
        self._calls: deque[dict[str, Any]] = deque(maxlen=MAX_CALLS)

    def arrived(self, at_ns: int, method: str, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        call = {
            "at_ns": at_ns,
            "method": method,
            "path": path,
            "symbol": _short(params.get("symbol")),
            "orderLinkId": _short(params.get("orderLinkId")),
            "retCode": None,
        }
        self._calls.append(call)
        return call

    def all(self) -> list[dict[str, Any]]:
        return list(self._calls)

    def clear(self) -> None:
        self._calls.clear()
