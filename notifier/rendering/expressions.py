"""Rule expressions: sandboxed Jinja expressions over ``event`` and ``data`` that give plain values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from jinja2 import Template, nodes
from jinja2.runtime import Undefined

from notifier.domain.event import Event
from notifier.rendering.context import event_attributes
from notifier.rendering.faults import rendering_fault
from notifier.rendering.meter import NESTING, Meter, RefusedError, spend
from notifier.rendering.predicates import UNSURE, Facts, predicate
from notifier.rendering.sandbox import CompileError, Context, Sandbox
from notifier.rendering.values import describe

_SCALARS = frozenset({str, int, float, Decimal, bool, type(None)})
_NAMES = ("data", "event")


class ExpressionError(ValueError):
    """The source is not an expression; the message says what is wrong with it, ``fix`` what to do."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.fix = fix


class Expressions:
    """Compiles the expressions of rule files."""

    def __init__(self) -> None:
        self._sandbox = Sandbox()

    def compile(self, source: str) -> Expression:
        """Raises `ExpressionError`, a ValueError, naming the mistake."""
        try:
            return Expression(source, self._sandbox.expression(source), self._sandbox)
        except CompileError as error:
            raise ExpressionError(f"{source!r} is not an expression: {error}", error.mistakes[0].fix) from error


class Expression:
    """One compiled expression; may be evaluated by any number of threads and greenlets."""

    __slots__ = ("_globals", "_predicate", "_reads_event", "_run", "_sandbox", "source")

    def __init__(self, source: str, template: Template, sandbox: Sandbox) -> None:
        self.source = source
        self._run = template.root_render_func
        self._sandbox = sandbox
        self._globals = template.globals
        # Making the attributes costs 1.5 µs, and most expressions only look at the data.
        self._reads_event = "event" in source
        self._predicate = predicate(sandbox.parse_expression(source), source)

    def holds(self, event: Event, facts: Facts) -> bool:
        """Whether the value is true as Python sees it; ``facts`` are those of the event. Raises as `evaluate` does."""
        if self._predicate is not None:
            try:
                return bool(self._predicate(facts))
            except UNSURE:
                pass  # the sandbox knows
        return bool(self.evaluate(event))

    def tree(self) -> nodes.Expr:
        """What it is made of, for checks."""
        return self._sandbox.parse_expression(self.source)

    def evaluate(self, event: Event) -> Any:
        """The value as plain JSON; raises `RenderError` when a name is missing or the budget is used up."""
        names = {**self._globals, "data": event.data}
        if self._reads_event:
            names["event"] = event_attributes(event)
        context = Context(self._sandbox, names, None, {})
        with Meter(_NAMES):
            try:
                for _ in self._run(context):
                    pass
                result = context.vars["result"]
                return result if type(result) in _SCALARS else _plain(result, NESTING)
            except Exception as error:
                fault = rendering_fault(error, "", self.tree)
                raise type(fault)(f"expression {self.source!r}: {fault.what}", fix=fault.fix) from error

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def _plain(value: Any, depth: int) -> Any:
    if type(value) in _SCALARS:
        return value
    if isinstance(value, str):
        return str(value)
    if depth == 0:
        raise RefusedError(f"the result is nested more than {NESTING} levels deep")
    if isinstance(value, list | tuple):
        spend(len(value) + 1)
        return [_plain(element, depth - 1) for element in value]
    if isinstance(value, dict):
        spend(len(value) + 1)
        return {key: _plain(element, depth - 1) for key, element in value.items()}
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - the documented way an Undefined fails
    raise RefusedError(f"the result is {describe(value)}, not a value")
