"""The index of addresses: whoever has an address is found, whatever happened while they were stored."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.domain.contacts import PHONE, contact_identity
from notifier.domain.ids import recipient_key
from notifier.domain.recipient import Recipient
from notifier.storage import holders, keys
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Operation, command
from notifier.storage.recipients import Recipients, Stored, _put, _remove
from notifier.storage.store import Store
from tests.integration.storage.making import Clock, raw_dump
from tests.servers.redis import RedisServer

FIRST, SECOND = "k" * 32, "another-key-of-more-than-32-characters"
CIPHER = Cipher(FIRST)
JANE = Recipient("user-7", "jane@example.org", "Jane", phone="+491701234567", addresses={"push": "Token[x]"})


@pytest.fixture
def people(store: Store, clock: Clock) -> Recipients:
    return Recipients(store, CIPHER, clock)


def scans(store: Store) -> int:
    found = store.client.info("commandstats").get("cmdstat_hscan", {"calls": 0})
    return int(found["calls"])


def test_everybody_is_found_by_each_of_their_addresses_in_any_spelling(people: Recipients, store: Store) -> None:
    people.put([JANE, Recipient("user-8", "Jane@Example.org"), Recipient("user-9", "bob@example.org")])
    before = scans(store)

    assert people.holders(" JANE@example.ORG") == ["user-7", "user-8"]
    assert people.holders(contact_identity(PHONE, "+491701234567")) == ["user-7"]
    assert people.holders("push:Token[x]") == ["user-7"]
    assert people.holders("nobody@example.org") == []
    # And without anybody else being read
    assert scans(store) == before


def test_who_moves_or_goes_is_found_there_no_more_and_leaves_nothing(people: Recipients, store: Store) -> None:
    people.put([JANE])
    moved = replace(JANE, email="jane@example.net", phone="")
    assert people.put([moved]) == Stored(changed=1)

    assert people.holders("jane@example.org") == people.holders("tel:+491701234567") == []
    assert people.holders("jane@example.net") == people.holders("push:Token[x]") == ["user-7"]
    assert people.remove("user-7")
    assert not list(store.client.scan_iter("ntf:a:*"))


def test_the_hashes_cannot_be_made_without_the_secret(people: Recipients, redis_server: RedisServer) -> None:
    people.put([JANE])

    dump = raw_dump(redis_server)
    assert recipient_key("jane@example.org")[4:20] not in dump
    assert Cipher(SECOND).hashes("jane@example.org") != CIPHER.hashes("jane@example.org")


def test_who_was_stored_under_the_key_before_is_found_and_moves_to_the_new_one(store: Store, clock: Clock) -> None:
    # Given people who were stored before the secret was rotated
    Recipients(store, CIPHER, clock).put([JANE])
    both = Recipients(store, Cipher(f"{SECOND},{FIRST}"), clock)
    assert both.holders("jane@example.org") == ["user-7"]
    # When they are stored again, and the old secret is taken away
    assert both.put([JANE]) == Stored(changed=1)
    new = Recipients(store, Cipher(SECOND), clock)
    # Then they are read and found by the new one, and nothing of the old one is left
    assert new.holders("jane@example.org") == ["user-7"]
    new.remove("user-7")
    assert not list(store.client.scan_iter("ntf:a:*"))


def test_stored_again_as_they_are_nothing_changes(people: Recipients, store: Store) -> None:
    people.put([JANE])
    place = keys.recipients(store.spread.tag("user-7"))
    before = store.client.hgetall(place)

    bob = Recipient("user-8", "bob@example.org")
    assert people.put([JANE, bob]) == Stored(added=1, same=1)
    assert store.client.hgetall(place).items() >= before.items()
    assert people.put([replace(JANE, name="J"), replace(bob, name="x"), replace(bob, name="y")]) == Stored(changed=2)
    assert people.get_many(["user-8"])["user-8"].name == "y"


def test_who_is_written_by_a_release_before_is_found_within_its_hour(
    people: Recipients, store: Store, clock: Clock
) -> None:
    # Given people of a release before, and one whom this release stored
    _of_a_release_before(store, Recipient("user-1", "old@example.org"))
    people.put([Recipient("user-2", "new@example.org")])
    assert people.holders("old@example.org") == ["user-1"]

    # When that release changes and adds people half an hour later, then they are found by reading everybody
    clock.now += holders.GRACE_S / 2
    _of_a_release_before(store, Recipient("user-2", "moved@example.org"), Recipient("user-3", phone="+491701234567"))
    assert people.holders("moved@example.org") == ["user-2"]
    assert people.holders("new@example.org") == []
    assert people.holders("tel:+491701234567") == ["user-3"]

    # And an hour later everybody is read once more, and then no more
    clock.now += holders.GRACE_S
    assert people.holders("old@example.org") == ["user-1"]
    before = scans(store)
    assert people.holders("moved@example.org") == ["user-2"]
    assert scans(store) == before


def test_after_a_way_back_to_a_release_before_the_index_is_made_anew(people: Recipients, store: Store) -> None:
    # Given an index that is whole, and a release before that stored somebody afterwards
    people.put([JANE])
    _of_a_release_before(store, Recipient("user-1", "old@example.org"))
    assert people.holders("old@example.org") == []

    # When everybody is entered, then they are found
    told: list[tuple[int, int]] = []
    assert people.reindex(lambda done, of: told.append((done, of))) == 2
    assert told[-1] == (2, 2)
    assert people.holders("old@example.org") == ["user-1"]


def test_everybody_is_given_once(people: Recipients) -> None:
    everybody = [Recipient(f"user-{number}", f"p{number}@example.org") for number in range(1500)]
    for start in range(0, 1500, 500):
        people.put(everybody[start : start + 500])

    given = [person for page in people.everybody() for person in page]
    assert sorted(person.id for person in given) == sorted(person.id for person in everybody)


def _of_a_release_before(store: Store, *people: Recipient) -> None:
    for person in people:
        tag = store.spread.tag(person.id)
        text = CIPHER.encrypt([person.email, person.name, person.locale, person.timezone])
        beside = CIPHER.encrypt([person.phone, dict(person.addresses)])
        store.client.hset(keys.recipients(tag), person.id, text)
        if person.contacts:
            store.client.hset(keys.recipient_addresses(tag), person.id, beside)
        else:
            store.client.hdel(keys.recipient_addresses(tag), person.id)


_EMAILS = st.sampled_from(["", "a@example.org", "b@example.org", "c@example.org"])
_PHONES = st.sampled_from(["", "+491701234567"])
_CHANGE = st.one_of(
    st.none(), st.builds(Recipient, st.just("user-1"), _EMAILS, phone=_PHONES).filter(lambda p: p.email or p.phone)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.lists(_CHANGE, min_size=1, max_size=5), st.lists(st.integers(0, 4), max_size=60), st.booleans())
def test_whoever_writes_beside_whom_and_is_killed_where_nobody_is_missing(
    store: Store, changes: list[Recipient | None], turns: list[int], is_killed: bool
) -> None:
    # Given several who change one person at the same time, each round trip in any order
    store.client.flushdb()
    under_way = {number: _steps(store, change) for number, change in enumerate(changes)}
    for turn in turns:
        if turn in under_way and next(under_way[turn], "ended") == "ended":
            del under_way[turn]
    # When all that are still under way are killed, or go on to their end
    if not is_killed:
        for steps in under_way.values():
            for _ in steps:
                pass
    # Then the person is found by the addresses they have, and by no other
    people = Recipients(store, CIPHER)
    known = people.get_many(["user-1"])
    has = set(holders.addresses_of(known["user-1"])) if known else set()
    for address in ("a@example.org", "b@example.org", "c@example.org", "tel:+491701234567"):
        assert people.holders(address) == (["user-1"] if address in has else [])
    # And what kills have left behind is taken out when that address is forgotten
    people.remove("user-1")
    people.drop_entries(["a@example.org", "b@example.org", "c@example.org", "tel:+491701234567"])
    assert not list(store.client.scan_iter("ntf:a:*"))


def _steps(store: Store, change: Recipient | None) -> Iterator[None]:
    """One round trip at a time."""
    operation = _remove("user-1", CIPHER, store.spread) if change is None else _put([change], CIPHER, 0.0, store.spread)
    calls = next(operation)
    try:
        while True:
            calls = operation.send(store.run(_sent(calls)))  # type: ignore[arg-type]
            yield
    except StopIteration:
        return


def _sent(calls: list[object]) -> Operation[list[object]]:
    return (yield calls)  # type: ignore[misc]


def test_nobody_is_known_is_said_without_a_key(store: Store) -> None:
    assert Recipients(store, Cipher("")).holders("jane@example.org") == []
    assert store.run(_state()) == holders._WHOLE


def _state() -> Operation[str]:
    (state,) = yield [command("GET", keys.addresses_state())]
    return str(state)
