"""The API under the admin token: what happened, what would, and what people can tell the relay to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from relay.bybit.checklist import NAMES
from tests.paper_server import PaperServer
from tests.relay_server import ADMIN_TOKEN, WEBHOOK_SECRET, RelayServer, cold_relay, error_of

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}
ORDER_KEYS = {
    *("client_order_id", "venue_order_id", "account", "category", "symbol", "side", "type", "qty", "price"),
    *("reduce_only", "status", "reason", "filled_qty", "avg_price", "fee", "fee_coin"),
}
SIGNAL_KEYS = {
    *("id", "strategy", "action", "symbol", "status", "reason", "notes", "received_at", "sent_at", "alert"),
    *("orders", "events"),
}
PATHS = [
    *(("GET", path) for path in ("signals", "signals/x", "orders", "positions", "accounts")),
    *(("POST", path) for path in ("signals/x/retry", "signals/x/seen", "plan", "halt", "resume", "flatten")),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_nothing_of_the_api_is_open(cold: RelayServer, method: str, path: str) -> None:
    for given in (None, "Bearer wrong", f"Basic {ADMIN_TOKEN}", f"Bearer {ADMIN_TOKEN}x", ADMIN_TOKEN):
        headers = {"Authorization": given} if given else {}
        answer = cold.request(method, f"/api/{path}", headers=headers)
        error = error_of(answer, 401, "AUTH_FAILED")
        assert "Authorization: Bearer" in error["message"]
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_without_an_admin_token_the_api_is_closed_and_says_so(tmp_path: Path, method: str, path: str) -> None:
    with cold_relay(tmp_path, ADMIN_TOKEN="") as relay:
        for given in (f"Bearer {ADMIN_TOKEN}", "Bearer", "Bearer "):
            answer = relay.request(method, f"/api/{path}", headers={"Authorization": given})
            assert "ADMIN_TOKEN is set" in error_of(answer, 401, "AUTH_FAILED")["message"]


@pytest.mark.parametrize("path", ["/api/signals", "/metrics"])
def test_who_guesses_the_token_is_told_to_slow_down_and_seen_but_the_right_token_never_is(
    cold: RelayServer, path: str
) -> None:
    def ask(token: str) -> requests.Response:
        return cold.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})

    for number in range(20):
        error_of(ask(f"a-guess-{number}"), 401, "AUTH_FAILED")
    for _ in range(3):
        answer = ask("another-guess")
        error_of(answer, 429, "TOO_MANY_REQUESTS")
        assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert ask(ADMIN_TOKEN).status_code == 200
    error_of(ask(""), 401, "AUTH_FAILED")  # who brings none guesses nothing
    assert [(each["kind"], each["count"]) for each in cold.api("signals")["refused"]] == [("TOKEN_WRONG", 23)]


def test_a_signal_has_the_promised_form(own: RelayServer) -> None:
    done = own.done(BUY | {"time": "2026-01-01T00:00:00Z", "id": "form", "action": "close"})
    signal = own.api(f"signals/{done['id']}")
    assert set(signal) == SIGNAL_KEYS | {"timing", "slippage"}
    assert signal["sent_at"] == "2026-01-01T00:00:00.000Z"
    assert signal["received_at"].endswith("Z") and len(signal["received_at"]) == 24
    assert all(set(event) == {"at", "name", "detail"} for event in signal["events"])
    assert "secret" not in signal["alert"]


def test_an_unknown_signal_is_404(cold: RelayServer) -> None:
    error = error_of(cold.ask("signals/01arz3ndektsv4rrffq69g5fav"), 404, "SIGNAL_UNKNOWN")
    assert "01arz3ndektsv4rrffq69g5fav" in error["message"]


def test_signals_are_listed_page_by_page_the_latest_first(cold: RelayServer) -> None:
    sent = [cold.post(BUY | {"id": str(number)}).json()["signal_id"] for number in range(5)]
    seen, cursor = [], ""
    while True:
        page = cold.api(f"signals?limit=2{cursor}")
        assert len(page["signals"]) <= 2
        seen += [signal["id"] for signal in page["signals"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == sent[::-1]


def test_signals_are_filtered(own: RelayServer) -> None:
    bought = own.done(BUY | {"id": "btc"})["id"]
    other = own.done(BUY | {"id": "eth", "ticker": "ETHUSDT.P"})["id"]
    rejected = own.post(BUY | {"qty": "x"}).json()["signal_id"]
    listed = {
        query: [signal["id"] for signal in own.api(f"signals?{query}")["signals"]]
        for query in (
            "symbol=BTCUSDT",
            "symbol=ethusdt",
            "status=rejected",
            "status=done&strategy=default&account=default",
            "strategy=other",
            "account=other",
            "limit=1",
        )
    }
    assert listed == {
        "symbol=BTCUSDT": [bought],
        "symbol=ethusdt": [other],
        "status=rejected": [rejected],
        "status=done&strategy=default&account=default": [other, bought],
        "strategy=other": [],
        "account=other": [],
        "limit=1": [rejected],
    }


@pytest.mark.parametrize(
    ("path", "field", "word"),
    [
        ("signals?limit=0", "limit", "500"),
        ("signals?limit=501", "limit", "500"),
        ("signals?limit=ten", "limit", "500"),
        ("signals?status=finished", "status", "attention"),
        ("signals?cursor=x", "cursor", "cursor"),
        ("signals?symbl=BTCUSDT", "symbl", "symbol"),
        ("orders?status=open", "status", "filled"),
        ("orders?open=perhaps", "open", "1"),
        ("positions?limit=3", "limit", "symbol"),
        ("accounts?account=x", "account", "none"),
    ],
)
def test_a_bad_parameter_is_400_by_name(cold: RelayServer, path: str, field: str, word: str) -> None:
    error = error_of(cold.ask(path), 400, "REQUEST_INVALID")
    assert list(error["fields"]) == [field]
    assert word in error["fields"][field][0]


def test_orders_have_the_promised_form_and_are_filtered(own: RelayServer) -> None:
    own.done(BUY | {"id": "filled"})
    own.done(BUY | {"id": "resting", "type": "limit", "price": "50000", "ticker": "ETHUSDT.P", "qty": "0.01"})
    resting = own.done(BUY | {"id": "rests", "type": "limit", "price": "60000"})["orders"][0]
    orders = own.api("orders")["orders"]
    assert len(orders) == 3 and all(set(order) == ORDER_KEYS for order in orders)
    (shown,) = own.api("orders?open=true&symbol=btcusdt")["orders"]
    assert {name: shown[name] for name in ORDER_KEYS} == resting
    assert [order["status"] for order in own.api("orders?status=filled&symbol=BTCUSDT")["orders"]] == ["filled"]
    assert len(own.api("orders?limit=1")["orders"]) == 1


def test_positions_are_live_and_have_the_promised_form(own: RelayServer, paper: PaperServer) -> None:
    paper.control.prices(BTCUSDT="100000", ETHUSDT="4000")
    own.done(BUY | {"id": "long"})
    own.done({"action": "sell", "ticker": "ETHUSDT.P", "qty": "0.5", "id": "short"})
    paper.control.prices(BTCUSDT="101000")
    long, short = own.api("positions")["positions"]
    assert long == {
        "account": "default",
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "long",
        "size": "0.01",
        "avg_price": "100000",
        "mark_price": "101000",
        "unrealised_pnl": "10",
        "leverage": long["leverage"],
        "take_profit": None,
        "stop_loss": None,
        "take_profits": [],
        "trailing_stop": None,
        "liq_price": None,
        "margin": "101",
        "roe_pct": "9.9",
        "adl_rank": 2,
        "strategy": long["strategy"],
        "opened_at": long["opened_at"],
    }
    assert (short["symbol"], short["side"], short["size"]) == ("ETHUSDT", "short", "0.5")
    assert own.api("positions?symbol=ETHUSDT")["positions"] == [short]
    assert own.api("positions?account=other")["positions"] == []


def test_positions_are_502_with_the_reason_while_the_exchange_does_not_answer(
    own: RelayServer, paper: PaperServer
) -> None:
    paper.control.fault("/v5/position/list", "http", status=502, times=None)
    error = error_of(own.ask("positions"), 502, "EXCHANGE_UNREACHABLE")
    assert "exchange" in error["message"] or "502" in error["message"]


def test_positions_are_502_with_the_exchanges_code_and_words_when_it_refuses(
    own: RelayServer, paper: PaperServer
) -> None:
    paper.control.fault("/v5/position/list", "code", retCode=10003, retMsg="API key is invalid.", times=None)
    error = error_of(own.ask("positions"), 502, "EXCHANGE_KEY")
    assert "10003" in error["message"] and "API key is invalid." in error["message"]


def test_accounts_tell_environment_equity_and_halt(own: RelayServer, paper: PaperServer) -> None:
    account = own.api("accounts")["accounts"][0]
    assert account == {
        "name": "default",
        "environment": "paper",
        "key": "",
        "halted": False,
        "equity": account["equity"],
        "checks": account["checks"],
    }
    assert [check["name"] for check in account["checks"]] == list(NAMES)
    assert {check["state"] for check in account["checks"]} <= {"green", "amber"}
    assert account["equity"]["USDT"] == "100000"
    paper.control.fault("/v5/account/wallet-balance", "http", status=502, times=None)
    own.api("halt", "POST")
    account = own.api("accounts")["accounts"][0]
    assert (account["halted"], account["equity"]) == (True, None)


def test_a_plan_tells_the_orders_and_sends_none(own: RelayServer, paper: PaperServer) -> None:
    own.done(BUY | {"id": "position"})
    paper.control.clear_calls()
    planned = own.api("plan", "POST", data=b"action=reverse\nticker=BTCUSDT.P")
    assert (planned["status"], planned["reason"]) == ("planned", None)
    (order,) = planned["orders"]
    assert set(order) >= ORDER_KEYS
    assert (order["account"], order["side"], order["qty"], order["status"]) == ("default", "sell", "0.02", "planned")
    assert paper.control.calls("/v5/order/create") == []
    assert len(own.api("signals")["signals"]) == 1


def test_a_plan_tells_what_its_orders_are_worth_tie_up_and_cost(own: RelayServer, paper: PaperServer) -> None:
    """The position is 0.01 at a leverage of 10: of the reversal's two halves only the second ties anything up."""
    own.done(BUY | {"id": "position"})
    costs = {}
    for name, alert in (
        ("reversal", {"action": "reverse"}),
        ("addition", {"action": "buy", "qty": "0.03"}),
        ("partial exit", {"action": "close", "qty": "0.004"}),
        ("exit", {"action": "close"}),
        ("nothing", {"action": "cancel"}),
    ):
        (moved,) = own.api("plan", "POST", json={"ticker": "BTCUSDT.P", **alert})["positions"] or [{}]
        costs[name] = [moved.get(each) for each in ("before", "after", "notional", "margin", "fee")]
    assert costs == {
        "reversal": ["0.01", "-0.01", "2000", "100", "1.1"],
        "addition": ["0.01", "0.04", "3000", "300", "1.65"],
        "partial exit": ["0.01", "0.006", "400", "0", "0.22"],
        "exit": ["0.01", "0", "1000", "0", "0.55"],
        "nothing": [None] * 5,
    }
    paper.control.fault("/v5/account/fee-rate", "http", status=502, times=None)
    (moved,) = own.api("plan", "POST", json={"ticker": "BTCUSDT.P", "action": "close"})["positions"]
    assert (moved["notional"], moved["fee"]) == ("1000", None)


def test_a_plan_tells_why_nothing_would_be_ordered(own: RelayServer) -> None:
    planned = own.api("plan", "POST", json={"action": "reverse", "ticker": "BTCUSDT.P"})
    assert (planned["status"], planned["orders"]) == ("denied", [])
    assert planned["reason"]["code"] == "POSITION_NONE" and planned["reason"]["message"]


def test_a_template_is_planned_for_each_of_a_strategys_moves(own: RelayServer) -> None:
    """A reversal's alert says the old size and the new one together; that of this template does not say which."""
    strategys = {
        "symbol": "{{ticker}}",
        "side": "{{strategy.order.action}}",
        "contracts": "{{strategy.order.contracts}}",
        "market_position": "{{strategy.market_position}}",
        "market_position_size": "{{strategy.market_position_size}}",
        "timestamp": "{{timenow}}",
    }
    planned = own.api("plan", "POST", json=strategys)
    assert planned["status"] == "planned"
    moves = {each["scenario"]: each for each in planned["scenarios"]}
    size = float(moves["entry"]["positions"][0]["after"])
    ends = {name: float(each["positions"][0]["after"]) / size for name, each in moves.items()}
    assert ends == {"entry": 1, "add": 1.5, "partial exit": 1, "reversal": -1, "flat": 0}
    assert planned["native"]["qty"] == "{{strategy.order.contracts}}"
    assert planned["native"]["action"] == "{{strategy.order.action}}"
    assert own.api("signals")["signals"] == []


def test_a_template_that_says_nothing_of_a_strategy_is_planned_as_things_stand(own: RelayServer) -> None:
    own.done({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.03"})
    out = {"ticker": "{{ticker}}", "action": "close", "time": "{{timenow}}"}
    planned = own.api("plan", "POST", json=out)
    assert [(each["side"], each["qty"]) for each in planned["orders"]] == [("sell", "0.03")]
    assert len(planned["scenarios"]) == 5


def test_a_template_that_no_move_can_fill_is_refused(own: RelayServer) -> None:
    unknown = {"symbol": "{{ticker}}", "action": "{{strategy.order.actoin}}"}
    assert "action" in error_of(own.ask("plan", "POST", json=unknown), 422, "ALERT_INVALID")["fields"]
    flat = {"symbol": "{{ticker}}", "action": "{{strategy.market_position}}", "qty": 0.01}
    moves = {each["scenario"]: each["status"] for each in own.api("plan", "POST", json=flat)["scenarios"]}
    assert moves["flat"] == "planned"


def test_the_secret_in_a_planned_alert_is_not_shown(own: RelayServer) -> None:
    answer = own.ask("plan", "POST", json=BUY | {"secret": WEBHOOK_SECRET})
    assert answer.status_code == 200 and WEBHOOK_SECRET not in answer.text


def test_a_bad_alert_is_reported_by_plan_as_by_the_webhook_and_not_stored(own: RelayServer) -> None:
    error = error_of(own.ask("plan", "POST", json=BUY | {"qty": "lots"}), 422, "ALERT_INVALID")
    assert list(error["fields"]) == ["qty"]
    error_of(own.ask("plan", "POST", data=b"{"), 400, "ALERT_MALFORMED")
    error_of(own.ask("plan", "POST", data=b"x" * 66_000), 413, "BODY_TOO_LARGE")
    error_of(own.ask("plan?strategy=nothere", "POST", json=BUY), 404, "STRATEGY_UNKNOWN")
    assert own.api("signals")["signals"] == []


def test_a_plan_is_503_until_the_instruments_are_loaded(cold: RelayServer) -> None:
    error_of(cold.ask("plan", "POST", json=BUY), 503, "NOT_READY")


def test_the_exchange_is_not_reached_by_reading_signals_and_orders(own: RelayServer, paper: PaperServer) -> None:
    paper.control.clear_calls()
    own.api("signals")
    own.api("orders")
    assert paper.control.calls() == []
