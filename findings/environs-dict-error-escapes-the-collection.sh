#!/usr/bin/env bash
# In environs 15.2.0 a malformed dict raises a bare ValueError at once, past `eager=False` and without the variable's name.
#
# Version: environs 15.2.0
#
# Guess: like any other invalid variable it becomes an EnvValidationError; with `eager=False` it is collected, and
#   `seal()` names all of them.
#
# Behaviour: `Env(eager=False).dict(...)` with "binance:0.5" (a colon for an equals sign) raises "not enough values to
#   unpack" from inside; the problems collected before it are never told. A wrong int beside it is collected as
#   promised.
#
# Why it matters to a relay from TradingView to Bybit: settings such as shares of accounts come as
#   `name=value,name=value`. The user sees a traceback without the variable's name, and of several mistakes not one.
#
# Output seen, which is what this script compares with:
#> int:  EnvValidationError: Environment variables invalid: {'LIMIT': ['Not a valid integer.']}
#> dict: ValueError: not enough values to unpack (expected 2, got 1)
#> both: ValueError: not enough values to unpack (expected 2, got 1)
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check environs==15.2.0

cat >"$folder/check.py" <<'END'
import os

from environs import Env

os.environ.update(WEIGHTS="btc:0.5,eth:0.5", LIMIT="ten", MODE="")


def outcome(read):
    env = Env(eager=False)
    try:
        read(env)
        env.seal()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


print("int: ", outcome(lambda env: env.int("LIMIT")))
print("dict:", outcome(lambda env: env.dict("WEIGHTS")))
print("both:", outcome(lambda env: (env.int("LIMIT"), env.dict("WEIGHTS"))))
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
