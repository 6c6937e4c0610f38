#!/usr/bin/env bash
# In websocket-client 1.9.2 the server's orderly close is an empty message, and what is sent afterwards seems to be sent.
#
# Version: websocket-client 1.9.2
#
# Guess: `recv()` raises WebSocketConnectionClosedException when the server closes, whether with a close frame or
#   without one; `send()` then raises, too.
#
# Behaviour: after a close frame `recv()` returns "" once. `connected` is False, and yet `send()` returns a length as
#   if all were well. Only a cut without a close frame raises in `recv()`.
#
# Why it matters to a relay from TradingView to Bybit: exchanges close their streams in order for maintenance. A loop
#   that skips empty messages, or takes the error of `json.loads("")` for a bad message, goes on waiting on a dead
#   stream, and its pings "succeed".
#
# Output seen, which is what this script compares with:
#> close frame: ['one', ''] - connected: False
#>     send afterwards returns 20
#> cut: ['one', 'WebSocketConnectionClosedException'] - connected: False
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check websocket-client==1.9.2 websockets==15.0.1

cat >"$folder/check.py" <<'END'
import socket
import threading

import websocket
from websockets.sync.server import serve


def closes_in_order(connection):
    connection.send("one")
    connection.close()


def cuts(connection):
    connection.send("one")
    connection.socket.shutdown(socket.SHUT_RDWR)


for words, behave in (("close frame:", closes_in_order), ("cut:", cuts)):
    with serve(behave, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = websocket.create_connection(f"ws://127.0.0.1:{server.socket.getsockname()[1]}", timeout=5)
        told = []
        for _ in range(2):
            try:
                told.append(client.recv())
            except websocket.WebSocketException as error:
                told.append(type(error).__name__)
        print(words, told, "- connected:", client.connected)
        if behave is closes_in_order:
            print("    send afterwards returns", client.send('{"op": "ping"}'))
        server.shutdown()
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
