"""From the size an alert names to a quantity in the exchange's unit, not yet rounded."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal

from relay.domain.account import Rules
from relay.domain.instrument import Instrument
from relay.domain.intent import Sizes, depends_on_qty, depends_on_strategy_size, strategy_size
from relay.domain.order import Reason
from relay.domain.plan import Facts, Need
from relay.domain.signal import QtyUnit, Signal

_PERCENT = Decimal(100)
_DOWN = Context(prec=28, rounding=ROUND_DOWN)
"""Never up: what a size comes to is never more than was asked."""
_UNUSED = Reason(code="QTY_MISSING", message="nothing depends on a size here")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The size that counts for a signal: its own, or the default one."""

    qty: Decimal
    unit: QtyUnit
    is_default: bool = False

    @property
    def is_own(self) -> bool:
        """The user's own size, which cannot be compared with the strategy's."""
        return self.is_default or not self.unit.is_absolute


def size_of(signal: Signal, rules: Rules, *, is_inverse: bool) -> Size | Reason:
    """The signal's size with its unit settled, or why there is none."""
    if signal.qty is None:
        if rules.default_size is None:
            return Reason(
                code="QTY_MISSING",
                message="an entry needs a size: put `qty` into the alert, or set DEFAULT_SIZE",
            )
        return Size(qty=rules.default_size.qty, unit=rules.default_size.unit, is_default=True)
    unit = signal.qty_unit or rules.size_unit
    if unit is None and is_inverse:
        return Reason(
            code="QTY_UNIT_NEEDED",
            message="on an inverse perpetual a bare `qty` could be USD or coins; "
            'say `"qty_unit": "contracts"` (USD) or `"base"` (coins)',
        )
    return Size(qty=signal.qty, unit=unit or QtyUnit.BASE)


def needs_price(size: Size, *, is_inverse: bool) -> bool:
    """Whether a price is needed to turn the size into a quantity."""
    if size.unit is QtyUnit.BASE:
        return is_inverse
    if size.unit is QtyUnit.QUOTE:
        return not is_inverse
    return size.unit is QtyUnit.EQUITY_PCT


def needs_equity(size: Size) -> bool:
    """Whether the account's equity in the settle coin is needed."""
    return size.unit is QtyUnit.EQUITY_PCT


def quantity(
    size: Size,
    instrument: Instrument,
    *,
    price: Decimal | None,
    position_size: Decimal | None,
    equity: Decimal | None,
) -> Decimal | Reason:
    """The size in coins on linear and USD contracts on inverse, unrounded.

    `price`: quote coin per coin. `position_size`: signed, in the exchange's unit. `equity`: in the settle coin.
    A fact the unit needs must be there; that is the caller's contract.
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
            return _DOWN.divide(_DOWN.multiply(abs(position_size), size.qty), _PERCENT)
        case QtyUnit.EQUITY_PCT:
            assert equity is not None and price is not None, "equity_pct needs the equity and a price"
            # Losses can outweigh the wallet, and a share of debt is no size.
            equity = max(equity, Decimal(0))
            worth = _DOWN.multiply(equity, price) if instrument.is_inverse else equity
            return _money(_DOWN.divide(_DOWN.multiply(worth, size.qty), _PERCENT), instrument, price)
        case _:
            return Reason(code="NOT_SUPPORTED", message=f"this version does not size by `{size.unit.value}` yet")


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


def order_price(signal: Signal) -> Decimal | None:
    """What the order itself says it will be filled at."""
    if signal.type.has_limit:
        return signal.price
    return signal.trigger_price if signal.type.is_conditional else None


def size_needs(signal: Signal, rules: Rules, instrument: Instrument) -> set[Need]:
    """The facts that `sizes_of` wants."""
    is_inverse = instrument.is_inverse
    size = size_of(signal, rules, is_inverse=is_inverse)
    is_own = isinstance(size, Size) and size.is_own
    wanted: set[Need] = set()
    needs_any_price = False
    if isinstance(size, Size) and depends_on_qty(signal, is_own=is_own):
        needs_any_price = needs_price(size, is_inverse=is_inverse)
        if needs_equity(size):
            wanted.add(Need.EQUITY)
        if size.unit is QtyUnit.POSITION_PCT:
            wanted.add(Need.POSITION)
    if depends_on_strategy_size(signal, is_own=is_own):
        needs_any_price |= is_inverse and _strategy_unit(signal, rules) is QtyUnit.BASE
    if needs_any_price and order_price(signal) is None:
        wanted.add(Need.PRICE)
    return wanted


def sizes_of(signal: Signal, rules: Rules, facts: Facts) -> Sizes:
    """All sizes that have a part in what is ordered, in the exchange's unit, not yet rounded."""
    size = size_of(signal, rules, is_inverse=facts.instrument.is_inverse)
    is_own = isinstance(size, Size) and size.is_own
    qty: Decimal | Reason = _UNUSED
    if depends_on_qty(signal, is_own=is_own):
        qty = size if isinstance(size, Reason) else _worked_out(size, signal, facts)
    now = before = None
    if depends_on_strategy_size(signal, is_own=is_own):
        now = _strategys(strategy_size(signal), signal, rules, facts)
        before = _strategys(signal.prev_market_position_size, signal, rules, facts)
    return Sizes(
        qty=qty,
        is_own=is_own,
        tops_up=isinstance(size, Size) and size.unit.is_absolute,
        strategy=now,
        prev_strategy=before,
    )


def _worked_out(size: Size, signal: Signal, facts: Facts) -> Decimal | Reason:
    price = order_price(signal) or facts.price
    return quantity(size, facts.instrument, price=price, position_size=facts.size, equity=facts.equity)


def _strategys(value: Decimal | None, signal: Signal, rules: Rules, facts: Facts) -> Decimal | Reason | None:
    """A size of the strategy's own position: in coins, or in the unit of its orders."""
    if value is None:
        return None
    unit = _strategy_unit(signal, rules)
    if unit is None and facts.instrument.is_inverse:
        return Reason(code="QTY_UNIT_NEEDED", message='say `"qty_unit": "contracts"` (USD) or `"base"` (coins)')
    return _worked_out(Size(qty=value, unit=unit or QtyUnit.BASE), signal, facts)


def _strategy_unit(signal: Signal, rules: Rules) -> QtyUnit | None:
    for unit in (signal.qty_unit, rules.size_unit):
        if unit is not None and unit.is_absolute:
            return unit
    return None
