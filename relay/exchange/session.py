"""pybit's HTTP session, made to send once, sign what it is told, and keep nothing secret in words or logs."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from pybit.unified_trading import HTTP
from urllib3 import BaseHTTPResponse

from relay.domain.outcome import Stamp
from relay.errors import SettingsInvalid
from relay.exchange.clock import ExchangeClock
from relay.exchange.transport import NoAnswer, Request, Transport

SERVER_TIME = "/v5/market/time"


class Refused403(Exception):
    """HTTP 403 without a code of the exchange's; the message is the body's beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the exchange said, of whatever code. `code` and `words` are retCode and retMsg."""

    code: int
    words: str
    result: Mapping[str, Any]
    headers: Mapping[str, str]


class Session(HTTP):  # type: ignore[misc]
    """pybit's methods, each of which returns an `Answer` or raises NothingLeft, NoAnswer or Refused403.

    pybit's loop of retries runs once: `retry_codes={0}` because an empty set brings the defaults back, and its own
    judgement of answers is replaced below, so that it neither sleeps nor invents a status.
    """

    client: Any

    def __init__(
        self,
        *,
        transport: Transport,
        endpoint: str,
        api_key: str,
        api_secret: str,
        recv_window_ms: int,
        referer: str | None,
        clock: ExchangeClock,
    ) -> None:
        logger = logging.getLogger("pybit._http_manager")
        handlers = list(logger.handlers)
        super().__init__(
            api_key=api_key,
            api_secret=api_secret,
            recv_window=recv_window_ms,
            referral_id=referer,
            retry_codes={0},
            max_retries=1,
            force_retry=False,
        )
        for added in [handler for handler in logger.handlers if handler not in handlers]:
            logger.removeHandler(added)
        self.endpoint = endpoint.rstrip("/")
        self.client.close()
        self.client = transport
        self.timeout = transport.timeout
        self._clock = clock
        self._sign = signer(api_secret)
        self._unsaid = {kept: f"…{kept.strip()[-4:]}" for kept in (api_key, api_secret) if kept}
        self._pinned = threading.local()
        self._common = transport.headers | ({"Referer": referer} if referer else {})

    def __repr__(self) -> str:
        return f"Session({self.endpoint})"

    @contextmanager
    def stamped(self, stamp: Stamp | None) -> Iterator[None]:
        """What this thread sends inside is signed with exactly this stamp; None: with the exchange's now."""
        self._pinned.stamp = stamp
        try:
            yield
        finally:
            self._pinned.stamp = None

    def server_time_request(self) -> Request:
        return self._prepare_request("GET", self.endpoint + SERVER_TIME, "", {})

    # What pybit calls, in the order in which it does.

    @staticmethod
    def prepare_payload(method: str, parameters: dict[str, Any]) -> str:
        if method == "GET":
            return str(HTTP.prepare_payload(method, parameters))
        return json.dumps(parameters, separators=(",", ":"))

    def _prepare_headers(
        self, payload: str, recv_window: int, content_type: str = "application/json"
    ) -> dict[str, str]:
        stamp = getattr(self._pinned, "stamp", None)
        timestamp = str(stamp.timestamp_ms if stamp else self._clock.now_ms())
        window = str(stamp.recv_window_ms if stamp else recv_window)
        return {
            "Content-Type": content_type,
            "X-BAPI-API-KEY": self.api_key,
            "X-BAPI-SIGN": self._sign((timestamp + self.api_key + window + payload).encode()),
            "X-BAPI-SIGN-TYPE": "2",
            "X-BAPI-TIMESTAMP": timestamp,
            "X-BAPI-RECV-WINDOW": window,
        }

    def _prepare_request(self, method: str, path: str, params: str, headers: dict[str, str]) -> Request:
        target = self.client.prefix + path[len(self.endpoint) :]
        if method == "GET":
            target = f"{target}?{params}" if params else target
            # Lists are long; acknowledgements are not worth unpacking.
            return Request(
                method=method, target=target, body=None, headers=self._common | headers | {"Accept-Encoding": "gzip"}
            )
        return Request(method=method, target=target, body=params.encode(), headers=self._common | headers)

    def _check_status_code(self, response: BaseHTTPResponse, method: str, path: str, params: str) -> None:
        if response.status >= 500:
            raise NoAnswer(f"HTTP {response.status}")

    def _handle_response(self, response: BaseHTTPResponse, *_: object) -> Answer:
        """Any answer that carries a code of the exchange's counts, whatever its HTTP status below 500."""
        body = _json_object(response.data)
        code = body.get("retCode")
        if type(code) is not int:
            if response.status == 403:
                raise Refused403(response.data[:2000].decode(errors="replace"))
            raise NoAnswer(f"HTTP {response.status} without the exchange's JSON")
        result = body.get("result")
        return Answer(
            code=code,
            words=self._discreet(str(body.get("retMsg", "")))[:500],
            result=result if isinstance(result, dict) else {},
            headers=response.headers,
        )

    def _discreet(self, words: str) -> str:
        """Without the key and the secret: a refused signature (10004) is answered with the text that was signed."""
        for kept, shown in self._unsaid.items():
            words = words.replace(kept, shown)
        return words


def _json_object(text: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object. Bare numbers become decimals, never floats."""
    try:
        parsed = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def signer(secret: str) -> Callable[[bytes], str]:
    """How requests are signed: RSA with SHA-256 where the secret is a PEM private key, else HMAC-SHA256.

    Source: V5 integration guidance, "Create A Request". A PEM may come with its line breaks written as `\\n`, as
    environment variables often hold it. Raises SettingsInvalid for a PEM that is no private key.
    """
    if "-----BEGIN" not in secret:
        key = secret.encode()
        return lambda message: hmac.digest(key, message, "sha256").hex()
    try:
        imported = RSA.import_key(secret.replace("\\n", "\n"))
    except (ValueError, IndexError, TypeError):
        raise SettingsInvalid(["BYBIT_API_SECRET: not a readable PEM key; should be an RSA private key"]) from None
    if not imported.has_private():
        raise SettingsInvalid(["BYBIT_API_SECRET: a public key; should be the RSA private key"])
    scheme = pkcs1_15.new(imported)
    return lambda message: base64.b64encode(scheme.sign(SHA256.new(message))).decode()
