"""What may hold back an entry. Exits pass always; none of these rules ever sees one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal

from relay.domain.account import Rules
from relay.domain.instrument import Instrument
from relay.domain.limits_entry import hours_refusal
from relay.domain.order import Reason
from relay.domain.order_type import type_refusal
from relay.domain.rounding import plain
from relay.domain.signal import Signal

LEGS_MAX = 50
"""More orders than this for one signal are a mistake in its size, not a wish."""
_WIDE = Context(prec=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The part of an order that opens or adds.

    `resulting_size`: how large the position may become, without sign, once this and all of the relay's own orders of
    its side have filled; None where it is not known.
    """

    qty: Decimal
    order_max: Decimal
    """The largest single order of its type."""
    resulting_size: Decimal | None
    price: Decimal | None
    """What its notional is reckoned with: the limit or trigger price, else the exchange's."""
    dearest_price: Decimal | None = None
    """The highest price it may well fill at, by which the limits go; a sell fills at its limit price or above."""
    market_price: Decimal | None = None
    """What the position is worth at least: the market's price, or a dearer one of its own orders."""
    counts_resting: bool = False


def standing_refusal(
    signal: Signal, rules: Rules, instrument: Instrument, *, now: datetime, halted: str | None
) -> Reason | None:
    """What holds back any entry of this signal, whatever its size: these are checked before anything is read."""
    if rules.no_entries is not None:
        return not_configured(rules.no_entries)
    if halted is not None:
        return halt_reason(halted)
    if (reason := too_old(signal, rules, now)) is not None:
        return reason
    if rules.allowed_symbols is not None and instrument.symbol not in rules.allowed_symbols:
        allowed = ", ".join(sorted(rules.allowed_symbols))
        return Reason(code="SYMBOL_NOT_ALLOWED", message=f"{instrument.symbol} is not among the allowed: {allowed}")
    for hours in (rules.hours, *rules.also_hours):
        if (reason := hours_refusal(hours, now)) is not None:
            return reason
    if not instrument.is_trading:
        return Reason(code="SYMBOL_NOT_TRADING", message=f"{instrument.symbol} is not open for trading at the exchange")
    if signal.reduce_only:
        return Reason(code="ENTRY_WITHHELD", message="the alert says reduce_only, so nothing is opened")
    return type_refusal(signal, rules)


def halt_reason(halted: str) -> Reason:
    """`halted`: who halted and when."""
    return Reason(code="HALTED", message=f"no new entries: {halted}; `python -m relay resume` allows them again")


def not_configured(why: str) -> Reason:
    """`why`: what RELAY_CONFIG does not name any more."""
    return Reason(code="STRATEGY_NOT_CONFIGURED", message=f"no entries: {why}; exits go on")


def too_old(signal: Signal, rules: Rules, now: datetime) -> Reason | None:
    """Why an entry of this signal is not placed any more. That it was old on arrival already has a likely cause."""
    age = now - signal.dated_at
    most = _oldest(signal, rules)
    if _seconds(age) <= most:
        return None
    hint = ""
    if signal.sent_at is not None and _seconds(signal.received_at - signal.sent_at) > most:
        hint = "; it was that old when it arrived: `{{time}}` is the bar's time, put `{{timenow}}` into `time`"
    return Reason(
        code="TIME_TOO_OLD",
        message=f"the entry is {age.total_seconds():.0f} s old, more than {plain(most)} s{hint}",
    )


def _oldest(signal: Signal, rules: Rules) -> Decimal:
    """In seconds; the alert's own bound may only be the stricter one."""
    most = Decimal(rules.signal_max_age_s)
    return most if signal.max_age_s is None else min(most, signal.max_age_s)


def _seconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / 1_000_000


def sized_refusal(entry: Entry, rules: Rules, instrument: Instrument) -> Reason | None:
    """What holds back an entry of this size. Minima come first: they are the exchange's own."""
    if entry.qty < instrument.qty_min:
        return Reason(
            code="QTY_BELOW_MIN",
            message=f"{plain(entry.qty)} {_unit(instrument)} is under the minimum of {plain(instrument.qty_min)}; "
            "it is never rounded up",
        )
    if entry.qty > entry.order_max * LEGS_MAX:
        return Reason(
            code="QTY_ABOVE_MAX",
            message=f"{plain(entry.qty)} {_unit(instrument)} would take more than {LEGS_MAX} orders "
            f"of the exchange's maximum of {plain(entry.order_max)}; check the size and its unit",
        )
    worth = _worth(instrument, entry.qty, entry.price)
    if worth is not None and worth < instrument.notional_min:
        return Reason(
            code="NOTIONAL_BELOW_MIN",
            message=f"the entry is worth {_money(worth, ROUND_DOWN)} {instrument.quote_coin}, "
            f"under the exchange's minimum of {plain(instrument.notional_min)}",
        )
    return _over_a_limit(entry, rules, instrument)


def _worth(instrument: Instrument, qty: Decimal, price: Decimal | None) -> Decimal | None:
    """None where it depends on a price that was not needed."""
    if price is None and not instrument.is_inverse:
        return None
    return instrument.notional(qty, price or Decimal(0))


def _over_a_limit(entry: Entry, rules: Rules, instrument: Instrument) -> Reason | None:
    dearest = max(filter(None, (entry.price, entry.dearest_price)), default=None)
    most = rules.max_order_notional
    if most is not None:
        worth = _worth(instrument, entry.qty, dearest)
        assert worth is not None, "an order limit needs a price"
        if worth > most:
            return Reason(
                code="LIMIT_ORDER_NOTIONAL",
                message=f"the entry is worth {_money(worth, ROUND_UP)} {instrument.quote_coin}, "
                f"over MAX_ORDER_NOTIONAL {plain(most)}",
            )
    return _over_position_limit(entry, rules, instrument)


def resulting_worth(entry: Entry, instrument: Instrument) -> Decimal | None:
    """What the position may come to, in the quote coin; None where position or price were not needed.

    What is open already is worth the market's price, so a far limit price must not make it look small.
    """
    if entry.resulting_size is None:
        return None
    dearer = max(filter(None, (entry.price, entry.dearest_price, entry.market_price)), default=None)
    return _worth(instrument, entry.resulting_size, dearer)


def _over_position_limit(entry: Entry, rules: Rules, instrument: Instrument) -> Reason | None:
    most = rules.max_position_notional
    if most is None:
        return None
    assert entry.resulting_size is not None, "a position limit needs the position"
    resulting = resulting_worth(entry, instrument)
    assert resulting is not None, "a position limit needs a price"
    if resulting > most:
        return Reason(
            code="LIMIT_POSITION_NOTIONAL",
            message=f"the position would be worth {_money(resulting, ROUND_UP)} {instrument.quote_coin}"
            f"{', resting orders included' if entry.counts_resting else ''}, "
            f"over MAX_POSITION_NOTIONAL {plain(most)}",
        )
    return None


def _unit(instrument: Instrument) -> str:
    return "contracts" if instrument.is_inverse else instrument.base_coin


def _money(amount: Decimal, rounding: str) -> str:
    """Rounded away from the bound that it breaks, so that the sentence stays true."""
    return plain(amount.quantize(Decimal("0.01"), rounding=rounding, context=_WIDE))
