"""Small changes to the code that carries money, one at a time: which of them do the fast tests notice?

One process collects the unit, property and contract tests, a fork of it runs them once and notes the lines that each
one runs. Of each mutant another fork runs those that run its statement, the shortest first, until one fails, which must
pass without the change. What stands outside of functions is changed in a process that imports everything anew. Results
are kept in a temporary folder: a run that was stopped goes on, and what was missed is tried again by the files of tests
that have changed since.

What may be missed, since nothing promised hangs on it: how long a text for people is when it is cut, what stands for
"no bound", how many digits more than enough a context has, how many rows are gone through at once, a log line, a
millisecond of a deadline; looks that only spare work where the answer is the same (`may_hold_secret`, `if changed`);
equality in a comparison whose sides are never equal (a side's sign), or where both ways come to the same; `uri=True`,
where SQLite is built to take addresses anyway. What is told to Postgres' own programs while a dump is brought back
(`maintenance._load`) is noticed by `tests/flow/test_restore.py`, which is none of the fast ones.
"""

from __future__ import annotations

import ast
import atexit
import functools
import gc
import hashlib
import importlib.machinery
import itertools
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from tests.bench.figures import Figure

ROOT = Path(__file__).parent.parent.parent
AREAS = (
    *("domain/*.py", "alerts/rules.py", "alerts/signal.py", "alerts/authenticate.py", "journal/accept.py"),
    *("journal/ownership.py", "journal/orders.py", "journal/maintenance.py", "bybit/stream_state.py", "bybit/calls.py"),
    *("bybit/http.py", "bybit/wire_*.py"),
)
"""The domain, admission, certainty, ownership, reports, known position, calls, transport and the wire readers."""
_TESTS = ("tests/unit", "tests/property", "tests/contract")
_LATE = "-Wignore:Module already imported:pytest.PytestAssertRewriteWarning"
_OPTIONS = ("-q", "-m", "not slow", "-k", "not postgres", "-p", "no:cacheprovider", "--timeout=120", _LATE)
_SHORTEST, _SPARE_S, _TIMES, _LONGEST_S = 40, 300.0, 20, 3 * 3600.0
_ENDED = "(the tests could not be run to their end)"
_AFRESH = "from tests.bench import mutants; mutants.afresh()"
Traced = dict[str, tuple[float, dict[str, list[int]]]]
"""Of each test how many seconds it takes, and which lines of which file it runs."""
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
    """`start`, `end`: what `after` stands in place of, in bytes of the file. `lines`: of its statement. `function`:
    the line at which the outermost function around it begins, 0 outside of functions."""

    path: Path
    line: int
    start: int
    end: int
    after: str
    lines: frozenset[int]
    function: int

    def reported(self) -> str:
        before = (ROOT / self.path).read_bytes()[self.start : self.end].decode()
        return f"{self.path}:{self.line}: {' '.join(before.split())} -> {self.after}"

    @property
    def name(self) -> str:
        """What tells it from others, wherever in its file it stands."""
        source = (ROOT / self.path).read_bytes()
        around = source[max(0, self.start - 100) : self.end + 100]
        return hashlib.sha256(b"%b %b %b" % (bytes(self.path), around, self.after.encode())).hexdigest()[:16]

    def compiled(self) -> CodeType:
        return _changed(self.path, self.start, self.end, self.after)


def _changed(path: Path, start: int, end: int, after: str) -> CodeType:
    source = (ROOT / path).read_bytes()
    return compile(source[:start] + after.encode() + source[end:], str(ROOT / path), "exec")


def mutants_of(path: Path) -> list[Mutant]:
    source = (ROOT / path).read_bytes()
    starts = [0]
    for each in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(each))

    def at(line: int | None, column: int | None) -> int:
        return starts[(line or 1) - 1] + (column or 0)

    found = []
    tree = ast.parse(source)
    for node, statement, function in _meant(tree, tree.body[0], 0):
        for first, last, after in _changes(node, source.decode()):
            start, end = at(first.lineno, first.col_offset), at(last.end_lineno, last.end_col_offset)
            if after is None:
                start, end = at(first.end_lineno, first.end_col_offset), at(last.lineno, last.col_offset)
                after = _OPERATOR.sub(lambda found: _SWAPPED[found[0]], source[start:end].decode(), count=1)
            lines = frozenset({*range(first.lineno, (last.end_lineno or 0) + 1), *_head(statement)})
            change = {"start": start, "end": end, "line": first.lineno, "function": function}
            found.append(Mutant(path=path, after=after, lines=lines, **change))
    return found


def _head(statement: ast.stmt) -> range:
    """The lines of a statement without those of its body."""
    body = getattr(statement, "body", None)
    end = body[0].lineno if isinstance(body, list) else (statement.end_lineno or 0) + 1
    return range(statement.lineno, max(end, statement.lineno + 1))


def _meant(node: ast.AST, statement: ast.stmt, function: int) -> Iterator[tuple[ast.AST, ast.stmt, int]]:
    """What decides something (no assertion, no wording, no declaration of a type), its statement and its function."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "keywords" if isinstance(node, ast.ClassDef) else ""):
            continue
        inside = function
        # A member of an enum is made by `__init__` when its module is imported.
        is_made_then = isinstance(node, ast.FunctionDef) and node.name == "__init__" and "word" in ast.dump(node.args)
        if isinstance(node, ast.FunctionDef) and name == "body" and not function and not is_made_then:
            inside = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Assert | ast.JoinedStr | ast.Import):
                around = child if isinstance(child, ast.stmt) else statement
                yield child, around, inside
                yield from _meant(child, around, inside)


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


class Collected:
    """The fast tests, imported in this process, whose forks run them."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._items = {each.nodeid: each for each in session.items}
        self._functions: dict[tuple[str, int], list[FunctionType]] = {}
        gc.unfreeze()  # The tests have frozen what they collected, and that would not be listed.
        for each in gc.get_objects():
            if isinstance(each, FunctionType):
                place = each.__code__.co_filename, each.__code__.co_firstlineno
                self._functions.setdefault(place, []).append(each)

    def traced(self, paths: set[str], folder: Path) -> Traced:
        """A test that fails without any change runs nothing. Kept for each file of tests."""
        found: Traced = {}
        for file, tests in itertools.groupby(self._items, _file_of):
            kept, of_file = folder / f"{_digest(*map(Path, sorted(paths)), Path(file))}.traced", list(tests)
            if not kept.exists():
                _in_fork(functools.partial(self._trace, of_file, paths, kept), _LONGEST_S)
            found |= json.loads(kept.read_text())
        return found

    def _trace(self, tests: list[str], paths: set[str], kept: Path) -> str:
        found: Traced = {}
        seen: set[tuple[str, int]] = set()
        monitoring: Any = vars(sys)["monitoring"]  # Python 3.12 and later have it.
        tool, events = monitoring.COVERAGE_ID, monitoring.events

        def note(code: CodeType, line: int) -> object:
            seen.add((code.co_filename, line))
            return monitoring.DISABLE

        monitoring.use_tool_id(tool, "mutants")
        monitoring.register_callback(tool, events.LINE, note)
        for (path, _), functions in self._functions.items():
            for code in {nested for each in functions if path in paths for nested in _codes(each.__code__)}:
                monitoring.set_local_events(tool, code, events.LINE)
        for test, following in itertools.pairwise([*tests, ""]):
            seen.clear()
            monitoring.restart_events()
            began_at = time.process_time()
            if not self._passes(test, following):
                seen.clear()
            lines: dict[str, list[int]] = {}
            for path, line in seen:
                lines.setdefault(path.removeprefix(f"{ROOT}/"), []).append(line)
            found[test] = time.process_time() - began_at, lines
        kept.write_text(json.dumps(found))
        self._session.config.hook.pytest_sessionfinish(session=self._session, exitstatus=0)
        return ""

    def noticing(self, mutant: Mutant, tests: list[str], limit_s: float) -> str:
        """The first of the tests that fails with the change and passes without it; empty: none does."""
        while tests and (failed := self._failing_with(mutant, tests, limit_s)):
            again = [failed] if failed in tests else tests
            if not _in_fork(lambda: self.failing(again), limit_s):  # noqa: B023
                return failed
            tests = tests[tests.index(again[-1]) + 1 :]
        return ""

    def _failing_with(self, mutant: Mutant, tests: list[str], limit_s: float) -> str:
        changed = mutant.compiled()
        functions = self._functions.get((changed.co_filename, mutant.function), [])

        def failing() -> str:
            for each in functions:
                (each.__code__,) = (code for code in _codes(changed) if code.co_qualname == each.__code__.co_qualname)
            return self.failing(tests)

        if functions:
            return _in_fork(failing, limit_s)
        asked = json.dumps([str(mutant.path), mutant.start, mutant.end, mutant.after, tests])
        ended = subprocess.run([sys.executable, "-c", _AFRESH], cwd=ROOT, input=asked, capture_output=True, text=True)
        return ended.stdout.rpartition("\n")[2]

    def failing(self, tests: list[str]) -> str:
        """Which of them fails first, in this process; nothing more runs in it afterwards."""
        tests = [each for each in tests if each in self._items]  # An id may hang on the order of a set.
        try:
            return next((test for test, then in itertools.pairwise([*tests, ""]) if not self._passes(test, then)), "")
        finally:
            self._session.config.hook.pytest_sessionfinish(session=self._session, exitstatus=0)

    def _passes(self, test: str, following: str) -> bool:
        failed = self._session.testsfailed
        item = self._items[test]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=self._items.get(following))
        return self._session.testsfailed == failed


def _codes(code: CodeType) -> Iterator[CodeType]:
    """It and what is nested in it."""
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)


def _in_fork(work: Callable[[], str], limit_s: float) -> str:
    """What the work says in a fork of this process; `_ENDED` where that ends by itself or takes too long."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for each in list(vars(weakref.finalize)["_registry"]):
                each.detach()  # What this process tidies up when it ends is still needed by the next fork.
            os.write(writing, work().encode())
            warnings.simplefilter("ignore")  # As at the end of a process of its own: what is tidied up now is no fault.
            atexit._run_exitfuncs()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading) as said:
        if not select.select([said], [], [], limit_s)[0]:
            os.kill(child, signal.SIGKILL)
        found = said.read()
    return _ENDED if os.waitpid(child, 0)[1] else found


class _Loop:
    """In place of pytest's own loop over what it has collected."""

    def __init__(self, work: Callable[[pytest.Session], None]) -> None:
        self._work = work

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if not session.testsfailed:
            self._work(session)
        return True


def afresh() -> None:
    """Says which of the tests fails first, in this process, in which nothing of the relay has been imported before."""
    path, start, end, after, tests = json.load(sys.stdin)
    changed, failed = _changed(Path(path), start, end, after), [_ENDED]
    read = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: importlib.machinery.SourceFileLoader, name: str) -> CodeType | None:
        return changed if self.path == changed.co_filename else read(self, name)

    def work(session: pytest.Session) -> None:
        failed[0] = Collected(session).failing(tests)

    setattr(importlib.machinery.SourceFileLoader, "get_code", get_code)  # noqa: B010
    pytest.main([*_OPTIONS, *dict.fromkeys(map(_file_of, tests))], plugins=[_Loop(work)])
    print(f"\n{failed[0]}", end="")


class _Hunt:
    """Of mutants picked at random."""

    def __init__(self, count: int, seed: int) -> None:
        self._paths = sorted({path.relative_to(ROOT) for area in AREAS for path in (ROOT / "relay").glob(area)})
        every = [mutant for path in self._paths for mutant in mutants_of(path)]
        every.sort(key=lambda each: hashlib.sha256(f"{seed} {each.name}".encode()).digest())
        self.picked = every[:count]
        self.case = f"noticed of {len(self.picked)} mutants (of {len(every)}, seed {seed})"
        self.noticed = 0
        self._folder = Path(tempfile.gettempdir()) / "mutants"
        self._folder.mkdir(exist_ok=True)
        files = sorted(path for place in _TESTS for path in (ROOT / place).rglob("*.py"))
        self._files = {str(path.relative_to(ROOT)): _digest(path) for path in files}
        self.said = os.fdopen(os.dup(1), "w")

    def run(self, session: pytest.Session) -> None:
        collected = Collected(session)
        gc.freeze()
        traced = collected.traced({str(ROOT / path) for path in self._paths}, self._folder)
        assert any(lines for _, lines in traced.values()), "no test runs any of the lines"
        for number, mutant in enumerate(self.picked, start=1):
            noticing = self._noticing(collected, mutant, traced)
            self.noticed += bool(noticing)
            result = f"noticed {mutant.reported()} by {noticing}" if noticing else f"missed  {mutant.reported()}"
            print(f"{self.noticed}/{number} {result}", file=self.said, flush=True)

    def _noticing(self, collected: Collected, mutant: Mutant, traced: Traced) -> str:
        """What an earlier run found stays so until the file is another, what was missed until a file of tests is."""
        noticed = self._folder / f"{_digest(mutant.path)}-{mutant.name}"
        if noticed.exists():
            return noticed.read_text()
        missed = noticed.with_suffix(".missed")
        tried = set(json.loads(missed.read_text())) if missed.exists() else set()
        tests, limit_s = _running(mutant, traced)
        tests = [each for each in tests if self._files[_file_of(each)] not in tried]
        if noticing := collected.noticing(mutant, tests, limit_s):
            noticed.write_text(noticing)
        else:
            missed.write_text(json.dumps([*{*tried, *self._files.values()}]))
        return noticing


def _running(mutant: Mutant, traced: Traced) -> tuple[list[str], float]:
    """The tests that run its statement, the shortest before the others; and how long they may take."""
    file, found = str(mutant.path), {}
    for test, (seconds, lines) in traced.items():
        if file in lines and (not mutant.function or mutant.lines.intersection(lines[file])):
            found[test] = seconds
    shortest = sorted(found, key=found.__getitem__)[:_SHORTEST]
    return list(dict.fromkeys([*shortest, *found])), _SPARE_S + _TIMES * sum(found.values())


def _file_of(test: str) -> str:
    return test.partition("::")[0]


def _digest(*places: Path) -> str:
    found = hashlib.sha256()
    for place in places:
        for path in sorted((ROOT / place).rglob("*.py")) or [ROOT / place]:
            found.update(path.read_bytes())
    return found.hexdigest()[:12]


def mutants(count: int, seed: int) -> list[Figure]:
    """What `python -m tests.bench mutants` prints: each mutant, what noticed it, and the share that was noticed."""
    hunt = _Hunt(count, seed)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    pytest.main([*_OPTIONS, *_TESTS], plugins=[_Loop(hunt.run)])
    os.dup2(hunt.said.fileno(), 1)
    share = 100 * hunt.noticed / len(hunt.picked)
    return [Figure(case=hunt.case, median=share, p99=share, unit="%", limit="90 at least")]
