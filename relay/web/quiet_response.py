"""How gunicorn (27.0) answers, without saying what it is; what is the same in each answer is looked at once.

A stranger who is refused costs little else, so that is what a flood of them costs.
"""

from __future__ import annotations

import time
from functools import lru_cache

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.http.wsgi import Response  # type: ignore[import-untyped]


class QuietResponse(Response):  # type: ignore[misc]
    """Does not say what serves it; and sends an answer that is there as a whole in one piece."""

    headers_sent: bool

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        """Those that gunicorn has found good before, letter for letter, it is not asked about again."""
        for field in headers:
            if _is_plain(field):
                self.headers.append(field)
            else:
                super().process_headers([field])

    def default_headers(self) -> list[str]:
        connection = "upgrade" if self.upgrade else "close" if self.should_close() else "keep-alive"
        version = self.req.version
        lines = [
            f"HTTP/{version[0]}.{version[1]} {self.status}\r\n",
            f"Date: {_http_date(int(time.time()))}\r\n",
            f"Connection: {connection}\r\n",
        ]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked\r\n")
        return lines

    def write(self, arg: bytes) -> None:
        if self.headers_sent or self._omits_body or len(arg) != self.response_length:
            super().write(arg)
            return
        lines = [*self.default_headers(), *[f"{name}: {value}\r\n" for name, value in self.headers], "\r\n"]
        self.headers_sent = True
        util.write(self.sock, "".join(lines).encode("latin-1") + arg)
        self.sent += len(arg)


class _Lone:
    """As much of a response as takes part in judging a header."""

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.response_length: int | None = None


@lru_cache(maxsize=256)
def _is_plain(field: tuple[str, str]) -> bool:
    """Whether it is sent as it is, and means nothing to the server. Raises what gunicorn raises for a bad one."""
    lone = _Lone()
    Response.process_headers(lone, [field])
    return lone.headers == [field] and lone.response_length is None


@lru_cache(maxsize=1)
def _http_date(second: int) -> str:
    said: str = util.http_date(second)
    return said
