"""The `Type` of the data that samples show, for events without a schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from notifier.checks.types import (
    ABSENT,
    ANYTHING,
    BOOLEAN,
    NULL,
    NUMBER,
    SAMPLED,
    ListOf,
    Number,
    ObjectOf,
    Text,
    Type,
    union,
)


def type_of_samples(samples: Sequence[Any]) -> Type:
    """What they have in common is there; what only some have may be absent."""
    return _type_of(samples) if samples else ANYTHING


def _type_of(values: Sequence[Any]) -> Type:
    objects = [value for value in values if isinstance(value, dict)]
    lists = [value for value in values if isinstance(value, list)]
    kinds: list[Type] = [_scalar(value) for value in values if not isinstance(value, dict | list)]
    if objects:
        kinds.append(_object(objects))
    if lists:
        items = [item for one in lists for item in one]
        kinds.append(ListOf(_type_of(items) if items else ANYTHING, filled=all(lists)))
    # A value that all samples leave out says nothing of what it is when it is there.
    return union(NULL, ANYTHING) if kinds and all(kind == NULL for kind in kinds) else union(*kinds)


def _object(objects: Sequence[dict[str, Any]]) -> Type:
    fields: dict[str, Type] = {}
    for name in dict.fromkeys(name for one in objects for name in one):
        there = [one[name] for one in objects if name in one]
        kind = _type_of(there)
        fields[name] = kind if len(there) == len(objects) else union(kind, ABSENT)
    return ObjectOf.of(fields)


def _scalar(value: Any) -> Type:
    match value:
        case None:
            return NULL
        case bool():
            return BOOLEAN
        case str():
            return Text(format=SAMPLED)
        case int():
            return Number(whole=True)
    return NUMBER
