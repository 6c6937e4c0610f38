"""Settings: every variable read once, every problem said at once, no secret shown."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path

import pytest

from relay.domain.limits import LIMITS, Limit
from relay.domain.rules import DefaultSize
from relay.domain.signal import QtyUnit
from relay.errors import SettingsInvalid
from relay.settings.environment import Environment, Secret
from relay.settings.settings import LogFormat, LogLevel, Settings, listen_address, load_settings, require_folders

SECRET = "0123456789abcdef"
KEYS = {"BYBIT_API_KEY": "a-key-of-an-account", "BYBIT_API_SECRET": "a-secret-of-an-account"}
MAINNET = {"BYBIT_ENV": "mainnet", "MAX_POSITION_NOTIONAL": "1000", **KEYS}


def load(environ: Mapping[str, str]) -> Settings:
    return load_settings(environ, dotenv=None)


def problems(environ: Mapping[str, str], *, needs_webhook_secret: bool = False) -> list[str]:
    with pytest.raises(SettingsInvalid) as raised:
        load_settings(environ, dotenv=None, needs_webhook_secret=needs_webhook_secret)
    assert all("\n" not in line for line in raised.value.problems)
    return list(raised.value.problems)


def test_nothing_set_means_paper_with_the_documented_defaults() -> None:
    settings = load({})
    assert settings.environment is Environment.PAPER
    assert not settings.environment.is_real_money
    assert (settings.accounts[0].url, settings.accounts[0].stream_url) == (None, None)
    assert settings.accounts[0].recv_window_ms == 5000
    assert settings.trusted_proxies == 0
    assert settings.database_url == "sqlite:///relay.db"
    assert settings.journal_path == Path("relay.db")
    assert settings.paper_state == Path("paper.db")
    assert settings.paper_market == "https://api.bybit.com"
    assert (settings.outcome_max_s, settings.outcome_max_attempts) == (900, 8)
    assert settings.keep_days == 90
    assert settings.port == 8000
    assert (settings.log_level, settings.log_format) == (LogLevel.INFO, LogFormat.TEXT)
    assert settings.webhook_secrets == settings.webhook_sources == settings.warnings == ()
    assert settings.rules.signal_max_age_s == 60
    assert settings.rules.max_position_notional is None


def test_a_variable_set_to_nothing_counts_as_not_set() -> None:
    assert load({"BYBIT_ENV": "", "SIGNAL_MAX_AGE": "  ", "ADMIN_TOKEN": ""}) == load({})


def test_all_problems_are_reported_at_once_one_line_each() -> None:
    reported = problems(
        {
            "BYBIT_ENV": "live",
            "SIGNAL_MAX_AGE": "1m",
            "MAX_ORDER_NOTIONAL": "-5",
            "WEBHOOK_SECRET": "short",
            "PORT": "x",
        }
    )
    assert [line.partition(":")[0] for line in reported] == [
        "BYBIT_ENV",
        "WEBHOOK_SECRET",
        "SIGNAL_MAX_AGE",
        "MAX_ORDER_NOTIONAL",
        "PORT",
    ]
    assert reported[0] == "BYBIT_ENV: 'live' is not known; it should be one of paper, demo, testnet, mainnet"
    assert all("should" in line for line in reported)


def test_mainnet_does_not_start_without_a_position_limit_and_none_is_an_answer() -> None:
    (reported,) = problems({**MAINNET, "MAX_POSITION_NOTIONAL": ""})
    assert reported.startswith("MAX_POSITION_NOTIONAL: it is missing")
    assert load({**MAINNET, "MAX_POSITION_NOTIONAL": "none"}).rules.max_position_notional is None
    assert load(MAINNET).rules.max_position_notional == Decimal(1000)


def test_a_webhook_secret_is_needed_by_those_who_take_alerts_only() -> None:
    (reported,) = problems({}, needs_webhook_secret=True)
    assert reported.startswith("WEBHOOK_SECRET: it is missing")
    assert load({"WEBHOOK_SECRET": SECRET}).webhook_secrets == (Secret(SECRET),)


def test_two_webhook_secrets_can_be_right_at_once_and_not_three() -> None:
    assert load({"WEBHOOK_SECRET": f"{SECRET} {SECRET}2"}).webhook_secrets == (Secret(SECRET), Secret(f"{SECRET}2"))
    assert problems({"WEBHOOK_SECRET": f"{SECRET} {SECRET} {SECRET}"})
    assert problems({"WEBHOOK_SECRET": f"{SECRET} {SECRET[:-1]}"})


def test_sources_are_tradingviews_addresses_and_networks() -> None:
    sources = load({"WEBHOOK_SOURCES": "tradingview, 203.0.113.0/24 2001:db8::/32"}).webhook_sources
    assert ip_network("52.89.214.238/32") in sources and len(sources) == 6
    assert sources[-2:] == (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"))
    assert problems({"WEBHOOK_SOURCES": "203.0.113.7/24"})


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1% equity", DefaultSize(qty=Decimal(1), unit=QtyUnit.EQUITY_PCT)),
        ("2.5 %Equity", DefaultSize(qty=Decimal("2.5"), unit=QtyUnit.EQUITY_PCT)),
        ("100 quote", DefaultSize(qty=Decimal(100), unit=QtyUnit.QUOTE)),
        ("0.01", DefaultSize(qty=Decimal("0.01"), unit=QtyUnit.BASE)),
        ("50 contracts", DefaultSize(qty=Decimal(50), unit=QtyUnit.CONTRACTS)),
    ],
)
def test_a_default_size_has_a_unit_or_is_in_coins(text: str, size: DefaultSize) -> None:
    assert load({"DEFAULT_SIZE": text}).rules.default_size == size


@pytest.mark.parametrize("limit", [each for each in LIMITS if each.variable], ids=lambda each: each.key)
def test_none_is_an_answer_for_the_variable_of_every_limit(limit: Limit) -> None:
    for word in ("none", "NONE", " None "):
        assert limit.bound(load({str(limit.variable): word}).rules) is None
    (reported,) = problems({str(limit.variable): "-3"})
    assert reported.startswith(f"{limit.variable}: ") and "`none` for no limit" in reported


@pytest.mark.parametrize("text", ["0", "1 %", "-1", "1e3", "1.2.3", "much", "NaN", "5 lots"])
def test_a_default_size_that_is_none_is_refused(text: str) -> None:
    (reported,) = problems({"DEFAULT_SIZE": text})
    assert reported.startswith("DEFAULT_SIZE: ") and text in reported


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e5", "1_000", "0x10", "0", "-1", "1,5", "٣", "9" * 30])
def test_money_is_a_plain_number_above_zero(text: str) -> None:
    (reported,) = problems({"MAX_ORDER_NOTIONAL": text})
    assert reported.startswith("MAX_ORDER_NOTIONAL: ")


def test_money_keeps_every_digit() -> None:
    text = "0.10000000000000001"
    assert load({"MAX_ORDER_NOTIONAL": text}).rules.max_order_notional == Decimal(text)


def test_symbols_are_bybits_in_any_case_with_or_without_the_perpetuals_mark() -> None:
    assert load({"ALLOWED_SYMBOLS": "btcusdt, ETHUSDT.P BTCUSD"}).rules.allowed_symbols == frozenset(
        {"BTCUSDT", "ETHUSDT", "BTCUSD"}
    )
    assert problems({"ALLOWED_SYMBOLS": "BTC/USDT"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RELAY_WORKER", "process"),
        ("DATABASE_URL", "mysql://relay:a-password@host/relay"),
        ("DATABASE_URL", "sqlite://"),
    ],
)
def test_what_this_version_cannot_do_is_a_problem_and_shows_no_password(name: str, value: str) -> None:
    (reported,) = problems({name: value})
    assert reported.startswith(f"{name}: ")
    assert "a-password" not in reported


def test_the_paper_exchange_keeps_its_state_beside_the_journal() -> None:
    settings = load({"DATABASE_URL": "sqlite:////var/lib/relay/journal.db"})
    assert settings.journal_path == Path("/var/lib/relay/journal.db")
    assert settings.paper_state == Path("/var/lib/relay/paper.db")
    assert load({"PAPER_STATE": "elsewhere.db", "PAPER_MARKET": "off"}).paper_state == Path("elsewhere.db")
    assert load({"PAPER_MARKET": "OFF"}).paper_market is None


def test_misspelt_names_are_warned_of_with_the_nearest() -> None:
    others = {"PATH": "/bin", "HOME": "/", "NIX_SSL_CERT_FILE": "/etc/ssl/certs/ca-bundle.crt"}
    warnings = load({"MAX_POSITION_NOTIONL": "5", "BYBIT_ENVIRONMENT": "demo", **others}).warnings
    assert warnings == (
        "BYBIT_ENVIRONMENT: no such setting, it has no effect; perhaps BYBIT_ENV was meant",
        "MAX_POSITION_NOTIONL: no such setting, it has no effect; perhaps MAX_POSITION_NOTIONAL was meant",
    )


@pytest.mark.parametrize("line", ["DAILY_LOSS_LIMIT 50", "DAILY_LOSS_LIMIT", "=50"])
def test_a_line_of_the_file_that_says_nothing_could_have_been_a_limit_and_is_named(tmp_path: Path, line: str) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"# limits\nSIGNAL_MAX_AGE=30\n{line}\n")
    with pytest.raises(SettingsInvalid, match="line 3 cannot be read; it should be like NAME=value") as raised:
        load_settings({}, dotenv=dotenv)
    assert "50" not in str(raised.value), "it may be a secret"


def test_a_folder_that_is_not_there_is_named_by_the_variable_that_names_it(tmp_path: Path) -> None:
    away, there = tmp_path / "away", tmp_path / "relay.db"
    with pytest.raises(SettingsInvalid, match=f"^DATABASE_URL: the folder {away} is not there; make it"):
        require_folders(load({"DATABASE_URL": f"sqlite:///{away}/relay.db"}))
    with pytest.raises(SettingsInvalid, match=f"^PAPER_STATE: the folder {away} is not there; make it"):
        require_folders(load({"DATABASE_URL": f"sqlite:///{there}", "PAPER_STATE": f"{away}/paper.db"}))
    require_folders(load({"DATABASE_URL": f"sqlite:///{there}"}))


def test_real_variables_win_over_the_file_and_the_process_environment_stays_as_it_is(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("# a comment\nSIGNAL_MAX_AGE=30\nexport TRUSTED_PROXIES='2'\nKEEP_DAY=1\n")
    before = dict(os.environ)
    settings = load_settings({"SIGNAL_MAX_AGE": "45"}, dotenv=dotenv)
    assert (settings.rules.signal_max_age_s, settings.trusted_proxies) == (45, 2)
    assert settings.warnings[0].startswith("KEEP_DAY: ")
    assert dict(os.environ) == before


def test_the_process_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNAL_MAX_AGE", "7")
    assert load_settings(dotenv=None).rules.signal_max_age_s == 7


def test_a_file_that_cannot_be_read_is_a_problem_not_a_traceback(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"WEBHOOK_SECRET=\xff\xfe\n")
    with pytest.raises(SettingsInvalid, match=r"\.env: it cannot be read"):
        load_settings({}, dotenv=tmp_path / ".env")


def test_no_secret_is_in_a_repr_a_pickle_or_a_problem() -> None:
    words = {**KEYS, "WEBHOOK_SECRET": "a-webhook-secret-of-mine", "ADMIN_TOKEN": "an-admin-token-of-mine"}
    settings = load(words)
    assert {secret.reveal() for secret in settings.secrets} == set(words.values())
    for word in words.values():
        assert word not in repr(settings) + str(settings.accounts[0].api_key) + f"{settings.admin_token}"
    with pytest.raises(TypeError):
        pickle.dumps(settings.accounts[0].api_secret)
    spoilt = problems({name: f"spoilt {word}" for name, word in words.items()} | {"ADMIN_TOKEN": "short-token"})
    assert not any(word in line for word in (*words.values(), "short-token") for line in spoilt)


def test_the_relay_listens_to_this_machine_only_except_behind_herokus_router() -> None:
    assert listen_address({}, dotenv=None) == "127.0.0.1:8000"
    assert listen_address({"PORT": "9001"}, dotenv=None) == "127.0.0.1:9001"
    assert listen_address({"PORT": "9001", "DYNO": "web.1"}, dotenv=None) == "0.0.0.0:9001"
    assert listen_address({"PORT": "nonsense"}, dotenv=None) == "127.0.0.1:8000"


def test_logs_are_json_for_a_platforms_collector() -> None:
    assert load({"DYNO": "web.1"}).log_format is LogFormat.JSON
    assert load({"DYNO": "web.1", "LOG_FORMAT": "TEXT", "LOG_LEVEL": "WARNING"}).log_format is LogFormat.TEXT


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DEFAULT_STOP_LOSS", "+2%", "'+2%' lies towards profit; it should be like"),
        ("DEFAULT_STOP_LOSS", "+40", "'+40' lies towards profit; it should be like"),
        ("DEFAULT_STOP_LOSS", "100%", "'100%' below the price of a long is no price; it should be under 100%"),
        ("DEFAULT_TAKE_PROFIT", "-2%", "'-2%' lies towards loss; it should be like"),
        ("DEFAULT_TAKE_PROFIT", "+250%", "'+250%' below the price of a short is no price; it should be under 100%"),
    ],
)
def test_a_default_level_by_which_every_entry_would_be_denied_stops_the_start(name: str, value: str, said: str) -> None:
    (reported,) = problems({name: value})
    assert reported.startswith(f"{name}: {said}")


@pytest.mark.parametrize(("stop", "profit"), [("2%", "4%"), ("-2%", "+4%"), ("-40", "+40"), ("99.9%", "99.9%")])
def test_a_default_level_on_its_own_side_is_taken(stop: str, profit: str) -> None:
    rules = load({"DEFAULT_STOP_LOSS": stop, "DEFAULT_TAKE_PROFIT": profit}).rules
    assert rules.default_stop_loss is not None and rules.default_take_profit is not None


def test_the_address_of_the_sign_of_life_is_one_and_is_secret() -> None:
    given = {"ALIVE_URL": "https://hc-ping.com/0123-4567"}
    settings = load_settings(given, dotenv=None)
    assert settings.alive_url in settings.secrets and "0123" not in repr(settings)
    with pytest.raises(SettingsInvalid, match="ALIVE_URL: it is no address"):
        load_settings({"ALIVE_URL": "hc-ping.com/0123"}, dotenv=None)
