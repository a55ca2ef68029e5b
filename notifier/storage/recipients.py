"""`Recipients`: people known by an id, encrypted, so that events can name them without carrying their address."""

from __future__ import annotations

from collections.abc import Sequence

from notifier.domain.ids import person_key, recipient_key
from notifier.domain.recipient import Recipient
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.store import Store
from notifier.storage.suppressions import adopt, move


class Recipients:
    """The directory of people. The id itself is not encrypted: it must not be an address.

    Wishes are kept by address alone (`suppressions`), so a person's new address gets those of the old one before it
    gets any mail.
    """

    def __init__(self, store: Store, cipher: Cipher) -> None:
        self._run = store.run
        self._cipher = cipher

    def put(self, recipients: Sequence[Recipient]) -> None:
        """Add or replace; whose address changes keeps what they switched off.

        Raises `ConfigurationError` when a record cannot be read that is to be replaced: what its address switched off
        would be lost.
        """
        self._run(_put(recipients, self._cipher))

    def get_many(self, ids: Sequence[str]) -> dict[str, Recipient]:
        """Those that are known, in one round trip."""
        return self._run(_get_many(ids, self._cipher))

    def remove(self, recipient_id: str) -> bool:
        """Forget a person; False when nobody is known by this id."""
        return self._run(_remove(recipient_id))


def _put(recipients: Sequence[Recipient], cipher: Cipher) -> Operation[None]:
    waiting = {person.id: person for person in recipients}
    while waiting:
        (stored,) = yield [command("HMGET", keys.recipients(), *waiting)]
        known = dict(zip(waiting, stored, strict=True))
        for person in waiting.values():
            yield from _carry_wishes(person, known[person.id], cipher)
        replies = yield [_replace(person, known[person.id], cipher) for person in waiting.values()]
        # Somebody else changed it meanwhile: their address may have wishes too.
        waiting = {p.id: p for p, there in zip(list(waiting.values()), replies, strict=True) if there}


def _carry_wishes(person: Recipient, stored: str | None, cipher: Cipher) -> Operation[None]:
    before = cipher.decrypt(stored)[0] if stored else person.email
    if not before or not person.email:
        return
    new, old = recipient_key(person.email), recipient_key(before)
    if old != new:
        yield from adopt(before)
        yield from move(person_key(person.id), old, new)


def _replace(person: Recipient, stored: str | None, cipher: Cipher) -> Call:
    text = cipher.encrypt([person.email, person.name, person.locale, person.timezone])
    beside = cipher.encrypt([person.phone, dict(person.addresses)]) if person.contacts else ""
    places = [keys.recipients(), keys.recipient_addresses()]
    return run_script("swap_recipient", places, person.id, stored or "", text, beside)


def _get_many(ids: Sequence[str], cipher: Cipher) -> Operation[dict[str, Recipient]]:
    if not ids:
        return {}
    stored, beside = yield [command("HMGET", place, *ids) for place in (keys.recipients(), keys.recipient_addresses())]
    return {
        i: Recipient(i, *cipher.decrypt(text), *(cipher.decrypt(more) if more else ()))
        for i, text, more in zip(ids, stored, beside, strict=True)
        if text is not None
    }


def _remove(recipient_id: str) -> Operation[bool]:
    moved = command("HDEL", keys.moved(), person_key(recipient_id))
    places = (keys.recipients(), keys.recipient_addresses())
    removed, *_ = yield [*(command("HDEL", place, recipient_id) for place in places), moved]
    return bool(removed)
