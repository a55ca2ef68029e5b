"""Slots of keys and the map of a Cluster, against redis-py's own."""

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from notifier.storage.commands import command, run_script
from notifier.storage.slot_map import SLOTS, SlotMap, key_of, slot_of
from notifier.storage.spread import DIVIDED, TAGS, WHOLE


@given(st.text(st.one_of(st.sampled_from("{}ab"), st.characters(exclude_categories=["Cs"]))))
def test_a_key_has_the_slot_that_redis_py_says(key: str) -> None:
    assert slot_of(key) == key_slot(key.encode())


def test_a_call_goes_where_its_key_is() -> None:
    assert key_of(command("HMGET", "ntf:h", "a", "b")) == "ntf:h"
    assert key_of(run_script("mark", ["ntf:d:a"], 1)) == "ntf:d:a"
    assert key_of(command("TIME")) == ""
    assert key_of(command("SCAN", 0, near="ntf:{limits}")) == "ntf:{limits}"


def test_a_node_without_a_name_of_its_own_is_where_it_was_asked() -> None:
    # Given a map as a node behind an address translation tells it, with a slot that nobody serves
    found = SlotMap.read([[0, 99, ["", 7000, "id"]], [101, SLOTS - 1, ["b", 7001, "id"], ["c", 7002, "id"]]], "a")
    # Then the others are found by their own names
    assert [found.of(slot) for slot in (0, 99, 100, 101)] == [("a", 7000), ("a", 7000), None, ("b", 7001)]
    assert found.primaries == (("a", 7000), ("b", 7001))


def test_each_tag_lies_in_a_part_of_the_slots_of_its_own() -> None:
    assert [slot_of(tag) * len(TAGS) // SLOTS for tag in TAGS] == list(range(96))


def test_nothing_is_divided_on_one_server_and_names_are_spread_evenly_on_a_cluster() -> None:
    names = [f"{a}{b}{c}" for a in "abcdefghij" for b in "klmnopqrst" for c in range(500)]
    assert {WHOLE.tag(name) for name in names} == {""}
    sizes = [0] * 3
    for name in names:
        sizes[slot_of(DIVIDED.tag(name)) * 3 // SLOTS] += 1
    assert max(sizes) < 1.03 * min(sizes)
