"""One SMTP connection of the sink: parses commands (pipelined or not), answers them, and keeps what it accepts."""

import asyncio
import base64
import hmac
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from tests.servers.faults import DROP, HANG, Faults

END_OF_DATA = b"\r\n.\r\n"
CHALLENGE = b"<1896.697170952@sink.test>"


@dataclass(frozen=True)
class Mail:
    """One accepted message, as it came over the wire (dots unstuffed)."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    received_at: float
    """Unix time of the final dot."""
    parameters: str
    """What followed the sender in MAIL FROM, such as `SIZE=… SMTPUTF8`."""
    encrypted: bool
    user: str | None

    @cached_property
    def delivery(self) -> str:
        """The delivery's id, which our Message-ID carries. Kept: tests look at thousands of mails again and again."""
        head = self.data.partition(b"\r\n\r\n")[0].decode("ascii", "replace")
        line = next(line for line in head.split("\r\n") if line.lower().startswith("message-id:"))
        return line.partition("<")[2].partition("@")[0]


@dataclass
class Counters:
    """What happened across all connections of one sink."""

    connections: int = 0
    open_connections: int = 0
    peak_connections: int = 0
    commands: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Policy:
    """What the sink offers and demands."""

    extensions: tuple[str, ...]
    tls: ssl.SSLContext | None
    credentials: tuple[str, str] | None
    faults: Faults
    counters: Counters
    accept: Callable[[Mail], None]
    mechanisms: str = "PLAIN LOGIN"
    """Of AUTH; with XOAUTH2 the second of the credentials is the token."""


class SmtpSession(asyncio.Protocol):
    """Parser and state of one connection. Commands and steps that faults can name: CONNECT EHLO HELO STARTTLS AUTH MAIL
    RCPT DATA BODY (some of the message has come) DOT (before it is accepted) ACCEPTED (after it is) RSET NOOP QUIT."""

    def __init__(self, policy: Policy, sessions: set["SmtpSession"], encrypted: bool = False) -> None:
        self._policy = policy
        self._sessions = sessions
        self._encrypted = encrypted
        self._user: str | None = None
        self._login: list[str] | None = None
        self._buffer = bytearray()
        self._in_data = False
        self._body_announced = False
        self._silent = False
        self._upgrading = False
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._parameters = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._upgrading:
            return
        self._sessions.add(self)
        counters = self._policy.counters
        counters.connections += 1
        counters.open_connections += 1
        counters.peak_connections = max(counters.peak_connections, counters.open_connections)
        self._answer("CONNECT", "", "220 localhost ESMTP sink")

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._sessions:
            self._sessions.discard(self)
            self._policy.counters.open_connections -= 1

    def abort(self) -> None:
        """Ends the connection without a word."""
        self._silent = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._silent and not self._upgrading and self._step():
            pass

    def _step(self) -> bool:
        """Takes one command line or one whole message from the buffer; False when it must wait for more."""
        return self._take_message() if self._in_data else self._take_line()

    def _take_line(self) -> bool:
        end = self._buffer.find(b"\n")
        if end < 0:
            return False
        line = bytes(self._buffer[:end]).rstrip(b"\r").decode("utf-8", "surrogateescape")
        del self._buffer[: end + 1]
        if self._login is not None:
            self._continue_login(line)
            return True
        verb, _, argument = line.partition(" ")
        self._command(verb.upper(), argument)
        return True

    def _take_message(self) -> bool:
        if not self._body_announced and len(self._buffer) > 2:
            self._body_announced = True
            if self._fault("BODY", ""):
                return True
        # The buffer starts with the line end of DATA itself, so that an empty message is found as well.
        end = self._buffer.find(END_OF_DATA)
        if end < 0:
            return False
        body = bytes(self._buffer[2 : end + 2])
        del self._buffer[: end + len(END_OF_DATA)]
        self._in_data = False
        self._finish(
            body.replace(b"\r\n..", b"\r\n.").removeprefix(b".") if b"\r\n.." in body or body[:2] == b".." else body
        )
        return True

    def _command(self, verb: str, argument: str) -> None:
        commands = self._policy.counters.commands
        commands[verb] = commands.get(verb, 0) + 1
        handler: Callable[[str], None] = getattr(self, f"_on_{verb.lower()}", self._on_unknown)
        if handler == self._on_unknown or not self._fault(verb, argument):
            handler(argument)

    def _on_ehlo(self, argument: str) -> None:
        self._forget()
        words = ["localhost greets you", *self._policy.extensions]
        if self._policy.tls and not self._encrypted:
            words.append("STARTTLS")
        if self._policy.credentials:
            words.append(f"AUTH {self._policy.mechanisms}")
        self._write("".join(f"250-{word}\r\n" for word in words[:-1]) + f"250 {words[-1]}")

    def _on_helo(self, argument: str) -> None:
        self._forget()
        self._write("250 localhost")

    def _on_starttls(self, argument: str) -> None:
        if self._policy.tls is None or self._encrypted:
            self._write("502 5.5.1 not offered")
            return
        # RFC 3207: nothing that came before the handshake may count after it.
        self._buffer.clear()
        self._write("220 2.0.0 go ahead")
        self._upgrading = True
        self._upgrade = asyncio.get_running_loop().create_task(self._start_tls(self._policy.tls))

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(self._transport, self, context, server_side=True)
        except (OSError, ssl.SSLError):
            # The client refused our certificate: its decision, and the end of this connection.
            self._transport.abort()
            return
        self._transport = cast(asyncio.Transport, transport)
        self._encrypted = True
        self._upgrading = False

    def _on_auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        self._login = [mechanism.upper()]
        if self._login[0] == "CRAM-MD5":
            self._write("334 " + base64.b64encode(CHALLENGE).decode())
        elif initial:
            self._continue_login(initial)
        else:
            self._write("334 " + ("VXNlcm5hbWU6" if self._login[0] == "LOGIN" else ""))

    def _continue_login(self, line: str) -> None:
        assert self._login is not None
        if self._login[0] == "XOAUTH2":
            self._continue_xoauth2(line)
            return
        if self._login[0] == "CRAM-MD5":
            user, secret = self._policy.credentials or ("", "")
            right = f"{user} {hmac.new(secret.encode(), CHALLENGE, 'md5').hexdigest()}"
            self._end_login(base64.b64decode(line).decode() == right)
            return
        self._login.append(base64.b64decode(line + "==").decode())
        if self._login[0] == "LOGIN" and len(self._login) == 2:
            self._write("334 UGFzc3dvcmQ6")
            return
        mechanism, *answers = self._login
        user, secret = answers if mechanism == "LOGIN" else answers[0].split("\0")[1:3]
        self._end_login((user, secret) == self._policy.credentials)

    def _continue_xoauth2(self, line: str) -> None:
        """Google's and Microsoft's: a refusal is a challenge first, and 535 after an empty line."""
        assert self._login is not None
        if len(self._login) > 1:
            self._end_login(False)
            return
        user, token = self._policy.credentials or ("", "")
        if base64.b64decode(line).decode() == f"user={user}\1auth=Bearer {token}\1\1":
            self._end_login(True)
            return
        self._login.append("challenged")
        self._write("334 " + base64.b64encode(b'{"status":"401","schemes":"bearer","scope":"mail"}').decode())

    def _end_login(self, right: bool) -> None:
        self._login = None
        self._user = self._policy.credentials[0] if right and self._policy.credentials else None
        self._write("235 2.7.0 welcome" if self._user else "535 5.7.8 wrong user or password")

    def _on_mail(self, argument: str) -> None:
        if self._policy.credentials and self._user is None:
            self._write("530 5.7.0 authentication required")
            return
        self._forget()
        self._sender, self._parameters = _path(argument)
        self._write("250 2.1.0 ok")

    def _on_rcpt(self, argument: str) -> None:
        if self._sender is None:
            self._write("503 5.5.1 MAIL first")
            return
        self._recipients.append(_path(argument)[0])
        self._write("250 2.1.5 ok")

    def _on_data(self, argument: str) -> None:
        if not self._recipients:
            # RFC 2920: pipelined DATA after refused recipients is refused too, not silently accepted.
            self._write("554 5.5.1 no valid recipients")
            return
        self._in_data = True
        self._body_announced = False
        self._buffer[:0] = b"\r\n"
        self._write("354 end with a dot")

    def _finish(self, body: bytes) -> None:
        commands = self._policy.counters.commands
        commands["DOT"] = commands.get("DOT", 0) + 1
        sender, recipients = self._sender or "", tuple(self._recipients)
        if self._fault("DOT", " ".join(recipients)):
            self._forget()
            return
        self._policy.accept(Mail(sender, recipients, body, time.time(), self._parameters, self._encrypted, self._user))
        self._forget()
        self._answer("ACCEPTED", " ".join(recipients), "250 2.0.0 accepted")

    def _on_rset(self, argument: str) -> None:
        self._forget()
        self._write("250 2.0.0 forgotten")

    def _on_noop(self, argument: str) -> None:
        self._write("250 2.0.0 ok")

    def _on_quit(self, argument: str) -> None:
        self._write("221 2.0.0 bye")
        self._silent = True
        self._transport.close()

    def _on_unknown(self, argument: str) -> None:
        self._write("500 5.5.2 what?")

    def _forget(self) -> None:
        self._sender = None
        self._recipients = []
        self._parameters = ""

    def _answer(self, step: str, argument: str, reply: str) -> None:
        if not self._fault(step, argument):
            self._write(reply)

    def _fault(self, step: str, argument: str) -> bool:
        """Plays the scripted fault of a step; True when there was one, so that the step itself must not run."""
        reply = self._policy.faults.reply(step, argument)
        if reply is None:
            return False
        if reply == DROP:
            self.abort()
        elif reply == HANG:
            self._silent = True
        else:
            self._write(reply)
            if reply.startswith("421"):
                self._silent = True
                self._transport.close()
        return True

    def _write(self, reply: str) -> None:
        self._transport.write(reply.encode("utf-8", "surrogateescape") + b"\r\n")


def _path(argument: str) -> tuple[str, str]:
    """`FROM:<a@b> SIZE=1` → (`a@b`, `SIZE=1`)."""
    _, _, rest = argument.partition("<")
    address, _, parameters = rest.partition(">")
    return address, parameters.strip()


def new_session(policy: Policy, sessions: set[SmtpSession], encrypted: bool) -> Callable[[], Any]:
    """What the event loop calls for every new connection."""
    return lambda: SmtpSession(policy, sessions, encrypted)
