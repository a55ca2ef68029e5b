"""`CompiledRule`: a rule with its expressions compiled once, asked what it wants with one event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from notifier.domain.event import Event
from notifier.domain.rule import Attachment, Rule
from notifier.errors import PlanningError, RenderError
from notifier.rendering.expressions import Expression
from notifier.rendering.predicates import Facts
from notifier.rules.mailkeys import CompiledMail

#: A key names a window or a throttle in Redis; ids are short.
MAX_KEY = 256


@dataclass(frozen=True, slots=True)
class CompiledAttachment:
    """An attachment as written and its expressions ready to run."""

    attachment: Attachment
    name: Expression
    content: Expression
    media_type: Expression | None
    """None when the media type is written out (``application/pdf``), which as an expression would be a division."""

    def values(self, event: Event) -> tuple[Any, Any, Any]:
        """Name, media type and content as the expressions give them; the email channel checks them. RenderError."""
        media_type = self.media_type.evaluate(event) if self.media_type else self.attachment.media_type
        return self.name.evaluate(event), media_type, self.content.evaluate(event)


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """What `Catalog.matching` gives: the rule as written and its expressions ready to run."""

    rule: Rule
    to: Expression | None
    when: Expression | None
    key: Expression | None
    attachments: tuple[CompiledAttachment, ...] = ()
    cc: Expression | None = None
    mail: CompiledMail | None = None
    """What it says of the headers of its mails; None when nothing."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where the texts of its keys begin."""

    def place(self, key: str) -> str:
        """``file:line`` of a key; of the rule where it is not written."""
        file, _, line = self.rule.source.rpartition(":")
        return f"{file}:{self.lines.get(key, line)}"

    def applies(self, event: Event, facts: Facts) -> bool:
        """Whether `when` holds; without one a rule always applies. Raises `PlanningError`."""
        if self.when is None:
            return True
        try:
            return self.when.holds(event, facts)
        except RenderError as error:
            raise self._failure("when", f"failed: {error}", error.fix) from error

    def audience(self, event: Event) -> Any:
        """The value of `to`, for `destinations.destinations`. Raises `PlanningError`."""
        return None if self.to is None else self._evaluate(self.to, "to", event)

    def copied(self, event: Event) -> Any:
        """The value of `cc`, likewise. Raises `PlanningError`."""
        return None if self.cc is None else self._evaluate(self.cc, "cc", event)

    def group_key(self, event: Event) -> str:
        """What `key` of the digest or throttle gives, as text; empty without one. Raises `PlanningError`."""
        if self.key is None:
            return ""
        value = self._evaluate(self.key, "key", event)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            kind = "null" if value is None else type(value).__name__
            raise self._failure("key", f"({self.key.source}) gave {kind}, and a key must be text or a number")
        # Python refuses to write out integers of more than 4,300 digits.
        text = str(value) if not isinstance(value, int) or value.bit_length() <= MAX_KEY else ""
        if not 1 <= len(text) <= MAX_KEY or not text.isprintable():
            raise self._failure(
                "key",
                f"({self.key.source}) gave {len(text)} characters; a key has 1 to {MAX_KEY} printable ones",
            )
        return text

    def _evaluate(self, expression: Expression, name: str, event: Event) -> Any:
        try:
            return expression.evaluate(event)
        except RenderError as error:
            raise self._failure(name, f"failed: {error}", error.fix) from error

    def _failure(self, name: str, what: str, fix: str = "") -> PlanningError:
        told = f"{name} {what}"
        return PlanningError(f"rule {self.rule.id} ({self.place(name)}): {told}", field=name, what=told, fix=fix)


def is_nobody(value: Any) -> bool:
    """Whether `to` names no one: null, an empty list, an empty object or empty text."""
    return value is None or (isinstance(value, str | list | tuple | dict) and not value)
