#!/usr/bin/env bash
# In backtesting.py 0.6.6's FractionalBacktest a strategy sees prices in hundred millionths: a short's stop at the chart's price is taken, and never reached.
#
# Version: backtesting 0.6.6, pandas 3.1.1
#
# Guess: the class makes sizes finer and nothing else: within the strategy a price, a stop and a size are what they
#   are in the data and in the trades that come out.
#
# Behaviour: within `next()` all prices are multiplied by `fractional_unit` and sizes are in units of it, while
#   `_trades` has both as in the data. A short with `sl=63000` has its stop a hundred million times away: no error, no
#   warning, and the trade runs to the end. A long with such a stop raises a ValueError, with such a target it never
#   takes profit.
#
# Why it matters: a strategy that is moved from Backtest to FractionalBacktest so that it can trade 0.5 BTC is tested
#   without its stops, and the test looks the better for it. Stops given relative to `self.data.Close[-1]` are right;
#   a size of 0.5 BTC is 50 million.
#
# Output seen, which is what this script compares with:
#> sl=63000
#>   the strategy sees a price of 0.000600
#>   -0.50 BTC in at 61000, out at 70000, stop 6300000000000, profit -4500
#> sl=1.05 * Close[-1]
#>   the strategy sees a price of 0.000600
#>   -0.50 BTC in at 61000, out at 64000, stop 63000, profit -1500
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check backtesting==0.6.6 pandas==3.1.1

cat >"$folder/check.py" <<'END'
import warnings

import pandas
from backtesting import Strategy, backtesting
from backtesting.lib import FractionalBacktest

warnings.simplefilter("ignore")
backtesting._tqdm = lambda bars, **_: bars  # no progress bar
closes = pandas.Series([60000.0, 60000, 61000, 62000, 64000, 66000, 68000, 70000])
bars = pandas.DataFrame({"Open": closes, "High": closes + 500, "Low": closes - 500, "Close": closes, "Volume": 1.0})
bars.index = pandas.date_range("2026-01-01", periods=len(bars))


class Short(Strategy):
    """Sells 0.5 BTC at 60,000 with a stop 5 % higher, given as `stop` says."""

    stop = None

    def init(self):
        pass

    def next(self):
        if len(self.data) == 2:
            print(f"  the strategy sees a price of {self.data.Close[-1]:.6f}")
            self.sell(size=50_000_000, sl=self.stop(self.data.Close[-1]))


for words, stop in {"sl=63000": lambda price: 63000, "sl=1.05 * Close[-1]": lambda price: 1.05 * price}.items():
    print(words)
    strategy = type("Short", (Short,), {"stop": staticmethod(stop)})
    trades = FractionalBacktest(bars, strategy, cash=100_000, finalize_trades=True).run()._trades
    trade = trades.iloc[0]
    print(f"  {trade.Size:.2f} BTC in at {trade.EntryPrice:.0f}, out at {trade.ExitPrice:.0f}, stop {trade.SL:.0f}, profit {trade.PnL:.0f}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
