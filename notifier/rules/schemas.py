"""`Schema`: a schema.json, compiled; checks the ``data`` of an event. The only importer of jsonschema_rs.

jsonschema_rs checks a typical event in 1.2 µs (jsonschema: 125 µs), and its regular expressions run in an engine whose
time grows with the text and no faster (`linear`). It recurses without a limit: lists nested 100,000 deep kill the
process, 20,000 do not (measured), and no JSON parser we read events with lets more than 5,000 through.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NoReturn

from notifier.domain.addresses import is_address
from notifier.errors import SchemaMismatch
from notifier.rules.linear import mistake_in, patterns
from notifier.rules.sections import suggestion

DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: The validator's own `email` takes `Ann <ann@example.com>` and refuses `jörg@example.com`: sending does the opposite.
FORMATS = {"email": is_address, "idn-email": is_address}
#: Mistakes told of one event; the first is mended first.
MAX_MISTAKES = 3
#: A mismatch is kept in failure queues and logs: names of keys are clipped, values are never shown.
_CLIP = 40
#: What `type` may say, and the formats that are checked (JSON Schema 2020-12, validation §6.1.1 and §7.3).
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_FORMATS = (
    *("date", "time", "date-time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6", "uri"),
    *(
        "uri-reference",
        "iri",
        "iri-reference",
        "uri-template",
        "uuid",
        "json-pointer",
        "relative-json-pointer",
        "regex",
    ),
)
#: The validator says `value is not a "email"`.
_FORMAT = re.compile(r'^value is not a "([a-z-]+)"$')
_QUOTED = re.compile(rf"""(['"])((?:(?!\1).){{{_CLIP}}})(?:(?!\1).)+\1""")


class SchemaMistake(ValueError):
    """The schema itself is wrong; ``path`` says where in the file."""

    def __init__(self, what: str, path: Sequence[str | int], fix: str = "") -> None:
        super().__init__(what)
        self.path = tuple(path)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class DataMistake:
    """One way in which data breaks a schema."""

    path: tuple[str | int, ...]
    what: str
    rule: tuple[str | int, ...] = ()
    """Where in the schema that is asked for."""

    @property
    def where(self) -> str:
        """``data.items[0].sku``; keys may be data of people too, so they are clipped."""
        return "data" + "".join(f"[{p}]" if isinstance(p, int) else f".{p[:_CLIP]}" for p in self.path)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Schema:
    """A compiled JSON Schema (draft 2020-12) with formats checked and no access to files or network."""

    def __init__(self, source: Any, file: str) -> None:
        """Raises `SchemaMistake`."""
        # Imported by those who check events; workers do not, and it is 3 MiB of a process.
        import jsonschema_rs  # noqa: PLC0415

        self.file = file
        self.source = source
        """As it is written, read as JSON."""
        if not isinstance(source, dict | bool):
            raise SchemaMistake("a schema is an object", ())
        declared = source.get("$schema", DIALECT) if isinstance(source, dict) else DIALECT
        if declared != DIALECT:
            raise SchemaMistake(f"$schema is {str(declared)[:80]!r}, expected {DIALECT!r}", ("$schema",))
        for path, pattern in patterns(source):
            if mistake := mistake_in(pattern):
                raise SchemaMistake(f"pattern {pattern[:80]!r} {mistake}", path)
        try:
            jsonschema_rs.meta.validate(source)
            self._validator = jsonschema_rs.Draft202012Validator(
                source,
                validate_formats=True,
                formats=FORMATS,
                ignore_unknown_formats=False,
                retriever=_retrieve_nothing,
                mask="value",
                pattern_options=jsonschema_rs.RegexOptions(),
            )
        except jsonschema_rs.ValidationError as error:
            raise _explained(source, error.message, tuple(error.instance_path)) from error
        except ValueError as error:
            raise SchemaMistake(f"not a JSON Schema: {_clipped(str(error))}", ()) from error

    def check(self, data: Any) -> None:
        """Raises `SchemaMismatch` whose ``field`` is the path of the first mistake."""
        if not self._validator.is_valid(data):
            mistakes = self.mistakes(data)
            raise SchemaMismatch(f"{'; '.join(map(str, mistakes))} ({self.file})", mistakes[0].where)

    def mistakes(self, data: Any) -> tuple[DataMistake, ...]:
        """The first `MAX_MISTAKES` things that are wrong with the data; empty when it fits."""
        try:
            errors = islice(self._validator.iter_errors(data), MAX_MISTAKES)
            return tuple(DataMistake(tuple(e.instance_path), _told(e.message), tuple(e.schema_path)) for e in errors)
        except ValueError as error:
            return (DataMistake((), f"cannot be checked: {_clipped(str(error))}"),)


def _told(message: str) -> str:
    return _clipped(_FORMAT.sub(r"value is no valid \1", message))


def _explained(source: Any, message: str, path: tuple[str | int, ...]) -> SchemaMistake:
    """What the schema of schemas says of the two words that are misspelt most, with what they may be."""
    word = source
    for step in path:
        word = word[step]
    for key, known in (("type", _TYPES), ("format", _FORMATS)):
        if path[-1:] == (key,) and (
            wrong := [w for w in (word if isinstance(word, list) else [word]) if w not in known]
        ):
            fix = suggestion(str(wrong[0]), known, among="one of")
            return SchemaMistake(_clipped(f"not a JSON Schema: {key} is {wrong[0]!r}"), path, fix)
    return SchemaMistake(f"not a JSON Schema: {_clipped(message)}", path, "see JSON Schema, draft 2020-12")


def _retrieve_nothing(uri: str) -> NoReturn:
    raise ValueError(f"$ref to {uri[:80]}: schemas are not fetched, put it under $defs in the same file")


def _clipped(message: str) -> str:
    return _QUOTED.sub(lambda match: f"{match[1]}{match[2]}…{match[1]}", message)[:300]
