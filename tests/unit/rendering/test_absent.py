"""A name that nothing has is told with the nearest one, at the place where it is written, wherever it fails."""

from typing import Any

import pytest

from notifier.errors import RenderError
from notifier.rendering.registry import FILTERS
from tests.unit.rendering.shelf import FOLDER, Shelf, context

DATA: dict[str, Any] = {
    "amount": 5,
    "currency": "EUR",
    "due": "2026-01-01",
    "customer": {"name": "Ada"},
    "items": [{"sku": "a"}],
}


def told(shelf: Shelf, source: str) -> str:
    with pytest.raises(RenderError) as raised:
        shelf.text(source, DATA)
    assert "| default(" in raised.value.fix
    return str(raised.value)


@pytest.mark.parametrize("name", sorted(FILTERS.keys() - {"default", "d"}))
def test_every_filter_names_the_undefined_value_that_it_gets(shelf: Shelf, name: str) -> None:
    assert "email.text.j2:2: data has no 'amuont'; nearest: 'amount'" in told(
        shelf, "\n{{ data.amuont | " + name + " | string }}"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ data.amount | money(data.curency) }}", ":1: data has no 'curency'; nearest: 'currency'"),
        ("{{ data.amount | round(data.amuont) }}", ":1: data has no 'amuont'; nearest: 'amount'"),
        ("{{ 5 | time(tz=data.duee) }}", ":1: data has no 'duee'; nearest: 'due'"),
        ("{{ [data.amuont] | sum }}", ":1: data has no 'amuont'; nearest: 'amount'"),
        ("{{ data.customer.nme }}", ":1: data.customer has no 'nme'; nearest: 'name'"),
        ("{% for one in data.items %}\n{{ one.skku }}{% endfor %}", ":2: one has no 'skku'; nearest: 'sku'"),
        ("{{ data.items[0].skku }}", ":1: data.items[…] has no 'skku'; nearest: 'sku'"),
        ("{{ data.due.customer }}", ":1: data.due is a text and has no 'customer'"),
        ("{{ data.amount +\n 1 +\n data.amuont }}", ":3: data has no 'amuont'; nearest: 'amount'"),
        ("{% set due = data.duee %}\n\n{{ due | date }}", ":1: data has no 'duee'; nearest: 'due'"),
        ("{% macro titled(x) %}{% endmacro %}\n{{ titeld('x') }}", ":2: 'titeld' is undefined; nearest: 'titled'"),
    ],
)
def test_it_is_told_where_it_is_written_and_of_what(shelf: Shelf, source: str, message: str) -> None:
    assert message in told(shelf, source)


def test_what_a_macro_of_another_file_gets_is_told_at_the_call(shelf: Shelf) -> None:
    shelf.file("_parts.text.j2", "{% macro day(x) %}\n\n{{ x | date }}{% endmacro %}")
    source = "{% from '_parts.text.j2' import day, other %}\n\n\n{{ day(data.duee) }}"
    assert f"{FOLDER}/email.text.j2:4: data has no 'duee'" in told(shelf, source)
    assert "'dayy' is undefined; nearest: 'day'" in told(shelf, source.replace("day(data", "dayy(data"))


def test_every_template_of_a_mail_tells_its_mistake(shelf: Shelf) -> None:
    # Given a subject, a text and an HTML with a mistake each
    shelf.write(email_subject="{{ data.a }}", email_text="{{ data.b }}", email_html="{{ data.c | money }}")

    # When all are looked at
    found = shelf.load().mistakes(FOLDER, "email", context(DATA))

    # Then none hides another
    assert [(error.template, error.line) for error in found] == [
        (f"{FOLDER}/email.{role}.j2", 1) for role in ("subject", "text", "html")
    ]
