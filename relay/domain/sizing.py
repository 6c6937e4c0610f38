"""From the size an alert names to a quantity in the exchange's unit, not yet rounded."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal

from relay.domain.account import Rules
from relay.domain.instrument import Instrument
from relay.domain.intent import Sizes, depends_on_qty, depends_on_strategy_size, strategy_size
from relay.domain.order import Reason
from relay.domain.plan import Facts, Need
from relay.domain.risk import Basis, entry_basis, entry_leverage, order_price, risked
from relay.domain.rounding import plain
from relay.domain.signal import QtyUnit, Signal

_PERCENT = Decimal(100)
_BY_MARGIN = (QtyUnit.MARGIN_PCT, QtyUnit.MARGIN_QUOTE)
_DOWN = Context(prec=28, rounding=ROUND_DOWN)
"""Never up: what a size comes to is never more than was asked."""
_UNUSED = Reason(code="QTY_MISSING", message="nothing depends on a size here")


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


def size_of(signal: Signal, rules: Rules, *, is_inverse: bool) -> Size | Reason:
    """The signal's size with its unit settled and the account's scale applied, or why there is none."""
    if signal.qty is None:
        if rules.default_size is None:
            return Reason(
                code="QTY_MISSING",
                message="an entry needs a size: put `qty` into the alert, or set DEFAULT_SIZE",
            )
        unit = rules.default_size.unit
        return Size(qty=_scaled(rules.default_size.qty, unit, rules), unit=unit, is_default=True)
    asked = signal.qty_unit or rules.size_unit
    if asked is None and is_inverse:
        return Reason(
            code="QTY_UNIT_NEEDED",
            message="on an inverse perpetual a bare `qty` could be USD or coins; "
            'say `"qty_unit": "contracts"` (USD) or `"base"` (coins)',
        )
    unit = asked or QtyUnit.BASE
    return Size(qty=_scaled(signal.qty, unit, rules), unit=unit)


def _scaled(qty: Decimal, unit: QtyUnit, rules: Rules) -> Decimal:
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
    return size.unit in (QtyUnit.EQUITY_PCT, QtyUnit.MARGIN_PCT, QtyUnit.RISK_PCT)


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
    if needs_any_price and (order_price(signal) is None or _is_risk(size)):
        wanted.add(Need.PRICE)
    return wanted


def _is_risk(size: Size | Reason) -> bool:
    """Its entry is where the order fills, which its own price does not tell."""
    return isinstance(size, Size) and size.unit in (QtyUnit.RISK_PCT, QtyUnit.RISK_QUOTE)


def sizes_of(signal: Signal, rules: Rules, facts: Facts) -> Sizes:
    """All sizes that have a part in what is ordered, in the exchange's unit, not yet rounded."""
    size = size_of(signal, rules, is_inverse=facts.instrument.is_inverse)
    is_own = isinstance(size, Size) and size.is_own
    qty: Decimal | Reason = _UNUSED
    if depends_on_qty(signal, is_own=is_own):
        qty = size if isinstance(size, Reason) else _worked_out(size, signal, rules, facts)
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


def _worked_out(size: Size, signal: Signal, rules: Rules, facts: Facts) -> Decimal | Reason:
    is_risk = _is_risk(size)
    if is_risk and signal.action.is_close:
        # A size by risk is an entry's: such a close means all, as it does where the alert itself names the unit.
        return abs(facts.size or Decimal(0))
    if (unread := _unread(size, signal, facts)) is not None:
        return unread
    return quantity(
        size,
        facts.instrument,
        price=order_price(signal) or facts.price,
        position_size=facts.size,
        equity=facts.equity,
        basis=entry_basis(signal, rules, facts) if is_risk else None,
        leverage=entry_leverage(signal, rules, facts) if size.unit in _BY_MARGIN else None,
    )


def _unread(size: Size, signal: Signal, facts: Facts) -> Reason | None:
    """Why the size cannot be worked out: a fact that it depends on could not be had."""
    wants_price = needs_price(size, is_inverse=facts.instrument.is_inverse) and order_price(signal) is None
    wanted = {Need.PRICE: wants_price, Need.EQUITY: needs_equity(size)}
    return next((facts.unread[need] for need, is_wanted in wanted.items() if is_wanted and need in facts.unread), None)


def _strategys(value: Decimal | None, signal: Signal, rules: Rules, facts: Facts) -> Decimal | Reason | None:
    """A size of the strategy's own position: in coins, or in the unit of its orders. The account takes its share."""
    if value is None:
        return None
    unit = _strategy_unit(signal, rules)
    if unit is None and facts.instrument.is_inverse:
        return Reason(code="QTY_UNIT_NEEDED", message='say `"qty_unit": "contracts"` (USD) or `"base"` (coins)')
    unit = unit or QtyUnit.BASE
    return _worked_out(Size(qty=_scaled(value, unit, rules), unit=unit), signal, rules, facts)


def _strategy_unit(signal: Signal, rules: Rules) -> QtyUnit | None:
    for unit in (signal.qty_unit, rules.size_unit):
        if unit is not None and unit.is_absolute:
            return unit
    return None


def size_inputs(signal: Signal, rules: Rules, facts: Facts) -> dict[str, str]:
    """What the size was worked out from, besides the facts themselves: for the journal and for people."""
    size = size_of(signal, rules, is_inverse=facts.instrument.is_inverse)
    if isinstance(size, Reason):
        return {}
    told = {"size": plain(size.qty), "unit": size.unit.value, "size_scale_pct": plain(rules.size_scale_pct)}
    if not depends_on_qty(signal, is_own=size.is_own):
        return {}
    if _is_risk(size):
        basis = entry_basis(signal, rules, facts)
        told |= {} if isinstance(basis, Reason) else {"entry": plain(basis.entry), "stop": plain(basis.stop)}
    if size.unit in _BY_MARGIN:
        leverage = entry_leverage(signal, rules, facts)
        told |= {} if isinstance(leverage, Reason) else {"leverage": plain(leverage)}
    qty = _worked_out(size, signal, rules, facts)
    return told if isinstance(qty, Reason) else told | {"qty": plain(qty)}
