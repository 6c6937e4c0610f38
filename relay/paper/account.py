"""The account and its keys: what they may do, how many calls, and whether a request is signed rightly."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from dotenv import dotenv_values
from werkzeug.datastructures import Headers

from relay.paper.orders import SPOT, Refusal
from relay.paper.state import key_of

WRITES = frozenset(
    {
        "/v5/order/create",
        "/v5/order/amend",
        "/v5/order/cancel",
        "/v5/order/cancel-all",
        "/v5/order/create-batch",
        "/v5/order/amend-batch",
        "/v5/order/cancel-batch",
        "/v5/order/pre-check",
        "/v5/position/set-leverage",
        "/v5/position/switch-mode",
        "/v5/position/trading-stop",
    }
)
NOT_IN_DEMO = frozenset({"/v5/account/fee-rate", "/v5/order/spot-borrow-check"})
"""demo.mdx does not list them."""
READS_PER_SECOND = 50
SPOT_PER_SECOND = {"/v5/order/amend": 10, "/v5/account/fee-rate": 5}
"""rate-limit.mdx: what differs from spot's other calls."""
BATCHES = "/v5/order/batch"
"""By this name the batches' own limit is counted, an order at a time."""
WINDOW_MS = 1000


def _key() -> dict[str, Any]:
    return {
        "id": "1000001",
        "note": "paper",
        "readOnly": 0,
        "permissions": {
            "ContractTrade": ["Order", "Position"],
            "Spot": ["SpotTrade"],
            "Wallet": [],
            "Options": [],
            "Derivatives": ["DerivativesTrade"],
            "CopyTrading": [],
            "BlockTrade": [],
            "Exchange": [],
            "NFT": [],
            "Affiliate": [],
            "Earn": [],
            "FiatP2P": [],
            "FiatBitPay": [],
            "FiatConvertBroker": [],
            "BitCard": [],
            "ByXPost": [],
        },
        "ips": ["127.0.0.1"],
        "type": 1,
        "deadlineDay": 0,
        "expiredAt": "1970-01-01T00:00:00Z",
        "createdAt": "2026-01-01T00:00:00Z",
        "unified": 0,
        "uta": 1,
        "userID": 1000001,
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "isMaster": True,
        "parentUid": "0",
        "kycLevel": "LEVEL_1",
        "kycRegion": "",
    }


@dataclass(slots=True, kw_only=True)
class Account:
    """`key` is what `/v5/user/query-api` shows. `ip_check`: refuse callers that `key["ips"]` does not name.

    `key_unknown`, `signature_wrong`: refuse every signed call, as for a key of another environment or a wrong secret.
    `region_blocked`: HTTP 403 for everything. `demo`: without what Bybit's demo does not have. `public_key`: the RSA
    key that signatures are verified with, as pasted at the exchange; empty: the configured one.
    """

    margin_mode: str = "REGULAR_MARGIN"
    refuses_prices: bool = False
    """`lpaPerp`: a limit price beyond the bound is refused, not moved."""
    moves_spot_prices: bool = False
    """`lpaSpot`: of a spot order it is moved, not refused."""
    unified_margin_status: int = 5
    key: dict[str, Any] = field(default_factory=_key)
    ip_check: bool = False
    expired: bool = False
    limiter_on: bool = False
    creates_per_second: int = 10
    spot_creates_per_second: int = 20
    history_lag_ms: int = 0
    wallet_lag_ms: int = 0
    """How late `/v5/account/wallet-balance` tells what a fill has changed; a user saw none of the coins just bought."""
    key_unknown: bool = False
    signature_wrong: bool = False
    region_blocked: bool = False
    demo: bool = False
    public_key: str = ""

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    def refuse(self, path: str, address: str, category: str) -> Refusal | None:
        """What the key may not do: 33004 expired, 10010 from elsewhere, 10005 without the permission, and so on."""
        if self.key_unknown:
            return Refusal(code=10003, message="API key is invalid.")
        if self.signature_wrong:
            return Refusal(code=10004, message="error sign! please check your signature generation algorithm.")
        if self.demo and path in NOT_IN_DEMO:
            return Refusal(code=10032, message="Demo trading are not supported.")
        if self.expired:
            return Refusal(code=33004, message="Your api key has expired.")
        if self.ip_check and address not in self.key["ips"] and "*" not in self.key["ips"]:
            return Refusal(code=10010, message="Unmatched IP, please check your API key's bound IP addresses.")
        needed = "SpotTrade" if category == SPOT else "Position" if path.startswith("/v5/position") else "Order"
        granted = self.key["permissions"].get("Spot" if category == SPOT else "ContractTrade") or []
        if path in WRITES and (self.key["readOnly"] or needed not in granted):
            return Refusal(code=10005, message="Permission denied, please check your API key permissions.")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """One call's standing: the headers of rate-limit.mdx, and whether it was one too many."""

    exceeded: bool
    headers: Mapping[str, str]


class Limiter:
    """Calls in a rolling second, per endpoint; linear and inverse share a count, spot has its own (rate-limit.mdx)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, deque[int]] = defaultdict(deque)

    def admit(self, account: Account, path: str, now_ms: Callable[[], int], category: str) -> Allowance | None:
        """None while the limiter is off: then no headers are sent either."""
        if not account.limiter_on:
            return None
        # The time is read within the lock: counted out of order, a call would stand in the window for longer than its
        # own second, which its answer names.
        with self._lock:
            return self._admit(account, path, now_ms(), spot=category == SPOT)

    def _admit(self, account: Account, path: str, now_ms: int, *, spot: bool) -> Allowance:
        creates = account.spot_creates_per_second if spot else account.creates_per_second
        most = creates if path in WRITES or path == BATCHES else READS_PER_SECOND
        most = SPOT_PER_SECOND.get(path, most) if spot else most
        calls = self._calls[key_of(SPOT, path) if spot else path]
        while calls and calls[0] <= now_ms - WINDOW_MS:
            calls.popleft()
        exceeded = len(calls) >= most
        if not exceeded:
            calls.append(now_ms)
        headers = {
            "X-Bapi-Limit": str(most),
            "X-Bapi-Limit-Status": str(most - len(calls)),
            "X-Bapi-Limit-Reset-Timestamp": str(calls[0] + WINDOW_MS if exceeded else now_ms),
        }
        return Allowance(exceeded=exceeded, headers=headers)


# API keys and signatures as in guide.mdx: who may ask, and whether the request is fresh and unaltered.
#
# Keys come from `BYBIT_API_KEY` and `BYBIT_API_SECRET`, in the environment or in `.env`. Without them a built-in pair
# is
# accepted: key `paper`, secret `paper-exchange-not-a-secret`. A PEM as the secret, or the path of a PEM file, means an
# RSA key, of which only the public part is used; the public key alone does, too.


BUILT_IN_KEY = "paper"
BUILT_IN_SECRET = "paper-exchange-not-a-secret"  # noqa: S105 - documented on purpose: it guards play money
DEFAULT_RECV_WINDOW_MS = 5000
AHEAD_MS = 1000


class KeysIncomplete(Exception):
    """Of BYBIT_API_KEY and BYBIT_API_SECRET only one is set; set both or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The one key that is accepted. `source` is for people; the secret is in no repr."""

    key: str
    secret: str = field(repr=False)
    source: str

    @property
    def is_rsa(self) -> bool:
        return "-----BEGIN" in self.secret

    @property
    def public_pem(self) -> str:
        """The RSA public key, or empty for an HMAC key."""
        return RSA.import_key(self.secret).public_key().export_key().decode() if self.is_rsa else ""


def load_credentials(environment: Mapping[str, str] = os.environ, env_file: Path = Path(".env")) -> Credentials:
    """Real variables win over the file. Raises KeysIncomplete."""
    found = {**(dotenv_values(env_file) if env_file.is_file() else {}), **environment}
    key, secret = found.get("BYBIT_API_KEY") or "", found.get("BYBIT_API_SECRET") or ""
    if bool(key) != bool(secret):
        raise KeysIncomplete
    if not key:
        return Credentials(key=BUILT_IN_KEY, secret=BUILT_IN_SECRET, source="built in")
    if "-----BEGIN" not in secret and secret.endswith(".pem"):
        secret = Path(secret).expanduser().read_text(encoding="utf-8")
    return Credentials(key=key, secret=secret.replace("\\n", "\n"), source="BYBIT_API_KEY")


class Verifier:
    """Checks one request after the other against the credentials."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._public: RSA.RsaKey | None = None
        self.trust("")

    def trust(self, public_pem: str) -> None:
        """Verify signatures with this RSA key, as of a self-generated API key; empty: with the configured secret.

        Raises ValueError for what is no key.
        """
        pem = public_pem or (self._credentials.secret if self._credentials.is_rsa else "")
        self._public = RSA.import_key(pem).public_key() if pem else None

    def refuse(self, headers: Headers, payload: bytes, now_ms: int) -> Refusal | None:
        """`payload`: the query string as sent, or the raw body. 10001, 10003, 10002 or 10004, tried in this order."""
        key = headers.get("X-Bapi-Api-Key", "")
        stamp = headers.get("X-Bapi-Timestamp", "")
        signature = headers.get("X-Bapi-Sign", "")
        window = headers.get("X-Bapi-Recv-Window", "")
        if not (key and stamp and signature):
            shown = "*" if signature else ""
            return Refusal(
                code=10001, message=f"empty value: apiTimestamp[{stamp}] apiKey[{key}] apiSignature[{shown}]"
            )
        if not hmac.compare_digest(key.encode(), self._credentials.key.encode()):
            return Refusal(code=10003, message="API key is invalid.")
        refusal = _refuse_time(stamp, window, now_ms)
        if refusal:
            return refusal
        origin = f"{stamp}{key}{window}".encode() + payload
        if self._is_signed(origin, signature):
            return None
        shown = origin.decode("utf-8", "replace")
        return Refusal(code=10004, message=f"error sign! origin_string[{shown}]")

    def refuse_stream(self, key: str, expires_ms: int, signature: str, now_ms: int) -> Refusal | None:
        """A stream's sender (wss-authentication.mdx): what is signed is `GET/realtime` and a moment yet to come."""
        if not hmac.compare_digest(key.encode(), self._credentials.key.encode()):
            return Refusal(code=10003, message="API key is invalid.")
        if expires_ms <= now_ms:
            return Refusal(code=10004, message="Params Error: expires is in the past")
        if not self._is_signed(f"GET/realtime{expires_ms}".encode(), signature):
            return Refusal(code=10004, message="error sign!")
        return None

    def _is_signed(self, origin: bytes, signature: str) -> bool:
        if self._public is None:
            wanted = hmac.new(self._credentials.secret.encode(), origin, hashlib.sha256).hexdigest()
            return hmac.compare_digest(wanted.encode(), signature.encode())
        try:
            pkcs1_15.new(self._public).verify(SHA256.new(origin), base64.b64decode(signature))
        except ValueError:
            return False
        return True


def _refuse_time(stamp: str, window: str, now_ms: int) -> Refusal | None:
    """guide.mdx: server_time - recv_window <= timestamp < server_time + 1000."""
    if not stamp.isascii() or not stamp.isdigit() or (window and not (window.isascii() and window.isdigit())):
        return Refusal(code=10001, message="The timestamp or recv_window is not a number")
    sent, width = int(stamp), int(window or DEFAULT_RECV_WINDOW_MS)
    if now_ms - width <= sent < now_ms + AHEAD_MS:
        return None
    return Refusal(
        code=10002,
        message="invalid request, please check your server timestamp or recv_window param. "
        f"req_timestamp[{sent}],server_timestamp[{now_ms}],recv_window[{width}]",
    )
