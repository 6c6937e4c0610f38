"""Values of the domain with sensible defaults; every field can be overridden, numbers and words as plain text."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from relay.domain.instrument import Category, Instrument
from relay.domain.intent import intent_of
from relay.domain.order import OrderType, Side, TimeInForce, TriggerBy
from relay.domain.plan import Facts, LimitNeed, Need, Plan, Residual
from relay.domain.planning import Proposal, plan_of, proposal_of
from relay.domain.position import Position
from relay.domain.rules import DefaultSize, Rules
from relay.domain.signal import Action, Level, LevelKind, MarketSide, QtyUnit, Signal, TakeProfit

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SIGNAL_ID = "01JGV6X0000000000000000000"
PRICE = Decimal(50000)

_ENUMS = {
    "action": Action,
    "category": Category,
    "market_position": MarketSide,
    "prev_market_position": MarketSide,
    "qty_unit": QtyUnit,
    "side": Side,
    "size_unit": QtyUnit,
    "time_in_force": TimeInForce,
    "trigger_by": TriggerBy,
    "type": OrderType,
}
_LINEAR = Instrument(
    category=Category.LINEAR,
    symbol="BTCUSDT",
    base_coin="BTC",
    quote_coin="USDT",
    settle_coin="USDT",
    is_trading=True,
    tick_size=Decimal("0.1"),
    price_min=Decimal("0.1"),
    price_max=Decimal("1999999.8"),
    qty_step=Decimal("0.001"),
    qty_min=Decimal("0.001"),
    qty_max=Decimal(1190),
    qty_max_market=Decimal(119),
    notional_min=Decimal(5),
    leverage_max=Decimal(100),
)


def linear(**overrides: Any) -> Instrument:
    """BTCUSDT: coins, step 0.001, at least 0.001 and 5 USDT, at most 119 a market order."""
    return replace(_LINEAR, **_read(Instrument, overrides))


def usdc(**overrides: Any) -> Instrument:
    """BTCPERP: like BTCUSDT, settled in USDC."""
    return linear(**{"symbol": "BTCPERP", "quote_coin": "USDC", "settle_coin": "USDC", **overrides})


def inverse(**overrides: Any) -> Instrument:
    """BTCUSD: contracts of one USD, step 1, no minimum notional, at most 5,000,000 a market order."""
    rules = {
        "category": Category.INVERSE,
        "symbol": "BTCUSD",
        "quote_coin": "USD",
        "settle_coin": "BTC",
        "qty_step": 1,
        "qty_min": 1,
        "qty_max": 25_000_000,
        "qty_max_market": 5_000_000,
        "notional_min": 0,
    }
    return linear(**{**rules, **overrides})


def signal(action: Action | str = Action.BUY, **overrides: Any) -> Signal:
    """A market signal for BTCUSDT that has just arrived."""
    default = Signal(
        id=SIGNAL_ID,
        strategy="default",
        action=Action(action),
        received_at=NOW,
        ticker="BTCUSDT.P",
        category=Category.LINEAR,
        symbol="BTCUSDT",
    )
    return replace(default, **_read(Signal, overrides))


def rules(**overrides: Any) -> Rules:
    """No limits and no defaults. `default_size` may be a pair: `("100", "quote")`."""
    read = _read(Rules, overrides)
    size = read.get("default_size")
    if isinstance(size, tuple):
        read["default_size"] = DefaultSize(qty=Decimal(size[0]), unit=QtyUnit(size[1]))
    return replace(Rules(), **read)


def position(size: Decimal | str | int, instrument: Instrument | None = None, **overrides: Any) -> Position:
    """A signed position, entered at the default price."""
    of = instrument or linear()
    held = Position(category=of.category, symbol=of.symbol, size=Decimal(size), avg_price=PRICE, mark_price=PRICE)
    return replace(held, **_read(Position, overrides))


def facts(instrument: Instrument | None = None, *, p: Decimal | str | int | None = None, **overrides: Any) -> Facts:
    """What was read at NOW. `p`: the signed position; None: it was not read. `carry` may be a bare size."""
    of = instrument or linear()
    read = _read(Facts, overrides)
    if isinstance(read.get("residual"), str | int | Decimal):
        read["residual"] = Residual(size=Decimal(read["residual"]))
    held = None if p is None else position(p, of)
    return replace(Facts(instrument=of, now=NOW, position=held, price=PRICE), **read)


def proposal(requested: Signal, limits: Rules, known: Facts) -> Proposal:
    """What the signal comes to before the limits."""
    return proposal_of(intent_of(requested, limits, known), known)


def plan(requested: Signal, limits: Rules, known: Facts) -> Plan:
    """The whole way from a signal to its plan, with all facts at hand."""
    return plan_of(proposal(requested, limits, known))


def needs(requested: Signal, limits: Rules, instrument: Instrument, *, now: datetime, **known: Any) -> frozenset[Need]:
    """The facts that must be read before the plan. `known`: what is known without reading: fields of Facts."""
    return intent_of(requested, limits, Facts(instrument=instrument, now=now, **known)).needs


def entry_needs(requested: Signal, limits: Rules, known: Facts) -> frozenset[LimitNeed]:
    """What the limits want to know besides."""
    return proposal(requested, limits, known).limit_needs


def level(value: Decimal | str | int, kind: LevelKind = LevelKind.PRICE) -> Level:
    return Level(kind=kind, value=Decimal(value))


def profit(value: Decimal | str | int, **overrides: Any) -> TakeProfit:
    """A whole take profit at a price."""
    return replace(TakeProfit(at=level(value)), **_read(TakeProfit, overrides))


def _read(of: type[Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Text and whole numbers as the Decimals and enums that the fields hold."""
    decimals = {each.name for each in fields(of) if "Decimal" in str(each.type)}
    return {name: _value(name, value, is_decimal=name in decimals) for name, value in overrides.items()}


def _value(name: str, value: Any, *, is_decimal: bool) -> Any:
    if is_decimal and isinstance(value, str | int):
        return Decimal(value)
    return _ENUMS[name](value) if name in _ENUMS and isinstance(value, str) else value
