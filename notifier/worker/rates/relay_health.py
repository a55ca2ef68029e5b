"""Relays and senders that are paused, as the worker sees them: the note that operators read."""

from __future__ import annotations

import logging

from notifier import metrics
from notifier.broker.publisher import Publishes
from notifier.channels.email.channel import EmailChannel
from notifier.engine.relay_breaker import RelayState
from notifier.engine.sender_pauses import PausedSender
from notifier.errors import StorageUnavailable
from notifier.logs import get, wide
from notifier.storage.relays import PausedRelay, RefusedSender, RelayBoard
from notifier.worker.policy import Policy
from notifier.worker.rates.adaptive import AdaptiveLimits
from notifier.worker.rates.note import Note

#: Senders that one worker shows people; a new envelope sender for each mail could make it a thousand.
MOST_SHOWN = 50

Seen = tuple[tuple[RelayState, ...], tuple[PausedSender, ...]]

_log = get("relay")


class RelayPolicy(Policy):
    """Tells which relays and senders are paused, and follows the rates that relays and domains bear."""

    def __init__(
        self, email: EmailChannel, publisher: Publishes, board: RelayBoard, owner: str, adaptive: AdaptiveLimits
    ) -> None:
        super().__init__(publisher)
        self._email = email
        self._board = board
        self._owner = owner
        self._adaptive = adaptive
        seen = self._look()
        self._note = Note(self._look, seen, self._write)
        self._count(seen)

    def sent(self) -> None:
        """After a batch: note what changed."""
        self._adaptive.follow()
        self._note.follow()

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
