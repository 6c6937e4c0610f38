"""What `serve` prints once the relay is ready: where it listens, its secrets or where they are, and a first order."""

from __future__ import annotations

import json
import shlex
import sys
import threading
import time
from collections.abc import Mapping
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from relay import __version__
from relay.first_order import first_order
from relay.local_secrets import kept_name, secrets_path
from relay.settings import NAME, Environment, Settings, StrategySettings
from relay.settings_told import told

_POLL_S: Final = 0.05
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
        patient_until = time.monotonic() + _PATIENCE_S
        has_complained = False
        while (missing := self._missing()) is not None:
            if not has_complained and time.monotonic() > patient_until:
                has_complained = True
                sys.stderr.write(f"not ready yet: {missing}\n")
            time.sleep(_POLL_S if not has_complained else 1)
        sys.stdout.write("\n".join(self.lines()) + "\n")
        sys.stdout.flush()

    def _missing(self) -> str | None:
        """What is not ready yet; None: nothing."""
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
        lines += [f"  {topic:<15} {what}" for topic, what in told(self.settings)]
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
        return f"in {secrets_path(self.settings)}, as {kept_name(self.settings, name)}"

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
