"""A templates folder on disk, written by tests and read by the real loader, renderer and expressions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

from notifier.domain.event import Event
from notifier.errors import Problem, RulesError
from notifier.rendering.expressions import Expressions
from notifier.rendering.renderer import Renderer
from notifier.rules.catalog import Catalog

FOLDER = "order.shipped"
TEMPLATES = ("email.subject.j2", "email.text.j2", "digest.subject.j2", "digest.text.j2")


class Tree:
    """``tree.rules("…")`` writes a rules.yaml with templates beside it, ``tree.load()`` reads everything."""

    def __init__(self, parent: Path) -> None:
        self.root = parent / "templates"
        self.root.mkdir()

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def rules(self, text: str, folder: str = FOLDER, templates: Sequence[str] = TEMPLATES) -> None:
        self.write(f"{folder}/rules.yaml", dedent(text))
        for name in templates:
            self.write(f"{folder}/{name}", "Order {{ data.id }}")

    def rule(self, text: str, event: str = FOLDER, folder: str = FOLDER) -> None:
        """One rule, given by its keys without the id."""
        lines = "\n    ".join(dedent(text).strip().splitlines())
        self.rules(f"event: {event}\ncategory: orders\nrules:\n  - id: one\n    {lines}\n", folder)

    def json(self, path: str, value: Any) -> None:
        self.write(path, json.dumps(value, indent=2))

    def renderer(self) -> Renderer:
        return Renderer.load(self.root)

    def load(self) -> Catalog:
        return Catalog.load(self.root, self.renderer(), Expressions())

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the tree; empty when nothing is."""
        try:
            self.load()
        except RulesError as error:
            return error.problems
        return ()

    def told(self) -> str:
        """The whole message somebody reads."""
        return "\n".join(map(str, self.problems()))


class Endpoints:
    """A `Directory` of known endpoints, whatever the tenant."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids
        self.asked: list[tuple[str, str]] = []

    def endpoints(self, tenant: str, event_type: str) -> Sequence[str]:
        self.asked.append((tenant, event_type))
        return self.ids


NOW = 1_700_000_000.0


def order(data: Any = None, **attributes: Any) -> Event:
    """An event of type order.shipped."""
    return Event(**{"id": "1", "source": "/shop", "type": FOLDER, "data": data, **attributes})
