"""Round trips to a Redis Cluster: calls go to the nodes that have their keys, all at once, then all replies are read.

redis-py's cluster clients are not used: theirs connect when they are made, run a command at a time or a pipeline that
packs word by word, and differ between threads and asyncio. What we need of them is the map of slots (`slot_map`) and
what to do when it is old (`trip`); connections are those of redis-py's plain client, one client for each node.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from redis import exceptions as redis_errors

from notifier.storage.commands import Call, command
from notifier.storage.slot_map import Address, SlotMap, key_of, slot_of
from notifier.storage.trip import PAUSES_S, Trip
from notifier.storage.wire import (
    REPLIES_TIMEOUT_S,
    Exchanger,
    Meanwhile,
    Once,
    pack,
    read,
    read_async,
    send,
    send_async,
    shaped,
)

if TYPE_CHECKING:
    import redis
    import redis.asyncio

_SLOTS = [command("CLUSTER", "SLOTS")]


class _UnderWay(NamedTuple):
    """What was sent to a node, and is to be read."""

    node: Address
    places: Sequence[int]
    sent: int
    """Commands, so replies."""
    connection: Any


class _Nodes:
    """What is known of the nodes, for both executors."""

    def __init__(self, seeds: Sequence[Address]) -> None:
        self.seeds = tuple(seeds)
        self.map = SlotMap()
        self.is_old = True
        """Whether the map is to be read before it is used."""
        self._silent: Address | None = None

    def to_ask(self, hint: Address | None) -> list[Address]:
        """Who may know the map, the likeliest first; who did not answer last time comes last."""
        known = dict.fromkeys([*([hint] if hint else []), *self.map.primaries, *self.seeds])
        return sorted(known, key=lambda node: node == self._silent)

    def suspect(self, node: Address | None) -> None:
        """A node does not answer: it may have been replaced meanwhile, and would never say so."""
        self.is_old, self._silent = True, node

    def know(self, reply: Sequence[Any], node: Address) -> None:
        """What a node answered to CLUSTER SLOTS."""
        self.map, self.is_old = SlotMap.read(reply, node[0]), False

    def near(self, call: Call) -> Address | None:
        """Where a call would go, as far as is known."""
        key = key_of(call)
        return self.map.of(slot_of(key)) if key else None


class ClusterExchanger:
    """Round trips of threads and greenlets over the nodes of a Cluster. Connects at first use."""

    is_cluster = True

    def __init__(self, connect: Callable[[Address], redis.Redis], seeds: Sequence[Address]) -> None:
        self._connect = connect
        self._nodes = _Nodes(seeds)
        self._exchangers: dict[Address, Exchanger] = {}
        self._callbacks = self._at(seeds[0]).client.response_callbacks
        self._reading = threading.Lock()
        self.near = self._nodes.near

    def clients(self) -> list[redis.Redis]:
        """One of each primary. Raises redis-py's errors where none is known."""
        return [self._at(node).client for node in self._current().primaries]

    def exchange(self, calls: Sequence[Call], meanwhile: Meanwhile = None) -> list[Any]:
        """As `Exchanger.exchange`; what a node cannot do now is repeated for a moment (`trip.PAUSES_S`)."""
        trip, once = Trip(calls), Once(meanwhile)
        for pause in PAUSES_S:
            if pause:
                time.sleep(pause)
            nodes = self._current()
            self._pass(trip, nodes, once)
            if trip.is_map_old:
                self._read_map(nodes, trip.hint)
            if not trip.waiting:
                return shaped(self._callbacks, calls, trip.replies)
        raise trip.given_up() from trip.error

    def close(self) -> None:
        """Close all connections."""
        for exchanger in self._exchangers.values():
            exchanger.client.close()

    def _pass(self, trip: Trip, nodes: SlotMap, once: Once) -> None:
        under_way: list[_UnderWay] = []
        try:
            self._send_all(trip, nodes, under_way)
            once.run()
            self._read_all(trip, under_way)
        except redis_errors.TimeoutError:
            self._nodes.suspect(under_way[-1].node if under_way else None)
            raise
        finally:
            # With replies still to come.
            for one in under_way:
                self._give_up(one)

    def _send_all(self, trip: Trip, nodes: SlotMap, under_way: list[_UnderWay]) -> None:
        for node, places in trip.begin(nodes).items():
            words = trip.words_for(places)
            under_way.append(_UnderWay(node, places, len(words), self._at(node).take()))
            try:
                send(under_way[-1].connection, pack(words))
            except redis_errors.ConnectionError as error:
                self._give_up(under_way.pop())
                trip.put_off(node, places, error)

    def _read_all(self, trip: Trip, under_way: list[_UnderWay]) -> None:
        while under_way:
            node, places, count, connection = under_way[-1]
            try:
                replies = read(connection, count)
            except redis_errors.ConnectionError as error:
                self._give_up(under_way.pop())
                trip.put_off(node, places, error)
            else:
                under_way.pop()
                self._at(node).give(connection)
                trip.take(node, places, replies)

    def _give_up(self, one: _UnderWay) -> None:
        node, _, _, connection = one
        connection.disconnect()
        self._at(node).give(connection)
        self._at(node).disconnect()

    def _at(self, node: Address) -> Exchanger:
        found = self._exchangers.get(node)
        if found is None:
            found = self._exchangers.setdefault(node, Exchanger(self._connect(node)))
        return found

    def _current(self) -> SlotMap:
        nodes = self._nodes.map
        if self._nodes.is_old:
            self._read_map(nodes, None)
        return self._nodes.map

    def _read_map(self, known: SlotMap, hint: Address | None) -> None:
        """Unless somebody else did meanwhile. Who has none can do nothing; who has an old one goes on with it."""
        with self._reading:
            if self._nodes.map is not known and not self._nodes.is_old:
                return
            error: Exception = redis_errors.ClusterDownError("no node says who has which slots")
            for node in self._nodes.to_ask(hint):
                try:
                    (reply,) = self._at(node).exchange(_SLOTS)
                except (redis_errors.RedisError, OSError) as said:
                    error = said
                    continue
                if isinstance(reply, Exception):
                    error = reply
                elif reply:
                    self._nodes.know(reply, node)
                    return
        if not self._nodes.map.primaries:
            raise error


class AsyncClusterExchanger:
    """The same on asyncio, on one event loop."""

    is_cluster = True

    def __init__(self, connect: Callable[[Address], redis.asyncio.Redis], seeds: Sequence[Address]) -> None:
        self._connect = connect
        self._nodes = _Nodes(seeds)
        self._clients: dict[Address, redis.asyncio.Redis] = {}
        self._callbacks = self._at(seeds[0]).response_callbacks
        self._reading = asyncio.Lock()
        self.near = self._nodes.near

    async def exchange(self, calls: Sequence[Call], meanwhile: Meanwhile = None) -> list[Any]:
        """As `ClusterExchanger.exchange`."""
        trip, once = Trip(calls), Once(meanwhile)
        for pause in PAUSES_S:
            if pause:
                await asyncio.sleep(pause)
            nodes = await self._current()
            await self._pass(trip, nodes, once)
            if trip.is_map_old:
                await self._read_map(nodes, trip.hint)
            if not trip.waiting:
                return shaped(self._callbacks, calls, trip.replies)
        raise trip.given_up() from trip.error

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()

    async def _pass(self, trip: Trip, nodes: SlotMap, once: Once) -> None:
        under_way: list[_UnderWay] = []
        try:
            async with asyncio.timeout(REPLIES_TIMEOUT_S):
                await self._send_all(trip, nodes, under_way)
                once.run()
                await self._read_all(trip, under_way)
        except (TimeoutError, redis_errors.TimeoutError) as error:
            self._nodes.suspect(under_way[-1].node if under_way else None)
            what = f"no answer to {len(trip.calls)} commands in {REPLIES_TIMEOUT_S:.0f} s"
            raise redis_errors.TimeoutError(what) from error
        finally:
            # With replies still to come.
            for one in under_way:
                await self._give_up(one)

    async def _send_all(self, trip: Trip, nodes: SlotMap, under_way: list[_UnderWay]) -> None:
        for node, places in trip.begin(nodes).items():
            words = trip.words_for(places)
            try:
                connection: Any = await self._at(node).connection_pool.get_connection()  # type: ignore[no-untyped-call]
            except redis_errors.ConnectionError as error:
                trip.put_off(node, places, error)
                continue
            under_way.append(_UnderWay(node, places, len(words), connection))
            try:
                await send_async(connection, pack(words))
            except redis_errors.ConnectionError as error:
                await self._give_up(under_way.pop())
                trip.put_off(node, places, error)

    async def _read_all(self, trip: Trip, under_way: list[_UnderWay]) -> None:
        while under_way:
            node, places, count, connection = under_way[-1]
            try:
                replies = await read_async(connection, count)
            except redis_errors.ConnectionError as error:
                await self._give_up(under_way.pop())
                trip.put_off(node, places, error)
            else:
                under_way.pop()
                await self._at(node).connection_pool.release(connection)
                trip.take(node, places, replies)

    async def _give_up(self, one: _UnderWay) -> None:
        node, _, _, connection = one
        await connection.disconnect()
        await self._at(node).connection_pool.release(connection)

    def _at(self, node: Address) -> redis.asyncio.Redis:
        found = self._clients.get(node)
        if found is None:
            found = self._clients[node] = self._connect(node)
        return found

    async def _current(self) -> SlotMap:
        if self._nodes.is_old:
            await self._read_map(self._nodes.map, None)
        return self._nodes.map

    async def _read_map(self, known: SlotMap, hint: Address | None) -> None:
        """As `ClusterExchanger._read_map`."""
        async with self._reading:
            if self._nodes.map is not known and not self._nodes.is_old:
                return
            error: Exception = redis_errors.ClusterDownError("no node says who has which slots")
            for node in self._nodes.to_ask(hint):
                try:
                    reply = await self._ask(node)
                except (redis_errors.RedisError, OSError) as said:
                    error = said
                    continue
                if isinstance(reply, Exception):
                    error = reply
                elif reply:
                    self._nodes.know(reply, node)
                    return
        if not self._nodes.map.primaries:
            raise error

    async def _ask(self, node: Address) -> Any:
        pool = self._at(node).connection_pool
        connection: Any = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(REPLIES_TIMEOUT_S):
                await send_async(connection, pack(_SLOTS))
                (reply,) = await read_async(connection, 1)
        except BaseException:
            await connection.disconnect()
            raise
        finally:
            await pool.release(connection)
        return reply
