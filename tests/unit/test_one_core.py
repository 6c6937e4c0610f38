"""When a process keeps to one core, and when it leaves it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay.web.gunicorn import AGAIN_S, LOOK_S, OneCore, Used, used_now

pytestmark = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="it is Linux that tells who is busy where")

Look = tuple[float, float, float]
"""Seconds of the processor, since the look before: of the process itself, and of all on each of two cores."""
QUIET, BUSY = (0.0, 0.1, 0.05), (0.0, 1.0, 0.9)


def _kept_to(monkeypatch: pytest.MonkeyPatch, *looks: Look, cores: int = 2, had: tuple[int, ...] = (0, 1)) -> list[str]:
    """On which cores its threads are after each look; empty: as it began."""
    last, found, chosen = [0.0, 0.0, 0.0], list[str](), [""]
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(had))
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, to: chosen.append("".join(map(str, sorted(to)))))
    one = OneCore(lambda now_s: Used(at_s=now_s, own_s=last[0], by_core={0: last[1], 1: last[2]}))
    for number, look in enumerate(looks):
        last = [before + more for before, more in zip(last, look, strict=True)]
        one.look(100 + number * LOOK_S)
        found.append(chosen[-1])
    return found


def test_of_a_quiet_machine_the_quietest_core_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _kept_to(monkeypatch, QUIET, (0.0, 0.9, 0.2)) == ["", "1"]


def test_what_the_process_does_itself_drives_it_from_no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _kept_to(monkeypatch, QUIET, QUIET, (1.0, 0.1, 1.0), (0.9, 0.4, 1.0)) == ["", "1", "1", "1"]


def test_a_busy_neighbour_does_and_then_no_core_is_kept_to_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    again = int(AGAIN_S[0] / LOOK_S)
    found = _kept_to(monkeypatch, QUIET, QUIET, BUSY, BUSY, *[QUIET] * again, BUSY, BUSY, *[QUIET] * 2 * again)
    assert found[:4] == ["", "1", "1", "01"]
    assert found[4:] == [*["01"] * (again - 1), "1", "1", "01", *["01"] * (2 * again - 1), "1"]


def test_a_crowd_of_a_moment_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _kept_to(monkeypatch, QUIET, QUIET, BUSY, QUIET, BUSY, QUIET) == ["", "1", "1", "1", "1", "1"]


def test_a_neighbour_who_has_room_elsewhere_drives_it_from_no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _kept_to(monkeypatch, QUIET, QUIET, (0.0, 0.1, 0.9)) == ["", "1", "1"]


def test_where_all_are_busy_none_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _kept_to(monkeypatch, QUIET, BUSY, BUSY) == ["", "", ""]


@pytest.mark.parametrize(("cores", "had"), [(1, (0,)), (4, (0, 1))])
def test_the_only_core_is_left_as_it_is_and_so_is_what_somebody_has_chosen(
    monkeypatch: pytest.MonkeyPatch, cores: int, had: tuple[int, ...]
) -> None:
    assert _kept_to(monkeypatch, QUIET, QUIET, cores=cores, had=had) == ["", ""]


def test_this_system_tells_of_each_core() -> None:
    used = used_now(1.0)
    assert used is not None and used.own_s > 0
    assert set(used.by_core) >= os.sched_getaffinity(0)
    assert all(seconds > 0 for seconds in used.by_core.values())
