"""`RelayBoard`: which worker has paused which relay, and why, for people to see; workers never read it.

A worker writes when a relay's state changes in its eyes, so a deployment whose relays are well never comes here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command
from notifier.storage.store import Store


@dataclass(frozen=True, slots=True)
class PausedRelay:
    """One relay as one living worker sees it."""

    relay: str
    owner: str
    """The worker."""
    reason: str
    since: float
    """Unix seconds."""
    probe_at: float
    """Unix seconds from which one of its deliveries may probe the relay."""


class RelayBoard:
    """Notes about paused relays. Raises `StorageUnavailable` when Redis cannot do it now."""

    def __init__(self, store: Store) -> None:
        self._run = store.run

    def write(self, owner: str, paused: Sequence[PausedRelay], resumed: Sequence[str]) -> None:
        """What one worker sees: these it has paused, those relays it uses."""
        self._run(_write(owner, paused, resumed))

    def paused(self) -> list[PausedRelay]:
        """Every pause of a living worker; those of dead ones are wiped off."""
        return self._run(_paused())


def _write(owner: str, paused: Sequence[PausedRelay], resumed: Sequence[str]) -> Operation[None]:
    calls: list[Call] = [
        command("HSET", keys.relays(), _field(one.relay, owner), json.dumps([one.reason, one.since, one.probe_at]))
        for one in paused
    ]
    calls += [command("HDEL", keys.relays(), _field(relay, owner)) for relay in resumed]
    yield calls


def _paused() -> Operation[list[PausedRelay]]:
    (notes,) = yield [command("HGETALL", keys.relays())]
    places = [(field, *field.split(" ", 1)) for field in sorted(notes)]
    if not places:
        return []
    alive = yield [command("EXISTS", keys.alive(owner)) for _, _, owner in places]
    gone = [field for (field, _, _), there in zip(places, alive, strict=True) if not there]
    if gone:
        yield [command("HDEL", keys.relays(), *gone)]
    return [PausedRelay(relay, owner, *json.loads(notes[field])) for field, relay, owner in places if field not in gone]


def _field(relay: str, owner: str) -> str:
    return f"{relay} {owner}"
