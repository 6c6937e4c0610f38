"""How long the slowest alert takes to be read: of many that were tampered with, and of the largest and worst shaped."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from itertools import islice

from relay.alerts.authenticate import secret_among_bytes
from relay.alerts.signal import read, signal_from_stored
from relay.alerts.wording import Kind, message
from relay.errors import AlertError, AlertMalformed
from relay.web.access import BYTES_MAX
from tests.bench.figures import Figure, figure
from tests.property.test_alerts_fuzz import RECEIVED_AT, SECRET, bodies
from tests.unit.dialect_messages import OKX_A, WUNDER

MS_MAX = 50.0
_SECRET_FIELD = b'"secret": "%s", ' % SECRET.encode()


def reading(count: int) -> list[Figure]:
    """Of the thread's own time: what else runs on the machine does not count."""
    found = []
    for name, given in (("tampered with", islice(_tampered(), count)), ("64 KiB, worst shapes", _worst())):
        times = [_ms(body) for body in given]
        note = f"slowest {max(times):.1f} ms; under {MS_MAX:g} ms: {max(times) < MS_MAX}"
        found.append(figure(f"an alert read, {name}", times, note=note))
    return [*found, *_typical()]


REPEATS = 300


def _typical() -> Iterator[Figure]:
    """What the usual ones cost, each read again and again: the README's, other people's names, other formats."""
    examples = {"a strategy's fill": _FILL, "plain names": _NAMES, "WunderTrading": WUNDER, "OKX": OKX_A}
    for name, example in examples.items():
        body = json.dumps(example).encode()
        times = [_ms(body) for _ in range(REPEATS)]
        yield figure(f"an alert read, {name}", times, note=f"fastest {min(times) * 1000:.0f} us")


_FILL = {name: value or "1" for name, value in message(Kind.STRATEGY).items()} | {
    **{"secret": SECRET, "ticker": "BTCUSDT.P", "action": "buy", "qty": "0.1", "market_position": "long"},
    **{"market_position_size": "0.1", "prev_market_position": "flat", "prev_market_position_size": "0"},
    **{"signal_price": "50000", "time": "2025-01-31T12:00:00Z", "exchange": "BYBIT", "order_id": "L"},
}
_NAMES = {"pair": "BTCUSDT.P", "side": "buy", "quantity": "0.1", "sl": "2%", "timestamp": "2025-01-31T12:00:00Z"}


def _tampered() -> Iterator[bytes]:
    seed = 0
    while True:
        yield from bodies(seed)
        seed += 1


def _worst() -> Iterable[bytes]:
    """Each proves its sender, or nobody would read it."""
    head, room = b"{" + _SECRET_FIELD, BYTES_MAX - 200
    fills = (
        b'"comment": "' + b"x" * room + b'"}',
        b'"comment": "' + b"\\u0061" * (room // 6) + b'"}',
        b'"comment": "' + b"\\\\" * (room // 2) + b'"}',
        b'"comment": "' + b"%41" * (room // 3) + b'"}',
        b'"x_list": [' + b"1," * (room // 2) + b"1]}",
        b'"x_number": ' + b"9" * room + b"}",
        b'"x_deep": ' + b"[" * room,
        b'"x_deep": ' + b'{"a":' * (room // 5),
        b",".join(b'"k%d": 1' % number for number in range(room // 12)) + b"}",
        b",".join(b'"tikcer%d": "{{close}}"' % number for number in range(room // 30)) + b"}",
        b'"comment": "' + b'\\"' * (room // 2),
        b'"take_profit": [' + b'{"at": "1%", "share": 1},' * (room // 25) + b"{}]}",
    )
    pairs = (b"secret=" + SECRET.encode() + b"\n") + b"a=b,\n" * (room // 5)
    form = b"secret=" + SECRET.encode() + b"&" + b"&".join(b"k%d=%%41" % number for number in range(room // 12))
    return (*(head + fill for fill in fills), pairs, form, b"%7B" + b"%22" * (room // 3) + SECRET.encode())


def _ms(body: bytes) -> float:
    """With what is done for a body that is too broken to be read."""
    begun = time.thread_time()
    try:
        reading = read(body, secrets=(SECRET,))
        signal_from_stored(reading.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
    except AlertMalformed:
        secret_among_bytes((SECRET,), body)
    except AlertError:
        pass
    return (time.thread_time() - begun) * 1000
