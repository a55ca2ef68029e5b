"""What filters and tests take and give, as far as it can be said without a value (`rendering.registry`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from notifier.checks.types import (
    ABSENT,
    ANYTHING,
    BOOLEAN,
    NUMBER,
    TEXT,
    Absent,
    Anything,
    Boolean,
    ListOf,
    Null,
    Number,
    ObjectOf,
    Pair,
    Text,
    Type,
    members,
    union,
    without,
)

_PRINTABLE = (Text, Number, Boolean)
_LISTED = (ListOf, Pair, ObjectOf, Text)


@dataclass(frozen=True, slots=True)
class Signature:
    """One filter."""

    takes: tuple[type, ...]
    """What its value may be; empty when anything may."""
    gives: Callable[[Type], Type]
    parameters: tuple[str, ...] = ()
    """Of its arguments, behind the value."""
    required: int = 0
    """How many of them must be given."""
    more: bool = False
    """Whether further ones may be given."""


def element(one: Type) -> Type:
    """What a list's elements, an object's keys or a text's characters may be."""
    kinds: list[Type] = []
    for member in members(one):
        match member:
            case ListOf():
                kinds.append(member.item)
            case Pair():
                kinds += member.items
            case ObjectOf() | Text():
                kinds.append(TEXT)
            case Absent() | Null():
                continue
            case _:
                kinds.append(ANYTHING)
    return union(*kinds)


def is_filled(one: Type) -> bool:
    """Whether it has an element in any case."""
    return all(isinstance(m, Pair) or (isinstance(m, ListOf) and m.filled) for m in members(one))


def pairs(one: Type) -> Type:
    """An object's keys and values."""
    values: list[Type] = []
    for member in members(one):
        if isinstance(member, ObjectOf):
            values += [without(kind, Absent) for kind in member.fields.values()]
            values += [ANYTHING if member.rest is None else without(member.rest, Absent)]
        elif isinstance(member, Anything):
            values.append(ANYTHING)
    return ListOf(Pair((TEXT, union(*values) if values else ANYTHING)))


def values(one: Type) -> Type:
    """An object's values."""
    item = pairs(one)
    assert isinstance(item, ListOf)  # noqa: S101 - as made above
    return ListOf(union(*(m.items[1] for m in members(item.item) if isinstance(m, Pair))))


def _text(_: Type) -> Type:
    return TEXT


def _number(_: Type) -> Type:
    return NUMBER


def _same(one: Type) -> Type:
    return one


def _any(_: Type) -> Type:
    return ANYTHING


def _elements(one: Type) -> Type:
    return ListOf(element(one), filled=is_filled(one))


def _one(one: Type) -> Type:
    return element(one) if is_filled(one) else union(element(one), ABSENT)


def _printed(*parameters: str, required: int = 0) -> Signature:
    return Signature(_PRINTABLE, _text, parameters, required)


FILTERS: Mapping[str, Signature] = {
    **dict.fromkeys(("upper", "lower", "title", "capitalize", "string", "escape", "e", "nl2br", "url"), _printed()),
    "trim": _printed("characters"),
    "replace": _printed("old", "new", "count", required=2),
    "truncate": _printed("length", "end"),
    "indent": _printed("width", "first"),
    "urlencode": Signature((*_PRINTABLE, ObjectOf), _text),
    "tojson": Signature((Text, Number, Boolean, Null, ListOf, Pair, ObjectOf), _text),
    "number": Signature((Number, Text), _text, ("decimals",)),
    "money": Signature((Number, Text), _text, ("currency",)),
    "date": Signature((Text, Number), _text, ("tz",)),
    "time": Signature((Text, Number), _text, ("tz",)),
    "datetime": Signature((Text, Number), _text, ("tz",)),
    "plural": Signature((Number, Text), _text, ("one", "many"), 2),
    "abs": Signature((Number,), _number),
    "round": Signature((Number,), _number, ("precision",)),
    "int": Signature((), lambda _: Number(whole=True), ("otherwise",)),
    "float": Signature((), _number, ("otherwise",)),
    "format": Signature((Text,), _text, more=True),
    **dict.fromkeys(("length", "count"), Signature(_LISTED, lambda _: Number(whole=True))),
    "list": Signature(_LISTED, _elements),
    "items": Signature((ObjectOf,), pairs),
    **dict.fromkeys(("first", "last"), Signature(_LISTED, _one)),
    "reverse": Signature(_LISTED, lambda one: TEXT if isinstance(one, Text) else _elements(one)),
    "batch": Signature(_LISTED, lambda one: ListOf(ListOf(element(one), filled=True)), ("count",), 1),
    "sort": Signature(_LISTED, _elements, ("reverse", "case_sensitive", "attribute")),
    "dictsort": Signature((ObjectOf,), pairs, ("reverse",)),
    "unique": Signature(_LISTED, _elements, ("attribute",)),
    "groupby": Signature(
        _LISTED, lambda one: ListOf(Pair((ANYTHING, ListOf(element(one), filled=True)))), ("attribute",), 1
    ),
    **dict.fromkeys(("min", "max"), Signature(_LISTED, _one, ("attribute", "case_sensitive"))),
    "sum": Signature(_LISTED, _number, ("attribute", "start")),
    "join": Signature(_LISTED, _text, ("separator", "attribute")),
    "map": Signature(_LISTED, lambda _: ListOf(ANYTHING), ("name", "attribute", "default"), more=True),
    **dict.fromkeys(
        ("select", "reject", "selectattr", "rejectattr"),
        Signature(_LISTED, lambda one: ListOf(element(one)), more=True),
    ),
}

#: Test → what a value that passes it can only be.
KINDS: Mapping[str, tuple[type, ...]] = {
    "none": (Null,),
    "null": (Null,),
    "boolean": (Boolean,),
    "integer": (Number,),
    "float": (Number,),
    "number": (Number,),
    "string": (Text,),
    "mapping": (ObjectOf,),
    "sequence": _LISTED,
    "iterable": _LISTED,
}
#: What texts and objects have besides keys (`rendering.values`).
TEXT_METHODS: Mapping[str, Type] = {
    **dict.fromkeys(("upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip", "replace"), TEXT),
    **dict.fromkeys(("removeprefix", "removesuffix"), TEXT),
    **dict.fromkeys(("startswith", "endswith", "isdigit", "isalpha", "isalnum"), BOOLEAN),
    **dict.fromkeys(("count", "find"), Number(whole=True)),
    **dict.fromkeys(("split", "rsplit", "splitlines"), ListOf(TEXT)),
}
OBJECT_METHODS: Mapping[str, Callable[[Type], Type]] = {
    "items": pairs,
    "keys": lambda _: ListOf(TEXT),
    "values": values,
    "get": _any,
}
