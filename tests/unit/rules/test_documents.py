"""YAML as we read it: values with their lines, and nothing that can surprise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.rules.documents import MAX_DEPTH, Located, YamlMistake, read_yaml


def plain(node: Located) -> object:
    if isinstance(node.value, dict):
        return {key: plain(entry) for key, entry in node.value.items()}
    return [plain(entry) for entry in node.value] if isinstance(node.value, list) else node.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("0o17", "0o17"),
        ("2026-01-31", "2026-01-31"),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("true", True),
        ("~", None),
        ("'12'", "12"),
        ('"true"', "true"),
        ("|\n  12", "12"),
        ("9" * 30, "9" * 30),
    ],
)
def test_scalars_are_read_as_yaml_1_2_without_guessing(text: str, value: object) -> None:
    # When
    node = read_yaml(text)

    # Then
    assert node.value == value
    assert type(node.value) is type(value)


def test_every_value_knows_the_line_somebody_would_look_at() -> None:
    # Given
    text = "# first\nevent: x\nrules:\n  - id: a\n    window:\n      every: 1h\n  - [1,\n     2]\n"

    # When
    root = read_yaml(text)

    # Then a mapping's value has the line of its key, an entry of a list its own
    assert plain(root) == {"event": "x", "rules": [{"id": "a", "window": {"every": "1h"}}, [1, 2]]}
    assert isinstance(root.value, dict)
    rules = root.value["rules"]
    assert isinstance(rules.value, list)
    first, second = rules.value
    assert isinstance(first.value, dict)
    assert isinstance(second.value, list)
    assert (root.value["event"].line, rules.line, first.line, first.value["window"].line) == (2, 3, 4, 5)
    assert [entry.line for entry in second.value] == [7, 8]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: &x 1\nb: *x", 1, "anchors (&) and aliases (*) are not allowed"),
        ("a: 1\nb: *x", 2, "anchors (&) and aliases (*) are not allowed"),
        ("a: 1\nb: 2\na: 3", 3, "'a' is written twice"),
        (
            "a: !!python/object/apply:os.system [ls]",
            1,
            "the tag 'tag:yaml.org,2002:python/object/apply:os' is not allowed",
        ),
        ("a: 1\n---\nb: 2", 2, "a second document (---) in one file"),
        ("", 1, "the file is empty"),
        ("# only words\n", 1, "the file is empty"),
        ("? [a]\n: 1", 1, "a list or mapping as a key"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), 1, "nested deeper than 20 levels"),
        ("- 1\n" * 20_001, 20_001, "more than 20000 values"),
        ("a: [1, 2\nb: 3", 2, "not YAML"),
        ("a: b\n\tc: d", 2, "not YAML"),
    ],
)
def test_what_is_refused_is_told_with_its_line(text: str, line: int, what: str) -> None:
    # When
    with pytest.raises(YamlMistake) as caught:
        read_yaml(text)

    # Then
    assert str(caught.value).startswith(what)
    assert caught.value.line == line


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    # Given nine levels of ten aliases each: 10^9 values for a constructor
    text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{now}: &{now} [{','.join([f'*{before}'] * 10)}]\n" for before, now in zip("abcdefgh", "bcdefghi", strict=True)
    )

    # Then
    with pytest.raises(YamlMistake, match="anchors"):
        read_yaml(text)


def document(text: str) -> Located | YamlMistake:
    try:
        return read_yaml(text)
    except YamlMistake as mistake:
        return mistake


@given(st.text())
def test_any_text_is_a_value_or_a_mistake_with_a_line(text: str) -> None:
    # When
    found = document(text)

    # Then
    assert 1 <= found.line <= len(text) + 1
