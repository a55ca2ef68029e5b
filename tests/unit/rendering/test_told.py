"""What an error of a template says: names that the template has, and never a value, which is somebody's."""

from collections.abc import Iterator
from typing import Any

import pytest

from notifier.errors import RenderError, TemplateError
from notifier.rendering.registry import FILTERS, TESTS
from tests.unit.rendering.shelf import Shelf

CANARY = "kanarienvogel"
#: A value of each kind with the word in it, which no template of these tests says.
DATA = {
    "text": CANARY,
    "list": [CANARY, {"name": CANARY}, [CANARY]],
    "object": {"name": CANARY, "deep": {"name": CANARY}},
    "number": 7,
    "null": None,
}


def expressions() -> Iterator[str]:
    """Uses that fail for values of some kind."""
    for name in ("data.text", "data.list", "data.object"):
        for use in (
            "{}.nothing",
            "{}[data.text]",
            "{}[data.list]",
            "{} + 1",
            "{} * data.text",
            "{} < 1",
            "-{}",
            "{}()",
        ):
            yield use.format(name)
        yield from (f"{name}[{index}]" for index in ("99", "'nothing'", "data.number"))
        yield from (f"{name} | {one}" for one in sorted(FILTERS))
        yield from (f"{name} | {one}(data.text)" for one in sorted(FILTERS))
        yield from (f"{name} | {one}(data.text, data.list)" for one in sorted(FILTERS))
        yield from (f"{name} is {test}(data.text)" for test in sorted(TESTS))
        yield from (f"{name}.{method}(data.text, 1, data.list)" for method in ("format", "index", "replace", "split"))
    yield "'%d' % data.text"
    yield "'{:d}'.format(data.text)"
    yield "data.list | map(attribute=data.text) | list"
    yield "data.list | selectattr(data.text) | list"
    yield "range(data.text)"
    yield "dict(data.list)"
    yield "data.nothing[data.text]"


def told(shelf: Shelf, expression: str) -> str:
    """The error; empty when there is none."""
    try:
        shelf.text("{{ " + expression + " }}", DATA)
    except (RenderError, TemplateError) as error:
        return str(error)
    return ""


def test_no_use_of_a_value_tells_it(shelf: Shelf) -> None:
    # When each use is tried
    errors: dict[str, Any] = {expression: told(shelf, expression) for expression in expressions()}

    # Then most fail, and none of them says what the value was
    assert len([error for error in errors.values() if error]) > 300
    assert {expression: error for expression, error in errors.items() if CANARY in error} == {}


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("data.object.nmae", "data.object has no 'nmae'; nearest: 'name'"),
        ("data.object['nmae']", "an object has no such item; nearest: 'name'"),
        ("data.list[9]", "a list has no such item"),
    ],
)
def test_a_name_after_a_dot_is_told_and_one_between_brackets_is_not(shelf: Shelf, expression: str, words: str) -> None:
    assert words in told(shelf, expression)
