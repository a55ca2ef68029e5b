"""Providers of channel files that are paused, as the worker sees them: the note that operators read."""

from __future__ import annotations

import logging

from notifier.broker.publisher import Publishes
from notifier.channels.http_api.channel import HttpApiChannel
from notifier.channels.http_api.health import PausedProvider
from notifier.errors import StorageUnavailable
from notifier.logs import get, wide
from notifier.storage.relays import NotedProvider, RelayBoard
from notifier.worker.policy import Policy
from notifier.worker.rates.note import Note

_log = get("provider")


class ProviderPolicy(Policy):
    """Tells which providers are paused."""

    def __init__(self, channel: HttpApiChannel, publisher: Publishes, board: RelayBoard, owner: str) -> None:
        super().__init__(publisher)
        self._board = board
        self._owner = owner
        self._noted: tuple[str, ...] = ()
        self._note = Note[tuple[PausedProvider, ...]](channel.paused, (), self._write)

    def sent(self) -> None:
        """After a batch: note what changed."""
        self._note.follow()

    def _write(self, seen: tuple[PausedProvider, ...]) -> bool:
        """Whether the board could be reached. If not, the next batch tells it: only what people see depends on it."""
        paused = [NotedProvider(p.provider, self._owner, p.reason, p.since, p.probe_at, p.rests) for p in seen]
        names = tuple(one.provider for one in seen)
        try:
            self._board.write_providers(self._owner, paused, [name for name in self._noted if name not in names])
        except StorageUnavailable as error:
            wide(_log, "providers.untold", level=logging.DEBUG, error=str(error))
            return False
        self._noted = names
        return True
