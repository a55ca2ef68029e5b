"""`CompiledRule`: a rule with its expressions compiled once, asked what it wants with one event."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notifier.domain.event import Event
from notifier.domain.rule import Attachment, Rule
from notifier.errors import PlanningError, RenderError
from notifier.rendering.expressions import Expression

#: A digest key names a window in Redis; ids are short.
MAX_KEY = 256
MAX_FILE_NAME = 200


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file as it goes into a mail."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class CompiledAttachment:
    """An attachment as written and its expressions ready to run."""

    attachment: Attachment
    name: Expression
    content: Expression

    def read(self, event: Event) -> AttachedFile:
        """The file this event carries. Raises `RenderError`."""
        name, content = self.name.evaluate(event), self.content.evaluate(event)
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_FILE_NAME or not name.isprintable():
            raise RenderError(f"attachment name ({self.name.source}) is not 1 to {MAX_FILE_NAME} printable characters")
        try:
            # A character outside ASCII raises ValueError before base64 looks at it; anything but text TypeError.
            raw = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise RenderError(f"attachment content ({self.content.source}) is not base64 text: {error}") from error
        return AttachedFile(name, self.attachment.media_type, raw)


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """What `Catalog.matching` gives: the rule as written and its expressions ready to run."""

    rule: Rule
    to: Expression | None
    when: Expression | None
    key: Expression | None
    attachments: tuple[CompiledAttachment, ...] = ()

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

    def files(self, event: Event) -> tuple[AttachedFile, ...]:
        """What is attached to the mail this event causes. Raises `RenderError`: it is part of rendering."""
        return tuple(attachment.read(event) for attachment in self.attachments)

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
