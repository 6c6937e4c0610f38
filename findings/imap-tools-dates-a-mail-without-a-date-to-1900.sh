#!/usr/bin/env bash
# imap-tools 1.16.0 dates a mail without a readable Date header to 1 January 1900, and without a zone.
#
# Version: imap-tools 1.16.0, Dovecot 2.3.19.1 (Debian 12)
#
# Guess: `date` is None where there is none, or the time at which the server took the mail.
#
# Behaviour: `datetime(1900, 1, 1)`, naive, while mails with a Date are aware. Neither tells of the other: sorting
#   both raises TypeError.
#
# Why it matters to a relay from TradingView to Bybit: the age of an alert decides about an entry. 126 years is too
#   old, so an alert is dropped for a header that some gateway did not write; or the comparison with an aware now
#   raises. The server's INTERNALDATE is always there.
#
# Output seen, which is what this script compares with:
#> Mon, 30 Nov 2026 12:00:00 +0000  datetime.datetime(2026, 11, 30, 12, 0, tzinfo=datetime.timezone.utc)
#> no Date header                   datetime.datetime(1900, 1, 1, 0, 0)
#> today                            datetime.datetime(1900, 1, 1, 0, 0)
#> sorted by date: TypeError: can't compare offset-naive and offset-aware datetimes
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check imap-tools==1.16.0
cd "$folder"
timeout 120 apt-get download -qq dovecot-core=1:2.3.19.1+dfsg1-2.1+deb12u7 dovecot-imapd=1:2.3.19.1+dfsg1-2.1+deb12u7
for package in *.deb; do dpkg -x "$package" root; done
cd - >/dev/null

cat >"$folder/check.py" <<'END'
import os
import pwd
import socket
import subprocess
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
LIBRARIES = HERE / "root/usr/lib/dovecot"
MAIL = HERE / "mail"
owner = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
for name in ("new", "cur", "tmp"):
    (MAIL / name).mkdir(parents=True)
(HERE / "run").mkdir()
(HERE / "log").touch()
if os.getuid() == 0:  # Dovecot opens no mail as root
    HERE.chmod(0o711)
    for path in (MAIL, *MAIL.iterdir(), HERE / "run", HERE / "log"):
        os.chown(path, owner.pw_uid, owner.pw_gid)
(HERE / "dovecot.conf").write_text(
    f"""
log_path = {HERE}/log
base_dir = {HERE}/run
mail_location = maildir:{MAIL}
mail_plugin_dir = {LIBRARIES}/modules
mail_uid = {owner.pw_uid}
mail_gid = {owner.pw_gid}
first_valid_uid = 1
first_valid_gid = 1
stats_writer_socket_path =
ssl = no
"""
)
sessions = []


def serve():
    """Dovecot's own imap process for each connection, logged in already."""
    while True:
        connection, _ = listener.accept()
        command = [HERE / "root/usr/bin/doveconf", "-c", HERE / "dovecot.conf", "-m", "imap", "-e", LIBRARIES / "imap"]
        environment = {"USER": "relay", "HOME": str(HERE), "LD_LIBRARY_PATH": str(LIBRARIES)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        imap = subprocess.Popen(command, env=environment, bufsize=0, **pipes)
        sessions.append(imap)
        threading.Thread(target=to_dovecot, args=(connection, imap), daemon=True).start()
        threading.Thread(target=from_dovecot, args=(connection, imap), daemon=True).start()


def to_dovecot(connection, imap):
    try:
        while received := connection.recv(65536):
            imap.stdin.write(received)
        imap.stdin.close()
    except OSError:
        pass


def from_dovecot(connection, imap):
    try:
        while told := imap.stdout.read(65536):
            connection.sendall(told)
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


listener = socket.create_server(("127.0.0.1", 0))
PORT = listener.getsockname()[1]
threading.Thread(target=serve, daemon=True).start()


def deliver(name, subject="alert"):
    """A mail, as any delivery into a Maildir does it."""
    path = MAIL / "tmp" / name
    path.write_text(f"From: a@example.org\nSubject: {subject}\n\nbuy\n")
    if os.getuid() == 0:
        os.chown(path, owner.pw_uid, owner.pw_gid)
    path.rename(MAIL / "new" / name)

import imaplib

from imap_tools import MailBoxUnencrypted

raw = imaplib.IMAP4("127.0.0.1", PORT, timeout=20)
for header in ("Date: Mon, 30 Nov 2026 12:00:00 +0000\r\n", "", "Date: today\r\n"):
    raw.append("INBOX", "", None, f"Subject: alert\r\n{header}\r\nbuy\r\n".encode())
box = MailBoxUnencrypted("127.0.0.1", PORT, timeout=20)
box.folder.set("INBOX")
mails = list(box.fetch(mark_seen=False))
for mail in mails:
    print(f"{mail.date_str or 'no Date header':32} {mail.date!r}")
try:
    sorted(mails, key=lambda mail: mail.date)
except TypeError as error:
    print("sorted by date: TypeError:", error)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
