"""`Content`: everything under templates/ at one moment, so that rules and the templates they name change together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from notifier.errors import ConfigurationError, Problem
from notifier.rendering.expressions import Expressions
from notifier.rendering.renderer import Renderer
from notifier.rules.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Content:
    """Rules and schemas (`catalog`), templates (`renderer`) and the expression compiler they share."""

    catalog: Catalog
    renderer: Renderer
    expressions: Expressions

    @classmethod
    def load(cls, root: Path, *, rules_only: bool = False) -> Content:
        """Read and compile everything. Raises a `ConfigurationError` with every mistake of every file.

        ``rules_only``: rules and templates, as whoever gets deliveries needs them, whose events were checked before.
        """
        if not root.is_dir():
            problem = Problem(str(root), "is not a folder", "set NOTIFIER_TEMPLATES to the folder with the event types")
            raise ConfigurationError([problem])
        expressions = Expressions()
        renderer = Renderer.load(root)
        return cls(Catalog.load(root, renderer, expressions, rules_only=rules_only), renderer, expressions)
