"""Figures of a run: medians, percentiles, ratios, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table. Times in milliseconds, rates a second. `limit`: what it was measured beside."""

    case: str
    median: float
    p99: float
    unit: str = "ms"
    limit: str = ""
    limit_median: float | None = None
    count: int = 0
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return None if not self.limit_median else self.median / self.limit_median

    def form(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio}


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def figure(case: str, values: Sequence[float], *, limit: str = "", beside: Sequence[float] = (), **more: Any) -> Figure:
    """Of measured values, and of the limit's values from the same run."""
    return Figure(
        case=case,
        median=percentile(values, 0.5),
        p99=percentile(values, 0.99),
        limit=limit,
        limit_median=percentile(beside, 0.5) if beside else None,
        count=len(values),
        **more,
    )


def table(figures: Sequence[Figure]) -> str:
    heads = ("case", "median", "p99", "unit", "n", "beside", "its median", "ratio", "note")
    rows = [heads, *(_cells(each) for each in figures)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cells(each: Figure) -> tuple[str, ...]:
    beside = "" if each.limit_median is None else f"{each.limit_median:.2f}"
    ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
    return (
        each.case,
        f"{each.median:.2f}",
        f"{each.p99:.2f}",
        each.unit,
        str(each.count),
        each.limit,
        beside,
        ratio,
        each.note,
    )
