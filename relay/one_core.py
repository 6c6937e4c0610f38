"""Keep a process on one core.

Python's lock lets one thread run at a time. On several cores each thread that waits for the lock is woken on another
core at every pause of the one that has it, and takes the lock away from it: under load some 50 changes of threads for
each alert instead of 4, and a third of the time lost (`tests/bench/cores.py`). On one core a thread goes on until it
has to wait. It is for the process that does everything itself: several that share a Postgres wait for that most of the
time, and two of them may be bound to one core while another is free.
"""

from __future__ import annotations

import contextlib
import os


def stay_on_one_core() -> None:
    """From now on all threads of this process, and those to come, run on one core.

    Nothing happens where the system knows no such thing (it is Linux's), or where somebody has chosen the cores already
    (`taskset`, a container's cpuset): that is left as it is.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    with contextlib.suppress(OSError):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) == os.cpu_count():
            os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})


def give_way() -> None:
    """Lets go first whatever else is about to run in this process; where nothing is, it takes a microsecond.

    What shares its cost among all who have come by then, as a commit does, is begun after that.
    """
    if hasattr(os, "sched_yield"):
        os.sched_yield()
