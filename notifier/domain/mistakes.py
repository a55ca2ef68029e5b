"""What may be told of a part of a message that cannot be read: where it is wrong and how, never what it holds.

Such texts go into logs, Celery's events and failure queues. pydantic's own ends with the input, which is event data.
"""

from __future__ import annotations

from functools import cache

from pydantic import BaseModel, ValidationError

from notifier.errors import NotifierError

#: Mistakes told of one message; the first is mended first.
MAX_MISTAKES = 3
#: pydantic's messages that quote the value or a name that is none of ours.
_QUOTING = {
    "union_tag_invalid": "is of no kind that is known",
    "extra_forbidden": "has a field that is not known",
    "value_error": "has a wrong value",
}


def told(error: Exception) -> str:
    """``deliveries.0.to: Field required``; our own errors in their words, other people's by their name."""
    if isinstance(error, ValidationError):
        mistakes = error.errors(include_url=False, include_input=False, include_context=False)
        texts = [
            f"{_where(m['loc'])}: {_QUOTING.get(m['type'], m['msg'])}".removeprefix(": ")
            for m in mistakes[:MAX_MISTAKES]
        ]
        return "; ".join(texts)
    return str(error) if isinstance(error, NotifierError) else f"it has another shape ({type(error).__name__})"


def _where(location: tuple[int | str, ...]) -> str:
    """Names of our fields and places in lists; a key of somebody's data ends the path."""
    known = _names()
    shown: list[str] = []
    for part in location:
        if not isinstance(part, int) and part not in known:
            break
        shown.append(str(part))
    return ".".join(shown)


@cache
def _names() -> frozenset[str]:
    kinds, found = [BaseModel], set[str]()
    while kinds:
        kind = kinds.pop()
        found.update(kind.model_fields if kind is not BaseModel else ())
        kinds.extend(kind.__subclasses__())
    return frozenset(found)
