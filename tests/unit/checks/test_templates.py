"""Templates are followed through layouts, blocks, includes, imports and macros, as they run."""

import pytest

from tests.unit.checks.looking import codes_in, found_in

SCHEMA = {"required": ["name"], "properties": {"name": {"type": "string"}, "note": {"type": "string"}}}


def test_a_macro_is_looked_at_with_what_it_is_called_with() -> None:
    parts = "{% macro shown(one) %}{{ one.nam }}{% endmacro %}"

    (found,) = found_in("{% from 'parts.text.j2' import shown %}\n{{ shown(data) }}", SCHEMA, parts=parts)

    assert (found.file, found.line) == ("parts.text.j2", 1)
    assert found.what == "one has no 'nam'; nearest: 'name' (called in page.text.j2:2)"


def test_a_macro_that_nobody_calls_is_not_looked_at() -> None:
    assert codes_in("{% macro shown(one) %}{{ one.nam }}{% endmacro %}", SCHEMA) == []


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("m()", "m() is not given a"),
        ("m('x', 1, 2)", "m() is given 3 arguments"),
        ("m('x', c=1)", "m() takes no argument 'c'"),
        ("m(data.note)", "a may be absent (called in page.text.j2:1)"),
    ],
)
def test_a_call_that_does_not_fit_is_told(call: str, told: str) -> None:
    source = "{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ " + call + " }}"

    assert [one.what.split("; there")[0] for one in found_in(source, SCHEMA)] == [told]


def test_arguments_that_a_macro_looks_for_need_not_be_given() -> None:
    macros = (
        "{% macro m(a) %}{% if a is defined %}{{ a }}{% endif %}{% endmacro %}",
        "{% macro m(a) %}{{ a | default('x') }}{% endmacro %}",
        "{% macro m(a=none) %}{% if a %}{{ a }}{% endif %}{% endmacro %}",
        "{% macro m() %}{{ varargs | join }}{{ kwargs | length }}{% endmacro %}",
    )

    assert [codes_in(macro + "{{ m() }}") for macro in macros] == [[]] * 4
    assert codes_in(macros[3] + "{{ m(1, 2, c=3) }}") == []


def test_what_stands_in_a_call_block_is_looked_at_with_the_names_around_it() -> None:
    box = "{% macro box() %}{{ caller() }}{% endmacro %}"

    assert codes_in(box + "{% call box() %}{{ data.name }}{% endcall %}", SCHEMA) == []
    assert codes_in(box + "{% call box() %}{{ data.nam }}{% endcall %}", SCHEMA) == ["unknown-name"]
    assert codes_in(box + "{{ box() }}", SCHEMA) == ["may-be-absent"]


def test_a_macro_that_calls_itself_is_looked_at_once() -> None:
    source = "{% macro tree(n) %}{% if n %}{{ tree(n - 1) }}{% endif %}{% endmacro %}{{ tree(3) }}"

    assert codes_in(source) == []


LAYOUT = "{% set lead = 'Hi' %}{% block head %}{{ lead }}{% endblock %}{% block body %}{% endblock %}"


def test_blocks_are_shown_in_their_layout_with_its_names() -> None:
    page = "{% extends 'layout.text.j2' %}{% block body %}{{ lead }} {{ data.nam }}{% endblock %}"

    (found,) = found_in(page, SCHEMA, layout=LAYOUT)

    assert found.what.startswith("data has no 'nam'")


def test_what_a_page_sets_is_known_in_its_blocks_and_its_layout() -> None:
    page = "{% extends 'layout.text.j2' %}{% set title = data.name %}{% block body %}{{ title }}{% endblock %}"

    assert codes_in(page, SCHEMA, layout="{{ title }}{% block body %}{% endblock %}") == []


def test_a_block_of_the_layout_is_looked_at_unless_it_is_replaced() -> None:
    layout = "{% block body %}{{ data.nam }}{% endblock %}"
    page = "{% extends 'layout.text.j2' %}"

    assert codes_in(page, SCHEMA, layout=layout) == ["unknown-name"]
    assert codes_in(page + "{% block body %}x{% endblock %}", SCHEMA, layout=layout) == []
    assert codes_in(page + "{% block body %}{{ super() }}{% endblock %}", SCHEMA, layout=layout) == ["unknown-name"]


def test_a_block_that_no_layout_has_is_told_and_text_beside_blocks_is_not_looked_at() -> None:
    page = "{% extends 'layout.text.j2' %}{{ never.shown }}{% block bdy %}{% endblock %}"

    (found,) = found_in(page, SCHEMA, layout=LAYOUT)

    assert (found.code, found.what) == (
        "unused",
        "no layout has a block 'bdy', so it is never shown; nearest: 'body'",
    )


def test_an_included_template_sees_what_is_set_around_it() -> None:
    assert codes_in("{% set a = 1 %}{% include 'part.text.j2' %}", SCHEMA, part="{{ a }}{{ data.name }}") == []
    assert codes_in("{% include 'part.text.j2' without context %}", SCHEMA, part="{{ data.name }}") == ["unknown-name"]


def test_guards_of_shared_files_are_not_called_needless() -> None:
    part = "{% if data.name is defined %}{{ data.name }}{% endif %}"

    assert codes_in(part, SCHEMA) == ["needless-guard"]
    assert codes_in("{% include 'part.text.j2' %}", SCHEMA, part=part) == []


@pytest.mark.parametrize(
    ("source", "codes"),
    [
        ("{% for k, v in data.items() %}{{ k }}{{ v }}{% endfor %}", []),
        ("{% for one in [1, 2] %}{{ loop.index }}{{ loop.previtem }}{% endfor %}", ["may-be-absent"]),
        ("{% for one in [1, 2] %}{{ one }}{% else %}{{ one }}{% endfor %}", ["unknown-name"]),
        ("{% for one in data.name %}{% endfor %}", ["not-a-list"]),
        ("{% for one in none %}{% endfor %}", ["may-be-null"]),
        ("{% set a, b = 'x', data.note %}{{ a }}{{ b }}", ["may-be-absent"]),
        ("{% set a %}x{% endset %}{{ a | upper }}", []),
        ("{% filter upper %}{{ data.nam }}{% endfilter %}", ["unknown-name"]),
        ("{% if data.name %}{% set a = 1 %}{% endif %}{{ a }}", ["may-be-absent"]),
        ("{% import 'parts.text.j2' as parts %}{{ parts.m() }}{{ parts.n() }}", ["unknown-name"]),
    ],
)
def test_statements(source: str, codes: list[str]) -> None:
    assert codes_in(source, SCHEMA, parts="{% macro m() %}x{% endmacro %}") == codes
