"""The paper exchange with thousands of contracts, L0USDT and on: more than any exchange lists on one account."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from relay.paper import exchange, state
from relay.paper.__main__ import main

CONTRACTS = "BENCH_CONTRACTS"
"""How many there are beside the usual ones."""


def _wide(path: Path = state.TABLE) -> dict[str, state.Instrument]:
    known = _usual(path)
    model = known["BTCUSDT"]
    for number in range(int(os.environ[CONTRACTS])):
        symbol, coin = f"L{number}USDT", f"L{number}"
        shown = {**model.published, "symbol": symbol, "baseCoin": coin}
        known[symbol] = replace(model, symbol=symbol, base_coin=coin, published=shown)
    return known


_usual = state.load

if __name__ == "__main__":
    exchange.load = _wide  # type: ignore[attr-defined]
    sys.exit(main())
