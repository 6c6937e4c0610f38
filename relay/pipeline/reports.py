"""What the streams tell of orders that no lane waits for, written down as a look-up's answer would be."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from relay.errors import JournalUnavailable
from relay.exchange.awaited import Heard
from relay.journal.journal import Journal
from relay.pipeline.clock import Now, to_ms, utc_now

log = logging.getLogger(__name__)

_WAITING_MAX = 10_000
"""Beyond it news is dropped: the follower's look-ups and the next reading bring it too."""


class Reports:
    """One thread. Repeats, and news of orders that are not the relay's, change nothing."""

    def __init__(self, *, journal: Journal, now: Now = utc_now) -> None:
        self._journal = journal
        self._now = now
        self._waiting: queue.Queue[Heard | None] = queue.Queue(_WAITING_MAX)
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)
        self.on_change: Callable[[str], None] = lambda client_order_id: None
        """Called with the client order id of an order of the relay's of which something new was written down."""

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        if self._thread.is_alive():
            self._thread.join(5)

    def hear(self, heard: Heard) -> None:
        """Never blocks: it is called by the streams' threads."""
        try:
            self._waiting.put_nowait(heard)
        except queue.Full:
            log.warning("news of order %s was dropped", heard.client_order_id)

    def _run(self) -> None:
        while (heard := self._waiting.get()) is not None:
            try:
                self._keep(heard)
            except JournalUnavailable as error:
                log.warning("news of order %s was not kept: %s", heard.client_order_id, error)
            except Exception:
                log.exception("news of order %s was not kept", heard.client_order_id)

    def _keep(self, heard: Heard) -> None:
        if self._journal.record_report(heard.client_order_id, heard.report, heard.fills, now_ms=to_ms(self._now())):
            self.on_change(heard.client_order_id)
