"""Numbers that no float is, in templates: printed, counted with, compared and written with all their digits."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from notifier.domain.cloudevents import decode_structured
from notifier.domain.event import Event
from notifier.errors import RenderError
from notifier.rendering.context import event_context
from notifier.rendering.expressions import Expressions
from tests.unit.rendering.shelf import FOLDER, Shelf

DATA = {
    "wei": 10**21 + 1,
    "d": Decimal("0.1234567890123456789"),
    "big": Decimal("12345678901234567890123456789012345678901234567890.125"),
    "tiny": Decimal("1E-400"),
    "n": Decimal("-7.00000000000000000005"),
    "seconds": Decimal("1764485520.123456789"),
    "list": [Decimal("0.1000000000000000000001"), 0.2, 1],
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ data.wei }}", "1000000000000000000001"),
        ("{{ data.d }}", "0.1234567890123456789"),
        ("{{ data.tiny }}", "0." + "0" * 399 + "1"),
        ("{{ -data.big }}", "-12345678901234567890123456789012345678901234567890.125"),
        ("{{ +data.big }}", "12345678901234567890123456789012345678901234567890.125"),
        ("{{ data.big + 1 }}", "12345678901234567890123456789012345678901234567891.125"),
        ("{{ data.big + 0.5 }}", "12345678901234567890123456789012345678901234567890.625"),
        ("{{ data.big * 2 - data.big == data.big }}", "True"),
        ("{{ data.big // 1 }}", "12345678901234567890123456789012345678901234567890"),
        ("{{ data.n // 2 }}", "-4"),
        ("{{ data.n % 2 }}", "0.99999999999999999995"),
        ("{{ 1 / data.list[0] < 10 }}", "True"),
        ("{{ data.d | round(3) }} {{ data.big | round }}", "0.123 12345678901234567890123456789012345678901234567890"),
        ("{{ data.n | abs }}", "7.00000000000000000005"),
        ("{{ data.big | int }}", "12345678901234567890123456789012345678901234567890"),
        ("{{ data.big | number(2) }}", "12,345,678,901,234,567,890,123,456,789,012,345,678,901,234,567,890.13"),
        ("{{ data.wei | money('EUR') }}", "€1,000,000,000,000,000,000,001.00"),
        ("{{ '%.2f' | format(data.big) }}", "12345678901234567890123456789012345678901234567890.12"),
        (
            "{{ '%08.2f|%-6.1f|%+.0f|%s|100%%' | format(data.d, data.d, data.wei, data.d) }}",
            "00000.12|0.1   |+1000000000000000000001|0.1234567890123456789|100%",
        ),
        ("{{ data.list | sum }}", "1.3000000000000000000001"),
        ("{{ data.list | sort | join(' ') }}", "0.1000000000000000000001 0.2 1"),
        ("{{ data.list | max }} {{ data.list | unique | length }}", "1 3"),
        ("{{ data.d is number }} {{ data.d is float }} {{ data.d is integer }}", "True True False"),
        ("{{ data.d | tojson }} {{ data.list | tojson }}", "0.1234567890123456789 [0.1000000000000000000001,0.2,1]"),
        ("{{ data.seconds | time('UTC') }}", "06:52"),
        (
            "{{ 2 | plural('coin', 'coins') }} {{ data.d | plural('coin', 'coins') }}",
            "2 coins 0.1234567890123456789 coins",
        ),
        ("{{ 'more' if data.wei > 1e21 else 'less' }}", "more"),
    ],
)
def test_a_template_sees_all_digits(shelf: Shelf, source: str, expected: str) -> None:
    assert shelf.text(source, DATA).strip() == expected


def test_html_and_json_templates_do_too(shelf: Shelf) -> None:
    assert shelf.html("<p>{{ data.d }}</p>", DATA) == "<p>0.1234567890123456789</p>"
    body = shelf.webhook('{"a": {{ data.d | tojson }}, "b": "{{ data.wei }}", "c": {{ data.wei }}}', DATA).body
    assert body == b'{"a":0.1234567890123456789,"b":"1000000000000000000001","c":1000000000000000000001}'


@pytest.mark.parametrize(
    "source", ["{{ data.d / 0 }}", "{{ data.d % 0 }}", "{{ data.tiny * data.tiny * data.tiny }}", "{{ data.d + 'x' }}"]
)
def test_what_cannot_be_counted_is_an_error_of_the_template(shelf: Shelf, source: str) -> None:
    with pytest.raises(RenderError):
        shelf.text(source, DATA)


def test_a_rule_compares_exactly() -> None:
    event = Event(id="1", source="/s", type=FOLDER, data=DATA)
    expressions = Expressions()
    assert expressions.compile("data.d > 0.12345678901234567").evaluate(event) is True
    assert expressions.compile("data.d").evaluate(event) == DATA["d"]


def test_big_integers_were_a_float_in_the_mail_and_another_number_in_the_webhook(shelf: Shelf) -> None:
    # Given an event with more than 64 bits
    head = b'{"specversion":"1.0","id":"big-1","source":"/bugs","type":"payment.settled","data":'
    published = head + b'{"to":"ada@example.com","wei":1000000000000000000001,"account":18446744073709551617}}'
    event = decode_structured(published)

    # Then mail and webhook say what was published
    assert shelf.text("{{ data.wei }} {{ data.account }}", event.data) == "1000000000000000000001 18446744073709551617"
    body = shelf.load().webhook("nowhere", event, {}).body
    assert b'"wei":1000000000000000000001,"account":18446744073709551617' in body


def test_data_that_is_no_json_reaches_templates_as_base64(shelf: Shelf) -> None:
    wire: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/bugs", "type": "x.b64"}
    event = decode_structured(
        json.dumps({**wire, "datacontenttype": "application/xml", "data_base64": "PGE+PC9hPg=="}).encode()
    )
    renderer = shelf.write(
        email_subject="s {{ event.data_base64 }}", email_text="{{ event.data_base64 | default('none', true) }}"
    ).load()

    mail = renderer.email(FOLDER, event_context(event, recipient=None, delivery_id="d"))

    assert mail.subject == "s PGE+PC9hPg=="


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-30T06:52:00.123456789Z",
        "2026-11-30t06:52:00z",
        "2026-11-30T06:52:00.12345678901234567890123456789+00:00",
    ],
)
def test_a_time_is_shown_as_published_and_formatted_as_an_instant(shelf: Shelf, written: str) -> None:
    wire = {"specversion": "1.0", "id": "1", "source": "/bugs", "type": FOLDER, "time": written}
    event = decode_structured(json.dumps(wire).encode())
    renderer = shelf.write(email_subject="s", email_text="{{ event.time }} {{ event.time | time('UTC') }}").load()

    assert (
        renderer.email(FOLDER, event_context(event, recipient=None, delivery_id="d")).text.strip() == f"{written} 06:52"
    )


def test_a_leap_second_can_be_formatted(shelf: Shelf) -> None:
    assert shelf.text("{{ data | datetime('UTC') }}", "2016-12-31T23:59:60Z").strip() == "31 December 2016, 23:59 UTC"
