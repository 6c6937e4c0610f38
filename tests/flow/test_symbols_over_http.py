"""Every spelling of a symbol, against the instruments that the exchange lists."""

from __future__ import annotations

import uuid

import pytest
import requests

from tests.flow.desk import AccountApi, Market
from tests.paper_server import PaperServer

SPELLINGS = {
    ("linear", "BTCUSDT"): (
        *("BTCUSDT.P", "BYBIT:BTCUSDT.P", "BINANCE:BTCUSDTPERP", "BTC-USDT-SWAP", "OKX:BTC-USDT-SWAP"),
        *("BTC/USDT:USDT", "BTCUSDT", "BINANCE:BTCUSDT", "btcusdt.p", "XBTUSDT.P"),
    ),
    ("inverse", "BTCUSD"): ("BTCUSD.P", "BYBIT:BTCUSD.P", "XBTUSD.P", "BTCUSD", "BYBIT:BTCUSD", "BTC/USD:BTC"),
    ("linear", "BTCPERP"): ("BTCUSDC.P", "BTCPERP", "BYBIT:BTCPERP", "BTC/USDC:USDC", "BTC-USDC-SWAP"),
    ("linear", "SHIB1000USDT"): ("SHIB1000USDT.P", "1000SHIBUSDT.P", "BINANCE:1000SHIBUSDTPERP", "1000SHIB/USDT:USDT"),
    ("linear", "1000PEPEUSDT"): ("1000PEPEUSDT.P", "PEPE1000USDT", "1000PEPE-USDT-SWAP"),
    ("linear", "10000SATSUSDT"): ("10000SATSUSDT.P", "SATS10000USDT.P"),
    ("inverse", "ETHUSD"): ("ETHUSD.P", "DERIBIT:ETHUSD.P"),
    ("linear", "ETHPERP"): ("ETHUSDC.P", "ETHPERP"),
}
REFUSED = {
    "another venue's spot": ({"ticker": "COINBASE:BTCUSD"}, "BTCUSD"),
    "another venue's spot, told apart": ({"ticker": "BTCUSD", "exchange": "COINBASE"}, "BTCPERP"),
    "another multiplier": ({"ticker": "PEPEUSDT.P"}, "1000PEPEUSDT"),
    "yet another multiplier": ({"ticker": "1000SATSUSDT"}, "10000SATSUSDT"),
    "a slip": ({"ticker": "BTCUSTD.P"}, "BTCUSDT"),
    "a coin there is not in this quote": ({"ticker": "DOGEUSDC.P"}, "DOGEUSDT"),
    "a future": ({"ticker": "BTCUSDT-31DEC27"}, "BTCUSDT"),
}


@pytest.mark.parametrize(
    ("ticker", "category", "symbol"),
    [(ticker, *where) for where, tickers in SPELLINGS.items() for ticker in tickers],
)
def test_a_spelling_means_one_perpetual(account_api: AccountApi, ticker: str, category: str, symbol: str) -> None:
    account_api.control.reset()
    market = Market(ticker=ticker, symbol=symbol, category=category)
    signal = account_api.send(market, "buy", qty="200", qty_unit="quote")
    assert (signal["status"], signal["symbol"]) == ("done", symbol)
    assert [(order["category"], order["symbol"]) for order in signal["orders"]] == [(category, symbol)]
    assert account_api.position(market) > 0


def test_every_listed_perpetual_is_found_as_a_chart_spells_it(account_api: AccountApi, paper: PaperServer) -> None:
    listed = [
        row
        for category in ("linear", "inverse")
        for row in requests.get(
            f"{paper.url}/v5/market/instruments-info", params={"category": category, "limit": 1000}, timeout=5
        ).json()["result"]["list"]
        if row["contractType"] in ("LinearPerpetual", "InversePerpetual")
    ]
    assert len(listed) >= 30
    for row in listed:
        symbol, base = row["symbol"], row["baseCoin"]
        chart = f"{base}USDC.P" if row["settleCoin"] == "USDC" else f"{symbol}.P"
        for ticker in (chart, f"BYBIT:{chart}", symbol, chart.lower()):
            answer = account_api.relay.post({"action": "cancel", "ticker": ticker, "id": uuid.uuid4().hex})
            assert answer.status_code == 202, f"{ticker}: {answer.text}"
            assert account_api.relay.signal(answer.json()["signal_id"])["symbol"] == symbol, ticker


@pytest.mark.parametrize(("ticker", "status"), [("FTTUSDT.P", "Closed"), ("BIOUSDT.P", "PreLaunch")])
def test_an_entry_of_what_does_not_trade_is_denied_with_its_status(
    account_api: AccountApi, ticker: str, status: str
) -> None:
    alert = {"action": "buy", "qty": "1", "ticker": ticker, "id": uuid.uuid4().hex}
    signal = account_api.relay.done(alert)
    assert (signal["status"], signal["reason"]["code"]) == ("denied", "SYMBOL_NOT_TRADING")
    assert f"({status})" in signal["reason"]["message"]


@pytest.mark.parametrize(("named", "nearest"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_certainly_meant_is_refused_with_the_nearest(
    account_api: AccountApi, named: dict[str, str], nearest: str
) -> None:
    answer = account_api.relay.post({"action": "buy", "qty": "1", "id": uuid.uuid4().hex, **named})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], list(error["fields"])) == (422, "ALERT_INVALID", ["ticker"])
    assert nearest in error["fields"]["ticker"][0]
    stored = account_api.relay.signal(answer.json()["signal_id"])
    assert (stored["status"], stored["orders"]) == ("rejected", [])
