"""What entries of `to` have in common, whatever the channel: ids, optional texts, and words for what they are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from notifier.domain.delivery import RecipientRef

#: Characters of an id: it is a field of a record in Redis.
MAX_RECIPIENT = 256
#: Names, locales and zones are for greeting and formatting; longer ones are cut, never refused.
MAX_TEXT = 256
#: Bits of a number that is an id; databases count no further.
_ID_BITS = 64


@dataclass(frozen=True, slots=True)
class BadEntry:
    """An entry of `to` that cannot be a destination at all; ``reason`` carries types and sizes, never the value."""

    index: int
    reason: str


def recipient(reference: str, index: int, kind: str = "") -> RecipientRef | BadEntry:
    """Somebody by id; ``kind`` says which of their addresses, where it is not their email."""
    if not 1 <= len(reference) <= MAX_RECIPIENT:
        return BadEntry(index, f"a recipient id has 1 to {MAX_RECIPIENT} characters, this one {len(reference)}")
    if not is_encodable(reference) or not reference.isprintable():
        return BadEntry(index, "a recipient id with control characters is not an id")
    return RecipientRef(recipient=reference, contact=kind)


def first(entry: dict[Any, Any], keys: tuple[str, ...]) -> Any:
    """What stands under the first of the keys that has something."""
    for key in keys:
        if (value := entry.get(key)) is not None:
            return value
    return None


def text_of(value: Any) -> str:
    """Optional text of a person; anything but text, a number or nothing is left out rather than guessed at."""
    if value is None:
        return ""
    value = number_as_text(value)
    return value[:MAX_TEXT] if isinstance(value, str) and is_encodable(value) else ""


def number_as_text(value: Any) -> Any:
    """Ids are often numbers; one of more than 64 bits is none (and Python refuses to write out 4,300 digits)."""
    is_id = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _ID_BITS
    return str(value) if is_id else value


def is_encodable(text: str) -> bool:
    """Lone surrogates can be written in JSON and in no UTF-8 message; they would crash the publisher."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def kind_of(value: Any) -> str:
    """The JSON word for a value's type, for error texts that must not show the value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"
