"""`Content`: everything under templates/ at one moment, so that rules and the templates they name change together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from notifier.errors import ConfigurationError, Problem, RulesError, TemplateError
from notifier.rendering.expressions import Expressions
from notifier.rendering.renderer import Renderer
from notifier.rules.catalog import Catalog
from notifier.rules.channel_urls import CheckUrl


@dataclass(frozen=True, slots=True)
class Content:
    """Rules and schemas (`catalog`), templates (`renderer`) and the expression compiler they share."""

    catalog: Catalog
    renderer: Renderer
    expressions: Expressions

    @classmethod
    def load(cls, root: Path, *, rules_only: bool = False, check_url: CheckUrl | None = None) -> Content:
        """Read and compile everything. Raises a `ConfigurationError` with every mistake of every file.

        ``rules_only``: rules and templates, as whoever gets deliveries needs them, whose events were checked before.
        ``check_url``: which URLs channel files may name (`channels.webhook.guard`).
        """
        if not root.is_dir():
            problem = Problem(str(root), "is not a folder", "set NOTIFIER_TEMPLATES to the folder with the event types")
            raise ConfigurationError([problem])
        expressions = Expressions()
        try:
            renderer = Renderer.load(root)
        except TemplateError as error:
            raise _with_those_of_rules(error, root, expressions, rules_only=rules_only) from None
        catalog = Catalog.load(root, renderer, expressions, rules_only=rules_only, check_url=check_url)
        return cls(catalog, renderer, expressions)


class _Any:
    """In the place of templates that do not compile: what rules say of them cannot be looked at."""

    def has(self, folder: str, kind: str) -> bool:  # noqa: ARG002 - the port's signature
        """Whether the folder has templates of this kind."""
        return True


def _with_those_of_rules(
    error: TemplateError, root: Path, expressions: Expressions, *, rules_only: bool
) -> ConfigurationError:
    """The mistakes of the templates, and those of the rules besides: whoever mends one file sees what else is wrong."""
    try:
        Catalog.load(root, _Any(), expressions, rules_only=rules_only)
    except RulesError as also:
        return ConfigurationError([*error.problems, *also.problems])
    return error
