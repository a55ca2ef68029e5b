"""`TenantShares`: which tenants have so much under way that their deliveries travel in a shard, apart from others'.

Every lane has its own queue, where all tenants start, and shards. A tenant that plans more than a burst of deliveries
in a lane, faster than a steady rate, is crowded: from then on its deliveries go to the shard its name hashes to, until
it has been calm for a while. So the lane's own queue never holds more than a burst of one tenant, and a single delivery
of another waits behind that much and no more, whatever lies in the shards. Hashing all tenants over shards instead
leaves those that share a shard with a crowded one behind all of its backlog, and cuts everybody's batches into pieces.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

from notifier.domain.rule import SHARDS, Priority, WorkKind

#: Deliveries of one tenant that may wait in a lane's own queue: ten full batches, 0.2 s of one worker process.
TENANT_BURST = 500
#: Deliveries a second that a tenant may add to that; a tenant below it is never crowded.
TENANT_RATE = 50.0
#: Tenants remembered before those that are calm are forgotten.
_REMEMBERED = 10_000

Crowded = Callable[[WorkKind, Priority, str], None]


@dataclass(slots=True)
class _Level:
    """A leaking bucket: deliveries that came, less what the rate has let go since."""

    filled: float = 0.0
    at: float = 0.0
    crowded: bool = False


class TenantShares:
    """One per process that plans: what others plan for the tenant is not counted, so n consumers allow n times."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        burst: float = TENANT_BURST,
        rate: float = TENANT_RATE,
        on_crowded: Crowded = lambda channel, priority, tenant: None,
    ) -> None:
        """``on_crowded`` hears when a tenant becomes crowded in a lane."""
        self._clock = clock
        self._burst = burst
        self._rate = rate
        self._on_crowded = on_crowded
        self._levels: dict[tuple[WorkKind, Priority, str], _Level] = {}

    def shard(self, kind: WorkKind, priority: Priority, tenant: str) -> int:
        """Count one delivery: 0 is the lane's own queue, else the tenant's shard."""
        key = (kind, priority, tenant)
        level = self._levels.get(key)
        if level is None:
            level = self._remember(key)
        now = self._clock()
        filled = max(0.0, level.filled - (now - level.at) * self._rate)
        # Half a burst must leak away before it is calm again, so that a steady flood is not cut into two queues.
        crowded = filled + 1 > self._burst or (level.crowded and filled > self._burst / 2)
        level.filled, level.at = min(filled + 1, self._burst), now
        if crowded and not level.crowded:
            self._on_crowded(kind, priority, tenant)
        level.crowded = crowded
        return shard_of(tenant) if crowded else 0

    def standing(self, kind: WorkKind, priority: Priority, tenant: str) -> int:
        """Where its next delivery would go, without counting one."""
        level = self._levels.get((kind, priority, tenant))
        if level is None or not level.crowded:
            return 0
        filled = level.filled - (self._clock() - level.at) * self._rate
        return shard_of(tenant) if filled > self._burst / 2 else 0

    def _remember(self, key: tuple[WorkKind, Priority, str]) -> _Level:
        if len(self._levels) >= _REMEMBERED:
            now = self._clock()
            self._levels = {k: v for k, v in self._levels.items() if v.filled > (now - v.at) * self._rate}
        return self._levels.setdefault(key, _Level(at=self._clock()))


def shard_of(tenant: str) -> int:
    """The shard of a crowded tenant: the same in every process and release."""
    return 1 + zlib.crc32(tenant.encode("utf-8", "surrogatepass")) % SHARDS
