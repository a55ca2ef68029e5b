"""`Recipients`: people known by an id, encrypted, so that events can name them without carrying their address."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from notifier.domain.ids import folded, person_key, recipient_key
from notifier.domain.recipient import Recipient
from notifier.errors import ConfigurationError
from notifier.storage import holders, keys
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.spread import Spread
from notifier.storage.store import Store
from notifier.storage.suppressions import adopt, move

#: Records that one script replaces: Redis answers nobody else meanwhile, which is half a millisecond.
TOGETHER = 100
#: Records read in one round trip where all are read.
CHUNK = 500

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of recipients that were stored."""

    added: int = 0
    changed: int = 0
    same: int = 0
    """They were stored like this before."""

    def __add__(self, other: Stored) -> Stored:
        return Stored(self.added + other.added, self.changed + other.changed, self.same + other.same)


@dataclass(frozen=True, slots=True)
class _Known:
    """A person as they are stored."""

    text: str
    person: Recipient


class Recipients:
    """The directory of people. The id itself is not encrypted: it must not be an address.

    Wishes are kept by address alone (`suppressions`), so a person's new address gets those of the old one before it
    gets any mail.
    """

    def __init__(self, store: Store, cipher: Cipher, clock: Callable[[], float] = time.time) -> None:
        self._run = store.run
        self._spread = store.spread
        self._cipher = cipher
        self._clock = clock

    def put(self, recipients: Sequence[Recipient]) -> Stored:
        """Add or replace, of two with one id the last; whose address changes keeps what they switched off.

        Raises `ConfigurationError` when a record cannot be read that is to be replaced: what its address switched off
        would be lost.
        """
        return self._run(_put(recipients, self._cipher, self._clock(), self._spread))

    def get_many(self, ids: Sequence[str]) -> dict[str, Recipient]:
        """Those that are known, in one round trip."""
        return {i: known.person for i, known in self._run(_get_many(ids, self._cipher, self._spread)).items()}

    def everybody(self) -> Iterator[list[Recipient]]:
        """All people in no order, page by page; one may come twice while others are removed."""
        for tag in self._spread.tags:
            cursor = ""
            while cursor != "0":
                cursor, known = self._run(_page(cursor or "0", self._cipher, tag))
                if known:
                    yield [one.person for one in known.values()]

    def remove(self, recipient_id: str) -> bool:
        """Forget a person; False when nobody is known by this id."""
        return self._run(_remove(recipient_id, self._cipher, self._spread))

    def holders(self, address: str) -> list[str]:
        """Ids of those who have this mail address, or this `contacts.contact_identity`.

        Until the index is whole (`holders`) this reads all recipients, and completes it.
        """
        return self._run(_holders(address, self._cipher, self._clock(), self._spread))

    def drop_entries(self, addresses: Collection[str]) -> None:
        """Take what names these addresses out of the index: of people who have gone, and what kills left behind."""
        self._run(_drop_entries(addresses, self._cipher, self._spread))

    def reindex(self, progress: Progress = lambda done, of: None) -> int:
        """Enter everybody in the index of addresses, when no release works that does not know it; returns how many."""
        return self._run(_reindex(self._cipher, progress, self._spread))


def _put(recipients: Sequence[Recipient], cipher: Cipher, now: float, spread: Spread) -> Operation[Stored]:
    waiting = {person.id: person for person in recipients}
    stored = Stored()
    if waiting:
        yield from holders.begun(now, spread)
    while waiting:
        known = yield from _get_many(list(waiting), cipher, spread)
        same = {i for i, person in waiting.items() if _is_same(known.get(i), person, cipher)}
        fresh = {i: person for i, person in waiting.items() if i not in same}
        for person in fresh.values():
            yield from _carry_wishes(person, known.get(person.id), spread)
        texts = _texts(fresh, cipher)
        # Before the records, for nobody may be missing; of those that stay as well, who may be an older release's.
        yield [
            *(call for i, person in fresh.items() for call in holders.entered(person, texts[i][0], cipher)),
            *(call for i in same for call in holders.entered(known[i].person, known[i].text, cipher)),
        ]
        refused = yield from _swap(texts, known, spread)
        done = {i: known[i] for i in fresh if i in known and i not in refused}
        yield [call for i, was in done.items() for call in holders.left(was.person, was.text, fresh[i], cipher)]
        added = sum(i not in known and i not in refused for i in fresh)
        stored += Stored(added=added, changed=len(done), same=len(same))
        # Somebody else changed it meanwhile: their address may have wishes too.
        waiting = {i: waiting[i] for i in refused}
    return stored


def _is_same(known: _Known | None, person: Recipient, cipher: Cipher) -> bool:
    """With several keys everything is written anew: with the first, so that the others can be taken away."""
    return known is not None and known.person == person and not cipher.is_rotating


def _carry_wishes(person: Recipient, known: _Known | None, spread: Spread) -> Operation[None]:
    before = known.person.email if known else ""
    if not before or not person.email or before == person.email:
        return
    new, old = recipient_key(person.email), recipient_key(before)
    if old != new:
        yield from adopt(before, spread)
        yield from move(person_key(person.id), old, new, spread)


def _texts(people: Mapping[str, Recipient], cipher: Cipher) -> dict[str, tuple[str, str]]:
    """Record and what is kept beside it, empty for most."""
    first = cipher.encrypt_many([[p.email, p.name, p.locale, p.timezone] for p in people.values()])
    reached = [p for p in people.values() if p.contacts]
    beside = cipher.encrypt_many([[p.phone, dict(p.addresses)] for p in reached])
    others = dict(zip((p.id for p in reached), beside, strict=True))
    return {i: (text, others.get(i, "")) for i, text in zip(people, first, strict=True)}


def _swap(texts: Mapping[str, tuple[str, str]], known: Mapping[str, _Known], spread: Spread) -> Operation[set[str]]:
    """Replace records that are still as they were known; returns the ids of those that are not."""
    order: list[str] = []
    calls: list[Call] = []
    for tag, ids in spread.parts(list(texts)):
        order += ids
        places = [keys.recipients(tag), keys.recipient_addresses(tag)]
        for start in range(0, len(ids), TOGETHER):
            words: list[str] = []
            for i in ids[start : start + TOGETHER]:
                words += [i, known[i].text if i in known else "", *texts[i]]
            calls.append(run_script("swap_recipients", places, *words))
    replies = yield calls
    there = [answer for reply in replies for answer in reply]
    return {i for i, answer in zip(order, there, strict=True) if answer}


def _get_many(ids: Sequence[str], cipher: Cipher, spread: Spread) -> Operation[dict[str, _Known]]:
    parts = spread.parts(ids)
    if not parts:
        return {}
    replies = yield [
        command("HMGET", place(tag), *some)
        for tag, some in parts
        for place in (keys.recipients, keys.recipient_addresses)
    ]
    return {
        i: _Known(text, _read(i, text, more, cipher))
        for (_, some), stored, beside in zip(parts, replies[::2], replies[1::2], strict=True)
        for i, text, more in zip(some, stored, beside, strict=True)
        if text is not None
    }


def _read(recipient_id: str, text: str, more: str | None, cipher: Cipher) -> Recipient:
    return Recipient(recipient_id, *cipher.decrypt(text), *(cipher.decrypt(more) if more else ()))


def _remove(recipient_id: str, cipher: Cipher, spread: Spread) -> Operation[bool]:
    try:
        known = yield from _get_many([recipient_id], cipher, spread)
    except ConfigurationError:
        known = {}  # nobody can say any more which entries were theirs, and whoever cannot be read must go all the same
    person, tag = person_key(recipient_id), spread.tag(recipient_id)
    moved = command("HDEL", keys.moved(spread.tag(person)), person)
    places = (keys.recipients(tag), keys.recipient_addresses(tag))
    removed, *_ = yield [*(command("HDEL", place, recipient_id) for place in places), moved]
    yield [call for was in known.values() for call in holders.left(was.person, was.text, None, cipher)]
    return bool(removed)


def _holders(address: str, cipher: Cipher, now: float, spread: Spread) -> Operation[list[str]]:
    state = yield from holders.begun(now, spread)
    if not holders.is_whole(state):
        yield from _walk(cipher, spread)
        if holders.is_left_alone(state, now):
            yield from holders.made_whole()
    entries = yield from holders.named([address], cipher)
    known = yield from _get_many(list(entries), cipher, spread)
    return sorted(i for i, one in known.items() if _has(one.person, address))


def _has(person: Recipient, address: str) -> bool:
    return folded(address) in map(folded, holders.addresses_of(person))


def _drop_entries(addresses: Collection[str], cipher: Cipher, spread: Spread) -> Operation[None]:
    entries = yield from holders.named(addresses, cipher)
    known = yield from _get_many(list(entries), cipher, spread)
    gone = {i: e for i, e in entries.items() if i not in known or not any(_has(known[i].person, a) for a in addresses)}
    yield from holders.dropped(gone)


def _reindex(cipher: Cipher, progress: Progress, spread: Spread) -> Operation[int]:
    count = sum((yield holders.sizes(spread)))
    seen = yield from _walk(cipher, spread, lambda done: progress(min(done, count), count))
    yield from holders.made_whole()
    return seen


def _walk(cipher: Cipher, spread: Spread, progress: Callable[[int], None] = lambda done: None) -> Operation[int]:
    """Read everybody and enter them; returns how many."""
    seen = 0
    for tag in spread.tags:
        cursor = ""
        while cursor != "0":
            cursor, known = yield from _page(cursor or "0", cipher, tag)
            yield from holders.added(
                call for one in known.values() for call in holders.entered(one.person, one.text, cipher)
            )
            seen += len(known)
            progress(seen)
    return seen


def _page(cursor: str, cipher: Cipher, tag: str) -> Operation[tuple[str, dict[str, _Known]]]:
    """The cursor that follows, "0" on the last page of a part, and some people."""
    (reply,) = yield [command("HSCAN", keys.recipients(tag), cursor, "COUNT", CHUNK)]
    following, texts = reply
    known = yield from _get_many(list(texts), cipher, Spread((tag,)))
    return str(following), known
