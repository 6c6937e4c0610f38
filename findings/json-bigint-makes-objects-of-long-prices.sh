#!/usr/bin/env bash
# json-bigint 1.0.0 (npm) takes any number that is written with more than 15 characters for a big one: 67123.450000000000 becomes an object or a text.
#
# Version: json-bigint 1.0.0, bignumber.js as it brings it
#
# Guess: large whole numbers, such as order ids, become BigNumber, or text with `storeAsString`; a price stays a
#   number, however many zeros it is written with.
#
# Behaviour: the length of the number's text decides, its point and sign included. A price with 12 places becomes a
#   BigNumber: compared by `<` or multiplied it is a number, but two equal ones are not `===`, `+` puts their texts in
#   a row, and `JSON.stringify` writes it as a text. With `storeAsString` it is a text to begin with.
#
# Why it matters: the library is what JavaScript bots keep 19-digit order ids with. Prices and quantities that an
#   exchange or Python writes with a dozen places change their kind with their number of digits: 67123.45 is a number
#   in one message and an object in the next, and what the bot passes on as JSON has quotes around it.
#
# Output seen, which is what this script compares with:
#> by default
#>   kinds:  id BigNumber price BigNumber short Number
#>   price === price again: false - price + price: 67123.4567123.45 - price * 2: 134246.9
#>   passed on: {"price":"67123.45","short":67123.45}
#> as strings
#>   kinds:  id String price String short Number
#>   price === price again: true - price + price: 67123.45000000000067123.450000000000 - price * 2: 134246.9
#>   passed on: {"price":"67123.450000000000","short":67123.45}
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
timeout 300 npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts json-bigint@1.0.0 >&2

cat >"$folder/check.cjs" <<'END'
const jsonBigint = require("json-bigint");

const text = '{"id": 1234567890123456789, "price": 67123.450000000000, "again": 67123.450000000000, "short": 67123.45}';
for (const storeAsString of [false, true]) {
  const { id, price, again, short } = jsonBigint({ storeAsString }).parse(text);
  console.log(storeAsString ? "as strings" : "by default");
  console.log("  kinds: ", ...Object.entries({ id, price, short }).map(([name, value]) => `${name} ${value.constructor.name}`));
  console.log("  price === price again:", price === again, "- price + price:", price + again, "- price * 2:", price * 2);
  console.log("  passed on:", JSON.stringify({ price, short }));
}
END

seen=$(timeout 60 node "$folder/check.cjs")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
