"""The bytes of a request's body, as they came: what the Content-Type says of them does not count."""

from __future__ import annotations

from typing import Final

from flask import request

from relay.errors import BodyTooLarge

BYTES_MAX: Final = 64 * 1024


def whole_body() -> bytes:
    """All of it. Raises BodyTooLarge, for a chunked body too, whose length nobody has told."""
    length = request.content_length
    if length is not None and length > BYTES_MAX:
        raise BodyTooLarge(f"the body has {length:,} bytes; an alert is at most 64 KiB ({BYTES_MAX:,} bytes)")
    # One byte more than may come tells a body of just the limit from one that goes on.
    pieces, left = [], BYTES_MAX + 1 if length is None else length
    while left > 0 and (piece := request.stream.read(left)):
        pieces.append(piece)
        left -= len(piece)
    body = b"".join(pieces)
    if len(body) > BYTES_MAX:
        raise BodyTooLarge(f"the body goes on after {BYTES_MAX:,} bytes; an alert is at most 64 KiB")
    return body
