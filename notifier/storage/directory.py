"""`EndpointDirectory`: which endpoints of a tenant want an event type, for planning.

Planning asks per event and must not wait per event: what was fetched is trusted, and every snapshot is of one version.
Registering the planned deliveries reads the version that is in force, in the round trip it makes anyway; when that is
another one, webhooks are planned again (`consumers.endpoint_refresh`). So an event that is published after an endpoint
was changed is planned with the change, and nobody waits for that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from notifier.storage import keys
from notifier.storage.commands import Operation, command
from notifier.storage.store import AsyncStore, Store

#: Seconds a tenant's endpoints are trusted whatever the version says: earlier releases change them without counting it.
FRESH_S = 30.0
#: Tenants kept; when there are more, those go that were fetched longer ago than any fan-out takes to plan.
TENANTS_KEPT = 10_000
UNUSED_S = 600.0


@dataclass(frozen=True, slots=True)
class _Snapshot:
    taken: float
    patterns: tuple[tuple[str, tuple[str, ...]], ...]
    """Ids of endpoints, in order, with what they subscribed to: also of those that are paused or disabled.

    What is planned for them is held or skipped, where people see it.
    """


_Patterns = tuple[tuple[str, tuple[str, ...]], ...]


class EndpointDirectory:
    """For asyncio: `refresh` the tenants of a batch, then plan."""

    def __init__(self, store: AsyncStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = store.run
        self._cache = _Cache(clock)

    @property
    def version(self) -> str:
        """Of everything `endpoints` says now."""
        return self._cache.version

    async def refresh(self, tenants: Iterable[str]) -> None:
        """Fetch those that are not known. Raises `StorageUnavailable`; nothing stale is used then."""
        wanted = set(tenants)
        while stale := self._cache.stale(wanted):
            self._cache.put(*await self._run(_snapshots(stale)))

    async def catch_up(self, tenants: Iterable[str]) -> None:
        """Fetch them anew, because something has changed."""
        self._cache.clear()
        await self.refresh(tenants)

    def endpoints(self, tenant: str, event_type: str) -> Sequence[str]:
        """Ids of those that subscribed, whatever their state; the tenant must have been refreshed."""
        return self._cache.matching(tenant, event_type)


class SyncEndpointDirectory:
    """For threads and greenlets, where few events are planned: `refresh` always looks."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = store.run
        self._cache = _Cache(clock)

    def refresh(self, tenants: Iterable[str]) -> None:
        """Fetch them, in one round trip."""
        if wanted := list(dict.fromkeys(tenants)):
            self._cache.put(*self._run(_snapshots(wanted)))

    def endpoints(self, tenant: str, event_type: str) -> Sequence[str]:
        """Ids of those that subscribed, whatever their state; fetched when nobody asked for the tenant yet."""
        self.refresh(self._cache.stale([tenant]))
        return self._cache.matching(tenant, event_type)


class _Cache:
    """Snapshots of one version only."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.version = ""
        self._clock = clock
        self._tenants: dict[str, _Snapshot] = {}

    def stale(self, tenants: Iterable[str]) -> list[str]:
        now = self._clock()
        if len(self._tenants) > TENANTS_KEPT:
            self._tenants = {t: s for t, s in self._tenants.items() if now - s.taken < UNUSED_S}
        return [t for t in dict.fromkeys(tenants) if t not in self._tenants or now - self._tenants[t].taken >= FRESH_S]

    def put(self, version: str, found: dict[str, _Patterns]) -> None:
        if version != self.version:
            self.clear()
            self.version = version
        now = self._clock()
        self._tenants.update({tenant: _Snapshot(now, patterns) for tenant, patterns in found.items()})

    def clear(self) -> None:
        self._tenants = {}

    def matching(self, tenant: str, event_type: str) -> list[str]:
        snapshot = self._tenants[tenant]
        return [i for i, patterns in snapshot.patterns if any(fnmatchcase(event_type, p) for p in patterns)]


def _snapshots(tenants: Sequence[str]) -> Operation[tuple[str, dict[str, _Patterns]]]:
    # The version before what it is of (all of it lies in one slot, so a server answers in this order): a change in
    # between makes it look older than it is, and somebody looks again.
    calls = [command("HGETALL", keys.endpoints_of(tenant)) for tenant in tenants]
    version, *replies = yield [command("GET", keys.endpoints_version()), *calls]
    return version or "", {tenant: _patterns(found) for tenant, found in zip(tenants, replies, strict=True)}


def _patterns(found: dict[str, str]) -> _Patterns:
    # Before the patterns stands the state.
    return tuple((i, tuple(json.loads(found[i])[1:])) for i in sorted(found))
