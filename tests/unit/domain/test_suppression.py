"""Why nothing is sent to an address: parts that do not know of each other, and what each of them stops."""

import pytest

from notifier.domain.ids import recipient_key
from notifier.domain.suppression import (
    NOTHING,
    Part,
    bounced,
    by_operator,
    complained,
    forgotten,
    unsubscribed,
    without_addresses,
)

BOUNCE = bounced("smtp_550_5.1.1", 1.0)
NEWS, OFFERS = unsubscribed("news", 2.0), unsubscribed("offers", 3.0)


@pytest.mark.parametrize(
    ("parts", "news", "transactional"),
    [
        ((), "", ""),
        ((BOUNCE,), "bounced: smtp_550_5.1.1", "bounced: smtp_550_5.1.1"),
        ((complained("by a feedback loop", 1.0),), *["complaint: by a feedback loop"] * 2),
        ((complained("", 1.0),), "complaint", "complaint"),
        ((by_operator("asked by phone", 1.0),), *["operator: asked by phone"] * 2),
        ((by_operator("", 1.0),), "operator: suppressed", "operator: suppressed"),
        ((forgotten(1.0),), "forgotten", "forgotten"),
        ((NEWS,), "unsubscribed:news", ""),
        ((OFFERS,), "", ""),
        ((OFFERS, NEWS), "unsubscribed:news", ""),
        ((NEWS, BOUNCE), "bounced: smtp_550_5.1.1; unsubscribed:news", "bounced: smtp_550_5.1.1"),
        ((NEWS, forgotten(1.0), BOUNCE), "bounced: smtp_550_5.1.1; forgotten; unsubscribed:news", None),
    ],
)
def test_a_category_stops_itself_and_every_other_part_stops_everything(
    parts: tuple[Part, ...], news: str, transactional: str | None
) -> None:
    known = NOTHING.plus(*parts)

    assert known.reason("news", transactional=False) == news
    if transactional is not None:
        assert known.reason("news", transactional=True) == transactional


def test_of_two_parts_with_one_name_the_first_stays() -> None:
    known = NOTHING.plus(BOUNCE, NEWS).plus(bounced("smtp_550_5.1.6", 9.0), unsubscribed("news", 9.0), OFFERS)

    assert known == NOTHING.plus(BOUNCE, NEWS, OFFERS)


def test_lifting_takes_the_parts_that_are_named_and_no_other() -> None:
    known = NOTHING.plus(BOUNCE, NEWS, OFFERS)

    assert known.minus(["bounce"]).names == ("category:news", "category:offers")
    assert known.minus(["category:news", "complaint"]).names == ("bounce", "category:offers")
    assert not known.minus(known.names)


def test_wishes_are_what_is_true_of_the_person_and_not_of_the_mailbox() -> None:
    known = NOTHING.plus(BOUNCE, NEWS, complained("", 1.0), by_operator("x", 1.0), forgotten(1.0))

    assert {part.name for part in known.wishes} == {"category:news", "complaint", "operator", "forgotten"}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("asked by phone", "asked by phone"),
        ("kim@example.org asked", "k…@example.org asked"),
        ("from <kim.lee+x@example.org>, twice", "from <k…@example.org>, twice"),
        ('a@b and "c d"@e', 'a…@b and "c d"…@e'),
        ("mail @ noon", "mail @ noon"),
    ],
)
def test_a_reason_never_keeps_an_address(said: str, kept: str) -> None:
    assert without_addresses(said) == kept
    assert without_addresses(kept) == kept
    assert by_operator(said, 1.0).detail == kept


@pytest.mark.parametrize(
    "spellings",
    [
        ("kim@example.org", "Kim@Example.ORG", "  kim@example.org ", "KIM@EXAMPLE.ORG\n"),
        ("kim@bücher.example", "kim@BÜCHER.example", "kim@xn--bcher-kva.example", "KIM@XN--BCHER-KVA.EXAMPLE"),
        ("kim@bu\u0308cher.example", "kim@bücher.example", "kim@bücher。example"),
        ("jo\u0308@example.org", "jö@example.org"),
        ("kim@münchen.bücher.example", "kim@xn--mnchen-3ya.xn--bcher-kva.example", "kim@münchen.xn--bcher-kva.example"),
    ],
)
def test_all_spellings_of_an_address_have_one_key(spellings: tuple[str, ...]) -> None:
    assert len({recipient_key(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize("address", ["kim@xn--", "kim@xn--999999b", "xn--@example.org", "kim@xn--ü.example"])
def test_what_is_no_a_label_has_a_key_of_its_own(address: str) -> None:
    assert recipient_key(address) == recipient_key(address.upper())
    assert recipient_key(address) != recipient_key("kim@example.org")


def test_keys_are_those_of_the_release_before() -> None:
    # Given keys as the release before wrote them
    assert recipient_key("Kim@example.org") == "rcp_gjrcqaykrcq2p4f5t7mjbyvin4"
    assert recipient_key("kim@bücher.example") == "rcp_am3ufim3alkjjqoc43n45whrze"
    assert recipient_key("jö@example.org") == "rcp_czqixcizewa65lyz4apqoaf5zi"
