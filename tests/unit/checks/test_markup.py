"""HTML as it is written in templates: what readers of the mail cannot see, follow or use."""

import pytest

from notifier.checks.findings import Finding, Findings
from notifier.checks.markup import check_markup, tags_of
from notifier.checks.place import Place


def found_in(source: str) -> list[Finding]:
    findings = Findings()
    check_markup(source, Place(findings, "page.html.j2", source.splitlines()))
    return list(findings)


def test_tags_are_found_with_their_places_and_attributes_as_they_are_written() -> None:
    source = (
        """<p {% if a > 1 %}class="x"{% endif %}>\n"""
        """  {{ '<b>' }} <a href="{{ data['u'] | url }}" title='{{ "t" }}' hidden>"""
    )

    paragraph, link = tags_of(source)

    assert (paragraph.name, paragraph.attributes) == ("p", {"class": "x"})
    assert (link.line, link.column) == (2, 15)
    assert link.attributes == {"href": "{{ data['u'] | url }}", "title": '{{ "t" }}', "hidden": ""}


@pytest.mark.parametrize(
    "source",
    [
        '<img src="https://example.org/a.png" alt="The shop" width="120">',
        '<img src="cid:logo" alt="" style="display:block;width:120px">',
        '<img src="{{ data.image }}" alt="{{ data.name }}" width="{{ data.width }}">',
        '<a href="https://example.org/">x</a>',
        '<a href="mailto:a@example.org">x</a><a href="tel:+1">x</a><a href="#top">x</a><a name="top"></a>',
        '<a href="{{ data.url | url }}">x</a><a href="{{- data.url | trim | url -}}">x</a>',
        '<a href="{{ data.url | url }}?x={{ data.x | urlencode }}">x</a>',
        '<a href="{% if a %}{{ b | url }}{% else %}{{ c | url }}{% endif %}">x</a>',
        "<html lang=\"{{ locale or 'en' }}\">",
        "{# <script> #}{{ '<form>' }}&lt;iframe&gt; <!-- <object> -->",
    ],
)
def test_nothing_is_said_of_what_is_right(source: str) -> None:
    assert found_in(source) == []


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        ('<img src="cid:logo" width="1">', "no-alt", "has no alt"),
        ('<img src="cid:logo" alt="x">', "no-size", "has no width"),
        ('<img src="cid:logo" alt="x" style="max-width:100%">', "no-size", "has no width"),
        ('<img src="/logo.png" alt="x" width="1">', "link", "'/logo.png' is relative"),
        ('<img src="data:image/png;base64,AA==" alt="x" width="1">', "link", "written into the HTML"),
        ('<a href="">x</a>', "link", "leads nowhere"),
        ("<a href=''>x</a>", "link", "leads nowhere"),
        ('<a href="/orders">x</a>', "link", "'/orders' is relative"),
        ('<a href="www.example.org">x</a>', "link", "is relative"),
        ('<a href="http://example.org">x</a>', "link", "not encrypted"),
        ('<a href="{{ data.url }}">x</a>', "link", "not read by `url`"),
        ('<a href="{{ data.url | upper }}">x</a>', "link", "not read by `url`"),
        ('<a href="{{ data.url | urlencode }}">x</a>', "link", "not read by `url`"),
        ("<html>", "no-lang", "does not say its language"),
        ('<html lang="">', "no-lang", "does not say its language"),
        ("<form action='https://x'>", "not-in-mail", "show no forms"),
        ("<SCRIPT>alert(1)</SCRIPT>", "not-in-mail", "take scripts out"),
        ("{% if a %}<video src='https://x'>{% endif %}", "not-in-mail", "play videos"),
    ],
)
def test_it_is_told_at_the_tag(source: str, code: str, says: str) -> None:
    (finding,) = found_in("<p>\n " + source)

    assert (finding.code, finding.line) == (code, 2)
    assert says in finding.what
    assert finding.fix
