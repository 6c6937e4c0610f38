"""The mailbox: its server, watching it, and what is read of a mail. Each new mail with an alert is taken as a
webhook's, and marked seen once it is durable."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import imaplib
import json
import logging
import quopri
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.policy import Compat32
from email.utils import parseaddr, parsedate_to_datetime
from html import unescape
from io import BufferedReader
from itertools import islice
from typing import Any, Final, cast

from imap_tools import BaseMailBox, MailBox, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError, MailboxFolderSelectError, MailboxLoginError

from relay.alerts.authenticate import Credentials
from relay.app import metrics
from relay.domain.notice import NoticeKind
from relay.errors import AlertError, JournalUnavailable
from relay.execution.accept import AlertRejected, Intake, MailedAlert
from relay.execution.notices import Announcer
from relay.execution.ports import Now, from_ms, to_ms, utc_now
from relay.journal.copies import PAIR_MS, Mailboxes, OnlyByMail, ReadUpTo
from relay.settings.config import NAME
from relay.settings.environment import MailboxSettings, MailboxUse

# One session with an IMAP server: which mails are new, what they say, that one was read, and waiting for the next.


TROUBLE: Final = (imaplib.IMAP4.error, ImapToolsError, OSError, UnicodeError)
"""What ends a session: the next one begins anew."""
_WORDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (MailboxLoginError, "the server refuses the user or the password"),
    (MailboxFolderSelectError, "the server has no such folder"),
    (ssl.SSLCertVerificationError, "this machine does not trust the server's certificate"),
    (ssl.SSLError, "the server does not speak TLS at this port"),
    (socket.gaierror, "the host has no address"),
    (ConnectionRefusedError, "the connection was refused"),
    (TimeoutError, "the server does not answer"),
)
"""Of TROUBLE. The words of a server are not repeated: they may hold what it was sent."""
_TIMEOUT_S: Final = 20.0
_BYTES_MAX: Final = 512 * 1024
"""No alert is in a larger mail."""
_AT_ONCE: Final = 50
_POLL_S: Final = 0.5
_UID: Final = re.compile(rb"\bUID (\d+)")
_SIZE: Final = re.compile(rb"RFC822\.SIZE (\d+)")
_DATE: Final = re.compile(rb'INTERNALDATE "\s*([^"]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """`raw`: None for a mail that is too large to hold an alert."""

    uid: int
    internal_date: datetime
    raw: bytes | None


def words_of(error: BaseException) -> str:
    """Why the mailbox cannot be read."""
    said = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    return next((words for kind, words in _WORDS if isinstance(error, kind)), f"{type(error).__name__}{said}")


class ImapFolder:
    """Logged in, with the folder selected. Every method raises one of TROUBLE. For one thread."""

    def __init__(self, settings: MailboxSettings) -> None:
        made = (
            MailBox(settings.host, settings.port, timeout=_TIMEOUT_S, ssl_context=ssl.create_default_context())
            if settings.is_tls
            else MailBoxUnencrypted(settings.host, settings.port, timeout=_TIMEOUT_S)
        )
        self._box: BaseMailBox = made
        self._is_selected_anew = True
        try:
            password = settings.password.reveal() if settings.password else ""
            self._box.login(settings.user, password, initial_folder=settings.folder)
            self.uid_validity = self._said("UIDVALIDITY") or 0
            self.next_uid = self._said("UIDNEXT") or 1
            self._can_idle = "IDLE" in self._box.client.capabilities
        except BaseException:
            self.close()
            raise

    def is_behind(self, uid: int) -> bool:
        """Whether the server numbers its mails from below `uid` again; it is told once, as the folder is selected."""
        is_behind, self._is_selected_anew = self._is_selected_anew and self.next_uid <= uid, False
        return is_behind

    def _said(self, name: str) -> int | None:
        """Of what the server told as the folder was selected."""
        _, answered = self._box.client.response(name)
        return int(answered[0]) if answered and answered[0] else None

    def close(self) -> None:
        with contextlib.suppress(*TROUBLE):
            self._box.client.shutdown()

    def newer_than(self, uid: int) -> list[int]:
        """The mails behind `uid`, the oldest first.

        NOOP first: what the server has not told yet its search may overlook. `n:*` returns the last one again where
        there is none newer.
        """
        self._box.client.noop()
        found = self._box.uids(f"UID {uid + 1}:*", charset=None)
        return sorted(each for each in map(int, found) if each > uid)

    def since(self, moment: datetime) -> list[int]:
        """All mails of that day and later, and of the day before: a server's day is that of its own zone."""
        self._box.client.noop()
        day = (moment - timedelta(days=1)).strftime("%d-%b-%Y")
        return sorted(map(int, self._box.uids(f"SINCE {day}", charset=None)))

    def fetch(self, uids: Iterable[int]) -> Iterator[Fetched]:
        """In the order of `uids`, without marking any as seen; what is gone is left out."""
        waiting = list(uids)
        for first in range(0, len(waiting), _AT_ONCE):
            some = waiting[first : first + _AT_ONCE]
            _, answered = self._box.client.uid("FETCH", ",".join(map(str, some)), "(UID RFC822.SIZE INTERNALDATE)")
            heads = {uid: head for line in answered if (head := _bytes(line)) and (uid := _number(_UID, head))}
            for uid in some:
                if uid in heads:
                    yield self._whole(uid, heads[uid])

    def _whole(self, uid: int, head: bytes) -> Fetched:
        date = _DATE.search(head)
        at = datetime.strptime(date[1].decode("ascii"), "%d-%b-%Y %H:%M:%S %z") if date else datetime.now(UTC)
        raw = None
        if _number(_SIZE, head) <= _BYTES_MAX:
            _, answered = self._box.client.uid("FETCH", str(uid), "(BODY.PEEK[])")
            raw = next((part[1] for part in answered if isinstance(part, tuple)), None)
        return Fetched(uid=uid, internal_date=at, raw=raw)

    def mark_seen(self, uid: int) -> None:
        self._box.client.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Seen)")

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Until the server tells of something, or so long. A dead one is noticed at the latest when the wait ends."""
        if not self._can_idle:
            stop.wait(seconds)
            return
        self._box.idle.start()  # type: ignore[no-untyped-call]
        try:
            self._await_news(seconds, stop)
        finally:
            self._box.idle.stop()  # type: ignore[no-untyped-call]

    def _await_news(self, seconds: float, stop: threading.Event) -> None:
        """What came between the last command and IDLE stands in the same packet as the answer: look there first."""
        sock, until = self._box.client.sock, time.monotonic() + seconds
        if _has_buffered(self._box.client):
            return
        readable = select.poll()
        readable.register(sock.fileno(), select.POLLIN)
        while not stop.is_set() and (left_s := until - time.monotonic()) > 0:
            if readable.poll(min(_POLL_S, left_s) * 1000):
                return


def _has_buffered(client: imaplib.IMAP4) -> bool:
    sock = client.sock
    timeout = sock.gettimeout()
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return True
    if (stored := getattr(client, "_readbuf", None)) is not None:  # since Python 3.14
        return any(stored)
    sock.settimeout(0)
    try:
        return bool(cast(BufferedReader, client.file).peek(1))
    except OSError:
        return False
    finally:
        sock.settimeout(timeout)


def _bytes(line: object) -> bytes:
    if isinstance(line, tuple):
        line = line[0]
    return line if isinstance(line, bytes) else b""


def _number(pattern: re.Pattern[bytes], text: bytes) -> int:
    found = pattern.search(text)
    return int(found[1]) if found else 0


log = logging.getLogger(__name__)

LOOK_S: Final = 10.0
"""IDLE is renewed so often, and the folder searched again whatever it told; without IDLE it is only that."""
_AGAIN_S: Final = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
_TELL_S: Final = 300.0
"""A mailbox that cannot be read for so long is told of."""
_FORGET_S: Final = 86_400.0
_NOT_MINE_S: Final = 1.0
_MARK_MS: Final = 300_000
_NOT_READ: Final = "it is not read here yet"


class MailboxWatch:
    """One thread. `is_mine`: whether this process is the one that reads it."""

    def __init__(
        self,
        *,
        settings: MailboxSettings,
        marks: Mailboxes,
        intake: Intake,
        announcer: Announcer,
        uses: Mapping[str, MailboxUse],
        is_mine: Callable[[], bool],
        now: Now = utc_now,
    ) -> None:
        """`uses`: by strategy, in the order of the settings."""
        self._settings, self._marks, self._intake, self._announcer = settings, marks, intake, announcer
        self._uses, self._is_mine, self._now = uses, is_mine, now
        self._stop = threading.Event()
        self._failing_since: float | None = time.monotonic()
        self._is_reported = False
        self._forgotten_at = float("-inf")
        self.problem: str | None = _NOT_READ
        """Why it cannot be read just now; None: it can."""
        self.thread = threading.Thread(target=self._run, name="mailbox", daemon=True)

    @property
    def has_looked(self) -> bool:
        """Whether `problem` is about the mailbox: this process is the one that reads it, and has tried."""
        return self.problem != _NOT_READ

    @property
    def is_reading(self) -> bool:
        return self.problem is None and self._is_mine()

    def start(self) -> None:
        if not self.thread.is_alive():
            self.thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self.thread.is_alive():
            self.thread.join(2)

    def _run(self) -> None:
        tries = 0
        while not self._stop.is_set():
            if not self._is_mine():
                self.problem, self._failing_since = _NOT_READ, None
                self._stop.wait(_NOT_MINE_S)
                continue
            tries = 0 if self._watched() else tries + 1
            self._stop.wait(_AGAIN_S[min(tries, len(_AGAIN_S) - 1)])

    def _watched(self) -> bool:
        """One session, until it ends. Whether the mailbox could be read at all."""
        is_read, folder = False, None
        try:
            folder = ImapFolder(self._settings)
            while not self._stop.is_set() and self._is_mine():
                self._look(folder)
                is_read = True
                self._note(None)
                self._look_after()
                folder.wait(LOOK_S, self._stop)
        except JournalUnavailable as error:
            self._note(f"it waits for the journal: {error}")
        except TROUBLE as error:
            self._note(words_of(error))
        except Exception as error:
            log.exception("the mailbox could not be read")
            self._note(f"the relay failed on it ({type(error).__name__}; its log has more)")
        finally:
            if folder is not None:
                folder.close()
        return is_read

    def _note(self, problem: str | None) -> None:
        name = self._settings.name
        if problem is None:
            if self._is_reported:
                self._announcer.tell(NoticeKind.STREAM, f"the mailbox {name} is read again")
            elif self.problem is not None:
                log.info("the mailbox %s is read", name)
            self.problem, self._failing_since, self._is_reported = None, None, False
            return
        if problem != self.problem:
            log.warning("the mailbox %s cannot be read: %s", name, problem)
        self.problem = problem
        self._failing_since = self._failing_since or time.monotonic()
        if time.monotonic() - self._failing_since >= _TELL_S and not self._is_reported:
            self._is_reported = True
            self._announcer.tell(
                NoticeKind.STREAM, f"the mailbox {name} cannot be read, alerts come one way: {problem}"
            )

    def _look(self, folder: ImapFolder) -> None:
        """Every mail that is new, the oldest first; after each it is written down how far it was read."""
        mark = self._marks.read_up_to(self._settings.fingerprint)
        if mark is None:
            # What was there before the relay is not executed.
            mark = ReadUpTo(uid_validity=folder.uid_validity, uid=folder.next_uid - 1, at_ms=to_ms(self._now()))
            self._marks.save(self._settings.fingerprint, mark)
        if mark.uid_validity != folder.uid_validity or folder.is_behind(mark.uid):
            log.warning("the mailbox %s was made anew; its mails are told by their moment", self._settings.name)
            since = from_ms(mark.at_ms) - timedelta(milliseconds=PAIR_MS)
            uids, last = folder.since(since), folder.next_uid - 1
        else:
            since, uids, last = None, folder.newer_than(mark.uid), mark.uid
        for fetched in folder.fetch(uids):
            mail = self._read(fetched)
            is_news = mail is not None and (since is None or mail.at >= since)
            if mail is not None and is_news and self._take(folder, fetched, mail) and since is None:
                self._save(folder, fetched.uid)
        # Now and then without any mail, too: so that it is known from when on a folder that is made anew is to be read.
        if uids or since is not None or to_ms(self._now()) - mark.at_ms > _MARK_MS:
            self._save(folder, max([last, *uids]))

    def _read(self, fetched: Fetched) -> Mail | None:
        """Returns None for what holds no alert. One mail that cannot be read must not keep those behind it."""
        if fetched.raw is None:
            return None
        try:
            return read_mail(fetched.raw, internal_date=fetched.internal_date)
        except Exception:
            log.exception("the mail %d of %s could not be read", fetched.uid, self._settings.name)
            text = f"a mail in {self._settings.name} could not be read (number {fetched.uid}); is it an alert?"
            self._announcer.tell(NoticeKind.ATTENTION, text)
            return None

    def _save(self, folder: ImapFolder, uid: int) -> None:
        mark = ReadUpTo(uid_validity=folder.uid_validity, uid=uid, at_ms=to_ms(self._now()))
        self._marks.save(self._settings.fingerprint, mark)

    def _take(self, folder: ImapFolder, fetched: Fetched, mail: Mail) -> bool:
        """Whether it held an alert. Raises JournalUnavailable; then the mail is read again."""
        found = self._alert_in(mail)
        if found is None:
            return False
        if not self._marks.knows(mail.key):
            self._accept(*found, mail)
        folder.mark_seen(fetched.uid)
        return True

    def _alert_in(self, mail: Mail) -> tuple[bytes, str] | None:
        """The alert and its strategy: the first text that proves its sender and is valid, else that proves it."""
        first: tuple[bytes, str] | None = None
        for text in mail.texts:
            body = text.encode("utf-8", "replace")
            senders, is_valid, named = self._intake.senders_of(body)
            if senders:
                strategy = _strategy(senders, named, mail.subject)
                first = first or (body, strategy)
                if is_valid:
                    return body, strategy
        return first

    def _accept(self, body: bytes, strategy: str, mail: Mail) -> None:
        use = self._uses.get(strategy, MailboxUse.ALL)
        if use is MailboxUse.OFF:
            return
        if use is MailboxUse.ONLY_EXITS and not self._intake.can_only_exit(body, strategy):
            log.info("a mail's alert of %s is left to its webhook: mailbox = only_exits", strategy)
            return
        said = f" ({mail.dkim}, as the mailbox's server says)" if mail.dkim else ""
        mailed = MailedAlert(message=mail.key, at=mail.at, note=f"by mail, from {mail.sender or 'nobody named'}{said}")
        try:
            receipt = self._intake.take(body, strategy=strategy, credentials=Credentials(), mail=mailed)
            metrics.mails.labels("duplicate" if receipt.is_duplicate else "accepted").inc()
        except AlertRejected as rejected:
            metrics.mails.labels(rejected.error.code).inc()
        except AlertError as error:
            log.warning("a mail's alert was not taken: %s", error)

    def _look_after(self) -> None:
        now_ms = to_ms(self._now())
        for lost in self._marks.take_only_by_mail(now_ms):
            self._announcer.tell(NoticeKind.CHAIN, _only_by_mail(lost))
        if time.monotonic() - self._forgotten_at > _FORGET_S:
            self._forgotten_at = time.monotonic()
            self._marks.forget(now_ms)


def _strategy(senders: Iterable[str], named: str | None, subject: str) -> str:
    """Of several that the secret proves: the one that the alert names, or the subject; else the first one."""
    found = list(senders)
    if named in found:
        return str(named)
    words = subject.lower().replace(":", " ").split()
    return next((each for each in found if each != NAME and each.lower() in words), NAME if NAME in found else found[0])


def _only_by_mail(lost: OnlyByMail) -> str:
    alert = " ".join(filter(None, (lost.symbol, lost.action))) or "an alert"
    return f"{alert} of {lost.strategy} came only by mail, its webhook was lost ({lost.status}) [{lost.signal_id}]"


# A mail as an alert's envelope: when a server took it, who it claims to be from, and the texts that may be one.


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
_STARRED: Final = re.compile(r";[^;]*\*[^;]*")
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
    """What reads a header's parameters takes ever longer for a long one, and fails on some with a `*` (RFC 2231): these
    are left out."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, Any]:
        name, value = super().header_source_parse(sourcelines)
        value = value[:_HEADER_MAX]
        if "*" in value and name.lower().startswith("content-"):
            message = Message()
            message["Content-Type"] = value
            try:
                message.get_params()
            except (TypeError, ValueError):
                value = _STARRED.sub("", value)
        return name, value


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
            if moment.tzinfo is not None:
                moments.append(moment.astimezone(UTC))  # which a day at the calendar's end does not bear
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
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
    except (LookupError, ValueError):
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
