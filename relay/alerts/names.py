"""What other people call an alert's fields: one table of names with the meaning of each, and of names in no table,
whether they can bear on an order.

A name counts in any spelling: `takeProfit`, `take_profit`, `TAKE-PROFIT` and `take.profit` are one. What is in no table
is shown without effect where it cannot bear on an order, and refused by its name where it can."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from typing import Final

from relay.alerts.authenticate import is_secret_name
from relay.alerts.fields import KNOWN, NO, YES
from relay.alerts.wording import joined, shown

# The table.


class Reading(StrEnum):
    """How the value of a name becomes the native field's."""

    AS_IT_IS = "as it is"
    ACTION = "what to do: a word such as buy, long or close"
    SIDE = "the side; beside an action the two are combined"
    INTENT = "whether to enter or to exit; needs a side beside it"
    LEVEL = "a price, or a percentage with its sign %"
    PERCENT = "a number of percent"
    NUMBERED = "one of several take profits"
    LIMIT = "a limit price, of an order that has one"
    STOP = "a stop loss or a trigger price, by the order's type"
    UNIT = "what the size counts"
    QUOTE = "a size in money"
    QUOTE_FLAG = "whether the size is in money"
    ITS_UNIT = "a size in the unit that the name says"
    ASKS_UNIT = "a size, of coins or of money: asked for"
    MAX_AGE = "seconds after which an entry is not placed"
    POSITION = "where the strategy stands: long, short or flat, or its size with a sign"
    POST_ONLY = "whether the order may only rest"
    MARKET = "which market, in other words"


@dataclass(frozen=True, slots=True)
class Meaning:
    """`native`: the field that it is here; `reading`: how its value is taken."""

    native: str
    reading: Reading = Reading.AS_IT_IS


def _named(native: str, names: str, reading: Reading = Reading.AS_IT_IS) -> dict[str, Meaning]:
    return {squeezed(name): Meaning(native, reading) for name in names.split()}


def squeezed(name: str) -> str:
    """A name without case and separators."""
    return _SEPARATORS.sub("", name).lower()


def _set(names: str) -> frozenset[str]:
    return frozenset(map(squeezed, names.split()))


_SEPARATORS: Final = re.compile(r"[\s_.\-]+")

TABLE: Final[dict[str, Meaning]] = {
    **_named("action", "order_action strategy.order.action trade_action order", Reading.ACTION),
    **_named("action", "signal signal_action", Reading.ACTION),
    **_named("action", "side direction dir order_side trade_side trade_direction order_direction", Reading.SIDE),
    **_named("action", "event event_type command cmd intent", Reading.INTENT),
    **_named("qty", "quantity contracts order_contracts strategy.order.contracts position_qty order_qty"),
    **_named("qty", "order_quantity trade_quantity base_qty qty_base base_quantity coin_qty"),
    **_named("qty", "quote_qty qty_quote quote_quantity quote_amount amount_quote quote_size", Reading.QUOTE),
    **_named("qty", "volume_usd usd_volume usd_amount amount_usd usd_size size_usd usd_qty qty_usd usd", Reading.QUOTE),
    **_named("qty", "volume_usdt usdt_volume usdt_amount amount_usdt usdt_size size_usdt usdt", Reading.QUOTE),
    **_named("qty", "usdt_qty qty_usdt usdc notional order_notional", Reading.QUOTE),
    **_named("qty", "size amount order_size order_amount trade_size trade_amount lot lots lot_size", Reading.ASKS_UNIT),
    **_named("qty", "units position_amount q sz", Reading.ASKS_UNIT),
    **_named("qty", "risk_pct risk_percent risk_quote equity_pct margin_pct position_pct", Reading.ITS_UNIT),
    **_named("qty_unit", "qty_type quantity_type quantity_unit amount_type amount_unit size_type", Reading.UNIT),
    **_named("qty_unit", "size_unit unit currency_type order_size_type", Reading.UNIT),
    **_named("qty_unit", "usd_order in_usd is_usd size_in_usd qty_in_usd qty_in_quote", Reading.QUOTE_FLAG),
    **_named("type", "order_type entry_type price_type ord_type execution_type strategy.order.type"),
    **_named("price", "limit_price", Reading.LIMIT),
    **_named("trigger_price", "stop_price trigger", Reading.STOP),
    **_named("time_in_force", "tif"),
    **_named("time_in_force", "post_only is_post_only use_post_only maker_only is_maker only_maker", Reading.POST_ONLY),
    **_named("market", "category market_type product product_type instrument_type inst_type segment", Reading.MARKET),
    **_named("market", "contract_type", Reading.MARKET),
    **_named("reduce_only", "reduce close_only"),
    **_named("leverage", "lev lever"),
    **_named("take_profit", "tp take_profit_price tp_price target target_price price_target", Reading.LEVEL),
    **_named("take_profit", "profit_target take_profits", Reading.LEVEL),
    **_named("stop_loss", "sl stop_loss_price sl_price stop stop_level", Reading.LEVEL),
    **_named("take_profit", "tp_percent tp_pct tp_perc take_profit_percent take_profit_pct", Reading.PERCENT),
    **_named("take_profit", "take_profit_percentage take_profit_perc tp_percentage target_percent", Reading.PERCENT),
    **_named("stop_loss", "sl_percent sl_pct sl_perc stop_loss_percent stop_loss_pct", Reading.PERCENT),
    **_named("stop_loss", "stop_loss_percentage stop_loss_perc sl_percentage stop_percent stop_pct", Reading.PERCENT),
    **_named("trailing_stop", "ts_percent ts_pct ts_perc trailing_stop_percent trailing_stop_pct", Reading.PERCENT),
    **_named("trailing_stop", "trailing_percent trailing_pct trail_percent trail_pct", Reading.PERCENT),
    **_named("trailing_stop", "trailing_stop_percentage trail_percentage trailing_percentage", Reading.PERCENT),
    **_named("trailing_stop", "trail trailing trailing_stop_loss trailing_sl", Reading.LEVEL),
    **_named("signal_price", "order_price entry_price entry fill_price current_price indicator_price"),
    **_named("signal_price", "last_price market_price close_price strategy.order.price"),
    **_named("time", "timestamp trigger_time alert_time alert_timestamp signal_time order_time event_time"),
    **_named("time", "source_timestamp sent sent_at fired_at created_at datetime date unix_time timestamp_ms"),
    **_named("max_age_s", "max_lag", Reading.MAX_AGE),
    **_named("ticker", "pair instrument symbol_id symbol_name trading_pair currency_pair instrument_id inst_id"),
    **_named("ticker", "sym coin asset tv_symbol tv_instrument tickerid ticker_id syminfo.ticker syminfo.tickerid"),
    **_named("exchange", "tv_exchange exchange_name venue"),
    **_named("order_id", "strategy.order.id order_name"),
    **_named("account", "account_name account_id acc acc_id accounts sub_account subaccount"),
    **_named("interval", "timeframe resolution"),
    **_named("market_position", "position_side sentiment mar_pos mp mkt_pos current_position", Reading.POSITION),
    **_named("market_position", "position strategy_position new_position pos_side pos", Reading.POSITION),
    **_named("market_position", "target_position position_after position_target", Reading.POSITION),
    **_named("market_position", "strategy.market_position", Reading.POSITION),
    **_named("prev_market_position", "pre_mar_pos prev_mar_pos prev_position previous_position", Reading.POSITION),
    **_named("prev_market_position", "previous_market_position strategy.prev_market_position", Reading.POSITION),
    **_named(
        "prev_market_position", "prev_side previous_side old_side old_position old_market_position", Reading.POSITION
    ),
    **_named("prev_market_position", "prev_position_side previous_position_side prev_direction", Reading.POSITION),
    **_named("market_position_size", "mar_pos_size mkt_pos_size strategy.market_position_size"),
    **_named("prev_market_position_size", "pre_mar_pos_size prev_mar_pos_size prev_position_size"),
    **_named("prev_market_position_size", "previous_position_size previous_market_position_size"),
    **_named("prev_market_position_size", "strategy.prev_market_position_size old_position_size prev_size"),
    **_named("position_size", "position_new_size new_position_size strategy.position_size pos_size"),
    **_named("position_size", "position_size_after target_position_size"),
    **{squeezed(name): Meaning(name) for name in KNOWN},
}
"""Squeezed names to what they mean. `volume`, `size` and `amount` may be coins or money: none is guessed."""

SIGNED: Final = _set(
    "position current_position strategy_position new_position pos target_position position_after position_target "
    "prev_position previous_position old_position"
)
"""Of those that say where the strategy stands: a number under them is its size. A `sentiment` of 0.2 is none."""
_FREE_TEXT: Final = _set(
    "comment message msg alert_message order_comment strategy strategy_name strategy_title strategy_id name "
    "title note notes text description reason why order_id order_name id alert alert_name alert_text "
    "indicator indicator_name label tag tags setup pattern remark source alert_id trade_id event_id signal_id "
    "entry_id strategy.order.comment strategy.order.alert_message order_alert_message order_message order_tag "
    "order_label position_id script script_name chart"
)
"""Information whose text may say anything, an order's words too."""
_INFORMATION: Final = _set(
    "bot bot_id bot_name bot_uuid score preset tf exchange_id version strategy_version schema_version "
    "priority conviction confidence rating rank strength probability win_rate bar_index bar_number chart_id "
    "user user_id username client client_id uuid nonce sequence counter index rsi macd atr adx cci mfi obv "
    "vwap ema sma wma hma stoch momentum volatility timezone tz session currency base_currency quote_currency "
    "base_asset quote_asset syminfo.currency syminfo.basecurrency hl2 hlc3 ohlc4 ohlc ohlcv change_24h "
    "order_link_id client_order_id new_client_order_id cl_ord_id plot plots"
)
"""Names that say nothing of an order, numbers too."""
_INFORMATION_ENDS: Final = _set("id uuid name message comment text note title label")
OF_BARS: Final = _set("bar candle ohlc ohlcv kline bars bar_info candle_info plots")
_OF_ONE_BAR: Final = _set("open high low close volume time index number count")
NEUTRAL: Final = _set(
    "order strategy signal general market data alert info instrument trade params payload request message "
    "webhook tradingview tv symbol position settings config meta metadata extras indicators plots details "
    "body strategy_info order_info trade_info signal_info position_info chart_info symbol_info alert_info current_info"
)
"""Objects whose name adds nothing to the names inside."""

# What a name, or a text, is made of that may bear on an order.

_ORDER_WORDS: Final = _set(
    "side sides action actions direction qty quantity size sizes amount amounts lot lots contract contracts "
    "price prices entry entries stop stops sl tp take profit profits trail trailing lever leverage leveraged "
    "risk margin reduce close type order orders position positions percent percentage usd usdt usdc quote "
    "volume pos pct perc ts target targets limit limits notional value unit units cost invest investment exit "
    "exits enter flat flatten reverse command cmd event intent dir sentiment hedge cancel market tif buy sell "
    "long short loss trigger liquidate multiplier factor fraction portion budget allocation cash money funds "
    "partial half scale stake exposure equity balance capital wallet deposit slippage delay wait expire expires "
    "expiry expiration ttl maker invert inverted opposite flip breakeven pyramiding dca iceberg oco"
)
_OF_SIZE_SIDE_ACCOUNT: Final = _set(
    "side sides action actions direction dir command cmd intent order orders position positions pos qty "
    "quantity size sizes amount amounts volume lot lots contract contracts unit units share pct percent perc "
    "percentage quote usd usdt usdc notional value buy sell long short flat close exit reverse account "
    "accounts acc acct subaccount sub ticker symbol pair instrument coin market sentiment tickers symbols pairs "
    "instruments coins reduce partial half scale ratio weight fraction portion part parts multiplier factor vol"
)
_SHORT_WORD: Final = 5
_LONG_WORDS: Final = {
    letter: tuple(word for word in sorted(_OF_SIZE_SIDE_ACCOUNT) if word[0] == letter and len(word) > _SHORT_WORD)
    for letter in "abcdefghijklmnopqrstuvwxyz"
}
"""Those that are known even where they are misspelt, by their first letter."""
_ACCOUNT_WORDS: Final = _set("account accounts acc acct subaccount")
_PARTS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_CAPITALS: Final = re.compile(r"[A-Z]{2,}(?=[a-z])")
"""The capitals of `moveSLtoBE`, of which the last may begin the next word, or not."""
_FILLERS: Final = _set("max min my is new all the")
_GLUED: Final = re.compile(f"(?:{'|'.join(sorted(_ORDER_WORDS | _FILLERS, key=len, reverse=True))})+")
_WORD: Final = re.compile(r"[a-z]+")
_INTENTS: Final = ("enter", "open", "close", "exit")
_SAYS_ORDER: Final = _set("enter open close exit entry buy sell long short flat reverse cancel reduce")
_SAYS_TYPE: Final = _set(
    "limit limit_order stop stop_order stop_limit stop_market stop_loss take_profit trailing trailing_stop conditional "
    "ioc fok post_only maker"
)
"""What an order would be placed as otherwise than at the market, at once."""
_BESIDE_ORDER: Final = _set("position positions all market limit trade order signal now only")
_NUMBER_LIKE: Final = re.compile(
    r"[+\-$€]?\s*(\d{1,3}(,\d{3})+(\.\d*)?|\d+/\d+|\d+([.,]\d*)?|\.\d+)([eE][+-]?\d+)?\s*(%|x|usdt?|usdc|btc|eth|pct|percent|pips?|ticks?|lots?)?",
    re.ASCII | re.IGNORECASE,
)
_AROUND_REAL: Final = "(?:is|use|bot|strategy|account|run|only|mode|trad(?:e|es|ing)|orders?)*"
_NOT_REAL_NAMES: Final = re.compile(
    rf"{_AROUND_REAL}(?:test(?:ing|net)?|backtest(?:ing)?|paper|simulat(?:ed|e|ion)|dry|demo|sandbox|virtual|disabled|"
    rf"sim|fake|mock|practice|preview|skip|ignored?|(?:notify|alert|signal|log|read|validate|info)s?only)"
    rf"{_AROUND_REAL}|mode|runmode|tradingmode|env|environment"
)
_REAL_NAMES: Final = re.compile(rf"{_AROUND_REAL}(?:enabled?|active|live|real|execute|auto){_AROUND_REAL}")
"""What is said, by yes or no, of whether an alert is for real: squeezed names, and nothing else in them."""
_NOT_REAL_WORDS: Final = _set(
    "test testing paper papertrading demo dry dryrun simulated simulation simulate sandbox backtest testnet sim mock"
)


@lru_cache(maxsize=2048)
def parts_of(name: str) -> tuple[str, ...]:
    """A name cut at case changes, separators and digits; its parts in lower case."""
    return tuple(part.lower() for part in _PARTS.findall(name))


def _is_glued(part: str) -> bool:
    """Whether a part is nothing but such words, written as one: `lotsize`, `maxqty`."""
    return len(part) <= _GLUED_MAX and part not in _FILLERS and _GLUED.fullmatch(part) is not None


def _is_misspelt(part: str) -> bool:
    """Whether a part is nearly one of the longer words, as `quantitiy` is."""
    likely = _LONG_WORDS.get(part[0], ())
    return len(part) > _SHORT_WORD and bool(get_close_matches(part, likely, n=1, cutoff=_ALIKE))


_ALIKE: Final = 0.85
_GLUED_MAX: Final = 30


@lru_cache(maxsize=2048)
def bears_on_order(name: str) -> bool:
    """Whether one of the name's parts is a word of orders or of accounts, or nearly: `plot` holds no `lot`."""
    parts = (*parts_of(name), *(part.lower() for part in _CAPITALS.findall(name)))
    return any(
        part in _ORDER_WORDS or part in _ACCOUNT_WORDS or _is_glued(part) or _is_misspelt(part) for part in parts
    )


def decides_exit(name: str, value: object = "") -> bool:
    """Whether an unknown field speaks of a size, a side, an account, or of not being meant: then it refuses exits."""
    return _decides(name) or _says_not_real(name, value) or (isinstance(value, str) and is_order_word(value))


@lru_cache(maxsize=2048)
def _decides(name: str) -> bool:
    parts = parts_of(name)
    if speaks_of_levels(name) or not _OF_LEVERAGE.isdisjoint(parts):
        return False
    if parts and parts[-1] in _OF_MOMENTS and _OF_ACCOUNTS_AND_SYMBOLS.isdisjoint(parts):
        return False
    return any(
        part in _OF_SIZE_SIDE_ACCOUNT or (part not in _ORDER_WORDS and _is_glued(part)) or _is_misspelt(part)
        for part in parts
    )


_OF_LEVERAGE: Final = _set("lev lever leverage leveraged")
_OF_MOMENTS: Final = _set("id uuid time timestamp date number")
"""How names end that say when or which, such as `close_time` and `order_uuid`: never how much, or of which side."""
_OF_ACCOUNTS_AND_SYMBOLS: Final = _ACCOUNT_WORDS | _set("sub ticker symbol pair instrument coin market")
_OF_LEVELS: Final = _set("tp sl ts stop stops stoploss takeprofit profit profits trail trailing risk price")


@lru_cache(maxsize=2048)
def speaks_of_levels(name: str) -> bool:
    """Whether a name speaks of stops, take profits or prices."""
    return not _OF_LEVELS.isdisjoint(parts_of(name))


def meaning_of(name: str) -> str:
    """The native field that a name means; the name itself where it is in no table."""
    found = TABLE.get(squeezed(name))
    return found.native if found else name


def is_order_word(text: str) -> bool:
    """Whether a text is an order's word: buy, LONG, enter_long, close-position, "exit all"."""
    words = _WORD.findall(text.lower())
    if not words or len(words) > 4 or len("".join(words)) < len(text.strip()) - len(words):
        return False
    if len(words) == 1:
        return words[0] in _SAYS_ORDER or words[0].startswith(_INTENTS)
    return words[0] in _INTENTS or (
        _SAYS_ORDER.issuperset(set(words) - _BESIDE_ORDER) and not _SAYS_ORDER.isdisjoint(words)
    )


def is_number_like(value: object) -> bool:
    """Whether a value is a number, quoted or not, with or without a unit behind it."""
    if isinstance(value, str):
        return _NUMBER_LIKE.fullmatch(value.strip()) is not None
    return not isinstance(value, bool | list | dict) and value is not None


def is_information(name: str) -> bool:
    """Whether a name, of one field or the path to one, is known to say nothing of an order."""
    inner = name.rpartition(".")[2]
    parts = parts_of(inner)
    return (
        is_free_text(name)
        or squeezed(inner) in _INFORMATION
        or (len(parts) > 1 and parts[0] in OF_BARS and _OF_ONE_BAR.issuperset(parts[1:]))
        or (bool(parts) and parts[-1] in _INFORMATION and not bears_on_order(inner))
    )


def is_free_text(name: str) -> bool:
    """Whether the text under this name may say anything."""
    inner = name.rpartition(".")[2]
    parts = parts_of(inner)
    is_named_so = bool(parts) and parts[-1] in _INFORMATION_ENDS and not bears_on_order(inner)
    return squeezed(inner) in _FREE_TEXT or is_named_so or is_secret_name(inner)


def unknown_problem(name: str, value: object) -> str | None:
    """Why a field that is in no table cannot be taken; None where it is shown without effect.

    `name`: as the sender spelled it, or the path to it. The words continue a sentence that begins with the name.
    """
    inner = name.rpartition(".")[2]
    if _says_not_real(name, value):
        return f"says that this is not for real ({shown(value)}); here every alert is: take it out to trade"
    if _says_real(name) is not None and (isinstance(value, bool) or str(value).lower() in YES | NO):
        return None
    if isinstance(value, str) and is_order_word(value) and not is_free_text(name):
        return (
            f"is not known here and says {shown(value)}, an order's word: say what it means by a field that relay "
            "knows, such as `action`, or take it out"
        )
    if is_information(name) or (squeezed(inner) in _OF_ONE_WAY and str(value) == "0"):
        return None
    if isinstance(value, str) and squeezed(value) in _SAYS_TYPE:
        return f"is not known here and says {shown(value)}, a type of order: say it as `type`, or take it out"
    relevant = ".".join(part for part in name.split(".") if squeezed(part) not in NEUTRAL or part == inner)
    if bears_on_order(relevant):
        return (
            "is not known here and may bear on the order: say what it means by a field that relay knows, or take it out"
        )
    members = value if isinstance(value, list) else [value]
    if any(map(is_number_like, members)):
        return (
            "is a number under a name that is not known here: if it bears on the order, say it by a field that relay "
            f"knows; if it does not, call it `x_{inner.lower()}` (shown, without effect)"
        )
    return None


_OF_ONE_WAY: Final = _set("position_idx is_leverage")
"""Bybit's own: zero is the one-way mode, and no margin."""


def _says_not_real(name: str, value: object) -> bool:
    word = squeezed(str(value)) if isinstance(value, str | bool) or is_number_like(value) else ""
    says_real = _says_real(name)
    return (word in _NOT_REAL_WORDS and not is_free_text(name)) or (
        says_real is not None and word in (NO if says_real else YES)
    )


@lru_cache(maxsize=2048)
def _says_real(name: str) -> bool | None:
    """What a yes under this name, or under the path to it, says of whether the alert is for real.

    Inside an object such as `stops` it speaks of that alone.
    """
    *around, inner = name.split(".")
    if not NEUTRAL.issuperset(map(squeezed, around)):
        return None
    key = squeezed(inner)
    return False if _NOT_REAL_NAMES.fullmatch(key) else True if _REAL_NAMES.fullmatch(key) else None


def unknown_note(names: Iterable[str]) -> str:
    """What is said of fields that are taken without effect."""
    listed = list(names)
    more = f" and {len(listed) - _NOTED_MAX} more" if len(listed) > _NOTED_MAX else ""
    are = "is" if len(listed) == 1 else "are"
    return f"{joined(listed[:_NOTED_MAX])}{more} {are} not known here; shown, without effect"


_NOTED_MAX: Final = 12
NAME_LENGTH_MAX: Final = 60
"""Of a name outside the table, or of the path to one."""
