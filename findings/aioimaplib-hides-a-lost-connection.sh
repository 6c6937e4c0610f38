#!/usr/bin/env bash
# In aioimaplib 2.0.3 a server that dies during IDLE is noticed by nothing: the wait ends at its usual time, and the state stays SELECTED.
#
# Version: aioimaplib 2.0.3, Dovecot 2.3.19.1 (Debian 12)
#
# Guess: asyncio tells the protocol at once that the connection is lost, so `wait_server_push` raises, or the state
#   changes.
#
# Behaviour: `wait_server_push` gives `stop_wait_server_push` when IDLE's own time is over, just as in a quiet night.
#   `get_state()` is SELECTED, `has_pending_idle()` is True. The next command waits for its whole timeout, and then
#   raises TimeoutError.
#
# Why it matters to a relay from TradingView to Bybit: alerts by mail stop without a sign. Only a command with a
#   timeout after each IDLE shows that the mailbox is gone.
#
# Output seen, which is what this script compares with:
#> alive: [b'1 EXISTS', b'1 RECENT']
#> dead:  [b'stop_wait_server_push'] at the end of IDLE
#> state: SELECTED - IDLE pending: True
#> NOOP:  TimeoutError
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check aioimaplib==2.0.3
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

import asyncio

import aioimaplib


async def main():
    client = aioimaplib.IMAP4(host="127.0.0.1", port=PORT, timeout=3)
    await client.wait_hello_from_server()
    await client.select("INBOX")
    await client.idle_start(timeout=6)
    deliver("1")
    print("alive:", await client.wait_server_push())
    sessions[-1].kill()
    begun = time.monotonic()
    print("dead: ", await client.wait_server_push(), "after a second" if time.monotonic() - begun < 2 else "at the end of IDLE")
    print("state:", client.get_state(), "- IDLE pending:", client.has_pending_idle())
    client.idle_done()
    try:
        await client.noop()
    except Exception as error:
        print("NOOP: ", type(error).__name__)


asyncio.run(main())
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
