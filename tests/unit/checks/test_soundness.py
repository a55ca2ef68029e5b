"""What the checker lets through does not fail with any data of its schema: random templates over random data."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.checks.findings import Severity
from notifier.rendering.meter import Meter
from notifier.rendering.sandbox import CompileError, Context, Sandbox
from tests.unit.checks.looking import found_in

SCHEMA = {
    "type": "object",
    "required": ["text", "number", "flag", "state", "nullable", "list", "filled", "deep"],
    "properties": {
        "text": {"type": "string"},
        "maybe": {"type": "string"},
        "number": {"type": "number"},
        "count": {"type": "integer"},
        "flag": {"type": "boolean"},
        "state": {"enum": ["new", "paid"]},
        "nullable": {"type": ["string", "null"]},
        "list": {"$ref": "#/$defs/list"},
        "filled": {"$ref": "#/$defs/list", "minItems": 1},
        "deep": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}, "note": {"type": "string"}},
        },
        "either": {
            "anyOf": [
                {"type": "string"},
                {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            ]
        },
    },
    "$defs": {
        "list": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "price"],
                "properties": {"name": {"type": "string"}, "note": {"type": "string"}, "price": {"type": "number"}},
            },
        }
    },
}
TEXTS = st.sampled_from(["", "a", "Ann", "3"])
NUMBERS = st.sampled_from([0, 1, -2, 2.5])
ITEM = st.fixed_dictionaries({"name": TEXTS, "price": NUMBERS}, optional={"note": TEXTS})
NAMED = st.fixed_dictionaries({"name": TEXTS})
DATA = st.fixed_dictionaries(
    {
        "text": TEXTS,
        "number": NUMBERS,
        "flag": st.booleans(),
        "state": st.sampled_from(["new", "paid"]),
        "nullable": st.none() | TEXTS,
        "list": st.lists(ITEM, max_size=2),
        "filled": st.lists(ITEM, min_size=1, max_size=2),
        "deep": st.fixed_dictionaries({"name": TEXTS}, optional={"note": TEXTS}),
    },
    optional={"maybe": TEXTS, "count": st.integers(-3, 3), "either": TEXTS | NAMED},
)
LEAVES = st.sampled_from(
    [
        *("data.text", "data.maybe", "data.number", "data.count", "data.flag", "data.state", "data.nullable"),
        *(
            "data.list",
            "data.filled",
            "data.deep",
            "data.deep.name",
            "data.deep.note",
            "data.either",
            "data.either.name",
        ),
        *("data.list[0].name", "data.filled[0].name", "data.filled[0].note", "x.name", "x.note", "x", "data['maybe']"),
        *("'a'", "'new'", "'lost'", "1", "0", "none", "true", "[]", "['new', 'a']", "(1, 'a')", "{'name': 'a'}"),
    ]
)
FILTERS = st.sampled_from(
    [
        *(
            "upper",
            "length",
            "default('d')",
            "default('d', true)",
            "default(none)",
            "first",
            "last",
            "list",
            "join(', ')",
        ),
        *("map(attribute='name') | join", "map(attribute='note') | list", "map(attribute='note', default='') | join"),
        *("sum(attribute='price')", "selectattr('note', 'defined') | map(attribute='note') | join", "round", "abs"),
        *(
            "tojson",
            "int",
            "string",
            "trim",
            "sort(attribute='name')",
            "items",
            "truncate(3)",
            "number",
            "money('EUR')",
        ),
        *("select('defined') | list", "min(attribute='price')", "reverse", "replace('a', 'b')", "plural('a', 'b')"),
    ]
)
TESTS = st.sampled_from(
    ["defined", "not defined", "none", "not none", "string", "mapping", "number", "sequence", "true", "eq('new')"]
)


def _more(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(inner, FILTERS).map(lambda p: f"({p[0]}) | {p[1]}" if " " in p[0] else f"{p[0]} | {p[1]}"),
        st.tuples(inner, TESTS).map(lambda p: f"({p[0]}) is {p[1]}" if " " in p[0] else f"{p[0]} is {p[1]}"),
        two.map(lambda p: f"({p[0]}) ~ ({p[1]})"),
        two.map(lambda p: f"({p[0]}) + ({p[1]})"),
        two.map(lambda p: f"({p[0]}) * ({p[1]})"),
        two.map(lambda p: f"({p[0]}) == ({p[1]})"),
        two.map(lambda p: f"({p[0]}) != ({p[1]})"),
        two.map(lambda p: f"({p[0]}) < ({p[1]})"),
        two.map(lambda p: f"({p[0]}) in ({p[1]})"),
        two.map(lambda p: f"({p[0]}) and ({p[1]})"),
        two.map(lambda p: f"({p[0]}) or ({p[1]})"),
        inner.map(lambda one: f"not ({one})"),
        inner.map(lambda one: f"({one}).name"),
        inner.map(lambda one: f"({one})[0]"),
        st.tuples(inner, inner, inner).map(lambda p: f"(({p[0]}) if ({p[1]}) else ({p[2]}))"),
        two.map(lambda p: f"(({p[0]}) if ({p[1]}))"),
    )


EXPRESSIONS = st.recursive(LEAVES, _more, max_leaves=4)
OUTPUT = EXPRESSIONS.map(lambda one: f"{{{{ {one} }}}}")


def _blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(EXPRESSIONS, inner, inner).map(lambda p: f"{{% if {p[0]} %}}{p[1]}{{% else %}}{p[2]}{{% endif %}}"),
        st.tuples(EXPRESSIONS, EXPRESSIONS, inner, inner).map(
            lambda p: f"{{% if {p[0]} %}}{p[2]}{{% elif {p[1]} %}}{p[3]}{{% endif %}}{p[2]}"
        ),
        st.tuples(EXPRESSIONS, inner).map(lambda p: f"{{% for x in {p[0]} %}}{p[1]}{{% endfor %}}"),
        st.tuples(EXPRESSIONS, inner).map(lambda p: f"{{% set x = {p[0]} %}}{p[1]}"),
        st.tuples(EXPRESSIONS, inner).map(lambda p: f"{{% with x = {p[0]} %}}{p[1]}{{% endwith %}}"),
        st.tuples(EXPRESSIONS, inner).map(
            lambda p: f"{{% macro m(x, y='d') %}}{p[1]}{{{{ y }}}}{{% endmacro %}}{{{{ m({p[0]}) }}}}"
        ),
        st.tuples(inner, inner).map("".join),
    )


TEMPLATES = st.recursive(OUTPUT, _blocks, max_leaves=4).map(lambda one: "{% set x = data.filled[0] %}" + one)


@settings(max_examples=150, deadline=None)
@given(TEMPLATES, st.lists(DATA, min_size=3, max_size=3))
def test_what_nothing_is_said_of_renders_with_any_data_of_its_schema(source: str, many: list[dict[str, Any]]) -> None:
    # Given a template in which nothing is wrong
    sandbox = Sandbox()
    try:
        sandbox.define("page.text.j2", source)
    except CompileError:
        return
    if any(one.severity is Severity.ERROR for one in found_in(source, SCHEMA)):
        return
    for data in many:
        # When it is rendered with data that its schema lets through, then it does not fail
        rendered(sandbox, data)


def rendered(sandbox: Sandbox, data: dict[str, Any]) -> str:
    template = sandbox.compiled["page.text.j2"]
    names = {**sandbox.globals, "data": data}
    with Meter(("data",)):
        return "".join(template.root_render_func(Context(sandbox, names, template.name, template.blocks)))
