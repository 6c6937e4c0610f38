#!/usr/bin/env bash
# xlsx2csv 0.8.4 writes a quantity of 0.00012345 as 0.000123, a price of 1e-09 as 0.000000, and a loss as -0.000000.
#
# Versions: xlsx2csv 0.8.4, openpyxl 3.1.5 (writes the file)
#
# Guess: a cell without a number format of its own comes out as the file has it; at worst in another notation.
#
# Behaviour: a number with more than six decimals, and every one that the file has in scientific notation, is written with
#   "%f": six decimals, the rest rounded off, without a word and with exit code 0. Shorter ones stay as they are, in the
#   same column. `--floatformat %.12g` mends those in scientific notation only.
#
# Why it matters to a relay from TradingView to Bybit: a strategy's list of trades comes as XLSX. Turned into CSV on the
#   way to anything that adds up, sizes of coins and prices of small ones are others, or zero, and sums do not fit.
#
# Output seen, which is what this script compares with:
#> in the file          0.00012345 1.2345678e-05 -4.2e-07 0.5 60123.456 12.3456789 1e-09
#> xlsx2csv             0.000123 0.000012 -0.000000 0.5 60123.456 12.345679 0.000000
#> --floatformat %.12g  0.000123 1.2345678e-05 -4.2e-07 0.5 60123.456 12.345679 1e-09
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check xlsx2csv==0.8.4 openpyxl==3.1.5

cat >"$folder/check.py" <<'END'
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from openpyxl import Workbook

path = Path(__file__).parent / "trades.xlsx"
book = Workbook()
book.active.append([0.00012345, 0.000012345678, -0.00000042, 0.5, 60123.456, 12.3456789, 1e-9])
book.save(path)
with zipfile.ZipFile(path) as parts:
    sheet = parts.read("xl/worksheets/sheet1.xml").decode()


def show(words, cells):
    print(f"{words:20} {' '.join(cells)}")


def converted(*options):
    command = [Path(sys.executable).parent / "xlsx2csv", *options, path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split(",")


show("in the file", re.findall("<v>(.*?)</v>", sheet))
show("xlsx2csv", converted())
show("--floatformat %.12g", converted("--floatformat", "%.12g"))
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
