"""The shape of `relay/`, counted: files, their length, names, and words that are not used here."""

from __future__ import annotations

import ast
import io
import re
import statistics
import tokenize
from collections import defaultdict
from pathlib import Path

from tests.bench.figures import Figure

RELAY = Path(__file__).parent.parent.parent / "relay"
OF_SEVERAL_PROCESSES = (
    "domain/placement.py",
    "engine/lease_guard.py",
    "engine/placement.py",
    "execution/owned.py",
    "journal/ownership.py",
    "journal/wake_up.py",
)
"""What exists only for several processes: counted by itself."""
NOT_USED = re.compile(
    r"(?<![a-z])(caretaker|caring|cared|rungs?|leavings|nameless|whence|overheard|happenings?|believed|beliefs?|untold|chores?"
    r"|bearing|crossing|manner|(?<!lease_)guards?|sight|surprise|prover|proof|patients?|examine|within_ms|upkeep|desk|stroke"
    r"|stamp|kept|told|asked|heard|assignments?)(?![a-z])",
    re.IGNORECASE,
)
NAMES_ON_DISK = frozenset({"assignments", "beliefs", "bookings", "carries", "guard", "guards", "is_told"})
"""Tables and columns are called as they always were."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def files() -> list[Path]:
    """Every file of the program, migrations aside."""
    return [path for path in sorted(RELAY.rglob("*.py")) if "migrations" not in path.parts]


def of_several_processes() -> set[Path]:
    return {path for pattern in OF_SEVERAL_PROCESSES for path in RELAY.glob(pattern)}


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def classes_defined_twice() -> dict[str, list[str]]:
    """Public classes of one name in several files; the paper exchange speaks the exchange's words and is left out."""
    found = defaultdict(list)
    for path in files():
        place = path.relative_to(RELAY).as_posix()
        if place.startswith("paper/"):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(place)
    return {name: places for name, places in found.items() if len(places) > 1}


def words_not_used() -> dict[str, list[str]]:
    """Identifiers with a word that has a better one here, and where they stand. Names on disk are no identifiers."""
    found = defaultdict(set)
    for path in files():
        if path.relative_to(RELAY).parts[0] == "paper":
            continue
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
            is_name = token.type == tokenize.NAME and token.string not in NAMES_ON_DISK
            if is_name and NOT_USED.search("_".join(_WORDS.findall(token.string))):
                found[token.string].add(path.relative_to(RELAY).as_posix())
    return {name: sorted(places) for name, places in found.items()}


def structure() -> list[Figure]:
    """What `python -m tests.bench structure` prints."""
    apart = of_several_processes()
    lengths = {path: lines_of(path) for path in files() if path not in apart}
    twice, words = classes_defined_twice(), words_not_used()
    for name, places in [*twice.items(), *words.items()]:
        print(f"{name}: {', '.join(places)}")
    longest = max(lengths, key=lengths.__getitem__)
    counts: list[tuple[str, float, str]] = [
        ("files in relay/", len(lengths), "150 at most"),
        ("their median length, lines", statistics.median(lengths.values()), "150 at least"),
        (f"the longest, {longest.relative_to(RELAY)}, lines", lengths[longest], "700 at most"),
        ("all of them, lines", sum(lengths.values()), "38000 at most"),
        ("for several processes alone, lines", sum(map(lines_of, apart)), ""),
        ("files loose in relay/", len(list(RELAY.glob("*.py"))), "3 at most"),
        ("public classes defined twice", len(twice), "none"),
        ("identifiers with a word not used here", len(words), "none"),
    ]
    return [Figure(case=case, median=count, p99=count, unit="", limit=limit) for case, count, limit in counts]
