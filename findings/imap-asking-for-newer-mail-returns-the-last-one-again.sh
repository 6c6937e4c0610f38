#!/usr/bin/env bash
# Asking an IMAP mailbox for every mail from number 6 on, when the last is 5, returns number 5.
#
# Version: imap-tools 1.16.0, IMAPClient 4.1.0, Dovecot 2.3.19.1 (Debian 12)
#
# Guess: `UID 6:*` with nothing newer is an empty answer.
#
# Behaviour: `*` is the last mail's number, and a range has no direction: `6:*` is `5:6`, and `100:*` as well. Neither
#   library takes that into account. In an empty mailbox the answer is empty.
#
# Why it matters to a relay from TradingView to Bybit: "fetch from the last number plus one" is how alerts by mail are
#   followed, and each look without news brings the last alert once more. Keep only numbers that are greater than the
#   last one.
#
# Output seen, which is what this script compares with:
#> mails: 0
#>     UID 6:* by imap-tools [], by IMAPClient []
#>     UID 100:* by imap-tools [], by IMAPClient []
#> mails: 5
#>     UID 6:* by imap-tools ['5'], by IMAPClient [5]
#>     UID 100:* by imap-tools ['5'], by IMAPClient [5]
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check imap-tools==1.16.0 IMAPClient==4.1.0
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

from imap_tools import AND, MailBoxUnencrypted, U
from imapclient import IMAPClient

raw = imaplib.IMAP4("127.0.0.1", PORT, timeout=20)
box = MailBoxUnencrypted("127.0.0.1", PORT, timeout=20)
for count in (0, 5):
    for _ in range(count):
        raw.append("INBOX", "", None, b"Subject: alert\r\n\r\nbuy\r\n")
    box.folder.set("INBOX")
    client = IMAPClient("127.0.0.1", PORT, ssl=False, timeout=20)
    client.select_folder("INBOX")
    print(f"mails: {count}")
    for first in ("6", "100"):
        found = [mail.uid for mail in box.fetch(AND(uid=U(first, "*")), mark_seen=False)]
        print(f"    UID {first}:* by imap-tools {found}, by IMAPClient {client.search(['UID', f'{first}:*'])}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
