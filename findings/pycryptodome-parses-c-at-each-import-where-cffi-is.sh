#!/usr/bin/env bash
# pycryptodome 4.4.0 has pycparser read C declarations at each import, once any other package has brought cffi along.
#
# Versions: pycryptodome 4.4.0, cffi 2.0.0
#
# Guess: it depends on nothing, so what it does at import is the same whatever else is installed.
#
# Behaviour: where cffi can be imported it is used instead of ctypes, and given the declarations as text. So `import` of a hash
#   loads pycparser and runs it, in each process anew; without cffi neither happens.
#
# Why it matters to a relay from TradingView to Bybit: pybit imports three of its modules to sign, so every start and command pays,
#   on the machine where the tests' packages are installed and not on the one where it runs: a start measured there is too long
#   by a tenth.
#
# Output seen, which is what this script compares with:
#> alone      loads pycparser: False   C declarations parsed: 0
#> with cffi  loads pycparser: True    C declarations parsed: several
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pycryptodome==4.4.0

cat >"$folder/check.py" <<'END'
import sys

parsed = 0
try:
    import cffi.api
except ImportError:
    pass
else:
    of_cffi = cffi.api.FFI.cdef

    def cdef(*arguments, **more):
        global parsed
        parsed += 1
        return of_cffi(*arguments, **more)

    cffi.api.FFI.cdef = cdef

from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import PKCS1_v1_5

count = "several" if parsed > 1 else parsed
print(f"{sys.argv[1]:10} loads pycparser: {'pycparser' in sys.modules!s:7} C declarations parsed: {count}")
END

run() { timeout 90 "$folder/venv/bin/python" "$folder/check.py" "$1"; }
seen=$(run alone
  timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check cffi==2.0.0
  run "with cffi")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
