"""`Lanes`: the mails of one batch through one relay, a few connections carrying one mail after the other.

A task, a wait for a connection and two waits for replies for each mail are half of what sending it costs. A lane holds
its connection as long as it is quick about it and nobody waits, and announces each mail with the final dot of the one
before it (`Connection.carry`), so a mail costs one write and one wake-up.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable

from notifier.engine.deadlines import Deadlines
from notifier.engine.smtp import Connection, Mail
from notifier.engine.smtp_pool import SmtpPool
from notifier.engine.transaction import Broken, Paused, Phase, Transaction

#: Seconds a lane keeps a connection that others wait for: a fast relay takes ten mails in that time, a slow one less
#: than one, and whoever is more urgent is next.
HOLD_S = 0.02


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
        self._ended = ended
        self._clock = asyncio.get_running_loop().time

    async def run(self, most: int) -> None:
        """Over ``most`` connections at once."""
        lanes = [asyncio.ensure_future(self._lane()) for _ in range(min(most, len(self._line)) - 1)]
        try:
            await self._lane()
            for lane in lanes:
                await lane
        except BaseException:
            # Nothing may go out behind the back of a caller who was told that it failed.
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            raise

    async def _lane(self) -> None:
        while self._line:
            errand = self._line.popleft()
            if self._clock() > errand.deadlines.queue:
                why = "no connection to the relay became free in time"
                self._ended(errand, Broken(self._pool.state.relay, Phase.QUEUE, why, False, "timeout"))
                continue
            taken = await self._pool.take(errand.deadlines.queue)
            errand.deadlines.begin()
            if isinstance(taken, Connection) and errand.is_late():
                self._pool.give_back(taken)
                self._pool.breaker.given_up()
                self._end_late(errand)
            elif isinstance(taken, Connection):
                await self._carry(taken, errand)
            else:
                self._ended(errand, taken)

    async def _carry(self, connection: Connection, errand: Errand | None) -> None:
        """Send a mail and those that follow it, for as long as the connection may be kept."""
        until = self._clock() + HOLD_S
        while errand is not None:
            following = self._following(connection, until)
            try:
                mail, limits = errand.mail, errand.deadlines
                ended = await connection.carry(mail, limits.early, limits.late, following.mail if following else None)
            except BaseException:
                connection.drop()  # cancelled in the middle: nobody knows where the relay stands
                self._pool.give_back(connection)
                self._pool.breaker.given_up()
                raise
            if connection.stale:
                if following is not None:
                    self._line.appendleft(following)
                # Relays close idle connections at any moment. A new one is never stale, so this happens once.
                fresh = await self._pool.replace(connection)
                if not isinstance(fresh, Connection):
                    self._ended(errand, fresh)
                    return
                connection = fresh
                continue
            # Before the connection is free: whoever waits for it must not be told no as well.
            self._pool.breaker.ended(ended)
            if following is not None and connection.expects is not following.mail:
                self._line.appendleft(following)
                following = None
            self._ended(errand, ended)
            errand = following
            if errand is not None:
                errand.deadlines.begin()
        self._pool.give_back(connection)

    def _following(self, connection: Connection, until: float) -> Errand | None:
        if not self._line or not self._pool.lends_on(connection):
            return None
        if self._pool.is_waited_for and self._clock() > until:
            return None
        while self._line:
            errand = self._line.popleft()
            if not errand.is_late():
                return errand
            self._end_late(errand)
        return None

    def _end_late(self, errand: Errand) -> None:
        self._ended(errand, Paused(self._pool.state.relay, 0.0, "it expired while it waited its turn", down=False))
