"""The composition root: the only place that knows which part is which."""

from __future__ import annotations

import logging
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from relay import __version__
from relay.checkup import Checkup, patient_for
from relay.domain.instrument import Category
from relay.domain.notice import NoticeKind
from relay.domain.reconciliation import Bounds
from relay.domain.rounding import plain
from relay.engine.lanes import Lanes
from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable, SettingsInvalid
from relay.exchange.client import Exchange
from relay.exchange.market import Hint, Market
from relay.journal.journal import Journal
from relay.journal.notices import Notices
from relay.journal.opening import open_journal
from relay.notify import open_services
from relay.pipeline.accept import Intake
from relay.pipeline.announce import Announcer
from relay.pipeline.clear import Clearing
from relay.pipeline.compare import compare_positions
from relay.pipeline.controls import Controls
from relay.pipeline.drift import DriftWatch
from relay.pipeline.execute import Executor
from relay.pipeline.follow import Follower
from relay.pipeline.gather import Gatherer
from relay.pipeline.heartbeat import Heartbeats, expectations
from relay.pipeline.notices import Notifier
from relay.pipeline.ownership import JournalOwnership
from relay.pipeline.ports import Account
from relay.pipeline.preview import Previewer
from relay.pipeline.run import Runner
from relay.pipeline.strategy import Strategy
from relay.settings import NAME, Environment, Settings
from relay.telemetry_sentry import CHECK_IN_S, Reporter, configure_sentry
from relay.upkeep import Upkeep

log = logging.getLogger(__name__)

_START_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_FIRST_CHECK_S = 2.0
"""The checklist is in the log before "ready" is; where the exchange is slow to tell, orders do not wait for it."""
_LANES_CLOSE_S = 6.0
"""What is in flight by then is answered or timed out; the server leaves 7 s in all after its own drain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a relay is made of."""

    journal: Journal
    market: Market
    exchanges: dict[str, Exchange]
    accounts: dict[str, Account]
    strategies: dict[str, Strategy]
    engine: Lanes
    announcer: Announcer
    runner: Runner
    intake: Intake
    previewer: Previewer
    controls: Controls
    follower: Follower
    upkeep: Upkeep
    heartbeats: Heartbeats
    notifier: Notifier
    checkup: Checkup


class Relay:
    """One process's relay. `start` after the fork; alerts are accepted from then on, and executed once it is warm."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.settings = settings
        self.parts = parts
        self._stopping = threading.Event()
        self._starter = threading.Thread(target=self._start, name="starter", daemon=True)
        self._problem = "starting"
        self._reporter: Reporter | None = None

    def start(self) -> None:
        """Begin to load, to warm up and to recover, in the background."""
        self._report()
        self.parts.notifier.start()
        if self.settings.environment.is_real_money:
            log.warning("MAINNET - real money")
        self.parts.checkup.start()
        self._starter.start()

    def _report(self) -> None:
        """From here on, in this process, what goes wrong is reported to Sentry where that is configured."""
        self._reporter = reporter = configure_sentry(self.settings)
        if reporter is None:
            return
        self.parts.announcer.listen(reporter.finished)
        self.parts.upkeep.add("the Sentry monitor", CHECK_IN_S, lambda: reporter.check_in(self.missing))

    def drain(self) -> None:
        """Nothing new comes in from now on: whoever waits for a signal gets the answer there is."""
        self.parts.announcer.release()

    def stop(self) -> None:
        """Finish the steps that run, leave the rest to the journal, and let go of everything."""
        self._stopping.set()
        parts = self.parts
        parts.announcer.release()
        if not parts.engine.close(_LANES_CLOSE_S):
            log.warning("some orders were still under way; the journal has them and the next start goes on with them")
        parts.follower.stop()
        parts.upkeep.stop()
        parts.announcer.tell(NoticeKind.RUN, f"relay {__version__} stopped ({self.settings.environment.value})")
        parts.notifier.stop()
        parts.checkup.stop()
        parts.journal.close()
        for exchange in parts.exchanges.values():
            exchange.close()
        if self._reporter is not None:
            self._reporter.flush()

    @property
    def environment(self) -> str:
        """Of the relay as a whole, for people: the most serious of its accounts'."""
        return self.settings.environment.value

    def environment_of(self, account: str) -> str:
        """Of one account, for people."""
        return self.settings.environment.value

    def missing(self) -> dict[str, str]:
        """What is not ready, each part with the reason; empty when alerts are executed at once."""
        found: dict[str, str] = {}
        try:
            self.parts.journal.check()
        except JournalUnavailable as error:
            found["journal"] = str(error)
        if self.parts.market.book is None:
            found["instruments"] = self._problem
        if not self.parts.runner.is_open:
            found["engine"] = self._problem
        return found

    def _start(self) -> None:
        tries = 0
        while not self._stopping.is_set():
            try:
                self._warm_up()
                return
            except (ExchangeUnreachable, ExchangeAnswered, JournalUnavailable, SettingsInvalid) as error:
                self._problem = str(error)
                log.warning("not ready yet: %s", error)
            except Exception as error:
                self._problem = f"the start failed ({type(error).__name__}: {error}); it is tried again"
                log.exception("not ready yet")
            self._stopping.wait(_START_AGAIN_S[min(tries, len(_START_AGAIN_S) - 1)])
            tries += 1

    def _warm_up(self) -> None:
        parts = self.parts
        for exchange in parts.exchanges.values():
            exchange.measure_clock()
        parts.checkup.refuse_wide_keys()
        first = next(iter(parts.exchanges.values()))
        parts.market.load_instruments(first)
        parts.market.load_prices(first)
        for exchange in parts.exchanges.values():
            exchange.warm(4)
        for account in parts.accounts.values():
            for (_, symbol), text in compare_positions(account, parts.journal).items():
                parts.announcer.tell(NoticeKind.DRIFT, f"{symbol} on {account.name}: {text}")
        parts.checkup.wait_for_first(_FIRST_CHECK_S)
        if not parts.runner.is_open:
            log.info("%d unfinished signals taken up", parts.runner.recover())
        parts.heartbeats.start()
        parts.follower.start()
        parts.upkeep.start()
        parts.announcer.tell(NoticeKind.RUN, f"relay {__version__} is ready ({self.settings.environment.value})")


def refuse_wide_keys(settings: Settings) -> None:
    """For real money, before anything listens. Raises SettingsInvalid for a key that may withdraw or transfer.

    Where the exchange cannot be asked now, the start asks again, and executes nothing before it was told.
    """
    if not settings.environment.is_real_money:
        return
    exchange = exchange_of(settings)
    try:
        patient_for(settings, exchange, None).refuse_wide_key()
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        log.warning("what the key may do cannot be asked yet: %s", error)
    finally:
        exchange.close()


def build(settings: Settings, *, wait_for_lock_s: float = 0) -> Relay:
    """A relay from its settings, not yet started. Raises SettingsInvalid and JournalUnavailable."""
    if settings.bybit_url is None:
        raise SettingsInvalid(["BYBIT_URL: the paper exchange is not running; start with `python -m relay serve`"])
    services = open_services(settings.notify_targets)
    exchange = exchange_of(settings)
    journal = open_journal(settings.database_url, wait_for_lock_s=wait_for_lock_s)
    market = Market(hint=_hint(settings))
    bounds = Bounds(max_attempts=settings.outcome_max_attempts, max_seconds=settings.outcome_max_s)
    accounts = {NAME: Account(name=NAME, exchange=exchange, rules=settings.rules, bounds=bounds)}
    strategies = {
        NAME: Strategy(
            name=NAME, accounts=(NAME,), secrets=tuple(secret.reveal() for secret in settings.webhook_secrets)
        )
    }
    notifier = Notifier(notices=Notices(journal.store), services=services)
    checkup = Checkup({NAME: patient_for(settings, exchange, JournalOwnership(journal, NAME))})
    return Relay(settings, _assemble(journal, market, {NAME: exchange}, accounts, strategies, notifier, checkup))


def _assemble(
    journal: Journal,
    market: Market,
    exchanges: dict[str, Exchange],
    accounts: dict[str, Account],
    strategies: dict[str, Strategy],
    notifier: Notifier,
    checkup: Checkup,
) -> Parts:
    announcer, engine = Announcer(), Lanes()
    announcer.hear(notifier.hear)
    heartbeats = Heartbeats(journal=journal, announcer=announcer, expected=expectations(strategies))
    gatherer = Gatherer(journal=journal, market=market)
    executor = Executor(
        journal=journal,
        gatherer=gatherer,
        clearing=Clearing(journal=journal),
        announcer=announcer,
        drift=DriftWatch(journal=journal, market=market, announcer=announcer),
    )
    runner = Runner(journal=journal, market=market, engine=engine, executor=executor, accounts=accounts)
    intake = Intake(
        journal=journal, market=market, runner=runner, announcer=announcer, heartbeats=heartbeats, strategies=strategies
    )
    return Parts(
        journal=journal,
        market=market,
        exchanges=exchanges,
        accounts=accounts,
        strategies=strategies,
        engine=engine,
        announcer=announcer,
        runner=runner,
        intake=intake,
        previewer=Previewer(intake=intake, gatherer=gatherer, accounts=accounts),
        controls=Controls(journal=journal, intake=intake, runner=runner, accounts=accounts, strategies=strategies),
        follower=Follower(journal=journal, accounts=accounts),
        upkeep=Upkeep(market=market, exchanges=exchanges, more={"heartbeats": heartbeats.check}),
        heartbeats=heartbeats,
        notifier=notifier,
        checkup=checkup,
    )


def exchange_of(settings: Settings) -> Exchange:
    """The way to the exchange, not used yet."""
    url, key, secret = settings.bybit_url, settings.api_key, settings.api_secret
    assert url is not None, "a paper exchange is started before it is used"
    assert key is not None and secret is not None, "settings without a key do not load"
    return Exchange(
        url=url,
        api_key=key.reveal(),
        api_secret=secret.reveal(),
        recv_window_ms=settings.recv_window_ms,
        referer=settings.referer,
    )


def _hint(settings: Settings) -> Hint | None:
    """The paper exchange's prices follow the alerts where it has no market to follow; no other environment is told."""
    url = settings.bybit_url
    if settings.environment is not Environment.PAPER or url is None:
        return None
    return _paper_hint(f"{url}/paper/hints")


def _paper_hint(url: str) -> Callable[[Category, str, Decimal], None]:
    def hint(category: Category, symbol: str, price: Decimal) -> None:
        body = f'{{"{symbol}": "{plain(price)}"}}'.encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="PUT")  # noqa: S310
        try:
            urllib.request.urlopen(request, timeout=1).close()  # noqa: S310
        except OSError as error:
            log.warning("the paper exchange did not take the price of %s: %s", symbol, error)

    return hint
