"""Which recipients have an address, as operations: an index by keyed hashes, because addresses are encrypted.

Whoever writes a recipient writes the entries of its addresses before, and takes those of its former ones out after, so
that nobody is ever missing. An entry too many, left by a kill in between, is seen by its record having another address.
Each entry says of which version of the record it is (the end of its text), so that nobody takes out what another has
just put in.

Releases before know nothing of it. For an hour after this release first wrote a recipient they may write beside it, and
what they wrote is found as before, by reading all recipients. A walk over all that begins later makes the index whole
(`is_whole`), and from then on it alone is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from notifier.domain.contacts import contact_identity
from notifier.domain.ids import folded
from notifier.domain.recipient import Recipient
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Call, Operation, command, run_script
from notifier.storage.spread import Spread

#: How long processes of the release before may work beside the first one of this.
GRACE_S = 3600.0
#: Hexadecimal digits of a hash that choose one of 4,096 buckets: of 10 million people each has 2,500.
_BUCKET, _PART = 3, 17
#: What the state of the index says when all recipients are in it; before that, milliseconds since when it is written.
_WHOLE = "whole"


class Place(NamedTuple):
    """Where an address is, or would be."""

    key: str
    """Of its bucket: a hash from field (part and recipient id) to the version of the record."""
    part: str


def version_of(text: str) -> str:
    """Of a record, by the end of its encrypted text."""
    return text[-10:-2]


def addresses_of(person: Recipient) -> list[str]:
    """As they are looked up: what mails go to, and `contact_identity` of the others."""
    mail = [person.email] if person.email else []
    return mail + [contact_identity(kind, at) for kind, at in person.contacts]


def places(address: str, cipher: Cipher) -> list[Place]:
    """One for each key of the cipher; new entries are written to the first."""
    found = cipher.hashes(folded(address))
    return [Place(keys.addresses(one[:_BUCKET]), one[_BUCKET:]) for one in found]


def entered(person: Recipient, text: str, cipher: Cipher) -> Iterator[Call]:
    """Write the entries of a person whose record is to be ``text``."""
    for address in addresses_of(person):
        one = cipher.hashes(folded(address))[0]
        yield command("HSET", keys.addresses(one[:_BUCKET]), one[_BUCKET:] + person.id, version_of(text))


def left(before: Recipient, text: str, after: Recipient | None, cipher: Cipher) -> Iterator[Call]:
    """Take out those of a record that was ``text``, but for the addresses that are still there."""
    kept = {places(address, cipher)[0] for address in addresses_of(after)} if after else set()
    for address in addresses_of(before):
        for place in places(address, cipher):
            if place not in kept:
                yield run_script("drop_holder", [place.key], place.part + before.id, version_of(text))


def begun(now: float, spread: Spread) -> Operation[str]:
    """The state, and if there is none what it is from now on: whole where nobody is known yet."""
    (state,) = yield [command("GET", keys.addresses_state())]
    if state is not None:
        return str(state)
    counts = yield sizes(spread)
    (_, state) = yield [
        command("SET", keys.addresses_state(), round(now * 1000) if any(counts) else _WHOLE, "NX"),
        command("GET", keys.addresses_state()),
    ]
    return str(state)


def sizes(spread: Spread) -> list[Call]:
    """How many people there are, in parts."""
    return [command("HLEN", keys.recipients(tag)) for tag in spread.tags]


def is_whole(state: str) -> bool:
    """Whether every recipient is in it."""
    return state == _WHOLE


def is_left_alone(state: str, now: float) -> bool:
    """Whether a walk that begins now makes it whole: nobody who does not know it writes beside us."""
    return is_whole(state) or now - int(state) / 1000 >= GRACE_S


def named(addresses: Iterable[str], cipher: Cipher) -> Operation[dict[str, list[tuple[Place, str]]]]:
    """Recipient id → where the index has it for one of these addresses, and of which version."""
    wanted = [place for address in addresses for place in places(address, cipher)]
    buckets = yield [command("HGETALL", place.key) for place in wanted]
    found: dict[str, list[tuple[Place, str]]] = {}
    for place, bucket in zip(wanted, buckets, strict=True):
        for field, version in bucket.items():
            if field.startswith(place.part):
                found.setdefault(field[_PART:], []).append((place, version))
    return found


def dropped(entries: Mapping[str, Sequence[tuple[Place, str]]]) -> Operation[None]:
    """Take out entries that `named` has found."""
    yield [
        run_script("drop_holder", [place.key], place.part + identity, version)
        for identity, found in entries.items()
        for place, version in found
    ]


def added(calls: Iterable[Call]) -> Operation[None]:
    """As `entered`, but where there is an entry already it stays."""
    yield [Call(("HSETNX", *call.words[1:])) for call in calls]


def made_whole() -> Operation[None]:
    """A walk has seen all recipients."""
    yield [command("SET", keys.addresses_state(), _WHOLE)]
