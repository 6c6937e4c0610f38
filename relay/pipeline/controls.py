"""What people ask for: halt, resume, flatten, retry. Each is written down with who asked."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from relay.alerts.authenticate import Credentials
from relay.domain.instrument import Category
from relay.domain.outcome import Accepted, NotSent, Refusal, Rejected, Unknown
from relay.domain.status import SignalStatus
from relay.journal.journal import Journal
from relay.journal.records import OrderRecord, new_signal_id
from relay.pipeline import accept
from relay.pipeline.accept import Intake, Receipt
from relay.pipeline.clock import Now, to_ms, utc_now
from relay.pipeline.gather import HALT
from relay.pipeline.ports import Account
from relay.pipeline.run import Feeder
from relay.pipeline.strategy import Strategy

log = logging.getLogger(__name__)


class Controls:
    """Thread-safe; everything it does survives a restart."""

    def __init__(
        self,
        *,
        journal: Journal,
        intake: Intake,
        runner: Feeder,
        accounts: Mapping[str, Account],
        strategies: Mapping[str, Strategy],
        now: Now = utc_now,
    ) -> None:
        self._journal = journal
        self._intake = intake
        self._runner = runner
        self._accounts = accounts
        self._strategies = strategies
        self._now = now

    def halt(self, *, by: str) -> None:
        """No new entries on any account, restarts included, until `resume`. Exits go on."""
        self._switch("on", by)

    def resume(self, *, by: str) -> None:
        """Allow new entries again."""
        self._switch("off", by)

    def _switch(self, value: str, by: str) -> None:
        now_ms = to_ms(self._now())
        for name in self._accounts:
            self._journal.set_switch(name, HALT, value, by=by, now_ms=now_ms)

    def flatten(self, *, everything: bool, by: str) -> tuple[Receipt, ...]:
        """Halt, then cancel and close what the relay has ordered, or `everything` that is open: a signal for each.

        What is no perpetual of the exchange's list, as a dated future, stays open: its signal is `rejected`, with why.
        Raises ExchangeUnreachable or ExchangeAnswered if the positions cannot be read; the halt stands all the same.
        """
        self.halt(by=by)
        receipts = []
        for account in self._accounts.values():
            strategy = self._strategy_of(account.name)
            for category, symbol in self._open_symbols(account, everything=everything):
                receipts.append(self._close(account.name, strategy, category, symbol, by))
        return tuple(receipts)

    def _strategy_of(self, account: str) -> Strategy:
        """In whose name the account is closed; any, where none trades on it any more."""
        every = tuple(self._strategies.values())
        return next((each for each in every if account in each.accounts), every[0])

    def _open_symbols(self, account: Account, *, everything: bool) -> list[tuple[Category, str]]:
        """Where there is or may soon be a position or a resting order of the relay, and for `everything` of anybody."""
        # Read first: an entry that was planned before the halt has to be in here or in what is read below.
        unfinished = self._in_flight(account.name)
        open_orders = [each.state.planned for each in self._journal.open_orders() if each.account == account.name]
        resting = {(each.category, each.symbol) for each in open_orders}
        held = {(each.category, each.symbol) for each in account.exchange.positions()}
        own = held if everything else self._journal.ordered_among(account.name, held)
        return sorted(own | resting | unfinished)

    def _in_flight(self, account: str) -> set[tuple[Category, str]]:
        """Of signals that may still order: the close waits behind them in their lane.

        One whose instrument is not known yet has not been planned, so it will see the halt.
        """
        waiting = [each.signal for each in self._journal.unfinished() if each.account == account]
        return {(each.category, each.symbol) for each in waiting if each.category is not None and each.symbol}

    def _close(
        self, account: str, strategy: Strategy, category: Category, symbol: str, by: str, word: str = "flatten"
    ) -> Receipt:
        ticker = f"BYBIT:{symbol}" if symbol.endswith("PERP") else f"BYBIT:{symbol}.P"
        alert = {
            "action": "close",
            "ticker": ticker,
            "account": account,
            "id": f"{word}-{new_signal_id(to_ms(self._now()))}",
            "comment": f"{word}, asked for by {by}",
        }
        proof = Credentials(header_secret=strategy.secrets[0])
        try:
            body = json.dumps(alert).encode()
            return self._intake.take(body, strategy=strategy.name, credentials=proof, named="native", anywhere=True)
        except accept.Rejected as rejected:
            log.error("%s cannot close %s %s on %s: %s", word, category.value, symbol, account, rejected.error)
            return Receipt(signal_id=rejected.signal_id, status=SignalStatus.REJECTED, is_duplicate=False)

    def close(self, account: str, category: Category, symbol: str, *, by: str) -> Receipt:
        """Close one position, like an alert's `close`: a signal of its own. Raises JournalUnavailable."""
        strategy = self._strategy_of(account)
        return self._close(account, strategy, category, symbol, by, word="close")

    def cancel_order(self, order: OrderRecord, *, by: str) -> str | None:
        """Cancel one of the relay's own resting orders; its end is followed like any other. Why it could not be."""
        planned = order.state.planned
        outcome = self._accounts[order.account].exchange.cancel(
            category=planned.category, symbol=planned.symbol, client_order_id=order.state.client_order_id
        )
        told = {"client_order_id": order.state.client_order_id, "by": by}
        self._journal.event(order.signal_id, "cancel_asked_for", told, now_ms=to_ms(self._now()))
        match outcome:
            case Accepted() | Rejected(refusal=Refusal.GONE):
                return None
            case Rejected(words=words):
                return f"the exchange refused: {words}"
            case Unknown(why=why) | NotSent(why=why):
                return f"whether it is cancelled is not known yet: {why}"

    def retry(self, signal_id: str) -> int:
        """Open a finished signal again, with a new plan. The number of its new generation.

        Raises SignalNotRetryable unless every order of it is certain to have had no effect.
        """
        return self._journal.reopen(signal_id, now_ms=to_ms(self._now()), on_committed=self._runner.opened_again)
