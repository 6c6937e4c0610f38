"""Autoview's commands, and ProfitView's, which are spelled alike.

Source: https://autoview.com/syntax, https://autoview.com/builder/oanda/ (`b`, `c`, separators) and, for ProfitView,
https://github.com/profitview/support (syntax-guide.md) and http://wiki.profitview.app/syntax/risk (a percentage of `q`
is margin, times the leverage `l`). A command is pairs with blanks between them; a line or `|` ends it. "Cancel, close
the other side, open" is one native `long` or `short`. A level with a sign, or without `%`, is read by these two in ways
of their own, so it is refused."""

from __future__ import annotations

import re

from relay.alerts.formats.base import AlertFormat, Message, own, rows

Command = dict[str, str]
_PAIR = r"[a-z]{1,10}=[^\s|=]*"
_COMMAND = rf"[ \t]*{_PAIR}(?:[ \t]+{_PAIR})*[ \t]*"
_LABEL = r"(?:[^\n|={}]{0,60}[|\n])?"
_KEYS = frozenset({"a", "e", "s", "b", "c", "q", "t", "p", "l", "sl", "tp", "ts", "delay", "ro", "d", "u"})
_OPENS = {"long": "long", "short": "short", "buy": "buy", "sell": "sell"}
_SIDES = {"long": "long", "short": "short", "buy": "long", "sell": "short"}
_LEVEL = re.compile(r"\d+(?:\.\d+)?%", re.ASCII)
_PRICE = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_SHARED = ("a", "e", "s")


def _read(message: Message) -> None:
    commands = _commands(message)
    for key in _SHARED:
        if len({command[key] for command in commands if command.get(key)}) > 1:
            message.refuse(key, "differs between the commands; send an alert for each")
    shared = {key: value for command in commands for key, value in command.items() if key in _SHARED and value}
    if "s" not in shared:
        message.refuse("s", "is missing: name the instrument, such as `s=BTCUSDT`")
    elif "test" in shared.get("e", "").lower() or "spot" in shared.get("e", "").lower():
        message.refuse("e", "names a test or a spot market, and Bybit's perpetuals are traded here; write `e=bybit`")
    message.give("ticker", shared.get("s", ""), "s")
    if "a" in shared:
        message.give("account", shared["a"], "a")
    opening = [command for command in commands if "b" in command and "c" not in command]
    closing = [command for command in commands if command.get("c") == "position"]
    if len(opening) > 1:
        message.refuse("b", "opens twice; send an alert for each order")
    elif opening:
        _open(message, opening[0], closing)
    elif closing:
        _close(message, closing)
    elif any(command.get("c") == "order" for command in commands):
        message.give("action", "cancel", "c")
    else:
        message.refuse("b", "is missing: `b=long`, `b=short`, `c=position` or `c=order`")


def _commands(message: Message) -> list[Command]:
    """Without what is only a label or a pause."""
    commands = []
    for text in re.split(r"[\r\n|]+", str(message.raw("message"))):
        command = {key.lower(): value for key, _, value in (pair.partition("=") for pair in text.split()) if _}
        for key in command.keys() - _KEYS:
            message.refuse(key, "is no key of Autoview's that relay reads; leave it out")
        if any(key in command for key in ("fp", "fq")):
            message.refuse("p", "is fixed by `fp` or `fq` in a way that relay does not read; send `t=limit` with `p`")
        if command.get("d", "0") not in ("0", ""):
            message.refuse("d", "turns the command off, and here every alert is for real; take it out to trade")
        if command.get("c", "order") not in ("order", "position"):
            message.refuse("c", "must be `order` or `position`")
        if command.keys() - {"delay"}:
            commands.append(command)
    return commands


def _open(message: Message, command: Command, closing: list[Command]) -> None:
    word = _OPENS.get(command["b"].lower())
    if word is None:
        message.refuse("b", "must be `long`, `short`, `buy` or `sell`")
        return
    side = _SIDES[word]
    others = {_SIDES.get(each.get("b", "").lower(), "both") for each in closing}
    if side in others or "both" in others:
        message.refuse("c", f"closes the {side} that the same alert opens; send an alert for each")
    leaves = bool(closing)
    message.give("action", side if leaves else "buy" if side == "long" else "sell", "b")
    _kind(message, command.get("t", ""), command)
    _size(message, command)
    for key, native in (("tp", "take_profit"), ("sl", "stop_loss"), ("ts", "trailing_stop")):
        if key in command and not _LEVEL.fullmatch(command[key]):
            message.refuse(key, "must be a percentage without a sign, such as `2%`")
        elif key in command:
            message.give(native, command[key], key)
    if command.get("ro", "0") not in ("0", ""):
        message.give("reduce_only", "true", "ro")


def _kind(message: Message, kind: str, command: Command) -> None:
    if kind.lower() == "limit" and _PRICE.fullmatch(command.get("p", "")):
        message.give("type", "limit", "t")
        message.give("price", command["p"], "p")
    elif kind.lower() != "market":
        message.refuse("t", "must be `market`, or `limit` with a price `p` that is a plain number")


def _size(message: Message, command: Command) -> None:
    if command.get("u"):
        message.refuse("u", "is not read here; send `q` in coins")
    if command.get("l"):
        message.give("leverage", command["l"].removesuffix("x"), "l")
    size = command.get("q")
    if size is None:
        return
    if size.endswith("%") and not command.get("l"):
        message.refuse("q", "in percent is margin, and without a leverage `l` its size is not known; add such as `l=5`")
    message.give("qty", size.removesuffix("%"), "q")
    message.give("qty_unit", "margin_pct" if size.endswith("%") else "base", "q")


def _close(message: Message, closing: list[Command]) -> None:
    sides = {_SIDES.get(each.get("b", "").lower(), "both") for each in closing}
    message.give("action", f"close_{sides.pop()}" if len(sides) == 1 and "both" not in sides else "close", "c")
    for each in closing[:1]:
        _kind(message, each.get("t", "market"), each)
    if len({(each.get("t", "market").lower(), each.get("p")) for each in closing}) > 1:
        message.refuse("t", "differs between the positions; send an alert for each")
    sizes = {each["q"] for each in closing if each.get("q")} - {"100%"}
    if len(sizes) > 1 or (sizes and len(closing) > 1):
        message.refuse("q", "of more than one position; send an alert for each")
    elif sizes:
        size = sizes.pop()
        message.give("qty", size.removesuffix("%"), "q")
        message.give("qty_unit", "position_pct" if size.endswith("%") else "base", "q")


AUTOVIEW = AlertFormat(
    name="autoview",
    service="Autoview or ProfitView",
    table={
        **{"message": own(), "s": own("ticker", chooses=True), "b": own("action", chooses=True)},
        **{"q": own("qty", chooses=True), "t": own("type", chooses=True)},
        **{"p": own("price", chooses=True), "l": own("leverage"), "tp": own("take_profit"), "sl": own("stop_loss")},
        **{"ts": own("trailing_stop"), "a": own("account", chooses=True), "ro": own("reduce_only")},
        **rows(own(chooses=True), "c e d u"),
        "delay": own(),
    },
    text_words=("b=", "c="),
    pattern=re.compile(rf"(?i:{_LABEL}(?=.*\b[bc]=\w){_COMMAND}(?:[\r\n|](?:{_COMMAND}|[ \t]*))*)", re.DOTALL),
    read=_read,
)
