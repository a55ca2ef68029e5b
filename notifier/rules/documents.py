"""A YAML file as plain values that remember their line, read without anything that can surprise.

Built from parser events, not by a YAML constructor: no aliases (a kilobyte of them can name a gigabyte), no tags, no
duplicate keys, no recursion, and scalars as in YAML 1.2, where ``no`` is a word and ``1:30`` is not a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

#: Nesting a rules file can need is 5.
MAX_DEPTH = 20
MAX_VALUES = 20_000

#: The parser in C is ten times as fast; wheels have it, some distributions do not.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]{1,18}|[0-9]{1,18}(\.[0-9]{0,18})?)([eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}

Value = str | int | float | bool | None | list["Located"] | dict[str, "Located"]


@dataclass(frozen=True, slots=True)
class Located:
    """A value and where it is."""

    value: Value
    line: int
    """Of the key for a mapping's value, of the value itself otherwise."""
    text: str = ""
    """A scalar as it is written, so that ``when: true`` can be an expression."""
    begins: int = 0
    """The line in which a scalar's text begins: of a block (``|``) the one after its key."""

    @property
    def kind(self) -> str:
        """The value's type in words."""
        return kind_of(self.value)


#: What the parser says holds → what to do; the first that fits.
_FIXES = (
    ("expected '-' indicator", "indent this line as the others of its entry; another entry begins with `- `"),
    ("expected key", "indent this line as the keys beside it, or begin the entry with `- `"),
    ("mapping values are not allowed", "put a text with a colon in quotes, or indent the line as the keys beside it"),
    ("cannot start any token", "put a text that begins with @, `, % or a tab in quotes; indent with spaces"),
    ("expected ',' or", "close the bracket, or write a comma between the entries"),
    ("end of stream", "close the quotes or brackets that begin there"),
    ("could not find expected ':'", "write a colon and a space behind the key"),
    ("escape character", "write the text in single quotes, or two backslashes"),
)


class YamlMistake(ValueError):
    """The file cannot be read as YAML at all, or uses what we refuse."""

    def __init__(self, line: int, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.line = line
        self.fix = fix


def kind_of(value: Any) -> str:
    """``text``, ``a number``, ``true or false``, ``nothing``, ``a list`` or ``a mapping``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a mapping"


def read_yaml(text: str) -> Located:
    """The one document of a file. Raises `YamlMistake`."""
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise _explained(error) from error
    except yaml.YAMLError as error:
        raise YamlMistake(_line_of_character(text, error), f"not YAML: {str(error).splitlines()[0]}") from error
    if builder.root is None:
        raise YamlMistake(1, "the file is empty")
    return builder.root


def _explained(error: yaml.MarkedYAMLError) -> YamlMistake:
    mark = error.problem_mark or error.context_mark
    line, problem = mark.line + 1 if mark else 1, str(error.problem or error.context)
    began = error.context_mark.line + 1 if error.context_mark else line
    what = f"not YAML: {problem}" + (f" ({error.context}, which begins in line {began})" if began != line else "")
    return YamlMistake(line, what, next((fix for words, fix in _FIXES if words in problem), ""))


def _line_of_character(text: str, error: yaml.YAMLError) -> int:
    """A reader error knows only the position of the character it refuses."""
    position = getattr(error, "position", None)
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else 1


class _OpenList:
    """A list whose end has not come yet."""

    def __init__(self, line: int) -> None:
        self.value: list[Located] = []
        self.line = line
        self.wants_key = False

    def line_of_next(self, line: int) -> int:
        """Entries have their own line."""
        return line

    def add(self, entry: Located) -> None:
        self.value.append(entry)


class _OpenMapping:
    """A mapping whose end has not come yet; a key comes before each value."""

    def __init__(self, line: int) -> None:
        self.value: dict[str, Located] = {}
        self.line = line
        self._key = ""
        self._key_line = 0
        self.wants_key = True

    def line_of_next(self, _line: int) -> int:
        """Values have the line of their key."""
        return self._key_line

    def take_key(self, key: str, line: int) -> None:
        if key in self.value:
            raise YamlMistake(line, f"{key[:40]!r} is written twice", f"first in line {self.value[key].line}")
        self._key, self._key_line, self.wants_key = key, line, False

    def add(self, entry: Located) -> None:
        self.value[self._key] = entry
        self.wants_key = True


class _Builder:
    """Takes parser events one by one; an explicit stack, so depth costs memory we count and no recursion."""

    def __init__(self) -> None:
        self.root: Located | None = None
        self._stack: list[_OpenList | _OpenMapping] = []
        self._values = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise YamlMistake(line, "a second document (---) in one file", "make it a file of its own")
        elif isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlMistake(line, "anchors (&) and aliases (*) are not allowed", "write the value out")
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self._begin(event, line)
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            done = self._stack.pop()
            self._place(Located(done.value, done.line))

    def _scalar(self, event: Any, line: int) -> None:
        _refuse_tag(event, line)
        holder = self._stack[-1] if self._stack else None
        if isinstance(holder, _OpenMapping) and holder.wants_key:
            holder.take_key(event.value, line)
            return
        value = event.value if event.style in ("'", '"', "|", ">") else _plain(event.value)
        begins = line + 1 if event.style in ("|", ">") else line
        self._place(Located(value, holder.line_of_next(line) if holder else line, event.value, begins))

    def _begin(self, event: Any, line: int) -> None:
        _refuse_tag(event, line)
        if len(self._stack) >= MAX_DEPTH:
            raise YamlMistake(line, f"nested deeper than {MAX_DEPTH} levels")
        if self._stack:
            if self._stack[-1].wants_key:
                fix = 'put quotes around a text that begins with a brace or bracket: Body: "{{ text }}"'
                raise YamlMistake(line, "a list or mapping as a key", fix)
            line = self._stack[-1].line_of_next(line)
        self._stack.append(_OpenList(line) if isinstance(event, yaml.SequenceStartEvent) else _OpenMapping(line))

    def _place(self, located: Located) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise YamlMistake(located.line, f"more than {MAX_VALUES} values")
        if self._stack:
            self._stack[-1].add(located)
        else:
            self.root = located


def _refuse_tag(event: Any, line: int) -> None:
    if event.tag is not None:
        raise YamlMistake(line, f"the tag {event.tag[:40]!r} is not allowed", "write the plain value")


def _plain(text: str) -> Value:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
