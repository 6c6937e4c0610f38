"""`check` against a paper exchange that is set up wrong in each of the ways there are: the right line says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relay.bybit.checklist import NAMES
from tests.flow.cli_support import environment, run
from tests.paper_server import KEY, SECRET, PaperServer
from tests.relay_server import NOBODY

KEY_POINTS = (
    *("expiry", "ip", "trade_permission", "read_only"),
    *("withdraw_permission", "transfer_permission", "other_permissions"),
)
SIGNED = (
    *("signature", *KEY_POINTS, "account_type", "margin_mode", "position_mode"),
    *("wallet", "leverage", "foreign_positions", "fees"),
)
"""What only signed requests tell."""


def looked_at(folder: Path, paper: PaperServer, **environ: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and the points by name."""
    where = {"BYBIT_URL": paper.url, "BYBIT_API_KEY": KEY, "BYBIT_API_SECRET": SECRET, **environ}
    result = run(environment(folder, None, **where), "check", "--json")
    said = json.loads(result.stdout)
    assert [each["name"] for each in said["checks"]] == list(NAMES)
    assert result.exit_code == (0 if said["ok"] else 1)
    assert SECRET not in result.output and environ.get("BYBIT_API_SECRET", SECRET) not in result.output
    return result.exit_code, {each["name"]: each for each in said["checks"]}


@dataclass(frozen=True, kw_only=True)
class Case:
    """The account as it is set up, and the points that are not green by it."""

    account: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    clock_ms: int = 0
    red: Mapping[str, str] = field(default_factory=dict)
    """Names, with words that the message or the fix must hold."""
    amber: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def key(**fields: object) -> dict[str, Any]:
    return {"key": fields}


def rights(**fields: list[str]) -> dict[str, Any]:
    permissions = {"ContractTrade": ["Order", "Position"], "Wallet": [], "Derivatives": ["DerivativesTrade"], **fields}
    return key(permissions=permissions)


MAINNET = {"BYBIT_ENV": "mainnet", "MAX_POSITION_NOTIONAL": "none"}
WITHDRAW = rights(Wallet=["Withdraw"])
TRANSFER = rights(Wallet=["AccountTransfer", "SubMemberTransfer"])
CONVERT = rights(Exchange=["ExchangeHistory"], FiatP2P=["FiatP2POrder", "Advertising"])
IN_SIX_HOURS = (datetime.now(UTC) + timedelta(hours=6, minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
USDC = {"ALLOWED_SYMBOLS": "BTCUSDT,BTCPERP,ETHPERP"}

CASES = {
    "as it should be": Case(),
    "as it should be on testnet": Case(environ={"BYBIT_ENV": "testnet"}),
    "as it should be on mainnet": Case(environ=MAINNET),
    "a region that is blocked": Case(
        account={"regionBlocked": True},
        red={"region": "EU region"},
        unknown=("clock", "key", *SIGNED, "instruments"),
    ),
    "a clock that is off by more than the window": Case(clock_ms=20_000, red={"clock": "recv_window"}),
    "a key of another environment": Case(
        account={"keyUnknown": True}, red={"key": "mainnet, testnet and their demos differ"}, unknown=SIGNED
    ),
    "a wrong secret": Case(
        environ={"BYBIT_API_SECRET": "not-the-secret-of-this-key-0123"},
        red={"signature": "(10004)"},
        unknown=tuple(name for name in SIGNED if name != "signature"),
    ),
    "an expired key": Case(
        account={"expired": True},
        red={"expiry": "has expired (33004)"},
        unknown=tuple(name for name in SIGNED if name != "expiry"),
    ),
    "a key that expires soon": Case(account=key(deadlineDay=9), amber={"expiry": "expires in 9 days"}),
    "a key whose last day has begun": Case(
        account=key(expiredAt=IN_SIX_HOURS, deadlineDay=0, ips=["*"]),
        amber={"expiry": "expires in 6 hours", "ip": "works from any address"},
    ),
    "a key whose date is later than its days": Case(
        account=key(expiredAt="2098-01-01T00:00:00Z", deadlineDay=3), amber={"expiry": "expires in 3 days"}
    ),
    "a key whose date is in no year": Case(account=key(expiredAt="0001-01-01T00:00:00Z", deadlineDay=0)),
    "a key whose addresses are one text": Case(account={"ipCheck": True, **key(ips="203.0.113.7,127.0.0.1")}),
    "a key without addresses": Case(account=key(ips=["*"], deadlineDay=80), amber={"ip": "works from any address"}),
    "a key that is bound elsewhere": Case(
        account={"ipCheck": True, **key(ips=["203.0.113.7"])},
        red={"ip": "127.0.0.1"},
        unknown=tuple(name for name in SIGNED if name != "ip"),
    ),
    "a key that may not order": Case(account=rights(ContractTrade=["Position"]), red={"trade_permission": "Order"}),
    "a key that only reads": Case(account=key(readOnly=1), red={"read_only": "Read-Write"}),
    "a key that may withdraw": Case(account=WITHDRAW, amber={"withdraw_permission": "may withdraw"}),
    "a key that may transfer": Case(account=TRANSFER, amber={"transfer_permission": "AccountTransfer"}),
    "a key that may withdraw real money": Case(
        account=WITHDRAW, environ=MAINNET, red={"withdraw_permission": "ALLOW_WIDE_KEY=1"}
    ),
    "a key that may transfer real money": Case(
        account=TRANSFER, environ=MAINNET, red={"transfer_permission": "ALLOW_WIDE_KEY=1"}
    ),
    "a key that may spend by other ways": Case(account=CONVERT, amber={"other_permissions": "Exchange: ExchangeHist"}),
    "a key that may spend real money by other ways": Case(
        account=CONVERT, environ=MAINNET, red={"other_permissions": "FiatP2P: Advertising, FiatP2POrder"}
    ),
    "a key that may spend by other ways, which is allowed": Case(
        account=CONVERT, environ={**MAINNET, "ALLOW_WIDE_KEY": "1"}, amber={"other_permissions": "ALLOW_WIDE_KEY"}
    ),
    "a key with permissions that nobody knows yet": Case(
        account=rights(Lottery=["Draw"]), environ=MAINNET, red={"other_permissions": "Lottery: Draw"}
    ),
    "a key that may also do what spends nothing": Case(
        account=rights(CopyTrading=["CopyTrading"], Affiliate=["Affiliate"]),
        environ=MAINNET,
        amber={"other_permissions": "Affiliate: Affiliate; CopyTrading: CopyTrading"},
    ),
    "a key that may also trade spot and options": Case(
        account=rights(Spot=["SpotTrade"], Options=["OptionsTrade"]), environ={**MAINNET, **USDC}
    ),
    "a key that may not trade USDC perpetuals": Case(
        account=rights(Derivatives=[]), environ=USDC, amber={"trade_permission": "BTCPERP, ETHPERP"}
    ),
    "a key of a subaccount that lists transfers": Case(
        account=rights(Wallet=["SubMemberTransferList"]), environ=MAINNET, red={"transfer_permission": "TransferList"}
    ),
    "a wide key that is allowed": Case(
        account=WITHDRAW, environ={**MAINNET, "ALLOW_WIDE_KEY": "1"}, amber={"withdraw_permission": "ALLOW_WIDE_KEY"}
    ),
    "a classic account": Case(account={"unifiedMarginStatus": 1}, red={"account_type": "Upgrade"}),
    "a unified account 1.0": Case(account={"unifiedMarginStatus": 4}, amber={"account_type": "inverse"}),
    "a kind of account that is new": Case(account={"unifiedMarginStatus": 9}, amber={"account_type": "does not know"}),
    "isolated margin": Case(account={"marginMode": "ISOLATED_MARGIN"}),
    "portfolio margin": Case(account={"marginMode": "PORTFOLIO_MARGIN"}),
    "a margin mode that is new": Case(account={"marginMode": "CROSS_EVERYTHING"}),
    "hedge mode": Case(account={"positionMode": {"ETHUSDT": 3}}, red={"position_mode": "ETHUSDT: hedge mode"}),
    "hedge mode of a symbol that is not allowed": Case(
        account={"positionMode": {"ETHUSDT": 3}}, environ={"ALLOWED_SYMBOLS": "BTCUSDT,BTCUSD,BTCPERP"}
    ),
    "a poor wallet": Case(
        account={"balances": {**dict.fromkeys(("USDC", "BTC", "ETH", "XRP", "SOL", "LTC", "DOT"), 0), "USDT": "12.5"}},
        amber={"wallet": "12.5 USD"},
    ),
    "a symbol that is not listed": Case(
        environ={"ALLOWED_SYMBOLS": "BTCUSDT,NOSUCHUSDT"},
        amber={"instruments": "NOSUCHUSDT"},
        unknown=("position_mode", "leverage"),
    ),
    "demo": Case(
        account={"demo": True},
        environ={"BYBIT_ENV": "demo"},
        amber={"fees": "demo environment does not tell"},
    ),
    "a demo key that only reads": Case(
        account={"demo": True, **key(readOnly=1)},
        environ={"BYBIT_ENV": "demo"},
        red={"read_only": "Read-Write"},
        amber={"fees": "demo environment does not tell"},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_thing_that_is_wrong_is_reported_by_its_own_point(case: Case, paper: PaperServer, tmp_path: Path) -> None:
    paper.control.reset()
    if case.account:
        paper.control.account(**case.account)
    paper.control.clock(case.clock_ms)
    code, checks = looked_at(tmp_path, paper, **case.environ)
    expected = dict.fromkeys(NAMES, "green")
    expected |= dict.fromkeys(case.red, "red") | dict.fromkeys(case.amber, "amber")
    expected |= dict.fromkeys(case.unknown, "unknown")
    found = {name: check["state"] for name, check in checks.items()}
    if "key" in case.red or "signature" in case.red:
        expected["streams"] = "unknown"
    assert found == expected
    for name, words in {**case.red, **case.amber}.items():
        assert words in f"{checks[name]['message']} {checks[name]['fix']}"
    assert all(checks[name]["fix"] for name in case.red)
    assert (code != 0) == bool(case.red or {"position_mode"} & {*case.unknown})


def test_a_host_that_does_not_answer_is_reported_and_nothing_else_is_green(paper: PaperServer, tmp_path: Path) -> None:
    code, checks = looked_at(tmp_path, paper, BYBIT_URL=NOBODY)
    assert code == 1
    assert checks.pop("host")["state"] == "red"
    assert checks.pop("durability")["state"] == "green", "the journal's disk is this machine's own"
    assert {check["state"] for check in checks.values()} == {"unknown"}


@pytest.mark.parametrize(
    ("path", "lost"),
    [
        ("/v5/user/query-api", KEY_POINTS),
        ("/v5/account/info", ("account_type", "margin_mode")),
        ("/v5/account/wallet-balance", ("wallet",)),
        ("/v5/order/realtime", ("foreign_positions",)),
        ("/v5/account/fee-rate", ("fees",)),
        ("/v5/market/instruments-info", ("instruments",)),
        ("/v5/market/time", ("clock",)),
    ],
)
def test_a_question_that_fails_costs_its_own_points_only(
    path: str, lost: tuple[str, ...], paper: PaperServer, tmp_path: Path
) -> None:
    paper.control.reset()
    paper.control.fault(path, "http", status=502, times=None)
    _, checks = looked_at(tmp_path, paper)
    wanted = {name for name, check in checks.items() if check["state"] == "unknown"}
    assert wanted == set(lost)
    assert "red" not in {check["state"] for check in checks.values()}


@pytest.mark.parametrize(
    ("free", "state", "code", "words"),
    [
        (2 * 1024**3, "green", 0, "2,140 MB free"),
        (500 * 1024**2, "amber", 0, "520 MB free"),
        (99 * 1024**2, "red", 1, "alerts are answered 503"),
    ],
)
def test_the_room_on_the_journals_disk_is_reported(
    free: int, state: str, code: int, words: str, paper: PaperServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper.control.reset()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    found, checks = looked_at(tmp_path, paper)
    assert (found, checks["durability"]["state"]) == (code, state)
    assert words in checks["durability"]["message"]


@pytest.mark.parametrize(("name", "state", "code"), [("paper", "amber", 0), ("mainnet", "red", 1)])
def test_what_others_have_open_is_reported_and_is_red_where_money_is_real(
    name: str, state: str, code: int, paper: PaperServer, tmp_path: Path
) -> None:
    paper.control.reset()
    session = paper.session()
    session.place_order(category="linear", symbol="SOLUSDT", side="Buy", orderType="Market", qty="1", positionIdx=0)
    session.place_order(
        category="linear", symbol="XRPUSDT", side="Buy", orderType="Limit", qty="100", price="0.5", positionIdx=0
    )
    found, checks = looked_at(tmp_path, paper, BYBIT_ENV=name, MAX_POSITION_NOTIONAL="none")
    assert (found, checks["foreign_positions"]["state"]) == (code, state)
    assert "positions of SOLUSDT and orders of XRPUSDT" in checks["foreign_positions"]["message"]
    assert "sub-account" in checks["foreign_positions"]["fix"]


def test_for_people_there_is_a_line_a_point_and_real_money_is_unmistakable(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.reset()
    environ = environment(tmp_path, None, BYBIT_URL=paper.url, BYBIT_API_KEY=KEY, BYBIT_API_SECRET=SECRET, **MAINNET)
    result = run(environ, "check")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "MAINNET - real money" in lines[0] and lines[-1].startswith("ok: ")
    assert [line.split()[2] for line in lines[1:-1] if "->" not in line] == list(NAMES)
    assert "…aper" in result.stdout and SECRET not in result.output


def test_an_account_that_is_not_there_is_named_with_those_that_are(paper: PaperServer, tmp_path: Path) -> None:
    result = run(environment(tmp_path, None, BYBIT_URL=paper.url), "check", "--account", "second")
    assert result.exit_code == 2
    assert "no account `second`" in result.stderr and "default" in result.stderr
