"""The way of one market alert through our code: which files and functions it enters, from its post to its end.

Counted are the calls of functions in `relay/` on every thread that has a part in the alert: the one that takes the
post, the journal's writer, the lane, the streams. Threads that look around from time to time of their own accord are
not. A change of file is a call in another file than the call before it in the same thread, by where the code stands.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.bench.figures import Figure, figure
from tests.paper_server import KEY, ROOT, SECRET, PaperServer
from tests.relay_server import RelayServer, running_relay

_OURS = f"{ROOT / 'relay'}{os.sep}"
_OF_THEIR_OWN_ACCORD = ("starter", "checkup", "notices", "bookkeeper", "follower", "upkeep", "reader of", "MainThread")
"""How the names of threads begin that no alert waits for."""
_WARM_UP = 20
_COUNT_MAX = 20
_DEADLINE_S = 10
_REST_S = 0.3
"""Between two alerts: what the streams still tell of the one before must not be counted with the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The calls of one alert, a list for each thread in their order."""

    threads: tuple[tuple[CodeType, ...], ...]

    @property
    def calls(self) -> list[CodeType]:
        return [code for calls in self.threads for code in calls]

    @property
    def changes(self) -> int:
        return sum(
            1 for calls in self.threads for one, other in pairwise(calls) if one.co_filename != other.co_filename
        )

    @property
    def files(self) -> int:
        return len({code.co_filename for code in self.calls})


def trace(folder: Path, count: int, most: int) -> list[Figure]:
    """Of several warm market alerts, one at a time. `most`: so many of the functions called most are printed."""
    folder.mkdir(parents=True, exist_ok=True)
    paper = PaperServer(folder)
    try:
        with running_relay(folder, paper.url) as relay:
            for number in range(_WARM_UP):
                relay.done(_alert(f"w{number}"))
            ways = [_followed(relay, folder, f"t{number}") for number in range(min(count, _COUNT_MAX))]
    finally:
        paper.close()
    _show_most(ways, most)
    figures = {
        "files": [way.files for way in ways],
        "functions": [len(set(way.calls)) for way in ways],
        "calls": [len(way.calls) for way in ways],
        "changes of file": [way.changes for way in ways],
    }
    return [figure(f"the way of a market alert: {name}", values, unit="") for name, values in figures.items()]


def imports(folder: Path) -> list[Figure]:
    """How many of our files `relay check` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    paper = PaperServer(folder)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BYBIT_")},
        **{"BYBIT_ENV": "paper", "BYBIT_URL": paper.url, "BYBIT_API_KEY": KEY, "BYBIT_API_SECRET": SECRET},
        **{"DATABASE_URL": f"sqlite:///{folder}/relay.db", "PYTHONPATH": str(ROOT)},
    }
    try:
        command = [sys.executable, "-X", "importtime", "-m", "relay", "check"]
        run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    finally:
        paper.close()
    names = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:")}
    ours = [name for name in names if name == "relay" or name.startswith("relay.")]
    assert "clock" in run.stdout, f"`check` did not check: {run.stdout} {run.stderr[-500:]}"
    return [figure("files of ours that `relay check` reads", [len(ours)], unit="")]


def _alert(name: str) -> dict[str, Any]:
    return {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001", "id": name}


def _followed(relay: RelayServer, folder: Path, name: str) -> Way:
    time.sleep(_REST_S)
    with closing(sqlite3.connect(f"file:{folder}/relay.db?mode=ro", uri=True)) as journal, _recording() as calls:
        answer = relay.post(_alert(name))
        assert answer.status_code == 202, answer.text
        _wait_for_end(journal, answer.json()["signal_id"])
    counted = [codes for thread, codes in calls.items() if not thread.name.startswith(_OF_THEIR_OWN_ACCORD)]
    return Way(threads=tuple(tuple(codes) for codes in counted))


def _wait_for_end(journal: sqlite3.Connection, signal_id: str) -> None:
    until = time.monotonic() + _DEADLINE_S
    while True:
        (status,) = journal.execute("SELECT status FROM signals WHERE id = ?", (signal_id,)).fetchone()
        if status not in ("accepted", "executing"):
            assert status == "done", status
            return
        assert time.monotonic() < until, f"{signal_id} is still {status}"
        time.sleep(0.001)


@contextmanager
def _recording() -> Iterator[dict[threading.Thread, list[CodeType]]]:
    """The calls of our functions meanwhile, by thread."""
    calls: dict[threading.Thread, list[CodeType]] = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_OURS):
            calls.setdefault(threading.current_thread(), []).append(frame.f_code)

    profile_all_threads: Callable[[object], None] = threading.setprofile_all_threads  # type: ignore[attr-defined]
    profile_all_threads(note)
    try:
        yield calls
    finally:
        profile_all_threads(None)


def _show_most(ways: list[Way], most: int) -> None:
    """A line a function: how often one alert calls it, and what it is."""
    total = Counter(code for way in ways for code in way.calls)
    for code, count in total.most_common(most):
        print(
            f"{count / len(ways):6.1f}  {code.co_filename.removeprefix(_OURS)}:{code.co_firstlineno} {code.co_qualname}"
        )
