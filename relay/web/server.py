"""gunicorn inside this process, with the project's settings, on a socket that listens already: what `serve` runs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.util import import_app  # type: ignore[import-untyped]

from relay.app.paper_child import PaperExchange
from relay.web import gunicorn as settings


class Server(BaseApplication):  # type: ignore[misc]
    """`application` is a WSGI application in gunicorn's spelling, such as `relay.web:create_app()`."""

    def __init__(
        self,
        application: str,
        listener: socket.socket,
        exchanges: Sequence[PaperExchange],
        on_worker: Callable[[], None],
    ) -> None:
        """`listener` is taken over. `on_worker` is called once, in the first worker, just before it accepts."""
        self._application = application
        self._descriptor = listener.detach()
        self._exchanges = exchanges
        self._on_worker = on_worker
        super().__init__()

    def load_config(self) -> None:
        for name, value in vars(settings).items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)
        self.cfg.set("bind", [f"fd://{self._descriptor}"])
        self.cfg.set("loglevel", "warning")
        self.cfg.set("on_starting", self._start)
        self.cfg.set("post_worker_init", self._greet)

    def load(self) -> Any:
        return import_app(self._application)

    def _start(self, server: Any) -> None:
        settings.on_starting(server)
        for exchange in self._exchanges:
            settings.supervise(server, exchange)

    def _greet(self, worker: Any) -> None:
        if worker.age == 1:
            self._on_worker()

    def run_to_end(self) -> int:
        """Runs until a signal ends it; the exit code."""
        try:
            self.run()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        return 0
