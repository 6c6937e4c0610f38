"""Messages of further services, in words and numbers of our own: what each means, and what is refused how."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from relay.alerts.authenticate import Credentials, authenticates
from relay.alerts.formats import READ, REFUSED, alert_format_of, fields_of_text, recognise
from relay.alerts.signal import read, signal_from_stored
from relay.domain.signal import Action, Signal
from relay.errors import AlertInvalid
from tests.unit.dialect_cases import RECEIVED_AT

SECRET = "a-word-that-proves-the-sender-0815"
LADDER = [{"at": "1.5%", "share": "40%"}, {"at": "3%", "share": "60%"}]


def native_of(text: str) -> tuple[str | None, dict[str, Any], dict[str, Any]]:
    """Its format, its native fields, and what only a Signal has."""
    stored = dict(read(text.encode()).fields)
    name = stored.pop("format", None)
    if not isinstance(name, str):
        return None, stored, {}
    alert_format = alert_format_of(name)
    assert alert_format is not None
    translation = alert_format.translate(stored)
    return name, translation.fields, dict(translation.internal)


def signal_of(text: str) -> Signal:
    return signal_from_stored(read(text.encode()).fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)


def refusal_of(text: str) -> AlertInvalid:
    with pytest.raises(AlertInvalid) as caught:
        signal_of(text)
    return caught.value


def spellings(message: dict[str, Any]) -> list[str]:
    """The same meaning, as other people's editors and templates write it."""
    quoted = {name: str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
              for name, value in message.items()}  # fmt: skip
    shouted = {name.upper(): value for name, value in message.items()}
    return [json.dumps(each, indent=indent) for each in (message, quoted, shouted) for indent in (None, 2)]


TVHUB = {"exchange": "bybit", "pair": "ETHUSDT", "apiKey": "main", "token": SECRET, "isMarket": True}
ALTRADY = {"api_key": "ours", "api_secret": SECRET, "exchange": "BYBIF", "symbol": "BYBIF_USDT_ETH"}
MIZAR = {"bot_id": "7", "base_asset": "ETH", "quote_asset": "USDT", "api_key": SECRET}
BEE = {"webhook_secret": SECRET, "symbol": "ETH-USDT", "source_timestamp": "2025-01-31T12:00:00Z"}
DEAL = {"message_type": "bot", "bot_id": 77, "email_token": SECRET, "delay_seconds": 0}
FINANDY = {"name": "Own hook", "secret": SECRET, "symbol": "ETHUSDT.P"}
TVBIT = {"name": "n", "symbol": "ETHUSDT", "type": "Market", "price": "0", "qty": "0.4"}
PIONEX = {"price": "2500", "signal_param": "{}", "signal_type": SECRET, "symbol": "ETHUSDT.P"}

READ_AS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("tvhub", TVHUB | {"isBuy": True, "units": 0.4}, {"action": "long", "qty": "0.4", "qty_unit": "base"}),
    (
        "tvhub",
        TVHUB | {"isSell": True, "unitsType": "percent", "unitsPercent": 4, "leverage": 3},
        {"action": "short", "qty": "4", "qty_unit": "equity_pct", "leverage": "3"},
    ),
    (
        "tvhub",
        TVHUB
        | {"isBuy": "true", "useFixedSize": True, "fixedQuoteSize": 150, "stopLossType": "percent"}
        | {"stopLossPercent": 2, "targetAmountInPercent": True}
        | {"targets": [{"takeProfitPercent": 1.5, "amount": 40}, {"takeProfitPercent": 3, "amount": 60}]},
        {"action": "long", "qty": "150", "qty_unit": "quote", "stop_loss": "2%", "take_profit": LADDER},
    ),
    ("tvhub", TVHUB | {"isClose": True}, {"action": "close"}),
    ("tvhub", TVHUB | {"isClose": True, "closeShort": True}, {"action": "close_short"}),
    ("tvhub", TVHUB | {"isClose": True, "units": 0.2}, {"action": "close", "qty": "0.2", "qty_unit": "base"}),
    (
        "tvhub",
        TVHUB | {"isBuy": True, "isLimit": True, "price": 2400, "postOnly": True},
        {"action": "long", "type": "limit", "time_in_force": "PostOnly"},
    ),
    (
        "tvhub",
        TVHUB | {"isClose": True, "unitsType": "percentPosition", "units": 25},
        {"action": "close", "qty": "25", "qty_unit": "position_pct"},
    ),
    ("altrady", ALTRADY | {"side": "short"}, {"action": "short", "ticker": "ETHUSDT"}),
    (
        "altrady",
        ALTRADY | {"action": "reverse", "side": "long", "quote_amount": 120, "test": False, "signal_id": "q"},
        {"action": "long", "ticker": "ETHUSDT", "qty": "120", "qty_unit": "quote", "order_id": "q"},
    ),
    ("altrady", ALTRADY | {"action": "close", "side": "long"}, {"action": "close_long", "ticker": "ETHUSDT"}),
    ("mizar", MIZAR | {"action": "close-position"}, {"action": "close", "ticker": "ETHUSDT"}),
    (
        "mizar",
        MIZAR | {"action": "open-position", "side": "long", "take_profit_pct": "0.04", "stop_loss_pct": 0.015},
        {"action": "long", "ticker": "ETHUSDT", "take_profit": "4%", "stop_loss": "1.5%"},
    ),
    (
        "mizar",
        MIZAR | {"action": "open-position", "side": "short", "open_order_price": "2400"},
        {"action": "short", "ticker": "ETHUSDT", "type": "limit", "price": "2400", "valid_for": "300"},
    ),
    (
        "signalbee",
        BEE | {"side": "SELL", "quantity_type": "fixed", "quantity": "0.4"},
        {"action": "sell", "qty": "0.4", "qty_unit": "base"},
    ),
    (
        "signalbee",
        BEE | {"side": "buy", "quantity_type": "percentage", "quantity": "12", "signal_price": "2500"},
        {"action": "buy", "qty": "12", "qty_unit": "equity_pct", "signal_price": "2500"},
    ),
    (
        "signalbee",
        BEE | {"side": "close", "quantity_type": "percentage", "quantity": "50"},
        {"action": "close", "qty": "50", "qty_unit": "position_pct"},
    ),
    ("3commas_dca", DEAL | {"action": "close_at_market_price", "pair": "USDT_ETH"}, {"ticker": "ETHUSDT"}),
    ("3commas_dca", DEAL | {"action": "close_at_market_price_all", "pair": "USDT_ETHUSDT"}, {"action": "close"}),
    (
        "finandy",
        FINANDY | {"side": "sell", "positionSide": "short", "sl": {"ofs": "2", "price": ""}},
        {"action": "sell", "market_position": "short", "stop_loss": "2%"},
    ),
    (
        "finandy",
        FINANDY
        | {"side": "buy", "tp": {"update": True, "orders": [{"ofs": 1.5, "piece": 40}, {"ofs": "3", "piece": "60"}]}},
        {"action": "buy", "take_profit": LADDER},
    ),
    (
        "finandy",
        FINANDY | {"side": "buy", "tp": {"enabled": False}, "sl": {"price": "2400", "ofs": "2", "enabled": "true"}},
        {"action": "buy", "stop_loss": "2400"},
    ),
    ("finandy", FINANDY | {"side": "buy", "sl": {"ofs": 2, "enabled": False}}, {"action": "buy", "stop_loss": None}),
    (
        "finandy",
        FINANDY | {"side": "sell", "positionSide": "flat", "sl": {}, "tp": {}},
        {"action": "sell", "market_position": "flat"},
    ),
    ("tvbit", TVBIT | {"side": "Buy", "tp": "+30", "sl": "-20"}, {"take_profit": "+30", "stop_loss": "-20"}),
    ("tvbit", TVBIT | {"side": "Sell", "tp": "-30", "sl": "+20"}, {"take_profit": "+30", "stop_loss": "-20"}),
    ("tvbit", TVBIT | {"side": "Sell", "tp": "2%", "sl": "1%"}, {"take_profit": "2%", "stop_loss": "1%"}),
    ("tvbit", TVBIT | {"side": "Buy", "tp": "0", "sl": "2400"}, {"action": "buy", "stop_loss": "2400", "qty": "0.4"}),
    (
        "pionex",
        PIONEX | {"data": {"action": "sell", "contracts": "0.8", "position_size": "-0.4"}},
        {"action": "target", "position_size": "-0.4", "ticker": "ETHUSDT.P", "signal_price": "2500"},
    ),
    (
        "tickerly",
        {"ticker": "ETHUSDT.P", "action": "sell", "prev_position": "long", "quantity": "0.4", "pointer": SECRET},
        {"ticker": "ETHUSDT.P", "action": "sell", "prev_market_position": "long", "qty": "0.4"},
    ),
]


@pytest.mark.parametrize(("name", "message", "meant"), READ_AS, ids=lambda value: str(value)[:60])
def test_a_services_message_means_what_its_page_says_however_it_is_spelled(
    name: str, message: dict[str, Any], meant: dict[str, Any]
) -> None:
    for text in spellings(message):
        found, native, _ = native_of(text)
        assert found == name
        assert {key: native.get(key) for key in meant} == meant, text
        signal_of(text)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ALTRADY | {"action": "open", "side": "short"}),
        json.dumps(MIZAR | {"action": "open-position", "side": "long"}),
        "ENTER-LONG_BYBIT_ETHUSDT_Own-bot_1H_0f1e2d3c4b5a69788796",
    ],
)
def test_an_entry_of_a_bot_that_never_adds_leaves_a_position_of_its_side_as_it_is(text: str) -> None:
    assert signal_of(text).stays_as_large


@pytest.mark.parametrize("message", [row[1] for row in READ_AS if SECRET in row[1].values()], ids=str)
def test_its_secret_proves_the_sender_and_is_stored_nowhere(message: dict[str, Any]) -> None:
    reading = read(json.dumps(message).encode(), secrets=(SECRET,))
    assert any(authenticates((SECRET,), Credentials(), b"", each, RECEIVED_AT) for each in reading.secrets)
    assert SECRET not in json.dumps(reading.fields)


@pytest.mark.parametrize(("name", "message"), [row[:2] for row in READ_AS], ids=lambda value: str(value)[:60])
def test_it_says_by_what_it_was_known_and_how_to_turn_that_off(name: str, message: dict[str, Any]) -> None:
    notes = " ".join(signal_of(json.dumps(message)).notes)
    alert_format = alert_format_of(name)
    assert alert_format is not None
    assert f"read as a message of {alert_format.service} because of `" in notes and "`?format=native`" in notes


REFUSED_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    (TVHUB | {"isBuy": True, "isSell": True}, "isBuy", "only one"),
    (TVHUB | {"isBuy": True, "exchange": "bybit-spot"}, "exchange", "not Bybit's perpetuals"),
    (TVHUB | {"isBuy": True, "exchange": "bybit-testnet"}, "exchange", "not Bybit's perpetuals"),
    (TVHUB | {"isBuy": True, "targets": [{"takeProfitPercent": 1, "amount": 0.1}]}, "targets[0].amount", "percentages"),
    (TVHUB | {"isClose": True, "unitsType": "percent", "unitsPercent": 50}, "unitsType", "percentPosition"),
    (TVHUB | {"isBuy": True, "useTrailingStopLoss": True}, "useTrailingStopLoss", "managed by TV-Hub"),
    (TVHUB | {"isBuy": True, "stopLossType": "percent"}, "stopLossType", "needs `stopLossPercent`"),
    (ALTRADY | {"side": "long", "test": True}, "test", "not for real"),
    (ALTRADY | {"action": "close", "side": "long", "test": "true"}, "test", "not for real"),
    (ALTRADY | {"side": "long", "exchange": "BYBI"}, "exchange", "spot exchange"),
    (ALTRADY | {"side": "long", "symbol": "BINA_USDT_ETH", "exchange": "Binance"}, "symbol", "spot exchange"),
    (ALTRADY | {"action": "start_and_open"}, "action", "switches a bot"),
    (ALTRADY | {"action": "increase", "side": "long"}, "action", "native alert"),
    (ALTRADY | {"action": "open"}, "side", "is missing"),
    (ALTRADY | {"side": "long", "dca_orders": [{"price_percentage": 1}]}, "dca_orders", "set of orders"),
    (MIZAR | {"action": "open-position"}, "side", "only the bot knows"),
    (MIZAR | {"action": "open-position", "side": "long", "position_size": "0.5"}, "position_size", "part of the size"),
    (MIZAR | {"action": "halt"}, "action", "must be one of"),
    (BEE | {"side": "sell", "quantity_type": "percentage", "quantity": "12"}, "quantity_type", "position or of the"),
    (BEE | {"side": "buy", "quantity": "12"}, "quantity_type", "is missing"),
    (DEAL, "action", "the side that only the bot knows"),
    (DEAL | {"pair": "USDT_ETH"}, "action", "the side that only the bot knows"),
    (DEAL | {"action": "add_funds_in_quote", "pair": "USDT_ETH", "volume": 20}, "action", "3Commas' own deals"),
    (DEAL | {"action": "close_at_market_price"}, "pair", "is missing"),
    (FINANDY | {"side": "buy", "sl": {"ofs": 2}, "simbol": "ETHUSDT"}, "simbol", "is it `symbol`?"),
    (FINANDY | {"side": "buy", "sl": {}}, "sl.ofs", "is missing"),
    (FINANDY | {"side": "buy", "sl": {"update": True}}, "sl.ofs", "is missing"),
    (FINANDY | {"side": "buy", "tp": {"orders": []}, "sl": {"ofs": 2}}, "tp.orders", "is missing"),
    (FINANDY | {"side": "buy", "tp": {"update": True}}, "tp.orders", "is missing"),
    (FINANDY | {"side": "buy", "open": {"amount": "5"}}, "open", "what the hook at Finandy is set to"),
    (FINANDY | {"side": "buy", "tp": {"orders": [{"ofs": 1}, {"ofs": 2}]}}, "tp.orders[0].piece", "is missing"),
    (TVBIT | {"side": "Buy", "tp": "2%", "sl": "2400"}, "sl", "both be percentages"),
    (PIONEX | {"data": {"action": "buy"}}, "data.position_size", "is missing"),
]


@pytest.mark.parametrize(("message", "field", "problem"), REFUSED_FIELDS, ids=lambda value: str(value)[:60])
def test_what_cannot_be_done_is_refused_by_the_services_own_name(
    message: dict[str, Any], field: str, problem: str
) -> None:
    error = refusal_of(json.dumps(message))
    assert problem in " ".join(error.fields[field]), error.fields


CODE = "0d5b6a7c8e9f0d5b6a7c8e9f"
LINES: list[tuple[str, dict[str, Any]]] = [
    (f"ENTER-SHORT_Bybit_ETHUSDT_Night owl_4H_{CODE}", {"action": "short", "ticker": "ETHUSDT", "exchange": "BYBIT"}),
    (f"enter-long_BYBIT_ETHUSDT_x_4H_{CODE}\n", {"action": "long", "ticker": "ETHUSDT"}),
    (f"EXIT-ALL_Bybit_ETHUSDT_Night owl_4H_{CODE}", {"action": "flat", "ticker": "ETHUSDT"}),
    (f"EXIT-SHORT_BYBIT_MULTIPLE-PAIRS_ETHUSDT-Ab1_4H_{CODE}", {"action": "close_short", "ticker": "ETHUSDT"}),
    ("e=bybit s=ETHUSDT b=long q=0.4 t=market", {"action": "buy", "qty": "0.4", "qty_unit": "base"}),
    ("E=bybit S=ETHUSDT B=sell Q=0.4 T=limit P=2600", {"action": "sell", "type": "limit", "price": "2600"}),
    (
        "s=ETHUSDT c=order\nc=position b=short t=market\ndelay=1\nb=long l=5 q=20% t=market tp=2% sl=1%",
        {"action": "long", "qty": "20", "qty_unit": "margin_pct", "leverage": "5", "take_profit": "2%"},
    ),
    (
        "GO SHORT | s=ETHUSDT c=position b=long t=market | delay=30 | s=ETHUSDT b=short t=market q=0.4",
        {"action": "short", "qty": "0.4", "ticker": "ETHUSDT"},
    ),
    ("s=ETHUSDT c=position b=long t=market", {"action": "close_long"}),
    ("s=ETHUSDT c=position b=long t=market\nc=position b=short t=market", {"action": "close"}),
    ("s=ETHUSDT c=position q=30% t=market", {"action": "close", "qty": "30", "qty_unit": "position_pct"}),
    ("s=ETHUSDT c=position b=long t=limit p=2700", {"action": "close_long", "type": "limit", "price": "2700"}),
    ("s=ETHUSDT c=order", {"action": "cancel"}),
]


@pytest.mark.parametrize(("text", "meant"), LINES)
def test_a_services_plain_text_is_read(text: str, meant: dict[str, Any]) -> None:
    _, native, _ = native_of(text)
    assert {key: native.get(key) for key in meant} == meant
    signal_of(text)


def test_the_last_part_of_a_code_proves_the_sender_in_plain_text_too() -> None:
    reading = read(f"EXIT-LONG_Bybit_ETHUSDT_x_4H_{CODE}".encode(), secrets=(CODE,))
    assert reading.secrets == (CODE,) and CODE not in json.dumps(reading.fields)


@pytest.mark.parametrize(
    ("text", "field", "problem"),
    [
        (f"ENTER-LONG_BYBIT_MULTIPLE-PAIRS_ETHUSDT-Ab1_4H_{CODE}", "code", "names no pair"),
        ("ENTER-LONG", "code", "names no pair"),
        ("b=long q=0.4 t=market", "s", "is missing"),
        ("s=ETHUSDT b=long q=0.4", "t", "must be `market`"),
        ("s=ETHUSDT b=long q=40% t=market", "q", "without a leverage"),
        ("s=ETHUSDT b=long q=1 t=market sl=-2%", "sl", "without a sign"),
        ("s=ETHUSDT b=long q=1 t=market tp=2700", "tp", "percentage"),
        ("s=ETHUSDT b=long q=1 t=market d=1", "d", "for real"),
        ("s=ETHUSDT b=long q=1 t=market y=borrow", "y", "no key of Autoview's"),
        ("s=ETHUSDT e=bybit-testnet b=long q=1 t=market", "e", "a test or a spot market"),
        ("s=ETHUSDT b=long q=1 t=market\ns=BTCUSDT b=long q=1 t=market", "b", "opens twice"),
        ("s=ETHUSDT c=position b=short t=market\ns=BTCUSDT b=long q=1 t=market", "s", "differs"),
        ("s=ETHUSDT c=position b=long t=market\nb=long q=1 t=market", "c", "closes the long"),
        ("s=ETHUSDT b=long q=1 t=limit", "t", "with a price `p`"),
        ("s=ETHUSDT b=long q=1 t=limit p=-1%", "t", "plain number"),
    ],
)
def test_a_line_that_cannot_be_done_is_refused_by_its_key(text: str, field: str, problem: str) -> None:
    error = refusal_of(text)
    assert problem in " ".join(error.fields[field]), error.fields


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("s=ETHUSDT c=position b=short t=market\ns=BTCUSDT c=position b=long t=market", "s"),
        ("s=ETHUSDT c=position q=30%\nc=position q=40%", "q"),
        ("s=ETHUSDT c=position d=1", "d"),
        ("s=ETHUSDT e=bybit-spot c=position", "e"),
        ("s=ETHUSDT c=position t=stop p=2400", "t"),
        ("s=ETHUSDT c=position t=limit p=1%", "t"),
        ("s=ETHUSDT c=position fp=2700", "p"),
        ("s=ETHUSDT c=position b=long t=limit p=2700\nc=position b=short t=market", "t"),
        (json.dumps(TVHUB | {"isClose": True, "unitsPercent": 40}), "unitsType"),
        (json.dumps({**MIZAR, "action": "close-position", "position_size": "0.4"}), "position_size"),
        (
            json.dumps(BEE | {"side": "sell", "reduce_only": True, "type": "trailing_stop", "stop_price": "2400"}),
            "type",
        ),
        (json.dumps(TVHUB | {"isClose": True, "exchange": "bybit-spot"}), "exchange"),
        (json.dumps(ALTRADY | {"action": "close", "side": "long", "exchange": "BYBI"}), "exchange"),
        (json.dumps({**MIZAR, "quote_asset": "", "action": "close-position"}), "quote_asset"),
    ],
)
def test_what_says_what_is_closed_refuses_an_exit_too(text: str, field: str) -> None:
    assert field in refusal_of(text).fields


KNOWN_BY_NAME = [
    ("Own Strategy (9): order sell @ 0.4 filled on ETHUSDT.P. New strategy position is -0.4", "TradingView"),
    ('{"text": "Own: order buy @ 2 filled on ETHUSDT.P. New strategy position is 2"}', "TradingView"),
    ("6012345678901,closelong,ETHUSDT", "PineConnector"),
    ("6012345678901, buy, ETHUSDT, risk=1, sl=40", "PineConnector"),
    ("6012345678901,sell,XAUUSD,risk=1", "metal"),
    ("6012345678901,buy,EURJPY,risk=1", "currency"),
    ("6012345678901,EURUSD,buy,risk=1", "currency"),
    ("Mine(ETHUSDT) { market(side=buy, amount=1); } #bot", "Alertatron"),
    ("BETA(ETHUSDT){\ntype=market,side=sell,amount=2\n}", "LinkMyTrading"),
    ("Exchange: Bybit USDT\nSignal: SHORT\nPair: ETH/USDT\nEntry: 2500", "Cornix"),
    ("#ETH/USDT\nLeverage: 5x\nEntry Targets:\n1) 2500", "Cornix"),
    ('{"uuid": "u-1", "timestamp": "2025-01-31T12:00:00Z", "secret": "s", "alertName": "go"}', "Cornix"),
    ('{"action": "startDeal", "uuid": "u-1"}', "Gainium"),
    ('{"hopper_id": 5, "type": "buy", "coin": "ETH"}', "Cryptohopper"),
    ('{"bitsgap_token": "t", "side": "buy"}', "Bitsgap"),
    ('{"goodcrypto_key": "t", "side": "buy"}', "GoodCrypto"),
    ('{"veles_key": "t", "side": "buy"}', "Veles"),
    ('{"bitget_api_key": "t", "order_action": "buy"}', "Bitget"),
    ('{"binance_api_key": "t", "order_action": "buy"}', "Binance"),
    ("key=abc type=entry orderType=market signalId=7", "Zignaly"),
    ("key=abc;\ncommand=PLACE;\naction=BUY;", "CrossTrade"),
    ("buy ETH/USDT Q=0.4 L=5 SL=2%", "of words"),
    ("abcdefgh\nshort ETHUSDT q=0.4", "of words"),
]


@pytest.mark.parametrize(("text", "service"), KNOWN_BY_NAME)
def test_a_service_that_is_not_read_is_named_with_a_message_to_send_instead(text: str, service: str) -> None:
    message = refusal_of(text).message
    assert service in message
    instead = json.loads(message[message.index("{") :])
    assert instead["ticker"] == "{{ticker}}" and "action" in instead
    filled = (
        json.dumps(instead | {"ticker": "ETHUSDT.P", "action": "buy", "qty": "1"}).replace("{{", "").replace("}}", "")
    )
    assert "format" not in read(filled.encode()).fields


def test_every_service_that_is_refused_is_known_by_something() -> None:
    for each in REFUSED:
        assert each.pattern is not None or each.marks or each.own_actions
        assert each.refused and each not in READ


TWO_SHAPES: dict[str, Any] = {"tv_instrument": "ETHUSDT.P", "bot_uuid": "u", "action": "enter_long", "pair": "ETHUSDT"}


def test_a_message_of_two_shapes_is_asked_about() -> None:
    both = TWO_SHAPES | {"isBuy": True}
    found = recognise({name.lower(): value for name, value in both.items()}, None)
    assert found is not None and {each.name for each in found.several} == {"3commas", "tvhub"}
    message = refusal_of(json.dumps(both)).message
    assert all(part in message for part in ("3Commas", "TV-Hub", "`?format=3commas`", "`?format=tvhub`"))


def test_a_message_of_two_shapes_is_read_as_the_one_that_its_sender_names() -> None:
    both = json.dumps(MIZAR | {"action": "close-position", "api_secret": SECRET})
    assert refusal_of(both).fields.keys() == {"format"}
    named = read(both.encode(), named="mizar")
    signal = signal_from_stored(named.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
    assert signal.action is Action.CLOSE
    assert SECRET not in json.dumps(read(both.encode(), secrets=(SECRET,)).fields)


@pytest.mark.parametrize(
    "text", ["{", "[1]", "", " ", "ticker=ETHUSDT.P\naction=buy\nqty=1", "action=buy,ticker=ETHUSDT"]
)
def test_what_is_no_services_text_is_left_to_json_and_pairs(text: str) -> None:
    assert fields_of_text(text.encode()) is None


@pytest.mark.parametrize(
    "start", ["s=A b=c", "a/b", "6012345,", "order buy @ 1 filled on", "buy A", "key=", "pair:", ""]
)
@pytest.mark.parametrize("unit", ["\n", "\n |", "a=b ", "\na/b", "ENTER-LONG_", "order buy @ a filled on ", "#"])
def test_no_text_takes_long_to_be_told_apart(start: str, unit: str) -> None:
    begun = time.thread_time()
    fields_of_text((start + unit * 1900)[:1990].encode() + b"!}=")
    assert time.thread_time() - begun < 0.05
