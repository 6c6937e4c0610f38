"""A point of the checklist, and the list as it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from relay.exchange.account_facts import Untold

NAMES = (
    "host",
    "region",
    "clock",
    "key",
    "signature",
    "expiry",
    "ip",
    "trade_permission",
    "read_only",
    "withdraw_permission",
    "transfer_permission",
    "account_type",
    "margin_mode",
    "position_mode",
    "wallet",
    "leverage",
    "foreign_positions",
    "streams",
    "instruments",
    "fees",
)
REQUIRED = frozenset(
    {
        "host",
        "region",
        "key",
        "signature",
        "trade_permission",
        "read_only",
        "withdraw_permission",
        "position_mode",
        "instruments",
    }
)
"""What must have been seen, and not merely not be wrong."""


_TOLD_BY = {
    403: "region",
    10003: "key",
    10004: "signature",
    10009: "region",
    10010: "ip",
    10024: "region",
    33004: "expiry",
}
"""The points that say what these refusals, which any question may meet, mean."""


class State(StrEnum):
    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    UNKNOWN = "unknown"
    """It could not be checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One thing that was looked at. `fix`: what to do about it, in the exchange's own menus; None: nothing."""

    name: str
    state: State
    message: str
    fix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All points, in the order of `NAMES`."""

    points: tuple[Point, ...]

    @property
    def is_ok(self) -> bool:
        """Nothing is red, and of what the relay cannot do without nothing is unknown."""
        return not self.hindering()

    def hindering(self) -> tuple[Point, ...]:
        return tuple(
            each
            for each in self.points
            if each.state is State.RED or (each.state is State.UNKNOWN and each.name in REQUIRED)
        )

    def point(self, name: str) -> Point:
        return next(each for each in self.points if each.name == name)


def green(name: str, message: str) -> Point:
    return Point(name=name, state=State.GREEN, message=message)


def amber(name: str, message: str, fix: str | None = None) -> Point:
    return Point(name=name, state=State.AMBER, message=message, fix=fix)


def red(name: str, message: str, fix: str) -> Point:
    return Point(name=name, state=State.RED, message=message, fix=fix)


def unknown(name: str, why: Untold | str) -> Point:
    """Could not be checked: another point, or the words, say why."""
    if isinstance(why, Untold) and why.code in _TOLD_BY:
        return Point(name=name, state=State.UNKNOWN, message=f"not checked: see `{_TOLD_BY[why.code]}`")
    words = why.words if isinstance(why, Untold) else why
    return Point(name=name, state=State.UNKNOWN, message=f"not checked: {words}")


def rows_of(report: Report) -> list[dict[str, str | None]]:
    """As the API and `check --json` show it."""
    return [
        {"name": each.name, "state": each.state.value, "message": each.message, "fix": each.fix}
        for each in report.points
    ]


def read_report(rows: Sequence[Mapping[str, Any]]) -> Report:
    """From what `rows_of` made, by way of JSON."""
    return Report(
        points=tuple(
            Point(name=row["name"], state=State(row["state"]), message=row["message"], fix=row["fix"]) for row in rows
        )
    )
