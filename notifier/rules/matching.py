"""`CompiledRule`: a rule with its expressions compiled once, asked what it wants with one event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notifier.domain.event import Event
from notifier.domain.rule import Rule
from notifier.errors import PlanningError, RenderError
from notifier.rendering.expressions import Expression

#: A digest key names a window in Redis; ids are short.
MAX_KEY = 256


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """What `Catalog.matching` gives: the rule as written and its expressions ready to run."""

    rule: Rule
    to: Expression | None
    when: Expression | None
    key: Expression | None

    def applies(self, event: Event) -> bool:
        """Whether `when` holds; without one a rule always applies. Raises `PlanningError`."""
        return self.when is None or bool(self._evaluate(self.when, "when", event))

    def audience(self, event: Event) -> Any:
        """The value of `to`, for `destinations.destinations`. Raises `PlanningError`."""
        return None if self.to is None else self._evaluate(self.to, "to", event)

    def digest_key(self, event: Event) -> str:
        """The value of `key` as text; empty for rules without one. Raises `PlanningError`."""
        if self.key is None:
            return ""
        value = self._evaluate(self.key, "key", event)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            kind = "null" if value is None else type(value).__name__
            raise self._failure("key", f"gave {kind}, and a digest key must be text or a number")
        text = str(value)
        if not 1 <= len(text) <= MAX_KEY or not text.isprintable():
            raise self._failure("key", f"gave {len(text)} characters; a digest key has 1 to {MAX_KEY} printable ones")
        return text

    def _evaluate(self, expression: Expression, name: str, event: Event) -> Any:
        try:
            return expression.evaluate(event)
        except RenderError as error:
            raise self._failure(name, f"({expression.source}) failed: {error}") from error

    def _failure(self, name: str, what: str) -> PlanningError:
        return PlanningError(f"rule {self.rule.id} ({self.rule.source}): {name} {what}", field=name)


def audience_size(value: Any) -> int:
    """How many entries `to` named, before duplicates are left out."""
    if value is None:
        return 0
    return len(value) if isinstance(value, list | tuple) else 1


def is_nobody(value: Any) -> bool:
    """Whether `to` names no one: null, an empty list, an empty object or empty text."""
    return value is None or (isinstance(value, str | list | tuple | Mapping) and not value)
