"""`Consumer`: keeps a `Session` running, for ever: connects, declares the topology, waits out what is away, stops well.

It waits for RabbitMQ and Redis with growing pauses and without end, because nothing is lost while it waits; only what
no waiting can mend (a conflicting topology, unreadable settings) ends the process.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping
from logging import WARNING
from os import PathLike
from typing import Any

import pika

from consumers import topology
from consumers.backoff import Backoff
from consumers.connection import BrokerConnection, parameters
from consumers.dead_letters import DeadLetterIntake, Examining
from consumers.depth_monitor import Tell
from consumers.intake import Intake
from consumers.session import SUBSCRIBE_S, Pace, Session
from notifier import logs, metrics
from notifier.errors import PublishRejected, StorageUnavailable, Unavailable

log = logs.get("intake")

#: Seconds between two beats of the loop, and without one after which the process should be restarted.
_BEAT_S = 1.0
_SILENT_S = 30.0


class Consumer:
    """The intake process without its signals and settings. ``ready`` and ``alive`` may be called from any thread."""

    def __init__(
        self,
        broker_url: str,
        intake: Intake,
        check_storage: Callable[[], Awaitable[Any]],
        *,
        dead_letters: Examining | None = None,
        tell_full: Tell | None = None,
        broker_ca_file: str | PathLike[str] | None = None,
        advises: bool = True,
        pace: Pace | None = None,
        grace: float = 30,
    ) -> None:
        self._nodes = parameters(broker_url, "notifier consumer", broker_ca_file)
        self._turn = 0
        self._begins_within = SUBSCRIBE_S
        self._advises = advises
        self._trusts_topology = False
        self._intake = intake
        self._check_storage = check_storage
        self._dead_letters = dead_letters
        self._tell_full = tell_full or _tell_nobody
        self._pace = pace or Pace()
        self._grace = grace
        self._stop = asyncio.Event()
        self._away: str | None = "not connected yet"
        self._alarm: str | None = None
        self._held: str | None = None
        self._told: set[str] = set()
        self._clock: Callable[[], float] | None = None
        self._beat = 0.0

    def ready(self) -> dict[str, str | None]:
        """For /readyz."""
        return {"connection": self._away, "publishing": self._alarm, "intake": self._held}

    def alive(self) -> str | None:
        """For /healthz: why this process should be restarted."""
        if self._clock is None or (silent := self._clock() - self._beat) < _SILENT_S:
            return None
        return f"the event loop has not run for {silent:.0f} s"

    def stop(self) -> None:
        """Finish what was taken, then let `run` return. For signal handlers of the loop."""
        self._stop.set()

    async def run(self) -> None:
        """Until `stop`. Raises `TopologyConflict`."""
        beating = asyncio.create_task(self._keep_beating())
        backoff = Backoff()
        try:
            while not self._stop.is_set():
                try:
                    await self._session(backoff)
                except (Unavailable, PublishRejected) as error:
                    self._pause(error)
                    self._turn += 1
                    await self._sleep(backoff.seconds())
        finally:
            beating.cancel()
        logs.wide(log, "intake.stopped")

    async def _session(self, backoff: Backoff) -> None:
        # Without Redis nothing can be planned, and every message taken and returned counts towards its limit.
        await self._check_storage()
        await self._look_after_topology()
        connection = await BrokerConnection.open(self._node, self._on_alarm, has_others=len(self._nodes) > 1)
        try:
            session = Session(
                connection,
                self._intake,
                self._pace,
                restore=self._declare,
                on_begun=lambda: self._on_begun(connection, backoff),
                on_wait=self._on_wait,
                tell_full=self._tell_full,
                begins_within=self._next_patience() if len(self._nodes) > 1 else None,
            )
            parking = asyncio.create_task(self._park_dead_letters(connection))
            try:
                await session.run(self._stop, self._grace)
            finally:
                parking.cancel()
                await asyncio.wait({parking})
        finally:
            await connection.close()

    def _next_patience(self) -> float:
        """Twice as much as the last, until one was enough: what is slow and well must come to its end."""
        seconds, self._begins_within = self._begins_within, self._begins_within * 2
        return seconds

    async def _park_dead_letters(self, connection: BrokerConnection) -> None:
        if self._dead_letters is not None:
            await DeadLetterIntake(connection, self._dead_letters, self._declare).run()

    @property
    def _node(self) -> pika.ConnectionParameters:
        """With several, each try is at the next one."""
        return self._nodes[self._turn % len(self._nodes)]

    def _on_begun(self, connection: BrokerConnection, backoff: Backoff) -> None:
        self._away = None
        self._begins_within = SUBSCRIBE_S
        self._trusts_topology = len(self._nodes) > 1
        metrics.INTAKE_PAUSED.set(0)
        backoff.reset()
        logs.wide(log, "intake.started", broker=connection.where, version=connection.server_version)

    async def _look_after_topology(self) -> None:
        """Declare it, unless it was there a moment ago: a cluster with a frozen node may take a minute to answer that.

        A session that finds its queues gone ends at once, and the next one declares again.
        """
        trusts, self._trusts_topology = self._trusts_topology, False
        if not trusts:
            await self._declare()

    async def _declare(self) -> None:
        declared = await asyncio.to_thread(topology.declare_all, [self._node], advises=self._advises)
        for note in {entry.note for entry in declared if entry.note} - self._told:
            logs.wide(log, "topology.advice", level=WARNING, advice=note)
            self._told.add(note)

    def _pause(self, error: Exception) -> None:
        self._away = str(error)
        self._alarm = None
        metrics.BROKER_BLOCKED.set(0)
        if not isinstance(error, StorageUnavailable):
            metrics.BROKER_RECONNECTS.inc()
        metrics.INTAKE_PAUSED.set(1)
        logs.wide(log, "intake.paused", level=WARNING, reason=str(error))

    def _on_wait(self, reason: str | None) -> None:
        """A session's messages wait because of ``reason``; None when it goes on."""
        if (reason is None) != (self._held is None):
            metrics.INTAKE_PAUSED.set(0 if reason is None else 1)
            logs.wide(log, "intake.resumed" if reason is None else "intake.waits", level=WARNING, reason=reason or "")
            if reason is None:
                # What failed left its errors behind, and these, in cycles of streams and tracebacks, all that was being
                # registered: 3 MiB each time Redis was away. The collector, told to look rarely, would never find them.
                gc.collect()
        self._held = reason

    def _on_alarm(self, reason: str | None) -> None:
        """RabbitMQ blocks publishers: confirms stop coming, groups wait, and go on by themselves."""
        self._alarm = None if reason is None else f"RabbitMQ blocks publishers: {reason}"
        metrics.BROKER_BLOCKED.set(0 if reason is None else 1)
        metrics.INTAKE_PAUSED.set(0 if reason is None else 1)
        logs.wide(log, "intake.resumed" if reason is None else "intake.paused", level=WARNING, reason=reason or "")

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    async def _keep_beating(self) -> None:
        clock = self._clock = asyncio.get_running_loop().time
        while True:
            self._beat = clock()
            await asyncio.sleep(_BEAT_S)
            metrics.LOOP_LAG.observe(max(0.0, clock() - self._beat - _BEAT_S))


async def _tell_nobody(_: Mapping[str, int]) -> None:
    """Where no other process takes events in."""
