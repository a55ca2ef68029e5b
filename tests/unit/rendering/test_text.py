"""Plain text made from HTML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.rendering.meter import ExhaustedError, Meter
from notifier.rendering.text import text_from_html

PAIRS = {
    "<p>a</p><p>b</p>": "a\n\nb\n",
    "a<br>b<br/>c": "a\nb\nc\n",
    "  a \n  <b>b</b>c  d ": "a bc d\n",
    "<h1>T</h1>x": "T\n\nx\n",
    "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>": "- a\n- b\n  - c\n",
    "<ol><li>a<li>b</ol>": "1. a\n2. b\n",
    "<a href='https://x.example/'>here</a>, now": "here (https://x.example/), now\n",
    "<a href='https://x.example/'>https://x.example</a>": "https://x.example\n",
    "<a href='mailto:a@example.org'>a@example.org</a>": "a@example.org\n",
    "<a href='mailto:a@example.org'>write</a>": "write (a@example.org)\n",
    "<a href='#top'>up</a><a href='javascript:x()'>run</a>": "uprun\n",
    "<a href='https://x.example/?a=1&amp;b=2'><img src=y></a>": "https://x.example/?a=1&b=2\n",
    "<img alt='A cat' src=x>": "A cat\n",
    "<table><tr><td>Socks</td><td>2</td></tr><tr><td>Hat</td><td>1</td></tr></table>": "Socks  2\nHat  1\n",
    "<style>p{}</style><script>if (a<b) x()</script><title>t</title>x": "x\n",
    "<div style='display: none'>pre<div>header</div></div>x": "x\n",
    "<p hidden style='display:none'><b>no</p>x": "x\n",
    "a<!-- b --><!DOCTYPE html>c": "ac\n",
    "<pre>a\n  b</pre>": "a\n  b\n",
    "a<hr>b": "a\n\n--------------------\n\nb\n",
    "1 &lt; 2 &amp; 3 < 4 &nbsp;5": "1 < 2 & 3 < 4 5\n",
    "<p title='a > b'>x</p>": "x\n",
    "": "\n",
    "unfinished <a href='": "unfinished\n",
}


@pytest.mark.parametrize(("html", "text"), PAIRS.items(), ids=PAIRS.keys())
def test_html_becomes_readable_text(html: str, text: str) -> None:
    with Meter():
        assert text_from_html(html) == text


@given(
    st.lists(
        st.sampled_from(
            [
                "<p>",
                "</p>",
                "<ul>",
                "</ul>",
                "<li>",
                "<a href='https://x'>",
                "</a>",
                "<pre>",
                "</pre>",
                "<td>",
                "</td>",
                "<tr>",
                "<br>",
                "<style>",
                "</style>",
                "<div style='display:none'>",
                "</div>",
                "<!--",
                "-->",
                "<",
                "&amp;",
                "\n",
                " ",
            ]
        )
        | st.text(max_size=8)
    )
)
def test_any_run_of_tags_becomes_text_without_empty_runs_or_loose_ends(pieces: list[str]) -> None:
    with Meter():
        text = text_from_html("".join(pieces))
    assert text.endswith("\n")
    assert "<pre>" in pieces or "\n\n\n" not in text


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=1))
def test_every_visible_word_is_in_the_text(words: list[str]) -> None:
    with Meter():
        text = text_from_html("<ul>" + "".join(f"<li><b>{word}</b></li>" for word in words) + "</ul>")
    assert text == "".join(f"- {word}\n" for word in words)


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<a x='", "<!--", "<!>", "</div>", "<div>", "<p style='display:none'>", "<ul><li>"]
)
def test_broken_html_takes_bounded_work(piece: str) -> None:
    with Meter() as meter:
        try:
            text_from_html(piece * 100_000)
        except ExhaustedError:
            assert meter.steps < 0
