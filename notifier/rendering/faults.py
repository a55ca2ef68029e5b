"""Everything that can go wrong in a render, as `RenderError` with the template and the line; nothing else leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from jinja2 import TemplateNotFound, TemplateRuntimeError, nodes
from jinja2.environment import Template

from notifier.errors import RenderBudgetExceeded, RenderError
from notifier.rendering.absent import FIX, Absent, Written, written
from notifier.rendering.meter import ExhaustedError, RefusedError

#: Python's own words for these name kinds of values, never the values: an error is logged, and data may be private.
_OWN_WORDS = (TypeError, ZeroDivisionError, TemplateRuntimeError, RefusedError, ExhaustedError)
_TOO_MUCH = (ExhaustedError, RecursionError, MemoryError)


def rendering_fault(error: Exception, template: str, expression: Callable[[], nodes.Node] | None = None) -> RenderError:
    """``error``, raised while ``template`` was rendered, with the innermost place that is ours to show.

    ``expression`` gives the tree of what has no file of its own.
    """
    frames = list(_frames(error))
    inner, line = frames[-1] if frames else (None, 0)
    name = (inner.name if inner is not None else "") or template
    if (absent := _absent(error)) is not None and absent.name:
        found = _found(absent, frames, expression)
        if found is not None:
            return RenderError(absent.at(found[1]), found[0] or template, found[1].line, FIX)
        return RenderError(str(absent), name, line, FIX)
    return (RenderBudgetExceeded if isinstance(error, _TOO_MUCH) else RenderError)(_message(error), name, line)


def _absent(error: Exception) -> Absent | None:
    message = error.args[0] if error.args else None
    return message if isinstance(message, Absent) else None


def _found(
    absent: Absent, frames: list[tuple[Template, int]], expression: Callable[[], nodes.Node] | None
) -> tuple[str, Written] | None:
    """Where the name is written: on one of the lines that ran, the innermost first, or nowhere else in a file."""
    if expression is not None:
        place = written(expression(), absent.name, alone=not absent.kind, line=None)
        return None if place is None else ("", replace(place, line=0))
    for exact in (True, False):
        for template, line in reversed(frames):
            look = template.environment.written  # type: ignore[attr-defined] # ours is the only environment
            if found := look(template.name, line if exact else None, absent):
                return template.name or "", found
    return None


def _message(error: Exception) -> str:
    if isinstance(error, _OWN_WORDS):
        return str(error)
    if isinstance(error, TemplateNotFound):
        return f"there is no template {error.name!r}"
    if isinstance(error, RecursionError):
        return "calls itself too deeply"
    return f"fails with {type(error).__name__}"


def _frames(error: Exception) -> Iterator[tuple[Template, int]]:
    """Template and line of everything that ran, the outermost first."""
    traceback = error.__traceback__
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            yield template, template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
