#!/usr/bin/env bash
# wsproto 1.3.2 hands out one text message in as many events as there were reads from the network, and half a letter never.
#
# Version: wsproto 1.3.2
#
# Guess: a TextMessage event is a message, or at least a whole frame.
#
# Behaviour: what a read brought is an event at once: an order of one frame that arrives in two packets is two
#   TextMessages, with `message_finished` False on the first. A letter of two bytes that is cut by the packets comes
#   whole, with the second.
#
# Why it matters to a relay from TradingView to Bybit: `json.loads(event.data)` works in every test on one machine,
#   and fails for the first order row that crosses a packet's end, which is most likely when many orders change at
#   once. Collect until `message_finished`.
#
# Output seen, which is what this script compares with:
#> packets of 19 and 0 bytes: [('{"symbol": "ÖL"}', True, True)]
#> packets of 10 and 9 bytes: [('{"symbol', False, False), ('": "ÖL"}', True, True)]
#> packets of 15 and 4 bytes: [('{"symbol": "', False, False), ('ÖL"}', True, True)]
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check wsproto==1.3.2

cat >"$folder/check.py" <<'END'
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage

client, server = WSConnection(ConnectionType.CLIENT), WSConnection(ConnectionType.SERVER)
server.receive_data(client.send(Request(host="127.0.0.1", target="/")))
list(server.events())
client.receive_data(server.send(AcceptConnection()))
list(client.events())
frame = server.send(TextMessage(data='{"symbol": "ÖL"}'))
for cut in (len(frame), 10, 15):
    pieces = []
    for packet in (frame[:cut], frame[cut:]):
        client.receive_data(packet)
        pieces += [(event.data, event.frame_finished, event.message_finished) for event in client.events()]
    print(f"packets of {cut} and {len(frame) - cut} bytes:", pieces)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
