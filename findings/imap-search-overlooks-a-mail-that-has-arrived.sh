#!/usr/bin/env bash
# With Dovecot 2.3.19.1 a UID SEARCH does not find a mail that arrived a second before, nor does its answer tell that there is one.
#
# Version: Dovecot 2.3.19.1 (Debian 12), Python's imaplib
#
# Guess: a search looks at the mailbox as it is; at the least its answer carries `* 1 EXISTS`.
#
# Behaviour: it answers from what the session saw last, without a word of the new mail. Only a command that brings the
#   session up to date, such as NOOP or IDLE, tells of it; after a NOOP the search finds it.
#
# Why it matters to a relay from TradingView to Bybit: a relay that reads alerts from a mailbox by searching every few
#   seconds sees each of them one round late, or, where it searches once and then waits, only with the next mail. NOOP
#   before each search.
#
# Output seen, which is what this script compares with:
#> search:                   [b'']
#> told along:               [None]
#> IDLE begins:              b'+ idling'
#> news within 4 s of IDLE:  b'* 1 EXISTS'
#> with a NOOP before it:    [b'1 2']
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
timeout 120 apt-get download -qq dovecot-core=1:2.3.19.1+dfsg1-2.1+deb12u7 dovecot-imapd=1:2.3.19.1+dfsg1-2.1+deb12u7
for package in *.deb; do dpkg -x "$package" root; done
cd - >/dev/null
"${PYTHON:-python3}" -m venv "$folder/venv"

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

client = imaplib.IMAP4("127.0.0.1", PORT, timeout=20)
client.select("INBOX")
client.untagged_responses.clear()
deliver("1")
time.sleep(1)
print("search:                  ", client.uid("SEARCH", "UID 1:*")[1])
print("told along:              ", client.response("EXISTS")[1])
client.send(b"x1 IDLE\r\n")
print("IDLE begins:             ", client.readline().strip())
client.sock.settimeout(4)
try:
    news = client.readline().strip()
except TimeoutError:
    news = "none"
print("news within 4 s of IDLE: ", news)
client.shutdown()
client = imaplib.IMAP4("127.0.0.1", PORT, timeout=20)
client.select("INBOX")
deliver("2")
time.sleep(1)
client.noop()
print("with a NOOP before it:   ", client.uid("SEARCH", "UID 1:*")[1])
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
