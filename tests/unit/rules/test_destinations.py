"""What `to` may name, and what becomes of what it may not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.delivery import Mailbox, RecipientRef
from notifier.rules.audience import BadEntry
from notifier.rules.destinations import destinations

HOW = "write a@example.org or Name <a@example.org>, with , or ; between several, and other signs of a name in quotes"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ada@example.org", Mailbox(address="ada@example.org")),
        (" ada@example.org ", Mailbox(address="ada@example.org")),
        ("user-7", RecipientRef(recipient="user-7")),
        ({"email": "ada@example.org"}, Mailbox(address="ada@example.org")),
        ({"address": "ada@example.org"}, Mailbox(address="ada@example.org")),
        (
            {"email": "ada@example.org", "name": "Ada", "locale": "de", "timezone": "Europe/Berlin", "id": 7},
            Mailbox(address="ada@example.org", name="Ada", locale="de", timezone="Europe/Berlin", recipient="7"),
        ),
        ({"id": "user-7"}, RecipientRef(recipient="user-7")),
        ({"id": 7}, RecipientRef(recipient="7")),
        ({"recipient": "user-7", "name": "Ada"}, RecipientRef(recipient="user-7")),
        ({"email": None, "id": "user-7"}, RecipientRef(recipient="user-7")),
        ({"email": "ada@example.org", "name": ["Ada"], "locale": True}, Mailbox(address="ada@example.org")),
    ],
)
def test_to_names_an_address_a_recipient_or_an_object(value: Any, expected: Any) -> None:
    assert list(destinations(value)) == [expected]


def test_a_list_names_each_once_in_its_order() -> None:
    # Given two people in several spellings
    value = [
        "ada@example.org",
        "user-7",
        {"email": "ADA@example.org"},
        "zoé@münchen.example",
        "zoé@XN--mnchen-3ya.example",
        {"id": "user-7"},
        "Ada@Example.org ",
        "bob@b.org",
    ]

    # Then
    assert [found.identity for found in destinations(value) if not isinstance(found, BadEntry)] == [
        "mailto:ada@example.org",
        "recipient:user-7",
        "mailto:zoé@münchen.example",
        "mailto:bob@b.org",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.org, bob@b.org",
        "ada@example.org;bob@b.org",
        "Team: ada@example.org, bob@b.org;",
        "ada@example.org (home); <bob@b.org>; ADA@example.org",
    ],
)
def test_a_text_may_name_several_as_people_write_them_into_address_fields(text: str) -> None:
    # Once each delivery was refused: "the address contains a control character, a space, < or >"
    expected = [Mailbox(address="ada@example.org"), Mailbox(address="bob@b.org")]
    assert list(destinations(text)) == expected
    assert list(destinations([text, "bob@b.org"])) == expected


@pytest.mark.parametrize(
    "value", ["Ada Lovelace <ada@example.org>", {"email": "ada@example.org", "name": "Ada Lovelace"},
    {"email": "Countess <ada@example.org>", "name": "Ada Lovelace"}, {"email": '"Ada Lovelace" <ada@example.org>'}]
)  # fmt: skip
def test_a_name_stands_before_its_address_or_in_a_key_of_its_own(value: Any) -> None:
    assert list(destinations(value)) == [Mailbox(address="ada@example.org", name="Ada Lovelace")]


def test_a_malformed_address_stays_so_that_its_delivery_is_seen_to_be_refused() -> None:
    assert list(destinations("ada lovelace@@example")) == [Mailbox(address="ada lovelace@@example")]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (None, "null names nobody: expected an address, an id or an object"),
        (7, "a number names nobody: expected an address, an id or an object"),
        (True, "a boolean names nobody: expected an address, an id or an object"),
        (["ada@example.org"], "a list names nobody: expected an address, an id or an object"),
        ("", "a recipient id has 1 to 256 characters, this one 0"),
        ("  ", "a recipient id has 1 to 256 characters, this one 0"),
        ("x" * 257, "a recipient id has 1 to 256 characters, this one 257"),
        ("a\nb", "a recipient id with control characters is not an id"),
        ("@", "an address has 3 to 320 characters, this one 1"),
        ("a@" + "b" * 320, "an address has 3 to 320 characters, this one 322"),
        ("a@b\ud800", "an address with half a surrogate pair is not text"),
        ("a@b.org <c@d.org>", "cannot be read as addresses; " + HOW),
        ("a@b.org, Bob", "cannot be read as addresses; " + HOW),
        ("a@b.org,\r\nBcc: x@b.org", "an address cannot contain a line end or another control character"),
        ('"a@b":;', "a group without members names nobody"),
        ("undisclosed-recipients:;", "a group without members names nobody"),
        ("Undisclosed recipients: ;", "a group without members names nobody"),
        ("undisclosed-recipients", "a group without members names nobody"),
        ("Team: ann, bob;", "a group without members names nobody"),
        ("Ann <ann>", "what stands in < and > is no address: it has no @"),
        ("<>", "what stands in < and > is no address: it has no @"),
        ({"email": "a@b.org, c@d.org"}, "one address is wanted here, and these are 2"),
        ({}, "an object without email, address, recipient or id names nobody"),
        ({"email": 7}, "an address must be text, not a number"),
        ({"id": {}}, "a recipient id must be text, not an object"),
        ({"id": 2**300}, "a recipient id must be text, not a number"),
        ({"id": True}, "a recipient id must be text, not a boolean"),
    ],
)
def test_what_cannot_be_a_destination_is_listed_and_the_others_get_theirs(entry: Any, reason: str) -> None:
    # When
    found = list(destinations(["ada@example.org", entry, "user-7"]))

    # Then
    assert found == [Mailbox(address="ada@example.org"), BadEntry(1, reason), RecipientRef(recipient="user-7")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["email", "address", "id", "recipient", "name", "locale"]) | st.text(), inner)
    ),
    max_leaves=15,
)
ADDRESSES = st.builds("{}@{}".format, st.text(st.characters(), max_size=4), st.text(st.characters(), max_size=4))


@given(JSON | ADDRESSES | st.lists(ADDRESSES | JSON))
def test_any_value_gives_destinations_that_can_travel_or_bad_entries(value: Any) -> None:
    # When
    found = list(destinations(value))

    # Then each can be written as JSON in UTF-8, and no two are the same
    good = [entry for entry in found if not isinstance(entry, BadEntry)]
    assert len({entry.identity for entry in good}) == len(good)
    for entry in good:
        assert type(entry).model_validate_json(entry.model_dump_json()) == entry
