"""A process that stays on one core, and cores that somebody has chosen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not know of cores")
_TOLD = (
    "import os, threading; from relay.one_core import stay_on_one_core; {before}; stay_on_one_core(); "
    "print(sorted(os.sched_getaffinity(0)))"
)


def cores_of_a_process(before: str = "") -> list[int]:
    """Those on which it may run once it was told to stay on one. `before`: what it does first."""
    command = [sys.executable, "-c", _TOLD.format(before=before or "pass")]
    told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    return [int(each) for each in told.strip("[]\n").split(",")]


def test_a_process_stays_on_one_core() -> None:
    assert len(cores_of_a_process()) == 1


def test_processes_that_start_one_after_the_other_share_the_cores() -> None:
    cores = os.cpu_count() or 1
    found = {cores_of_a_process(f"os.getpid = lambda: {1000 + number}")[0] for number in range(cores)}
    assert len(found) == cores


def test_cores_that_were_chosen_from_more_are_left_as_they_are() -> None:
    chosen = sorted(os.sched_getaffinity(0))
    assert cores_of_a_process(f"os.cpu_count = lambda: {len(chosen) + 1}") == chosen


def test_a_choice_of_one_core_is_left_as_it_is() -> None:
    last = max(os.sched_getaffinity(0))
    assert cores_of_a_process(f"os.getpid = lambda: 0; os.sched_setaffinity(0, {{{last}}})") == [last]
