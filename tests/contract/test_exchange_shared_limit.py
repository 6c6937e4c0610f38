"""Three clients of one account that take turns over Postgres as processes do, at a paper exchange that counts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from relay.bybit.client import CANCEL, CREATE, LEVERAGE, Exchange
from relay.domain.order import Accepted, NotSent, OrderRejected, Outcome
from tests.contract.exchange_orders import BTC, fresh_id, placed, planned
from tests.paper_server import KEY, SECRET, PaperServer
from tests.unit.turns_support import Client, Database, until

LOT = Decimal("0.001")


@pytest.fixture
def paper(server: PaperServer) -> PaperServer:
    """It counts, and has counted nothing yet."""
    server.control.reset()
    server.control.account(limiter={"on": True, "rate": 10})
    return server


@pytest.fixture
def clients(paper: PaperServer, postgres_url: str) -> Iterator[list[Exchange]]:
    """Each has asked for a position once, as a start does, and so knows that there are limits."""
    processes = [Client(postgres_url) for _ in range(3)]
    made = [Exchange(url=paper.url, api_key=KEY, api_secret=SECRET, turns=each.turns) for each in processes]
    for exchange in made:
        exchange.position(**BTC)
    yield made
    for exchange, process in zip(made, processes, strict=True):
        exchange.close()
        process.close()


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    made = Database(postgres_url)
    yield made
    made.close()


def send(exchange: Exchange, client_order_id: str, *, is_exit: bool = False) -> Outcome:
    """As often as it takes, each time when the client says so."""
    while True:
        signature = exchange.signature()
        order = planned(qty=LOT)
        outcome = exchange.place(order, client_order_id=client_order_id, signature=signature, is_exit=is_exit)
        if not isinstance(outcome, NotSent):
            return outcome
        assert outcome.retry_at_ms is not None, outcome.why
        threading.Event().wait(max(0.0, outcome.retry_at_ms - exchange.now_ms()) / 1000)


def codes(paper: PaperServer, path: str) -> set[int]:
    return {call["retCode"] for call in paper.control.calls(path)}


def test_a_burst_of_all_clients_is_spread_and_none_is_refused(clients: list[Exchange], paper: PaperServer) -> None:
    with ThreadPoolExecutor(36) as threads:
        sent = [threads.submit(send, clients[number % 3], fresh_id()) for number in range(36)]
        outcomes = [each.result(30) for each in sent]
    assert {type(each) for each in outcomes} == {Accepted}
    assert len(paper.control.calls(CREATE)) == 36
    assert codes(paper, CREATE) == {0}


def test_an_exit_goes_before_the_entries_that_wait_in_other_clients(
    clients: list[Exchange], paper: PaperServer, database: Database
) -> None:
    """It is one of the next ten; without its precedence it would be the last."""
    waiting = "SELECT name FROM turns WHERE weight = 0 AND priority = 1"
    exit_id, entries = fresh_id(), [fresh_id() for _ in range(40)]
    with ThreadPoolExecutor(48) as threads:
        sent = [threads.submit(send, clients[number % 2], each) for number, each in enumerate(entries)]
        until(lambda: len(database.ask(waiting)) >= 25)
        sent.append(threads.submit(send, clients[2], exit_id, is_exit=True))
        until(lambda: sent[-1].done() or database.ask("SELECT name FROM turns WHERE weight = 0 AND priority = 0") != [])
        later = {name for (name,) in database.ask(waiting)}
        assert {type(each.result(30)) for each in sent} == {Accepted}
    order = [call["orderLinkId"] for call in paper.control.calls(CREATE)]
    assert len(later) > 10
    assert len(later.intersection(order[: order.index(exit_id)])) < 10
    assert codes(paper, CREATE) == {0}


def test_cancels_and_leverages_are_counted_together_too(clients: list[Exchange], paper: PaperServer) -> None:
    def change(number: int) -> tuple[Outcome, Outcome]:
        exchange = clients[number % 3]
        return (
            exchange.cancel(**BTC, client_order_id=f"never-was-{number}"),
            exchange.set_leverage(**BTC, leverage=Decimal(number + 2)),
        )

    with ThreadPoolExecutor(15) as threads:
        outcomes = list(threads.map(change, range(15)))
    for path, came_to in ((CANCEL, [each[0] for each in outcomes]), (LEVERAGE, [each[1] for each in outcomes])):
        assert 10006 not in codes(paper, path)
        assert sum(isinstance(each, NotSent) for each in came_to) + len(paper.control.calls(path)) == 15
    assert any(isinstance(each, OrderRejected) for each, _ in outcomes), "the exchange has heard of no such order"


def test_questions_are_each_clients_own_affair(clients: list[Exchange], database: Database) -> None:
    for exchange in clients:
        exchange.positions()
    assert database.ask("SELECT * FROM turns") == []
    placed(clients[0])
    assert database.ask("SELECT account, endpoint FROM turns") == [("default", CREATE)]


_COUNTED = "SELECT 1 FROM turns WHERE until_us / 1e6 > extract(epoch FROM clock_timestamp()) - 0.3"
"""Nothing, once it is long enough since anything was sent."""


def test_what_somebody_else_sends_for_the_account_is_left_to_him(
    clients: list[Exchange], paper: PaperServer, database: Database
) -> None:
    """Six orders of the user's own bot within the second: four are left, in whichever client.

    On a busy machine the second may be over before that was told: then it is tried once more.
    """
    assert any(_is_left_to_others(clients, paper, database) for _ in range(4))


def _is_left_to_others(clients: list[Exchange], paper: PaperServer, database: Database) -> bool:
    until(lambda: not database.ask(_COUNTED))
    paper.control.clear_calls()
    session = paper.session()
    for _ in range(6):
        session.place_order(category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="0.001")
    placed(clients[0])
    until(lambda: database.left_s("others") > 0 or not database.ask(_COUNTED))
    if database.left_s("others") <= 0:
        return False
    with ThreadPoolExecutor(12) as threads:
        sent = [threads.submit(send, clients[number % 3], fresh_id()) for number in range(12)]
        return {type(each.result(30)) for each in sent} == {Accepted} and codes(paper, CREATE) == {0}


def test_where_the_exchange_counts_nothing_the_database_is_not_asked(
    clients: list[Exchange], paper: PaperServer, database: Database
) -> None:
    paper.control.account(limiter={"on": False})
    # It counted a moment ago: the first order is asked for, and its answer says that nothing is counted any more.
    placed(clients[0])
    for _ in range(3):
        placed(clients[0])
    assert database.ask("SELECT count(*) FROM turns") == [(1,)]
