"""The connections kept to one relay, behind its breaker.

A new connection costs about 0.5 ms and a TLS handshake much more, so connections are kept: at most so many, for at most
300 seconds and so many mails each, asked NOOP after a rest. The first one is opened alone, further ones only while it
works. None of them is opened for one mail: who waits takes whichever is free first, so one that the relay leaves
without an answer delays nobody.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from notifier.engine.priority_semaphore import HANDICAP, PriorityLine
from notifier.engine.relay_breaker import Clock, RelayBreaker, RelayState, describe
from notifier.engine.relay_habits import RelayHabits
from notifier.engine.replies import ReplyClass, classify
from notifier.engine.sender_pauses import SenderPauses
from notifier.engine.smtp import Mail, SmtpConnection
from notifier.engine.transaction import Broken, Paused, Phase, Rejected, Transaction
from notifier.logs import get

_log = get("relay")

Open = Callable[[], Awaitable[SmtpConnection | Rejected | Broken]]
Taken = SmtpConnection | Rejected | Broken | Paused

#: Seconds a connection is used, below the idle limits of common relays; and seconds unused after which it is asked
#: whether it still answers.
MAX_AGE_S = 300.0
IDLE_CHECK_S = 30.0
#: Mails refused in a row after which a connection is closed: servers slow one down that meets nothing but refusals,
#: and hang up in the end (Postfix after ten and twenty errors).
REFUSALS_IN_A_ROW = 3
#: After so many it gets nothing urgent any more.
REFUSALS_NOT_URGENT = 2
#: Whoever lets others past by less than this many seconds is urgent.
URGENT_BELOW_S = 1.0
#: Seconds between tries to open the first connection to a relay that is known to serve few: it may have been ours that
#: it has not yet taken note of as closed. Sendmail looks every five seconds.
FIRST_AGAIN_S = (0.2, 0.4, 0.8, 1.6, 3.2)
#: Seconds an idle connection is kept to a relay that serves few: another process may wait for it.
SCARCE_IDLE_S = 2.0
#: Seconds to wait when a relay says that others have all its connections: doubled from one to the other.
TURNED_AWAY_S, TURNED_AWAY_MOST_S = 1.0, 30.0
#: In a row; then a second relay may take over.
TURNED_AWAY_IN_A_ROW = 5


class SmtpPool:
    """Connections to one relay: `acquire` one, use it, `give_back`."""

    def __init__(self, breaker: RelayBreaker, habits: RelayHabits, open_one: Open, *, mails: int, clock: Clock) -> None:
        self.breaker = breaker
        self.habits = habits
        self.senders = SenderPauses(breaker.state.relay, clock)
        self._open_one = open_one
        self._mails = mails
        self._clock = clock
        self._line = PriorityLine[Taken]()
        self._idle: list[SmtpConnection] = []
        self._open = 0
        self._openings: set[asyncio.Task[None]] = set()
        self._turned_away = 0
        self._probes = 0
        """Mails that wait for a connection to find out whether the relay is well again."""

    @property
    def state(self) -> RelayState:
        """Whether the relay is up, and why not."""
        return self.breaker.state

    @property
    def free(self) -> int:
        """Connections that may be had without waiting for somebody else's; the first one is had alone."""
        if not self._open:
            return 0 if self._openings else 1
        return len(self._idle) + max(0, self.habits.connections - self._open - len(self._openings))

    def wanted(self, below: float = math.inf) -> bool:
        """Whether who waits next for a connection has a smaller handicap (`priority_semaphore`) than this."""
        return self._line.wanted(below)

    async def acquire(self, mail: Mail, until: float) -> Taken:
        """A connection for this mail, or why it gets none; waits for one until then (loop time).

        While the relay is well, any mail may go over it; when it is not, only the one it was acquired for.
        """
        if (paused := self.breaker.admits(mail)) is not None:
            return paused
        probes = not self.breaker.state.up
        self._probes += probes
        try:
            taken = await self._rested() or await self._next_free(until)
        except BaseException:
            self.given_up(mail)
            raise
        finally:
            self._probes -= probes
        if not isinstance(taken, SmtpConnection):
            if isinstance(taken, Broken) and taken.phase is Phase.QUEUE:
                self.given_up(mail)
            return taken
        if not probes and not self.breaker.passes and (paused := self.breaker.admits(mail)) is not None:
            self.give_back(taken)
            return paused
        return taken

    def ended(self, mail: Mail, transaction: Transaction) -> None:
        """A transaction ended: what it says about the relay and about the sender."""
        self.breaker.ended(mail, transaction)
        self.senders.ended(mail, transaction)

    def given_up(self, mail: Mail) -> None:
        """A mail that may have been a probe was not sent, or what became of it says nothing about the relay."""
        self.breaker.given_up(mail)

    def nothing_free(self) -> Broken:
        """What becomes of a mail that has waited in vain."""
        why = "no connection to the relay became free in time"
        return Broken(self.breaker.state.relay, Phase.QUEUE, why, False, "timeout")

    def lends_on(self, connection: SmtpConnection, further: int = 0) -> bool:
        """Whether the one who has it may carry one more mail with it, and ``further`` ones."""
        return self._keepable(connection, further) and self.breaker.passes

    def give_back(self, connection: SmtpConnection) -> None:
        """Keep it for the next mail, or close it when it is too old, too used or broken."""
        connection.last_used = self._clock()
        if connection.carried and not connection.refusals:
            self._turned_away = 0
        if not self._keepable(connection):
            self._discard(connection)
            self._grow()
        else:
            self._pass_on(connection)

    def is_one_too_many(self, connection: SmtpConnection, why: str) -> Paused | None:
        """The relay says so of a connection it had taken: fewer, or, when it is the only one, a rest."""
        self._discard(connection)
        if self._open or self._openings:
            self.habits.serves_only(self._open, why)
            self._grow()
            return None
        return self._rest(why)

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is given back too old, or with the loop."""
        for opening in self._openings:
            opening.cancel()
        while self._idle:
            self._discard(self._idle.pop())

    # Connections that are there.

    async def _rested(self) -> SmtpConnection | None:
        """The connection used last, so that the others grow old and are closed when there is little to do."""
        while self._idle:
            connection = self._pick()
            resting = self._clock() - connection.last_used
            if resting >= 1.0:
                connection.rested_at = connection.carried
            if self._usable_now(connection) and (resting < IDLE_CHECK_S or await self._answers(connection)):
                return connection
            self._discard(connection)
        return None

    def _pick(self) -> SmtpConnection:
        """One without refusals for who is urgent, if there is one."""
        if self._idle[-1].refusals and HANDICAP.get() < URGENT_BELOW_S:
            clean = next((place for place in reversed(range(len(self._idle))) if not self._idle[place].refusals), -1)
            return self._idle.pop(clean)
        return self._idle.pop()

    def _usable_now(self, connection: SmtpConnection) -> bool:
        suspect = connection.refusals >= REFUSALS_NOT_URGENT and HANDICAP.get() < URGENT_BELOW_S
        return not suspect and self._keepable(connection)

    async def _answers(self, connection: SmtpConnection) -> bool:
        try:
            return await connection.answers(asyncio.get_running_loop().time())
        except BaseException:
            self._discard(connection)
            raise

    def _keepable(self, connection: SmtpConnection, further: int = 0) -> bool:
        if not connection.usable or connection.refusals >= REFUSALS_IN_A_ROW:
            return False
        most = self.habits.mails or connection.offers.mails
        if not self.habits.scarce:
            # Our own bounds are a courtesy, and a relay that serves few connections may not give us another one soon.
            most = min(most, self._mails) if most else self._mails
            if self._clock() - connection.opened >= MAX_AGE_S:
                return False
        return not most or connection.carried + further < most

    def _pass_on(self, connection: SmtpConnection) -> None:
        """To who is next, or to whoever comes."""
        if connection.refusals >= REFUSALS_NOT_URGENT and self._line.wanted(below=URGENT_BELOW_S):
            self._discard(connection)
            self._grow()
        elif not self._line.serve(connection):
            self._idle.append(connection)
            if self.habits.scarce:
                asyncio.get_running_loop().call_later(SCARCE_IDLE_S, self._let_go, connection, connection.carried)

    def _let_go(self, connection: SmtpConnection, carried: int) -> None:
        if connection.carried == carried and connection in self._idle:
            self._idle.remove(connection)
            self._discard(connection)

    def _discard(self, connection: SmtpConnection) -> None:
        self._open -= 1
        connection.leave()

    # Connections that are not there yet.

    async def _next_free(self, until: float) -> Taken:
        self._grow(coming=1)
        try:
            async with asyncio.timeout_at(until):
                return await self._line.wait(self._unwanted)
        except TimeoutError:
            return self.nothing_free()

    def _unwanted(self, taken: Taken) -> None:
        if isinstance(taken, SmtpConnection):
            self._pass_on(taken)

    def _grow(self, coming: int = 0) -> None:
        """Open as many as those in line can use and the relay serves: the first one alone."""
        waiting = self._line.waiting + coming
        if not waiting:
            return
        if not self.breaker.passes:
            if not self._open and not self._openings:
                self._begin_opening() if self._probes else self._send_away()
            return
        if not self._open:
            if not self._openings:
                self._begin_opening()
            return
        while waiting > len(self._openings) and self.habits.serves_more_than(self._open + len(self._openings)):
            self._begin_opening()

    def _begin_opening(self) -> None:
        opening = asyncio.get_running_loop().create_task(self._opened())
        self._openings.add(opening)
        opening.add_done_callback(self._openings.discard)

    async def _opened(self) -> None:
        """One more connection, for whoever is next, or what its failure means."""
        opened = await self._connected()
        self._openings.discard(asyncio.current_task())
        if isinstance(opened, SmtpConnection):
            self._open += 1
            self.habits.serves(self._open)
            self.breaker.connected()
            self._pass_on(opened)
            self._grow()
        elif self._open:
            self.habits.serves_only(self._open, describe(opened))
        elif not self._openings:
            self._first_failed(opened)

    async def _connected(self) -> SmtpConnection | Rejected | Broken:
        for pause in FIRST_AGAIN_S:
            opened = await self._tried()
            if isinstance(opened, SmtpConnection) or self._open or not self._may_be_closing(opened):
                return opened
            await asyncio.sleep(pause)
        return await self._tried()

    async def _tried(self) -> SmtpConnection | Rejected | Broken:
        try:
            return await self._open_one()
        except Exception as error:
            # A mistake of ours: those in line hear of it at once instead of after their whole deadline.
            _log.exception("connecting failed for a reason of our own")
            return Broken(self.state.relay, Phase.CONNECT, f"{type(error).__name__}: {error}", False, "protocol")

    def _may_be_closing(self, failed: Rejected | Broken) -> bool:
        if not self.habits.scarce or failed.phase is not Phase.CONNECT:
            return False
        return isinstance(failed, Rejected) or failed.kind == "connection"

    def _first_failed(self, failed: Rejected | Broken) -> None:
        """Nothing is open: the relay is down, unless it says that only our number is wrong."""
        if isinstance(failed, Rejected) and classify(failed) is ReplyClass.CONNECTIONS:
            self._rest(describe(failed))
            self._send_away()
            return
        by_login = isinstance(failed, Rejected) and failed.phase is Phase.AUTH and classify(failed) is ReplyClass.LOGIN
        self.breaker.failed(describe(failed), by_login=by_login)
        self._line.serve(failed)
        self._send_away()

    def _rest(self, why: str) -> Paused:
        """Others have all its connections: no try is spent, and after some time a second relay may take over."""
        self._turned_away += 1
        if self._turned_away > TURNED_AWAY_IN_A_ROW:
            self.breaker.failed(why)
        else:
            self.breaker.given_up()
            self.breaker.rest(min(TURNED_AWAY_S * 2 ** (self._turned_away - 1), TURNED_AWAY_MOST_S))
        state = self.breaker.state
        return Paused(state.relay, self.breaker.remaining(), state.reason or why, down=not state.up)

    def _send_away(self) -> None:
        """Whoever waits: for a relay that is down, or rests."""
        paused = self.breaker.turns_away()
        while self._line.serve(paused):
            pass
