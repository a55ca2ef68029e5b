"""`EndpointDirectory`: which enabled endpoints of a tenant subscribed to an event type, for planning.

Planning asks per event and must not wait per event: the tenants of a batch are fetched in one round trip and trusted
for a second. A new endpoint therefore gets events from about a second after it was added: `Endpoints.settle`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from notifier.domain.endpoint import EndpointState
from notifier.storage import keys
from notifier.storage.commands import Operation, command
from notifier.storage.store import AsyncStore, Store

#: Seconds a tenant's endpoints are trusted.
FRESH_S = 1.0
#: Tenants kept; when there are more, those go that were fetched longer ago than any fan-out takes to plan.
TENANTS_KEPT = 10_000
UNUSED_S = 600.0


@dataclass(frozen=True, slots=True)
class _Snapshot:
    taken: float
    patterns: tuple[tuple[str, tuple[str, ...]], ...]
    """Ids of endpoints that are not disabled, in order, with what they subscribed to; paused ones get theirs later."""


class EndpointDirectory:
    """For asyncio: `refresh` the tenants of a batch, then plan."""

    def __init__(self, store: AsyncStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = store.run
        self._cache = _Cache(clock)

    async def refresh(self, tenants: Iterable[str]) -> None:
        """Fetch those that are older than a second. Raises `StorageUnavailable`; nothing stale is used then."""
        if stale := self._cache.stale(tenants):
            self._cache.put(await self._run(_snapshots(stale)))

    def endpoints(self, tenant: str, event_type: str) -> Sequence[str]:
        """Ids of enabled endpoints; the tenant must have been refreshed."""
        return self._cache.matching(tenant, event_type)


class SyncEndpointDirectory:
    """For threads and greenlets: fetches a tenant when it is asked for."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = store.run
        self._cache = _Cache(clock)

    def refresh(self, tenants: Iterable[str]) -> None:
        """Fetch those that are older than a second, in one round trip."""
        if stale := self._cache.stale(tenants):
            self._cache.put(self._run(_snapshots(stale)))

    def endpoints(self, tenant: str, event_type: str) -> Sequence[str]:
        """Ids of enabled endpoints."""
        self.refresh([tenant])
        return self._cache.matching(tenant, event_type)


class _Cache:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tenants: dict[str, _Snapshot] = {}

    def stale(self, tenants: Iterable[str]) -> list[str]:
        now = self._clock()
        if len(self._tenants) > TENANTS_KEPT:
            self._tenants = {t: s for t, s in self._tenants.items() if now - s.taken < UNUSED_S}
        return [t for t in dict.fromkeys(tenants) if t not in self._tenants or now - self._tenants[t].taken >= FRESH_S]

    def put(self, found: dict[str, tuple[tuple[str, tuple[str, ...]], ...]]) -> None:
        now = self._clock()
        self._tenants.update({tenant: _Snapshot(now, patterns) for tenant, patterns in found.items()})

    def matching(self, tenant: str, event_type: str) -> list[str]:
        snapshot = self._tenants[tenant]
        return [i for i, patterns in snapshot.patterns if any(fnmatchcase(event_type, p) for p in patterns)]


def _snapshots(tenants: Sequence[str]) -> Operation[dict[str, tuple[tuple[str, tuple[str, ...]], ...]]]:
    replies = yield [command("HGETALL", keys.endpoints_of(tenant)) for tenant in tenants]
    return {tenant: _enabled(found) for tenant, found in zip(tenants, replies, strict=True)}


def _enabled(found: dict[str, str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    known = {endpoint_id: json.loads(text) for endpoint_id, text in found.items()}
    return tuple((i, tuple(known[i][1:])) for i in sorted(known) if known[i][0] != EndpointState.DISABLED)
