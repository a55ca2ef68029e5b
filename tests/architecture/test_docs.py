"""The documents name only what exists: files, headings, settings, verbs, metrics and tests."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from notifier.cli.application import application
from notifier.domain.provider import SETTING_PREFIX
from notifier.metrics import REGISTRY
from notifier.settings import PREFIX, Settings, is_secret, variable

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
_TEST = re.compile(r"\[`(test_\w+)`\]\(([^)]+)\)")
_TEST_BESIDE_FILE = re.compile(r"`(test_\w+)` in `(tests/[\w/.]+)`")
_PATH = re.compile(r"`((?:notifier|consumers|tests|templates|docs|scripts|requirements)/[\w./-]*\w\.?\w*)`")
#: A module named below its package, such as `storage/wire.py`.
_SHORT_PATH = re.compile(r"`((?!notifier|consumers|tests|templates|docs|scripts)[a-z_]+/[\w/]+\.(?:py|lua))`")
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)

document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@document
def test_every_relative_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    for target in links(document.read_text()):
        path, _, heading = target.partition("#")
        found = (document.parent / path).resolve() if path else document
        assert found.exists(), f"{target} is not there"
        if heading:
            assert heading in headings(found), f"{target}: no such heading"


@document
def test_every_setting_named_exists(document: Path) -> None:
    text = document.read_text()
    # Channel files name their own.
    named = {name for name in re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", text) if not f"{name}_".startswith(SETTING_PREFIX)}

    assert named - {PREFIX.rstrip("_")} <= settings() | {f"{name}_FILE" for name in secrets()}


@document
def test_every_verb_named_exists(document: Path) -> None:
    for command in commands(document.read_text()):
        assert is_verb(command), f"`{command}` is not a verb of the command line"


@document
def test_every_metric_named_exists_and_is_measured(document: Path) -> None:
    known = {sample for family in REGISTRY.collect() for sample in (family.name, f"{family.name}_total")}
    named = set(re.findall(r"\bnotifier_[a-z_]+\b", document.read_text()))

    assert named <= known
    assert not [name for name in named if not is_measured(name)]


@document
def test_every_test_named_exists_where_it_is_said_to_be(document: Path) -> None:
    text = document.read_text()
    said = [(name, (document.parent / file.partition("#")[0]).resolve()) for name, file in _TEST.findall(text)]
    said += [(name, ROOT / file) for name, file in _TEST_BESIDE_FILE.findall(text)]

    for name, file in said:
        assert re.search(rf"def {name}\(", file.read_text()), f"{name} is not in {file.relative_to(ROOT)}"


@document
def test_every_path_of_the_repository_named_exists(document: Path) -> None:
    for path in _PATH.findall(document.read_text()):
        assert (ROOT / path).exists() or "<" in path, f"{path} is not there"
    for path in _SHORT_PATH.findall(document.read_text()):
        assert (ROOT / "notifier" / path).exists(), f"notifier/{path} is not there"


def test_every_row_of_the_failure_table_names_what_holds_it() -> None:
    text = (ROOT / "docs/concepts.md").read_text().partition("## What happens when")[2]
    rows = [line for line in text.splitlines() if line.startswith("|") and not line.startswith(("|---", "| What"))]

    assert len(rows) > 30
    assert [row for row in rows if "`test_" not in row and not row.endswith("| table |")] == []


@cache
def settings() -> set[str]:
    return {variable(name) for name in Settings.model_fields}


@cache
def secrets() -> set[str]:
    return {variable(name) for name, field in Settings.model_fields.items() if is_secret(field)}


@cache
def sources() -> str:
    files = [*(ROOT / "notifier").rglob("*.py"), *(ROOT / "consumers").rglob("*.py")]
    return "\n".join(file.read_text() for file in files if file.name != "metrics.py")


def is_measured(metric: str) -> bool:
    """Some code of the service sets the metric, not only its definition."""
    defined = re.search(
        rf'^([A-Z_]+) = _\w+\(\s*"{metric.removeprefix("notifier_")}"',
        (ROOT / "notifier/metrics.py").read_text(),
        flags=re.MULTILINE,
    )
    return defined is not None and f"metrics.{defined[1]}" in sources()


def links(text: str) -> Iterator[str]:
    """Targets of links and images that are neither in a code block nor elsewhere on the web."""
    for link, source in _LINK.findall(_FENCE.sub("", text)):
        target = link or source
        if not re.match(r"[a-z]+:", target):
            yield target


@cache
def headings(file: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    lines = re.findall(r"^#+ (.+)$", _FENCE.sub("", file.read_text()), flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line)).lower().replace(" ", "-")
        for line in lines
    }


def commands(text: str) -> Iterator[str]:
    """What is typed after ``notifier``: in code spans, and at the beginning of lines of code blocks."""
    yield from re.findall(r"`notifier ((?:[a-z]+ ?)+)", _FENCE.sub("", text))
    for block in _FENCE.findall(text):
        yield from re.findall(r"^(?:\$ |NOTIFIER_\w+=\S+ )?notifier ((?:[a-z]+ ?)+)", block, flags=re.MULTILINE)


@cache
def root_command() -> object:
    """Made once: it reads the options of every verb."""
    return typer.main.get_command(application)


def is_verb(command: str) -> bool:
    """Whether the words name a verb, followed by arguments or nothing."""
    found: object = root_command()
    for word in command.split():
        if not isinstance(found, TyperGroup):
            return True  # a verb was named, and this is its argument
        found = found.commands.get(word)
    return found is not None
