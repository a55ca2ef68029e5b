"""From files on disk to finished messages."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from notifier.errors import RenderError, TemplateError
from notifier.rendering.context import digest_context, event_context
from tests.unit.rendering.shelf import FOLDER, Shelf, context, event

ANYTHING = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def test_a_mail_has_a_subject_a_text_and_html(shelf: Shelf) -> None:
    message = shelf.mail(
        subject="Hi {{ data.name }}", text="T {{ data.name }}", html="<b>{{ data.name }}</b>", data={"name": "<Ann>"}
    )
    assert (message.subject, message.text, message.html) == ("Hi <Ann>", "T <Ann>", "<b>&lt;Ann&gt;</b>")
    assert message.template == shelf.load().hash(FOLDER) != ""


def test_a_missing_text_is_made_from_the_html(shelf: Shelf) -> None:
    message = shelf.mail(html="<h1>Hello</h1><p>See <a href='https://x.example/'>this</a></p>")
    assert message.text == "Hello\n\nSee this (https://x.example/)\n"


def test_a_missing_html_stays_empty(shelf: Shelf) -> None:
    assert shelf.mail(text="T").html == ""


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("  a\n\n b\t c ", "a b c"),
        ("a\r\nBcc: x@example.org", "a Bcc: x@example.org"),
        ("a\x00\x1b[31mb", "a[31mb"),
        ("half \ud83d emoji", "half � emoji"),
        ("x" * 2000, "x" * 997 + "…"),
    ],
)
def test_a_subject_is_one_line_without_control_characters(shelf: Shelf, subject: str, expected: str) -> None:
    assert shelf.mail(subject="{{ data.s }}", text="T", data={"s": subject}).subject == expected


def test_an_empty_subject_is_an_error(shelf: Shelf) -> None:
    with pytest.raises(RenderError, match="the subject is empty"):
        shelf.mail(subject="{{ data.s }}", text="T", data={"s": " \n"})


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("", "en"),
        ("fr", "en"),
        ("de", "de"),
        ("de-CH", "de"),
        ("de_at", "Servus"),
        ("DE-AT", "Servus"),
        ("x" * 500, "en"),
    ],
)
def test_the_nearest_language_is_chosen(shelf: Shelf, locale: str, expected: str) -> None:
    shelf.write(email_subject="S", email_text="{{ locale or 'en' }}")
    shelf.file(f"{FOLDER}/de/email.subject.j2", "B").file(f"{FOLDER}/de/email.text.j2", "{{ locale }}")
    shelf.file(f"{FOLDER}/de-AT/email.text.j2", "Servus")
    assert shelf.load().email(FOLDER, context(), locale).text == expected


def test_a_text_is_never_in_another_language_than_its_html(shelf: Shelf) -> None:
    # Given a folder whose German has no text template
    shelf.write(email_subject="S", email_text="english", email_html="<p>english</p>")
    shelf.file(f"{FOLDER}/de/email.subject.j2", "B").file(f"{FOLDER}/de/email.html.j2", "<p>deutsch</p>")
    # Then the text is made from the German HTML, not taken from the English
    assert shelf.load().email(FOLDER, context(), "de").text == "deutsch\n"
    assert shelf.load().locales(FOLDER, "email") == ("", "de")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"email.text.j2": "T"}, "has no email.subject.j2"),
        ({"email.subject.j2": "S"}, "has neither email.text.j2 nor email.html.j2"),
        ({"digest.text.j2": "T"}, "has no digest.subject.j2"),
        ({"email.sujbect.j2": "S"}, "did you mean email.subject.j2?"),
        ({"de/email.subject.j2": "S", "de/email.text.j2": "T"}, "add the default language"),
        (
            {"email.subject.j2": "S", "email.text.j2": "T", "de/email.text.j2": "T"},
            "every language needs its own subject",
        ),
        ({"email.subject.j2": "S", "email.text.j2": "a\x07b"}, "has control characters"),
        ({"email.subject.j2": "S", "email.text.j2": "{% import '_no.j2' as n %}"}, "there is no '_no.j2'"),
        (
            {
                "email.subject.j2": "S",
                "email.text.j2": "{% import 'order.placed/_m.text.j2' as m %}",
                "_m.text.j2": "{{ x }}",
            },
            "'x'",
        ),
    ],
)
def test_a_folder_that_could_not_make_a_message_is_not_loaded(
    shelf: Shelf, files: dict[str, str], expected: str
) -> None:
    for name, source in files.items():
        shelf.file(f"{FOLDER}/{name}", source)
    with pytest.raises(TemplateError) as raised:
        shelf.load()
    assert expected in str(raised.value)
    assert len(raised.value.problems) == 1


def test_the_mistakes_of_all_files_are_told_at_once_with_their_lines(shelf: Shelf) -> None:
    shelf.write(email_subject="{{ data.a", email_text="a\nb\n{% if %}", email_html="{{ 1 | nope }}")
    with pytest.raises(TemplateError) as raised:
        shelf.load()
    places = sorted(problem.where.removeprefix(f"{shelf.root}/{FOLDER}/") for problem in raised.value.problems)
    assert places == ["email.html.j2:1", "email.subject.j2:1", "email.text.j2:3"]


def test_a_folder_without_templates_of_a_kind_says_so(shelf: Shelf) -> None:
    renderer = shelf.write(email_subject="S", email_text="T").load()
    assert renderer.has(FOLDER, "email")
    assert not renderer.has(FOLDER, "digest")
    with pytest.raises(RenderError, match=r"add order\.placed/digest\.subject\.j2"):
        renderer.digest(FOLDER, context())
    with pytest.raises(RenderError, match=r"add nope/email\.subject\.j2"):
        renderer.email("nope", context())


def test_an_error_names_the_file_and_line_where_it_happened(shelf: Shelf) -> None:
    shelf.file("_partials/greeting.text.j2", "\n\n{% macro greet() %}\n{{ 1 / 0 }}\n{% endmacro %}")
    with pytest.raises(RenderError) as raised:
        shelf.text("{% from '_partials/greeting.text.j2' import greet %}\n\n{{ greet() }}")
    assert (raised.value.template, raised.value.line) == ("_partials/greeting.text.j2", 4)


def test_an_undefined_name_in_a_template_names_the_nearest_one(shelf: Shelf) -> None:
    with pytest.raises(RenderError, match=r"email\.text\.j2:2: 'recipent' is undefined; nearest: 'recipient'"):
        shelf.text("a\n{{ recipent.name }}")


def test_layouts_blocks_and_macros_work_together(shelf: Shelf) -> None:
    shelf.file(
        "_layouts/page.html.j2", "<body>{% block body %}{% endblock %}|{% block foot %}foot{% endblock %}</body>"
    )
    shelf.file("_partials/parts.html.j2", "{% macro p() %}<p>{{ caller() }}</p>{% endmacro %}")
    html = shelf.html(
        "{% extends '_layouts/page.html.j2' %}{% from '_partials/parts.html.j2' import p %}"
        "{% block body %}{% call p() %}{{ data.x }}{% endcall %}{% endblock %}"
        "{% block foot %}[{{ super() }}]{% endblock %}",
        {"x": "<x>"},
    )
    assert html == "<body><p>&lt;x&gt;</p>|[foot]</body>"


def test_a_digest_sees_its_items(shelf: Shelf) -> None:
    shelf.write(
        digest_subject="{{ digest.total }}",
        digest_text="{% for i in digest.items %}{{ i.data.n }},{% endfor %}+{{ digest.more }}",
    )
    items = digest_context([event({"n": 1}), event({"n": 2})], total=5, key="k")
    names = event_context(event({"n": 1}), recipient=None, delivery_id="d", digest=items)
    message = shelf.load().digest(FOLDER, names)
    assert (message.subject, message.text) == ("5", "1,2,+3")


def test_the_hash_changes_with_everything_a_folder_is_made_of_and_nothing_else(shelf: Shelf) -> None:
    # Given a folder with a layout that has a partial, and another folder
    shelf.file("_layouts/l.html.j2", "{% include '_partials/p.html.j2' %}{% block b %}{% endblock %}")
    shelf.file("_partials/p.html.j2", "p").file("other/email.subject.j2", "S").file("other/email.text.j2", "T")
    shelf.write(email_subject="S", email_html="{% extends '_layouts/l.html.j2' %}")
    before, other = shelf.load().hash(FOLDER), shelf.load().hash("other")
    # When the partial changes
    shelf.file("_partials/p.html.j2", "q")
    # Then only the folder that uses it has a new hash
    after = shelf.load()
    assert after.hash(FOLDER) != before
    assert after.hash("other") == other
    assert len(before) == 12


def test_the_hash_changes_with_the_channel_file_that_makes_a_folders_messages(shelf: Shelf) -> None:
    # Given a folder with a text for a channel file, one without, and another channel's
    shelf.file("_channels/sms.yaml", "url: https://one.example.com/")
    shelf.file("_channels/chat.yaml", "url: https://chat.example.com/")
    shelf.file(f"{FOLDER}/sms.text.j2", "Shipped")
    shelf.file("other/chat.text.j2", "Shipped")
    before = shelf.load()

    # When what its requests look like is changed
    shelf.file("_channels/sms.yaml", "url: https://two.example.com/")

    # Then only the folder whose messages it makes has a new hash
    after = shelf.load()
    assert after.hash(FOLDER) != before.hash(FOLDER) != ""
    assert after.hash("other") == before.hash("other") != ""


def test_style_rules_are_written_into_elements_and_media_rules_stay(shelf: Shelf) -> None:
    html = shelf.html(
        "<html><head><style>p { color: red } @media (max-width: 9px) { p { color: blue } }</style></head>"
        "<body><p>{{ data.x }}</p></body></html>",
        {"x": "<script>"},
    )
    assert '<p style="color: red;">&lt;script&gt;</p>' in html
    assert "@media (max-width: 9px)" in html


def test_a_style_that_is_ignored_leaves_the_html_as_it_is(shelf: Shelf) -> None:
    source = '<style data-css-inline="ignore">p{color:red}</style><p>x'
    assert shelf.html(source) == source


@pytest.mark.parametrize("nest", ["<div>", "<div></p>", "<p><b>"])
def test_html_that_would_crash_the_inliner_is_refused(shelf: Shelf, nest: str) -> None:
    with pytest.raises(RenderError, match="elements inside each other"):
        shelf.html("<style>p{color:red}</style>{% for a in range(9999) %}" + nest + "{% endfor %}")


def test_a_webhook_without_a_template_is_the_cloudevent(shelf: Shelf) -> None:
    sent = event({"a": "ü", "half": "\ud83d"}, subject="s", tenant="acme")
    message = shelf.load().webhook(FOLDER, sent, context())
    assert json.loads(message.body) == {**sent.attributes(), "data": {"a": "ü", "half": "�"}}
    assert message.content_type == "application/cloudevents+json"
    assert b": " not in message.body


def test_a_webhook_template_writes_json_that_is_made_compact(shelf: Shelf) -> None:
    message = shelf.webhook(
        '{\n "a": {{ data.a | tojson }},\n "n": {{ data.n }}, "t": {{ data.t }}, "u": {{ data.u }} }',
        {"a": [1, "x"], "n": 1.5, "t": True, "u": None},
    )
    assert message.body == b'{"a":[1,"x"],"n":1.5,"t":true,"u":null}'
    assert message.content_type == "application/json"


def test_a_webhook_template_may_write_a_cloudevent(shelf: Shelf) -> None:
    assert shelf.webhook('{"specversion": "1.0"}').content_type == "application/cloudevents+json"


@pytest.mark.parametrize("source", ["{", "{{ data.x }}", '{"a": NaN}', '{"a": Infinity}', "", '{"a": 1,}', "[" * 5000])
def test_a_webhook_template_that_makes_no_json_fails(shelf: Shelf, source: str) -> None:
    with pytest.raises(RenderError, match="does not make valid JSON"):
        shelf.webhook(source, {"x": "text"})


@ANYTHING
@given(value=st.text(st.characters()))
def test_no_text_of_the_data_ends_a_json_string(shelf: Shelf, value: str) -> None:
    message = shelf.webhook(
        '{"a": "{{ data.v }}", "b": {{ data.v | tojson }}, "c": "x{{ data.v ~ "!" }}"}', {"v": value}
    )
    read = json.loads(message.body)
    assert set(read) == {"a", "b", "c"}
    assert read["c"] == "x" + read["a"] + "!"


@ANYTHING
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=4),
    )
)
@example(value=[2**64, -(2**63) - 1, 10**15, 1e300, 1e-300, 5e-324, 1e16, -0.0])
def test_numbers_of_every_size_arrive_as_they_were(shelf: Shelf, value: Any) -> None:
    message = shelf.webhook('{"a": {{ data.v | tojson }}, "b": "{{ data.v | tojson }}"}', {"v": value})
    assert json.loads(message.body)["a"] == value
    assert json.loads(json.loads(message.body)["b"]) == value


_EVERYWHERE = (
    "{% macro m(x) %}<i>{{ x }}</i>{% endmacro %}{% set c %}{{ data.v }}{% endset %}"
    "<p>{{ data.v }}{{ data.v ~ '!' }}{{ m(data.v) }}{{ c }}{{ [data.v, m('x')] | join(data.v) }}{{ data.v | upper }}"
    '{{ data.v | replace("a", "<") }}{{ "%s" | format(data.v) }}{{ m(data.v) | replace("x", data.v) }}'
    '{{ data.v | truncate(3) }}{{ data.v | tojson }}{{ data.v | e }}{{ data.v[::-1] }}</p><a title="{{ data.v }}"></a>'
)
_TAGS = ("<p>", "</p>", "<i>", "</i>", '<a title="', '"></a>')


@ANYTHING
@given(value=st.text(st.characters()))
def test_no_text_of_the_data_becomes_markup(shelf: Shelf, value: str) -> None:
    html = shelf.html(_EVERYWHERE, {"v": value})
    for tag in _TAGS:
        html = html.replace(tag, "")
    assert "<" not in html
    assert ">" not in html


@ANYTHING
@given(data=_JSON)
def test_only_render_errors_leave_and_what_is_rendered_can_be_sent(shelf: Shelf, data: Any) -> None:
    shelf.write(
        email_subject="S{{ data.a | default('') | string }}",
        email_text="{% for k, v in data.items() %}{{ k }}={{ v | tojson }} {{ v }}{% endfor %}",
        email_html="<p>{% for x in data %}{{ x }}{{ x | upper }}{% endfor %}{{ data | length }}</p>",
        webhook_json="{{ data | tojson }}",
    )
    renderer = shelf.load()
    for make in (
        lambda: renderer.email(FOLDER, context(data)),
        lambda: renderer.webhook(FOLDER, event(data), context(data)),
    ):
        try:
            message = make()
        except RenderError:
            continue
        for part in ("subject", "text", "html"):
            getattr(message, part, "").encode()


def test_json_in_html_is_escaped_like_any_text(shelf: Shelf) -> None:
    assert shelf.html('<a title="{{ data | tojson }}">', {"v": "<'"}) == '<a title="{&#34;v&#34;:&#34;&lt;&#39;&#34;}">'


def test_a_macro_of_a_text_file_is_escaped_in_html(shelf: Shelf) -> None:
    shelf.file("_parts.text.j2", "{% macro shown(x) %}{{ x }}{% endmacro %}")
    source = "{% from '_parts.text.j2' import shown %}{{ shown(data.v) }}{{ shown(data.v) ~ '>' }}"
    assert shelf.html(source, {"v": "<b>"}) == "&lt;b&gt;&lt;b&gt;&gt;"


@pytest.mark.parametrize("reference", ["{% include '_p.text.j2' %}", "{% extends '_p.text.j2' %}"])
def test_a_template_of_another_kind_cannot_be_included(shelf: Shelf, reference: str) -> None:
    shelf.file("_p.text.j2", "{{ data.v }}")
    with pytest.raises(TemplateError, match="is text, this file is html"):
        shelf.html(reference, {"v": "<b>"})


_JSON_EVERYWHERE = (
    '{% macro m(x) %}"{{ x }}"{% endmacro %}{% set s %}{"s": "{{ data.v }}"}{% endset %}'
    '{"a": {{ m(data.v) }}, "b": {{ s }}, "c": "{{ data.v | e }}", "d": {{ [data.v, m(data.v)] | join | tojson }},'
    '"e": "{{ m(data.v) | replace("x", data.v) }}", "f": {{ m(1 ~ data.v) }}, "g": "{{ data.v ~ (1 | tojson) }}"}'
)


@ANYTHING
@given(value=st.text(st.characters()))
def test_macros_filters_and_captured_output_keep_json_whole(shelf: Shelf, value: str) -> None:
    read = json.loads(shelf.webhook(_JSON_EVERYWHERE, {"v": value}).body)
    assert list(read) == ["a", "b", "c", "d", "e", "f", "g"]
    assert read["b"] == {"s": read["a"]}
    assert read["f"] == "1" + read["a"]


@pytest.mark.parametrize("address", ["javascript:alert(1)", " JavaScript:x", "data:text/html,x", "//x.example", ""])
def test_a_link_leads_to_the_web_or_to_a_person(shelf: Shelf, address: str) -> None:
    with pytest.raises(RenderError, match="a link begins with https://"):
        shelf.html('<a href="{{ data.u | url }}">', {"u": address})


def test_renders_in_other_threads_have_their_own_budget_and_names(shelf: Shelf) -> None:
    # Given a template that takes most of a budget, rendered by eight threads at once
    renderer = shelf.write(
        email_subject="{{ data.n }}",
        email_text="{% for a in range(9999) %}{% for b in range(4) %}{% endfor %}{% endfor %}{{ data.n }}",
    ).load()
    with ThreadPoolExecutor(8) as threads:
        # When they work side by side
        messages = list(threads.map(lambda n: renderer.email(FOLDER, context({"n": n})), range(8)))
    # Then none used another's steps or saw another's data
    assert [(message.subject, message.text) for message in messages] == [(str(n), str(n)) for n in range(8)]
