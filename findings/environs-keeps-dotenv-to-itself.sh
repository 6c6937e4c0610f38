#!/usr/bin/env bash
# environs 15.2.0 no longer puts a `.env` file into the process's environment.
#
# Version: environs 15.2.0, python-dotenv 1.2.4, requests 2.34.2
#
# Guess: after `read_env()` the file's variables are in `os.environ`, as in the versions before, unless they were set
#   already.
#
# Behaviour: only the Env object that read the file knows them. `os.environ` is unchanged, a second Env() does not see
#   them, and neither do libraries that read the environment, such as requests with HTTPS_PROXY or REQUESTS_CA_BUNDLE.
#
# Why it matters to a relay from TradingView to Bybit: `HTTPS_PROXY`, `NO_PROXY`, `TZ` or a Sentry variable in `.env`
#   had an effect before the upgrade and has none after it: orders leave from another address than the API key is
#   bound to.
#
# Output seen, which is what this script compares with:
#> read: True
#> this Env:     http://127.0.0.1:3128
#> another Env:  None
#> os.environ:   None
#> requests:     {}
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check environs==15.2.0 python-dotenv==1.2.4 requests==2.34.2

cat >"$folder/check.py" <<'END'
import os
from pathlib import Path

from environs import Env
from requests.utils import get_environ_proxies

for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
    os.environ.pop(name, None)
file = Path(__file__).with_name(".env")
file.write_text("HTTPS_PROXY=http://127.0.0.1:3128\n")
env = Env()
print("read:", env.read_env(file, recurse=False))
print("this Env:    ", env.str("HTTPS_PROXY", None))
print("another Env: ", Env().str("HTTPS_PROXY", None))
print("os.environ:  ", os.environ.get("HTTPS_PROXY"))
print("requests:    ", get_environ_proxies("https://api.bybit.com"))
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
