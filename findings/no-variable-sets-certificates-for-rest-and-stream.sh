#!/usr/bin/env bash
# No environment variable makes both halves of a pybit client trust another certificate authority, and REQUESTS_CA_BUNDLE neither.
#
# Version: pybit 5.17.0, requests 2.34.2, websocket-client 1.9.2, certifi 2026.10.18
#
# Guess: pybit sits on requests, so REQUESTS_CA_BUNDLE holds for its REST calls; SSL_CERT_FILE holds for the stream.
#
# Behaviour: `requests.get` honours REQUESTS_CA_BUNDLE, and pybit does not: it prepares requests and calls
#   `Session.send`, which reads no such variable. The stream honours SSL_CERT_FILE and WEBSOCKET_CLIENT_CA_BUNDLE. For
#   pybit's REST nothing does; `session.client.verify` has to be set in code.
#
# Why it matters to a relay from TradingView to Bybit: behind a proxy that inspects TLS, as companies have them, the
#   documented variable of requests is set, curl and requests work, and a bot on pybit cannot reach the exchange at
#   all.
#
# Output seen, which is what this script compares with:
#>                             requests.get  pybit REST    stream
#> nothing                     refused       refused       refused
#> REQUESTS_CA_BUNDLE          trusted       refused       refused
#> CURL_CA_BUNDLE              trusted       refused       refused
#> SSL_CERT_FILE               refused       refused       trusted
#> WEBSOCKET_CLIENT_CA_BUNDLE  refused       refused       trusted
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pybit==5.17.0 requests==2.34.2 websocket-client==1.9.2 certifi==2026.10.18 trustme==1.2.1

cat >"$folder/check.py" <<'END'
import http.server
import logging
import os
import ssl
import threading

import requests
import trustme
import websocket
from pybit.unified_trading import HTTP

logging.disable()
authority = trustme.CA()
bundle = os.path.join(os.path.dirname(__file__), "authority.pem")
authority.cert_pem.write_to_path(bundle)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
authority.issue_cert("localhost").configure_cert(context)


class Exchange(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = b'{"retCode": 0, "retMsg": "OK", "result": {}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass


server = Server(("127.0.0.1", 0), Exchange)
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
host = f"localhost:{server.server_port}"
NAMES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "WEBSOCKET_CLIENT_CA_BUNDLE")


def trusts(connect):
    try:
        connect()
    except (requests.exceptions.SSLError, ssl.SSLError):
        return "refused"
    except websocket.WebSocketBadStatusException:
        return "trusted"  # TLS was fine; this server speaks no WebSocket
    return "trusted"


def rest():
    session = HTTP(max_retries=1)
    session.endpoint = f"https://{host}"
    session.get_server_time()


print(f"{'':28}{'requests.get':14}{'pybit REST':14}{'stream'}")
for name in ("nothing", *NAMES):
    for other in NAMES:
        os.environ.pop(other, None)
    if name in NAMES:
        os.environ[name] = bundle
    results = (
        trusts(lambda: requests.get(f"https://{host}", timeout=5)),
        trusts(rest),
        trusts(lambda: websocket.create_connection(f"wss://{host}", timeout=5)),
    )
    print(f"{name:28}{results[0]:14}{results[1]:14}{results[2]}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
