"""Which of the account's positions and orders are the relay's own, by its journal."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from relay.domain.instrument import Category
from relay.journal.journal import Journal


class JournalOwnership:
    """Of one account. Every method raises JournalUnavailable where the journal cannot be read."""

    def __init__(self, journal: Journal, account: str) -> None:
        self._journal = journal
        self._account = account

    def ordered(self, among: Iterable[tuple[Category, str]]) -> frozenset[tuple[Category, str]]:
        return self._journal.ordered_among(self._account, among)

    def believed(self) -> dict[tuple[Category, str], Decimal]:
        return self._journal.expected_positions(self._account)

    def moving(self) -> frozenset[tuple[Category, str]]:
        return frozenset(
            (each.state.planned.category, each.state.planned.symbol)
            for each in self._journal.open_orders()
            if each.account == self._account
        )

    def has_placed(self, client_order_id: str) -> bool:
        found = self._journal.order(client_order_id)
        return found is not None and found.account == self._account
