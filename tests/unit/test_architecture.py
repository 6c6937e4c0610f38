"""What the structure promises: imports point one way, the domain is pure, files are short, no float touches money."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
RANKS = (
    {"errors", "domain", "trace", "one_core"},
    {"settings", "measures", "fence"},
    {"alerts", "journal", "exchange", "paper", "engine", "notify", "telemetry"}
    | {"boundary", "paper_child", "local_secrets", "messages"},
    {"pipeline", "upkeep", "checkup"},
    {"key_watch", "stream_watch", "first_order"},
    {"wiring"},
    {"web", "greeting", "checkup_open"},
    {"serving", "working"},
    {"cli"},
    {"__main__"},
)
"""From the bottom up. Nothing imports what stands above it, nor its neighbours."""
IN_PARTS = ("settings", "telemetry", "cli", "wiring")
"""`settings_hosts.py` is a part of `settings`, as if they were one folder."""
LINES_MAX = {"relay": 700, "tests": 400}
MONEY = ("domain/**/*.py", "exchange/wire.py", "exchange/wire/**/*.py", "journal/**/*.py", "paper/book*.py")
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


def _rank(part: str) -> int:
    for rank, names in enumerate(RANKS):
        if part in names:
            return rank
    raise AssertionError(f"relay.{part} has no place in the import order yet: put it into RANKS")


def _whole(part: str) -> str:
    return next((name for name in IN_PARTS if part.startswith(f"{name}_")), part)


def _wrong_imports(path: Path) -> list[str]:
    own = _whole(path.relative_to(ROOT / "relay").with_suffix("").parts[0])
    wrong = []
    for name in _imports(path):
        parts = [*name.split("."), ""]
        other = _whole(parts[1])
        if parts[0] == "relay" and other not in (own, "__version__") and _rank(other) >= _rank(own):
            wrong.append(f"{own} imports {name}")
    return wrong


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
    sample.write_text(
        "def f() -> None:\n    from relay import pipeline\n    from relay.exchange.client import Client\n"
    )
    assert _wrong_imports(sample) == ["journal imports relay.pipeline", "journal imports relay.exchange.client.Client"]
