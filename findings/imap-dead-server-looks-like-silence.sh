#!/usr/bin/env bash
# In imap-tools 1.16.0 and IMAPClient 4.1.0 a server that has gone looks like a mailbox without news, told thousands of times a second.
#
# Version: imap-tools 1.16.0, IMAPClient 4.1.0, Dovecot 2.3.19.1 (Debian 12)
#
# Guess: when the server closes the connection during IDLE, the wait raises.
#
# Behaviour: `poll()` and `idle_check()` return an empty list at once, again and again: the closed socket is
#   "readable", and the end of the stream is taken for nothing to tell. Only the end of IDLE raises.
#
# Why it matters to a relay from TradingView to Bybit: a loop that waits in IDLE for alerts takes a whole core and
#   never learns that the mailbox is lost. Treat an empty answer that came early as a lost connection.
#
# Output seen, which is what this script compares with:
#> imap-tools: over 1,000 answers in a second, all empty: True - ending IDLE: abort
#> IMAPClient: over 1,000 answers in a second, all empty: True - ending IDLE: abort
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

from imap_tools import MailBoxUnencrypted
from imapclient import IMAPClient


def tries(look):
    """How often it answers in a second, and whether always with nothing."""
    until, answers = time.monotonic() + 1, []
    while time.monotonic() < until:
        answers.append(look())
    return f"{'over 1,000' if len(answers) > 1000 else 'few'} answers in a second, all empty: {not any(answers)}"


def end(finish):
    try:
        finish()
    except (imaplib.IMAP4.abort, OSError) as error:
        return type(error).__name__
    return "no error"


box = MailBoxUnencrypted("127.0.0.1", PORT, timeout=20)
box.folder.set("INBOX")
box.idle.start()
sessions[-1].kill()
time.sleep(0.5)
print("imap-tools:", tries(lambda: box.idle.poll(timeout=5)), "- ending IDLE:", end(box.idle.stop))
client = IMAPClient("127.0.0.1", PORT, ssl=False, timeout=20)
client.select_folder("INBOX")
client.idle()
sessions[-1].kill()
time.sleep(0.5)
print("IMAPClient:", tries(lambda: client.idle_check(timeout=5)), "- ending IDLE:", end(client.idle_done))
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
