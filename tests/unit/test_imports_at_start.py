"""A start loads nothing that is not used: what is heavy is imported only where it is configured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HEAVY = (
    *("apprise", "sentry_sdk", "psycopg", "alembic", "playwright", "relay.paper.exchange"),
    *("apispec", "sqlalchemy.dialects.postgresql"),
)
SERVE = """
import sys
from pathlib import Path
from relay.web import create_app
from tests.relay_server import NOBODY, settings_for
more = dict(pair.split("=", 1) for pair in sys.argv[2:])
folder = Path(sys.argv[1])
first = create_app(settings_for(folder, NOBODY, **more)).extensions["relay"]
first._report()
first.stop()
print(*sys.modules)
"""


def _loaded(*arguments: str, code: str) -> set[str]:
    command = [sys.executable, "-c", code, *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    return set(run.stdout.split())


def test_a_relay_without_extras_loads_none_of_their_packages(tmp_path: Path) -> None:
    assert _loaded(str(tmp_path), code=SERVE) & set(HEAVY) == set()


@pytest.mark.parametrize(
    ("setting", "package"),
    [("NOTIFY_URLS=json://127.0.0.1:9/", "apprise"), ("SENTRY_DSN=http://key@127.0.0.1:9/1", "sentry_sdk")],
)
def test_each_extra_loads_its_own(tmp_path: Path, setting: str, package: str) -> None:
    assert _loaded(str(tmp_path), setting, code=SERVE) & set(HEAVY) == {package}


@pytest.mark.parametrize("module", ["relay.cli.main", "relay.app.serve"])
def test_neither_help_nor_the_beginning_of_serve_loads_a_server_or_an_exchange(module: str) -> None:
    """`serve` starts its paper exchange first: that one's imports and its own then take the same time."""
    heavy = {*HEAVY, "flask", "gunicorn", "pybit", "sqlalchemy", "prometheus_client", "requests"}
    assert _loaded(code=f"import sys\nimport {module}\nprint(*sys.modules)") & heavy == set()
