"""Tells people that an account's stream is cut, and that it is back; one that returns quickly is not worth a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relay.domain.notice import NoticeKind
from relay.exchange.streams_link import LinkState
from relay.pipeline.announce import Announcer

STREAMS_S: Final = 10.0
CUT_S: Final = 30.0


class StreamWatch:
    """Looked at by one thread, every `STREAMS_S`."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._cut: set[str] = set()

    def look(self, states: Mapping[str, LinkState]) -> None:
        """`states`: by account."""
        for account, state in states.items():
            if state.is_live and account in self._cut:
                self._cut.discard(account)
                self._announcer.tell(NoticeKind.STREAM, f"the stream of {account} is back")
            elif not state.is_live and state.since_s >= CUT_S and account not in self._cut:
                self._cut.add(account)
                text = (
                    f"the stream of {account} is cut for {state.since_s:.0f} s ({state.problem}): alerts are executed "
                    "all the same, with a question or two more"
                )
                self._announcer.tell(NoticeKind.STREAM, text)
