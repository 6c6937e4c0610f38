"""The instruments that the exchange lists, as of the last time that it told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType

from relay.domain.instrument import Category, Instrument
from relay.errors import ExchangeUnreachable

_Key = tuple[Category, str]


class Catalog:
    """A snapshot that is replaced whole: readers see the old one or the new one, never a mixture. Thread-safe."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._loading = threading.Lock()
        self._instruments: Mapping[_Key, Instrument] = MappingProxyType({})
        self._loaded_at: float | None = None

    def load(self, fetch: Callable[[], Iterable[Instrument]]) -> int:
        """Replace all instruments with what `fetch` brings; how many.

        What `fetch` raises passes through, and the old ones stay. So they do when it brings none, which is no answer
        that the exchange gives: ExchangeUnreachable.
        """
        with self._loading:
            fresh = {(instrument.category, instrument.symbol): instrument for instrument in fetch()}
            if not fresh:
                raise ExchangeUnreachable("the exchange listed no instruments")
            self._instruments = MappingProxyType(fresh)
            self._loaded_at = self._monotonic()
        return len(fresh)

    def get(self, category: Category, symbol: str) -> Instrument | None:
        return self._instruments.get((category, symbol))

    def all(self) -> tuple[Instrument, ...]:
        return tuple(self._instruments.values())

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self._instruments)

    @property
    def loaded(self) -> bool:
        return self._loaded_at is not None

    @property
    def age(self) -> timedelta | None:
        """Since the last successful load; None before the first."""
        return None if self._loaded_at is None else timedelta(seconds=self._monotonic() - self._loaded_at)
