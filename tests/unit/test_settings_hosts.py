"""Where the exchange is, and whose key it takes: by environment, or as set."""

from __future__ import annotations

from pathlib import Path

import pytest
from Crypto.PublicKey import RSA

from relay.settings.environment import Secret
from tests.unit.test_settings import KEYS, MAINNET, load, problems


@pytest.mark.parametrize(
    ("environment", "rest", "stream"),
    [
        ("mainnet", "https://api.bybit.com", "wss://stream.bybit.com"),
        ("testnet", "https://api-testnet.bybit.com", "wss://stream-testnet.bybit.com"),
        ("demo", "https://api-demo.bybit.com", "wss://stream-demo.bybit.com"),
    ],
)
def test_hosts_follow_the_environment(environment: str, rest: str, stream: str) -> None:
    settings = load({**MAINNET, "BYBIT_ENV": environment})
    assert (settings.accounts[0].url, settings.accounts[0].stream_url) == (rest, stream)


@pytest.mark.parametrize(
    ("rest", "stream"),
    [
        ("https://api.bybit.nl", "wss://stream.bybit.nl"),
        ("http://127.0.0.1:9100/", "ws://127.0.0.1:9100"),
        ("https://proxy.example", "wss://proxy.example"),
    ],
)
def test_another_host_for_requests_alone_takes_the_streams_along(rest: str, stream: str) -> None:
    settings = load({**MAINNET, "BYBIT_URL": rest})
    assert (settings.accounts[0].url, settings.accounts[0].stream_url) == (rest.rstrip("/"), stream)


REGIONS = ("bybit.nl", "bybit.tr", "bybit.kz", "bybit.ae", "bybit.eu", "bybit.id", "bybitgeorgia.ge", "manepa.jp")


@pytest.mark.parametrize("domain", [*REGIONS, "bybit.com", "bytick.com"])
def test_every_host_of_the_exchange_is_known_as_mainnet_and_refused_elsewhere(domain: str) -> None:
    settings = load({**MAINNET, "BYBIT_URL": f"https://api.{domain}"})
    assert (settings.accounts[0].url, settings.accounts[0].stream_url) == (
        f"https://api.{domain}",
        f"wss://stream.{domain}",
    )
    (reported,) = problems({**KEYS, "BYBIT_ENV": "demo", "BYBIT_URL": f"https://api.{domain}"})
    assert reported.startswith("BYBIT_URL: it is a host of mainnet")


def test_the_japanese_testnet_is_a_testnet() -> None:
    url = "https://api-testnet.manepa.jp"
    assert load({**KEYS, "BYBIT_ENV": "testnet", "BYBIT_URL": url}).accounts[0].url == url
    assert [line.partition(":")[0] for line in problems({**MAINNET, "BYBIT_URL": url})] == ["BYBIT_URL"]


def test_both_hosts_can_be_set_with_http_and_ws() -> None:
    settings = load({**MAINNET, "BYBIT_URL": "http://127.0.0.1:9100", "BYBIT_STREAM_URL": "ws://127.0.0.1:9200"})
    assert (settings.accounts[0].url, settings.accounts[0].stream_url) == (
        "http://127.0.0.1:9100",
        "ws://127.0.0.1:9200",
    )


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ("paper", "https://api.bybit.com"),
        ("demo", "https://api.bytick.com"),
        ("mainnet", "https://api-testnet.bybit.com"),
    ],
)
def test_an_exchange_host_of_another_environment_is_refused(environment: str, url: str) -> None:
    reported = problems({**MAINNET, "BYBIT_ENV": environment, "BYBIT_URL": url})
    assert [line.partition(":")[0] for line in reported] == ["BYBIT_URL"]


@pytest.mark.parametrize(
    "url",
    ["api.bybit.com", "ftp://host", "https://", "https://host/v5", "https://u:p@host", "https://:p@host", "http://h:x"],
)
def test_an_address_that_is_no_host_is_refused(url: str) -> None:
    (reported,) = problems({"BYBIT_URL": url})
    assert reported.startswith("BYBIT_URL: ")


def test_outside_paper_both_parts_of_the_key_are_needed() -> None:
    reported = problems({"BYBIT_ENV": "testnet"})
    assert [line.partition(":")[0] for line in reported] == ["BYBIT_API_KEY", "BYBIT_API_SECRET"]


@pytest.mark.parametrize("environment", ["paper", "testnet"])
@pytest.mark.parametrize(("given", "missing"), [tuple(KEYS), tuple(reversed(KEYS))])
def test_half_a_key_is_a_problem_everywhere(environment: str, given: str, missing: str) -> None:
    (reported,) = problems({"BYBIT_ENV": environment, given: "something"})
    assert reported.startswith(f"{missing}: it is missing")


def test_a_paper_exchange_of_ones_own_takes_its_documented_key_if_none_is_set() -> None:
    from relay.paper.account import BUILT_IN_KEY, BUILT_IN_SECRET

    account = load({"BYBIT_URL": "http://127.0.0.1:9100"}).accounts[0]
    assert (account.api_key, account.api_secret) == (
        Secret(BUILT_IN_KEY),
        Secret(BUILT_IN_SECRET),
    )


def _pem(public: bool = False, passphrase: str | None = None) -> str:
    key = RSA.generate(1024)  # noqa: S505 - quick, and it signs nothing
    return (key.public_key() if public else key).export_key(passphrase=passphrase, pkcs=8).decode()


def test_a_private_key_may_have_its_line_ends_spelt_out() -> None:
    pem = _pem()
    settings = load({"BYBIT_API_KEY": "k", "BYBIT_API_SECRET": pem.replace("\n", r"\n")})
    assert settings.accounts[0].api_secret == Secret(pem + "\n")


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        (_pem(public=True), "it is a public key; it should be the RSA private key"),
        (_pem(passphrase="of mine"), "the key has a passphrase; it should be one without"),
        ("-----BEGIN PRIVATE KEY-----\nAbc\n-----END PRIVATE KEY-----", "it is not a readable PEM key"),
    ],
)
@pytest.mark.parametrize("in_a_file", [True, False])
def test_a_key_that_cannot_sign_is_refused_before_anything_starts(
    tmp_path: Path, pem: str, words: str, in_a_file: bool
) -> None:
    file = tmp_path / "key.pem"
    file.write_text(pem, encoding="utf-8")
    (reported,) = problems({"BYBIT_API_KEY": "k", "BYBIT_API_SECRET": str(file) if in_a_file else pem})
    assert reported.startswith(f"BYBIT_API_SECRET: {words}") and "Abc" not in reported
