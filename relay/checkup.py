"""The connection checklist of each account, made at the start and renewed every minute beside everything else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relay.domain.position import Position
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.exchange.account_check import judge, refuse_wide_key
from relay.exchange.account_facts import Ownership, Stream, Subject
from relay.exchange.account_point import Point, Report, State
from relay.exchange.account_reader import category_of, read_facts
from relay.exchange.client import Exchange
from relay.exchange.stream_probe import probe_stream
from relay.exchange.streamed import StreamedExchange
from relay.exchange.streams_link import LinkState
from relay.settings import AccountSettings, Settings

log = logging.getLogger(__name__)

EVERY_S = 55.0
"""So that what is shown is at most a minute old, the look itself included."""
_STOP_S = 2.0
_OPENING_S = 1.5
"""For a stream that a relay is about to open: less than the start waits for the first look."""
_LEVELS = {State.GREEN: logging.INFO, State.AMBER: logging.WARNING, State.RED: logging.ERROR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One account to be looked at."""

    exchange: Exchange
    subject: Subject
    ownership: Ownership | None
    look_at_stream: Callable[[], Stream] | None

    def examine(self) -> Report:
        """Some 12 requests, one after the other; each part that fails costs only its own points."""
        facts = read_facts(self.exchange, self.subject, ownership=self.ownership, look_at_stream=self.look_at_stream)
        return judge(self.subject, facts)

    def hedged(self) -> tuple[str, ...]:
        """The symbols looked at that are in hedge mode. What cannot be read is not among them."""
        facts = read_facts(self.exchange, self.subject, ownership=self.ownership, look_at_stream=None)
        return tuple(symbol for symbol, told in facts.positions if isinstance(told, Position) and told.is_hedge)

    def switch_to_one_way(self, symbol: str) -> str | None:
        """None: it is so now; else why not. Nothing is sent where a position or an order is open."""
        category = category_of(symbol)
        try:
            if self.exchange.position(category=category, symbol=symbol).size != 0:
                return "a position is open; close it first"
            if self.exchange.open_orders(category=category, symbol=symbol):
                return "orders are open; cancel them first"
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            return str(error)
        return self.exchange.desk.switch_to_one_way(category, symbol)

    def refuse_wide_key(self) -> None:
        """Raises SettingsInvalid for a key that mainnet must not run with; ExchangeUnreachable, ExchangeAnswered."""
        if self.subject.environment.is_real_money and not self.subject.allow_wide_key:
            refuse_wide_key(self.subject, self.exchange.desk.key())


def patient_for(
    settings: Settings, account: AccountSettings, exchange: Exchange, ownership: Ownership | None
) -> Patient:
    """`exchange` is the account's way to the exchange, `ownership` tells what its journal knows."""
    key, secret = account.api_key, account.api_secret
    assert key is not None and secret is not None, "settings without a key do not load"
    stream_url = account.stream_url
    subject = Subject(
        environment=account.environment,
        host=account.url or "",
        recv_window_ms=account.recv_window_ms,
        allow_wide_key=settings.allow_wide_key,
        key_end=f"…{key.reveal()[-4:]}",
        symbols=settings.traded_on(account).allowed_symbols,
        max_leverage=settings.traded_on(account).max_leverage,
    )

    def look() -> Stream:
        kept = exchange.awaited_stream(_OPENING_S) if isinstance(exchange, StreamedExchange) else None
        if kept is not None:
            return stream_told(kept)
        return probe_stream(
            stream_url or "", api_key=key.reveal(), api_secret=secret.reveal(), now_ms=exchange.now_ms()
        )

    return Patient(exchange=exchange, subject=subject, ownership=ownership, look_at_stream=look if stream_url else None)


def stream_told(state: LinkState) -> Stream:
    """A running relay's own stream, as the checklist knows streams."""
    if state.is_live:
        return Stream(connected=True)
    if state.problem.startswith("auth "):
        return Stream(connected=True, refusal="the stream did not take the key")  # its own words may repeat the key
    return Stream(connected=False, why=f"{state.problem}; so for {state.since_s:.0f} s")


class Checkup:
    """A thread of its own: a slow exchange holds up nothing else."""

    def __init__(self, patients: Mapping[str, Patient], *, every_s: float = EVERY_S) -> None:
        """`patients`: by account."""
        self._patients = patients
        self._every_s = every_s
        self._latest: dict[str, Report] = {}
        self._stop = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkup", daemon=True)

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """A look that is under way is waited for, a little."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def wait_for_first(self, seconds: float) -> None:
        """Until every account was looked at once."""
        self._looked.wait(seconds)

    def latest(self, account: str) -> Report | None:
        """None before the first look."""
        return self._latest.get(account)

    def refuse_wide_keys(self) -> None:
        """Raises as `Patient.refuse_wide_key` for the first account that must not be traded."""
        for patient in self._patients.values():
            patient.refuse_wide_key()

    def look_now(self) -> None:
        """Look at every account, one after the other."""
        for account, patient in self._patients.items():
            try:
                self._look(account, patient)
            except Exception:
                log.exception("the checklist of %s could not be renewed", account)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look_now()
            self._looked.set()
            self._stop.wait(self._every_s)

    def _look(self, account: str, patient: Patient) -> None:
        before, report = self._latest.get(account), patient.examine()
        if self._stop.is_set():
            return  # what was asked while everything is being closed proves nothing
        self._latest[account] = report
        for point in report.points:
            if before is None or before.point(point.name).state is not point.state:
                log.log(_LEVELS.get(point.state, logging.WARNING), "%s: %s", account, in_words(point))


def in_words(point: Point) -> str:
    """One line: the point, its state, what is so, and what to do about it."""
    fix = f"; {point.fix}" if point.fix else ""
    return f"{point.name} {point.state}: {point.message}{fix}"
