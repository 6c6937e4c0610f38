"""An exit goes out whatever else cannot be read or done: what only the entry needs withholds the entry alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flow.desk import BTC, Desk, open_desk
from tests.paper_server import PaperServer

CANCEL = "/v5/order/cancel"
WALLET = "/v5/account/wallet-balance"


@pytest.fixture(scope="module")
def running(paper: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("relay"), paper, BYBIT_STREAM_URL="off") as desk:
        yield desk


@pytest.fixture
def desk(running: Desk) -> Iterator[Desk]:
    """With nothing at the exchange."""
    running.control.reset()
    yield running
    running.control.clear_faults()


def _refuse(desk: Desk, path: str, code: int = 10005) -> None:
    desk.control.fault(path, "code", retCode=code, retMsg="Permission denied", times=None)


def test_a_flip_whose_size_needs_an_equity_that_is_refused_exits_and_opens_nothing(desk: Desk) -> None:
    desk.hold(BTC, "0.1")
    _refuse(desk, WALLET)
    signal = desk.send(BTC, "short", qty="10", qty_unit="equity_pct")
    assert (signal["status"], signal["reason"]["code"], desk.held(BTC)) == ("done", "ENTRY_WITHHELD", "0")
    assert "Permission denied" in signal["reason"]["message"]


def test_a_flip_whose_equity_cannot_be_reached_exits_at_once(desk: Desk) -> None:
    desk.hold(BTC, "0.1")
    desk.control.fault(WALLET, "drop_request", times=None)
    signal = desk.send(BTC, "short", qty="10", qty_unit="equity_pct")
    assert (signal["status"], signal["reason"]["code"], desk.held(BTC)) == ("done", "ENTRY_WITHHELD", "0")


def test_an_entry_whose_equity_is_refused_sends_nothing_and_calls_a_person(desk: Desk) -> None:
    desk.hold(BTC, "0.1")
    _refuse(desk, WALLET)
    signal = desk.send(BTC, "sell", qty="10", qty_unit="equity_pct")
    assert (signal["status"], signal["reason"]["code"]) == ("attention", "EXCHANGE_KEY")
    assert (signal["orders"], desk.held(BTC)) == ([], "0.1")
    assert "nothing was sent" in signal["notes"]


def test_an_entry_whose_equity_cannot_be_reached_for_a_moment_is_placed_then(desk: Desk) -> None:
    desk.control.fault(WALLET, "drop_request", times=2)
    signal = desk.send(BTC, "buy", qty="10", qty_unit="equity_pct")
    assert signal["status"] == "done"
    assert desk.position(BTC) > 0


@pytest.mark.parametrize(("action", "fields"), [("close", {}), ("short", {"qty": "0.1"})])
def test_an_exit_goes_out_beside_a_resting_order_that_cannot_be_cancelled_and_a_person_is_called(
    desk: Desk, action: str, fields: dict[str, str]
) -> None:
    desk.hold(BTC, "0.1")
    for price in ("50000", "51000"):
        desk.send(BTC, "buy", qty="0.1", type="limit", price=price)
    stuck = desk.resting(BTC)[-1]["orderLinkId"]
    desk.control.fault(CANCEL, "code", retCode=10001, retMsg="params error", match={"orderLinkId": stuck}, times=None)
    signal = desk.send(BTC, action, **fields)
    assert (signal["status"], signal["reason"]["code"]) == ("attention", "CANCEL_INCOMPLETE"), signal
    assert (desk.held(BTC), [each["reduce_only"] for each in signal["orders"]]) == ("0", [True])
    assert [each["orderLinkId"] for each in desk.resting(BTC)] == [stuck]


def test_without_an_exit_a_resting_order_that_cannot_be_cancelled_holds_back_everything(desk: Desk) -> None:
    desk.send(BTC, "buy", qty="0.1", type="limit", price="50000")
    _refuse(desk, CANCEL, 10001)
    signal = desk.send(BTC, "long", qty="0.1")
    assert (signal["status"], signal["reason"]["code"]) == ("attention", "CANCEL_INCOMPLETE")
    assert (signal["orders"], desk.held(BTC)) == ([], "0")
