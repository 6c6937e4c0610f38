"""Whether an alert proves its sender, in constant time; and taking the secret out of what is kept."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus

SIGNATURE_AGE_MAX_S = 300
"""How far a signature's timestamp may be from now. Source: Standard Webhooks specification, "Verifying timestamp"."""

QUICK_BYTES = 8 * 1024
"""More than any alert that TradingView sends."""

REMOVED = "[secret]"
SECRET_FIELDS: Final = ("secret", "passphrase", "password", "key", "token", "pin")
"""The fields of a body that may prove its sender. Nothing of them is ever stored."""
_SIGNATURES_MAX = 16
_ESCAPES = (b"\\", b"%", b"+", b"\0")
"""Of JSON, of forms, and of UTF-16."""
_OF_NUMBERS = "0123456789.-"
_KEY_PREFIX = "whsec_"
_SHORT_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request brought besides its body. None of it is ever shown."""

    header_secret: str | None = field(default=None, repr=False)
    path_secret: str | None = field(default=None, repr=False)
    webhook_id: str | None = None
    webhook_timestamp: str | None = None
    webhook_signature: str | None = field(default=None, repr=False)


def authenticates(
    secrets: tuple[str, ...], credentials: Credentials, body: bytes, body_secret: str | None, now: datetime
) -> bool:
    """Whether any one of the ways in which a secret can be known is used with one of `secrets`."""
    given = [
        spelling
        for secret in (credentials.header_secret, credentials.path_secret, body_secret)
        if secret
        for spelling in _as_bytes(secret)
    ]
    proven = False
    for secret in filter(None, secrets):
        for candidate in given:
            proven |= hmac.compare_digest(candidate, secret.encode())
        proven |= _is_signed(secret, credentials, body, now)
    return proven


def secret_among_bytes(secrets: tuple[str, ...], body: bytes) -> bool:
    """Whether an exact secret stands in a body that is too broken to parse.

    Each place is compared in constant time and none ends the search. NULs do not count: a body in UTF-16 has one beside
    each letter.
    """
    legible = memoryview(body.replace(b"\0", b""))
    found = False
    for secret in filter(None, secrets):
        wanted = secret.encode()
        for start in range(len(legible) - len(wanted) + 1):
            found |= hmac.compare_digest(legible[start : start + len(wanted)], wanted)
    return found


def may_authenticate(secrets: tuple[str, ...], body: bytes) -> bool:
    """Whether parsing `body` can still prove its sender. A large one has its secret as it is, or is not worth parsing.

    Looked for with a plain search, which takes microseconds where reading 64 KiB of junk takes milliseconds. Its time
    says a little about the bytes of a guess, far less than the network's own variation.
    """
    if len(body) <= QUICK_BYTES:
        return True
    legible = body.replace(b"\0", b"").replace(b"\\/", b"/")
    return any(secret.encode() in legible for secret in filter(None, secrets))


def is_surely_without(secrets: tuple[str, ...], body: bytes) -> bool:
    """Whether no way of reading `body` can find a secret in it: plain text, nothing escaped, and none as it stands.

    It is looked for as in `may_authenticate`. A secret that is a number may be spelled in many ways, so no body is
    surely without it.
    """
    if not body.isascii() or any(mark in body for mark in _ESCAPES):
        return False
    return not any(not secret.strip(_OF_NUMBERS) or secret.encode() in body for secret in filter(None, secrets))


def is_signed(secrets: tuple[str, ...], credentials: Credentials, body: bytes, now: datetime) -> bool:
    """Whether the request carries a Standard Webhooks signature that one of `secrets` has made, just now."""
    return any(_is_signed(secret, credentials, body, now) for secret in filter(None, secrets))


def without_secrets(text: str, secrets: tuple[str, ...]) -> str:
    """`text` with every secret taken out, in any case and however its letters are escaped for JSON or a URL."""
    if not may_hold_secret(text, secrets):
        return text
    pattern = _spellings(secrets)
    return text if pattern is None else pattern.sub(REMOVED, text)


def may_hold_secret(text: str, secrets: tuple[str, ...]) -> bool:
    """A quick look that spares the search in nearly every text. `text` may be many texts, as `repr` spells them."""
    if not secrets:
        return False
    if "\\" in text or "+" in text or not text.isascii() or _is_escaped(text):
        return True
    lowered = text.lower()
    for form in _lowered_forms(secrets):  # noqa: SIM110
        if form in lowered:
            return True
    return False


def _is_escaped(text: str) -> bool:
    """Whether something in it may be escaped as in a URL; `2%` is not."""
    return "%" in text and _URL_ESCAPE.search(text) is not None


_URL_ESCAPE: Final = re.compile("%[0-9a-fA-F]{2}")


def _is_signed(secret: str, credentials: Credentials, body: bytes, now: datetime) -> bool:
    """Source: the Standard Webhooks specification: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`."""
    identity, timestamp, signatures = (
        credentials.webhook_id,
        credentials.webhook_timestamp,
        credentials.webhook_signature,
    )
    if not identity or not timestamp or not signatures or not _is_recent(timestamp, now):
        return False
    signed = f"{identity}.{timestamp}.".encode(errors="surrogatepass") + body
    digest = hmac.new(_signing_key(secret), signed, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(digest)
    proven = False
    for signature in signatures.split(" ")[:_SIGNATURES_MAX]:
        proven |= hmac.compare_digest(signature.encode(errors="surrogatepass"), expected)
    return proven


def _is_recent(timestamp: str, now: datetime) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    return abs(int(now.timestamp()) - int(timestamp)) <= SIGNATURE_AGE_MAX_S


@lru_cache(maxsize=64)
def _signing_key(secret: str) -> bytes:
    if secret.startswith(_KEY_PREFIX):
        encoded = secret.removeprefix(_KEY_PREFIX)
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        return key or secret.encode()
    return secret.encode()


def _as_bytes(secret: str) -> tuple[bytes, ...]:
    """A WSGI server hands header bytes over as Latin-1 letters; a secret beyond ASCII must be found in them too."""
    plain = secret.encode(errors="surrogatepass")
    if secret.isascii():
        return (plain,)
    try:
        return plain, secret.encode("latin-1")
    except UnicodeEncodeError:
        return (plain,)


@lru_cache(maxsize=64)
def _lowered_forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(form.lower() for form in _forms(secrets))


def _forms(secrets: tuple[str, ...]) -> list[str]:
    keys = [secret.removeprefix(_KEY_PREFIX) for secret in secrets if secret.startswith(_KEY_PREFIX)]
    return sorted({form for form in (*secrets, *keys) if form}, key=len, reverse=True)


@lru_cache(maxsize=64)
def _spellings(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    forms = ["".join(map(_letter_spellings, form)) for form in _forms(secrets)]
    return re.compile("|".join(forms), re.IGNORECASE) if forms else None


def _letter_spellings(letter: str) -> str:
    """One letter of a secret: plain, as JSON may escape it, or as a URL may."""
    units = letter.encode("utf-16-be")
    escaped = "".join(rf"\\{{1,3}}u{units[index : index + 2].hex()}" for index in range(0, len(units), 2))
    percent = "".join(f"%{byte:02x}" for byte in letter.encode())
    options = [re.escape(letter), escaped, percent]
    if letter in _SHORT_ESCAPES:
        options.append(rf"\\{{1,3}}{re.escape(_SHORT_ESCAPES[letter])}")
    if letter == " ":
        options.append(r"\+")
    return f"(?:{'|'.join(options)})"


# What is named like a secret, whoever's it is: senders put their exchange's keys into alerts, and none is to be stored.


_NAME_LENGTH_MAX: Final = 64
_HINTS: Final = ("key", "secret", "token", "pass", "pwd", "pin", "credential", "authorization")
"""Every name of a secret holds one of these."""
_PARTS: Final = re.compile(r"secret|token|passw|passphrase|passcode|pwd|apikey|credential|authorization")
_WORDS: Final = frozenset({"key", "keys", "pass", "pin"})
_NOT_A_WORD: Final = re.compile(r"[^a-z0-9]+")
_UNICODE_ESCAPE: Final = re.compile(r"\\+u([0-9a-fA-F]{4})")
_NAMED: Final = re.compile(
    r"""(?<![\w%\\])((?:\\+u[0-9a-f]{4}|[\w%])(?:\\+u[0-9a-f]{4}|[\w%+. \-\[\]]){0,60}+)\\*["']?\s*(?:=>|=|:)\s*""",
    re.IGNORECASE,
)
"""A name, and what stands between it and its value: in JSON, in JSON inside of JSON, in pairs, in prose."""
_IN_PROSE: Final = re.compile(
    r"""(\b(?:keys?|secret|token|password|passphrase|passcode|pwd|pin|credentials?)\s+(?:(?:is|was|are)\s+)?["'`(<]{0,2})"""
    r"""((?=[\w.+/~-]*\d)(?=[\w.+/~-]*[a-z])[\w.+/~-]{8,})""",
    re.IGNORECASE,
)
"""Its name, and right behind it what no word is: letters and digits in one."""
_OPENING: Final = re.compile(r"""(\\*)(["'])""")
_BARE_END: Final = re.compile(r"""[\r\n]|[,;&](?=\s*\\*["']?[\w%.\-]{1,60}\\*["']?\s*[=:])|\Z""")
_CLOSING: Final = {"{": "}", "[": "]"}


@lru_cache(maxsize=1024)
def _is_secret_spelling(name: str) -> bool:
    plain = _UNICODE_ESCAPE.sub(lambda found: chr(int(found[1], 16)), unquote_plus(name))
    plain = unicodedata.normalize("NFKC", plain).lower()
    words = [word.rstrip("0123456789") for word in _NOT_A_WORD.split(plain)]
    squeezed = "".join(words)
    return bool(_PARTS.search(squeezed)) or squeezed.endswith(("key", "keys")) or not _WORDS.isdisjoint(words)


def is_secret_name(name: str) -> bool:
    """Whether what has this name is a secret by its name: `api_key`, `signalToken`, `API-Secret`, `passphrase2`."""
    return _is_secret_spelling(name[-_NAME_LENGTH_MAX:])


def may_name_secret(text: str) -> bool:
    """A quick look that spares the search in nearly every text. `text` may be many texts, as `repr` spells them."""
    if "\\" in text or not text.isascii() or _is_escaped(text):
        return True
    lowered = text.lower()
    for hint in _HINTS:  # noqa: SIM110
        if hint in lowered:
            return True
    return False


def masked_text(text: str) -> str:
    """`text` without the values of what it names like a secret, in JSON that is broken, in pairs or in form data."""
    if not may_name_secret(text):
        return text
    if _is_escaped(text) and (decoded := unquote_plus(text)) != (masked := _masked(decoded)):
        return masked
    return _masked(text)


def _masked(text: str) -> str:
    pieces, done = [], 0
    for start, end in _secret_values(text):
        pieces += [text[done:start], REMOVED]
        done = end
    return _IN_PROSE.sub(rf"\1{REMOVED}", "".join([*pieces, text[done:]]))


def _secret_values(text: str) -> Iterator[tuple[int, int]]:
    """Where each stands, without its quotes. One that does not end goes on to the end of the text."""
    position = 0
    while found := _NAMED.search(text, position):
        position = found.end()
        if is_secret_name(found[1]):
            start, end = _value_at(text, position)
            if end > start:
                yield start, end
            position = max(end, position)


def _value_at(text: str, start: int) -> tuple[int, int]:
    if opening := _OPENING.match(text, start):
        return opening.end(), _quote_end(text, opening.end(), opening[1], opening[2])
    if text[start : start + 1] in _CLOSING:
        return start, _bracket_end(text, start)
    end = _BARE_END.search(text, start)
    assert end is not None, "the end of the text ends a value"
    return start, end.start()


def _quote_end(text: str, start: int, escape: str, quote: str) -> int:
    """Before the quote that closes: the one with as many backslashes before it as the one that opens has."""
    end = text.find(quote, start)
    while end >= 0:
        first = end - len(escape)
        if first >= start and text.startswith(escape, first) and text[first - 1] != "\\":
            return first
        end = text.find(quote, end + 1)
    return len(text)


def _bracket_end(text: str, start: int) -> int:
    opening, depth = text[start], 0
    for position in range(start, len(text)):
        depth += {opening: 1, _CLOSING[opening]: -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    return len(text)
