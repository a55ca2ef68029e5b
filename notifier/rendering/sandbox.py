"""The Jinja environment of this service: Jinja's own sandbox, with everything it may do replaced by our lists.

Jinja's `ImmutableSandboxedEnvironment` stays underneath, so a hole in ours still meets its attribute checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, TypeVar

from jinja2 import Template, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.nodes import EvalContext
from jinja2.parser import Parser
from jinja2.runtime import Context as JinjaContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from notifier.rendering import formats, lists, scalars  # noqa: F401 - they register filters and tests
from notifier.rendering.absent import Absent, Written, written
from notifier.rendering.compiler import MeteredCodeGenerator, Reference, forbidden, kind_of, nodes_of, references
from notifier.rendering.decimals import signed
from notifier.rendering.operators import binary, concat
from notifier.rendering.registry import FILTERS, TESTS
from notifier.rendering.syntax import Mistake, explained, near
from notifier.rendering.values import GLOBALS, Missing, attribute, call, item

#: Characters of one template file; compiling is not metered, so its input is bounded instead.
SOURCE = 256 * 1024


T = TypeVar("T")


class CompileError(Exception):
    """A template that does not compile; ``mistakes`` are given as (line, what) or (line, what, fix)."""

    def __init__(self, mistakes: Iterable[tuple[int, str] | tuple[int, str, str]]) -> None:
        self.mistakes = tuple(Mistake(*mistake) for mistake in mistakes)
        super().__init__("; ".join(what for _, what, _ in self.mistakes))


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a template's name and source make, and nothing else: a later version may use it again."""

    source: str
    code: CodeType
    references: list[Reference]


class _Templates(dict[str, Template]):
    """Made from their code when they are first asked for: a version of thousands is there at once.

    Never shared between versions: a template looks up what it includes in the sandbox that it was made for.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self._sandbox = sandbox

    def __missing__(self, name: str) -> Template:
        code = self._sandbox.codes[name].code
        # Of two threads that ask at once both get the same one, with the module that it may keep.
        return self.setdefault(name, Template.from_code(self._sandbox, code, self._sandbox.globals))


class Context(JinjaContext):
    """The names of one run. Jinja's own constructor asks anew how to escape, a message's three templates each time."""

    def __init__(
        self,
        environment: Sandbox,
        parent: dict[str, Any],
        name: str | None,
        blocks: Mapping[str, Callable[[JinjaContext], Iterator[str]]],
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja's name
    ) -> None:
        # Everything Jinja's sets, and nothing of it twice: 0.5 µs instead of 1.7.
        self.parent = parent
        self.vars = {}
        self.environment = environment
        self.eval_ctx = environment.escaping(name)
        self.exported_vars = set()
        self.name = name
        self.globals_keys = set() if globals is None else set(globals)
        self.blocks = {block: [render] for block, render in blocks.items()} if blocks else {}


class Sandbox(ImmutableSandboxedEnvironment):
    """Compiles templates and expressions into code that stays inside its budget and its data."""

    code_generator_class = MeteredCodeGenerator
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    intercepted_unops = frozenset({"-", "+"})
    concat = staticmethod(concat)
    context_class = Context

    def __init__(self) -> None:
        super().__init__(
            undefined=Missing,
            autoescape=lambda name: kind_of(name) == "html",
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            optimized=False,
            auto_reload=False,
            cache_size=0,
        )
        self.filters = dict(FILTERS)
        self.tests = dict(TESTS)
        self.globals = dict(GLOBALS)
        self.codes: dict[str, Compiled] = {}
        """Every template by name. Nothing is ever read from disk while rendering."""
        self.compiled: dict[str, Template] = _Templates(self)
        """The same, ready to run; KeyError for names that are not defined."""
        self._escaping: dict[str | None, EvalContext] = {}
        # Lines times names that templates write: a broken template that meets 10,000 events is parsed once.
        self._written: dict[tuple[str, int | None, str], Written | None] = {}

    def escaping(self, name: str | None) -> EvalContext:
        """How output is escaped, shared by all runs: nothing may change it, `{% autoescape %}` is `forbidden`."""
        if (found := self._escaping.get(name)) is None:
            found = self._escaping[name] = EvalContext(self, name)
        return found

    def define(self, name: str, source: str) -> list[Reference]:
        """Compile a template and return what it refers to. Raises `CompileError`."""
        if len(source) > SOURCE:
            raise CompileError([(1, f"has {len(source):,} characters; {SOURCE:,} are the most a template may have")])
        self.codes[name] = self._compiling(source, lambda: self._define(name, source))
        self.compiled.pop(name, None)
        return self.codes[name].references

    def _define(self, name: str, source: str) -> Compiled:
        tree = self.parse(source, name, name)
        found = nodes_of(tree)
        if mistakes := [*(Mistake(*one) for one in forbidden(found)), *self._unknown(found)]:
            raise CompileError(sorted(mistakes))
        return Compiled(source, self.compile(tree, name, name), references(found))

    def _unknown(self, found: Iterable[nodes.Node]) -> list[Mistake]:
        """Every filter and test that is not there; Jinja tells the first, some when they run."""
        named = [(node.lineno, node) for node in found if isinstance(node, nodes.Filter | nodes.Test)]
        filters = {(at, n.name) for at, n in named if isinstance(n, nodes.Filter) and n.name not in self.filters}
        tests = {(at, n.name) for at, n in named if isinstance(n, nodes.Test) and n.name not in self.tests}
        return sorted(
            [Mistake(at, f"No filter named {name!r}.", near(name, self.filters, "filters are")) for at, name in filters]
            + [Mistake(at, f"No test named {name!r}.", near(name, self.tests, "tests are")) for at, name in tests]
        )

    def written(self, name: str, line: int | None, absent: Absent) -> Written | None:
        """Where a template writes the name that nothing has (`absent.written`)."""
        key = (name, line, (absent.kind and "." + absent.name) or absent.name)
        if key not in self._written:
            tree = self.parse(self.codes[name].source, name, name)
            self._written[key] = written(tree, absent.name, alone=not absent.kind, line=line)
        return self._written[key]

    def expression(self, source: str) -> Template:
        """Compile one expression into a template that sets ``result``. Raises `CompileError`."""
        if len(source) > SOURCE:
            raise CompileError([(1, f"has {len(source):,} characters; {SOURCE:,} are the most an expression may have")])
        return self._compiling(source, lambda: self._expression(source))

    def _expression(self, source: str) -> Template:
        parser = self.parse_expression(source)
        body: list[nodes.Node] = [nodes.Assign(nodes.Name("result", "store"), parser, lineno=1)]
        tree = nodes.Template(body, lineno=1)
        tree.set_environment(self)
        if mistakes := self._unknown(nodes_of(tree)):
            raise CompileError(mistakes)
        return Template.from_code(self, self.compile(tree), self.globals)

    def parse_expression(self, source: str) -> nodes.Expr:
        """The tree of one expression. Raises Jinja's `TemplateSyntaxError`."""
        parser = Parser(self, source, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            raise TemplateSyntaxError("something follows the end of the expression", 1)
        return expression

    def _compiling(self, source: str, step: Callable[[], T]) -> T:
        """Every way in which Jinja or Python refuses a source, as one error."""
        try:
            return step()
        except TemplateSyntaxError as error:
            raise CompileError([explained(error, source, self)]) from error
        except (RecursionError, MemoryError) as error:
            raise CompileError([(1, "is nested too deeply", "use fewer levels")]) from error
        except (SyntaxError, ValueError, OverflowError) as error:
            raise CompileError([(1, f"does not compile: {getattr(error, 'msg', error)}")]) from error

    def handle_exception(self, source: str | None = None) -> Any:  # noqa: ARG002
        """Let syntax mistakes through as they are; Jinja would rewrite their traceback for a person at a terminal."""
        raise  # noqa: PLE0704 - called by Jinja inside its except blocks only

    def get_template(
        self,
        name: str | Template,
        parent: str | None = None,  # noqa: ARG002
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002, ARG002
    ) -> Template:
        """One of the compiled templates; names are those below the templates folder, so none can point outside."""
        try:
            return self.compiled[str(name)]
        except KeyError:
            raise TemplateNotFound(str(name)) from None

    def getattr(self, obj: Any, attribute_name: str) -> Any:
        """For Jinja's own code; generated code calls `values.attribute` directly."""
        return attribute(obj, attribute_name)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """For Jinja's own code; generated code calls `values.item` directly."""
        return item(obj, argument)

    def call(self, context: JinjaContext, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """``function(…)`` of a template."""
        return call(context, function, *args, **kwargs)

    def call_binop(self, context: JinjaContext, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        """Arithmetic of a template."""
        return binary(operator, left, right)

    def call_unop(self, context: JinjaContext, operator: str, arg: Any) -> Any:  # noqa: ARG002
        """A sign in a template."""
        return signed(operator, arg)
