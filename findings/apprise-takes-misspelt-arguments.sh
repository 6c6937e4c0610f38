#!/usr/bin/env bash
# Apprise 2.2.0 takes an address with a misspelt argument, or a misspelt value of one, as if it were not there.
#
# Version: apprise 2.2.0
#
# Guess: `add` returns False for an argument that it does not know, as it does for an unknown service.
#
# Behaviour: it returns True. The argument, or its value, has no effect, and the address that Apprise gives back has
#   the default in its place. A port of 99999 is taken, too. Of a misspelt value Apprise's own logger tells, which a
#   program has to listen to; of a misspelt name nothing does.
#
# Why it matters to a relay from TradingView to Bybit: such addresses are typed once into a setting and are needed
#   months later, when an order has gone wrong. A `silnt=yes` rings at night; a long report with `overflw=split` is
#   refused by the service; nothing at the start says so. Whoever wants a bad address to stop the start has to look for
#   each argument in the address that Apprise gives back.
#
# Output seen, which is what this script compares with:
#> ?overflow=split True {'overflow': 'split', 'silent': 'no'}
#> ?overflw=split True {'overflow': 'upstream', 'silent': 'no'}
#> Unsupported overflow mode specified 'splitt'
#> ?overflow=splitt True {'overflow': 'upstream', 'silent': 'no'}
#> ?silent=yes True {'overflow': 'upstream', 'silent': 'yes'}
#> ?silnt=yes True {'overflow': 'upstream', 'silent': 'no'}
#> Unsupported format specified 'htlm'
#> ?format=htlm True {'overflow': 'upstream', 'silent': 'no'}
#> json://127.0.0.1:99999/ True {'overflow': 'upstream'}
#> Unparseable URL jsson://1...1/
#> jsson://127.0.0.1/ False {}
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check apprise==2.2.0

cat >"$folder/check.py" <<'END'
import logging
from urllib.parse import parse_qs, urlsplit

import apprise

apprise.logger.addHandler(logging.StreamHandler(__import__("sys").stdout))
apprise.logger.setLevel(logging.WARNING)
BOT = "tgram://123456789:abcdefghijklmnopqrstuvwxyz123456789/12345/"
for address in (
    f"{BOT}?overflow=split",
    f"{BOT}?overflw=split",
    f"{BOT}?overflow=splitt",
    f"{BOT}?silent=yes",
    f"{BOT}?silnt=yes",
    f"{BOT}?format=htlm",
    "json://127.0.0.1:99999/",
    "jsson://127.0.0.1/",
):
    service = apprise.Apprise()
    taken = service.add(address)
    back = parse_qs(urlsplit(service[0].url()).query) if taken else {}
    shown = {name: back[name][0] for name in ("overflow", "silent", "format") if name in back}
    print(address.removeprefix(BOT), taken, shown)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
