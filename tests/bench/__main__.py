"""`python -m tests.bench`: starts everything itself, measures each case beside its limit, prints one table."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench import latency, pages, rate, reading, scale, soak, storm, tracer
from tests.bench.figures import Figure, table

_SECONDS = 30.0
Part = Callable[[Path, argparse.Namespace], list[Figure]]
PARTS: dict[str, Part] = {
    "alone": lambda folder, asked: latency.alone(folder, asked.count),
    "two-accounts": lambda folder, asked: latency.two_accounts(folder, asked.count),
    "back-to-back": lambda folder, asked: latency.back_to_back(folder, asked.count),
    "unheard": lambda folder, asked: latency.unheard(folder, asked.count),
    "at-once": lambda folder, asked: [
        *latency.at_once(folder / "50", count=50, symbols=50, round_trip_ms=100),
        *latency.at_once(folder / "1", count=50, symbols=1, round_trip_ms=0),
    ],
    "limited": lambda folder, asked: latency.at_once(folder, count=30, symbols=50, round_trip_ms=0, limiter=True),
    "kinds": lambda folder, asked: [
        each
        for round_trip_ms in (0, 20, 100)
        for each in latency.kinds(
            folder / str(round_trip_ms), round_trip_ms=round_trip_ms, count=max(5, asked.count // 10)
        )
    ],
    "accepts": lambda folder, asked: rate.accepts(folder, asked.seconds or _SECONDS),
    "away": lambda folder, asked: rate.accepts_while_away(folder, min(10.0, asked.seconds or _SECONDS)),
    "start": lambda folder, asked: rate.start_up(folder, 5),
    "pages": lambda folder, asked: pages.pages(folder, asked.rows, max(5, asked.count // 10)),
    "reading": lambda folder, asked: reading.reading(asked.count * 100),
    "trace": lambda folder, asked: tracer.trace(folder, asked.count, asked.most),
    "imports": lambda folder, asked: tracer.imports(folder),
    "storm": lambda folder, asked: storm.storm(folder, asked.seconds or storm.SECONDS),
    "soak": lambda folder, asked: soak.soak(folder, asked.seconds or soak.SECONDS),
    "scale": lambda folder, asked: scale.scale(
        folder, rows=asked.rows, seconds=asked.seconds or _SECONDS, count=asked.count
    ),
    "history": lambda folder, asked: rate.history(folder, asked.rows, asked.count),
}


_ALONE = ("soak", "scale")
"""They take as long as all the others."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all of them but soak and scale"
    )
    parser.add_argument("--count", type=int, default=200, help="how often each thing is measured")
    parser.add_argument(
        "--seconds", type=float, help="how long accepts are pressed (30), storm goes on (20), soak (480)"
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="how long the long journal is")
    parser.add_argument("--most", type=int, default=0, help="trace prints so many of the functions called most, too")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--plot", type=Path, help="draw them there (PNG)")
    asked = parser.parse_args()
    unknown = [each for each in asked.parts if each not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    figures: list[Figure] = []
    for name in asked.parts or [each for each in PARTS if each not in _ALONE]:
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as folder:
            made = PARTS[name](Path(folder), asked)
        print(table(made), flush=True)
        figures += made
    print(f"\n{table(figures)}")
    if asked.json:
        asked.json.write_text(json.dumps([each.form() for each in figures], indent=2) + "\n")
    if asked.plot:
        from tests.bench.plot import draw

        draw(figures, asked.plot)


if __name__ == "__main__":
    main()
