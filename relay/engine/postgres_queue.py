"""The journal's `Queue` on Postgres."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sqlalchemy import Connection, TextClause

from relay.domain.instrument import Category
from relay.engine.postgres_jobs import Lanes, defer, deferring


class _Lane(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def category(self) -> Category | None: ...
    @property
    def symbol(self) -> str: ...


class PostgresQueue:
    """Holds nothing: every job is deferred on the connection that keeps the signal."""

    def defer(self, connection: Connection, lanes: Iterable[_Lane]) -> None:
        defer(connection, _arguments(lanes))

    def deferring(self, lanes: Iterable[_Lane]) -> tuple[TextClause, dict[str, list[str]]] | None:
        wanted = _arguments(lanes)
        return deferring(wanted) if wanted else None


def _arguments(lanes: Iterable[_Lane]) -> Lanes:
    return {
        lane.name: {
            "account": lane.account,
            "category": lane.category.value if lane.category else None,
            "symbol": lane.symbol,
        }
        for lane in lanes
    }
