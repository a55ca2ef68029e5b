"""Deterministic ids: the same event planned twice, by anyone, at any time, gives the same deliveries.

128 bits of BLAKE2b in lower-case base32: 26 characters without dots (Standard Webhooks forbids them in ``webhook-id``),
safe in a Message-ID, a URL, a Redis key and a routing header.
"""

from __future__ import annotations

import base64
import hashlib

#: Unit separator; sources, ids and rule names cannot contain it (CloudEvents forbids control characters).
_SEPARATOR = "\x1f"


def _digest(*parts: str) -> str:
    raw = hashlib.blake2b(_SEPARATOR.join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return base64.b32encode(raw)[:26].decode("ascii").lower()


def event_key(source: str, event_id: str) -> str:
    """The ledger's name of an event: CloudEvents identify an event by ``source`` and ``id`` together."""
    return "evt_" + _digest("event", source, event_id)


def delivery_id(source: str, event_id: str, rule: str, destination: str) -> str:
    """Ledger key, Message-ID and ``webhook-id`` of one delivery; ``destination`` is `Destination.identity`."""
    return "dlv_" + _digest("delivery", source, event_id, rule, destination)


def digest_id(rule: str, destination: str, key: str, window: str) -> str:
    """The delivery id of the one message a digest window becomes; ``window`` names the window's first item."""
    return "dlv_" + _digest("digest", rule, destination, key, window)


def recipient_key(address: str) -> str:
    """The name of an address in indexes and logs: logs and keys carry this, never the address itself.

    Domains compare without case (RFC 1035); local parts do too in practice, so one person has one key.
    """
    return "rcp_" + _digest("recipient", address.strip().casefold())
