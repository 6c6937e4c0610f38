"""Where a request comes from, and whether alerts are taken from there."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from flask import request

from relay.settings_fields import Network

_UNKNOWN = "unknown"
_IPV6_SITE_BITS = 64
"""What one customer of a provider usually has: whoever has one address of it has them all."""


def source() -> str:
    """The client's address, past as many proxies as are trusted: one spelling for each, `unknown` for what is none."""
    return spelled(request.remote_addr)


def spelled(address: str | None) -> str:
    """The address in its one spelling."""
    found = _address(address)
    return str(found) if found else _UNKNOWN


def is_allowed(source: str, networks: tuple[Network, ...]) -> bool:
    """Whether the address is in one of `networks`; anybody is if there are none."""
    if not networks:
        return True
    address = _address(source)
    return address is not None and any(address in network for network in networks)


def neighbourhood(source: str) -> str:
    """What counts as one sender: an IPv4 address, or an IPv6 site."""
    address = _address(source)
    if not isinstance(address, IPv6Address):
        return source
    return f"{int(address) >> (128 - _IPV6_SITE_BITS):x}"


@lru_cache(maxsize=1024)
def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    """Some proxies write a port behind the address, some write IPv4 as IPv6."""
    text = (text or "").strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
