"""Take an alert: prove its sender, read it, make it durable, hand it to its lanes; in this order. And notice when
alerts fail to come."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from relay.alerts.authenticate import Credentials, authenticates, is_signed, may_authenticate, secret_among_bytes
from relay.alerts.signal import (
    ParsedAlert,
    bounded,
    bounded_notes,
    digest,
    identity_key,
    read,
    redacted_text,
    respelled,
    signal_from_stored,
    text_digest,
    with_correction,
    with_readable,
)
from relay.app.metrics import TimedStage, timed
from relay.app.telemetry import about, add
from relay.domain.instrument import PRE_LAUNCH, Category, Instrument, SymbolUnknown, TradedMarket
from relay.domain.intent import SIZES_NOTHING
from relay.domain.notice import NoticeKind
from relay.domain.order import Reason, SignalStatus
from relay.domain.rules import Rules
from relay.domain.signal import Action, Signal, link_of, new_signal_id, reused_id
from relay.domain.spot import in_market, market_of, spot_problem
from relay.engine import failpoint
from relay.engine.failpoint import Failpoint
from relay.errors import (
    AlertError,
    AlertIdReused,
    AlertInvalid,
    AlertLate,
    AlertMalformed,
    AuthFailed,
    ExchangeAnswered,
    ExchangeUnreachable,
    StrategyUnknown,
)
from relay.execution.notices import Announcer
from relay.execution.ports import Account, Now, to_ms, utc_now
from relay.execution.tasks import ARRIVALS, Feeder
from relay.execution.work import Strategy
from relay.journal.journal import ANSWER_DEADLINE_S, Journal
from relay.journal.records import Admission, Copy, Duplicate, IdReused, LateByMail, New, NewSignal, Reopened, Way

_HOW_TO_AUTHENTICATE = (
    'put `"secret": "…"` with the webhook secret into the alert, or send it as `X-Webhook-Secret`, '
    "or post to /webhook/<strategy>/<secret>"
)


_LOOK_UPS_MAX = 20
_LOOK_UPS_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the sender is answered: the id under which the alert is durable, and whether it was so before."""

    signal_id: str
    status: SignalStatus
    is_duplicate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MailedAlert:
    """How an alert came by mail. `at`: the earliest moment at which a server took it. `note`: from whom, for people."""

    message: str
    at: datetime
    note: str


class AlertRejected(Exception):  # noqa: N818
    """A bad alert from a proven sender: `error` says what is wrong.

    `is_stored`: it is found under `signal_id`; else so many were kept today that it was only counted.
    """

    def __init__(self, error: AlertError, signal_id: str, *, is_stored: bool) -> None:
        super().__init__(error.message)
        self.error = error
        self.signal_id = signal_id
        self.is_stored = is_stored


class Intake:
    """Accepts alerts. Thread-safe. What a call has returned is on disk."""

    def __init__(
        self,
        *,
        journal: Journal,
        accounts: Mapping[str, Account],
        runner: Feeder,
        announcer: Announcer,
        heartbeats: Heartbeats,
        strategies: Mapping[str, Strategy],
        hidden: tuple[str, ...] = (),
        now: Now = utc_now,
        ages_ms: Callable[[], int] | None = None,
        comes_by_mail: bool = False,
    ) -> None:
        """`comes_by_mail`: a mailbox is read, so that each alert may come two ways.

        `hidden`: further secrets of the relay's, which are taken out of every alert that is kept, too.

        `ages_ms`: the clock by which a repeat is told; None: `now`.
        """
        self._journal = journal
        self._accounts = accounts
        self._runner = runner
        self._announcer = announcer
        self._heartbeats = heartbeats
        self._strategies = strategies
        own = [secret for each in strategies.values() for secret in each.secrets]
        self._hidden = tuple(dict.fromkeys((*own, *hidden)))
        self._now = now
        self._looking_up = threading.Lock()
        self._looked_up_at: deque[float] = deque(maxlen=_LOOK_UPS_MAX)
        self._ages_ms = ages_ms
        self._comes_by_mail = comes_by_mail
        self._noted_spot: set[str] = set()

    def strategy(self, name: str) -> Strategy:
        """Raises StrategyUnknown, which names those there are."""
        found = self._strategies.get(name)
        if found is None:
            # Not repeated: whoever forgets the strategy in the address puts the secret in its place.
            raise StrategyUnknown("there is no strategy of this name; the address is /webhook/<strategy>/<secret>")
        return found

    def take(
        self,
        body: bytes,
        *,
        strategy: str,
        credentials: Credentials,
        named: str | None = None,
        anywhere: bool = False,
        mail: MailedAlert | None = None,
    ) -> Receipt:
        """Accept the alert, in the format `named` if one is said. `anywhere`: on accounts that are not the strategy's.

        `mail`: it came that way, and is the copy of a webhook that has the same `id` and time, or else the same text.

        Raises AuthFailed, StrategyUnknown, AlertRejected, JournalUnavailable.
        """
        with about(), timed(TimedStage.ACCEPT), ARRIVALS:
            found = self._read(body, strategy, credentials, named, self._accounts if anywhere else None, mail)
            return self._accept(*found, mail=mail)

    def senders_of(self, body: bytes) -> tuple[tuple[str, ...], bool, str | None]:
        """Of an alert in a mail: the strategies whose secret it holds, whether it is valid, and which it names."""
        now, proven = self._now(), []
        try:
            parsed = read(body, secrets=self._hidden)
        except AlertMalformed:
            found = [each.name for each in self._strategies.values() if secret_among_bytes(each.secrets, body)]
            return tuple(found), False, None
        for sender in self._strategies.values():
            if any(_is_secret_of(sender, each, now) for each in parsed.secrets):
                proven.append(sender)
        try:
            for sender in proven[:1]:
                self.signal_of(read(body, usual=sender.format), strategy=sender, signal_id="", now=now)
        except (AlertInvalid, AlertMalformed):
            return tuple(each.name for each in proven), False, None
        return tuple(each.name for each in proven), bool(proven), _text(parsed.fields.get("strategy"))

    def can_only_exit(self, body: bytes, strategy: str) -> bool:
        """Whatever is wrong with it otherwise."""
        try:
            parsed = read(body, secrets=self._hidden, usual=self.strategy(strategy).format)
            return signal_from_stored(parsed.fields, id="", strategy=strategy, received_at=self._now()).only_exits
        except AlertInvalid as error:
            return error.only_exits
        except AlertMalformed:
            return False

    def _read(
        self,
        body: bytes,
        strategy: str,
        credentials: Credentials,
        named: str | None,
        known: Iterable[str] | None,
        mail: MailedAlert | None,
    ) -> tuple[Signal, Strategy, ParsedAlert, int, str | None]:
        now = self._now()
        now_ms, sender = to_ms(now), self.strategy(strategy)
        failpoint.passed(Failpoint.RECEIVED)
        parsed = self._authenticated(body, sender, credentials, now, named)
        signal_id = new_signal_id(now_ms)
        add(signal_id=signal_id)
        try:
            received_at = min(mail.at, now) if mail else now
            signal = self.signal_of(parsed, strategy=sender, signal_id=signal_id, now=received_at, known=known)
        except AlertInvalid as error:
            raise self._rejected(signal_id, sender, parsed.fields, parsed.body_digest, error, now_ms) from None
        failpoint.passed(Failpoint.PARSED)
        is_covered = credentials.webhook_signature and is_signed(sender.secrets, credentials, body, now)
        return signal, sender, parsed, now_ms, credentials.webhook_id if is_covered else None

    def signal_of(
        self,
        parsed: ParsedAlert,
        *,
        strategy: Strategy,
        signal_id: str,
        now: datetime,
        known: Iterable[str] | None = None,
    ) -> Signal:
        """The signal with its instrument.

        `known`: what accounts it may name; None means the strategy's. Raises AlertInvalid.
        """
        try:
            signal = signal_from_stored(parsed.fields, id=signal_id, strategy=strategy.name, received_at=now)
        except AlertInvalid as error:
            raise with_correction(parsed, error) from None
        own = strategy.accounts
        allowed = own if known is None else tuple(known)
        unknown = [name for name in signal.accounts if name not in allowed]
        if unknown:
            problem = f"{unknown[0][:60]!r} is none of this strategy's accounts: {', '.join(allowed)}"
            raise AlertInvalid(f"account: {problem}", fields={"account": [problem]})
        names = signal.accounts or own
        if not names and signal.action is not Action.HEARTBEAT:
            problem = f"the strategy {strategy.name} has none; post to the address of one that has, or configure it"
            raise AlertInvalid(f"account: {problem}", fields={"account": [problem]})
        if not names:
            return signal
        rules = strategy.rules_for(names[0])
        try:
            _require_in_market(signal, rules)
            return self._resolved(signal, [self._accounts[name] for name in names], market_of(signal, rules))
        except AlertInvalid as error:
            raise respelled(parsed.fields, error) from None

    def _resolved(self, signal: Signal, accounts: list[Account], market: TradedMarket) -> Signal:
        """The signal with its instrument; unchanged while none are loaded. Raises AlertInvalid for an unknown one.

        It is that of the first account whose exchange has told of its own: another's may not list it, which is told in
        that account's lane.
        """
        account = next((each for each in accounts if each.market.symbol_index is not None), None)
        if signal.action is Action.HEARTBEAT or account is None or signal.ticker is None:
            return signal
        found = self._meant(account, signal.ticker, signal.exchange, market)
        if isinstance(found, SymbolUnknown):
            raise AlertInvalid(f"ticker: {found.message}", fields={"ticker": [found.message]})
        assert isinstance(found, Instrument)
        notes = (*signal.notes, *self._market_note(signal, found, account))
        return replace(signal, category=found.category, symbol=found.symbol, notes=notes)

    def _market_note(self, signal: Signal, found: Instrument, account: Account) -> tuple[str, ...]:
        """Once for each strategy: its ticker is a pair's name as well, and nobody says which is meant."""
        index, ticker = account.market.symbol_index, (signal.ticker or "").upper().rpartition(":")[2]
        is_said = signal.market is not None or found.is_held or index is None or found.symbol not in index.pairs
        if is_said or ticker != found.symbol or signal.strategy in self._noted_spot:
            return ()
        self._noted_spot.add(signal.strategy)
        return (f'{ticker} is the perpetual; the spot pair of that name is `"market": "spot"`',)

    def _meant(
        self, account: Account, ticker: str, exchange: str | None, market: TradedMarket
    ) -> Instrument | SymbolUnknown:
        """What the ticker means. What is not known, or has not begun to trade, may be new: the exchange is asked."""
        index = account.market.symbol_index
        assert index is not None, "it is loaded"
        found = index.resolve(ticker, exchange, market)
        if isinstance(found, Instrument):
            if found.status != PRE_LAUNCH:
                return found
            spellings: tuple[tuple[Category, str], ...] = ((found.category, found.symbol),)
        else:
            spellings = index.spellings(ticker, exchange, market)
        for category, symbol in spellings:
            if not self._may_look_up():
                return found
            try:
                listed = account.exchange.instrument(category=category, symbol=symbol)
            except (ExchangeUnreachable, ExchangeAnswered):
                return found
            if listed is not None:
                account.market.keep_instrument(listed)
        return (account.market.symbol_index or index).resolve(ticker, exchange, market)

    def _may_look_up(self) -> bool:
        """A sender that repeats a wrong ticker must not spend the requests that orders need."""
        now_s = time.monotonic()
        with self._looking_up:
            if len(self._looked_up_at) == _LOOK_UPS_MAX and now_s - self._looked_up_at[0] < _LOOK_UPS_S:
                return False
            self._looked_up_at.append(now_s)
            return True

    def _authenticated(
        self, body: bytes, sender: Strategy, credentials: Credentials, now: datetime, named: str | None
    ) -> ParsedAlert:
        proven = authenticates(sender.secrets, credentials, body, None, now)
        if not proven and not may_authenticate(sender.secrets, body):
            raise AuthFailed(f"the alert does not prove its sender: {_HOW_TO_AUTHENTICATE}")
        try:
            parsed = read(body, secrets=self._hidden, named=named, usual=sender.format)
        except AlertMalformed as error:
            if not proven and not secret_among_bytes(sender.secrets, body):
                raise AuthFailed(f"the alert does not prove its sender: {_HOW_TO_AUTHENTICATE}") from None
            now_ms = to_ms(now)
            stored: dict[str, object] = {"text": redacted_text(body, self._hidden)}
            readable = with_readable(body, error, self._hidden)
            raise self._rejected(new_signal_id(now_ms), sender, stored, digest(body), readable, now_ms) from None
        if not proven and not any(_is_secret_of(sender, each, now) for each in parsed.secrets):
            what = "its `secret` is not the webhook secret" if parsed.secrets else "it carries no secret"
            raise AuthFailed(f"the alert does not prove its sender, {what}: {_HOW_TO_AUTHENTICATE}")
        return parsed

    def _accept(
        self,
        signal: Signal,
        sender: Strategy,
        parsed: ParsedAlert,
        now_ms: int,
        signed_id: str | None,
        *,
        mail: MailedAlert | None,
    ) -> Receipt:
        accounts = () if signal.action is Action.HEARTBEAT else signal.accounts or sender.accounts
        planned = in_market(signal, sender.rules_for(accounts[0])) if accounts else signal
        new = NewSignal(
            id=signal.id,
            strategy=signal.strategy,
            action=signal.action,
            alert=bounded(parsed.fields, is_accepted=True),
            digest=parsed.body_digest,
            identity=identity_key(signal, body_digest=parsed.body_digest, signed_id=signed_id),
            accounts=accounts,
            ticker=signal.ticker,
            category=signal.category,
            symbol=signal.symbol,
            sent_at_ms=to_ms(signal.sent_at) if signal.sent_at else None,
            notes=bounded_notes((mail.note, *planned.notes) if mail else planned.notes),
            link=link_of(signal),
            only_exits=planned.only_exits,
            may_exit=planned.may_exit or signal.action in SIZES_NOTHING,
            sender_id=signal.sender_id,
            copy=self._copy(signal, sender, parsed, mail),
        )
        admission = self._admission(new, signal, sender, now_ms)
        failpoint.passed(Failpoint.ANSWERED)
        match admission:
            case New(signal_id=signal_id, chain_note=note):
                self._heartbeats.received(signal.strategy, signal.action, now_ms=now_ms)
                if note is not None:
                    self._announcer.tell(NoticeKind.CHAIN, _of_chain(signal, note))
                status = SignalStatus.ACCEPTED if accounts else SignalStatus.DONE
                return Receipt(signal_id=signal_id, status=status, is_duplicate=False)
            case Reopened(signal_id=signal_id):
                return Receipt(signal_id=signal_id, status=SignalStatus.ACCEPTED, is_duplicate=False)
            case Duplicate(signal_id=signal_id, status=status):
                self._heartbeats.received(signal.strategy, signal.action, now_ms=now_ms, is_repeat=True)
                return Receipt(signal_id=signal_id, status=status, is_duplicate=True)
            case IdReused(first_signal_id=first):
                reused = _reused(signal, first)
                raise self._rejected(signal.id, sender, parsed.fields, parsed.body_digest, reused, now_ms)
            case LateByMail():
                late = AlertLate(
                    f"late by mail: its webhook never came, the mail is of {signal.received_at:%H:%M:%S} UTC, and "
                    "another alert of this symbol was accepted since; nothing is ordered"
                )
                raise self._rejected(signal.id, sender, parsed.fields, parsed.body_digest, late, now_ms)

    def _admission(self, new: NewSignal, signal: Signal, sender: Strategy, now_ms: int) -> Admission:
        """Durable. A lone signal's lane accepts it itself, and its order leaves with the same commit."""
        begun_at = time.monotonic()
        which: dict[str, Any] = {
            "now_ms": now_ms,
            "dedup_window_ms": sender.dedup_window_ms,
            "aged_ms": self._ages_ms() if self._ages_ms else None,
            "on_committed": lambda reported: self._admitted(reported, signal, new.accounts),
        }
        opening = self._runner.at_once(signal, new.accounts, partial(self._journal.accept_at_once, new, **which))
        admission = opening.admission(ANSWER_DEADLINE_S) if opening is not None else None
        if admission is not None:
            return admission
        return self._journal.accept(new, **which, deadline_s=ANSWER_DEADLINE_S - (time.monotonic() - begun_at))

    def _copy(self, signal: Signal, sender: Strategy, parsed: ParsedAlert, mail: MailedAlert | None) -> Copy | None:
        if not self._comes_by_mail:
            return None
        return Copy(
            way=Way.MAIL if mail else Way.WEBHOOK,
            text=text_digest(parsed.fields),
            at_ms=to_ms(signal.received_at),
            message=mail.message if mail else None,
            max_age_ms=max((each.signal_max_age_s for each in sender.rules.values()), default=0) * 1000,
        )

    def _admitted(self, admission: Admission, signal: Signal, accounts: tuple[str, ...]) -> None:
        failpoint.passed(Failpoint.COMMITTED)
        self._runner.admitted(admission, signal, accounts)

    def _rejected(
        self,
        signal_id: str,
        sender: Strategy,
        stored: Mapping[str, object],
        body_digest: str,
        error: AlertError,
        now_ms: int,
    ) -> AlertRejected:
        """Keeps the alert, or counts it once much was kept today, and is what the sender is answered with."""
        self._heartbeats.received(sender.name, None, now_ms=now_ms)
        is_stored = self._journal.reject(
            signal_id=signal_id,
            strategy=sender.name,
            alert=bounded(stored, is_accepted=False),
            digest=body_digest,
            reason=Reason(code=error.code, message=error.message),
            fields=error.fields,
            action=_text(stored.get("action")),
            ticker=_text(stored.get("ticker") or stored.get("symbol")),
            now_ms=now_ms,
        )
        return AlertRejected(error, signal_id, is_stored=is_stored)


def _require_in_market(signal: Signal, rules: Rules) -> None:
    """AlertInvalid where it asks for what its market has not."""
    if (found := spot_problem(signal, rules)) is not None:
        field, problem = found
        raise AlertInvalid(f"{field}: {problem}", fields={field: [problem]})


def _is_secret_of(sender: Strategy, given: str, now: datetime) -> bool:
    """Whether a secret that a body brought is the sender's."""
    return authenticates(sender.secrets, Credentials(), b"", given, now)


def _of_chain(signal: Signal, note: str) -> str:
    return f"strategy {signal.strategy}, {signal.symbol or signal.ticker}: {note} (signal {signal.id})"


def _text(value: object) -> str | None:
    """What a rejected alert says of itself, if it is at all legible."""
    return value[:60] if isinstance(value, str) else None


def _reused(signal: Signal, first: str) -> AlertIdReused:
    problem = reused_id(signal.sender_id, first)
    return AlertIdReused(f"id: {problem}", fields={"id": [problem]})


# Whether a strategy's alerts still arrive, and whether they come so fast that TradingView stops sending them.


STORM_WINDOW_MS: Final = 3 * 60 * 1000
STORM_ALERTS: Final = 12
"""TradingView stops an alert that fires more than 15 times in 3 minutes: said before that. Source: its help pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A sign of life at least every `every_s` seconds: a `heartbeat`, or with `is_any` any alert."""

    every_s: int
    is_any: bool = False

    @property
    def what(self) -> str:
        return "alert" if self.is_any else "heartbeat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What is known of one strategy's alerts; Unix milliseconds, None means never."""

    last_alert_at_ms: int | None
    last_sign_at_ms: int | None
    """The last one that counts as a sign of life."""
    is_missed: bool
    expectation: Expectation | None


@dataclass(slots=True)
class _Watched:
    expectation: Expectation | None
    last_alert_ms: int | None = None
    last_sign_ms: int | None = None
    is_missed: bool = False
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=STORM_ALERTS + 1))
    is_storm: bool = False


def expectations(strategies: Mapping[str, Strategy]) -> dict[str, Expectation | None]:
    """What each strategy was configured to send."""
    return {
        name: None if each.heartbeat_s is None else Expectation(every_s=each.heartbeat_s, is_any=each.heartbeat_any)
        for name, each in strategies.items()
    }


class Heartbeats:
    """Thread-safe. Silence counts from the last sign of life, and not while this relay was not running."""

    def __init__(
        self,
        *,
        journal: Journal,
        announcer: Announcer,
        expected: Mapping[str, Expectation | None],
        now: Now = utc_now,
    ) -> None:
        self._journal = journal
        self._announcer = announcer
        self._now = now
        self._lock = threading.Lock()
        self._watched = {name: _Watched(expectation) for name, expectation in expected.items()}
        self._since_ms: int | None = None

    def start(self) -> None:
        """Alerts are executed from now on: the silence before does not count. Raises JournalUnavailable."""
        stored = {name: self._journal.strategies.last_alerts(name) for name in self._watched}
        with self._lock:
            self._since_ms = self._since_ms or to_ms(self._now())
            for name, watched in self._watched.items():
                last_ms, beat_ms = stored[name]
                sign_ms = last_ms if watched.expectation and watched.expectation.is_any else beat_ms
                watched.last_alert_ms = watched.last_alert_ms or last_ms
                watched.last_sign_ms = watched.last_sign_ms or sign_ms

    def received(self, strategy: str, action: Action | None, *, now_ms: int, is_repeat: bool = False) -> None:
        """An alert of a proven sender has come; `action` None: it was bad. Only counts, and seldom tells."""
        with self._lock:
            watched = self._watched.get(strategy)
            if watched is None:
                return
            watched.last_alert_ms = now_ms
            is_back = self._is_sign(watched, action) and self._take_sign(watched, now_ms)
            is_storm = not is_repeat and _is_new_storm(watched, now_ms)
            what = watched.expectation.what if watched.expectation else ""
        if is_back:
            self._announcer.tell(NoticeKind.HEARTBEAT, f"strategy {strategy}: its {what}s arrive again")
        if is_storm:
            self._announcer.tell(NoticeKind.HEARTBEAT, _storm_text(strategy))

    def check(self) -> None:
        """Tell of each strategy that has become silent, once."""
        for text in self._newly_silent(to_ms(self._now())):
            self._announcer.tell(NoticeKind.HEARTBEAT, text)

    def pulses(self) -> dict[str, Pulse]:
        with self._lock:
            return {
                name: Pulse(
                    last_alert_at_ms=watched.last_alert_ms,
                    last_sign_at_ms=watched.last_sign_ms,
                    is_missed=watched.is_missed,
                    expectation=watched.expectation,
                )
                for name, watched in self._watched.items()
            }

    def silent(self) -> list[str]:
        """For people: a line for each strategy whose sign of life is missing."""
        return [
            _silent_text(name, pulse.expectation)
            for name, pulse in self.pulses().items()
            if pulse.is_missed and pulse.expectation
        ]

    def _newly_silent(self, now_ms: int) -> list[str]:
        found = []
        with self._lock:
            for name, watched in self._watched.items():
                expected = watched.expectation
                if expected is None or self._since_ms is None or watched.is_missed:
                    continue
                if now_ms - max(watched.last_sign_ms or 0, self._since_ms) > expected.every_s * 1000:
                    watched.is_missed = True
                    found.append(_silent_text(name, expected))
        return found

    def _is_sign(self, watched: _Watched, action: Action | None) -> bool:
        return action is Action.HEARTBEAT or (watched.expectation is not None and watched.expectation.is_any)

    def _take_sign(self, watched: _Watched, now_ms: int) -> bool:
        """Whether it had been missed."""
        watched.last_sign_ms = now_ms
        was_missed, watched.is_missed = watched.is_missed, False
        return was_missed


def _is_new_storm(watched: _Watched, now_ms: int) -> bool:
    watched.recent.append(now_ms)
    is_storm = len(watched.recent) > STORM_ALERTS and now_ms - watched.recent[0] <= STORM_WINDOW_MS
    was_storm, watched.is_storm = watched.is_storm, is_storm
    return is_storm and not was_storm


def _silent_text(strategy: str, expectation: Expectation) -> str:
    every = timedelta(seconds=expectation.every_s)
    return (
        f"strategy {strategy}: no {expectation.what} for more than {every // timedelta(minutes=1)} minutes; "
        "look whether its alert still runs at TradingView"
    )


def _storm_text(strategy: str) -> str:
    return (
        f"strategy {strategy}: more than {STORM_ALERTS} alerts in 3 minutes; "
        "TradingView stops an alert that fires more than 15 times in 3 minutes, and does not say so here"
    )
