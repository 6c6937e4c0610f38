"""gunicorn's own log and its access log: through the relay's handler, and without secrets wherever they go."""

from __future__ import annotations

import logging
from typing import Any, Final
from urllib.parse import quote

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from relay.settings import Secret
from relay.telemetry import Redaction, without_path_secret, without_query

_PLAIN: Final = frozenset("htsmHbBTDMLp")
"""Atoms of an access line that come from the connection and the clock, not from what the client wrote."""


class RelayLogger(Logger):  # type: ignore[misc]
    """Redacts whatever the configuration, the command line or `GUNICORN_CMD_ARGS` say about logs."""

    _secrets: tuple[Secret, ...] = ()

    def redact(self, secrets: tuple[Secret, ...]) -> None:
        """From now on these stand in no log, whatever file or syslog it goes to."""
        self._secrets = secrets
        self.setup(self.cfg)

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for log, target in ((self.error_log, cfg.errorlog), (self.access_log, cfg.accesslog)):
            if target == "-":
                log.handlers[:] = [each for each in log.handlers if type(each) is not logging.StreamHandler]
            log.propagate = target == "-"
            for handler in log.handlers:
                handler.addFilter(Redaction(self._secrets))

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> dict[str, Any]:
        """Headers and variables of the request are left out: they show as `-`."""
        atoms = super().atoms(resp, req, environ, request_time)
        path = _path(environ)
        cleaned = {name: without_path_secret(without_query(str(atoms[name]))) for name in ("f", "a")}
        line = f"{environ['REQUEST_METHOD']} {path} {environ['SERVER_PROTOCOL']}"
        return {name: atoms[name] for name in _PLAIN} | cleaned | {"r": line, "U": path, "q": "", "l": "-", "u": "-"}


def _path(environ: dict[str, Any]) -> str:
    """Decoded and encoded again: one spelling of the path, whatever the client's, and no control characters."""
    path = str(environ.get("PATH_INFO") or environ["RAW_URI"].partition("?")[0])
    return without_path_secret(quote(path.encode("latin-1", "replace"), safe="/:@<>+,;=~*!$&()-._"))
