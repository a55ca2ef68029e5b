"""Templates and expressions that try to take time, memory or what is not theirs; each ends as an error of ours."""

from __future__ import annotations

from typing import Any

import pytest

from notifier.errors import RenderBudgetExceeded, RenderError, TemplateError
from notifier.rendering.expressions import ExpressionError, Expressions
from tests.unit.rendering.shelf import Shelf, event

DATA: dict[str, Any] = {
    "text": "x" * 100_000,
    "list": list(range(20_000)),
    "object": {str(number): number for number in range(10_000)},
    "number": 5,
    "null": None,
    "huge": 10**4000,
}
DOUBLED = "{% set a = ['x', 'y'] %}" + "{% set a = [a, a] %}" * 60

TOO_MUCH = {
    "nested loops": "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "loops that keep nothing": "{% for a in range(9999) %}{% for b in range(9999) if false %}{% endfor %}{% endfor %}",
    "a loop with a heavy condition": "{% for a in range(9999) if " + "(1 < 2) and " * 60 + "(1 < 2) %}{% endfor %}",
    "15 loops of 10": "{% for a in range(10) %}" * 15 + "{% endfor %}" * 15,
    "a large body in loops": "{% for a in range(9999) %}" + "{% set x = 1 %}" * 500 + "{% endfor %}",
    "a repeated text": "{{ 'a' * 10**9 }}",
    "a repeated text that could be folded while compiling": "{{ 'a' * 1000000000 }}",
    "a tower of powers": "{{ 9 ** (9 ** 9) }}",
    "a product of huge numbers": "{{ data.huge * 2 }}",
    "a wide indent": "{{ ('\\n' * 1000000) | indent(100) }}",
    "replace": "{{ data.text | replace('x', data.text) }}",
    "replace between all characters": "{{ data.text | replace('', data.text) }}",
    "the method replace": "{{ data.text.replace('x', data.text) }}",
    "join": "{{ data.list | join(data.text) }}",
    "doubling with ~": "{% set a = data.text %}" + "{% set a = a ~ a %}" * 40,
    "doubling with +": "{% set a = data.text %}" + "{% set a = a + a %}" * 40,
    "doubling a list": "{% set a = data.list %}" + "{% set a = a + a %}" * 40,
    "doubling captured output": "{% set a = data.text %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 40,
    "endless macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a tree of macros": "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "endless loop call": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "endless block": "{% block b %}{{ self.b() }}{% endblock %}",
    "nested callers": "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    + "{% call m() %}" * 19
    + "x"
    + "{% endcall %}" * 19,
    "comparing shared lists": DOUBLED + "{{ a == a[0] }}",
    "searching shared lists": DOUBLED + "{{ 1 in a }}",
    "JSON of shared lists": DOUBLED + "{{ a | tojson }}",
    "sorting shared lists": DOUBLED + "{{ [a, a] | sort }}",
    "testing shared lists": DOUBLED + "{{ a is eq(a) }}",
    "making shared lists unique": DOUBLED + "{{ [a] | unique }}",
    "deeply nested lists": "{% set a = [] %}" + "{% set a = [a] %}" * 500 + "{{ a | tojson }}",
    "splitting in a loop": "{% for a in range(9999) %}{% set x = data.text.split('x') %}{% endfor %}",
    "slicing in a loop": "{% for a in range(9999) %}{% set x = data.text[1:] %}{% endfor %}",
    "upper in a loop": "{% for a in range(9999) %}{% set x = data.text | upper %}{% endfor %}",
    "searching in a loop": "{% for a in range(9999) %}{{ 'y' in data.text }}{% endfor %}",
    "long output": "{% for a in range(9999) %}" + "y" * 5000 + "{% endfor %}",
    "long output of a macro": "{% macro m() %}" + "y" * 5000 + "{% endmacro %}"
    "{% for a in range(9999) %}{% set x = m() %}{% endfor %}",
    "long captured output": "{% set x %}{% for a in range(9999) %}" + "y" * 5000 + "{% endfor %}{% endset %}",
    "more than a megabyte": "{{ 'y' * 1048577 }}",
    "more than a megabyte in UTF-8": "{{ 'ü' * 600000 }}",
    "escaping again and again": "{{ ('&' * 1000000) | escape | string | urlencode | urlencode }}",
    "percent signs": "{{ ('ü' * 2000000) | urlencode }}",
    "escaped JSON": "{{ ('<' * 2000000) | tojson }}",
}

NOT_ALLOWED = {
    "a long range": "{{ range(10**9) }}",
    "a repeated list": "{{ [1] * 1000000000 }}",
    "a wide %": "{{ '%1000000000s' % 'a' }}",
    "a wide format": "{{ '%1000000000s' | format('a') }}",
    "a width from an argument": "{{ '%*s' | format(1000000000, 'a') }}",
    "a long precision": "{{ '%.1000000000f' | format(1.5) }}",
    "str.format": "{{ '{:>1000000000}'.format('a') }}",
    "str.format that reaches into objects": "{{ '{0.__class__}'.format(event) }}",
    "str.format_map": "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "ljust": "{{ 'a'.ljust(1000000000) }}",
    "zfill": "{{ 'a'.zfill(1000000000) }}",
    "expandtabs": "{{ 'a'.expandtabs(1000000000) }}",
    "an indent of a million": "{{ 'a' | indent(1000000) }}",
    "lipsum": "{{ lipsum(1000000) }}",
    "cycler": "{{ cycler('a') }}",
    "joiner": "{{ joiner('a') }}",
    "namespace": "{% set ns = namespace(a=1) %}",
    "dict": "{{ dict(a=1) }}",
    "the class of a text": "{{ ''.__class__ }}",
    "the class of a list": "{{ [].__class__.__mro__ }}",
    "the class as a key": "{{ ''['__class__'] }}",
    "the globals of self": "{% block b %}{{ self.__init__.__globals__ }}{% endblock %}",
    "the code of a macro": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "the class of a loop": "{% for a in [1] %}{{ loop.__class__ }}{% endfor %}",
    "a loop itself": "{% for a in [1] %}{{ loop }}{% endfor %}",
    "the class of elements": "{{ [''] | map(attribute='__class__') | first }}",
    "a removed filter by name": "{{ [''] | map('attr', '__class__') }}",
    "a slow filter by name": "{{ [''] | map('center', 1000000000) }}",
    "the class of what is sorted": "{{ ['a', 'b'] | sort(attribute='__class__') }}",
    "methods of the event": "{{ event.model_dump() }}",
    "a method named in a filter's argument": "{{ 'a' | upper('__reduce__') }}",
    "a part of an object": "{{ data.object[1:] }}",
    "a part without a step": "{{ data.text[::0] }}",
    "changing a list": "{{ data.list.append(1) }}",
    "changing an object": "{{ data.object.update({'a': 1}) }}",
    "a list as a key": "{{ {(1, 2): 1} }}",
    "Jinja's context": "{{ context }}",
    "Jinja's environment": "{{ environment }}",
    "division by zero": "{{ 1 / 0 }}",
    "a sum of different things": "{{ 1 + 'a' }}",
    "a sum of texts": "{{ ['a', 'b'] | sum(start='') }}",
    "a member of null": "{{ data.null.x }}",
    "calling a number": "{{ data.number() }}",
    "looping over a number": "{% for a in 5 %}{% endfor %}",
    "a float that is too large": "{{ 2.0 ** 5000 }}",
    "rounding infinity": "{{ (1e308 * 10) | round }}",
    "a time zone that is a path": "{{ '2026-01-01T00:00:00Z' | datetime('../../etc/passwd') }}",
    "a time zone with a NUL": "{{ '2026-01-01T00:00:00Z' | datetime('a\\x00b') }}",
    "money of a billion digits": "{{ '1e999999999' | money('EUR') }}",
    "a billion decimals": "{{ 1 | number(1000000000) }}",
    "rounding to a billion decimals": "{{ 1.5 | round(1000000000) }}",
    "null": "{{ data.null }}",
    "an object": "{{ data.object }}",
    "a block that does not exist": "{% block b %}{{ self.nope() }}{% endblock %}",
}

NOT_COMPILED = {
    "setting a member": "{% set data.a = 1 %}",
    "a template that includes itself": "{% include 'order.placed/email.text.j2' %}",
    "a path out of the root": "{% include '../../etc/passwd' %}",
    "an absolute path": "{% include '/etc/passwd' %}",
    "a name from the data": "{% include data.text %}",
    "one of several names": "{% include ['a', 'b'] %}",
    "switching escaping off": "{% autoescape false %}{% endautoescape %}",
    "a removed filter": "{{ '' | attr('__class__') }}",
    "raw HTML": "{{ data.text | safe }}",
    "a statement": "{% do data.list.append(1) %}",
    "importing a private name": "{% from '_parts.text.j2' import _secret %}",
    "deep parentheses": "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
    "a long sum": "{{ " + "+".join(["1"] * 5_000) + " }}",
    "a long path": "{{ data" + ".x" * 5_000 + " }}",
    "many loops inside each other": "{% for a in [1] %}" * 60 + "{% endfor %}" * 60,
    "a huge file": "x" * 300_000,
}


@pytest.mark.parametrize("source", TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_a_template_that_takes_too_much_exceeds_its_budget(shelf: Shelf, source: str) -> None:
    with pytest.raises(RenderBudgetExceeded, match=r"order\.placed/email\.text\.j2:"):
        shelf.text(source, DATA)


@pytest.mark.parametrize("source", NOT_ALLOWED.values(), ids=NOT_ALLOWED.keys())
def test_a_template_that_reaches_too_far_fails_with_its_place(shelf: Shelf, source: str) -> None:
    with pytest.raises(RenderError, match=r"^order\.placed/email\.text\.j2:1: ") as raised:
        shelf.text(source, DATA)
    assert not isinstance(raised.value, RenderBudgetExceeded)


@pytest.mark.parametrize("source", NOT_COMPILED.values(), ids=NOT_COMPILED.keys())
def test_a_template_that_is_not_allowed_is_not_loaded(shelf: Shelf, source: str) -> None:
    with pytest.raises(TemplateError) as raised:
        shelf.text(source, DATA)
    assert [problem.where for problem in raised.value.problems] == [f"{shelf.root}/order.placed/email.text.j2:1"]


@pytest.mark.parametrize(
    "source",
    ["'a' * 10**9", "9 ** (9 ** 9)", "data.list | join(data.text)", "data.text.replace('x', data.text)"],
)
def test_an_expression_has_the_same_budget(source: str) -> None:
    with pytest.raises(RenderBudgetExceeded, match="expression "):
        Expressions().compile(source).evaluate(event(DATA))


@pytest.mark.parametrize("source", ["''.__class__", "event.__class__", "data.list.append(1)", "range", "lipsum(5)"])
def test_an_expression_reaches_no_further_than_a_template(source: str) -> None:
    with pytest.raises(RenderError):
        Expressions().compile(source).evaluate(event(DATA))


@pytest.mark.parametrize(
    "source", ["data.", "a b", "{% if 1 %}", "x | attr('y')", "(" * 20_000, "1" + "+1" * 5_000, ""]
)
def test_a_wrong_expression_does_not_compile(source: str) -> None:
    with pytest.raises(ExpressionError):
        Expressions().compile(source)


def test_a_budget_is_not_shared_between_renders(shelf: Shelf) -> None:
    # Given a template that needs most of its budget
    renderer = shelf.write(
        email_subject="S", email_text="{% for a in range(9999) %}{% for b in range(4) %}{% endfor %}{% endfor %}"
    ).load()
    # When it is rendered again and again, then every render has a whole one
    for _ in range(5):
        renderer.email("order.placed", {})


def test_a_chain_of_includes_is_paid_each_time(shelf: Shelf) -> None:
    # Given 25 files that each include the next one twice: 33 million runs of the last
    for number in range(25):
        follow = f"{{% include '_p{number + 1}.text.j2' %}}" * 2
        shelf.file(f"_p{number}.text.j2", follow)
    shelf.file("_p25.text.j2", "")
    # Then the budget ends it
    with pytest.raises(RenderBudgetExceeded):
        shelf.text("{% include '_p0.text.j2' %}")


def test_a_link_out_of_the_root_is_a_mistake(shelf: Shelf) -> None:
    shelf.write(email_subject="S", email_text="T")
    (shelf.root / "_passwords.text.j2").symlink_to("/etc/passwd")
    with pytest.raises(TemplateError, match="is a link out of the templates folder"):
        shelf.load()
