"""What each filter makes of a value."""

from __future__ import annotations

from typing import Any

import pytest

from notifier.errors import RenderError
from tests.unit.rendering.shelf import FOLDER, Shelf, context

NBSP = "\u00a0"
ENGLISH = {
    "1234.5 | number": "1,234.5",
    "1234.567 | number(2)": "1,234.57",
    "0.125 | number(2)": "0.13",
    "'12.30' | money('EUR')": "€12.30",
    "-3 | money('USD')": "-$3.00",
    "1234 | money('CHF')": f"CHF{NBSP}1,234.00",
    "1234.4 | money('JPY')": "¥1,234",
    "2 | money": "2.00",
    "'2026-11-21' | date": "21 November 2026",
    "'2026-11-21T16:05:00Z' | datetime": "21 November 2026, 16:05 UTC",
    "'2026-11-21T16:05:00Z' | datetime('America/New_York')": "21 November 2026, 11:05 EST",
    "'2026-11-21T16:05:00+02:00' | time": "14:05",
    "0 | date": "1 January 1970",
    "1 | plural('item', 'items')": "1 item",
    "0 | plural('item', 'items')": "0 items",
    "'a long title of a thread' | truncate(12)": "a long…",
    "'ab' | truncate(2)": "ab",
    "'a\nb' | indent(2, true)": "  a\n  b",
    "{'q': 'a b&c'} | urlencode": "q=a%20b%26c",
    "'é/' | urlencode": "%C3%A9%2F",
    "[3, 1, 2] | sort | join('-')": "1-2-3",
    "['b', 'A'] | sort | first": "A",
    "[1, 1, 2] | unique | length": "2",
    "[1, 2, 3] | batch(2) | length": "2",
    "[1, 2, 3] | reverse | first": "3",
    "'abc' | reverse": "cba",
    "{'b': 1, 'a': 2} | dictsort | first | first": "a",
    "[{'p': 2}, {'p': 5}] | max(attribute='p') | tojson": '{"p":5}',
    "[{'p': 2}, {'p': 5}] | sum(attribute='p')": "7",
    "'  x ' | trim | upper ~ '!'": "X!",
    "'7' | int + 1": "8",
    "'x' | int(9)": "9",
    "'1.5' | float * 2": "3.0",
    "-2 | abs": "2",
    "2.5 | round": "2",
    "{'a': ['<b>', none, true, 1.5]} | tojson": '{"a":["<b>",null,true,1.5]}',
    "' https://x.example/?a=1' | url": "https://x.example/?a=1",
    "range(3) | last": "2",
    "'a,b'.split(',') | last": "b",
    "4 is even and 3 is odd and 9 is divisibleby(3)": "True",
    "[1] is sequence and {} is mapping and 'x' is string and 1 is number and true is boolean": "True",
}


@pytest.mark.parametrize(("source", "expected"), ENGLISH.items(), ids=ENGLISH.keys())
def test_a_filter_formats_a_value(shelf: Shelf, source: str, expected: str) -> None:
    assert shelf.text("{{ " + source + " }}") == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1234.5 | number(2)", "1.234,50"),
        ("1234.5 | money('EUR')", f"1.234,50{NBSP}€"),
        ("'2026-03-01' | date", "1. März 2026"),
        ("'2026-03-01T22:30:00Z' | datetime", "1. März 2026, 23:30 CET"),
    ],
)
def test_filters_speak_the_language_of_the_text_also_in_imported_macros(
    shelf: Shelf, source: str, expected: str
) -> None:
    # Given a German text that formats inside a macro, which does not see the names of the text that imports it
    shelf.file("_parts.text.j2", "{% macro shown() %}{{ " + source + " }}{% endmacro %}")
    shelf.write(email_subject="S", email_text="-")
    shelf.file(f"{FOLDER}/de/email.subject.j2", "S")
    shelf.file(f"{FOLDER}/de/email.text.j2", "{% from '_parts.text.j2' import shown %}{{ shown() }}")
    # When it is rendered for somebody in Vienna
    to = {"email": "a@example.org", "timezone": "Europe/Vienna"}
    message = shelf.load().email(FOLDER, context(recipient=to), "de-AT")
    # Then it is German, and in their time
    assert message.text == expected


def test_a_language_without_formats_gets_iso_dates(shelf: Shelf) -> None:
    shelf.write(email_subject="S", email_text="-")
    shelf.file(f"{FOLDER}/fr/email.subject.j2", "S").file(f"{FOLDER}/fr/email.text.j2", "{{ '2026-11-21' | date }}")
    assert shelf.load().email(FOLDER, context(), "fr").text == "2026-11-21"


def test_an_unknown_time_zone_of_a_recipient_means_utc(shelf: Shelf) -> None:
    message = shelf.mail(text="{{ '2026-11-21T16:05:00Z' | datetime }}", more={"recipient": {"timezone": "Mars/Base"}})
    assert message.text == "21 November 2026, 16:05 UTC"


@pytest.mark.parametrize("value", [None, True, [], {}, "many", float("nan"), float("inf")])
def test_what_is_not_a_number_has_no_price(shelf: Shelf, value: Any) -> None:
    with pytest.raises(RenderError):
        shelf.text("{{ data.price | money('EUR') }}", {"price": value})


def test_lines_that_somebody_typed_stay_lines_in_html_and_nothing_else_gets_in(shelf: Shelf) -> None:
    typed = 'a <b>\r\nc & d\re\n\n"f"'
    made = "a &lt;b&gt;<br>\nc &amp; d<br>\ne<br>\n<br>\n&#34;f&#34;"
    assert shelf.html("{{ data.note | nl2br }}", {"note": typed}) == made
    assert shelf.html("{{ data.note | upper | nl2br }}", {"note": "a\nb"}) == "A<br>\nB"
    assert shelf.html("{{ data.note | nl2br }}", {"note": 7}) == "7"
