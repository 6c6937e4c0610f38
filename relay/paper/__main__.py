"""`python -m relay.paper --port PORT`: the paper exchange on its own, on 127.0.0.1."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from relay.paper.account import Credentials, KeysIncomplete, load_credentials
from relay.paper.exchange import Exchange, Feed
from relay.paper.server import Server, create_app
from relay.paper.state import TABLE

DEFAULT_MARKET = "https://api.bybit.com"
STDIN = 0
WATCH_S = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT, with `--parent-pipe` until SIGTERM or the end of stdin.

    Returns 0, or 2 if it cannot start.
    """
    options = _parse(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # With a parent, Ctrl-C reaches both: the parent may still have orders to finish, and its end ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN if options.parent_pipe else lambda *_: stop.set())
    if options.parent_pipe:
        _die_with_parent(stop)
    try:
        credentials = load_credentials()
        exchange = Exchange(options.state, credentials, options.instruments)
        server = Server(options.port, create_app(exchange))
    except (KeysIncomplete, ValueError, KeyError, OSError, OverflowError, sqlite3.Error) as error:
        sys.stderr.write(f"paper exchange cannot start: {str(error) or error.__doc__}\n")
        return 2
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    if options.market != "off":
        Feed(exchange, options.market).start()
    _announce(server.port, credentials)
    stop.wait()
    exchange.close()
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m relay.paper", description=__doc__)
    parser.add_argument("--port", type=int, default=9100, help="0: a free one (default: 9100)")
    parser.add_argument("--state", default="paper.db", help="the SQLite file (default: paper.db)")
    parser.add_argument(
        "--market",
        default=os.environ.get("PAPER_MARKET") or DEFAULT_MARKET,
        metavar="URL|off",
        help="follow this host's public prices where it can be reached (default: PAPER_MARKET or %(default)s)",
    )
    parser.add_argument(
        "--instruments",
        type=Path,
        default=TABLE,
        metavar="FILE",
        help="list these instead (JSON in the form of the table that comes with it)",
    )
    parser.add_argument("--parent-pipe", action="store_true", help="end when stdin ends")
    return parser.parse_args(arguments)


def _announce(port: int, credentials: Credentials) -> None:
    kind = "RSA" if credentials.is_rsa else "HMAC"
    sys.stdout.write(f"paper exchange on http://127.0.0.1:{port}\n")
    sys.stdout.write(f"accepts the {kind} API key {credentials.key} ({credentials.source})\n")
    sys.stdout.flush()


def _die_with_parent(stop: threading.Event) -> None:
    """Stdin is a pipe from the parent and ends with it, unless a sibling holds it open too: then another parent tells.

    Not PR_SET_PDEATHSIG: that is bound to the thread which started this process.
    """
    parent = os.getppid()

    def read() -> None:
        while os.read(STDIN, 4096):
            continue
        stop.set()

    def watch() -> None:
        while not stop.wait(WATCH_S):
            if os.getppid() != parent:
                stop.set()

    for name, wait in (("parent-pipe", read), ("parent-watch", watch)):
        threading.Thread(target=wait, name=name, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
