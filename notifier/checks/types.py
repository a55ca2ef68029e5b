"""What a value may be: JSON's types, as far as a schema tells them apart, and the absence of a value.

A `Type` is one kind of value, or a `Union` of several. An optional property is a union with `ABSENT`; everything but
`is defined` and `default` fails for it, as it does when a message is rendered (`rendering.values.Missing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Anything:
    """Nothing is known of it, so nothing is said about it."""


@dataclass(frozen=True, slots=True)
class Absent:
    """No value: the name is not there."""


@dataclass(frozen=True, slots=True)
class Null:
    """JSON's null."""


@dataclass(frozen=True, slots=True)
class Boolean:
    """True or false; ``value`` when it can only be one of them."""

    value: bool | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A number; ``values`` when only these are possible."""

    whole: bool = False
    values: frozenset[int | float] | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text; ``values`` when only these are possible, ``format`` as JSON Schema names it."""

    values: frozenset[str] | None = None
    format: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A list of known length, such as a key and its value."""

    items: tuple[Type, ...]


class ListOf:
    """A list; what is in it is made when it is asked for, because schemas may refer to themselves."""

    __slots__ = ("_item", "filled")

    def __init__(self, item: Type | Callable[[], Type], *, filled: bool = False) -> None:
        self._item = item
        self.filled = filled
        """Whether it has at least one element."""

    @property
    def item(self) -> Type:
        """What each element may be."""
        if callable(self._item):
            self._item = self._item()
        return self._item

    def as_filled(self) -> ListOf:
        """The same with at least one element."""
        return self if self.filled else ListOf(self._item, filled=True)


class ObjectOf:
    """An object; its properties are made when they are asked for."""

    __slots__ = ("_made", "_make", "is_sampled")

    def __init__(self, make: Callable[[], tuple[Mapping[str, Type], Type | None]], *, is_sampled: bool = False) -> None:
        self._make = make
        self._made: tuple[Mapping[str, Type], Type | None] | None = None
        self.is_sampled = is_sampled
        """Known from samples alone: that a name is in all of them does not say that it always is."""

    @classmethod
    def of(cls, fields: Mapping[str, Type], rest: Type | None = None, *, is_sampled: bool = False) -> ObjectOf:
        """One whose properties are known."""
        return cls(lambda: (fields, rest), is_sampled=is_sampled)

    @property
    def fields(self) -> Mapping[str, Type]:
        """Name → what it may be, with `ABSENT` where it need not be there."""
        return self._both()[0]

    @property
    def rest(self) -> Type | None:
        """What other names may be; None where nothing is said of others."""
        return self._both()[1]

    def _both(self) -> tuple[Mapping[str, Type], Type | None]:
        if self._made is None:
            self._made = self._make()
        return self._made


@dataclass(frozen=True, slots=True)
class Function:
    """Something that can be called; ``gives`` is what it returns."""

    name: str
    gives: Type
    run: Callable[[Call], Type] | None = None
    """Looks at one call of it and says what that gives: a macro's body depends on its arguments."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, with the types of what is given."""

    line: int
    arguments: tuple[Type, ...] = ()
    named: Mapping[str, Type] = field(default_factory=dict)
    caller: Type | None = None
    """What ``caller()`` gives, in a ``call`` block."""
    where: str = ""
    """``file:line`` of the call."""
    tell: Callable[[str, str], None] = lambda _what, _fix: None
    """Where it is wrong to be called like this: what, and what to do."""


@dataclass(frozen=True, slots=True)
class Union:
    """One of several. Without any, a value that cannot be."""

    members: tuple[Type, ...]


Type = Anything | Absent | Null | Boolean | Number | Text | Pair | ListOf | ObjectOf | Function | Union

ANYTHING, ABSENT, NULL, TEXT, NUMBER, BOOLEAN = Anything(), Absent(), Null(), Text(), Number(), Boolean()
NEVER = Union(())
#: The format of a text of which only samples are known: it may be anything.
SAMPLED = "sampled"


def members(one: Type) -> tuple[Type, ...]:
    """All it may be, each by itself."""
    return one.members if isinstance(one, Union) else (one,)


def union(*types: Type) -> Type:
    """One of them; what only differs by its known values becomes one."""
    if len(types) == 1:
        return types[0]
    found: list[Type] = []
    for member in (member for one in types for member in members(one)):
        for place, known in enumerate(found):
            if (joint := _joint(known, member)) is not None:
                found[place] = joint
                break
        else:
            found.append(member)
    return found[0] if len(found) == 1 else Union(tuple(found))


def without(one: Type, *kinds: type) -> Type:
    """What is left when it is none of these."""
    if not isinstance(one, Union):
        return NEVER if isinstance(one, kinds) else one
    return union(*(member for member in members(one) if not isinstance(member, kinds)))


def only(one: Type, *kinds: type) -> Type:
    """What is left when it is one of these; of what nothing is known nothing is said."""
    kept = [member for member in members(one) if isinstance(member, (*kinds, Anything))]
    return union(*kept) if kept else NEVER


def may_be(one: Type, *kinds: type) -> bool:
    """Whether it can be one of these."""
    if not isinstance(one, Union):
        return isinstance(one, kinds)
    return any(isinstance(member, kinds) for member in members(one))


def truthy(one: Type) -> Type:
    """What is left when it counts as true."""
    return union(*_truthy(one))


def falsy(one: Type) -> Type:
    """What is left when it counts as false."""
    return union(*(m for m in members(one) if not _is_always_true(m)))


def literal(value: object) -> Type:
    """The type of one value that is written out."""
    match value:
        case None:
            return NULL
        case bool():
            return Boolean(value)
        case int() | float():
            return Number(isinstance(value, int), frozenset({value}))
        case str():
            return Text(frozenset({value}))
    return ANYTHING


def describe(one: Type) -> str:
    """For people, in the words of `rendering.values.describe`."""
    words = list(dict.fromkeys(_described(member) for member in members(one) if not isinstance(member, Absent)))
    return " or ".join(words) or "nothing"


def _described(one: Type) -> str:
    match one:
        case Null():
            return "null"
        case Boolean():
            return "true or false"
        case Number():
            return "a number"
        case Text():
            return "a text"
        case ListOf() | Pair():
            return "a list"
        case ObjectOf():
            return "an object"
        case Function():
            return f"the function {one.name}()"
    return "anything"


def _joint(first: Type, second: Type) -> Type | None:
    """Both as one, when that loses nothing; None otherwise."""
    if first == second:
        return first
    match first, second:
        case Text(), Text():
            if first.values is not None and second.values is not None:
                return Text(first.values | second.values)
            return Text(format=first.format if first.format == second.format else "")
        case Number(), Number():
            values = first.values | second.values if first.values is not None and second.values is not None else None
            return Number(first.whole and second.whole, values)
        case Boolean(), Boolean():
            return BOOLEAN
    return None


def _truthy(one: Type) -> Iterator[Type]:
    for member in members(one):
        match member:
            case Absent() | Null() | Boolean(value=False):
                continue
            case Boolean():
                yield Boolean(True)
            case Text(values=frozenset() as values) if "" in values:
                yield Text(values - {""}, member.format)
            case ListOf():
                yield member.as_filled()
            case _:
                yield member


def _is_always_true(one: Type) -> bool:
    match one:
        case Boolean(value=True) | Function():
            return True
        case Text(values=frozenset() as values):
            return "" not in values
        case Number(values=frozenset() as numbers):
            return 0 not in numbers
        case ListOf():
            return one.filled
        case Pair():
            return bool(one.items)
    return False
