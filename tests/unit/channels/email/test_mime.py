"""Mails are written by hand, so they are proven equal: the standard library reads back what was meant, for any text."""

import base64
import dataclasses
import email.policy
import re
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.channels.email import headers
from notifier.channels.email.attachments import File
from notifier.channels.email.headers import clean
from notifier.channels.email.mime import Letter, write
from notifier.engine.lines import whole_lines

LETTER = Letter(
    id="dlv_abcdefghijklmnopqrstuvwxyz",
    hostname="mail.example.org",
    sender_name="Shop",
    sender="shop@example.org",
    to_name="Jo",
    to="jo@example.net",
    subject="Your order",
    text="Hello\n",
    html="<p>Hello</p>\n",
    date=1_700_000_000.0,
)

#: Any text a template may make, with what tends to break mail more often than chance would have it.
TEXTS = st.one_of(
    st.text(st.characters()),
    st.text(st.sampled_from('a .\r\n\t=?_-:<>"\\,;@é漢😀\u0301\u00a0\u2028\ud800\x00\x1b')),
    st.lists(
        st.sampled_from(
            [
                "From ",
                "=?utf-8?q?a=0ABcc=3A_x=40y?=",
                "\r\nBcc: x@example.org",
                "\n.\n",
                "x" * 80,
                "é" * 80,
                "y" * 1200,
                " ",
            ]
        )
    ).map("".join),
)


def letter(**changes: object) -> Letter:
    return dataclasses.replace(LETTER, **changes)  # type: ignore[arg-type]


def read(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def as_text(text: str) -> str:
    """What a body becomes on its way: real characters, one kind of line end, and one at the end."""
    whole = re.sub("[\ud800-\udfff]", "\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    return whole if whole.endswith("\n") else whole + "\n"


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode().replace("\r\n", "\n")


def named(content: bytes, header: str) -> tuple[str, str]:
    """Name and address. `policy.default` of Python 3.12.1 puts a space between two encoded words of one name."""
    name, address = parseaddr(email.message_from_bytes(content)[header])
    return str(make_header(decode_header(name))), address


def as_name(text: str) -> str:
    """What a display name becomes: one line with single spaces, at most 100 bytes, cut between characters."""
    return " ".join(clean(text).split()).encode()[:100].decode(errors="ignore").rstrip()


def assert_fit_for_any_relay(content: bytes) -> None:
    assert content.isascii()
    assert b"\x00" not in content
    assert content.endswith(b"\r\n")
    assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
    assert max(map(len, content.split(b"\r\n"))) <= 998


@given(TEXTS, TEXTS, TEXTS)
def test_every_header_says_what_was_meant(subject: str, sender_name: str, to_name: str) -> None:
    # Given any subject and names
    content = write(letter(subject=subject, sender_name=sender_name, to_name=to_name))

    # When the standard library reads it
    message = read(content)

    # Then every header is there once and says what was meant
    assert_fit_for_any_relay(content)
    assert message.keys() == [
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "MIME-Version",
        "Content-Type",
    ]  # fmt: skip
    assert message["Subject"] == clean(subject)
    assert named(content, "From") == (as_name(sender_name), LETTER.sender)
    assert named(content, "To") == (as_name(to_name), LETTER.to)
    assert message["Message-ID"] == "<dlv_abcdefghijklmnopqrstuvwxyz@mail.example.org>"
    assert message["Date"].datetime.timestamp() == LETTER.date


@given(st.text(st.sampled_from("Jo .=?'-9é"), max_size=80), st.integers(1, 90))
def test_the_short_cut_for_plain_names_writes_what_the_general_way_writes(display: str, length: int) -> None:
    address = "a" * length + "@example.net"
    assert headers.mailbox("To", display, address) == headers._any_mailbox("To", display, address)


@pytest.mark.parametrize(
    "name", ["x" * 300, "Jo " * 100, "é" * 300, "漢字" * 100, "😀" * 100, "a" + "😀" * 100, "e\u0301" * 90]
)
def test_a_long_name_is_cut_between_characters_and_so_are_its_encoded_words(name: str) -> None:
    # Given a name that Sendmail would write anew, and break the signature
    content = write(letter(to_name=name, sender_name=name))

    # Then it is cut, and each encoded word is whole characters by itself
    assert named(content, "To")[0] == named(content, "From")[0] == as_name(name)
    words = [base64.b64decode(word).decode() for word in re.findall(rb"=\?utf-8\?b\?([^?]*)\?=", content)]
    assert "".join(words) == as_name(name) * 2


def test_a_line_end_that_slipped_into_a_header_is_found_before_the_mail_leaves() -> None:
    assert whole_lines(write(letter()))
    with pytest.raises(ValueError, match="CRLF line ends only"):
        whole_lines(write(letter(hostname="mail.example.org\n")))


@settings(max_examples=300)
@given(TEXTS, TEXTS)
def test_every_body_says_what_was_meant(text: str, html: str) -> None:
    content = write(letter(text=text, html=html))
    message = read(content)
    assert_fit_for_any_relay(content)
    assert body(message, "plain") == as_text(text)
    if html:
        assert message.get_content_type() == "multipart/alternative"
        assert body(message, "html") == as_text(html)
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    else:
        assert message.get_content_type() == "text/plain"
    assert not any(part.defects for part in message.walk())


@given(TEXTS.map(clean).filter(lambda name: name and len(name.encode()) < 255), st.binary(), TEXTS)
def test_every_attachment_comes_out_as_it_went_in(name: str, data: bytes, text: str) -> None:
    files = (File(name, "application/pdf", data), File("plain.txt", "text/plain", b"second"))
    content = write(letter(text=text, files=files))
    message = read(content)
    assert_fit_for_any_relay(content)
    assert message.get_content_type() == "multipart/mixed"
    first, second = message.iter_attachments()
    # Not get_filename(): it takes quotes and angle brackets off a name as if they were not part of it.
    assert first["Content-Disposition"].params["filename"] == name
    assert (first.get_content_type(), first.get_payload(decode=True)) == ("application/pdf", data)
    assert (second.get_filename(), second.get_payload(decode=True)) == ("plain.txt", b"second")
    assert body(message, "plain") == as_text(text)


@pytest.mark.parametrize("attack", ["\r\nBcc: x@example.org", "\nBcc: x@example.org", "\rBcc: x@example.org",
    "=?utf-8?q?a=0ABcc=3A_x=40example.org?=", "=?utf-8?b?DQpCY2M6IHhAZXhhbXBsZS5vcmc=?=", "\u2028Bcc: x", "\x85Bcc: x",
    "\x0bBcc: x", "\x0cBcc: x", "\x1cBcc: x"])  # fmt: skip
@pytest.mark.parametrize("field", ["subject", "to_name", "sender_name"])
def test_no_value_can_become_another_header(field: str, attack: str) -> None:
    message = read(write(letter(**{field: "hello" + attack})))
    assert "Bcc" not in message
    assert len(message.keys()) == 9


def test_what_looks_like_an_encoded_word_is_read_as_it_was_written() -> None:
    message = read(write(letter(subject="=?utf-8?q?secret?= offer")))
    assert message["Subject"] == "=?utf-8?q?secret?= offer"


@pytest.mark.parametrize("subject", ["word " * 60, "é" * 300, "😀" * 120, "漢字" * 100, "mixed é " * 40])
def test_long_subjects_are_folded_into_short_lines(subject: str) -> None:
    head = write(letter(subject=subject)).partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78


def test_a_boundary_never_occurs_in_what_it_bounds() -> None:
    # Given a text that quotes the boundary that would be used
    text = f"--=_a_{LETTER.id}\n--=_a_{LETTER.id}_1--\n"

    # When it is written, Then it comes back whole
    message = read(write(letter(text=text)))
    assert body(message, "plain") == text
    assert body(message, "html") == LETTER.html


def test_the_same_letter_is_the_same_bytes() -> None:
    assert write(LETTER) == write(letter())


def test_short_ascii_lines_travel_as_they_are() -> None:
    assert b"Content-Transfer-Encoding: 7bit\r\n\r\nHello\r\n" in write(LETTER)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Grüße aus Köln und viel Freude", b"quoted-printable"),
        ("漢字" * 50, b"base64"),
        ("x" * 1000, b"quoted-printable"),
    ],
)
def test_other_texts_take_the_shorter_encoding(text: str, encoding: bytes) -> None:
    assert b"Content-Transfer-Encoding: " + encoding in write(letter(text=text, html=""))


def test_a_line_that_begins_with_from_is_not_left_for_mail_stores_to_quote() -> None:
    assert b"\r\nFrom " not in write(letter(text="x\nFrom here on\n", html="<p>\nFrom ü\n")).partition(b"\r\n\r\n")[2]


def test_what_can_be_switched_off_says_how() -> None:
    message = read(write(letter(unsubscribe_url="https://example.org/unsubscribe/abc")))
    assert message["List-Unsubscribe"] == "<https://example.org/unsubscribe/abc>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_one_click_is_only_promised_for_https() -> None:
    message = read(write(letter(unsubscribe_url="http://localhost:8080/unsubscribe/abc")))
    assert message["List-Unsubscribe"] == "<http://localhost:8080/unsubscribe/abc>"
    assert "List-Unsubscribe-Post" not in message


def test_an_international_address_stands_in_its_header_as_it_is() -> None:
    content = write(letter(to="jörg@example.org"))
    assert "To: Jo <jörg@example.org>\r\n".encode() in content
