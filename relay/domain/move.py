"""What a signal asks of the signed one-way position p, row by row of the planning table, before any rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Context, Decimal

from relay.domain.order import Reason, Side
from relay.domain.signal import Action, MarketSide, Signal

_ZERO = Decimal(0)
_COMES_TO_NOTHING = Reason(
    code="QTY_BELOW_MIN",
    message="the size comes to nothing: there is no equity or no position that it could be a share of",
)
_DOWN = Context(prec=28, rounding=ROUND_DOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Move p by `exit_qty` towards zero and by `entry_qty` away from it, both on `side` and without sign.

    Where p was not read, the whole of a plain order counts as entry and `position_known` is false.
    """

    side: Side
    exit_qty: Decimal = _ZERO
    entry_qty: Decimal = _ZERO
    closes_all: bool = False
    """The exit is all of p, whatever the step."""
    is_target: bool = False
    """Being there is what counts: a difference too small to send is no failure."""
    position_known: bool = True
    entry_refused: Reason | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """There is nothing to do, and why."""

    note: str


Requested = Move | Nothing | Reason
"""What a signal comes to at a position; a reason says why it comes to nothing at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes of a signal, in the exchange's unit, each worked out or the reason why it could not be."""

    qty: Decimal | Reason
    """The alert's own size, or the default one. Not worked out where nothing depends on it."""
    is_own: bool
    """The size is the user's own: in another unit than the strategy's, or the default one."""
    tops_up: bool
    """The size is one of coins or contracts, which a position can be compared with."""
    strategy: Decimal | Reason | None
    """`market_position_size`, without sign; None where the alert does not carry it or nothing depends on it."""
    prev_strategy: Decimal | Reason | None
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What the size was worked out from, besides the facts themselves: for the journal and for people."""


def move_of(signal: Signal, sizes: Sizes, p: Decimal | None) -> Requested:
    """`p` may be None only for a plain buy or sell."""
    action = signal.action
    if action in (Action.BUY, Action.SELL):
        if signal.market_position is not None:
            assert p is not None, "a strategy's fill needs the position"
            return _strategy_fill(signal, sizes, p)
        return _delta(signal.side, sizes.qty, p, reduce_only=signal.reduce_only)
    assert p is not None, f"{action} needs the position"
    if action.is_close:
        return _close(signal, sizes, p)
    if action in (Action.LONG, Action.SHORT):
        return _be_at_least(signal.side, sizes, p, stays_as_large=signal.stays_as_large)
    if action is Action.ADD:
        return _add(sizes, p)
    if action is Action.REVERSE:
        return _reverse(signal, sizes, p)
    assert action is Action.TARGET, f"{action} orders nothing"
    return _target(signal, sizes, p)


def _delta(side: Side, qty: Decimal | Reason, p: Decimal | None, *, reduce_only: bool) -> Requested:
    if isinstance(qty, Reason):
        return qty
    if qty == 0:
        return _COMES_TO_NOTHING
    if p is None:
        if reduce_only:
            return Move(side=side, exit_qty=qty, position_known=False)
        return Move(side=side, entry_qty=qty, position_known=False)
    exit_qty = min(qty, abs(p)) if p * side.sign < 0 else _ZERO
    if reduce_only:
        if exit_qty == 0:
            return Nothing(note="reduce-only, and no position is open that it would reduce")
        return Move(side=side, exit_qty=exit_qty, closes_all=exit_qty == abs(p))
    return Move(side=side, exit_qty=exit_qty, entry_qty=qty - exit_qty, closes_all=exit_qty != 0 and exit_qty == abs(p))


def _close(signal: Signal, sizes: Sizes, p: Decimal) -> Requested:
    if p == 0:
        return Nothing(note="nothing is open")
    if signal.action is Action.CLOSE_LONG and p < 0:
        return Nothing(note="no long is open; the short is left alone")
    if signal.action is Action.CLOSE_SHORT and p > 0:
        return Nothing(note="no short is open; the long is left alone")
    whole = signal.qty is None or signal.action in (Action.FLAT, Action.EXIT)
    if whole:
        return _close_all(p)
    if isinstance(sizes.qty, Reason):
        return sizes.qty
    qty = min(sizes.qty, abs(p))
    return Move(side=Side.towards(-p), exit_qty=qty, closes_all=qty == abs(p))


def _close_all(p: Decimal) -> Requested:
    if p == 0:
        return Nothing(note="nothing is open")
    return Move(side=Side.towards(-p), exit_qty=abs(p), closes_all=True)


def _add(sizes: Sizes, p: Decimal) -> Requested:
    if p == 0:
        return Reason(code="POSITION_NONE", message="there is no position to add to")
    return _delta(Side.towards(p), sizes.qty, p, reduce_only=False)


def _be_at_least(side: Side, sizes: Sizes, p: Decimal, *, stays_as_large: bool) -> Requested:
    held = p * side.sign
    name = "long" if side is Side.BUY else "short"
    if held > 0 and stays_as_large:
        return Nothing(note=f"already {name}, and the alert's service does not add to it")
    if held > 0 and not sizes.tops_up and not _has_no_size(sizes):
        return Nothing(note=f"already {name}")
    if isinstance(sizes.qty, Reason):
        return _exit_alone(side, p, sizes.qty)
    if sizes.qty == 0:
        return _exit_alone(side, p, _COMES_TO_NOTHING)
    if held >= sizes.qty:
        return Nothing(note=f"already {name} with that size or more")
    return replace(_to(side.sign * sizes.qty, p), is_target=held > 0)


def _has_no_size(sizes: Sizes) -> bool:
    return isinstance(sizes.qty, Reason) and sizes.qty.code == "QTY_MISSING"


def _reverse(signal: Signal, sizes: Sizes, p: Decimal) -> Requested:
    if p == 0:
        return Reason(code="POSITION_NONE", message="there is no position to reverse")
    qty = abs(p) if signal.qty is None else sizes.qty
    if isinstance(qty, Reason):
        return _exit_alone(Side.towards(-p), p, qty)
    return Move(side=Side.towards(-p), exit_qty=abs(p), entry_qty=qty, closes_all=True)


def _target(signal: Signal, sizes: Sizes, p: Decimal) -> Requested:
    sign = signal.strategy_sign
    if sign is None:
        return Reason(code="QTY_MISSING", message="`target` needs the strategy's `market_position` or `position_size`")
    if sign == 0:
        return _close_all(p)
    if signal.is_side_only and p * sign > 0:
        return _stays_on_side(signal, p)
    size = sizes.qty if signal.qty is not None else sizes.strategy
    if signal.is_side_only and size == 0:
        size = _COMES_TO_NOTHING
    if size is None:
        size = Reason(
            code="QTY_MISSING", message="`target` needs `market_position_size` or `position_size`, or a `qty`"
        )
    if isinstance(size, Reason):
        return _exit_alone(Side.BUY if sign > 0 else Side.SELL, p, size)
    return replace(_to(sign * size, p), is_target=True) if sign * size != p else Nothing(note="already on target")


def _stays_on_side(signal: Signal, p: Decimal) -> Requested:
    """The user's own size, and the side is right: only the share that the strategy closed is closed."""
    side = Side.towards(p)
    prev, now, before = signal.prev_market_position, signal.strategy_size, signal.prev_market_position_size
    has_closed = now is not None and before is not None and now < before
    if prev is None or prev.sign != side.sign or not has_closed:
        return Nothing(note=f"already {'long' if p > 0 else 'short'}, as the strategy is")
    qty = _closed_part(signal, abs(p))
    if isinstance(qty, Reason):
        return qty
    return Move(side=Side.towards(-p), exit_qty=qty, closes_all=qty == abs(p))


def _strategy_fill(signal: Signal, sizes: Sizes, p: Decimal) -> Requested:
    """A `buy` or `sell` that says where the strategy stands afterwards."""
    side, market = signal.side, signal.market_position
    assert market is not None
    if market is MarketSide.FLAT:
        return _close_all(p)
    if side.sign != market.sign:
        return _strategy_reduces(signal, sizes, p, market)
    prev = signal.prev_market_position
    sides_differ = p * market.sign < 0 or (prev is not None and prev.sign == -market.sign)
    if not sides_differ:
        return _delta(side, sizes.qty, p, reduce_only=signal.reduce_only)
    size = _new_side_size(sizes)
    if isinstance(size, Reason):
        return _exit_alone(side, p, size)
    if market.sign * size == p:
        return Nothing(note="already where the strategy is")
    return replace(_to(market.sign * size, p), is_target=p * market.sign > 0)


def _new_side_size(sizes: Sizes) -> Decimal | Reason:
    """How large the strategy is on its new side. A reversal's own quantity includes the old side."""
    if sizes.is_own:
        return sizes.qty
    if sizes.strategy is not None:
        return sizes.strategy
    if isinstance(sizes.qty, Decimal) and isinstance(sizes.prev_strategy, Decimal) and sizes.prev_strategy < sizes.qty:
        return sizes.qty - sizes.prev_strategy
    return Reason(
        code="QTY_MISSING",
        message="the strategy changes sides, and without `market_position_size` its new size is not known; "
        'add "market_position_size": "{{strategy.market_position_size}}"',
    )


def _strategy_reduces(signal: Signal, sizes: Sizes, p: Decimal, market: MarketSide) -> Requested:
    """A `sell` while the strategy stays long, or a `buy` while it stays short: never opens, never flips."""
    if p * market.sign <= 0:
        return Nothing(note=f"the strategy reduces its {market.value}, and none is open here")
    qty = sizes.qty
    if sizes.is_own:
        qty = _closed_part(signal, abs(p))
    if isinstance(qty, Reason):
        return qty
    exit_qty = min(qty, abs(p))
    return Move(side=signal.side, exit_qty=exit_qty, closes_all=exit_qty == abs(p))


def _closed_part(signal: Signal, held: Decimal) -> Decimal | Reason:
    """Of `held`, the share that the strategy closed of its own position: a ratio, whatever the unit."""
    now, before = signal.strategy_size, signal.prev_market_position_size
    if now is None or before is None or before <= 0 or now > before:
        return Reason(
            code="QTY_MISSING",
            message="which share of its position the strategy closed is not known; "
            "add market_position_size and prev_market_position_size with their placeholders",
        )
    return _DOWN.divide(held * (before - now), before)


def _to(target: Decimal, p: Decimal) -> Move:
    """From p to exactly `target`, which differs from it."""
    side = Side.towards(target - p)
    if p * target < 0:
        return Move(side=side, exit_qty=abs(p), entry_qty=abs(target), closes_all=True)
    if abs(target) > abs(p):
        return Move(side=side, entry_qty=abs(target) - abs(p))
    return Move(side=side, exit_qty=abs(p) - abs(target), closes_all=target == 0)


def _exit_alone(side: Side, p: Decimal, refused: Reason) -> Requested:
    """The entry has no size: what the signal would have exited is exited, and nothing is opened."""
    if p * side.sign >= 0:
        return refused
    return Move(side=side, exit_qty=abs(p), closes_all=True, entry_refused=refused)
