"""The way out to the exchange: past which proxy, and whose certificates are trusted. Requests and streams share it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from relay.settings.environment import REST, STREAM, Environment, Secret

PROXIES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""The first that is set counts, as for curl and requests."""
_PAST: Final = ("no_proxy", "NO_PROXY")
BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
VARIABLES: Final = (*PROXIES, *_PAST, *BUNDLES)
_PORTS: Final = {"http": 80, "socks5": 1080, "socks5h": 1080, "socks4": 1080, "socks4a": 1080}
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """`kind`: `http` (which is asked to CONNECT), or a kind of SOCKS; with an `h` or `a` it resolves names itself."""

    variable: str
    kind: str
    host: str
    port: int
    user: str = ""
    password: Secret | None = None

    def __str__(self) -> str:
        """Without its password."""
        return f"{self.kind}://{self.host}:{self.port} ({self.variable})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`bundle`: certificates to trust instead of the usual ones, and the variable that names them."""

    proxy: Proxy | None = None
    bundle: Path | None = None
    bundle_variable: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Empty for the usual way."""
        proxy = f"through the proxy {self.proxy}" if self.proxy else ""
        bundle = f"with the certificates of {self.bundle} ({self.bundle_variable})" if self.bundle else ""
        return ", ".join(filter(None, (proxy, bundle)))


def way_to(url: str, environ: Mapping[str, str] | None = None) -> Route:
    """Of `https` and `wss`; plain hosts and this machine itself are reached as they are.

    Raises ValueError with a sentence for a proxy that cannot be used.
    """
    environ = os.environ if environ is None else environ
    parts = urlsplit(url)
    if parts.scheme not in ("https", "wss"):
        return Route()
    named, bundle = _first(environ, BUNDLES)
    _, past = _first(environ, _PAST)
    variable, text = _first(environ, PROXIES)
    is_past = not text or _is_past(parts.hostname or "", parts.port or 443, past)
    proxy = None if is_past else _proxy_of(variable, text)
    return Route(proxy=proxy, bundle=Path(bundle) if bundle else None, bundle_variable=named)


def _first(environ: Mapping[str, str], names: Iterable[str]) -> tuple[str, str]:
    """The first of them that is set, and its value; two empty texts if none is."""
    values = ((name, environ.get(name, "").strip()) for name in names)
    return next((each for each in values if each[1]), ("", ""))


def _is_past(host: str, port: int, no_proxy: str) -> bool:
    """NO_PROXY's entries are hosts, which cover what ends in them, with or without a port; networks; or `*`."""
    if host.lower() in _LOOPBACK:
        return True
    for entry in filter(None, re.split(r"[\s,]+", no_proxy.lower())):
        name, _, of_port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
        if of_port and of_port != str(port):
            continue
        name = name.lstrip(".").removeprefix("*.")
        if name == "*" or host.lower() == name or host.lower().endswith(f".{name}") or _is_in(host, entry):
            return True
    return False


def _is_in(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _proxy_of(variable: str, text: str) -> Proxy:
    known = ", ".join(f"{kind}://" for kind in _PORTS)
    should = f"it should be like http://host:3128 or socks5://host:1080 ({known})"
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # whose words may repeat the password
        parts, host, port = SplitResult("http", "", "", "", ""), None, None
    if parts.scheme == "https":
        raise ValueError(
            f"{variable}: a proxy that is itself spoken to by TLS (https://) is not supported; {should}, which tunnels "
            "TLS to the exchange all the same"
        )
    if parts.scheme not in _PORTS:
        raise ValueError(f"{variable}: {parts.scheme}:// is no kind of proxy that is supported; {should}")
    if not host or re.search(r"\s", host) or not port or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            f"{variable}: it is no address of a proxy; {should}; in a user and password / ? # [ @ and the like are "
            "written %2F %3F %23 %5B %40"
        )
    password = Secret(unquote(parts.password)) if parts.password else None
    return Proxy(
        variable=variable,
        kind=parts.scheme,
        host=host,
        port=port,
        user=unquote(parts.username or ""),
        password=password,
    )


def certificates(bundle: Path) -> list[Path]:
    """The files of certificates that a file or a folder is."""
    files = [bundle] if not bundle.is_dir() else sorted(each for each in bundle.iterdir() if each.is_file())
    return [each for each in files if b"-----BEGIN CERTIFICATE" in each.read_bytes()]


def network_problems(environ: Mapping[str, str], hosts: Iterable[tuple[str, str | None]]) -> list[str]:
    """What would keep requests or streams from the exchange, or send them different ways; a sentence each.

    `hosts`: of each account the addresses for requests and for streams.
    """
    found = []
    for name in BUNDLES:
        if environ.get(name, "").strip():
            found += _bundle_problems(name, Path(environ[name].strip()))
    for rest, stream in hosts:
        try:
            ways = [(url, way_to(url, environ).proxy) for url in filter(None, (rest, stream))]
        except ValueError as problem:
            found.append(str(problem))
            continue
        if len({proxy for _, proxy in ways}) > 1:
            through = [urlsplit(url).hostname for url, proxy in ways if proxy is not None]
            past = [urlsplit(url).hostname for url, proxy in ways if proxy is None]
            found.append(
                f"NO_PROXY: {past[0]} would be reached directly and {through[0]} through the proxy, so that a key "
                "bound to one address fails on one of them; it should name both, or neither"
            )
    return list(dict.fromkeys(found))


def _bundle_problems(name: str, bundle: Path) -> list[str]:
    should = "it should be a PEM file of certificates, or a folder of such files"
    try:
        if certificates(bundle):
            return []
        return [f"{name}: {bundle} holds no certificate; {should}"]
    except OSError as error:
        return [f"{name}: {bundle} cannot be read ({error.strerror}); {should}"]


# Where the exchange is, and whether an address belongs to the environment that it is set for.


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
