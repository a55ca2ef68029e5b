"""A reply without what we had sent in confidence: receivers, debuggers and proxies echo requests into their errors.

What an endpoint said is kept in the ledger and shown to everybody who may read; its credentials are not for them.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from urllib.parse import quote, quote_plus

from notifier.channels.webhook.answers import Reply

MASK = b"****"
#: Shorter values are words such as ``1`` or ``eu``: without them a reply could not be read, and they open nothing.
SHORTEST = 6
#: Headers that say nothing in confidence.
_OPEN = frozenset(
    b"accept accept-encoding accept-language content-length content-type from host traceparent user-agent webhook-id "
    b"webhook-timestamp".split()
)
#: What stands before a credential, and in the answer that explains what is wrong with it.
_WORDS = frozenset((b"bearer", b"digest"))


def scrubbed(reply: Reply, head: bytes) -> Reply:
    """The reply with stars for every value of ``head``, a request's, that is a credential or a signature."""
    if len(reply.body) + len(reply.reason) + len(reply.location) < SHORTEST:
        return reply
    return _replaced(reply, _pieces(head))


def without(reply: Reply, private: Iterable[str]) -> Reply:
    """The reply with stars for these texts, as anybody may write them down."""
    return _replaced(reply, {spelt for text in private if len(text) >= SHORTEST for spelt in _spelt(text)})


def _replaced(reply: Reply, pieces: Iterable[bytes]) -> Reply:
    body, reason, location = reply.body, reply.reason.encode(), reply.location.encode()
    for piece in sorted(pieces, key=len, reverse=True):
        body, reason, location = (text.replace(piece, MASK) for text in (body, reason, location))
    if (body, reason, location) == (reply.body, reply.reason.encode(), reply.location.encode()):
        return reply
    return replace(reply, body=body, reason=reason.decode(), location=location.decode())


def _pieces(head: bytes) -> set[bytes]:
    found: set[bytes] = set()
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        if value and name not in _OPEN:
            for part in (value, *value.replace(b",", b" ").replace(b";", b" ").split()):
                if part.lower() not in _WORDS:
                    found.update(_spellings(part))
    return found


def _spellings(value: bytes) -> Iterator[bytes]:
    """As it was sent, and as JSON, HTML and URLs write it."""
    if len(value) < SHORTEST:
        return
    text = value.decode("latin-1")
    inner = json.dumps(text)[1:-1]
    yield value
    yield inner.encode()
    yield inner.replace("/", "\\/").encode()
    yield html.escape(text).encode()
    yield quote(text).encode()
    yield quote(text, safe="").encode()


def _spelt(text: str) -> Iterator[bytes]:
    """The same of any text; of a phone number also without its plus."""
    inner = json.dumps(text)[1:-1]
    variants = [text, inner, inner.replace("/", "\\/"), json.dumps(text, ensure_ascii=False)[1:-1], html.escape(text)]
    variants += [quote(text), quote(text, safe=""), quote_plus(text), text.removeprefix("+")]
    for variant in dict.fromkeys(variants):
        yield variant.encode("utf-8", "replace")
