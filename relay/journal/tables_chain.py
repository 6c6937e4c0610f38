"""The table of where each strategy said it stood."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from relay.domain.chain import Fit
from relay.domain.instrument import Category
from relay.domain.signal import MarketSide
from relay.journal.columns import Enumerated, ExactDecimal, UnixMs, Words
from relay.journal.tables import metadata

chains = Table(
    "chains",
    metadata,
    Column("strategy", Words, primary_key=True),
    Column("category", Enumerated(Category), primary_key=True),
    Column("symbol", Words, primary_key=True),
    Column("ticker", Words),
    Column("signal_id", Text, nullable=False),
    Column("at", UnixMs, nullable=False),
    Column("sent_at", UnixMs),
    Column("before_side", Enumerated(MarketSide), nullable=False),
    Column("before_size", ExactDecimal),
    Column("side", Enumerated(MarketSide), nullable=False),
    Column("size", ExactDecimal),
    Column("fit", Enumerated(Fit), nullable=False),
    Column("open_side", Enumerated(MarketSide)),
    Column("open_size", ExactDecimal),
)
"""`before_…` and the rest: the strategy's last alert. `open_…`: where a gap before it begins. `ticker`: as it came."""
