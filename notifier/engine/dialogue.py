"""`Dialogue`: aiosmtplib's protocol with several replies awaited together, each wait with its deadline.

aiosmtplib awaits one reply per command: three round trips per mail more than RFC 2920 needs, 0.17 ms against 0.055
(measured). Its parser and its bounds on what a relay may say are kept; what is added is a count of replies to wait for.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Sequence
from functools import lru_cache
from typing import Any, cast

from aiosmtplib import SMTPResponse
from aiosmtplib.protocol import MAX_RESPONSE_LENGTH, SMTPProtocol

from notifier.engine.transaction import Breakage

_ONE_LINE = re.compile(rb"[2-5][0-9]{2} [\x20-\x7e]{0,500}").fullmatch
#: Bytes of replies that are remembered together.
MOST_AT_ONCE = 1000
#: Characters of a line that are kept.
MOST_OF_A_LINE = 2000
_BLANKS = b" \t\r\n"
#: Seconds for what is still owed once one of several commands was refused: what becomes of the mail is known then, and
#: some servers answer none of the others (Courier 1.4.1 after ``534 SIZE=Message too big.`` to MAIL).
AFTER_REFUSAL_S = 2.0
START_INPUT = 354
#: MAIL, RCPT, DATA.
_COMMANDS = 3


@lru_cache(maxsize=256)
def _replies(data: bytes) -> tuple[SMTPResponse, ...]:
    """Whole replies of one line each, which nearly all are: a tenth of the parser's time. Nothing for any other.

    Remembered: those to MAIL, RCPT and DATA come together and are the same for nearly every mail.
    """
    lines = data.split(b"\r\n")
    if lines.pop() or not all(map(_ONE_LINE, lines)):
        return ()
    return tuple([SMTPResponse(int(line[:3]), line[4:].strip(_BLANKS).decode()) for line in lines])


def _asks_for_content(mail: SMTPResponse, rcpt: SMTPResponse, data: SMTPResponse) -> bool:
    return data.code == START_INPUT and 200 <= rcpt.code < 300 and 200 <= mail.code < 300


class ConversationLost(Exception):
    """The relay went away, fell silent or spoke something else; ``replies`` is what it had answered by then."""

    def __init__(self, kind: Breakage, why: str, replies: Sequence[SMTPResponse] = (), written: bool = False) -> None:
        self.kind: Breakage = kind
        self.why = why
        self.replies = replies
        self.written = written
        super().__init__(why)


class Dialogue(SMTPProtocol):
    """aiosmtplib's protocol with a number of replies awaited together; takes over a connected transport."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.BaseTransport) -> None:
        super().__init__(loop)
        self.transport = self._wire = cast(asyncio.Transport, transport)
        self.lost = ""
        """Why this connection can carry nothing more; empty while it can."""
        self._lost_kind: Breakage = "connection"
        self._replies: list[SMTPResponse] = []
        self._owed = 0
        """Replies to come, or come and not yet taken."""
        self._wanted = 0
        self._content = b""
        """What leaves once the three commands before it are taken; empty when it has left."""
        self._content_deadline = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        transport.set_protocol(self)

    def now(self) -> float:
        """The time that deadlines are in."""
        return self._loop.time()

    def say(self, data: bytes, replies: int) -> None:
        """Say something that will get this many replies. Raises `ConversationLost` when nothing more can be said."""
        if self.lost:
            raise ConversationLost(self._lost_kind, self.lost)
        self._owed += replies
        self._wire.write(data)

    async def take(self, count: int, deadline: float) -> list[SMTPResponse]:
        """The next replies to what was said; `ConversationLost` when they do not come by ``deadline`` (loop time)."""
        return await self.ask(b"", 0, deadline, count)

    def hand_over(
        self, commands: bytes, content: bytes, early: float, late: float
    ) -> Coroutine[Any, Any, list[SMTPResponse]]:
        """MAIL, RCPT and DATA in one write, and the content with its final dot as soon as it is asked for.

        Four replies, the first three by ``early``, the last by ``late``; or three, when the content was not wanted and
        did not leave. `ConversationLost` is ``written`` when it did. The content leaves from where replies are read:
        waking the one who waits for them, only so that it writes and waits again, was a tenth of a mail.
        """
        self._content, self._content_deadline = content, late
        return self.ask(commands, _COMMANDS, early)

    async def ask(self, data: bytes, replies: int, deadline: float, count: int = 0) -> list[SMTPResponse]:
        """Write, then await as many replies as that gets, or ``count``."""
        count = count or replies
        # One coroutine for what nearly every mail does twice; as three of them it was a tenth of its time.
        if replies:
            self.say(data, replies)
        if len(self._replies) < count and not self.lost:
            self._wanted, self._deadline = count, deadline
            self._waiter = waiter = self._loop.create_future()
            if self._timer is None or self._timer_at > deadline:
                self._arm()
            try:
                await waiter
            except asyncio.CancelledError:
                self._lose("timeout", "cancelled")
                raise
            finally:
                self._waiter = None
            count = self._wanted
        answered = self._replies
        if len(answered) == count:
            self._replies = []
        else:
            self._replies, answered = answered[count:], answered[:count]
        self._owed -= len(answered)
        if len(answered) < count:
            raise ConversationLost(self._lost_kind, self.lost, answered, written=not self._content)
        self._content = b""
        return answered

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._deadline
        self._timer = self._loop.call_at(self._deadline, self._look_at_the_clock)

    def _hurry(self) -> None:
        """Some of what is owed has come: after a refusal the rest decides nothing."""
        if self._waiter is None or not self._replies or self._replies[-1].code < 400:
            return
        soon = self._loop.time() + AFTER_REFUSAL_S
        if soon < self._deadline:
            self._deadline = soon
            self._arm()

    def _look_at_the_clock(self) -> None:
        # One timer for many waits: setting and cancelling one for each cost more than the reply it guarded.
        self._timer = None
        if self._waiter is None or self.lost:
            return
        if self._loop.time() < self._deadline:
            self._arm()
        else:
            self._lose("timeout", "no reply in time")

    async def drain(self, deadline: float) -> None:
        """Wait until nearly all that was written has left this process."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._drain_helper()
        except TimeoutError:
            self._lose("timeout", "the relay stopped reading")
        except ConnectionError as error:
            self._lose("connection", str(error))

    def send(self, data: bytes) -> None:
        """Write what asks for no reply yet."""
        if not self.lost:
            self._wire.write(data)

    def leave(self) -> None:
        """Say QUIT, wait for nothing: the mail is with the relay already, and a hanging QUIT would cost a deadline."""
        if not self.lost:
            self.lost = "closed"
            self._forget_the_clock()
            self._wire.write(b"QUIT\r\n")
            self._wire.close()

    def cut(self) -> None:
        """Close without a word: nobody knows where in the conversation the relay is."""
        self._lose("connection", "cut")

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if not self._buffer and len(data) <= MOST_AT_ONCE and (replies := _replies(data)):
            self._replies += replies
        else:
            self._buffer.extend(data)
            if len(self._buffer) > MAX_RESPONSE_LENGTH:
                self._lose("protocol", f"a reply of more than {MAX_RESPONSE_LENGTH} bytes")
                return
            try:
                while self._buffer and (reply := self._next_reply()) is not None:
                    self._replies.append(reply)
            except ValueError as error:
                self._lose("protocol", str(error))
                return
        if len(self._replies) > self._owed or (self._buffer and len(self._replies) == self._owed):
            # Relays announce so that they close an idle connection; such words must not answer our next command.
            surplus = self._replies[self._owed :]
            del self._replies[self._owed :]
            self._lose("connection", " ".join(f"{code} {text}" for code, text in surplus) or "unasked words")
        elif self._waiter is not None and len(self._replies) >= self._wanted:
            if self._content and _asks_for_content(*self._replies):
                self._send_content()
            else:
                self._wake()
        else:
            self._hurry()

    def _send_content(self) -> None:
        self._wanted, self._deadline = _COMMANDS + 1, self._content_deadline
        self._owed += 1
        content, self._content = self._content, b""
        self._wire.write(content)

    def _next_reply(self) -> SMTPResponse | None:
        """A whole reply of any form; a code alone is one too (RFC 5321 §4.2), and no text makes one of another kind.

        The library's parser refuses lines of more than 8 kB. Of a final dot's reply the code says whether the mail was
        taken, however long the line is: refusing it would send that mail again.
        """
        words: list[bytes] = []
        start = 0
        while (end := self._buffer.find(b"\n", start)) >= 0:
            line, start = bytes(self._buffer[start:end]), end + 1
            if not line[:3].isdigit():
                raise ValueError(f"no SMTP reply: {line[:100].decode('ascii', 'replace')}")
            words.append(line[4 : MOST_OF_A_LINE + 4].strip(_BLANKS))
            if line[3:4] != b"-":
                del self._buffer[:start]
                return SMTPResponse(int(line[:3]), b"\n".join(words).decode("utf-8", "replace"))
        return None

    def eof_received(self) -> bool:
        """Called by the loop."""
        self._lose("connection", "the relay closed the connection")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._lose("connection", str(exc) if exc else "the connection ended")
        super().connection_lost(exc)

    def _lose(self, kind: Breakage, why: str) -> None:
        if not self.lost:
            self._lost_kind = kind
            self.lost = why
            self._wire.abort()
            self._forget_the_clock()
        self._wake()

    def _forget_the_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
