"""Small changes to the code that carries money, one at a time: which of them do the fast tests notice?

In a copy of the tree. Of each mutant only those unit, property and contract tests run that import its module, first the
ones that do so themselves, then, where they notice nothing, the ones that import what imports it.
"""

from __future__ import annotations

import ast
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.bench.figures import Figure

ROOT = Path(__file__).parent.parent.parent
AREAS = (
    *("domain/*.py", "alerts/rules.py", "alerts/signal.py", "alerts/authenticate.py", "journal/accept.py"),
    *("journal/ownership.py", "journal/orders.py", "journal/retention.py", "bybit/stream_state.py", "bybit/calls.py"),
    *("bybit/http.py", "bybit/wire_*.py"),
)
"""The domain, admission, certainty, ownership, reports, known position, calls, transport and the wire readers."""
_FAST = ("unit", "property", "contract")
_SPARE_S, _TIMES = 30.0, 4
_SWAPPED = {
    **{"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="},
    **{"is": "is not", "is not": "is", "in": "not in", "not in": "in"},
    **{"and": "or", "or": "and", "+": "-", "-": "+", "*": "/", "/": "*"},
}
_OPERATOR = re.compile(r"<=|>=|==|!=|[<>+*/-]|is not|not in|\b(?:is|in|and|or)\b")
_OPPOSITES = {"min": "max", "max": "min", "floor_to": "ceil_to", "ceil_to": "floor_to", "any": "all", "all": "any"}
_OPPOSITES |= {"BUY": "SELL", "SELL": "BUY"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`start`, `end`: what `after` stands in place of, in bytes of the file."""

    path: Path
    line: int
    start: int
    end: int
    after: str

    def reported(self) -> str:
        before = (ROOT / self.path).read_bytes()[self.start : self.end].decode()
        return f"{self.path}:{self.line}: {' '.join(before.split())} -> {self.after}"


def mutants_of(path: Path) -> list[Mutant]:
    source = (ROOT / path).read_bytes()
    starts = [0]
    for each in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(each))

    def at(line: int | None, column: int | None) -> int:
        return starts[(line or 1) - 1] + (column or 0)

    found = []
    for node in _meant(ast.parse(source)):
        for first, last, after in _changes(node, source.decode()):
            start, end = at(first.lineno, first.col_offset), at(last.end_lineno, last.end_col_offset)
            if after is None:
                start, end = at(first.end_lineno, first.end_col_offset), at(last.lineno, last.col_offset)
                after = _OPERATOR.sub(lambda found: _SWAPPED[found[0]], source[start:end].decode(), count=1)
            found.append(Mutant(path=path, line=first.lineno, start=start, end=end, after=after))
    return found


def _meant(node: ast.AST) -> Iterator[ast.AST]:
    """What decides something: no assertion, no wording, no declaration of a type."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "keywords" if isinstance(node, ast.ClassDef) else ""):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Assert | ast.JoinedStr | ast.Import):
                yield child
                yield from _meant(child)


def _changes(node: ast.AST, source: str) -> Iterator[tuple[ast.expr | ast.stmt, ast.expr | ast.stmt, str | None]]:
    """From where to where, and what instead; None: the operator between the two is another."""
    match node:
        case ast.Compare(left=left, ops=[_], comparators=[right]):
            yield left, right, None
        case ast.BoolOp(values=[first, *others]):
            if len(others) == 1:
                yield first, others[0], None
            yield node, node, f"({ast.get_source_segment(source, others[-1])})"
            yield node, node, f"({ast.get_source_segment(source, first)})"
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right=right):
            yield left, right, None
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield node, node, f"({ast.get_source_segment(source, operand)})"
        case ast.Constant(value=bool() as value):
            yield node, node, str(not value)
        case ast.Constant(value=int() as value):
            yield node, node, str(value + 1)
        case ast.Name(id=name) if name in _OPPOSITES:
            yield node, node, _OPPOSITES[name]
        case ast.Attribute(value=value, attr=name) if name in _OPPOSITES:
            yield node, node, f"{ast.get_source_segment(source, value)}.{_OPPOSITES[name]}"
        case ast.If(test=test) | ast.IfExp(test=test):
            yield test, test, "True"
            yield test, test, "False"
        case ast.Set(elts=[_, _, *_] as members):
            for dropped in members:
                stay = [ast.get_source_segment(source, each) for each in members if each is not dropped]
                yield node, node, f"{{{', '.join(filter(None, stay))}}}"
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise():
            yield node, node, "pass"


@cache
def _imports(path: Path) -> frozenset[str]:
    """The modules that a file names in its imports; of `from a import b` both a and a.b."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return frozenset(found)


def _module(path: Path) -> str:
    return path.with_suffix("").as_posix().replace("/", ".")


@cache
def importers_of(path: Path) -> tuple[list[Path], list[Path]]:
    """Those that import it, themselves or by their helpers; and those that import a module which imports it."""
    every = [each.relative_to(ROOT) for folder in ("relay", "tests") for each in sorted((ROOT / folder).rglob("*.py"))]
    near, far = {_module(path)}, {_module(each) for each in every if _module(path) in _imports(each)}
    helpers = [each for each in every if each.parts[0] == "tests" and not each.name.startswith("test_")]
    for _ in range(2):
        near |= {_module(each) for each in helpers if _imports(each) & near}
        far |= {_module(each) for each in every if each.parts[0] == "relay" and _imports(each) & far}
        far |= {_module(each) for each in helpers if _imports(each) & far}
    fast = [each for each in every if each.name.startswith("test_") and each.parts[1] in _FAST]
    fast.sort(key=lambda each: len([name for name in _imports(each) if name.startswith("relay.")]))
    first = [each for each in fast if _imports(each) & near]
    return first, [each for each in fast if each not in first and _imports(each) & far]


class Copy:
    """Of the tree, in which one file at a time is another."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        for name in ("relay", "tests", "docs", "pyproject.toml", "README.md"):
            source, place = ROOT / name, self.root / name
            place.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, place)
        self._took: dict[tuple[Path, ...], float] = {}
        self._clock = time.time()

    def is_noticed(self, mutant: Mutant, *, is_wide: bool) -> bool:
        source = (ROOT / mutant.path).read_bytes()
        nearest, farther = importers_of(mutant.path)
        try:
            self._write(mutant.path, source[: mutant.start] + mutant.after.encode() + source[mutant.end :])
            return any(self._fail(mutant.path, tests) for tests in ([nearest, farther] if is_wide else [nearest]))
        finally:
            self._write(mutant.path, source)

    def _write(self, path: Path, source: bytes) -> None:
        (self.root / path).write_bytes(source)
        # Bytecode is told from an older one by the second.
        self._clock += 2
        os.utime(self.root / path, (self._clock, self._clock))

    def _fail(self, path: Path, tests: list[Path]) -> bool:
        if not tests:
            return False
        changed, limit_s = (self.root / path).read_bytes(), self._limit_s(path, tests)
        self._write(path, changed)
        return self._run(tests, limit_s) != 0

    def _limit_s(self, path: Path, tests: list[Path]) -> float:
        """Where they take much longer than without the change, that is noticed, too."""
        if tuple(tests) not in self._took:
            self._write(path, (ROOT / path).read_bytes())
            began_at = time.monotonic()
            if self._run(tests, 1800) != 0:
                raise SystemExit(f"these fail without any change: {', '.join(map(str, tests))}")
            self._took[tuple(tests)] = time.monotonic() - began_at
        return _SPARE_S + _TIMES * self._took[tuple(tests)]

    def _run(self, tests: list[Path], limit_s: float) -> int:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
        started = subprocess.Popen(
            [*command, *map(str, tests)], cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            return started.wait(limit_s)
        except subprocess.TimeoutExpired:
            started.terminate()
            return started.wait() or 1


def mutants(folder: Path, count: int, seed: int, *, is_wide: bool = True) -> list[Figure]:
    """What `python -m tests.bench mutants` prints: each mutant, and the share that was noticed."""
    paths = sorted({path.relative_to(ROOT) for area in AREAS for path in (ROOT / "relay").glob(area)})
    every = [mutant for path in paths for mutant in mutants_of(path)]
    picked = random.Random(seed).sample(every, min(count, len(every)))
    copy, noticed = Copy(folder), 0
    for mutant in picked:
        is_noticed = copy.is_noticed(mutant, is_wide=is_wide)
        noticed += is_noticed
        print(f"{'noticed' if is_noticed else 'missed '} {mutant.reported()}", flush=True)
    share = 100 * noticed / len(picked)
    case = f"noticed of {len(picked)} mutants (of {len(every)}, seed {seed})"
    return [Figure(case=case, median=share, p99=share, unit="%", limit="90 at least")]
