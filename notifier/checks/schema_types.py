"""A JSON Schema (draft 2020-12) → the `Type` of the data it lets through.

Followed: ``type``, ``enum``, ``const``, ``properties``, ``required``, ``additionalProperties``, ``patternProperties``,
``items``, ``prefixItems``, ``minItems``, ``format``, ``allOf``, ``anyOf``, ``oneOf``, ``then`` and ``else``, and
``$ref`` within the file. What is not followed leaves the type wider, never narrower.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from notifier.checks.types import (
    ABSENT,
    ANYTHING,
    BOOLEAN,
    NEVER,
    NULL,
    Absent,
    Anything,
    ListOf,
    Number,
    ObjectOf,
    Pair,
    Text,
    Type,
    literal,
    members,
    union,
    without,
)

#: Keywords that say that objects are meant, and lists, where ``type`` does not.
_OF_OBJECTS = frozenset({"properties", "required", "additionalProperties", "patternProperties"})
_OF_LISTS = frozenset({"items", "prefixItems", "minItems", "maxItems"})
#: How deep schemas may refer to schemas without an object or a list between them.
_DEEPEST = 32

_Shape = tuple[Mapping[str, Type], Type | None]


def type_of_schema(schema: Any) -> Type:
    """The type of all that a whole schema lets through."""
    return _Reader(schema).read(schema)


class _Reader:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[str, Type] = {}

    def read(self, schema: Any, depth: int = 0) -> Type:
        if schema is False:
            return NEVER
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return ANYTHING
        found: list[Type] = []
        if isinstance(reference := schema.get("$ref"), str):
            found.append(self._referred(reference, depth))
        found.append(self._own(schema))
        found += [self.read(one, depth + 1) for one in _schemas(schema.get("allOf"))]
        for key in ("anyOf", "oneOf"):
            if choices := _schemas(schema.get(key)):
                found.append(union(*(self.read(one, depth + 1) for one in choices)))
        made = found[0]
        for one in found[1:]:
            made = both(made, one)
        return self._also(made, schema, depth)

    def _also(self, made: Type, schema: dict[str, Any], depth: int) -> Type:
        """With the properties of ``then`` and ``else``, which may be there."""
        for key in ("then", "else"):
            if isinstance(schema.get(key), dict):
                made = union(*(_extended(m, self.read(schema[key], depth + 1)) for m in members(made)))
        return made

    def _referred(self, reference: str, depth: int) -> Type:
        if reference not in self._known:
            target = _at(self._root, reference)
            self._known[reference] = ANYTHING  # what refers to itself with nothing between
            self._known[reference] = self.read(target, depth + 1)
        return self._known[reference]

    def _own(self, schema: dict[str, Any]) -> Type:
        if "const" in schema:
            return literal(schema["const"])
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return union(*(literal(one) for one in schema["enum"]))
        kinds = schema.get("type")
        if isinstance(kinds, str):
            return self._kind(kinds, schema)
        if isinstance(kinds, list):
            return union(*(self._kind(kind, schema) for kind in kinds if isinstance(kind, str)))
        if _OF_OBJECTS & schema.keys():
            return self._object(schema)
        if _OF_LISTS & schema.keys():
            return self._list(schema)
        return ANYTHING

    def _kind(self, kind: str, schema: dict[str, Any]) -> Type:
        match kind:
            case "object":
                return self._object(schema)
            case "array":
                return self._list(schema)
            case "string":
                form = schema.get("format")
                return Text(format=form if isinstance(form, str) else "")
            case "number" | "integer":
                return Number(kind == "integer")
            case "boolean":
                return BOOLEAN
            case "null":
                return NULL
        return ANYTHING

    def _list(self, schema: dict[str, Any]) -> Type:
        least = schema.get("minItems")
        prefix = _schemas(schema.get("prefixItems"))

        def item() -> Type:
            others = schema.get("items", True)
            kinds = [self.read(one) for one in prefix]
            return union(*kinds, *([] if others is False else [self.read(others)]))

        return ListOf(item, filled=isinstance(least, int) and least > 0)

    def _object(self, schema: dict[str, Any]) -> Type:
        return ObjectOf(lambda: self._shape(schema))

    def _shape(self, schema: dict[str, Any]) -> _Shape:
        required = {name for name in schema.get("required") or () if isinstance(name, str)}
        described = schema.get("properties")
        properties = described if isinstance(described, dict) else {}
        rest = self._rest(schema)
        fields = {
            name: read if name in required else union(read, ABSENT)
            for name, one in properties.items()
            if (read := self.read(one)) != NEVER
        }
        for name in sorted(required - fields.keys()):
            fields[name] = ANYTHING if rest is None else without(rest, Absent)
        return fields, rest

    def _rest(self, schema: dict[str, Any]) -> Type | None:
        """What names may be that ``properties`` does not have; None when nothing is said of any."""
        kinds = [self.read(one) for one in (schema.get("patternProperties") or {}).values()]
        others = schema.get("additionalProperties")
        if others is not None and others is not False:
            kinds.append(self.read(others))
        return union(*kinds, ABSENT) if kinds else None


def both(first: Type, second: Type) -> Type:
    """What is of the one and of the other type, for ``allOf`` and for words that stand beside each other."""
    if isinstance(first, Anything):
        return second
    if isinstance(second, Anything):
        return first
    found = [made for a in members(first) for b in members(second) if (made := _both(a, b)) is not None]
    return union(*found)


def _both(first: Type, second: Type) -> Type | None:
    match first, second:
        case Anything(), _:
            return second
        case _, Anything():
            return first
        case ObjectOf(), ObjectOf():
            return ObjectOf(lambda: _merged(first, second))
        case ListOf(), ListOf():
            return ListOf(lambda: both(first.item, second.item), filled=first.filled or second.filled)
        case Text(), Text():
            return _texts(first, second)
        case Number(), Number():
            known = [one.values for one in (first, second) if one.values is not None]
            values = frozenset.intersection(*known) if known else None
            return Number(first.whole or second.whole, values)
        case Pair(), Pair():
            return first
    return first if type(first) is type(second) else None


def _texts(first: Text, second: Text) -> Text:
    known = [one.values for one in (first, second) if one.values is not None]
    return Text(frozenset.intersection(*known) if known else None, first.format or second.format)


def _merged(first: ObjectOf, second: ObjectOf) -> _Shape:
    fields: dict[str, Type] = {}
    for name in dict.fromkeys((*first.fields, *second.fields)):
        kinds = [one.fields[name] for one in (first, second) if name in one.fields]
        fields[name] = kinds[0] if len(kinds) == 1 else both(*kinds)
    rests = [one.rest for one in (first, second) if one.rest is not None]
    return fields, union(*rests) if rests else None


def _extended(one: Type, more: Type) -> Type:
    """An object with what others of its kind may have besides."""
    others = [member for member in members(more) if isinstance(member, ObjectOf)]
    if not isinstance(one, ObjectOf) or not others:
        return one

    def shape() -> _Shape:
        fields = dict(one.fields)
        for other in others:
            for name, kind in other.fields.items():
                fields[name] = union(fields[name], without(kind, Absent)) if name in fields else union(kind, ABSENT)
        return fields, one.rest

    return ObjectOf(shape)


def _schemas(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _at(root: Any, reference: str) -> Any:
    """What a pointer leads to within the file; True, which lets everything through, where it leads nowhere."""
    if not reference.startswith("#"):
        return True
    found = root
    for step in filter(None, reference.removeprefix("#").split("/")):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            return True
    return found
