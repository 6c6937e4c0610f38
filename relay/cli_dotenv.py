"""Changing a few lines of `.env` and nothing else: readable by its owner only, and whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

_BARE = re.compile(r"[A-Za-z0-9_./:+=@,-]+")


def rewrite(path: Path, values: Mapping[str, str]) -> None:
    """Set each name to its value; other lines stay as they are, comments too. Raises OSError and UnicodeDecodeError."""
    from dotenv.parser import parse_stream

    target = path.resolve()
    kept: list[str] = []
    if target.exists():
        with target.open(encoding="utf-8") as file:
            # A value may have several lines: what belongs to a name is for the parser to say.
            kept = [each.original.string for each in parse_stream(file) if each.key not in values]
    text = "".join(kept)
    text += "\n" if text and not text.endswith("\n") else ""
    text += "".join(f"{name}={quoted(value)}\n" for name, value in values.items())
    _replace(target, text.encode())


def quoted(value: str) -> str:
    """As python-dotenv reads it back; line ends are written as `\\n`, so that a name has one line."""
    if _BARE.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _replace(target: Path, content: bytes) -> None:
    beside = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
