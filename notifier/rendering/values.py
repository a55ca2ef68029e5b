"""How templates reach into values: attributes, items, calls. Everything not listed here does not exist for them.

A dot prefers a key of the data: ``data.items`` is the list of ordered items when the data has one.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from jinja2.runtime import BlockReference, LoopContext, Macro, StrictUndefined, TemplateReference, Undefined
from jinja2.runtime import Context as JinjaContext
from jinja2.utils import missing
from markupsafe import Markup

from notifier.rendering.absent import Absent, nearest
from notifier.rendering.meter import RefusedError, current, enter, spend, spend_characters, weigh


class Item(str):
    """What stood between brackets: it may be a value of somebody's data, so it is not told as a name after a dot is."""

    __slots__ = ()


class Missing(StrictUndefined):
    """A name the data does not have. Using it fails and names the nearest one there is."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        name, owner = self._undefined_name, self._undefined_obj
        if owner is missing:
            return Absent.said(f"{name!r} is undefined", current().names, name=str(name))
        kind, known = describe(owner), owner if isinstance(owner, dict) else ()
        if isinstance(name, Item):
            return Absent.said(f"{kind} has no such item{nearest(name, known)}", ())
        return Absent.said(f"{kind} has no {name!r}", known, str(name), kind)


class Json(str):
    """Text that is JSON already: what `tojson` gives and what a JSON template has written. HTML escapes it as any text.

    Not `Markup`: that only says safe for HTML, and a backslash is.
    """

    __slots__ = ()


def describe(value: Any) -> str:
    """What kind of value this is, in the words of someone who writes templates and knows JSON.

    It is asked for by those that refuse a value, and of an undefined one its name is what is wrong: that is raised.
    """
    refuse_undefined(value)
    kinds = {dict: "an object", list: "a list", tuple: "a list", str: "a text", Markup: "a text", bool: "true or false"}
    kinds |= dict.fromkeys((int, float, Decimal), "a number") | {type(None): "null"}
    return kinds.get(type(value), f"a {type(value).__name__.lower()}")


def refuse_undefined(*values: Any) -> None:
    """Fail with the name of the first that is undefined."""
    for value in values:
        if isinstance(value, Undefined):
            value._fail_with_undefined_error()  # noqa: SLF001 - the documented way an Undefined fails


class Function:
    """A function a template may call: a listed method bound to its text or object, or a global."""

    __slots__ = ("run",)

    def __init__(self, run: Callable[..., Any]) -> None:
        self.run = run


def replace(text: str, old: str, new: str, count: int = -1) -> str:
    """``text`` with ``old`` replaced, paid before it is made: an empty ``old`` matches between all characters."""
    old, new = need_text(old), need_text(new)
    spend_characters(len(text))
    found = len(text) + 1 if old == "" else text.count(old)
    spend_characters((found if count < 0 else min(found, count)) * 6 * len(new))
    return text.replace(old, new, count)


def need_text(value: Any) -> str:
    """``value`` when it is a text, else the error a template's author can read."""
    if isinstance(value, str):
        return value
    raise RefusedError(f"expected a text, not {describe(value)}")


def _looking(name: str) -> Callable[..., Any]:
    method = getattr(str, name)

    def run(text: str, *args: Any) -> Any:
        spend_characters(weigh(text, *args))
        return getattr(text, name)(*args) if isinstance(text, Markup) else method(text, *args)

    return run


def _splitting(name: str) -> Callable[..., Any]:
    run = _looking(name)

    def split(text: str, *args: Any) -> Any:
        spend(len(text))
        return run(text, *args)

    return split


_SAME_SIZE = ("upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip", "startswith", "endswith")
_PARTS = ("count", "find", "isdigit", "isalpha", "isalnum", "removeprefix", "removesuffix")
TEXT_METHODS: dict[str, Callable[..., Any]] = {
    **{name: _looking(name) for name in (*_SAME_SIZE, *_PARTS)},
    **{name: _splitting(name) for name in ("split", "rsplit", "splitlines")},
}


def _items(value: dict[str, Any]) -> list[Any]:
    spend(2 * len(value))
    return [[key, item] for key, item in value.items()]


def _keys(value: dict[str, Any]) -> list[str]:
    spend(len(value))
    return list(value)


def _values(value: dict[str, Any]) -> list[Any]:
    spend(len(value))
    return list(value.values())


def _get(value: dict[str, Any], key: Any, default: Any = None) -> Any:
    return value.get(need_text(key), default)


TEXT_METHODS["replace"] = replace
OBJECT_METHODS: dict[str, Callable[..., Any]] = {"items": _items, "keys": _keys, "values": _values, "get": _get}
_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"})
_LOOP_ITEMS = frozenset({"previtem", "nextitem"})


def attribute(value: Any, name: str) -> Any:
    """``value.name`` of a template."""
    if isinstance(value, dict):
        try:
            return value[name]
        except KeyError:
            method = OBJECT_METHODS.get(name)
            return Missing(obj=value, name=name) if method is None else _bound(method, value)
    if isinstance(value, str):
        method = TEXT_METHODS.get(name)
        return Missing(obj=value, name=name) if method is None else _bound(method, value)
    return _other_attribute(value, name)


def _bound(method: Callable[..., Any], value: Any) -> Function:
    return Function(lambda *args, **kwargs: method(value, *args, **kwargs))


def _other_attribute(value: Any, name: str) -> Any:
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - the documented way an Undefined fails
    if name.startswith("_"):
        raise RefusedError(f"{name!r} begins with an underscore: only keys of the data may")
    if isinstance(value, LoopContext):
        if name in _LOOP or name in _LOOP_ITEMS:
            return getattr(value, name)
        if name == "cycle":
            return Function(value.cycle)
    if isinstance(value, TemplateReference):
        return _block(value, name)
    if isinstance(value, BlockReference) and name == "super":
        return value.super
    exported = _exported(value, name)
    return Missing(obj=value, name=name) if exported is missing else exported


def _block(blocks: TemplateReference, name: str) -> Any:
    try:
        return blocks[name]
    except KeyError:
        raise RefusedError(f"there is no block {name!r}") from None


def _exported(value: Any, name: str) -> Any:
    return value.__dict__.get(name, missing) if type(value).__name__ == "TemplateModule" else missing


def item(value: Any, key: Any) -> Any:
    """``value[key]`` of a template."""
    if isinstance(key, str):
        found = attribute(value, key)
        return Missing(obj=value, name=Item(key)) if type(found) is Missing else found
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - the documented way an Undefined fails
    if isinstance(key, Undefined):
        key._fail_with_undefined_error()  # noqa: SLF001
    if type(key) is int and isinstance(value, list | tuple | str):
        try:
            return value[key]
        except IndexError:
            return Missing(obj=value, name=Item(key))
    raise RefusedError(f"{describe(value)} cannot be indexed with {describe(key)}")


def cut(value: Any, start: Any, stop: Any, step: Any) -> Any:
    """``value[start:stop:step]`` of a template."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - the documented way an Undefined fails
    if not isinstance(value, list | tuple | str):
        raise RefusedError(f"{describe(value)} has no parts to cut out")
    if any(type(bound) not in (int, type(None)) for bound in (start, stop, step)) or step == 0:
        raise RefusedError("the bounds of a part are whole numbers, and its step is not 0")
    (spend_characters if isinstance(value, str) else spend)(len(value))
    return value[start:stop:step]


def size(value: Any) -> int:
    """Elements of a list, object or text; everything else is an error a template's author can read."""
    if isinstance(value, list | tuple | dict | str | Missing):
        return len(value)
    raise RefusedError(f"{describe(value)} has no elements")


def iterate(value: Any) -> Any:
    """What a ``for`` loops over, paid at once."""
    if isinstance(value, Undefined):
        return iter(value)
    if isinstance(value, LoopContext):
        raise RefusedError("a loop cannot be looped over")
    spend(size(value))
    return value


def call(context: JinjaContext, function: Any, /, *args: Any, **kwargs: Any) -> Any:
    """``function(…)`` of a template."""
    kwargs.pop("_loop_vars", None)
    kwargs.pop("_block_vars", None)
    spend(1 + len(args) + len(kwargs))
    if type(function) is Function:
        return function.run(*args, **kwargs)
    if isinstance(function, Undefined):
        function._fail_with_undefined_error()  # noqa: SLF001 - the documented way an Undefined fails
    meter = enter()
    try:
        if isinstance(function, Macro):
            # Without the caller's context, which Jinja passes: a macro escapes as the file it is written in does, so
            # what it gives is safe HTML only when that file is HTML.
            return function(*args, **kwargs)
        if isinstance(function, BlockReference):
            written = function(*args, **kwargs)
            return Json(written) if context.name is not None and context.name.endswith(".json.j2") else written
        if isinstance(function, LoopContext) and len(args) == 1:
            return function(iterate(args[0]))
    finally:
        meter.depth -= 1
    raise RefusedError(f"{describe(function)} cannot be called")


def up_to(*args: Any) -> list[int]:
    """The global ``range``."""
    numbers = range(*args)
    if len(numbers) > 10_000:
        raise RefusedError("range() of more than 10,000 numbers")
    spend(len(numbers))
    return list(numbers)


GLOBALS: dict[str, Any] = {"range": Function(up_to)}
