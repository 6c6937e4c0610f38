"""`python -m tests.faults`: everything that is broken on purpose, at full scale.

Prints the counts of the chaos; the exit code is 0 if everything held. `one`, `many`, the same with two accounts of
which one is away for a third of the time (`one-away`, `many-away`), `mixed` (half as many alerts, for perpetuals and
spot pairs of the same coins), `mail` (webhooks and mails that are lost or late),
`machine` (20,000 random steps against the model exchange), `protection` (as many for stops and take profits, against
the paper exchange), `spot` (5,000 sequences of alerts for coins) or `others` does a part of it. RELAY_ALERTS: so many
alerts in each run of the chaos, and kills in proportion.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import postgres
from tests.faults.chaos import Chaos, Counts, on_both_markets, on_many_processes, on_one_relay
from tests.faults.mail import MailDrill
from tests.faults.scale import seed
from tests.paper_server import PaperServer

SEEDS = 3
MACHINE_SEEDS = 5
ALERTS = int(os.environ.get("RELAY_ALERTS", "600"))
KILLS = ALERTS // 30
_HERE = Path(__file__).parent


def main(requested: list[str]) -> int:
    first = seed()
    parts: dict[str, Callable[[], bool]] = {
        "one": lambda: _is_survived("one relay on SQLite", _one, first),
        "many": lambda: _is_survived("2 web and 2 worker processes, 2 accounts, and Postgres itself", _many, first),
        "one-away": lambda: _is_survived("SQLite, and one of two accounts away", _one_away, first),
        "many-away": lambda: _is_survived("many processes, and one of two accounts away", _many_away, first),
        "mixed": lambda: _is_survived("one relay, perpetuals and coins", _mixed, first),
        "mail": lambda: _is_made_good(first),
        "machine": lambda: _is_held("test_execution_machine.py", first),
        "protection": lambda: _is_held("test_protection_machine.py", first),
        "spot": lambda: _passes(_HERE.parent / "property" / "test_spot_machine.py"),
        "others": lambda: _passes(_HERE, "--ignore", _HERE / "test_chaos.py"),
    }
    held = [parts[name]() for name in requested or parts]
    return 0 if all(held) else 1


def _is_survived(what: str, chaos_of: Callable[[Path, int], Chaos], first: int) -> bool:
    print(f"\n{what}\n{Counts.heading()}", flush=True)
    held = True
    for number in range(first, first + SEEDS):
        with _folder() as folder:
            chaos = chaos_of(folder, number)
            counts = chaos.run()
            print(counts.row(), *chaos.problems, sep="\n", flush=True)
        held = held and not chaos.problems and not counts.is_later
    return held


def _is_made_good(first: int) -> bool:
    """500 alerts by webhook and by mail, or as many as RELAY_ALERTS says."""
    held = True
    alerts = int(os.environ.get("RELAY_ALERTS", "500"))
    for number in range(first, first + 2):
        with _folder() as folder:
            paper = PaperServer(folder)
            drill = MailDrill(folder, paper, seed=number, alerts=alerts, late_s=60, kills=6, cuts=6)
            try:
                outcome = drill.run()
            finally:
                paper.stop()
            print(f"\nby webhook and by mail, seed {number}\n{outcome.report()}", flush=True)
        held = held and not outcome.problems
    return held


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _one(folder: Path, number: int) -> Chaos:
    return on_one_relay(folder, seed=number, alerts=ALERTS, kills=KILLS)


def _one_away(folder: Path, number: int) -> Chaos:
    return on_one_relay(folder, seed=number, alerts=ALERTS, kills=KILLS // 4, two_accounts=True)


def _mixed(folder: Path, number: int) -> Chaos:
    return on_both_markets(folder, seed=number, alerts=ALERTS // 2, kills=KILLS // 2)


def _many_away(folder: Path, number: int) -> Chaos:
    url = postgres.Server(postgres.address_of(postgres.own_server(f"chaos-{os.getpid()}", is_safe=True))).migrated()
    return on_many_processes(
        folder, url, seed=number, alerts=ALERTS, kills=KILLS // 4, two_accounts=True, has_absences=True
    )


def _many(folder: Path, number: int) -> Chaos:
    home = postgres.own_server(f"chaos-{os.getpid()}", is_safe=True)
    url = postgres.Server(postgres.address_of(home)).migrated()
    return on_many_processes(
        folder,
        url,
        home=home,
        seed=number,
        alerts=ALERTS,
        kills=KILLS,
        disasters=("crash", "freeze"),
        two_accounts=True,
    )


def _is_held(machine: str, first: int) -> bool:
    """Each seed has some 4,500 steps; a fault ends it, and the others are still tried."""
    file = _HERE.parent / "property" / machine
    held = [_passes(file, "--show-capture=no", f"--hypothesis-seed={first + each}") for each in range(MACHINE_SEEDS)]
    return all(held)


def _passes(*arguments: str | Path) -> bool:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *map(str, arguments)],
        cwd=_HERE.parent.parent,
        env={**os.environ, "RELAY_FAULTS": "full", "RELAY_EXPLORE": "1"},
        check=False,
    )
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
