"""What is an email address, and how it is written into an SMTP command."""

import string

import pytest
from email_validator import validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain import addresses
from notifier.domain.addresses import Address, parse_address, parse_sender
from notifier.errors import InvalidAddress


@pytest.mark.parametrize(
    ("written", "envelope", "smtputf8"),
    [
        ("jo@example.org", "jo@example.org", False),
        ("  jo@example.org ", "jo@example.org", False),
        ("Jo.Smith+shop@EXAMPLE.org", "Jo.Smith+shop@example.org", False),
        ("jo@bücher.example", "jo@xn--bcher-kva.example", False),
        ("jo@例え.テスト", "jo@xn--r8jz45g.xn--zckzah", False),
        ("jörg@example.org", "jörg@example.org", True),
        ("用户@例え.テスト", "用户@xn--r8jz45g.xn--zckzah", True),
        ("root@localhost", "root@localhost", False),
        ("o'neil@example.org", "o'neil@example.org", False),
    ],
)
def test_an_address_is_read_as_it_travels(written: str, envelope: str, smtputf8: bool) -> None:
    assert parse_address(written) == Address(envelope, smtputf8)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "nobody",
        "@example.org",
        "jo@",
        "jo@@example.org",
        "jo@example..org",
        "a..b@example.org",
        "jo@example.org\r\nRCPT TO:<x@example.net>",
        "jo@example.org\n",
        "jo\x00@example.org",
        "<jo@example.org>",
        "Jo <jo@example.org>",
        "jo@example.org>",
        "jo smith@example.org",
        '"jo smith"@example.org',
        "jo@[127.0.0.1]",
        "jo@example.org,x@example.net",
        "jo@exam\u2028ple.org",
        "jo@\ud800.org",
        "\ud800@example.org",
        "jo@" + "a" * 300 + ".org",
    ],
)
def test_what_is_no_address_is_refused_with_a_reason_and_without_quoting_it(written: str) -> None:
    with pytest.raises(InvalidAddress) as refusal:
        parse_address(written)
    assert not written or written not in str(refusal.value)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("Jo <jo@example.org>", "one address alone"),
        ("jo@example.org,x@example.net", "one address alone"),
        ("jo@example.org x@example.net", "need a comma or semicolon between them"),
    ],
)
def test_what_is_more_than_an_address_is_refused_with_the_right_words(written: str, reason: str) -> None:
    with pytest.raises(InvalidAddress, match=reason):
        parse_address(written)


@given(st.text())
def test_whatever_is_written_either_is_safe_in_a_command_or_is_refused(written: str) -> None:
    try:
        address = parse_address(written)
    except InvalidAddress:
        return
    assert address.envelope.count("@") == 1
    assert not set(address.envelope) & set(' <>\r\n\t\x00,;:"()')
    assert address.envelope.isprintable()
    assert address.smtputf8 is not address.envelope.isascii()


@pytest.mark.parametrize(
    ("written", "name", "address"),
    [
        ("shop@example.org", "", "shop@example.org"),
        ("Shop <shop@example.org>", "Shop", "shop@example.org"),
        ("<shop@example.org>", "", "shop@example.org"),
        ('"Shop, Inc. \\"The\\"" <shop@example.org>', 'Shop, Inc. "The"', "shop@example.org"),
        ("Shop, Inc. <shop@example.org>", "Shop, Inc.", "shop@example.org"),
        ("Shop: News <shop@example.org>", "Shop: News", "shop@example.org"),
        ("Böörds & Söhne <shop@bücher.example>", "Böörds & Söhne", "shop@xn--bcher-kva.example"),
    ],
)
def test_a_sender_may_have_a_name(written: str, name: str, address: str) -> None:
    sender = parse_sender(written)
    assert (sender.name, sender.address.envelope) == (name, address)


@pytest.mark.parametrize(
    "written", ["Shop", "Shop <>", "a@b.example <c@d.example> e", "Shop <a@b.example\r\nBcc: x@y.z>"]
)
def test_what_is_no_sender_is_refused(written: str) -> None:
    with pytest.raises(InvalidAddress):
        parse_sender(written)


def _words(alphabet: str, longest: int, *, most: int) -> st.SearchStrategy[str]:
    """Words joined by dots."""
    return st.lists(st.text(alphabet, min_size=1, max_size=longest), min_size=1, max_size=most).map(".".join)


# Not from the expression itself: 600 examples of one with so many looks ahead take half a minute.
_LOCALS = _words(string.ascii_letters + string.digits + "_+-", 64, most=4)
_DOMAINS = st.builds(
    "{}.{}".format,
    _words(string.ascii_letters + string.digits + "-", 63, most=5),
    st.text(string.ascii_letters, min_size=2, max_size=63),
)


@given(st.builds("{}@{}".format, _LOCALS, _DOMAINS).filter(addresses._PLAIN.fullmatch).filter(lambda a: len(a) <= 254))
@settings(max_examples=600)
def test_the_short_cut_reads_an_address_as_the_library_does(text: str) -> None:
    # Given an address that takes the short cut, when the library reads it
    parsed = validate_email(text, check_deliverability=False, globally_deliverable=False)
    # Then both say the same
    assert parse_address(text) == addresses.Address(f"{parsed.local_part}@{parsed.ascii_domain}", smtputf8=False)


@pytest.mark.parametrize("text", ["kim@example.org", "a.b+c_d-e@sub.example.co.uk", "K.Im@EXAMPLE.org"])
def test_what_nearly_every_address_looks_like_takes_the_short_cut(text: str) -> None:
    assert addresses._PLAIN.fullmatch(text)
