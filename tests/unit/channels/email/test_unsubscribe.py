"""One-click unsubscribe links: made, read, and not forged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.email.unsubscribe import UnsubscribeLinks, Unsubscription
from notifier.domain.ids import recipient_key
from notifier.errors import NotFound

KEY = "k" * 32
LINKS = UnsubscribeLinks("https://example.org/", [KEY])
JO = recipient_key("jo@example.org")


@given(st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"])))
def test_a_link_says_who_wants_to_hear_no_more_of_what(category: str) -> None:
    assert LINKS.read(LINKS.token(JO, category)) == Unsubscription(JO, category)


def test_a_link_is_a_url_without_the_address() -> None:
    url = LINKS.url(JO, "news")
    assert url.startswith("https://example.org/unsubscribe/")
    assert "jo" not in url.rsplit("/", 1)[1].split("jo@")[1:]
    assert url == LINKS.url(JO, "news")
    assert set(url.rsplit("/", 1)[1]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text())
def test_what_was_not_written_here_is_no_link(token: str) -> None:
    with pytest.raises(NotFound):
        LINKS.read(token)


@given(st.integers(min_value=0), st.sampled_from("ABCxyz019-_"))
def test_no_character_of_a_link_can_be_changed(place: int, character: str) -> None:
    token = LINKS.token(JO, "news")
    place %= len(token) - 1
    forged = token[:place] + character + token[place + 1 :]
    if forged == token:
        return
    with pytest.raises(NotFound):
        LINKS.read(forged)


def test_links_of_a_former_key_are_still_read_and_those_of_others_are_not() -> None:
    rotated = UnsubscribeLinks("https://example.org", ["n" * 32, KEY])
    assert rotated.read(LINKS.token(JO, "news")) == Unsubscription(JO, "news")
    with pytest.raises(NotFound):
        LINKS.read(rotated.token(JO, "news"))


def test_links_need_a_key() -> None:
    with pytest.raises(ValueError, match="secret key"):
        UnsubscribeLinks("https://example.org", [])
