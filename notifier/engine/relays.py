"""`SmtpRelays`: one mail in, how its transaction ended out; behind it one or more relays in order of preference."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from notifier.engine.relay_breaker import Clock, RelayBreaker, RelayState
from notifier.engine.replies import LOGIN_CODES
from notifier.engine.smtp import BeforeDot, Connection, Mail
from notifier.engine.smtp_connect import RelayAddress, open_connection, tls_context
from notifier.engine.smtp_pool import SmtpPool
from notifier.engine.transaction import Accepted, Broken, Paused, Phase, Rejected, Transaction
from notifier.errors import InvalidAddress

#: Mails one connection carries before it is closed; relays commonly allow 100 or more.
MAILS_PER_CONNECTION = 100
#: Share of the deadline within which all before the final dot must be over: the reply to the dot has the other half,
#: because giving up there means not knowing (RFC 5321 §4.5.3.2.6 asks for 10 minutes, for the same reason).
EARLY_SHARE = 0.5
#: Share of the deadline one connect may take, so that a second relay still has its turn before the half is over.
CONNECT_SHARE = 0.25
#: A mail may wait this many deadlines for a free connection: 24 batches of 50 over 10 connections of a relay that takes
#: a second for each mail wait two minutes, and giving up would cost them a try without having tried.
QUEUE_SHARE = 3.0

#: What would end an address or a command early; `channels.email.addresses` refuses more, this is the last guard.
_UNSAFE = re.compile(r"[\x00-\x20\x7f<>]")
_NOTHING_SAID = (Phase.CONNECT, Phase.AUTH)

#: Seconds given to connections to close before the loop may end.
FAREWELL_S = 0.1


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
        mails_per_connection: int = MAILS_PER_CONNECTION,
        clock: Clock = time.time,
    ) -> None:
        """``timeout`` is the deadline of one transaction, ``hostname`` our name in EHLO.

        Raises `SettingsError` for a URL that names no relay.
        """
        self._timeout = timeout
        context = tls_context(ca_file)
        self._pools: list[SmtpPool] = []
        for address in map(RelayAddress.parse, urls):
            opener = partial(
                open_connection,
                address,
                hostname=hostname,
                context=context,
                seconds=timeout * CONNECT_SHARE,
                clock=clock,
            )
            breaker = RelayBreaker(address.name, clock)
            self._pools.append(
                SmtpPool(breaker, opener, connections=connections, mails=mails_per_connection, clock=clock)
            )

    @property
    def longest_delivery(self) -> float:
        """Seconds `deliver` can take: waiting for a free connection, then the transaction. Leases must be longer."""
        return (1 + QUEUE_SHARE) * self._timeout

    def states(self) -> tuple[RelayState, ...]:
        """Every relay, in order of preference."""
        return tuple(pool.state for pool in self._pools)

    async def deliver(
        self,
        sender: str,
        recipient: str,
        content: bytes,
        *,
        smtputf8: bool = False,
        before_final_dot: BeforeDot | None = None,
    ) -> Transaction:
        """One transaction with one recipient, so that one reply says what became of one delivery.

        ``content`` has CRLF line ends only and ends with one. ``before_final_dot`` is awaited when the relay has all
        but the final dot; if it raises, the dot is not sent. Another relay takes over only while the one before it was
        told nothing about this mail, or wanted another login first.
        """
        mail = Mail(_safe(sender), _safe(recipient), _whole_lines(content), smtputf8, before_final_dot)
        deadlines = _Deadlines(self._timeout)
        ended: Transaction = Broken("", Phase.CONNECT, "no relay is configured", False, "connection")
        failed: Transaction | None = None
        for pool in self._pools:
            ended = await _through(pool, mail, deadlines)
            if not _may_go_elsewhere(ended):
                return ended
            if not isinstance(ended, Paused):
                failed = ended
        if not isinstance(ended, Paused):
            return ended
        # What one relay answered says more than that the other one is paused.
        return failed or replace(ended, seconds=self.paused_for())

    def paused_for(self) -> float:
        """Seconds until some relay may be used or probed; 0 when one may be now. For any thread."""
        return min((pool.breaker.remaining() for pool in self._pools), default=0.0)

    async def close(self) -> None:
        """Say QUIT on every idle connection; call it in the loop before the engine stops."""
        for pool in self._pools:
            pool.close()
        # TLS says goodbye in a round trip of its own; a loop that ends before it leaves the socket to the collector.
        await asyncio.sleep(FAREWELL_S)


class _Deadlines:
    """The times of one delivery: when its wait for a connection ends, and then its transaction."""

    def __init__(self, seconds: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._seconds = seconds
        self.queue = self._clock() + seconds * QUEUE_SHARE
        self.early = 0.0
        self.late = 0.0

    def begin(self) -> None:
        """A connection is there; a second relay inherits what is left."""
        if not self.late:
            self.late = min(self._clock(), self.queue) + self._seconds
            self.early = self.late - self._seconds * (1 - EARLY_SHARE)


def _may_go_elsewhere(ended: Transaction) -> bool:
    """A relay that only rests is waited for: another one would get all that this one finds too fast."""
    if isinstance(ended, Accepted):
        return False
    if isinstance(ended, Paused):
        return ended.down
    return ended.phase in _NOTHING_SAID or (isinstance(ended, Rejected) and ended.code in LOGIN_CODES)


async def _through(pool: SmtpPool, mail: Mail, deadlines: _Deadlines) -> Transaction:
    taken = await pool.take(deadlines.queue)
    deadlines.begin()
    while isinstance(taken, Connection):
        try:
            ended = await taken.carry(mail, deadlines.early, deadlines.late)
        except BaseException:
            taken.drop()  # cancelled in the middle: nobody knows where the relay stands
            pool.give_back(taken)
            pool.breaker.given_up()
            raise
        if not taken.stale:
            # Before the connection is free: whoever waits for it must not be told no as well.
            pool.breaker.ended(ended)
            pool.give_back(taken)
            return ended
        # Relays close idle connections at any moment. A new one is never stale, so this happens once.
        taken = await pool.replace(taken)
    return taken


def _safe(address: str) -> str:
    if not address or _UNSAFE.search(address):
        raise InvalidAddress(f"{len(address)} characters that cannot stand in an SMTP command: control, space, < or >")
    return address


def _whole_lines(content: bytes) -> bytes:
    """A lone CR or LF is read as a line end by some relays: a body could end early and smuggle a second mail."""
    ends = content.count(b"\r\n")
    if not content.endswith(b"\r\n") or content.count(b"\n") != ends or content.count(b"\r") != ends:
        raise ValueError("the content of a mail must have CRLF line ends only, and end with one")
    return content
