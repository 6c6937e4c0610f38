"""The commands, run in this process and as a user's shell would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from relay.cli.main import cli
from tests import warm
from tests.relay_server import ADMIN_TOKEN, NOBODY, WEBHOOK_SECRET

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 120
FOREIGN = ("BYBIT_", "RELAY_", "PAPER_", "WEBHOOK_", "ADMIN_", "DATABASE_", "DEFAULT_", "MAX_")


def environment(folder: Path, url: str | None = None, **more: str) -> dict[str, str]:
    """For a relay at `url` (None: nowhere) whose journal is in `folder`."""
    port = "9" if url is None else url.rpartition(":")[2]
    return {
        "PORT": port,
        "BYBIT_URL": NOBODY,
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "DATABASE_URL": f"sqlite:///{folder}/relay.db",
        **more,
    }


def run(environ: dict[str, str], *arguments: str, given: str | bytes = "") -> Result:
    """In this process. `given`: what comes in on stdin. An exception that a user would see is raised."""
    whole = {name: None for name in os.environ if name.startswith(FOREIGN)} | environ
    return CliRunner(env=whole).invoke(cli, list(arguments), input=given, catch_exceptions=False)


def start(environ: dict[str, str], cwd: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """As a process of its own, with pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "relay", *arguments],
        cwd=cwd,
        env=_whole(environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_process(environ: dict[str, str], cwd: Path, *arguments: str, given: bytes = b"") -> tuple[int, str, str]:
    """The exit code, and what came out on stdout and stderr."""
    return warm.run(["relay", *arguments], cwd, _whole(environ), given)


def _whole(environ: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**inherited, "PYTHONPATH": str(ROOT), **environ}
