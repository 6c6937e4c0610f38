"""The judgement behind the checklist, where a flow test would be slow to set it up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from relay.bybit.account_api import AccountMode, AccountType, FeeRate, KeyRights, MarginMode, key_rights_from
from relay.bybit.account_facts import AccountFacts, DatabaseFacts, ExpectedAccount, Foreign, Listed, Stream, Unavailable
from relay.bybit.checklist import Report, judge, read_report, refuse_wide_key, rows_of
from relay.bybit.wire_account import CoinBalance, Wallet
from relay.domain.instrument import Category
from relay.domain.position import Position
from relay.errors import SettingsInvalid
from relay.settings.environment import Environment

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SUBJECT = ExpectedAccount(
    environment=Environment.MAINNET,
    host="https://api.bybit.com",
    recv_window_ms=5000,
    allow_wide_key=False,
    key_end="…1234",
    symbols=frozenset({"BTCUSDT"}),
    max_leverage=None,
)
KEY = KeyRights(
    read_only=False,
    contract_permissions=frozenset({"Order", "Position"}),
    wallet_permissions=frozenset(),
    addresses=("203.0.113.7",),
    expires_at=None,
    days_left=None,
)
WALLET = Wallet(total_equity=Decimal(500), total_available=Decimal(500), coins=())
FACTS = AccountFacts(
    now_ms=int(NOW.timestamp() * 1000),
    own_address="203.0.113.7",
    clock_ahead_ms=12,
    listed=Listed(count=600, absent=()),
    key=KEY,
    mode=AccountMode(type=AccountType.UNIFIED_2, margin=MarginMode.CROSS),
    wallet=WALLET,
    positions=(
        ("BTCUSDT", Position(category=Category.LINEAR, symbol="BTCUSDT", size=Decimal(0), leverage=Decimal(10))),
    ),
    foreign=Foreign(positions=(), orders=()),
    fees=FeeRate(taker=Decimal("0.00055"), maker=Decimal("0.0002")),
    stream=Stream(connected=True),
    free_disk_bytes=20_000_000_000,
)
SILENT = Unavailable(code=None, words="HTTP 502")


def judged(expected_account: ExpectedAccount = SUBJECT, **facts: Any) -> Report:
    return judge(expected_account, replace(FACTS, **facts))


def test_an_account_as_it_should_be_is_green_throughout() -> None:
    report = judged()
    assert report.is_ok
    assert {check.state for check in report.checks} == {"green"}
    assert read_report(rows_of(report)) == report


def test_a_disk_that_cannot_be_looked_at_is_not_green_and_hinders_nothing() -> None:
    report = judged(free_disk_bytes=None)
    assert report.check("durability").state == "unknown"
    assert report.is_ok


@pytest.mark.parametrize(
    ("is_flushed", "owned_by_owner", "state", "words"),
    [
        (True, 50, "green", "flushed"),
        (True, 51, "amber", "51 accounts"),
        (True, None, "amber", "no process executes"),
        (False, 1, "red", "fsync is off"),
    ],
)
def test_what_the_database_keeps_and_who_executes_there_is_reported(
    is_flushed: bool, owned_by_owner: int | None, state: str, words: str
) -> None:
    database = DatabaseFacts(is_flushed=is_flushed, owned_by_owner=owned_by_owner, room=50)
    found = judged(free_disk_bytes=None, database=database).check("durability")
    assert found.state == state
    assert words in found.message
    assert (found.fix is None) == (state == "green")


def test_a_journal_that_cannot_be_used_is_red_whatever_room_its_disk_has() -> None:
    found = judged(free_disk_bytes=10**12, database=DatabaseFacts(problem="the file is damaged")).check("durability")
    assert (found.state, found.message) == ("red", "the file is damaged")
    assert "DATABASE_URL" in str(found.fix)


@pytest.mark.parametrize(
    ("days", "state"), [(-3, "red"), (0, "amber"), (1, "amber"), (13, "amber"), (14, "green"), (90, "green")]
)
def test_the_days_that_a_key_has_left_are_counted_from_its_last_day(days: int, state: str) -> None:
    key = replace(KEY, expires_at=NOW + timedelta(days=days, minutes=1))
    assert judged(key=key).check("expiry").state == state


@pytest.mark.parametrize(
    ("fields", "days", "bound"),
    [
        ({"ips": ["203.0.113.7"], "deadlineDay": -2, "expiredAt": "1970-01-01T00:00:00Z"}, None, True),
        ({"ips": ["*"], "deadlineDay": 80, "expiredAt": "1970-01-01T00:00:00Z"}, 80, False),
        ({"ips": [], "deadlineDay": -1, "expiredAt": ""}, -1, False),
    ],
)
def test_a_key_that_is_bound_to_addresses_has_no_last_day(
    fields: dict[str, Any], days: int | None, bound: bool
) -> None:
    key = key_rights_from({"readOnly": 0, "permissions": {}, **fields})
    assert (key.days_left, key.expires_at, bool(key.addresses)) == (days, None, bound)


@pytest.mark.parametrize(
    ("ahead_ms", "state"),
    [(0, "green"), (5000, "green"), (5001, "red"), (-999, "green"), (-1000, "amber"), (-5000, "amber"), (-5001, "red")],
)
def test_the_clock_may_be_off_as_far_as_the_exchange_takes_it(ahead_ms: int, state: str) -> None:
    assert judged(clock_ahead_ms=ahead_ms).check("clock").state == state


def test_a_wallet_without_a_total_counts_its_stable_coins() -> None:
    coin = CoinBalance(coin="USDT", equity=Decimal("49.99"), wallet_balance=Decimal("49.99"), unrealised_pnl=Decimal(0))
    check = judged(wallet=replace(WALLET, total_equity=None, coins=(coin,))).check("wallet")
    assert (check.state, "49.99 USD" in check.message) == ("amber", True)


def test_a_leverage_above_the_limit_is_amber() -> None:
    check = judged(replace(SUBJECT, max_leverage=Decimal(5))).check("leverage")
    assert (check.state, "above the limit of 5x" in check.message) == ("amber", True)


def test_what_is_required_must_have_been_seen() -> None:
    assert judged(fees=SILENT, foreign=SILENT, clock_ahead_ms=SILENT).is_ok
    report = judged(key=SILENT)
    assert not report.is_ok
    assert [check.name for check in report.hindering()] == ["trade_permission", "read_only", "withdraw_permission"]


def test_a_stream_that_does_not_take_a_key_that_works_is_amber() -> None:
    check = judged(stream=Stream(connected=True, refusal="the stream did not take the key")).check("streams")
    assert check.state == "amber"


@pytest.mark.parametrize(
    ("environment", "allowed", "permission", "refused"),
    [
        (Environment.MAINNET, False, "Withdraw", True),
        (Environment.MAINNET, False, "AccountTransfer", True),
        (Environment.MAINNET, True, "Withdraw", False),
        (Environment.DEMO, False, "Withdraw", False),
    ],
)
def test_only_mainnet_refuses_a_wide_key(
    environment: Environment, allowed: bool, permission: str, refused: bool
) -> None:
    expected_account = replace(SUBJECT, environment=environment, allow_wide_key=allowed)
    key = replace(KEY, wallet_permissions=frozenset({permission}))
    if not refused:
        refuse_wide_key(expected_account, key)
        return
    with pytest.raises(SettingsInvalid, match="BYBIT_API_KEY: the key …1234 may"):
        refuse_wide_key(expected_account, key)
