"""One session with an IMAP server: which mails are new, what they say, that one was read, and waiting for the next."""

from __future__ import annotations

import contextlib
import imaplib
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from typing import Final, cast

from imap_tools import BaseMailBox, MailBox, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError, MailboxFolderSelectError, MailboxLoginError

from relay.settings.environment import MailboxSettings

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
