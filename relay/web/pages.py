"""The page at `/`: what this is and where to look. It shows nothing that not everybody may know."""

from __future__ import annotations

from html import escape
from string import Template

from flask import Blueprint, Response

from relay import __version__
from relay.web.runtime import current_relay

pages = Blueprint("pages", __name__)

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Relay ($environment)</title>
</head>
<body>
<h1>Relay</h1>
<p>TradingView alerts to Bybit perpetual orders. Version $version, environment: <strong>$environment</strong>.</p>
<p>$state</p>
<ul>
<li>Alerts are posted to <code>/webhook</code>, with the webhook secret in them.</li>
<li>What became of them: <code>/api/signals</code>, with <code>Authorization: Bearer ADMIN_TOKEN</code>,
or <code>python -m relay signals</code>.</li>
<li><a href="/readyz">/readyz</a> says whether alerts are executed, <a href="/healthz">/healthz</a> that this process
is alive.</li>
</ul>
</body>
</html>
""")


@pages.get("/")
def front() -> Response:
    relay = current_relay()
    missing = relay.missing()
    waits = "; ".join(f"{part}: {why}" for part, why in missing.items())
    text = _PAGE.substitute(
        environment=escape(relay.settings.environment.value),
        version=escape(__version__),
        state=f"Not ready yet: {escape(waits)}." if missing else "Ready: alerts are executed as they come in.",
    )
    return Response(text, content_type="text/html; charset=utf-8")
