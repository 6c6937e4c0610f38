"""`python -m tests.bench`: starts everything itself, measures each case beside its limit, prints one table."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench import (
    against,
    latency,
    measures,
    mutants,
    owners,
    pages,
    rate,
    reading,
    scale,
    soak,
    storm,
    structure,
    tracer,
)
from tests.bench.figures import Figure, table

_SECONDS = 30.0
Part = Callable[[Path, argparse.Namespace], list[Figure]]
PARTS: dict[str, Part] = {
    "alone": lambda folder, requested: latency.alone(folder, requested.count),
    "two-accounts": lambda folder, requested: latency.two_accounts(folder, requested.count),
    "back-to-back": lambda folder, requested: latency.back_to_back(folder, requested.count),
    "unheard": lambda folder, requested: latency.unheard(folder, requested.count),
    "at-once": lambda folder, requested: [
        *latency.at_once(folder / "50", count=50, symbols=50, round_trip_ms=100),
        *latency.at_once(folder / "1", count=50, symbols=1, round_trip_ms=0),
    ],
    "limited": lambda folder, requested: latency.at_once(folder, count=30, symbols=50, round_trip_ms=0, limiter=True),
    "kinds": lambda folder, requested: [
        each
        for round_trip_ms in (0, 20, 100)
        for each in latency.kinds(
            folder / str(round_trip_ms), round_trip_ms=round_trip_ms, count=max(5, requested.count // 10)
        )
    ],
    "accepts": lambda folder, requested: rate.accepts(folder, requested.seconds or _SECONDS),
    "away": lambda folder, requested: rate.accepts_while_away(folder, min(10.0, requested.seconds or _SECONDS)),
    "start": lambda folder, requested: rate.start_up(folder, 5),
    "pages": lambda folder, requested: pages.pages(folder, requested.rows, max(5, requested.count // 10)),
    "reading": lambda folder, requested: reading.reading(requested.count * 100),
    "trace": lambda folder, requested: tracer.trace(folder, requested.count, requested.most),
    "imports": lambda folder, requested: tracer.imports(folder),
    "storm": lambda folder, requested: storm.storm(folder, requested.seconds or storm.SECONDS),
    "soak": lambda folder, requested: soak.soak(folder, requested.seconds or soak.SECONDS),
    "scale": lambda folder, requested: scale.scale(
        folder, rows=requested.rows, seconds=requested.seconds or _SECONDS, count=requested.count
    ),
    "owners": lambda folder, requested: owners.owners(folder, count=requested.count, seconds=requested.seconds or 10.0),
    "history": lambda folder, requested: rate.history(folder, requested.rows, requested.count),
    "structure": lambda folder, requested: structure.structure(),
    "mutants": lambda folder, requested: mutants.mutants(requested.count, requested.seed),
    "against": lambda folder, requested: against.against(
        folder, requested.against.resolve(), requested.count, requested.seconds or _SECONDS
    ),
    "table": lambda folder, requested: measures.measures(
        folder, requested.against.resolve(), one_core=requested.one_core
    ),
}


_ALONE = ("soak", "scale", "owners", "mutants", "against", "table")
"""They take as long as all the others, and longer."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all of them but {', '.join(_ALONE)}"
    )
    parser.add_argument("--count", type=int, default=200, help="how often each thing is measured")
    parser.add_argument(
        "--seconds", type=float, help="how long accepts are pressed (30), storm goes on (20), soak (480)"
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="how long the long journal is")
    parser.add_argument("--seed", type=int, default=1, help="which mutants are picked")
    parser.add_argument("--most", type=int, default=0, help="trace prints so many of the functions called most, too")
    parser.add_argument("--against", type=Path, help="a checkout: its relay is measured beside this one's, in turns")
    parser.add_argument("--one-core", action="store_true", help="`table` keeps this checkout's relay to one core")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--plot", type=Path, help="draw them there (PNG)")
    requested = parser.parse_args()
    unknown = [each for each in requested.parts if each not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if (requested.against is not None) != bool({"against", "table"} & set(requested.parts)):
        parser.error("the parts `against` and `table` go together with the option `--against PATH`")
    figures: list[Figure] = []
    for name in requested.parts or [each for each in PARTS if each not in _ALONE]:
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as folder:
            made = PARTS[name](Path(folder), requested)
        print(table(made), flush=True)
        figures += made
    print(f"\n{table(figures)}")
    if requested.json:
        requested.json.write_text(json.dumps([each.form() for each in figures], indent=2) + "\n")
    if requested.plot:
        from tests.bench.plot import draw

        draw(figures, requested.plot)


if __name__ == "__main__":
    main()
