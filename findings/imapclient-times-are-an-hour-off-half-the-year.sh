#!/usr/bin/env bash
# IMAPClient 4.1.0 gives a mail's time without a zone, in the offset that this machine has today, not in the one of the mail's day.
#
# Version: IMAPClient 4.1.0, Dovecot 2.3.19.1 (Debian 12)
#
# Guess: INTERNALDATE comes as an aware time, or as the local time of that moment.
#
# Behaviour: with the default `normalise_times=True` it is naive and converted by the system's offset of *now*: of two
#   mails, in January and in July, one is an hour off from local time in every zone with summer time. `normalise_times
#   = False` gives aware times, which are right.
#
# Why it matters to a relay from TradingView to Bybit: an entry is executed or refused by the age of its alert. Read
#   with the naive time as local time, an alert from before the change of clocks is an hour too old or too young.
#
# Output seen, which is what this script compares with:
#> by default:            zone {None} - seconds off local time, in all: 3600.0
#> normalise_times=False: zone told: True - right: True
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check IMAPClient==4.1.0
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
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

os.environ["TZ"] = "Europe/Berlin"
time.tzset()
raw = imaplib.IMAP4("127.0.0.1", PORT, timeout=20)
for date in ('"15-Jan-2026 12:00:00 +0000"', '"15-Jul-2026 12:00:00 +0000"'):
    raw.append("INBOX", "", date, b"Subject: alert\r\n\r\nbuy\r\n")

from imapclient import IMAPClient

client = IMAPClient("127.0.0.1", PORT, ssl=False, timeout=20)
client.select_folder("INBOX", readonly=True)
right = [datetime(2026, month, 15, 12, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin")) for month in (1, 7)]
naive = [each[b"INTERNALDATE"] for each in client.fetch([1, 2], ["INTERNALDATE"]).values()]
client.normalise_times = False
aware = [each[b"INTERNALDATE"] for each in client.fetch([1, 2], ["INTERNALDATE"]).values()]
errors = [abs((told - moment.replace(tzinfo=None)).total_seconds()) for told, moment in zip(naive, right, strict=True)]
print("by default:            zone", {each.tzinfo for each in naive}, "- seconds off local time, in all:", sum(errors))
print("normalise_times=False: zone told:", all(each.tzinfo for each in aware), "- right:", aware == right)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
