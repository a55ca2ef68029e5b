"""`SmtpSessions`: the mails of one batch through one relay, a few connections carrying one mail after the other.

A task and a wait for a connection for each mail cost as much as sending it. A session keeps its connection as long as
it is quick and nobody waits. A mail whose connection failed goes back to the head of the line (`second_try`).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable

from notifier.engine.deadlines import Deadlines
from notifier.engine.priority_semaphore import HANDICAP
from notifier.engine.relay_habits import Plainness
from notifier.engine.second_try import MOST_AGAIN, Again, goes_again, is_dialogue
from notifier.engine.smtp import Mail, SmtpConnection
from notifier.engine.smtp_pool import SmtpPool
from notifier.engine.transaction import Accepted, Broken, Paused, Rejected, Transaction

#: Seconds a session keeps a connection that somebody more urgent waits for: a fast relay takes ten mails in that time,
#: a slow one less than one.
KEEP_S = 0.02
#: The same when nobody more urgent waits: a batch that comes later loses nothing by it, and passing connections around
#: after every few mails costs each of them a wait, a task and a round trip.
SHARE_S = 0.2


class MailJob:
    """One mail on its way, and how its transaction ended."""

    __slots__ = ("again", "deadlines", "mail", "place", "plainness", "why")

    def __init__(self, place: int, mail: Mail, deadlines: Deadlines) -> None:
        self.place = place
        self.mail = mail
        self.deadlines = deadlines
        self.again = 0
        """How often it went again."""
        self.plainness = Plainness.AS_OFFERED
        """How plainly it is said, after it failed when it was said less so, and why it failed."""
        self.why = ""

    def is_late(self) -> bool:
        """Whether it must not leave any more: it may have waited for a connection for minutes."""
        return self.mail.expires is not None and time.time() >= self.mail.expires


#: Called when a transaction has ended, in the engine's loop.
Ended = Callable[[MailJob, Transaction], None]


class SmtpSessions:
    """Sends some mails through one pool; `run` returns when each has ended."""

    def __init__(self, pool: SmtpPool, jobs: Iterable[MailJob], ended: Ended) -> None:
        self._pool = pool
        self._line = deque(jobs)
        self._left = len(self._line)
        self._ended = ended
        self._habits = pool.habits
        self._handicap = HANDICAP.get()
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._over = self._loop.create_future()
        self._sessions: set[asyncio.Task[None]] = set()
        self._most = 1
        self._waiting = 1
        """Sessions that have no connection yet."""

    async def run(self, most: int) -> None:
        """Over ``most`` connections at once."""
        if self._left <= 1:
            await self._session()
            return
        self._most, self._waiting = most, 0
        self._widen()
        try:
            await self._over
        finally:
            # One may still wait for a connection that nobody needs. After an error nothing may go out behind the back
            # of a caller who was told that it failed.
            for session in self._sessions:
                session.cancel()
            if self._sessions:
                await asyncio.gather(*self._sessions, return_exceptions=True)

    def _widen(self) -> None:
        """A session for each free connection; when there is none, one that waits for the next, not ten a batch."""
        while self._waiting < min(len(self._line), max(1, self._pool.free)) and len(self._sessions) < self._most:
            self._waiting += 1
            session = self._loop.create_task(self._session())
            self._sessions.add(session)
            session.add_done_callback(self._closed)

    def _closed(self, session: asyncio.Task[None]) -> None:
        self._sessions.discard(session)
        if self._over.done():
            return
        if not session.cancelled() and (error := session.exception()) is not None:
            self._over.set_exception(error)
        elif not self._sessions:
            self._over.set_result(None)

    def _end(self, job: MailJob, transaction: Transaction) -> None:
        self._left -= 1
        self._ended(job, transaction)
        if not self._left and not self._over.done():
            self._over.set_result(None)

    async def _session(self) -> None:
        while self._line:
            if self._clock() > self._line[0].deadlines.queue:
                self._end(self._line.popleft(), self._pool.nothing_free())
                continue
            # While the relay is well a mail belongs to no connection before it is there; else it may be the probe.
            probe = None
            if not self._pool.breaker.passes and (probe := self._next()) is None:
                continue
            head = probe or self._line[0]
            taken = await self._pool.acquire(head.mail, head.deadlines.queue)
            self._waiting -= 1
            if isinstance(taken, SmtpConnection):
                await self._use(taken, probe)
            elif probe is not None:
                self._end(probe, taken)
            elif self._line:
                self._end(self._line.popleft(), taken)
            self._waiting += 1
        self._waiting -= 1

    async def _use(self, connection: SmtpConnection, probe: MailJob | None) -> None:
        """Send mails for as long as the connection may be kept."""
        since = self._clock()
        if probe is not None and probe.is_late():
            self._pool.given_up(probe.mail)
            self._end_late(probe)
            probe = None
        job = probe or self._next()
        self._widen()
        while job is not None:
            following = self._announced(connection, since) if self._habits.announces else None
            ended = await self._carried(connection, job, following)
            if following is not None and connection.expects is not following.mail:
                self._not_announced(following, ended)
                following = None
            if (again := self._again(connection, job, ended)) is not None:
                if following is not None:
                    self._line.appendleft(following)
                self._go_again(connection, job, again)
                return
            # Before the connection is free: whoever waits for it must not be told no as well.
            self._pool.ended(job.mail, ended)
            self._end(job, ended)
            job = following or (self._next() if self._may_keep(connection, since) else None)
        self._pool.give_back(connection)

    async def _carried(self, connection: SmtpConnection, job: MailJob, following: MailJob | None) -> Transaction:
        job.deadlines.begin()
        limits = job.deadlines
        plainness = job.plainness or self._habits.plainness
        try:
            return await connection.carry(
                job.mail,
                limits.early,
                limits.late,
                one_by_one=plainness is Plainness.ONE_BY_ONE,
                following=following.mail if following is not None else None,
            )
        except BaseException:
            connection.drop()  # cancelled in the middle: nobody knows where the relay stands
            self._pool.give_back(connection)
            self._pool.given_up(job.mail)
            raise

    def _again(self, connection: SmtpConnection, job: MailJob, ended: Transaction) -> Again | None:
        """Whether the mail goes again; if not, what is known now of how the relay wants to be talked to."""
        if isinstance(ended, Accepted):
            self._habits.note_accepted(connection.was_grouped, connection.was_announced)
        elif (again := goes_again(connection, ended, self._habits)) and (job.again < MOST_AGAIN or again.too_many):
            return again
        elif connection.unanswered and isinstance(ended, Rejected):
            # Courier waits longer for each error, also when we have left, and all the while serves one connection less.
            self._habits.wants(Plainness.ONE_BY_ONE, f"no answer behind {ended.phase}: {ended.code} {ended.text}")
        if job.plainness and not is_dialogue(ended):
            self._habits.wants(job.plainness, job.why)
        return None

    def _go_again(self, connection: SmtpConnection, job: MailJob, again: Again) -> None:
        """Back to the head of the line, unless there is no other connection."""
        job.again += 1
        job.deadlines.end()
        if again.plainness > job.plainness:
            job.plainness, job.why = again.plainness, again.why
        self._line.appendleft(job)
        self._pool.given_up(job.mail)
        if again.too_many:
            if (paused := self._pool.is_one_too_many(connection, again.why)) is not None:
                self._line.remove(job)
                self._end(job, paused)
            return
        connection.drop()
        self._pool.give_back(connection)

    def _may_keep(self, connection: SmtpConnection, since: float, further: int = 0) -> bool:
        if not self._line or not self._pool.lends_on(connection, further):
            return False
        kept = self._clock() - since
        return not (kept > KEEP_S and self._pool.wanted(below=math.inf if kept > SHARE_S else self._handicap))

    def _announced(self, connection: SmtpConnection, since: float) -> MailJob | None:
        """The next mail, if it may be named behind the final dot of the present one."""
        may = self._habits.may_announce(connection) and self._may_keep(connection, since, further=2)
        return self._next() if may and not self._line[0].plainness else None

    def _not_announced(self, following: MailJob, ended: Transaction) -> None:
        """It goes back to the line; when the final dot it was to leave with got no answer, it may be why."""
        self._line.appendleft(following)
        if isinstance(ended, Broken) and ended.uncertain and not self._habits.announcing_works:
            self._habits.wants(Plainness.NOT_ANNOUNCED, f"{ended.phase}: {ended.kind}: {ended.why}")

    def _next(self) -> MailJob | None:
        """The next one that may leave."""
        while self._line:
            job = self._line.popleft()
            if job.is_late():
                self._end_late(job)
            elif (paused := self._pool.senders.admits(job.mail)) is not None:
                self._end(job, paused)
            else:
                return job
        return None

    def _end_late(self, job: MailJob) -> None:
        self._end(job, Paused(self._pool.state.relay, 0.0, "it expired while it waited its turn", down=False))
