"""Everything that can go wrong in a render, as `RenderError` with the template and the line; nothing else leaves."""

from __future__ import annotations

from jinja2 import TemplateNotFound, TemplateRuntimeError
from jinja2.environment import Template

from notifier.errors import RenderBudgetExceeded, RenderError
from notifier.rendering.meter import ExhaustedError, RefusedError

#: Python's own words for these name kinds of values, never the values: an error is logged, and data may be private.
_OWN_WORDS = (TypeError, ZeroDivisionError, TemplateRuntimeError, RefusedError, ExhaustedError)


def rendering_fault(error: Exception, template: str) -> RenderError:
    """``error``, raised while ``template`` was rendered, with the innermost place that is ours to show."""
    name, line = _place(error)
    kind = RenderBudgetExceeded if isinstance(error, ExhaustedError | RecursionError | MemoryError) else RenderError
    return kind(_message(error), name or template, line)


def _message(error: Exception) -> str:
    if isinstance(error, _OWN_WORDS):
        return str(error)
    if isinstance(error, TemplateNotFound):
        return f"there is no template {error.name!r}"
    if isinstance(error, RecursionError):
        return "calls itself too deeply"
    return f"fails with {type(error).__name__}"


def _place(error: Exception) -> tuple[str, int]:
    name, line = "", 0
    traceback = error.__traceback__
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            name = template.name or ""
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return name, line
