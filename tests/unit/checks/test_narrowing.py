"""What a test tells about a value is known in the branch where it holds, and not in others."""

import pytest

from tests.unit.checks.looking import codes_in

SCHEMA = {
    "required": ["null", "list", "state", "either"],
    "properties": {
        "maybe": {"type": "string"},
        "other": {"type": "string"},
        "null": {"type": ["string", "null"]},
        "list": {"type": "array", "items": {"type": "string"}},
        "state": {"enum": ["new", "paid", "sent"]},
        "either": {"anyOf": [{"type": "string"}, {"required": ["name"], "properties": {"name": {"type": "string"}}}]},
    },
}


@pytest.mark.parametrize(
    "source",
    [
        "{% if data.maybe is defined %}{{ data.maybe }}{% endif %}",
        "{% if data.maybe is not defined %}-{% else %}{{ data.maybe }}{% endif %}",
        "{% if data.maybe is undefined %}-{% elif data.maybe == 'x' %}{{ data.maybe }}{% endif %}",
        "{{ data.maybe if data.maybe is defined }}",
        "{{ data.maybe is defined and data.maybe | upper }}",
        "{{ (data.maybe is undefined or data.maybe) | string }}",
        "{% if data.maybe is defined and data.other is defined %}{{ data.maybe ~ data.other }}{% endif %}",
        "{% if not (data.maybe is undefined or data.other is undefined) %}{{ data.maybe ~ data.other }}{% endif %}",
        "{% if 'maybe' in data %}{{ data.maybe }}{% endif %}",
        "{% if data.maybe | default('') %}{{ data.maybe }}{% endif %}",
        "{% if data.null %}{{ data.null }}{% endif %}",
        "{% if data.null is not none %}{{ data.null }}{% endif %}",
        "{% if data.null != none %}{{ data.null }}{% endif %}",
        "{% if data.null == none %}-{% else %}{{ data.null }}{% endif %}",
        "{% if data.null is string %}{{ data.null }}{% endif %}",
        "{{ data.null | default('-', true) }}",
        "{{ data.null or '-' }}",
        "{% if data.list %}{{ data.list[0] }}{% endif %}",
        "{% if data.list | length > 0 %}{{ data.list | first }}{% endif %}",
        "{% if data.list | length %}{{ data.list[0] }}{% endif %}",
        "{% for one in data.list if one %}{{ one }}{% endfor %}",
        "{% if data.either is string %}{{ data.either }}{% else %}-{% endif %}",
        "{% if data.either is mapping %}{{ data.either.name }}{% endif %}",
        "{% if data.state == 'new' %}a{% elif data.state == 'paid' %}b{% elif data.state == 'sent' %}c{% endif %}",
        "{% if data.state in ['new', 'paid'] and data.state == 'paid' %}a{% endif %}",
        "{% set m = data.maybe if data.maybe is defined else '' %}{{ m }}",
        "{% with m = data.null %}{% if m %}{{ m }}{% endif %}{% endwith %}",
    ],
)
def test_what_was_asked_for_may_be_used(source: str) -> None:
    assert codes_in(source, SCHEMA) == []


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{% if data.maybe is defined %}-{% endif %}{{ data.maybe }}", "may-be-absent"),
        ("{% if data.maybe is defined %}-{% else %}{{ data.maybe }}{% endif %}", "may-be-absent"),
        ("{% if data.maybe is defined or data.other is defined %}{{ data.maybe }}{% endif %}", "may-be-absent"),
        ("{% if data.other is defined %}{{ data.maybe }}{% endif %}", "may-be-absent"),
        ("{% if data.maybe is defined and data.other %}-{% endif %}", "may-be-absent"),
        ("{% if not data.null %}{{ data.null }}{% endif %}", "may-be-null"),
        ("{% if data.null is none %}{{ data.null }}{% endif %}", "may-be-null"),
        ("{{ data.null | default('-') }}", "may-be-null"),
        ("{{ data.list[0] }}", "may-be-absent"),
        ("{% if data.list | length >= 0 %}{{ data.list | first }}{% endif %}", "may-be-absent"),
        ("{% if data.list %}{{ data.list[1] }}{% endif %}", "may-be-absent"),
        ("{% if data.either is mapping %}{{ data.either }}{% endif %}", "wrong-type"),
        ("{% if data.state == 'new' %}a{% elif data.state == 'new' %}b{% endif %}", "never-equal"),
        ("{% if data.state != 'new' %}{{ data.state == 'new' }}{% endif %}", "never-equal"),
        ("{% if data.maybe is defined %}{% set data = {} %}{{ data.maybe }}{% endif %}", "unknown-name"),
    ],
)
def test_what_was_not_asked_for_is_told(source: str, code: str) -> None:
    assert code in codes_in(source, SCHEMA)
