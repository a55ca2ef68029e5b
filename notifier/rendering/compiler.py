"""Jinja's code generator, changed so that generated code pays for itself and reaches values only through our functions.

Each run of a block of statements (a template, a block, a macro, one round of a loop) costs the number of its nodes,
which is known when it is compiled; what grows with the data is paid by `values`, `operators` and `filters`. Nothing is
evaluated while compiling: constant folding would run ``'a' * 10**9`` before any budget exists.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame

Kind = Literal["html", "json", "text", "url"]
#: Statements whose bodies pay for themselves when they run.
_PAYING = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block)
_REFERRING = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_WRITERS: dict[Kind, str] = {"html": "html", "json": "json_text", "text": "text_of", "url": "url_text"}
_IMPORTS = (
    "from notifier.rendering.meter import spend",
    "from notifier.rendering.operators import COMPARISONS, compare_all, concatenate, mapping",
    "from notifier.rendering.operators import html, json_concat, json_text, text_of, url_text",
    "from notifier.rendering.values import attribute, cut, item, iterate",
)
#: What running a block costs besides its nodes; starting a macro or an included template takes about 2 µs.
_ENTRY = 10


def kind_of(name: str | None) -> Kind:
    """How a template's output is escaped, by the end of its name; macros follow the file they are written in."""
    if name is not None and name.endswith(".html.j2"):
        return "html"
    if name is not None and name.endswith(".url.j2"):
        return "url"
    return "json" if name is not None and name.endswith(".json.j2") else "text"


def nodes_of(tree: nodes.Template) -> list[nodes.Node]:
    """All below it, walked once: whoever looks for one kind by `find_all` walks all of them again."""
    return list(tree.find_all(nodes.Node))


def forbidden(found: Iterable[nodes.Node]) -> list[tuple[int, str]]:
    """(line, what) of every construct that templates may not use."""
    mistakes = []
    for node in found:
        match node:
            case nodes.Include() | nodes.Import() | nodes.FromImport() | nodes.Extends():
                if not (isinstance(node.template, nodes.Const) and isinstance(node.template.value, str)):
                    what = "the name of an included template must be written out as one text"
                    mistakes.append((node.lineno, what))
            case nodes.EvalContextModifier() | nodes.ScopedEvalContextModifier():
                mistakes.append((node.lineno, "{% autoescape %} is not available: HTML is always escaped"))
            case nodes.NSRef():
                what = f"cannot set {node.name}.{node.attr}: values cannot be changed"
                mistakes.append((node.lineno, what))
    return sorted(mistakes)


@dataclass(frozen=True, slots=True)
class Reference:
    """One include, import or extends."""

    name: str
    line: int
    cached: bool
    """Rendered once without a context and kept: imports, and includes ``without context``."""
    written: bool
    """Its output becomes output of the referring template: includes and extends, not imports."""


def references(found: Iterable[nodes.Node]) -> list[Reference]:
    """The templates that one with these nodes includes, imports or extends."""
    return [
        Reference(
            node.template.value,
            node.lineno,
            cached=not getattr(node, "with_context", True),
            written=isinstance(node, nodes.Include | nodes.Extends),
        )
        for node in found
        if isinstance(node, _REFERRING) and isinstance(node.template, nodes.Const)
    ]


def weight(body: Iterable[nodes.Node]) -> int:
    """Nodes that run when ``body`` runs once, without the bodies that pay for themselves."""
    total = 0
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        total += 1
        waiting.extend(node.iter_child_nodes(exclude=("body",) if isinstance(node, _PAYING) else None))
    return total


class MeteredCodeGenerator(CodeGenerator):
    """Overrides every visitor whose code would touch a value without asking."""

    _paid = 0
    """How many statements around this one have already paid for it (``if``, ``with``, ``set`` blocks)."""

    @property
    def _writer(self) -> str:
        return _WRITERS[kind_of(self.name)]

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        """Imports first, so that generated code finds our functions among its globals."""
        for line in _IMPORTS:
            self.writeline(line)
        super().visit_Template(node, frame)

    def write_commons(self) -> None:
        """What a JSON template captures (macros, ``set`` blocks) is JSON already."""
        super().write_commons()
        if kind_of(self.name) == "json":
            self.writeline("concat = json_concat")

    def blockvisit(self, nodes: Iterable[nodes.Node], frame: Frame) -> None:
        """A body that runs by itself pays when it starts."""
        body = list(nodes)
        if not self._paid:
            self.writeline(f"spend({_ENTRY + weight(body)})")
        super().blockvisit(body, frame)

    def _inside_paid(self, visit: Any, *args: Any) -> None:
        self._paid += 1
        visit(*args)
        self._paid -= 1

    def _outside_paid(self, visit: Any, *args: Any) -> Any:
        before, self._paid = self._paid, 0
        result = visit(*args)
        self._paid = before
        return result

    def visit_If(self, node: nodes.If, frame: Frame) -> None:  # noqa: N802
        """All branches were counted by the body around them."""
        self._inside_paid(super().visit_If, node, frame)

    def visit_With(self, node: nodes.With, frame: Frame) -> None:  # noqa: N802
        """Counted by the body around it."""
        self._inside_paid(super().visit_With, node, frame)

    def visit_FilterBlock(self, node: nodes.FilterBlock, frame: Frame) -> None:  # noqa: N802
        """Counted by the body around it."""
        self._inside_paid(super().visit_FilterBlock, node, frame)

    def visit_AssignBlock(self, node: nodes.AssignBlock, frame: Frame) -> None:  # noqa: N802
        """Counted by the body around it."""
        self._inside_paid(super().visit_AssignBlock, node, frame)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802
        """What is looped over is paid as a whole; each round pays for its body, and each try of its ``if``."""
        # Jinja keeps these two nodes for extensions and no template can write one, so here they mean something else.
        node.iter = nodes.MarkSafe(node.iter, lineno=node.lineno)
        if node.test is not None:
            node.test = nodes.MarkSafeIfAutoescape(node.test, lineno=node.lineno)
        self._outside_paid(super().visit_For, node, frame)

    def visit_MarkSafe(self, node: nodes.MarkSafe, frame: Frame) -> None:  # noqa: N802
        """See `visit_For`."""
        self._function("iterate", (node.expr,), frame)

    def visit_MarkSafeIfAutoescape(self, node: nodes.MarkSafeIfAutoescape, frame: Frame) -> None:  # noqa: N802
        """See `visit_For`; `spend` gives None."""
        self.write(f"(spend({weight([node.expr])}) or ")
        self.visit(node.expr, frame)
        self.write(")")

    def macro_body(self, node: nodes.Macro | nodes.CallBlock, frame: Frame) -> Any:
        """Macros and call blocks pay each time they are called."""
        return self._outside_paid(super().macro_body, node, frame)

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:  # noqa: N802
        """Text as it stands; values through the writer of this kind of template; nothing folded while compiling."""
        if frame.require_output_check:
            if self.has_known_extends:
                return
            self.writeline("if parent_template is None:")
            self.indent()
        # One chunk for all of them: a generator's step and a round of `concat` cost as much as a value. Each keeps a
        # line of its own, so that a mistake is still found at its place.
        self.start_write(frame, node)
        self.write("''.join((")
        for child in node.nodes:
            self.newline(child)
            if isinstance(child, nodes.TemplateData):
                self.write(f"{child.data!r}, ")
            else:
                self.write(f"{self._writer}(")
                self.visit(child, frame)
                self.write("), ")
        self.write("))")
        self.end_write(frame)
        if frame.require_output_check:
            self.outdent()

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        """``a ~ b``; in a URL what is joined is encoded once, when it is written."""
        self.write(f"concatenate({'text_of' if self._writer == 'url_text' else self._writer}, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame, **_: Any) -> None:  # noqa: N802
        """``a < b``, and ``a < b < c`` without a short cut: writing ``b`` twice would double the code per nesting."""
        if len(node.ops) == 1:
            self.write(f"COMPARISONS[{node.ops[0].op!r}](")
        else:
            self.write(f"compare_all({[operand.op for operand in node.ops]!r}, ")
        for part in (node.expr, *(operand.expr for operand in node.ops)):
            self.visit(part, frame)
            self.write(", ")
        self.write(")")

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame, **_: Any) -> None:  # noqa: N802
        """``value.name``."""
        self.write("attribute(")
        self.visit(node.node, frame)
        self.write(f", {node.attr!r})")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame, **_: Any) -> None:  # noqa: N802
        """``value[key]`` and ``value[start:stop:step]``; Jinja's own slices bypass the sandbox."""
        if not isinstance(node.arg, nodes.Slice):
            self._function("item", (node.node, node.arg), frame)
        else:
            self._function("cut", (node.node, node.arg.start, node.arg.stop, node.arg.step), frame)

    def _function(self, name: str, arguments: Iterable[nodes.Expr | None], frame: Frame) -> None:
        self.write(f"{name}(")
        for argument in arguments:
            if argument is None:
                self.write("None")
            else:
                self.visit(argument, frame)
            self.write(", ")
        self.write(")")

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802
        """A tuple that is not a target of an assignment is a list: JSON has no other, and lists are never hashed."""
        if node.ctx == "store":
            super().visit_Tuple(node, frame)
        else:
            self.visit_List(nodes.List(node.items, lineno=node.lineno), frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        """``{key: value}``."""
        self.write("mapping((")
        for pair in node.items:
            self._function("", (pair.key, pair.value), frame)
            self.write(", ")
        self.write("))")
