"""Alerts for minutes without a pause: what the relay holds must not grow with how many it has taken."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, percentile
from tests.bench.latency import Sender
from tests.bench.rig import Rig, rig
from tests.bench.watch import Watch, slope, watching, web_process

SECONDS = 480.0
AIM = 200_000
_MARGIN = 1.3
"""What is lost in stalls is not made up for, so more is begun."""
SYMBOLS = {
    "BTCUSDT": "0.1",
    "ETHUSDT": "0.1",
    "SOLUSDT": "0.1",
    "XRPUSDT": "100",
    "DOGEUSDT": "100",
    "BTCUSD": "100",
}
"""What is bought of each, in contracts."""
_WARM_UP_SHARE = 0.4
"""Caches fill, pools reach their size, the allocator settles."""
MB_PER_100_000_MAX = 20.0
_WAITED_EVERY = 100
_REPORTED_EVERY_S = 15
_MORE_MAX = 2
"""Threads and descriptors come and go by one or two."""
_BEATS = 16


class _Stream:
    """One connection's alerts, one after the other. Of many, some wait for the outcome, so that none pile up."""

    def __init__(self, port: int, mark: str, until: float, alerts: list[dict[str, Any]], *, rate: float) -> None:
        self._sender, self._mark, self._until, self._alerts = Sender(port), mark, until, alerts
        self._pause_s = 1 / rate
        self.kind = "/".join(dict.fromkeys(alert["action"] for alert in alerts))
        self.sent = 0
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        due = time.monotonic()
        while (now := time.monotonic()) < self._until:
            # Behind its time it does not hurry to make up for it: a stall would become a burst.
            due = max(now, due + self._pause_s)
            alert = self._alerts[self.sent % len(self._alerts)]
            is_waited = alert["action"] != "heartbeat" or self.sent % _WAITED_EVERY == 0
            self._sender.send({**alert, "id": f"{self._mark}-{self.sent}"}, wait_s=10 if is_waited else 0)
            self.sent += 1
            time.sleep(max(0.0, due - time.monotonic()))
        self._sender.close()


def soak(folder: Path, seconds: float) -> list[Figure]:
    """The web process's memory, threads, descriptors and connections after the warm-up, and their growth."""
    with rig(folder) as made:
        streams = _streams(made, seconds)
        with watching(web_process(made.relay), max(0.5, seconds / 240)) as watch:
            for stream in streams:
                stream.thread.start()
            _tell(watch, streams, made)
            for stream in streams:
                stream.thread.join()
        sent = Counter[str]()
        for stream in streams:
            sent[stream.kind] += stream.sent
        unfinished = sum(len(made.relay.api(f"signals?status={each}")["signals"]) for each in ("accepted", "executing"))
    return _figures(watch, sent, unfinished)


def _streams(made: Rig, seconds: float) -> list[_Stream]:
    until, port, per_s = time.monotonic() + seconds, made.relay.port, _MARGIN * AIM / SECONDS
    share = per_s / len(SYMBOLS)
    found = []
    for symbol, qty in SYMBOLS.items():
        ticker = f"{symbol}.P"
        entry = {"ticker": ticker, "action": "buy", "qty": qty, "qty_unit": "contracts"}
        turn = [entry, {"ticker": ticker, "action": "close"}]
        found.append(_Stream(port, f"turn {symbol}", until, turn, rate=share * 0.02))
        found.append(
            _Stream(port, f"cancel {symbol}", until, [{"ticker": ticker, "action": "cancel"}], rate=share * 0.02)
        )
    beats = [{"action": "heartbeat"}]
    return found + [_Stream(port, f"beat{n}", until, beats, rate=per_s * 0.96 / _BEATS) for n in range(_BEATS)]


def _tell(watch: Watch, streams: list[_Stream], made: Rig) -> None:
    """A line now and then: it is a long run. And the exchange forgets the calls that it keeps for tests."""
    while living := [stream.thread for stream in streams if stream.thread.is_alive()]:
        living[0].join(_REPORTED_EVERY_S)
        made.paper.control.clear_calls()
        last = watch.looks[-1]
        sys.stderr.write(
            f"{last.at_s - watch.looks[0].at_s:4.0f} s  {sum(stream.sent for stream in streams):7,} alerts  "
            f"{last.resident_mb:6.1f} MB  {last.threads} threads  {last.descriptors} descriptors  "
            f"{last.connections} connections\n"
        )


def _figures(watch: Watch, by_kind: Counter[str], unfinished: int) -> list[Figure]:
    sent, reported = by_kind.total(), ", ".join(f"{kind} {count}" for kind, count in by_kind.items())
    seconds = watch.looks[-1].at_s - watch.looks[0].at_s
    settled = watch.after(_WARM_UP_SHARE)
    growth = slope([(each.at_s, each.resident_mb) for each in settled]) * seconds / max(1, sent) * 100_000
    ends = settled[0].resident_mb, settled[-1].resident_mb
    aim = AIM * seconds / SECONDS
    reported = f"at least {aim:,.0f}: {sent >= aim}; {reported}"
    found = [
        Figure(case="soak: alerts taken", median=sent / seconds, p99=sent, unit="1/s, all", count=sent, note=reported),
        Figure(case="soak: not finished at its end", median=unfinished, p99=unfinished, unit="", count=1),
        Figure(
            case="soak: resident memory, growth",
            median=growth,
            p99=growth,
            unit="MB/100,000",
            count=len(settled),
            note=f"{ends[0]:.1f} → {ends[1]:.1f} MB; at most {MB_PER_100_000_MAX:g}: {growth <= MB_PER_100_000_MAX}",
        ),
    ]
    for name in ("threads", "descriptors", "connections"):
        values = [getattr(each, name) for each in settled]
        quarter = max(1, len(values) // 4)
        first, last = percentile(values[:quarter], 0.5), percentile(values[-quarter:], 0.5)
        found.append(
            Figure(
                case=f"soak: {name}",
                median=percentile(values, 0.5),
                p99=max(values),
                unit="",
                count=len(values),
                note=f"{first} → {last}; flat: {last <= first + _MORE_MAX}",
            )
        )
    return found
