#!/usr/bin/env bash
# imap-tools 1.16.0's `text` of a mail is all its text parts in one, without so much as a line break between, those of a forwarded mail inside as well.
#
# Version: imap-tools 1.16.0, Dovecot 2.3.19.1 (Debian 12)
#
# Guess: `text` is the mail's body: its first text part, or the parts one below the other; a mail that is attached
#   stays an attachment.
#
# Behaviour: message and footer of a mailing list or a company become one word; of a forwarded mail the attached one's
#   text is appended to what the sender wrote.
#
# Why it matters to a relay from TradingView to Bybit: an alert in JSON with a footer glued to it is no JSON any more,
#   and `qty=1` and a footer that begins with a digit are another quantity. Walk through the parts instead.
#
# Output seen, which is what this script compares with:
#> alert  'buy BTCUSDT qty=124 hours a day at your service'
#> Fwd    'do not do this:sell BTCUSDT qty=2'
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

FOOTER = """Subject: alert
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=B

--B
Content-Type: text/plain

buy BTCUSDT qty=1
--B
Content-Type: text/plain

24 hours a day at your service
--B--
"""
FORWARDED = """Subject: Fwd
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=B

--B
Content-Type: text/plain

do not do this:
--B
Content-Type: message/rfc822

Subject: alert

sell BTCUSDT qty=2
--B--
"""
raw = imaplib.IMAP4("127.0.0.1", PORT, timeout=20)
for mail in (FOOTER, FORWARDED):
    raw.append("INBOX", "", None, mail.replace("\n", "\r\n").encode())
box = MailBoxUnencrypted("127.0.0.1", PORT, timeout=20)
box.folder.set("INBOX")
for mail in box.fetch(mark_seen=False):
    print(f"{mail.subject:6} {mail.text!r}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
