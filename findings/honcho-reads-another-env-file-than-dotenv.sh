#!/usr/bin/env bash
# honcho 2.0.0 reads a `.env` as shell words: `pa#ss` becomes `pa`, JSON loses its quotes and blanks, a backslash goes, and the file wins over the environment.
#
# Version: honcho 2.0.0, python-dotenv 1.2.4
#
# Guess: the two read one `.env` alike, as a program that loads the file itself and is started by honcho from a Procfile expects.
#
# Behaviour: honcho cuts a value at `#` even within a word, takes quotes and backslashes as a shell does, expands no `${…}`,
#   and makes of `export NAME=…` a variable whose name begins with "export ". An apostrophe anywhere ends it with a traceback.
#   What the file says wins over a variable that is set already; with python-dotenv the set one wins.
#
# Why it matters to a relay from TradingView to Bybit: a webhook secret or a database's password with `#` is cut short without a
#   word under `honcho start`, and is whole when the same program is started by hand. Put such values in double quotes.
#
# Output seen, which is what this script compares with:
#> SECRET    dotenv 'pa#ss'                         honcho 'pa'
#> DATABASE  dotenv 'postgresql://u:p#w@host/x'     honcho 'postgresql://u:p'
#> LIMITS    dotenv '{"a": 1}'                      honcho '{a:1}'
#> BACK      dotenv 'a\\b'                          honcho 'ab'
#> HOME_OF   dotenv 'of pa#ss'                      honcho 'of ${SECRET}'
#> QUOTED    dotenv 'pa#ss'                         honcho 'pa#ss'
#> EXPORTED  dotenv 'v'                             honcho None
#> OUTER     dotenv 'from outside'                  honcho 'from the file'
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check honcho==2.0.0 python-dotenv==1.2.4

cat >"$folder/.env" <<'END'
SECRET=pa#ss
DATABASE=postgresql://u:p#w@host/x
LIMITS={"a": 1}
BACK=a\b
HOME_OF="of ${SECRET}"
QUOTED="pa#ss"
export EXPORTED=v
OUTER="from the file"
END
cat >"$folder/show.py" <<'END'
import json
import os
import sys

if sys.argv[1] == "dotenv":
    from dotenv import load_dotenv

    load_dotenv(".env")
names = ("SECRET", "DATABASE", "LIMITS", "BACK", "HOME_OF", "QUOTED", "EXPORTED", "OUTER")
print(json.dumps({name: os.environ.get(name) for name in names}))
END
cat >"$folder/check.py" <<'END'
import json
import os
import subprocess
import sys

own = os.environ | {"OUTER": "from outside"}
honcho = [os.path.join(os.path.dirname(sys.executable), "honcho"), "run", sys.executable, "show.py", "honcho"]
found = [
    json.loads(subprocess.run(command, env=own, capture_output=True, check=True, text=True).stdout)
    for command in ([sys.executable, "show.py", "dotenv"], honcho)
]
for name, by_dotenv in found[0].items():
    print(f"{name:9} dotenv {by_dotenv!r:31} honcho {found[1][name]!r}")
END

cd "$folder"
seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
