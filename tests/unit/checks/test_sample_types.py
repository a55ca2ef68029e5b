"""What samples show, for events without a schema."""

from notifier.checks.sample_types import type_of_samples
from notifier.checks.types import (
    ABSENT,
    ANYTHING,
    NULL,
    SAMPLED,
    ListOf,
    Number,
    ObjectOf,
    Text,
    may_be,
    members,
    union,
)


def test_what_all_samples_have_is_there_and_what_some_have_may_be_absent() -> None:
    found = type_of_samples([{"a": 1, "b": "x"}, {"a": None}])

    assert isinstance(found, ObjectOf)
    assert set(members(found.fields["a"])) == {Number(whole=True), NULL}
    assert found.fields["b"] == union(Text(format=SAMPLED), ABSENT)


def test_elements_of_all_lists_are_looked_at_together() -> None:
    found = type_of_samples([{"a": [{"n": 1}]}, {"a": [{}]}])

    assert isinstance(found, ObjectOf)
    assert isinstance(listed := found.fields["a"], ListOf)
    assert listed.filled
    assert isinstance(listed.item, ObjectOf)
    assert may_be(listed.item.fields["n"], type(ABSENT))


def test_nothing_is_known_of_what_is_always_null_and_without_samples() -> None:
    found = type_of_samples([{"a": None}])

    assert isinstance(found, ObjectOf)
    assert found.fields["a"] == union(NULL, ANYTHING)
    assert type_of_samples([]) == ANYTHING
