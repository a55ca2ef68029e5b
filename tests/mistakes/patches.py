"""Small mistakes in the shop's templates, as somebody would make them, and what a good tool says of each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from notifier.checks.content import check
from notifier.errors import ConfigurationError
from notifier.rules.content import Content

HERE = Path(__file__).parent
SHOP = HERE.parents[1] / "templates"


@dataclass(frozen=True)
class Mistake:
    """One of them."""

    name: str
    """File and number: ``names-3``."""
    change: tuple[tuple[str, str, str], ...]
    """(file, what stands there, what is written in its place)."""
    at: str
    """``file:line`` where it is told."""
    told: str
    """What is said begins with this."""


def mistakes() -> Iterator[Mistake]:
    """All of them."""
    for file in sorted(HERE.glob("*.yaml")):
        for number, entry in enumerate(yaml.safe_load(file.read_text()), start=1):
            change = tuple((one["in"], one["from"], one["to"]) for one in entry["change"])
            yield Mistake(f"{file.stem}-{number}", change, entry["at"], entry["told"])


def told_of(mistake: Mistake, folder: Path, before: Content) -> list[tuple[str, str]]:
    """(place, what) of all that is said of the shop's folder with this mistake in it."""
    root = folder / "templates"
    shutil.copytree(SHOP, root)
    for file, old, new in mistake.change:
        text = (root / file).read_text()
        assert text.count(old), f"{mistake.name}: {file} has no {old!r}"
        (root / file).write_text(text.replace(old, new, 1))
    return [(_below(place, root), what) for place, what in _said(root, before)]


def _said(root: Path, before: Content) -> list[tuple[str, str]]:
    try:
        content = Content.load(root, before=before)
    except ConfigurationError as error:
        return [(problem.where, problem.what) for problem in error.problems]
    return [(f"{one.file}:{one.line}", one.what) for one in check(content)]


def _below(place: str, root: Path) -> str:
    return place.removeprefix(f"{root}/").removeprefix(f"{root.name}/")


def loaded_shop() -> Content:
    """The folder without mistakes; what is not changed in a copy is not compiled again."""
    return Content.load(SHOP)


def is_told(mistake: Mistake, said: list[tuple[str, Any]]) -> bool:
    """Whether it is told at its place, in its words."""
    return any(place == mistake.at and what.startswith(mistake.told) for place, what in said)
