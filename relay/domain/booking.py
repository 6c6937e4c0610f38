"""What moves an account's money, as the exchange tells it, and what it comes to. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """One execution, in its settle coin: what it realised before fees; `fee` and `funding` above zero where paid."""

    exec_id: str
    coin: str
    realised: Decimal
    fee: Decimal
    funding: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Equity:
    """One coin of an account at a moment, in that coin. `usd`: the equity's worth then, where the exchange says it."""

    coin: str
    equity: Decimal
    unrealised: Decimal
    usd: Decimal | None
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotal:
    """All bookings of one coin on one day (UTC, `YYYY-MM-DD`)."""

    day: str
    coin: str
    realised: Decimal
    fees: Decimal
    funding: Decimal
