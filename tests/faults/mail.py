"""Alerts by webhook and by mail, of which some are lost and some late, while relay and mailbox are cut off."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import requests

from relay.domain.instrument import plain
from relay.journal.copies import Mailboxes
from relay.journal.opening import open_journal
from tests.faults import audit, stage
from tests.faults.alerts import _units
from tests.mail_server import MailServer, mail
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess
from tests.relay_server import WEBHOOK_SECRET

WEBHOOKS_LOST: Final = 0.05
MAILS_LOST: Final = 0.03
LATE: Final = 0.10
APART_S: Final = 0.1
SENDERS: Final = 8
POST_S: Final = 20.0
"""A post that was cut is sent again for so long, as a front end does."""
FINISHED_S: Final = 300


@dataclass(slots=True, kw_only=True)
class Fired:
    """One alert, and by which ways it is to come."""

    name: str
    symbol: str
    text: str
    by_webhook: bool
    by_mail: bool


@dataclass(slots=True, kw_only=True)
class Outcome:
    """`problems`: what must not have been, in words. The rest is what the journal tells, by the alerts' names."""

    fired: int
    never_came: int
    only_by_mail: list[str] = field(default_factory=list)
    only_by_webhook: list[str] = field(default_factory=list)
    kills: int = 0
    cuts: int = 0
    problems: list[str] = field(default_factory=list)

    def report(self) -> str:
        came = self.fired - self.never_came
        return "\n".join(
            [
                f"{self.fired} alerts fired, {self.kills} kills of the relay, {self.cuts} cuts of the mailbox",
                f"{self.never_came} came no way; {came - len(self.problems)} of the other {came} took effect once",
                f"{len(self.only_by_mail)} of {came} alerts came only by mail: {', '.join(self.only_by_mail)}",
                f"{len(self.only_by_webhook)} of {came} alerts came only by webhook: {', '.join(self.only_by_webhook)}",
                *self.problems,
            ]
        )


class MailDrill:
    """One run, repeatable by its seed as far as what is lost and late is concerned."""

    def __init__(
        self, folder: Path, paper: PaperServer, *, seed: int, alerts: int, late_s: float, kills: int, cuts: int
    ) -> None:
        """`late_s`: so much a webhook or a mail is late at most."""
        self._dice = random.Random(seed)
        self._paper, self._late_s, self._kills, self._cuts = paper, late_s, kills, cuts
        self._home = Path(tempfile.mkdtemp(prefix="relay-drill-"))
        self._mailbox = MailServer(self._home)
        more = {"MAILBOX_URL": self._mailbox.url, "SIGNAL_MAX_AGE": "86400"}
        self._relay = RelayProcess(folder, paper.url, environment=more)
        units = _units()
        self._fired = [self._drawn(number, *self._dice.choice(list(units.items()))) for number in range(alerts)]
        self._journal = folder / "relay.db"

    def _drawn(self, number: int, symbol: str, unit: object) -> Fired:
        alert = {
            "secret": WEBHOOK_SECRET,
            "ticker": f"{symbol}.P",
            "action": "buy" if number % 2 else "sell",
            "qty": plain(unit),  # type: ignore[arg-type]
            "comment": f"alert {number}",
        }
        if self._dice.random() < 0.4:
            alert |= {"id": f"drill-{number}", "time": datetime.now(UTC).isoformat()}
        return Fired(
            name=f"alert {number}",
            symbol=symbol,
            text=json.dumps(alert),
            by_webhook=self._dice.random() >= WEBHOOKS_LOST,
            by_mail=self._dice.random() >= MAILS_LOST,
        )

    def run(self) -> Outcome:
        try:
            self._mailbox.start()
            self._relay.start()
            stage.until(self._is_mailbox_read)
            self._fire()
            return self._judged()
        finally:
            self._relay.kill()
            self._mailbox.stop()
            shutil.rmtree(self._home, ignore_errors=True)

    def _is_mailbox_read(self) -> bool:
        """It notes how far the folder was read before anything new comes."""
        with closing(sqlite3.connect(self._journal)) as there, contextlib.suppress(sqlite3.Error):
            return bool(there.execute("SELECT count(*) FROM mailboxes").fetchone()[0])
        return False

    def _fire(self) -> None:
        """All in the order of their moments, blows included; a blow takes its time, and what is due meanwhile waits."""
        due: list[tuple[float, Callable[[], object], bool]] = []
        for number, fired in enumerate(self._fired):
            at = number * APART_S
            if fired.by_webhook:
                due.append((at + self._late(), lambda text=fired.text: self._post(text), True))  # type: ignore[misc]
            if fired.by_mail:
                due.append((at + self._late(), lambda text=fired.text: self._deliver(text), True))  # type: ignore[misc]
        last = max(at for at, _, _ in due)
        due += [(self._dice.uniform(0, last), self._kill, False) for _ in range(self._kills)]
        due += [(self._dice.uniform(0, last), self._mailbox.cut, False) for _ in range(self._cuts)]
        began = time.monotonic()
        sent: list[Future[object]] = []
        with ThreadPoolExecutor(SENDERS) as senders:
            for at, do, is_sent in sorted(due, key=lambda each: each[0]):
                time.sleep(max(0.0, began + at - time.monotonic()))
                if is_sent:
                    sent.append(senders.submit(do))
                else:
                    do()
        for each in sent:
            each.result()

    def _late(self) -> float:
        return self._dice.uniform(0, self._late_s) if self._dice.random() < LATE else 0.0

    def _post(self, text: str) -> None:
        until = time.monotonic() + POST_S
        while True:
            with contextlib.suppress(requests.RequestException):
                answer = requests.post(f"{self._relay.url}/webhook", data=text.encode(), timeout=5)
                if answer.status_code < 300:
                    return
                assert answer.status_code >= 500, answer.text
            assert time.monotonic() < until, "the relay stays away"
            time.sleep(0.2)

    def _deliver(self, text: str) -> None:
        self._mailbox.deliver(mail(text, kind=self._dice.choice(("plain", "html"))))

    def _kill(self) -> None:
        self._relay.kill()
        self._relay.start()

    def _judged(self) -> Outcome:
        mails = sum(each.by_mail for each in self._fired)
        stage.until(lambda: self._mailbox.seen() == mails, FINISHED_S)
        stage.until(
            lambda: not any(each["status"] in ("accepted", "executing") for each in self._signals()), FINISHED_S
        )
        signals = self._signals()
        self._relay.kill()
        ways, counted = self._ways()
        never = [each for each in self._fired if not (each.by_webhook or each.by_mail)]
        outcome = Outcome(fired=len(self._fired), never_came=len(never), kills=self._kills, cuts=self._cuts)
        placed = [each.client_order_id for each in audit.at_exchange(self._paper)]
        for fired in self._fired:
            found = [each for each in signals if each["alert"]["comment"] == fired.name]
            orders = sum(each.startswith(signal["id"]) for signal in found for each in placed)
            self._judge(fired, found, orders, ways, outcome)
        if counted != (len(self._fired) - len(never), len(outcome.only_by_mail), len(outcome.only_by_webhook)):
            outcome.problems.append(f"the relay itself counts {counted}")
        return outcome

    def _judge(
        self, fired: Fired, found: list[dict[str, Any]], orders: int, ways: dict[str, set[str]], outcome: Outcome
    ) -> None:
        came = fired.by_webhook or fired.by_mail
        effects = [each for each in found if each["status"] == "done"]
        if len(found) != came or len(effects) != came or orders != came:
            said = [(each["id"], each["status"]) for each in found]
            outcome.problems.append(f"{fired.name} took effect {orders} times instead of {int(came)}: {said}")
            return
        told = ways.get(str(found[0]["id"]), set()) if found else set()
        expected = {name for name, is_so in (("webhook", fired.by_webhook), ("mail", fired.by_mail)) if is_so}
        if told != expected:
            outcome.problems.append(f"{fired.name} came by {expected}, and the journal says {told}")
        elif told == {"mail"}:
            outcome.only_by_mail.append(fired.name)
        elif told == {"webhook"}:
            outcome.only_by_webhook.append(fired.name)

    def _signals(self) -> list[dict[str, Any]]:
        return self._relay.all_signals()

    def _ways(self) -> tuple[dict[str, set[str]], tuple[int, int, int] | None]:
        """By signal, and as the relay's own report counts them."""
        journal = open_journal(f"sqlite:///{self._journal}", lock=False)
        try:
            with journal.store.read() as connection:
                found: dict[str, set[str]] = defaultdict(set)
                for signal_id, way in connection.exec_driver_sql("SELECT signal_id, way FROM copies"):
                    found[signal_id].add(way)
            counted = Mailboxes(journal.store).ways(0, 2**60)
        finally:
            journal.close()
        return found, (counted.alerts, counted.only_by_mail, counted.only_by_webhook) if counted else None
