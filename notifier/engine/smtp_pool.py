"""The connections kept to one relay, behind its breaker.

A new connection costs about 0.5 ms and a TLS handshake much more, so connections are kept: at most so many, for at most
300 seconds and so many mails each, asked NOOP after a rest.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from notifier.engine.ranked import RankedSemaphore
from notifier.engine.relay_breaker import Clock, RelayBreaker, RelayState, describe
from notifier.engine.sender_pauses import SenderPauses
from notifier.engine.smtp import Connection, Mail
from notifier.engine.transaction import Broken, Paused, Phase, Rejected, Transaction

Open = Callable[[], Awaitable[Connection | Rejected | Broken]]

MAX_AGE_S = 300.0
IDLE_CHECK_S = 30.0
#: A relay that takes no further connection but serves those we have gets fewer for this long (421 "too many").
FEWER_FOR_S = 60.0


class SmtpPool:
    """Connections to one relay: `reserve` one, `take` it, use it, `give_back`."""

    def __init__(self, breaker: RelayBreaker, open_one: Open, *, connections: int, mails: int, clock: Clock) -> None:
        self.breaker = breaker
        self.senders = SenderPauses(breaker.state.relay, clock)
        self._open_one = open_one
        self._mails = mails
        self._clock = clock
        self._slots = RankedSemaphore(connections)
        self._idle: list[Connection] = []
        self._open = 0

    @property
    def state(self) -> RelayState:
        """Whether the relay is up, and why not."""
        return self.breaker.state

    @property
    def free(self) -> int:
        """Connections that may be had without waiting for one; what they are good for shows when they are used."""
        return self._slots.free

    def wanted(self, below: float = math.inf) -> bool:
        """Whether who waits next for a connection has a smaller handicap (`ranked`) than this."""
        return self._slots.wanted(below)

    async def reserve(self, until: float) -> Broken | None:
        """Wait for a free connection until then (loop time); `take` or `pass_on` what was reserved."""
        try:
            await self._slot(until)
        except TimeoutError:
            return self.nothing_free()
        return None

    def nothing_free(self) -> Broken:
        """What becomes of a mail that has waited in vain."""
        why = "no connection to the relay became free in time"
        return Broken(self.breaker.state.relay, Phase.QUEUE, why, False, "timeout")

    def pass_on(self) -> None:
        """What was reserved is not needed."""
        self._slots.release()

    async def take(self, mail: Mail) -> Connection | Rejected | Broken | Paused | None:
        """The connection that was reserved, or why this mail gets none; None: another one has to be waited for."""
        if (paused := self.senders.admits(mail.sender) or self.breaker.admits(mail)) is not None:
            self._slots.release()
            return paused
        try:
            taken = await self._fill_slot()
        except BaseException:
            self.breaker.given_up(mail)
            raise
        return taken if isinstance(taken, Connection) or not self._serves_others(taken) else None

    def ended(self, mail: Mail, transaction: Transaction) -> None:
        """A transaction ended: what it says about the relay and about the sender."""
        self.breaker.ended(mail, transaction)
        self.senders.ended(mail, transaction)

    def lends_on(self, connection: Connection) -> bool:
        """Whether the one who has it may carry one more mail than the present one with it."""
        return self._keepable(connection, further=1) and self.breaker.passes

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
        opened = await self._open_one()
        if isinstance(opened, Connection):
            self._open += 1
            self.breaker.connected()
        elif not self._serves_others(opened):
            self.breaker.failed(describe(opened))
        else:
            self.breaker.given_up()
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

    def _keepable(self, connection: Connection, further: int = 0) -> bool:
        young = self._clock() - connection.opened < MAX_AGE_S
        return connection.usable and young and connection.carried + further < self._mails

    def _discard(self, connection: Connection) -> None:
        self._open -= 1
        connection.leave()
