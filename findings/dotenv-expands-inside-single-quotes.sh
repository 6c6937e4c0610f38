#!/usr/bin/env bash
# python-dotenv 1.2.4 (and environs 15.2.0 with it) replaces `${…}` within single quotes, too, and by nothing where the name is unknown.
#
# Version: python-dotenv 1.2.4, environs 15.2.0
#
# Guess: single quotes keep a value as it is, as in a shell; an unknown name is left alone or is an error.
#
# Behaviour: 'pass${word}x' becomes "passx" in single quotes, in double ones and without; `$word` without braces is
#   left alone. A backslash does not help. Within double quotes `\b` becomes a backspace.
#
# Why it matters to a relay from TradingView to Bybit: generated passwords and webhook secrets contain such letters;
#   the relay then has another secret than the alert, every alert is refused, and nothing says that the file was read
#   otherwise than it was written.
#
# Output seen, which is what this script compares with:
#> X=pass${word}x         -> 'passx'
#> X='pass${word}x'       -> 'passx'
#> X="pass${word}x"       -> 'passx'
#> X='pass\${word}x'      -> 'pass\\x'
#> X='pass$word x'        -> 'pass$word x'
#> X="a\b"                -> 'a\x08'
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check environs==15.2.0 python-dotenv==1.2.4

cat >"$folder/check.py" <<'END'
from pathlib import Path

from environs import Env

file = Path(__file__).with_name(".env")
for line in ("X=pass${word}x", "X='pass${word}x'", 'X="pass${word}x"', "X='pass\\${word}x'", "X='pass$word x'", 'X="a\\b"'):
    file.write_text(line + "\n")
    env = Env()
    env.read_env(file, recurse=False)
    print(f"{line:22} -> {env.str('X')!r}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
