"""Conditions without the sandbox say what the sandbox says, or leave it to the sandbox."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.errors import RenderError
from notifier.rendering.expressions import Expression, Expressions
from notifier.rendering.predicates import UNSURE, Facts, Predicate, predicate
from notifier.rendering.sandbox import Sandbox
from tests.unit.rendering.shelf import event

SANDBOX, EXPRESSIONS = Sandbox(), Expressions()
DATA = {"kind": "a", "total": 3, "vip": True, "note": None, "tags": ["x"], "customer": {"plan": "pro"}, "keys": 1}


def compiled(source: str) -> Predicate | None:
    return predicate(SANDBOX.parse_expression(source), source)


@pytest.mark.parametrize(
    ("source", "truth"),
    [
        ("data.kind == 'a'", True),
        ("data['kind'] != 'a'", False),
        ("data.kind == 'a' and data.total > 2", True),
        ("data.kind == 'b' and data.nope > 2", False),
        ("data.total < -1 or data.vip", True),
        ("not data.vip", False),
        ("data.note", False),
        ("data.customer.plan in ['free', 'pro']", True),
        ("data.customer.plan not in ('free', 'pro')", False),
        ("'r' in data.customer.plan", True),
        ("data.total == data.keys", False),
        ("event.tenant == 'acme'", True),
        ("event.mine is defined", False),
        ("data.nope is undefined", True),
        ("data.tags is defined", True),
        ("data.nope | default('x') == 'x'", True),
        ("data.note | default('x', true) == 'x'", True),
        ("not data.nope | default(false)", True),
        ("true", True),
    ],
)
def test_a_condition_of_paths_and_constants_needs_no_sandbox(source: str, truth: bool) -> None:
    # Given
    told, found = event(DATA, tenant="acme"), compiled(source)

    # Then
    assert found is not None
    assert bool(found(Facts(told))) is truth
    assert bool(EXPRESSIONS.compile(source).evaluate(told)) is truth


@pytest.mark.parametrize(
    "source",
    [
        "data.tags | length > 0",
        "data.tags[0] == 'x'",
        "1 < data.total < 5",
        "data.kind.startswith('a')",
        "range(3)",
        "data.total + 1 == 4",
        "data.kind ~ 'b' == 'ab'",
        "data == 1 or other",
        "{'a': 1}",
        "data.total is odd",
        "data is defined",
        "data.x | default(data.kind)",
        f"data.kind == '{'a' * 1000}'",
        "data['a\\x1fb']",
        "-data.total",
    ],
)
def test_what_only_the_sandbox_knows_is_left_to_it(source: str) -> None:
    assert compiled(source) is None


@pytest.mark.parametrize(
    "source",
    [
        "data.nope == 1",
        "data.nope.deeper == 1",
        "data.kind.deeper",
        "data.tags",
        "data.tags == ['x']",
        "data.kind < 1",
        "1 in data.total",
        "1 in data.kind",
        "data.long == 'a'",
        "data.items",
        "data.kind.deeper is defined",
        "data.items is defined",
        "data.customer",
        "data.kind.x | default(1)",
    ],
)
def test_what_is_not_certain_in_an_event_is_asked_of_the_sandbox(source: str) -> None:
    found = compiled(source)
    assert found is not None
    with pytest.raises(UNSURE):
        found(Facts(event({**DATA, "long": "a" * 1001})))


def test_a_value_is_looked_up_once_for_all_rules() -> None:
    # Given
    facts, conditions = Facts(event(DATA)), [compiled(f"data.customer.plan == '{n}'") for n in range(5)]

    # When
    answers = [condition is not None and condition(facts) for condition in conditions]

    # Then
    assert answers == [False] * 5
    assert list(facts.values()) == ["pro"]


NAMES = ("a", "b", "items", "data")
TEXT = st.text("ab'é\x1f", max_size=3)
SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0, -0.0]) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner)
)
WRITTEN = st.sampled_from(["none", "true", "false", "0", "1", "-1", "0.5", "'a'", "''", "['a', 1]", "('b',)", "[]"])
PATHS = st.builds(
    lambda root, names: root + "".join(names),
    st.sampled_from(["data", "event"]),
    st.lists(st.sampled_from([".a", ".b", ".items", "['a']", ".data", ".id"]), max_size=3),
)
OPERANDS = PATHS | WRITTEN | st.builds("({} | default({}))".format, PATHS, WRITTEN)
SIGNS = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
SIMPLE = (
    OPERANDS
    | st.builds("({} {} {})".format, OPERANDS, SIGNS, OPERANDS)
    | st.builds("({} is {})".format, PATHS, st.sampled_from(["defined", "undefined"]))
    | st.builds("({} | default({}, true))".format, PATHS, WRITTEN)
)
CONDITIONS = st.recursive(
    SIMPLE,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("(not {})".format, inner)
    ),
    max_leaves=5,
)


@given(CONDITIONS, VALUES)
def test_whatever_the_condition_and_the_data_it_holds_where_the_sandbox_says_so(source: str, data: Any) -> None:
    told, condition = event(data), EXPRESSIONS.compile(source)
    assert _told(lambda: condition.holds(told, Facts(told))) == _told(lambda: bool(condition.evaluate(told)))


def _told(ask: Any) -> Any:
    try:
        return ask()
    except RenderError as error:
        return str(error)


def test_an_expression_asks_its_sandbox_only_where_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    asked = list[str]()
    monkeypatch.setattr(Expression, "evaluate", lambda self, _: asked.append(self.source))
    sure, unsure = EXPRESSIONS.compile("data.kind == 'a'"), EXPRESSIONS.compile("data.nope == 'a'")

    # When
    told = event(DATA)
    for condition in (sure, unsure):
        condition.holds(told, Facts(told))

    # Then
    assert asked == ["data.nope == 'a'"]
