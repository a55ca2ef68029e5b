"""The texts of a channel file (URL, headers, body) and the request they make: the same sandbox and budget as templates.

What data says can end no value it stands in: in a URL it is percent-encoded, a form encodes its fields, JSON its texts.
Bodies are written as structures, never as text with holes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson
from jinja2 import Template, meta, nodes

from notifier.rendering.compiler import nodes_of, references
from notifier.rendering.context import NAMES
from notifier.rendering.faults import rendering_fault
from notifier.rendering.meter import ExhaustedError, Meter
from notifier.rendering.operators import concat
from notifier.rendering.sandbox import CompileError, Context, Sandbox

#: What the texts may name: what templates may, what these made, the address, and the file's settings.
TEXT_NAMES = ("text", "subject", "address", "settings", *(n for n in NAMES if n not in ("unsubscribe_url", "digest")))
#: Bytes of a request's body.
BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Text:
    """One text, compiled; a template only if something in it has to be found."""

    place: str
    line: int
    source: str
    reads: frozenset[str] = frozenset()
    """Names it uses; of the file's settings the whole name of each."""
    template: Template | None = None

    def render(self, sandbox: Sandbox, names: Mapping[str, Any]) -> str:
        """Raises `RenderError`; call it within a `Meter`."""
        template = self.template
        if template is None:
            return self.source
        try:
            context = Context(sandbox, {**sandbox.globals, **names}, template.name, template.blocks)
            return concat(template.root_render_func(context))
        except Exception as error:
            fault = rendering_fault(error, "")
            raise type(fault)(fault.what, self.place, self.line + max(0, fault.line - 1), fault.fix) from error


#: A JSON body as it is written: mappings, lists and plain values with a `Text` for each text.
Shape = Any


@dataclass(frozen=True, slots=True)
class RenderedRequest:
    """What is sent, but for what depends on the connection."""

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    content_type: str
    body: bytes = field(repr=False)


class RequestTexts:
    """Compiles the texts of one channel file."""

    def __init__(self, place: str) -> None:
        """``place`` is the file as people know it: ``templates/_channels/sms.yaml``."""
        self.sandbox = Sandbox()
        self._place = place

    def compile(self, source: str, line: int, *, in_url: bool = False) -> Text:
        """Raises `CompileError` with lines of the file."""
        if "{" not in source:
            return Text(self._place, line, source)
        name = f"{line}.url.j2" if in_url else f"{line}.text.j2"
        try:
            self.sandbox.define(name, source)
            reads = self._look(source, name)
        except CompileError as error:
            raise CompileError((line + at - 1, what, fix) for at, what, fix in error.mistakes) from error
        return Text(self._place, line, source, reads, self.sandbox.compiled[name])

    def setting(self, name: str, line: int, before: str = "") -> Text:
        """The value of a setting as it is, behind a word such as ``Bearer``."""
        self.sandbox.define(f"{line}.text.j2", f"{before}{{{{ settings.{name} }}}}")
        return Text(self._place, line, "", frozenset({name}), self.sandbox.compiled[f"{line}.text.j2"])

    def _look(self, source: str, name: str) -> frozenset[str]:
        """The names it uses. Raises `CompileError` for those that nothing gives."""
        tree = self.sandbox.parse(source, name, name)
        if found := references(nodes_of(tree)):
            raise CompileError([(reference.line, "a channel file includes nothing") for reference in found])
        used = meta.find_undeclared_variables(tree) - self.sandbox.globals.keys()
        named = [n for n in tree.find_all(nodes.Getattr) if getattr(n.node, "name", "") == "settings"]
        if mistakes := [*_unknown(tree, used - set(TEXT_NAMES)), *_alone(tree, named)]:
            raise CompileError(mistakes)
        return frozenset(used - {"settings"} | {node.attr for node in named})


def _unknown(tree: nodes.Template, names: Collection[str]) -> Iterator[tuple[int, str]]:
    """Names that nothing gives, each once, where it stands first."""
    lines = {node.name: node.lineno for node in reversed(list(tree.find_all(nodes.Name)))}
    for name in sorted(names, key=lambda one: (lines[one], one)):
        yield lines[name], f"{name!r} is not defined; known: {', '.join(TEXT_NAMES)}"


def _alone(tree: nodes.Template, named: Iterable[nodes.Getattr]) -> Iterator[tuple[int, str]]:
    """Where ``settings`` is used as a whole: which settings the file needs could then not be said."""
    right = {id(node.node) for node in named}
    for node in tree.find_all(nodes.Name):
        if node.name == "settings" and id(node) not in right:
            yield node.lineno, "settings are named one by one, such as settings.NOTIFIER_CHANNEL_SMS_TOKEN"


@dataclass(frozen=True, slots=True)
class Basic:
    """A login by RFC 7617."""

    user: Text
    password: Text

    def header(self, sandbox: Sandbox, names: Mapping[str, Any]) -> tuple[str, str]:
        """The header it is."""
        pair = f"{self.user.render(sandbox, names)}:{self.password.render(sandbox, names)}"
        return "authorization", "Basic " + b64encode(pair.encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """The texts of a request; one of the bodies, or none."""

    sandbox: Sandbox
    url: Text
    method: str = "POST"
    headers: tuple[tuple[str, Text], ...] = ()
    basic: Basic | None = None
    form: tuple[tuple[str, Text], ...] | None = None
    json: Shape = None
    body: Text | None = None

    def render(self, names: Mapping[str, Any]) -> RenderedRequest:
        """Raises `RenderError`."""
        with Meter(TEXT_NAMES):
            url = self.url.render(self.sandbox, names)
            headers = [(name, text.render(self.sandbox, names)) for name, text in self.headers]
            if self.basic is not None:
                headers.append(self.basic.header(self.sandbox, names))
            content_type, body = self._body(names)
        if len(body) > BODY_BYTES:
            raise rendering_fault(ExhaustedError(f"made more than {BODY_BYTES:,} bytes of a request"), self.url.place)
        return RenderedRequest(self.method, url, tuple(headers), content_type, body)

    def _body(self, names: Mapping[str, Any]) -> tuple[str, bytes]:
        if self.form is not None:
            fields = [(name, text.render(self.sandbox, names)) for name, text in self.form]
            return "application/x-www-form-urlencoded", urlencode(fields).encode("ascii")
        if self.json is not None:
            return "application/json", orjson.dumps(_filled(self.json, self.sandbox, names))
        return "text/plain; charset=utf-8", self.body.render(self.sandbox, names).encode() if self.body else b""


def _filled(shape: Shape, sandbox: Sandbox, names: Mapping[str, Any]) -> Any:
    """Nesting is bounded by the reader of the file."""
    if isinstance(shape, Text):
        return shape.render(sandbox, names)
    if isinstance(shape, dict):
        return {name: _filled(part, sandbox, names) for name, part in shape.items()}
    if isinstance(shape, list):
        return [_filled(part, sandbox, names) for part in shape]
    return shape
