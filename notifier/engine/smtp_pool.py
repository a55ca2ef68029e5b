"""The connections kept to one relay, and what is known of its health.

A new connection costs about 0.5 ms and a TLS handshake much more, so connections are kept: at most so many, for at most
300 seconds and so many mails each, asked NOOP after a rest. A relay that refuses connection, TLS or login is left alone
for a cool-down that doubles; then one delivery probes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from notifier.engine.smtp import Connection
from notifier.engine.transaction import Broken, Phase, Rejected

Open = Callable[[], Awaitable[Connection | Rejected | Broken]]
Clock = Callable[[], float]

MAX_AGE_S = 300.0
IDLE_CHECK_S = 30.0
FIRST_COOL_DOWN_S = 5.0
LONGEST_COOL_DOWN_S = 300.0
#: A relay that takes no further connection but serves those we have gets fewer for this long (421 "too many").
FEWER_FOR_S = 60.0


@dataclass(frozen=True, slots=True)
class RelayState:
    """What health pages and metrics show of a relay."""

    relay: str
    """``host:port``."""
    up: bool
    reason: str
    """Why it is down; empty when it is up."""
    since: float
    """Unix seconds of the last change."""


class Health:
    """Whether a relay may be connected to: up, or down until a time at which one delivery may probe it."""

    def __init__(self, relay: str, clock: Clock) -> None:
        self.state = RelayState(relay, up=True, reason="", since=clock())
        self._clock = clock
        self._cool_down = FIRST_COOL_DOWN_S
        self._until = 0.0
        self._probing = False

    def admits(self) -> bool:
        """Whether the caller may connect; when it is a probe, others wait for its end (`succeeded`, `failed`, …)."""
        if self.state.up:
            return True
        if self._probing or self._clock() < self._until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """A connection was opened."""
        self._probing = False
        if not self.state.up:
            self._cool_down = FIRST_COOL_DOWN_S
            self.state = RelayState(self.state.relay, up=True, reason="", since=self._clock())

    def failed(self, reason: str) -> None:
        """Connection, TLS or login was refused. Many at once count once: only a failed probe doubles the cool-down."""
        if not self.state.up and not self._probing:
            return
        since = self._clock() if self.state.up else self.state.since
        if self._probing:
            self._cool_down = min(2 * self._cool_down, LONGEST_COOL_DOWN_S)
        self._probing = False
        self._until = self._clock() + self._cool_down
        self.state = RelayState(self.state.relay, up=False, reason=reason, since=since)

    def given_up(self) -> None:
        """A probe was cancelled and says nothing."""
        self._probing = False


class SmtpPool:
    """Connections to one relay: `take` one, use it, `give_back`."""

    def __init__(self, health: Health, open_one: Open, *, connections: int, mails: int, clock: Clock) -> None:
        self._health = health
        self._open_one = open_one
        self._mails = mails
        self._clock = clock
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[Connection] = []
        self._open = 0

    @property
    def state(self) -> RelayState:
        """Whether the relay is up, and why not."""
        return self._health.state

    async def take(self, until: float) -> Connection | Rejected | Broken:
        """A connection, waiting for a free one until then (loop time), or why there is none."""
        while True:
            try:
                await self._slot(until)
            except TimeoutError:
                why = "no connection to the relay became free in time"
                return Broken(self._health.state.relay, Phase.QUEUE, why, False, "timeout")
            taken = await self._fill_slot()
            if isinstance(taken, Connection) or not self._serves_others(taken):
                return taken

    def give_back(self, connection: Connection) -> None:
        """Keep it for the next mail, or close it when it is too old, too used or broken."""
        connection.last_used = self._clock()
        if self._keepable(connection):
            self._idle.append(connection)
        else:
            self._discard(connection)
        self._slots.release()

    async def replace(self, connection: Connection) -> Connection | Rejected | Broken:
        """A new connection for one that turned out to be dead."""
        self._discard(connection)
        return await self._fill_slot(only_new=True)

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is given back too old, or with the loop."""
        while self._idle:
            self._discard(self._idle.pop())

    async def _slot(self, until: float) -> None:
        if not self._slots.locked():
            await self._slots.acquire()
            return
        async with asyncio.timeout_at(until):
            await self._slots.acquire()

    async def _fill_slot(self, only_new: bool = False) -> Connection | Rejected | Broken:
        """A connection for the slot the caller holds; without one the slot is free again, or rests."""
        taken: Connection | Rejected | Broken | None = None
        try:
            taken = (None if only_new else await self._rested()) or await self._connect()
        finally:
            if taken is None or (not isinstance(taken, Connection) and not self._serves_others(taken)):
                self._slots.release()
        if not isinstance(taken, Connection) and self._serves_others(taken):
            asyncio.get_running_loop().call_later(FEWER_FOR_S, self._slots.release)
        return taken

    def _serves_others(self, failure: Rejected | Broken) -> bool:
        """It answered that it takes no further connection, but our other ones work: wait for one of those."""
        return self._open > 0 and isinstance(failure, Rejected) and failure.phase is Phase.CONNECT

    async def _connect(self) -> Connection | Rejected | Broken:
        state = self._health.state
        if not self._health.admits():
            return Broken(state.relay, Phase.CONNECT, f"down: {state.reason}", False, "connection")
        try:
            opened = await self._open_one()
        except BaseException:
            self._health.given_up()
            raise
        if isinstance(opened, Connection):
            self._open += 1
            self._health.succeeded()
        elif not self._serves_others(opened):
            self._health.failed(_reason(opened))
        else:
            self._health.given_up()
        return opened

    async def _rested(self) -> Connection | None:
        """The connection used last, so that the others grow old and are closed when there is little to do."""
        while self._idle:
            connection = self._idle.pop()
            resting = self._clock() - connection.last_used
            if self._keepable(connection) and (resting < IDLE_CHECK_S or await self._answers(connection)):
                return connection
            self._discard(connection)
        return None

    async def _answers(self, connection: Connection) -> bool:
        try:
            return await connection.answers(asyncio.get_running_loop().time())
        except BaseException:
            self._discard(connection)
            raise

    def _keepable(self, connection: Connection) -> bool:
        young = self._clock() - connection.opened < MAX_AGE_S
        return connection.usable and young and connection.carried < self._mails

    def _discard(self, connection: Connection) -> None:
        self._open -= 1
        connection.leave()


def _reason(failure: Rejected | Broken) -> str:
    if isinstance(failure, Rejected):
        return f"{failure.phase}: {failure.code} {failure.text}"
    return f"{failure.phase}: {failure.kind}: {failure.why}"
