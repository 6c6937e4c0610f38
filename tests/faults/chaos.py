"""Many senders, a misbehaving exchange and a relay that is killed again and again; then every book is compared."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from relay.journal import open_journal
from tests.faults import audit
from tests.faults.alerts import Shot, draw
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

SENDERS = 12
RESENT_SHARE = 0.10
CUT_SHARE = 0.10
LIMITED_SHARE = 0.05
RESENT_AFTER_MAX = 15
"""A resend follows its alert by at most so many other alerts, so it may well overtake the answer."""
KILLED_WHILE_STARTING = 0.3
DEADLINE_S = 120


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
    lost: int
    doubled: int
    out_of_order: int

    @staticmethod
    def heading() -> str:
        return " ".join(f"{each.name.replace('_', ' '):>12}" for each in fields(Counts))

    def row(self) -> str:
        return " ".join(f"{getattr(self, each.name):>12}" for each in fields(self))


@dataclass(slots=True, kw_only=True)
class Sent:
    """How one alert went, on the sender's own clock. `answered_at`: the first 2xx."""

    begun_at: float
    answered_at: float | None = None
    signal_ids: set[str] = field(default_factory=set)


class Chaos:
    """One run. `problems` has each thing found wrong, in words."""

    def __init__(self, folder: Path, *, seed: int, alerts: int, kills: int) -> None:
        self._dice = random.Random(seed)
        self._seed = seed
        self._kills_left = kills
        self._paper = PaperServer(folder)
        self._relay = RelayProcess(folder, self._paper.url, environment={"SIGNAL_MAX_AGE": "86400"})
        self._database_url = f"sqlite:///{folder}/relay.db"
        self._shots = draw(alerts, self._dice)
        self._posts = _with_resends(self._shots, self._dice)
        self._killed = 0
        self._retries = 0
        self._lock = threading.Lock()
        self._sent: dict[int, Sent] = {}
        self._failure: Exception | None = None
        self.problems: list[str] = []

    def run(self) -> Counts:
        begun_at = time.monotonic()
        try:
            self._relay.start()
            self._misbehave()
            with self._senders():
                self._kill_now_and_then()
            self._relay.wait_until_ready()
            signals = self._all_finished()
            self._paper.control.clear_faults()  # what is read from here on is the judge's own, and must arrive
            return self._judge(signals, int(time.monotonic() - begun_at))
        finally:
            self._relay.kill()
            self._paper.close()

    def _misbehave(self) -> None:
        """Until the end: nothing is repaired before everything has come to its end."""
        for path in ("/v5/order/create", "/v5/order/realtime"):
            self._paper.control.fault(
                path, "drop_reply", times=None, probability=CUT_SHARE, seed=self._dice.getrandbits(30)
            )
        self._paper.control.fault(
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
            answer = http.post(f"{self._relay.url}/webhook", data=body, timeout=10)
        except requests.RequestException:
            return None
        if answer.status_code >= 500:
            return None
        assert answer.status_code in (200, 202), f"{answer.status_code} {answer.text}"
        told: dict[str, Any] = answer.json()
        return told

    def _kill_now_and_then(self) -> None:
        """At random numbers of answered alerts, and some right after the start that follows."""
        count = len(self._shots)
        moments = sorted(self._dice.randrange(1, count) for _ in range(self._kills_left))
        for moment in moments:
            if self._kills_left == 0:
                return
            self._wait_for(moment)
            time.sleep(self._dice.uniform(0, 0.25))
            self._kill()
            if self._kills_left and self._dice.random() < KILLED_WHILE_STARTING:
                time.sleep(self._dice.uniform(0.2, 1.5))
                self._kill()

    def _wait_for(self, answered: int) -> None:
        until = time.monotonic() + DEADLINE_S
        while self._answered() < answered:
            assert time.monotonic() < until and not self._failure, f"{self._failure or self._relay.tail()}"
            time.sleep(0.005)

    def _answered(self) -> int:
        with self._lock:
            return sum(1 for each in self._sent.values() if each.answered_at is not None)

    def _kill(self) -> None:
        self._relay.kill()
        self._killed += 1
        self._kills_left -= 1
        self._relay.start(wait=False)

    def _all_finished(self) -> list[dict[str, Any]]:
        until = time.monotonic() + DEADLINE_S
        while True:
            signals = self._relay.all_signals()
            left = [each for each in signals if each["status"] not in audit.FINISHED]
            if not left:
                return signals
            assert time.monotonic() < until, f"{len(left)} are not finished, such as {left[0]}"
            time.sleep(0.2)

    def _judge(self, signals: list[dict[str, Any]], seconds: int) -> Counts:
        judged = Judge(self._shots, self._sent, signals, audit.at_exchange(self._paper))
        judged.check_alerts()
        judged.check_orders()
        judged.check_effects(self._sequence(signals), audit.positions(self._paper))
        self.problems = judged.lost + judged.doubled + judged.out_of_order
        events = [event for each in signals for event in each["events"]]
        return Counts(
            seed=self._seed,
            alerts=len(self._shots),
            resends=sum(1 for event in events if event["name"] == "duplicate"),
            retries=self._retries,
            limited=sum(1 for event in events if (event["detail"] or {}).get("code") == 10006),
            cut=sum(1 for event in events if event["name"] == "order_unknown"),
            kills=self._killed,
            seconds=seconds,
            lost=len(judged.lost),
            doubled=len(judged.doubled),
            out_of_order=len(judged.out_of_order),
        )

    def _sequence(self, signals: list[dict[str, Any]]) -> dict[str, int]:
        """Each signal's place in the order of acceptance, as the journal has it."""
        journal = open_journal(self._database_url, lock=False)
        found = {each["id"]: journal.assignments_of(each["id"])[0].seq for each in signals}
        journal.close()
        return found


def _with_resends(shots: list[Shot], dice: random.Random) -> list[Shot]:
    """The posts in their order: some bodies come a second time a little later."""
    posts = [(float(shot.number), shot) for shot in shots]
    again = dice.sample(shots, round(len(shots) * RESENT_SHARE))
    posts += [(shot.number + dice.uniform(0.1, RESENT_AFTER_MAX), shot) for shot in again]
    return [shot for _, shot in sorted(posts, key=lambda post: post[0])]


class Judge:
    """What was sent, what the journal has and what the exchange has, held against each other."""

    def __init__(
        self, shots: list[Shot], sent: dict[int, Sent], signals: list[dict[str, Any]], taken: list[audit.Order]
    ) -> None:
        self._shots = {shot.number: shot for shot in shots}
        self._sent = sent
        self._signals = signals
        self._taken = taken
        self._shot_of = {each["id"]: self._shots[int(each["alert"]["comment"])] for each in signals}
        self.lost: list[str] = []
        self.doubled: list[str] = []
        self.out_of_order: list[str] = []

    def check_alerts(self) -> None:
        """Exactly one signal for each alert, the one that its sender was told of, with exactly one good end."""
        signals_of: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        for signal in self._signals:
            signals_of[self._shot_of[signal["id"]].number].append(signal)
        for number in self._shots:
            found, told = signals_of[number], self._sent[number].signal_ids
            if not found or not told <= {each["id"] for each in found}:
                self.lost.append(f"alert {number}: answered with {told}, kept as {[each['id'] for each in found]}")
            if len(found) > 1:
                self.doubled.append(f"alert {number}: {len(found)} signals")
            self._check_ends(found)

    def _check_ends(self, signals: list[dict[str, Any]]) -> None:
        for signal in signals:
            if signal["status"] != "done":
                self.lost.append(f"not done: {signal}")
            ends = audit.outcomes(signal)
            if [len(each) for each in ends] != [1]:
                self.doubled.append(f"{signal['id']} came to {ends}")

    def check_orders(self) -> None:
        """The same orders on both sides, and at most one for each signal."""
        self.lost += audit.differences(self._taken, self._signals)
        orders_of: defaultdict[str, int] = defaultdict(int)
        for order in self._taken:
            orders_of[_signal_of(order)] += 1
        self.doubled += [f"{name} has {count} orders" for name, count in orders_of.items() if count > 1]

    def check_effects(self, seq: dict[str, int], positions: dict[str, Decimal]) -> None:
        """Accepted in the order of sending where one was answered before the other left; executed as accepted."""
        for symbol in {shot.symbol for shot in self._shots.values()}:
            accepted = sorted((each for each in seq if self._shot_of[each].symbol == symbol), key=seq.__getitem__)
            self._check_acceptance(accepted)
            p, wanted = Decimal(0), list[tuple[str, Decimal]]()
            for signal_id in accepted:
                after = self._shot_of[signal_id].after(p)
                if after != p:
                    wanted.append((signal_id, after - p))
                p = after
            self._check_sequence(symbol, wanted)
            if positions.get(symbol, Decimal(0)) != p:
                self.lost.append(f"{symbol} is at {positions.get(symbol)} and not at {p}")

    def _check_acceptance(self, accepted: list[str]) -> None:
        latest_begun_at = 0.0
        for signal_id in accepted:
            sent = self._sent[self._shot_of[signal_id].number]
            if sent.answered_at is not None and sent.answered_at < latest_begun_at:
                self.out_of_order.append(f"{signal_id} is behind one that was sent only after its answer")
            latest_begun_at = max(latest_begun_at, sent.begun_at)

    def _check_sequence(self, symbol: str, wanted: list[tuple[str, Decimal]]) -> None:
        """Signed sizes: with another order of effects a `target`, `close` or `long` orders something else."""
        found = [
            (_signal_of(order), order.filled_qty if order.side == "buy" else -order.filled_qty)
            for order in self._taken
            if order.symbol == symbol
        ]
        if found != wanted:
            first = next((i for i, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), None)
            self.out_of_order.append(f"{symbol} from {first}: {found[first:]} instead of {wanted[first:]}")


def _signal_of(order: audit.Order) -> str:
    return order.client_order_id.partition("-")[0]
