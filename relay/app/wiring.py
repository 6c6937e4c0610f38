"""The composition root: the services a relay is made of, and how they go together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import requests

from relay import __version__
from relay.app.account_checks import (
    ANNOUNCED_S,
    DELISTED_S,
    KEYS_S,
    STREAMS_S,
    AnnouncementWatch,
    Checkup,
    MailboxLook,
    StreamWatch,
    check_target_for,
    tell_of_keys,
)
from relay.app.accounts import (
    VanishedAccount,
    accounts_of,
    exchanges_of,
    markets_of,
    remember_identities,
    require_addresses,
    strategies_of,
    vanished_accounts,
)
from relay.app.engines import (
    Execution,
    Owning,
    PeriodicJobs,
    Process,
    execution_of,
    journal_of,
    open_instruments,
    periodic_jobs_of,
)
from relay.app.telemetry import CHECK_IN_S, Reporter, configure_sentry
from relay.bybit.client import Exchange
from relay.bybit.market import Market
from relay.bybit.streamed import StreamedExchange
from relay.bybit.wire_orders import ReportedExecution
from relay.domain.notice import NoticeKind
from relay.engine.lease_guard import LeaseLost
from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable, SettingsInvalid
from relay.execution.accept import Heartbeats, Intake, expectations
from relay.execution.bookkeeping import JournalOwnership, own_coins_of, settle_restored
from relay.execution.controls import Controls, Previewer
from relay.execution.delivery import open_services
from relay.execution.execute import DriftWatch, Executor, compare_positions
from relay.execution.follow import Follower, Streams
from relay.execution.gather import Gatherer
from relay.execution.holdings import AccountReporter, AccountReports, AccountView, LiveView
from relay.execution.notices import Announcer, Notifier, outside_text
from relay.execution.orders import Clearing
from relay.execution.ports import Account, from_ms, to_ms, utc_now
from relay.execution.protection import ProtectionLanes, Protector
from relay.execution.tasks import Feeder, Tasks
from relay.execution.work import Strategy
from relay.journal.copies import Mailboxes
from relay.journal.journal import Journal
from relay.journal.maintenance import Retention
from relay.journal.maintenance import begin as begin_restored
from relay.journal.notices import Notices
from relay.settings.settings import Settings, Worker

if TYPE_CHECKING:
    from relay.execution.mailbox import MailboxWatch

log = logging.getLogger(__name__)

ALIVE_S = 60.0
ALIVE_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a relay is made of."""

    journal: Journal
    markets: dict[str, Market]
    """By the account with which each is read."""
    exchanges: dict[str, Exchange]
    accounts: dict[str, Account]
    strategies: dict[str, Strategy]
    engine: Execution
    announcer: Announcer
    runner: Feeder
    intake: Intake
    previewer: Previewer
    controls: Controls
    follower: Follower
    streams: Streams
    protection: ProtectionLanes
    reports: AccountReports
    periodic_jobs: PeriodicJobs
    heartbeats: Heartbeats
    notifier: Notifier
    checkup: Checkup
    mailbox: MailboxWatch | None
    vanished: tuple[VanishedAccount, ...]

    def market_of(self, account: str) -> Market:
        """Of which accounts at one host have one."""
        market = self.accounts[account].market
        assert isinstance(market, Market), "`accounts_of` made it"
        return market

    def view_of(self, account: str) -> AccountView:
        """What is at the account, for people: the exchange is asked by whoever executes there, and by nobody else."""
        if self.engine.is_alone or self.engine.executes(account):
            return LiveView(self.exchanges[account])
        return self.reports.view(account)

    @property
    def has_instruments(self) -> bool:
        """Whether the perpetuals of any account's exchange are known."""
        return any(market.symbol_index is not None for market in self.markets.values())


_SECRET_MIN = 16
"""What is shorter may be a word, as the paper exchange's key is: taking it out would spoil an alert's text."""


def _executing(
    settings: Settings,
    journal: Journal,
    accounts: dict[str, Account],
    strategies: dict[str, Strategy],
    protector: Protector,
    gatherer: Gatherer,
    announcer: Announcer,
    process: Process,
) -> tuple[Execution, ProtectionLanes]:
    """The engine, and what protects positions in its lanes."""
    executor = Executor(
        journal=journal,
        gatherer=gatherer,
        clearing=Clearing(journal=journal),
        protector=protector,
        announcer=announcer,
        drift=DriftWatch(journal=journal, announcer=announcer),
    )
    tasks = Tasks(
        journal=journal,
        executor=executor,
        accounts=accounts,
        strategies=strategies,
        shared_ms=journal.steady_ms if settings.is_postgres else None,
    )
    engine = execution_of(journal, tasks, tuple(accounts), settings, process)
    return engine, ProtectionLanes(
        journal=journal,
        engine=engine,
        protector=protector,
        accounts=accounts,
        tell=executor.attention,
        executes=engine.executes,
        acting_for=engine.acting_for,
    )


def _intake(
    settings: Settings,
    journal: Journal,
    accounts: dict[str, Account],
    strategies: dict[str, Strategy],
    runner: Feeder,
    announcer: Announcer,
    heartbeats: Heartbeats,
) -> Intake:
    return Intake(
        journal=journal,
        accounts=accounts,
        runner=runner,
        announcer=announcer,
        heartbeats=heartbeats,
        strategies=strategies,
        ages_ms=journal.steady_ms,
        comes_by_mail=settings.mailbox is not None,
        now=(lambda: from_ms(journal.steady_ms())) if settings.is_postgres else utc_now,
        hidden=tuple(each for each in (secret.reveal() for secret in settings.secrets) if len(each) >= _SECRET_MIN),
    )


def assemble(
    settings: Settings,
    journal: Journal,
    exchanges: dict[str, Exchange],
    notifier: Notifier,
    checkup: Checkup,
    process: Process,
) -> Services:
    """The parts, none of them started."""
    vanished = vanished_accounts(settings, journal)
    barred = {each.heir: each.bar for each in vanished if each.heir is not None}
    accounts, strategies = accounts_of(settings, exchanges, barred), strategies_of(settings)
    for name, exchange in exchanges.items():
        exchange.own_coins = own_coins_of(name, journal=journal, exchange=exchange)
    markets = markets_of(settings, accounts)
    gatherer, protector, announcer = Gatherer(journal=journal), Protector(journal=journal), Announcer()
    announcer.add_receiver(notifier.receive)
    heartbeats = Heartbeats(journal=journal, announcer=announcer, expected=expectations(strategies))
    engine, protection = _executing(settings, journal, accounts, strategies, protector, gatherer, announcer, process)
    intake = _intake(settings, journal, accounts, strategies, engine.feeder, announcer, heartbeats)
    controls = _controls(journal, intake, engine, accounts, strategies, protector)
    follower = Follower(journal=journal, accounts=accounts, protection=protection, acting_for=engine.acting_for)
    _tell_of_answers(exchanges, announcer, follower)
    if isinstance(engine, Owning):
        engine.on_request = AccountReporter(journal, exchanges, acting_for=engine.acting_for).want
    return Services(
        journal=journal,
        markets=markets,
        exchanges=exchanges,
        accounts=accounts,
        strategies=strategies,
        engine=engine,
        announcer=announcer,
        runner=engine.feeder,
        intake=intake,
        previewer=Previewer(intake=intake, gatherer=gatherer, accounts=accounts),
        controls=controls,
        follower=follower,
        streams=_streams(journal, engine, exchanges, follower),
        protection=protection,
        reports=AccountReports(journal, ask_owner=engine.ask_owner),
        periodic_jobs=_periodic_jobs(settings, journal, engine, exchanges, markets, heartbeats, process),
        heartbeats=heartbeats,
        notifier=notifier,
        checkup=checkup,
        mailbox=_mailbox(settings, journal, intake, announcer, engine, markets),
        vanished=vanished,
    )


def _controls(
    journal: Journal,
    intake: Intake,
    engine: Execution,
    accounts: dict[str, Account],
    strategies: dict[str, Strategy],
    protector: Protector,
) -> Controls:
    """They close, too, what a bracket cannot protect any more."""
    controls = Controls(
        journal=journal,
        intake=intake,
        runner=engine.feeder,
        accounts=accounts,
        strategies=strategies,
        acting_for=engine.acting_for,
    )
    protector.close = partial(controls.close, by="relay, since the price had passed the entry")
    return controls


def _streams(journal: Journal, engine: Execution, exchanges: dict[str, Exchange], follower: Follower) -> Streams:
    return Streams(
        {name: each for name, each in exchanges.items() if isinstance(each, StreamedExchange)},
        journal=journal,
        wake=engine.wake,
        follower=follower,
        every_exchange=exchanges,
        is_ours=engine.executes,
    )


def _periodic_jobs(
    settings: Settings,
    journal: Journal,
    engine: Execution,
    exchanges: dict[str, Exchange],
    markets: dict[str, Market],
    heartbeats: Heartbeats,
    process: Process,
) -> PeriodicJobs:
    return PeriodicJobs(
        markets=markets,
        exchanges=exchanges,
        needed=lambda: open_instruments(journal, exchanges),
        more=periodic_jobs_of(engine, heartbeats, Retention(journal.store, keep_days=settings.keep_days)),
        is_ours=lambda account: engine.executes(account) or not process.executes,
    )


def _mailbox(
    settings: Settings,
    journal: Journal,
    intake: Intake,
    announcer: Announcer,
    engine: Execution,
    markets: Mapping[str, Market],
) -> MailboxWatch | None:
    if settings.mailbox is None:
        return None
    # Imported only where it is configured.
    from relay.execution.mailbox import MailboxWatch

    return MailboxWatch(
        settings=settings.mailbox,
        marks=Mailboxes(journal.store),
        intake=intake,
        announcer=announcer,
        uses={each.name: each.mailbox for each in settings.strategies},
        # Without instruments nobody could say of which lane an alert is, and so what is late.
        is_mine=lambda: engine.is_first and any(each.symbol_index is not None for each in markets.values()),
    )


def _tell_of_answers(exchanges: Mapping[str, Exchange], announcer: Announcer, follower: Follower) -> None:
    """What an exchange does by itself, and what of its answers cannot be read, is told at once."""

    def tell(name: str, text: str) -> None:
        announcer.tell(NoticeKind.EXCHANGE, f"{text} ({name})")

    def outside(name: str, execution: ReportedExecution) -> None:
        announcer.tell(NoticeKind.EXCHANGE, outside_text(name, execution))
        follower.wake()

    for name, exchange in exchanges.items():
        exchange.odd_rows.tell = partial(tell, name)
        if isinstance(exchange, StreamedExchange):
            exchange.on_outside = partial(outside, name)


_START_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_FIRST_CHECK_S = 2.0
"""The checklist is in the log before "ready" is; where the exchange is slow to tell, orders do not wait for it."""
_CONNECTIONS = 10
"""Of each account, open before the first order: as many as an account may usually send in a second. One that is opened
for an order costs it one or two round trips more."""
_CONNECTIONS_LEAST = 2
_CONNECTIONS_IN_ALL = 100
"""Of many accounts, most are idle: to keep all of their connections open would cost more than what they do."""
_TURN_S: Final = 0.2
_AWAY_S: Final = 30.0
"""An account that is not there by then is told of."""
_LANES_CLOSE_S = 6.0
"""What is in flight by then is answered or timed out; the server leaves 7 s in all after its own drain."""


class BringUps:
    """Accounts are brought up a few at a time: each asks for much at once, and an address may only ask for so much.

    One that is slow, since its exchange is, goes on without keeping the others from their turn.
    """

    def __init__(self, *, at_once: int = 4, slow_s: float = 3.0) -> None:
        self._at_once, self._slow_s = at_once, slow_s
        self._changed = threading.Condition()
        self._begun: dict[str, float] = {}

    @contextmanager
    def taken_by(self, account: str, is_busy: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Waits for a turn. `is_busy`: whether the account's exchange is asked for much already."""
        with self._changed:
            while len(quick := self._quick()) >= self._at_once or (quick and is_busy()):
                self._changed.wait(_TURN_S)
            self._begun[account] = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._begun[account]
                self._changed.notify_all()

    def _quick(self) -> list[str]:
        """Those at it that are not slow."""
        return [name for name, at in self._begun.items() if time.monotonic() - at < self._slow_s]


class AccountStart:
    """One account's way to where its lanes run, in a thread of its own: it waits for no other account, and none for it.

    It is tried again until it is there, so an account that was away comes back without a restart.
    """

    def __init__(
        self, name: str, services: Services, *, stopping: threading.Event, begun: Callable[[], None], turns: BringUps
    ) -> None:
        """`begun`: called once the account's lanes run."""
        self._name, self._services, self._stopping, self._begun = name, services, stopping, begun
        self._turns = turns
        self._problem: str | None = "starting"
        self._has_begun = False
        self._is_announced = False
        self.thread = threading.Thread(target=self._run, name=f"starter of {name}", daemon=True)

    def problem(self) -> str | None:
        """Why what is accepted for the account would not be executed at once; None: it is."""
        return self._problem or self._services.engine.problem(self._name)

    def _run(self) -> None:
        """For as long as the account is this process's; again when it becomes so anew."""
        engine = self._services.engine
        while not self._stopping.is_set():
            self._problem = None
            if not engine.await_account(self._name):
                return
            self._problem, self._has_begun = "starting", False
            self._bring_up()
            engine.await_loss(self._name)
            if not self._stopping.is_set():
                self._services.streams.end(self._name)

    def _bring_up(self) -> None:
        """Returns once it is up, or another process has it."""
        engine = self._services.engine
        tries, began_at = 0, time.monotonic()
        while not self._stopping.is_set() and not engine.await_loss(self._name, 0):
            try:
                with self._turns.taken_by(self._name, lambda: self._services.exchanges[self._name].is_crowded):
                    self._warm_up()
                return
            except LeaseLost:
                self._problem = "another process may have it"
            except (ExchangeUnreachable, ExchangeAnswered, JournalUnavailable, SettingsInvalid) as error:
                self._problem = str(error)
                log.warning("%s is not ready yet: %s", self._name, error)
                engine.failed(self._name, error)
            except Exception as error:
                self._problem = f"the start failed ({type(error).__name__}: {error}); it is tried again"
                log.exception("%s is not ready yet", self._name)
            if time.monotonic() - began_at >= _AWAY_S and not self._is_announced:
                self._is_announced = True
                self._tell(f"account {self._name} executes nothing, its alerts wait: {self._problem}")
            self._stopping.wait(_START_AGAIN_S[min(tries, len(_START_AGAIN_S) - 1)])
            tries += 1

    def _warm_up(self) -> None:
        services, name = self._services, self._name
        account, exchange = services.accounts[name], services.exchanges[name]
        exchange.measure_clock()
        services.checkup.refuse_wide_key(name)
        services.market_of(name).load_once(exchange)
        if services.engine.is_here:
            services.streams.start(name)
            self._settle_restored()
            exchange.warm(max(_CONNECTIONS_LEAST, min(_CONNECTIONS, _CONNECTIONS_IN_ALL // len(services.accounts))))
            for (_, symbol), text in compare_positions(account, services.journal).items():
                services.announcer.tell(NoticeKind.DRIFT, f"{symbol} on {name}: {text}")
        services.checkup.wait_for_first(name, _FIRST_CHECK_S)
        if not self._has_begun:
            services.engine.begin(name)
            services.protection.take_up(name)
            self._has_begun = True
        self._problem = "its stream is being opened"
        self._begun()
        services.streams.settle(name)
        self._problem = None
        self._tell(f"relay {__version__} is ready ({account.environment}){self._of_account()}")

    def _settle_restored(self) -> None:
        """Of a journal that was brought back from a backup: before anything of it is taken up."""
        account, exchange = self._services.accounts[self._name], self._services.exchanges[self._name]
        standing = exchange.account_api.open_orders
        found = settle_restored(account, self._services.journal, standing, now_ms=to_ms(utc_now()))
        for each in found:
            log.warning("%s, brought back from a backup: %s", self._name, each)
        if found:
            what = f"{self._name} was brought back from a backup and differs from the exchange in {len(found)} points"
            self._services.announcer.tell(NoticeKind.ATTENTION, f"{what}; `resume` shows them: {found[0]}")

    def _of_account(self) -> str:
        return f" on {self._name}" if len(self._services.accounts) > 1 else ""

    def _tell(self, text: str) -> None:
        self._services.announcer.tell(NoticeKind.RUN, text)


class Relay:
    """One process's relay. `start` after the fork; alerts are accepted from then on, and executed once it is warm."""

    def __init__(self, settings: Settings, services: Services) -> None:
        self.settings = settings
        self.services = services
        self._stopping = threading.Event()
        turns = BringUps()
        self._starts = {
            name: AccountStart(name, services, stopping=self._stopping, begun=self._begin_common, turns=turns)
            for name in services.accounts
        }
        self._beginning = threading.Lock()
        self._has_begun = False
        self._reporter: Reporter | None = None

    def start(self) -> None:
        """Begin to load, to warm up and to recover, in the background."""
        self._report()
        services = self.services
        watch = StreamWatch(services.announcer)
        services.periodic_jobs.add(
            "what is known of the keys", KEYS_S, lambda: tell_of_keys(self._own_exchanges(), services.announcer)
        )
        services.periodic_jobs.add(
            "what is known of the streams", STREAMS_S, lambda: watch.look(services.streams.state())
        )
        if self.settings.alive_url is not None:
            address = self.settings.alive_url.reveal()
            services.periodic_jobs.add("the sign of life", ALIVE_S, lambda: self._sign_of_life(address))
        self._watch_announcements()
        for vanished in services.vanished:
            log.error("%s; %s", vanished.message, vanished.fix)
            services.announcer.tell(NoticeKind.ATTENTION, f"{vanished.message}; {vanished.fix}")
        self.services.notifier.start()
        if services.mailbox is not None:
            services.mailbox.start()
        if self.settings.environment.is_real_money:
            log.warning("MAINNET - real money")
        self.services.checkup.start()
        self.services.engine.start()
        for each in self._starts.values():
            each.thread.start()

    def _watch_announcements(self) -> None:
        services = self.services
        watch = AnnouncementWatch(services.announcer)

        def delisted() -> None:
            used = open_instruments(services.journal, services.accounts)
            for market in services.markets.values():
                found = (market.instrument(*where) for where in sorted(used))
                watch.delistings([each for each in found if each is not None], utc_now())

        def announced() -> None:
            watch.look(self._own_exchanges().values(), is_demo=self.environment == "demo")

        services.periodic_jobs.add("what the exchange announces", ANNOUNCED_S, announced)
        services.periodic_jobs.add("what is delisted", DELISTED_S, delisted)

    def _own_exchanges(self) -> dict[str, Exchange]:
        services = self.services
        return {name: each for name, each in services.exchanges.items() if services.engine.executes(name)}

    def _report(self) -> None:
        """From here on, in this process, what goes wrong is reported to Sentry where that is configured."""
        self._reporter = reporter = configure_sentry(self.settings)
        if reporter is None:
            return
        self.services.announcer.listen(reporter.finished)
        self.services.periodic_jobs.add("the Sentry monitor", CHECK_IN_S, lambda: reporter.check_in(self.missing))

    def _sign_of_life(self, address: str) -> None:
        """One process of several, and only while alerts are executed: silence is the news."""
        if not self.services.engine.is_first or self.missing():
            return
        try:
            requests.get(address, timeout=ALIVE_ANSWER_S).raise_for_status()
        except requests.RequestException as error:
            log.warning("ALIVE_URL could not be fetched (%s); it is tried again in a minute", type(error).__name__)

    def drain(self) -> None:
        """Nothing new comes in from now on: whoever waits for a signal gets the answer there is."""
        self.services.announcer.release()

    def stop(self) -> None:
        """Finish the steps that run, leave the rest to the journal, and let go of everything."""
        self._stopping.set()
        services = self.services
        if services.mailbox is not None:
            services.mailbox.stop()
        services.announcer.release()
        if not services.engine.close(_LANES_CLOSE_S):
            log.warning("some orders were still under way; the journal has them and the next start goes on with them")
        services.streams.stop()
        services.follower.stop()
        services.periodic_jobs.stop()
        services.announcer.tell(NoticeKind.RUN, f"relay {__version__} stopped ({self.settings.environment.value})")
        services.notifier.stop()
        services.checkup.stop()
        services.journal.close()
        for exchange in services.exchanges.values():
            exchange.close()
        if self._reporter is not None:
            self._reporter.flush()

    @property
    def environment(self) -> str:
        """Of the relay as a whole, for people: the most serious of its accounts'."""
        of_accounts = {each.environment for each in self.services.accounts.values()}
        return next(each for each in ("mainnet", "testnet", "demo", "paper") if each in of_accounts)

    def environment_of(self, account: str) -> str:
        """Of one account, for people."""
        return self.services.accounts[account].environment

    def accounts(self) -> dict[str, str | None]:
        """Why what is accepted for each account would not be executed at once; None: it is."""
        return {name: start.problem() for name, start in self._starts.items()}

    def missing(self) -> dict[str, str]:
        """What is not ready, each part with the reason; empty when one account at least executes at once."""
        found: dict[str, str] = {}
        try:
            self.services.journal.check()
        except JournalUnavailable as error:
            found["journal"] = str(error)
        problems = [(name, problem) for name, problem in self.accounts().items() if problem is not None]
        if len(problems) == len(self._starts):
            is_one = len(problems) == 1
            why = "; ".join(problem if is_one else f"{name}: {problem}" for name, problem in problems)
            found["engine"] = why
            if not self.services.has_instruments:
                found["instruments"] = why
        return found

    def _begin_common(self) -> None:
        """The first account is warm: what is there once for all of them begins."""
        services = self.services
        with self._beginning:
            if self._has_begun:
                return
            self._has_begun = True
            services.heartbeats.start()
            services.follower.start()
            services.periodic_jobs.start()


def build(settings: Settings, *, wait_for_lock_s: float = 0, is_worker: bool = False) -> Relay:
    """A relay from its settings, not yet started. Raises SettingsInvalid and JournalUnavailable.

    `is_worker`: the process is there to execute; else RELAY_WORKER says whether it does.
    """
    require_addresses(settings)
    process = Process(executes=is_worker or settings.worker is Worker.INLINE)
    to_notify = open_services(settings.notify_targets)
    journal = journal_of(settings, process, wait_for_lock_s=wait_for_lock_s)
    try:
        exchanges = exchanges_of(settings, has_streams=process.executes)
        if begin_restored(journal, [each.name for each in settings.accounts], now_ms=to_ms(utc_now())):
            log.warning("the journal was brought back from a backup: nothing that was unfinished in it is executed")
        remember_identities(settings, journal)
    except SettingsInvalid:
        journal.close()
        raise
    notifier = Notifier(notices=Notices(journal.store), services=to_notify)
    look_at_mailbox, first = MailboxLook(settings.mailbox), settings.accounts[0].name
    check_targets = {
        each.name: check_target_for(
            settings,
            each,
            exchanges[each.name],
            JournalOwnership(journal, each.name),
            look_at_mailbox if each.name == first else tuple,
        )
        for each in settings.accounts
    }
    services = assemble(settings, journal, exchanges, notifier, Checkup(check_targets), process)
    look_at_mailbox.watch = services.mailbox
    return Relay(settings, services)
