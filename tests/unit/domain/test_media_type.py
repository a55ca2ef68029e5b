"""Media types with parameters, read and written by the rules of RFC 2045 and 2231."""

from email.headerregistry import HeaderRegistry

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifier.domain.media_type import MAX_PARAMETER, MAX_TEXT, read_media_type


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("application/pdf", "application/pdf"),
        (" Application/PDF ", "application/pdf"),
        ("text/calendar; method=REQUEST; charset=utf-8", "text/calendar; method=REQUEST; charset=utf-8"),
        ("text/calendar;METHOD=REQUEST;charset=UTF-8;", "text/calendar; method=REQUEST; charset=UTF-8"),
        ('text/csv; charset="utf-8"; header=present', "text/csv; charset=utf-8; header=present"),
        ('text/plain; name="My \\"file\\", final.txt"', 'text/plain; name="My \\"file\\", final.txt"'),
        ('text/plain; name=""', 'text/plain; name=""'),
        ('text/plain; name="Müller.txt"', "text/plain; name*=utf-8''M%C3%BCller.txt"),
        ("text/plain; name*=utf-8''M%C3%BCller.txt", "text/plain; name*=utf-8''M%C3%BCller.txt"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",) * 2,
    ],
)
def test_a_media_type_keeps_its_parameters(text: str, written: str) -> None:
    assert str(read_media_type(text)) == written


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a media type"),
        ("pdf", "is not a media type"),
        ("text/", "is not a media type"),
        ("a b/c", "is not a media type"),
        ("text/plain charset=utf-8", "is not a parameter"),
        ("text/plain; charset", "is not a parameter"),
        ("text/plain; charset=", "is not a parameter"),
        ("text/plain; charset=utf 8", "is not a parameter"),
        ('text/plain; name="x', "is not a parameter"),
        ("text/plain; name=x@y", "is not a parameter"),
        ("text/plain; name=Müller", 'name="value"'),
        ("text/plain; charset=a; CHARSET=b", "there twice"),
        ("text/plain\r\nBcc: x@example.org", "line end"),
        ('text/plain; name="x\r\nBcc: x@example.org"', "line end"),
        ('text/plain; name="x\x00"', "control character"),
        ('text/plain; name="x\u2028"', "control character"),
        ("multipart/mixed; x=y", "not a media type a file can have"),
        ("Multipart/Mixed", "not a media type a file can have"),
        ("message/rfc822", "not a media type a file can have"),
        ("text/plain; boundary=x", "boundary"),
        ("text/plain; Boundary*0=x", "boundary"),
        ("text/plain; name=" + "x" * MAX_TEXT, "at most"),
        ('text/plain; name="' + "é" * 400 + '"', "too long"),
    ],
)
def test_what_is_none_is_refused_with_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_media_type(text)


_NAMES = st.text(st.sampled_from("abcXYZ019-"), min_size=1, max_size=8).filter(lambda name: name.lower() != "boundary")


@example({"a": "*", "b": "it's", "c": "%41"})
@given(st.dictionaries(_NAMES.map(str.lower), st.text(st.characters(), max_size=30), max_size=4))
def test_whatever_is_read_is_written_as_one_header_that_others_read_alike(parameters: dict[str, str]) -> None:
    # Given any values in quotes
    quoted = [(name, value.replace("\\", "\\\\").replace('"', '\\"')) for name, value in parameters.items()]
    text = "text/plain" + "".join(f'; {name}="{value}"' for name, value in quoted)
    try:
        media_type = read_media_type(text)
    except ValueError:
        return

    # Then they come back, and the header is one line of ASCII that the standard library reads alike
    assert dict(media_type.parameters) == parameters
    written = str(media_type)
    assert written.isascii()
    assert written.isprintable() or "\t" in written
    assert all(len(part) <= MAX_PARAMETER for part in media_type.written())
    read = HeaderRegistry()("content-type", written)
    assert read.content_type == "text/plain"
    if not any("\t" in value for value in parameters.values()):
        assert dict(read.params) == parameters
