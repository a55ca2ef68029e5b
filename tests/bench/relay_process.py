"""``python -m tests.bench.relay_process BEHAVIOUR_FILE``: a mail relay on uvloop that writes down what it was sent.

A tenth of a millisecond of CPU a mail, pipelining offered, one line a mail or refusal:
``accepted refused most_at_once unix_time reply_code recipient``. How it behaves is read from a file
(`relay.Behaviour`), looked at every 50 ms, so that a scenario can make it throttle, fail or be slow while mails flow.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import uvloop

_EHLO = b"250-relay\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n"
_ANSWERS = {b"EHLO": _EHLO, b"HELO": b"250 relay\r\n", b"MAIL": b"250 2.1.0 ok\r\n", b"QUIT": b"221 2.0.0 bye\r\n"}
_OK = b"250 2.0.0 ok\r\n"
#: Seconds between two writes of what has come, and between two looks at the behaviour.
_WRITE_EVERY_S, _LOOK_EVERY_S = 0.005, 0.05


class Relay:
    """What all connections share."""

    def __init__(self, behaviour: Path) -> None:
        self._file = behaviour
        self._seen = 0.0
        self._lines: list[str] = []
        self._accepts: deque[float] = deque()
        self._dice = random.Random(1)
        self._accepted = self._refused = self._open = self._most = 0
        self.delay = 0.0
        self._per_second = 0
        self._share = 0.0
        self._reply = b""

    def verdict(self, recipient: str) -> bytes | None:
        """The refusal this recipient gets, or None. A throttle takes so many in any second."""
        now = time.monotonic()
        if self._per_second and self._has_had_enough(now):
            return self._refuse(recipient)
        if self._share and self._dice.random() < self._share:
            return self._refuse(recipient)
        if self._per_second:
            self._accepts.append(now)
        return None

    def began(self) -> None:
        """A whole mail has come and is not answered yet."""
        self._open += 1
        self._most = max(self._most, self._open)

    def accept(self, recipient: str) -> None:
        """A mail is answered with 250."""
        self._open -= 1
        self._accepted += 1
        self._write("250", recipient)

    def look(self) -> None:
        """Read the behaviour when it has changed."""
        changed = self._file.stat().st_mtime
        if changed != self._seen:
            self._seen = changed
            read: dict[str, Any] = json.loads(self._file.read_text())
            self.delay, self._per_second, self._share = read["delay"], read["per_second"], read["share"]
            self._reply = read["reply"].encode() + b"\r\n"
            self._accepts.clear()

    def flush(self) -> None:
        """Write what has come since the last time."""
        if self._lines:
            lines, self._lines = self._lines, []
            os.write(1, "".join(lines).encode())

    def _has_had_enough(self, now: float) -> bool:
        while self._accepts and self._accepts[0] <= now - 1.0:
            self._accepts.popleft()
        return len(self._accepts) >= self._per_second

    def _refuse(self, recipient: str) -> bytes:
        self._refused += 1
        self._write(self._reply[:3].decode(), recipient)
        return self._reply

    def _write(self, code: str, recipient: str) -> None:
        self._lines.append(f"{self._accepted} {self._refused} {self._most} {time.time():.6f} {code} {recipient}\n")


class Session(asyncio.Protocol):
    """One connection. Replies keep their order: while one is delayed, nothing after it is read."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._unread = bytearray()
        self._recipients: list[str] = []
        self._in_body = self._waits = False

    def connection_made(self, transport: Any) -> None:
        """Greet."""
        self._transport = transport
        transport.write(b"220 relay ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer all that is whole, in one write."""
        self._unread += data
        self._advance()

    def _advance(self) -> None:
        replies: list[bytes] = []
        while not self._waits:
            ending = b"\r\n.\r\n" if self._in_body else b"\r\n"
            end = self._unread.find(ending)
            if end < 0:
                break
            whole = bytes(self._unread[:end])
            del self._unread[: end + len(ending)]
            replies.append(self._taken() if self._in_body else self._command(whole))
        if replies and not self._transport.is_closing():
            self._transport.write(b"".join(replies))
            if any(reply.startswith((b"221", b"421")) for reply in replies):
                self._transport.close()

    def _command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"RCPT":
            recipient = line[line.find(b"<") + 1 : line.find(b">")].decode("utf-8", "replace")
            if refusal := self._relay.verdict(recipient):
                return refusal
            self._recipients.append(recipient)
            return b"250 2.1.5 ok\r\n"
        if verb == b"DATA":
            self._in_body = bool(self._recipients)
            return b"354 go on\r\n" if self._in_body else b"554 5.5.1 no valid recipients\r\n"
        if verb in (b"MAIL", b"RSET"):
            self._recipients.clear()
        return _ANSWERS.get(verb, _OK)

    def _taken(self) -> bytes:
        self._in_body = False
        for _ in self._recipients:
            self._relay.began()
        if not self._relay.delay:
            return self._accepted()
        self._waits = True
        asyncio.get_running_loop().call_later(self._relay.delay, self._answer_late)
        return b""

    def _answer_late(self) -> None:
        self._waits = False
        self._transport.write(self._accepted())
        self._advance()

    def _accepted(self) -> bytes:
        for recipient in self._recipients:
            self._relay.accept(recipient)
        self._recipients.clear()
        return _OK


async def main() -> None:
    """Until killed."""
    relay = Relay(Path(sys.argv[1]))
    relay.look()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(relay), "127.0.0.1", 0, backlog=1024)
    os.write(1, f"port {server.sockets[0].getsockname()[1]}\n".encode())
    looked = 0.0
    while True:
        await asyncio.sleep(_WRITE_EVERY_S)
        relay.flush()
        if time.monotonic() - looked > _LOOK_EVERY_S:
            looked = time.monotonic()
            relay.look()


if __name__ == "__main__":
    uvloop.run(main())
