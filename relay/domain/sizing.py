"""From the size an alert names to a quantity in the exchange's unit, not yet rounded."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, Context, Decimal

from relay.domain.instrument import Instrument
from relay.domain.intent import Intent, Size, needs_equity, needs_price, scaled
from relay.domain.move import Sizes
from relay.domain.order import Reason
from relay.domain.plan import Facts, Need
from relay.domain.risk import Basis, entry_basis, entry_leverage, risked
from relay.domain.rounding import plain
from relay.domain.signal import QtyUnit

_PERCENT = Decimal(100)
_BY_MARGIN = (QtyUnit.MARGIN_PCT, QtyUnit.MARGIN_QUOTE)
_DOWN = Context(prec=28, rounding=ROUND_DOWN)
"""Never up: what a size comes to is never more than was asked."""
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
        inputs=inputs,
    )


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
