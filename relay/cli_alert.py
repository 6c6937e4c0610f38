"""`alert`: messages to paste into TradingView."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from relay.cli_options import Unusable, one_of
from relay.cli_output import remark, say
from relay.cli_send import STAND_IN
from relay.messages import FOR_STRATEGIES, SIZED, Kind, as_text, message

if TYPE_CHECKING:
    from relay.settings import Secret


@click.command()
@click.option("--kind", type=one_of(Kind), default=Kind.STRATEGY.value, show_default=True, help="What it is for.")
@click.option("--strategy", metavar="NAME", help="The relay's strategy it goes to.")
@click.option("--with-secret", is_flag=True, help="Print the real secret instead of a word that stands for it.")
def alert(kind: str, strategy: str | None, with_secret: bool) -> None:
    """Print an alert message to paste into TradingView, and on stderr where it goes."""
    from relay.local_secrets import with_kept_secrets
    from relay.settings import NAME, load_settings

    settings = with_kept_secrets(load_settings())
    known = {each.name: each for each in settings.strategies}
    chosen = known.get(strategy or NAME)
    if chosen is None:
        raise Unusable(f"there is no strategy {strategy!r}; this relay has {', '.join(known)}")
    has_default_size = any(rules.default_size is not None for rules in chosen.rules.values())
    secret = _real_secret(settings.secrets_of(chosen)) if with_secret else STAND_IN
    wanted = Kind(kind)
    say(as_text({"secret": secret, **message(wanted, has_default_size=has_default_size)}))
    path = "/webhook" if strategy is None else f"/webhook/{strategy}"
    for line in _hints(wanted, settings.port, path, with_secret=with_secret, has_default_size=has_default_size):
        remark(line)


def _real_secret(secrets: tuple[Secret, ...]) -> str:
    if not secrets:
        raise Unusable(
            "no WEBHOOK_SECRET is set, and `python -m relay serve` has made none up here yet; "
            "set one or start the relay first"
        )
    return secrets[0].reveal()


def _hints(kind: Kind, port: int, path: str, *, with_secret: bool, has_default_size: bool) -> list[str]:
    lines = [
        f"Webhook URL: https://YOUR-HOST{path}, which has to lead to http://127.0.0.1:{port}{path}.",
        "TradingView posts to ports 80 and 443 of public hosts only.",
    ]
    if not with_secret:
        lines.append(f"Put your webhook secret in the place of {STAND_IN}; --with-secret prints it.")
    if kind in FOR_STRATEGIES:
        lines.append("This is for a strategy's alert: in any other alert its placeholders become empty.")
        lines.append(
            "A strategy's alert that fires more than 15 times in 3 minutes is stopped by TradingView, silently."
        )
    if kind in SIZED and not has_default_size:
        lines.append("`qty` is in coins unless `qty_unit` says otherwise; put your own size there.")
    lines.append(
        "An `id` of your own must be new for each alert; without one, `time` and the fields tell alerts apart."
    )
    return lines
