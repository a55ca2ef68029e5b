"""A real SMTP server that keeps what it receives and misbehaves on request.

Written here rather than taken from aiosmtpd, because tests need faults between any two bytes of a transaction and the
benchmarks need a relay that is faster than what they measure.
"""

import random
import re
from collections.abc import Sequence
from typing import Any

from tests.servers.certificates import Certificate
from tests.servers.faults import Dice, Faults, Script
from tests.servers.inbox import Inbox
from tests.servers.loop_thread import LoopThread
from tests.servers.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.servers.smtp_session import Counters, Mail, Policy, SmtpSession, new_session
from tests.servers.throttle import Throttle

EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 26214400", "ENHANCEDSTATUSCODES")


class SmtpSink:
    """An SMTP relay on a loopback port, in a thread of its own."""

    def __init__(
        self,
        *,
        extensions: Sequence[str] = EXTENSIONS,
        certificate: Certificate | None = None,
        implicit_tls: bool = False,
        credentials: tuple[str, str] | None = None,
        mechanisms: str = "PLAIN LOGIN",
    ) -> None:
        self._inbox: Inbox[Mail] = Inbox()
        self._faults = Faults()
        self._sessions: set[SmtpSession] = set()
        self.counters = Counters()
        self.port = free_port()
        self._tls = certificate.server_context() if certificate else None
        self._implicit_tls = implicit_tls
        self._credentials = credentials
        self._policy = Policy(
            tuple(extensions), self._tls, credentials, self._faults, self.counters, self._inbox.add, mechanisms
        )
        self._thread = LoopThread("smtp-sink")
        self._thread.call(self._listen())

    @property
    def url(self) -> str:
        """The address in the form that settings take."""
        user = f"{self._credentials[0]}:{self._credentials[1]}@" if self._credentials else ""
        return f"{'smtps' if self._implicit_tls else 'smtp'}://{user}127.0.0.1:{self.port}"

    @property
    def mails(self) -> list[Mail]:
        """Everything accepted so far, in order."""
        return self._inbox.items()

    def wait_for(self, count: int, timeout: float = PATIENCE_S) -> list[Mail]:
        """Returns all mails as soon as `count` have been accepted."""
        return self._inbox.wait_for(count, timeout)

    def reply(self, command: str, reply: str, *, matching: str = "", times: int | None = None) -> None:
        """Answers a command with a scripted reply, DROP, HANG or GARBAGE, when its argument matches the pattern.

        Besides commands these steps can be named: CONNECT, BODY (some of the message has come), DOT (all of it has,
        nothing is accepted yet) and ACCEPTED (it is kept, only the reply goes wrong). A 421 closes the connection.
        """
        self._faults.add(Script(command.upper(), reply, re.compile(matching), times))

    def misbehave(self, *, temporary: float = 0.3, permanent: float = 0.05, seed: int = 1) -> None:
        """Refuses this share of recipients with 451 and 550, from a seed."""
        self._faults.roll(Dice(temporary, permanent, random.Random(seed)))

    def throttle(self, per_second: float, **how: Any) -> Throttle:
        """Takes so many mails a second and refuses the others (`Throttle`), whose counts it returns."""
        made = Throttle(per_second, **how)
        self._faults.limit(made)
        return made

    def behave(self) -> None:
        """Forgets every scripted fault."""
        self._faults.clear()

    def clear(self) -> None:
        """Forgets mails, faults and counters; open connections stay."""
        self._inbox.clear()
        self._faults.clear()
        self.counters.commands.clear()
        self.counters.connections = self.counters.open_connections
        self.counters.peak_connections = self.counters.open_connections

    def drop_connections(self) -> None:
        """Cuts every open connection, as a restarted relay would."""
        self._thread.call(self._cut())

    def stop(self) -> None:
        """Stops listening and cuts every connection; `start` listens again on the same port."""
        self._thread.call(self._close_listener())

    def start(self) -> None:
        """Listens again after `stop`."""
        self._thread.call(self._listen())

    def close(self) -> None:
        """Ends the server and its thread."""
        self._thread.close(self._close_listener)

    async def _listen(self) -> None:
        context = self._tls if self._implicit_tls else None
        factory = new_session(self._policy, self._sessions, self._implicit_tls)
        self._server = await self._thread.loop.create_server(factory, "127.0.0.1", self.port, ssl=context, backlog=1024)

    async def _cut(self) -> None:
        self._abort_all()

    async def _close_listener(self) -> None:
        self._server.close()
        self._abort_all()

    def _abort_all(self) -> None:
        for session in list(self._sessions):
            session.abort()
