"""The figures as a picture: each case's median and 99th percentile, with the limit that it was measured beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import Figure


def draw(figures: Sequence[Figure], target: Path) -> None:
    """Times only, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [each for each in figures if each.unit == "ms"][::-1]
    drawing, axes = pyplot.subplots(figsize=(9, 0.34 * len(shown) + 1.2))
    places = range(len(shown))
    axes.barh(places, [each.median for each in shown], color="#1f5eff", height=0.6, label="median")
    axes.scatter([each.p99 for each in shown], places, color="#16181d", marker="|", s=90, label="p99", zorder=3)
    beside = [(place, each.limit_median) for place, each in zip(places, shown, strict=True) if each.limit_median]
    axes.scatter(
        [value for _, value in beside], [place for place, _ in beside], color="#e0703a", label="limit", zorder=3
    )
    axes.set_yticks(places, [each.case for each in shown], fontsize=8)
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds")
    axes.legend(loc="lower right", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    drawing.tight_layout()
    drawing.savefig(target, dpi=110)
    pyplot.close(drawing)
