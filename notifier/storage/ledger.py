"""`Ledger`: one record per delivery with its status and attempts, claims on it, and an index by event and person.

`Ledger` is for threads and greenlets, `AsyncLedger` for asyncio; both run the same operations. Calls take lists and
cost one round trip each. Every call may be repeated: it changes nothing the second time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence

from notifier.domain.delivery import WAITS_FOR_DIGEST, DeliveryRecord, Status
from notifier.domain.event_status import Other, Unplanned
from notifier.domain.waiting import Waiting
from notifier.storage import claims, lookup, recording, registration
from notifier.storage.claims import Busy, Claim, Claimed, ClaimRequest, Done, NotYet
from notifier.storage.commands import Operation
from notifier.storage.feed import Bounds
from notifier.storage.lookup import EventRecord
from notifier.storage.packs import Packs
from notifier.storage.people import Depths
from notifier.storage.recording import Record
from notifier.storage.registration import Registered, Registration
from notifier.storage.spread import Spread
from notifier.storage.store import AsyncStore, Store
from notifier.storage.wire import Meanwhile

__all__ = [
    "AsyncLedger",
    "Busy",
    "Claim",
    "ClaimRequest",
    "Claimed",
    "Done",
    "EventRecord",
    "Ledger",
    "NotYet",
    "Record",
    "Registered",
    "Registration",
    "Retention",
]

#: A record must outlive every message that may still name it: longest retry schedule (3 days) and time for a replay.
OPEN_RETENTION_S = 7 * 86400.0


class Retention:
    """How long records stay, by status; seconds."""

    def __init__(self, sent: float = 7 * 86400, failed: float = 30 * 86400, *, history_most: int = 0) -> None:
        self.sent = sent
        self.failed = failed
        self.history_most = history_most
        """How much that ended may wait for the history (`feed`); 0 without one, when nothing is noted."""

    @property
    def open(self) -> float:
        """Of deliveries on their way."""
        return max(self.failed, OPEN_RETENTION_S)

    @property
    def feed(self) -> Bounds | None:
        """What may wait for the history, and how long; None without one."""
        return Bounds(max(self.sent, self.open), self.history_most) if self.history_most else None

    @property
    def event(self) -> float:
        """Of events, which is how long a duplicate is recognised."""
        return max(self.sent, OPEN_RETENTION_S)

    @property
    def longest(self) -> float:
        """Of any delivery, which is how long the index of people names it."""
        return max(self.open, self.event)

    def of(self, status: Status) -> float:
        """Of a delivery with this status."""
        if status is Status.SENT:
            return self.sent
        return self.open if status in (Status.QUEUED, Status.SENDING, Status.DEFERRED, Status.HELD) else self.failed


class _Operations:
    """The ledger's operations with its retention and clock filled in."""

    def __init__(self, spread: Spread, retention: Retention | None, clock: Callable[[], float]) -> None:
        self.retention = retention or Retention()
        self.clock = clock
        self.packs = Packs(max(self.retention.event, self.retention.open), spread=spread)

    def register(self, registrations: Sequence[Registration]) -> Operation[list[Registered]]:
        return registration.register(
            self.packs,
            registrations,
            now=self.clock(),
            keep_event=self.retention.event,
            keep_delivery=self.retention.open,
        )

    def planned(self, event_keys: Sequence[str], unmatched: Sequence[str] = ()) -> Operation[None]:
        return registration.planned(self.packs, event_keys, unmatched, self.retention.feed)

    def unplanned(self, entries: Sequence[Unplanned]) -> Operation[list[Other | None]]:
        keep = self.retention
        return registration.unplanned(self.packs, entries, now=self.clock(), keep=keep.open, bounds=keep.feed)


class Ledger:
    """The ledger for threads and greenlets. Raises `StorageUnavailable` when Redis cannot do it now."""

    def __init__(
        self, store: Store, retention: Retention | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._run = store.run
        self._clock = clock
        self._retention = retention or Retention()
        self._operations = _Operations(store.spread, retention, clock)
        self._packs = self._operations.packs
        self._depths = Depths()

    def register(self, registrations: Sequence[Registration]) -> list[Registered]:
        """Before publishing: write queued deliveries and their events; says what was known already."""
        return self._run(self._operations.register(registrations))

    def planned(self, event_keys: Sequence[str]) -> None:
        """After every task of these events was confirmed."""
        self._run(self._operations.planned(event_keys))

    def unplanned(self, entries: Sequence[Unplanned]) -> list[Other | None]:
        """Events that are parked or wait: written down, so that whoever asks for one is told why nothing happens."""
        return self._run(self._operations.unplanned(entries))

    def claim(
        self,
        requests: Sequence[ClaimRequest],
        *,
        owner: str,
        lease: float,
        now: float | None = None,
        nonce: str | None = None,
        meanwhile: Meanwhile = None,
    ) -> list[Claim]:
        """Claim deliveries for ``lease`` seconds; ``meanwhile`` is called while Redis does it.

        ``owner`` must be new at every process start (a container's pid is always 1) and keep its `heartbeat` going.
        Pass the same ``nonce`` to repeat a call that failed; without it our own half-made claim would look busy.
        """
        operation = claims.claim(
            self._packs,
            requests,
            depths=self._depths,
            owner=owner,
            lease=lease,
            now=self._clock() if now is None else now,
            open_for=self._retention.open,
            index_for=self._retention.longest,
            nonce=nonce or secrets.token_hex(4),
        )
        return self._run(operation, meanwhile)

    def heartbeat(self, owner: str, ttl: float) -> None:
        """``owner`` lives for another ``ttl`` seconds; without it its claims may be taken."""
        self._run(claims.heartbeat(owner, ttl))

    def dead(self, owners: Collection[str]) -> set[str]:
        """Those of these workers whose last heartbeat is too long ago."""
        return self._run(claims.dead_of(owners))

    def farewell(self, owner: str) -> None:
        """``owner`` has stopped: what it still holds may be claimed at once."""
        self._run(claims.farewell(owner))

    def mark_leaving(self, held: Sequence[tuple[str, int]]) -> list[bool]:
        """Just before the final dot of (id, fence) pairs; False: the claim was lost, nothing may be sent."""
        return self._run(claims.mark_leaving(self._packs, held))

    def record(self, records: Sequence[Record], now: float | None = None) -> list[bool]:
        """What became of claimed deliveries. False: the fence was stale, another owner decides."""
        moment = self._clock() if now is None else now
        keep = self._retention
        return self._run(recording.record(self._packs, records, now=moment, retention=keep.of, bounds=keep.feed))

    def hold(self, waiting: Sequence[tuple[Waiting, str]]) -> list[Status]:
        """Deliveries that wait for their endpoint, with the reasons, become held.

        Says what each is now: sending, or an end, stays.
        """
        return self._run(recording.hold(self._packs, waiting, now=self._clock(), open_for=self._retention.open))

    def skip(self, ids: Sequence[str], reason: str) -> list[Status]:
        """Held deliveries that nobody wants any more; says what each is now."""
        keep = self._retention
        return self._run(
            recording.skip(self._packs, ids, reason, now=self._clock(), keep=keep.of(Status.SKIPPED), bounds=keep.feed)
        )

    def release(self, held: Sequence[tuple[str, int]], now: float | None = None) -> list[bool]:
        """Hand (id, fence) pairs back as they were before the claim; no try is spent."""
        return self._run(claims.release(self._packs, held, now=self._clock() if now is None else now))

    def postpone(self, held: Sequence[tuple[str, int, str, float]], now: float | None = None) -> list[bool]:
        """`release` for (id, fence, reason, until): the record says why it waits, and until when."""
        return self._run(claims.postpone(self._packs, held, now=self._clock() if now is None else now))

    def reopen(self, ids: Sequence[str], now: float | None = None) -> list[bool]:
        """For a replay: True means publish it, False that it was sent or has expired."""
        moment = self._clock() if now is None else now
        return self._run(recording.reopen(self._packs, ids, now=moment, open_for=self._retention.open))

    def rejoin(self, ids: Sequence[str], now: float | None = None) -> None:
        """Items of a digest that is replayed: they wait for it again, unless they were sent or have expired."""
        moment = self._clock() if now is None else now
        self._run(recording.rejoin(self._packs, ids, WAITS_FOR_DIGEST, now=moment, open_for=self._retention.open))

    def unmatched(self) -> list[tuple[str, int]]:
        """Types of events no rule wanted, with how many came, the most frequent first."""
        return self._run(registration.unmatched())

    def event(self, key: str, page: int = 0) -> EventRecord | None:
        """One event with a page of its deliveries' ids."""
        return self._run(lookup.event(self._packs, key, page))

    def deliveries(self, ids: Sequence[str]) -> list[DeliveryRecord | None]:
        """One record per id; None where nothing is known."""
        return self._run(lookup.deliveries(self._packs, ids))

    def events(self, event_keys: Sequence[str]) -> list[EventRecord | None]:
        """One record per key, with the deliveries that stand in it; None where nothing is known."""
        return self._run(lookup.events(self._packs, event_keys))

    def of_recipient(self, recipient_key: str, limit: int = 100) -> list[str]:
        """Delivery ids to one person, newest first."""
        return self._run(lookup.of_recipient(recipient_key, limit, self._clock(), self._retention.longest))


class AsyncLedger:
    """The ledger for asyncio: what intake and the API need. Raises `StorageUnavailable` when Redis cannot do it now."""

    def __init__(
        self, store: AsyncStore, retention: Retention | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._run = store.run
        self._operations = _Operations(store.spread, retention, clock)
        self._packs = self._operations.packs

    async def register(self, registrations: Sequence[Registration], meanwhile: Meanwhile = None) -> list[Registered]:
        """Before publishing: write queued deliveries and their events; says what was known already.

        ``meanwhile`` is called while Redis does it.
        """
        return await self._run(self._operations.register(registrations), meanwhile)

    async def unregister(self, ids: Sequence[str]) -> None:
        """Take away deliveries that are not to be published after all; what anybody has claimed stays."""
        await self._run(registration.unregister(self._packs, ids))

    async def planned(self, event_keys: Sequence[str], unmatched: Sequence[str] = ()) -> None:
        """After every task of these events was confirmed; ``unmatched`` are types of those no rule wanted."""
        await self._run(self._operations.planned(event_keys, unmatched))

    async def unplanned(self, entries: Sequence[Unplanned]) -> list[Other | None]:
        """Events that are parked or wait: written down, so that whoever asks for one is told why nothing happens.

        Says which of them are not, because another event with that id is planned.
        """
        return await self._run(self._operations.unplanned(entries))

    async def note(self, event_key: str, text: str) -> None:
        """Something its publisher should know of an event."""
        await self._run(registration.note(self._packs, event_key, text, self._operations.retention.feed))

    async def event(self, key: str, page: int = 0) -> EventRecord | None:
        """One event with a page of its deliveries' ids."""
        return await self._run(lookup.event(self._packs, key, page))

    async def deliveries(self, ids: Sequence[str]) -> list[DeliveryRecord | None]:
        """One record per id; None where nothing is known."""
        return await self._run(lookup.deliveries(self._packs, ids))

    async def of_recipient(self, recipient_key: str, limit: int = 100) -> list[str]:
        """Delivery ids to one person, newest first."""
        now, keep = self._operations.clock(), self._operations.retention.longest
        return await self._run(lookup.of_recipient(recipient_key, limit, now, keep))
