"""From a template to the plan: whatever TradingView and Pine write in its places, nothing is misread, and the same
meaning in other people's spellings comes to the same orders."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.alerts.signal import read, signal_from_stored, with_correction
from relay.alerts.wording import PLACEHOLDERS
from relay.domain.instrument import Category
from relay.domain.order import TimeInForce
from relay.domain.plan import Plan
from relay.domain.signal import Signal
from relay.errors import AlertError, AlertInvalid
from tests.builders import NOW, facts, plan, rules

_SETTINGS = settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
SENT: Final = NOW - timedelta(seconds=3)


def signal_of(text: str) -> Signal:
    parsed = read(text.encode())
    try:
        return signal_from_stored(parsed.fields, id="s" * 26, strategy="default", received_at=NOW)
    except AlertInvalid as error:
        raise with_correction(parsed, error) from None


def planned(text: str, p: str) -> Plan:
    made = replace(signal_of(text), category=Category.LINEAR, symbol="BTCUSDT")
    return plan(made, rules(default_size=("100", "quote")), facts(p=p, equity=Decimal(10_000)))


def orders_of(text: str, p: str) -> list[dict[str, Any]]:
    """What is ordered, with the levels; not why."""
    made = planned(text, p)
    bracket = made.bracket
    return [
        *[{"side": o.side, "qty": o.qty, "type": o.type, "price": o.price, "reduces": o.reduce_only,
           "stop": o.stop_loss, "profit": o.take_profit} for o in made.orders],
        {"trail": bracket.trailing_stop if bracket else None, "legs": bracket.tp_legs if bracket else ()},
    ]  # fmt: skip


# The same meaning, spelled by many hands.

_NAMES: Final = {
    "action": ("action", "side", "direction", "signal", "order_side", "trade_action"),
    "symbol": ("symbol", "pair", "symbol_id", "trading_pair"),
    "qty": ("qty", "contracts", "order_contracts", "position_qty", "order_qty", "base_qty"),
    "stop_loss": ("stop_loss", "sl", "stop_loss_price", "sl_price"),
    "take_profit": ("take_profit", "tp", "target", "tp_price"),
    "time": ("time", "timestamp", "trigger_time", "sent_at"),
    "signal_price": ("signal_price", "order_price", "entry_price", "current_price", "fill_price"),
    "leverage": ("leverage", "lev"),
    "order_type": ("type", "order_type", "entry_type"),
}
_AS_PERCENT: Final = {
    "stop_loss": ("sl_pct", "stop_loss_percent", "sl_percent"),
    "take_profit": ("tp_pct", "take_profit_percent"),
}
_INFORMATION: Final[dict[str, object]] = {
    "strategy": "Long",
    "bot": "b1",
    "score": 7,
    "mood": "calm",
    "alert_id": "9",
    "tf": "15",
}


def _camel(name: str) -> str:
    first, *rest = re.split("[_.]", name)
    return first + "".join(part.capitalize() for part in rest)


_CASES: Final = (
    str,
    str.upper,
    _camel,
    lambda name: name.replace("_", "-"),
    lambda name: name.replace("_", "-").upper(),
    lambda name: "_".join(part.capitalize() for part in name.split("_")),
)


@st.composite
def _meaning(draw: st.DrawFn) -> dict[str, str]:
    """In native words; prices lie about the builders' 50,000."""
    action = draw(st.sampled_from(["buy", "sell", "long", "short", "close", "close_long", "exit"]))
    meant = {"symbol": "BTCUSDT.P", "action": action, "time": SENT.isoformat().replace("+00:00", "Z")}
    if action not in ("close", "close_long", "exit"):
        is_long = action in ("buy", "long")
        meant["qty"] = str(draw(st.integers(1, 900)) / Decimal(1000))
        if draw(st.booleans()):
            meant["stop_loss"] = draw(st.sampled_from(["1.5%", "47000" if is_long else "53000"]))
        if draw(st.booleans()):
            meant["take_profit"] = draw(st.sampled_from(["2%", "54000" if is_long else "46000"]))
        if draw(st.booleans()):
            meant["order_type"] = "market"
        if draw(st.booleans()):
            meant["leverage"] = "5"
    if draw(st.booleans()):
        meant["signal_price"] = "50010.5"
    return meant


@st.composite
def _spelled(draw: st.DrawFn, meant: dict[str, str]) -> str:
    flat: dict[str, object] = {}
    for native, value in meant.items():
        name, shown = draw(st.sampled_from(_NAMES[native])), value
        if value.endswith("%") and draw(st.booleans()):
            name, shown = draw(st.sampled_from(_AS_PERCENT[native])), draw(st.sampled_from([value, value[:-1]]))
        if native in ("action", "order_type") and draw(st.booleans()):
            shown = shown.upper()
        flat[draw(st.sampled_from(_CASES))(name)] = _number(draw, shown)
    flat |= {name: _INFORMATION[name] for name in draw(st.sets(st.sampled_from(sorted(_INFORMATION)), max_size=2))}
    names = draw(st.permutations(sorted(flat)))
    form = draw(st.sampled_from(["json", "pairs", "nested"]))
    if form == "pairs":
        return "\n".join(f"{name}={flat[name]}" for name in names)
    if form == "nested":
        inside = {name: flat[name] for name in names if "." not in name and squeezes(name) in _INSIDE_ORDER}
        return json.dumps({**{name: flat[name] for name in names if name not in inside}, "order": inside}, default=str)
    return json.dumps({name: flat[name] for name in names}, default=str)


def squeezes(name: str) -> str:
    return re.sub("[_.-]", "", name).lower()


_INSIDE_ORDER: Final = {"action", "side", "qty", "contracts", "stoploss", "sl", "takeprofit", "tp", "leverage", "type"}


def _number(draw: st.DrawFn, text: str) -> object:
    """Quoted, bare, with zeros behind it or with an exponent."""
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        return text
    longer = f"{text}00" if "." in text else f"{text}.0"
    exponent = f"{Decimal(text).scaleb(2):f}e-2"
    return draw(st.sampled_from([text, longer, exponent, float(text)]))


@_SETTINGS
@given(data=st.data(), meant=_meaning(), p=st.sampled_from(["0", "0.01", "-0.01", "0.5"]))
def test_one_meaning_in_twenty_spellings_is_one_plan(data: st.DataObject, meant: dict[str, str], p: str) -> None:
    native = {("type" if name == "order_type" else name): value for name, value in meant.items()}
    right = orders_of(json.dumps(native), p)
    for _ in range(20):
        text = data.draw(_spelled(meant))
        assert orders_of(text, p) == right, text


# TradingView's placeholders and Pine's formats in the places of a template.

_PLAIN_NUMBERS: Final = st.one_of(
    st.decimals("0.001", "99999", places=3).map(str),
    st.sampled_from(["1800.8000000000002", "0.30000000000000004", "1e-3", "1E2", "7.0", "0.100"]),
)
_PINE_NUMBERS: Final = st.one_of(
    _PLAIN_NUMBERS,
    st.sampled_from(
        ["NaN", "na", "n/a", "", "∞", "12,345.678", "98,000", "1.234K", "2.5M", "55 %", "-0.01", "0", "1,5"]
    ),
    st.sampled_from(
        ["5 USDT", "$7", "+0.02", "0.", ".03", "\u22120.02", "1.5E-7", "1e+21", "Infinity", "-0", "NaN%", "2R"]
    ),
    st.sampled_from(["1_000", "0x10", "1 234,5", "½", "0.02 BTC", "@0.02", "%2", "10x", "all", "max", "[0.02]"]),
    st.sampled_from(["{{plot_20}}", "{{close}} * 2", "100 * 0.98", "=5+1", "null", "true", "1 000", "٣"]),
)
_WORDS: Final = st.sampled_from(
    ["buy", "sell", "long", "short", "flat", "", "{{strategy.order.action}}", "BUY", "enter"]
)
_TEXTS: Final = st.sampled_from(["Long", "Close entry(s) order Long", "", "x", "TP1, 50%", "sell"])
_TIMES: Final = st.sampled_from(
    ["2026-01-05T11:59:57Z", "1767614397", "1767614397000", "2026-01-05 11:59:57", "", "NaN", "yesterday", "12:00"]
)


def _value_of(placeholder: str) -> st.SearchStrategy[str]:
    if placeholder in ("strategy.order.action", "strategy.market_position", "strategy.prev_market_position"):
        return _WORDS
    if placeholder in ("time", "timenow"):
        return _TIMES
    if (
        placeholder in ("ticker", "exchange", "interval")
        or "currency" in placeholder
        or placeholder.endswith((".id", ".comment", ".alert_message"))
    ):
        return _TEXTS if placeholder != "ticker" else st.sampled_from(["BTCUSDT.P", "BTCUSDT", ""])
    return _PINE_NUMBERS


_FIELDS: Final = (
    *("action", "qty", "stop_loss", "take_profit", "trailing_stop", "market_position", "market_position_size"),
    *("prev_market_position", "position_size", "price", "signal_price", "time", "comment", "order_id", "volume"),
    *("side", "sl", "tp", "sl_pct", "quantity", "contracts", "size", "direction", "note", "x_mine", "rsi", "leverage"),
    *("limit_price", "target", "usdt", "timeframe", "entry", "risk_pct", "bar_time", "id", "type", "stop_price"),
    *("position", "old_position", "post_only", "category", "delay", "sz", "tp2", "bar_close", "exchange", "pos"),
)


@settings(_SETTINGS, max_examples=100)
@given(data=st.data())
def test_no_value_of_a_placeholder_is_misread(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(_FIELDS), min_size=2, max_size=9, unique=True))
    filled = {name: data.draw(_value_of(data.draw(st.sampled_from(PLACEHOLDERS)))) for name in names}
    text = json.dumps({"symbol": "BTCUSDT.P", **filled})
    try:
        made = signal_of(text)
    except AlertError as error:
        assert error.message
        assert set(error.fields) <= {*filled, *_FIELDS, "symbol", "ticker"}
        return
    sizes = [filled[name] for name in ("qty", "quantity", "contracts", "usdt", "risk_pct", "size") if name in filled]
    if made.qty is not None and made.market_position is None:
        assert made.qty in [Decimal(size) for size in sizes if re.fullmatch(r"[\d.]+([eE][+-]?\d+)?", size)]
    if not made.only_exits and made.action not in ("cancel", "heartbeat"):
        for name in ("stop_loss", "sl", "sl_pct"):
            assert name not in filled or made.stop_loss is not None, text
        for name in ("take_profit", "tp", "target"):
            assert name not in filled or made.take_profits, text
    for name in ("delay", "tp2"):
        assert name not in filled or made.only_exits or made.action in ("cancel", "heartbeat"), text
    if made.time_in_force is not TimeInForce.GTC:
        assert filled.get("post_only") in ("true", "1", "yes", "on")
    if made.sent_at is not None:
        assert made.sent_at == datetime(2026, 1, 5, 11, 59, 57, tzinfo=UTC)


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_that_was_not_replaced_orders_nothing_that_depends_on_it(placeholder: str) -> None:
    for name in ("action", "qty", "quantity", "stop_loss", "sl", "tp", "side", "sl_pct"):
        plain = {"symbol": "BTCUSDT.P", "action": "buy"}
        with pytest.raises(AlertInvalid) as caught:
            signal_of(json.dumps({**plain, name: f"{{{{{placeholder}}}}}"} if name != "side" else {
                "symbol": "BTCUSDT.P", name: f"{{{{{placeholder}}}}}"}))  # fmt: skip
        assert list(caught.value.fields) == [name]
        assert placeholder in caught.value.message


# Other services' templates: what stands in their places for the size and for the levels is read as theirs, or refused.

_WHEN: Final = SENT.isoformat().replace("+00:00", "Z")
_SHARES: Final = {"wundertrading", "mizar"}
"""They write 1 % as 0.01."""
_SIZED_BY_DEFAULT: Final = {"mizar", "finandy"}
_TEMPLATES: Final[dict[str, Any]] = {
    "3commas": {
        **{"bot_uuid": "b", "tv_instrument": "BTCUSDT.P", "action": "enter_long", "timestamp": _WHEN},
        "order": {"amount": "<qty>", "currency_type": "base"},
        "take_profit": {"steps": [{"order_type": "limit", "price_percent": "<tp>", "volume_percent": "100"}]},
        "stop_loss": {"enabled": True, "order_type": "market", "trigger_price_percent": "<sl>"},
    },
    "traderspost": {
        **{"ticker": "BTCUSDT.P", "action": "buy", "quantity": "<qty>", "time": _WHEN},
        **{"takeProfit": {"percent": "<tp>"}, "stopLoss": {"type": "stop", "percent": "<sl>"}},
    },
    "wundertrading": {
        **{"code": "ENTER-LONG", "ticker": "BTCUSDT.P", "amountPerTradeType": "base", "amountPerTrade": "<qty>"},
        **{"takeProfits": [{"priceDeviation": "<tp>", "portfolio": 1}], "stopLoss": {"priceDeviation": "<sl>"}},
    },
    "bot": {
        **{"key": "k", "exchange": "bybit", "symbol": "BTCUSDT", "side": "Buy", "qty": "<qty>", "order_mode": "Both"},
        **{"take_profit_percent": "<tp>", "stop_loss_percent": "<sl>"},
    },
    "mizar": {
        **{"bot_id": "1", "base_asset": "BTC", "quote_asset": "USDT", "action": "open-position", "side": "long"},
        **{"take_profit_pct": "<tp>", "stop_loss_pct": "<sl>"},
    },
    "finandy": {
        **{"name": "hook", "side": "buy", "symbol": "BTCUSDT.P", "positionSide": "long"},
        **{"tp": {"orders": [{"ofs": "<tp>", "piece": "100"}]}, "sl": {"ofs": "<sl>"}},
    },
    "tvbit": {
        **{"name": "tvbit", "symbol": "BTCUSDT", "type": "Market", "side": "buy", "price": "0"},
        **{"qty": "<qty>", "tp": "<tp>%", "sl": "<sl>%"},
    },
    "autoview": "e=bybit s=BTCUSDT b=long q=<qty> t=market tp=<tp>% sl=<sl>%",
}
_PLACES: Final = ("qty", "tp", "sl")


def _in_place(service: str, values: dict[str, str]) -> str:
    template = _TEMPLATES[service]
    text = template if isinstance(template, str) else json.dumps(template)
    return re.sub("<(qty|tp|sl)>", lambda found: json.dumps(values[found[1]])[1:-1], text)


@settings(_SETTINGS, max_examples=60)
@given(data=st.data(), service=st.sampled_from(sorted(_TEMPLATES)))
def test_every_services_entry_comes_to_the_native_plan(data: st.DataObject, service: str) -> None:
    """Where nothing is open; what each does with what is open is its own."""
    qty = str(data.draw(st.integers(5, 900)) / Decimal(1000))
    distances = {name: data.draw(st.integers(1, 300)) / Decimal(10) for name in ("tp", "sl")}
    factor = 100 if service in _SHARES else 1
    text = _in_place(service, {"qty": qty, **{name: f"{value / factor:f}" for name, value in distances.items()}})
    own = {} if service in _SIZED_BY_DEFAULT else {"qty": qty}
    levels = {"take_profit": f"{distances['tp']}%", "stop_loss": f"{distances['sl']}%"}
    native = {"symbol": "BTCUSDT.P", "action": "buy", **own, **levels, "time": _WHEN}
    assert _entry(text) == _entry(json.dumps(native)), text


def _entry(text: str) -> list[Any]:
    """Its size and its levels."""
    (order,) = planned(text, "0").orders
    assert order.stop_loss and order.take_profit
    return [order.side, order.qty, order.stop_loss, order.take_profit]


@settings(_SETTINGS, max_examples=66)
@given(data=st.data(), service=st.sampled_from(sorted(_TEMPLATES)))
def test_no_value_in_another_services_template_is_misread(data: st.DataObject, service: str) -> None:
    values = {"qty": "0.02", "tp": "0.03", "sl": "0.02"}
    changed = data.draw(st.sets(st.sampled_from(_PLACES), min_size=1))
    values |= {name: data.draw(_PINE_NUMBERS) for name in sorted(changed)}
    text = _in_place(service, values)
    if service == "traderspost":  # it calculates
        values = {name: "6" if value == "=5+1" else value for name, value in values.items()}
    try:
        made = signal_of(text)
        planned(text, "0")
    except AlertError as error:
        assert error.message and (error.fields or service == "autoview")
        return
    factor = 100 if service in _SHARES else 1
    if service not in _SIZED_BY_DEFAULT:
        assert made.qty is not None and abs(made.qty - _plain(values["qty"])) < Decimal("1e-9"), text
    # A minus in front of a long's stop says the side on which it lies anyway.
    stop = _plain(values["sl"].removeprefix("-")) * factor
    assert made.stop_loss is not None and abs(made.stop_loss.value) == stop, text
    (profit,) = made.take_profits
    assert abs(profit.at.value) == _plain(values["tp"]) * factor, text


def _plain(text: str) -> Decimal:
    """The number that the sender's text certainly is; what is none must not have been taken."""
    assert re.fullmatch(r"\+?[\d.]+([eE][+-]?\d+)?%?", text), text
    return Decimal(text.rstrip("%"))


# Times as Pine's `str.format_time`, `str.tostring` and `str.format`, and TradingView's placeholders, write them.

_ZONES: Final = (timedelta(0), timedelta(hours=2), timedelta(hours=-5), timedelta(hours=5, minutes=30))


def _clock(zone: timedelta) -> str:
    minutes = int(abs(zone).total_seconds()) // 60
    return f"{'-' if zone < timedelta(0) else '+'}{minutes // 60:02}:{minutes % 60:02}"


_TIME_NAMES: Final = {
    "native": ({"symbol": "BTCUSDT.P", "action": "long", "qty": "0.01"}, "time"),
    "plain": ({"pair": "BTCUSDT.P", "side": "buy", "quantity": "0.01"}, "timestamp"),
    "3commas": ({key: _TEMPLATES["3commas"][key] for key in ("bot_uuid", "tv_instrument", "action")}, "timestamp"),
    "traderspost": ({"ticker": "BTCUSDT.P", "action": "buy", "quantity": "1", "sentiment": "long"}, "time"),
    "okx": ({"action": "ENTER_LONG", "instrument": "BTCUSDT.P", "signalToken": "t"}, "timestamp"),
    "passphrase": (
        {"passphrase": "p", "ticker": "BTCUSDT.P", "strategy": {"order_action": "buy", "order_contracts": 1}},
        "time",
    ),
}


@settings(_SETTINGS, max_examples=33)
@given(
    data=st.data(),
    at=st.datetimes(datetime(2011, 1, 1), datetime(2090, 1, 1)),  # noqa: DTZ001 - made aware below
    zone=st.sampled_from(_ZONES),
    kind=st.sampled_from(sorted(_TIME_NAMES)),
)
def test_one_time_in_every_spelling_of_pines_is_one_moment(
    data: st.DataObject, at: datetime, zone: timedelta, kind: str
) -> None:
    moment = at.replace(tzinfo=UTC, microsecond=at.microsecond // 1000 * 1000)
    local, clock = moment + zone, _clock(zone)
    separator, between = data.draw(st.sampled_from("-/.")), data.draw(st.sampled_from("T "))
    day = local.strftime(f"%Y{separator}%m{separator}%d")
    offsets = [clock, clock.replace(":", ""), f" {clock}"] + ([clock[:3]] if clock.endswith("00") else [])
    offsets += ["", "Z", " UTC", " GMT"] if not zone else []
    offset = data.draw(st.sampled_from(offsets))
    of_second, of_minute = moment.replace(microsecond=0), moment.replace(second=0, microsecond=0)
    ms = int(moment.timestamp() * 1000 + 0.5)
    spelled, right = data.draw(
        st.sampled_from(
            [
                (f"{day}{between}{local:%H:%M:%S}{offset}", of_second),
                (f"{day}{between}{local:%H:%M:%S}.{local.microsecond // 1000:03}{offset}", moment),
                (f"{day}{between}{local:%H:%M}{offset}", of_minute),
                (str(ms), moment),
                (str(ms // 1000), of_second),
                (f"{ms:,}", moment),
                (f"{Decimal(ms):E}", moment),
            ]
        )
    )
    message, name = _TIME_NAMES[kind]
    bare = json.loads(spelled) if spelled.isdigit() and data.draw(st.booleans()) else spelled
    assert signal_of(json.dumps({**message, name: bare})).sent_at == right, spelled


@_SETTINGS
@given(at=st.datetimes(datetime(2011, 1, 1), datetime(2090, 1, 1)), kind=st.sampled_from(sorted(_TIME_NAMES)))  # noqa: DTZ001
def test_a_time_that_could_be_another_day_is_refused_by_name(at: datetime, kind: str) -> None:
    """Day and month in an order that only the sender knows, a year of two digits, and a time without a day."""
    message, name = _TIME_NAMES[kind]
    for pattern in ("%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d-%m-%Y", "%y-%m-%d %H:%M", "%H:%M:%S", "%d %b %H:%M"):
        with pytest.raises(AlertInvalid) as caught:
            signal_of(json.dumps({**message, name: at.strftime(pattern)}))
        assert list(caught.value.fields) == [name]
