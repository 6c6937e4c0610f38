"""The secrets that `serve` makes up: kept, private, and never the same for play money and for real money."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from relay.app.serve import Greeting
from relay.settings.environment import Secret
from relay.settings.settings import SecretsUnavailable, Settings, ensure_secrets, load_settings, with_stored_secrets

MAINNET = {"BYBIT_ENV": "mainnet", "MAX_POSITION_NOTIONAL": "none", "BYBIT_API_KEY": "k", "BYBIT_API_SECRET": "s"}


def _settings(folder: Path, **environ: str) -> Settings:
    return load_settings({"DATABASE_URL": f"sqlite:///{folder}/relay.db", **environ}, dotenv=None)


def test_what_is_missing_is_made_up_and_put_into_the_environment(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    settings = ensure_secrets(_settings(tmp_path), environ)
    assert settings.webhook_secrets == (Secret(environ["WEBHOOK_SECRET"]),)
    assert settings.admin_token == Secret(environ["ADMIN_TOKEN"])
    assert len(environ["WEBHOOK_SECRET"]) >= 32
    assert environ["WEBHOOK_SECRET"] != environ["ADMIN_TOKEN"]


def test_what_is_set_is_left_alone_and_no_file_is_written(tmp_path: Path) -> None:
    given = _settings(tmp_path, WEBHOOK_SECRET="w" * 16, ADMIN_TOKEN="a" * 16)
    environ: dict[str, str] = {}
    assert ensure_secrets(given, environ) == given
    assert not environ and not list(tmp_path.iterdir())


def test_papers_secret_never_opens_mainnet(tmp_path: Path) -> None:
    paper = ensure_secrets(_settings(tmp_path), {})
    mainnet = ensure_secrets(_settings(tmp_path, **MAINNET), {})
    assert paper.webhook_secrets != mainnet.webhook_secrets
    assert paper.admin_token != mainnet.admin_token
    assert with_stored_secrets(_settings(tmp_path)) == paper
    assert with_stored_secrets(_settings(tmp_path, **MAINNET)) == mainnet


def test_commands_find_what_was_stored_and_make_up_nothing(tmp_path: Path) -> None:
    assert with_stored_secrets(_settings(tmp_path)) == _settings(tmp_path)
    assert not list(tmp_path.iterdir())


def test_starts_at_the_same_moment_agree_on_one_secret(tmp_path: Path) -> None:
    found: list[Settings] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        found.append(ensure_secrets(_settings(tmp_path), {}))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({settings.webhook_secrets for settings in found}) == 1
    assert len(found) == 8


def test_a_file_that_was_opened_up_is_made_private_again_and_a_cut_line_is_made_good(tmp_path: Path) -> None:
    file = tmp_path / "relay.db.secrets"
    file.write_text("ADMIN_TOKEN_PAPER=" + "t" * 32 + "\nWEBHOOK_SECRET_PAPER=abc")
    file.chmod(0o644)
    settings = ensure_secrets(_settings(tmp_path), {})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert settings.admin_token == Secret("t" * 32)
    assert len(settings.webhook_secrets[0].reveal()) >= 32
    assert ensure_secrets(_settings(tmp_path), {}) == settings


def test_a_file_that_is_no_text_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "relay.db.secrets").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretsUnavailable, match=r"relay\.db\.secrets"):
        ensure_secrets(_settings(tmp_path), {})
    with pytest.raises(SecretsUnavailable, match=r"relay\.db\.secrets"):
        with_stored_secrets(_settings(tmp_path))


@pytest.mark.parametrize("environment", ["demo", "testnet", "mainnet"])
def test_outside_paper_the_greeting_says_where_the_secrets_are_and_not_what(tmp_path: Path, environment: str) -> None:
    given = _settings(tmp_path, **{**MAINNET, "BYBIT_ENV": environment})
    settings = ensure_secrets(given, {})
    text = "\n".join(Greeting(given, settings, 8000).lines())
    assert not any(secret.reveal() in text for secret in settings.secrets if len(secret.reveal()) > 1)
    assert "relay.db.secrets" in text and "curl" not in text
    assert ("MAINNET - real money" in text) == (environment == "mainnet")
    assert ("WEBHOOK_SECRET_LIVE" in text) == (environment == "mainnet")


def test_a_webhook_secret_with_quotes_still_makes_a_line_for_the_shell(tmp_path: Path) -> None:
    given = _settings(tmp_path, WEBHOOK_SECRET='it\'s-"quoted"-0123456789', ADMIN_TOKEN="a" * 16)
    lines = Greeting(given, given, 8000).lines()
    assert "  admin token     as set in ADMIN_TOKEN" in lines
    assert lines[-1].endswith("""try-'$(date +%s)'"}'""")
    assert """it'"'"'s-\\\\"quoted""".replace("\\\\", "\\") in lines[-1]
