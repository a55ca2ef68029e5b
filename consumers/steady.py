"""`SteadyPublisher`: publishes on one channel, and on another one of the same connection when that no longer confirms.

Not on another connection: what was taken from the intake queue would return, and each return counts towards the limit
of 20 after which RabbitMQ gives an event up.
"""

from __future__ import annotations

import asyncio
from logging import WARNING

from consumers.connection import LOOK_EVERY_S, BrokerConnection
from consumers.publisher import ConfirmedPublisher, Outgoing
from notifier import logs
from notifier.client.silence import Stall
from notifier.errors import BrokerUnavailable

log = logs.get("intake")


class SteadyPublisher:
    """What was published and never confirmed ends as `PublishRejected`; whoever insists publishes it again."""

    def __init__(self, connection: BrokerConnection, current: ConfirmedPublisher, stall: Stall) -> None:
        self._connection = connection
        self._current = current
        self._stall = stall
        self._watching = asyncio.create_task(self._watch())

    @classmethod
    async def open(cls, connection: BrokerConnection) -> SteadyPublisher:
        """Raises `BrokerUnavailable`."""
        stall = Stall(LOOK_EVERY_S, has_others=connection.has_others)
        return cls(connection, await ConfirmedPublisher.open(connection, stall), stall)

    def publish(self, message: Outgoing) -> asyncio.Future[None]:
        """As `ConfirmedPublisher.publish`."""
        return self._current.publish(message)

    def close(self) -> None:
        """Stop looking, and give the channel back."""
        self._watching.cancel()
        self._current.close()

    async def _watch(self) -> None:
        while not self._connection.lost.done():
            await asyncio.sleep(LOOK_EVERY_S)
            waits = not self._connection.is_blocked and self._current.unconfirmed > 0
            if reason := self._stall.look(waits=waits):
                try:
                    await self._renew(reason)
                except BrokerUnavailable:
                    return  # and with it the session

    async def _renew(self, reason: str) -> None:
        logs.wide(log, "publishing.renewed", level=WARNING, broker=self._connection.where, reason=reason)
        former, self._current = self._current, await ConfirmedPublisher.open(self._connection, self._stall)
        self._stall.begin()
        former.abandon(reason)
