"""Expressions of rule files: what they can say, and what comes out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.errors import RenderError
from notifier.rendering.expressions import Expressions
from tests.unit.rendering.shelf import event

DATA = {
    "total": 12.5,
    "items": [{"email": "a@example.org", "n": 1}, {"email": "b@example.org", "n": 2}],
    "keys": "a key",
    "customer": {"vip": True, "email": "c@example.org"},
    "note": None,
    "_private": "data may begin with an underscore",
    "count": 3,
}
VALUES = {
    "data.total > 0": True,
    "data.total > 0 and data.customer.vip": True,
    "data.customer.vip and event.tenant == 'a'": True,
    "data.items | map(attribute='email') | list": ["a@example.org", "b@example.org"],
    "data.items[0].email": "a@example.org",
    "data['items'][-1]['email']": "b@example.org",
    "data.items[5] is defined": False,
    "data.items[:1] | length": 1,
    "data.customer": {"vip": True, "email": "c@example.org"},
    "data.keys": "a key",
    "data.count": 3,
    "data.customer.items() | list | length": 2,
    "data.customer.get('nope', 7)": 7,
    "data._private": "data may begin with an underscore",
    "data.nope is defined": False,
    "data.nope | default('x')": "x",
    "data.note is none": True,
    "data.note | default('x', true)": "x",
    "not data.nope | default(false)": True,
    "'invoice-' ~ data.count ~ '.pdf'": "invoice-3.pdf",
    "1 < data.count <= 3": True,
    "data.items | selectattr('n', 'gt', 1) | map(attribute='n') | sum": 2,
    "data.items | rejectattr('n', 'odd') | length": 1,
    "data.items | groupby('n') | map('first') | list": [1, 2],
    "[data.total, (1, 2)]": [12.5, [1, 2]],
    "{'email': data.customer.email, 'locale': 'de'}": {"email": "c@example.org", "locale": "de"},
    "event.type.startswith('order.')": True,
    "event.source": "/shop",
    "event.subject": None,
    "event.myextension": "x",
    "data.customer.email if data.total > 10 else []": "c@example.org",
    "data.items | map(attribute='email') | map('upper') | join(', ')": "A@EXAMPLE.ORG, B@EXAMPLE.ORG",
    "data.count in [1, 2, 3]": True,
    "'@' in data.customer.email": True,
    "'%05.1f' | format(data.total)": "012.5",
    "data.total | round | int": 12,
}


@pytest.mark.parametrize(("source", "expected"), VALUES.items(), ids=VALUES.keys())
def test_an_expression_gives_a_plain_value(source: str, expected: Any) -> None:
    value = Expressions().compile(source).evaluate(event(DATA, tenant="a", extensions={"myextension": "x"}))
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("data.custmer", "data has no 'custmer'; nearest: 'customer'"),
        ("data.customer.emial", "nearest: 'email'"),
        ("dta.total", "'dta' is undefined; nearest: 'data'"),
        ("data.note.x", "data.note is null and has no 'x'"),
        ("event.tenantt", "nearest: 'tenant'"),
        ("[data.nope]", "data has no 'nope'"),
        ("data.nope > 1", "data has no 'nope'"),
        ("data.items | map(attribute='emial') | list", "nearest: 'email'"),
    ],
)
def test_a_missing_name_fails_and_names_the_nearest_one(source: str, message: str) -> None:
    with pytest.raises(RenderError) as raised:
        Expressions().compile(source).evaluate(event(DATA))
    assert message in str(raised.value)
    assert source in str(raised.value)


def test_an_error_does_not_repeat_the_data() -> None:
    with pytest.raises(RenderError) as raised:
        Expressions().compile("data.items | map(attribute='email') | map('date') | list").evaluate(event(DATA))
    assert "example.org" not in str(raised.value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
_COMPILED = [
    Expressions().compile(source)
    for source in (
        "data.a",
        "data > 1",
        "data | length",
        "data | map(attribute='a') | list",
        "data | sort",
        "data | join(', ')",
        "data | money('EUR') ~ (data | datetime)",
        "data | unique | list",
        "data[0]",
        "data + data",
        "data * 3",
        "data | tojson",
        "data | sum",
        "data | replace('a', 'b') | title | urlencode",
    )
]


@given(data=_JSON)
def test_only_render_errors_leave_whatever_the_data_is(data: Any) -> None:
    for expression in _COMPILED:
        try:
            expression.evaluate(event(data))
        except RenderError:
            continue
