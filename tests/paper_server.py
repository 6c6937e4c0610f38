"""The paper exchange as a real process, for tests that talk to it over a socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from pybit.unified_trading import HTTP

from tests import warm
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
KEY = "paper"
SECRET = "paper-exchange-not-a-secret"
DEADLINE_S = 60
STDERR = 2


class Control:
    """The `/paper/` endpoints; see relay.paper.control."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/paper"
        self._http = requests.Session()

    def _call(self, method: str, path: str, body: object = None) -> Any:
        answer = self._http.request(method, f"{self._url}{path}", json=body, timeout=DEADLINE_S)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def prices(self, **prices: object) -> Any:
        """Sets prices if any are given (`BTCUSDT="99000"`), else tells all."""
        return self._call("PUT", "/prices", prices) if prices else self._call("GET", "/prices")

    def spot_prices(self, **prices: object) -> Any:
        """Sets prices of spot pairs, which are not those of the perpetuals of the same name."""
        return self.prices(**{f"spot:{symbol}": price for symbol, price in prices.items()})

    def fault(self, path: str, kind: str, **more: object) -> Any:
        return self._call("POST", "/faults", {"path": path, "kind": kind, **more})

    def clear_faults(self) -> None:
        self._call("DELETE", "/faults")

    def calls(self, path: str | None = None) -> list[dict[str, Any]]:
        """The calls so far, of one path if given."""
        found: list[dict[str, Any]] = self._call("GET", "/calls")["calls"]
        return [call for call in found if path in (None, call["path"])]

    def clear_calls(self) -> None:
        self._call("DELETE", "/calls")

    def account(self, **fields: object) -> Any:
        """Changes the account if fields are given, and tells it."""
        return self._call("POST", "/account", fields) if fields else self._call("GET", "/account")

    def rules(self, symbol: str, **fields: str) -> None:
        """Changes an instrument's rules (`qtyStep="1"`), of which nobody is told."""
        self._call("PUT", "/instruments", {symbol: fields})

    def clock(self, offset_ms: int) -> None:
        self._call("POST", "/clock", {"offset_ms": offset_ms})

    def funding(self, symbol: str, rate: str) -> None:
        self._call("POST", "/funding", {"symbol": symbol, "rate": rate})

    def split(self, symbol: str, ratio: str) -> None:
        """A stock split: positions are `ratio` times as large from now on."""
        self._call("POST", "/split", {"symbol": symbol, "ratio": ratio})

    def announce(self, rows: list[dict[str, object]]) -> None:
        """What `/v5/system/status` has from now on."""
        self._call("POST", "/status", rows)

    def fees(self, coin: str, **more: str) -> None:
        self._call("POST", "/fees", {"coin": coin, **more})

    def takeover(self, symbol: str, kind: str, **more: str) -> None:
        self._call("POST", "/takeover", {"symbol": symbol, "kind": kind, **more})

    def connections(self) -> list[dict[str, Any]]:
        """The streams' connections, with what each has subscribed to."""
        found: list[dict[str, Any]] = self._call("GET", "/streams")["connections"]
        return found

    def streams(self, **requested: object) -> None:
        """Cuts, mutes, or changes the manners of the streams."""
        self._call("POST", "/streams", requested)

    def reset(self) -> None:
        """Back to the start: no orders, no positions, start balances, prices, clock and account; no faults or calls."""
        self._call("POST", "/reset", {})

    def close(self) -> None:
        self._http.close()


class PaperServer:
    """One process. `kill` is kill -9; `restart` starts it again on the same port with the same file."""

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        module: str = "relay.paper",
    ) -> None:
        self.folder = folder
        self._module = module
        self._environment = dict(environment or {})
        self._arguments = arguments
        self._sessions: list[HTTP] = []
        self.url = ""
        self.lines: list[str] = []
        self._parent_pipe: int | None = None
        self.process = self._start(free_port())
        self.control = Control(self.url)

    def _start(self, port: int) -> subprocess.Popen[bytes] | warm.WarmProcess:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("BYBIT_", "PAPER_"))}
        command = [sys.executable, "-m", self._module, "--port", str(port), "--state", str(self.folder / "paper.db")]
        command += ["--market", "off", "--parent-pipe", *self._arguments]
        given, self._parent_pipe = os.pipe()
        said, saying = os.pipe()
        env = {**inherited, "PYTHONPATH": str(ROOT), **self._environment}
        process = warm.start(command, self.folder, env, (given, saying, STDERR))
        os.close(given)
        os.close(saying)
        with open(said) as out:
            self.lines = [out.readline().strip() for _ in range(2)]
        if not self.lines[0].startswith("paper exchange on "):
            self.close_parent_pipe()
            raise AssertionError(f"the paper exchange ended with {process.wait(DEADLINE_S)}")
        self.url = self.lines[0].rpartition(" ")[2]
        return process

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self.process.pid

    def session(self, **options: Any) -> HTTP:
        """A pybit session on this server that sends each call once and lets every code through as an error."""
        wanted = {
            "api_key": KEY,
            "api_secret": SECRET,
            "retry_codes": {0},
            "max_retries": 1,
            "timeout": DEADLINE_S,
            **options,
        }
        session = HTTP(**wanted)
        session.endpoint = self.url
        self._sessions.append(session)
        return session

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Starts a stopped or killed server again."""
        self.stop()
        self.process = self._start(self.port)

    def _end(self, number: int) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        self.close_parent_pipe()
        return code

    def close_parent_pipe(self) -> None:
        """As the end of its parent would."""
        if self._parent_pipe is not None:
            os.close(self._parent_pipe)
            self._parent_pipe = None

    def start_over(self) -> None:
        """As if it had just been started for the first time."""
        if self.process.poll() is not None:
            self.restart()
        self._close_sessions()
        self.control.reset()

    def _close_sessions(self) -> None:
        for session in self._sessions:
            session.client.close()
        self._sessions.clear()

    def close(self) -> None:
        """Ends everything, for a fixture's end."""
        self._close_sessions()
        self.control.close()
        self.stop()
