"""What a signal wants of the position and how much, before any number is rounded; and which facts it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal

from relay.domain.bracket import Levels, levels_of, stop_price
from relay.domain.instrument import Instrument, floor_to, plain
from relay.domain.limit_checks import requested_leverage
from relay.domain.limits import limit_needs, limits_by_price, limits_entries, standing_refusal
from relay.domain.order import OrderType, Reason, Side, TimeInForce
from relay.domain.plan import Facts, LimitNeed, Need
from relay.domain.rules import Drift, Mode, Rules
from relay.domain.signal import Action, MarketSide, QtyUnit, Signal, Standing

# `mode = position`: the strategy's position is the target, whatever the alert's action says.


_FOLLOWED = (Action.BUY, Action.SELL, Action.LONG, Action.SHORT, Action.REVERSE)


def in_mode(signal: Signal, rules: Rules) -> Signal:
    """The signal as it is to be planned: in position mode, a `target` where it says where the strategy stands.

    The strategy's own size counts. A size of the user's own (the default one, or one in money or percent) gives the
    side only: the position is opened with it, and otherwise left as large as it is, but for the share that the
    strategy closes.
    """
    if rules.mode is not Mode.POSITION or not _says_where(signal) or signal.action not in _FOLLOWED:
        return signal
    return as_target(signal, rules)


def as_target(signal: Signal, rules: Rules) -> Signal:
    """`signal`, which says where the strategy stands, as the wish to stand there."""
    default = rules.default_size
    if signal.qty is None and default is not None:
        return replace(signal, action=Action.TARGET, qty=default.qty, qty_unit=default.unit, is_side_only=True)
    unit = signal.qty_unit or rules.size_unit
    if signal.qty is not None and unit is not None and not unit.is_absolute:
        return replace(signal, action=Action.TARGET, is_side_only=True)
    return replace(signal, action=Action.TARGET, qty=None)


def as_late(signal: Signal, stands: Standing, rules: Rules) -> Signal:
    """`signal`, which came after a later one, as the wish to be where the strategy stands: at the market.

    Its levels count where that is the side that it speaks of.
    """
    target = signal if signal.action is Action.TARGET else as_target(signal, rules)
    late = replace(
        target,
        market_position=stands.side,
        market_position_size=stands.size,
        prev_market_position=None,
        prev_market_position_size=None,
        position_size=None,
        type=OrderType.MARKET,
        names_type=True,
        price=None,
        trigger_price=None,
        time_in_force=TimeInForce.GTC,
        valid_for_s=None,
    )
    if stands.side is signal.market_position:
        return late
    return replace(late, take_profits=(), stop_loss=None, trailing_stop=None, trailing_start=None)


def mode_refusal(signal: Signal, rules: Rules) -> Reason | None:
    """Why the signal may open nothing in position mode; what it exits, it exits."""
    if rules.mode is not Mode.POSITION or signal.action.is_close or _says_where(signal):
        return None
    return Reason(
        code="POSITION_MISSING",
        message="the strategy runs with mode = position, and the alert does not say where the strategy stands; add "
        '"market_position": "{{strategy.market_position}}" and '
        '"market_position_size": "{{strategy.market_position_size}}"',
    )


def is_strategys(signal: Signal) -> bool:
    """Whether the alert follows a strategy, and says where that stands afterwards."""
    return _says_where(signal) and signal.action in (Action.BUY, Action.SELL, Action.TARGET)


def sizes_are_own(signal: Signal, *, is_own: bool) -> bool:
    """Whether only the side of the strategy's position can be compared with the account's."""
    is_users_target = signal.action is Action.TARGET and signal.qty is not None
    return is_own or is_users_target or signal.strategy_size is None


def _says_where(signal: Signal) -> bool:
    return signal.strategy_sign is not None and not signal.has_synthetic_position


ORDERS_NOTHING = (Action.CANCEL, Action.HEARTBEAT)
SIZES_NOTHING = (*ORDERS_NOTHING, Action.STOPS)
_FILLS = (Action.BUY, Action.SELL)
_RISK = (QtyUnit.RISK_PCT, QtyUnit.RISK_QUOTE)
_OF_EQUITY = (QtyUnit.EQUITY_PCT, QtyUnit.MARGIN_PCT, QtyUnit.RISK_PCT)
_PERCENT = Decimal(100)
_NO_DEFAULTS = Rules()
"""`stops` sets what the alert names, and nothing else."""
_FAR_FROM_MIN = 2
"""A notional of so many times the minimum at the last price heard of needs no fresh price to be sure."""
_DOWN = Context(prec=28, rounding=ROUND_DOWN)
"""Never up: what a size comes to is never more than was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The size that counts for a signal: its own, or the default one."""

    qty: Decimal
    """What the account takes of it: scaled already."""
    unit: QtyUnit
    is_default: bool = False

    @property
    def is_own(self) -> bool:
        """The user's own size, which cannot be compared with the strategy's."""
        return self.is_default or not self.unit.is_absolute

    @property
    def is_risk(self) -> bool:
        """Its entry is where the order fills, which its own price does not tell."""
        return self.unit in _RISK


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """`signal`: in the account's mode, with the strategy's order type. Sizes are scaled and not yet worked out."""

    signal: Signal
    rules: Rules
    instrument: Instrument
    size: Size | Reason
    """The alert's own size or the default one, or why there is none."""
    is_own: bool
    """The size is the user's own: in another unit than the strategy's, or the default one."""
    uses_size: bool
    """The size has a part in what is ordered."""
    uses_strategy_size: bool
    """The size of the strategy's own position has a part in what is ordered, other than as a share."""
    strategy_unit: QtyUnit | None
    """The unit of the strategy's sizes; None if neither alert nor rules name one."""
    order_price: Decimal | None
    """What the order itself says it will be filled at."""
    rests: bool
    """The order may stay open once it is accepted."""
    order_max: Decimal
    """The largest single order of its type."""
    levels: Levels
    has_levels: bool
    leverage: Decimal | None
    """The leverage that is asked for; None if the symbol's stays as it is."""
    only_exits: bool
    is_strategys: bool
    """It follows a strategy, and says where that stands afterwards."""
    refused: Reason | None
    """Why it may open nothing, whatever is read; what it exits, it exits."""
    limit_needs: frozenset[LimitNeed]
    """What the limits want to know besides, of an entry; no exit waits for it."""
    needs: frozenset[Need] = frozenset()
    """The facts without which nothing can be planned."""
    target: Intent | None = None
    """Of a strategy's alert: the wish to stand where the strategy does."""

    @property
    def sizes_nothing(self) -> bool:
        """Whether no size can have a part in it."""
        return self.signal.action in SIZES_NOTHING

    @property
    def compares_sides_only(self) -> bool:
        """Whether only the side of the strategy's position can be compared with the account's."""
        return sizes_are_own(self.signal, is_own=self.is_own)

    @property
    def heals(self) -> bool:
        """Whether a drift is mended with this signal, should there be one."""
        rules, signal = self.rules, self.signal
        return (
            rules.drift is Drift.HEAL
            and rules.mode is Mode.ORDER
            and signal.action in _FILLS
            and not signal.reduce_only
            and self.is_strategys
        )


def intent_of(signal: Signal, rules: Rules, facts: Facts) -> Intent:
    """`facts`: with what is known without reading anything: the time, a halt, what is carried, the last price."""
    follows = is_strategys(signal)
    target = _derived(as_target(signal, rules), rules, facts, follows=True) if follows else None
    intent = _derived(signal, rules, facts, follows=follows, target=target)
    return replace(intent, needs=_needs(intent, facts))


def _derived(signal: Signal, rules: Rules, facts: Facts, *, follows: bool, target: Intent | None = None) -> Intent:
    instrument, kind = facts.instrument, signal.type
    size = size_of(signal, rules, is_inverse=instrument.is_inverse)
    is_own = isinstance(size, Size) and size.is_own
    has_limit, is_conditional = kind.has_limit, kind.is_conditional
    levels = levels_of(signal, rules if signal.action is not Action.STOPS else _NO_DEFAULTS)
    has_levels = not levels.is_empty
    return Intent(
        signal=signal,
        rules=rules,
        instrument=instrument,
        size=size,
        is_own=is_own,
        uses_size=_uses_size(signal, is_own=is_own),
        uses_strategy_size=_uses_strategy_size(signal, is_own=is_own),
        strategy_unit=_strategy_unit(signal, rules),
        order_price=signal.price if has_limit else signal.trigger_price if is_conditional else None,
        rests=is_conditional
        or (kind is OrderType.LIMIT and signal.time_in_force in (TimeInForce.GTC, TimeInForce.POST_ONLY)),
        order_max=instrument.largest_order(has_limit=has_limit),
        levels=levels,
        has_levels=has_levels,
        leverage=None if instrument.is_held else requested_leverage(signal, rules),
        only_exits=signal.only_exits,
        is_strategys=follows,
        refused=facts.withheld
        or mode_refusal(signal, rules)
        or standing_refusal(signal, rules, instrument, now=facts.now, halted=facts.halted, age=facts.age),
        limit_needs=limit_needs(rules),
        target=target,
    )


def size_of(signal: Signal, rules: Rules, *, is_inverse: bool) -> Size | Reason:
    """The signal's size with its unit settled and the account's scale applied, or why there is none."""
    if signal.qty is None:
        if rules.default_size is None:
            return Reason(
                code="QTY_MISSING",
                message="an entry needs a size: put `qty` into the alert, or set DEFAULT_SIZE",
            )
        unit = rules.default_size.unit
        return Size(qty=scaled(rules.default_size.qty, unit, rules), unit=unit, is_default=True)
    requested = signal.qty_unit or rules.size_unit
    if requested is None and is_inverse:
        return Reason(
            code="QTY_UNIT_NEEDED",
            message="on an inverse perpetual a bare `qty` could be USD or coins; "
            'say `"qty_unit": "contracts"` (USD) or `"base"` (coins)',
        )
    unit = requested or QtyUnit.BASE
    return Size(qty=scaled(signal.qty, unit, rules), unit=unit)


def scaled(qty: Decimal, unit: QtyUnit, rules: Rules) -> Decimal:
    """Every unit but the share of what is open, which is the account's own already, is in proportion to its number."""
    if unit is QtyUnit.POSITION_PCT or rules.size_scale_pct == _PERCENT:
        return qty
    return _DOWN.divide(_DOWN.multiply(qty, rules.size_scale_pct), _PERCENT)


def needs_price(size: Size, *, is_inverse: bool) -> bool:
    """Whether a price is needed to turn the size into a quantity."""
    if size.unit is QtyUnit.BASE:
        return is_inverse
    if size.unit is QtyUnit.QUOTE:
        return not is_inverse
    return size.unit not in (QtyUnit.CONTRACTS, QtyUnit.POSITION_PCT)


def needs_equity(size: Size) -> bool:
    """Whether the account's equity in the settle coin is needed."""
    return size.unit in _OF_EQUITY


def _uses_size(signal: Signal, *, is_own: bool) -> bool:
    """Whether the alert's size, or the default one, has a part in what is ordered."""
    action, market = signal.action, signal.market_position
    if action in (Action.FLAT, Action.EXIT, *SIZES_NOTHING):
        return False
    if action is Action.REVERSE or action.is_close:
        return signal.qty is not None
    if action is Action.TARGET:
        return signal.qty is not None and signal.strategy_sign != 0
    if market is None or action in (Action.LONG, Action.SHORT, Action.ADD):
        return True
    if market is MarketSide.FLAT:
        return False
    return not is_own or market.sign == signal.side.sign


def _uses_strategy_size(signal: Signal, *, is_own: bool) -> bool:
    if signal.action is Action.TARGET:
        return signal.qty is None and signal.strategy_sign != 0
    if signal.action not in _FILLS or signal.market_position is None or is_own:
        return False
    return signal.market_position.sign == signal.side.sign


def _strategy_unit(signal: Signal, rules: Rules) -> QtyUnit | None:
    for unit in (signal.qty_unit, rules.size_unit):
        if unit is not None and unit.is_absolute:
            return unit
    return None


def _needs(intent: Intent, facts: Facts) -> frozenset[Need]:
    """A plain buy of an amount in coins wants nothing, so it costs no reading.

    Whatever might hold back an entry wants the position, because the exit part of the order goes out even so.
    """
    signal, rules, instrument = intent.signal, intent.rules, intent.instrument
    if signal.action in ORDERS_NOTHING:
        return frozenset()
    if signal.action is Action.STOPS:
        return frozenset({Need.POSITION})
    wanted = size_needs(intent)
    if intent.target is not None and intent.heals:
        wanted |= size_needs(intent.target)
    opens = not intent.only_exits
    has_levels = opens and intent.has_levels
    wants_price = opens and (has_levels or limits_by_price(signal, rules, instrument))
    if (
        signal.action not in _FILLS
        or signal.market_position is not None
        or has_levels
        or (opens and intent.leverage is not None)
        or facts.residual is not None
        or intent.refused is not None
        or signal.type.is_conditional
        or limits_entries(rules)
        or (instrument.is_held and not opens)
    ):
        wanted.add(Need.POSITION)
    else:
        wanted |= _near_a_bound(intent, facts.reference_price)
    if signal.type.is_conditional or wants_price:
        wanted.add(Need.PRICE)
    return frozenset(wanted)


def size_needs(intent: Intent) -> set[Need]:
    """The facts that the sizes are worked out from."""
    size, is_inverse = intent.size, intent.instrument.is_inverse
    wanted: set[Need] = set()
    needs_any_price = False
    if isinstance(size, Size) and intent.uses_size:
        needs_any_price = needs_price(size, is_inverse=is_inverse)
        if needs_equity(size):
            wanted.add(Need.EQUITY)
        if size.unit is QtyUnit.POSITION_PCT:
            wanted.add(Need.POSITION)
    if intent.uses_strategy_size:
        needs_any_price |= is_inverse and intent.strategy_unit is QtyUnit.BASE
    if needs_any_price and (intent.order_price is None or (isinstance(size, Size) and size.is_risk)):
        wanted.add(Need.PRICE)
    return wanted


def _near_a_bound(intent: Intent, reference: Decimal | None) -> set[Need]:
    """What a plain order needs because its size might be under the exchange's minima or over its maximum."""
    size, instrument, is_inverse = intent.size, intent.instrument, intent.instrument.is_inverse
    if isinstance(size, Reason):
        return set()
    if not size.unit.is_absolute or (is_inverse and size.unit is QtyUnit.BASE):
        return {Need.POSITION}
    if floor_to(size.qty, instrument.qty_step) < instrument.qty_min or size.qty > intent.order_max:
        return {Need.POSITION}
    price = intent.order_price or reference
    if is_inverse or (
        price is not None and instrument.notional(size.qty, price) >= instrument.notional_min * _FAR_FROM_MIN
    ):
        return set()
    return {Need.POSITION} if intent.order_price is not None else {Need.POSITION, Need.PRICE}


# From the size that an alert names to a quantity in the exchange's unit, not yet rounded; sizes from risk and margin
# included.


# What a stop loss would cost, and what margin an entry takes: which entry price, stop and leverage they go by.


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
