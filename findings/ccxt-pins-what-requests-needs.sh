#!/usr/bin/env bash
# ccxt 4.5.90 pins charset_normalizer and idna, which requests needs, to one exact older version each.
#
# Version: ccxt 4.5.90
#
# Guess: a client library says from which version on it works, so that it can be added to a project whose packages are
#   newer.
#
# Behaviour: among its requirements are `charset_normalizer==3.4.7` and `idna==3.18`. pip takes newer ones that were
#   there away without a word, and a project that pins newer ones cannot be resolved at all.
#
# Why it matters to a relay from TradingView to Bybit: installed for tests only, it changes what the relay itself runs
#   with, because requests and httpx use both; the pins have to follow ccxt's.
#
# Output seen, which is what this script compares with:
#> before: charset-normalizer 3.5.2, idna 3.20
#> after:  charset-normalizer 3.4.7, idna 3.18
#> pinned: ResolutionImpossible
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
pip() { timeout 300 "$folder/venv/bin/pip" --disable-pip-version-check "$@"; }
versions() {
    pip list 2>/dev/null | awk '$1 == "charset-normalizer" || $1 == "idna" {print $1, $2}' | paste -sd, | sed 's/,/, /'
}

pip install -qq requests==2.34.2 charset-normalizer==3.5.2 idna==3.20
{
    echo "before: $(versions)"
    pip install -qq ccxt==4.5.90 2>/dev/null
    echo "after:  $(versions)"
    printf 'charset-normalizer==3.5.2\n' >"$folder/constraints.txt"
    pip install --dry-run -c "$folder/constraints.txt" ccxt==4.5.90 2>&1 | grep -o ResolutionImpossible | sed 's/^/pinned: /' || true
} | tee "$folder/seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") "$folder/seen" >&2 || { echo "The behaviour has changed." >&2; exit 1; }
