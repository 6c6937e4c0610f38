"""The connection checklist of each account, run at the start and every minute; warnings about keys and streams."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Final

from relay.app.accounts import exchanges_of, vanished_accounts
from relay.app.paper_child import PaperExchange, needed, running_way
from relay.bybit.account_api import KeyRights, time_left
from relay.bybit.account_facts import DatabaseFacts, ExpectedAccount, Ownership, Stream, read_facts
from relay.bybit.checklist import Check, Report, State, green, in_time, judge, red, refuse_wide_key, withheld_by
from relay.bybit.client import Exchange
from relay.bybit.stream import LinkState, probe_stream
from relay.bybit.streamed import StreamedExchange
from relay.bybit.wire_account import category_of_symbol
from relay.domain.instrument import Category, Instrument
from relay.domain.notice import NoticeKind
from relay.domain.order import Reason
from relay.domain.position import Position
from relay.errors import ExchangeAnswered, ExchangeUnreachable, FactsUnreadable, JournalUnavailable, SettingsInvalid
from relay.execution.bookkeeping import JournalOwnership
from relay.execution.notices import Announcer
from relay.execution.ports import from_ms, utc_now
from relay.journal.opening import open_journal
from relay.journal.ownership import is_flushing, owned_by_owner_of
from relay.settings.environment import AccountSettings, MailboxSettings, Secret
from relay.settings.network import way_to
from relay.settings.settings import Settings

if TYPE_CHECKING:
    from relay.execution.mailbox import MailboxWatch

log = logging.getLogger(__name__)

EVERY_S = 55.0
"""So that what is shown is at most a minute old, the look itself included."""
_OFTEN_MAX = 10
_STOP_S = 2.0
_OPENING_S = 1.5
"""For a stream that a relay is about to open: less than the start waits for the first look."""
_LEVELS = {State.GREEN: logging.INFO, State.AMBER: logging.WARNING, State.RED: logging.ERROR}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCheckTarget:
    """One account to be looked at."""

    exchange: Exchange
    expected_account: ExpectedAccount
    ownership: Ownership | None
    look_at_stream: Callable[[], Stream] | None
    free_disk_bytes: Callable[[], int | None]
    """Of the journal's disk."""
    look_at_database: Callable[[], DatabaseFacts | None] = lambda: None
    look_further: Callable[[], Iterable[Check]] = tuple
    """Points that are there only where they apply."""

    def run(self) -> Report:
        """Some 12 requests, one after the other; each part that fails costs only its own points."""
        facts = read_facts(
            self.exchange, self.expected_account, ownership=self.ownership, look_at_stream=self.look_at_stream
        )
        if isinstance(facts.key, KeyRights):
            self.exchange.withheld = withheld_by(self.expected_account, facts.key)
        facts = replace(facts, free_disk_bytes=self.free_disk_bytes(), database=self.look_at_database())
        report = judge(self.expected_account, facts)
        return replace(report, checks=(*report.checks, *self.look_further()))

    def hedged(self) -> tuple[str, ...]:
        """The symbols looked at that are in hedge mode. What cannot be read is not among them."""
        facts = read_facts(self.exchange, self.expected_account, ownership=self.ownership, look_at_stream=None)
        return tuple(
            symbol for symbol, reported in facts.positions if isinstance(reported, Position) and reported.is_hedge
        )

    def switch_to_one_way(self, symbol: str) -> str | None:
        """Returns None if it is so now, else why not. Nothing is sent where a position or an order is open."""
        category = category_of_symbol(symbol)
        try:
            if self.exchange.position(category=category, symbol=symbol).size != 0:
                return "a position is open; close it first"
            if self.exchange.open_orders(category=category, symbol=symbol):
                return "orders are open; cancel them first"
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            return str(error)
        return self.exchange.account_api.switch_to_one_way(category, symbol)

    def refuse_wide_key(self) -> None:
        """Raises SettingsInvalid for a key that mainnet must not run with; ExchangeUnreachable, ExchangeAnswered.

        Where something is open, and where the key cannot be read, entries are withheld instead, and exits go on: no
        update of the relay or of the exchange leaves positions to themselves.
        """
        if not self.expected_account.environment.is_real_money or self.expected_account.allow_wide_key:
            return
        try:
            key = self.exchange.account_api.key()
        except FactsUnreadable as error:
            self.exchange.withheld = Reason(code="EXCHANGE_KEY", message=f"nothing is opened: {error}")
            return
        if not self._has_open():
            refuse_wide_key(self.expected_account, key)
        self.exchange.withheld = withheld_by(self.expected_account, key)

    def _has_open(self) -> bool:
        """By the journal; one that cannot be read may know of something."""
        if self.ownership is None:
            return False
        try:
            return any(self.ownership.expected().values()) or bool(self.ownership.moving())
        except JournalUnavailable:
            return True


def check_target_for(
    settings: Settings,
    account: AccountSettings,
    exchange: Exchange,
    ownership: Ownership | None,
    look_at_mailbox: Callable[[], tuple[Check, ...]] = tuple,
) -> AccountCheckTarget:
    """`exchange` is the account's way to the exchange, `ownership` tells what its journal knows."""
    key, secret = account.api_key, account.api_secret
    assert key is not None and secret is not None, "settings without a key do not load"
    stream_url = account.stream_url
    expected_account = ExpectedAccount(
        environment=account.environment,
        host=account.url or "",
        recv_window_ms=account.recv_window_ms,
        allow_wide_key=settings.allow_wide_key,
        key_end=f"…{key.reveal()[-4:]}",
        symbols=settings.traded_on(account).allowed_symbols,
        max_leverage=settings.traded_on(account).max_leverage,
        trades_coins=settings.trades_coins_on(account),
        way=way_to(account.url or ""),
    )

    def look() -> Stream:
        stored = exchange.awaited_stream(_OPENING_S) if isinstance(exchange, StreamedExchange) else None
        if stored is not None:
            return stream_reported(stored)
        return probe_stream(
            stream_url or "", api_key=key.reveal(), api_secret=secret.reveal(), now_ms=exchange.now_ms()
        )

    return AccountCheckTarget(
        exchange=exchange,
        expected_account=expected_account,
        ownership=ownership,
        look_at_stream=look if stream_url else None,
        free_disk_bytes=partial(free_disk_bytes, settings),
        look_at_database=partial(_database_facts, settings, account.name, ownership),
        look_further=lambda: (*_vanished(settings, account, ownership), *look_at_mailbox()),
    )


class MailboxLook:
    """What `check` says of the mailbox, where one is configured. `watch`: the running relay's own, which reads it."""

    def __init__(self, settings: MailboxSettings | None) -> None:
        self._settings = settings
        self.watch: MailboxWatch | None = None

    def __call__(self) -> tuple[Check, ...]:
        if self._settings is None:
            return ()
        if self.watch is not None and self.watch.has_looked:
            return (self._judged(self.watch.problem),)
        # Imported only where it is configured.
        from relay.execution.mailbox import TROUBLE, ImapFolder, words_of

        try:
            folder = ImapFolder(self._settings)
        except TROUBLE as error:
            return (self._judged(words_of(error)),)
        folder.close()
        return (self._judged(None),)

    def _judged(self, problem: str | None) -> Check:
        assert self._settings is not None, "else there is nothing to judge"
        if problem is None:
            return green("mailbox", f"{self._settings.name} is read")
        message = f"{self._settings.name} is not read: {problem}"
        return red("mailbox", message, "see MAILBOX_URL, its user, password and folder; until then alerts come one way")


def _vanished(settings: Settings, account: AccountSettings, ownership: Ownership | None) -> tuple[Check, ...]:
    """Shown of the account that has the same key; where none has, of the first one."""
    if not isinstance(ownership, JournalOwnership):
        return ()
    try:
        found = vanished_accounts(settings, ownership.journal)
    except JournalUnavailable:
        return ()
    own = [each for each in found if (each.heir or settings.accounts[0].name) == account.name]
    return tuple(red("accounts", each.message, each.fix) for each in own)


def _database_facts(settings: Settings, account: str, ownership: Ownership | None) -> DatabaseFacts | None:
    if isinstance(ownership, _Unavailable):
        return DatabaseFacts(problem=ownership.why)
    if not settings.is_postgres or not isinstance(ownership, JournalOwnership):
        return None
    try:
        is_flushed, owned = is_flushing(ownership.journal.store), owned_by_owner_of(ownership.journal.store, account)
    except JournalUnavailable as error:
        return DatabaseFacts(problem=str(error))
    return DatabaseFacts(is_flushed=is_flushed, owned_by_owner=owned, room=settings.accounts_per_process)


def free_disk_bytes(settings: Settings) -> int | None:
    """Of the disk that the SQLite journal is on, or will be. None: it cannot be told, or the journal is elsewhere."""
    if settings.journal_path is None:
        return None
    path = settings.journal_path.absolute()
    with suppress(OSError):
        return shutil.disk_usage(next(folder for folder in path.parents if folder.exists())).free
    return None


def stream_reported(state: LinkState) -> Stream:
    """A running relay's own stream, as the checklist knows streams."""
    if state.is_live:
        return Stream(connected=True)
    if state.problem.startswith("auth "):
        return Stream(connected=True, refusal="the stream did not take the key")  # its own words may repeat the key
    return Stream(connected=False, why=f"{state.problem}; so for {state.since_s:.0f} s")


class Checkup:
    """A thread an account: an exchange that is slow holds up nothing else, and no other account's look."""

    def __init__(self, check_targets: Mapping[str, AccountCheckTarget], *, every_s: float = EVERY_S) -> None:
        """`check_targets`: by account. Of more than ten each is looked at less often: a look asks for twenty things."""
        self._check_targets = check_targets
        self._every_s = every_s * max(1.0, len(check_targets) / _OFTEN_MAX)
        self._latest: dict[str, Report] = {}
        self._stop = threading.Event()
        self._looked = {account: threading.Event() for account in check_targets}
        self._threads = [
            threading.Thread(target=self._run, args=(account,), name=f"checkup of {account}", daemon=True)
            for account in check_targets
        ]

    def start(self) -> None:
        for thread in self._threads:
            if not thread.is_alive():
                thread.start()

    def stop(self) -> None:
        """Looks that are under way are waited for, a little."""
        self._stop.set()
        until = time.monotonic() + _STOP_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    def wait_for_first(self, account: str, seconds: float) -> None:
        """Until the account was looked at once."""
        self._looked[account].wait(seconds)

    def latest(self, account: str) -> Report | None:
        """None before the first look."""
        return self._latest.get(account)

    def refuse_wide_key(self, account: str) -> None:
        """Raises as `AccountCheckTarget.refuse_wide_key` where the account must not be traded."""
        self._check_targets[account].refuse_wide_key()

    def look_now(self) -> None:
        """Look at every account, one after the other."""
        for account in self._check_targets:
            self._look_at(account)

    def _look_at(self, account: str) -> None:
        try:
            self._look(account, self._check_targets[account])
        except Exception:
            log.exception("the checklist of %s could not be renewed", account)

    def _run(self, account: str) -> None:
        while not self._stop.is_set():
            self._look_at(account)
            self._looked[account].set()
            self._stop.wait(self._every_s)

    def _look(self, account: str, check_target: AccountCheckTarget) -> None:
        before, report = self._latest.get(account), check_target.run()
        if self._stop.is_set():
            return  # what was asked while everything is being closed proves nothing
        self._latest[account] = report
        for check in report.checks:
            if before is None or before.check(check.name).state is not check.state:
                log.log(_LEVELS.get(check.state, logging.WARNING), "%s: %s", account, in_words(check))


def in_words(check: Check) -> str:
    """One line: the point, its state, what is so, and what to do about it."""
    fix = f"; {check.fix}" if check.fix else ""
    return f"{check.name} {check.state}: {check.message}{fix}"


# The accounts of the settings, opened to be looked at by a command: beside a running relay, or without one.


@contextmanager
def open_check_targets(settings: Settings, account: str | None) -> Iterator[list[tuple[str, AccountCheckTarget]]]:
    """Every account, or the one named, with its name. Raises SettingsInvalid, and PaperExchangeFailed.

    Where a paper exchange is needed and none is named, one is started for the time being.
    """
    known = [each.name for each in settings.accounts]
    if account is not None and account not in known:
        raise SettingsInvalid([f"--account: there is no account `{account}`; it should be one of {', '.join(known)}"])
    chosen = replace(settings, accounts=tuple(each for each in settings.accounts if account in (None, each.name)))
    with ExitStack() as opened:
        settled = opened.enter_context(_with_paper(chosen))
        exchanges = exchanges_of(settled)
        for exchange in exchanges.values():
            opened.callback(exchange.close)
        yield [
            (
                each.name,
                check_target_for(
                    settled,
                    each,
                    exchanges[each.name],
                    opened.enter_context(_ownership(settled, each.name)),
                    MailboxLook(settled.mailbox if number == 0 else None),
                ),
            )
            for number, each in enumerate(settled.accounts)
        ]


@contextmanager
def _with_paper(settings: Settings) -> Iterator[Settings]:
    ways = {each.name: running_way(each, settings) for each in settings.accounts if each.needs_paper_exchange}
    moved = [_moved_to(each, ways.get(each.name)) for each in settings.accounts]
    settings = replace(settings, accounts=tuple(moved))
    children = needed(settings, os.environ)
    try:
        for child in children:
            child.start()
        started = {child.account: child for child in children}
        yield replace(settings, accounts=tuple(_moved(each, started.get(each.name)) for each in settings.accounts))
    finally:
        for child in children:
            child.stop()


def _moved(account: AccountSettings, child: PaperExchange | None) -> AccountSettings:
    return account if child is None else _moved_to(account, (child.url(), child.key, child.secret))


def _moved_to(account: AccountSettings, way: tuple[str, Secret, Secret] | None) -> AccountSettings:
    if way is None:
        return account
    url, key, secret = way
    return replace(account, url=url, stream_url=url.replace("http://", "ws://", 1), api_key=key, api_secret=secret)


@contextmanager
def _ownership(settings: Settings, account: str) -> Iterator[Ownership | None]:
    """By the journal, which is only read. Returns None if there is no journal yet, so nothing is the relay's own."""
    path = settings.journal_path
    if path is not None and not path.exists():
        yield None
        return
    try:
        journal = open_journal(settings.database_url, lock=False)
    except JournalUnavailable as error:
        yield _Unavailable(str(error))
        return
    try:
        yield JournalOwnership(journal, account)
    finally:
        journal.close()


class _Unavailable:
    """A journal that cannot be read says nothing about what is whose."""

    def __init__(self, why: str) -> None:
        self.why = why

    def ordered(self, among: Iterable[tuple[Category, str]]) -> frozenset[tuple[Category, str]]:
        raise JournalUnavailable(self.why)

    def expected(self) -> dict[tuple[Category, str], Decimal]:
        raise JournalUnavailable(self.why)

    def moving(self) -> frozenset[tuple[Category, str]]:
        raise JournalUnavailable(self.why)

    def terms(self) -> dict[str, str]:
        raise JournalUnavailable(self.why)

    def has_placed(self, client_order_id: str) -> bool:
        raise JournalUnavailable(self.why)


# What the accounts' keys may do, looked at before anything listens.


def refuse_wide_keys(settings: Settings) -> None:
    """For real money, before anything listens. Raises SettingsInvalid for a key that may withdraw or transfer.

    Where the exchange cannot be asked now, the start asks again, and executes nothing before it was told.
    """
    if not settings.environment.is_real_money:
        return
    for account, exchange in zip(settings.accounts, exchanges_of(settings).values(), strict=True):
        try:
            with _ownership(settings, account.name) as ownership:
                check_target_for(settings, account, exchange, ownership).refuse_wide_key()
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            log.warning("what the key of %s may do cannot be asked yet: %s", account.name, error)
        finally:
            exchange.close()


# Tells people that an API key is about to expire, once a day from a week before.


KEYS_S = 24 * 60 * 60.0
_DAYS = 7


def tell_of_keys(exchanges: Mapping[str, Exchange], announcer: Announcer) -> None:
    """An account that cannot be asked does not keep the others' keys from being looked at."""
    for account, exchange in exchanges.items():
        try:
            key = exchange.account_api.key()
            left = time_left(key, from_ms(exchange.now_ms()) if key.expires_at is not None else utc_now())
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            log.warning("when the key of %s ends cannot be asked today: %s", account, error)
            continue
        if left is not None and left.days <= _DAYS:
            when = f"expires {in_time(left)}" if left > timedelta(0) else "expires today or has expired"
            text = f"the API key of {account} {when}: renew it on Bybit, or bind it to an address, which makes it last"
            announcer.tell(NoticeKind.KEY, text)


# Tells people that an account's stream is cut, and that it is back; one that returns quickly is not worth a word.


STREAMS_S: Final = 10.0
CUT_S: Final = 30.0


class StreamWatch:
    """Looked at by one thread, every `STREAMS_S`."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._cut: set[str] = set()

    def look(self, states: Mapping[str, LinkState]) -> None:
        """`states`: by account."""
        for account, state in states.items():
            if state.is_live and account in self._cut:
                self._cut.discard(account)
                self._announcer.tell(NoticeKind.STREAM, f"the stream of {account} is back")
            elif not state.is_live and state.since_s >= CUT_S and account not in self._cut:
                self._cut.add(account)
                text = (
                    f"the stream of {account} is cut for {state.since_s:.0f} s ({state.problem}): alerts are executed "
                    "all the same, with a question or two more"
                )
                self._announcer.tell(NoticeKind.STREAM, text)


# Tells people what the exchange announces: maintenance, and that something which is in use is delisted.


ANNOUNCED_S: Final = 300.0
DELISTED_S: Final = 60.0
_AHEAD: Final = (timedelta(hours=1), timedelta(hours=24))


class AnnouncementWatch:
    """Each announcement is told once for each state, each delisting a day and an hour ahead; a restart forgets it."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._announced: set[tuple[object, ...]] = set()

    def look(self, exchanges: Iterable[Exchange], *, is_demo: bool) -> None:
        """One that answers is enough: they tell the same."""
        for exchange in exchanges:
            with suppress(ExchangeUnreachable, ExchangeAnswered):
                for each in exchange.announced():
                    if each.is_demo == is_demo and self._is_new(each.id, each.state):
                        when = f"from {each.begin:%Y-%m-%d %H:%M} to {each.end:%H:%M} UTC (expected)"
                        self._announcer.tell(NoticeKind.EXCHANGE, f"Bybit {each.state}: {each.what}, {when}")
                return

    def delistings(self, instruments: Iterable[Instrument], now: datetime) -> None:
        """`instruments`: those that are in use."""
        for each in instruments:
            left = None if each.delivery_at is None else each.delivery_at - now
            ahead = next((span for span in _AHEAD if left is not None and timedelta(0) < left <= span), None)
            if ahead is not None and left is not None and self._is_new(each.symbol, ahead):
                text = f"{each.symbol} is delisted {in_time(left)}: what is open then is closed by delivery"
                self._announcer.tell(NoticeKind.EXCHANGE, text)

    def _is_new(self, *key: object) -> bool:
        is_new = key not in self._announced
        self._announced.add(key)
        return is_new
