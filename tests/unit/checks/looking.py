"""A template looked at by itself, with a schema for its data."""

from pathlib import Path
from typing import Any

from jinja2 import nodes

from notifier.checks.content import event_type
from notifier.checks.findings import Finding, Findings
from notifier.checks.place import Place
from notifier.checks.schema_types import type_of_schema
from notifier.checks.templates import TemplateFlow
from notifier.rendering.sandbox import Sandbox


class Sources:
    """Templates that are given as texts."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.findings = Findings()
        self._sources = sources
        self._sandbox = Sandbox()

    def tree(self, name: str) -> nodes.Template | None:
        source = self._sources.get(name)
        return None if source is None else self._sandbox.parse(source, name, name)

    def place(self, name: str) -> Place:
        return Place(self.findings, name, self._sources[name].splitlines())


def found_in(source: str, schema: Any = True, **others: str) -> list[Finding]:
    """What is wrong with ``page.text.j2``; others are named by their words: ``parts=…`` is ``parts.text.j2``."""
    sources = Sources({"page.text.j2": source, **{f"{name}.text.j2": text for name, text in others.items()}})
    data = type_of_schema(schema)
    TemplateFlow(sources).look_at("page.text.j2", {"data": data, "event": event_type(data, "a.b")})
    return list(sources.findings)


def codes_in(source: str, schema: Any = True, **others: str) -> list[str]:
    """Only what kind of mistake each is."""
    return [one.code.value for one in found_in(source, schema, **others)]


def write(root: Path, files: dict[str, str]) -> Path:
    """A templates folder."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
