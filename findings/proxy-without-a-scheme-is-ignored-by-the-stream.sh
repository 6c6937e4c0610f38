#!/usr/bin/env bash
# HTTPS_PROXY=host:port, without `http://`, is a proxy for requests and none for websocket-client.
#
# Version: pybit 5.17.0, requests 2.34.2, websocket-client 1.9.2
#
# Guess: both take the short spelling, or both complain about it.
#
# Behaviour: requests puts `http://` in front. websocket-client parses it as a URL, finds no host in it, and connects
#   directly, without a word.
#
# Why it matters to a relay from TradingView to Bybit: the short spelling works for orders, so nobody doubts it; the
#   private stream meanwhile comes from another address than the key is bound to, or from nowhere, and a relay waits
#   for fills that are told to nobody.
#
# Output seen, which is what this script compares with:
#> HTTPS_PROXY=http://127.0.0.1:PORT
#>     REST   asked the proxy: CONNECT api.bybit.com:443
#>     stream asked the proxy: CONNECT stream.bybit.com:443
#> HTTPS_PROXY=127.0.0.1:PORT
#>     REST   asked the proxy: CONNECT api.bybit.com:443
#>     stream asked the proxy: nothing (ConnectionRefusedError)
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pybit==5.17.0 requests==2.34.2 websocket-client==1.9.2

cat >"$folder/check.py" <<'END'
import logging
import os
import socket
import threading

import websocket
from pybit.unified_trading import HTTP

logging.disable()
proxy = socket.create_server(("127.0.0.1", 0))
port = proxy.getsockname()[1]
heard = []


def refuse_all():
    """A proxy that writes down what it is asked for, and lets nothing through."""
    while True:
        connection, _ = proxy.accept()
        try:
            first = connection.recv(4096)
            is_tls = first[:1] == b"\x16"
            heard.append("a TLS handshake" if is_tls else first.split(b" HTTP/")[0].decode("latin-1"))
            connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        except OSError:
            pass
        connection.close()


threading.Thread(target=refuse_all, daemon=True).start()


# Without the proxy nothing leaves this machine: names resolve to a closed port of its own.
def resolve(host, port_, *rest, **more):
    known = host if host in ("127.0.0.1", b"127.0.0.1") else "127.0.0.1"
    return real_resolve(known, port if known == host else 9, *rest, **more)


real_resolve = socket.getaddrinfo
socket.getaddrinfo = resolve


def ask(**environment):
    """Both halves of a Bybit client with these variables set: REST by pybit, a stream by websocket-client."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(environment)
    print(", ".join(f"{name}={value.replace(str(port), 'PORT')}" for name, value in environment.items()))
    for words, connect in (
        ("REST  ", lambda: HTTP(max_retries=1, timeout=5).get_server_time()),
        ("stream", lambda: websocket.create_connection("wss://stream.bybit.com/v5/private", timeout=5)),
    ):
        heard.clear()
        try:
            connect()
        except Exception as error:
            outcome = type(error).__name__
        print("   ", words, "asked the proxy:", heard[0] if heard else f"nothing ({outcome})")

ask(HTTPS_PROXY=f"http://127.0.0.1:{port}")
ask(HTTPS_PROXY=f"127.0.0.1:{port}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
