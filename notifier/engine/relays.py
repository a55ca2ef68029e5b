"""`SmtpRelays`: one mail in, how its transaction ended out; behind it one or more relays in order of preference."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from notifier.engine.deadlines import QUEUE_SHARE, Deadlines
from notifier.engine.lines import whole_lines
from notifier.engine.relay_breaker import Clock, RelayBreaker, RelayState
from notifier.engine.relay_habits import RelayHabits
from notifier.engine.replies import ReplyClass, classify
from notifier.engine.sender_pauses import PausedSender
from notifier.engine.smtp import BeforeDot, Mail
from notifier.engine.smtp_connect import RelayAddress, Security, Way, open_connection, tls_context
from notifier.engine.smtp_login import Login
from notifier.engine.smtp_pool import SmtpPool
from notifier.engine.smtp_sessions import MailJob, SmtpSessions
from notifier.engine.tokens import TokenSource
from notifier.engine.transaction import Accepted, Broken, Paused, Phase, Rejected, Transaction
from notifier.errors import InvalidAddress

#: Mails one connection carries before it is closed; relays commonly allow 100 or more.
MAILS_PER_CONNECTION = 100
#: Share of the deadline one connect may take, so that a second relay still has its turn before the half is over.
CONNECT_SHARE = 0.25

#: What would end an address or a command early; `domain.addresses` refuses more, this is the last guard.
_UNSAFE = re.compile(r"[\x00-\x20\x7f<>]")
_NOTHING_SAID = (Phase.CONNECT, Phase.AUTH)
#: Refusals in the middle of a transaction after which another relay may take the mail: what was said is not about it.
_ELSEWHERE = frozenset({ReplyClass.LOGIN, ReplyClass.RELAY_ILL})

#: Seconds given to connections to close before the loop may end.
FAREWELL_S = 0.1


#: Place of the mail, how its transaction ended, and the seconds it took without its wait for a connection.
Told = Callable[[int, Transaction, float], None]


class SmtpRelays:
    """Sends through the first relay that is up. Lives in the engine's loop; only `states` is for other threads."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        hostname: str,
        connections: int = 10,
        timeout: float = 60.0,
        ca_file: Path | None = None,
        tokens: TokenSource | None = None,
        mails_per_connection: int = MAILS_PER_CONNECTION,
        clock: Clock = time.time,
    ) -> None:
        """``timeout`` is the deadline of one transaction, ``hostname`` our name in EHLO.

        ``tokens`` are for relays whose URL has a user without a password. Raises `SettingsError` for a URL that names
        no relay.
        """
        self._timeout = timeout
        self._connections = connections
        context = tls_context(ca_file)
        self._pools: list[SmtpPool] = []
        for address in map(RelayAddress.parse, urls):
            login = _login(address, tokens)
            way = Way(address, hostname, context, timeout * CONNECT_SHARE, clock, login)
            breaker = RelayBreaker(address.name, clock)
            habits = RelayHabits(address.name, clock, connections=connections, announce=address.announce)
            self._pools.append(
                SmtpPool(breaker, habits, partial(open_connection, way), mails=mails_per_connection, clock=clock)
            )

    @property
    def longest_delivery(self) -> float:
        """Seconds `deliver` can take: waiting for a free connection, then the transaction. Leases must be longer."""
        return (1 + QUEUE_SHARE) * self._timeout

    def states(self) -> tuple[RelayState, ...]:
        """Every relay, in order of preference."""
        return tuple(pool.state for pool in self._pools)

    def paused_senders(self) -> tuple[PausedSender, ...]:
        """Senders that a relay refuses; for any thread."""
        return tuple(paused for pool in self._pools for paused in pool.senders.paused)

    async def deliver(
        self,
        sender: str,
        recipient: str,
        content: bytes,
        *,
        smtputf8: bool = False,
        before_final_dot: BeforeDot | None = None,
        expires: float | None = None,
        author: str = "",
    ) -> Transaction:
        """One transaction with one recipient, so that one reply says what became of one delivery.

        ``content`` has CRLF line ends only and ends with one. ``before_final_dot`` is awaited when the relay has all
        but the final dot; if it raises, the dot is not sent. Another relay takes over only while the one before it was
        told nothing about this mail, or wanted another login first.
        """
        ended: list[Transaction] = []
        await self.deliver_all(
            [checked(sender, recipient, content, smtputf8, before_final_dot, expires=expires, author=author)],
            lambda _, end, __: ended.append(end),
        )
        return ended[0]

    async def deliver_all(self, mails: Sequence[Mail], ended: Told) -> None:
        """Many transactions (`checked` makes the mails); ``ended`` is told of each."""
        elsewhere: list[asyncio.Task[None]] = []

        def first_ended(job: MailJob, end: Transaction) -> None:
            if len(self._pools) > 1 and _may_go_elsewhere(end):
                elsewhere.append(asyncio.create_task(self._elsewhere(job, end, ended)))
            else:
                ended(job.place, end, job.deadlines.taken)

        if not self._pools:
            for place in range(len(mails)):
                ended(place, Broken("", Phase.CONNECT, "no relay is configured", False, "connection"), 0.0)
            return
        clock = asyncio.get_running_loop().time
        begun = clock()
        jobs = [MailJob(place, mail, Deadlines(self._timeout, clock, begun)) for place, mail in enumerate(mails)]
        try:
            await SmtpSessions(self._pools[0], jobs, first_ended).run(self._connections)
            if elsewhere:
                await asyncio.gather(*elsewhere)
        finally:
            for task in elsewhere:
                task.cancel()

    async def _elsewhere(self, job: MailJob, failed: Transaction, ended: Told) -> None:
        """Through the other relays in turn, when the first one cannot."""
        ends = [failed]
        for pool in self._pools[1:]:
            await SmtpSessions(pool, [job], lambda _, end: ends.append(end)).run(1)
            if not _may_go_elsewhere(ends[-1]):
                break
        # What one relay answered says more than that the other one is paused; of two that are, the sooner one counts.
        # What it would have answered says less: the other one may take it.
        answered = [end for end in ends if not isinstance(end, Paused) and not _is_foreseen(end)]
        paused = [end for end in ends if isinstance(end, Paused)]
        end = answered[-1] if answered else min(paused, key=lambda one: one.seconds, default=ends[-1])
        ended(job.place, end, job.deadlines.taken)

    def paused_for(self) -> float:
        """Seconds until some relay may be used or probed; 0 when one may be now. For any thread."""
        return min((pool.breaker.remaining() for pool in self._pools), default=0.0)

    async def close(self) -> None:
        """Say QUIT on every idle connection; call it in the loop before the engine stops."""
        for pool in self._pools:
            pool.close()
        # TLS says goodbye in a round trip of its own; a loop that ends before it leaves the socket to the collector.
        await asyncio.sleep(FAREWELL_S)


def _login(address: RelayAddress, tokens: TokenSource | None) -> Login | None:
    if not address.username:
        return None
    encrypted = address.security is not Security.NONE
    return Login(address.username, address.password, None if address.password else tokens, encrypted=encrypted)


def _may_go_elsewhere(ended: Transaction) -> bool:
    """A relay that only rests is waited for: another one would get all that this one finds too fast.

    421 at the final dot is an answer: the mail was not taken, and another relay may have it.
    """
    if isinstance(ended, Accepted):
        return False
    if isinstance(ended, Paused):
        return ended.down or bool(ended.sender)
    if ended.phase in _NOTHING_SAID or _is_foreseen(ended):
        return True
    return isinstance(ended, Rejected) and classify(ended) in _ELSEWHERE


def _is_foreseen(ended: Transaction) -> bool:
    return isinstance(ended, Rejected) and ended.foreseen


def checked(
    sender: str,
    recipient: str,
    content: bytes,
    smtputf8: bool = False,
    before_final_dot: BeforeDot | None = None,
    *,
    expires: float | None = None,
    author: str = "",
) -> Mail:
    """A mail for one recipient, so that one reply says what became of one delivery.

    ``content`` has CRLF line ends only and ends with one. ``before_final_dot`` is awaited when the relay has all but
    the final dot; if it raises, the dot is not sent. ``author`` is the address in From, if it is another one.
    """
    return Mail(_safe(sender), _safe(recipient), whole_lines(content), smtputf8, before_final_dot, expires, author)


def _safe(address: str) -> str:
    if not address or _UNSAFE.search(address):
        raise InvalidAddress(f"{len(address)} characters that cannot stand in an SMTP command: control, space, < or >")
    return address
