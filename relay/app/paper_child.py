"""The paper exchange as a child of the relay's master process: it takes a free port, and never outlives its parent."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import selectors
import subprocess
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from relay.errors import RelayError
from relay.settings.config import NAME, STARTED
from relay.settings.environment import AccountSettings, Secret
from relay.settings.settings import Settings, require_folders

log = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-m", "relay.paper")
_SAYS: Final = "paper exchange on "
_READY_S: Final = 15
_STOP_S: Final = 2.0
_ANSWER_S: Final = 2.0
_RESTARTS_MAX: Final = 5
_NOT_FOR_CHILDREN: Final = (
    *("WEBHOOK_SECRET", "ADMIN_TOKEN", "DATABASE_URL", "BYBIT_URL", "BYBIT_STREAM_URL", "RELAY_CONFIG"),
    STARTED,
)


class PaperExchangeFailed(RelayError):
    """The paper exchange did not start."""


def is_needed(settings: Settings) -> bool:
    """Whether an account trades on paper and names no paper exchange."""
    return any(each.needs_paper_exchange for each in settings.accounts)


def needed(settings: Settings, environ: Mapping[str, str], command: Sequence[str] | None = None) -> list[PaperExchange]:
    """One for each account that trades on paper and names no exchange; none is started yet. Raises SettingsInvalid."""
    accounts = [each for each in settings.accounts if each.needs_paper_exchange]
    if accounts:
        require_folders(settings)
    return [PaperExchange(each, settings, environ, command or COMMAND) for each in accounts]


class PaperExchange:
    """One child process at a time. Its standard input is a pipe from this process, with whose end it ends, too."""

    def __init__(
        self,
        account: AccountSettings,
        settings: Settings,
        environ: Mapping[str, str],
        command: Sequence[str] = COMMAND,
    ) -> None:
        """`environ`: this process's; what the child does not need of it, it does not get."""
        self.account = account.name
        self._is_own = account.name == NAME
        self._state = _state_of(account, settings)
        self._way = _way_of(account, settings)
        self._command = [*command, "--state", str(self._state.absolute()), "--parent-pipe"]
        self._environ = {name: value for name, value in environ.items() if name not in _NOT_FOR_CHILDREN}
        self.key = account.api_key or Secret(secrets.token_urlsafe(18))
        self.secret = account.api_secret or Secret(secrets.token_urlsafe(36))
        self._environ |= {"BYBIT_API_KEY": self.key.reveal(), "BYBIT_API_SECRET": self.secret.reveal()}
        self._environ["PAPER_MARKET"] = settings.paper_market or "off"
        root = str(Path(__file__).parent.parent)
        self._environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environ.get("PYTHONPATH", ""))))
        self._process: subprocess.Popen[str] | None = None
        self._url: str | None = None
        self._restarts = 0
        self._owner = os.getpid()

    def start(self) -> None:
        """Starts the child and returns; `url` waits for it. Again on the port it had, if it had one."""
        port = urlsplit(self._url).port if self._url else 0
        self._process = subprocess.Popen(  # noqa: S603 - no shell, and nothing from outside in it
            [*self._command, "--port", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environ,
            text=True,
            process_group=0,  # Ctrl-C is for the master: the exchange goes last
        )

    def url(self) -> str:
        """Where the child listens, once it does. Raises PaperExchangeFailed; the child has said why on stderr."""
        if self._url is None:
            self._url = self._read_url()
        return self._url

    def _read_url(self) -> str:
        assert self._process is not None and self._process.stdout is not None, "the paper exchange was not started"
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if ready.select(_READY_S) else None
        if line is not None and line.startswith(_SAYS):
            url = line.removeprefix(_SAYS).strip()
            _note_way(self._way, (url, self.key.reveal(), self.secret.reveal()))
            return url
        process = self._process
        self.stop()
        raise PaperExchangeFailed(
            f"the paper exchange did not start (exit code {process.returncode}); "
            f"if another relay is running on {self._state}, stop that one"
        )

    def keep_running(self) -> None:
        """To be called now and then: starts a child that has ended again. PaperExchangeFailed if it does not stay."""
        if self._process is None or self._process.poll() is None:
            return
        self._restarts += 1
        if self._restarts > _RESTARTS_MAX:
            raise PaperExchangeFailed("the paper exchange ends again and again; see its words above")
        log.error("the paper exchange has ended; it is started again")
        self._close_pipes()
        known = self.url()
        self.start()
        if self._read_url() != known:
            raise PaperExchangeFailed(f"the paper exchange did not come back on {known}")

    def stop(self) -> None:
        """Ends the child and waits for that. Does nothing in a process that was forked from the one that started it."""
        process = self._process
        if process is None or os.getpid() != self._owner:
            return
        self._process = None
        self._way.unlink(missing_ok=True)
        self._close_pipes(process)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _close_pipes(self, process: subprocess.Popen[str] | None = None) -> None:
        process = process or self._process
        assert process is not None and process.stdin is not None and process.stdout is not None, "both are pipes"
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()

    def announce(self, environ: MutableMapping[str, str]) -> None:
        """Tells whoever reads the settings from `environ` where the child is, and what key it takes."""
        url = self.url()
        started = json.loads(environ.get(STARTED) or "{}")
        started[self.account] = (url, self.key.reveal(), self.secret.reveal())
        environ[STARTED] = json.dumps(started)
        if not self._is_own:
            return
        environ["BYBIT_URL"] = url
        if environ.get("BYBIT_STREAM_URL", "").lower() != "off":
            environ["BYBIT_STREAM_URL"] = url.replace("http://", "ws://", 1)
        environ["BYBIT_API_KEY"] = self.key.reveal()
        environ["BYBIT_API_SECRET"] = self.secret.reveal()


def running_way(account: AccountSettings, settings: Settings) -> tuple[str, Secret, Secret] | None:
    """Address, key and secret of the paper exchange that a running `serve` has started for the account; None without
    one. Another could not be started beside it: it has the state."""
    import requests  # `serve` itself begins without

    try:
        url, key, secret = json.loads(_way_of(account, settings).read_text())
        requests.get(f"{url}/v5/market/time", timeout=_ANSWER_S).raise_for_status()
    except (OSError, ValueError, requests.RequestException):
        return None
    return url, Secret(key), Secret(secret)


def _note_way(path: Path, way: tuple[str, str, str]) -> None:
    """For commands beside it; readable by its owner only."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(way, file)


def _way_of(account: AccountSettings, settings: Settings) -> Path:
    state = _state_of(account, settings).absolute()
    return state.with_name(f"{state.name}.way")


def _state_of(account: AccountSettings, settings: Settings) -> Path:
    """`paper.db` of the account `default`, beside it `paper-NAME.db` of any other."""
    path = settings.paper_state
    return path if account.name == NAME else path.with_name(f"{path.stem}-{account.name}{path.suffix}")
