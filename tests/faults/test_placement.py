"""Accounts of processes that are killed, frozen or stopped: another process has them soon, and never two at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.faults import placed_process

pytestmark = pytest.mark.slow

DEADLINE_S = 60
ACCOUNTS = tuple(f"account-{number}" for number in range(8))


class Placed:
    """Such a process, and what it has said."""

    def __init__(self, url: str, name: str) -> None:
        command = [sys.executable, placed_process.__file__, url, name, *ACCOUNTS]
        environment = {**os.environ, "PYTHONPATH": os.getcwd()}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.epochs: dict[str, int] = {}
        """Of the accounts that it serves."""
        self.has_lost: set[str] = set()
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            what, account, epoch = line.split()
            if what == "serves":
                self.epochs[account] = int(epoch)
            else:
                self.epochs.pop(account, None)
            if what == "lost":
                self.has_lost.add(account)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._thread.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def begin(postgres_url: str) -> Iterator[Callable[[str], Placed]]:
    begun: list[Placed] = []

    def begin(name: str) -> Placed:
        begun.append(Placed(postgres_url, name))
        return begun[-1]

    yield begin
    for each in begun:
        each.close()


@pytest.fixture
def database(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.01)


def owned(database: psycopg.Connection[Any]) -> dict[str, int]:
    """How many accounts each process has, by the first word of its name."""
    counted = """
        SELECT split_part(owner, ' ', 1), count(*) FROM account_owner
        WHERE account <> '(first)' AND owner <> '' GROUP BY 1
    """
    return dict(database.execute(counted).fetchall())


def are_even(database: psycopg.Connection[Any], *names: str) -> Callable[[], bool]:
    return lambda: owned(database) == dict.fromkeys(names, len(ACCOUNTS) // len(names))


def test_of_a_process_that_is_killed_another_takes_every_account(
    begin: Callable[[str], Placed], database: psycopg.Connection[Any]
) -> None:
    one, two = begin("one"), begin("two")
    until(are_even(database, "one", "two"))
    until(lambda: len(two.epochs) == len(one.epochs) == 4)
    before = dict(two.epochs)
    two.send(signal.SIGKILL)
    until(lambda: len(one.epochs) == len(ACCOUNTS))
    assert all(one.epochs[account] > epoch for account, epoch in before.items())


def test_of_a_process_that_is_stopped_another_takes_every_account_and_its_row_is_gone(
    begin: Callable[[str], Placed], database: psycopg.Connection[Any]
) -> None:
    one, two = begin("one"), begin("two")
    until(are_even(database, "one", "two"))
    two.send(signal.SIGTERM)
    until(lambda: len(one.epochs) == len(ACCOUNTS))
    assert two.process.wait(DEADLINE_S) == 0
    assert two.has_lost == set()
    assert database.execute("SELECT split_part(name, ' ', 1) FROM process").fetchall() == [("one",)]


def test_a_process_that_was_frozen_finds_that_it_has_nothing_and_gets_its_share_anew(
    begin: Callable[[str], Placed], database: psycopg.Connection[Any]
) -> None:
    one, two = begin("one"), begin("two")
    until(are_even(database, "one", "two"))
    until(lambda: len(two.epochs) == 4)
    had = set(two.epochs)
    two.send(signal.SIGSTOP)
    until(lambda: len(one.epochs) == len(ACCOUNTS))
    assert one.has_lost == set()
    two.send(signal.SIGCONT)
    until(lambda: two.has_lost == had)
    until(are_even(database, "one", "two"))
    until(lambda: len(two.epochs) == 4)
    assert one.has_lost == set()
