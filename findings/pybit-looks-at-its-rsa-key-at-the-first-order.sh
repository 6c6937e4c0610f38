#!/usr/bin/env bash
# pybit 5.17.0 with `rsa_authentication=True` takes any text as its key; that it cannot sign comes out at the first signed request, each time as another error.
#
# Version: pybit 5.17.0, pycryptodome 4.4.0
#
# Guess: `HTTP(…, rsa_authentication=True)` reads the key once, and raises where it is constructed.
#
# Behaviour: the text is kept, and read anew for each signature. A public key is a TypeError then, one with a passphrase an error of
#   pycryptodome's own, a PEM whose line ends came as `\n` in two letters (as environment variables often hold it) a ValueError.
#
# Why it matters to a relay from TradingView to Bybit: start, public prices and every check without a key are fine, and the first
#   order of the night raises what no one who catches pybit's errors catches. Read the key at the start, and say what is wrong.
#
# Output seen, which is what this script compares with:
#> a private key            constructed; signs
#> its public half          constructed; TypeError: This is not a private key
#> with a passphrase        constructed; PassphraseRequiredError: The private key is encrypted: a passphrase is required
#> line ends in two letters constructed; ValueError: Not a valid PEM pre boundary
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pybit==5.17.0 pycryptodome==4.4.0

cat >"$folder/check.py" <<'END'
from Crypto.PublicKey import RSA
from pybit.unified_trading import HTTP

key = RSA.generate(2048)
private = key.export_key().decode()
texts = {
    "a private key": private,
    "its public half": key.public_key().export_key().decode(),
    "with a passphrase": key.export_key(passphrase="mine", pkcs=8, protection="PBKDF2WithHMAC-SHA512AndAES256-CBC").decode(),
    "line ends in two letters": private.replace("\n", "\\n"),
}
for name, text in texts.items():
    session = HTTP(api_key="key", api_secret=text, rsa_authentication=True)
    try:
        session._auth(payload="category=linear", recv_window=5000, timestamp=1700000000000)
        said = "signs"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    print(f"{name:24} constructed; {said}")
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
