"""From the size that an alert names to a quantity in the exchange's unit, not yet rounded; sizes from risk and margin
included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal

from relay.domain.bracket import stop_price
from relay.domain.instrument import Instrument, floor_to, plain
from relay.domain.intent import Intent, Size, needs_equity, needs_price, scaled
from relay.domain.order import OrderType, Reason, Side
from relay.domain.plan import Facts, Need
from relay.domain.signal import Action, QtyUnit, Signal

# What a stop loss would cost, and what margin an entry takes: which entry price, stop and leverage they go by.


_DOWN = Context(prec=28, rounding=ROUND_DOWN)
_UP = Context(prec=28, rounding=ROUND_UP)


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
    money: Decimal | None = None
    """The alert's own size in the quote coin, where it is named so and the exchange takes a market buy by it."""
    holds_exit: bool | None = False
    """The size is that of an order which leaves the other side, too; None: nobody has said."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What the size was worked out from, besides the facts themselves: for the journal and for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The price that an entry is reckoned with, and its stop loss as it will be sent, on the grid."""

    entry: Decimal
    stop: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What an entry's levels count from until it has filled; None if no price is known."""

    for_stop: Decimal | None
    for_profit: Decimal | None


def references_of(intent: Intent, facts: Facts, side: Side) -> References:
    """Take profits count from the order's own price, else the exchange's mark price. `side`: the entry's.

    A limit price is only the worst that is taken: on the far side of the market the order fills at the market's price
    or, once it is triggered, at about its trigger price, and a stop between the two would be on the fill's wrong side.
    """
    own = intent.order_price
    for_profit = own or facts.price or facts.reference_price
    met = intent.signal.trigger_price if intent.signal.type.is_conditional else facts.price
    if own is None or met is None:
        return References(for_stop=for_profit, for_profit=for_profit)
    return References(for_stop=min(own, met) if side is Side.BUY else max(own, met), for_profit=for_profit)


def entry_side(signal: Signal, size: Decimal | None) -> Side | None:
    """On which side the signal would open, with the signed position `size`; None where it would not."""
    if signal.action is Action.REVERSE:
        return Side.towards(-size) if size else None
    if signal.action is Action.ADD:
        return Side.towards(size) if size else None
    if signal.action is Action.TARGET:
        sign = signal.strategy_sign
        return Side.towards(Decimal(sign)) if sign else None
    return signal.action.side


def entry_basis(intent: Intent, facts: Facts) -> Basis | Reason:
    """The price that the stop counts from; the alert's stop, else the default one."""
    level = intent.levels.stop_loss
    if level is None:
        return Reason(
            code="STOP_MISSING",
            message="a size by risk is what the stop loss would cost: "
            "put `stop_loss` into the alert, or set DEFAULT_STOP_LOSS",
        )
    side = entry_side(intent.signal, facts.size)
    if side is None:
        return Reason(code="POSITION_NONE", message="there is no position to reverse or to add to")
    if Need.PRICE in facts.unread:
        return facts.unread[Need.PRICE]
    entry, tick = references_of(intent, facts, side).for_stop, facts.instrument.tick_size
    assert entry is not None and entry > 0, "a size by risk needs a price"
    stop = stop_price(level, side=side, reference=entry, tick=tick)
    if stop <= 0 or (entry - stop) * side.sign <= 0:
        where = "below" if side is Side.BUY else "above"
        return Reason(
            code="STOP_WRONG_SIDE",
            message=f"stop_loss {plain(stop)} must be above zero and {where} the price {plain(entry)} "
            f"of a {side.value}",
        )
    return Basis(entry=entry, stop=stop)


def risked(money: Decimal, basis: Basis, instrument: Instrument) -> Decimal:
    """The quantity whose loss at the stop is `money`, in the settle coin; fees are left out.

    Inverse: a contract loses |1/entry - 1/stop| coins. Source: the exchange's help, "Inverse contract P&L".
    """
    distance = _UP.subtract(max(basis.entry, basis.stop), min(basis.entry, basis.stop))
    if not instrument.is_inverse:
        return _DOWN.divide(money, distance)
    product = _DOWN.multiply(basis.entry, basis.stop)
    return _DOWN.divide(_DOWN.multiply(money, product), distance)


def entry_leverage(intent: Intent, facts: Facts) -> Decimal | Reason:
    """The leverage that the entry will have: the alert's, else the default, else the one set at the exchange."""
    shown = facts.position.leverage if facts.position else None
    leverage = intent.leverage or shown
    if leverage is None:
        return Reason(
            code="LEVERAGE_MISSING",
            message="a size by margin needs the leverage, and the exchange shows none: "
            "put `leverage` into the alert, or set DEFAULT_LEVERAGE",
        )
    return leverage


_PERCENT = Decimal(100)
_BY_MARGIN = (QtyUnit.MARGIN_PCT, QtyUnit.MARGIN_QUOTE)
_UNUSED = Reason(code="QTY_MISSING", message="nothing depends on a size here")


def quantity(
    size: Size,
    instrument: Instrument,
    *,
    price: Decimal | None,
    position_size: Decimal | None,
    equity: Decimal | None,
    basis: Basis | Reason | None = None,
    leverage: Decimal | Reason | None = None,
) -> Decimal | Reason:
    """The size in coins on linear and USD contracts on inverse, unrounded.

    `price`: quote coin per coin. `position_size`: signed, in the exchange's unit. `equity`: in the settle coin.
    `basis`: the entry and its stop, for sizes by risk. A fact the unit needs must be there; that is the caller's
    contract.
    """
    match size.unit:
        case QtyUnit.CONTRACTS:
            return size.qty
        case QtyUnit.BASE:
            return _coins(size.qty, instrument, price)
        case QtyUnit.QUOTE:
            return _money(size.qty, instrument, price)
        case QtyUnit.POSITION_PCT:
            assert position_size is not None, "position_pct needs the position"
            return _share(abs(position_size), size.qty)
        case QtyUnit.RISK_PCT | QtyUnit.RISK_QUOTE:
            assert basis is not None, "a size by risk needs the entry and its stop"
            if isinstance(basis, Reason):
                return basis
            return risked(_at_risk(size, instrument, equity, basis.entry), basis, instrument)
        case _:
            if isinstance(leverage, Reason):
                return leverage
            times = leverage if size.unit in _BY_MARGIN else Decimal(1)
            assert times is not None, "a size by margin needs the leverage"
            is_money = size.unit is QtyUnit.MARGIN_QUOTE
            margin = size.qty if is_money else _share(_worth(equity, instrument, price), size.qty)
            return _money(_DOWN.multiply(margin, times), instrument, price)


def _share(whole: Decimal, percent: Decimal) -> Decimal:
    return _DOWN.divide(_DOWN.multiply(whole, percent), _PERCENT)


def _own(equity: Decimal | None) -> Decimal:
    """Losses can outweigh the wallet, and a share of debt is no size."""
    assert equity is not None, "a share of the equity needs the equity"
    return max(equity, Decimal(0))


def _worth(equity: Decimal | None, instrument: Instrument, price: Decimal | None) -> Decimal:
    """In the quote coin."""
    assert price is not None, "a share of the equity needs a price"
    return _DOWN.multiply(_own(equity), price) if instrument.is_inverse else _own(equity)


def _at_risk(size: Size, instrument: Instrument, equity: Decimal | None, entry: Decimal) -> Decimal:
    """What the stop may cost, in the settle coin: money given in the quote coin is converted at the entry price."""
    if size.unit is QtyUnit.RISK_PCT:
        return _share(_own(equity), size.qty)
    return _DOWN.divide(size.qty, entry) if instrument.is_inverse else size.qty


def _coins(coins: Decimal, instrument: Instrument, price: Decimal | None) -> Decimal:
    if not instrument.is_inverse:
        return coins
    assert price is not None, "coins on inverse need a price"
    return _DOWN.multiply(coins, price)


def _money(notional: Decimal, instrument: Instrument, price: Decimal | None) -> Decimal:
    if instrument.is_inverse:
        return notional
    assert price is not None and price > 0, "money on linear needs a price"
    return _DOWN.divide(notional, price)


def sizes_of(intent: Intent, facts: Facts) -> Sizes:
    """All sizes that have a part in what is ordered, in the exchange's unit, not yet rounded."""
    size = intent.size
    qty: Decimal | Reason = _UNUSED
    inputs: Mapping[str, str] = {}
    if intent.uses_size:
        qty, inputs = (size, inputs) if isinstance(size, Reason) else _worked_out(size, intent, facts)
    now = before = None
    if intent.uses_strategy_size:
        now = _strategys(intent.signal.strategy_size, intent, facts)
        before = _strategys(intent.signal.prev_market_position_size, intent, facts)
    return Sizes(
        qty=qty,
        is_own=intent.is_own,
        tops_up=isinstance(size, Size) and size.unit.is_absolute,
        strategy=now,
        prev_strategy=before,
        money=_money_of(size, intent, facts) if isinstance(qty, Decimal) and isinstance(size, Size) else None,
        holds_exit=intent.rules.subtract_exit if intent.signal.may_hold_exit else False,
        inputs=inputs,
    )


def _money_of(size: Size, intent: Intent, facts: Facts) -> Decimal | None:
    step = facts.instrument.money_step
    if step is None or intent.signal.type is not OrderType.MARKET:
        return None
    match size.unit:
        case QtyUnit.QUOTE:
            return floor_to(size.qty, step)
        case QtyUnit.EQUITY_PCT:
            return floor_to(_share(_own(facts.equity), size.qty), step)
        case _:
            return None


def _worked_out(size: Size, intent: Intent, facts: Facts) -> tuple[Decimal | Reason, Mapping[str, str]]:
    """The quantity, and what it was worked out from."""
    basis = entry_basis(intent, facts) if size.is_risk else None
    leverage = entry_leverage(intent, facts) if size.unit in _BY_MARGIN else None
    inputs = {"size": plain(size.qty), "unit": size.unit.value, "size_scale_pct": plain(intent.rules.size_scale_pct)}
    if isinstance(basis, Basis):
        inputs |= {"entry": plain(basis.entry), "stop": plain(basis.stop)}
    if isinstance(leverage, Decimal):
        inputs["leverage"] = plain(leverage)
    qty = _quantity(size, intent, facts, basis, leverage)
    return qty, inputs if isinstance(qty, Reason) else inputs | {"qty": plain(qty)}


def _quantity(
    size: Size, intent: Intent, facts: Facts, basis: Basis | Reason | None, leverage: Decimal | Reason | None
) -> Decimal | Reason:
    if size.is_risk and intent.signal.action.is_close:
        # A size by risk is an entry's: such a close means all, as it does where the alert itself names the unit.
        return abs(facts.size or Decimal(0))
    if facts.unread and (unread := _unread(size, intent, facts)) is not None:
        return unread
    return quantity(
        size,
        facts.instrument,
        price=intent.order_price or facts.price,
        position_size=facts.size,
        equity=facts.equity,
        basis=basis,
        leverage=leverage,
    )


def _unread(size: Size, intent: Intent, facts: Facts) -> Reason | None:
    """Why the size cannot be worked out: a fact that it depends on could not be had."""
    wants_price = intent.order_price is None and needs_price(size, is_inverse=facts.instrument.is_inverse)
    wanted = {Need.PRICE: wants_price, Need.EQUITY: needs_equity(size)}
    return next((facts.unread[need] for need, is_wanted in wanted.items() if is_wanted and need in facts.unread), None)


def _strategys(value: Decimal | None, intent: Intent, facts: Facts) -> Decimal | Reason | None:
    """A size of the strategy's own position: in coins, or in the unit of its orders. The account takes its share."""
    if value is None:
        return None
    unit = intent.strategy_unit
    if unit is None and facts.instrument.is_inverse:
        return Reason(code="QTY_UNIT_NEEDED", message='say `"qty_unit": "contracts"` (USD) or `"base"` (coins)')
    unit = unit or QtyUnit.BASE
    return _quantity(Size(qty=scaled(value, unit, intent.rules), unit=unit), intent, facts, None, None)
