"""Watches the mailbox: each new mail with an alert is taken as a webhook's, and marked seen once it is durable."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final

from relay.alerts.authenticate import Credentials
from relay.app import metrics
from relay.domain.notice import NoticeKind
from relay.errors import AlertError, JournalUnavailable
from relay.execution.accept import AlertRejected, Intake, MailedAlert
from relay.execution.notices import Announcer
from relay.execution.ports import Now, from_ms, to_ms, utc_now
from relay.journal.copies import PAIR_MS, Mailboxes, OnlyByMail, ReadUpTo
from relay.mailbox.imap import TROUBLE, Fetched, ImapFolder, words_of
from relay.mailbox.message import Mail, read_mail
from relay.settings.config import NAME
from relay.settings.environment import MailboxSettings, MailboxUse

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
