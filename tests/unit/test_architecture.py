"""What the structure promises: imports point one way, the domain is pure, files are short, no float touches money."""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
RANKS = (
    {"errors", "domain", "__init__"},
    {"settings"},
    {"app.telemetry", "app.metrics", "engine.lease_guard", "engine.failpoint"},
    {"alerts", "journal", "bybit", "paper", "engine", "app.paper_child"},
    {"execution"},
    {"app"},
    {"web"},
    {"app.serve"},
    {"cli"},
    {"__main__"},
)
"""From the bottom up, a folder or one file of it. Nothing imports what stands above it, nor its neighbours."""
LINES_MAX = {"relay": 700, "tests": 700}
MONEY = ("domain/**/*.py", "bybit/wire_*.py", "journal/**/*.py", "paper/book*.py")
NOT_MONEY = re.compile(r"(^|_)(s|seconds|timeout|deadline|now|at|jitter|cutoff)$", re.IGNORECASE)
"""Names of durations, of readings of the monotonic clock, and of shares of chance and likeness."""


def _files(*patterns: str) -> list[Path]:
    found = {path for pattern in patterns for path in (ROOT / "relay").glob(pattern)}
    assert found, f"no file fits {patterns}"
    return sorted(found)


def _imports(path: Path) -> Iterator[str]:
    """Full names of everything a file imports, inside functions, too."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _place(module: str) -> tuple[int, str]:
    """Its rank, and the folder or file that has it. `module`: its full name, or that of something in it."""
    parts = module.split(".")[1:]
    for name in (".".join(parts[:2]), parts[0]):
        for rank, names in enumerate(RANKS):
            if name in names:
                return rank, name
    raise AssertionError(f"{module} has no place in the import order yet: put it into RANKS")


def _wrong_imports(path: Path) -> list[str]:
    own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    rank, place = _place(own)
    wrong = []
    for name in _imports(path):
        if not name.startswith("relay.") or name == "relay.__version__":
            continue
        their_rank, their_place = _place(name)
        if their_place != place and their_rank >= rank:
            wrong.append(f"{own} imports {name}")
    return wrong


def _files_imported(path: Path) -> set[Path]:
    """What the file imports as it is loaded, of this project."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("relay"):
            base = ROOT.joinpath(*str(node.module).split("."))
            for alias in node.names:
                tried = ((base / alias.name).with_suffix(".py"), base.with_suffix(".py"), base / "__init__.py")
                found.add(next(each for each in tried if each.is_file()))
    return found - {path}


def test_no_file_imports_itself_by_way_of_others() -> None:
    graph = {path: _files_imported(path) for path in _files("**/*.py")}
    assert len(tuple(graphlib.TopologicalSorter(graph).static_order())) == len(graph)


def test_imports_point_one_way() -> None:
    assert [line for path in _files("**/*.py") for line in _wrong_imports(path)] == []


def test_the_domain_imports_the_standard_library_and_itself_only() -> None:
    allowed = {*sys.stdlib_module_names, "relay.domain"}
    for path in _files("domain/**/*.py"):
        for name in _imports(path):
            parts = name.split(".")
            assert {parts[0], ".".join(parts[:2])} & allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("folder", ["relay", "tests"])
def test_no_file_is_over_its_length(folder: str) -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert {str(path): lines for path, lines in lengths.items() if lines > LINES_MAX[folder]} == {}


def _floats(path: Path) -> list[str]:
    """Every float literal, annotation or conversion whose name does not say that it is no money, by its place."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    found = []
    for node in ast.walk(tree):
        is_literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        is_type = isinstance(node, ast.Name) and node.id in ("float", "Float", "REAL", "Double", "Numeric")
        if (is_literal or is_type) and not _is_named_otherwise(node, parents):
            found.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', '?')}")
    return found


def _is_named_otherwise(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether what the value is given to, or returned by, is named as something else than money."""
    while node in parents:
        node = parents[node]
        if any(NOT_MONEY.search(name) for name in _given_names(node)):
            return True
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            return False
    return False


def _given_names(node: ast.AST) -> list[str]:
    match node:
        case ast.keyword(arg=str(name)) | ast.arg(arg=name) | ast.FunctionDef(name=name):
            return [name]
        case ast.AnnAssign(target=target):
            return [ast.unparse(target)]
        case ast.Assign(targets=targets):
            return [ast.unparse(target) for target in targets]
        case ast.arguments():
            return _names_of_defaults(node)
        case _:
            return []


def _names_of_defaults(node: ast.arguments) -> list[str]:
    """Only if each float default is no money, the names count."""
    pairs = [
        *zip(reversed(node.args), reversed(node.defaults), strict=False),
        *zip(node.kwonlyargs, node.kw_defaults, strict=True),
    ]
    names = [
        argument.arg
        for argument, default in pairs
        if isinstance(default, ast.Constant) and isinstance(default.value, float)
    ]
    return names if all(NOT_MONEY.search(name) for name in names) else []


def test_no_float_touches_money() -> None:
    assert [place for path in _files(*MONEY) for place in _floats(path)] == []


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("price = 1.5", True),
        ("def f(price: float) -> None: ...", True),
        ("x = float(text)", True),
        ("def f(qty: object = 0.1) -> None: ...", True),
        ("_POLL_S = 0.05", False),
        ("def f(*, wait_s: float = 0.5) -> None: ...", False),
        ("connect(timeout=2.0)", False),
    ],
)
def test_the_search_for_floats_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, is_found: bool
) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "sample.py").write_text(source)
    assert bool(_floats(tmp_path / "sample.py")) is is_found


def test_the_search_for_wrong_imports_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    sample = tmp_path / "relay" / "journal" / "sample.py"
    sample.parent.mkdir(parents=True)
    sample.write_text("def f() -> None:\n    from relay import execution\n    from relay.bybit.client import Client\n")
    assert _wrong_imports(sample) == [
        "relay.journal.sample imports relay.execution",
        "relay.journal.sample imports relay.bybit.client.Client",
    ]
