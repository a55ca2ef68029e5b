"""One-click unsubscribe links (RFC 8058): they name recipient and category by themselves and cannot be forged.

A link carries the recipient's key, never the address, and no database row is needed to read it: what was mailed years
ago still works as long as one of the secret keys is kept. In a mail to a person who is known by an id it carries their
key too, signed likewise, so that it works for them when their address has changed since.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from notifier.errors import NotFound

_PURPOSE = b"notifier one-click unsubscribe v1"
_SEPARATOR = "\x1f"
#: Bytes of an HMAC of SHA-256.
_SIGNATURE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Unsubscription:
    """Who wants to hear no more, of what."""

    recipient_key: str
    """`ids.recipient_key` of the address."""
    category: str
    person: str = ""
    """`ids.person_key` of whom the mail was for; empty when they are known by their address alone."""


class UnsubscribeLinks:
    """Writes links with the first secret key, reads those of all of them, so that keys can be rotated."""

    def __init__(self, public_url: str, secret_keys: Sequence[str]) -> None:
        if not secret_keys:
            raise ValueError("unsubscribe links need a secret key")
        self._prefix = public_url.rstrip("/") + "/unsubscribe/"
        # A key of its own for this purpose: a signature made here says nothing about what else the secret protects.
        self._keys = [hmac.digest(secret.encode(), _PURPOSE, "sha256") for secret in secret_keys]

    def url(self, recipient_key: str, category: str, person: str = "") -> str:
        """``https://…/unsubscribe/<token>``; the same for the same recipient and category.

        A person comes as ``?person=<token>``, which the release before ignores.
        """
        url = self._prefix + self.token(recipient_key, category)
        return f"{url}?person={self.token(person, category)}" if person else url

    def token(self, recipient_key: str, category: str) -> str:
        """The opaque part of a link."""
        content = f"{recipient_key}{_SEPARATOR}{category}".encode()
        return base64.urlsafe_b64encode(_signature(self._keys[0], content) + content).rstrip(b"=").decode()

    def read(self, token: str, person: str = "") -> Unsubscription:
        """Raises `NotFound` for anything that `token` did not write with one of the keys, or not for one mail."""
        wish = self._read(token)
        if not person:
            return wish
        named = self._read(person)
        if named.category != wish.category:
            raise NotFound("no such unsubscribe link")
        return Unsubscription(wish.recipient_key, wish.category, named.recipient_key)

    def _read(self, token: str) -> Unsubscription:
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise NotFound("no such unsubscribe link") from error
        signature, content = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not any(hmac.compare_digest(signature, _signature(key, content)) for key in self._keys):
            raise NotFound("no such unsubscribe link")
        recipient_key, _, category = content.decode().partition(_SEPARATOR)
        return Unsubscription(recipient_key, category)


def _signature(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, hashlib.sha256().name)
