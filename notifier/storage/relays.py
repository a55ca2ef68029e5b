"""`RelayBoard`: which worker has paused which relay, sender or provider, for people to see; workers never read it.

A worker writes when something changes in its eyes, so a deployment whose relays are well never comes here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class RefusedSender:
    """A sender whose mails one relay refuses, as one living worker sees it."""

    relay: str
    owner: str
    """The worker."""
    sender: str
    """An address, or ``@domain``."""
    reason: str
    since: float
    """Unix seconds."""
    probe_at: float
    """Unix seconds from which one of its mails may ask again."""


@dataclass(frozen=True, slots=True)
class NotedProvider:
    """One provider of a channel file as one living worker sees it."""

    provider: str
    owner: str
    """The worker."""
    reason: str
    since: float
    """Unix seconds."""
    probe_at: float
    """Unix seconds from which one of its messages may ask again; 0 when only a restart helps."""
    rests: bool = False
    """It said itself how long it wants nothing: then the pause ends at ``probe_at``, also without a message."""


class RelayBoard:
    """Notes about paused relays and providers. Raises `StorageUnavailable` when Redis cannot do it now."""

    def __init__(self, store: Store) -> None:
        self._run = store.run

    def write(
        self, owner: str, paused: Sequence[PausedRelay], resumed: Sequence[str], senders: Sequence[RefusedSender] = ()
    ) -> None:
        """What one worker sees: these it has paused, those relays it uses, and all senders it has paused."""
        self._run(_write(owner, paused, resumed, senders))

    def paused(self) -> list[PausedRelay]:
        """Every pause of a living worker; those of dead ones are wiped off."""
        notes = self._run(_notes(keys.relays()))
        return [PausedRelay(relay, owner, *note) for relay, owner, note in notes]

    def senders(self) -> list[RefusedSender]:
        """Every sender that a living worker has paused."""
        notes = self._run(_notes(keys.paused_senders()))
        return [RefusedSender(relay, owner, *one) for relay, owner, note in notes for one in note]

    def write_providers(self, owner: str, paused: Sequence[NotedProvider], resumed: Sequence[str]) -> None:
        """What one worker sees: these it has paused, those no longer."""
        self._run(_write_providers(owner, paused, resumed))

    def providers(self, now: float) -> list[NotedProvider]:
        """Every provider that a living worker leaves alone."""
        notes = self._run(_notes(keys.paused_providers()))
        noted = (NotedProvider(name, owner, *note) for name, owner, note in notes)
        return [one for one in noted if not (one.rests and now >= one.probe_at)]


def _write_providers(owner: str, paused: Sequence[NotedProvider], resumed: Sequence[str]) -> Operation[None]:
    key = keys.paused_providers()
    yield [
        *(
            command("HSET", key, _field(p.provider, owner), json.dumps([p.reason, p.since, p.probe_at, p.rests]))
            for p in paused
        ),
        *(command("HDEL", key, _field(name, owner)) for name in resumed),
    ]


def _write(
    owner: str, paused: Sequence[PausedRelay], resumed: Sequence[str], senders: Sequence[RefusedSender]
) -> Operation[None]:
    calls: list[Call] = [
        command("HSET", keys.relays(), _field(one.relay, owner), json.dumps([one.reason, one.since, one.probe_at]))
        for one in paused
    ]
    calls += [command("HDEL", keys.relays(), _field(relay, owner)) for relay in resumed]
    for relay in sorted({*resumed, *(one.relay for one in paused)}):
        of_it = [[one.sender, one.reason, one.since, one.probe_at] for one in senders if one.relay == relay]
        field = _field(relay, owner)
        calls.append(
            command("HSET", keys.paused_senders(), field, json.dumps(of_it))
            if of_it
            else command("HDEL", keys.paused_senders(), field)
        )
    yield calls


def _notes(key: str) -> Operation[list[tuple[str, str, list[Any]]]]:
    (notes,) = yield [command("HGETALL", key)]
    places = [(field, *field.split(" ", 1)) for field in sorted(notes)]
    if not places:
        return []
    alive = yield [command("EXISTS", keys.alive(owner)) for _, _, owner in places]
    gone = [field for (field, _, _), there in zip(places, alive, strict=True) if not there]
    if gone:
        yield [command("HDEL", key, *gone)]
    return [(relay, owner, json.loads(notes[field])) for field, relay, owner in places if field not in gone]


def _field(relay: str, owner: str) -> str:
    return f"{relay} {owner}"
