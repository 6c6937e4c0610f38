"""Pages and answers, as V5 gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote

from relay.paper.asks import Unreadable, whole

DAY_MS = 24 * 3600 * 1000
WEEK_MS = 7 * DAY_MS
_Row = TypeVar("_Row")


def limit(params: Mapping[str, Any], *, default: int, most: int) -> int:
    """The page size asked for; beyond the maximum it is the maximum."""
    asked = whole(params, "limit", default)
    if asked < 1:
        raise Unreadable("limit invalid")
    return min(asked, most)


def after(params: Mapping[str, Any]) -> int | None:
    """The number inside a cursor; pybit sends it as it got it, other clients encode it once more."""
    cursor = unquote(unquote(str(params.get("cursor") or "")))
    if not cursor:
        return None
    number = cursor.partition(":")[0]
    if not (number.isascii() and number.isdigit()):
        raise Unreadable("cursor invalid")
    return int(number)


def cursor(number: int) -> str:
    """Encoded, as Bybit's are."""
    return f"{number}%3A{number}"


def page(rows: Sequence[_Row], params: Mapping[str, Any], *, default: int, most: int) -> tuple[list[_Row], str]:
    """A page of a list that has no better key than its order; the cursor is empty at its end."""
    start, size = after(params) or 0, limit(params, default=default, most=most)
    shown = list(rows[start : start + size])
    return shown, cursor(start + size) if start + size < len(rows) else ""


def span(params: Mapping[str, Any], now_ms: int) -> tuple[int, int]:
    """The time range of a history: at most seven days, the last seven by default (order-list.mdx)."""
    start, end = whole(params, "startTime", 0), whole(params, "endTime", 0)
    if start and end:
        if end - start > WEEK_MS or end < start:
            raise Unreadable("The time range between startTime and endTime cannot exceed 7 days")
        return start, end
    if start:
        return start, start + WEEK_MS
    return (end or now_ms) - WEEK_MS, end or now_ms + DAY_MS
