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
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import parseaddr, parsedate_to_datetime
from html.parser import HTMLParser
from typing import Final

_CANDIDATES_MAX: Final = 40
_TEXT_MAX: Final = 64 * 1024
_PREFIX: Final = re.compile(r"^\s*(?:(?:re|fwd?|fw|aw|wg|tr|rv|alert)\s*:\s*)+", re.IGNORECASE)
_QUOTED: Final = re.compile(r"^[ \t]*(?:>[ \t]?)+", re.MULTILINE)
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
    """`internal_date`: when the mailbox's server stored it. Never raises: what is broken is left out."""
    message = message_from_bytes(raw, policy=policy.compat32)
    subject = _decoded(message.get("Subject", ""))
    sender = parseaddr(_decoded(message.get("From", "")))[1].rpartition("@")[2].lower()
    message_id = str(message.get("Message-ID", "")).strip()
    return Mail(
        key=hashlib.sha256(message_id.encode(errors="replace") or raw).hexdigest(),
        at=_moment(message, internal_date),
        sender=sender[:100],
        dkim=_dkim(message),
        subject=subject[:300],
        texts=tuple(_candidates(message, subject)),
    )


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
    for line in message.get_all("Received", []):
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
    seen: set[str] = set()
    for whole in [*_bodies(message), _PREFIX.sub("", subject)]:
        for text in _in_text(whole[:_TEXT_MAX]):
            if text and text not in seen and len(seen) < _CANDIDATES_MAX:
                seen.add(text)
                yield text


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
    while place >= 0:
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place = text.find("{", place + 1)
            continue
        yield text[place:end]
        place = text.find("{", end)


def _bodies(message: Message) -> Iterator[str]:
    """Of every part of text, forwarded messages' too. What a part declares wrongly is read as it stands as well."""
    for part in message.walk():
        kind = part.get_content_type()
        if part.is_multipart() or kind not in ("text/plain", "text/html") or part.get_filename():
            continue
        for content in _contents(part):
            if kind == "text/html":
                yield _text_of(content, breaks="\n")
                yield _text_of(content, breaks="")
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


class _Text(HTMLParser):
    """What a reader sees, with nothing put between but `breaks` where a line ends."""

    def __init__(self, breaks: str) -> None:
        super().__init__(convert_charrefs=True)
        self.breaks, self.said, self._hidden = breaks, "", 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = 0 if tag == "body" else self._hidden + (tag in ("script", "style", "head", "title"))
        self.said += self.breaks if tag in ("br", "p", "div", "tr", "li", "table", "pre", "td") else ""

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style", "head", "title") and self._hidden > 0
        self.said += self.breaks if tag in ("p", "div", "tr", "li", "table", "pre", "td") else ""

    def handle_data(self, data: str) -> None:
        self.said += "" if self._hidden else data


def _text_of(markup: str, *, breaks: str) -> str:
    parser = _Text(breaks)
    parser.feed(markup)
    parser.close()
    return parser.said
