"""Random signals, instruments and facts, and what the planning table says of them: an oracle that rounds by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time, timedelta
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Any

from hypothesis import strategies as st

from relay.domain.instrument import Category, Instrument
from relay.domain.limit_checks import LEGS_MAX
from relay.domain.order import PlannedOrder, Side
from relay.domain.plan import DayResult, LimitFacts, LimitNeed, Working
from relay.domain.position import Position
from relay.domain.rules import Direction, TradingHours
from relay.domain.signal import Action, LevelKind, QtyUnit, Signal
from tests.builders import NOW, inverse, level, linear, profit, rules, signal, usdc

ZERO = Decimal(0)
_EXACT_DIGITS = 200
INSTRUMENTS = st.sampled_from(
    [
        linear(qty_max_market=40, qty_max=90),
        linear(symbol="DOGEUSDT", qty_step=10, qty_min=30, qty_max_market=100, qty_max=1000, notional_min=0),
        linear(qty_step="0.1", qty_min="0.5", qty_max_market="7.5", qty_max=9),
        usdc(qty_max_market=25, qty_max=25),
        inverse(qty_max_market=60, qty_max=100),
        inverse(qty_step=5, qty_min=20, qty_max_market=103, qty_max=200),
    ]
)
PRICES = st.sampled_from([Decimal(text) for text in ("0.0731", "3", "4999.9", "50000")])
SIZES = st.integers(1, 400_000).map(lambda n: Decimal(n).scaleb(-3)) | st.integers(1, 400).map(Decimal)
ODD_SIZES = SIZES | st.sampled_from(
    [Decimal(text) for text in ("1E-20", "1800.8000000000002", "0." + "9" * 40, "1E+2")]
)
ORDERING = [each for each in Action if each not in (Action.CANCEL, Action.STOPS, Action.HEARTBEAT)]
_WEEK = frozenset(range(7))
_OFFICE = (TradingHours(zone="Europe/Berlin", weekdays=_WEEK, opens=time(9), closes=time(17)),)
_NIGHT = (TradingHours(zone="America/New_York", weekdays=_WEEK, opens=time(18), closes=time(6)),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    instrument: Instrument
    signal: Signal
    p: Decimal
    price: Decimal


@st.composite
def positions(draw: st.DrawFn, instrument: Instrument) -> Decimal:
    """Mostly on the grid, sometimes with dust; long, short or nothing."""
    steps = draw(st.integers(0, 400))
    dust = draw(st.sampled_from([ZERO, ZERO, ZERO, instrument.qty_step / 3, instrument.qty_step / 20]))
    return draw(st.sampled_from([1, -1])) * (steps * instrument.qty_step + dust).quantize(Decimal("1E-8"))


@st.composite
def cases(draw: st.DrawFn, actions: Sequence[Action] = ORDERING) -> Case:
    """A complete market or limit signal in the exchange's unit, and a position that was read."""
    instrument = draw(INSTRUMENTS)
    action, p, price = draw(st.sampled_from(actions)), draw(positions(instrument)), draw(PRICES)
    fields: dict[str, Any] = {"qty_unit": QtyUnit.CONTRACTS, "reduce_only": draw(st.sampled_from([False] * 4 + [True]))}
    if action not in (Action.REVERSE, Action.TARGET) and not action.is_close or draw(st.booleans()):
        fields["qty"] = draw(ODD_SIZES)
    if action is Action.TARGET or draw(st.booleans()):
        fields |= draw(strategy_positions())
    if draw(st.booleans()):
        fields |= {"type": "limit", "price": price}
    return Case(instrument=instrument, signal=signal(action, **fields), p=p, price=price)


@st.composite
def strategy_positions(draw: st.DrawFn) -> dict[str, Any]:
    side = draw(st.sampled_from(["long", "short", "flat"]))
    before = draw(st.sampled_from(["long", "short", "flat", None]))
    size = ZERO if side == "flat" else draw(SIZES)
    known: dict[str, Any] = {"market_position": side, "market_position_size": size, "prev_market_position": before}
    return known | ({"prev_market_position_size": draw(SIZES)} if before not in (None, "flat") else {})


@st.composite
def any_signal(draw: st.DrawFn) -> Signal:
    """Anything that the schema lets through: every unit, type and field, present or not."""

    def maybe(strategy: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | strategy)

    kind = draw(st.sampled_from(["market", "market", "limit", "stop_market", "stop_limit"]))
    fields = draw(strategy_positions()) if draw(st.booleans()) else {}
    fields |= {
        "type": kind,
        "price": draw(PRICES) if "limit" in kind else None,
        "trigger_price": draw(PRICES) if "stop" in kind else None,
        "qty": maybe(ODD_SIZES | st.just(Decimal("1E+30"))),
        "qty_unit": maybe(st.sampled_from(list(QtyUnit))),
        "position_size": maybe(SIZES | SIZES.map(lambda size: -size)),
        "reduce_only": draw(st.booleans()),
        "leverage": draw(st.sampled_from([None, None, Decimal(3)])),
        "stop_loss": maybe(st.builds(level, PRICES, st.sampled_from(list(LevelKind)))),
        "take_profits": draw(st.sampled_from([(), (profit("1"),), (profit("60000"),), (profit(1), profit(2))])),
        "sent_at": maybe(st.sampled_from([NOW, NOW - timedelta(hours=1)])),
    }
    return signal(draw(st.sampled_from(list(Action))), **fields)


@st.composite
def any_rules(draw: st.DrawFn) -> Any:
    def maybe(strategy: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | strategy)

    return rules(
        allowed_symbols=maybe(st.just(frozenset({"BTCUSDT", "BTCUSD"}))),
        max_order_notional=maybe(SIZES.map(lambda size: size * 100)),
        max_position_notional=maybe(SIZES.map(lambda size: size * 100)),
        default_size=maybe(st.tuples(SIZES.map(str), st.sampled_from([each.value for each in QtyUnit]))),
        size_unit=maybe(st.sampled_from(list(QtyUnit))),
        size_scale_pct=draw(st.sampled_from([Decimal(100), Decimal(100), Decimal(50)])),
        max_exposure=maybe(SIZES.map(lambda size: size * 1000)),
        max_positions=maybe(st.integers(1, 3)),
        max_leverage=maybe(st.sampled_from([Decimal(2), Decimal(50)])),
        max_entries_per_minute=maybe(st.integers(1, 3)),
        daily_loss_limit=maybe(SIZES),
        hours=draw(st.sampled_from([None, None, (_OFFICE,), (_NIGHT,), (_OFFICE, _NIGHT)])),
        cooldown_s=maybe(st.integers(1, 600)),
        max_distance_pct=maybe(SIZES),
        direction=draw(st.sampled_from([Direction.BOTH, Direction.BOTH, *Direction])),
        default_leverage=maybe(st.just(Decimal(2))),
    )


@st.composite
def limit_facts(draw: st.DrawFn, needed: frozenset[LimitNeed]) -> LimitFacts:
    """Whatever was asked for, read or not: some of it own orders and positions of the very symbol."""
    day = DayResult(realised=-draw(SIZES), unrealised=draw(SIZES), worst=-draw(SIZES))
    symbols = st.sampled_from(["BTCUSDT", "BTCUSD", "ETHUSDT"])
    category = st.sampled_from(list(Category))
    working = st.builds(
        Working, category=category, symbol=symbols, side=st.sampled_from(list(Side)), qty=SIZES, price=PRICES
    )
    held = st.builds(Position, category=category, symbol=symbols, size=SIZES, mark_price=PRICES)
    unread: set[LimitNeed] = draw(st.sets(st.sampled_from(sorted(needed)))) if needed else set()
    return LimitFacts(
        working=tuple(draw(st.lists(working, max_size=2))) if LimitNeed.WORKING in needed else (),
        positions=tuple(draw(st.lists(held, max_size=2))) if LimitNeed.POSITIONS in needed else None,
        entries_last_minute=draw(st.integers(0, 3)) if LimitNeed.RATE in needed else None,
        day=day if LimitNeed.DAY in needed else None,
        stopped_at=NOW - timedelta(seconds=draw(st.integers(0, 900))) if LimitNeed.STOPS in needed else None,
        unread=dict.fromkeys(unread, "the exchange refused"),
    )


def wanted(requested: Signal, p: Decimal) -> Decimal:
    """Where the table says that the position should be, before any rounding."""
    with localcontext(prec=_EXACT_DIGITS):
        end = _unbounded(requested, p)
    if not requested.reduce_only:
        return end
    if p > 0:
        return min(max(end, ZERO), p)
    return max(min(end, ZERO), p)


def _unbounded(requested: Signal, p: Decimal) -> Decimal:
    q = requested.qty if requested.qty is not None else ZERO
    match requested.action:
        case Action.BUY | Action.SELL:
            return _filled(requested, p, 1 if requested.action is Action.BUY else -1, q)
        case Action.LONG:
            return max(p, q)
        case Action.SHORT:
            return min(p, -q)
        case Action.FLAT | Action.EXIT:
            return ZERO
        case Action.REVERSE:
            size = q if requested.qty is not None else abs(p)
            return -size if p > 0 else size if p < 0 else ZERO
        case Action.ADD:
            return p + (q if p > 0 else -q if p < 0 else ZERO)
        case Action.TARGET:
            assert requested.market_position is not None and requested.market_position_size is not None
            size = q if requested.qty is not None else requested.market_position_size
            return requested.market_position.sign * size
        case _:
            return _closed(requested, p, q)


def _closed(requested: Signal, p: Decimal, q: Decimal) -> Decimal:
    if (requested.action is Action.CLOSE_LONG and p < 0) or (requested.action is Action.CLOSE_SHORT and p > 0):
        return p
    left = max(abs(p) - q, ZERO) if requested.qty is not None else ZERO
    return left if p > 0 else -left


def _filled(requested: Signal, p: Decimal, sign: int, q: Decimal) -> Decimal:
    if requested.market_position is None:
        return p + sign * q
    now, size = requested.market_position.sign, requested.market_position_size
    before = requested.prev_market_position
    assert size is not None
    if now == 0:
        return ZERO
    if sign != now:
        return now * max(abs(p) - q, ZERO) if p * now > 0 else p
    if p * now < 0 or (before is not None and before.sign == -now):
        return now * size
    return p + sign * q


def parts(p: Decimal, end: Decimal) -> tuple[Decimal, Decimal]:
    """How far p goes towards zero and how far away from it, without sign."""
    if (p > 0 > end) or (p < 0 < end):
        return p.copy_abs(), end.copy_abs()
    with localcontext(prec=_EXACT_DIGITS):
        return max(abs(p) - abs(end), ZERO), max(abs(end) - abs(p), ZERO)


def down(value: Decimal, step: Decimal) -> Decimal:
    with localcontext(prec=_EXACT_DIGITS, rounding=ROUND_FLOOR):
        return (value / step).to_integral_value() * step


def path_length(p: Decimal, end: Decimal) -> Decimal:
    with localcontext(prec=_EXACT_DIGITS):
        return sum(parts(p, end), ZERO)


def sendable_exit(p: Decimal, exit_qty: Decimal, instrument: Instrument) -> Decimal:
    """All of a whole exit; else rounded down, and nothing under the minimum."""
    if exit_qty == abs(p):
        return exit_qty
    rounded = down(exit_qty, instrument.qty_step)
    return rounded if rounded >= instrument.qty_min else ZERO


def sendable_entry(entry_qty: Decimal, case: Case) -> Decimal:
    """Rounded down, and nothing under the minimum quantity or notional or of too many orders."""
    instrument = case.instrument
    rounded = down(entry_qty, instrument.qty_step)
    most = LEGS_MAX * instrument.largest_order(has_limit=case.signal.type.has_limit)
    worth = instrument.notional(rounded, case.price)
    is_fit = instrument.qty_min <= rounded <= most and worth >= instrument.notional_min
    return rounded if is_fit else ZERO


def moved(p: Decimal, move: int, exit_qty: Decimal, entry_qty: Decimal) -> Decimal:
    return p + move * (exit_qty + entry_qty)


def executed(p: Decimal, orders: tuple[PlannedOrder, ...], instrument: Instrument) -> list[Decimal]:
    """The position before and after each order, as a one-way account has it when each fills whole."""
    path = [p]
    for order in orders:
        qty = order.qty
        if order.closes_all:
            assert order.reduce_only and qty == 0
            qty = min(abs(p), instrument.largest_order(has_limit=order.type.has_limit))
        if order.reduce_only:
            qty = min(qty, abs(p)) if p * order.side.sign < 0 else ZERO
        p += order.side.sign * qty
        path.append(p)
    return path
