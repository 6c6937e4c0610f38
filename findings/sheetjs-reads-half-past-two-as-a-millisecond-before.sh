#!/usr/bin/env bash
# SheetJS 0.18.5 (npm xlsx) reads the cell 02:30:00 as 02:29:59.999, and in some zones ten seconds early; exceljs 4.4.0 takes the same cell for another moment.
#
# Version: xlsx 0.18.5, exceljs 4.4.0 (npm), openpyxl 3.1.5 (writes the file)
#
# Guess: with `cellDates: true` a date-time cell becomes a Date with the clock time that the sheet shows, to the
#   second, and both libraries mean the same moment.
#
# Behaviour: SheetJS makes local time of the cell, by way of 1899: parts of a day that no double holds exactly come
#   out a millisecond early, and where the zone's offset was no whole minute then (Asia/Kolkata, Africa/Cairo) ten or
#   nine seconds are missing. exceljs takes the cell for UTC.
#
# Why it matters: trades of an export that are matched with the exchange's by their minute land in the one before, and
#   a bot's two halves, or its test on a server in UTC and its user in Berlin, read one "List of trades" an hour or
#   two apart. `raw: false` and the formatted text is what stays the same.
#
# Output seen, which is what this script compares with:
#> UTC
#>   SheetJS, local time: 08:00:00.000, 02:29:59.999, 23:59:58.999
#>   exceljs, local time: 08:00:00.000, 02:30:00.000, 23:59:59.000
#> Europe/Berlin
#>   SheetJS, local time: 08:00:00.000, 02:29:59.999, 23:59:58.999
#>   exceljs, local time: 09:00:00.000, 03:30:00.000, 00:59:59.000
#> Asia/Kolkata
#>   SheetJS, local time: 07:59:50.000, 02:29:49.999, 23:59:48.999
#>   exceljs, local time: 13:30:00.000, 08:00:00.000, 05:29:59.000
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check openpyxl==3.1.5
timeout 300 npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts xlsx@0.18.5 exceljs@4.4.0 >&2

cat >"$folder/write.py" <<'END'
import sys
from datetime import datetime
from pathlib import Path

from openpyxl import Workbook

book = Workbook()
for moment in (datetime(2026, 11, 30, 8, 0), datetime(2026, 11, 30, 2, 30), datetime(2026, 11, 30, 23, 59, 59)):
    book.active.append([moment])
book.save(Path(sys.argv[0]).parent / "trades.xlsx")
END

cat >"$folder/read.cjs" <<'END'
const path = require("node:path");
const exceljs = require("exceljs");
const xlsx = require("xlsx");

const file = path.join(__dirname, "trades.xlsx");
const clock = (date) => {
  const pad = (number, digits = 2) => String(number).padStart(digits, "0");
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
};
(async () => {
  const rows = xlsx.utils.sheet_to_json(xlsx.readFile(file, { cellDates: true }).Sheets.Sheet, { header: 1 });
  const book = new exceljs.Workbook();
  await book.xlsx.readFile(file);
  console.log(process.env.TZ);
  console.log("  SheetJS, local time:", rows.map(([date]) => clock(date)).join(", "));
  console.log("  exceljs, local time:", [1, 2, 3].map((row) => clock(book.worksheets[0].getCell(row, 1).value)).join(", "));
})();
END

seen=$({ timeout 60 "$folder/venv/bin/python" "$folder/write.py"; TZ=UTC timeout 60 node "$folder/read.cjs"; TZ=Europe/Berlin timeout 60 node "$folder/read.cjs"; TZ=Asia/Kolkata timeout 60 node "$folder/read.cjs"; })
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
