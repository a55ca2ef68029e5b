"""What is wrong with a schema though it is one: words that nothing reads, names that are required and not described."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from notifier.checks.findings import Code, Finding, Severity
from notifier.rules.jsonfiles import line_of

#: Keywords of draft 2020-12, by vocabulary: core, applicator, unevaluated, validation, format, content, meta-data.
KEYWORDS = (
    *("$schema", "$id", "$anchor", "$dynamicAnchor", "$ref", "$dynamicRef", "$defs", "$comment", "$vocabulary"),
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "prefixItems", "items", "contains"),
    *("properties", "patternProperties", "additionalProperties", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties"),
    *("type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"),
    *("maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains"),
    *("maxProperties", "minProperties", "required", "dependentRequired"),
    *("format", "contentEncoding", "contentMediaType", "contentSchema"),
    *("title", "description", "default", "deprecated", "readOnly", "writeOnly", "examples"),
)
#: Of older drafts and of OpenAPI 3.0 → what 2020-12 has instead.
_OLDER = {
    "definitions": "`$defs` (a `$ref` to it still works)",
    "nullable": '"type": ["string", "null"]',
    "additionalItems": "`items` beside `prefixItems`",
    "dependencies": "`dependentRequired` or `dependentSchemas`",
    "example": "`examples`, a list",
    "id": "`$id`",
}
#: Keywords whose value maps names of the data's own to schemas.
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE = frozenset(
    {"items", "contains", "not", "if", "then", "else", "additionalProperties", "propertyNames", "contentSchema"}
)

_Path = tuple[str | int, ...]


def check_schema(source: Any, text: str, file: str) -> Iterator[Finding]:
    """``text`` is the file, for lines."""
    if source in (True, {}) or (isinstance(source, dict) and not source.keys() - _SAYING_NOTHING):
        what, fix = "the schema lets everything through, so no event is checked", 'describe "properties" and "required"'
        yield Finding(file, 1, 0, Code.SCHEMA, what, fix, Severity.WARNING)
    for path, schema in _schemas(source, ()):
        for key in schema.keys() - set(KEYWORDS):
            yield _unknown(key, file, line_of(text, (*path, key)))
        for name in _undescribed(schema):
            what = f"{name!r} is required, and `properties` does not describe it"
            fix = "describe it, or write the name that is described"
            yield Finding(file, line_of(text, (*path, "required")), 0, Code.SCHEMA, what, fix, Severity.WARNING)


_SAYING_NOTHING = frozenset({"$schema", "$id", "$comment", "title", "description", "$defs", "examples"})


def _unknown(key: str, file: str, line: int) -> Finding:
    if key in _OLDER:
        what = f"`{key}` is no word of JSON Schema 2020-12, and nothing reads it"
        return Finding(file, line, 0, Code.SCHEMA, what, f"write {_OLDER[key]}", Severity.WARNING)
    close = get_close_matches(key, KEYWORDS, 1, 0.75)
    what = f"`{key}` is no word of JSON Schema, and nothing reads it"
    fix = f"did you mean `{close[0]}`?" if close else "take it out, or write `$comment`"
    return Finding(file, line, 0, Code.SCHEMA, what, fix, Severity.ERROR if close else Severity.HINT)


def _undescribed(schema: dict[str, Any]) -> list[str]:
    described = schema.get("properties")
    if not isinstance(described, dict) or schema.get("patternProperties") or schema.get("additionalProperties"):
        return []
    required = schema.get("required")
    return [n for n in required if isinstance(n, str) and n not in described] if isinstance(required, list) else []


def _schemas(source: Any, path: _Path) -> Iterator[tuple[_Path, dict[str, Any]]]:
    """Every schema in a schema, with its path."""
    if not isinstance(source, dict):
        return
    yield path, source
    for key, value in source.items():
        if key in _NAMED and isinstance(value, dict):
            for name, one in value.items():
                yield from _schemas(one, (*path, key, name))
        elif key in _LISTED and isinstance(value, list):
            for place, one in enumerate(value):
                yield from _schemas(one, (*path, key, place))
        elif key in _SINGLE:
            yield from _schemas(value, (*path, key))
