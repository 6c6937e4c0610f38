"""RELAY_CONFIG: accounts, strategies and their limits, and a line for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from decimal import Decimal
from pathlib import Path

import pytest

from relay.alerts.formats import FORMATS as ALERT_FORMATS
from relay.domain.limits import LIMITS, Limit, LimitUnit
from relay.domain.rules import Direction, TradingHours
from relay.domain.signal import QtyUnit
from relay.errors import SettingsInvalid
from relay.settings.environment import Environment, Secret
from relay.settings.settings import Settings, load_settings
from relay.settings.toml import FORMATS

KEYS = {
    "MAIN_KEY": "a-key-of-an-account",
    "MAIN_SECRET": "a-secret-of-an-account",
    "TREND_SECRET": "secret-of-the-trend",
}
MAIN = '[accounts.main]\nenvironment = "demo"\napi_key_env = "MAIN_KEY"\napi_secret_env = "MAIN_SECRET"\n'
PAPER = '[accounts.test]\nurl = "http://127.0.0.1:9100"\n'


def load(config: str, environ: Mapping[str, str] | None = None) -> Settings:
    return load_settings({**KEYS, **(environ or {}), "RELAY_CONFIG": config}, dotenv=None)


def problems(config: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsInvalid) as raised:
        load(config, environ)
    reported = list(raised.value.problems)
    assert all("\n" not in line for line in reported)
    assert not any(word in line for line in reported for word in KEYS.values())
    return reported


def test_accounts_and_strategies_are_read_with_their_own_rules() -> None:
    settings = load(
        MAIN
        + PAPER
        + """
        [strategies.trend]
        secret_env = "TREND_SECRET"
        accounts = { main = 100, test = "12.5%" }
        symbols = ["btcusdt", "ETHUSDT.P"]
        default_size = "1% equity"
        size_unit = "quote"
        leverage = 5
        stop_loss = "2%"
        direction = "long_only"
        dedup_window = 0
        format = "3commas"
        heartbeat = 90
        heartbeat_any = true
        max_age = "2m"
        limits = { max_order_notional = 250.5, cooldown = "15m" }
        [limits]
        max_order_notional = 500
        max_distance = "2%"
        """
    )
    assert [(each.name, each.environment) for each in settings.accounts] == [
        ("main", Environment.DEMO),
        ("test", Environment.PAPER),
    ]
    assert settings.accounts[0].key_tail == "ount"
    trend, default = settings.strategies
    assert (trend.accounts, default.accounts) == (("main", "test"), ())
    assert trend.secrets == (Secret("secret-of-the-trend"),) == settings.secrets_of(trend)
    assert (trend.dedup_window_ms, trend.format, trend.heartbeat_s, trend.heartbeat_any) == (0, "3commas", 5400, True)
    rules = trend.rules["test"]
    assert (rules.size_scale_pct, trend.rules["main"].size_scale_pct) == (Decimal("12.5"), Decimal(100))
    assert rules.allowed_symbols == frozenset({"BTCUSDT", "ETHUSDT"})
    assert (rules.direction, rules.size_unit, rules.signal_max_age_s) == (Direction.LONG_ONLY, QtyUnit.QUOTE, 120)
    assert (rules.max_order_notional, rules.max_distance_pct, rules.cooldown_s) == (Decimal("250.5"), Decimal(2), 900)


def test_each_limit_is_the_strictest_of_the_strategys_the_accounts_and_all() -> None:
    settings = load(
        MAIN.replace("[accounts.main]", "[accounts.main]\nlimits = { max_leverage = 3, max_order_notional = 100 }")
        + "[limits]\nmax_positions = 4\nmax_leverage = 9\n"
        + "[strategies.default.limits]\nmax_positions = 6\nmax_leverage = 20\nmax_order_notional = 'none'\n",
        {"MAX_ORDER_NOTIONAL": "50", "MAX_EXPOSURE": "1", "DAILY_LOSS_LIMIT": "70"},
    )
    rules = settings.strategies[0].rules["main"]
    assert (rules.max_leverage, rules.max_positions, rules.max_order_notional) == (Decimal(3), 4, Decimal(100))
    assert rules.daily_loss_limit == Decimal(70), "the variables speak where the file is silent"


@pytest.mark.parametrize("limit", LIMITS, ids=lambda each: each.key)
def test_none_is_an_answer_for_every_limit_in_every_table_that_has_it(limit: Limit) -> None:
    tables = (
        ["strategies.default"]
        if limit.is_strategys_key
        else ["strategies.default.limits", "accounts.test.limits", "limits"]
    )
    for table in tables:
        for word in ("none", "None"):
            settings = load(f'{PAPER}[{table}]\n{limit.key} = "{word}"\n')
            assert limit.bound(settings.strategies[0].rules["test"]) is None


@pytest.mark.parametrize("limit", [each for each in LIMITS if each.variable], ids=lambda each: each.key)
def test_a_strategy_that_says_none_is_not_bound_by_the_variable(limit: Limit) -> None:
    environ = {str(limit.variable): "BTCUSDT" if limit.unit is LimitUnit.SYMBOLS else "7"}
    table = "strategies.default" if limit.is_strategys_key else "strategies.default.limits"
    assert limit.bound(load(f"{PAPER}[strategies.default]\n", environ).rules) is not None
    assert limit.bound(load(f'{PAPER}[{table}]\n{limit.key} = "none"\n', environ).rules) is None


def test_hours_are_a_period_or_several_and_the_accounts_count_beside_the_strategys() -> None:
    settings = load(
        '[accounts.test]\nurl = "http://127.0.0.1:9100"\nlimits = { hours = { days = "sat,sun" } }\n'
        "[strategies.default.limits]\n"
        'hours = [{ zone = "Europe/Berlin", days = "mon-fri", from = "09:00", to = "17:30" }, { days = "sun-mon" }]\n'
    )
    rules = settings.strategies[0].rules["test"]
    office = TradingHours(zone="Europe/Berlin", weekdays=frozenset(range(5)), opens=time(9), closes=time(17, 30))
    always = TradingHours(zone="UTC", weekdays=frozenset({0, 6}), opens=time(), closes=time())
    own, of_account = rules.hours or ()
    assert own == (office, always)
    assert [each.weekdays for each in of_account] == [frozenset({5, 6})]


def test_it_is_the_toml_itself_or_a_files_path(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(PAPER)
    assert load(str(path)).accounts == load(PAPER).accounts == load(f"# mine\n{PAPER}").accounts
    (reported,) = problems(str(tmp_path / "none.toml"))
    assert reported.startswith("RELAY_CONFIG: it cannot be read (No such file or directory)")


def test_secrets_may_stand_in_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("file-key-of-mine\n")
    (tmp_path / "secret").write_text("file-secret-of-mine\n")
    account = load(
        f'[accounts.main]\nenvironment = "demo"\napi_key_file = "{tmp_path}/key"\napi_secret_file = "{tmp_path}/secret"'
    ).accounts[0]
    assert (account.api_key, account.api_secret) == (Secret("file-key-of-mine"), Secret("file-secret-of-mine"))


def test_without_accounts_the_environments_own_is_the_one_account() -> None:
    settings = load(
        '[strategies.trend]\nsecret_env = "TREND_SECRET"\nsymbols = "BTCUSDT"\n', {"ALLOWED_SYMBOLS": "ETHUSDT"}
    )
    assert [each.name for each in settings.accounts] == ["default"]
    assert {each.name: each.accounts for each in settings.strategies} == {
        "trend": ("default",),
        "default": ("default",),
    }


def test_the_environments_strategy_takes_no_account_on_which_another_could_trade_the_same() -> None:
    settings = load(MAIN + PAPER + '[strategies.trend]\naccounts = "main"\n')
    assert {each.name: each.accounts for each in settings.strategies} == {"trend": ("main",), "default": ("test",)}


def test_two_strategies_may_share_an_account_and_a_symbol_only_if_both_say_so() -> None:
    both = '[strategies.a]\nsymbols = ["BTCUSDT", "ETHUSDT"]\n{}[strategies.b]\nsymbols = "BTCUSDT"\n{}'
    (reported,) = problems(PAPER + both.format("", "shared = true\n"))
    assert reported.startswith(
        "strategies.b: it may trade BTCUSDT on test, and so may strategies.a; they should have other"
    )
    load(PAPER + both.format("shared = true\n", "shared = true\n"))
    load(PAPER + '[strategies.a]\nsymbols = "ETHUSDT"\n[strategies.b]\nsymbols = "BTCUSDT"\n')
    assert problems(PAPER + '[strategies.a]\n[strategies.b]\nsymbols = "BTCUSDT"\n')


def test_mainnet_wants_a_position_limit_for_each_strategy_on_it_and_none_is_an_answer() -> None:
    main = MAIN.replace("demo", "mainnet")
    (reported,) = problems(main + "[strategies.trend]\n")
    assert reported.startswith(
        "strategies.trend.limits.max_position_notional: it is missing, and mainnet is real money"
    )
    (reported,) = problems(main)
    assert reported.startswith("MAX_POSITION_NOTIONAL: it is missing")
    load(main, {"MAX_POSITION_NOTIONAL": "100"})
    for answer in ("[strategies.trend.limits]", "[strategies.trend]\n[limits]", "[accounts.main.limits]"):
        load(f'{main}{answer}\nmax_position_notional = "none"\n')


def test_each_account_has_its_own_environment_and_the_gravest_is_the_relays() -> None:
    settings = load(PAPER + MAIN.replace("demo", "mainnet"), {"MAX_POSITION_NOTIONAL": "none"})
    assert settings.environment is Environment.MAINNET
    assert [each.url for each in settings.accounts] == ["http://127.0.0.1:9100", "https://api.bybit.com"]


def test_no_inline_secret_is_taken_or_repeated() -> None:
    reported = problems(
        '[accounts.main]\napi_key = "an-inline-key-of-mine"\napi_secret = "an-inline-secret"\nenvironment = "demo"\n'
        '[strategies.default]\nsecret = "an-inline-webhook-secret"\n'
        '[accounts.other]\napi_key_env = "aPiKeYiNtHeWrOnGpLaCe"\napi_secret_file = "/a-secret-as-a-path"'
    )
    assert not any("inline" in line or "aPiKeY" in line or "as-a-path" in line for line in reported)
    for key in ("accounts.main.api_key", "accounts.main.api_secret", "strategies.default.secret"):
        assert any(
            line.startswith(f"{key}: a secret does not belong here; it should be a reference") for line in reported
        )


def test_the_formats_that_a_strategy_may_have_are_those_that_are_read() -> None:
    assert set(FORMATS) == set(ALERT_FORMATS)


BAD = [
    ("[limits\n", "RELAY_CONFIG", "line 1: "),
    ("[limits]\nmax_positions = 1\nmax_positions = 2\n", "RELAY_CONFIG", "line 3: "),
    (
        "[limits]\nmax_position = 5",
        "limits.max_position",
        "no such key; it should be one of those there are, perhaps max_position",
    ),
    ("[stratgies.a]\n", "stratgies", "no such key; it should be one of those there are, perhaps strategies"),
    ("accounts = 5", "accounts", "it is no table; it should be like [accounts]"),
    ("[accounts]\nmain = 5", "accounts.main", "it is no table"),
    ("[accounts.'a b']\n", "accounts.a b", "its name does not do; it should be letters"),
    (
        "[limits]\nmax_order_notional = 0",
        "limits.max_order_notional",
        "'0' does not do; it should be a plain number above",
    ),
    ("[limits]\nmax_order_notional = -5", "limits.max_order_notional", "'-5' does not do"),
    ("[limits]\nmax_order_notional = nan", "limits.max_order_notional", "'NaN' does not do"),
    ("[limits]\nmax_order_notional = true", "limits.max_order_notional", "'true' does not do"),
    ("[limits]\nmax_positions = 0", "limits.max_positions", "'0' does not do; it should be a whole number from 1"),
    (
        "[limits]\nmax_distance = '101%'",
        "limits.max_distance",
        "'101%' does not do; it should be above 0 and at most 100",
    ),
    (
        "[limits]\ncooldown = '15 minutes'",
        "limits.cooldown",
        "'15 minutes' does not do; it should be 1 to 2592000 seconds",
    ),
    ("[limits]\nhours = '9-17'", "limits.hours", "it is no period; it should be like"),
    ("[limits]\nhours = { zone = 'Berlin' }", "limits.hours.zone", "'Berlin' is no time zone; it should be like"),
    (
        "[limits]\nhours = { from = '9' }",
        "limits.hours.from",
        "'9' is no time of day; it should be from 00:00 to 24:00",
    ),
    (
        "[limits]\nhours = { days = 'mon-never' }",
        "limits.hours.days",
        "'mon-never' is no day; it should be like mon-fri",
    ),
    ("[limits]\nhours = { until = '9' }", "limits.hours.until", "no such key"),
    (
        "[strategies.default]\ndirection = 'up'",
        "strategies.default.direction",
        "'up' is not known; it should be one of both, long_only",
    ),
    (
        "[strategies.default]\naccounts = 'other'",
        "strategies.default.accounts",
        "there is no account 'other'; it should be one of default",
    ),
    (
        "[strategies.default]\naccounts = { default = 0 }",
        "strategies.default.accounts.default",
        "'0' does not do; it should be above 0",
    ),
    ("[strategies.default]\naccounts = []", "strategies.default.accounts", "it names none; it should be like"),
    (
        "[strategies.default]\nformat = 'mine'",
        "strategies.default.format",
        "'mine' is not known; it should be one of native",
    ),
    (
        "[strategies.default]\nheartbeat_any = true",
        "strategies.default.heartbeat",
        "it is missing beside heartbeat_any",
    ),
    (
        "[strategies.default]\nstop_loss = 95000",
        "strategies.default.stop_loss",
        "'95000' is no distance; it should be like",
    ),
    ("[strategies.default]\nstop_loss = '+2%'", "strategies.default.stop_loss", "'+2%' lies towards profit; it should"),
    ("[strategies.default]\ntake_profit = '-9'", "strategies.default.take_profit", "'-9' lies towards loss; it should"),
    (
        "[strategies.default]\nstop_loss = '120%'",
        "strategies.default.stop_loss",
        "'120%' below the price of a long is no price; it should be under 100%",
    ),
    (
        "[strategies.default]\ndirection = 'short_only'\ntake_profit = '100%'",
        "strategies.default.take_profit",
        "'100%' below the price of a short is no price; it should be under 100%",
    ),
    (
        "[strategies.default]\nleverage = 5\nlimits = { max_leverage = 3 }",
        "strategies.default.leverage",
        "5 is over max_leverage 3",
    ),
    (
        "[strategies.default]\nsecret_env = 'NO_SUCH_ONE'",
        "strategies.default.secret_env",
        "NO_SUCH_ONE is not set; it should name",
    ),
    (
        "[strategies.default]\nsecret_file = '/no/such'",
        "strategies.default.secret_file",
        "the file cannot be read (No such file",
    ),
    (
        "[accounts.main]\nenvironment = 'live'",
        "accounts.main.environment",
        "'live' is not known; it should be one of paper",
    ),
    (
        "[accounts.main]\nenvironment = 'demo'\napi_key_env = 'MAIN_KEY'",
        "accounts.main.api_secret_env",
        "it is missing; it should name",
    ),
    (
        "[accounts.main]\nurl = 'https://api.bybit.com'",
        "accounts.main.url",
        "it is a host of mainnet, but environment is paper",
    ),
    (
        "[accounts.main]\napi_key_env = 'MAIN_KEY'\napi_secret_env = 'A_PEM'",
        "accounts.main.api_secret_env",
        "what it refers to does not do: it is not a readable PEM",
    ),
    (
        MAIN + MAIN.replace("main]", "twin]"),
        "accounts.twin.api_key",
        "it is the key of accounts.main, too",
    ),
    ("[symbols]\n'ES1!' = 'S P X'", "symbols.ES1!", "'S P X' is no symbol; it should be one of Bybit's names"),
]
"""The TOML, the dotted key, and how what is said of it begins."""


@pytest.mark.parametrize(("config", "key", "words"), BAD)
def test_what_is_wrong_is_reported_in_a_line_under_its_dotted_name(config: str, key: str, words: str) -> None:
    (reported,) = problems(config, {"A_PEM": r"-----BEGIN PRIVATE KEY-----\nAbc\n-----END PRIVATE KEY-----"})
    assert reported.startswith(f"{key}: {words}")
    assert "should be" in reported or "should name" in reported


def test_every_problem_is_reported_at_once() -> None:
    reported = problems(
        "[accounts.main]\nenvironment = 'live'\nrecv = 5\n[strategies.a]\ndirection = 'up'\n[limits]\ncooldown = 0",
        {"PORT": "x"},
    )
    assert [line.partition(":")[0] for line in reported] == [
        "limits.cooldown",
        "accounts.main.environment",
        "accounts.main.recv",
        "strategies.a.direction",
        "PORT",
    ]


def test_several_accounts_want_each_strategy_to_name_its_own() -> None:
    (reported,) = problems(MAIN + PAPER + "[strategies.a]\n")
    assert reported == "strategies.a.accounts: it is missing; it should name some of main, test"


def test_the_example_in_the_docs_is_what_it_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    variables = ("MAIN_KEY", "MAIN_SECRET", "TREND_SECRET", "BOTS_SECRET")
    settings = load(example, {name: f"what-{name}-holds" for name in variables})
    assert [(each.name, each.environment) for each in settings.accounts] == [
        ("main", Environment.MAINNET),
        ("test", Environment.PAPER),
    ]
    assert {each.name: each.accounts for each in settings.strategies} == {
        "trend": ("main", "test"),
        "bots": ("test",),
        "default": (),
    }
    rules = settings.strategies[0].rules["main"]
    assert (rules.max_position_notional, rules.max_exposure, rules.max_leverage) == tuple(map(Decimal, (500, 2000, 5)))
    assert [period.zone for group in rules.hours or () for period in group] == ["Europe/Berlin"]
    assert settings.symbols == {"CME:BTC1!": "BTCUSDT"}


def test_a_strategy_of_one_direction_may_have_a_level_that_the_other_could_not() -> None:
    strategies = load(
        """
        [strategies.up]
        direction = "long_only"
        take_profit = "150%"
        symbols = "BTCUSDT"
        [strategies.down]
        direction = "short_only"
        stop_loss = "150%"
        symbols = "ETHUSDT"
        """
    ).strategies
    levels = {each.name: each.rules["default"] for each in strategies if each.rules}
    up, down = levels["up"].default_take_profit, levels["down"].default_stop_loss
    assert up is not None and down is not None and up.value == down.value == 150
