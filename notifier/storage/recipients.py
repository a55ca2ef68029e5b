"""`Recipients`: people known by an id, encrypted, so that events can name them without carrying their address."""

from __future__ import annotations

from collections.abc import Sequence

from notifier.domain.recipient import Recipient
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Operation, command
from notifier.storage.store import Store


class Recipients:
    """The directory of people. The id itself is not encrypted: it must not be an address."""

    def __init__(self, store: Store, cipher: Cipher) -> None:
        self._run = store.run
        self._cipher = cipher

    def put(self, recipients: Sequence[Recipient]) -> None:
        """Add or replace."""
        self._run(_put(recipients, self._cipher))

    def get_many(self, ids: Sequence[str]) -> dict[str, Recipient]:
        """Those that are known, in one round trip."""
        return self._run(_get_many(ids, self._cipher))

    def remove(self, recipient_id: str) -> bool:
        """Forget a person; False when nobody is known by this id."""
        return self._run(_remove(recipient_id))


def _put(recipients: Sequence[Recipient], cipher: Cipher) -> Operation[None]:
    yield [
        command("HSET", keys.recipients(), r.id, cipher.encrypt([r.email, r.name, r.locale, r.timezone]))
        for r in recipients
    ]


def _get_many(ids: Sequence[str], cipher: Cipher) -> Operation[dict[str, Recipient]]:
    if not ids:
        return {}
    (stored,) = yield [command("HMGET", keys.recipients(), *ids)]
    return {i: Recipient(i, *cipher.decrypt(text)) for i, text in zip(ids, stored, strict=True) if text is not None}


def _remove(recipient_id: str) -> Operation[bool]:
    (removed,) = yield [command("HDEL", keys.recipients(), recipient_id)]
    return bool(removed)
