"""A template that Jinja cannot read: told at the line that must be changed, with what to do."""

import pytest

from notifier.rendering.sandbox import CompileError, Sandbox


@pytest.mark.parametrize(
    ("source", "line", "what", "fix"),
    [
        ("a\n{% block body %}\nb\nc\n", 2, "{% block %} is never closed", "write {% endblock %}"),
        (
            "{% block a %}\n{% call x() %}\nb\n{% if 1 %}c{% endif %}\n",
            2,
            "{% call %} is never closed",
            "{% endcall %}",
        ),
        ("{% set a %}\n{% set b = 1 %}\nc", 1, "{% set %} is never closed", "{% endset %}"),
        ("{% if a %}\n{% if b %}{% endif %}\n{% else %}\n", 1, "{% if %} is never closed", "{% endif %}"),
        ("{% if a %}\n\n{% endfor %}", 3, "{% if %} of line 1 is still open", "write {% endif %} before it"),
        ("{% if a %}\n\n{% endfi %}", 3, "{% if %} of line 1 is still open", "did you mean endif?"),
        ("{% iff a %}", 1, "there is no tag 'iff'", "did you mean if?"),
        ("\n{% endif %}", 2, "{% endif %} belongs to no tag", "remove it"),
        ("\n{{ x }", 2, "unexpected '}'", "}}"),
        ("{{ x", 1, "end of template", "}}"),
        ("{{ a b }}", 1, "got 'b'", "join texts with ~"),
        ("\n{{ x | dat }}", 2, "'dat'", "did you mean date?"),
        ("{{ x is defind }}", 1, "'defind'", "did you mean defined?"),
        ("{{ x | zzzz }}", 1, "'zzzz'", "filters are abs, "),
    ],
)
def test_a_mistake_is_told_where_it_was_made_and_with_what_to_do(source: str, line: int, what: str, fix: str) -> None:
    with pytest.raises(CompileError) as raised:
        Sandbox().define("a.text.j2", source)

    (mistake,) = raised.value.mistakes
    assert (mistake.line, what in mistake.what, fix in mistake.fix) == (line, True, True), mistake
