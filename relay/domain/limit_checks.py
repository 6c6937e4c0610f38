"""The check of each limit: what an entry comes to against its bound, and why it may not go out. Exits pass always."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Context, Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from relay.domain.instrument import Category, Instrument, plain
from relay.domain.order import PlannedOrder, Purpose, Reason, Side
from relay.domain.plan import Facts, LimitFacts, Working
from relay.domain.position import Position
from relay.domain.rules import Rules, TradingHours
from relay.domain.signal import Signal

# The leverage that an entry asks for: set before it leaves, and only while no position is open.


def requested_leverage(signal: Signal, rules: Rules) -> Decimal | None:
    """The alert's own, else the strategy's default one; None if the symbol's stays as it is."""
    return signal.leverage or rules.default_leverage


def leverage_refusal(signal: Signal, rules: Rules, instrument: Instrument) -> Reason | None:
    """Why an entry with the leverage that is asked for may not go out."""
    requested = requested_leverage(signal, rules)
    if requested is None:
        return None
    for most, whose in ((instrument.leverage_max, "the exchange's maximum of"), (rules.max_leverage, "MAX_LEVERAGE")):
        if most is not None and requested > most:
            message = f"a leverage of {plain(requested)} is over {whose} {plain(most)} on {instrument.symbol}"
            return Reason(code="LIMIT_LEVERAGE", message=message)
    return None


def with_leverage(
    orders: tuple[PlannedOrder, ...], requested: Decimal | None, facts: Facts
) -> tuple[tuple[PlannedOrder, ...], tuple[str, ...]]:
    """The first order that opens sets the leverage where it differs; with a position open it stays, and a note says so.

    The exchange names the symbol's leverage even where no position is open.
    """
    position = facts.position
    if requested is None or position is None or position.leverage == requested:
        return orders, ()
    first = next((place for place, each in enumerate(orders) if each.purpose is not Purpose.EXIT), None)
    if first is None:
        return orders, ()
    if position.size != 0:
        stands = f" at {plain(position.leverage)}" if position.leverage is not None else ""
        return orders, (f"the leverage stays{stands} while a position is open; {plain(requested)} was asked for",)
    setting = replace(orders[first], leverage=requested)
    return (*orders[:first], setting, *orders[first + 1 :]), ()


LEGS_MAX = 50
"""More orders than this for one signal are a mistake in its size, not a wish."""
_WIDE = Context(prec=100)
_CENT = Decimal("0.01")
_ZERO = Decimal(0)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_Key = tuple[Category, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The part of an order that opens or adds.

    `resulting_size`: how large the position may become, without sign, once this and all of the relay's own orders of
    its side have filled; None where it is not known.
    """

    qty: Decimal
    order_max: Decimal
    """The largest single order of its type."""
    money: Decimal | None = None
    """What it may cost in the quote coin, where it is ordered by that."""
    resulting_size: Decimal | None
    price: Decimal | None
    """What its notional is reckoned with: the limit or trigger price, else the exchange's."""
    dearest_price: Decimal | None = None
    """The highest price it may well fill at, by which the limits go; a sell fills at its limit price or above."""
    market_price: Decimal | None = None
    """What the position is worth at least: the market's price, or a dearer one of its own orders."""
    counts_resting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An entry that is held against the limits. `entry`: None before LimitStage.SIZE."""

    signal: Signal
    rules: Rules
    facts: Facts
    entry: Entry | None = None

    @property
    def sized(self) -> Entry:
        assert self.entry is not None, "this limit is checked once the entry has its size"
        return self.entry

    @property
    def counted(self) -> LimitFacts:
        return self.facts.limits or LimitFacts()

    @property
    def key(self) -> _Key:
        return self.facts.instrument.category, self.facts.instrument.symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitVerdict:
    """`number`: what the entry came to, for people, if anything.

    `refused`: why it may not go out; None if it passes.
    """

    number: str | None = None
    refused: Reason | None = None


def check_symbols(allowed: frozenset[str], requested: Candidate) -> LimitVerdict:
    symbol = requested.facts.instrument.symbol
    if symbol in allowed:
        return LimitVerdict(number=symbol)
    message = f"{symbol} is not among the allowed: {', '.join(sorted(allowed))}"
    return LimitVerdict(number=symbol, refused=Reason(code="SYMBOL_NOT_ALLOWED", message=message))


def check_hours(groups: tuple[tuple[TradingHours, ...], ...], requested: Candidate) -> LimitVerdict:
    now = requested.facts.now
    refused = next(filter(None, (hours_refusal(group, now) for group in groups)), None)
    return LimitVerdict(number=_local(groups[0][0], now), refused=refused)


def hours_refusal(hours: tuple[TradingHours, ...], now: datetime) -> Reason | None:
    """`now`: aware. One of the periods must be open."""
    if any(is_open(each, now) for each in hours):
        return None
    message = f"it is {_local(hours[0], now)} in {hours[0].zone}, and the strategy's hours are {periods(hours)}"
    return Reason(code="LIMIT_HOURS", message=message)


def is_open(hours: TradingHours, now: datetime) -> bool:
    """By the wall clock of the zone: what is repeated when the clock goes back is open twice."""
    local = now.astimezone(_zone(hours.zone))
    clock, today = local.time(), local.weekday()
    if hours.opens < hours.closes:
        return today in hours.weekdays and hours.opens <= clock < hours.closes
    yesterday = (local.date() - timedelta(days=1)).weekday()
    return (today in hours.weekdays and clock >= hours.opens) or (yesterday in hours.weekdays and clock < hours.closes)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _local(hours: TradingHours, now: datetime) -> str:
    local = now.astimezone(_zone(hours.zone))
    return f"{_DAYS[local.weekday()]} {local:%H:%M}"


def periods(group: tuple[TradingHours, ...]) -> str:
    return "; ".join(
        f"{' '.join(_DAYS[day] for day in sorted(each.weekdays))} {each.opens:%H:%M}-{each.closes:%H:%M} {each.zone}"
        for each in group
    )


def check_leverage(most: Decimal, requested: Candidate) -> LimitVerdict:
    """What is asked for is set only while nothing is open; else the exchange's own is the entry's leverage."""
    signal, rules, facts = requested.signal, requested.rules, requested.facts
    wanted, stands = requested_leverage(signal, rules), facts.position.leverage if facts.position else None
    is_set_first = wanted is not None and not facts.size
    refused = leverage_refusal(signal, rules, facts.instrument)
    if refused is None and not is_set_first and (stands is None or stands > most):
        message = (
            f"the exchange shows no leverage, so MAX_LEVERAGE {plain(most)} cannot be checked"
            if stands is None
            else f"the leverage set at the exchange is {plain(stands)}, over MAX_LEVERAGE {plain(most)}"
        )
        refused = Reason(code="LIMIT_LEVERAGE", message=message)
    number = wanted if is_set_first else stands
    return LimitVerdict(number=plain(number) if number is not None else None, refused=refused)


def check_distance(most: Decimal, requested: Candidate) -> LimitVerdict | None:
    reported, price = requested.signal.signal_price, requested.facts.price
    if reported is None or reported <= 0:
        return None
    assert price is not None, "a distance limit needs the price"
    away = abs(price - reported) * 100
    number = f"{_cents(away / reported)} %"
    if away <= most * reported:
        return LimitVerdict(number=number)
    shown = (away / reported).quantize(_CENT, rounding=ROUND_UP)
    message = (
        f"the market at {plain(price)} is {plain(shown)} % from the signal_price {plain(reported)}, "
        f"over max_distance {plain(most)} %"
    )
    return LimitVerdict(number=number, refused=Reason(code="LIMIT_DISTANCE", message=message))


def check_order_notional(most: Decimal, requested: Candidate) -> LimitVerdict:
    entry, instrument = requested.sized, requested.facts.instrument
    dearest = max(filter(None, (entry.price, entry.dearest_price)), default=None)
    worth = entry.money or _worth(instrument, entry.qty, dearest)
    assert worth is not None, "an order limit needs a price"
    number = f"{_cents(worth)} {instrument.quote_coin}"
    if worth <= most:
        return LimitVerdict(number=number)
    message = (
        f"the entry is worth {_money(worth, ROUND_UP)} {instrument.quote_coin}, over MAX_ORDER_NOTIONAL {plain(most)}"
    )
    return LimitVerdict(number=number, refused=Reason(code="LIMIT_ORDER_NOTIONAL", message=message))


def check_position_notional(most: Decimal, requested: Candidate) -> LimitVerdict:
    entry, instrument = requested.sized, requested.facts.instrument
    worth = resulting_worth(entry, instrument)
    assert worth is not None, "a position limit needs the position and a price"
    number = f"{_cents(worth)} {instrument.quote_coin}"
    if worth <= most:
        return LimitVerdict(number=number)
    message = (
        f"the position would be worth {_money(worth, ROUND_UP)} {instrument.quote_coin}"
        f"{', resting orders included' if entry.counts_resting else ''}, "
        f"over MAX_POSITION_NOTIONAL {plain(most)}"
    )
    return LimitVerdict(number=number, refused=Reason(code="LIMIT_POSITION_NOTIONAL", message=message))


def check_entries(most: int, requested: Candidate) -> LimitVerdict:
    count = requested.counted.entries_last_minute
    if count is not None and count < most:
        return LimitVerdict(number=str(count))
    message = f"{count} entries went out in the last minute, and entries_per_minute is {most}"
    return LimitVerdict(number=str(count), refused=Reason(code="LIMIT_RATE", message=message))


def check_cooldown(cooldown_s: int, requested: Candidate) -> LimitVerdict:
    at = requested.counted.stopped_at
    if at is None:
        return LimitVerdict(number="no stop")
    number, until = f"stopped at {at:%H:%M:%S} UTC", at + timedelta(seconds=cooldown_s)
    if requested.facts.now >= until:
        return LimitVerdict(number=number)
    message = (
        f"a stop loss closed the position at {at:%H:%M:%S} UTC, "
        f"and cooldown is {cooldown_s} s: no entry until {until:%H:%M:%S} UTC"
    )
    return LimitVerdict(number=number, refused=Reason(code="LIMIT_COOLDOWN", message=message))


def check_daily_loss(most: Decimal, requested: Candidate) -> LimitVerdict:
    day = requested.counted.day
    assert day is not None, "a daily loss limit needs the day's result"
    number = f"{_cents(-day.worst)} USD"
    if -day.worst < most:
        return LimitVerdict(number=number)
    message = (
        f"the day's loss came to {_money(-day.worst)} USD (realised {_money(day.realised)}, open "
        f"{_money(day.unrealised)}), and DAILY_LOSS_LIMIT is {plain(most)}: no entry until 00:00 UTC"
    )
    return LimitVerdict(number=number, refused=Reason(code="LIMIT_DAILY_LOSS", message=message))


def check_positions(most: int, requested: Candidate) -> LimitVerdict:
    facts = requested.counted
    open_now = {(each.category, each.symbol) for each in facts.positions or () if each.size}
    open_now |= {(each.category, each.symbol) for each in facts.working}
    number = str(len(open_now | {requested.key}))
    if requested.key in open_now or len(open_now) < most:
        return LimitVerdict(number=number)
    message = f"{len(open_now)} symbols are open or have entries at the exchange, and max_positions is {most}"
    return LimitVerdict(number=number, refused=Reason(code="LIMIT_POSITIONS", message=message))


def check_exposure(most: Decimal, requested: Candidate) -> LimitVerdict:
    worth = resulting_worth(requested.sized, requested.facts.instrument)
    assert worth is not None, "an exposure limit needs a price"
    elsewhere = exposure_elsewhere(requested.counted, requested.key)
    number = f"{_cents(worth + elsewhere)} USD"
    if worth + elsewhere <= most:
        return LimitVerdict(number=number)
    message = (
        f"the account would hold {_money(worth + elsewhere)} USD ({_money(elsewhere)} of it in other symbols), "
        f"over max_exposure {plain(most)}"
    )
    return LimitVerdict(number=number, refused=Reason(code="LIMIT_EXPOSURE", message=message))


def exposure_elsewhere(facts: LimitFacts, key: _Key) -> Decimal:
    """What all other symbols may come to, in USD: each as large as its own orders can still make it."""
    held = {(each.category, each.symbol): each for each in facts.positions or () if each.size}
    keys = set(held) | {(each.category, each.symbol) for each in facts.working}
    return sum((_worst(each, held.get(each), facts.working) for each in keys - {key}), _ZERO)


def _worst(key: _Key, held: Position | None, working: tuple[Working, ...]) -> Decimal:
    of_key = [each for each in working if (each.category, each.symbol) == key]
    prices = [each.price for each in of_key] + ([held.mark_price or held.avg_price] if held else [])
    price = max((each for each in prices if each is not None), default=_ZERO)
    size = held.size if held else _ZERO
    qty = max(largest_size(size, side, of_key) for side in Side)
    return qty if key[0] is Category.INVERSE else qty * price


def largest_size(size: Decimal, side: Side, working: list[Working]) -> Decimal:
    """How large a position of that side may become once every one of its orders has filled, and nothing else."""
    return max(size * side.sign, _ZERO) + sum((each.qty for each in working if each.side is side), _ZERO)


QTY_BELOW_MIN = "QTY_BELOW_MIN"


def size_refusal(entry: Entry, instrument: Instrument) -> Reason | None:
    """An entry that the exchange would not take for its size."""
    if entry.qty < instrument.qty_min:
        return Reason(
            code=QTY_BELOW_MIN,
            message=f"{plain(entry.qty)} {_unit(instrument)} is under the minimum of {plain(instrument.qty_min)}; "
            "it is never rounded up",
        )
    if entry.qty > entry.order_max * LEGS_MAX:
        return Reason(
            code="QTY_ABOVE_MAX",
            message=f"{plain(entry.qty)} {_unit(instrument)} would take more than {LEGS_MAX} orders "
            f"of the exchange's maximum of {plain(entry.order_max)}; check the size and its unit",
        )
    worth = entry.money or _worth(instrument, entry.qty, entry.price)
    if worth is not None and worth < instrument.notional_min:
        return Reason(
            code="NOTIONAL_BELOW_MIN",
            message=f"the entry is worth {_money(worth, ROUND_DOWN)} {instrument.quote_coin}, "
            f"under the exchange's minimum of {plain(instrument.notional_min)}",
        )
    return None


def resulting_worth(entry: Entry, instrument: Instrument) -> Decimal | None:
    """What the position may come to, in the quote coin; None where position or price were not needed.

    What is open already is worth the market's price, so a far limit price must not make it look small.
    """
    if entry.resulting_size is None:
        return None
    dearer = max(filter(None, (entry.price, entry.dearest_price, entry.market_price)), default=None)
    return _worth(instrument, entry.resulting_size, dearer)


def _worth(instrument: Instrument, qty: Decimal, price: Decimal | None) -> Decimal | None:
    """None where it depends on a price that was not needed."""
    if price is None and not instrument.is_inverse:
        return None
    return instrument.notional(qty, price or Decimal(0))


def _unit(instrument: Instrument) -> str:
    return "contracts" if instrument.is_inverse else instrument.base_coin


def _money(amount: Decimal, rounding: str = ROUND_UP) -> str:
    """Rounded away from the bound that it breaks, so that the sentence stays true."""
    return plain(amount.quantize(_CENT, rounding=rounding, context=_WIDE))


def _cents(amount: Decimal) -> str:
    return plain(amount.quantize(_CENT, rounding=ROUND_HALF_UP, context=_WIDE))
