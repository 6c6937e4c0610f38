"""Two strategies and two accounts, each at a paper exchange of its own, by RELAY_CONFIG over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from relay.app.wiring import build
from relay.domain.instrument import plain
from relay.errors import SettingsInvalid
from tests.paper_server import KEY, SECRET, PaperServer
from tests.relay_server import RelayServer, error_of, running_relay, settings_for

TREND = "a-secret-of-the-trend-0123"
BOTS = "a-secret-of-the-bots-01234"
CONFIG = """
[accounts.main]
url = "{main}"
api_key_env = "MAIN_KEY"
api_secret_env = "MAIN_SECRET"

[accounts.small]
url = "{small}"
limits = {{ max_order_notional = 2000 }}

[strategies.trend]
secret_env = "TREND_SECRET"
accounts = {{ main = 100, small = 50 }}
symbols = ["BTCUSDT", "ETHUSDT"]

[strategies.bots]
secret_env = "BOTS_SECRET"
accounts = "main"
symbols = "SOLUSDT"
default_size = "3"
format = "traderspost"

[symbols]
"MYINDEX" = "ETHUSDT"
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperServer]:
    server = PaperServer(tmp_path_factory.mktemp("small"))
    yield server
    server.close()


def environment(paper: PaperServer, small: PaperServer) -> dict[str, str]:
    return {
        "RELAY_CONFIG": CONFIG.format(main=paper.url, small=small.url),
        "MAIN_KEY": KEY,
        "MAIN_SECRET": SECRET,
        "TREND_SECRET": TREND,
        "BOTS_SECRET": BOTS,
    }


@pytest.fixture(scope="module")
def relay(paper: PaperServer, small: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayServer]:
    with running_relay(tmp_path_factory.mktemp("relay"), paper.url, **environment(paper, small)) as server:
        yield server


def held(server: PaperServer, symbol: str) -> str:
    (row,) = server.session().get_positions(category="linear", symbol=symbol)["result"]["list"]
    return plain(Decimal(row["size"] or 0))


def test_one_alert_is_an_order_on_each_account_by_its_share(
    relay: RelayServer, paper: PaperServer, small: PaperServer
) -> None:
    alert = {"secret": TREND, "ticker": "BTCUSDT.P", "action": "buy", "qty": "0.02", "id": "both"}
    signal = relay.done(alert, path="/webhook/trend")
    assert signal["status"] == "done", signal
    assert [(each["account"], each["qty"]) for each in signal["orders"]] == [("main", "0.02"), ("small", "0.01")]
    assert (held(paper, "BTCUSDT"), held(small, "BTCUSDT")) == ("0.02", "0.01")
    assert len({each["client_order_id"] for each in signal["orders"]}) == 2


def test_an_alert_may_name_one_of_the_strategys_accounts_and_no_other(
    relay: RelayServer, paper: PaperServer, small: PaperServer
) -> None:
    alert = {"secret": TREND, "ticker": "ETHUSDT.P", "action": "buy", "qty": "0.2", "account": "small", "id": "one"}
    signal = relay.done(alert, path="/webhook/trend")
    assert [each["account"] for each in signal["orders"]] == ["small"]
    unknown = relay.post({**alert, "account": "other", "id": "two"}, path="/webhook/trend")
    assert "none of this strategy's accounts: main, small" in error_of(unknown, 422, "ALERT_INVALID")["message"]


def test_an_accounts_limit_holds_on_that_account_alone(relay: RelayServer) -> None:
    alert = {"secret": TREND, "ticker": "BTCUSDT.P", "action": "buy", "qty": "0.06", "id": "too much for the small one"}
    signal = relay.done(alert, path="/webhook/trend")
    assert [each["account"] for each in signal["orders"]] == ["main"]
    (note,) = [each for each in signal["notes"] if each.startswith("on account small: denied")]
    assert signal["status"] == "done" and "over MAX_ORDER_NOTIONAL 2000" in note


def test_a_strategys_secret_opens_its_own_address_only(relay: RelayServer) -> None:
    alert = {"ticker": "SOLUSDT.P", "action": "heartbeat"}
    for path, own, other in (("/webhook/trend", TREND, BOTS), ("/webhook/bots", BOTS, TREND)):
        body = {**alert, "format": "native"}
        assert relay.post({**body, "secret": own}, path=path).status_code == 202
        error_of(relay.post({**body, "secret": other}, path=path), 401, "AUTH_FAILED")
        error_of(relay.post(body, path=path), 401, "AUTH_FAILED")
    assert (
        relay.post(b'{"ticker": "BTCUSDT.P", "action": "heartbeat"}', path=f"/webhook/trend/{TREND}").status_code == 202
    )


def test_a_strategys_alerts_are_in_its_format_unless_they_say_another(relay: RelayServer, paper: PaperServer) -> None:
    alert = {"ticker": "SOLUSDT.P", "action": "buy"}
    signal = relay.done({**alert, "secret": BOTS}, path="/webhook/bots")
    assert (signal["status"], signal["alert"]["format"]) == ("done", "traderspost")
    assert held(paper, "SOLUSDT") == "3", "the strategy's default size"
    native = relay.post({**alert, "secret": BOTS, "format": "native", "qty": "1"}, path="/webhook/bots", wait_s=10)
    assert native.json()["alert"]["format"] == "native"


def test_a_ticker_may_be_configured_to_mean_another_symbol(relay: RelayServer) -> None:
    alert = {"secret": TREND, "ticker": "MYINDEX", "action": "buy", "qty": "0.1", "account": "main", "id": "index"}
    signal = relay.done(alert, path="/webhook/trend")
    assert (signal["status"], signal["symbol"]) == ("done", "ETHUSDT")


def test_the_environments_strategy_has_no_account_where_the_others_have_their_symbols_to_themselves(
    relay: RelayServer,
) -> None:
    answer = relay.post({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.1", "account": "main"})
    error_of(answer, 422, "ALERT_INVALID")


def test_accounts_and_positions_are_listed_by_name(relay: RelayServer) -> None:
    accounts = relay.api("accounts")["accounts"]
    assert [(each["name"], each["environment"], each["halted"]) for each in accounts] == [
        ("main", "paper", False),
        ("small", "paper", False),
    ]
    assert KEY not in {each["key"] for each in accounts} and SECRET not in str(accounts)
    assert {each["account"] for each in relay.api("positions")["positions"]} == {"main", "small"}


def test_halt_and_flatten_reach_every_account(relay: RelayServer, paper: PaperServer, small: PaperServer) -> None:
    alert = {"secret": TREND, "ticker": "ETHUSDT.P", "action": "buy", "qty": "0.2", "id": "to be flattened"}
    assert relay.done(alert, path="/webhook/trend")["status"] == "done"
    try:
        queued = [each for each in relay.api("flatten", "POST")["accounts"] if each["outcome"] == "queued"]
        assert {each["account"] for each in queued} == {"main", "small"}
        assert all(relay.wait_for(each["signal_id"])["status"] == "done" for each in queued)
        assert {each["halted"] for each in relay.api("accounts")["accounts"]} == {True}
        assert relay.api("positions")["positions"] == []
    finally:
        relay.api("resume", "POST")


def test_what_waits_for_a_strategy_that_is_gone_does_not_enter_and_still_exits(
    paper: PaperServer, small: PaperServer, tmp_path: Path
) -> None:
    paper.control.reset()
    config = f'[accounts.main]\nurl = "{paper.url}"\n'
    gone = config + '[strategies.gone]\nsecret_env = "TREND_SECRET"\n'
    buy = {"secret": TREND, "ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01"}
    with running_relay(tmp_path, paper.url, RELAY_CONFIG=gone, TREND_SECRET=TREND) as server:
        signal = server.done({**buy, "id": "first"}, path="/webhook/gone")
        assert signal["status"] == "done"
        server.relay.services.engine.close(5)
        waiting = [
            server.post({**buy, "action": action, "id": action}, path="/webhook/gone").json()["signal_id"]
            for action in ("buy", "close")
        ]
    with running_relay(tmp_path, paper.url, RELAY_CONFIG=config, TREND_SECRET=TREND) as server:
        entered, exited = (server.wait_for(each) for each in waiting)
    assert (entered["status"], entered["reason"]["code"]) == ("denied", "STRATEGY_NOT_CONFIGURED")
    assert entered["reason"]["message"] == "no entries: the strategy gone is not configured any more; exits go on"
    assert (exited["status"], held(paper, "BTCUSDT")) == ("done", "0")


def test_an_account_that_means_another_environment_than_before_is_refused_while_something_is_open(
    paper: PaperServer, tmp_path: Path
) -> None:
    paper.control.reset()
    with running_relay(tmp_path, paper.url) as server:
        server.done({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01", "id": "in"})
    demo = {"BYBIT_ENV": "demo", "BYBIT_API_KEY": "a-demo-key-of-mine", "BYBIT_API_SECRET": "a-demo-secret"}
    settings = settings_for(tmp_path, paper.url, **demo)
    with pytest.raises(SettingsInvalid, match="accounts.default: it was paper when this journal was last used, with"):
        build(settings)
    with running_relay(tmp_path, paper.url) as server:
        server.done({"ticker": "BTCUSDT.P", "action": "close", "id": "out"})
    relay = build(settings)
    relay.stop()


def test_one_account_refuses_and_the_other_trades_and_the_signal_tells_of_both(
    relay: RelayServer, paper: PaperServer, small: PaperServer
) -> None:
    small.control.fault("/v5/order/create", "code", retCode=110007, retMsg="ab not enough for new order", times=2)
    alert = {"secret": TREND, "ticker": "ETHUSDT.P", "action": "buy", "qty": "0.2", "id": "one refuses"}
    before = held(small, "ETHUSDT")
    signal = relay.done(alert, path="/webhook/trend")
    small.control.clear_faults()
    entries = {each["account"]: each["status"] for each in signal["orders"] if not each["reduce_only"]}
    assert entries == {"main": "filled", "small": "rejected"}, signal
    assert signal["status"] in ("failed", "attention"), signal
    assert "not enough" in str(signal["reason"]), signal
    assert (held(paper, "ETHUSDT"), held(small, "ETHUSDT")) == ("0.2", before)
    reported = [event for event in signal["events"] if event["name"] in ("failed", "attention")]
    assert [event["detail"]["account"] for event in reported] == ["small"], signal["events"]
