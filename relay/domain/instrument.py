"""An instrument: its rules, which ticker means it, and rounding to its grids. Decimal arithmetic only."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from enum import StrEnum
from typing import Final

NOT_LISTED: Final = "not listed any more"
PRE_LAUNCH: Final = "PreLaunch"


class TradedMarket(StrEnum):
    """What an alert's ticker is to be traded as."""

    PERPETUAL = "perpetual"
    SPOT = "spot"


class Category(StrEnum):
    """A perpetual that is settled in a stable coin (linear) or in the coin itself (inverse); or coins (spot)."""

    LINEAR = "linear"
    INVERSE = "inverse"
    SPOT = "spot"

    def __init__(self, word: str) -> None:
        self.has_positions = word != "spot"
        """The exchange keeps a position of it; else the coins are held, and only the relay knows which are its own."""
        self.market = TradedMarket.PERPETUAL if self.has_positions else TradedMarket.SPOT


def shown_symbol(symbol: object, category: object) -> str:
    """With the market's name where it is not a perpetual: BTCUSDT is the name of both."""
    is_other = category in list(Category) and not Category(str(category)).has_positions
    return f"{symbol} {Category(str(category)).market.value}" if is_other else str(symbol)


PERPETUALS: Final = tuple(each for each in Category if each.has_positions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """The trading rules of one perpetual, or of one pair of coins.

    Quantities are in the exchange's unit: coins on linear and spot, USD contracts on inverse. Prices are in the quote
    coin, in which a pair is settled.
    Source: the exchange's `GET /v5/market/instruments-info` (`priceFilter`, `lotSizeFilter`, `leverageFilter`).
    """

    category: Category
    symbol: str
    base_coin: str
    quote_coin: str
    settle_coin: str
    is_trading: bool
    tick_size: Decimal
    price_min: Decimal
    price_max: Decimal
    qty_step: Decimal
    qty_min: Decimal
    qty_max: Decimal
    """The largest limit order."""
    qty_max_market: Decimal
    notional_min: Decimal
    """In the quote coin; zero where the exchange names none."""
    leverage_max: Decimal
    status: str = "Trading"
    """In the exchange's words; `NOT_LISTED` once it has dropped it."""
    delivery_at: datetime | None = None
    """When what is open is settled by the exchange; None: it has not said so."""
    kind: str = ""
    """In the exchange's words: `stock`, `commodity`, `forex`, `innovation`; empty for the rest."""
    unreadable: str | None = None
    """Which of its rules could not be read, so that nothing may be opened."""
    money_step: Decimal | None = None
    """Of what a market buy may cost, where the exchange takes an amount of the quote coin; None: it takes none."""

    is_inverse: bool = field(init=False)
    is_held: bool = field(init=False)
    """Coins are held, not a position: they are only bought and sold, on a grid and above a minimum."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_inverse", self.category is Category.INVERSE)
        object.__setattr__(self, "is_held", not self.category.has_positions)

    @property
    def state(self) -> str:
        """For people: that it is not open for trading, and until when."""
        when = (
            "" if self.delivery_at is None else f"; what is open is delivered at {self.delivery_at:%Y-%m-%d %H:%M} UTC"
        )
        return f"{self.symbol} is not open for trading at the exchange ({self.status}){when}"

    def is_dust(self, size: Decimal, price: Decimal | None) -> bool:
        """Whether coins are certainly too few to be sold at about `price`. A position can always be closed."""
        if not self.is_held:
            return False
        qty = floor_to(abs(size), self.qty_step)
        return qty < self.qty_min or qty == 0 or (price is not None and qty * price * _NEAR < self.notional_min)

    def largest_order(self, *, has_limit: bool) -> Decimal:
        """What one order may be at most, with a limit price or at market."""
        return self.qty_max if has_limit else self.qty_max_market

    def notional(self, qty: Decimal, price: Decimal) -> Decimal:
        """What `qty` is worth in the quote coin; an inverse contract is worth one USD at any price."""
        return qty if self.is_inverse else qty * price


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBounds:
    """Between which limit prices the exchange takes orders at this moment. Source: docs/v5/account/set-price-limit.mdx.

    `moves`: a price beyond them is moved to the bound, not refused; None: the exchange does not say which.
    """

    buy_max: Decimal
    sell_min: Decimal
    moves: bool | None

    def note(self, *, is_buy: bool, price: Decimal) -> str | None:
        """What would become of a limit price, for people; None if it is within."""
        bound = self.buy_max if is_buy else self.sell_min
        if price <= bound if is_buy else price >= bound:
            return None
        what = {True: "would be moved there", False: "would be refused", None: "would be moved there or refused"}
        word = "a buy's limit price is at most" if is_buy else "a sell's limit price is at least"
        return f"{word} {plain(bound)} at the exchange just now: {plain(price)} {what[self.moves]}"


# Which perpetual or pair a ticker means, whichever venue's spelling it has.


_MULTIPLIER_FIRST = re.compile(r"^(10{3,})([A-Z].*)$")
_MULTIPLIER_LAST = re.compile(r"^(.*[A-Z])(10{3,})$")
_QUOTES = ("USDT", "USDC", "USD")
_ALIASES = {"XBT": "BTC"}
_NEAR = Decimal("1.05")
"""So far a price may be off before what it makes of an amount is certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolUnknown:
    """No instrument is certainly meant. `message` names the nearest ones."""

    message: str
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Market:
    """What a ticker spells: a coin, a multiple of it, and what it is quoted in."""

    coin: str
    multiplier: int
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    market: _Market
    says_perpetual: bool


def symbol_of_filter(text: str) -> str:
    """What a person types to find a symbol, as the exchange spells it: `btcusdt.p`, `BYBIT:BTCUSDT` are BTCUSDT."""
    ticker = text.strip().upper().rpartition(":")[2]
    if ticker.endswith("USDC.P"):
        return f"{ticker.removesuffix('USDC.P')}PERP"
    return ticker.removesuffix(".P")


@dataclass(frozen=True, slots=True)
class SymbolIndex:
    """The exchange's perpetuals and pairs, found by any spelling. Built once for each list of instruments.

    A pair and a perpetual may have one name: which of both is meant is never told by the ticker alone.
    """

    by_market: Mapping[_Market, Instrument]
    by_symbol: Mapping[str, Instrument]
    overrides: Mapping[str, str] = field(default_factory=dict)
    pairs: Mapping[str, Instrument] = field(default_factory=dict)
    """What spot lists, by symbol."""

    @classmethod
    def of(cls, instruments: Iterable[Instrument], overrides: Mapping[str, str] | None = None) -> SymbolIndex:
        """`overrides`: ticker as it arrives -> the exchange's symbol."""
        every = tuple(instruments)
        listed = [each for each in every if not each.is_held]
        return cls(
            {_market_of(each): each for each in sorted(listed, key=lambda each: each.is_trading)},
            {each.symbol: each for each in listed},
            {ticker.strip().upper(): symbol.strip().upper() for ticker, symbol in (overrides or {}).items()},
            {each.symbol: each for each in every if each.is_held},
        )

    def resolve(
        self, ticker: str, exchange: str | None = None, market: TradedMarket = TradedMarket.PERPETUAL
    ) -> Instrument | SymbolUnknown:
        """The instrument `ticker` means. `exchange`: the venue of the chart, where the ticker does not name it."""
        spelled = ticker.strip().upper()
        venue, name = _split_venue(spelled, exchange)
        overridden = self.overrides.get(spelled) or self.overrides.get(f"{venue}:{name}")
        if market is TradedMarket.SPOT:
            return self._pair(spelled, overridden or name)
        if overridden is not None:
            return self.by_symbol.get(overridden) or self._unknown(spelled, overridden)
        if name in self.by_symbol and (venue in ("", "BYBIT") or not name.endswith("USD")):
            return self.by_symbol[name]
        reading = _read(name)
        if reading is None:
            return self._unknown(spelled, name)
        meant = reading.market
        if meant.quote == "USD" and not reading.says_perpetual and venue not in ("", "BYBIT"):
            return self._ambiguous(spelled, meant)
        return self.by_market.get(meant) or self._unknown(spelled, name, meant)

    def _pair(self, spelled: str, name: str) -> Instrument | SymbolUnknown:
        symbol = _pair_name(name)
        if symbol is None:
            plain_name = _DELIMITERS.sub("", name.partition(":")[0].removesuffix(".P").removesuffix("-SWAP"))
            return SymbolUnknown(message=f"{spelled} names a perpetual, and the market is spot: write {plain_name}")
        if found := self.pairs.get(symbol):
            return found
        near = tuple(difflib.get_close_matches(symbol, list(self.pairs), n=3, cutoff=0.5))
        hint = f"; did you mean {_either(near)}?" if near else ""
        return SymbolUnknown(message=f"the exchange has no spot pair {spelled}{hint}", candidates=near)

    def spellings(
        self, ticker: str, exchange: str | None = None, market: TradedMarket = TradedMarket.PERPETUAL
    ) -> tuple[tuple[Category, str], ...]:
        """How the exchange would call what `ticker` means, if it listed that: to ask for what is not known here."""
        spelled = ticker.strip().upper()
        venue, name = _split_venue(spelled, exchange)
        overridden = self.overrides.get(spelled) or self.overrides.get(f"{venue}:{name}")
        if market is TradedMarket.SPOT:
            pair = _pair_name(overridden or name) or ""
            return ((Category.SPOT, pair),) if pair.isascii() and pair.isalnum() and len(pair) <= _SYMBOL_MAX else ()
        meant = None if overridden else (_read(name) or _Reading(market=_NOTHING, says_perpetual=False)).market
        symbol = overridden or (_symbol_of(meant) if meant and meant.coin else name)
        if not symbol.isascii() or not symbol.isalnum() or len(symbol) > _SYMBOL_MAX:
            return ()
        return ((Category.INVERSE if symbol.endswith("USD") else Category.LINEAR, symbol),)

    def _ambiguous(self, spelled: str, market: _Market) -> SymbolUnknown:
        candidates = self._of_coin(market.coin)
        return SymbolUnknown(
            message=f"{spelled} is another venue's spot market; name the perpetual you mean"
            + (f": {_either(candidates)}" if candidates else ""),
            candidates=candidates,
        )

    def _unknown(self, spelled: str, name: str, market: _Market | None = None) -> SymbolUnknown:
        candidates = self._of_coin(market.coin) if market else ()
        trading = [symbol for symbol, each in self.by_symbol.items() if each.is_trading]
        candidates = candidates or tuple(difflib.get_close_matches(name, trading, n=3, cutoff=0.5))
        hint = f"; did you mean {_either(candidates)}?" if candidates else ""
        return SymbolUnknown(message=f"the exchange has no perpetual {spelled}{hint}", candidates=candidates)

    def _of_coin(self, coin: str) -> tuple[str, ...]:
        return tuple(sorted(each.symbol for market, each in self.by_market.items() if market.coin == coin))


def _split_venue(spelled: str, exchange: str | None) -> tuple[str, str]:
    # The colon of BTC/USDT:USDT is no venue's.
    before, colon, name = spelled.partition(":")
    if colon and "/" not in before:
        return before, name
    return (exchange or "").strip().upper(), spelled


_DELIMITERS = re.compile(r"[-_/]")


def _pair_name(name: str) -> str | None:
    """BTCUSDT, BTC/USDT, BTC-USDT, BTC_USDT; None for what says that it is a perpetual."""
    if ":" in name or name.endswith((".P", "-SWAP", "USDTPERP", "USDCPERP", "USDPERP", "_PERP", "-PERP")):
        return None
    base, *quote = _DELIMITERS.split(name)
    return _ALIASES.get(base, base) + "".join(quote)


def _read(name: str) -> _Reading | None:
    """`name` without its venue. The forms: BTCUSDT.P, BTCUSDTPERP, BTC-USDT-SWAP, BTC/USDT:USDT, BTCPERP, BTCUSDT."""
    if "/" in name:
        pair, _, settle = name.partition(":")
        base, _, quote = pair.partition("/")
        if settle and settle != (base if quote == "USD" else quote):
            return None
        return _reading(base, quote, says_perpetual=bool(settle))
    if name.endswith("-SWAP"):
        base, _, quote = name.removesuffix("-SWAP").partition("-")
        return _reading(base, quote, says_perpetual=True)
    bare = name
    for suffix in (".P", "_PERP", "PERP", "-PERP"):
        bare = bare.removesuffix(suffix)
    bare = bare.replace("-", "").replace("_", "")
    says_perpetual = bare != name.replace("-", "").replace("_", "")
    for quote in _QUOTES:
        if bare.endswith(quote) and len(bare) > len(quote):
            return _reading(bare.removesuffix(quote), quote, says_perpetual=says_perpetual)
    if name == f"{bare}PERP":
        return _reading(bare, "USDC", says_perpetual=True)
    return None


def _reading(base: str, quote: str, *, says_perpetual: bool) -> _Reading | None:
    if not base or quote not in _QUOTES:
        return None
    multiplier, coin = _multiplied(base)
    return _Reading(
        market=_Market(coin=_ALIASES.get(coin, coin), multiplier=multiplier, quote=quote), says_perpetual=says_perpetual
    )


def _multiplied(base: str) -> tuple[int, str]:
    """`1000PEPE` and `PEPE1000` are a thousand of the coin each; `1INCH` is a coin."""
    if match := _MULTIPLIER_FIRST.match(base):
        return int(match[1]), match[2]
    if match := _MULTIPLIER_LAST.match(base):
        return int(match[2]), match[1]
    return 1, base


_NOTHING: Final = _Market(coin="", multiplier=1, quote="USDT")
_SYMBOL_MAX: Final = 30


def _symbol_of(market: _Market) -> str:
    coin = f"{market.multiplier}{market.coin}" if market.multiplier > 1 else market.coin
    return f"{coin}PERP" if market.quote == "USDC" else f"{coin}{market.quote}"


def _market_of(instrument: Instrument) -> _Market:
    quote = "USD" if instrument.category is Category.INVERSE else instrument.settle_coin
    base = instrument.symbol
    for suffix in ("PERP", "USDT", "USDC", "USD"):
        if base.endswith(suffix) and len(base) > len(suffix):
            base = base.removesuffix(suffix)
            break
    multiplier, coin = _multiplied(base)
    return _Market(coin=coin, multiplier=multiplier, quote=quote)


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(names)


# Rounding to the exchange's grids, in decimal arithmetic only.


_DIGITS = 100
"""Far more than any number of an alert or the exchange has."""


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` not above `value`. `step` is positive."""
    return _to_grid(value, step, ROUND_FLOOR)


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` not below `value`. `step` is positive."""
    return _to_grid(value, step, ROUND_CEILING)


def _to_grid(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    assert step > 0, f"a grid needs a positive step, not {step}"
    # The quotient itself rounds the same way: a long tail of nines must not reach the next step.
    context = Context(prec=_DIGITS, rounding=rounding)
    steps = context.divide(value, step).to_integral_value(rounding=rounding)
    return context.multiply(steps, step)


def is_on_grid(value: Decimal, step: Decimal) -> bool:
    """Whether `value` is a multiple of `step`."""
    return floor_to(value, step) == value


def plain(value: Decimal) -> str:
    """`value` without exponent and without trailing zeros: the only spelling the exchange takes."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
