"""What people write into address fields, read by one reader."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain import mailboxes
from notifier.domain.mailboxes import MAX_TEXT, Named, read_mailbox, read_mailboxes
from notifier.errors import InvalidAddress

A, B = Named("", "a@example.com"), Named("", "b@example.com")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a@example.com", [A]),
        ("a@example.com, b@example.com", [A, B]),
        ("a@example.com;b@example.com", [A, B]),
        ("a@example.com; b@example.com;", [A, B]),
        ("a@example.com,, b@example.com,", [A, B]),
        ("<a@example.com>", [A]),
        ("Ada Lovelace <ada@example.com>", [Named("Ada Lovelace", "ada@example.com")]),
        ("J. R. Smith <a@example.com>; b@example.com", [Named("J. R. Smith", "a@example.com"), B]),
        ('"Lovelace, Ada" <a@example.com>, b@example.com', [Named("Lovelace, Ada", "a@example.com"), B]),
        ('"Lovelace; Ada" <a@example.com>; b@example.com', [Named("Lovelace; Ada", "a@example.com"), B]),
        ('"The \\"Shop\\"" <a@example.com>', [Named('The "Shop"', "a@example.com")]),
        ("Lovelace, Ada <a@example.com>", [Named("Lovelace, Ada", "a@example.com")]),
        ("a@example.com (at work), b@example.com", [A, B]),
        ("Team: a@example.com, b@example.com;", [A, B]),
        ("Team: a@example.com;, b@example.com", [A, B]),
        ("undisclosed-recipients:;", []),
        ("Jörg <jörg@bücher.example>, a@example.com", [Named("Jörg", "jörg@bücher.example"), A]),
        ("=?utf-8?q?J=C3=B6rg?= <a@example.com>", [Named("Jörg", "a@example.com")]),
    ],
)
def test_a_text_names_one_mailbox_or_several(text: str, found: list[Named]) -> None:
    assert read_mailboxes(text) == tuple(found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a@example.com <b@example.com>", "cannot be read as addresses"),
        ("a@example.com, Ada", "cannot be read as addresses"),
        ("alice@example.org)bob@example.org", "cannot be read as addresses"),
        ('a@example.com, "b', "in quotes"),
        ("<a@example.com, b@example.com>", "with , or ; between several"),
        ("Kim, a@example.com <b@example.com>", "cannot be read as addresses"),
        ("a@example.com\r\nBcc: x@example.org", "line end"),
        ("a@example.com,\nb@example.com", "line end"),
        ("a@example.com\u2028, b@example.com", "control character"),
        ("a@example.com, b@\ud800", "control character"),
        ("a@example.com, " * 500, "give a list"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_write_and_without_quoting_it(text: str, reason: str) -> None:
    with pytest.raises(InvalidAddress, match=reason) as refusal:
        read_mailboxes(text)
    assert "example.com," not in str(refusal.value)


def test_one_mailbox_is_not_two() -> None:
    assert read_mailbox("Ada <a@example.com>") == Named("Ada", "a@example.com")
    with pytest.raises(InvalidAddress, match="one address is wanted here, and these are 2"):
        read_mailbox("a@example.com, b@example.com")


@given(st.text(st.sampled_from('a@.,;<>()":\\=?[]é- \tb') | st.characters(), max_size=60))
def test_any_text_gives_mailboxes_or_a_reason(text: str) -> None:
    try:
        found = read_mailboxes(text)
    except InvalidAddress:
        return
    assert len(found) == 1 or all(one.address.count("@") for one in found)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=30), max_size=5))
def test_names_in_quotes_come_back_whatever_is_in_them(names: list[str]) -> None:
    quoted = ['"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names if "=?" not in name]
    text = "; ".join(f"{name} <a{number}@example.com>" for number, name in enumerate(quoted))
    if not quoted or len(text) > MAX_TEXT:
        return
    assert [one.name for one in read_mailboxes(text)] == [name for name in names if "=?" not in name]


@given(
    st.text(string.ascii_letters + "éß漢 .'&-", max_size=20),
    st.from_regex(r"[a-z0-9_+-]+(\.[a-z0-9_+-]+)*@[a-z0-9-]+(\.[a-z0-9-]+)*", fullmatch=True),
)
def test_the_short_cut_reads_a_name_and_address_as_the_library_does(name: str, address: str) -> None:
    text = f"{name}<{address}>".strip()
    simple = mailboxes._SIMPLE.fullmatch(text)
    assert simple is not None
    expected = mailboxes._parsed(text)
    if expected is not None:
        assert read_mailboxes(text) == expected
