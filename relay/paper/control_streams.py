"""`/paper/streams`: how the streams are made to misbehave; see the table in `control`."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify, request

from relay.paper.control import invalid, only_from_here
from relay.paper.control_reading import ControlInvalid
from relay.paper.streams import PATHS, Streams
from relay.paper.streams_manners import Manners

KINDS = tuple(PATHS.values())


def blueprint(streams: Streams) -> Blueprint:
    routes = Blueprint("control_streams", __name__, url_prefix="/paper")
    routes.before_request(only_from_here)
    routes.register_error_handler(ControlInvalid, invalid)

    @routes.get("/streams")
    def show() -> Response:
        return jsonify(_shown(streams))

    @routes.post("/streams")
    def steer() -> Response:
        _steer(streams, request.get_json(silent=True))
        return jsonify(_shown(streams))

    return routes


def _shown(streams: Streams) -> dict[str, Any]:
    manners = asdict(streams.manners)
    manners.pop("chance")
    manners["topics"] = sorted(manners["topics"])
    connections = [
        {"kind": each.kind, "topics": sorted(each.topics), "mute": each.socket.is_mute} for each in streams.sessions()
    ]
    return {"connections": connections, "manners": manners}


def _steer(streams: Streams, asked: object) -> None:
    if not isinstance(asked, dict) or not asked or set(asked) - {"cut", "mute", "manners"}:
        raise ControlInvalid("the body must be a JSON object with any of cut, mute and manners")
    wrong = [name for name in ("cut", "mute") if asked.get(name, True) not in (True, *KINDS)]
    if wrong:
        raise ControlInvalid(f"{wrong[0]} must be true or one of {', '.join(KINDS)}")
    if "manners" in asked:
        streams.manners = _read(asked["manners"])
    if "mute" in asked:
        streams.mute(_kind(asked["mute"]))
    if "cut" in asked:
        streams.cut(_kind(asked["cut"]))


def _kind(asked: object) -> str | None:
    return None if asked is True else str(asked)


def _read(asked: object) -> Manners:
    known = {"delay_ms", "jitter_ms", "drop", "duplicate", "seed", "topics", "refuse_auth", "refuse"}
    if not isinstance(asked, Mapping) or set(asked) - known:
        raise ControlInvalid(f"manners must be a JSON object with any of {', '.join(sorted(known))}")
    try:
        seed = int(asked.get("seed", 0))
        return Manners(
            delay_ms=int(asked.get("delay_ms", 0)),
            jitter_ms=int(asked.get("jitter_ms", 0)),
            drop=float(asked.get("drop", 0)),
            duplicate=float(asked.get("duplicate", 0)),
            topics=frozenset(str(topic) for topic in asked.get("topics", ())),
            refuse_auth=bool(asked.get("refuse_auth", False)),
            refuse=bool(asked.get("refuse", False)),
            seed=seed,
            chance=random.Random(seed),
        )
    except (TypeError, ValueError) as error:
        raise ControlInvalid(f"the manners cannot be read: {error}") from error
