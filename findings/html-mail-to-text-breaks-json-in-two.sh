#!/usr/bin/env bash
# mailparser 3.14.2 (npm) and html2text 2025.4.15 (PyPI) break the text of an HTML mail after 80 characters, within the strings of a JSON alert too.
#
# Version: mailparser 3.14.2, postal-mime 4.0.0 (for comparison), html2text 2025.4.15
#
# Guess: an alert's JSON that stands in one paragraph of an HTML mail comes out as one line of text, so that it can be
#   parsed.
#
# Behaviour: both wrap lines at the next blank before the 80th (78th) character, and a line break within a JSON string
#   is not JSON. mailparser also writes headings in capitals and adds the address of a link in brackets. html2text has
#   `body_width = 0` against it; mailparser's `text` has no such option (its `html` is untouched, and `skipHtmlToText`
#   leaves `text` out). postal-mime makes no text of such a mail at all.
#
# Why it matters: an alert mail of a service that writes HTML alone works in the test, with a short message, and fails
#   with the first one that has a comment or a long symbol; a relay that looks for the first line sees half an order.
#
# Output seen, which is what this script compares with:
#> short mailparser:  JSON with the comment "Long entry"
#> short postal-mime: no text
#> long  mailparser:  no JSON: " second touch of yesterday's low\"}"
#> long  postal-mime: no text
#> short html2text:                 no JSON: " \"0.015\", \"comment\": \"Long\nentry\"}"
#> short html2text, body_width = 0: JSON with the comment "Long entry"
#> long  html2text:                 no JSON: " second touch of yesterday's low\"}"
#> long  html2text, body_width = 0: JSON with the comment "Long entry after the second touch of yesterday's low"
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check html2text==2025.4.15
timeout 300 npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts mailparser@3.14.2 postal-mime@4.0.0 >&2

cat >"$folder/mails.mjs" <<'END'
import { simpleParser } from "mailparser";
import PostalMime from "postal-mime";

const kind = (text) => {
  if (text === undefined) return "no text";
  try {
    return "JSON with the comment " + JSON.stringify(JSON.parse(text).comment);
  } catch {
    return "no JSON: " + JSON.stringify(text.trim().slice(-34));
  }
};
for (const [words, comment] of [["short", "Long entry"], ["long ", "Long entry after the second touch of yesterday's low"]]) {
  const alert = JSON.stringify({ action: "buy", symbol: "BTCUSDT.P", qty: "0.015", comment });
  const mail = ["From: alerts@example.com", "Subject: Alert", "MIME-Version: 1.0", "Content-Type: text/html; charset=utf-8", ""];
  mail.push(`<html><body><p>${alert}</p></body></html>`, "");
  console.log(words, "mailparser: ", kind((await simpleParser(mail.join("\r\n"))).text));
  console.log(words, "postal-mime:", kind((await PostalMime.parse(mail.join("\r\n"))).text));
}
END

cat >"$folder/mails.py" <<'END'
import json

import html2text


def kind(text):
    try:
        return f"JSON with the comment {json.dumps(json.loads(text)['comment'])}"
    except ValueError:
        return f"no JSON: {json.dumps(text.strip()[-34:])}"


for words, comment in {"short": "Long entry", "long ": "Long entry after the second touch of yesterday's low"}.items():
    alert = json.dumps({"action": "buy", "symbol": "BTCUSDT.P", "qty": "0.015", "comment": comment})
    page = f"<html><body><p>{alert}</p></body></html>"
    print(words, "html2text:                ", kind(html2text.html2text(page)))
    print(words, "html2text, body_width = 0:", kind(html2text.html2text(page, bodywidth=0)))
END

seen=$({ timeout 60 node "$folder/mails.mjs"; timeout 60 "$folder/venv/bin/python" "$folder/mails.py"; })
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
