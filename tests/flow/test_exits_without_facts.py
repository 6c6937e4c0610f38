"""An exit goes out whatever else cannot be read or done: what only the entry needs withholds the entry alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flow.desk import BTC, AccountApi, open_account_api
from tests.paper_server import PaperServer

CANCEL = "/v5/order/cancel"
WALLET = "/v5/account/wallet-balance"


@pytest.fixture(scope="module")
def running(paper: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccountApi]:
    with open_account_api(tmp_path_factory.mktemp("relay"), paper, BYBIT_STREAM_URL="off") as account_api:
        yield account_api


@pytest.fixture
def account_api(running: AccountApi) -> Iterator[AccountApi]:
    """With nothing at the exchange."""
    running.control.reset()
    yield running
    running.control.clear_faults()


def _refuse(account_api: AccountApi, path: str, code: int = 10005) -> None:
    account_api.control.fault(path, "code", retCode=code, retMsg="Permission denied", times=None)


def test_a_flip_whose_size_needs_an_equity_that_is_refused_exits_and_opens_nothing(account_api: AccountApi) -> None:
    account_api.hold(BTC, "0.1")
    _refuse(account_api, WALLET)
    signal = account_api.send(BTC, "short", qty="10", qty_unit="equity_pct")
    assert (signal["status"], signal["reason"]["code"], account_api.held(BTC)) == ("done", "ENTRY_WITHHELD", "0")
    assert "Permission denied" in signal["reason"]["message"]


def test_a_flip_whose_equity_cannot_be_reached_exits_at_once(account_api: AccountApi) -> None:
    account_api.hold(BTC, "0.1")
    account_api.control.fault(WALLET, "drop_request", times=None)
    signal = account_api.send(BTC, "short", qty="10", qty_unit="equity_pct")
    assert (signal["status"], signal["reason"]["code"], account_api.held(BTC)) == ("done", "ENTRY_WITHHELD", "0")


def test_an_entry_whose_equity_is_refused_sends_nothing_and_calls_a_person(account_api: AccountApi) -> None:
    account_api.hold(BTC, "0.1")
    _refuse(account_api, WALLET)
    signal = account_api.send(BTC, "sell", qty="10", qty_unit="equity_pct")
    assert (signal["status"], signal["reason"]["code"]) == ("attention", "EXCHANGE_KEY")
    assert (signal["orders"], account_api.held(BTC)) == ([], "0.1")
    assert "nothing was sent" in signal["notes"]


def test_an_entry_whose_equity_cannot_be_reached_for_a_moment_is_placed_then(account_api: AccountApi) -> None:
    account_api.control.fault(WALLET, "drop_request", times=2)
    signal = account_api.send(BTC, "buy", qty="10", qty_unit="equity_pct")
    assert signal["status"] == "done"
    assert account_api.position(BTC) > 0


@pytest.mark.parametrize(("action", "fields"), [("close", {}), ("short", {"qty": "0.1"})])
def test_an_exit_goes_out_beside_a_resting_order_that_cannot_be_cancelled_and_a_person_is_called(
    account_api: AccountApi, action: str, fields: dict[str, str]
) -> None:
    account_api.hold(BTC, "0.1")
    for price in ("50000", "51000"):
        account_api.send(BTC, "buy", qty="0.1", type="limit", price=price)
    stuck = account_api.resting(BTC)[-1]["orderLinkId"]
    account_api.control.fault(
        CANCEL, "code", retCode=10001, retMsg="params error", match={"orderLinkId": stuck}, times=None
    )
    signal = account_api.send(BTC, action, **fields)
    assert (signal["status"], signal["reason"]["code"]) == ("attention", "CANCEL_INCOMPLETE"), signal
    assert (account_api.held(BTC), [each["reduce_only"] for each in signal["orders"]]) == ("0", [True])
    assert [each["orderLinkId"] for each in account_api.resting(BTC)] == [stuck]


def test_without_an_exit_a_resting_order_that_cannot_be_cancelled_holds_back_everything(
    account_api: AccountApi,
) -> None:
    account_api.send(BTC, "buy", qty="0.1", type="limit", price="50000")
    _refuse(account_api, CANCEL, 10001)
    signal = account_api.send(BTC, "long", qty="0.1")
    assert (signal["status"], signal["reason"]["code"]) == ("attention", "CANCEL_INCOMPLETE")
    assert (signal["orders"], account_api.held(BTC)) == ([], "0")
