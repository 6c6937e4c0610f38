"""Limits at the exchange: what is resting, lost or set there holds back an entry, and never an exit."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.flow.desk import BTC, BTC_INVERSE, BTC_USDC, AccountApi, Market, open_account_api
from tests.paper_server import PaperServer

CLOSED_PNL = "/v5/position/closed-pnl"
ETH = Market(ticker="ETHUSDT.P", symbol="ETHUSDT", lot="1")


@pytest.fixture
def account_api(paper: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccountApi]:
    """A journal of its own for each test: the day's marks and resting orders are kept."""
    paper.control.reset()
    limits = {"MAX_POSITION_NOTIONAL": "30000", "DAILY_LOSS_LIMIT": "500", "MAX_LEVERAGE": "10"}
    with open_account_api(tmp_path_factory.mktemp("relay"), paper, **limits) as made:
        made.control.prices(BTCUSDT="100000", BTCPERP="100000", BTCUSD="100000", ETHUSDT="4000")
        yield made
        made.control.clear_faults()


def _set_leverage(account_api: AccountApi, market: Market, leverage: str) -> None:
    assert account_api.send(market, "buy", qty=market.lot, qty_unit="contracts", leverage=leverage)["status"] == "done"
    assert Decimal(account_api.position_row(market)["leverage"]) == Decimal(leverage)


def test_resting_entries_count_against_the_position_limit_and_the_exit_passes(account_api: AccountApi) -> None:
    _set_leverage(account_api, BTC, "10")
    rests = account_api.send(BTC, "buy", qty="0.1", type="limit", price="90000")
    assert rests["status"] == "done", rests
    third = account_api.send(BTC, "buy", qty="0.101")
    assert (third["status"], third["reason"]["code"]) == ("denied", "LIMIT_POSITION_NOTIONAL")
    assert "resting orders included" in third["reason"]["message"]
    assert account_api.send(BTC, "buy", qty="0.1")["status"] == "done"
    assert account_api.send(BTC, "sell", qty="0.2")["status"] == "done"
    assert account_api.held(BTC) == "0"


@pytest.mark.parametrize("market", [BTC, BTC_USDC, BTC_INVERSE], ids=["usdt", "usdc", "inverse"])
def test_a_leverage_over_the_limit_withholds_the_entry_of_a_flip_and_its_exit_goes(
    account_api: AccountApi, market: Market
) -> None:
    account_api.hold(market, market.lot)
    denied = account_api.send(market, "buy", qty=market.lot, qty_unit="contracts", leverage="11")
    assert (denied["status"], denied["reason"]["code"]) == ("denied", "LIMIT_LEVERAGE")
    flip = account_api.send(market, "sell", qty=str(2 * Decimal(market.lot)), qty_unit="contracts", leverage="11")
    assert (flip["status"], flip["reason"]["code"], account_api.held(market)) == ("done", "ENTRY_WITHHELD", "0")


def test_the_days_loss_blocks_entries_until_tomorrow_whatever_recovers_and_exits_go(account_api: AccountApi) -> None:
    _set_leverage(account_api, BTC, "10")
    account_api.control.prices(BTCUSDT="94000")
    assert account_api.send(BTC, "close")["status"] == "done"
    blocked = account_api.send(BTC, "buy", qty="0.01")
    assert (blocked["status"], blocked["reason"]["code"]) == ("denied", "LIMIT_DAILY_LOSS")
    assert "DAILY_LOSS_LIMIT is 500" in blocked["reason"]["message"]
    account_api.hold(BTC, "0.1")
    assert account_api.send(BTC, "sell", qty="0.05")["status"] == "done"
    flip = account_api.send(BTC, "sell", qty="0.1")
    assert (flip["status"], flip["reason"]["code"], account_api.held(BTC)) == ("done", "ENTRY_WITHHELD", "0")


def test_open_losses_since_the_days_first_reading_count_and_a_recovery_lifts_nothing(account_api: AccountApi) -> None:
    _set_leverage(account_api, BTC_USDC, "10")
    account_api.control.prices(BTCPERP="94000")
    for price in ("94000", "100000"):
        account_api.control.prices(BTCPERP=price)
        blocked = account_api.send(BTC_USDC, "buy", qty="0.01")
        assert (blocked["status"], blocked["reason"]["code"]) == ("denied", "LIMIT_DAILY_LOSS")
    assert account_api.send(BTC_USDC, "close")["status"] == "done"


def test_a_loss_in_coins_counts_in_usd(account_api: AccountApi) -> None:
    _set_leverage(account_api, BTC_INVERSE, "10")
    account_api.hold(BTC_INVERSE, "10000")
    account_api.control.prices(BTCUSD="90000")
    account_api.hold(BTC_INVERSE, "0")
    blocked = account_api.send(BTC_INVERSE, "buy", qty="100", qty_unit="contracts")
    assert (blocked["status"], blocked["reason"]["code"]) == ("denied", "LIMIT_DAILY_LOSS")


def test_a_result_that_the_exchange_refuses_to_tell_withholds_the_entry_and_the_exit_goes(
    account_api: AccountApi,
) -> None:
    _set_leverage(account_api, BTC, "10")
    account_api.control.fault(CLOSED_PNL, "code", retCode=10005, retMsg="Permission denied", times=None)
    denied = account_api.send(BTC, "buy", qty="0.01")
    assert (denied["status"], denied["reason"]["code"]) == ("denied", "LIMIT_DAILY_LOSS")
    assert "could not be read" in denied["reason"]["message"]
    flip = account_api.send(BTC, "sell", qty="0.2")
    assert (flip["status"], flip["reason"]["code"], account_api.held(BTC)) == ("done", "ENTRY_WITHHELD", "0")


def test_an_exit_does_not_wait_for_a_result_that_does_not_come(account_api: AccountApi) -> None:
    _set_leverage(account_api, BTC, "10")
    account_api.control.fault(CLOSED_PNL, "http", status=502, times=None)
    flip = account_api.send(BTC, "sell", qty="0.2")
    assert (flip["status"], flip["reason"]["code"], account_api.held(BTC)) == ("done", "ENTRY_WITHHELD", "0")


def test_the_signal_tells_what_its_limits_counted(account_api: AccountApi) -> None:
    requested = account_api.send(ETH, "buy", qty="1", leverage="5")
    assert requested["status"] == "done", requested
    (planned,) = [event for event in requested["events"] if event["name"] == "planned"]
    assert planned["detail"]["inputs"]["day_realised"] == "0"
