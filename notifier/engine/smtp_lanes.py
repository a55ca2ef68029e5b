"""`Lanes`: the mails of one batch through one relay, a few connections carrying one mail after the other.

A task, a wait for a connection and two waits for replies for each mail are half of what sending it costs. A lane holds
its connection as long as it is quick about it and nobody waits, and announces each mail with the final dot of the one
before it (`Connection.carry`), so a mail costs one write and one wake-up.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable

from notifier.engine.deadlines import Deadlines
from notifier.engine.ranked import HANDICAP
from notifier.engine.smtp import Connection, Mail
from notifier.engine.smtp_pool import SmtpPool
from notifier.engine.transaction import Paused, Transaction

#: Seconds a lane keeps a connection that somebody more urgent waits for: a fast relay takes ten mails in that time, a
#: slow one less than one.
HOLD_S = 0.02
#: The same when nobody more urgent waits: a batch that comes later loses nothing by it, and passing connections around
#: after every few mails costs each of them a wait, a task and a round trip.
SHARE_S = 0.2


class Errand:
    """One mail on its way, and how its transaction ended."""

    __slots__ = ("deadlines", "mail", "place")

    def __init__(self, place: int, mail: Mail, deadlines: Deadlines) -> None:
        self.place = place
        self.mail = mail
        self.deadlines = deadlines

    def is_late(self) -> bool:
        """Whether it must not leave any more: it may have waited for a connection for minutes."""
        return self.mail.expires is not None and time.time() >= self.mail.expires


#: Called when a transaction has ended, in the engine's loop.
Ended = Callable[[Errand, Transaction], None]


class Lanes:
    """Sends some mails through one pool; `run` returns when each has ended."""

    def __init__(self, pool: SmtpPool, errands: Iterable[Errand], ended: Ended) -> None:
        self._pool = pool
        self._line = deque(errands)
        self._left = len(self._line)
        self._ended = ended
        self._handicap = HANDICAP.get()
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._over = self._loop.create_future()
        self._lanes: set[asyncio.Task[None]] = set()
        self._most = 1
        self._waiting = 1
        """Lanes that have no connection yet."""

    async def run(self, most: int) -> None:
        """Over ``most`` connections at once."""
        if self._left <= 1:
            await self._lane()
            return
        self._most, self._waiting = most, 0
        self._widen()
        try:
            await self._over
        finally:
            # One may still wait for a connection that nobody needs. After an error nothing may go out behind the back
            # of a caller who was told that it failed.
            for lane in self._lanes:
                lane.cancel()
            if self._lanes:
                await asyncio.gather(*self._lanes, return_exceptions=True)

    def _widen(self) -> None:
        """A lane for each free connection; when there is none, one that waits for the next, not ten of each batch."""
        while self._waiting < min(len(self._line), max(1, self._pool.free)) and len(self._lanes) < self._most:
            self._waiting += 1
            lane = self._loop.create_task(self._lane())
            self._lanes.add(lane)
            lane.add_done_callback(self._closed)

    def _closed(self, lane: asyncio.Task[None]) -> None:
        self._lanes.discard(lane)
        if self._over.done():
            return
        if not lane.cancelled() and (error := lane.exception()) is not None:
            self._over.set_exception(error)
        elif not self._lanes:
            self._over.set_result(None)

    def _end(self, errand: Errand, transaction: Transaction) -> None:
        self._left -= 1
        self._ended(errand, transaction)
        if not self._left and not self._over.done():
            self._over.set_result(None)

    async def _lane(self) -> None:
        while self._line:
            if self._clock() > self._line[0].deadlines.queue:
                self._end(self._line.popleft(), self._pool.nothing_free())
                continue
            broken = await self._pool.reserve(self._line[0].deadlines.queue)
            self._waiting -= 1
            if broken is None:
                await self._use_connection()
            elif self._line:
                self._end(self._line.popleft(), broken)
            self._waiting += 1
        self._waiting -= 1

    async def _use_connection(self) -> None:
        if not self._line:
            self._pool.pass_on()
            return
        errand = self._line.popleft()
        self._widen()
        taken = await self._pool.take(errand.mail)
        if taken is None:
            self._line.appendleft(errand)
            return
        errand.deadlines.begin()
        if isinstance(taken, Connection) and errand.is_late():
            self._pool.give_back(taken)
            self._pool.breaker.given_up(errand.mail)
            self._end_late(errand)
        elif isinstance(taken, Connection):
            await self._carry(taken, errand)
        else:
            self._end(errand, taken)

    async def _carry(self, connection: Connection, errand: Errand | None) -> None:
        """Send a mail and those that follow it, for as long as the connection may be kept."""
        since = self._clock()
        while errand is not None:
            following = self._following(connection, since)
            try:
                mail, limits = errand.mail, errand.deadlines
                ended = await connection.carry(mail, limits.early, limits.late, following.mail if following else None)
            except BaseException:
                connection.drop()  # cancelled in the middle: nobody knows where the relay stands
                self._pool.give_back(connection)
                self._pool.breaker.given_up(errand.mail)
                raise
            if connection.stale:
                if following is not None:
                    self._line.appendleft(following)
                # Relays close idle connections at any moment. A new one is never stale, so this happens once.
                fresh = await self._pool.replace(connection)
                if not isinstance(fresh, Connection):
                    self._end(errand, fresh)
                    return
                connection = fresh
                continue
            # Before the connection is free: whoever waits for it must not be told no as well.
            self._pool.ended(errand.mail, ended)
            if following is not None and connection.expects is not following.mail:
                self._line.appendleft(following)
                following = None
            self._end(errand, ended)
            errand = following
            if errand is not None:
                errand.deadlines.begin()
        self._pool.give_back(connection)

    def _following(self, connection: Connection, since: float) -> Errand | None:
        if not self._line or not self._pool.lends_on(connection):
            return None
        held = self._clock() - since
        if held > HOLD_S and self._pool.wanted(below=math.inf if held > SHARE_S else self._handicap):
            return None
        while self._line:
            errand = self._line.popleft()
            if errand.is_late():
                self._end_late(errand)
            elif (paused := self._pool.senders.admits(errand.mail.sender)) is not None:
                self._end(errand, paused)
            else:
                return errand
        return None

    def _end_late(self, errand: Errand) -> None:
        self._end(errand, Paused(self._pool.state.relay, 0.0, "it expired while it waited its turn", down=False))
