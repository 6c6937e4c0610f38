#!/usr/bin/env bash
# imap-tools 1.16.0 and IMAPClient 4.1.0 wait in IDLE for a mail that the server has told them of already.
#
# Version: imap-tools 1.16.0, IMAPClient 4.1.0, Dovecot 2.3.19.1 (Debian 12)
#
# Guess: a mail that arrives between the last command and IDLE is told at once by the wait, since the server says `* 1
#   EXISTS` as soon as IDLE begins.
#
# Behaviour: the server does, in the same packet as the `+ idling` that confirms the start. Both libraries read the
#   confirmation through a buffered file, which takes the rest of the packet along, and then poll the bare socket,
#   which has nothing more: the wait lasts its whole time and returns nothing. Once IDLE has begun, a mail is told
#   within a moment.
#
# Why it matters to a relay from TradingView to Bybit: TradingView's alerts by e-mail as the second way in: an alert
#   that arrives in the wrong tenth of a second is seen only when IDLE is renewed, up to half an hour later by the
#   usual setting. Look into the buffer after starting IDLE, or search again whatever IDLE returned and renew it
#   often.
#
# Output seen, which is what this script compares with:
#> imap-tools, mail before IDLE: [] after the whole time
#> imap-tools, mail during IDLE: [b'* 2 EXISTS'] at once
#> IMAPClient, mail before IDLE: [] after the whole time
#> IMAPClient, mail during IDLE: [(3, b'EXISTS'), (4, b'EXISTS')] at once
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

from imap_tools import MailBoxUnencrypted
from imapclient import IMAPClient

WAIT_S = 4


def timed(wait):
    begun = time.monotonic()
    found = wait()
    return f"{found} {'after the whole time' if time.monotonic() - begun > WAIT_S - 0.5 else 'at once'}"


box = MailBoxUnencrypted("127.0.0.1", PORT, timeout=20)
box.folder.set("INBOX")
deliver("1")
print("imap-tools, mail before IDLE:", timed(lambda: box.idle.wait(timeout=WAIT_S)))
threading.Timer(1, deliver, ("2",)).start()
print("imap-tools, mail during IDLE:", timed(lambda: [each for each in box.idle.wait(timeout=WAIT_S) if b"EXISTS" in each]))
client = IMAPClient("127.0.0.1", PORT, ssl=False, timeout=20)
client.select_folder("INBOX")
deliver("3")
client.idle()
print("IMAPClient, mail before IDLE:", timed(lambda: client.idle_check(timeout=WAIT_S)))
threading.Timer(1, deliver, ("4",)).start()
print("IMAPClient, mail during IDLE:", timed(lambda: [each for each in client.idle_check(timeout=WAIT_S) if b"EXISTS" in each]))
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
