#!/usr/bin/env bash
# nautilus-trader 1.231.0's `make_qty` rounds to the nearest, also above what there is, and neither it nor `make_price` minds the instrument's step.
#
# Version: nautilus-trader 1.231.0
#
# Guess: `make_qty` rounds down to the instrument's step, or refuses what is none; `make_price` rounds to the tick.
#
# Behaviour: both round to the instrument's number of digits, and never to its increment: with a step of 0.005, 0.0079
#   becomes 0.008; with a tick of 0.5, 67123.3 stays. `round_down=True` mends the direction of quantities, not the
#   step. Only what rounds to zero is refused.
#
# Why it matters: Bybit lists perpetuals with steps of 5, 10 or 100 and ticks of 0.5 or 0.0005, and refuses other
#   values (110017, 10001), which the back test of the same strategy had filled. A quantity computed from the whole
#   balance, rounded up, is refused for want of balance.
#
# Output seen, which is what this script compares with:
#> step 0.001: 0.0019 is 0.002, 0.0015 is 0.002, 0.0014 is 0.001,
#> step 0.005: 0.0079 is 0.008, rounded down 0.007, 0.012 is 0.012, rounded down 0.012,
#> tick 0.5:   67123.3 is 67123.3, 67123.26 is 67123.3, 67123.5 is 67123.5,
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check nautilus-trader==1.231.0

cat >"$folder/check.py" <<'END'
from decimal import Decimal

from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.identifiers import InstrumentId, Symbol
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Price, Quantity


def perpetual(tick, step):
    """A perpetual of Bybit's whose prices move by `tick` and whose quantities by `step`."""
    price, quantity = Price.from_str(tick), Quantity.from_str(step)
    margins = {"margin_init": Decimal("0.1"), "margin_maint": Decimal("0.05")}
    fees = {"maker_fee": Decimal("0.0002"), "taker_fee": Decimal("0.00055")}
    parts = {"price_precision": price.precision, "size_precision": quantity.precision, "price_increment": price, "size_increment": quantity}
    coins = {"base_currency": BTC, "quote_currency": USDT, "settlement_currency": USDT, "is_inverse": False}
    return CryptoPerpetual(InstrumentId.from_str("BTCUSDT-LINEAR.BYBIT"), Symbol("BTCUSDT"), **coins, **parts, **margins, **fees, ts_event=0, ts_init=0)


coarse = perpetual("0.5", "0.005")
print("step 0.001:", *(f"{size} is {perpetual('0.1', '0.001').make_qty(size)}," for size in (0.0019, 0.0015, 0.0014)))
print("step 0.005:", *(f"{size} is {coarse.make_qty(size)}, rounded down {coarse.make_qty(size, round_down=True)}," for size in (0.0079, 0.012)))
print("tick 0.5:  ", *(f"{price} is {coarse.make_price(price)}," for price in (67123.3, 67123.26, 67123.5)))
END

seen=$(timeout 120 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
