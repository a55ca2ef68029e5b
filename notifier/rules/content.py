"""`Content`: everything under templates/ at one moment, so that rules and the templates they name change together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from notifier.errors import ConfigurationError, Problem, RulesError, TemplateError
from notifier.rendering.expressions import Expressions
from notifier.rendering.renderer import Renderer
from notifier.rules.catalog import Catalog
from notifier.rules.channel_urls import CheckUrl
from notifier.rules.loading import Templates


@dataclass(frozen=True, slots=True)
class Content:
    """Rules and schemas (`catalog`), templates (`renderer`) and the expression compiler they share."""

    catalog: Catalog
    renderer: Renderer
    expressions: Expressions

    @classmethod
    def load(
        cls,
        root: Path,
        *,
        rules_only: bool = False,
        check_url: CheckUrl | None = None,
        before: Content | None = None,
        breathe: Callable[[], None] = lambda: None,
    ) -> Content:
        """Read and compile everything. Raises a `ConfigurationError` with every mistake of every file.

        ``rules_only``: rules and templates, as whoever gets deliveries needs them, whose events were checked before.
        ``check_url``: which URLs channel files may name (`channels.webhook.guard`).
        ``before``: an earlier version, made with the same options: what was made of the same text is used again.
        ``breathe``: called between files and folders (`wiring.content`).
        """
        if not root.is_dir():
            problem = Problem(str(root), "is not a folder", "set NOTIFIER_TEMPLATES to the folder with the event types")
            raise ConfigurationError([problem])
        expressions = before.expressions if before is not None else Expressions()

        def rules(templates: Templates) -> Catalog:
            known = before.catalog if before is not None else None
            return Catalog.load(
                root, templates, expressions, rules_only=rules_only, check_url=check_url, before=known, breathe=breathe
            )

        try:
            renderer = Renderer.load(root, before.renderer if before is not None else None, breathe)
        except TemplateError as error:
            raise _with_those_of_rules(error, rules) from None
        return cls(rules(renderer), renderer, expressions)


class _Any:
    """In the place of templates that do not compile: what rules say of them cannot be looked at."""

    def has(self, folder: str, kind: str) -> bool:  # noqa: ARG002 - the port's signature
        """Whether the folder has templates of this kind."""
        return True


def _with_those_of_rules(error: TemplateError, rules: Callable[[Templates], Catalog]) -> ConfigurationError:
    """The mistakes of the templates, and those of the rules besides: whoever mends one file sees what else is wrong."""
    try:
        rules(_Any())
    except RulesError as also:
        return ConfigurationError([*error.problems, *also.problems])
    return error
