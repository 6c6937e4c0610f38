"""Two processes, as far as exchange and database can tell, that share one account's stream over a real board."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

import psycopg
import pytest
import requests
from sqlalchemy import text

from relay.bybit.market import Prices
from relay.bybit.stream_state import Received
from relay.bybit.streamed import StreamedExchange
from relay.bybit.streams_shared import RENEW_S, SharedLink
from relay.domain.instrument import Category
from relay.domain.order import OrderType, PlannedOrder, Purpose, Side
from relay.domain.position import Moved
from relay.journal.opening import open_journal
from relay.journal.postgres import PostgresStore
from relay.journal.stream_board import CHANNEL
from relay.journal.stream_boards import StreamBoards
from tests.paper_server import KEY, SECRET, PaperServer

DEADLINE_S = 20
SLACK = 5
"""What the exchange may have to say by itself just then."""
BTC = (Category.LINEAR, "BTCUSDT")
POSITIONS = "/v5/position/list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process's way to the account, with its board."""

    exchange: StreamedExchange
    boards: StreamBoards
    store: PostgresStore
    booked: list[str]
    unmatched: list[str]

    @property
    def link(self) -> SharedLink:
        assert isinstance(self.exchange.link, SharedLink)
        return self.exchange.link

    def position(self) -> Decimal | None:
        known = self.exchange.position_now(*BTC)
        return None if known is None else known.position.size


@contextmanager
def process(paper: PaperServer, url: str, name: str) -> Iterator[Process]:
    journal = open_journal(url)
    assert isinstance(journal.store, PostgresStore)
    boards = StreamBoards(journal.store, url, name)
    stream_url = paper.url.replace("http", "ws")
    exchange = StreamedExchange(
        name="default",
        stream_url=stream_url,
        prices=Prices(stream_url),
        url=paper.url,
        api_key=KEY,
        api_secret=SECRET,
        board=boards.of("default"),
    )
    made = Process(exchange=exchange, boards=boards, store=journal.store, booked=[], unmatched=[])
    exchange.send_ledger_to(lambda ledger_entry: made.booked.append(ledger_entry.exec_id))
    boards.start()
    exchange.use(*BTC)
    exchange.listen(
        on_wake=lambda category, symbol: None,
        on_unmatched=lambda received: made.unmatched.append(received.client_order_id),
    )
    try:
        yield made
    finally:
        exchange.close()
        exchange.marks.stop()
        boards.stop()
        journal.close()


@pytest.fixture
def keeper(paper: PaperServer, postgres_url: str) -> Iterator[Process]:
    with process(paper, postgres_url, "one") as made:
        until(lambda: made.link.is_live and made.link.is_keeper)
        made.exchange.position(category=BTC[0], symbol=BTC[1])
        yield made


@pytest.fixture
def other(paper: PaperServer, postgres_url: str, keeper: Process) -> Iterator[Process]:
    with process(paper, postgres_url, "two") as made:
        until(lambda: made.link.is_live)
        assert not made.link.is_keeper
        made.exchange.position(category=BTC[0], symbol=BTC[1])
        yield made


def until(condition: Callable[[], object], otherwise: str = "it does not come about") -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


def buy(exchange: StreamedExchange, qty: str) -> str:
    order = PlannedOrder(
        leg=0,
        category=BTC[0],
        symbol=BTC[1],
        side=Side.BUY,
        type=OrderType.MARKET,
        qty=Decimal(qty),
        purpose=Purpose.ENTRY,
        reduce_only=False,
    )
    client_order_id = uuid.uuid4().hex
    exchange.place(order, client_order_id=client_order_id, signature=exchange.signature(), is_exit=False)
    return client_order_id


def connections(paper: PaperServer) -> int:
    shown = requests.get(f"{paper.url}/paper/streams", timeout=DEADLINE_S).json()["connections"]
    return sum(each["kind"] == "private" for each in shown)


def test_a_keeper_that_hears_nothing_writes_no_more_often_than_to_keep_its_right(
    keeper: Process, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        reported = list(listener.notifies(timeout=3 * RENEW_S))
    assert 1 <= len(reported) <= 4 + SLACK, "it is woken by what it has written itself"


def test_one_connection_serves_both_and_both_know_what_it_tells(
    paper: PaperServer, keeper: Process, other: Process
) -> None:
    assert connections(paper) == 1
    buy(keeper.exchange, "0.2")
    paper.session().place_order(category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="0.1")
    until(lambda: keeper.position() == Decimal("0.3"), f"{keeper.position()}")
    until(lambda: other.position() == Decimal("0.3"), f"{other.position()}")
    until(lambda: other.exchange.equity_now("USDT") is not None)
    paper.control.clear_calls()
    assert other.position() == Decimal("0.3")
    assert paper.control.calls(POSITIONS) == []


def test_whoever_sends_an_order_hears_its_end_whichever_process_keeps_the_stream(
    keeper: Process, other: Process
) -> None:
    for sender in (keeper, other):
        received = ended(sender, buy(sender.exchange, "0.1"))
        assert received.report is not None
        assert received.report.filled_qty == Decimal("0.1")


def ended(sender: Process, client_order_id: str) -> Received:
    found: list[Received] = []

    def is_reported() -> bool:
        received = sender.exchange.received(client_order_id)
        found.extend([received] if received else [])
        return bool(found)

    until(is_reported)
    return found[0]


def test_only_the_keeper_books_and_passes_on_what_it_overhears(keeper: Process, other: Process) -> None:
    client_order_id = buy(other.exchange, "0.1")
    ended(other, client_order_id)
    until(lambda: keeper.booked and client_order_id in keeper.unmatched)
    assert other.booked == []
    assert other.unmatched == []


def test_what_another_process_ordered_is_not_expected_away_before_it_was_reported(
    paper: PaperServer, keeper: Process, other: Process
) -> None:
    """The board is late: the lane's next process knows from the journal alone that there was an order."""
    until(lambda: other.position() == Decimal(0))
    with keeper.store.engine.connect() as blocking:
        blocking.execute(text("BEGIN; LOCK TABLE stream_facts IN ACCESS EXCLUSIVE MODE"))
        client_order_id = buy(keeper.exchange, "0.2")
        ended(keeper, client_order_id)
        moved = Moved(client_order_id=client_order_id, filled_qty=Decimal("0.2"), is_settled=True)
        other.exchange.catch_up(*BTC, [moved])
        assert other.position() is None
        assert other.exchange.position(category=BTC[0], symbol=BTC[1]).size == Decimal("0.2")
        blocking.rollback()
    until(lambda: other.position() == Decimal("0.2"), f"{other.position()}")


def test_an_order_that_another_process_left_under_way_keeps_the_position_unknown_until_it_is_looked_up(
    keeper: Process, other: Process
) -> None:
    client_order_id = buy(keeper.exchange, "0.2")
    other.exchange.catch_up(*BTC, [Moved(client_order_id=client_order_id, filled_qty=Decimal(0), is_settled=False)])
    until(lambda: keeper.position() == Decimal("0.2"))
    requested = {"category": BTC[0], "symbol": BTC[1], "client_order_id": client_order_id}
    assert other.exchange.look_up(**requested) is not None  # type: ignore[arg-type]
    until(lambda: other.position() == Decimal("0.2"), f"{other.position()}")


def test_a_cut_of_the_shared_stream_is_known_to_both_and_mended_for_both(
    paper: PaperServer, keeper: Process, other: Process
) -> None:
    until(lambda: other.position() == Decimal(0))
    before = other.link.state().generation
    requests.post(f"{paper.url}/paper/streams", json={"cut": "private"}, timeout=DEADLINE_S)
    paper.session().place_order(category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="0.1")
    until(lambda: other.link.is_live and other.link.state().generation > before)
    for side in (keeper, other):
        until(lambda side=side: side.position() == Decimal("0.1"), f"{side.position()}")  # type: ignore[misc]


def test_a_fact_that_is_missing_makes_the_other_read_everything_anew(
    paper: PaperServer, keeper: Process, other: Process
) -> None:
    until(lambda: other.position() == Decimal(0))
    before = other.link.state().generation
    with keeper.store.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                "CREATE TRIGGER forgetful BEFORE INSERT ON stream_facts FOR EACH ROW EXECUTE FUNCTION forget()"
            )
        )
    paper.session().place_order(category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="0.1")
    until(lambda: other.link.state().generation > before)
    with keeper.store.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER forgetful ON stream_facts; DROP FUNCTION forget()"))
    until(lambda: other.position() == Decimal("0.1"), f"{other.position()}")


def test_another_takes_the_stream_over_when_its_keeper_stops(
    paper: PaperServer, postgres_url: str, keeper: Process, other: Process
) -> None:
    keeper.link.stop()
    until(lambda: other.link.is_keeper and other.link.is_live)
    paper.session().place_order(category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="0.1")
    until(lambda: other.position() == Decimal("0.1"), f"{other.position()}")
    assert connections(paper) == 1


def test_a_keeper_whose_right_has_ended_hears_it_from_the_next(
    paper: PaperServer, keeper: Process, other: Process
) -> None:
    """As after a freeze: another has kept the stream meanwhile."""
    with keeper.store.engine.begin() as connection:
        connection.execute(
            text("UPDATE leases SET owner = 'nobody', epoch = epoch + 1, until = 0 WHERE name = 'stream default'")
        )
    until(lambda: sum(each.link.is_keeper and each.link.is_live for each in (keeper, other)) == 1)
    until(lambda: keeper.link.is_live and other.link.is_live)
    paper.session().place_order(category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="0.1")
    for side in (keeper, other):
        until(lambda side=side: side.position() == Decimal("0.1"), f"{side.position()}")  # type: ignore[misc]
    until(lambda: connections(paper) == 1)


def test_the_board_keeps_no_fact_for_long(keeper: Process) -> None:
    buy(keeper.exchange, "0.1")
    until(lambda: _facts(keeper, "at > 0"))
    with keeper.store.engine.begin() as connection:
        connection.execute(text("UPDATE stream_facts SET at = 1"))
    until(lambda: not _facts(keeper, "at = 1"))


def _facts(side: Process, which: str) -> bool:
    with side.store.engine.connect() as connection:
        return bool(connection.execute(text(f"SELECT EXISTS (SELECT 1 FROM stream_facts WHERE {which})")).scalar())  # noqa: S608


def test_a_board_that_cannot_be_looked_at_leaves_nothing_expected(keeper: Process, other: Process) -> None:
    until(lambda: other.position() == Decimal(0))
    with keeper.store.engine.connect() as blocking:
        blocking.execute(text("BEGIN; LOCK TABLE leases IN ACCESS EXCLUSIVE MODE"))
        until(lambda: other.position() is None)
        blocking.rollback()
    until(lambda: other.position() == Decimal(0), f"{other.position()}")
