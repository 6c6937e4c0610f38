"""The composition root: the only place that knows which part is which."""

from __future__ import annotations

import logging
import threading

from relay import __version__
from relay.checkup import Checkup, patient_for
from relay.domain.notice import NoticeKind
from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable, SettingsInvalid
from relay.journal.notices import Notices
from relay.key_watch import KEYS_S, tell_of_keys
from relay.notify import open_services
from relay.pipeline.compare import compare_positions
from relay.pipeline.notices import Notifier
from relay.pipeline.ownership import JournalOwnership
from relay.settings import Settings, Worker
from relay.stream_watch import STREAMS_S, StreamWatch
from relay.telemetry_sentry import CHECK_IN_S, Reporter, configure_sentry
from relay.wiring_accounts import exchanges_of, remember_identities, require_addresses
from relay.wiring_engine import Process, boards_of, journal_of
from relay.wiring_parts import Parts, assemble

log = logging.getLogger(__name__)

_START_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_FIRST_CHECK_S = 2.0
"""The checklist is in the log before "ready" is; where the exchange is slow to tell, orders do not wait for it."""
_CONNECTIONS = 10
"""Of each account, open before the first order: as many as an account may usually send in a second. One that is opened
for an order costs it one or two round trips more."""
_LANES_CLOSE_S = 6.0
"""What is in flight by then is answered or timed out; the server leaves 7 s in all after its own drain."""


class Relay:
    """One process's relay. `start` after the fork; alerts are accepted from then on, and executed once it is warm."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.settings = settings
        self.parts = parts
        self._stopping = threading.Event()
        self._starter = threading.Thread(target=self._start, name="starter", daemon=True)
        self._problem = "starting"
        self._is_warm = False
        self._reporter: Reporter | None = None

    def start(self) -> None:
        """Begin to load, to warm up and to recover, in the background."""
        self._report()
        parts = self.parts
        watch = StreamWatch(parts.announcer)
        parts.upkeep.add("what is known of the keys", KEYS_S, lambda: tell_of_keys(parts.exchanges, parts.announcer))
        parts.upkeep.add("what is known of the streams", STREAMS_S, lambda: watch.look(parts.streams.state()))
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
        parts.streams.stop()
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
        of_accounts = {each.environment for each in self.parts.accounts.values()}
        return next(each for each in ("mainnet", "testnet", "demo", "paper") if each in of_accounts)

    def environment_of(self, account: str) -> str:
        """Of one account, for people."""
        return self.parts.accounts[account].environment

    def missing(self) -> dict[str, str]:
        """What is not ready, each part with the reason; empty when alerts are executed at once."""
        found: dict[str, str] = {}
        try:
            self.parts.journal.check()
        except JournalUnavailable as error:
            found["journal"] = str(error)
        if not self.parts.has_instruments:
            found["instruments"] = self._problem
        if not self._is_warm:
            found["engine"] = self._problem
        elif (problem := self.parts.engine.problem()) is not None:
            found["engine"] = problem
        if not found and not self.parts.streams.is_settled:
            found["streams"] = "the accounts' streams are being opened"
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
        for name, market in parts.markets.items():
            market.load_instruments(parts.exchanges[name])
            market.load_prices(parts.exchanges[name])
        parts.streams.start()
        for exchange in parts.exchanges.values():
            exchange.warm(_CONNECTIONS)
        for account in parts.accounts.values():
            for (_, symbol), text in compare_positions(account, parts.journal).items():
                parts.announcer.tell(NoticeKind.DRIFT, f"{symbol} on {account.name}: {text}")
        parts.checkup.wait_for_first(_FIRST_CHECK_S)
        if not self._is_warm:
            parts.engine.begin()
            parts.care.take_up()
            self._is_warm = True
        parts.heartbeats.start()
        parts.follower.start()
        parts.upkeep.start()
        parts.streams.settle()
        parts.announcer.tell(NoticeKind.RUN, f"relay {__version__} is ready ({self.settings.environment.value})")


def build(settings: Settings, *, wait_for_lock_s: float = 0, is_worker: bool = False) -> Relay:
    """A relay from its settings, not yet started. Raises SettingsInvalid and JournalUnavailable.

    `is_worker`: the process is there to execute; else RELAY_WORKER says whether it does.
    """
    require_addresses(settings)
    process = Process(executes=is_worker or settings.worker is Worker.INLINE)
    services = open_services(settings.notify_targets)
    journal = journal_of(settings, process, wait_for_lock_s=wait_for_lock_s)
    boards = boards_of(journal, settings, process)
    try:
        exchanges = exchanges_of(settings, boards, journal)
        remember_identities(settings, journal)
    except SettingsInvalid:
        journal.close()
        raise
    notifier = Notifier(notices=Notices(journal.store), services=services)
    patients = {
        each.name: patient_for(settings, each, exchanges[each.name], JournalOwnership(journal, each.name))
        for each in settings.accounts
    }
    parts = assemble(settings, journal, exchanges, notifier, Checkup(patients), process, boards)
    return Relay(settings, parts)
