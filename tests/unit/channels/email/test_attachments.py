"""Files attached to a mail: what is taken, and what is refused with its reason."""

import base64

import pytest

from notifier.channels.email.attachments import MAX_TOTAL_BYTES, File, check_total, read_attachment
from notifier.errors import InvalidAttachment, RenderError

WHERE = "order.shipped/customer attachments[0]"
HELLO = base64.b64encode(b"hello").decode()


def test_a_file_is_read_from_three_values() -> None:
    file = read_attachment("invoice.pdf", "application/pdf", HELLO, where=WHERE)
    assert file == File("invoice.pdf", "application/pdf", b"hello")


def test_base64_may_be_broken_into_lines() -> None:
    assert read_attachment("a.txt", "text/plain", "aGVs\r\nbG8=\n", where=WHERE).content == b"hello"


@pytest.mark.parametrize(
    ("written", "name"),
    [("../../etc/passwd", ".._.._etc_passwd"), ("a\\b.exe", "a_b.exe"), ("line\r\nBcc: x.pdf", "line Bcc: x.pdf")],
)
def test_a_name_is_one_name_on_one_line(written: str, name: str) -> None:
    assert read_attachment(written, "text/plain", HELLO, where=WHERE).name == name


@pytest.mark.parametrize(
    ("name", "media_type", "content", "reason"),
    [
        ("a.pdf", "application/pdf", "not base64!", "not base64"),
        ("a.pdf", "application/pdf", "aGVsbG8", "not base64"),
        ("a.pdf", "application/pdf", None, "the content must be a text, not null"),
        ("a.pdf", "application/pdf", {"a": 1}, "dict"),
        ("", "application/pdf", HELLO, "the name is empty"),
        (" ", "application/pdf", HELLO, "the name is empty"),
        (7, "application/pdf", HELLO, "the name must be a text, not int"),
        ("a.pdf", "", HELLO, "the media type is empty"),
        ("..", "application/pdf", HELLO, "no letters"),
        ("x" * 256, "application/pdf", HELLO, "more than 255"),
        ("é" * 128, "application/pdf", HELLO, "more than 255"),
        ("a.pdf", "pdf", HELLO, "media type"),
        ("a.pdf", "text/html\r\nBcc: x", HELLO, "media type"),
        ("a.pdf", "text/plain; charset", HELLO, "media type"),
        ("a.pdf", "text/plain; charset=utf-8\r\nBcc: x@example.org", HELLO, "line end"),
        ("a.pdf", "text/plain; boundary=x", HELLO, "boundary"),
        ("a.eml", "message/rfc822", HELLO, "media type"),
        ("a", "multipart/mixed", HELLO, "media type"),
    ],
)
def test_what_cannot_be_attached_says_where_and_why(
    name: object, media_type: object, content: object, reason: str
) -> None:
    with pytest.raises(InvalidAttachment, match=reason) as refusal:
        read_attachment(name, media_type, content, where=WHERE)
    assert WHERE in str(refusal.value)
    assert isinstance(refusal.value, RenderError)


@pytest.mark.parametrize("content", ["", " ", "\r\n"])
def test_an_empty_file_is_attached_as_zero_bytes(content: str) -> None:
    # Once this was refused: the content must be a text that is not empty, not str
    assert read_attachment("empty.log", "text/plain", content, where=WHERE) == File("empty.log", "text/plain", b"")


def test_parameters_of_a_media_type_keep_their_case() -> None:
    file = read_attachment("invite.ics", "Text/Calendar; Method=REQUEST; charset=UTF-8", HELLO, where=WHERE)
    assert file.media_type == "text/calendar; method=REQUEST; charset=UTF-8"
    assert file.invites


def test_files_together_have_a_limit() -> None:
    half = File("a", "text/plain", b"x" * (MAX_TOTAL_BYTES // 2))
    check_total([half, half])
    with pytest.raises(InvalidAttachment, match="at most"):
        check_total([half, half, File("b", "text/plain", b"x")])
