"""A real Dovecot of the tests' own: IMAP with a login, on 127.0.0.1, over Maildirs."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote

from tests.ports import free_port

DOVECOT = shutil.which("dovecot") or "/usr/sbin/dovecot"
HAS_DOVECOT = Path(DOVECOT).exists()
USER, PASSWORD = "alerts@example.org", "pass/word+1"
DEADLINE_S = 60

_CONF = """
base_dir = {home}/run
state_dir = {home}/run
log_path = {home}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{home}/mail
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
stats_writer_socket_path =
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class MailServer:
    """`deliver` is what any delivery into a Maildir does; each session is a process, as Dovecot has it."""

    def __init__(self, home: Path) -> None:
        """`home`: where another user may go, which is nowhere below pytest's own folder: that is closed at each run."""
        self.home, self.port = home, free_port()
        self._owner = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True, exist_ok=True)
        for name in ("new", "cur", "tmp"):
            (home / "mail" / name).mkdir(parents=True, exist_ok=True)
        (home / "log").touch()
        for path in (home, home / "log", home / "mail", *(home / "mail").iterdir()):
            self._own(path)
        group = subprocess.run(["id", "-gn", self._owner.pw_name], capture_output=True, text=True).stdout.strip()
        (home / "dovecot.conf").write_text(
            _CONF.format(
                home=home,
                uid=self._owner.pw_uid,
                gid=self._owner.pw_gid,
                user=self._owner.pw_name,
                group=group,
                password=PASSWORD,
                port=self.port,
            )
        )

    def _own(self, path: Path) -> None:
        if os.getuid() == 0:
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid)

    @property
    def url(self) -> str:
        return f"imap://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/INBOX"

    def start(self) -> None:
        # What was killed may not be quite gone yet, and Dovecot starts at no socket that still answers.
        for left in (self.home / "run").glob("*"):
            if left.is_socket():
                left.unlink(missing_ok=True)
        command = [DOVECOT, "-F", "-c", str(self.home / "dovecot.conf")]
        self._process = subprocess.Popen(command, start_new_session=True)
        until = time.monotonic() + DEADLINE_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as greeted:
                greeted.settimeout(DEADLINE_S)
                if greeted.recv(200).startswith(b"* OK"):
                    return
            assert time.monotonic() < until and self._process.poll() is None, (self.home / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """Every session is cut, as a crash of the machine does it."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_S)

    def cut(self) -> None:
        """Connections alone: the server goes on and takes new ones."""
        self.stop()
        self.start()

    def deliver(self, mail: bytes) -> None:
        path = self.home / "mail" / "tmp" / f"{time.time_ns()}.{next(self._numbers)}.tests"
        path.write_bytes(mail)
        self._own(path)
        path.rename(self.home / "mail" / "new" / path.name)

    def seen(self) -> int:
        """How many mails are marked as seen."""
        return sum("S" in each.name.partition(":2,")[2] for each in (self.home / "mail" / "cur").iterdir())

    def made_anew(self) -> None:
        """The folder gets another UIDVALIDITY, with all its mails. While the server is stopped."""
        for index in (self.home / "mail").glob("dovecot*"):
            index.unlink()


_KEYS = itertools.count()


def mail(
    text: str,
    *,
    at: datetime | None = None,
    subject: str = "Alert: trend",
    kind: str = "plain",
    headers: str = "",
    key: str = "",
) -> bytes:
    """As TradingView sends them: from noreply@tradingview.com, the alert's name behind "Alert:" in the subject."""
    moment = format_datetime(at or datetime.now(UTC))
    message_id = key or f"{time.time_ns()}.{next(_KEYS)}@tradingview.com"
    return (
        f"Received: by mx.example.org with LMTP; {moment}\n"
        f"Authentication-Results: mx.example.org; dkim=pass header.d=tradingview.com; spf=pass\n"
        f"Received: from mail.tradingview.com by mx.example.org; {moment}\n"
        f"{headers}From: TradingView <noreply@tradingview.com>\nTo: {USER}\nSubject: {subject}\n"
        f"Message-ID: <{message_id}>\nMIME-Version: 1.0\nContent-Type: text/{kind}; charset=utf-8\n\n{text}\n"
    ).encode()
