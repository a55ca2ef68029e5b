"""`HttpConnection`: one socket to an endpoint, one exchange at a time; llhttp reads what the endpoint says.

The endpoint is not trusted. Whatever it sends, an exchange ends in a value: a `Reply` as soon as there is a status line
to act upon, a `Failure` otherwise, `Stale` when a kept connection turns out to have been closed. A status line decides
whatever follows it: the receiver has done its work by then, and a bad header line must not make it do so again. What is
not HTTP as written (a bare LF, a folded line) is read once more leniently. A connection that was cut off, said more
than it was asked, was not read to the end or needed leniency is never used again.
"""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from dataclasses import dataclass
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserInvalidStatusError, HttpParserUpgrade, HttpResponseParser

from notifier.channels.webhook.answers import Failure, Reply
from notifier.channels.webhook.failures import read_failure

#: Most bytes kept of a reply's body; the connection is closed instead of reading on. The ledger keeps 2,000 characters.
REPLY_BYTES = 16 * 1024
#: Most bytes of one line of a reply's head, and most headers.
HEADER_BYTES, HEADERS = 8 * 1024, 64
#: Most bytes before the end of the final head: all its lines, and every ``100 Continue`` before it.
HEAD_BYTES = 64 * 1024
#: Most bytes of a reply in all, however they are wrapped: a body of one byte a chunk is mostly wrapping.
RAW_BYTES = 256 * 1024
#: What the second reading forgives (llhttp's names). Two lengths and broken header names remain mistakes.
LENIENCIES = {
    "lenient_headers": True,
    "lenient_chunked_length": True,
    "lenient_optional_lf_after_cr": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_optional_crlf_after_chunk": True,
    "lenient_spaces_after_chunk_size": True,
}
#: Seconds before the end that a receiver names for an idle connection (Keep-Alive: timeout=5) in which nothing is sent
#: on it any more: the request would meet its FIN on the way.
KEEPALIVE_MARGIN_S = 1.0
_KEEPS_FOR = re.compile(rb"\btimeout\s*=\s*\"?([0-9]{1,6})", re.IGNORECASE)
_KEEPS_MORE = re.compile(rb"\bmax\s*=\s*\"?([0-9]{1,6})", re.IGNORECASE)
_TIMED_OUT = 408
#: Up to so many bytes a body leaves in one write with its head; copying more costs more than the second write.
TOGETHER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Stale:
    """A kept connection was closed before anything of the reply came: most likely before the request came there."""

    failure: Failure
    """What it is when the request is not written again."""


_IDLE_TOO_LONG = Failure("connection", "the kept connection had timed out (408)", uncertain=False)

Asked = asyncio.Future["Reply | Failure | Stale"]
"""Stands for one exchange: when it is done, its connection may already carry the next."""


class Owner(Protocol):
    """Who is told what becomes of a connection; `connections.Connections`."""

    def opened(self, connection: HttpConnection, /) -> None:
        """It may carry its first exchange."""

    def free(self, connection: HttpConnection, /) -> None:
        """It has had its answer and may carry another exchange."""

    def lost(self, connection: HttpConnection, /) -> None:
        """It was closed, by whichever side."""


class _Unacceptable(Exception):
    """What the endpoint says breaks a limit of ours; raised through the parser, which then stops."""


class HttpConnection(asyncio.Protocol):
    """Made by the loop; `send` begins an exchange, whose answer the returned future gets."""

    __slots__ = (
        "_answer",
        "_body",
        "_complete",
        "_encoding",
        "_final",
        "_headers",
        "_heard",
        "_keeps",
        "_lenient",
        "_location",
        "_owner",
        "_parser",
        "_raw",
        "_reason",
        "_retry_after",
        "_reused",
        "_size",
        "_status",
        "_transport",
        "_why",
        "_written",
        "idle_since",
        "keeps_for",
        "origin",
    )

    def __init__(self, origin: str, owner: Owner) -> None:
        self.origin = origin
        self.idle_since = 0.0
        """Loop time of the end of its last exchange."""
        self.keeps_for = math.inf
        """Seconds for which its receiver said to keep it when it is idle."""
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._answer: Asked | None = None
        self._reused = False
        self._written = True
        self._keeps = False
        self._lenient = False
        self._heard: list[bytes] = []
        """What came before there was a final head, for a second reading."""
        self._body: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether it may carry another exchange."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, head: bytes, body: bytes) -> Asked:
        """Write a request; the future gets its answer. Who stops waiting for it before that calls `give_up`."""
        transport = cast("asyncio.Transport", self._transport)
        if self._parser is None:
            self._parser = HttpResponseParser(self)
        else:
            self._reused = True
        self._raw = self._status = self._headers = 0
        self._final = self._complete = False
        self._written = True
        self._why = self._reason = ""
        self._heard = []
        answer = self._answer = asyncio.get_running_loop().create_future()
        if len(body) <= TOGETHER_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        return answer

    def give_up(self, asked: Asked) -> Reply | Failure | Stale:
        """What can be said of an exchange now: its answer, the status that came, or that none did.

        Closes the connection when the exchange was still under way.
        """
        if asked is not self._answer:
            # Cancelled and then answered, in one turn of the loop: nobody was there to take the answer.
            return read_failure(TimeoutError(), written=True) if asked.cancelled() else asked.result()
        reply = self._reply() if self._is_decided() else read_failure(TimeoutError(), written=self._written)
        self._settle(reply)
        self.abort()
        return reply

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    # What follows is called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open, and encrypted if it is to be."""
        self._transport = cast("asyncio.Transport", transport)
        self._owner.opened(self)

    def pause_writing(self) -> None:
        """The endpoint does not read: a part of the request has not left."""
        self._written = False

    def resume_writing(self) -> None:
        """The rest fits into the connection's buffer."""
        self._written = True

    def data_received(self, data: bytes) -> None:
        """A piece of the reply, or of what nobody asked for."""
        parser = self._parser
        if self._answer is None or parser is None:
            self.abort()
            return
        self._raw += len(data)
        if not self._final:
            self._heard.append(data)
        self._read(parser, data)

    def _read(self, parser: HttpResponseParser, data: bytes) -> None:
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            self._end(reusable=False)
        except HttpParserError as error:
            self._stumble(error)
        else:
            self._go_on()

    def _stumble(self, error: HttpParserError) -> None:
        """What cannot be read: once more, leniently; then the status line decides when there was one."""
        if not self._final and not self._why and not self._lenient:
            self._lenient = True
            self._parser = again = HttpResponseParser(self)
            again.set_dangerous_leniencies(**LENIENCIES)
            self._read(again, b"".join(self._heard))
        elif self._is_decided(has_line=not isinstance(error, HttpParserInvalidStatusError)):
            self._end(reusable=False)
        else:
            self._fail(self._why or str(error))

    def _is_decided(self, *, has_line: bool = False) -> bool:
        """Whether a final status line has been read, be it that the rest of the head never comes or breaks a limit.

        ``has_line``: what stopped the parser lies behind a status line. Its words or a header show one as well.
        """
        if not self._final and self._parser is not None and (has_line or self._reason or self._headers):
            self._take_status(self._parser.get_status_code())
        return self._final

    def _go_on(self) -> None:
        """End what is complete or too much; wait for the rest of anything else."""
        if self._complete:
            self._end(reusable=self._keeps and not self._lenient)
        elif not self._final:
            if self._raw > HEAD_BYTES:
                self._stop_reading_the_head()
        elif self._size >= REPLY_BYTES or self._raw > RAW_BYTES:
            self._end(reusable=False)

    def _stop_reading_the_head(self) -> None:
        if self._is_decided():
            self._end(reusable=False)
        else:
            self._fail(f"its head is longer than {HEAD_BYTES:,} bytes")

    def connection_lost(self, error: Exception | None) -> None:
        """Closed, by whichever side: for a body of no stated length that is its regular end."""
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(self._last_words(error))
        self._parser = None  # the two hold each other
        self._transport = None
        self._owner.lost(self)

    def _last_words(self, error: Exception | None) -> Reply | Failure | Stale:
        if self._is_decided():
            return self._reply()
        # A TLS alert instead of a reply: the session was refused, and nobody has read the request.
        refused = isinstance(error, ssl.SSLError) and self._raw == 0
        failure = read_failure(error or EOFError(), written=self._written and not refused)
        return Stale(failure) if self._reused and self._raw == 0 else failure

    def _end(self, *, reusable: bool) -> None:
        """The reply is as good as it gets. A request that has not left in full is not waited for."""
        transport = cast("asyncio.Transport", self._transport)
        self._settle(self._reply() if not self._was_closed_for_being_idle() else Stale(_IDLE_TOO_LONG))
        if reusable and not transport.is_closing() and transport.get_write_buffer_size() == 0:
            self._owner.free(self)
        else:
            transport.abort()

    def _fail(self, why: str) -> None:
        self._settle(Failure("protocol", f"the reply is not HTTP: {why}", uncertain=self._written))
        self.abort()

    def _was_closed_for_being_idle(self) -> bool:
        """408 on a kept connection is said to the silence before our request (RFC 9110 §15.5.9: repeat it)."""
        return self._reused and self._status == _TIMED_OUT

    def _settle(self, what: Reply | Failure | Stale) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(what)

    def _reply(self) -> Reply:
        return Reply(
            self._status,
            self._reason,
            self._retry_after,
            self._location,
            self._encoding,
            b"".join(self._body)[:REPLY_BYTES] if self._body else b"",
        )

    # What follows is called by the parser. An exception stops it.

    def on_message_begin(self) -> None:
        """A reply begins: the one that was asked for, an interim one before it, or one too many."""
        if self._complete:
            raise _Unacceptable
        self._reason = self._retry_after = self._location = self._encoding = ""
        self._status = self._headers = self._size = 0
        self._body = []

    def on_status(self, reason: bytes) -> None:
        """The words behind the status; in pieces when they came so."""
        self._reason = (self._reason + reason.decode("utf-8", "surrogateescape"))[:HEADER_BYTES]

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which says nothing here."""
        self._headers += 1
        if self._headers > HEADERS:
            self._refuse(f"it has more than {HEADERS} headers")
        if len(name) + len(value) > HEADER_BYTES:
            self._refuse(f"a header is longer than {HEADER_BYTES:,} bytes")
        if self._final:
            return
        match name.lower():
            case b"retry-after":
                self._retry_after = self._retry_after or _text(value)
            case b"location":
                self._location = self._location or _text(value)
            case b"content-encoding":
                self._encoding = self._encoding or _text(value)
            case b"keep-alive":
                self._keep(value)

    def on_headers_complete(self) -> None:
        """The status counts from here on, unless it is an interim one; 101 would end HTTP and is therefore final."""
        self._take_status(cast("HttpResponseParser", self._parser).get_status_code())
        if self._final:
            self._heard = []

    def _take_status(self, status: int) -> None:
        self._final = status >= 200 or status == 101
        self._status = status

    def _keep(self, value: bytes) -> None:
        """``Keep-Alive: timeout=5, max=100`` (RFC 2068 §19.7.1.1; still what most servers write)."""
        if (seconds := _KEEPS_FOR.search(value)) is not None:
            self.keeps_for = max(0.0, int(seconds[1]) - KEEPALIVE_MARGIN_S)
        if (more := _KEEPS_MORE.search(value)) is not None and int(more[1]) == 0:
            self.keeps_for = 0.0

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        if self._size < REPLY_BYTES:
            self._body.append(piece)
        self._size += len(piece)

    def on_message_complete(self) -> None:
        """The end of a reply."""
        if self._final:
            self._complete = True
            self._keeps = self._status != 101 and cast("HttpResponseParser", self._parser).should_keep_alive()

    def _refuse(self, why: str) -> None:
        self._why = why
        raise _Unacceptable(why)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape").strip()
