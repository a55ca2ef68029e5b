"""The index of people: nobody's deliveries are lost from it however many there are, and none of its lists gets long."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.ids import recipient_key
from notifier.storage import earlier_people, keys, people
from notifier.storage.commands import Call, Operation
from notifier.storage.people import PERIOD_S, Depths, Notes, deliveries_to, drop
from notifier.storage.store import Store

ADA, BOB = "rcp_" + "a" * 26, "rcp_" + "a" * 14 + "b" * 12
NOW = 700 * PERIOD_S


def note(store: Store, depths: Depths, *pairs: tuple[str, str], now: float = NOW) -> None:
    notes = Notes(depths, pairs, now=now, keep=2 * PERIOD_S)
    notes.learn(store.run(_sent(notes.calls)))


def _sent(calls: list[Call]) -> Operation[list[int]]:
    return (yield calls)


def found(store: Store, *who: str, now: float = NOW) -> list[str]:
    return store.run(deliveries_to(who, now))


def lists(store: Store) -> dict[str, int]:
    return {name: store.client.llen(name) for name in store.client.scan_iter("ntf:i:*")}


def test_people_of_one_bucket_are_told_apart_and_found_for_a_year(store: Store) -> None:
    # Given two people who share a bucket, and deliveries to them in four months
    depths = Depths()
    for number in range(4):
        pairs = (ADA, f"dlv_ada{number}"), (BOB, f"dlv_bob{number}")
        note(store, depths, *pairs, now=NOW + number * PERIOD_S)
    last = NOW + 12.9 * PERIOD_S
    # Then each has their own, oldest first
    assert found(store, ADA, now=last) == [f"dlv_ada{number}" for number in range(4)]
    assert found(store, BOB, now=last) == [f"dlv_bob{number}" for number in range(4)]
    assert len(lists(store)) == 4
    # And what is forgotten of one stays with the other
    store.run(drop([ADA], last))
    assert found(store, ADA, BOB, now=last) == [f"dlv_bob{number}" for number in range(4)]
    store.run(drop([BOB], last))
    assert not lists(store)


def test_whoever_keeps_records_for_longer_looks_back_for_longer(store: Store) -> None:
    note(store, Depths(), (ADA, "dlv_1"))

    later = NOW + 30 * PERIOD_S
    assert found(store, ADA, now=later) == []
    assert store.run(deliveries_to([ADA], later, keep=31 * PERIOD_S)) == ["dlv_1"]


def test_what_was_noted_twice_is_one_delivery_and_forgotten_at_once(store: Store) -> None:
    depths = Depths()
    note(store, depths, (ADA, "dlv_1"), (BOB, "dlv_2"))
    note(store, depths, (ADA, "dlv_1"))

    assert found(store, ADA) == ["dlv_1"]
    store.run(drop([ADA], NOW))
    assert (found(store, ADA), found(store, BOB)) == ([], ["dlv_2"])


def test_full_buckets_are_left_for_deeper_ones_by_every_process(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given buckets that are full with twenty, and a thousand people with five deliveries each
    monkeypatch.setattr(people, "FULL", 20)
    everybody = [recipient_key(f"p{number}@example.org") for number in range(1000)]
    depths = Depths()
    for number in range(5):
        for start in range(0, 1000, 10):
            pairs = [(one, f"dlv_{number}-{one}") for one in everybody[start : start + 10]]
            note(store, depths, *pairs)
    # When another process begins, which knows of no full bucket
    note(store, another := Depths(), *((one, f"dlv_new-{one}") for one in everybody[:100]))
    note(store, another, *((one, f"dlv_last-{one}") for one in everybody[:100]))

    # Then everybody is found with all they got
    for one in (everybody[0], everybody[99], everybody[500]):
        new = {f"dlv_{word}-{one}" for word in ("new", "last") if one in everybody[:100]}
        assert set(found(store, one)) == {f"dlv_{number}-{one}" for number in range(5)} | new
    # And no list is much longer than full: a batch in which it was filled, and a first look of each process
    assert max(lists(store).values()) < 20 + 10 + 20
    # And each depth was used before the next
    used = Counter(len(name.split(":")[2]) for name in lists(store))
    assert set(used) == {1, 2, 3}


def test_somebody_who_gets_very_many_is_found_with_all_of_them_and_moves_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given buckets that are full with twenty, lists read in parts of thirty, and a mailing list with five hundred
    monkeypatch.setattr(people, "FULL", 20)
    monkeypatch.setattr(people, "_CHUNK", 30)
    depths = Depths()
    everybody = [recipient_key(f"p{number}@example.org") for number in range(600)]
    for number in range(500):
        note(store, depths, (ADA, f"dlv_{number}"), (everybody[number], f"dlv_p{number}"))
        note(store, depths, (everybody[number % 7], f"dlv_q{number}"))
    assert sorted(found(store, ADA)) == sorted(f"dlv_{number}" for number in range(500))
    # Then it alone has a list at the greatest depth
    deepest = [name for name in lists(store) if len(name.split(":")[2]) == people.DEEPEST]
    assert deepest == [keys.people_list("aaaaa", 700)]
    # And what is forgotten of it takes nothing of others
    store.run(drop([ADA], NOW))
    assert found(store, ADA) == []
    assert found(store, everybody[499]) == ["dlv_p499"]


@given(st.lists(st.tuples(st.text("abcdefghij", min_size=1, max_size=3), st.integers(0, 3000)), max_size=400))
def test_depths_never_leave_a_persons_own_path(learned: list[tuple[str, int]]) -> None:
    # Whatever the replies say, a bucket is the beginning of the person's letters, and within what is looked at
    depths = Depths()
    for bucket, entries in learned:
        depths.learn(bucket, entries)
        place = depths.bucket("abcdefghijklmno", 700)
        assert "abcdefghijklmno".startswith(place)
        assert 1 <= len(place) <= people.DEEPEST


def test_what_a_release_before_noted_is_found_and_blanked_where_it_stands(store: Store) -> None:
    # Given the strings of a release before: of Ada, of Bob and of somebody whose delivery has an id of its own
    bucket, name, other = keys.people_bucket("aa", 700), "a" * 14, "a" * 12 + "bb"
    store.client.set(bucket, f"{name}{'d' * 26},{other}{'e' * 26},{name}~é{name},{other}~x{name},", px=10_000_000)
    # Then each is found with their own
    assert found(store, ADA) == ["dlv_" + "d" * 26, "é" + name]
    assert found(store, BOB) == ["dlv_" + "e" * 26, "x" + name]
    # When Ada is forgotten
    store.run(drop([ADA], NOW))
    # Then Bob's are where they were, and the bucket expires as it would have
    assert found(store, ADA) == []
    assert found(store, BOB) == ["dlv_" + "e" * 26, "x" + name]
    assert 0 < store.client.pttl(bucket) <= 10_000_000


def test_a_bucket_that_moves_while_somebody_is_blanked_is_looked_at_again(store: Store) -> None:
    # Given a process of a release before, which cuts the beginning off at the very moment
    bucket, name = keys.people_bucket("aa", 700), "a" * 14
    text = f"{'c' * 14}{'d' * 26},{name}{'e' * 26},"
    store.client.set(bucket, text)
    steps = earlier_people.blank([ADA], 700)
    calls = next(steps)
    replies = store.run(_sent(list(calls)))
    calls = steps.send(replies)
    store.client.set(bucket, text[41:])
    try:
        while True:
            calls = steps.send(store.run(_sent(list(calls))))
    except StopIteration:
        pass
    # Then the entry is blanked all the same, and nothing else is
    assert found(store, ADA) == []
    assert store.client.get(bucket) == "!" * 14 + "e" * 26 + ","
