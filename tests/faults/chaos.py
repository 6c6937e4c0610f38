"""Many senders, a misbehaving exchange and a relay that is killed again and again; then every book is compared."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import requests

from relay.domain.order_lifecycle import Bounds
from relay.journal.opening import open_journal
from tests.faults import audit, stage
from tests.faults.alerts import COINS_FEE, Shot, draw
from tests.faults.judge import Judge, Sent, Side
from tests.faults.victims import ManyProcesses, OneRelay, Victim
from tests.paper_server import PaperServer

SENDERS = 12
RESENT_SHARE = 0.10
CUT_SHARE = 0.10
LIMITED_SHARE = 0.05
RESENT_AFTER_MAX = 15
"""A resend follows its alert by at most so many other alerts, so it may well overtake the answer."""
KILLED_WHILE_STARTING = 0.3
DEADLINE_S = 120
AWAY_S = 4.0
"""Of two accounts one is away for so long, then there for twice as long."""
STARTED_S = 30.0
PAUSE_S = 2.0
"""Of each sender between two alerts, where exits are timed: what waits for a core is not what is measured."""
FINISHED_S = Bounds().moved_absent_ms // 1000 + 120
"""An entry that was given up for an exit settles itself, at the latest when its absence is certain."""
ENVIRONMENT = {"SIGNAL_MAX_AGE": "86400"}

Blow = Callable[[], None]
Disaster = Callable[[random.Random], int]
"""Returns how many processes it killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What happened, and in the last three what must not have."""

    seed: int
    alerts: int
    resends: int
    retries: int
    limited: int
    cut: int
    kills: int
    seconds: int
    away_s: int
    """How long one of the accounts could not be reached."""
    exit_ms: int
    """The other's exits, from their acceptance to their end: the median, and of one in twenty at least."""
    exit_p95_ms: int
    exit_ms_away: int
    """The same while the one was away."""
    exit_p95_ms_away: int
    lost: int
    doubled: int
    out_of_order: int

    @property
    def is_later(self) -> bool:
        """Whether the one account's exits came later while the other was away, beyond what chance explains."""
        return self.exit_ms_away > 1.5 * self.exit_ms + 100 or self.exit_p95_ms_away > 1.5 * self.exit_p95_ms + 1000

    @staticmethod
    def heading() -> str:
        return " ".join(f"{each.name.replace('_', ' '):>12}" for each in fields(Counts))

    def row(self) -> str:
        return " ".join(f"{getattr(self, each.name):>12}" for each in fields(self))


class Chaos:
    """One run. `problems` has each thing found wrong, in words."""

    def __init__(
        self,
        papers: Mapping[str, PaperServer],
        victim: Victim,
        *,
        seed: int,
        alerts: int,
        kills: int,
        disasters: Sequence[Disaster] = (),
        disaster_at: int | None = None,
        pause_s: float = 0,
        goes_on: int | None = None,
        has_absences: bool = False,
        is_mixed: bool = False,
    ) -> None:
        """`papers`: each account's exchange. `has_absences`: the last one is away for a third of the time.

        `disasters`: each happens once, somewhere in the midst, or when `disaster_at` alerts were answered.

        `pause_s`: of each sender between two alerts. `goes_on`: the senders stop when so many alerts were answered
        after the last blow, however many are left. `is_mixed`: the alerts are for perpetuals and coins.
        """
        self._dice = random.Random(seed)
        self._seed = seed
        self._kills_left = kills
        self._disasters = disasters
        self._papers = papers
        *_, last = papers.values()
        self._absences = Absences(last) if has_absences else None
        self._victim = victim
        self._shots = draw(alerts, self._dice, is_mixed=is_mixed)
        self._posts = _with_resends(self._shots, self._dice)
        self._disaster_at = disaster_at
        self._pause_s = pause_s
        self._goes_on = goes_on
        self._killed = 0
        self._killed_at: list[float] = []
        self._retries = 0
        self._lock = threading.Lock()
        self._sent: dict[int, Sent] = {}
        self._failure: Exception | None = None
        self.problems: list[str] = []

    def run(self) -> Counts:
        begun_at = time.monotonic()
        try:
            self._victim.start()
            self._misbehave()
            with self._absences or contextlib.nullcontext(), self._senders():
                self._kill_now_and_then()
                if self._goes_on is not None:
                    self._stop_after(self._goes_on)
            self._shots = [shot for shot in self._shots if shot.number in self._sent]
            stage.until(self._is_ready, DEADLINE_S)
            signals = self._all_finished()
            for paper in self._papers.values():
                paper.control.clear_faults()  # what is read from here on is the judge's own, and must arrive
            return self._judge(signals, int(time.monotonic() - begun_at))
        finally:
            self._victim.close()
            for paper in self._papers.values():
                paper.close()

    def _misbehave(self) -> None:
        """Until the end: nothing is repaired before everything has come to its end."""
        for control in (paper.control for paper in self._papers.values()):
            for path in ("/v5/order/create", "/v5/order/realtime"):
                control.fault(path, "drop_reply", times=None, probability=CUT_SHARE, seed=self._dice.getrandbits(30))
            control.fault(
                "/v5/order/create",
                "code",
                retCode=10006,
                retMsg="Too many visits!",
                times=None,
                probability=LIMITED_SHARE,
                seed=self._dice.getrandbits(30),
            )

    @contextmanager
    def _senders(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        except BaseException:
            self._posts.clear()
            raise
        finally:
            for thread in threads:
                thread.join(DEADLINE_S)
            assert not any(thread.is_alive() for thread in threads), "some alerts were never answered"
            if self._failure:
                raise self._failure

    def _send(self) -> None:
        http = requests.Session()
        while (shot := self._next()) is not None:
            try:
                self._post(http, shot)
                time.sleep(self._pause_s)
            except Exception as error:  # a thread's failure is told by the one that waits for it
                self._failure = error
                return
        http.close()

    def _next(self) -> Shot | None:
        with self._lock:
            if not self._posts or self._failure:
                return None
            shot = self._posts.pop(0)
            self._sent.setdefault(shot.number, Sent(begun_at=time.monotonic()))
            return shot

    def _post(self, http: requests.Session, shot: Shot) -> None:
        """Until it is answered 2xx, the same body each time."""
        until = time.monotonic() + DEADLINE_S
        while time.monotonic() < until:
            answer = self._try(http, shot.body)
            if answer is not None:
                with self._lock:
                    sent = self._sent[shot.number]
                    sent.answered_at = sent.answered_at or time.monotonic()
                    sent.signal_ids.add(answer["signal_id"])
                return
            with self._lock:
                self._retries += 1
            time.sleep(0.2)
        raise AssertionError(f"alert {shot.number} was not accepted in {DEADLINE_S} s")

    def _try(self, http: requests.Session, body: bytes) -> dict[str, Any] | None:
        try:
            answer = self._victim.post(http, body)
        except requests.RequestException:
            return None
        if answer.status_code >= 500:
            return None
        assert answer.status_code in (200, 202), f"{answer.status_code} {answer.text}"
        reported: dict[str, Any] = answer.json()
        return reported

    def _kill_now_and_then(self) -> None:
        """At random numbers of answered alerts, and some right after the start that follows."""
        for moment, blow in sorted(self._blows(), key=lambda each: each[0]):
            self._wait_for(moment)
            blow()

    def _stop_after(self, answered: int) -> None:
        self._wait_for(self._answered() + answered)
        with self._lock:
            self._posts.clear()

    def _blows(self) -> Iterator[tuple[int, Blow]]:
        count = len(self._shots)
        for _ in range(self._kills_left):
            yield self._dice.randrange(1, count), self._kill
        for disaster in self._disasters:
            moment = self._disaster_at or self._dice.randrange(count // 4, 3 * count // 4)
            yield moment, functools.partial(self._suffer, disaster)

    def _kill(self) -> None:
        if self._kills_left == 0:
            return
        time.sleep(self._dice.uniform(0, 0.25))
        self._strike()
        if self._kills_left and self._dice.random() < KILLED_WHILE_STARTING:
            time.sleep(self._dice.uniform(0.2, 1.5))
            self._strike()

    def _strike(self) -> None:
        self._killed_at.append(time.time())
        self._victim.strike(self._dice)
        self._killed += 1
        self._kills_left -= 1

    def _suffer(self, disaster: Disaster) -> None:
        self._killed += disaster(self._dice)

    def _wait_for(self, answered: int) -> None:
        until = time.monotonic() + DEADLINE_S
        while self._answered() < answered:
            assert time.monotonic() < until and not self._failure, f"{self._failure or self._victim.web.tail()}"
            time.sleep(0.005)

    def _answered(self) -> int:
        with self._lock:
            return sum(1 for each in self._sent.values() if each.answered_at is not None)

    def _is_ready(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self._victim.web.url}/readyz", timeout=2).status_code == 200
        return False

    def _all_finished(self) -> list[dict[str, Any]]:
        """On a busy machine an exit may pass an entry that is not found in time; that settles itself a little later."""
        until = time.monotonic() + FINISHED_S
        while True:
            signals = self._victim.web.all_signals()
            left = [each for each in signals if each["status"] not in audit.FINISHED or _is_doubtful(each)]
            if not left:
                return signals
            assert time.monotonic() < until, f"{len(left)} are not finished, such as {left[0]}"
            time.sleep(0.2)

    def _judge(self, signals: list[dict[str, Any]], seconds: int) -> Counts:
        judged = Judge(self._shots, self._sent, signals, self._sides(signals))
        judged.check()
        self.problems = judged.lost + judged.doubled + judged.out_of_order
        events = [event for each in signals for event in each["events"]]
        there, away = self._exits(signals)
        return Counts(
            seed=self._seed,
            alerts=len(self._shots),
            resends=sum(1 for event in events if event["name"] == "duplicate"),
            retries=self._retries,
            limited=sum(1 for event in events if (event["detail"] or {}).get("code") == 10006),
            cut=sum(1 for event in events if event["name"] == "order_unknown"),
            kills=self._killed,
            seconds=seconds,
            away_s=int(sum(end - begin for begin, end in self._absences.spans)) if self._absences else 0,
            exit_ms=_share(there, 0.5),
            exit_p95_ms=_share(there, 0.95),
            exit_ms_away=_share(away, 0.5),
            exit_p95_ms_away=_share(away, 0.95),
            lost=len(judged.lost),
            doubled=len(judged.doubled),
            out_of_order=len(judged.out_of_order),
        )

    def _sides(self, signals: list[dict[str, Any]]) -> list[Side]:
        journal = open_journal(self._victim.database_url, lock=False)
        executions = [each for signal in signals for each in journal.executions_of(signal["id"])]
        journal.close()
        *_, last = self._papers
        return [
            Side(
                account=name,
                taken=[order for category in ("linear", "spot") for order in audit.at_exchange(paper, category)],
                positions=audit.positions(paper) | audit.coins(paper),
                executions={each.signal.id: each for each in executions if each.account == name},
                was_away=self._absences is not None and name == last,
            )
            for name, paper in self._papers.items()
        ]

    def _exits(self, signals: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
        """How long the first account's closes took, in ms: while all accounts were there, and while one was away.

        Those that a kill interrupted, or that met a relay that was just starting, tell nothing of it.
        """
        first = next(iter(self._papers))
        there, away = list[float](), list[float]()
        for signal in signals:
            begin = datetime.fromisoformat(signal["received_at"]).timestamp()
            ends = [each["at"] for each in audit.of_account(signal, first) if each["name"] == "done"]
            if signal["action"] != "close" or not ends:
                continue
            end = datetime.fromisoformat(ends[0]).timestamp()
            if any(at <= end and begin <= at + STARTED_S for at in self._killed_at):
                continue
            was_away = self._absences is not None and self._absences.overlap(begin, end)
            (away if was_away else there).append((end - begin) * 1000)
        return there, away


def _is_doubtful(signal: dict[str, Any]) -> bool:
    """It settles itself once its order's end is known, or it is proven never to have been there."""
    is_open = any(
        each["status"] == "submitted" or (each["status"] == "accepted" and each["type"] == "market")
        for each in signal["orders"]
    )
    return signal["status"] == "attention" and is_open


def _share(values: list[float], share: float) -> int:
    """The value that so many are not above; 0 where there are none."""
    return int(sorted(values)[int(share * (len(values) - 1))]) if values else 0


class Absences:
    """As a context: an exchange stands still for a third of the time, and nobody gets an answer."""

    def __init__(self, paper: PaperServer) -> None:
        self._paper = paper
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.spans: list[tuple[float, float]] = []
        """From when to when, Unix seconds."""

    def overlap(self, begin: float, end: float) -> bool:
        return any(begin < until and since < end for since, until in self.spans)

    def _run(self) -> None:
        while not self._is_over.wait(2 * AWAY_S):
            begin = time.time()
            os.kill(self._paper.pid, SIGSTOP)
            self._is_over.wait(AWAY_S)
            os.kill(self._paper.pid, SIGCONT)
            self.spans.append((begin, time.time()))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


_TWO_ACCOUNTS = """
[accounts.main]
url = "{main}"

[accounts.second]
url = "{second}"

[strategies.default]
accounts = ["main", "second"]
"""
_PATIENT = """
[strategies.default]
dedup_window = 600
"""
"""On a busy machine a body without an `id` may be sent again more than half a minute later."""


def exchanges(folder: Path, *, two: bool) -> tuple[dict[str, PaperServer], dict[str, str]]:
    """Each account's, and the environment of a relay that has these accounts."""
    if not two:
        return {"default": PaperServer(folder)}, ENVIRONMENT | {"RELAY_CONFIG": _PATIENT}
    papers = {}
    for name in ("main", "second"):
        (folder / name).mkdir()
        papers[name] = PaperServer(folder / name)
    config = _TWO_ACCOUNTS.format(**{name: paper.url for name, paper in papers.items()}) + "dedup_window = 600\n"
    return papers, ENVIRONMENT | {"RELAY_CONFIG": config}


def on_one_relay(folder: Path, *, seed: int, alerts: int, kills: int, two_accounts: bool = False) -> Chaos:
    papers, environment = exchanges(folder, two=two_accounts)
    victim = OneRelay(folder, next(iter(papers.values())), environment)
    pause_s = PAUSE_S if two_accounts else 0
    return Chaos(papers, victim, seed=seed, alerts=alerts, kills=kills, pause_s=pause_s, has_absences=two_accounts)


def on_both_markets(folder: Path, *, seed: int, alerts: int, kills: int) -> Chaos:
    """One relay whose account trades each coin and its perpetual."""
    papers, environment = exchanges(folder, two=False)
    (paper,) = papers.values()
    paper.control.fees("", spotTaker=str(COINS_FEE))
    return Chaos(papers, OneRelay(folder, paper, environment), seed=seed, alerts=alerts, kills=kills, is_mixed=True)


def on_many_processes(
    folder: Path,
    database_url: str,
    *,
    seed: int,
    alerts: int,
    kills: int,
    home: Path | None = None,
    disasters: Sequence[str] = (),
    two_accounts: bool = False,
    has_absences: bool = False,
) -> Chaos:
    """`home`: of the Postgres server, for `disasters`: `crash` and `freeze` befall it. `has_absences`: of two accounts
    one is away for a third of the time, and exits are timed."""
    papers, environment = exchanges(folder, two=two_accounts)
    # A database that has just been frozen or started is slow: what it holds up must not be too old to be sent.
    environment |= {"BYBIT_RECV_WINDOW": "5000"}
    victim = ManyProcesses(folder, next(iter(papers.values())), environment, database_url=database_url, home=home)
    befall = {"crash": victim.crash_postgres, "freeze": victim.freeze_postgres}
    drawn = [befall[each] for each in disasters]
    return Chaos(
        papers,
        victim,
        seed=seed,
        alerts=alerts,
        kills=kills,
        disasters=drawn,
        pause_s=PAUSE_S if has_absences else 0,
        has_absences=has_absences,
    )


def _with_resends(shots: list[Shot], dice: random.Random) -> list[Shot]:
    """The posts in their order: some bodies come a second time a little later."""
    posts = [(float(shot.number), shot) for shot in shots]
    again = dice.sample(shots, round(len(shots) * RESENT_SHARE))
    posts += [(shot.number + dice.uniform(0.1, RESENT_AFTER_MAX), shot) for shot in again]
    return [shot for _, shot in sorted(posts, key=lambda post: post[0])]
