"""Where a mail's lines end decides where the mail ends."""

import pytest

from notifier.engine.lines import WholeLines, whole_lines


@pytest.mark.parametrize("content", [b"a\r\n", b"a\r\n\r\nb\r\n", WholeLines(b"a\r\n")])
def test_whole_lines_stay_as_they_are(content: bytes) -> None:
    assert whole_lines(content) is content


@pytest.mark.parametrize("content", [b"", b"a", b"a\n", b"a\r", b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b"\n\r\r\n"])
def test_a_lone_line_end_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="CRLF line ends only"):
        whole_lines(content)
