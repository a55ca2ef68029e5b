"""Everything below a templates folder, checked against the types of its events."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import nodes

from notifier.checks.expressions import Expressions
from notifier.checks.findings import Code, Finding, Findings, Severity
from notifier.checks.markup import check_markup
from notifier.checks.place import Place
from notifier.checks.sample_types import type_of_samples
from notifier.checks.schema_checks import check_schema
from notifier.checks.schema_types import type_of_schema
from notifier.checks.scope import Scope
from notifier.checks.severities import by_severity
from notifier.checks.signatures import element
from notifier.checks.silencing import silenced
from notifier.checks.templates import TemplateFlow
from notifier.checks.types import (
    ABSENT,
    ANYTHING,
    NULL,
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
    describe,
    may_be,
    members,
    union,
    without,
)
from notifier.domain.channels import TRAITS
from notifier.domain.rule import Channel, Collecting, Rule
from notifier.rendering.compiler import kind_of
from notifier.rendering.expressions import Expression
from notifier.rendering.files import is_partial
from notifier.rendering.sandbox import Sandbox
from notifier.rules.content import Content
from notifier.rules.loading import RULES_FILE, SCHEMA_FILE
from notifier.rules.matching import CompiledRule

_AS_THEY_ARE: Mapping[str, str] = {}
_MOMENT = Text(format="date-time")


def check(content: Content, severities: Mapping[str, str] = _AS_THEY_ARE) -> list[Finding]:
    """What is wrong in any template and rule, whichever event comes; what comments take out is not in it."""
    found = Findings()
    shelf = _Shelf(content, found)
    flow = TemplateFlow(shelf)
    texts = {name: one.source.splitlines() for name, one in content.renderer.codes.items()}
    for folder in content.catalog.patterns:
        data, is_known = _data(content, folder)
        lines = texts[f"{folder}/{RULES_FILE}"] = content.catalog.folder_text(folder, RULES_FILE).splitlines()
        if (schema := content.catalog.folder_text(folder, SCHEMA_FILE)) and (own := content.catalog.schema_of(folder)):
            for finding in check_schema(own.source, schema, f"{folder}/{SCHEMA_FILE}"):
                found.add(finding)
        for compiled in content.catalog.folder_rules(folder):
            _check_rule(compiled, data, found, lines, is_known=is_known)
            _check_message(compiled.rule, data, content, flow, shelf, is_known=is_known)
    for finding in _unused(content, shelf.seen):
        found.add(finding)
    for name, one in content.renderer.codes.items():
        if kind_of(name) == "html":
            check_markup(one.source, shelf.place(name))
    return by_severity(silenced(found, texts), severities)


def _unused(content: Content, seen: Collection[str]) -> Iterator[Finding]:
    """Files that no message is made of."""
    for name in sorted(content.renderer.codes.keys() - seen):
        if is_partial(name):
            what, fix = "no template that a rule uses includes, extends or imports this file", "use it, or delete it"
        elif name.partition("/")[0] in content.catalog.patterns:
            what, fix = "no rule makes a message of this file", "add a rule of its channel, or delete it"
        else:
            continue  # the folder has no rules at all, which is told of it
        yield Finding(name, 1, 0, Code.UNUSED, what, fix, Severity.WARNING)


def _data(content: Content, folder: str) -> tuple[Type, bool]:
    """The type of the data of a folder's events, and whether a schema says it."""
    schemas = [schema.source for schema in content.catalog.folder_schemas(folder)]
    if schemas:
        return type_of_schema({"allOf": schemas} if len(schemas) > 1 else schemas[0]), True
    samples = content.catalog.samples.get(folder, ())
    return type_of_samples([sample.event.data for sample in samples]), False


@lru_cache(maxsize=4096)
def _parsed(name: str, source: str) -> nodes.Template:
    """Parsing is half of a check: of what did not change since the last one it is kept."""
    return Sandbox().parse(source, name, name)


@dataclass(slots=True)
class _Shelf:
    content: Content
    findings: Findings
    judges_guards: bool = True
    seen: set[str] = field(default_factory=set)
    """Templates that were looked at."""

    def tree(self, name: str) -> nodes.Template | None:
        self.seen.add(name)
        compiled = self.content.renderer.codes.get(name)
        return None if compiled is None else _parsed(name, compiled.source)

    def place(self, name: str) -> Place:
        compiled = self.content.renderer.codes.get(name)
        lines = compiled.source.splitlines() if compiled is not None else ()
        return Place(self.findings, name, lines, judges_guards=self.judges_guards)


def event_type(data: Type, pattern: str) -> Type:
    """What ``event`` may be."""
    maybe = union(TEXT, NULL)
    return ObjectOf.of(
        {
            "id": TEXT,
            "source": TEXT,
            "type": TEXT if "*" in pattern else Text(frozenset({pattern})),
            "subject": maybe,
            "time": union(_MOMENT, NULL),
            "tenant": TEXT,
            "datacontenttype": maybe,
            "dataschema": maybe,
            "expirytime": union(_MOMENT, NULL),
            "traceparent": maybe,
            "partitionkey": maybe,
            "data": data,
            "data_base64": maybe,
        },
        # Extensions, which each publisher chooses.
        union(ANYTHING, ABSENT),
    )


def _names(rule: Rule, data: Type, kind: str, locale: str) -> dict[str, Type]:
    event = event_type(data, rule.event)
    people = dict.fromkeys(("email", "name", "locale", "timezone"), TEXT)
    if kind not in (Channel.EMAIL, Collecting.DIGEST):
        people |= dict.fromkeys(("id", "phone"), TEXT)
    digest = ObjectOf.of(
        {
            "items": ListOf(event, filled=True),
            "total": Number(whole=True),
            "more": Number(whole=True),
            "key": TEXT,
            "opened": NUMBER,
            "closed": NUMBER,
        }
    )
    return {
        "event": event,
        "data": data,
        "recipient": ObjectOf.of({} if kind == Channel.WEBHOOK else people),
        "delivery_id": TEXT,
        "unsubscribe_url": TEXT,
        "digest": digest if kind == Collecting.DIGEST else NULL,
        "locale": TEXT if not locale else Text(frozenset({locale})),
    }


def _check_message(
    rule: Rule, data: Type, content: Content, flow: TemplateFlow, shelf: _Shelf, *, is_known: bool
) -> None:
    shelf.judges_guards = is_known
    own = rule.source.partition("/")[2].partition("/")[0] == rule.template
    why = "" if own else f"for {rule.id}"
    for kind in _kinds(rule):
        for locale in content.renderer.locales(rule.template, kind):
            for name in content.renderer.parts(rule.template, kind, locale):
                flow.look_at(name, _names(rule, data, kind, locale), why)


def _kinds(rule: Rule) -> Iterator[str]:
    """Kinds of message that a rule makes."""
    yield rule.channel_word
    throttle = rule.throttle
    if throttle is not None and throttle.overflow == "digest" and TRAITS[rule.channel].digests:
        yield Collecting.DIGEST.value


def _check_rule(compiled: CompiledRule, data: Type, found: Findings, lines: Sequence[str], *, is_known: bool) -> None:
    rule = compiled.rule
    scope = Scope({"data": data, "event": event_type(data, rule.event)})
    for key, expression in _expressions(compiled):
        file, _, line = compiled.place(key).rpartition(":")
        place = Place(found, file.partition("/")[2], lines, first=int(line), judges_guards=is_known)
        looked = Expressions(place)
        value = looked.value(expression.tree(), scope)
        _CHECKS.get(key, _no_check)(place, rule, key, value)


def _expressions(compiled: CompiledRule) -> Iterator[tuple[str, Expression]]:
    """Key → expression."""
    for key in ("to", "when", "key", "cc"):
        expression = getattr(compiled, key)
        if expression is not None:
            yield key, expression
    for attachment in compiled.attachments:
        given = (attachment.name, attachment.content, attachment.media_type)
        yield from (("attachments", one) for one in given if one is not None)
    if (mail := compiled.mail) is not None:
        yield from (
            (key, one) for key, one in (("reply_to", mail.reply_to), ("thread", mail.thread)) if one is not None
        )
        yield from (("headers", one) for _, one in mail.headers)


def _no_check(place: Place, rule: Rule, key: str, value: Type) -> None:
    """Nothing is asked of its value."""


def _check_when(place: Place, rule: Rule, key: str, value: Type) -> None:
    _check_present(place, rule, key, value)
    for member in members(without(value, Absent)):
        if not isinstance(member, Boolean | Anything | Null):
            what = f"rule {rule.id!r}: when is {describe(member)}, not true or false"
            fix = "compare it with something: what is not empty counts as true"
            place.tell(Code.NO_TRUTH_VALUE, 1, what, fix, severity=Severity.WARNING)


def _check_key(place: Place, rule: Rule, key: str, value: Type) -> None:
    _check_present(place, rule, key, value)
    for member in members(without(value, Absent)):
        if not isinstance(member, Text | Number | Anything):
            what = f"rule {rule.id!r}: {key} may be {describe(member)}, and a key is a text or a number"
            place.tell(Code.NO_KEY, 1, what, "give one that every event has")


def _check_present(place: Place, rule: Rule, key: str, value: Type) -> None:
    if may_be(value, Absent):
        what = f"rule {rule.id!r}: {key} may be absent"
        place.tell(Code.MAY_BE_ABSENT, 1, what, "require it in the schema, or give `| default(…)`")


def _check_people(place: Place, rule: Rule, key: str, value: Type) -> None:
    _check_present(place, rule, key, value)
    for member in members(without(value, Absent)):
        ones = element(member) if isinstance(member, ListOf | Pair) else member
        for one in members(ones):
            if (wrong := _no_person(one)) is not None:
                what = f"rule {rule.id!r}: {key} may be {wrong}, and nobody is reached by that"
                fix = "an address, a recipient's id, an object with `email` or `id`, or a list of these"
                place.tell(Code.NO_RECIPIENT, 1, what, fix)


def _no_person(one: Type) -> str | None:
    match one:
        case Number() | Boolean() | ListOf() | Pair():
            return describe(one)
        case Text(values=frozenset() as values) if "" in values:
            return "an empty text"
        case Text(format="date" | "date-time" | "time" | "uri" | "ipv4" | "ipv6"):
            return f"a {one.format}"
        case ObjectOf() if not _REACHED & one.fields.keys() and not may_be(one.rest or NULL, Anything):
            return "an object without an address"
    return None


#: Names of an object by which somebody is reached; those of channel files are the operator's own.
_REACHED = frozenset({"email", "id", "address", "phone", "recipient"})

_CHECKS: Mapping[str, Any] = {
    "when": _check_when,
    "key": _check_key,
    **dict.fromkeys(("to", "cc"), _check_people),
    **dict.fromkeys(("attachments", "reply_to", "thread", "headers"), _check_present),
}
