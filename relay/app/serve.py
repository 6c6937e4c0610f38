"""`python -m relay serve` and `worker`: start everything, say where it listens, and offer a first order to try."""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from relay import __version__
from relay.app import paper_child
from relay.app.telemetry import configure_logging
from relay.domain.order import OrderType
from relay.domain.rules import Direction, Mode, Rules
from relay.engine.lanes import collect_between_orders
from relay.errors import RelayError, SettingsInvalid
from relay.settings.config import NAME
from relay.settings.environment import Environment, StrategySettings
from relay.settings.settings import Settings, ensure_secrets, reported, require_folders, secrets_path, stored_name

# A first alert to try: one that this configuration takes, as the running relay itself says, or why it takes none.


_USUAL: Final = "BTCUSDT"
_SYMBOLS_TRIED: Final = 5
_WORTHS: Final = ("100", "20", "6")
"""In the quote coin: under smaller and smaller limits."""
_ANSWER_WAIT_S: Final = 5.0

Alert = dict[str, str]


def first_order(strategy: StrategySettings, *, url: str, token: str) -> tuple[Alert | None, str]:
    """The alert, without its secret and `id`; or None, and why there is none. `url`: of the relay, which is asked."""
    alerts, why = _alerts(strategy), ""
    for alert in alerts:
        problem = _problem(alert, strategy.name, url, token)
        if problem is None:
            return alert, ""
        why = why or problem
    return None, why


def _alerts(strategy: StrategySettings) -> list[Alert]:
    """From the plainest one on."""
    rules = next(iter(strategy.rules.values()), Rules())
    allowed = rules.allowed_symbols
    symbols = [_USUAL] if allowed is None else sorted(allowed, key=lambda each: (each != _USUAL, each))
    found: list[Alert] = []
    for symbol in symbols[:_SYMBOLS_TRIED]:
        sizes = [{"qty": "0.001"}] if symbol == _USUAL and rules.size_unit is None else []
        sizes += [{"qty": worth, "qty_unit": "quote"} for worth in _WORTHS]
        found += [_alert(symbol, rules, size) for size in sizes]
    return found


def _alert(symbol: str, rules: Rules, size: Alert) -> Alert:
    side = "short" if rules.direction is Direction.SHORT_ONLY else "long"
    alert = {"ticker": f"{symbol}.P" if symbol.endswith("USDT") else symbol}
    if rules.mode is Mode.POSITION:
        alert |= {"action": "target", "market_position": side}
    else:
        alert |= {"action": "sell" if side == "short" else "buy"}
    if rules.default_type is not OrderType.MARKET:
        alert |= {"type": OrderType.MARKET.value}
    return alert | size


def _problem(alert: Alert, strategy: str, url: str, token: str) -> str | None:
    """Why the relay would not place it, in its words; None if it would, or does not say."""
    query = urlencode({"strategy": strategy, "format": "native"})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps(alert).encode()
    request = Request(f"{url}/api/plan?{query}", data=body, headers=headers)  # noqa: S310 - this machine's own http
    try:
        with urlopen(request, timeout=_ANSWER_WAIT_S) as answer:  # noqa: S310
            reported = json.load(answer)
    except HTTPError as error:
        with error:
            reported = {"reason": _error_of(error.read())}
    except (OSError, ValueError):
        return None
    reason = reported.get("reason") if reported.get("status") != "planned" else None
    return f"{reason['code']}: {reason['message']}" if isinstance(reason, dict) else None


def _error_of(body: bytes) -> object:
    try:
        return json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return None


# What `serve` prints once the relay is ready: where it listens, its secrets or where they are, and a first order.


_POLL_S: Final = 0.1
_PATIENCE_S: Final = 10.0
_MONEY: Final = {
    Environment.PAPER: "paper: play money at a paper exchange",
    Environment.DEMO: "demo: play money at the exchange's real prices",
    Environment.TESTNET: "testnet: play money at the exchange's test prices",
    Environment.MAINNET: "MAINNET - real money",
}


class Greeting:
    """Waits for `/readyz` in a thread of its own, then prints."""

    def __init__(self, given: Settings, settings: Settings, port: int) -> None:
        """`given`: as configured; `settings`: with what was made up. `port`: where this relay listens on 127.0.0.1."""
        self.settings = settings
        self._given = given
        self._url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        """Returns at once. Called in the process that serves."""
        threading.Thread(target=self._wait, name="greeting", daemon=True).start()

    def _wait(self) -> None:
        check_target_until = time.monotonic() + _PATIENCE_S
        has_complained = False
        while (missing := self._missing()) is not None:
            if not has_complained and time.monotonic() > check_target_until:
                has_complained = True
                sys.stderr.write(f"not ready yet: {missing}\n")
            time.sleep(_POLL_S if not has_complained else 1)
        sys.stdout.write("\n".join(self.lines()) + "\n")
        sys.stdout.flush()

    def _missing(self) -> str | None:
        """What is not ready yet; None if there is nothing."""
        try:
            with urlopen(f"{self._url}/readyz", timeout=2):  # noqa: S310 - always this machine's own http
                return None
        except HTTPError as error:
            with error:
                return error.read(2000).decode("utf-8", "replace").strip() or str(error)
        except (URLError, OSError) as error:
            return str(error)

    def lines(self) -> list[str]:
        """The text, line by line. Of secrets only paper's webhook secret is in it."""
        environment = self.settings.environment
        lines = [
            f"relay {__version__} listens on {self._url} ({_MONEY[environment]})",
            f"  webhook         {self._url}{self._path()}",
            f"  webhook secret  {self._webhook_secret()}",
            f"  admin token     {self._place('ADMIN_TOKEN', is_given=self._given.admin_token is not None)}",
        ]
        lines += [f"  {topic:<15} {what}" for topic, what in reported(self.settings)]
        return [*lines, *self._first_order()] if environment is Environment.PAPER else lines

    def _webhook_secret(self) -> str:
        if self.settings.environment is Environment.PAPER:
            return self._secret()
        if self._strategy().secrets:
            return f"as strategies.{self._strategy().name} refers to"
        return self._place("WEBHOOK_SECRET", is_given=bool(self._given.webhook_secrets))

    def _strategy(self) -> StrategySettings:
        """The environment's own, or, where it has no account, the first that has one."""
        every = [each for each in self.settings.strategies if each.accounts]
        return next((each for each in every if each.name == NAME), every[0])

    def _path(self) -> str:
        name = self._strategy().name
        return "/webhook" if name == NAME else f"/webhook/{name}"

    def _secret(self) -> str:
        return self.settings.secrets_of(self._strategy())[0].reveal()

    def _place(self, name: str, *, is_given: bool) -> str:
        if is_given:
            return f"as set in {name}"
        return f"in {secrets_path(self.settings)}, as {stored_name(self.settings, name)}"

    def _first_order(self) -> list[str]:
        token = self.settings.admin_token
        alert, why = first_order(self._strategy(), url=self._url, token=token.reveal() if token else "")
        if alert is None:
            return [f"no paper order to try is printed, because it would not be placed: {why}"]
        return ["place a paper order:", f"  {self._curl(alert)}"]

    def _curl(self, alert: Mapping[str, str]) -> str:
        """Each run of it is another alert: its `id` holds the time, which the shell puts in."""
        before = json.dumps({"secret": self._secret(), **alert, "id": "try-"}).removesuffix('"}')
        named = "?format=native" if self._strategy().format not in (None, "native") else ""
        address = shlex.quote(f"{self._url}{self._path()}{named}")
        return f"curl -sS {address} -d {shlex.quote(before)}$(date +%s){shlex.quote(chr(34) + '}')}"


APPLICATION: Final = "relay.web:create_app()"
_HOST: Final = "127.0.0.1"
_INTERRUPTED: Final = 130


class PortTaken(RelayError):
    """The port is in use."""


def serve(
    settings: Settings, *, application: str = APPLICATION, paper_command: Sequence[str] = paper_child.COMMAND
) -> int:
    """Runs until SIGTERM or Ctrl-C; the exit code. Raises RelayError, whose text is for people, if it cannot start.

    What it makes up or finds out goes into this process's environment, from where the application reads its settings.
    """
    if not os.environ.get("WEB_CONCURRENCY", "1").strip():
        del os.environ["WEB_CONCURRENCY"]  # gunicorn would take it for a number
    listener = _listen(settings.port)
    port = listener.getsockname()[1]
    require_folders(settings)
    greeting = Greeting(settings, ensure_secrets(settings, os.environ), port)
    settings = greeting.settings
    configure_logging(settings)
    exchanges = paper_child.needed(settings, os.environ, paper_command)
    try:
        for exchange in exchanges:
            exchange.start()
        # Imported only now, while the exchange is starting: the one takes about as long as the other.
        gc.disable()  # nothing of what is imported is garbage, and to look for it takes a tenth of the time
        from relay.web.gunicorn import Server

        gc.enable()
        for exchange in exchanges:
            exchange.announce(os.environ)
        return Server(application, listener, exchanges, greeting.start).run_to_end()
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        for exchange in exchanges:
            exchange.stop()


def _listen(port: int) -> socket.socket:
    """Taken before anything else is started, so that a second relay on the port leaves no trace."""
    try:
        return socket.create_server((_HOST, port), backlog=512)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise PortTaken(f"PORT: cannot listen on {_HOST}:{port}: {error.strerror}") from error
        raise PortTaken(
            f"PORT: {_HOST}:{port} is in use, perhaps by another relay; stop that one, or set PORT to a free one"
        ) from error


# `python -m relay worker`: executes what other processes accept, until SIGTERM.


log = logging.getLogger(__name__)

_WATCH_S: Final = 5.0
_SIGNAL_S: Final = 0.1
"""A signal that another thread was given is noticed by this one only when it looks: its accounts wait for it."""


def work(settings: Settings) -> None:
    """Runs until SIGTERM or Ctrl-C. Raises RelayError, whose text is for people, if it cannot start."""
    if not settings.is_postgres:
        raise SettingsInvalid(
            [
                "DATABASE_URL: a worker shares a Postgres with the web processes; it should be like postgres://user@host/name"
            ]
        )
    from relay.app.wiring import build

    configure_logging(settings)
    for warning in settings.warnings:
        log.warning(warning)
    ending = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: ending.set())
    relay = build(settings, is_worker=True)
    relay.start()
    collect_between_orders()
    reported: dict[str, str] | None = None
    due_at = 0.0
    try:
        while not ending.wait(_SIGNAL_S):
            if reported == {} and time.monotonic() < due_at:
                continue
            due_at = time.monotonic() + _WATCH_S
            missing = relay.missing() | {name: why for name, why in relay.accounts().items() if why is not None}
            if missing != reported:
                log.info("not ready: %s", missing) if missing else log.info("the worker is ready")
                reported = missing
    finally:
        relay.stop()
