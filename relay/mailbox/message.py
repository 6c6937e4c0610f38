"""A mail as an alert's envelope: when a server took it, who it claims to be from, and the texts that may be one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.policy import Compat32
from email.utils import parseaddr, parsedate_to_datetime
from html import unescape
from itertools import islice
from typing import Any, Final

_CANDIDATES_MAX: Final = 40
_TEXT_MAX: Final = 64 * 1024
_MARKUP_MAX: Final = 256 * 1024
_HEADER_MAX: Final = 8 * 1024
_PARTS_MAX: Final = 50
_HOPS_MAX: Final = 100
_LINES_MAX: Final = 1000
"""That may begin a part."""
_TRIES_MAX: Final = 200
"""How often it is tried to read an object of JSON in one text."""
_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_PREFIX: Final = re.compile(r"^\s*(?:(?:re|fwd?|fw|aw|wg|tr|rv|alert)\s*:\s*)+", re.IGNORECASE)
_QUOTED: Final = re.compile(r"^[ \t]*(?:>[ \t]?)+", re.MULTILINE)
_TAG: Final = re.compile(r"/?([a-z]+)|[!?/]", re.IGNORECASE)
_LONG_NUMBER: Final = re.compile(r"&#[0-9a-fx]{10,};?", re.IGNORECASE)
_BREAKS: Final = frozenset(("br", "p", "div", "tr", "li", "table", "pre", "td"))
_HIDDEN: Final = frozenset(("script", "style", "title"))
_DKIM: Final = re.compile(r"\bdkim\s*=\s*([a-z]+)(?:[^;]*?\bheader\.[di]\s*=\s*@?([\w.\-]+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """`at`: the earliest moment at which a server took it, aware UTC. `key`: the same for every copy of this mail."""

    key: str
    at: datetime
    sender: str
    """The domain it claims to come from: shown, and no proof of anything."""
    dkim: str
    """What the mailbox's own server says of its signature; empty where it says nothing."""
    subject: str
    texts: tuple[str, ...]
    """Candidates, the likeliest first."""


def read_mail(raw: bytes, *, internal_date: datetime) -> Mail:
    """`internal_date`: when the mailbox's server stored it. What is broken is left out.

    Anybody may send one: of its parts, texts and lines only so many are looked at.
    """
    message = message_from_bytes(_readable(raw), policy=_ShortHeaders())
    subject = _decoded(message.get("Subject", ""))
    sender = parseaddr(_decoded(message.get("From", ""))[:500])[1].rpartition("@")[2].lower()
    message_id = str(message.get("Message-ID", "")).strip()
    return Mail(
        key=hashlib.sha256(message_id.encode(errors="replace") or raw).hexdigest(),
        at=_moment(message, internal_date),
        sender=sender[:100],
        dkim=_dkim(message),
        subject=subject[:300],
        texts=tuple(_candidates(message, subject)),
    )


class _ShortHeaders(Compat32):
    """What reads a header's parameters takes ever longer for a long one."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, Any]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:_HEADER_MAX]


def _readable(raw: bytes) -> bytes:
    """Its head alone where it has more parts than any mail with an alert: they may lie in one another."""
    said = raw.lower()
    if max(said.count(word) for word in (b"boundary", b"message/")) <= _PARTS_MAX and raw.count(b"\n--") <= _LINES_MAX:
        return raw
    return b"\n".join(line for line in _HEAD.split(raw, maxsplit=1)[0].split(b"\n") if b"/" not in line)


def _decoded(header: object) -> str:
    """Encoded words decoded; bytes that no charset is said of are UTF-8 in practice."""
    try:
        parts = decode_header(header)  # type: ignore[arg-type]
    except (HeaderParseError, ValueError):
        return " ".join(str(header).split())
    said = [
        part if isinstance(part, str) else _letters(part, charset if charset not in (None, "unknown-8bit") else "utf-8")
        for part, charset in parts
    ]
    return " ".join("".join(said).split())


def _moment(message: Message, internal_date: datetime) -> datetime:
    """The earliest of the `Received` lines: what stands behind the last semicolon; a date without a zone counts not."""
    moments = []
    for line in message.get_all("Received", [])[:_HOPS_MAX]:
        try:
            moment = parsedate_to_datetime(str(line).rpartition(";")[2].strip())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        if moment.tzinfo is not None:
            moments.append(moment.astimezone(UTC))
    return min(moments, default=internal_date.astimezone(UTC))


def _dkim(message: Message) -> str:
    """Of the topmost line, which the mailbox's own server has put there; any below may be the sender's own."""
    found = _DKIM.search(" ".join(str(message.get("Authentication-Results", "")).split()))
    if found is None:
        return ""
    return f"dkim={found[1].lower()}{f' for {found[2].lower()}' if found[2] else ''}"


def _candidates(message: Message, subject: str) -> Iterator[str]:
    """Each text once: objects of JSON first, then paragraphs, then the whole."""
    wholes = (*_bodies(message), _PREFIX.sub("", subject))
    every = (text for whole in wholes for text in _in_text(whole[:_TEXT_MAX]) if text)
    seen: dict[str, None] = {}
    for text in every:
        seen[text] = None
        if len(seen) == _CANDIDATES_MAX:
            break
    yield from seen


def _in_text(whole: str) -> Iterator[str]:
    """Of one part, as it is, and with lines joined that a server has broken."""
    plain = _QUOTED.sub("", whole.replace("\ufeff", "").replace("\u00a0", " ").replace("\r\n", "\n")).strip()
    yield from _objects(plain)
    yield from _objects(" ".join(plain.split("\n")))
    yield from (each.strip() for each in re.split(r"\n\s*\n", plain) if "=" in each or ":" in each)
    yield plain


def _objects(text: str) -> Iterator[str]:
    """The objects of JSON in a text, the outermost ones."""
    decoder, place = json.JSONDecoder(), text.find("{")
    for _ in range(_TRIES_MAX):
        if place < 0:
            return
        try:
            _, end = decoder.raw_decode(text, place)
        except RecursionError:
            return  # no alert is so deep, and what lies within would be tried as often as it is deep
        except ValueError:
            end = place + 1
        else:
            yield text[place:end]
        place = text.find("{", end)


def _bodies(message: Message) -> Iterator[str]:
    """Of every part of text, forwarded messages' too. What a part declares wrongly is read as it stands as well."""
    for part in islice(message.walk(), _PARTS_MAX):
        kind = part.get_content_type()
        if part.is_multipart() or kind not in ("text/plain", "text/html") or part.get_filename():
            continue
        for content in _contents(part):
            if kind == "text/html":
                pieces = _pieces(content[:_MARKUP_MAX])
                for line_end in ("\n", ""):
                    yield _unescaped("".join(line_end if each is None else each for each in pieces))
            else:
                yield content


def _contents(part: Message) -> Iterator[str]:
    """Decoded as it says, and as it stands: a part may be called quoted-printable and hold a bare `=`."""
    charset = str(part.get_content_charset() or "utf-8")
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    del part["Content-Transfer-Encoding"]  # so that what follows is the bytes as they stand
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes), "it is no multipart"
    try:
        if encoding == "base64":
            raw = base64.b64decode(raw, validate=False)
        elif encoding == "quoted-printable":
            yield _letters(quopri.decodestring(raw), charset)
    except (binascii.Error, ValueError):
        return  # cut short: what it would have said is not to be guessed
    yield _letters(raw, charset)


def _letters(raw: bytes, charset: str) -> str:
    try:
        return raw.decode(charset)
    except (LookupError, UnicodeDecodeError):
        return raw.decode("utf-8", "replace")


def _pieces(markup: str) -> list[str | None]:
    """What a reader sees of HTML, still escaped; None where a line ends. Each letter is looked at a few times, whatever
    stands there: what is opened and never closed ends the reading.
    """
    pieces: list[str | None] = []
    small, place = markup.lower(), 0
    if len(small) != len(markup):
        small = markup  # there are letters that become two
    while (start := markup.find("<", place)) >= 0:
        pieces.append(markup[place:start])
        tag = _TAG.match(markup, start + 1)
        if tag is None:
            pieces.append("<")
            place = start + 1
            continue
        name = (tag[1] or "").lower()
        if name in _HIDDEN and markup[start + 1] != "/":
            start = small.find(f"</{name}", start)
        closing = "-->" if markup.startswith("<!--", start) else ">"
        end = markup.find(closing, start) if start >= 0 else -1
        if end < 0:
            return pieces
        pieces += [None] if name in _BREAKS else []
        place = end + len(closing)
    pieces.append(markup[place:])
    return pieces


def _unescaped(text: str) -> str:
    return unescape(_LONG_NUMBER.sub("", text))
