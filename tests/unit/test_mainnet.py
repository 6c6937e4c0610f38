"""Real money is not started with debugging aids or with a secret that was printed; files are their owner's alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from relay.errors import SettingsInvalid
from relay.journal.opening import open_journal
from relay.settings.settings import Settings, ensure_secrets, load_settings
from tests.unit.journal_builders import url_of


def _load(folder: Path, **environ: str) -> Settings:
    mainnet = {
        "BYBIT_ENV": "mainnet",
        "BYBIT_API_KEY": "a-key",
        "BYBIT_API_SECRET": "a-secret",
        "MAX_POSITION_NOTIONAL": "100",
        "WEBHOOK_SECRET": "a-long-secret-of-its-own",
        "DATABASE_URL": url_of(folder),
        **environ,
    }
    return load_settings(mainnet, dotenv=None)


def test_mainnet_starts_with_secrets_of_its_own(tmp_path: Path) -> None:
    assert _load(tmp_path, FLASK_DEBUG="0").environment.is_real_money


@pytest.mark.parametrize("name", ["FLASK_DEBUG", "PYTHONDEVMODE"])
def test_mainnet_does_not_start_with_debugging_aids(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"{name}: it is set"):
        _load(tmp_path, **{name: "1"})
    assert _load(tmp_path, BYBIT_ENV="demo", **{name: "1"}), "where money is play money they may be on"


def test_mainnet_does_not_start_with_the_secret_that_paper_has_printed(tmp_path: Path) -> None:
    paper = load_settings({"DATABASE_URL": url_of(tmp_path)}, dotenv=None)
    printed = ensure_secrets(paper, {}).webhook_secrets[0].reveal()
    for name in ("WEBHOOK_SECRET", "ADMIN_TOKEN"):
        with pytest.raises(SettingsInvalid, match="made up for paper, and printed") as refused:
            _load(tmp_path, **{name: printed})
        assert printed not in str(refused.value)


def test_mainnet_does_not_start_with_a_strategy_whose_secret_paper_has_printed(tmp_path: Path) -> None:
    paper = load_settings({"DATABASE_URL": url_of(tmp_path)}, dotenv=None)
    printed = ensure_secrets(paper, {}).webhook_secrets[0].reveal()
    with pytest.raises(SettingsInvalid, match="or a strategy's secret: it was made up for paper"):
        _load(tmp_path, RELAY_CONFIG='[strategies.default]\nsecret_env = "TREND_SECRET"', TREND_SECRET=printed)


def test_mainnet_does_not_start_with_a_short_secret(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="WEBHOOK_SECRET: a secret in it is too short"):
        _load(tmp_path, WEBHOOK_SECRET="fifteen-letters")


def test_the_password_of_a_database_is_a_secret(tmp_path: Path) -> None:
    settings = _load(tmp_path)
    url = "postgresql+psycopg://relay:pass%2Fword-0123@host/name"
    with_password = {name: getattr(settings, name) for name in settings.__slots__} | {"database_url": url}
    assert "pass/word-0123" in {secret.reveal() for secret in Settings(**with_password).secrets}


def test_the_journal_and_what_lies_beside_it_are_their_owners_alone(tmp_path: Path) -> None:
    paper = load_settings({"DATABASE_URL": url_of(tmp_path)}, dotenv=None)
    ensure_secrets(paper, {})
    journal = open_journal(url_of(tmp_path))
    try:
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("relay.db*")}
    finally:
        journal.close()
    assert {"relay.db", "relay.db.secrets"} <= set(modes)
    assert set(modes.values()) == {0o600}, modes
