#!/usr/bin/env bash
# quantstats 0.0.86 takes a series of returns without a loss, one of them above 100 %, for a series of prices.
#
# Version: quantstats 0.0.86, pandas 3.1.1
#
# Guess: what is handed to `sharpe`, `max_drawdown` or `win_rate` as returns is taken for returns; `comp` does so.
#
# Behaviour: a series whose smallest value is not below 0 and whose largest is above 1 counts as prices, and its
#   changes are what is measured: gains of 10 %, 150 % and 20 % become +1400 % and -87 %. One loss among them, or 90 %
#   in place of 150 %, and it counts as returns again. Nothing is said either way, and there is no argument to say
#   which it is.
#
# Why it matters: the returns per trade of a strategy that was leveraged or traded a coin that doubled, over a week
#   without a loss, come out with a draw-down of 87 %; a trade more turns all figures around. A limit on such a figure
#   (stop trading at a draw-down of 20 %) acts on nothing that happened.
#
# Output seen, which is what this script compares with:
#> +10 %, +150 %, +20 %             comp 230.0 %, best 1400.0 %, win_rate 50.0 %, max_drawdown -86.7 %
#> +10 %, +90 %, +20 %              comp 150.8 %, best 90.0 %, win_rate 100.0 %, max_drawdown 0.0 %
#> +10 %, +150 %, +20 %, -0.01 %    comp 230.0 %, best 150.0 %, win_rate 75.0 %, max_drawdown -0.0 %
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check quantstats==0.0.86 pandas==3.1.1

cat >"$folder/check.py" <<'END'
import warnings

import pandas
import quantstats

warnings.simplefilter("ignore")


def show(words, *returns):
    series = pandas.Series(returns, index=pandas.date_range("2026-01-01", periods=len(returns)), dtype=float)
    figures = {name: getattr(quantstats.stats, name)(series) for name in ("comp", "best", "win_rate", "max_drawdown")}
    print(f"{words:32}", ", ".join(f"{name} {100 * figure:.1f} %" for name, figure in figures.items()))


show("+10 %, +150 %, +20 %", 0.1, 1.5, 0.2)
show("+10 %, +90 %, +20 %", 0.1, 0.9, 0.2)
show("+10 %, +150 %, +20 %, -0.01 %", 0.1, 1.5, 0.2, -0.0001)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
