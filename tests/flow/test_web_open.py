"""What is open to everybody: health, readiness, the front page; and what every answer has."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from relay.errors import SettingsInvalid
from relay.settings.settings import Settings
from relay.web import create_app
from tests.relay_server import ADMIN_TOKEN, WEBHOOK_SECRET, RelayServer, cold_relay


def test_healthz_is_alive_whatever_else_is_missing(cold: RelayServer) -> None:
    answer = cold.request("GET", "/healthz")
    assert (answer.status_code, answer.json()) == (200, {"alive": True})


def test_readyz_is_200_once_everything_is_there(relay: RelayServer) -> None:
    answer = relay.request("GET", "/readyz")
    assert (answer.status_code, answer.json()) == (
        200,
        {"ready": True, "accounts": {"default": {"ready": True, "reason": None}}},
    )


def test_readyz_is_503_with_what_is_missing_and_why(cold: RelayServer) -> None:
    answer = cold.request("GET", "/readyz")
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert set(answer.json()["missing"]) == {"instruments", "engine"}
    assert all(isinstance(why, str) and why for why in answer.json()["missing"].values())
    assert answer.json()["accounts"] == {"default": {"ready": False, "reason": "starting"}}


def test_the_pages_are_behind_a_password_and_tell_no_secret(relay: RelayServer, cold: RelayServer) -> None:
    for server in (relay, cold):
        for path in ("/", "/signals", "/performance", "/builder", "/setup", "/act/halt", "/live/overview"):
            answer = server.request("GET", path, allow_redirects=False)
            assert answer.status_code == 302 and answer.headers["Location"].startswith("/login"), path
        page = server.request("GET", "/")
        assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
        assert "PAPER" in page.text
        assert WEBHOOK_SECRET not in page.text and ADMIN_TOKEN not in page.text
        assert "'unsafe-" not in page.headers["Content-Security-Policy"]


def test_a_form_without_its_token_does_nothing(relay: RelayServer) -> None:
    with requests.Session() as browser:
        assert browser.post(f"{relay.url}/login", data={"password": ADMIN_TOKEN}, timeout=15).status_code == 400
        assert browser.post(f"{relay.url}/act/halt", timeout=15, allow_redirects=False).status_code == 302
    assert [each["halted"] for each in relay.api("accounts")["accounts"]] == [False]


def test_without_an_admin_token_the_pages_are_closed_and_say_so(tmp_path: Path) -> None:
    with cold_relay(tmp_path, ADMIN_TOKEN="") as server:
        page = server.request("GET", "/")
        assert "no <code>ADMIN_TOKEN</code> is set" in page.text and "<form" not in page.text


def test_an_unknown_address_is_404_in_json_and_is_not_repeated(cold: RelayServer) -> None:
    answer = cold.request("GET", "/nothing/<script>?x=1")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NOT_FOUND"
    assert "script" not in answer.text


def test_a_wrong_method_is_405_in_json(cold: RelayServer) -> None:
    answer = cold.request("DELETE", "/healthz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_an_unexpected_failure_is_500_in_json_without_a_traceback(
    cold: RelayServer, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> str:
        raise RuntimeError("the inner workings")

    # The one way to reach the last handler without a known bug to go through.
    cold.app.view_functions["api.alive"] = broken
    answer = cold.request("GET", "/healthz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL")
    assert "inner workings" not in answer.text and "Traceback" not in answer.text
    assert "the inner workings" in caplog.text


def test_every_answer_residuals_the_security_headers(cold: RelayServer) -> None:
    answers: list[requests.Response] = [
        cold.request("GET", "/"),
        cold.request("GET", "/readyz"),
        cold.request("GET", "/nothing"),
        cold.ask("signals"),
        cold.request("GET", "/api/signals"),
        cold.post({"action": "buy"}),
    ]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_application_reads_the_environment_and_reports_what_is_wrong_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBHOOK_SECRET", "short")
    with pytest.raises(SettingsInvalid) as raised:
        create_app()
    assert raised.value.problems[0].startswith("WEBHOOK_SECRET: ")
    assert not list(tmp_path.iterdir())


def test_the_application_takes_settings_and_starts_no_thread_of_the_relay(cold: RelayServer) -> None:
    settings = cold.relay.settings
    assert isinstance(settings, Settings)
    again = create_app(relay=cold.relay)
    assert again.extensions["relay"] is cold.relay
    assert not cold.relay.services.runner.is_open
