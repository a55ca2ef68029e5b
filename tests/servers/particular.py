"""A relay with limits and manners of its own, each as some real server has it; `smtp.SmtpSink` has none.

Limits on connections (Sendmail's `MaxDaemonChildren`, Courier, Exim, Postfix's `maxproc`), mails on one (OpenSMTPD),
errors on one (Postfix's tarpit), and what it makes of commands that come before their time (Haraka, Courier).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.servers.loop_thread import LoopThread
from tests.servers.ports import free_port

EXTENSIONS = ("PIPELINING", "8BITMIME", "SIZE 10000000")

Full = Literal["refuse", "close", "421", "mail", "silent"]
Early = Literal["take", "503", "ignore", "drop", "drop_all"]

TOO_MANY = b"421 4.7.0 too many concurrent connections from your address\r\n"


Way = Literal["plain", "late", "two_writes", "long", "lines", "no_utf8", "8bit", "bare", "with_421", "never", "drop"]


@dataclass
class Odd:
    """How one reply is given."""

    step: str
    """CONNECT, EHLO, MAIL, RCPT, DATA or DOT."""
    way: Way
    reply: str = ""
    """A refusal in place of what it would say."""
    number: int = 3
    """Which of its kind."""
    seen: int = 0

    def takes(self, step: str) -> bool:
        """Whether it is this one; counts."""
        self.seen += step == self.step
        return step == self.step and self.seen == self.number

    def said(self, reply: str) -> list[bytes]:
        """In so many writes; an empty one is a pause."""
        code, text = reply[:3], reply[4:]
        whole = {
            "long": f"{code} {text} {'x' * 10_000}",
            "lines": f"{code}-{text}\r\n{code}-\r\n{code} more",
            "8bit": f"{reply} für später",
            "bare": code,
            "with_421": f"{reply}\r\n421 4.3.2 closing",
        }.get(self.way, reply).encode()
        if self.way == "no_utf8":
            whole += b" \xff\xfe"
        parts = {"late": [b"", whole], "two_writes": [whole[:5], b"", whole[5:]]}.get(self.way, [whole])
        return [*parts[:-1], parts[-1] + b"\r\n"]


@dataclass
class Manners:
    """What it does differently."""

    connections: int = 1000
    """Connections it serves at once."""
    full: Full = "421"
    """The next one: its port is closed, it is closed before it is greeted, told 421 in place of a greeting or when it
    says MAIL, or left until one ends."""
    mails: int = 0
    """Mails it takes on one connection; 0: any number."""
    used_up: str = "452 4.5.3 too many messages in this session"
    """What MAIL gets then."""
    behind_dot: Early = "take"
    """Commands in one write with a final dot: taken, answered 503, never answered, or the connection is cut, after the
    reply to the dot or without it."""
    in_group: Early = "take"
    """The same for commands after the first one of a write."""
    errors: int = 1000
    """Errors on one connection, without a mail accepted in between, after which each further one takes a second."""
    extensions: Sequence[str] = EXTENSIONS
    refused: str = "nobody"
    """Recipients that begin with this get 550 5.1.1."""
    odd: "Odd | None" = None
    """One reply that is given otherwise, once."""
    at_mail: dict[int, str] = field(default_factory=dict)
    """The n-th MAIL of all gets this answer."""


class ParticularRelay:
    """Listens on a loopback port until it is closed."""

    def __init__(self, **manners: object) -> None:
        self.manners = Manners(**manners)  # type: ignore[arg-type]
        self.port = free_port()
        self.accepted: list[str] = []
        """Recipients whose mails it took, in order."""
        self.lines: list[str] = []
        """Every command."""
        self.connections = 0
        """Greeted so far."""
        self.turned_away = 0
        self.errors = 0
        """The most errors one connection has made without a mail in between."""
        self.open = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._sessions: set[asyncio.Task[None] | None] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = LoopThread("particular-relay")
        self._thread.call(self.listen())

    @property
    def url(self) -> str:
        """Without TLS."""
        return f"smtp+plain://127.0.0.1:{self.port}"

    def close(self) -> None:
        """End it and its connections."""
        self._thread.close(self._end)

    async def listen(self) -> None:
        """As at its start, and again when somebody has left."""
        self._listens = True
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=200)

    async def _end(self) -> None:
        if self._listens:
            self._server.close()
        self._listens = True
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(ConnectionAbortedError())
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*filter(None, self._sessions), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._sessions.add(asyncio.current_task())
        try:
            if await self._let_in(reader, writer):
                await self._talk(reader, writer)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            self._sessions.discard(asyncio.current_task())
            writer.close()

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if self.open >= self.manners.connections:
            if self.manners.full != "silent":
                self.turned_away += 1
                if self.manners.full == "421":
                    writer.write(TOO_MANY)
                elif self.manners.full == "mail":
                    await self._turn_away_at_mail(reader, writer)
                return False
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self.open += 1
        if self.manners.full == "refuse" and self.open >= self.manners.connections and self._listens:
            self._server.close()
            self._listens = False
        self.connections += 1
        return True

    async def _turn_away_at_mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 particular\r\n")
        await reader.readline()
        writer.write(b"250 particular\r\n")
        await reader.readline()
        writer.write(TOO_MANY)

    async def _leave(self) -> None:
        self.open -= 1
        if not self._listens:
            await self.listen()
        turns = [turn for turn in self._waiting if not turn.done()]
        if turns and self.open < self.manners.connections:
            turns[0].set_result(None)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            session = Session(self, reader, writer)
            if await session.say("CONNECT", "220 particular"):
                await session.run()
        finally:
            await self._leave()


class Session:
    """One connection."""

    def __init__(self, relay: ParticularRelay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.relay, self.manners = relay, relay.manners
        self.reader, self.writer = reader, writer
        self.mails = 0
        self.errors = 0
        self.sender = False
        self.recipient = ""
        self.in_data = False
        self.unread = b""
        self.held: list[str] | None = None

    async def run(self) -> None:
        """Until it ends: what comes in one read was one write."""
        while received := await self.reader.read(1 << 20):
            self.unread += received
            self.early: Early = "take"
            while (line := self.next_line()) is not None:
                if not (await self.content() if self.in_data else await self.one_command(line)):
                    return

    def next_line(self) -> bytes | None:
        """A command, or a whole content."""
        ending = b"\r\n.\r\n" if self.in_data else b"\r\n"
        line, found, rest = self.unread.partition(ending)
        if not found:
            return None
        self.unread = rest
        return line

    async def content(self) -> bool:
        """Take the mail, and what came behind its final dot as it does; False: the connection ends."""
        early = self.manners.behind_dot if self.unread else "take"
        goes_on = await self.accept(silently=early == "drop_all")
        self.early = early
        return goes_on and (self.let_early_pass() if self.unread else True)

    async def one_command(self, line: bytes) -> bool:
        """Answer it; what comes behind it in the same write came early."""
        if self.early == "503":
            self.reply("503 5.5.1 out of sequence")
            return True
        goes_on = await self.command(line.decode("utf-8", "replace"))
        if self.unread and not self.in_data and self.early == "take":
            self.early = self.manners.in_group
            return goes_on and self.let_early_pass()
        return goes_on

    def let_early_pass(self) -> bool:
        """Whether the connection goes on after what came early."""
        if self.early == "ignore":
            self.unread = b""
        return not self.early.startswith("drop")

    async def command(self, line: str) -> bool:
        """Answer one; False: the connection ends."""
        self.relay.lines.append(line)
        verb = line.split(" ", maxsplit=1)[0].upper()
        odd = self.manners.odd
        if odd is None or not odd.takes(verb):
            return await self.ordinary(verb, line)
        if odd.reply:
            return await self.say_oddly(odd, odd.reply)
        self.held = []
        goes_on = await self.ordinary(verb, line)
        replies, self.held = self.held, None
        return goes_on and await self.say_oddly(odd, "\r\n".join(replies))

    async def ordinary(self, verb: str, line: str) -> bool:
        """What it would say."""
        if verb == "EHLO":
            words = ["250-particular", *(f"250-{word}" for word in self.manners.extensions)]
            self.reply("\r\n".join([*words, "250 HELP"]))
        elif verb == "MAIL":
            return self.on_mail()
        elif verb == "RCPT":
            await self.on_rcpt(line)
        elif verb == "DATA":
            await self.on_data()
        elif verb == "QUIT":
            return False
        else:
            self.sender, self.recipient = False, ""
            self.reply("250 ok")
        return True

    async def say(self, step: str, reply: str) -> bool:
        """A reply to no command; False: the connection ends."""
        odd = self.manners.odd
        if odd is not None and odd.takes(step):
            return await self.say_oddly(odd, reply)
        self.reply(reply)
        return True

    async def say_oddly(self, odd: Odd, reply: str) -> bool:
        """In its way; False: the connection ends."""
        if odd.way == "never":
            await self.reader.read(-1)
        if odd.way in ("never", "drop"):
            return False
        for part in odd.said(reply):
            if part:
                self.writer.write(part)
            else:
                await asyncio.sleep(0.05)
        return not reply.startswith("421") and odd.way != "with_421"

    def on_mail(self) -> bool:
        """Its limit of mails."""
        number = sum(line.startswith("MAIL") for line in self.relay.lines)
        if number in self.manners.at_mail:
            self.reply(self.manners.at_mail[number])
            return not self.manners.at_mail[number].startswith("421")
        if self.manners.mails and self.mails >= self.manners.mails:
            self.reply(self.manners.used_up)
            return not self.manners.used_up.startswith("421")
        self.sender = True
        self.reply("250 ok")
        return True

    async def on_rcpt(self, line: str) -> None:
        """Who it does not know."""
        recipient = line.partition("<")[2].partition(">")[0]
        if not self.sender:
            await self.error("503 5.5.1 MAIL first")
        elif recipient.startswith(self.manners.refused):
            await self.error("550 5.1.1 no such user")
        else:
            self.recipient = recipient
            self.reply("250 ok")

    async def on_data(self) -> None:
        """Nobody to send to is an error."""
        if not self.recipient:
            await self.error("554 5.5.1 no valid recipients")
            return
        self.in_data = True
        self.reply("354 go on")

    async def error(self, reply: str) -> None:
        """One more; beyond the limit it takes a second."""
        self.errors += 1
        self.relay.errors = max(self.relay.errors, self.errors)
        if self.errors > self.manners.errors:
            await asyncio.sleep(1.0)
        self.reply(reply)

    async def accept(self, silently: bool = False) -> bool:
        """The mail is there, unless it is refused; False: the connection ends."""
        odd = self.manners.odd
        if odd is not None and odd.step == "DOT" and odd.reply and odd.seen + 1 == odd.number:
            self.in_data = self.sender = False
            self.recipient = ""
            return await self.say("DOT", odd.reply)
        self.relay.accepted.append(self.recipient)
        self.mails += 1
        self.errors = 0
        self.in_data = self.sender = False
        self.recipient = ""
        return silently or await self.say("DOT", "250 2.0.0 taken")

    def reply(self, text: str) -> None:
        """Now, or when all of what is to be said is known."""
        if self.held is not None:
            self.held.append(text)
            return
        self.writer.write(text.encode() + b"\r\n")
