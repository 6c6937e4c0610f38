"""What a relay is made of, and how the parts go together."""

from __future__ import annotations

from dataclasses import dataclass

from relay.checkup import Checkup
from relay.exchange.client import Exchange
from relay.exchange.market import Market
from relay.exchange.streamed import StreamedExchange
from relay.journal.journal import Journal
from relay.journal.positions import FillQueries
from relay.journal.retention import Retention
from relay.pipeline.accept import Intake
from relay.pipeline.announce import Announcer
from relay.pipeline.care import Caretaker
from relay.pipeline.care_lane import CareLanes
from relay.pipeline.catching_up import CatchingUp
from relay.pipeline.clear import Clearing
from relay.pipeline.controls import Controls
from relay.pipeline.drift import DriftWatch
from relay.pipeline.execute import Executor
from relay.pipeline.follow import Follower
from relay.pipeline.gather import Gatherer
from relay.pipeline.heartbeat import Heartbeats, expectations
from relay.pipeline.items import Items
from relay.pipeline.notices import Notifier
from relay.pipeline.ports import Account
from relay.pipeline.preview import Previewer
from relay.pipeline.run import Feeder
from relay.pipeline.strategy import Strategy
from relay.pipeline.streams import Boards, Streams
from relay.settings import Settings
from relay.upkeep import Upkeep
from relay.wiring_accounts import accounts_of, markets_of, strategies_of
from relay.wiring_chores import chores_of
from relay.wiring_engine import Execution, Process, execution_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
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
    care: CareLanes
    upkeep: Upkeep
    heartbeats: Heartbeats
    notifier: Notifier
    checkup: Checkup

    @property
    def has_instruments(self) -> bool:
        """Whether the perpetuals of every account's exchange are known."""
        return all(market.book is not None for market in self.markets.values())


_SECRET_MIN = 16
"""What is shorter may be a word, as the paper exchange's key is: taking it out would spoil an alert's text."""


def _executor(journal: Journal, gatherer: Gatherer, caretaker: Caretaker, announcer: Announcer) -> Executor:
    return Executor(
        journal=journal,
        gatherer=gatherer,
        clearing=Clearing(journal=journal),
        caretaker=caretaker,
        announcer=announcer,
        drift=DriftWatch(journal=journal, announcer=announcer),
    )


def _intake(
    settings: Settings,
    journal: Journal,
    accounts: dict[str, Account],
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
        strategies=strategies_of(settings),
        hidden=tuple(each for each in (secret.reveal() for secret in settings.secrets) if len(each) >= _SECRET_MIN),
    )


def assemble(
    settings: Settings,
    journal: Journal,
    exchanges: dict[str, Exchange],
    notifier: Notifier,
    checkup: Checkup,
    process: Process,
    boards: Boards | None,
) -> Parts:
    """The parts, none of them started. `boards`: by which processes share the accounts' streams."""
    accounts, strategies = accounts_of(settings, exchanges), strategies_of(settings)
    markets = markets_of(settings, accounts)
    announcer = Announcer()
    announcer.hear(notifier.hear)
    heartbeats = Heartbeats(journal=journal, announcer=announcer, expected=expectations(strategies))
    streamed = {name: each for name, each in exchanges.items() if isinstance(each, StreamedExchange)}
    gatherer, caretaker = Gatherer(journal=journal), Caretaker(journal=journal)
    executor = _executor(journal, gatherer, caretaker, announcer)
    items = Items(journal=journal, executor=executor, accounts=accounts, strategies=strategies)
    taken = CatchingUp(moves=FillQueries(journal.store), streams=streamed).lane_taken
    engine = execution_of(journal, items, tuple(accounts), settings, process, lane_taken=taken)
    runner = engine.feeder
    care = CareLanes(journal=journal, engine=engine, caretaker=caretaker, accounts=accounts, tell=executor.attention)
    intake = _intake(settings, journal, accounts, runner, announcer, heartbeats)
    follower = Follower(journal=journal, accounts=accounts, care=care, is_first=lambda: engine.is_first)
    return Parts(
        journal=journal,
        markets=markets,
        exchanges=exchanges,
        accounts=accounts,
        strategies=strategies,
        engine=engine,
        announcer=announcer,
        runner=runner,
        intake=intake,
        previewer=Previewer(intake=intake, gatherer=gatherer, accounts=accounts),
        controls=Controls(journal=journal, intake=intake, runner=runner, accounts=accounts, strategies=strategies),
        follower=follower,
        streams=Streams(
            streamed, journal=journal, wake=engine.wake, follower=follower, books_of=exchanges, boards=boards
        ),
        care=care,
        upkeep=Upkeep(
            markets=[(market, exchanges[name]) for name, market in markets.items()],
            exchanges=exchanges,
            more=chores_of(engine, heartbeats, Retention(journal.store, keep_days=settings.keep_days)),
        ),
        heartbeats=heartbeats,
        notifier=notifier,
        checkup=checkup,
    )
