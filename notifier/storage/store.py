"""The two executors of an `Operation`: `Store` for threads and greenlets, `AsyncStore` for asyncio.

One pipeline is one round trip. A server that lost its scripts (restart, failover, SCRIPT FLUSH) answers NOSCRIPT: then
the scripts are loaded and only those calls run again. Everything sent here is idempotent by token, because redis-py
repeats a pipeline once when its connection broke and nobody knows whether the first one ran.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import NoScriptError

from notifier.errors import StorageUnavailable
from notifier.storage import keys
from notifier.storage.commands import Call, Operation, command
from notifier.storage.faults import FOREIGN, raise_ours, translate
from notifier.storage.slot_map import key_of
from notifier.storage.slots import Slots
from notifier.storage.spread import DIVIDED, WHOLE, Spread

if TYPE_CHECKING:
    import redis

    from notifier.storage.cluster import AsyncClusterExchanger, ClusterExchanger
    from notifier.storage.wire import AsyncExchanger, Exchanger, Meanwhile

T = TypeVar("T")

#: Seconds to wait for one of our connections before saying that storage is away.
SLOT_TIMEOUT_S = 5.0
#: Commands in one pipeline: a fan-out of thousands must neither block the server nor fill the socket's buffers.
PIPELINE_LIMIT = 1000


class Store:
    """Runs operations over one server or a Cluster; many threads or greenlets share it."""

    def __init__(self, exchanger: Exchanger | ClusterExchanger, connections: int = 16) -> None:
        self.round_trips = 0
        """Pipelines sent so far."""
        self._slots = Slots(connections)
        self._exchanger = exchanger

    @property
    def is_cluster(self) -> bool:
        """Whether keys lie on several nodes, as a `cluster://` URL says."""
        return self._exchanger.is_cluster

    @property
    def spread(self) -> Spread:
        """Among how many slots large families of keys are divided; everything that divides them asks here."""
        return DIVIDED if self.is_cluster else WHOLE

    @property
    def client(self) -> redis.Redis:
        """Of the server, or of one primary of a Cluster."""
        return self.clients()[0]

    def clients(self) -> list[redis.Redis]:
        """Of the server, or of each primary of a Cluster. Raises redis-py's errors where a Cluster is away."""
        return self._exchanger.clients()

    def run(self, operation: Operation[T], meanwhile: Meanwhile = None) -> T:
        """Raises `StorageUnavailable` when Redis cannot do it now; the operation may be run again.

        ``meanwhile`` is called while Redis works on the first round trip, if there is one.
        """
        try:
            calls = next(operation)
            while True:
                calls = operation.send(self._exchange(calls, meanwhile))
                meanwhile = None
        except StopIteration as stop:
            result: T = stop.value
            return result

    def reachable(self) -> str | None:
        """Why Redis cannot be used now, or None; for readiness checks. A replica and a full server answer PING."""
        try:
            self._exchange([command("SET", keys.ready(), "1", "PX", 1000)])
        except StorageUnavailable as error:
            return str(error)
        return None

    def close(self) -> None:
        """Close all connections."""
        self._exchanger.close()

    def _exchange(self, calls: Sequence[Call], meanwhile: Meanwhile = None) -> list[Any]:
        replies: list[Any] = []
        for start in range(0, len(calls), PIPELINE_LIMIT):
            part = calls[start : start + PIPELINE_LIMIT]
            got = self._send(part, meanwhile)
            meanwhile = None
            if again := _forgotten(part, got):
                _fill_in(got, again, self._send(_reload(part, again, self._exchanger.near)))
            replies += got
        return _checked(calls, replies)

    def _send(self, calls: Sequence[Call], meanwhile: Meanwhile = None) -> list[Any]:
        # Without context managers: two generators for each round trip cost as much as half a claim.
        if not self._slots.acquire(SLOT_TIMEOUT_S):
            raise StorageUnavailable(_NO_SLOT)
        try:
            self.round_trips += 1
            return self._exchanger.exchange(calls, meanwhile)
        except FOREIGN as error:
            raise_ours(error)
        finally:
            self._slots.release()


class AsyncStore:
    """Runs operations over one server or a Cluster, on one event loop."""

    def __init__(self, exchanger: AsyncExchanger | AsyncClusterExchanger, connections: int = 16) -> None:
        self.round_trips = 0
        """Pipelines sent so far."""
        self._slots = asyncio.BoundedSemaphore(connections)
        self._exchanger = exchanger

    @property
    def spread(self) -> Spread:
        """See `Store.spread`."""
        return DIVIDED if self._exchanger.is_cluster else WHOLE

    async def run(self, operation: Operation[T], meanwhile: Meanwhile = None) -> T:
        """Raises `StorageUnavailable` when Redis cannot do it now; the operation may be run again.

        ``meanwhile`` is called while Redis works on the first round trip, if there is one.
        """
        try:
            calls = next(operation)
            while True:
                calls = operation.send(await self._exchange(calls, meanwhile))
                meanwhile = None
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def close(self) -> None:
        """Close all connections."""
        await self._exchanger.close()

    async def _exchange(self, calls: Sequence[Call], meanwhile: Meanwhile = None) -> list[Any]:
        replies: list[Any] = []
        for start in range(0, len(calls), PIPELINE_LIMIT):
            part = calls[start : start + PIPELINE_LIMIT]
            got = await self._send(part, meanwhile)
            meanwhile = None
            if again := _forgotten(part, got):
                _fill_in(got, again, await self._send(_reload(part, again, self._exchanger.near)))
            replies += got
        return _checked(calls, replies)

    async def _send(self, calls: Sequence[Call], meanwhile: Meanwhile = None) -> list[Any]:
        await self._take_slot()
        try:
            self.round_trips += 1
            return await self._exchanger.exchange(calls, meanwhile)
        except FOREIGN as error:
            raise_ours(error)
        finally:
            self._slots.release()

    async def _take_slot(self) -> None:
        if not self._slots.locked():
            await self._slots.acquire()  # at once: a timer would cost more than all of this
            return
        try:
            async with asyncio.timeout(SLOT_TIMEOUT_S):
                await self._slots.acquire()
        except TimeoutError as error:
            raise StorageUnavailable(_NO_SLOT) from error


_NO_SLOT = f"all our connections to Redis were in use for {SLOT_TIMEOUT_S:.0f} s: it is slow, or there are too few"


def _forgotten(calls: Sequence[Call], replies: list[Any]) -> list[int]:
    return [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError) and calls[i].script]


def _reload(calls: Sequence[Call], again: list[int], near: Callable[[Call], object]) -> list[Call]:
    """The calls again, behind the scripts they need: on a Cluster each node forgets by itself."""
    missing = {(script.sha, near(calls[i])): i for i in again if (script := calls[i].script)}
    wanted = [(script.source, key_of(calls[i])) for i in missing.values() if (script := calls[i].script)]
    return [*(command("SCRIPT", "LOAD", source, near=key) for source, key in wanted), *(calls[i] for i in again)]


def _fill_in(replies: list[Any], again: list[int], repeated: list[Any]) -> None:
    for place, reply in zip(again, repeated[-len(again) :], strict=True):
        replies[place] = reply


def _checked(calls: Sequence[Call], replies: list[Any]) -> list[Any]:
    for call, reply in zip(calls, replies, strict=True):
        if isinstance(reply, Exception):
            reply.add_note(f"while running {call.script.name if call.script else call.words[0]}")
            if known := translate(reply):
                raise known from reply
            raise reply
    return replies
