"""`EndpointDirectory`: which endpoints of a tenant want an event type, for planning.

Planning asks per event and must not wait per event: what was fetched is trusted, and is known to have been in force
together at one version. Registering the planned deliveries reads the version that is in force, in the round trip it
makes anyway; when that is another one, it is asked whose endpoints have changed, and for those tenants webhooks are
planned again (`consumers.endpoint_refresh`). So an event that is published after an endpoint was changed is planned
with the change, nobody waits for that, and nobody pays for the changes of others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from notifier.domain.subscriptions import Subscriptions
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command
from notifier.storage.spread import Spread
from notifier.storage.store import AsyncStore, Store

#: Seconds a tenant's endpoints are trusted whatever the version says: earlier releases change them without counting it.
FRESH_S = 30.0
#: Tenants kept; when there are more, those go that were fetched longer ago than any fan-out takes to plan.
TENANTS_KEPT = 10_000
UNUSED_S = 600.0


@dataclass(slots=True)
class _Snapshot:
    taken: float
    version: str
    """Of this tenant's endpoints."""
    held_at: str
    """Version of all endpoints at which these were this tenant's, as was last seen."""
    subscriptions: Subscriptions
    """Also of endpoints that are paused or disabled: what is planned for them is held or skipped, where it is seen."""


@dataclass(frozen=True, slots=True)
class _Versions:
    """As they were together."""

    of_all: str
    of_tenants: Mapping[str, str]


_Found = tuple[_Versions, dict[str, dict[str, str]]]


class EndpointDirectory:
    """For asyncio: `refresh` the tenants of a batch, then plan."""

    def __init__(self, store: AsyncStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = store.run
        self._spread = store.spread
        self._cache = _Cache(clock)

    @property
    def version(self) -> str:
        """Of everything; what `endpoints` says of the tenants that were refreshed was in force then."""
        return self._cache.version

    async def refresh(self, tenants: Iterable[str]) -> None:
        """Fetch those that are not known. Raises `StorageUnavailable`; nothing stale is used then."""
        wanted = set(tenants)
        while unknown := self._cache.unknown(wanted):
            await self._look(unknown)

    async def catch_up(self, tenants: Iterable[str]) -> None:
        """See what has changed since, and fetch that."""
        wanted = list(tenants)
        await self._look(wanted)
        await self.refresh(wanted)

    async def _look(self, tenants: Sequence[str]) -> None:
        self._cache.put(*await self._run(_snapshots(tenants, self._cache.unread(tenants), self._spread)))

    def endpoints(self, tenant: str, event_type: str) -> Sequence[str]:
        """Ids of those that subscribed, whatever their state; the tenant must have been refreshed.

        The same object until they change.
        """
        return self._cache.matching(tenant, event_type)


class SyncEndpointDirectory:
    """For threads and greenlets, where few events are planned: `refresh` always looks."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = store.run
        self._spread = store.spread
        self._cache = _Cache(clock)

    def refresh(self, tenants: Iterable[str]) -> None:
        """Fetch them, in one round trip."""
        if wanted := list(dict.fromkeys(tenants)):
            self._cache.put(*self._run(_snapshots(wanted, wanted, self._spread)))

    def endpoints(self, tenant: str, event_type: str) -> Sequence[str]:
        """Ids of those that subscribed, whatever their state; fetched when nobody asked for the tenant yet."""
        self.refresh(self._cache.unread([tenant]))
        return self._cache.matching(tenant, event_type)


class _Cache:
    """What was fetched of each tenant."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.version = ""
        self._clock = clock
        self._tenants: dict[str, _Snapshot] = {}

    def unread(self, tenants: Iterable[str]) -> list[str]:
        """Those whose endpoints must be fetched."""
        now = self._clock()
        if len(self._tenants) > TENANTS_KEPT:
            self._tenants = {t: s for t, s in self._tenants.items() if now - s.taken < UNUSED_S}
        return [t for t in dict.fromkeys(tenants) if t not in self._tenants or now - self._tenants[t].taken >= FRESH_S]

    def unknown(self, tenants: Collection[str]) -> list[str]:
        """Those of which it is not known whether their endpoints are in force."""
        unread = set(self.unread(tenants))
        return [t for t in tenants if t in unread or self._tenants[t].held_at != self.version]

    def put(self, versions: _Versions, found: Mapping[str, dict[str, str]]) -> None:
        """What was seen together: the versions, and the endpoints of some."""
        self.version, now = versions.of_all, self._clock()
        for tenant, version in versions.of_tenants.items():
            if tenant in found:
                self._tenants[tenant] = _Snapshot(now, version, self.version, _subscriptions(found[tenant]))
            elif self._tenants[tenant].version == version:
                self._tenants[tenant].held_at = self.version
            else:
                del self._tenants[tenant]

    def matching(self, tenant: str, event_type: str) -> Sequence[str]:
        return self._tenants[tenant].subscriptions.of(event_type)


def _snapshots(tenants: Sequence[str], unread: Sequence[str], spread: Spread) -> Operation[_Found]:
    """Versions of these, and the endpoints of some of them."""
    # The versions before what they are of: a change in between makes it look older than it is, and somebody looks
    # again. What lies in one slot is answered in this order; on a Cluster the version of all lies in another one.
    of_all = "" if spread.is_whole else (yield [command("GET", keys.endpoints_version())])[0] or ""
    parts, wanted = spread.parts(tenants) or [(spread.tags[0], ())], set(unread)
    calls = [_look(some, [tenant for tenant in some if tenant in wanted], tag) for tag, some in parts]
    replies = iter((yield [call for of_part in calls for call in of_part]))
    versions, found = dict[str, str](), dict[str, dict[str, str]]()
    for _, some in parts:
        version, (last, base, *of_tenants) = next(replies) or "", next(replies)
        since = base or "" if version == (last or "") else version
        versions |= {tenant: f"{since} {of or ''}" for tenant, of in zip(some, of_tenants, strict=True)}
        found |= {tenant: next(replies) for tenant in some if tenant in wanted}
        of_all = version if spread.is_whole else of_all
    return _Versions(of_all, versions), found


def _look(tenants: Sequence[str], unread: Sequence[str], tag: str) -> list[Call]:
    """At those of one slot."""
    return [
        command("GET", keys.endpoints_version(tag)),
        command("HMGET", keys.endpoints_versions(tag), "last", "base", *(f"={tenant}" for tenant in tenants)),
        *(command("HGETALL", keys.endpoints_of(tenant, tag)) for tenant in unread),
    ]


def _subscriptions(found: Mapping[str, str]) -> Subscriptions:
    # All at once: a tenant's thousands of endpoints would otherwise be as many calls. Before the patterns stands the
    # state.
    known = orjson.loads(f"[{','.join(found.values())}]")
    return Subscriptions({endpoint: wanted[1:] for endpoint, wanted in zip(found, known, strict=True)})
