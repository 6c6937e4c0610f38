"""Where a plan's facts come from: what the streams have told, where that is proven to be current, else one reading."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from relay.domain.instrument import Category
from relay.domain.plan import Plan
from relay.domain.position import Position
from relay.pipeline.ports import Account

STREAM, READ = "stream", "read"


class Source:
    """The facts for one plan of one account. `told`: which of them came from where, for the plan's inputs."""

    def __init__(self, account: Account) -> None:
        self._exchange, self._live = account.exchange, account.live
        self.told: dict[str, str] = {}

    def position(self, category: Category, symbol: str) -> tuple[Position, int]:
        """The position, and the exchange's time that it is at least as new as. Raises as the exchange's readings do."""
        known = self._live.position_now(category, symbol) if self._live else None
        if known is not None:
            self.told["position_from"] = STREAM
            return known.position, known.at_ms
        asked_at_ms = self._exchange.now_ms()
        self._was_read("position")
        return self._exchange.position(category=category, symbol=symbol), asked_at_ms

    def positions(self) -> tuple[Position, ...]:
        """All that are open on the account. Raises as the exchange's readings do."""
        known = self._live.positions_now() if self._live else None
        if known is not None:
            self.told["positions_from"] = STREAM
            return known
        self._was_read("positions")
        return self._exchange.positions()

    def price(self, category: Category, symbol: str) -> Decimal:
        """The mark price. Raises as the exchange's readings do."""
        known = self._live.price_now(category, symbol) if self._live else None
        if known is not None:
            self.told["price_from"] = STREAM
            return known
        self._was_read("price")
        return self._exchange.price(category=category, symbol=symbol)

    def equity(self, coin: str) -> Decimal:
        """The settle coin's equity, open PnL included. Raises as the exchange's readings do."""
        known = self._live.equity_now(coin) if self._live else None
        if known is not None:
            self.told["equity_from"] = STREAM
            return known
        self._was_read("equity")
        return self._exchange.equity(coin)

    def _was_read(self, what: str) -> None:
        if self._live is not None:
            self.told[f"{what}_from"] = READ

    def marked(self, plan: Plan) -> Plan:
        """The plan that was made of these facts, saying where they came from."""
        return replace(plan, inputs={**plan.inputs, **self.told}, notes=(*plan.notes, *self._notes()))

    def _notes(self) -> tuple[str, ...]:
        """For people: what had to be asked because the streams are not there."""
        read = [name.removesuffix("_from") for name, where in self.told.items() if where == READ]
        if not read or self._live is None or self._live.is_listening:
            return ()
        return (f"the account's stream is down, so the exchange was asked for: {', '.join(read)}",)
