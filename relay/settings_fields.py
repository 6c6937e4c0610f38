"""How the value of one setting is read: text in, a value out, or a `ValidationError` that says what it should be."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final, NoReturn, TypeVar
from urllib.parse import unquote, urlsplit

from environs import ValidationError

from relay.domain.account import DefaultSize
from relay.domain.signal import QtyUnit

Network = IPv4Network | IPv6Network
Choice = TypeVar("Choice", bound=StrEnum)

NONE: Final = "none"
"""For a limit: deliberately none."""
SECRET_CHARACTERS_MIN: Final = 16
TRADINGVIEW: Final = ("52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7")
"""Where TradingView posts from. Source: its help page "How to configure webhook alerts"."""

NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
_SIZE = re.compile(r"(?P<qty>[0-9.]+)\s*(?P<unit>%\s*equity|quote|base|contracts)?", re.IGNORECASE)
_SYMBOL = re.compile(r"[A-Z0-9]{3,30}")
_SIZE_UNITS = {
    "": QtyUnit.BASE,
    "base": QtyUnit.BASE,
    "contracts": QtyUnit.CONTRACTS,
    "quote": QtyUnit.QUOTE,
    "%equity": QtyUnit.EQUITY_PCT,
}


class Secret:
    """A text that no log, error or repr shows. Equality takes constant time."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def shown(text: str) -> str:
    """A value that is wrong, quoted, and no longer than needed."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def choice_of(kind: type[Choice]) -> Callable[[str], Choice]:
    """One of the enum's values, in any case."""
    return choice_among(*kind)


def choice_among(*members: Choice) -> Callable[[str], Choice]:
    """One of these values of an enum, in any case."""

    def parse(text: str) -> Choice:
        found = next((member for member in members if member.value == text.lower()), None)
        if found is None:
            names = ", ".join(member.value for member in members)
            raise ValidationError(f"{shown(text)} is not known; it should be one of {names}")
        return found

    return parse


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number from `least` to `most`, both included."""

    def parse(text: str) -> int:
        if re.fullmatch("[0-9]{1,12}", text) and least <= int(text) <= most:
            return int(text)
        raise ValidationError(f"{shown(text)} does not do; it should be a whole number from {least} to {most}")

    return parse


def flag(text: str) -> bool:
    """`1` or `0`, or the words for them."""
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in known:
        raise ValidationError(f"{shown(text)} is not known; it should be 1 or 0")
    return known[text.lower()]


def money(text: str) -> Decimal:
    """A plain decimal number above zero."""
    if not NUMBER.fullmatch(text) or not Decimal(text):
        raise ValidationError(f"{shown(text)} does not do; it should be a plain number above zero, such as 2500.50")
    return Decimal(text)


def leverage(text: str) -> Decimal:
    """A leverage from 1 to 200."""
    if not NUMBER.fullmatch(text) or not 1 <= Decimal(text) <= 200:
        raise ValidationError(f"{shown(text)} does not do; it should be a number from 1 to 200, such as 5")
    return Decimal(text)


def plain_text(text: str) -> str:
    """Printable text without white space, at most 64 characters."""
    if len(text) > 64 or not re.fullmatch(r"[!-~]+", text):
        raise ValidationError("it has white space or unprintable characters; it should be one word of 64 at most")
    return text


def secret(text: str) -> Secret:
    """A key, or a PEM private key whose line ends may be written as `\\n`."""
    if "-----BEGIN" in text:
        return Secret(text.replace("\\n", "\n").strip() + "\n")
    if re.search(r"\s", text):
        raise ValidationError("it has white space in it; it should be the key as the exchange shows it")
    return Secret(text)


def api_secret(text: str) -> Secret:
    """A secret, a PEM private key, or the path of a file that holds one."""
    if "-----BEGIN" in text or not (text.endswith(".pem") or "/" in text):
        return secret(text)
    try:
        found = Path(text).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError):
        # Not repeated: it may be a secret that only looks like a path.
        raise ValidationError("it looks like a path, but no file can be read there; it should be a PEM file") from None
    if "-----BEGIN" not in found:
        raise ValidationError("the file it names holds no PEM key; it should be an RSA private key")
    return secret(found)


def long_secret(text: str) -> Secret:
    """One secret of at least 16 characters."""
    if len(text) < SECRET_CHARACTERS_MIN or re.search(r"\s", text):
        raise ValidationError(
            f"it is too short or has white space; it should be one word of at least {SECRET_CHARACTERS_MIN} characters"
        )
    return Secret(text)


def webhook_secrets(text: str) -> tuple[Secret, ...]:
    """One secret, or two while one is being replaced."""
    words = text.split()
    if len(words) > 2:
        raise ValidationError(f"it holds {len(words)} words; it should be one secret, or two while one is replaced")
    if any(len(word) < SECRET_CHARACTERS_MIN for word in words):
        raise ValidationError(f"a secret in it is too short; it should have {SECRET_CHARACTERS_MIN} characters or more")
    return tuple(Secret(word) for word in words)


def networks(text: str) -> tuple[Network, ...]:
    """`tradingview` and CIDRs, separated by spaces or commas."""
    found: list[Network] = []
    for word in re.split(r"[\s,]+", text.strip(" ,")):
        if word.lower() == "tradingview":
            found += [ip_network(address) for address in TRADINGVIEW]
            continue
        try:
            found.append(ip_network(word))
        except ValueError:
            raise ValidationError(
                f"{shown(word)} is no network; it should be `tradingview` or a CIDR such as 203.0.113.0/24"
            ) from None
    return tuple(found)


def symbols(text: str) -> frozenset[str]:
    """Bybit's symbols, separated by spaces or commas."""
    words = [word.upper().removesuffix(".P") for word in re.split(r"[\s,]+", text.strip(" ,"))]
    for word in words:
        if not _SYMBOL.fullmatch(word):
            raise ValidationError(f"{shown(word)} is no symbol; it should be Bybit's names, such as BTCUSDT,ETHUSDT")
    return frozenset(words)


def default_size(text: str) -> DefaultSize:
    """The size of entries that bring none: `1% equity`, `100 quote`, `0.01`."""
    match = _SIZE.fullmatch(text)
    if match is None or not NUMBER.fullmatch(match["qty"]) or not Decimal(match["qty"]):
        raise ValidationError(f'{shown(text)} is no size; it should be like "1% equity", "100 quote" or "0.01"')
    unit = re.sub(r"\s", "", match["unit"] or "").lower()
    return DefaultSize(qty=Decimal(match["qty"]), unit=_SIZE_UNITS[unit])


def host_url(*schemes: str) -> Callable[[str], str]:
    """A scheme and a host, perhaps a port; nothing else."""

    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
            is_host = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_host = False
        if not is_host or parts.username or parts.path.strip("/") or parts.query or parts.fragment:
            likes = " or ".join(f"{scheme}://host" for scheme in schemes)
            raise ValidationError(f"it is no address of a host; it should be like {likes}, without a path")
        return f"{parts.scheme}://{parts.netloc}"

    return parse


def stream_url(text: str) -> str:
    """A host's address, or `off`."""
    return "off" if text.lower() == "off" else host_url("wss", "ws")(text)


def host_url_or_off(text: str) -> str | None:
    """A host's address, or `off`."""
    return None if text.lower() == "off" else host_url("https", "http")(text)


def sentry_dsn(text: str) -> Secret:
    """`https://key@host/project`."""
    try:
        parts = urlsplit(text)
        is_dsn = parts.scheme in ("http", "https") and bool(parts.hostname and parts.username) and parts.port != 0
    except ValueError:
        is_dsn = False
    if not is_dsn or not re.fullmatch(r"(/[^/]+)*/[0-9]+", parts.path):
        raise ValidationError(
            "it is no Sentry DSN; it should be like https://KEY@HOST/PROJECT, from the project's page"
        )
    return Secret(text)


def database_url(text: str) -> str:
    """`sqlite:///file`, or a Postgres address in the spelling SQLAlchemy takes for psycopg 3."""
    scheme, _, rest = text.partition("://")
    if scheme in ("postgres", "postgresql") and rest:
        return f"postgresql+psycopg://{rest}"
    if scheme == "sqlite" and rest.startswith("/") and rest.strip("/") and ":memory:" not in rest:
        return text
    raise ValidationError("it names no database; it should be like sqlite:///relay.db or postgres://user@host/name")


def database_password(url: str) -> Secret | None:
    """What logs must not show of the address."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return None
    return Secret(unquote(password)) if password else None
