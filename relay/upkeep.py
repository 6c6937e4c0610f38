"""What must be done again and again so that the next alert finds everything warm."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable
from relay.exchange.client import Exchange
from relay.exchange.market import Market

log = logging.getLogger(__name__)

KEEP_WARM_S = 20.0
CLOCK_S = 60.0
PRICES_S = 60.0
INSTRUMENTS_S = 900.0
MORE_S = 5.0


@dataclass(slots=True, kw_only=True)
class _Chore:
    name: str
    every_s: float
    do: Callable[[], object]
    due_at: float


class Upkeep:
    """One thread; a chore that fails is due again at its usual time, and what it would have renewed is kept."""

    def __init__(
        self,
        *,
        markets: Iterable[tuple[Market, Exchange]],
        exchanges: Mapping[str, Exchange],
        more: Mapping[str, Callable[[], object]] | None = None,
    ) -> None:
        """`markets`: each with an account by which it is read. `more`: what else is looked after every few seconds."""
        now = time.monotonic()
        chores: list[tuple[str, float, Callable[[], object]]] = []
        for market, reader in markets:
            chores.append(("prices", PRICES_S, partial(market.load_prices, reader)))
            chores.append(("instruments", INSTRUMENTS_S, partial(market.load_instruments, reader)))
        chores += [(name, MORE_S, do) for name, do in (more or {}).items()]
        for name, exchange in exchanges.items():
            chores.append((f"connections of {name}", KEEP_WARM_S, exchange.keep_warm))
            chores.append((f"clock of {name}", CLOCK_S, exchange.measure_clock))
        self._chores = [_Chore(name=name, every_s=every, do=do, due_at=now + every) for name, every, do in chores]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def add(self, name: str, every_s: float, do: Callable[[], object]) -> None:
        """A further chore, due at once. Before `start`."""
        self._chores.append(_Chore(name=name, every_s=every_s, do=do, due_at=time.monotonic()))

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        while True:
            chore = min(self._chores, key=lambda each: each.due_at)
            if self._stop.wait(max(0.0, chore.due_at - time.monotonic())):
                return
            chore.due_at = time.monotonic() + chore.every_s
            try:
                chore.do()
            except (ExchangeUnreachable, ExchangeAnswered, JournalUnavailable) as error:
                log.warning("%s could not be renewed: %s", chore.name, error)
            except Exception:
                log.exception("%s could not be renewed", chore.name)
