"""Coins bought and sold by alerts, over HTTP and at the paper exchange: exactly the relay's own, and never the owner's."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, error_of

SPOT = {"ticker": "BTCUSDT", "market": "spot"}


def price(paper: PaperServer, now: object) -> None:
    paper.control.prices(**{"spot:BTCUSDT": now})


def coin(paper: PaperServer, name: str = "BTC", field: str = "walletBalance") -> Decimal:
    (wallet,) = paper.session().get_wallet_balance(accountType="UNIFIED", coin=name)["result"]["list"]
    return Decimal(wallet["coin"][0][field])


def held(relay: RelayServer) -> Decimal:
    rows = [each for each in relay.api("positions")["positions"] if each["category"] == "spot"]
    assert all(each["side"] == "long" for each in rows)
    return sum((Decimal(each["size"]) for each in rows), Decimal(0))


def resting(paper: PaperServer) -> list[dict[str, Any]]:
    return list(paper.session().get_open_orders(category="spot", symbol="BTCUSDT")["result"]["list"])


@pytest.fixture
def owned(own: RelayServer, paper: PaperServer) -> Decimal:
    """What the owner has of the coin before the relay buys any."""
    price(paper, 100000)
    found = coin(paper)
    assert found > 0
    return found


def test_what_is_bought_less_the_fee_is_held_and_a_close_sells_it_and_nothing_of_the_owners(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    bought = own.done({**SPOT, "action": "buy", "qty": "0.01", "id": "1"})
    assert bought["status"] == "done", bought
    (order,) = bought["orders"]
    assert (order["category"], order["filled_qty"], order["fee"]) == ("spot", "0.01", "0.00001")
    assert held(own) == Decimal("0.00999") == coin(paper) - owned
    closed = own.done({**SPOT, "action": "close", "id": "2"})
    assert (closed["status"], closed["orders"][0]["qty"]) == ("done", "0.00999")
    assert (held(own), coin(paper)) == (Decimal(0), owned)
    again = own.done({**SPOT, "action": "close", "id": "3"})
    assert (again["status"], again["orders"]) == ("done", [])


def test_a_buy_by_value_costs_no_more_and_is_filled_though_less_than_a_step_is_left(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    price(paper, "99999.9")
    before = coin(paper, "USDT")
    bought = own.done({**SPOT, "action": "buy", "qty": "200", "qty_unit": "quote", "id": "1"})
    assert (bought["status"], bought["orders"][0]["status"]) == ("done", "filled"), bought
    assert before - Decimal(200) <= coin(paper, "USDT") < before - Decimal("199.9")
    assert held(own) == coin(paper) - owned > 0
