"""Where the exchange is, by environment, and whether an address belongs to the environment it is set for."""

from __future__ import annotations

from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit


class Environment(StrEnum):
    """Which exchange is traded on. Only mainnet is real money."""

    PAPER = "paper"
    DEMO = "demo"
    TESTNET = "testnet"
    MAINNET = "mainnet"

    @property
    def is_real_money(self) -> bool:
        return self is Environment.MAINNET


REST: Final = {
    Environment.MAINNET: "https://api.bybit.com",
    Environment.TESTNET: "https://api-testnet.bybit.com",
    Environment.DEMO: "https://api-demo.bybit.com",
}
NO_STREAMS: Final = "off"
"""In the place of a stream host: everything is asked for instead."""
STREAM: Final = {
    Environment.MAINNET: "wss://stream.bybit.com",
    Environment.TESTNET: "wss://stream-testnet.bybit.com",
    Environment.DEMO: "wss://stream-demo.bybit.com",
}
PAPER_KEY: Final = ("paper", "paper-exchange-not-a-secret")
"""What a paper exchange that was started on its own accepts where no key is set: it guards play money."""
_EXCHANGE_DOMAINS: Final = ("bybit", "bybits", "bytick", "bybitgeorgia", "manepa")
"""The exchange's own second-level names: `.com`, and the regions'. Source: V5 integration guide, "Authentication"."""


def rest_url(environment: Environment, given: str | None) -> str | None:
    """The host for requests; None where there is none yet: a paper exchange that has not been started."""
    return given or REST.get(environment)


def stream_url(environment: Environment, given: str | None, given_rest: str | None) -> str | None:
    """The host for streams. Where only the other one is set it lies beside that, so that the two never differ."""
    if given or not given_rest:
        return given or STREAM.get(environment)
    parts = urlsplit(given_rest)
    host = parts.netloc
    if _belongs_to(given_rest) is not None and host.startswith("api"):
        host = "stream" + host.removeprefix("api")
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{host}"


def public_stream_url(private: str) -> str:
    """The host of public streams. Demo's come from mainnet's: docs/v5/demo.mdx."""
    return private.replace("://stream-demo.", "://stream.", 1)


def mismatch(environment: Environment, url: str | None) -> str | None:
    """What is wrong with `url` in this environment: the exchange's host of another one. Other hosts are anybody's."""
    actual = _belongs_to(url) if url else None
    if actual is None or actual is environment:
        return None
    return f"it is a host of {actual}, but BYBIT_ENV is {environment}; it should be one of {environment}, or unset"


def _belongs_to(url: str) -> Environment | None:
    labels = (urlsplit(url).hostname or "").split(".")
    if not any(label in _EXCHANGE_DOMAINS for label in labels[1:-1] or labels[:1]):
        return None
    first = labels[0]
    if "testnet" in first:
        return Environment.TESTNET
    return Environment.DEMO if "demo" in first else Environment.MAINNET
