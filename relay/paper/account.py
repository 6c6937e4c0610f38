"""What the account and its key look like from outside, and how many calls it may make. Set through `/paper/account`."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from relay.paper.orders import Refusal

WRITES = frozenset(
    {
        "/v5/order/create",
        "/v5/order/amend",
        "/v5/order/cancel",
        "/v5/order/cancel-all",
        "/v5/order/pre-check",
        "/v5/position/set-leverage",
        "/v5/position/switch-mode",
        "/v5/position/trading-stop",
    }
)
NOT_IN_DEMO = frozenset({"/v5/user/query-api", "/v5/account/fee-rate"})
"""demo.mdx does not list them."""
READS_PER_SECOND = 50
WINDOW_MS = 1000


def _key() -> dict[str, Any]:
    return {
        "id": "1000001",
        "note": "paper",
        "readOnly": 0,
        "permissions": {
            "ContractTrade": ["Order", "Position"],
            "Spot": [],
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
    unified_margin_status: int = 5
    key: dict[str, Any] = field(default_factory=_key)
    ip_check: bool = False
    expired: bool = False
    limiter_on: bool = False
    creates_per_second: int = 10
    history_lag_ms: int = 0
    key_unknown: bool = False
    signature_wrong: bool = False
    region_blocked: bool = False
    demo: bool = False
    public_key: str = ""

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    def refuse(self, path: str, address: str) -> Refusal | None:
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
        needed = "Position" if path.startswith("/v5/position") else "Order"
        granted = self.key["permissions"].get("ContractTrade") or []
        if path in WRITES and (self.key["readOnly"] or needed not in granted):
            return Refusal(code=10005, message="Permission denied, please check your API key permissions.")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """One call's standing: the headers of rate-limit.mdx, and whether it was one too many."""

    exceeded: bool
    headers: Mapping[str, str]


class Limiter:
    """Calls in a rolling second, per endpoint; linear and inverse share one count (rate-limit.mdx)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, deque[int]] = defaultdict(deque)

    def admit(self, account: Account, path: str, now_ms: int) -> Allowance | None:
        """None while the limiter is off: then no headers are sent either."""
        if not account.limiter_on:
            return None
        with self._lock:
            return self._admit(account, path, now_ms)

    def _admit(self, account: Account, path: str, now_ms: int) -> Allowance:
        most = account.creates_per_second if path in WRITES else READS_PER_SECOND
        calls = self._calls[path]
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
