"""Random round trips over three accounts, and what each came to by the exchange's own rows.

`python -m tests.flow.truth 300 [SEED]` runs so many of them and prints what was compared; with `venue` behind it they
are played on the stand-in of `tests.flow.venue` instead of the paper exchange.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.stage import until
from tests.flow.venue import Venue
from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, running_relay

D = Decimal
ACCOUNTS = ("red", "green", "blue")
SECRET_OF = {name: f"a-secret-of-the-{name}-0123" for name in ACCOUNTS}
MARKETS = {
    "BTCUSDT": ("linear", "BTCUSDT.P", D(100000), "0.1"),
    "BTCPERP": ("linear", "BTCUSDC.P", D(100000), "0.1"),
    "BTCUSD": ("inverse", "BTCUSD.P", D(100000), "1000"),
}
NOTHING_OPEN = "nothing was open any more when the exit arrived"
SPOT = "spot:ETHUSDT"
"""As the paper exchange's control door calls the pair."""
COINS = {SPOT: "USDT", "BTCUSDT": "USDT", "BTCPERP": "USDC", "BTCUSD": "BTC"}
WAYS = (
    *("alert", "stop_loss", "take_profit", "ladder", "trailing_stop", "flip", "liquidation", "adl", "hand"),
    *("by hand", "by hand, closed by alert"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """What should be in the ledger. `net`: by the exchange's executions, in the settle coin."""

    account: str
    strategy: str
    symbol: str
    reason: str
    net: Decimal


@dataclass
class Truth:
    """Plays, and keeps what should be."""

    papers: Mapping[str, PaperServer | Venue]
    folder: Path
    chance: random.Random
    expected: list[RoundTrip] = field(default_factory=list)
    traded_coins: dict[str, Decimal] = field(default_factory=dict)
    """What spot changed each account's USDT by, which is no part of what positions are proven by."""
    _seen: dict[str, set[str]] = field(default_factory=dict)

    @contextmanager
    def relay(self) -> Iterator[RelayServer]:
        tables = [
            f'[accounts.{name}]\nurl = "{self.papers[name].url}"\n[strategies.s-{name}]\naccounts = "{name}"\n'
            f'secret_env = "SECRET_{name.upper()}"\n'
            for name in ACCOUNTS
        ]
        secrets = {f"SECRET_{name.upper()}": secret for name, secret in SECRET_OF.items()}
        with running_relay(
            self.folder,
            self.papers["red"].url,
            RELAY_CONFIG="\n".join(tables),
            BYBIT_URL="",
            BYBIT_RECV_WINDOW="5000",
            **secrets,
        ) as relay:
            yield relay

    def play(self, relay: RelayServer) -> None:
        """One round trip, which begins and ends flat."""
        if self.chance.random() < 0.15:
            self.spot(relay, self.chance.choice(ACCOUNTS))
            return
        account, symbol, way = self.chance.choice(ACCOUNTS), self.chance.choice(list(MARKETS)), self.chance.choice(WAYS)
        paper, side = self.papers[account], self.chance.choice(("buy", "sell"))
        _, _, price, lot = MARKETS[symbol]
        sign = 1 if side == "buy" else -1
        away = D(self.chance.randint(5, 900)) * self.chance.choice((1, -1))
        paper.control.prices(**{symbol: str(price)})
        if self.chance.random() < 0.3:
            paper.control.streams(cut=True)
        if self.chance.random() < 0.2:
            coin = self.chance.choice(("", "MNT"))
            paper.control.fees(coin, price="1.3", taxRate=self.chance.choice(("0", "0.18")))
        levels: dict[str, dict[str, Any]] = {
            "stop_loss": {"stop_loss": str(price - sign * 1000)},
            "take_profit": {"take_profit": str(price + sign * 1000)},
            "ladder": {"take_profit": [{"at": str(price + sign * each), "share": 50} for each in (500, 1000)]},
            "trailing_stop": {"trailing_stop": "300"},
        }
        if way.startswith("by hand"):
            self.hand(account, symbol, side, lot)
        else:
            signal = self.alert(relay, account, symbol, side, qty=lot, **levels.get(way, {}))
            if NOTHING_OPEN in signal["notes"]:
                # What a stop had closed a moment before the stream was yet to tell, so this was taken for its exit.
                assert self._size(account, symbol) == 0
                self.alert(relay, account, symbol, side, qty=lot, **levels.get(way, {}))
        if self.chance.random() < 0.3:
            paper.control.prices(**{symbol: str(price + away / 10)})  # then a session pays out something
            paper.control.funding(symbol, self.chance.choice(("0.0001", "-0.00021")))
        strategy = "by hand" if way.startswith("by hand") else f"s-{account}"
        reason = {"ladder": "take_profit", "flip": "alert", "by hand": "hand", "by hand, closed by alert": "alert"}
        self._end(relay, way, account, symbol, side, lot, price, sign, away)
        self._note(account, strategy, symbol, reason.get(way, way), flips=way == "flip")

    def spot(self, relay: RelayServer, account: str) -> None:
        """Coins that are bought and sold again come to what the wallet has of the money that paid for them."""
        paper, price = self.papers[account], 4000 + self.chance.randint(-90, 90)
        paper.control.fees("", price="1", taxRate="0")
        paper.control.prices(**{SPOT: "4000"})
        before = self.balances(account)
        self.alert(relay, account, SPOT, "buy", qty=self.chance.choice(("0.2", "0.5")))
        if self.chance.random() < 0.3:
            self.alert(relay, account, SPOT, "buy", qty="0.3")
        paper.control.prices(**{SPOT: str(price)})
        self.alert(relay, account, SPOT, "close")
        after = self.balances(account)
        assert before["ETH"] == after["ETH"]
        net, traded = after["USDT"] - before["USDT"], self.traded_coins.get(account, D(0))
        self.traded_coins[account] = traded + net
        self.expected.append(RoundTrip(account=account, strategy=f"s-{account}", symbol=SPOT, reason="alert", net=net))

    def _end(
        self, relay: RelayServer, way: str, account: str, symbol: str, side: str, lot: str, price: Decimal, sign: int,
        away: Decimal,
    ) -> None:  # fmt: skip
        paper = self.papers[account]
        other = "sell" if side == "buy" else "buy"
        match way:
            case "stop_loss":
                paper.control.prices(**{symbol: str(price - sign * 1100)})
            case "take_profit":
                paper.control.prices(**{symbol: str(price + sign * 1050)})
            case "ladder":
                until(lambda: len(relay.api(f"orders?open=1&account={account}")["orders"]) == 2)
                paper.control.prices(**{symbol: str(price + sign * 500)})
                paper.control.prices(**{symbol: str(price + sign * 1000)})
            case "trailing_stop":
                paper.control.prices(**{symbol: str(price + sign * 700)})
                paper.control.prices(**{symbol: str(price + sign * 350)})
            case _:
                paper.control.prices(**{symbol: str(price + away)})
        match way:
            case "alert" | "by hand, closed by alert":
                self.alert(relay, account, symbol, "close")
            case "flip":
                self.alert(relay, account, symbol, "short" if side == "buy" else "long", qty=lot)
                paper.control.prices(**{symbol: str(price)})
                self.alert(relay, account, symbol, "close")
            case "hand" | "by hand":
                self.hand(account, symbol, other, lot)
            case "liquidation":
                paper.control.takeover(symbol, "BustTrade")
            case "adl":
                paper.control.takeover(symbol, "AdlTrade")
        assert self._size(account, symbol) == 0, (way, account, symbol)

    def alert(self, relay: RelayServer, account: str, symbol: str, action: str, **fields: Any) -> dict[str, Any]:
        ticker = "ETHUSDT" if symbol == SPOT else MARKETS[symbol][1]
        body = {"secret": SECRET_OF[account], "ticker": ticker, "action": action, **fields}
        if symbol == SPOT:
            body["market"] = "spot"
        elif MARKETS[symbol][0] == "inverse" and "qty" in fields:
            body["qty_unit"] = "contracts"
        for _ in range(20):
            # The price that the stream told last may be a moment older than the one that was set just now.
            signal = relay.done({**body, "id": f"{self.chance.getrandbits(64):x}"}, path=f"/webhook/s-{account}")
            if (signal["reason"] or {}).get("code") != "STOP_WRONG_SIDE":
                break
        assert signal["status"] == "done", signal
        return signal

    def hand(self, account: str, symbol: str, side: str, qty: str) -> None:
        self.papers[account].session().place_order(
            category=MARKETS[symbol][0],
            symbol=symbol,
            side=side.capitalize(),
            orderType="Market",
            qty=qty,
            positionIdx=0,
        )

    def _size(self, account: str, symbol: str) -> Decimal:
        found = self.papers[account].session().get_positions(category=MARKETS[symbol][0], symbol=symbol)
        return D(found["result"]["list"][0]["size"])

    def _note(self, account: str, strategy: str, symbol: str, reason: str, *, flips: bool) -> None:
        """By the rows that are new: each has its result, its fee in some coin, its tax."""
        coin = COINS[symbol]
        seen = self._seen.setdefault(account, set())
        rows = [row for row in self.executions(account, symbol) if row["execId"] not in seen]
        seen |= {row["execId"] for row in rows}
        nets, held = [D(0)], D(0)
        for row in rows:
            signed = D(row["execQty"]) * (1 if row["side"] == "Buy" else -1) if row["execType"] != "Funding" else D(0)
            if signed and not held and row is not rows[0]:
                nets.append(D(0))
            fee = D(row["execFee"]) if row["feeCurrency"] in ("", coin) else D(0)
            tax = sum((D(str(each["fee"])) for each in _taxes(row)), D(0))
            crossing = held * (held + signed) < 0
            opening = (fee + tax) * abs(held + signed) / D(row["execQty"]) if crossing else D(0)
            nets[-1] += D(row["execPnl"] or 0) - fee - tax + opening
            held += signed
            if crossing:
                nets.append(-opening)
        assert held == 0 and len(nets) == (2 if flips else 1)
        self.expected += [
            RoundTrip(account=account, strategy=strategy, symbol=symbol, reason=reason, net=net) for net in nets
        ]

    def executions(self, account: str, symbol: str) -> list[dict[str, Any]]:
        """All of them, the oldest first."""
        paper = self.papers[account]
        if isinstance(paper, Venue):
            return [row for row in paper.executions if row["symbol"] == symbol]
        rows: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            which = {"category": MARKETS[symbol][0], "symbol": symbol, "limit": 100, "cursor": cursor}
            result = paper.session().get_executions(**which)["result"]
            rows += result["list"]
            cursor = result["nextPageCursor"]
            if not cursor:
                return sorted(rows, key=lambda row: row["seq"])

    def balances(self, account: str) -> dict[str, Decimal]:
        (row,) = self.papers[account].session().get_wallet_balance(accountType="UNIFIED")["result"]["list"]
        return {coin["coin"]: D(coin["walletBalance"]) for coin in row["coin"]}


def _taxes(row: dict[str, Any]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] | str = row["extraFees"] or []
    return json.loads(told) if isinstance(told, str) else told


@contextmanager
def three_papers(folder: Path) -> Iterator[dict[str, PaperServer]]:
    with ExitStack() as stack:
        papers = {}
        for name in ACCOUNTS:
            (folder / name).mkdir()
            papers[name] = PaperServer(folder / name)
            stack.callback(papers[name].close)
        yield papers


@contextmanager
def three_venues(seed: int) -> Iterator[dict[str, Venue]]:
    with ExitStack() as stack:
        venues = {name: Venue(seed + number) for number, name in enumerate(ACCOUNTS)}
        for venue in venues.values():
            stack.callback(venue.close)
        yield venues


Hosts = AbstractContextManager[Mapping[str, PaperServer | Venue]]


def play_and_compare(folder: Path, count: int, seed: int, hosts: Callable[[], Hosts] | None = None) -> str:
    """Raises AssertionError where anything differs. Returns what was compared. `hosts` None: paper exchanges."""
    with hosts() if hosts else three_papers(folder) as papers:
        truth = Truth(papers=papers, folder=folder, chance=random.Random(seed))
        before = {name: truth.balances(name) for name in ACCOUNTS}
        begun = time.monotonic()
        for first in range(0, count, max(count // 3, 1)):
            with truth.relay() as relay:
                for _ in range(min(max(count // 3, 1), count - first)):
                    truth.play(relay)
        with truth.relay() as relay:
            return _compared(truth, relay, before, begun)


def _compared(truth: Truth, relay: RelayServer, before: dict[str, dict[str, Decimal]], begun: float) -> str:
    wanted = truth.expected
    trades: list[dict[str, Any]] = []

    def is_whole() -> bool:
        # The trades after their proof: with it the last of them may have been put right.
        rows = relay.api("performance")["accounts"]
        trades[:] = _all_trades(relay)
        is_flat = all(each["status"] == "closed" for each in trades)
        return is_flat and len(trades) >= len(wanted) and bool(rows) and all(row["difference"] == "0" for row in rows)

    try:
        until(is_whole, 30)
    except AssertionError:
        found = Counter((each["account"], _symbol(each), each["status"]) for each in trades)
        lacking = Counter((each.account, each.symbol, "closed") for each in wanted)
        lacking.subtract(found)
        apart = {where: count for where, count in lacking.items() if count}
        raise AssertionError(f"trades that lack: {apart}, {relay.api('performance')['accounts']}") from None
    for name in ACCOUNTS:
        after = truth.balances(name)
        changed = {coin: after[coin] - before[name].get(coin, D(0)) for coin in after}
        changed["USDT"] -= truth.traded_coins.get(name, D(0))
        booked = [row for row in relay.api("performance")["accounts"] if row["account"] == name]
        rows = {row["settle_coin"]: D(row["net"]) for row in booked}
        assert rows == {coin: change for coin, change in changed.items() if coin in rows}, name
        assert all(coin in rows for coin, change in changed.items() if change), name
    _same_trades(trades, wanted)
    for row in relay.api("performance")["strategies"]:
        own = [each for each in wanted if (each.account, each.strategy) == (row["account"], row["strategy"])]
        own = [each for each in own if COINS[each.symbol] == row["settle_coin"]]
        assert (row["trades"], row["won"]) == (len(own), sum(each.net > 0 for each in own))
    reasons = Counter(each.reason for each in wanted)
    took = time.monotonic() - begun
    return f"{len(wanted)} trades on {len(ACCOUNTS)} accounts in {took:.0f} s, all as expected: {dict(reasons)}"


def _same_trades(trades: list[dict[str, Any]], wanted: list[RoundTrip]) -> None:
    """Each account's and symbol's, in their order."""
    for account in ACCOUNTS:
        for symbol in COINS:
            found = [each for each in trades if (each["account"], _symbol(each)) == (account, symbol)]
            found.sort(key=lambda each: (each["opened_at"], each["closed_at"]))
            told = [(each["strategy"], each["exit_reason"]) for each in found]
            own = [each for each in wanted if (each.account, each.symbol) == (account, symbol)]
            assert told == [(each.strategy, each.reason) for each in own], (account, symbol)
            for each, expected in zip(found, own, strict=True):
                # What coins gained is reckoned, in as many parts as they were sold in.
                places = D("0.00000003") if symbol == SPOT else D("0.00000001")
                assert abs(D(each["net"]) - expected.net) <= places, (each, expected)


def _symbol(trade: dict[str, Any]) -> str:
    return SPOT if trade["category"] == "spot" else str(trade["symbol"])


def _all_trades(relay: RelayServer) -> list[dict[str, Any]]:
    found, cursor = [], ""
    while True:
        page = relay.api(f"trades?limit=500{cursor}")
        found += page["trades"]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        chosen = int(sys.argv[2]) if len(sys.argv) > 2 else 1
        stand_in = partial(three_venues, chosen) if sys.argv[3:] == ["venue"] else None
        print(play_and_compare(Path(place), int(sys.argv[1]), chosen, stand_in))  # noqa: T201
