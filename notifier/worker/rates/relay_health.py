"""Relays and senders that are paused, as the worker sees them: batches that wait, and the note operators read.

While no relay may be used, a batch goes back to its queue for a while before anything is claimed or rendered: that
costs one publish for all its deliveries, and no try.
"""

from __future__ import annotations

import logging
import random

from notifier import metrics
from notifier.broker.publisher import Publishes
from notifier.channels.email.channel import EmailChannel
from notifier.domain.rule import Channel
from notifier.domain.waiting import RawBatch
from notifier.engine.relay_breaker import RelayState
from notifier.engine.sender_pauses import PausedSender
from notifier.errors import StorageUnavailable
from notifier.logs import get, wide
from notifier.storage.relays import PausedRelay, RefusedSender, RelayBoard
from notifier.worker.decision import look_again_in
from notifier.worker.outage import retry_while_down
from notifier.worker.rates.adaptive import AdaptiveLimits

#: Senders that one worker shows people; a new envelope sender for each mail could make it a thousand.
MOST_SHOWN = 50

Seen = tuple[tuple[RelayState, ...], tuple[PausedSender, ...]]

_log = get("relay")


class RelayHealth:
    """Keeps batches from relays that are paused, and tells who is."""

    def __init__(
        self, email: EmailChannel, publisher: Publishes, board: RelayBoard, owner: str, adaptive: AdaptiveLimits
    ) -> None:
        self._email = email
        self._publisher = publisher
        self._board = board
        self._owner = owner
        self._adaptive = adaptive
        self._told = self._look()
        self._telling = False
        self._count(self._told)

    def postpones(self, batch: RawBatch) -> bool:
        """Whether the whole batch waits because no relay may be used; then the broker has it, delayed."""
        if batch.channel is Channel.WEBHOOK or not (seconds := self._email.paused_for()):
            return False
        later = look_again_in(seconds, random.uniform(-1, 1))  # noqa: S311 - jitter, not a secret
        mails = batch.decode()
        retry_while_down(lambda: self._publisher.send(mails, after=later), "queue mails until a relay is back")
        wide(_log, "batch.postponed", deliveries=batch.size, queue=batch.queue, seconds=later)
        return True

    def tell(self) -> None:
        """After a batch: note what changed. Some comparisons when nothing did."""
        self._adaptive.follow()
        # One at a time: of two that write, the older look could come last, and an idle worker would leave it there.
        if self._telling:
            return
        self._telling = True
        try:
            while (seen := self._look()) != self._told and self._write(seen):
                self._told = seen
        finally:
            self._telling = False

    def _look(self) -> Seen:
        return self._email.relay_states(), self._email.paused_senders()

    def _count(self, seen: Seen) -> None:
        states, senders = seen
        for state in states:
            metrics.RELAY_UP.labels(state.relay).set(state.up)
            metrics.SENDERS_PAUSED.labels(state.relay).set(sum(one.relay == state.relay for one in senders))

    def _write(self, seen: Seen) -> bool:
        """Whether the board could be reached. If not, the next batch tells it: only what people see depends on it."""
        self._count(seen)
        states, senders = seen
        paused = [PausedRelay(s.relay, self._owner, s.reason, s.since, s.probe_at) for s in states if not s.up]
        refused = [
            RefusedSender(s.relay, self._owner, s.sender, s.reason, s.since, s.probe_at) for s in senders[:MOST_SHOWN]
        ]
        try:
            self._board.write(self._owner, paused, [s.relay for s in states if s.up], refused)
        except StorageUnavailable as error:
            wide(_log, "relays.untold", level=logging.DEBUG, error=str(error))
            return False
        return True
