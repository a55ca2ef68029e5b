"""A version of rules and templates made from the one before is what a fresh load makes, and little of it is new."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.errors import ConfigurationError
from notifier.rules.content import Content

_RULES = "event: {event}\ntransactional: true\nrules:\n  - id: one\n    channel: {channel}\n    to: data.to\n{more}"
_SAMPLE = '{"specversion": "1.0", "id": "1", "source": "/s", "type": "%s", "data": {"to": "x"}}'
_FILES: dict[str, list[str]] = {
    "_layouts/frame.text.j2": ["frame {% block body %}{% endblock %}", "other {% block body %}{% endblock %}", "{% if"],
    "_layouts/macros.j2": ["{% macro say(x) %}<{{ x }}>{% endmacro %}", "{% macro say(x) %}[{{ x }}]{% endmacro %}"],
    "_channels/sms.yaml": [
        "url: https://a.example/\nto: phone\njson: {to: '{{ address }}', text: '{{ text }}'}\n",
        "url: https://b.example/\nto: phone\njson: {to: '{{ address }}', text: '{{ text }}'}\n",
        "url: 1\n",
    ],
    "a/email.subject.j2": ["Hello", "Hi"],
    "a/email.text.j2": [
        "{% extends '_layouts/frame.text.j2' %}{% block body %}a{% endblock %}",
        "{% from '_layouts/macros.j2' import say %}{{ say(1) }}",
        "{% include 'b/webhook.json.j2' %}",
    ],
    "a/de/email.subject.j2": ["Hallo"],
    "a/de/email.text.j2": ["Text", "{% include '_layouts/frame.text.j2' %}"],
    "a/sms.text.j2": ["short", "shorter"],
    "a/rules.yaml": [
        _RULES.format(event="a", channel="email", more=""),
        _RULES.format(event="a", channel="sms", more=""),
        _RULES.format(event="a", channel="email", more="    template: b\n"),
        "event: [",
    ],
    "a/sample.json": [_SAMPLE % "a", _SAMPLE % "b"],
    "a/schema.json": ['{"type": "object"}', '{"type": "object", "required": ["other"]}'],
    "b/email.subject.j2": ["Hello"],
    "b/email.text.j2": ["b", "c"],
    "b/webhook.json.j2": ["{}"],
    "b/rules.yaml": [_RULES.format(event="b.*", channel="email", more="")],
    "b/email.txt.j2": ["nothing reads this"],
}
_BEFORE = [(name, texts[0]) for name, texts in _FILES.items() if name != "b/email.txt.j2"]
_EDITS: st.SearchStrategy[list[tuple[str, str | None]]] = st.lists(
    st.sampled_from([(name, text) for name, texts in _FILES.items() for text in (*texts, None)]), min_size=1, max_size=4
)


def write(root: Path, name: str, text: str | None) -> None:
    """Save one file, or delete it and its folder when nothing else is in there."""
    path = root / name
    if text is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    elif path.exists():
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def loaded(root: Path, before: Content | None = None) -> Content | list[str]:
    try:
        return Content.load(root, before=before)
    except ConfigurationError as error:
        return [str(problem) for problem in error.problems]


def said(content: Content | list[str]) -> object:
    """All that can be seen of a version from outside."""
    if not isinstance(content, Content):
        return content
    renderer, catalog = content.renderer, content.catalog
    context = {"data": {"to": "x"}, "event": {}}
    mails = {
        (folder, locale): renderer.email(folder, context, locale)
        for folder in renderer.folders
        for locale in renderer.locales(folder, "email")
    }
    hashes = {folder: renderer.hash(folder) for folder in renderer.folders}
    schemas = [schema.mistakes({}) for schema in catalog.schemas("a")]
    urls = {name: str(one.provider) for name, one in catalog.providers.items()}
    return mails, hashes, catalog.rules, catalog.samples, catalog.patterns, schemas, urls


@settings(max_examples=40, deadline=None)
@given(edits=_EDITS)
def test_after_any_edits_it_is_what_a_fresh_load_makes(edits: list[tuple[str, str | None]]) -> None:
    # Given
    root = Path(tempfile.mkdtemp())
    try:
        for name, text in _BEFORE:
            write(root, name, text)
        good = Content.load(root)
        for name, text in edits:
            # When
            write(root, name, text)
            renewed = loaded(root, good)

            # Then
            assert said(renewed) == said(loaded(root))
            good = renewed if isinstance(renewed, Content) else good
    finally:
        shutil.rmtree(root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two folders, a layout, macros and a channel."""
    for name, text in _BEFORE:
        write(tmp_path, name, text)
    return tmp_path


def test_only_the_template_that_changed_is_compiled(root: Path) -> None:
    before = Content.load(root)
    write(root, "_layouts/frame.text.j2", "new {% block body %}{% endblock %}")

    after = Content.load(root, before=before)

    old, new = before.renderer.codes, after.renderer.codes
    assert [name for name in new if new[name] is not old.get(name)] == ["_layouts/frame.text.j2"]


def test_whoever_holds_the_version_before_sees_nothing_of_an_edit(root: Path) -> None:
    # Given a batch that has not yet rendered anything
    before = Content.load(root)
    write(root, "_layouts/frame.text.j2", "new {% block body %}{% endblock %}")
    after = Content.load(root, before=before)

    # Then its mails extend the layout of its own version
    assert after.renderer.email("a", {"data": {}}).text.startswith("new a")
    assert before.renderer.email("a", {"data": {}}).text.startswith("frame a")


def test_rules_whose_template_folder_goes_are_looked_at_again(root: Path) -> None:
    # Given rules of one folder that name another
    write(root, "a/rules.yaml", _FILES["a/rules.yaml"][2])
    before = Content.load(root)

    # When the other goes
    shutil.rmtree(root / "b")

    # Then
    with pytest.raises(ConfigurationError, match="there is no template folder"):
        Content.load(root, before=before)
