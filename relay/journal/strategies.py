"""What strategies said: the chain of each one's positions, judged in the order of acceptance, and its last alerts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select

from relay.domain.chain import Fit, Judged, Last, Link, Standing, judged
from relay.domain.instrument import Category
from relay.domain.signal import Action, MarketSide
from relay.journal.store import Store
from relay.journal.tables import chains, events, signals

_LOOKED_BACK: Final = 10_000
CHAIN_GAP = "chain_gap"
CHAIN_OVERTAKEN = "chain_overtaken"
CHAIN_EVENTS = {Fit.MISSING: CHAIN_GAP, Fit.OVERTAKEN: CHAIN_OVERTAKEN}
"""What is stored with a signal that does not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRecord:
    """Where a strategy stands at an instrument, as its last alert there had it."""

    strategy: str
    category: Category
    symbol: str
    last: Last
    signal_id: str
    at_ms: int


def extend_chain(
    connection: Connection,
    link: Link,
    *,
    strategy: str,
    lane: tuple[Category, str] | None,
    ticker: str | None,
    signal_id: str,
    now_ms: int,
) -> Judged | None:
    """Put the alert behind the strategy's last one. None where nothing can be said.

    `lane` is None while no instruments are loaded: then the ticker is looked for as it was spelled before. Where it
    was not, the strategy's chains begin anew, because a gap in them could not be verdict from this alert.
    """
    of_strategy = chains.c.strategy == strategy
    if lane is None:
        row = connection.execute(select(chains).where(of_strategy & (chains.c.ticker == ticker))).first()
        if row is None:
            connection.execute(delete(chains).where(of_strategy))
            return None
        lane = row.category, row.symbol
    here = of_strategy & (chains.c.category == lane[0]) & (chains.c.symbol == lane[1])
    known = connection.execute(select(chains).where(here)).first()
    verdict = judged(link, _last(known) if known else None)
    connection.execute(delete(chains).where(here))
    # An alert that was overtaken does not become the last one.
    ends_at = (known.signal_id, known.at) if known and verdict.fit is Fit.OVERTAKEN else (signal_id, now_ms)
    of_row = {"strategy": strategy, "category": lane[0], "symbol": lane[1], "ticker": ticker}
    of_last = {"signal_id": ends_at[0], "at": ends_at[1], **_columns(verdict.last)}
    connection.execute(insert(chains), of_row | of_last)
    return verdict


def forget_chain(connection: Connection, signal_id: str) -> None:
    """The alert is withdrawn: its resend, or whatever comes next, begins the chain anew, so that nobody is alarmed."""
    connection.execute(delete(chains).where(chains.c.signal_id == signal_id))


def _last(row: Row[Any]) -> Last:
    before = Standing(side=row.before_side, size=row.before_size)
    link = Link(before=before, after=Standing(side=row.side, size=row.size), sent_at_ms=row.sent_at)
    open_side: MarketSide | None = row.open_side
    return Last(
        link=link,
        fit=row.fit,
        open_from=Standing(side=open_side, size=row.open_size) if open_side is not None else None,
    )


def _columns(last: Last) -> dict[str, object]:
    link, open_from = last.link, last.open_from
    return {
        "sent_at": link.sent_at_ms,
        "before_side": link.before.side,
        "before_size": link.before.size,
        "side": link.after.side,
        "size": link.after.size,
        "fit": last.fit,
        "open_side": open_from.side if open_from else None,
        "open_size": open_from.size if open_from else None,
    }


class StrategyQueries:
    """Questions only; all may be called from any thread. Raises JournalUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def chains(self) -> tuple[ChainRecord, ...]:
        """Where each strategy said it stood, at each of its instruments."""
        with self._store.read() as connection:
            rows = connection.execute(select(chains).order_by(chains.c.strategy, chains.c.category, chains.c.symbol))
            return tuple(
                ChainRecord(
                    strategy=row.strategy,
                    category=row.category,
                    symbol=row.symbol,
                    last=_last(row),
                    signal_id=row.signal_id,
                    at_ms=row.at,
                )
                for row in rows
            )

    def is_overtaken(self, signal_id: str) -> bool:
        """Whether a later alert of its strategy was accepted before this one."""
        which = (events.c.signal_id == signal_id) & (events.c.name == CHAIN_OVERTAKEN)
        with self._store.read() as connection:
            return connection.execute(select(events.c.id).where(which)).first() is not None

    def last_alerts(self, strategy: str) -> tuple[int | None, int | None]:
        """When the last alert came, rejected ones included, and the last heartbeat: Unix milliseconds.

        None: never, or not among the newest signals, for a long journal is not read through.
        """
        newest = select(signals.c.received_at).where(signals.c.strategy == strategy).order_by(signals.c.seq.desc())
        with self._store.read() as connection:
            alert_ms: int | None = connection.execute(newest.limit(1)).scalar()
            latest = select(func.max(signals.c.seq)).scalar_subquery()
            beats = newest.where(signals.c.action == Action.HEARTBEAT, signals.c.seq > latest - _LOOKED_BACK).limit(1)
            beat_ms: int | None = connection.execute(beats).scalar()
        return alert_ms, beat_ms
