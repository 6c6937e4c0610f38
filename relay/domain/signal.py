"""A signal: an alert that was accepted and validated; what makes two the same; and the chain of a strategy's
positions."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from relay.domain.instrument import Category, TradedMarket, plain
from relay.domain.order import IfPassed, OrderType, Purpose, Side, TimeInForce, TriggerBy

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_LENGTH = 26
_RANDOM_BITS = 80
_SIDES = {"buy": Side.BUY, "long": Side.BUY, "sell": Side.SELL, "short": Side.SELL}
_CLOSES = ("close", "close_long", "close_short", "flat", "exit")


def new_signal_id(now_ms: int) -> str:
    """26 characters of lower-case Crockford base32: 48 bits of Unix milliseconds, then 80 random bits.

    Ids of later milliseconds sort after earlier ones.
    """
    assert 0 <= now_ms < 1 << 48, f"not Unix milliseconds: {now_ms}"
    return _spelled(now_ms << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS))


def first_id_at(at_ms: int) -> str:
    """The smallest id of that millisecond: ids of signals that came then or later do not sort before it."""
    return _spelled(at_ms << _RANDOM_BITS)


def made_at_ms(signal_id: str) -> int:
    """The millisecond that the id was made for."""
    number = 0
    for letter in signal_id[: _LENGTH - _RANDOM_BITS // 5]:
        number = number << 5 | _ALPHABET.index(letter)
    return number


def _spelled(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range((_LENGTH - 2) * 5, -1, -10)])


class Action(StrEnum):
    BUY = "buy"
    SELL = "sell"
    LONG = "long"
    SHORT = "short"
    CLOSE = "close"
    CLOSE_LONG = "close_long"
    CLOSE_SHORT = "close_short"
    FLAT = "flat"
    EXIT = "exit"
    REVERSE = "reverse"
    TARGET = "target"
    CANCEL = "cancel"
    STOPS = "stops"
    HEARTBEAT = "heartbeat"
    ADD = "add"
    """Of other services' alerts only: more on the side that is open, whichever it is."""

    def __init__(self, word: str) -> None:
        self.side = _SIDES.get(word)
        """The side an action names by itself."""
        self.is_close = word in _CLOSES
        """Asks for an exit and nothing else."""
        self.clears_resting = self.is_close or word in ("long", "short", "reverse", "target")
        """The relay's own resting orders of the symbol are cancelled before the position is read."""


class QtyUnit(StrEnum):
    BASE = "base"
    CONTRACTS = "contracts"
    QUOTE = "quote"
    EQUITY_PCT = "equity_pct"
    MARGIN_PCT = "margin_pct"
    POSITION_PCT = "position_pct"
    RISK_PCT = "risk_pct"
    RISK_QUOTE = "risk_quote"
    MARGIN_QUOTE = "margin_quote"
    """Of other services' alerts only: margin of so much in the quote coin, times the leverage."""

    def __init__(self, word: str) -> None:
        self.is_absolute = word in ("base", "contracts")
        """A size of the strategy's own kind, that can be compared with a position without a price."""


def can_only_exit(action: Action, *, reduce_only: bool, strategy_sign: int | None) -> bool:
    """Whether the action opens nothing, whatever is open. `strategy_sign`: where the strategy stands afterwards."""
    if action.is_close or reduce_only:
        return True
    if action is Action.TARGET:
        return strategy_sign == 0
    is_fill = action in (Action.BUY, Action.SELL)
    return is_fill and strategy_sign is not None and action.side is not None and strategy_sign != action.side.sign


NATIVE_ACTIONS = tuple(each for each in Action if each is not Action.ADD)
NATIVE_UNITS = tuple(each for each in QtyUnit if each is not QtyUnit.MARGIN_QUOTE)


class MarketSide(StrEnum):
    """The strategy's own position, as the sender knows it."""

    LONG = "long"
    SHORT = "short"
    FLAT = "flat"

    def __init__(self, word: str) -> None:
        self.sign = {"long": 1, "short": -1, "flat": 0}[word]


class LevelKind(StrEnum):
    PRICE = "price"
    DISTANCE = "distance"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A take profit or stop loss: a price, or a distance from the entry.

    `value` of a distance is signed: above zero towards profit, below towards loss, for shorts too. `sign_given` is
    false for a bare percentage, which lies on its field's natural side.
    """

    kind: LevelKind
    value: Decimal
    sign_given: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeProfit:
    """One leg of a ladder: `share_pct` percent of the position at `at`."""

    at: Level
    share_pct: Decimal = Decimal(100)
    moves_stop_to_entry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What one alert asks for. `qty` and sizes carry no sign unless said so; prices are in the quote coin."""

    id: str
    strategy: str
    action: Action
    received_at: datetime
    ticker: str | None = None
    exchange: str | None = None
    category: Category | None = None
    symbol: str | None = None
    """The resolved instrument; None until resolved, and for a heartbeat."""
    market: TradedMarket | None = None
    """What the alert itself says of it; None means the strategy's."""
    sent_at: datetime | None = None
    sender_id: str | None = None
    order_id: str | None = None
    qty: Decimal | None = None
    qty_unit: QtyUnit | None = None
    type: OrderType = OrderType.MARKET
    names_type: bool = False
    """Whether the alert itself says its order type; else the strategy's may count."""
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_by: TriggerBy = TriggerBy.LAST
    if_passed: IfPassed | None = None
    """None means the strategy's."""
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    slippage_pct: Decimal | None = None
    valid_for_s: int | None = None
    take_profits: tuple[TakeProfit, ...] = ()
    stop_loss: Level | None = None
    trailing_stop: Level | None = None
    trailing_start: Level | None = None
    leverage: Decimal | None = None
    market_position: MarketSide | None = None
    market_position_size: Decimal | None = None
    prev_market_position: MarketSide | None = None
    prev_market_position_size: Decimal | None = None
    position_size: Decimal | None = None
    """Signed, as `{{strategy.position_size}}` is."""
    has_synthetic_position: bool = False
    """The alert's format made the market position up: it says how to read the action, not where a strategy stands."""
    is_side_only: bool = False
    """Of a `target`: `qty` is the user's own size, with which a side is entered; a position on it stays as it is."""
    clears_first: bool = False
    """What rests of the relay's own and opens or adds is cancelled before anything is ordered."""
    frees_coins: bool = False
    """Of spot: what rests of the relay's own and has the coins set aside is cancelled before they are sold."""
    stays_as_large: bool = False
    """Of `long` and `short`: a position on that side is left as it is, however small."""
    may_hold_exit: bool = False
    """Of TradersPost's reversals: whether `qty` holds the exit, too, is for the key `subtract_exit` to say."""
    max_age_s: Decimal | None = None
    """An entry that is older is not placed, where that is less than the strategy's own bound."""
    signal_price: Decimal | None = None
    accounts: tuple[str, ...] = ()
    """Empty: the strategy's own accounts."""
    comment: str | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def clears_resting(self) -> bool:
        """The relay's own resting orders of the symbol are cancelled before the position is read."""
        return self.frees_coins or self._clears_entries

    @property
    def _clears_entries(self) -> bool:
        return self.clears_first or self.action.clears_resting or self.action is Action.CANCEL

    def clears(self, purpose: Purpose) -> bool:
        """Whether an order of that purpose is among them."""
        is_exit = purpose is Purpose.EXIT
        return self.action.clears_resting or (self.frees_coins if is_exit else self._clears_entries)

    @property
    def side(self) -> Side:
        """The side that the action names; it has one."""
        side = self.action.side
        assert side is not None, f"{self.action} has no side"
        return side

    @property
    def strategy_sign(self) -> int | None:
        """The side on which the strategy stands afterwards: 1, -1, 0 for flat; None where the alert does not say."""
        if self.market_position is not None:
            return self.market_position.sign
        size = self.position_size
        return None if size is None else (size > 0) - (size < 0)

    @property
    def strategy_size(self) -> Decimal | None:
        """The size of the strategy's own position afterwards, without sign, as the alert has it."""
        if self.market_position_size is not None or self.position_size is None:
            return self.market_position_size
        return abs(self.position_size)

    @property
    def only_exits(self) -> bool:
        """Whether the signal opens nothing, whatever is open."""
        # Planning goes by the strategy's side: of a `buy` or `sell` by `market_position` alone.
        is_read = self.action is Action.TARGET or self.market_position is not None
        sign = self.strategy_sign if is_read else None
        return can_only_exit(self.action, reduce_only=self.reduce_only, strategy_sign=sign)

    @property
    def may_exit(self) -> bool:
        """Whether it only exits, or says by itself that it leaves the other side before it opens."""
        if self.only_exits or self.action in (Action.LONG, Action.SHORT, Action.REVERSE):
            return True
        after, before = self.strategy_sign, self.prev_market_position
        if self.action not in (Action.BUY, Action.SELL, Action.TARGET) or after is None:
            return False
        return before.sign * after < 0 if before is not None else self.action is Action.TARGET


# What makes two alerts the same one.


class IdentityKind(StrEnum):
    """By what an alert is told from others, and thereby for how long.

    `id_time`: the sender's `id` and `time` together, for good. `id`: the sender's `id` alone, for ten minutes.
    `body`: the bytes themselves, for the strategy's deduplication window.
    """

    ID_TIME = "id_time"
    ID = "id"
    BODY = "body"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An alert's identity within its strategy. Equal keys of one kind are the same alert, or a clash to be refused."""

    kind: IdentityKind
    key: str


def reused_id(sender_id: str | None, first_signal_id: str) -> str:
    """What is wrong with an `id` that came before, with another body or long ago."""
    return (
        f"{sender_id!r} was used before, by signal {first_signal_id}: an `id` must be new for each alert; "
        "`{{strategy.order.id}}` belongs in `order_id`"
    )


# The chain of a strategy's positions: each alert says where the strategy stood and stands, so a lost one shows.


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOISE = Decimal("1e-9")
"""Sizes that differ by no more than this share are the same: TradingView reckons in binary floating point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a strategy stands. `size`: without sign and in its own unit; None where only the side was said."""

    side: MarketSide
    size: Decimal | None = None

    def is_like(self, other: Standing) -> bool:
        """Whether both may be one and the same position."""
        if self.side is not other.side:
            return False
        if self.side is MarketSide.FLAT or self.size is None or other.size is None:
            return True
        return abs(self.size - other.size) <= _NOISE * max(self.size, other.size)

    def __str__(self) -> str:
        return self.side.value if self.side is MarketSide.FLAT or not self.size else f"{self.side} {plain(self.size)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLink:
    """One alert's part of the chain. `sent_at_ms`: when it left the sender, Unix milliseconds, if it says so."""

    before: Standing
    after: Standing
    sent_at_ms: int | None = None
    filled: Decimal | None = None
    """The order's own size in the strategy's unit, signed; None where the alert names none."""


class Fit(StrEnum):
    """How an alert fits to the one before it."""

    FIRST = "first"
    FITS = "fits"
    MISSING = "missing"
    """At least one alert between the two did not come."""
    OVERTAKEN = "overtaken"
    """It belongs before the last one, and came after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """What is known of a strategy's chain. `open_from`: where a gap before `link` begins; None if no gap is open."""

    link: ChainLink
    fit: Fit
    open_from: Standing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An alert in its chain: what the chain is now, and a note for people where it does not fit."""

    last: Last
    fit: Fit
    note: str | None = None

    @property
    def size_before(self) -> Decimal | None:
        """Of a reversal: how large the strategy was, as its last alert left it."""
        before, after = self.last.link.before, self.last.link.after
        is_reversal = self.fit is Fit.FITS and before.side.sign * after.side.sign < 0
        return before.size if is_reversal else None


def link_of(signal: Signal) -> ChainLink | None:
    """None where the alert says too little, or where its format made its position up."""
    after, before = signal.market_position, signal.prev_market_position
    if after is None or before is None or signal.has_synthetic_position:
        return None
    is_fill = signal.qty is not None and (signal.qty_unit is None or signal.qty_unit.is_absolute)
    return ChainLink(
        before=Standing(side=before, size=signal.prev_market_position_size),
        after=Standing(side=after, size=signal.market_position_size),
        sent_at_ms=(signal.sent_at - _EPOCH) // timedelta(milliseconds=1) if signal.sent_at else None,
        filled=signal.side.sign * signal.qty if signal.qty is not None and is_fill and signal.action.side else None,
    )


def judged(link: ChainLink, last: Last | None) -> Judged:
    """`link`, the next to be accepted, after all that came before it."""
    link = _sized(link, last)
    if last is None:
        return Judged(last=Last(link=link, fit=Fit.FIRST), fit=Fit.FIRST)
    if _fills_exactly(link, last):
        return _overtaken(link, last)
    if link.before.is_like(last.link.after):
        return Judged(last=Last(link=link, fit=Fit.FITS), fit=Fit.FITS)
    if _belongs_before(link, last):
        return _overtaken(link, last)
    note = (
        f"at least one alert of the strategy is missing: it stood at {last.link.after} after its last alert here, "
        f"and this one begins at {link.before}"
    )
    return Judged(
        last=Last(link=link, fit=Fit.MISSING, open_from=last.open_from or last.link.after), fit=Fit.MISSING, note=note
    )


def _sized(link: ChainLink, last: Last | None) -> ChainLink:
    """With the sizes that the alert leaves out, as far as the strategy's last alert and the order's own size tell."""
    before, after = link.before, link.after
    if before.size is None and before.side is MarketSide.FLAT:
        before = replace(before, size=Decimal(0))
    elif before.size is None and last is not None and last.link.after.side is before.side:
        before = last.link.after
    if after.size is None and before.size is not None and link.filled is not None:
        size = (before.side.sign * before.size + link.filled) * after.side.sign
        after = replace(after, size=size) if size > 0 else after
    return replace(link, before=before, after=after)


def _fills_exactly(link: ChainLink, last: Last) -> bool:
    """Whether it is what was missing before the last one, and no newer; then it came late, even if it fits behind, too.

    Before the very first alert nothing is known to be missing: there it has to be older. Two alerts of one second can
    not be told apart while no gap is open.
    """
    return _belongs_before(link, last) and (last.open_from is None or link.before.is_like(last.open_from))


def _belongs_before(link: ChainLink, last: Last) -> bool:
    """Only where something was missing there, and only where the times allow it.

    A strategy passes the same size more than once, so the sizes alone do not tell a late alert from a loss; taken for
    late, an exit would not be followed.
    """
    if link.sent_at_ms is None or last.link.sent_at_ms is None or not link.after.is_like(last.link.before):
        return False
    if last.open_from is None:
        return last.fit is Fit.FIRST and link.sent_at_ms < last.link.sent_at_ms
    return link.sent_at_ms <= last.link.sent_at_ms


def _overtaken(link: ChainLink, last: Last) -> Judged:
    """The chain ends where it ended; what is before its last alert has grown by this one."""
    grown = ChainLink(before=link.before, after=last.link.after, sent_at_ms=last.link.sent_at_ms)
    is_whole = last.open_from is None or link.before.is_like(last.open_from)
    note = (
        f"this alert came after the one that follows it: it leads from {link.before} to {link.after}, "
        f"and the strategy stands at {last.link.after} already"
    )
    fit = last.fit if last.fit is Fit.FIRST else Fit.FITS if is_whole else Fit.MISSING
    return Judged(
        last=Last(link=grown, fit=fit, open_from=None if is_whole else last.open_from), fit=Fit.OVERTAKEN, note=note
    )


# How old an alert is: by the exchange's clock where it says when it left, else since it was received.


_FUTURE_MAX: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalAge:
    """`on_arrival`: how old it was already when it was received. `is_measured`: by the exchange's clock as measured."""

    age: timedelta
    on_arrival: timedelta = timedelta(0)
    is_measured: bool = True
    note: str | None = None
    """For people: why its own time does not count."""


_SPANS: Final = (("days", 86_400), ("h", 3600), ("min", 60))


def span(seconds: float) -> str:
    """In seconds as long as those count, else in the largest unit of which there are two."""
    units = ((unit, size) for unit, size in _SPANS if seconds >= max(2 * size, 300))
    return next((f"{seconds // size:.0f} {unit}" for unit, size in units), f"{seconds:.0f} s")


def age_of(signal: Signal, *, since_receipt: timedelta, exchange_now: datetime, is_measured: bool = True) -> SignalAge:
    """`since_receipt`: by a clock that does not jump, as far as there is one.

    A sender whose clock is ahead gains no time by it: what it dates into the future counts from receipt.
    """
    if signal.sent_at is None:
        return SignalAge(age=since_receipt, is_measured=is_measured)
    age = exchange_now - signal.sent_at
    ahead = since_receipt - age
    if ahead > _FUTURE_MAX:
        note = (
            f"`time` was {ahead // timedelta(seconds=1):,} s in the future by the exchange's clock: "
            "the alert's age counts from receipt"
        )
        return SignalAge(age=since_receipt, is_measured=is_measured, note=note if is_measured else None)
    return SignalAge(age=max(age, since_receipt), on_arrival=-ahead, is_measured=is_measured)
