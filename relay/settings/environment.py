"""How the value of one variable is read: text in, a value out, or a problem that says what it should be."""

from __future__ import annotations

import difflib
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from io import StringIO
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from dotenv.parser import parse_stream
from environs import Env, EnvValidationError, ValidationError

from relay.domain.notice import DEFAULT_KINDS, NoticeKind
from relay.domain.rules import DefaultSize, Direction, Rules
from relay.domain.signal import Level, LevelKind, QtyUnit

if TYPE_CHECKING:
    from Crypto.PublicKey.RSA import RsaKey

T = TypeVar("T")
D = TypeVar("D")


class _Environ(Env):
    """Variables from a mapping, over those of a `.env` file; the process's own environment is never changed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(eager=False)
        self._given = environ

    def _get_value(self, env_key: str, default: Any) -> Any:
        return self._given.get(env_key, self._environ.get(env_key, default))


class Reader:
    """Reads variables one by one and remembers what is wrong with each."""

    def __init__(self, environ: Mapping[str, str] | None, dotenv: Path | None) -> None:
        self._env = _Environ(os.environ if environ is None else environ)
        self._given = environ
        self.known: set[str] = set()
        self.problems: list[str] = []
        if dotenv is not None:
            self._read_file(dotenv)

    def _read_file(self, dotenv: Path) -> None:
        """A line that says nothing could have been a limit, so it stops the start."""
        try:
            text = dotenv.read_text(encoding="utf-8") if dotenv.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
            self.problems.append(f"{dotenv}: it cannot be read ({why}); it should be a UTF-8 file of NAME=value lines")
            return
        lines = [each for each in parse_stream(StringIO(text)) if each.error or (each.key and each.value is None)]
        remedy = "it should be like NAME=value, with double quotes around a value that has blanks, quotes or #"
        self.problems += [f"{dotenv}: line {each.original.line} cannot be read; {remedy}" for each in lines]
        if not lines:
            self._env.read_env(dotenv, recurse=False)

    def text(self, name: str) -> str:
        """The variable without surrounding white space; empty if it is not set, which is the same as set to nothing."""
        self.known.add(name)
        return str(self._env.str(name, "")).strip()

    def read(self, name: str, parse: Callable[[str], T], default: D) -> T | D:
        """The value; after a problem, which is remembered, something that is never used."""
        if not self.text(name):
            return default
        parser = f"parse_{name}"
        self._env.add_parser(parser, lambda text: parse(text.strip()))
        value: T | D = getattr(self._env, parser)(name)
        return value

    def only_in_file(self, names: Iterable[str]) -> dict[str, str]:
        """Of these variables what the file says and the given environment does not."""
        given = os.environ if self._given is None else self._given
        stored = {name: self._env._environ.get(name) for name in names if name not in given}
        return {name: value for name, value in stored.items() if value}

    def close(self) -> list[str]:
        """All problems, one line each."""
        try:
            self._env.seal()
        except EnvValidationError as error:
            found = error.error_messages
            assert isinstance(found, Mapping), f"problems come by variable: {found!r}"
            for name, messages in found.items():
                self.problems += [f"{name}: {message}" for message in messages]
        return self.problems

    def misspelt(self) -> tuple[str, ...]:
        """Variables that nobody reads although their names say that somebody should."""
        lines, given = [], os.environ if self._given is None else self._given
        for name in sorted({*self._env._environ, *given} - self.known):
            near = difflib.get_close_matches(name.upper(), self.known, n=1, cutoff=0.85 if len(name) > 7 else 1)
            near = [each for each in near if not name.endswith(f"_{each}")]  # such as NIX_SSL_CERT_FILE
            if near or name.startswith(("BYBIT_", "RELAY_")):
                nearest = near or difflib.get_close_matches(name, self.known, n=1, cutoff=0)
                lines.append(f"{name}: no such setting, it has no effect; perhaps {nearest[0]} was meant")
        return tuple(lines)


# How the value of one setting is read: text in, a value out, or a `ValidationError` that says what it should be.


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
    """A secret, a PEM private key that can sign, or the path of a file that holds one."""
    if "-----BEGIN" in text:
        private_key(text)
        return secret(text)
    if not (text.endswith(".pem") or "/" in text):
        return secret(text)
    try:
        found = Path(text).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError):
        # Not repeated: it may be a secret that only looks like a path.
        raise ValidationError("it looks like a path, but no file can be read there; it should be a PEM file") from None
    if "-----BEGIN" not in found:
        raise ValidationError("the file it names holds no PEM key; it should be an RSA private key")
    return api_secret(found)


def private_key(pem: str) -> RsaKey:
    """An RSA key that can sign. Line ends may be written as `\\n`. Raises ValidationError."""
    from Crypto.PublicKey import RSA

    if "ENCRYPTED" in pem:
        raise ValidationError(
            "the key has a passphrase; it should be one without (`openssl pkey -in OLD.pem -out NEW.pem` takes it off)"
        )
    try:
        key = RSA.import_key(pem.replace("\\n", "\n"))
    except (ValueError, IndexError, TypeError):
        raise ValidationError("it is not a readable PEM key; it should be an RSA private key") from None
    if key.has_private():
        return key
    raise ValidationError("it is a public key; it should be the RSA private key")


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
        if not is_host or "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
            likes = " or ".join(f"{scheme}://host" for scheme in schemes)
            raise ValidationError(f"it is no address of a host; it should be like {likes}, without a path")
        return f"{parts.scheme}://{parts.netloc}"

    return parse


def stream_address(text: str) -> str:
    """A host's address, or `off`."""
    return "off" if text.lower() == "off" else host_url("wss", "ws")(text)


def host_url_or_off(text: str) -> str | None:
    """A host's address, or `off`."""
    return None if text.lower() == "off" else host_url("https", "http")(text)


def alive_url(text: str) -> Secret:
    """An address of http or https. All of it is secret: its path is what tells whose life it is."""
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or re.search(r"\s", text):
        raise ValidationError("it is no address; it should be one of http or https, like https://hc-ping.com/ID")
    return Secret(text)


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
    """What logs and lists of processes must not show of the address: before its host, or among its parameters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    given = dict(parse_qsl(parts.query)).get("password")
    password = given or (unquote(parts.password) if parts.password else None)
    return Secret(password) if password else None


# Where the exchange is, by environment.


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


# MAILBOX_URL: where alerts are read from, too.


class MailboxUse(StrEnum):
    """Which of a strategy's alerts are taken from the mailbox."""

    ALL = "all"
    ONLY_EXITS = "only_exits"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxSettings:
    """A folder at an IMAP server."""

    host: str
    port: int
    is_tls: bool
    user: str
    folder: str
    password: Secret | None = None
    """None: MAILBOX_PASSWORD or MAILBOX_PASSWORD_FILE has it."""

    @property
    def name(self) -> str:
        """What may be shown."""
        return f"{self.user}@{self.host}/{self.folder}"

    @property
    def fingerprint(self) -> str:
        """The folder in the journal."""
        return hashlib.sha256(f"{self.host}:{self.port} {self.name}".encode()).hexdigest()[:16]


def mailbox(text: str) -> MailboxSettings:
    """`imaps://user:password@host/FOLDER`; plain `imap` only on this machine."""
    likes = "it should be like imaps://user:password@imap.example.com/INBOX"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValidationError(f"it is no address of a mailbox; {likes}") from None
    if parts.scheme not in ("imap", "imaps") or not host or port == 0 or parts.query or parts.fragment:
        raise ValidationError(f"it is no address of a mailbox; {likes}")
    if not parts.username:
        raise ValidationError(f"it names no user; {likes}")
    if parts.scheme == "imap" and host not in ("127.0.0.1", "::1", "localhost"):
        raise ValidationError(f"plain imap:// would send the password and the secret unencrypted; {likes}")
    return MailboxSettings(
        host=host,
        port=port or (993 if parts.scheme == "imaps" else 143),
        is_tls=parts.scheme == "imaps",
        user=unquote(parts.username),
        folder=unquote(parts.path.strip("/")) or "INBOX",
        password=Secret(unquote(parts.password)) if parts.password else None,
    )


def file_secret(text: str) -> Secret:
    """The first line of the file at this path."""
    try:
        found = Path(text).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ValidationError(f"{text} cannot be read ({why}); it should be a file that holds the password") from None
    if not found or not found[0].strip():
        raise ValidationError(f"{text} is empty; it should be a file that holds the password")
    return Secret(found[0].strip())


# NOTIFY_URLS: where people are told of what happens, and of which kinds of it.


_WORD = re.compile(r"(?:(?P<tags>[A-Za-z_,]+)=)?(?P<url>[A-Za-z][A-Za-z0-9+.-]*://\S+)")
_ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTarget:
    """One address. All of it is secret: what follows the scheme usually is a token."""

    url: Secret
    kinds: frozenset[NoticeKind]
    recipient: Secret | None = None
    """The one of several that the address names."""

    @property
    def scheme(self) -> str:
        """What may be shown of the address."""
        return self.url.reveal().partition("://")[0]

    @property
    def fingerprint(self) -> str:
        """The address in the journal: the same after a restart, and nothing of it can be read."""
        whole = self.url.reveal() + (f"\n{self.recipient.reveal()}" if self.recipient else "")
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The address, and each long part of it: libraries log parts."""
        parts = re.split(r"[/?&=:@]+", self.url.reveal().partition("://")[2])
        return (self.url, *(Secret(part) for part in parts if len(part) >= 12))


def notify_targets(text: str) -> tuple[NotifyTarget, ...]:
    """Apprise URLs separated by white space, each alone or as `tag,tag=URL`."""
    found: dict[str, NotifyTarget] = {}
    for place, word in enumerate(text.split(), start=1):
        match = _WORD.fullmatch(word)
        if match is None:
            raise ValidationError(
                f"word {place} is no address; it should be an Apprise URL such as tgram://TOKEN/CHAT, "
                f"alone or as attention,halt=tgram://TOKEN/CHAT"
            )
        url, kinds = match["url"], _kinds(match["tags"], place)
        earlier = found[url].kinds if url in found else frozenset()
        found[url] = NotifyTarget(url=Secret(url), kinds=kinds | earlier)
    return tuple(found.values())


def _kinds(tags: str | None, place: int) -> frozenset[NoticeKind]:
    if tags is None:
        return DEFAULT_KINDS
    words = {tag for tag in tags.lower().split(",") if tag}
    unknown = sorted(words - {kind.value for kind in NoticeKind} - {_ALL})
    if unknown or not words:
        known = ", ".join([*(kind.value for kind in NoticeKind), _ALL])
        raise ValidationError(f"word {place} has an unknown tag {(unknown or ['nothing'])[0]!r}; tags are {known}")
    return frozenset(NoticeKind) if _ALL in words else frozenset(NoticeKind(word) for word in words)


# The stop loss and the take profit of entries that bring none: distances on which an entry can go out at all.


_LEVEL = re.compile(r"(?P<sign>[+-]?)(?P<number>[0-9.]+)(?P<percent>%?)")
_WHOLE = Decimal(100)


def stop_loss(direction: Direction = Direction.BOTH) -> Callable[[str], Level]:
    """`2%`, `-2%`, `-40`. With `+` it would lie in profit, and each entry would be denied."""

    def parse(text: str) -> Level:
        level = _distance(text)
        if level.sign_given and level.value > 0:
            raise ValidationError(f'{shown(text)} lies towards profit; it should be like "2%" or "-40", towards loss')
        if _is_beyond_zero(level) and direction is not Direction.SHORT_ONLY:
            raise ValidationError(f"{shown(text)} below the price of a long is no price; it should be under 100%")
        return level

    return parse


def take_profit(direction: Direction = Direction.BOTH) -> Callable[[str], Level]:
    """`4%`, `+4%`, `+40`. With `-` it would lie in loss, and each entry would be denied."""

    def parse(text: str) -> Level:
        level = _distance(text)
        if level.sign_given and level.value < 0:
            raise ValidationError(f'{shown(text)} lies towards loss; it should be like "4%" or "+40", towards profit')
        if _is_beyond_zero(level) and direction is not Direction.LONG_ONLY:
            raise ValidationError(f"{shown(text)} below the price of a short is no price; it should be under 100%")
        return level

    return parse


def _is_beyond_zero(level: Level) -> bool:
    return level.kind is LevelKind.PERCENT and abs(level.value) >= _WHOLE


def _distance(text: str) -> Level:
    """From the entry. A price would fit one moment only, so a bare number is refused."""
    match = _LEVEL.fullmatch(text)
    if (
        match is None
        or not (match["sign"] or match["percent"])
        or not NUMBER.fullmatch(match["number"])
        or not Decimal(match["number"])
    ):
        raise ValidationError(f'{shown(text)} is no distance; it should be like "2%" or, with a sign, "+40"')
    value = Decimal(match["number"])
    kind = LevelKind.PERCENT if match["percent"] else LevelKind.DISTANCE
    return Level(kind=kind, value=-value if match["sign"] == "-" else value, sign_given=bool(match["sign"]))


# The accounts and strategies that a relay is told of: plain values, frozen.


_TAIL: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """One account at one exchange. Only the limits of `limits` count; they hold for every strategy."""

    name: str
    environment: Environment
    api_key: Secret | None
    api_secret: Secret | None
    url: str | None
    """None means a paper exchange that `serve` has not started yet."""
    stream_url: str | None
    recv_window_ms: int
    referer: str | None
    limits: Rules = field(default_factory=Rules)

    @property
    def key_tail(self) -> str:
        """The key's last four characters: the only part of it that is ever shown."""
        key = self.api_key.reveal() if self.api_key is not None else ""
        return key[-_TAIL:] if len(key) > 2 * _TAIL else ""

    @property
    def needs_paper_exchange(self) -> bool:
        """Paper trading, and no paper exchange is named."""
        return self.environment is Environment.PAPER and self.url is None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySettings:
    """One strategy. `rules`: by account, in the file's order; already the stricter of the two in every limit."""

    name: str
    rules: Mapping[str, Rules]
    secrets: tuple[Secret, ...] = ()
    """Empty: WEBHOOK_SECRET's."""
    dedup_window_ms: int = 30_000
    format: str | None = None
    """In which service's words its alerts are, where they do not say so; None means that they are recognised by their
    shape."""
    heartbeat_s: int | None = None
    """How long its alerts may be silent before that is told; None means as long as they like."""
    heartbeat_any: bool = False
    """Any alert is a sign of life, not only a `heartbeat`."""
    is_shared: bool = False
    mailbox: MailboxUse = MailboxUse.ALL

    @property
    def accounts(self) -> tuple[str, ...]:
        return tuple(self.rules)
