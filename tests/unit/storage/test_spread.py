"""Where names belong: the same for everybody, evenly, and nowhere else on one server than before."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.storage.slot_map import SLOTS, slot_of
from notifier.storage.spread import DIVIDED, TAGS, WHOLE


@pytest.mark.parametrize(("primaries", "most"), [(3, 1.0), (4, 1.0), (5, 1.05), (6, 1.0), (7, 1.05), (10, 1.05)])
def test_primaries_have_as_many_tags_each(primaries: int, most: float) -> None:
    of_each = Counter(slot_of(tag) * primaries // SLOTS for tag in TAGS)
    assert max(of_each.values()) <= most * len(TAGS) / primaries


def test_names_are_spread_evenly() -> None:
    of_each = Counter(slot_of(DIVIDED.tag(f"person-{number}")) * 3 // SLOTS for number in range(30_000))
    assert max(of_each.values()) <= 1.05 * min(of_each.values())


@given(st.lists(st.text(min_size=1), unique=True))
def test_parts_are_all_names_each_where_it_belongs(names: list[str]) -> None:
    parts = DIVIDED.parts(names)
    assert sorted(name for _, some in parts for name in some) == sorted(names)
    assert all(DIVIDED.tag(name) == tag for tag, some in parts for name in some)
    assert all(DIVIDED.at(name).parts([name]) == [(tag, [name])] for tag, some in parts for name in some)


def test_on_one_server_there_is_one_part_or_none() -> None:
    assert WHOLE.parts(["a", "b"]) == [("", ["a", "b"])]
    assert WHOLE.parts([]) == []
