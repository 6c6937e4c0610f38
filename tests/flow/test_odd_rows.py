"""One odd row in an answer of the exchange's: its own symbol opens nothing, its neighbours trade on, and it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, running_relay

pytestmark = pytest.mark.slow

INSTRUMENTS, POSITIONS = "/v5/market/instruments-info", "/v5/position/list"
ORDERS, WALLET, TICKERS = "/v5/order/realtime", "/v5/account/wallet-balance", "/v5/market/tickers"


@pytest.fixture
def paper(server: PaperServer) -> PaperServer:
    server.start_over()
    return server


def spoil(paper: PaperServer, path: str, symbol: str, **fields: object) -> None:
    paper.control.fault(path, "rows", times=None, where={"symbol": symbol}, set=fields)


def buy(relay: RelayServer, symbol: str, qty: str, **more: object) -> dict[str, Any]:
    return relay.done({"ticker": f"{symbol}.P", "action": "buy", "qty": qty, **more})


def code(signal: dict[str, Any]) -> tuple[str, str | None]:
    return signal["status"], signal["reason"]["code"] if signal["reason"] else None


UNREADABLE = ("denied", "FACTS_UNREADABLE")


@pytest.mark.parametrize(
    "fields",
    [
        {"lotSizeFilter.maxMktOrderQty": ""},
        {"lotSizeFilter.qtyStep": None},
        {"priceFilter": None},
        {"leverageFilter.maxLeverage": "many"},
    ],
    ids=str,
)
def test_an_odd_instrument_opens_nothing_and_everything_else_trades(
    paper: PaperServer, tmp_path: Path, fields: dict[str, Any]
) -> None:
    spoil(paper, INSTRUMENTS, "SOLUSDT", **fields)
    with running_relay(tmp_path, paper.url) as relay:
        assert code(buy(relay, "SOLUSDT", "1")) == UNREADABLE
        assert code(buy(relay, "XRPUSDT", "20")) == ("done", None)


def test_what_is_open_in_an_odd_instrument_is_closed_after_a_restart(paper: PaperServer, tmp_path: Path) -> None:
    with running_relay(tmp_path, paper.url) as relay:
        assert code(buy(relay, "SOLUSDT", "1.3")) == ("done", None)
    spoil(paper, INSTRUMENTS, "SOLUSDT", lotSizeFilter={}, priceFilter={})
    with running_relay(tmp_path, paper.url) as relay:
        assert code(relay.done({"ticker": "SOLUSDT.P", "action": "close"})) == ("done", None)
        assert relay.api("positions")["positions"] == []


def test_a_kind_of_contract_that_is_not_known_is_left_out(paper: PaperServer, tmp_path: Path) -> None:
    spoil(paper, INSTRUMENTS, "SOLUSDT", contractType="LinearQuanto")
    with running_relay(tmp_path, paper.url) as relay:
        assert relay.post({"ticker": "SOLUSDT.P", "action": "buy", "qty": "1"}).status_code == 422
        assert code(buy(relay, "XRPUSDT", "20")) == ("done", None)


@pytest.mark.parametrize("fields", [{"size": "lots"}, {"side": "Sideways"}, {"size": None}], ids=str)
def test_a_position_that_cannot_be_read_at_the_start_stops_nobody_else(
    paper: PaperServer, tmp_path: Path, fields: dict[str, Any]
) -> None:
    with running_relay(tmp_path, paper.url) as relay:
        assert code(buy(relay, "SOLUSDT", "1")) == ("done", None)
        assert code(buy(relay, "XRPUSDT", "20")) == ("done", None)
    spoil(paper, POSITIONS, "SOLUSDT", **fields)
    with running_relay(tmp_path, paper.url) as relay:
        assert code(buy(relay, "SOLUSDT", "2")) == UNREADABLE
        assert code(relay.done({"ticker": "SOLUSDT.P", "action": "close"})) == ("attention", "FACTS_UNREADABLE")
        assert code(buy(relay, "XRPUSDT", "21")) == ("done", None)
        shown = relay.api("positions")
        assert [each["symbol"] for each in shown["positions"]] == ["XRPUSDT"]
        assert "SOLUSDT" in shown["unreadable"][0]["message"]
        assert relay.relay.services.journal.expected_positions("default")  # nothing was taken for closed by hand
        paper.control.clear_faults()
        assert code(relay.done({"ticker": "SOLUSDT.P", "action": "close", "id": "again"})) == ("done", None)


def test_a_detail_of_a_position_that_cannot_be_read_forbids_the_entry_and_lets_the_exit_go(
    paper: PaperServer, tmp_path: Path
) -> None:
    with running_relay(tmp_path, paper.url) as relay:
        assert code(buy(relay, "SOLUSDT", "1")) == ("done", None)
    spoil(paper, POSITIONS, "SOLUSDT", leverage="ten", stopLoss="below")
    with running_relay(tmp_path, paper.url) as relay:
        assert code(buy(relay, "SOLUSDT", "2")) == UNREADABLE
        assert code(relay.done({"ticker": "SOLUSDT.P", "action": "close"})) == ("done", None)


def test_somebody_elses_odd_order_is_in_nobodys_way(paper: PaperServer, tmp_path: Path) -> None:
    paper.session().place_order(
        category="linear", symbol="SOLUSDT", side="Buy", orderType="Limit", qty="1", price="20", positionIdx=0
    )
    spoil(paper, ORDERS, "SOLUSDT", side="Both", qty="")
    with running_relay(tmp_path, paper.url) as relay:
        assert code(buy(relay, "XRPUSDT", "20", stop_loss="1%", take_profit="2%")) == ("done", None)


def test_a_coin_that_cannot_be_read_forbids_only_sizes_that_count_on_it(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.fault(WALLET, "rows", times=None, where={"coin": "USDT"}, set={"equity": "plenty"})
    with running_relay(tmp_path, paper.url) as relay:
        assert code(buy(relay, "SOLUSDT", "1", qty_unit="equity_pct")) == UNREADABLE
        assert code(buy(relay, "SOLUSDT", "1")) == ("done", None)
        inverse = relay.done({"ticker": "BTCUSD.P", "action": "buy", "qty": "1", "qty_unit": "equity_pct"})
        assert code(inverse) == ("done", None)


def test_each_odd_row_is_told_once(paper: PaperServer, tmp_path: Path) -> None:
    told: list[str] = []
    spoil(paper, TICKERS, "SOLUSDT", markPrice="high")
    with running_relay(tmp_path, paper.url) as relay:
        services = relay.relay.services
        exchange = services.exchanges["default"]
        exchange.odd_rows.tell = told.append
        market = services.markets["default"]
        exchange.odd_rows._reported.clear()
        for _ in range(3):
            market.load_prices(exchange)
        assert [text for text in told if "price of SOLUSDT" in text] == [
            "the exchange's price of SOLUSDT cannot be read: `markPrice` is 'high'"
        ]
        paper.control.clear_faults()
        market.load_prices(exchange)
        spoil(paper, TICKERS, "SOLUSDT", markPrice="high")
        market.load_prices(exchange)
        assert len([text for text in told if "price of SOLUSDT" in text]) == 2


def test_an_odd_rule_is_told_once_however_often_the_list_is_read(paper: PaperServer, tmp_path: Path) -> None:
    spoil(paper, INSTRUMENTS, "SOLUSDT", **{"lotSizeFilter.maxMktOrderQty": ""})
    with running_relay(tmp_path, paper.url) as relay:
        told: list[str] = []
        services = relay.relay.services
        exchange = services.exchanges["default"]
        exchange.odd_rows.tell = told.append
        exchange.odd_rows._reported.clear()
        for _ in range(3):
            services.markets["default"].load_instruments(exchange)
        assert told == ["the exchange's rules of SOLUSDT cannot be read: `maxMktOrderQty` is empty"]
        checkup = services.checkup
        checkup.look_now()
        report = checkup.latest("default")
        assert report is not None and report.check("instruments").state == "amber"
        assert "SOLUSDT" in report.check("instruments").message


def test_what_is_over_may_look_as_it_likes(paper: PaperServer, tmp_path: Path) -> None:
    spoil(paper, INSTRUMENTS, "FTTUSDT", **{"lotSizeFilter.maxMktOrderQty": "", "contractType": "Weird"})
    with running_relay(tmp_path, paper.url) as relay:
        told: list[str] = []
        services = relay.relay.services
        exchange = services.exchanges["default"]
        exchange.odd_rows.tell = told.append
        assert exchange.closed_instruments() == () and told == []
