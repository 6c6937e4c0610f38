"""What a stream told decides an entry only while the stream shows that it is there: else the exchange is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.bybit.stream import FRESH_S, IDLE_PING_S, PING_S, StreamLink
from tests.paper_server import PaperServer
from tests.relay_server import DEADLINE_S, RelayServer, running_relay

pytestmark = pytest.mark.slow

CREATE = "/v5/order/create"
NOT_FOR_AN_ALERT = ("/v5/market/time", "/v5/account/transaction-log")
BUY = {"ticker": "BTCUSDT.P", "action": "buy"}


@pytest.fixture
def limited(server: PaperServer, tmp_path: Path) -> Iterator[RelayServer]:
    server.start_over()
    with running_relay(tmp_path, server.url, MAX_POSITION_NOTIONAL="1500") as relay:
        yield relay
    server.start_over()


def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.02)


def links(relay: RelayServer) -> list[Any]:
    (exchange,) = relay.relay.services.exchanges.values()
    assert hasattr(exchange, "link") and hasattr(exchange, "marks")
    return [exchange.link.state(), *exchange.marks.state().values()]


def is_fresh(relay: RelayServer) -> bool:
    return all(each.is_live and each.silent_s < FRESH_S for each in links(relay))


def calls(paper: PaperServer) -> list[str]:
    return [call["path"] for call in paper.control.calls() if call["path"] not in NOT_FOR_AN_ALERT]


def test_an_entry_is_held_against_the_price_that_a_stream_has_fallen_silent_about(
    limited: RelayServer, paper: PaperServer
) -> None:
    assert limited.done(BUY | {"qty": "0.005", "id": "first"})["status"] == "done"
    until(lambda: is_fresh(limited))
    paper.control.streams(mute=True)
    paper.control.prices(BTCUSDT="250000")
    until(lambda: all(each.silent_s > FRESH_S for each in links(limited)))
    signal = limited.done(BUY | {"qty": "0.003", "id": "second"})
    assert (signal["status"], signal["reason"]["code"]) == ("denied", "LIMIT_POSITION_NOTIONAL"), signal


def test_what_is_done_by_hand_while_the_stream_is_silent_is_seen_by_an_entry(
    limited: RelayServer, paper: PaperServer
) -> None:
    assert limited.done(BUY | {"qty": "0.001", "id": "first"})["status"] == "done"
    until(lambda: is_fresh(limited))
    paper.control.streams(mute=True)
    paper.session().place_order(category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="0.013")
    until(lambda: all(each.silent_s > FRESH_S for each in links(limited)))
    signal = limited.done(BUY | {"qty": "0.002", "id": "second"})
    assert (signal["status"], signal["reason"]["code"]) == ("denied", "LIMIT_POSITION_NOTIONAL"), signal


@pytest.mark.parametrize("exit_", [{"action": "close"}, {"action": "sell", "qty": "0.02", "market_position": "flat"}])
def test_an_exit_is_not_withheld_since_a_silent_stream_knows_of_nothing_open(
    limited: RelayServer, paper: PaperServer, exit_: dict[str, str]
) -> None:
    assert limited.done(BUY | {"qty": "0.001", "id": "first"})["status"] == "done"
    assert limited.done(BUY | {"action": "close", "id": "second"})["status"] == "done"
    until(lambda: is_fresh(limited))
    paper.control.streams(mute=True)
    paper.session().place_order(category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="0.02")
    closed = limited.done(BUY | exit_ | {"id": "third"})
    assert [(each["qty"], each["filled_qty"]) for each in closed["orders"]] == [("0.02", "0.02")], closed


def test_an_alert_after_a_pause_still_costs_one_call_while_something_is_open(
    limited: RelayServer, paper: PaperServer
) -> None:
    assert limited.done(BUY | {"qty": "0.005", "id": "first"})["status"] == "done"
    received = time.monotonic()
    until(lambda: time.monotonic() - received > FRESH_S and is_fresh(limited))
    paper.control.clear_calls()
    assert limited.done(BUY | {"qty": "0.002", "id": "second"})["status"] == "done"
    assert calls(paper) == [CREATE]


def test_the_first_alert_where_none_was_expected_asks_and_the_next_does_not(
    limited: RelayServer, paper: PaperServer
) -> None:
    until(lambda: all(each.silent_s > FRESH_S for each in links(limited)))
    paper.control.clear_calls()
    assert limited.done(BUY | {"qty": "0.005", "id": "first"})["status"] == "done"
    assert "/v5/position/list" in calls(paper)
    until(lambda: is_fresh(limited))
    paper.control.clear_calls()
    assert limited.done(BUY | {"qty": "0.005", "id": "second"})["status"] == "done"
    assert calls(paper) == [CREATE]


@contextmanager
def idle_link() -> Iterator[StreamLink]:
    def nothing(*_: object) -> None:
        return None

    yield StreamLink(
        name="idle", url="ws://127.0.0.1:9", greet=nothing, received=nothing, opened=nothing, closed=nothing
    )


def test_a_stream_is_asked_each_second_for_as_long_as_it_is_hurried_and_else_every_20_s() -> None:
    with idle_link() as link:
        now = time.monotonic()
        assert link.ping_every_s(now) == IDLE_PING_S == 20
        link.hurry(3600)
        assert link.ping_every_s(now + 3599) == PING_S == 1
        link.hurry(5)
        assert link.ping_every_s(now + 3599) == PING_S
        assert link.ping_every_s(now + 3700) == IDLE_PING_S
