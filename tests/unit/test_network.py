"""Which way to the exchange the environment describes, and what of it is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay.errors import SettingsInvalid
from relay.settings.network import VARIABLES, Route, way_to
from relay.settings.settings import load_settings
from tests.contract.raw_server import CERTIFICATE

REST, STREAM = "https://api.bybit.com", "wss://stream.bybit.com"
DEMO = {"BYBIT_ENV": "demo", "BYBIT_API_KEY": "k" * 18, "BYBIT_API_SECRET": "s" * 36}


@pytest.fixture(autouse=True)
def _no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that what a test puts there is gone after it
        monkeypatch.delenv(name)


def _shown(url: str, **environ: str) -> str:
    return str(way_to(url, environ))


@pytest.mark.parametrize("url", [REST, STREAM])
def test_requests_and_streams_read_the_same_variables_in_the_same_order(url: str) -> None:
    assert _shown(url, HTTPS_PROXY="proxy:3128") == "through the proxy http://proxy:3128 (HTTPS_PROXY)"
    assert _shown(url, ALL_PROXY="socks5h://u:secret@[::1]") == "through the proxy socks5h://::1:1080 (ALL_PROXY)"
    assert "(https_proxy)" in _shown(url, ALL_PROXY="a:1", HTTPS_PROXY="b:1", https_proxy="c:1")
    assert _shown(url, HTTPS_PROXY=" ", HTTP_PROXY="a:1") == ""
    assert "of a.pem (SSL_CERT_FILE)" in _shown(url, SSL_CERT_FILE="a.pem", SSL_CERT_DIR="b")


@pytest.mark.parametrize("past", ["*", "bybit.com", "*.bybit.com", "x.org, api.bybit.com:443", "Bybit.Com"])
def test_what_no_proxy_names_is_reached_directly(past: str) -> None:
    assert way_to(REST, {"HTTPS_PROXY": "proxy:1", "NO_PROXY": past}) == Route()
    assert way_to("https://other.org", {"HTTPS_PROXY": "proxy:1", "NO_PROXY": "bybit.com"}).proxy is not None


def test_this_machine_and_plain_hosts_are_reached_as_they_are() -> None:
    for url in ("https://127.0.0.1:1", "wss://localhost", "http://exchange.example", "ws://exchange.example"):
        assert way_to(url, {"HTTPS_PROXY": "proxy:1", "ALL_PROXY": "proxy:2"}).proxy is None
    assert way_to("https://10.1.2.3", {"ALL_PROXY": "proxy:2", "NO_PROXY": "10.0.0.0/8"}).proxy is None
    assert way_to("https://api.bybit.com:8443", {"ALL_PROXY": "p:2", "NO_PROXY": "api.bybit.com:443"}).proxy is not None


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"HTTPS_PROXY": "https://p:1"}, r"HTTPS_PROXY: a proxy that is itself spoken to by TLS .* is not supported"),
        ({"ALL_PROXY": "ftp://p:1"}, r"ALL_PROXY: ftp:// is no kind of proxy"),
        ({"https_proxy": "http://p:99999"}, r"https_proxy: it is no address of a proxy"),
        ({"ALL_PROXY": "socks5://"}, r"ALL_PROXY: it is no address of a proxy"),
        ({"HTTPS_PROXY": "http://my proxy:3128"}, r"HTTPS_PROXY: it is no address of a proxy"),
        ({"WEB_CONCURRENCY": "two"}, r"WEB_CONCURRENCY: 'two' does not do; it should be a whole number"),
        *(
            ({"HTTPS_PROXY": f"http://u:{password}@p:1"}, r"HTTPS_PROXY: it is no address of a proxy.* %40")
            for password in ("hush\u2100", "hush[", "7#hush", "7?hush", "hush/")
        ),
        (
            {"REQUESTS_CA_BUNDLE": "/nowhere/ca.pem"},
            r"REQUESTS_CA_BUNDLE: /nowhere/ca.pem cannot be read \(No such file",
        ),
        ({"SSL_CERT_DIR": "/nowhere"}, r"SSL_CERT_DIR: /nowhere cannot be read"),
        ({"CURL_CA_BUNDLE": "/dev/null"}, r"CURL_CA_BUNDLE: /dev/null holds no certificate"),
        (
            {"HTTPS_PROXY": "p:1", "NO_PROXY": "api-demo.bybit.com"},
            r"NO_PROXY: api-demo.bybit.com would be reached dir",
        ),
    ],
)
def test_what_is_not_supported_or_not_there_stops_the_start(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsInvalid, match=said) as refused:
        load_settings(DEMO | environ, dotenv=None)
    assert len(refused.value.problems) == 1 and "hush" not in str(refused.value)
    load_settings(DEMO, dotenv=None)


def test_what_only_the_file_says_reaches_the_libraries_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text(f"HTTPS_PROXY=proxy:3128\nNO_PROXY=x\nREQUESTS_CA_BUNDLE={CERTIFICATE}\n")
    monkeypatch.setenv("NO_PROXY", "mine")
    load_settings(dotenv=file)
    found = {name: os.environ.get(name) for name in ("HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE")}
    assert found == {"HTTPS_PROXY": "proxy:3128", "NO_PROXY": "mine", "REQUESTS_CA_BUNDLE": str(CERTIFICATE)}
    assert load_settings({"https_proxy": "proxy:1"}, dotenv=None).warnings == ()
