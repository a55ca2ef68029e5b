"""An event without what nobody reads: what is named goes, everything else stays, and the event itself is untouched."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.event import Event
from notifier.domain.trimming import trimmed

VALUES = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
)
PATHS = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda names: "data." + ".".join(names)))


def event(data: Any) -> Event:
    return Event(id="1", source="/s", type="news", tenant="acme", data=data)


@pytest.mark.parametrize(
    ("omit", "left"),
    [
        (("data.people",), {"to": {"people": [1], "name": "x"}}),
        (("data.to.people",), {"people": [2], "to": {"name": "x"}}),
        (("data.people", "data.to"), {}),
        (("data.people.deeper", "data.nothing"), {"people": [2], "to": {"people": [1], "name": "x"}}),
    ],
)
def test_what_is_named_is_left_out(omit: tuple[str, ...], left: Any) -> None:
    found = trimmed(event({"people": [2], "to": {"people": [1], "name": "x"}}), omit)
    assert found == event(left)
    assert found.key == event(left).key


@given(VALUES, PATHS)
def test_the_event_itself_stays_as_it_was_and_nothing_named_is_left(data: Any, omit: list[str]) -> None:
    # Given any data and any paths
    before = event(copy.deepcopy(data))
    given_event = event(data)
    # When it is trimmed
    found = trimmed(given_event, omit)
    # Then only the result has changed, and trimming it again changes nothing
    assert given_event == before
    assert trimmed(found, omit) == found
