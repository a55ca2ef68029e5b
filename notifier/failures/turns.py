"""`Turn`: one walk at a time over each shelf, because what one has taken would look to another as if it were not there.

A thread renews it as long as the walk goes on, however slowly: a rate may be one message in minutes. The turn of a
walker that was killed ends by itself.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Protocol

from notifier.errors import StorageUnavailable

#: Seconds a turn is ours before others may think that we died.
LEASE_S = 15.0
#: Seconds between renewals.
RENEW_S = 3.0
#: Seconds between looks whether somebody else's walk has ended.
LOOK_S = 0.1


class Walkers(Protocol):
    """Who walks where: both indexes know."""

    def begin_walk(self, place: str, token: str, seconds: float) -> bool:
        """Whether ``token`` may walk there now, for so long; call it again to go on."""

    def end_walk(self, place: str, token: str) -> None:
        """Let others walk."""


class Turn:
    """Ours from when it was begun until `end`."""

    def __init__(self, walkers: Walkers, place: str, token: str) -> None:
        self._walkers = walkers
        self._place = place
        self._token = token
        self._until = time.monotonic() + LEASE_S
        self._ended = Event()
        self._thread = Thread(target=self._renew, name=f"walk-{place}", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether somebody else may be walking: Redis was away for too long, or has forgotten us."""
        return time.monotonic() > self._until

    def end(self) -> None:
        """Let others walk."""
        self._ended.set()
        self._thread.join()
        self._walkers.end_walk(self._place, self._token)

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_S) and not self.is_lost:
            began = time.monotonic()
            # While Redis is away, it may be back before the turn is over.
            with suppress(StorageUnavailable):
                is_ours = self._walkers.begin_walk(self._place, self._token, LEASE_S)
                self._until = began + LEASE_S if is_ours else 0.0


@contextmanager
def turn_at(walkers: Walkers, place: str, ends: float) -> Iterator[Turn | None]:
    """Ours to walk, once nobody else does; None when that is not so until ``ends``, by the monotonic clock."""
    token = secrets.token_hex(8)
    while not walkers.begin_walk(place, token, LEASE_S):
        if time.monotonic() > ends:
            yield None
            return
        time.sleep(LOOK_S)
    turn = Turn(walkers, place, token)
    try:
        yield turn
    finally:
        turn.end()
