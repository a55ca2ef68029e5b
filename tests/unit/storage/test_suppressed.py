"""How suppressions are stored, and that the release before and this one read each other's right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.suppression import (
    NOTHING,
    Part,
    Suppression,
    bounced,
    by_operator,
    complained,
    forgotten,
    unsubscribed,
)
from notifier.storage.suppressed import decode, encode

T = 1796012345.678
#: Written by the release before (its `Suppressions.add` and its unsubscribe link), read from Redis as they lay there.
BEFORE = {
    "mx2rdn4e\x1fbounced: smtp_550_5.1.1": NOTHING.plus(bounced("smtp_550_5.1.1", T)),
    "mx2rdn4e\x1funsubscribed:news": NOTHING.plus(unsubscribed("news", T)),
    "mx2rexf2\x1funsubscribed:news,offers": NOTHING.plus(unsubscribed("news", T + 60), unsubscribed("offers", T + 60)),
    "mx2rdn4e\x1fforgotten": NOTHING.plus(forgotten(T)),
    "mx2rdn4e\x1fasked by phone": NOTHING.plus(by_operator("asked by phone", T)),
    "mx2rdn4e\x1fsuppressed": NOTHING.plus(by_operator("", T)),
    "mx2rdn4e\x1fkim@example.org called, bounced: twice": NOTHING.plus(
        by_operator("k…@example.org called, bounced: twice", T)
    ),
}

MOMENTS = st.integers(0, 4_000_000_000_000).map(lambda ms: ms / 1000)
#: Words that could be taken for another part among them.
WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["forgotten", "several", "bounced", "bounced: x", "unsubscribed:news", "complaint: x", "operator: x", "a,=b%2C"]
    ),
)
PARTS = st.one_of(
    st.builds(bounced, WORDS, MOMENTS),
    st.builds(complained, WORDS, MOMENTS),
    st.builds(by_operator, WORDS, MOMENTS),
    st.builds(forgotten, MOMENTS),
    st.builds(unsubscribed, st.one_of(WORDS, st.sampled_from(["news", "offers"])), MOMENTS),
)
SUPPRESSIONS = st.lists(PARTS, max_size=8).map(lambda parts: NOTHING.plus(*parts))


def stopped_by_the_release_before(stored: str, category: str, *, transactional: bool) -> bool:
    """What its claim and its gate make of a stored text."""
    reason = stored.partition("\x1f")[2]
    kind, _, categories = reason.partition(":")
    return not (kind == "unsubscribed" and (transactional or category not in categories.split(",")))


@pytest.mark.parametrize(("stored", "known"), BEFORE.items())
def test_what_the_release_before_stored_is_read(stored: str, known: Suppression) -> None:
    assert decode(stored) == known
    # And stays as it is when nothing about it changes, an address in it apart
    if "@" not in stored:
        assert encode(known) == stored


@given(SUPPRESSIONS)
def test_what_was_stored_is_read_back(known: Suppression) -> None:
    assert decode(encode(known)) == known
    assert bool(encode(known)) == bool(known)


@given(SUPPRESSIONS.filter(bool), st.sampled_from(["news", "offers", "ads"]), st.booleans())
def test_the_release_before_sends_nothing_that_this_one_would_not(
    known: Suppression, category: str, transactional: bool
) -> None:
    stops = bool(known.reason(category, transactional=transactional))
    stopped = stopped_by_the_release_before(encode(known), category, transactional=transactional)

    assert stopped == stops


@given(SUPPRESSIONS.filter(bool))
def test_a_replay_by_the_release_before_lifts_nothing_but_a_bounce_that_is_alone(known: Suppression) -> None:
    if encode(known).partition("\x1f")[2].startswith("bounced"):
        assert known.names == ("bounce",)


def test_a_category_that_the_release_before_adds_to_ours_takes_no_other_away() -> None:
    # Given two categories, and what its unsubscribe link makes of the text
    stored = encode(NOTHING.plus(unsubscribed("news", T), unsubscribed("offers", T + 1)))
    known = stored.partition("\x1f")[2].removeprefix("unsubscribed:").split(",")
    rewritten = "mx2s0000\x1funsubscribed:" + ",".join([*known, "ads"])

    # Then all three are off, and a time that is written beside its category stays
    found = decode(rewritten)
    assert found.names == ("category:news", "category:offers", "category:ads")
    assert found.parts[1] == unsubscribed("offers", T + 1)


@pytest.mark.parametrize(
    "stored", ["?", "mx2rdn4e", "!!\x1fbounced: x", "mx2rdn4e\x1fa\x1fb", "1\x1funsubscribed:a,=!"]
)
def test_what_nobody_can_read_stops_everything(stored: str) -> None:
    known: tuple[Part, ...] = decode(stored).parts

    assert [part.name for part in known] == ["operator"]


def test_nothing_is_stored_of_an_address_that_may_be_written_to() -> None:
    assert encode(NOTHING) == ""
    assert decode(None) is NOTHING
    assert decode("") is NOTHING
